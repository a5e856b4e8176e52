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
RC job_add(struct ctx *ctx, struct core *core, struct txn *txn, const char *kind, const char *agent, const char *lane,
           const char *ref, struct bytes payload, int64_t run_at);

/* What an agent may lease, or leased. */
struct leased_job {
    const char *id, *kind, *lane, *ref;
    struct bytes payload; /* JSON */
    int64_t fence, lease_until, tries;
};
/* job_ready says what an agent may lease now, at most one of each lane, without payloads; job_lease leases up to `most` to it. */
RC job_ready(struct ctx *ctx, struct core *core, const char *agent, int64_t most, struct leased_job **out, size_t *n);
RC job_lease(struct ctx *ctx, struct core *core, const char *agent, int64_t most, struct leased_job **out, size_t *n);

/* job_exchange takes what an agent reports, extends the leases it holds, and leases up to `most` jobs to it: in one transaction.  A
 * result whose fence is no longer held changes nothing and is put to `dropped`, as are leases that are no longer held; one that
 * cannot be applied does not keep the others back. */
RC job_exchange(struct ctx *ctx, struct core *core, const char *agent, const struct api_agent_exchange *in, int64_t most,
                struct leased_job **jobs, size_t *n, struct str_list *dropped);
/* job_apply ends jobs with results that were checked already: the hub's own. */
struct checked_result;
RC job_apply(struct ctx *ctx, struct core *core, const char *agent, struct checked_result *results, size_t n);

/* job_refuse ends a job that its agent shall not do, with the failure that is told; what follows it goes on from there. */
RC job_refuse(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, enum err e, const char *why);
/* job_reap gives back leases that ran out; what ran out too often fails. */
RC job_reap(struct ctx *ctx, struct core *core);

/* timer_arm sets when `kind` is due for `ref`; timer_clear forgets it. */
RC timer_clear(struct ctx *ctx, struct txn *txn, const char *kind, const char *ref);
RC timer_arm(struct ctx *ctx, struct txn *txn, const char *kind, const char *ref, int64_t due_at);

/* Backoff after `failures` failures in a row: 1 min doubling to 12 h, ± a fifth.  Never before `retry_after_s`. */
int64_t retry_delay_s(int64_t failures, int64_t retry_after_s);

#endif
