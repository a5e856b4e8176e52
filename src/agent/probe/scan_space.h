/* Which endpoints a scan asks, in which order: every position from 0 to the total names one endpoint, and always the same one while
 * targets, ports and seed stay, so that a scan is gone on with from one number.
 *
 * Names come first.  Then come networks, in an order that visits each endpoint once and neighbours far apart (a Feistel network
 * over the positions, walked until it falls inside), so that no host and no network is hammered. */
#ifndef AGENT_PROBE_SCAN_SPACE_H
#define AGENT_PROBE_SCAN_SPACE_H

#include "base/address.h"
#include "net/starttls.h"

#define SCAN_TOTAL_MAX (UINT64_C(1) << 40)

struct scan_port {
    uint16_t port;
    enum starttls starttls;
};

struct scan_target {
    struct cidr net;  /* base.len 0: a name that is resolved */
    const char *name; /* asked for at each address of `net`; NULL: none */
};

/* Networks to be found by an address. */
struct scan_nets {
    struct cidr *v; /* by their first address, none within another */
    size_t n;
    struct cidr *all; /* as they were given, by their first address */
    size_t all_n;
};
/* scan_nets_make copies them to the arena. */
struct scan_nets scan_nets_make(struct arena *arena, const struct cidr *v, size_t n);
/* scan_nets_find returns the network that holds the address, or NULL. */
const struct cidr *scan_nets_find(const struct scan_nets *nets, const struct address *a);
/* scan_granted says whether the address may be asked where `granted` is what agent.yaml grants: multicast and unspecified addresses
 * never; loopback and link-local ones only by a network of such alone; an IPv6 form that leads to an IPv4 address only by a network
 * within that form. */
bool scan_granted(const struct scan_nets *granted, const struct address *a);

struct scan_range {
    struct cidr net;
    const char *name;
    uint64_t first; /* number of its first address, counted over all ranges */
};

struct scan_space {
    const char **names; /* to be resolved */
    size_t names_n;
    struct scan_range *ranges;
    size_t ranges_n;
    const struct scan_port *ports;
    size_t ports_n;
    uint64_t hosts;  /* addresses of all ranges */
    uint64_t by_name; /* positions of names: those before it */
    uint64_t total;
    uint64_t key[4];
    unsigned half; /* bits of one half of the permutation */
};

/* scan_space_make sorts targets out; `ports` must outlive it, texts too.  Ranges within others (and without a name of their own)
 * are dropped.  Fails with E_TOO_LARGE over SCAN_TOTAL_MAX, E_INVALID where there is nothing to do. */
RC scan_space_make(struct ctx *ctx, const struct scan_target *targets, size_t n, const struct scan_port *ports, size_t ports_n,
                   uint64_t seed, struct scan_space *out);

struct scan_place {
    uint64_t position;
    struct address address; /* with port; len 0: that of the name, which is still to be resolved */
    const char *name;       /* NULL: none */
    size_t name_at;         /* which of `names`, where the address is to be resolved */
    uint16_t port_at;
    bool single; /* an address or a name was given, not a network */
};
/* scan_space_at says what is at `position` (below the total). */
void scan_space_at(const struct scan_space *s, uint64_t position, struct scan_place *out);

/* scan_target_parse reads a network, an address, a name, or name@address; scan_port_parse "443" or "25/smtp". */
RC scan_target_parse(struct ctx *ctx, const char *text, struct scan_target *out);
RC scan_port_parse(struct ctx *ctx, const char *text, struct scan_port *out);

#endif
