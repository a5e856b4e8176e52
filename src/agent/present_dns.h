/* Answering challenges with TXT records (dns-01, RFC 8555 section 8.4, and its relatives): jobs "present" and "clean" whose method
 * begins with "dns-", and "dns_present", "dns_clean", "dns_test".
 *
 * Aliases are followed first, and the zone at their end must be granted in agent.yaml.  The value is noted on disk, added by the
 * relay (a description of dns/, or RFC 2136) or by a program, and then all servers of the zone are asked until they show it. */
#ifndef AGENT_PRESENT_DNS_H
#define AGENT_PRESENT_DNS_H

#include "agent/hands.h"

bool present_dns_method(const char *method);
/* present_dns_run returns when the CA can see the value; what could not be made visible is taken away again.  Again for the same
 * value: goes on where it was.  Where the job names another value in `replaces`, that goes then. */
RC present_dns_run(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body);
/* present_dns_clean takes exactly that value away; where there is no note of it that is a success.  One of dns-persist-01, which is
 * not noted, is looked for where its name leads now. */
RC present_dns_clean(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body);
/* present_dns_sweep takes away what has stood for more than a day: nobody asks for it any more.  What cannot be is given up after a
 * week.  `*kept`: how many there were. */
RC present_dns_sweep(struct ctx *ctx, struct hands *h, size_t *kept);
/* present_dns_test tries a provider's credential; writes a JobDnsTestDone. */
RC present_dns_test(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body, struct buf *member);

#endif
