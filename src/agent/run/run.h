/* The hand `run`: starts the commands of its host's own agent.yaml, by name, as argv arrays.  No keys: the state directory, where
 * they lie, is out of its sight. */
#ifndef AGENT_RUN_RUN_H
#define AGENT_RUN_RUN_H

#include "agent/agent_config.h"
#include "os/role.h"

RC run_confine(struct ctx *ctx, struct role_env *env, struct sandbox *sb);
RC run_enter(struct ctx *ctx, struct role_env *env);
/* run_serve is the role's work without the role, for tests. */
RC run_serve(struct ctx *ctx, struct wire_server *server, const struct agent_config *cfg, const char *sandbox, unsigned threads);

#endif
