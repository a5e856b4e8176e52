/* What travels between the hands `apply` and `relay` by way of the agent, which must not see it: sealed to a key that lives as long
 * as one deployment (HPKE, RFC 9180), and bound to it. */
#ifndef AGENT_PUSH_SEAL_H
#define AGENT_PUSH_SEAL_H

#include "pki/hpke.h"

/* From apply to relay: contents and what was kept.  From relay to apply: what is to be kept. */
enum push_way { PUSH_TO_RELAY, PUSH_TO_APPLY };

RC push_seal(struct ctx *ctx, enum push_way way, struct bytes public, const char *target, const char *deployment,
             struct bytes plain, struct bytes *out);
RC push_unseal(struct ctx *ctx, enum push_way way, const struct hpke_key *key, const char *target, const char *deployment,
               struct bytes sealed, struct secret *out);

#endif
