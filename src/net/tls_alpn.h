/* TLS that answers tls-alpn-01 challenges (RFC 8737) and nothing else: ALPN acme-tls/1, a self-signed certificate by server name,
 * and the connection is over with its handshake. */
#ifndef NET_TLS_ALPN_H
#define NET_TLS_ALPN_H

#include "net/tls.h"
#include "pki/name.h"

#define TLS_ALPN_MAX 1000 /* challenges that are open at once */

struct tls_alpn;
/* tls_alpn_new makes a key that lives as long as it does. */
RC tls_alpn_new(struct ctx *ctx, struct tls_alpn **out);
void tls_alpn_free(struct tls_alpn *t); /* no connection of it may be left; NULL is fine */
/* tls_alpn_put answers for `name` from now on; of two tokens for one name the later one is answered.  E_BUSY when there are too
 * many. */
RC tls_alpn_put(struct ctx *ctx, struct tls_alpn *t, const struct name *name, const char *token, const char *key_authorization);
void tls_alpn_remove(struct tls_alpn *t, const char *token);
size_t tls_alpn_open(struct tls_alpn *t); /* challenges that are answered */
/* tls_alpn_conn is tls_conn_new(). */
struct tls_conn *tls_alpn_conn(struct tls_alpn *t, int fd);

#endif
