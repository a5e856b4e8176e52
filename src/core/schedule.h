/* What is due when: timers that outlive every crash, and the hub's own jobs. */
#ifndef CORE_SCHEDULE_H
#define CORE_SCHEDULE_H

#include "core/core.h"

/* schedule_tick fires what is due, gives back leases that ran out, expires what retention says; returns in `*next_ms` how long
 * nothing will be due (at most a minute).  One thread calls it. */
RC schedule_tick(struct ctx *ctx, struct core *core, int64_t *next_ms);

/* own_work does up to `most` of the hub's own jobs (sign, pin, revoke); `*did` says how many.  One thread calls it. */
RC own_work(struct ctx *ctx, struct core *core, int64_t most, size_t *did);

#endif
