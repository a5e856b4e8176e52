/* Roll-outs in waves: a version goes to the canary first, and to the rest once it is proved there.
 *
 *     running ──► done          every wave was proved
 *        └──────► halted ──► running anew, with the canary
 *
 * What fails halts it: the waves that did not begin do not, and the targets it has changed get back the version they had.  The
 * current version of the managed certificate stays the new one, for that is what is wished; the next try begins with the canary
 * again. */
#ifndef CORE_ROLLOUT_H
#define CORE_ROLLOUT_H

#include "core/core.h"
#include "core/wish.h"
#include "store/queries.h"

/* The canary where the wish does not say: one target where there are more than this. */
#define ROLLOUT_CANARY_FROM 3

/* rollout_sizes says how a wish divides `targets`: how many the first wave has, and each further one.  False: all at once. */
bool rollout_sizes(const struct wish *w, int64_t targets, int64_t *canary, int64_t *size);

/* rollout_order gives the targets of a managed certificate in the order of its wish: the first one named is the canary. */
RC rollout_order(struct ctx *ctx, struct txn *txn, const char *managed, const struct wish *w, struct q_managed_targets_row **out,
                 size_t *n);

/* rollout_begin begins the first wave, where the wish asks for waves; else `waves` is false and nothing was done, but that an
 * earlier roll-out is forgotten.  What is on its way and in no agent's hands makes room. */
RC rollout_begin(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, int64_t version,
                 const char *reason, int64_t tries, bool *waves);
/* rollout_forget ends it without a word: the version is deployed otherwise, or nobody wants it any more. */
RC rollout_forget(struct ctx *ctx, struct txn *txn, const char *managed);

/* A deployment of it ended.  rollout_proved begins the next wave once the one under way is done; rollout_failed halts, and sets
 * `retry_at` to when it begins again.  Both leave `of_rollout` false where the deployment belongs to none that counts. */
RC rollout_proved(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_deployment_by_id_row *d, bool *of_rollout);
RC rollout_failed(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_deployment_by_id_row *d, const char *why,
                  int64_t retry_after_s, int64_t *retry_at, bool *of_rollout);

/* rollout_reconcile does what managed_reconcile would, where a roll-out decides what a target shall have (`taken`). */
RC rollout_reconcile(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, bool *taken);
/* rollout_retry begins one that was halted anew (`begun`). */
RC rollout_retry(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, bool *begun);
/* rollout_due is the timer "rollout" of a managed certificate: the next wave, or the next try. */
RC rollout_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed);

/* rollout_active finds the roll-out of the current version that is running or halted. */
RC rollout_active(struct ctx *ctx, struct txn *txn, const char *managed, int64_t version, struct q_rollout_get_row *out,
                  bool *active);

#endif
