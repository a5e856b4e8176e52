/* Whether an issuer may be asked: a circuit breaker in its row.
 *
 *     closed ──► open        `after` failures of the CA in a row (its 5xx, not reachable, answers that make no sense), or it said
 *                            itself how long to wait (Retry-After): not before retry_at
 *     open ──► half open     retry_at has come: one attempt is let through, the trial; the others wait for what becomes of it
 *     half open ──► closed   the CA issued, or refused for a reason of the certificate's: it works
 *     half open ──► open     the trial failed: twice as long, at most an hour
 *
 * A CA that takes an order works again, where taking orders was what it had failed at: the answers to its challenges are ours, and
 * keep nobody waiting.  One that had failed at issuing is only believed when it issues; while the trial's challenges are
 * answered, another attempt may try every minute.
 *
 * A failed validation is no failure of the CA, nor is a limit that it says was reached. */
#ifndef CORE_ISSUER_HEALTH_H
#define CORE_ISSUER_HEALTH_H

#include "core/core.h"
#include "core/issuer_policy.h"
#include "store/queries.h"

/* Until when an issuer cannot be asked (0: now), and why, in words: "ca1 is failing since … (5 times): …". */
struct issuer_verdict {
    int64_t until;
    const char *why;
    bool trial; /* whoever asks it is the trial */
};
/* issuer_verdict_of says how an issuer stands. */
RC issuer_verdict_of(struct ctx *ctx, const struct q_issuer_health_row *h, const struct issuer_policy *p,
                     struct issuer_verdict *out);

/* issuer_is_fault says whether an error of an order is the CA's own failure. */
bool issuer_is_fault(enum err e);

/* Each in the transaction of the result it follows from.  issuer_note_failure takes the CA's own words, and what it asked to wait;
 * `ordered`: it had taken the order, and failed after that. */
RC issuer_note_failure(struct ctx *ctx, struct txn *txn, const char *issuer, bool ordered, const char *why, int64_t retry_after_s);
/* issuer_note_answer: it works.  Who waited for it goes on, not all at once. */
RC issuer_note_answer(struct ctx *ctx, struct txn *txn, const char *issuer);
/* issuer_note_taken: it has taken the order of an attempt, or a request that it has not decided yet. */
RC issuer_note_taken(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a);
/* issuer_changed: its settings are others, so what was wrong may be mended: one attempt is let through, and who waits looks again.
 */
RC issuer_changed(struct ctx *ctx, struct txn *txn, const char *issuer);
/* issuer_try_again: an attempt whose order failed will try once more, and is the trial then; not before `*alone_s` from now. */
RC issuer_try_again(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, int64_t *alone_s);
/* issuer_let_through: somebody wants the issuers of a managed certificate asked now, whatever they said. */
RC issuer_let_through(struct ctx *ctx, struct txn *txn, const char *managed);

/* issuer_troubles says which issuers fail, which second choices would, and which certificates go without some of their names. */
RC issuer_troubles(struct ctx *ctx, struct txn *txn, int64_t most, void *arg,
                   void (*add)(void *arg, const char *object, const char *text, const char *remedy));

/* issuer_note_result is what the end of an attempt's order says about the CA. */
RC issuer_note_result(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, enum err e, const char *why,
                      int64_t retry_after_s);

#endif
