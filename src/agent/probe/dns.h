/* What probe asks of DNS: where a challenge's record belongs, and which of the zone's servers show it. */
#ifndef AGENT_PROBE_DNS_H
#define AGENT_PROBE_DNS_H

#include "agent/agent_config.h"
#include "base/address.h"
#include "wire/messages.h"

#define DNS_ALIASES_MAX 8

/* probe_dns_resolvers gives those of agent.yaml, else the system's. */
RC probe_dns_resolvers(struct ctx *ctx, const struct agent_config *cfg, struct address **out, size_t *n);
/* probe_dns_find follows aliases and delegations from `name`.  The resolvers (agent.yaml, else /etc/resolv.conf) are asked for the
 * zones above it and their servers, and those servers for the rest.  Where none of them can be reached the resolvers are asked
 * instead, and `servers` stays empty.  E_DNS where there is no such zone; E_ADDRESS_REFUSED where a zone's servers are in a network
 * that is not granted. */
RC probe_dns_find(struct ctx *ctx, const struct agent_config *cfg, const struct address_grants *grants, const char *name,
                  struct wire_probe_dns_zone_is *out);
RC probe_dns_look(struct ctx *ctx, const struct address_grants *grants, const struct wire_probe_dns_txt *in,
                  struct wire_probe_dns_txt_seen *out);

#endif
