/* Between the files of the engine (agent/probe/scan.c, agent/probe/scan_slot.c): nobody else includes this. */
#ifndef AGENT_PROBE_SCAN_OWN_H
#define AGENT_PROBE_SCAN_OWN_H

#include <sys/epoll.h>

#include "agent/probe/scan.h"
#include "agent/probe/scan_names.h"
#include "net/tls_look.h"

#define SCAN_EVENTS_MAX 256
#define SCAN_ASKS       9

enum phase { PHASE_FREE, PHASE_CONNECTING, PHASE_STARTTLS, PHASE_HELLO, PHASE_LOOK, PHASE_WAITING };

/* What one connection is for.  The order is that in which an endpoint is asked.  One that showed no certificate is asked
 * STEP_FIRST, STEP_FALLBACK and, to say why, STEP_TLS13; where that chose a post-quantum group STEP_CLASSIC says whether it takes
 * others as well. */
enum step { STEP_FIRST, STEP_FALLBACK, STEP_OTHER_KEY, STEP_TLS13, STEP_POST_QUANTUM, STEP_CLASSIC, STEP_TLS11, STEP_TLS10,
            STEP_VERIFY, STEP_END };

/* What an endpoint has shown so far; heap.  `n` is 0 where it answered to TLS 1.3 and showed no certificate. */
struct gathered {
    struct hello_reader reader[SCAN_CHAINS]; /* where the chain was read by us … */
    struct tls_look *look[SCAN_CHAINS];      /* … or by OpenSSL */
    size_t n;
    enum hello_keys keys; /* of the first chain */
    bool tls10, tls11, tls12, tls13, verified;
    bool no_classic; /* without post-quantum groups it refuses */
    uint16_t group13, group_pq;
};

struct slot {
    int fd;
    uint32_t generation;
    uint8_t phase, step;
    uint8_t first_state; /* enum scan_state of the first try, told where the fallback fails too */
    bool single;
    int16_t alert;
    uint16_t port_at;
    uint16_t busy_at;
    uint32_t received; /* bytes of all its connections: HELLO_BYTES_MAX at most */
    size_t held; /* bytes of memory, as scan_slot.c weighed them last */
    struct address address;
    const char *name;
    uint64_t position;
    int64_t began_ms, deadline_ms;
    struct slot *prev, *next; /* in its list of deadlines, or of those that wait */
    struct hello_reader reader;
    struct starttls_talk *talk;
    struct tls_look *look;
    struct gathered *got;
    char why[120];
};

struct list {
    struct slot *first, *last;
};

struct scan {
    struct ctx keep; /* holds what lives as long as the scan */
    struct ctx scratch;
    struct scan_space space;
    struct scan_nets exclude, granted;
    unsigned rate, in_flight, per_host, looks_most;
    size_t memory_most, held; /* of all slots */
    int connect_ms, answer_ms;
    bool both_keys, details, verify;
    int epoll, wake;
    struct slot *slots;
    struct list free, connecting, answering, waiting;
    size_t active, looks;
    uint8_t *busy; /* connections by the hash of an address: two that share a place only wait a little longer */
    struct scan_place *deferred; /* ring */
    size_t deferred_at, deferred_n;
    bool freed; /* a host has become less busy since the deferred were looked at */
    uint64_t next;
    struct scan_place name_place; /* of the name whose addresses are being given out */
    struct address name_addresses[SCAN_NAME_ADDRESSES];
    size_t name_n, name_given;
    struct scan_names *names;
    struct tls_looks *looks_shared;
    struct buf asks[SCAN_ASKS]; /* ClientHellos without a name, ready made */
    uint64_t random[2];
    int64_t tokens_us, rate_at_us, shortage_until_ms;
    struct scan_counts counts;
    uint8_t received[HELLO_BYTES_MAX + 1];
    scan_found *found;
    void *arg;
    bool enough; /* it said so */
    struct epoll_event events[SCAN_EVENTS_MAX]; /* told by the kernel, and told once: kept where there was enough */
    int events_at, events_n;
    int64_t ran_ms; /* when scan_run ended last; 0: never */
};

/* scan.c: the engine.
 * scan_move_to puts a slot into the list of its phase, with a new deadline. */
void scan_move_to(struct scan *s, struct slot *slot, enum phase phase);
/* scan_connect begins the next connection of an endpoint: now, or in its turn. */
void scan_connect(struct scan *s, struct slot *slot);
/* scan_tell counts how an endpoint answered and tells it; scan_give_back makes the slot free for another endpoint. */
void scan_tell(struct scan *s, const struct scan_result *r);
void scan_give_back(struct scan *s, struct slot *slot);

/* scan_slot.c: what one connection and one endpoint go through.  Each of these may end the connection, and the endpoint too. */
void scan_slot_on_event(struct scan *s, struct slot *slot, uint32_t events);
void scan_slot_expire(struct scan *s, struct slot *slot);     /* its deadline has passed */
void scan_slot_fail_errno(struct scan *s, struct slot *slot); /* the connection cannot be made: errno says why */

/* Whether OpenSSL does it: servers that our own ClientHello did not serve, and whole handshakes. */
bool scan_slot_by_openssl(const struct slot *slot);
/* scan_slot_forget ends its connection and drops what was gathered; nothing is told. */
void scan_slot_forget(struct scan *s, struct slot *slot);

#endif
