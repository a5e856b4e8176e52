#include "net/handshake.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>


#include "base/str.h"
#include "net/tls_internal.h"

RC tls_trust_new(struct ctx *ctx, bool system_roots, struct bytes extra_pem, struct tls_trust **out)
{
    struct tls_trust *t = calloc(1, sizeof *t);
    ERR_clear_error();
    if (t)
        t->store = X509_STORE_new();
    struct rc rc = t && t->store ? RC_OK : ctx_fail(ctx, E_NO_MEMORY, "no memory for a list of roots");
    if (rc_ok(rc) && system_roots && X509_STORE_set_default_paths(t->store) != 1)
        rc = tls_fail(ctx, E_IO, "reading the system's roots");
    if (rc_ok(rc) && extra_pem.n) {
        BIO *bio = extra_pem.n <= INT_MAX ? BIO_new_mem_buf(extra_pem.p, (int)extra_pem.n) : NULL;
        X509 *x;
        size_t n = 0;
        while (bio && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
            n += X509_check_purpose(x, -1, 0) >= 0 &&
                 X509_STORE_add_cert(t->store, x) == 1; /* extensions read before it is shared */
            X509_free(x);
        }
        BIO_free(bio);
        ERR_clear_error();
        if (n == 0)
            rc = ctx_fail(ctx, E_PARSE, "there is no certificate among the roots given");
    }
    if (rc_failed(rc)) {
        tls_trust_free(t);
        return rc;
    }
    *out = t;
    return RC_OK;
}

void tls_trust_free(struct tls_trust *t)
{
    if (!t)
        return;
    X509_STORE_free(t->store);
    free(t);
}

const char *handshake_verdict_name(enum handshake_verdict v)
{
    static const char *const names[] = {
        [HANDSHAKE_TRUSTED] = "trusted",           [HANDSHAKE_WRONG_NAME] = "wrong_name",
        [HANDSHAKE_EXPIRED] = "expired",           [HANDSHAKE_NOT_YET_VALID] = "not_yet_valid",
        [HANDSHAKE_SELF_SIGNED] = "self_signed",   [HANDSHAKE_CHAIN_INCOMPLETE] = "chain_incomplete",
        [HANDSHAKE_UNKNOWN_ROOT] = "unknown_root", [HANDSHAKE_INVALID] = "invalid",
    };
    return names[v];
}

/* The socket of one probe: OpenSSL sees memory alone, so that time and bytes are counted here. */
struct probe {
    int fd;
    SSL *ssl; /* owns the two BIOs */
    BIO *in, *out;
    size_t received;
    int64_t deadline_ms;
    const char *peer; /* for messages */
};

static void probe_close(struct probe *p)
{
    SSL_free(p->ssl);
    if (p->fd >= 0)
        close(p->fd);
}

static struct rc probe_wait(struct ctx *ctx, struct probe *p, short events)
{
    for (;;) {
        int64_t left = p->deadline_ms - clock_mono_ms();
        struct pollfd fd = {.fd = p->fd, .events = events};
        int n = left > 0 ? poll(&fd, 1, (int)left) : 0;
        if (n > 0)
            return RC_OK;
        if (n == 0)
            return ctx_fail(ctx, E_TIMEOUT, "%s did not answer in time", p->peer);
        if (errno != EINTR)
            return ctx_fail_errno(ctx, "waiting for %s", p->peer);
    }
}

static struct rc probe_connect(struct ctx *ctx, struct probe *p, const struct address *address)
{
    struct sockaddr_storage sa;
    socklen_t sa_n = address_to_sockaddr(address, &sa);
    p->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->fd < 0)
        return ctx_fail_errno(ctx, "making a socket");
    if (connect(p->fd, (struct sockaddr *)&sa, sa_n) == 0)
        return RC_OK;
    if (errno == EINPROGRESS) {
        int error = 0;
        socklen_t n = sizeof error;
        TRY(probe_wait(ctx, p, POLLOUT));
        if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error == 0)
            return RC_OK;
        errno = error ? error : errno;
    }
    return ctx_fail(ctx, E_UNREACHABLE, "connecting to %s: %s", p->peer, strerrordesc_np(errno));
}

static struct rc probe_flush(struct ctx *ctx, struct probe *p)
{
    char *data;
    long n;
    while ((n = BIO_get_mem_data(p->out, &data)) > 0) {
        ssize_t sent = send(p->fd, data, (size_t)n, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            TRY(probe_wait(ctx, p, POLLOUT));
            continue;
        }
        if (sent < 0)
            return ctx_fail(ctx, E_TLS, "%s closed the connection during the handshake", p->peer);
        uint8_t drop[4096];
        for (size_t left = (size_t)sent, step; left; left -= step) {
            step = left < sizeof drop ? left : sizeof drop;
            if (BIO_read(p->out, drop, (int)step) != (int)step)
                return ctx_fail(ctx, E_CRYPTO, "OpenSSL's buffer does not hold what it said");
        }
    }
    return RC_OK;
}

static struct rc probe_fill(struct ctx *ctx, struct probe *p)
{
    uint8_t chunk[8192];
    for (;;) {
        TRY(probe_wait(ctx, p, POLLIN));
        ssize_t n = recv(p->fd, chunk, sizeof chunk, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0)
            return ctx_fail(ctx, E_TLS, "%s closed the connection during the handshake", p->peer);
        p->received += (size_t)n;
        if (p->received > HANDSHAKE_BYTES_MAX)
            return ctx_fail(ctx, E_BAD_ANSWER, "%s sent more than %d bytes in its handshake", p->peer, HANDSHAKE_BYTES_MAX);
        if (BIO_write(p->in, chunk, (int)n) != (int)n)
            return ctx_fail(ctx, E_NO_MEMORY, "no memory for the handshake with %s", p->peer);
        return RC_OK;
    }
}

static struct rc probe_shake(struct ctx *ctx, struct probe *p)
{
    for (;;) {
        ERR_clear_error();
        int ret = SSL_do_handshake(p->ssl);
        int error = SSL_get_error(p->ssl, ret);
        struct rc flushed = probe_flush(ctx, p);
        if (ret == 1)
            return flushed;
        if (error != SSL_ERROR_WANT_READ) {
            ctx_forget(ctx);
            return tls_fail(ctx, E_TLS, arena_printf(&ctx->arena, "the handshake with %s", p->peer));
        }
        TRY(flushed);
        TRY(probe_fill(ctx, p));
    }
}

static int accept_any(X509_STORE_CTX *store_ctx, void *arg)
{
    (void)store_ctx;
    (void)arg;
    return 1;
}

static bool set_alpn(SSL *ssl, const char *const *alpn)
{
    unsigned char wire[256];
    unsigned n = 0;
    for (; alpn && *alpn; alpn++) {
        size_t len = strlen(*alpn);
        if (len == 0 || len > 255 || n + len + 1 > sizeof wire)
            return false;
        wire[n++] = (unsigned char)len;
        memcpy(wire + n, *alpn, len);
        n += (unsigned)len;
    }
    return n == 0 || SSL_set_alpn_protos(ssl, wire, n) == 0; /* 0 is success here */
}

/* What is offered for each kind of key: signature algorithms decide in TLS 1.3, suites too in TLS 1.2. */
static const struct {
    const char *signatures, *suites;
} offers[] = {
    [HANDSHAKE_ANY_KEY] = {NULL, "ALL:@SECLEVEL=0"},
    [HANDSHAKE_ECDSA] = {"ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448", "aECDSA:@SECLEVEL=0"},
    [HANDSHAKE_RSA] = {"rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512",
                       "aRSA:@SECLEVEL=0"},
};

/* Old and weak servers are to be seen too: nothing secret is sent to them, so the security level is the lowest. */
static bool configure(SSL_CTX *c, const struct handshake_request *req)
{
    SSL_CTX_set_cert_verify_callback(c, accept_any, NULL);
    SSL_CTX_set_max_cert_list(c, HANDSHAKE_BYTES_MAX);
    SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_LEGACY_SERVER_CONNECT);
    return SSL_CTX_set_min_proto_version(c, 0) == 1 && SSL_CTX_set_cipher_list(c, offers[req->keys].suites) == 1 &&
           (!offers[req->keys].signatures || SSL_CTX_set1_sigalgs_list(c, offers[req->keys].signatures) == 1);
}

static struct rc probe_prepare(struct ctx *ctx, struct probe *p, const struct handshake_request *req)
{
    SSL_CTX *c __attribute__((cleanup(tls_ctx_freep))) = NULL;
    ERR_clear_error();
    c = SSL_CTX_new(TLS_client_method());
    if (!c || !configure(c, req) || !(p->ssl = SSL_new(c)))
        return tls_fail(ctx, E_CRYPTO, "setting up TLS");
    p->in = BIO_new(BIO_s_mem());
    p->out = BIO_new(BIO_s_mem());
    if (!p->in || !p->out) {
        BIO_free(p->in);
        BIO_free(p->out);
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for TLS");
    }
    BIO_set_mem_eof_return(p->in, -1);
    SSL_set_bio(p->ssl, p->in, p->out);
    SSL_set_connect_state(p->ssl);
    if (req->sni && SSL_set_tlsext_host_name(p->ssl, req->sni) != 1)
        return ctx_fail(ctx, E_INVALID, "%s cannot be sent as a server name", req->sni);
    if (SSL_set_tlsext_status_type(p->ssl, TLSEXT_STATUSTYPE_ocsp) != 1 || !set_alpn(p->ssl, req->alpn))
        return ctx_fail(ctx, E_INVALID, "the protocols to offer (ALPN) are not valid");
    return RC_OK;
}

static struct rc collect_chain(struct ctx *ctx, SSL *ssl, struct handshake_result *out)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *x = sk_X509_value(chain, i);
        int n = i2d_X509(x, NULL);
        if (out->chain_n == HANDSHAKE_CHAIN_MAX)
            return ctx_fail(ctx, E_BAD_ANSWER, "the server sent more than %d certificates", HANDSHAKE_CHAIN_MAX);
        if (n <= 0)
            return tls_fail(ctx, E_BAD_ANSWER, "writing down a certificate of the server");
        uint8_t *der = arena_alloc(&ctx->arena, (size_t)n), *p = der;
        out->chain[out->chain_n++] = bytes_of(der, (size_t)i2d_X509(x, &p));
    }
    if (out->chain_n == 0)
        return ctx_fail(ctx, E_BAD_ANSWER, "the server showed no certificate");
    return RC_OK;
}

static enum handshake_verdict verdict_of(int error)
{
    switch (error) {
    case X509_V_OK:
        return HANDSHAKE_TRUSTED;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return HANDSHAKE_EXPIRED;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return HANDSHAKE_NOT_YET_VALID;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return HANDSHAKE_SELF_SIGNED;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return HANDSHAKE_UNKNOWN_ROOT;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return HANDSHAKE_CHAIN_INCOMPLETE;
    default:
        return HANDSHAKE_INVALID;
    }
}

static bool names(X509 *leaf, const char *name)
{
    struct address a;
    if (address_parse(bytes_z(name), &a))
        return X509_check_ip(leaf, a.ip, a.len, 0) == 1;
    return X509_check_host(leaf, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1;
}

static struct rc judge(struct ctx *ctx, SSL *ssl, const struct tls_trust *trust, const char *name, struct handshake_result *out)
{
    X509 *leaf = SSL_get0_peer_certificate(ssl);
    X509_STORE_CTX *store_ctx = X509_STORE_CTX_new();
    if (!store_ctx || X509_STORE_CTX_init(store_ctx, trust->store, leaf, SSL_get_peer_cert_chain(ssl)) != 1) {
        X509_STORE_CTX_free(store_ctx);
        return tls_fail(ctx, E_NO_MEMORY, "verifying a chain");
    }
    X509_STORE_CTX_set_default(store_ctx, "ssl_server");
    X509_STORE_CTX_set_time(store_ctx, 0, (time_t)ctx_now_s(ctx));
    int verified = X509_verify_cert(store_ctx);
    int error = X509_STORE_CTX_get_error(store_ctx);
    if (verified != 1 && error == X509_V_OK)
        error = X509_V_ERR_UNSPECIFIED;
    X509_STORE_CTX_free(store_ctx);
    out->verdict = verdict_of(error);
    out->why = error == X509_V_OK ? "the chain is valid" : X509_verify_cert_error_string(error);
    if (out->verdict == HANDSHAKE_TRUSTED && name && !names(leaf, name)) {
        out->verdict = HANDSHAKE_WRONG_NAME;
        out->why = arena_printf(&ctx->arena, "the certificate is not for %s", name);
    }
    ERR_clear_error();
    return RC_OK;
}

static void describe(struct ctx *ctx, SSL *ssl, struct handshake_result *out)
{
    const unsigned char *p = NULL;
    unsigned n = 0;
    out->version = SSL_get_version(ssl);
    out->cipher = SSL_get_cipher_name(ssl);
    const char *group = SSL_group_to_name(ssl, (int)SSL_get_negotiated_group(ssl));
    out->group = group ? arena_strdup(&ctx->arena, group) : "";
    SSL_get0_alpn_selected(ssl, &p, &n);
    out->alpn = arena_str(&ctx->arena, bytes_of(p, n));
    long len = SSL_get_tlsext_status_ocsp_resp(ssl, &p);
    if (len > 0)
        out->ocsp = arena_bytes(&ctx->arena, bytes_of(p, (size_t)len));
    ERR_clear_error();
}

static struct rc probe_run(struct ctx *ctx, struct probe *p, const struct tls_trust *trust, const struct handshake_request *req,
                           struct handshake_result *out)
{
    int64_t start = clock_mono_ms();
    TRY(probe_prepare(ctx, p, req));
    TRY(probe_connect(ctx, p, &req->address));
    out->connect_ms = clock_mono_ms() - start;
    TRY(starttls_begin(ctx, req->starttls, p->fd, p->deadline_ms, p->peer));
    TRY(probe_shake(ctx, p));
    out->handshake_ms = clock_mono_ms() - start - out->connect_ms;
    TRY(collect_chain(ctx, p->ssl, out));
    describe(ctx, p->ssl, out);
    TRY(judge(ctx, p->ssl, trust, req->name ? req->name : req->sni, out));
    /* Good manners; the result does not depend on it. */
    SSL_shutdown(p->ssl);
    ERR_clear_error();
    char *data;
    long n = BIO_get_mem_data(p->out, &data);
    if (n > 0)
        (void)!send(p->fd, data, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
    return RC_OK;
}

RC handshake_probe(struct ctx *ctx, const struct tls_trust *trust, const struct handshake_request *req,
                   struct handshake_result *out)
{
    struct probe p __attribute__((cleanup(probe_close))) = {.fd = -1};
    *out = (struct handshake_result){0};
    TRY(address_check(ctx, &req->address, req->grants));
    p.peer = address_port_str(&ctx->arena, &req->address);
    p.deadline_ms = clock_mono_ms() + ctx_left_ms(ctx, req->timeout_ms > 0 ? req->timeout_ms : 10000);
    return probe_run(ctx, &p, trust, req, out);
}

static int verify_with_grace(X509_STORE_CTX *s, void *arg)
{
    const struct tls_dates *d = arg;
    const time_t now = (time_t)clock_unix_s(d->clock);
    time_t latest = now + (time_t)d->grace_s, earliest = now - (time_t)d->grace_s;
    X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(s), X509_V_FLAG_NO_CHECK_TIME);
    if (X509_verify_cert(s) <= 0)
        return 0;
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(s);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        const X509 *x = sk_X509_value(chain, i);
        int wrong = X509_cmp_time(X509_get0_notBefore(x), &latest) >= 0   ? X509_V_ERR_CERT_NOT_YET_VALID
                    : X509_cmp_time(X509_get0_notAfter(x), &earliest) <= 0 ? X509_V_ERR_CERT_HAS_EXPIRED
                                                                           : X509_V_OK;
        if (wrong != X509_V_OK) {
            X509_STORE_CTX_set_error(s, wrong);
            return 0;
        }
    }
    return 1;
}

void tls_allow_dates(void *ssl_ctx, const struct tls_dates *dates)
{
    SSL_CTX_set_cert_verify_callback(ssl_ctx, verify_with_grace, (void *)(uintptr_t)dates);
}
