/* The messages relay_push and relay_push_key of the role. */
#ifndef AGENT_RELAY_PUSH_SERVE_H
#define AGENT_RELAY_PUSH_SERVE_H

#include "agent/relay/credential.h"
#include "wire/messages.h"

struct push_keys; /* those that were given out and not used yet */

struct push_keys *push_keys_new(void);
void push_keys_free(struct push_keys *k); /* NULL is fine */
RC push_keys_give(struct ctx *ctx, struct push_keys *k, struct wire_relay_push_key_is *out);

RC push_serve(struct ctx *ctx, const struct agent_config *cfg, const struct credential_files *files, struct push_keys *keys,
              const struct wire_relay_push *in, struct wire_relay_pushed *out);

#endif
