/* The role `hub`: decides and records.  Its configuration is JSON made by the parent of hub.yaml (server/config.h). */
#ifndef HUB_ROLE_H
#define HUB_ROLE_H

#include "os/role.h"

RC hub_confine(struct ctx *ctx, struct role_env *env, struct sandbox *sb);
RC hub_run(struct ctx *ctx, struct role_env *env);

#endif
