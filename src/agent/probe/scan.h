/* The engine of network scans: one thread, one epoll, as many connections at a time as it may.
 *
 * Each endpoint is asked by a ClientHello of our own and its answer read in the clear (net/hello.h).  Who refuses is asked once
 * more by OpenSSL (net/tls_look.h), above all servers that speak TLS 1.3 alone.  What more is wished (the certificate of the other
 * kind of key, protocol versions, groups, a whole handshake) costs a connection each, one after another, to endpoints that showed a
 * certificate.  From a host at most 64 KiB are read a connection, and no connection lasts longer than its times. */
#ifndef AGENT_PROBE_SCAN_H
#define AGENT_PROBE_SCAN_H

#include "agent/probe/scan_space.h"
#include "net/hello.h"

#define SCAN_IN_FLIGHT_MAX 65536

struct scan_spec {
    const struct scan_target *targets;
    size_t targets_n;
    const struct cidr *exclude;
    size_t exclude_n;
    const struct cidr *granted; /* what agent.yaml allows; nothing else is connected to */
    size_t granted_n;
    const struct scan_port *ports;
    size_t ports_n;
    unsigned rate;      /* connections a second; 0: as fast as it goes */
    unsigned in_flight; /* 0: 2,048; fewer where the process may not open so many */
    unsigned per_host;  /* connections to one address at a time; 0: 4 */
    unsigned looks;     /* endpoints that OpenSSL begins to look at, at a time; 0: 256 */
    size_t memory;      /* for what all endpoints send, in bytes; 0: 64 MiB */
    int connect_ms, answer_ms; /* 0: 3,000 and 5,000 */
    uint64_t seed, position;
    bool both_keys, details, verify;
};

enum scan_state {
    SCAN_TLS,
    SCAN_ALERT,
    SCAN_CLOSED,      /* it took the connection and closed it */
    SCAN_SILENT,      /* nothing came in time */
    SCAN_REFUSED,
    SCAN_UNREACHABLE, /* the network says so */
    SCAN_NOT_TLS,
    SCAN_BAD_ANSWER,
    SCAN_NOT_GRANTED,
    SCAN_UNRESOLVED,
    SCAN_STATES
};
const char *scan_state_name(enum scan_state s); /* "tls", "alert", … as in the API */

#define SCAN_CHAINS 2
#define SCAN_VERSIONS_MAX 4
#define SCAN_GROUPS_MAX 2
struct scan_chain {
    struct bytes v[HELLO_CHAIN_MAX]; /* DER, as sent, leaf first */
    size_t n;
    const char *version, *cipher; /* "" where not known */
    const char *group;
};

/* How one endpoint answered to one name.  All of it is valid during the call. */
struct scan_result {
    struct address address; /* len 0 where the name is not resolved */
    const char *name;       /* "": none */
    enum starttls starttls;
    bool single; /* given as an address or name, not found in a network */
    enum scan_state state;
    int alert;
    const char *detail;
    int64_t took_ms; /* until the last connection ended */
    bool verified;
    struct scan_chain chains[SCAN_CHAINS];
    size_t chains_n; /* 0 unless it showed a certificate: SCAN_TLS */
    struct bytes alpn, ocsp;
    bool asks_certificate;
    const char *versions[SCAN_VERSIONS_MAX], *groups[SCAN_GROUPS_MAX];
    size_t versions_n, groups_n;
};

struct scan_counts {
    uint64_t probed, found, silent, refused, failed, skipped; /* endpoints; skipped: excluded or not granted */
    uint64_t connections;
};

struct scan;
/* scan_new prepares it; texts and lists of `spec` need not outlive the call.  scan_free ends what is under way. */
RC scan_new(struct ctx *ctx, const struct scan_spec *spec, struct scan **out);
void scan_free(struct scan *s);

/* scan_run goes on until `until_ms` (clock_mono_ms), the end, or `found` returning false.  `found` is called for each endpoint that
 * is done, also for those that do not answer.  Between two calls everything stands still; where that was long, what was under way
 * is begun anew. */
typedef bool scan_found(void *arg, const struct scan_result *r);
RC scan_run(struct ctx *ctx, struct scan *s, int64_t until_ms, scan_found *found, void *arg);

/* scan_set_rate changes how many connections a second it may make, from now on; not while scan_run is under way. */
void scan_set_rate(struct scan *s, unsigned rate);

uint64_t scan_total(const struct scan *s);
/* scan_position: everything before it is done. */
uint64_t scan_position(const struct scan *s);
bool scan_is_done(const struct scan *s);
struct scan_counts scan_counts(const struct scan *s);

#endif
