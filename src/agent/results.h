/* Results that the hub has not acknowledged yet: a log of them in a file, read back at the start.
 *
 * What is added outlives the process at once, and a power failure after results_sync(), which is called when the hub cannot be
 * told.  Before that nothing needs it: the hub leases the job again, and a job done twice gives the same. */
#ifndef AGENT_RESULTS_H
#define AGENT_RESULTS_H

#include "base/ctx.h"

#define RESULTS_BATCH 64                     /* in one exchange */
#define RESULTS_BATCH_BYTES ((size_t)256 << 10) /* and one more: the hub takes a megabyte */

struct result {
    char *id;      /* of the job; heap */
    int64_t fence;
    char *json;    /* heap */
    size_t n;
    struct result *next;
};

struct results {
    const char *folder;
    int dirfd, fd;        /* the folder; the log in it, for appending */
    uint64_t size;        /* of the log */
    struct result *first; /* oldest first */
};

/* results_open reads what is there; the folder must exist.  results_free forgets it in memory. */
RC results_open(struct ctx *ctx, const char *folder, struct results *out);
void results_free(struct results *r);
/* results_add keeps one; another of the same job is replaced, unless it is of a newer lease. */
RC results_add(struct ctx *ctx, struct results *r, const char *id, int64_t fence, const char *json);
/* results_acked drops one that the hub has, unless it was replaced meanwhile. */
void results_acked(struct ctx *ctx, struct results *r, const char *id, int64_t fence);
/* results_sync makes all of them durable. */
void results_sync(struct results *r);

#endif
