/* What has been put into DNS for challenges, by name and value, in state_dir/dns: written before the value is added and forgotten
 * when it is gone, so that what a killed agent left is known and taken away. */
#ifndef AGENT_APPLY_DNS_NOTE_H
#define AGENT_APPLY_DNS_NOTE_H

#include "agent/agent_config.h"
#include "wire/messages.h"

RC dns_note_put(struct ctx *ctx, const struct agent_config *cfg, const struct wire_apply_dns_note *note);
RC dns_note_get(struct ctx *ctx, const struct agent_config *cfg, const char *key, struct wire_apply_dns_noted_is *out);
RC dns_note_forget(struct ctx *ctx, const struct agent_config *cfg, const char *key);
RC dns_note_list(struct ctx *ctx, const struct agent_config *cfg, struct wire_apply_dns_keys *out);

#endif
