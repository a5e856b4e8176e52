/* IP addresses, networks, and the guard on outbound connections.
 *
 * The guard is asked at connect, with the address that will really be used, never with a name: loopback, link-local, private and
 * other special ranges are reached only where a grant names them (IANA special-purpose registries, RFC 6890). */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include <sys/socket.h>

#include "base/buf.h"
#include "base/ctx.h"

/* An IP address with a port.  All-zero is no address. */
struct address {
    uint8_t ip[16]; /* the first `len` bytes count */
    uint8_t len;    /* 4 or 16 */
    uint16_t port;  /* 0 where none is meant */
    uint32_t scope; /* interface of a link-local IPv6 address, else 0 */
};

/* A network: the first `bits` bits of `base`. */
struct cidr {
    struct address base;
    uint8_t bits;
};

/* Networks that may be reached although they are not public.  All-zero grants nothing. */
struct address_grants {
    const struct cidr *v;
    size_t n;
};

enum address_class {
    ADDRESS_PUBLIC,
    ADDRESS_LOOPBACK,   /* 127.0.0.0/8, ::1 */
    ADDRESS_LINK_LOCAL, /* 169.254.0.0/16, fe80::/10: cloud metadata services live here */
    ADDRESS_PRIVATE,    /* RFC 1918, shared address space (RFC 6598), unique local (RFC 4193), site-local, local NAT64 (RFC 8215) */
    ADDRESS_RESERVED,   /* documentation, benchmarks, protocol assignments, 240.0.0.0/4, Teredo, discard, … */
    ADDRESS_MULTICAST,
    ADDRESS_UNSPECIFIED, /* 0.0.0.0/8, :: */
};

#define ADDRESS_TEXT_MAX 64 /* bytes that any text of an address with brackets, scope and port needs, NUL included */

/* address_parse reads an IPv4 or IPv6 literal without port, brackets or scope; the port becomes 0. */
bool address_parse(struct bytes text, struct address *out);
/* address_parse_host_port reads "host:port", "[v6]:port", "host", "v6" or "[v6]"; `host` comes without brackets, checked to be
 * an address or a name of letters, digits, '-', '_' and '.'.  `port` becomes `default_port` where there is none; where that is 0,
 * a missing port is an error.  Fails with E_INVALID. */
RC address_parse_host_port(struct ctx *ctx, struct bytes text, uint16_t default_port, const char **host, uint16_t *port);
/* cidr_parse reads "192.0.2.0/24", "2001:db8::/32" or one address; bits outside the mask must be zero. */
bool cidr_parse(struct bytes text, struct cidr *out);
bool cidr_has(const struct cidr *net, const struct address *a);
/* cidr_grants is cidr_has(), but loopback and link-local addresses only where all of `net` is of that class: 0.0.0.0/0 grants none
 * of them. */
bool cidr_grants(const struct cidr *net, const struct address *a);

/* address_from_sockaddr is false for families that are not IP. */
bool address_from_sockaddr(const struct sockaddr *sa, struct address *out);
socklen_t address_to_sockaddr(const struct address *a, struct sockaddr_storage *out);

/* address_put appends "192.0.2.1" or "2001:db8::1"; address_put_port "192.0.2.1:443" or "[2001:db8::1]:443". */
void address_put(struct buf *b, const struct address *a);
void address_put_port(struct buf *b, const struct address *a);
const char *address_str(struct arena *arena, const struct address *a);      /* without port */
const char *address_port_str(struct arena *arena, const struct address *a); /* with port */

/* address_classify looks through IPv4-mapped, IPv4-compatible, NAT64 (64:ff9b::/96) and 6to4 addresses at the IPv4 address
 * inside. */
enum address_class address_classify(const struct address *a);
const char *address_class_text(enum address_class c); /* "private", "link-local", … */
/* address_allowed: public, or inside a grant.  Multicast and unspecified addresses are never allowed.  A grant of an IPv4
 * network covers the IPv6 forms that lead into it. */
bool address_allowed(const struct address *a, const struct address_grants *grants);
/* address_check is address_allowed() that fails with E_ADDRESS_REFUSED and says what to grant. */
RC address_check(struct ctx *ctx, const struct address *a, const struct address_grants *grants);

#endif
