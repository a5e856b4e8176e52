/* Which issuer of its list a managed certificate asks next: the first that may be asked, by health, budget and what each said about
 * this certificate before.
 *
 * The first one is stayed with as long as that makes sense: the next is asked where the first failed `after` times in a row (by
 * itself, or for this certificate alone), cannot be asked within `within_s` of when the certificate began to wait (`new_within_s`
 * where it has no version yet, and so serves nothing), or not before the current version ends.  At the next renewal everything
 * begins with the first again. */
#ifndef CORE_ISSUER_CHOICE_H
#define CORE_ISSUER_CHOICE_H

#include "core/core.h"
#include "core/issuer_budget.h"
#include "core/wish.h"
#include "store/queries.h"

struct issuer_choice {
    const char *id, *name; /* who is asked; or waited for */
    int64_t wait_until;    /* 0: ask now; else nobody can be asked before */
    const char *why;       /* what is in the way of the first one: "ca1 is failing since …"; "" where nothing is */
    const char *remedy;    /* where it is waited for: what people can do about it */
    bool instead;          /* it is not the first of the list */
    bool trial;            /* whether it works again is found out by asking */
    struct issuer_policy policy;
    struct budget_ask ask;
};
/* issuer_choose changes nothing.  `w` is the wish of the attempt that would begin.  E_CONFLICT where the certificate names none. */
RC issuer_choose(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, const struct wish *w,
                 struct issuer_choice *out);
/* issuer_chosen notes that `attempt` asks it: the trial, its budget, and the step and audit entry where it is not the first. */
RC issuer_chosen(struct ctx *ctx, struct txn *txn, const struct q_managed_by_id_row *m, const struct issuer_choice *c,
                 const char *attempt);
/* issuer_wait arms the next try for when somebody can be asked, and says so once. */
RC issuer_wait(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m,
               const struct issuer_choice *c);
/* issuer_other_ready says whether another issuer than `issuer` would be asked for the certificate now. */
RC issuer_other_ready(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, const char *issuer, bool *other);
/* issuer_waited_out: of an attempt whose issuer has the request and has not decided, `why` it is not asked again at `again_at`
 * where there is another issuer and the current version ends too soon; else NULL. */
RC issuer_waited_out(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, int64_t again_at, const char **why);
/* issuer_patience: until when an attempt waits for people (kind manual), and `why` not longer; 0: for good.  Another issuer of the
 * list is asked instead where a time was set (failover within_s; new_within_s where there is no version), and in any case before
 * the current version ends. */
RC issuer_patience(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, int64_t *until, const char **why);

#endif
