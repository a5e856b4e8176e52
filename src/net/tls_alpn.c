#include "net/tls_alpn.h"

#include <pthread.h>

#include "net/tls_internal.h"
#include "pki/alpn_cert.h"

#define PROTOCOL BYTES_LIT("acme-tls/1")

struct answer {
    char *sni, *token; /* heap */
    X509 *cert;
};

struct tls_alpn {
    struct key *key;
    struct tls_server_ctx *server;
    pthread_mutex_t lock; /* over answers and n: the handshakes of one thread, changes by others */
    struct answer answers[TLS_ALPN_MAX];
    size_t n;
};

/* Who does not ask for the protocol has come to the wrong place (RFC 8737 section 3). */
static int on_hello(SSL *ssl, int *alert, void *arg)
{
    const unsigned char *data = NULL;
    size_t n = 0;
    (void)arg;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &data, &n) == 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in, unsigned in_n, void *arg)
{
    struct bytes offered = bytes_of(in, in_n), protocol;
    uint8_t n;
    (void)ssl;
    (void)arg;
    while (bytes_take_u8(&offered, &n) && bytes_take(&offered, n, &protocol))
        if (bytes_equal(protocol, PROTOCOL)) {
            *out = protocol.p;
            *out_n = n;
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    struct tls_alpn *t = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    bool found = false;
    pthread_mutex_lock(&t->lock);
    for (size_t i = t->n; name != NULL && i-- > 0 && !found;)
        if (bytes_equal_nocase(bytes_z(t->answers[i].sni), bytes_z(name)))
            found = SSL_use_certificate(ssl, t->answers[i].cert) == 1 && SSL_use_PrivateKey(ssl, key_evp(t->key)) == 1;
    pthread_mutex_unlock(&t->lock);
    if (found)
        return SSL_TLSEXT_ERR_OK;
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static RC server_new(struct ctx *ctx, struct tls_alpn *t)
{
    SSL_CTX *ssl __attribute__((cleanup(tls_ctx_freep))) = NULL;
    ERR_clear_error();
    ssl = SSL_CTX_new(TLS_server_method());
    if (ssl == NULL || SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1 || SSL_CTX_set_num_tickets(ssl, 0) != 1)
        return tls_fail(ctx, E_CRYPTO, "setting up TLS");
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_client_hello_cb(ssl, on_hello, NULL);
    SSL_CTX_set_alpn_select_cb(ssl, on_alpn, NULL);
    SSL_CTX_set_tlsext_servername_callback(ssl, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(ssl, t);
    return tls_server_wrap(ctx, &ssl, &t->server);
}

RC tls_alpn_new(struct ctx *ctx, struct tls_alpn **out)
{
    struct tls_alpn *t = calloc(1, sizeof *t);
    if (t == NULL)
        return ctx_fail(ctx, E_NO_MEMORY, "the tls-alpn-01 listener");
    pthread_mutex_init(&t->lock, NULL);
    struct rc rc = key_generate(ctx, KEY_EC_P256, &t->key);
    if (rc_ok(rc))
        rc = server_new(ctx, t);
    if (rc_failed(rc)) {
        tls_alpn_free(t);
        return rc;
    }
    *out = t;
    return RC_OK;
}

static void answer_free(struct answer *a)
{
    free(a->sni);
    free(a->token);
    X509_free(a->cert);
    *a = (struct answer){0};
}

void tls_alpn_free(struct tls_alpn *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->n; i++)
        answer_free(&t->answers[i]);
    tls_server_unref(t->server);
    key_free(t->key);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

void tls_alpn_remove(struct tls_alpn *t, const char *token)
{
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->answers[i].token, token) == 0) {
            answer_free(&t->answers[i]);
            memmove(&t->answers[i], &t->answers[i + 1], (--t->n - i) * sizeof *t->answers); /* the later ones stay the later */
            break;
        }
    pthread_mutex_unlock(&t->lock);
}

RC tls_alpn_put(struct ctx *ctx, struct tls_alpn *t, const struct name *name, const char *token, const char *key_authorization)
{
    struct bytes der;
    struct answer a = {0};
    bool room;
    TRY(alpn_cert_make(ctx, t->key, name, key_authorization, &der));
    TRY(tls_read_der(ctx, der, &a.cert));
    a.sni = strdup(alpn_cert_sni(&ctx->arena, name));
    a.token = strdup(token);
    if (a.sni == NULL || a.token == NULL) {
        answer_free(&a);
        return ctx_fail(ctx, E_NO_MEMORY, "the answer to a challenge");
    }
    tls_alpn_remove(t, token);
    pthread_mutex_lock(&t->lock);
    room = t->n < TLS_ALPN_MAX;
    if (room)
        t->answers[t->n++] = a;
    pthread_mutex_unlock(&t->lock);
    if (room)
        return RC_OK;
    answer_free(&a);
    return ctx_fail(ctx, E_BUSY, "%d challenges are open already", TLS_ALPN_MAX);
}

size_t tls_alpn_open(struct tls_alpn *t)
{
    pthread_mutex_lock(&t->lock);
    size_t n = t->n;
    pthread_mutex_unlock(&t->lock);
    return n;
}

struct tls_conn *tls_alpn_conn(struct tls_alpn *t, int fd)
{
    return tls_conn_new(t->server, fd, false);
}
