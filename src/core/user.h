/* Accounts: people, and services, which have tokens alone and cannot sign in.  What an account may do are its grants: a role in a
 * team. */
#ifndef CORE_USER_H
#define CORE_USER_H

#include "core/core.h"
#include "store/queries.h"

struct user_input { /* NULL: as it is */
    const char *kind, *name, *display_name, *email;
    const char *team;  /* whose administrators look after the account */
    const char *state; /* active, disabled: nothing it has is good any more, at once */
};
RC user_create(struct ctx *ctx, struct core *core, const struct user_input *in, const char **id);
RC user_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct user_input *in);
RC user_remove(struct ctx *ctx, struct core *core, const char *ref);
RC user_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct q_user_get_row **rows, size_t *n);
RC user_get(struct ctx *ctx, struct core *core, const char *ref, struct q_user_get_row *out);

/* user_find finds an account that the principal may see: E_NOT_FOUND. */
RC user_find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_user_get_row *out);

/* user_grants gives the grants of an account, as far as the principal sees their teams. */
RC user_grants(struct ctx *ctx, struct core *core, const char *user_id, struct q_grant_list_row **rows, size_t *n);
/* user_grant gives an account a role in a team; nobody gives what they do not hold there. */
RC user_grant(struct ctx *ctx, struct core *core, const char *ref, const char *role, const char *team);
/* user_revoke takes a grant back, by its id. */
RC user_revoke(struct ctx *ctx, struct core *core, const char *ref, const char *grant);

#endif
