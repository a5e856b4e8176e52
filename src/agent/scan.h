/* The job `scan`: the hand `probe` scans, and what it finds goes to the hub batch by batch.  The next batch is asked for when the
 * hub has the one before; where the probe or the agent starts anew, the scan goes on at the position that the hub knows. */
#ifndef AGENT_SCAN_H
#define AGENT_SCAN_H

#include "agent/hands.h"

/* scan_job does it; `member` gets a JobScanDone. */
RC scan_job(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body, struct buf *member);

#endif
