/* Answers tls-alpn-01 challenges (RFC 8737) on a port of its own, open only while there is a token to answer.
 *
 * Anybody may connect: each connection gets one handshake and five seconds; when too many are open the oldest goes. */
#ifndef AGENT_PROBE_ALPN_H
#define AGENT_PROBE_ALPN_H

#include "base/address.h"

struct alpn;

RC alpn_new(struct ctx *ctx, struct address listen, struct alpn **out);
void alpn_free(struct alpn *a); /* NULL is fine */
/* alpn_put opens the port with the first token (E_IN_USE where another program has it); a token again replaces the old.
 * `identifier` is "dns:www.example.org" or "ip:192.0.2.7". */
RC alpn_put(struct ctx *ctx, struct alpn *a, const char *identifier, const char *token, const char *key_authorization);
/* alpn_remove closes it with the last. */
void alpn_remove(struct alpn *a, const char *token);
uint16_t alpn_port(struct alpn *a); /* bound to; 0 while closed */

#endif
