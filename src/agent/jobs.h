/* The kinds of jobs, each with what does it. */
#ifndef AGENT_JOBS_H
#define AGENT_JOBS_H

#include "agent/deploy.h"

/* One job as it was leased: its own copy, with the member named by its kind. */
struct job {
    const char *id, *kind;
    int64_t fence;
    const json_t *body;
};

/* jobs_run does it.  `member` gets the member of the result named by jobs_member(), or stays empty. */
RC jobs_run(struct ctx *ctx, struct hands *h, struct story *story, const struct job *job, struct buf *member);
/* jobs_relayed says whether a job may wait for others for long: done by the relay, or until a zone's servers show a value. */
bool jobs_relayed(const char *kind, const json_t *body);
/* jobs_kinds returns the kinds, NULL-terminated: what the agent can do. */
const char *const *jobs_kinds(void);
/* jobs_put_result writes a JobResult. */
void jobs_put_result(struct ctx *ctx, struct buf *out, const char *id, int64_t fence, const char *kind, struct rc rc,
                     struct story *story,
                     const struct buf *member);

#endif
