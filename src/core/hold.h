/* Deployments that wait for the maintenance window of their target. */
#ifndef CORE_HOLD_H
#define CORE_HOLD_H

#include "core/core.h"

/* hold_windows_check refuses a JSON list of windows that cannot be read; the failure's field is "/windows". */
RC hold_windows_check(struct ctx *ctx, const char *windows);

/* hold_look says when a deployment to a target with these windows may run: *until is 0 for now, and then *closes 0 or when no more.
 * A certificate there that would expire before is no reason to wait (*why says so, else NULL). */
RC hold_look(struct ctx *ctx, struct txn *txn, const char *target, const char *windows, const char *reason, int64_t *until,
             int64_t *closes, const char **why);

/* hold_set has the job of an open deployment wait as hold_look says, while no agent has it, and looks again when the window closes
 * that it may run in.  Going back ("rollback", a halted roll-out) never waits. */
RC hold_set(struct ctx *ctx, struct core *core, struct txn *txn, const char *deployment);
/* hold_due is hold_set, for the timer "window". */
RC hold_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *deployment);
/* hold_target looks at what waits at a target again: its windows are others now. */
RC hold_target(struct ctx *ctx, struct core *core, struct txn *txn, const char *target);
/* hold_override has all that waits of a managed certificate run now; how many there were is put to *n. */
RC hold_override(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, size_t *n);

#endif
