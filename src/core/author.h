/* Whoever made what acts by itself later: a rule, a report that is sent.  It may do what they may do at that time, and no more: who
 * has left, was disabled or has lost the role leaves nothing behind that goes on in their name. */
#ifndef CORE_AUTHOR_H
#define CORE_AUTHOR_H

#include "core/access.h"

struct author {
    enum principal_kind kind; /* NONE: nobody */
    const char *id, *name;    /* name: as the audit log names them */
    const char *person;       /* who is behind them, and does not approve what is asked for; "": not known */
};

/* author_of makes that of ctx->principal: of somebody's token it is the account, which outlives it. */
RC author_of(struct ctx *ctx, struct txn *txn, struct author *out);

/* author_lacks says why an author may not do all of this in a team now; NULL where they may. */
RC author_lacks(struct ctx *ctx, struct core *core, struct txn *txn, const struct author *author,
                const struct permission_set *needs, const char *team, const char **why);

#endif
