/* The agent's roles, for the program's table and for the parent's plan. */
#ifndef AGENT_PLAN_H
#define AGENT_PLAN_H

#include "agent/agent_config.h"
#include "os/parent.h"
#include "os/role.h"

#define AGENT_ROLES 5

/* agent_roles: rows of the program's table of roles: agent, relay, probe, apply, run. */
extern const struct role agent_roles[AGENT_ROLES];

/* Who the roles run as, where the parent is root.  apply and run always keep root with the capabilities of their row: they give
 * files
 * to other users and start the host's own commands. */
struct agent_plan_users {
    const char *agent, *relay, *probe; /* user names; NULL: uid_base is used */
    uid_t uid_base;
};

/* agent_plan_add appends the agent's five roles to `roles` (room for AGENT_ROLES more), all with `text`, the agent.yaml that the
 * parent has read with agent_file_trusted() and parsed as `cfg`, and which must live as long as the plan. */
void agent_plan_add(struct parent_role *roles, size_t *n, const struct agent_config *cfg, struct bytes text,
                    const struct agent_plan_users *users);
/* A role's user and group, as parent_uid() says them; -1: the process's own. */
struct agent_plan_owner {
    uid_t uid;
    gid_t gid;
};
/* agent_plan_prepare makes the state directory: the agent's results belong to `agent`, what issuers answered to `relay`, the rest
 * to the process. */
RC agent_plan_prepare(struct ctx *ctx, const struct agent_config *cfg, struct agent_plan_owner agent,
                      struct agent_plan_owner relay);

#endif
