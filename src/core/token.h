/* Bearer tokens: only their hash is kept; the text is shown once.  A token is of an account, and never more than that may do now;
 * or of nobody, where it was made by root on the hub's host, or by another one of nobody. */
#ifndef CORE_TOKEN_H
#define CORE_TOKEN_H

#include "core/core.h"
#include "store/queries.h"

struct token_input {
    const char *name, *role;
    const char *team;              /* NULL: the principal's */
    const char *agent;             /* of the clients on this agent's host; its role is then ROLE_CHALLENGES */
    const char *user;              /* an account; NULL: the principal's own, where it has one */
    struct bytes spki_sha256;      /* of the key that is shown in TLS instead of a text; empty: there is a text */
    const struct str_list *scopes; /* permissions; empty: all that the role has */
    int64_t lifetime_s;
};
struct token_made {
    const char *id, *role, *text;
    int64_t expires_at;
};
RC token_create(struct ctx *ctx, struct core *core, const struct token_input *in, struct token_made *out);
RC token_revoke(struct ctx *ctx, struct core *core, const char *ref);
RC token_get(struct ctx *ctx, struct core *core, const char *ref, struct q_token_get_row *out);
/* token_client_keys lists those of an account that are keys. */
RC token_client_keys(struct ctx *ctx, struct core *core, const char *user, struct q_client_key_list_row **rows, size_t *n);
RC token_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct q_token_get_row **rows, size_t *n);

#endif
