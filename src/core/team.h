/* Teams: a tree, in which each object belongs to one.  Rights follow it: who may do something in a team may do it in all below it.
 */
#ifndef CORE_TEAM_H
#define CORE_TEAM_H

#include "core/core.h"
#include "store/queries.h"

RC team_create(struct ctx *ctx, struct core *core, const char *name, const char *parent, const char **id);

struct team_input { /* NULL: as it is */
    const char *name;
    const char *parent; /* it goes below this one, with all that is below it */
};
/* team_update: `revision` 0 is whichever there is.  Moving takes the right to change the team it is in, too, and to add to the one
 * it goes to. */
RC team_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct team_input *in);
/* team_remove ends one that is empty; else E_IN_USE names what is in it. */
RC team_remove(struct ctx *ctx, struct core *core, const char *ref);
RC team_get(struct ctx *ctx, struct core *core, const char *ref, struct q_team_show_row *out);
RC team_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct q_team_show_row **rows, size_t *n);

#endif
