/* The message relay_dns for the providers that a description says how to speak with (agent/dns_desc.h): adds one TXT value at a
 * name, or takes it away.  What is done already is a success.  Other values at the name stay: they go back as they came.  What is
 * asked of a name of one provider is done one after the other; of a zone, where the provider's API replaces zones whole. */
#ifndef AGENT_RELAY_DNS_H
#define AGENT_RELAY_DNS_H

#include "agent/relay/credential.h"
#include "wire/messages.h"

struct dns_locks; /* the names that are worked on */
struct dns_locks *dns_locks_new(void);
void dns_locks_free(struct dns_locks *l); /* NULL is fine */

/* relay_dns_run fails with E_NOT_GRANTED where agent.yaml does not grant the name, E_BAD_ANSWER where the provider refused or
 * answered what the description does not know, E_BUSY where others changed the name all the time. */
RC relay_dns_run(struct ctx *ctx, const struct agent_config *cfg, const struct credential_files *files, struct dns_locks *locks,
                 const struct wire_relay_dns *in, struct wire_relay_dns_done *out);

#endif
