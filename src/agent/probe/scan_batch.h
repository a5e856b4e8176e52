/* What a scan has found, as the ScanBatch of the API: collected until somebody takes it. */
#ifndef AGENT_PROBE_SCAN_BATCH_H
#define AGENT_PROBE_SCAN_BATCH_H

#include "agent/probe/scan.h"

#define SCAN_BATCH_TEXT_MAX 2097152 /* of the JSON, as the wire has it */

struct scan_batch;
struct scan_batch *scan_batch_new(void); /* NULL: no memory */
void scan_batch_free(struct scan_batch *b);

/* scan_batch_add notes what is worth telling: all that showed a certificate or answered otherwise, and what was asked for singly.
 * Each certificate is put in once, as far as it is remembered.  `now_s`: when it was seen. */
void scan_batch_add(struct ctx *ctx, struct scan_batch *b, const struct scan_result *r, int64_t now_s);
/* scan_batch_is_full says that it should be taken before more is added. */
bool scan_batch_is_full(const struct scan_batch *b);

struct scan_batch_head {
    const char *scan, *id;
    uint64_t position, total;
    struct scan_counts counts; /* since the batch before */
    int64_t rate;
};
/* scan_batch_take writes it to `out` and begins the next. */
RC scan_batch_take(struct ctx *ctx, struct scan_batch *b, const struct scan_batch_head *head, struct buf *out);

#endif
