/* Renewal information (RFC 9773): issuers are asked, in batches, when they want their certificates to be renewed; and an order says
 * which certificate it replaces. */
#ifndef CORE_ARI_H
#define CORE_ARI_H

#include "core/core.h"
#include "core/wish.h"
#include "store/queries.h"

#define ARI_BATCH 100 /* certificates a job */

/* ari_issued notes a new version: which account issued it, which one it replaces, and when it is asked about. */
RC ari_issued(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, int64_t number);
/* ari_due is the timer "ari" of an issuer: makes a job of those that are due. */
RC ari_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer);

/* What an agent brought of one certificate. */
struct ari_said {
    struct bytes fingerprint;
    int64_t start, end;          /* 0: nothing that can be used */
    const char *explanation_url; /* or NULL */
};
RC ari_answered(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer, const struct ari_said *said, size_t n,
                int64_t retry_after_s);

/* ari_replaces gives the identifier of what an order of this attempt replaces (section 5): the current version, where the same
 * account of the same issuer has issued it for one of these names and nothing has replaced it yet; else NULL. */
RC ari_replaces(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, const struct wish *w,
                const char **out);

/* ari_window takes a window for a version: a time in it, chosen at random, becomes the time of renewal. */
RC ari_window(struct ctx *ctx, struct txn *txn, const char *managed, int64_t number, int64_t start, int64_t end, const char *url);

#endif
