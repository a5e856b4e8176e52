/* What the end of each kind of job means: checked outside the transaction, applied inside it. */
#ifndef CORE_RESULT_H
#define CORE_RESULT_H

#include "api/types.h"
#include "core/attempt.h"
#include "core/deployment.h"

/* A result that was read and checked; what is wrong with it has become its failure. */
struct checked_result {
    const char *id;
    int64_t fence;
    bool leased_here;                  /* done without a lease, the hub's own: leased and ended in one transaction */
    bool known;                        /* the job is there; else it is dropped */
    struct q_job_get_row job;
    struct q_attempt_by_id_row attempt; /* where the job is an attempt's */
    bool ok;
    enum err e;                        /* where it failed */
    const char *why;
    int64_t retry_after_s;
    const struct api_job_result *raw;  /* NULL for the hub's own jobs */
    struct bytes csr, spki_sha256;     /* key */
    struct issued_chain issued;        /* sign, order */
    struct order_challenge *challenges; /* order */
    size_t challenges_n;
    const char *challenge_url;         /* present, clean */
    struct seen *seen;                 /* deploy, verify */
    size_t seen_n;
    struct sealed_for *sealed;         /* seal */
    size_t sealed_n;
    struct ari_said *said;             /* renewal_info */
    size_t said_n;
    const char *verb;                  /* acme_account */
    struct provider_said *login;       /* oidc_exchange */
    const char *host; /* the agent's, for its words; NULL where there is one agent alone */
};

/* results_check reads the jobs of `results` and checks what they say. */
RC results_check(struct ctx *ctx, struct core *core, const struct api_job_result *results, size_t n, struct checked_result *out);

/* result_key_check takes the request that a job of kind key made: for the names and of the kind of key that the attempt asks. */
RC result_key_check(struct ctx *ctx, struct checked_result *r, struct bytes request);

/* result_apply ends the job and does what follows.  E_FENCED, and nothing changed, where the fence is not the one held. */
RC result_apply(struct ctx *ctx, struct core *core, struct txn *txn, const char *agent, const struct checked_result *r);
RC result_progress(struct ctx *ctx, struct core *core, struct txn *txn, const char *agent, const struct api_job_progress *p);
/* result_lease_lost gives a job back whose lease ran out, or ends it as failed where that happened too often. */
RC result_lease_lost(struct ctx *ctx, struct core *core, struct txn *txn, const char *job, int64_t fence, int64_t tries);
/* result_refused ends a leased job as failed, once and for all. */
RC result_refused(struct ctx *ctx, struct core *core, struct txn *txn, const char *job, int64_t fence, enum err e, const char *why);

/* result_targets makes targets of what an agent found. */
struct target_input;
RC result_targets(struct ctx *ctx, const struct api_job_found *v, size_t n, struct target_input **out);

/* result_kinds names every kind of job, for messages. */
bool result_kind_is(const char *kind);
const char *result_kinds(struct ctx *ctx);

#endif
