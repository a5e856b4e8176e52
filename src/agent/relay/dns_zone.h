/* All records of a zone, for providers whose API replaces them at once (struct dns_records): each is checked to be of the form that
 * the description knows, ours is found among them, and the zone is written as it is, as it shall be, and without ours.  There is no
 * condition in such an API: what was read before is compared with what is there after the change. */
#ifndef AGENT_RELAY_DNS_ZONE_H
#define AGENT_RELAY_DNS_ZONE_H

#include "agent/dns_desc.h"
#include "agent/relay/push_session.h"
#include "wire/messages.h"

/* What was read of a zone. */
struct dns_zone {
    struct dns_zone_record {
        struct bytes text; /* all that is sent of it, in one */
        const char *label; /* for people */
    } *others;
    size_t n;
    struct push_value *rest; /* what else `see` read */
    size_t n_rest;
};

/* dns_zone_check fails with E_BAD_ANSWER where PREFIX.records, or another value that PREFIX read, is not as the description
 * knows. */
RC dns_zone_check(struct ctx *ctx, struct push_session *s, const struct dns_desc *d, const char *prefix);
/* dns_zone_read checks what `see` has read, and sets the values `was`, `values` and `others` of templates: members of a form.
 * *there: ours is among them. */
RC dns_zone_read(struct ctx *ctx, struct push_session *s, const struct dns_desc *d, const struct wire_relay_dns *in,
                 struct dns_zone *out, bool *there);
/* dns_zone_lost says in words what of `before` is not in `after`: NULL where all is; *more: how many records are there that were
 * not. */
const char *dns_zone_lost(struct ctx *ctx, const struct dns_zone *before, const struct dns_zone *after, size_t *more);

#endif
