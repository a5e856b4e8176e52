/* Jobs and timers: what follows a change, committed with it. */
#ifndef CORE_JOB_H
#define CORE_JOB_H

#include "api/types.h"
#include "base/str.h"
#include "core/core.h"

/* Leases are this long and extended while the agent says that it holds them. */
#define JOB_LEASE_S 60
/* A job whose lease ran out this many times has failed. */
#define JOB_TRIES_MAX 8

/* job_add makes a job ready for `agent` at `run_at` (0: now) and wakes the agent after the commit.  `payload` is JSON. */
RC job_add(struct ctx *ctx, struct core *core, struct txn *txn, const char *kind, const char *agent, const char *lane, const char *ref,
           struct bytes payload, int64_t run_at);

/* What an agent leased. */
struct leased_job {
    const char *id, *kind, *lane, *ref;
    struct bytes payload; /* JSON */
    int64_t fence, lease_until, tries;
};
/* job_lease leases up to `most` jobs to an agent. */
RC job_lease(struct ctx *ctx, struct core *core, const char *agent, int64_t most, struct leased_job **out, size_t *n);

/* job_results takes what an agent reports; each result commits on its own or not at all: a fence that is no longer held is put to
 * `dropped` and changes nothing.  `results` are applied in order. */
RC job_results(struct ctx *ctx, struct core *core, const char *agent, const struct api_job_result *results, size_t n,
               struct str_list *dropped);
/* job_apply does it for results that were checked already: the hub's own. */
struct checked_result;
RC job_apply(struct ctx *ctx, struct core *core, const char *agent, struct checked_result *results, size_t n, struct str_list *dropped);
RC job_progress(struct ctx *ctx, struct core *core, const char *agent, const struct api_job_progress *progress, size_t n);
/* job_holding extends leases; those no longer held go to `dropped`. */
RC job_holding(struct ctx *ctx, struct core *core, const char *agent, const struct api_job_ref *held, size_t n, struct str_list *dropped);

/* job_reap gives back leases that ran out; what ran out too often fails. */
RC job_reap(struct ctx *ctx, struct core *core);

/* timer_arm sets when `kind` is due for `ref`; timer_clear forgets it. */
RC timer_clear(struct ctx *ctx, struct txn *txn, const char *kind, const char *ref);
RC timer_arm(struct ctx *ctx, struct txn *txn, const char *kind, const char *ref, int64_t due_at);

/* Backoff after `failures` failures in a row: 1 min doubling to 12 h, ± a fifth.  Never before `retry_after_s`. */
int64_t retry_delay_s(int64_t failures, int64_t retry_after_s);

#endif
