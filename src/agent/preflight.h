/* Job "preflight": what stands between names and their certificate, looked at before anything is ordered.
 *
 * The agent that talks to the CA reads its directory; the one that answers challenges puts an answer in place for each name, just
 * as it will for the CA, has the probe look at it (agent/probe/preflight.h), and takes it away again.  Findings are the result; the
 * job itself fails only where it makes no sense. */
#ifndef AGENT_PREFLIGHT_H
#define AGENT_PREFLIGHT_H

#include "agent/jobs.h"

/* What all names of a job may take together. */
#define PREFLIGHT_MS 20000

RC preflight_run(struct ctx *ctx, struct hands *h, const struct job *job, struct buf *member);

#endif
