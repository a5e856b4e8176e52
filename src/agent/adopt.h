/* Jobs "adopt" and "release": a lineage of another ACME client is taken over, and given back (agent/apply/adopt.h). */
#ifndef AGENT_ADOPT_H
#define AGENT_ADOPT_H

#include "agent/hands.h"

/* adopt_job only looks where the body has no digest; `member` gets JobAdopted then: what is there, which services use it, and what
 * would be changed. */
RC adopt_job(struct ctx *ctx, struct hands *h, struct story *story, int64_t fence, const json_t *body, struct buf *member);
/* release_job waits until nobody works on the targets that its body names, gives back, and has their services read their files
 * again; where one of these will not, that is told. */
RC release_job(struct ctx *ctx, struct hands *h, struct story *story, int64_t fence, const json_t *body, struct buf *member);

#endif
