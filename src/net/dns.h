/* Name resolution by the system's resolver, bound by a deadline. */
#ifndef NET_DNS_H
#define NET_DNS_H

#include "base/address.h"

struct dns_answer {
    const struct address *v; /* in the order the resolver prefers, doubles removed */
    size_t n;                /* at least 1 after success, at most DNS_ADDRESSES_MAX */
};
#define DNS_ADDRESSES_MAX 32

/* dns_resolve looks up the IPv4 and IPv6 addresses of `host`, or reads it where it is a literal (no look-up then), each with
 * `port`.  Waits until the ctx's deadline, 10 s at most.  Fails with E_DNS or E_TIMEOUT.  The guard is not asked here: ask it for
 * the address that is connected to. */
RC dns_resolve(struct ctx *ctx, const char *host, uint16_t port, struct dns_answer *out);

#endif
