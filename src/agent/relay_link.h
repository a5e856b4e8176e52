/* Jobs that the hand `relay` does (ACME), and what it asks back: requests to be signed, which only the hub's signer can do. */
#ifndef AGENT_RELAY_LINK_H
#define AGENT_RELAY_LINK_H

#include "agent/jobs.h"

struct agent; /* exchange.h */

/* relay_job does a job of the kinds order, acme_revoke, acme_info and renewal_info. */
RC relay_job(struct ctx *ctx, struct hands *h, struct story *story, const struct job *job, struct buf *member);
/* relay_serve_agent answers what the relay asks of the agent, until the server is stopped. */
RC relay_serve_agent(struct ctx *ctx, struct wire_server *server, struct agent *a);

#endif
