/* A pool of worker threads with a bounded queue of closures. */
#ifndef OS_POOL_H
#define OS_POOL_H

#include "base/ctx.h"

struct pool;

/* pool_new starts one thread, and others as there is work for them, up to `threads`; at most `queue` closures wait.  Stacks are of
 * `stack_kib` KiB (0: 512). */
RC pool_new(struct ctx *ctx, unsigned threads, size_t queue, size_t stack_kib, struct pool **out);
/* pool_submit queues fn(arg).  False: the queue is full or the pool stops; nothing was queued. */
bool pool_submit(struct pool *p, void (*fn)(void *arg), void *arg);
/* pool_submit_first: before all that were queued by pool_submit; these among themselves in their order. */
bool pool_submit_first(struct pool *p, void (*fn)(void *arg), void *arg);
/* pool_waiting and pool_busy: how many closures wait, and how many run. */
size_t pool_waiting(struct pool *p);
size_t pool_busy(struct pool *p);
/* pool_drain refuses new closures and waits until all queued ones have run, at most timeout_ms; false where some still run. */
bool pool_drain(struct pool *p, int64_t timeout_ms);
/* pool_free drains without a limit, joins the threads and frees it.  NULL is fine. */
void pool_free(struct pool *p);

#endif
