/* Who is calling, and the one place that decides what they may do (invariant 8). */
#ifndef CORE_ACCESS_H
#define CORE_ACCESS_H

#include "core/core.h"

enum principal_kind { PRINCIPAL_NONE, PRINCIPAL_OWNER, PRINCIPAL_TOKEN, PRINCIPAL_AGENT, PRINCIPAL_HUB };

/* An Idempotency-Key: what changes is noted under it in the same transaction (audit_write), so that no crash makes it happen twice.
 */
struct once {
    const char *key;
    struct bytes request_hash; /* of method, target and body */
};

/* Who acts; travels in ctx->principal. */
struct principal {
    enum principal_kind kind;
    const char *id;    /* token or agent id; "uid:N" for the owner on the admin socket; "hub" */
    const char *name;  /* as the audit shows it: "token:deploy", "uid:0", "agent:web1", "hub" */
    const char *team;  /* the team whose subtree they see */
    const char *role;  /* "administrator", "challenges"; agents have "agent" */
    const char *agent; /* of a token for the clients on this agent's host (id); NULL: of a team */
    const struct once *once; /* NULL: the request has no Idempotency-Key */
};

/* access_owner makes the principal of somebody on the admin socket: root, or the user the hub runs as. */
const struct principal *access_owner(struct ctx *ctx, const struct core *core, int64_t uid);
const struct principal *access_hub(struct ctx *ctx, const struct core *core);
const struct principal *access_agent(struct ctx *ctx, const struct core *core, const char *agent_id, const char *name);
/* access_token finds the principal of a bearer token: E_UNAUTHENTICATED when it is unknown, revoked or expired. */
RC access_token(struct ctx *ctx, struct core *core, struct bytes token, const struct principal **out);

/* decide says whether ctx->principal may do `action` (a permission of the OpenAPI description, "managed-certificate.create") to an
 * object of `team` (NULL: the action has no object yet, or rows are filtered by access_scope).  E_UNAUTHENTICATED, E_FORBIDDEN. */
RC decide(struct ctx *ctx, struct core *core, struct txn *txn, const char *action, const char *team);
/* access_scope returns the team whose subtree the principal sees: the $scope of every list query. */
const char *access_scope(const struct ctx *ctx);
/* access_team finds the team that a request names, within that subtree; NULL names its head.  E_INVALID at the field /team. */
RC access_team(struct ctx *ctx, struct txn *txn, const char *name, const char **team);
/* access_agent_of returns the agent whose host the principal's token is for; "": no such token. */
const char *access_agent_of(const struct ctx *ctx);

/* The text of a new token: "cwt_" and 43 characters. */
#define TOKEN_PREFIX "cwt_"
RC token_text_new(struct ctx *ctx, const char **text, struct bytes *hash);

/* access_agent_by_identity finds the agent of a connection, by what proves who it is ("unix:UID"). */
RC access_agent_by_identity(struct ctx *ctx, struct core *core, const char *identity, const struct principal **out);

#endif
