/* Issuers that are no ACME CA and not our own: `enroll` (an agent asks, by a description on its host) and `manual` (people do).
 *
 *     key ──► enroll ──► issued        asked, and asked again while the issuer has not decided
 *     key ──► manual ──► issued        waits, shows the request, takes the certificate; gives way as issuer_patience() says */
#ifndef CORE_ENROLL_H
#define CORE_ENROLL_H

#include "core/attempt.h"
#include "core/issuer.h"

/* enroll_job asks the issuer of an attempt; again (collect) where it holds a reference. */
RC enroll_job(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, int64_t after_s);
/* enroll_pending keeps what an undecided request is asked about with, and asks again later; or gives way to another issuer, where
 * the certificate that is served ends before that. */
RC enroll_pending(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, const char *reference,
                  int64_t retry_after_s);
/* enroll_revoke_payload is the job that tells such an issuer of a revocation. */
RC enroll_revoke_payload(struct ctx *ctx, const struct issuer_settings *s, struct bytes der, int64_t reason, struct bytes *out);

/* What a managed certificate waits for that is issued by hand. */
struct manual_request {
    const char *name, *issuer, *csr_pem;
    struct str_list names;
    int64_t since;
};
/* manual_request shows it; E_CONFLICT where nothing waits. */
RC manual_request(struct ctx *ctx, struct core *core, const char *ref, struct manual_request *out);
/* manual_waits arms the look at an attempt that begins to wait for people; manual_due is that look. */
RC manual_waits(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a);
RC manual_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt);
/* manual_take gives the certificate (PEM, with its chain in any order); checked as any issuer's is.  E_BAD_CERTIFICATE. */
RC manual_take(struct ctx *ctx, struct core *core, const char *ref, const char *chain_pem);

#endif
