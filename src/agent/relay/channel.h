/* The message relay_notify: tells one notification over a row of `channels` in agent.yaml, by SMTP, syslog, or HTTPS as a
 * description says (agent/channel_desc.h). */
#ifndef AGENT_RELAY_CHANNEL_H
#define AGENT_RELAY_CHANNEL_H

#include "agent/relay/credential.h"
#include "base/address.h"
#include "wire/messages.h"

/* channel_confine opens what channels need besides credentials, before the sandbox is entered. */
RC channel_confine(struct ctx *ctx, struct sandbox *sb, const struct agent_config *cfg);
/* relay_notify_run fails with E_NOT_GRANTED where agent.yaml does not grant it, E_BAD_ANSWER where the service refused.  What a
 * failure says holds no secret, also where a service has it in its addresses. */
RC relay_notify_run(struct ctx *ctx, const struct agent_config *cfg, const struct credential_files *files,
                    const struct address_grants *grants, const struct wire_relay_notify *in, struct wire_relay_notified *out);
/* relay_stream_run hands entries of the audit log over to a row that is syslog; fails as relay_notify_run. */
RC relay_stream_run(struct ctx *ctx, const struct agent_config *cfg, const struct address_grants *grants,
                    const struct wire_relay_stream *in, struct wire_relay_streamed *out);

/* channel_hide writes the paths out of the addresses that a text names: for tests. */
const char *channel_hide(struct ctx *ctx, const char *text);

#endif
