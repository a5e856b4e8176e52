/* The hand `probe`: TLS handshakes and plain GETs against peers that may be hostile, and the http-01 listener.  It holds no
 * secret. */
#ifndef AGENT_PROBE_PROBE_H
#define AGENT_PROBE_PROBE_H

#include "agent/agent_config.h"
#include "os/role.h"

RC probe_confine(struct ctx *ctx, struct role_env *env, struct sandbox *sb);
RC probe_enter(struct ctx *ctx, struct role_env *env);
/* probe_serve is the role's work without the role, for tests. */
RC probe_serve(struct ctx *ctx, struct wire_server *server, const struct agent_config *cfg, const char *sandbox, unsigned threads);

#endif
