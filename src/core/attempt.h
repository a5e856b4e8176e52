/* Attempts: one try for one version, and what each result leads to.
 *
 *     key ──► sign ──────────────────────────────► issued        (our own CA)
 *      ├────► pin ─┬► preflight ─┬► order ──► present ──► finalize ──► issued  (ACME; core/preflight.h)
 *      │           └─────────────┘
 *      └────► enroll, or manual ────────────────────► issued  (core/enroll.h)
 *
 * Any of them may end in failed or cancelled.  attempt.c holds the table; SQL enforces it (UPDATE … WHERE state = from). */
#ifndef CORE_ATTEMPT_H
#define CORE_ATTEMPT_H

#include "core/core.h"
#include "core/wish.h"
#include "store/queries.h"

/* As many versions can be rolled back to: their keys are kept where they are served. */
#define VERSIONS_WITH_KEY 3

/* What a result says, checked and decoded before the transaction: closures do no work that can be done outside. */
struct issued_chain {
    struct bytes leaf;            /* DER */
    struct bytes fingerprint;     /* SHA-256 */
    struct bytes serial, spki_sha256;
    const char *subject, *issuer, *names_json, *key_kind;
    int64_t not_before, not_after;
    const char *chain_pem;        /* the certificates above the leaf */
    struct bytes chain_sha256;
};

/* attempt_begin starts an attempt for a managed certificate that has none under way.  E_CONFLICT where one is; E_PAUSED. */
RC attempt_begin(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, const char *reason);
/* attempt_cancel ends the open attempt of a managed certificate, where there is one. */
RC attempt_cancel(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, const char *why);

/* issued_chain_check reads a leaf and the PEM above it and checks that they are what the attempt asked for: key, names, validity.
 */
RC issued_chain_check(struct ctx *ctx, const struct q_attempt_by_id_row *a, const struct wish *w, struct bytes leaf,
                      const char *chain_pem, struct issued_chain *out);

/* Results, each in the transaction that ended its job. */
RC attempt_key_made(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, struct bytes csr,
                    struct bytes spki_sha256);
RC attempt_pinned(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a);
/* attempt_looked goes on with the order, once what is in the way of it was looked at. */
RC attempt_looked(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a);
/* One challenge that the order asks for; the thumbprint is the account key's. */
struct order_challenge {
    const char *url, *authorization_url, *identifier, *token, *key_authorization;
    const char *type; /* core/solver.h */
};
RC attempt_ordered(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a,
                   const char *account_url, const char *order_url, const char *finalize_url,
                   const struct order_challenge *challenges, size_t n);
RC attempt_presented(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, const char *url);
RC attempt_cleaned(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, const char *url);
RC attempt_issued(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a,
                  const struct issued_chain *chain);
/* attempt_failed ends it with the other side's words, and sets when the next one is due (or pauses). */
RC attempt_failed(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, enum err e,
                  const char *why, int64_t retry_after_s);

/* attempt_leftover_clean has the answer to a challenge that was left behind taken away once more. */
RC attempt_leftover_clean(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_challenge_leftover_of_row *c);
/* attempt_left notes that one could not be taken away; leftovers_due tries again, a day later. */
RC attempt_left(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, const char *url, const char *why);
RC leftovers_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt);

/* attempt_soon has the next one begin in a moment: there is no reason to wait. */
RC attempt_soon(struct ctx *ctx, struct txn *txn, const char *managed);

/* attempt_order_payload builds what the order job of an attempt carries, as things stand now. */
RC attempt_order_payload(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt, bool finish, struct bytes *out);

/* renewal_time is when a certificate valid from..to is due under a wish: two thirds of its life (half below ten days), or as the
 * wish says, minus up to a fiftieth of the lifetime at random so that many issued together do not come back together. */
int64_t renewal_time(const struct wish *w, int64_t not_before, int64_t not_after);

#endif
