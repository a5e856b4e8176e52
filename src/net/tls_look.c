#include "net/tls_look.h"

#include "net/tls_internal.h"

#define KINDS 3

struct tls_looks {
    SSL_CTX *ssl[KINDS]; /* by enum hello_keys */
    bool post_quantum;
};

struct tls_look {
    SSL *ssl;       /* owns the two BIOs */
    BIO *in, *out;
    bool whole, stopped;
    size_t received;
    struct buf chain; /* each certificate behind four bytes of its length */
    enum hello_keys keys;
    bool asks;
    int alert;
    char group[32], why[200];
    struct buf say;
};

/* --- what OpenSSL calls */

static struct tls_look *look_of(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

static void keep_chain(struct tls_look *l, X509_STORE_CTX *s)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(s);
    buf_reset(&l->chain);
    for (int i = 0; i < sk_X509_num(chain) && i < HELLO_CHAIN_MAX; i++) {
        unsigned char *der = NULL;
        const int n = i2d_X509(sk_X509_value(chain, i), &der);
        if (n > 0) {
            buf_put_u32(&l->chain, (uint32_t)n);
            buf_put_mem(&l->chain, der, (size_t)n);
        }
        OPENSSL_free(der);
    }
    if (sk_X509_num(chain) > 0) {
        EVP_PKEY *key = X509_get0_pubkey(sk_X509_value(chain, 0));
        const bool rsa = key && (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"));
        const bool ec = key && (EVP_PKEY_is_a(key, "EC") || EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448"));
        l->keys = rsa ? HELLO_RSA : ec ? HELLO_ECDSA : HELLO_ANY_KEY;
    }
}

static int on_chain(X509_STORE_CTX *s, void *arg)
{
    (void)arg;
    struct tls_look *l = look_of(X509_STORE_CTX_get_ex_data(s, SSL_get_ex_data_X509_STORE_CTX_idx()));
    keep_chain(l, s);
    l->stopped = !l->whole;
    return l->whole;
}

/* No certificate is sent; that one was asked for is all that is to be known. */
static int on_client_certificate(SSL *ssl, X509 **x, EVP_PKEY **key)
{
    (void)x;
    (void)key;
    look_of(ssl)->asks = true;
    return 0;
}

static void on_info(const SSL *ssl, int where, int value)
{
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT)
        look_of(ssl)->alert = value & 0xff;
}

static void on_message(int write, int version, int type, const void *data, size_t n, SSL *ssl, void *arg)
{
    (void)version;
    (void)arg;
    if (!write && type == SSL3_RT_HANDSHAKE && n > 0 && *(const uint8_t *)data == SSL3_MT_CERTIFICATE_REQUEST)
        look_of(ssl)->asks = true;
}

/* --- setting up */

static const struct {
    const char *signatures, *suites;
} offers[KINDS] = {
    [HELLO_ANY_KEY] = {NULL, "ALL:@SECLEVEL=0"},
    [HELLO_ECDSA] = {"ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448", "aECDSA:@SECLEVEL=0"},
    [HELLO_RSA] = {"rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512",
                   "aRSA:@SECLEVEL=0"},
};

/* Up to 3.4 the usual groups are all that there are; 3.5 offers only one of those with ML-KEM by itself.  A share is sent for the
 * first one: a ClientHello with one of ML-KEM does not fit a packet, which old servers do not like. */
static bool offer_all_groups(SSL_CTX *c)
{
    const bool known = SSL_CTX_set1_groups_list(c, "X25519MLKEM768") == 1 &&
                       SSL_CTX_set1_groups_list(c, "X25519:P-256:X448:P-521:P-384:?ffdhe2048:?ffdhe3072:?ffdhe4096:X25519MLKEM768:"
                                                   "?SecP256r1MLKEM768:?SecP384r1MLKEM1024:?MLKEM768:?MLKEM1024") == 1;
    ERR_clear_error();
    return known;
}

static RC prepare(struct ctx *ctx, enum hello_keys keys, SSL_CTX **out, bool *post_quantum)
{
    ERR_clear_error();
    SSL_CTX *c = *out = SSL_CTX_new(TLS_client_method());
    if (!c || SSL_CTX_set_min_proto_version(c, 0) != 1 || SSL_CTX_set_cipher_list(c, offers[keys].suites) != 1 ||
        (offers[keys].signatures && SSL_CTX_set1_sigalgs_list(c, offers[keys].signatures) != 1))
        return tls_fail(ctx, E_CRYPTO, "setting up TLS");
    *post_quantum = offer_all_groups(c);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(c, on_chain, NULL);
    SSL_CTX_set_client_cert_cb(c, on_client_certificate);
    SSL_CTX_set_info_callback(c, on_info);
    SSL_CTX_set_msg_callback(c, on_message);
    SSL_CTX_set_max_cert_list(c, HELLO_BYTES_MAX);
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_IGNORE_UNEXPECTED_EOF);
    return RC_OK;
}

RC tls_looks_new(struct ctx *ctx, struct tls_looks **out)
{
    struct tls_looks *all = calloc(1, sizeof *all);
    if (!all)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for TLS");
    for (unsigned i = 0; i < KINDS; i++) {
        struct rc rc = prepare(ctx, (enum hello_keys)i, &all->ssl[i], &all->post_quantum);
        if (rc_failed(rc)) {
            tls_looks_free(all);
            return rc;
        }
    }
    *out = all;
    return RC_OK;
}

void tls_looks_free(struct tls_looks *all)
{
    for (unsigned i = 0; all && i < KINDS; i++)
        SSL_CTX_free(all->ssl[i]);
    free(all);
}

bool tls_looks_post_quantum(const struct tls_looks *all)
{
    return all->post_quantum;
}

const char *tls_looks_library(void)
{
    return OpenSSL_version(OPENSSL_VERSION_STRING);
}

struct tls_look *tls_look_new(struct tls_looks *all, const struct tls_look_ask *ask)
{
    static const unsigned char alpn[] = "\x02h2\x08http/1.1";
    struct tls_look *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->whole = ask->whole;
    l->alert = -1;
    buf_init(&l->chain, 2 * HELLO_BYTES_MAX);
    buf_init(&l->say, HELLO_BYTES_MAX);
    ERR_clear_error();
    l->ssl = SSL_new(all->ssl[ask->keys]);
    l->in = BIO_new(BIO_s_mem());
    l->out = BIO_new(BIO_s_mem());
    if (!l->ssl || !l->in || !l->out) {
        BIO_free(l->in);
        BIO_free(l->out);
        SSL_free(l->ssl);
        free(l);
        return NULL;
    }
    BIO_set_mem_eof_return(l->in, -1);
    SSL_set_bio(l->ssl, l->in, l->out);
    SSL_set_app_data(l->ssl, l);
    SSL_set_connect_state(l->ssl);
    if ((ask->sni && *ask->sni && SSL_set_tlsext_host_name(l->ssl, ask->sni) != 1) ||
        (ask->details && (SSL_set_tlsext_status_type(l->ssl, TLSEXT_STATUSTYPE_ocsp) != 1 ||
                          SSL_set_alpn_protos(l->ssl, alpn, sizeof alpn - 1) != 0))) {
        tls_look_free(l);
        return NULL;
    }
    return l;
}

void tls_look_free(struct tls_look *l)
{
    if (!l)
        return;
    SSL_free(l->ssl);
    buf_free(&l->chain);
    buf_free(&l->say);
    free(l);
}

/* --- the handshake */

static void take_out(struct tls_look *l, struct bytes *say)
{
    char *data;
    const long n = BIO_get_mem_data(l->out, &data);
    buf_reset(&l->say);
    if (n > 0)
        buf_put_mem(&l->say, data, (size_t)n);
    (void)BIO_reset(l->out);
    *say = buf_bytes(&l->say);
}

static void describe(struct tls_look *l)
{
    const char *group = SSL_group_to_name(l->ssl, (int)SSL_get_negotiated_group(l->ssl));
    snprintf(l->group, sizeof l->group, "%s", group ? group : "");
}

static enum tls_look_state failed(struct tls_look *l, const char *why)
{
    const unsigned long e = ERR_peek_last_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;
    snprintf(l->why, sizeof l->why, "%s", why ? why : reason ? reason : "the handshake failed");
    ERR_clear_error();
    return TLS_LOOK_FAILED;
}

enum tls_look_state tls_look_feed(struct tls_look *l, struct bytes in, struct bytes *say)
{
    *say = (struct bytes){0};
    l->received += in.n;
    if (l->received > HELLO_BYTES_MAX)
        return failed(l, "it sends more than 64 KiB");
    ERR_clear_error();
    if (in.n > 0 && BIO_write(l->in, in.p, (int)in.n) != (int)in.n)
        return failed(l, "no memory");
    const int ret = SSL_do_handshake(l->ssl);
    const int error = SSL_get_error(l->ssl, ret);
    if (l->stopped || ret == 1) {
        if (ret == 1)
            take_out(l, say);
        describe(l);
        ERR_clear_error();
        return l->chain.n > 0 ? TLS_LOOK_DONE : failed(l, "it sent no certificate");
    }
    take_out(l, say);
    return error == SSL_ERROR_WANT_READ ? TLS_LOOK_MORE : failed(l, NULL);
}

/* --- what was seen */

size_t tls_look_chain(const struct tls_look *l, struct bytes out[HELLO_CHAIN_MAX])
{
    struct bytes rest = buf_bytes(&l->chain);
    uint32_t n;
    size_t count = 0;
    while (count < HELLO_CHAIN_MAX && bytes_take_u32(&rest, &n) && bytes_take(&rest, n, &out[count]))
        count++;
    return count;
}

enum hello_keys tls_look_keys(const struct tls_look *l)
{
    return l->keys;
}

const char *tls_look_version(const struct tls_look *l)
{
    return SSL_get_version(l->ssl);
}

const char *tls_look_cipher(const struct tls_look *l)
{
    const SSL_CIPHER *c = SSL_get_pending_cipher(l->ssl) ? SSL_get_pending_cipher(l->ssl) : SSL_get_current_cipher(l->ssl);
    const char *name = c ? SSL_CIPHER_standard_name(c) : NULL;
    return name ? name : "";
}

const char *tls_look_group(const struct tls_look *l)
{
    return l->group;
}

struct bytes tls_look_alpn(const struct tls_look *l)
{
    const unsigned char *p = NULL;
    unsigned n = 0;
    SSL_get0_alpn_selected(l->ssl, &p, &n);
    return bytes_of(p, n);
}

struct bytes tls_look_ocsp(const struct tls_look *l)
{
    const unsigned char *p = NULL;
    const long n = SSL_get_tlsext_status_ocsp_resp(l->ssl, &p);
    return n > 0 ? bytes_of(p, (size_t)n) : (struct bytes){0};
}

bool tls_look_asks(const struct tls_look *l)
{
    return l->asks;
}

int tls_look_alert(const struct tls_look *l)
{
    return l->alert;
}

const char *tls_look_why(const struct tls_look *l)
{
    return l->why;
}
