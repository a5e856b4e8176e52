/* Telling a service over its Unix socket what its files hold now: the steps `send` of a connector's description. */
#ifndef AGENT_APPLY_SEND_H
#define AGENT_APPLY_SEND_H

#include "agent/apply/target.h"

#define SEND_WAIT_MS 10000
#define SEND_ANSWER_MAX 65536

/* send_steps does the steps of `connector` for the target of `ref`, whose lease must be the newest and whose deployment that of the
 * journal.  The socket must be below a granted path, and whoever listens there must be root, the user of apply or the owner of a
 * file whose content is sent: nobody learns a key this way who could not read it before.  E_DEPLOY_FAILED with the service's words
 * where an answer is not the expected one; E_TIMEOUT, E_UNREACHABLE. */
RC send_steps(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref, const char *connector,
              const char *parameters);

#endif
