/* Certificates that lie on hosts: agents are asked daily, and when somebody asks; what they find goes into the inventory.
 *
 * A file is an endpoint of kind "file", one of a host's own store of roots of kind "store"; its place is "AGENT:PATH".  What the
 * agent says of it is in the endpoint's options: {"format": "pem", "service": "nginx", "renewal": {…}}, where the last is
 * HostRenewal of the API as it was told, if another ACME client renews the certificate.  A file that is gone is not told any more:
 * its endpoint stays as it was seen last, until retention takes it. */
#ifndef CORE_HOST_INVENTORY_H
#define CORE_HOST_INVENTORY_H

#include "api/types.h"
#include "core/core.h"

#define HOST_INVENTORY_EVERY_S 86400

/* host_inventory_ask makes the job, or gives the one that is open. */
RC host_inventory_ask(struct ctx *ctx, struct core *core, const char *ref, const char **job);
/* host_inventory_took takes the batch of a job's progress, in a transaction of its own; not inside of one.  One that the job's
 * lease is not held for any more is left out. */
RC host_inventory_took(struct ctx *ctx, struct core *core, const char *agent, const struct api_job_progress *p);

/* Timer `inventory`: of "all", which looks every ten minutes for agents that have none of their own yet; of an agent, daily.
 * host_inventory_start arms the former where it is not. */
RC host_inventory_start(struct ctx *ctx, struct txn *txn);
RC host_inventory_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref);

#endif
