/* The hand `relay`: speaks ACME with CAs, whose every request is signed by the hub's signer, and installs certificates at targets
 * without an agent on their host.  Hostile answers; no secret but the credentials of agent.yaml and what one push needs. */
#ifndef AGENT_RELAY_RELAY_H
#define AGENT_RELAY_RELAY_H

#include "agent/agent_config.h"
#include "agent/relay/credential.h"
#include "agent/relay/session.h"
#include "os/role.h"

RC relay_confine(struct ctx *ctx, struct role_env *env, struct sandbox *sb);
RC relay_enter(struct ctx *ctx, struct role_env *env);

/* relay_serve is the role's work without the role, for tests; `agent` is asked for signatures; `credentials` may be NULL. */
RC relay_serve(struct ctx *ctx, struct wire_server *server, const struct agent_config *cfg, const struct relay_agent *agent,
               const struct credential_files *credentials, const char *sandbox, unsigned threads);

/* The jobs, one call each; see wire/relay.def.  `http` reaches what the job may reach. */
struct relay_job {
    struct http_client *http;
    const struct relay_agent *agent;
    struct relay_memory *memory; /* NULL: nothing is remembered, and waiting is done here (wire/relay.def, `waiting`) */
};
RC relay_do_order(struct ctx *ctx, const struct relay_job *job, const struct wire_relay_order *in,
                  struct wire_relay_order_done *out);
RC relay_do_revoke(struct ctx *ctx, const struct relay_job *job, const struct wire_relay_acme_revoke *in);
RC relay_do_account(struct ctx *ctx, const struct relay_job *job, const struct wire_relay_acme_account *in,
                    struct wire_relay_acme_account_done *out);
RC relay_do_info(struct ctx *ctx, const struct relay_job *job, const struct wire_relay_acme_info *in,
                 struct wire_relay_acme_info_done *out);
RC relay_do_renewal_info(struct ctx *ctx, const struct relay_job *job, const struct wire_relay_renewal_info *in,
                         struct wire_relay_renewal_info_done *out);

#endif
