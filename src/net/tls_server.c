#include <stdatomic.h>

#include "net/tls_internal.h"
#include "pki/key.h"

struct tls_server_ctx {
    atomic_uint references;
    SSL_CTX *ssl;
};

struct tls_conn {
    SSL *ssl;
};

RC tls_fail(struct ctx *ctx, enum err e, const char *doing)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return ctx_fail(ctx, e, "%s: %s", doing, reason ? reason : "OpenSSL gives no reason");
}

RC tls_read_der(struct ctx *ctx, struct bytes der, X509 **out)
{
    const unsigned char *p = der.p;
    ERR_clear_error();
    *out = der.n <= LONG_MAX ? d2i_X509(NULL, &p, (long)der.n) : NULL;
    if (!*out)
        return tls_fail(ctx, E_PARSE, "reading a certificate");
    if (p != der.p + der.n) {
        X509_free(*out);
        *out = NULL;
        return ctx_fail(ctx, E_PARSE, "something follows a certificate");
    }
    return RC_OK;
}

/* Clients that offer protocols without http/1.1 speak to the wrong server (RFC 7301 section 3.2). */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in, unsigned in_n, void *arg)
{
    (void)ssl;
    (void)arg;
    struct bytes offered = bytes_of(in, in_n), protocol;
    uint8_t n;
    while (bytes_take_u8(&offered, &n) && bytes_take(&offered, n, &protocol)) {
        if (bytes_equal(protocol, BYTES_LIT("http/1.1"))) {
            *out = protocol.p;
            *out_n = n;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* The handshake goes on whatever comes out: the result is for the handler to look at, and so are the dates: what an agent may still
 * do with a certificate that has ended is not for TLS to say. */
static int verify_client(X509_STORE_CTX *store_ctx, void *arg)
{
    (void)arg;
    X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(store_ctx), X509_V_FLAG_NO_CHECK_TIME);
    if (X509_verify_cert(store_ctx) <= 0 && X509_STORE_CTX_get_error(store_ctx) == X509_V_OK)
        X509_STORE_CTX_set_error(store_ctx, X509_V_ERR_UNSPECIFIED);
    return 1;
}

static struct rc load_chain(struct ctx *ctx, SSL_CTX *ssl, const struct bytes *chain, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        X509 *x __attribute__((cleanup(tls_x509_freep))) = NULL;
        TRY(tls_read_der(ctx, chain[i], &x));
        int ok = i == 0 ? SSL_CTX_use_certificate(ssl, x) : (int)SSL_CTX_add1_chain_cert(ssl, x);
        if (ok != 1)
            return tls_fail(ctx, E_INVALID, "using the server's certificate");
    }
    return RC_OK;
}

static struct rc load_client_roots(struct ctx *ctx, SSL_CTX *ssl, const struct bytes *roots, size_t n)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ssl);
    for (size_t i = 0; i < n; i++) {
        X509 *x __attribute__((cleanup(tls_x509_freep))) = NULL;
        TRY(tls_read_der(ctx, roots[i], &x));
        /* Its extensions are read now, not by the threads that share it. */
        if (X509_check_purpose(x, -1, 0) < 0 || X509_STORE_add_cert(store, x) != 1 || SSL_CTX_add_client_CA(ssl, x) != 1)
            return tls_fail(ctx, E_INVALID, "using a root for client certificates");
    }
    return RC_OK;
}

static bool configure(SSL_CTX *ssl)
{
    /* RELEASE_BUFFERS halves the memory of idle connections; no tickets and no cache: resumption would skip the verification of
     * client certificates. */
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_CLEANSE_PLAINTEXT);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(ssl, 1);
    SSL_CTX_set_alpn_select_cb(ssl, select_alpn, NULL);
    SSL_CTX_set_cert_verify_callback(ssl, verify_client, NULL);
    return SSL_CTX_set_num_tickets(ssl, 0) == 1 && SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
           SSL_CTX_set1_groups_list(ssl, "X25519:P-256:P-384") == 1;
}

RC tls_server_new(struct ctx *ctx, const struct key *key, const struct bytes *chain, size_t chain_n,
                  const struct bytes *client_roots, size_t client_roots_n, struct tls_server_ctx **out)
{
    SSL_CTX *ssl __attribute__((cleanup(tls_ctx_freep))) = NULL;
    ERR_clear_error();
    ssl = SSL_CTX_new(TLS_server_method());
    if (!ssl || !configure(ssl))
        return tls_fail(ctx, E_CRYPTO, "setting up TLS");
    if (chain_n == 0)
        return ctx_fail(ctx, E_INVALID, "a TLS server needs a certificate");
    TRY(load_chain(ctx, ssl, chain, chain_n));
    if (SSL_CTX_use_PrivateKey(ssl, key_evp(key)) != 1 || SSL_CTX_check_private_key(ssl) != 1)
        return tls_fail(ctx, E_INVALID, "using the server's key");
    TRY(load_client_roots(ctx, ssl, client_roots, client_roots_n));
    return tls_server_wrap(ctx, &ssl, out);
}

RC tls_server_wrap(struct ctx *ctx, SSL_CTX **ssl, struct tls_server_ctx **out)
{
    struct tls_server_ctx *t = calloc(1, sizeof *t);
    if (!t)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the TLS server");
    atomic_init(&t->references, 1);
    t->ssl = *ssl;
    *ssl = NULL;
    *out = t;
    return RC_OK;
}

struct tls_server_ctx *tls_server_ref(struct tls_server_ctx *t)
{
    if (t)
        atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed);
    return t;
}

void tls_server_unref(struct tls_server_ctx *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->references, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(t->ssl);
    free(t);
}

struct tls_conn *tls_conn_new(struct tls_server_ctx *t, int fd, bool ask_client_certificate)
{
    struct tls_conn *c = calloc(1, sizeof *c);
    ERR_clear_error();
    if (c)
        c->ssl = SSL_new(t->ssl);
    if (!c || !c->ssl || SSL_set_fd(c->ssl, fd) != 1) {
        tls_conn_free(c);
        return NULL;
    }
    if (ask_client_certificate)
        SSL_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
    SSL_set_accept_state(c->ssl);
    return c;
}

void tls_conn_free(struct tls_conn *c)
{
    if (!c)
        return;
    SSL_free(c->ssl);
    free(c);
}

static enum tls_io io_result(struct tls_conn *c, int ret)
{
    switch (SSL_get_error(c->ssl, ret)) {
    case SSL_ERROR_NONE:
        return TLS_IO_OK;
    case SSL_ERROR_WANT_READ:
        return TLS_IO_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_IO_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_IO_CLOSED;
    default:
        return TLS_IO_FAILED;
    }
}

enum tls_io tls_conn_handshake(struct tls_conn *c)
{
    ERR_clear_error();
    return io_result(c, SSL_do_handshake(c->ssl));
}

enum tls_io tls_conn_read(struct tls_conn *c, void *p, size_t n, size_t *got)
{
    *got = 0;
    ERR_clear_error();
    return io_result(c, SSL_read_ex(c->ssl, p, n, got));
}

enum tls_io tls_conn_write(struct tls_conn *c, struct bytes data, size_t *done)
{
    *done = 0;
    ERR_clear_error();
    return io_result(c, SSL_write_ex(c->ssl, data.p, data.n, done));
}

bool tls_conn_has_pending(struct tls_conn *c)
{
    return SSL_has_pending(c->ssl) == 1;
}

void tls_conn_close(struct tls_conn *c)
{
    ERR_clear_error();
    if (SSL_is_init_finished(c->ssl))
        (void)SSL_shutdown(c->ssl);
    ERR_clear_error();
}

uint8_t *tls_conn_client_certificate(struct tls_conn *c, size_t *n, bool *verified, const char **why)
{
    X509 *x = SSL_get0_peer_certificate(c->ssl);
    *n = 0;
    *verified = false;
    *why = "the client showed no certificate";
    if (!x)
        return NULL;
    long result = SSL_get_verify_result(c->ssl);
    *verified = result == X509_V_OK;
    *why = X509_verify_cert_error_string(result);
    int len = i2d_X509(x, NULL);
    uint8_t *der = len > 0 ? malloc((size_t)len) : NULL, *p = der;
    if (!der)
        return NULL;
    *n = (size_t)i2d_X509(x, &p);
    return der;
}
