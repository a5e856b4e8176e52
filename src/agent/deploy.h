/* Installing a version at a target and proving that it is served (invariant 7), driven by a table of transitions over the hands:
 *
 *     look → stage → check what is there → install → check → reload → prove → commit
 *                                             └────────┴────────┴──────┴→ undo → check → reload → prove the previous → close
 *
 * Every step can be done again; where the agent or a hand dies, deploy_resume() goes on from apply's journal, without the hub. */
#ifndef AGENT_DEPLOY_H
#define AGENT_DEPLOY_H

#include "agent/hands.h"

#define DEPLOY_ENDPOINTS_MAX 64

/* Which lease it is done under; travels in the journal's plan, so that the result finds its job. */
struct lease {
    const char *job;
    int64_t fence;
};

/* deploy_run does the job `body` (member "deploy" of a Job).  `member` gets the member "deploy" of the result, in success and
 * failure. */
RC deploy_run(struct ctx *ctx, struct hands *h, struct story *story, struct lease lease, const json_t *body, struct buf *member);
/* deploy_resume finishes or undoes what stands unfinished at `target`.  `lease` says whose it was; its job is "" where nothing was
 * to do. */
RC deploy_resume(struct ctx *ctx, struct hands *h, struct story *story, const char *target, struct lease *lease,
                 struct buf *member);
/* deploy_verify does a "verify" job. */
RC deploy_verify(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body, struct buf *member);

#endif
