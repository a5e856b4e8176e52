/* Job "inventory": the certificates that lie on this host.  Files that services' configurations name (agent/discover.h) and those
 * in the folders of agent.yaml; who renews them where another ACME client does (agent/lineage.h).  The hand apply reads; what it
 * finds is handed to the hub batch by batch, and nothing of it is kept here. */
#ifndef AGENT_INVENTORY_JOB_H
#define AGENT_INVENTORY_JOB_H

#include "agent/hands.h"

#define INVENTORY_FILES_MAX   2000  /* that services name; those behind are left out, which is told */
#define INVENTORY_LOOKED_MAX  50000 /* files looked at in one job; likewise */

/* inventory_job does it; `member` gets JobInventoryDone. */
RC inventory_job(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body, struct buf *member);

#endif
