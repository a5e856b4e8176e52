/* What core/adopt.c and core/adopt_end.c share. */
#ifndef CORE_ADOPT_OWN_H
#define CORE_ADOPT_OWN_H

#include "core/adopt.h"

#define ADOPTION_JSON_MAX ((size_t)512 << 10)

/* adoption_move takes it from one state to the next; E_CHANGED where it is in another one.  `why` where e is not E_OK. */
RC adoption_move(struct ctx *ctx, struct txn *txn, const char *id, const char *was, const char *to, enum err e, const char *why);
/* adoption_job makes a job for it.  What is done to one lineage is done in its order, also where another adoption of it was
 * before. */
RC adoption_job(struct ctx *ctx, struct core *core, struct txn *txn, const char *kind, const char *agent, const char *id,
                const char *path, struct bytes payload);
/* adoption_plan reads what was seen, where it was. */
RC adoption_plan(struct ctx *ctx, const char *json, struct adoption_view *v);
/* adoption_away says that an agent does not call, and what to do; NULL where it does. */
RC adoption_away(struct ctx *ctx, struct core *core, struct txn *txn, const char *agent_id, const char **why);
/* adoption_open: it is looked at, or ours. */
bool adoption_open(const char *state);

#endif
