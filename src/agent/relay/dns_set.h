/* All values at a name, for providers whose API replaces them at once: ours is found among them, and the set is written as it is,
 * as it shall be, and without ours.  What others put there goes back as it came. */
#ifndef AGENT_RELAY_DNS_SET_H
#define AGENT_RELAY_DNS_SET_H

#include "agent/dns_desc.h"
#include "agent/relay/push_session.h"
#include "wire/messages.h"

/* dns_set_read reads what `see` has read as `values`, and sets the values `was`, `values` and `others` of templates.  *there: ours
 * is among them.  Fails with E_BAD_ANSWER where a member is not what `each` looks like. */
RC dns_set_read(struct ctx *ctx, struct push_session *s, const struct dns_desc *d, const struct wire_relay_dns *in, bool *there);

#endif
