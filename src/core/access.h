/* Who is calling, and the one place that decides what they may do (invariant 8).
 *
 * The rights of a person, a service account or a token are a list of grants: what, and in which team with all below it.  They are
 * read at each request: what was taken back is taken back at once. */
#ifndef CORE_ACCESS_H
#define CORE_ACCESS_H

#include "core/core.h"
#include "core/permission.h"

enum principal_kind {
    PRINCIPAL_NONE,
    PRINCIPAL_OWNER,
    PRINCIPAL_TOKEN,
    PRINCIPAL_AGENT,
    PRINCIPAL_HUB,
    PRINCIPAL_USER,
    PRINCIPAL_RULE
};

/* One grant. */
struct access_right {
    const char *team; /* there, and in all teams below it */
    const char *role;
    struct permission_set may;
};
#define ACCESS_RIGHTS_MAX 64 /* of one account */

/* An Idempotency-Key: what changes is noted under it in the same transaction (audit_write), so that no crash makes it happen twice.
 */
struct once {
    const char *key;
    struct bytes request_hash; /* of method, target and body */
};

/* Who acts; travels in ctx->principal. */
struct principal {
    enum principal_kind kind;
    const char *id;   /* token, account, agent or rule id; "uid:N" for the owner on the admin socket; "hub" */
    const char *name; /* as the audit shows it: "user:anna", "token:deploy", "uid:0", "agent:web1", "hub" */
    const char
        *team; /* whose subtree they see: a team, or several as one (core/scope.h), of the permission that was asked for last */
    const char *role;                  /* of a token: its role; agents have "agent" */
    const char *agent;                 /* of a token for the clients on this agent's host (id); NULL: of a team */
    const struct once *once;           /* NULL: the request has no Idempotency-Key */
    const char *user;                  /* id of the account: of a person's session, or of a token of somebody; NULL: of nobody */
    const struct access_right *rights; /* of sessions and tokens; others may do everything, or what agents do */
    size_t rights_n;
    struct request_pass *pass; /* what is done is asked for, or was approved (core/request.h); NULL: it is done as it comes */
    const struct permission_set *most; /* of a token: what it may be used for at all, and in which team (id); NULL: no limit */
    const char *most_team;
};

/* access_owner makes the principal of somebody on the admin socket: root, or the user the hub runs as. */
const struct principal *access_owner(struct ctx *ctx, const struct core *core, int64_t uid);
const struct principal *access_hub(struct ctx *ctx, const struct core *core);
const struct principal *access_agent(struct ctx *ctx, const struct core *core, const char *agent_id, const char *name);
/* access_token finds the principal of a bearer token: E_UNAUTHENTICATED when it is unknown, revoked or expired. */
RC access_token(struct ctx *ctx, struct core *core, struct bytes token, const struct principal **out);

/* access_client_key finds that of a key that was shown in TLS, by the hash of its SubjectPublicKeyInfo: nothing else of a
 * certificate counts, neither its names nor who issued it. */
RC access_client_key(struct ctx *ctx, struct core *core, struct bytes spki_sha256, const struct principal **out);

/* access_user makes the principal of an account that has proved who it is: E_UNAUTHENTICATED when it is disabled or removed.  Not
 * for a service account: those have tokens alone. */
RC access_user(struct ctx *ctx, struct core *core, struct txn *txn, const char *user_id, const struct principal **out);
/* access_again makes the principal of who asked for something that is done later, with the rights they have now: `kind` and `id`
 * are those of their principal then.  E_UNAUTHENTICATED when it is gone: a disabled account, a token that has ended. */
RC access_again(struct ctx *ctx, struct core *core, struct txn *txn, enum principal_kind kind, const char *id,
                const struct principal **out);
/* access_rights_of reads what an account may do: everywhere, or within `team` and as far as `most` goes (either may be NULL). */
RC access_rights_of(struct ctx *ctx, struct core *core, struct txn *txn, const char *user_id, const char *team,
                    const struct permission_set *most, struct access_right **out, size_t *n);

/* access_enter is decide() for the permission of a route, before anything is known of an object; from then on access_scope() is
 * where the principal has that permission. */
RC access_enter(struct ctx *ctx, struct core *core, const char *action);
/* decide says whether ctx->principal may do `action` (a permission of the OpenAPI description, "managed-certificate.create") to an
 * object of `team` (NULL: the action has no object yet, or rows are filtered by access_scope).  E_UNAUTHENTICATED, E_FORBIDDEN. */
RC decide(struct ctx *ctx, struct core *core, struct txn *txn, const char *action, const char *team);
/* access_scope returns the team whose subtree the principal sees: the $scope of every list query. */
const char *access_scope(const struct ctx *ctx);
/* access_team finds the team that a request names, within that subtree; NULL names its head.  E_INVALID at the field /team, also
 * where it has several heads: then the request has to say. */
RC access_team(struct ctx *ctx, struct txn *txn, const char *name, const char **team);
/* access_agent_of returns the agent whose host the principal's token is for; "": no such token. */
const char *access_agent_of(const struct ctx *ctx);

/* access_has is decide() as a question.  It asks for the permission itself: what a request stands for does not count. */
RC access_has(struct ctx *ctx, struct core *core, struct txn *txn, const char *action, const char *team, bool *out);
/* access_holds: nobody gives what they do not hold.  E_FORBIDDEN names the first permission that the principal lacks in `team`. */
RC access_holds(struct ctx *ctx, struct core *core, struct txn *txn, const struct permission_set *may, const char *team);
/* access_everywhere is decide() for what is of no team: it takes the permission in the team that holds everything.  E_FORBIDDEN. */
RC access_everywhere(struct ctx *ctx, struct core *core, struct txn *txn, const char *action);
/* access_has_role says whether the principal has a role, in whichever team. */
bool access_has_role(const struct ctx *ctx, const char *role);

/* The text of a new token: "cwt_" and 43 characters. */
#define TOKEN_PREFIX "cwt_"
RC token_text_new(struct ctx *ctx, const char **text, struct bytes *hash);

/* access_agent_by_identity finds the agent of a connection, by what proves who it is ("unix:UID"). */
RC access_agent_by_identity(struct ctx *ctx, struct core *core, const char *identity, const struct principal **out);

#endif
