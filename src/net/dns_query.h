/* Questions put to chosen DNS servers: what the resolver of the system cannot do, that is to ask the servers of a zone themselves,
 * for any type, and to change a zone (RFC 2136).
 *
 * Over UDP from a port and with an id that nobody can guess, again over TCP where the answer is cut; what does not answer the
 * question is passed over.  Bound by time, size and count, whatever the servers say. */
#ifndef NET_DNS_QUERY_H
#define NET_DNS_QUERY_H

#include "base/address.h"
#include "net/dns_wire.h"

#define DNS_SERVERS_MAX 64

struct dns_ask {
    const struct address *servers; /* with ports; asked in turn, twice, until one answers */
    size_t n;
    const struct address_grants *grants; /* the guard; NULL: these servers are the configuration's own */
    const char *name;
    enum dns_type type;
    bool recurse;       /* of a resolver: ask on */
    int64_t timeout_ms; /* for all of it; 0: 5 s */
};

/* dns_ask gives the first answer that is NOERROR or NXDOMAIN, or the last one where there is none.  E_TIMEOUT where nobody
 * answers, E_UNREACHABLE, E_ADDRESS_REFUSED. */
RC dns_ask(struct ctx *ctx, const struct dns_ask *q, struct dns_reply *out);

/* dns_update changes one value, signed with the key, and dns_ask_signed asks a question so: over TCP.  A refusal is an answer:
 * look at out->rcode and, where that is NOTAUTH, at out->tsig.error.  An answer that says it was done is believed only if it is
 * signed; else E_BAD_ANSWER. */
RC dns_update(struct ctx *ctx, const struct address *server, const struct address_grants *grants, const struct dns_key *key,
              const struct dns_change *change, struct dns_reply *out);
RC dns_ask_signed(struct ctx *ctx, const struct address *server, const struct address_grants *grants, const struct dns_key *key,
                  const char *name, enum dns_type type, struct dns_reply *out);

/* dns_resolvers returns the name servers of `text`, a file as resolv.conf(5); none: those of this host. */
RC dns_resolvers(struct ctx *ctx, struct bytes text, struct address **out, size_t *n);

#endif
