/* Scans of networks: what people ask for, who of the agents does which part of it, how far each has come, and when it begins again.
 *
 *     running   parts are being done; each is a job of one agent, gone on with from the position in its row
 *     paused    no job; `resume` goes on at the same positions
 *     stopped   ended by somebody, and its schedule with it; `start` begins it anew
 *     done      every part is at its end;  failed: one of them could not be done, or nothing that was named has an address
 *
 * What an agent finds comes in batches (ScanBatch of the API).  A batch, the position behind it and what it says of certificates
 * and endpoints are one transaction: whatever dies, nothing is lost, and a batch that comes twice changes nothing. */
#ifndef CORE_SCAN_H
#define CORE_SCAN_H

#include "api/types.h"
#include "core/core.h"
#include "core/result.h"
#include "store/queries.h"

#define SCAN_TARGETS_MAX 10000 /* of one agent's part */
#define SCAN_REMARKS_MAX 100

struct scan_view {
    struct q_scan_list_row row;
    struct q_scan_part_list_row *parts;
    size_t parts_n;
};

/* scan_create begins a scan.  E_NOT_GRANTED, with whose agent.yaml would have to be changed, where no agent may ask a target. */
RC scan_create(struct ctx *ctx, struct core *core, const struct api_scan_new *in, const char **id);
/* scan_change does "pause", "resume", "stop" or "start". */
RC scan_change(struct ctx *ctx, struct core *core, const char *ref, const char *verb);
/* scan_edit changes what is asked, by whom and how often; what is not named stays.  A run under way goes on as it was begun. */
RC scan_edit(struct ctx *ctx, struct core *core, const char *ref, const struct api_scan_patch *in);
RC scan_remove(struct ctx *ctx, struct core *core, const char *ref);
RC scan_show(struct ctx *ctx, struct core *core, const char *ref, struct scan_view *out);
/* scan_list: the newest first, those with a lower number than `before`. */
RC scan_list(struct ctx *ctx, struct core *core, int64_t before, int64_t limit, struct scan_view **out, size_t *n);

/* scan_troubles calls `add` for each scheduled scan that has failed, at most `most`. */
RC scan_troubles(struct ctx *ctx, struct txn *txn, int64_t most, void *arg,
                 void (*add)(void *arg, const char *object, const char *text, const char *remedy));

/* Timer `scan`: the schedule begins it again. */
RC scan_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id);
/* Timer `scan-part`: one whose agent is gone, or may not scan any more, goes to another that permits all of it. */
RC scan_part_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id);

/* scan_took takes the batch of a job's progress, in a transaction of its own; not inside of one.  One that the job's lease is not
 * held for any more is left out. */
RC scan_took(struct ctx *ctx, struct core *core, const char *agent, const struct api_job_progress *p);
/* scan_job_ended is told how a part's job ended. */
RC scan_job_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r);

#endif
