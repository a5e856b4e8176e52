/* What the tls_*.c files share. */
#ifndef NET_TLS_INTERNAL_H
#define NET_TLS_INTERNAL_H

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/tls.h"

struct tls_trust {
    X509_STORE *store;
};

/* tls_fail turns OpenSSL's last error into a failure with code `e` and clears its queue. */
RC tls_fail(struct ctx *ctx, enum err e, const char *doing);
/* tls_read_der reads one certificate; E_PARSE where it is none or something follows.  The caller frees it. */
RC tls_read_der(struct ctx *ctx, struct bytes der, X509 **out);

/* tls_server_wrap makes a server of an SSL_CTX that is set up already, and takes it over. */
RC tls_server_wrap(struct ctx *ctx, SSL_CTX **ssl, struct tls_server_ctx **out);

static inline void tls_x509_freep(X509 **x)
{
    X509_free(*x);
}
static inline void tls_ctx_freep(SSL_CTX **c)
{
    SSL_CTX_free(*c);
}
static inline void tls_ssl_freep(SSL **s)
{
    SSL_free(*s);
}
static inline void tls_bio_freep(BIO **b)
{
    BIO_free_all(*b);
}

#endif
