/* Roles: named sets of permissions.  Built-in ones are core/roles.def; others are made by people. */
#ifndef CORE_ROLE_H
#define CORE_ROLE_H

#include "core/core.h"
#include "core/permission.h"
#include "store/queries.h"

#define ROLE_ADMINISTRATOR "administrator"
#define ROLE_CHALLENGES    "challenges"

struct role_cache;

/* role_start writes the built-in roles as this build has them, at each start of the hub; a role of that name that somebody made
 * becomes the built-in one. */
RC role_start(struct ctx *ctx, struct txn *txn);
/* role_cache_new makes the memory of what roles were read; for the life of the process. */
struct role_cache *role_cache_new(void);
void role_cache_free(struct role_cache *c);
/* role_set gives the permissions of a role whose list was read. */
RC role_set(struct ctx *ctx, struct core *core, const char *json, struct permission_set *out);

struct role_input { /* NULL: as it is */
    const char *name, *description;
    const struct str_list *permissions;
};
/* Nobody puts into a role what they do not hold everywhere, and nobody changes a role that they have. */
RC role_create(struct ctx *ctx, struct core *core, const struct role_input *in, const char **id);
RC role_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct role_input *in);
RC role_remove(struct ctx *ctx, struct core *core, const char *ref);
RC role_show(struct ctx *ctx, struct core *core, const char *ref, struct q_role_get_row *out);
RC role_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct q_role_get_row **rows, size_t *n);
/* role_find finds one in a transaction: E_INVALID at /role. */
RC role_find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_role_get_row *out);

#endif
