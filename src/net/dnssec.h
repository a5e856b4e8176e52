/* Whether the answers for a name hold up to DNSSEC (RFC 4035): asked of libunbound, which validates what the resolvers say. */
#ifndef NET_DNSSEC_H
#define NET_DNSSEC_H

#include "base/address.h"
#include "base/str.h"
#include "net/dns_wire.h"

/* DNSSEC_UNKNOWN: it cannot be told from here; no library, no trust anchor, a resolver that does not pass signatures on. */
enum dnssec_verdict { DNSSEC_UNKNOWN, DNSSEC_INSECURE, DNSSEC_SECURE, DNSSEC_BOGUS };

/* Trust anchors where no others are given: those of the root, of Debian's package dns-root-data. */
#define DNSSEC_ROOT_KEY "/usr/share/dns/root.key"

/* dnssec_load loads libunbound, before the sandbox is entered; without it every answer is DNSSEC_UNKNOWN. */
void dnssec_load(struct ctx *ctx);

struct dnssec_ask {
    const struct address *resolvers; /* with ports */
    size_t n;
    const struct str_list *anchors; /* DS or DNSKEY records as text; empty: DNSSEC_ROOT_KEY */
    const char *name;
    enum dns_type type;
    int64_t timeout_ms;
};
/* dnssec_look asks; `*why` says in words why it is not known, or what is wrong. */
enum dnssec_verdict dnssec_look(struct ctx *ctx, const struct dnssec_ask *ask, const char **why);

#endif
