/* The credentials of agent.yaml: files of root's that the relay may read, and nobody else of the agent's processes does.
 *
 * A file is owned by root or the relay's user and cannot be read by others.  One that only root can read is opened before the relay
 * gives up being root; where it is replaced, the relay sees that at its next start.  One that the relay's group may read is opened
 * anew each time. */
#ifndef AGENT_RELAY_CREDENTIAL_H
#define AGENT_RELAY_CREDENTIAL_H

#include "agent/agent_config.h"
#include "base/secret.h"
#include "os/role.h"

#define CREDENTIAL_MAX ((size_t)64 << 10)

/* What was opened at the start: a descriptor a row of agent.yaml's credentials, -1 where there was none. */
struct credential_files {
    int fds[AGENT_CREDENTIALS_MAX];
    size_t n;
};

/* credential_confine opens what it can, still as root; what is missing or can be read by others is told in the log and, when it is
 * needed, by the job.  credential_enter finds what was opened. */
RC credential_confine(struct ctx *ctx, struct role_env *env, struct sandbox *sb, const struct agent_config *cfg);
void credential_enter(struct role_env *env, const struct agent_config *cfg, struct credential_files *out);
/* credential_read reads one, without the newline at its end.  Fails with E_NOT_GRANTED and the remedy. */
RC credential_read(struct ctx *ctx, const struct agent_config *cfg, const struct credential_files *files,
                   const struct agent_credential *row, struct secret *out);

#endif
