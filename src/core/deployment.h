/* Deployments: a version on its way to a target, and the proof that it is served there.
 *
 *     waiting ──► served | untrusted | rolled_back | failed | superseded | cancelled
 */
#ifndef CORE_DEPLOYMENT_H
#define CORE_DEPLOYMENT_H

#include "api/types.h"
#include "core/core.h"
#include "store/queries.h"

/* deployments_begin puts a version on its way to every target, in waves where the wish says so (core/rollout.h; not for reason
 * "rollback"); what was on its way there before is superseded. */
RC deployments_begin(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, int64_t version,
                     const char *reason);
/* deployment_begin does so for one target; `tries` counts those of this version before it. */
RC deployment_begin(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, int64_t version,
                    const char *target, const char *reason, int64_t tries);
/* deployment_begin_as is deployment_begin that tells the id. */
RC deployment_begin_as(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, int64_t version,
                       const char *target, const char *reason, int64_t tries, const char **id);
/* deployment_release gives one that waited for its key to its agent. */
RC deployment_release(struct ctx *ctx, struct core *core, struct txn *txn, const char *deployment);
/* deployment_wanted says whether its target is still one of the managed certificate's. */
RC deployment_wanted(struct ctx *ctx, struct txn *txn, const struct q_deployment_by_id_row *d, bool *wanted);
/* deployment_stop ends one that is not leased yet; deployment_overtake_all those of a managed certificate, for a newer version. */
RC deployment_stop(struct ctx *ctx, struct txn *txn, const char *id, const char *state);
RC deployment_overtake_all(struct ctx *ctx, struct txn *txn, const char *managed);
/* deployment_cancel_all ends what is under way for a managed certificate and is not leased yet. */
RC deployment_cancel_all(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed);

/* One endpoint as it was seen. */
struct seen {
    const char *address, *name, *verdict, *detail;
    int64_t port;
    struct bytes fingerprint; /* empty: none seen */
};
/* How a deploy job ended. */
struct deploy_outcome {
    bool ok, rolled_back;
    enum err e;
    const char *why;
    int64_t retry_after_s;
    const struct seen *seen;
    size_t seen_n;
};
RC deployment_ended(struct ctx *ctx, struct core *core, struct txn *txn, const char *deployment, const struct deploy_outcome *o);

/* target_verified notes what a verify job saw; something else than what was placed there sets a new deployment going. */
RC target_verified(struct ctx *ctx, struct core *core, struct txn *txn, const char *target, const struct seen *seen, size_t n);
/* target_verify_begin makes a verify job for what is placed at a target. */
RC target_verify_begin(struct ctx *ctx, struct core *core, struct txn *txn, const char *target);

#endif
