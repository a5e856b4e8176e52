/* The hand `apply`: makes keys, writes files, keeps the journal of each target.  No network.  Its peer is the agent alone. */
#ifndef AGENT_APPLY_APPLY_H
#define AGENT_APPLY_APPLY_H

#include "agent/agent_config.h"
#include "os/role.h"

RC apply_confine(struct ctx *ctx, struct role_env *env, struct sandbox *sb);
RC apply_enter(struct ctx *ctx, struct role_env *env);

/* apply_serve answers until the server is stopped: the role's work without the role, for tests.  `sandbox` goes into health. */
RC apply_serve(struct ctx *ctx, struct wire_server *server, const struct agent_config *cfg, const char *sandbox, unsigned threads);

#endif
