/* The context of one request or job: its arena, clock, deadline, who is acting, and the trail of what went wrong.
 *
 * First parameter of everything that can fail.  Belongs to one thread at a time. */
#ifndef BASE_CTX_H
#define BASE_CTX_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/rc.h"

struct principal; /* core/access.h; opaque below core */

/* One thing that went wrong, as a person should read it: the innermost first. */
struct trail_entry {
    enum err e;
    const char *text;
    struct trail_entry *next;
};

struct ctx {
    struct arena arena;
    const struct clock *clock;
    int64_t deadline_ms;              /* monotonic, 0 for none */
    const struct principal *principal;
    const char *peer;                 /* where the request came from: an address, "local"; NULL: nobody asked */
    char request_id[33];              /* shown in logs, audit and problem documents */
    struct trail_entry *trail;        /* first entry */
    const char *field;                /* the field of the request that is wrong, a JSON pointer, where known */
    int64_t retry_after_s;            /* what the other side asked us to wait; 0 where it did not say */
    const char *pending; /* what waits for an approval instead of being done: the request (core/request.h); E_PENDING */
    const void *decoded;              /* what this request has read already (core/issuer.c), in the arena */
};

/* ctx_init prepares an empty context on `clock` with a fresh request id; ctx_free gives all of it back.  ctx_reset readies it for
 * the next job. */
void ctx_init(struct ctx *ctx, const struct clock *clock);
void ctx_free(struct ctx *ctx);
void ctx_reset(struct ctx *ctx);
#define CTX_CLEANUP __attribute__((cleanup(ctx_free)))

/* ctx_fail records what happened and returns the error, to be returned at once:
 *     return ctx_fail(ctx, E_NOT_FOUND, "no issuer is named %s", name);
 * The text names the thing and, where there is one, the remedy.  Never a secret. */
RC ctx_fail(struct ctx *ctx, enum err e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* ctx_wrap adds to a failure what was being done when it happened; the code stays. */
RC ctx_wrap(struct ctx *ctx, struct rc rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* ctx_fail_errno turns errno into the fitting error (ENOSPC → DISK_FULL, ENOENT → NOT_FOUND, …) with its words appended. */
RC ctx_fail_errno(struct ctx *ctx, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* ctx_fail_field is ctx_fail(E_INVALID) for one field of a request, named by its JSON pointer. */
RC ctx_fail_field(struct ctx *ctx, const char *pointer, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* ctx_forget drops the trail: for a failure that was expected and dealt with. */
void ctx_forget(struct ctx *ctx);
/* ctx_why returns the trail as one line, outermost first, "" when empty.  Valid as long as the arena. */
const char *ctx_why(struct ctx *ctx);
/* ctx_left_ms returns the time left until the deadline, never negative; `most` where there is no deadline or it is later. */
int64_t ctx_left_ms(const struct ctx *ctx, int64_t most);

static inline int64_t ctx_now_s(const struct ctx *ctx) { return clock_unix_s(ctx->clock); }

#endif
