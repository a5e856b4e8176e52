/* What the tests of net/ share: identities, listeners, and a plain client that sends bytes as they are. */
#ifndef TESTS_NET_TEST_H
#define TESTS_NET_TEST_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/ctx.h"
#include "net/http_server.h"
#include "net/tls.h"
#include "pki/key.h"

struct identity {
    struct key *key;
    X509 *x;
    struct bytes der;
    char *pem;
    size_t pem_n;
};

/* A certificate for `names` ("DNS:localhost,IP:127.0.0.1"), valid from now + `from_days` for 30 days; issued by itself where
 * `issuer` is NULL, else by that. */
static inline struct identity identity_new(struct ctx *ctx, const char *cn, const char *names, int from_days,
                                           const struct identity *issuer, enum key_kind kind)
{
    struct identity id = {0};
    assert_true(rc_ok(key_generate(ctx, kind, &id.key)));
    id.x = X509_new();
    X509_set_version(id.x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(id.x), 1000 + rand_r(&(unsigned){(unsigned)clock_mono_us()}) % 100000);
    X509_gmtime_adj(X509_getm_notBefore(id.x), from_days * 86400L);
    X509_gmtime_adj(X509_getm_notAfter(id.x), (from_days + 30) * 86400L);
    X509_set_pubkey(id.x, key_evp(id.key));
    X509_NAME_add_entry_by_txt(X509_get_subject_name(id.x), "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
    X509_set_issuer_name(id.x, X509_get_subject_name(issuer ? issuer->x : id.x));
    X509V3_CTX v3;
    X509V3_set_ctx(&v3, issuer ? issuer->x : id.x, id.x, NULL, NULL, 0);
    const struct {
        int nid;
        const char *value;
    } extensions[] = {
        {NID_basic_constraints, issuer ? "critical,CA:FALSE" : "critical,CA:TRUE"},
        {NID_subject_key_identifier, "hash"},
        {NID_subject_alt_name, names},
    };
    for (size_t i = 0; i < 3; i++) {
        if (!extensions[i].value)
            continue;
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &v3, extensions[i].nid, extensions[i].value);
        assert_non_null(e);
        X509_add_ext(id.x, e, -1);
        X509_EXTENSION_free(e);
    }
    assert_true(X509_sign(id.x, key_evp(issuer ? issuer->key : id.key), EVP_sha256()) > 0);
    uint8_t *der = NULL;
    int n = i2d_X509(id.x, &der);
    id.der = bytes_of(der, (size_t)n);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, id.x);
    char *p;
    id.pem_n = (size_t)BIO_get_mem_data(bio, &p);
    id.pem = strndup(p, id.pem_n);
    BIO_free(bio);
    return id;
}

static inline void identity_free(struct identity *id)
{
    key_free(id->key);
    X509_free(id->x);
    OPENSSL_free((void *)id->der.p);
    free(id->pem);
}

static inline int listen_tcp(uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof in;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 512), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    *port = ntohs(in.sin_port);
    return fd;
}

static inline int listen_unix(const char *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    unlink(path);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(listen(fd, 512), 0);
    return fd;
}

/* A client connection, TLS or not, blocking with a limit of 10 s. */
struct client {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
};

static inline int dial(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

static inline struct client client_open(uint16_t port, bool tls, const struct identity *id)
{
    struct client c = {.fd = dial(port)};
    if (!tls)
        return c;
    c.ctx = SSL_CTX_new(TLS_client_method());
    if (id) {
        SSL_CTX_use_certificate(c.ctx, id->x);
        SSL_CTX_use_PrivateKey(c.ctx, key_evp(id->key));
    }
    c.ssl = SSL_new(c.ctx);
    SSL_set_fd(c.ssl, c.fd);
    assert_int_equal(SSL_connect(c.ssl), 1);
    return c;
}

static inline void client_close(struct client *c)
{
    if (c->ssl)
        SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    close(c->fd);
    *c = (struct client){.fd = -1};
}

static inline bool client_send(struct client *c, const void *p, size_t n)
{
    if (n == 0)
        return true;
    return c->ssl ? SSL_write(c->ssl, p, (int)n) == (int)n : send(c->fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static inline ssize_t client_recv(struct client *c, void *p, size_t n)
{
    return c->ssl ? SSL_read(c->ssl, p, (int)n) : recv(c->fd, p, n, 0);
}

/* Reads one response by its Content-Length into `out` (NUL-terminated).  Returns the status, 0 where the connection ended. */
static inline int client_answer_to(struct client *c, char *out, size_t max, bool head)
{
    size_t n = 0, body = 0;
    char *end = NULL;
    out[0] = 0;
    while (!end || (size_t)(end + 4 - out) + body > n) {
        /* Byte by byte in the head, so that nothing of the next response is taken. */
        size_t want = end ? (size_t)(end + 4 - out) + body - n : 1;
        assert_true(n + want < max);
        ssize_t r = client_recv(c, out + n, want);
        if (r <= 0)
            return 0;
        n += (size_t)r;
        out[n] = 0;
        if (!end && n >= 4 && memcmp(out + n - 4, "\r\n\r\n", 4) == 0) {
            end = out + n - 4;
            const char *length = strcasestr(out, "\r\nContent-Length: ");
            body = length && !head ? strtoul(length + 18, NULL, 10) : 0;
        }
    }
    return (int)strtol(out + 9, NULL, 10);
}

static inline int client_answer(struct client *c, char *out, size_t max)
{
    return client_answer_to(c, out, max, false);
}

/* Whether the server closes (or has closed) the connection within `ms`. */
static inline bool client_sees_end(struct client *c, int ms)
{
    int64_t limit = clock_mono_ms() + ms;
    char b[4096];
    for (;;) {
        int64_t left = limit - clock_mono_ms();
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        if (left <= 0)
            return false;
        if (poll(&p, 1, (int)left) == 1 && recv(c->fd, b, sizeof b, 0) <= 0)
            return true;
    }
}

static inline void sleep_ms(int ms)
{
    poll(NULL, 0, ms);
}

#endif
