/* TLS for the server and the probe.  OpenSSL stays behind this header (tls_*.c). */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/ctx.h"

struct key; /* pki/key.h */

/* What a listener presents: key, chain and settings (TLS 1.2 and newer, ECDHE with AEAD, no tickets, no session cache, ALPN
 * http/1.1).  Immutable, counted references. */
struct tls_server_ctx;

/* tls_server_new takes the leaf and its chain as DER, leaf first.  The key must be the leaf's.  `client_roots` (DER, may be empty)
 * are the roots that client certificates are verified with on listeners that ask for one. */
RC tls_server_new(struct ctx *ctx, const struct key *key, const struct bytes *chain, size_t chain_n,
                  const struct bytes *client_roots, size_t client_roots_n, struct tls_server_ctx **out);
struct tls_server_ctx *tls_server_ref(struct tls_server_ctx *t); /* NULL stays NULL */
void tls_server_unref(struct tls_server_ctx *t);                 /* NULL is fine */

/* One server-side connection over a non-blocking descriptor, which it does not own.  One thread at a time. */
struct tls_conn;
enum tls_io { TLS_IO_OK, TLS_IO_WANT_READ, TLS_IO_WANT_WRITE, TLS_IO_CLOSED, TLS_IO_FAILED };

/* tls_conn_new returns NULL when out of memory.  It keeps what it needs of `t`. */
struct tls_conn *tls_conn_new(struct tls_server_ctx *t, int fd, bool ask_client_certificate);
void tls_conn_free(struct tls_conn *c);
enum tls_io tls_conn_handshake(struct tls_conn *c);
enum tls_io tls_conn_read(struct tls_conn *c, void *p, size_t n, size_t *got);
enum tls_io tls_conn_write(struct tls_conn *c, struct bytes data, size_t *done);
bool tls_conn_has_pending(struct tls_conn *c); /* bytes taken from the socket wait to be read */
void tls_conn_close(struct tls_conn *c);       /* sends close_notify if it can be sent at once */
/* tls_conn_client_certificate returns heap memory with the DER, to be freed by the caller; NULL and 0 where none came. */
uint8_t *tls_conn_client_certificate(struct tls_conn *c, size_t *n, bool *verified, const char **why);

/* tls_cleanse makes the connections of an SSL_CTX wipe what they have received as soon as it is read: answers hold keys. */
void tls_cleanse(void *ssl_ctx);
/* tls_allow_dates makes an SSL_CTX (OpenSSL's, of a client) take certificates whose dates are off by no more than the grace; *dates
 * must outlive it. */
struct tls_dates {
    const struct clock *clock;
    int64_t grace_s;
};
void tls_allow_dates(void *ssl_ctx, const struct tls_dates *dates);

/* Roots that chains of other servers are verified with: loaded once, used by any number of threads. */
struct tls_trust;
/* tls_trust_new takes the system's roots (where `system` says so) and those of a PEM bundle, which may be empty. */
RC tls_trust_new(struct ctx *ctx, bool system, struct bytes extra_pem, struct tls_trust **out);
void tls_trust_free(struct tls_trust *t);

#endif
