/* Collections: filters of certificates that were given a name. */
#ifndef CORE_COLLECTION_H
#define CORE_COLLECTION_H

#include "core/core.h"
#include "store/queries.h"

struct collection_input { /* NULL: as it is */
    const char *name, *filter, *team, *description;
};
RC collection_create(struct ctx *ctx, struct core *core, const struct collection_input *in, const char **id);
/* collection_update: `revision` 0 is whichever there is. */
RC collection_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct collection_input *in);
RC collection_remove(struct ctx *ctx, struct core *core, const char *ref);
RC collection_get(struct ctx *ctx, struct core *core, const char *ref, struct q_collection_list_row *out);
RC collection_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct q_collection_list_row **rows,
                   size_t *n);

/* collection_where joins a collection's filter and another one, of which either may be NULL or empty. */
RC collection_where(struct ctx *ctx, struct txn *txn, const char *collection, const char *where, const char **out);

#endif
