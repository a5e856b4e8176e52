/* The role `agent`: leases jobs from the hub over its Unix socket and has its hands do them.
 *
 * One thread waits at the hub for jobs (long poll), one carries results and progress there as they come, workers run jobs as
 * straight-line code.  Results stay on disk until an exchange that carried them was answered.  Deployments that stand unfinished in
 * apply's journal are brought to their end at the start, with or without the hub. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include "agent/agent_config.h"
#include "os/role.h"

RC agent_confine(struct ctx *ctx, struct role_env *env, struct sandbox *sb);
RC agent_enter(struct ctx *ctx, struct role_env *env);

#endif
