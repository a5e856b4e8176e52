/* Answers http-01 challenges (RFC 8555 section 8.3) on a port of its own, open only while there is a token to answer.
 *
 * Tokens and key authorizations are no secrets.  Anybody may connect: each connection gets one request of at most 4 KiB, one answer
 * and five seconds; when too many are open the oldest goes. */
#ifndef AGENT_PROBE_RESPONDER_H
#define AGENT_PROBE_RESPONDER_H

#include "base/address.h"

struct responder;

RC responder_new(struct ctx *ctx, struct address listen, struct responder **out);
void responder_free(struct responder *r);
/* responder_put opens the port with the first token (E_IN_USE where another program has it); a token again replaces the old. */
RC responder_put(struct ctx *ctx, struct responder *r, const char *token, const char *key_authorization);
/* responder_remove closes it with the last. */
void responder_remove(struct responder *r, const char *token);
uint16_t responder_port(struct responder *r); /* bound to; 0 while closed */

#endif
