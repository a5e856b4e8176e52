#include "agent/probe/scan.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/probe/scan_names.h"
#include "base/random.h"
#include "net/tls_look.h"

#define IN_FLIGHT_USUAL 2048
#define LOOKS_USUAL     256  /* handshakes of OpenSSL that are begun at a time: each needs some 100 KiB */
#define DEFERRED_MAX    1024 /* endpoints that wait because their host is busy */
#define EVENTS_MAX      256
#define SPARE_FILES     256  /* left to the rest of the process */
#define BUSY_SLOTS      (1u << 16)
#define KEPT_BUFFER     8192 /* larger ones are given back after an endpoint */
#define MEMORY_USUAL    (64u << 20) /* for what all endpoints send; many that send much at once are let go */
#define MEMORY_FAIR     16384 /* each may have so much even then */
#define SHORTAGE_MS     200
#define PAUSE_MS        1000 /* connections outlive a pause of scan_run that is no longer */
#define ASKS            8

enum phase { PHASE_FREE, PHASE_CONNECTING, PHASE_STARTTLS, PHASE_HELLO, PHASE_LOOK, PHASE_WAITING };

/* What one connection is for.  The order is that in which an endpoint is asked. */
enum step { STEP_FIRST, STEP_FALLBACK, STEP_OTHER_KEY, STEP_TLS13, STEP_POST_QUANTUM, STEP_TLS11, STEP_TLS10, STEP_VERIFY,
            STEP_END };

/* What an endpoint that showed a certificate has shown so far; heap. */
struct gathered {
    struct hello_reader reader[SCAN_CHAINS]; /* where the chain was read by us … */
    struct tls_look *look[SCAN_CHAINS];      /* … or by OpenSSL */
    size_t n;
    enum hello_keys keys; /* of the first chain */
    bool tls10, tls11, tls12, tls13, verified;
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
    size_t held; /* bytes of memory, as weigh() found them */
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
    struct buf asks[ASKS]; /* ClientHellos without a name, ready made */
    uint64_t random[2];
    int64_t tokens_us, rate_at_us, shortage_until_ms;
    struct scan_counts counts;
    uint8_t received[HELLO_BYTES_MAX + 1];
    scan_found *found;
    void *arg;
    bool enough; /* it said so */
    struct epoll_event events[EVENTS_MAX]; /* told by the kernel, and told once: kept where there was enough */
    int events_at, events_n;
    int64_t ran_ms; /* when scan_run ended last; 0: never */
};

const char *scan_state_name(enum scan_state s)
{
    static const char *const names[SCAN_STATES] = {
        [SCAN_TLS] = "tls",         [SCAN_ALERT] = "alert",
        [SCAN_CLOSED] = "closed",   [SCAN_SILENT] = "silent",
        [SCAN_REFUSED] = "refused", [SCAN_UNREACHABLE] = "unreachable",
        [SCAN_NOT_TLS] = "not_tls", [SCAN_BAD_ANSWER] = "bad_answer",
        [SCAN_NOT_GRANTED] = "not_granted", [SCAN_UNRESOLVED] = "unresolved",
    };
    return names[s];
}

/* --- lists of slots */

static void list_add(struct list *l, struct slot *s)
{
    s->prev = l->last;
    s->next = NULL;
    *(l->last ? &l->last->next : &l->first) = s;
    l->last = s;
}

static void list_remove(struct list *l, struct slot *s)
{
    *(s->prev ? &s->prev->next : &l->first) = s->next;
    *(s->next ? &s->next->prev : &l->last) = s->prev;
    s->prev = s->next = NULL;
}

static struct list *list_of(struct scan *s, const struct slot *slot)
{
    return slot->phase == PHASE_FREE         ? &s->free
           : slot->phase == PHASE_CONNECTING ? &s->connecting
           : slot->phase == PHASE_WAITING    ? &s->waiting
                                             : &s->answering;
}

/* All deadlines of a list are as far away, so the first is the next. */
static void move_to(struct scan *s, struct slot *slot, enum phase phase)
{
    list_remove(list_of(s, slot), slot);
    const bool waits = phase == PHASE_WAITING || phase == PHASE_FREE;
    slot->phase = (uint8_t)phase;
    slot->deadline_ms = waits ? 0 : clock_mono_ms() + (phase == PHASE_CONNECTING ? s->connect_ms : s->answer_ms);
    if (phase == PHASE_FREE) { /* the one used last is the next: its memory is warm */
        slot->prev = NULL;
        slot->next = s->free.first;
        *(s->free.first ? &s->free.first->prev : &s->free.last) = slot;
        s->free.first = slot;
        return;
    }
    list_add(list_of(s, slot), slot);
}

/* Within the list of answers the deadline stays: a conversation has one time for all of it. */
static void change_phase(struct slot *slot, enum phase phase)
{
    slot->phase = (uint8_t)phase;
}

/* --- asking */

static uint64_t cheap_random(struct scan *s)
{
    uint64_t a = s->random[0];
    const uint64_t b = s->random[1];
    s->random[0] = b;
    a ^= a << 23;
    s->random[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
    return s->random[1] + b;
}

static enum hello_keys other_keys(enum hello_keys keys)
{
    return keys == HELLO_RSA ? HELLO_ECDSA : HELLO_RSA;
}

static struct hello_ask ask_of(const struct scan *s, const struct slot *slot)
{
    struct hello_ask ask = {.version = 0x0303, .sni = slot->name, .details = s->details};
    if (slot->step == STEP_OTHER_KEY)
        ask.keys = other_keys(slot->got->keys);
    if (slot->step == STEP_TLS13 || slot->step == STEP_POST_QUANTUM)
        ask.version = 0x0304;
    if (slot->step == STEP_TLS11 || slot->step == STEP_TLS10)
        ask.version = slot->step == STEP_TLS11 ? 0x0302 : 0x0301;
    ask.post_quantum = slot->step == STEP_POST_QUANTUM;
    return ask;
}

static enum hello_until until_of(const struct scan *s, const struct slot *slot)
{
    if (slot->step != STEP_FIRST && slot->step != STEP_OTHER_KEY)
        return HELLO_UNTIL_HELLO;
    return s->details ? HELLO_UNTIL_DONE : HELLO_UNTIL_CERTIFICATE;
}

/* The same for all endpoints without a name: made once. */
static struct bytes ask_bytes(struct scan *s, const struct slot *slot, struct buf *own)
{
    struct hello_ask ask = ask_of(s, slot);
    const unsigned at = slot->step == STEP_FIRST       ? 0
                        : slot->step == STEP_OTHER_KEY ? 1 + ask.keys
                        : slot->step == STEP_TLS13     ? 4
                        : slot->step == STEP_TLS11     ? 5
                        : slot->step == STEP_TLS10     ? 6
                                                       : 7;
    struct buf *b = &s->asks[at];
    if (slot->name != NULL)
        b = own;
    else if (b->n > 0)
        goto ready;
    buf_init_arena(b, slot->name != NULL ? &s->scratch.arena : &s->keep.arena, HELLO_ASK_MAX);
    hello_put(b, &ask);
ready:
    if (rc_failed(buf_status(b)))
        return (struct bytes){0};
    for (unsigned i = 0; i < 4; i++) {
        const uint64_t r = cheap_random(s);
        memcpy(b->p + HELLO_RANDOM_AT + 8 * i, &r, 8);
    }
    return buf_bytes(b);
}

/* --- the end of a connection, and of an endpoint */

static void next_step(struct scan *s, struct slot *slot);
static void connect_slot(struct scan *s, struct slot *slot);

/* What the other side made us keep. */
static void weigh(struct scan *s, struct slot *slot)
{
    size_t held = slot->reader.messages.cap + (slot->talk != NULL ? slot->talk->heard.cap : 0);
    for (size_t i = 0; slot->got != NULL && i < SCAN_CHAINS; i++)
        held += slot->got->reader[i].messages.cap;
    s->held = s->held - slot->held + held;
    slot->held = held;
}

static void drop_connection(struct scan *s, struct slot *slot)
{
    if (slot->fd >= 0)
        close(slot->fd); /* leaves the epoll by itself */
    slot->fd = -1;
    slot->generation++;
    if (slot->talk != NULL) {
        starttls_end(slot->talk);
        free(slot->talk);
        slot->talk = NULL;
    }
    if (slot->look != NULL) {
        tls_look_free(slot->look);
        slot->look = NULL;
        s->looks--;
    }
}

static void gathered_free(struct scan *s, struct gathered *g)
{
    for (size_t i = 0; g != NULL && i < SCAN_CHAINS; i++) {
        hello_free(&g->reader[i]);
        if (g->look[i] != NULL) {
            tls_look_free(g->look[i]);
            s->looks--;
        }
    }
    free(g);
}

static const char *text_or(const char *text, const char *otherwise)
{
    return text != NULL ? text : otherwise;
}

static void tell_chain(const struct gathered *g, size_t i, struct scan_result *r)
{
    struct scan_chain *c = &r->chains[r->chains_n++];
    const struct hello_reader *h = &g->reader[i];
    const struct tls_look *l = g->look[i];
    if (l != NULL) {
        *c = (struct scan_chain){.version = tls_look_version(l), .cipher = tls_look_cipher(l), .group = tls_look_group(l)};
        c->n = tls_look_chain(l, c->v);
    } else {
        *c = (struct scan_chain){.version = text_or(hello_version_name(h->version), ""),
                                 .cipher = text_or(hello_suite_name(h->suite), ""),
                                 .group = text_or(hello_group_name(h->group), "")};
        c->n = hello_chain(h, c->v);
    }
    if (i > 0)
        return;
    r->alpn = l != NULL ? tls_look_alpn(l) : hello_bytes(h, h->alpn);
    r->ocsp = l != NULL ? tls_look_ocsp(l) : hello_bytes(h, h->ocsp);
    r->asks_certificate = l != NULL ? tls_look_asks(l) : h->asks_certificate;
}

static void tell_gathered(const struct scan *s, const struct gathered *g, struct scan_result *r)
{
    const bool takes[] = {g->tls10, g->tls11, g->tls12, g->tls13};
    static const char *const names[] = {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"};
    const uint16_t groups[] = {g->group13, g->group_pq};
    for (size_t i = 0; i < g->n; i++)
        tell_chain(g, i, r);
    r->verified = g->verified;
    for (size_t i = 0; s->details && i < SCAN_VERSIONS_MAX; i++)
        if (takes[i])
            r->versions[r->versions_n++] = names[i];
    for (size_t i = 0; i < SCAN_GROUPS_MAX; i++)
        if (groups[i] != 0 && hello_group_name(groups[i]) != NULL && (i == 0 || groups[0] != groups[1]))
            r->groups[r->groups_n++] = hello_group_name(groups[i]);
}

static void count(struct scan *s, enum scan_state state)
{
    if (state == SCAN_NOT_GRANTED) {
        s->counts.skipped++;
        return;
    }
    s->counts.probed++;
    *(state == SCAN_TLS       ? &s->counts.found
      : state == SCAN_SILENT  ? &s->counts.silent
      : state == SCAN_REFUSED ? &s->counts.refused
                              : &s->counts.failed) += 1;
}

static void tell(struct scan *s, const struct scan_result *r)
{
    if (!s->found(s->arg, r))
        s->enough = true;
}

static void finish(struct scan *s, struct slot *slot)
{
    struct scan_result r = {.address = slot->address,
                            .name = slot->name != NULL ? slot->name : "",
                            .starttls = s->space.ports[slot->port_at].starttls,
                            .single = slot->single,
                            .state = slot->got != NULL ? SCAN_TLS : (enum scan_state)slot->first_state,
                            .alert = slot->alert,
                            .detail = slot->got != NULL ? "" : slot->why,
                            .took_ms = clock_mono_ms() - slot->began_ms};
    drop_connection(s, slot);
    if (slot->got != NULL)
        tell_gathered(s, slot->got, &r);
    count(s, r.state);
    tell(s, &r);
    if (slot->got != NULL && slot->reader.messages.p == NULL) { /* its memory serves the next */
        slot->reader = slot->got->reader[0];
        slot->got->reader[0] = (struct hello_reader){0};
    }
    gathered_free(s, slot->got);
    slot->got = NULL;
    if (slot->reader.messages.cap > KEPT_BUFFER)
        hello_free(&slot->reader);
    s->held -= slot->held;
    slot->held = 0;
    s->busy[slot->busy_at]--;
    s->freed = true;
    s->active--;
    move_to(s, slot, PHASE_FREE);
}

/* Nothing to be had from this connection.  The first one decides, and the one by OpenSSL where it followed. */
static void fail(struct scan *s, struct slot *slot, enum scan_state state, int alert, const char *why)
{
    const enum step step = (enum step)slot->step;
    drop_connection(s, slot);
    if (step == STEP_FIRST) {
        slot->first_state = (uint8_t)state;
        slot->alert = (int16_t)alert;
        snprintf(slot->why, sizeof slot->why, "%s", why);
    }
    /* No certificate for that name (unrecognized_name) is an answer; all else may be a dislike of our ClientHello. */
    if (step == STEP_FIRST && (state == SCAN_ALERT || state == SCAN_CLOSED) && alert != 112) {
        slot->step = STEP_FALLBACK;
        connect_slot(s, slot);
        return;
    }
    if (step == STEP_FIRST || step == STEP_FALLBACK)
        finish(s, slot);
    else
        next_step(s, slot);
}

/* Which connection is the next one of an endpoint that has shown a certificate. */
static bool is_wanted(const struct scan *s, const struct slot *slot, enum step step)
{
    switch (step) {
    case STEP_OTHER_KEY:
        return s->both_keys && slot->got->keys != HELLO_ANY_KEY;
    case STEP_TLS13:
    case STEP_TLS11:
    case STEP_TLS10:
        return s->details;
    case STEP_POST_QUANTUM:
        return s->details && slot->got->tls13;
    case STEP_VERIFY:
        return s->verify;
    default:
        return false;
    }
}

static void next_step(struct scan *s, struct slot *slot)
{
    drop_connection(s, slot);
    do
        slot->step++;
    while (slot->step < STEP_END && !is_wanted(s, slot, (enum step)slot->step));
    if (slot->step >= STEP_END)
        finish(s, slot);
    else
        connect_slot(s, slot);
}

static struct bytes leaf_of(const struct gathered *g, size_t i)
{
    struct bytes chain[HELLO_CHAIN_MAX];
    const size_t n = g->look[i] != NULL ? tls_look_chain(g->look[i], chain) : hello_chain(&g->reader[i], chain);
    return n > 0 ? chain[0] : (struct bytes){0};
}

static struct gathered *gather(struct scan *s, struct slot *slot)
{
    if (slot->got == NULL && (slot->got = calloc(1, sizeof *slot->got)) == NULL) {
        slot->first_state = SCAN_BAD_ANSWER;
        snprintf(slot->why, sizeof slot->why, "no memory on the agent's side");
        finish(s, slot);
        return NULL;
    }
    return slot->got;
}

static void took_chain(struct scan *s, struct slot *slot)
{
    struct gathered *g = gather(s, slot);
    if (g == NULL)
        return;
    g->reader[g->n] = slot->reader;
    slot->reader = (struct hello_reader){0};
    g->n++;
    if (g->n == 1) {
        g->keys = hello_suite_keys(g->reader[0].suite);
        g->tls12 = g->reader[0].version == 0x0303;
        g->tls11 = g->reader[0].version == 0x0302;
        g->tls10 = g->reader[0].version == 0x0301;
    } else if (bytes_equal(leaf_of(g, 0), leaf_of(g, 1))) {
        hello_free(&g->reader[--g->n]);
    }
    next_step(s, slot);
}

/* OpenSSL has the chain, or the whole handshake. */
static void took_look(struct scan *s, struct slot *slot)
{
    struct gathered *g = gather(s, slot);
    struct bytes chain[HELLO_CHAIN_MAX];
    if (g == NULL)
        return;
    if (slot->step == STEP_VERIFY) {
        g->verified = tls_look_chain(slot->look, chain) > 0 && bytes_equal(chain[0], leaf_of(g, 0));
        next_step(s, slot);
        return;
    }
    g->look[g->n++] = slot->look;
    slot->look = NULL;
    if (g->n == 1) {
        const char *version = tls_look_version(g->look[0]);
        g->keys = tls_look_keys(g->look[0]);
        g->tls13 = strcmp(version, "TLSv1.3") == 0;
        g->tls12 = strcmp(version, "TLSv1.2") == 0;
    } else if (bytes_equal(leaf_of(g, 0), leaf_of(g, 1))) {
        tls_look_free(g->look[--g->n]);
        g->look[g->n] = NULL;
        s->looks--;
    }
    next_step(s, slot);
}

static void took_hello(struct scan *s, struct slot *slot)
{
    struct gathered *g = slot->got;
    const struct hello_reader *r = &slot->reader;
    if (slot->step == STEP_TLS13 && r->version == 0x0304)
        g->tls13 = true, g->group13 = r->group;
    else if (slot->step == STEP_POST_QUANTUM && r->version == 0x0304)
        g->group_pq = r->group;
    else if (slot->step == STEP_TLS11 && r->version == 0x0302)
        g->tls11 = true;
    else if (r->version == 0x0301)
        g->tls10 = true;
    next_step(s, slot);
}

/* --- what a connection goes through */

static bool send_all(const struct slot *slot, struct bytes data)
{
    return data.n == 0 || send(slot->fd, data.p, data.n, MSG_NOSIGNAL) == (ssize_t)data.n;
}

static void fail_errno(struct scan *s, struct slot *slot)
{
    const int error = errno;
    const bool before = slot->phase == PHASE_CONNECTING;
    if (before && error == ECONNREFUSED)
        fail(s, slot, SCAN_REFUSED, 0, "");
    else if (before && error == ETIMEDOUT)
        fail(s, slot, SCAN_SILENT, 0, "");
    else if (before && error != ECONNRESET && error != EPIPE)
        fail(s, slot, SCAN_UNREACHABLE, 0, text_or(strerrordesc_np(error), "unreachable"));
    else
        fail(s, slot, SCAN_CLOSED, 0, "it resets the connection");
}

/* Whether OpenSSL does it: servers that our own ClientHello did not serve, and whole handshakes. */
static bool by_openssl(const struct slot *slot)
{
    return slot->step == STEP_FALLBACK || slot->step == STEP_VERIFY ||
           (slot->step == STEP_OTHER_KEY && slot->got->look[0] != NULL);
}

static void hear_look(struct scan *s, struct slot *slot, struct bytes in)
{
    struct bytes say;
    const enum tls_look_state state = tls_look_feed(slot->look, in, &say);
    const bool sent = send_all(slot, say);
    const int alert = tls_look_alert(slot->look);
    if (state == TLS_LOOK_DONE)
        took_look(s, slot);
    else if (state == TLS_LOOK_FAILED)
        fail(s, slot, alert >= 0 ? SCAN_ALERT : SCAN_BAD_ANSWER, alert >= 0 ? alert : 0, tls_look_why(slot->look));
    else if (!sent)
        fail_errno(s, slot);
}

static void begin_look(struct scan *s, struct slot *slot)
{
    const struct tls_look_ask ask = {.sni = slot->name,
                                     .keys = slot->step == STEP_OTHER_KEY ? other_keys(slot->got->keys)
                                             : slot->step == STEP_VERIFY  ? slot->got->keys
                                                                          : HELLO_ANY_KEY,
                                     .whole = slot->step == STEP_VERIFY,
                                     .details = s->details};
    if (s->looks_shared == NULL && rc_failed(tls_looks_new(&s->scratch, &s->looks_shared))) {
        fail(s, slot, SCAN_BAD_ANSWER, 0, "TLS cannot be set up on the agent's side");
        return;
    }
    change_phase(slot, PHASE_LOOK);
    slot->look = tls_look_new(s->looks_shared, &ask);
    if (slot->look == NULL) {
        fail(s, slot, SCAN_BAD_ANSWER, 0, "the name cannot be sent");
        return;
    }
    s->looks++;
    hear_look(s, slot, (struct bytes){0});
}

static void begin_tls(struct scan *s, struct slot *slot)
{
    const bool straight = slot->phase == PHASE_CONNECTING;
    struct buf own;
    if (by_openssl(slot)) {
        if (straight)
            move_to(s, slot, PHASE_LOOK);
        begin_look(s, slot);
        return;
    }
    hello_reuse(&slot->reader, until_of(s, slot));
    const struct bytes ask = ask_bytes(s, slot, &own);
    if (ask.n == 0) {
        fail(s, slot, SCAN_BAD_ANSWER, 0, "the name is too long to be sent");
    } else if (!send_all(slot, ask)) {
        fail_errno(s, slot); /* of the connection, where it is the first that is said */
    } else if (straight) {
        move_to(s, slot, PHASE_HELLO);
    } else {
        change_phase(slot, PHASE_HELLO);
    }
}

static void hear_starttls(struct scan *s, struct slot *slot, struct bytes in)
{
    struct bytes say;
    bool ready;
    const struct rc rc = starttls_hear(&s->scratch, slot->talk, in, &say, &ready);
    if (rc_failed(rc)) {
        /* "it …", as the address is told beside it */
        fail(s, slot, rc.e == E_TLS ? SCAN_NOT_TLS : SCAN_BAD_ANSWER, 0, ctx_why(&s->scratch));
        return;
    }
    if (!send_all(slot, say))
        fail_errno(s, slot);
    else if (ready)
        begin_tls(s, slot);
}

static void connected(struct scan *s, struct slot *slot)
{
    const enum starttls protocol = s->space.ports[slot->port_at].starttls;
    if (protocol == STARTTLS_NONE) {
        begin_tls(s, slot);
        return;
    }
    move_to(s, slot, PHASE_STARTTLS);
    slot->talk = calloc(1, sizeof *slot->talk);
    if (slot->talk == NULL) {
        fail(s, slot, SCAN_BAD_ANSWER, 0, "no memory on the agent's side");
        return;
    }
    *slot->talk = (struct starttls_talk){.protocol = protocol, .peer = "it", .domain = slot->name};
    hear_starttls(s, slot, (struct bytes){0});
}

static void closed(struct scan *s, struct slot *slot)
{
    const struct hello_reader *r = &slot->reader;
    if (slot->phase == PHASE_HELLO && r->certificates.n > 0)
        took_chain(s, slot);
    else if (slot->phase == PHASE_HELLO && r->alerted)
        fail(s, slot, SCAN_ALERT, r->alert, "");
    else if (slot->phase == PHASE_HELLO && r->taken > 0)
        fail(s, slot, r->hello ? SCAN_BAD_ANSWER : SCAN_CLOSED, 0, "it closes the connection in its answer");
    else
        fail(s, slot, SCAN_CLOSED, 0, "it closes the connection");
}

static void hear_hello(struct scan *s, struct slot *slot, struct bytes in)
{
    switch (hello_read(&slot->reader, in)) {
    case HELLO_MORE:
        break;
    case HELLO_DONE:
        (slot->reader.until == HELLO_UNTIL_HELLO ? took_hello : took_chain)(s, slot);
        break;
    case HELLO_ALERT:
        fail(s, slot, SCAN_ALERT, slot->reader.alert, "");
        break;
    case HELLO_NOT_TLS:
        fail(s, slot, SCAN_NOT_TLS, 0, "it speaks another protocol");
        break;
    case HELLO_BAD:
        if (slot->reader.certificates.n > 0) /* what follows the chain may be as it likes */
            took_chain(s, slot);
        else
            fail(s, slot, SCAN_BAD_ANSWER, 0, slot->reader.why);
        break;
    }
}

static void on_readable(struct scan *s, struct slot *slot, bool ended)
{
    const uint32_t generation = slot->generation;
    for (;;) {
        const ssize_t n = recv(slot->fd, s->received, sizeof s->received, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            fail_errno(s, slot);
            return;
        }
        if (n == 0) {
            closed(s, slot);
            return;
        }
        const struct bytes in = bytes_of(s->received, (size_t)n);
        if (slot->phase == PHASE_HELLO)
            hear_hello(s, slot, in);
        else if (slot->phase == PHASE_STARTTLS)
            hear_starttls(s, slot, in);
        else
            hear_look(s, slot, in);
        /* Edge-triggered: a short read has emptied it, and what comes later is another event; the end was told already. */
        if (slot->generation != generation || slot->fd < 0 || (!ended && (size_t)n < sizeof s->received))
            return;
    }
}

static void make_room(struct scan *s, struct slot *slot)
{
    if (slot->phase == PHASE_FREE)
        return;
    weigh(s, slot);
    if (s->held <= s->memory_most || slot->held <= MEMORY_FAIR || slot->phase == PHASE_WAITING)
        return;
    if (slot->got != NULL)
        finish(s, slot);
    else
        fail(s, slot, SCAN_BAD_ANSWER, 0, "there is no room for what it sends, beside what others send");
}

static void on_event(struct scan *s, struct slot *slot, uint32_t events)
{
    const uint32_t generation = slot->generation;
    const bool failed = events & (EPOLLERR | EPOLLHUP), ended = failed || events & EPOLLRDHUP;
    int error = 0;
    socklen_t n = sizeof error;
    if (slot->phase == PHASE_CONNECTING && failed && getsockopt(slot->fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error != 0) {
        errno = error;
        fail_errno(s, slot);
        return;
    }
    if (slot->phase == PHASE_CONNECTING)
        connected(s, slot);
    if (slot->generation == generation && slot->fd >= 0 && (ended || events & EPOLLIN))
        on_readable(s, slot, ended);
    make_room(s, slot);
}

/* --- beginning */

static uint16_t busy_place(const struct address *a)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (unsigned i = 0; i < a->len; i++)
        h = (h ^ a->ip[i]) * UINT64_C(0x100000001b3);
    return (uint16_t)((h ^ h >> 32 ^ h >> 16) & (BUSY_SLOTS - 1));
}

/* A connection costs 1,000,000 / rate microseconds; what was not used in the last 50 ms is lost. */
static int64_t token_us(const struct scan *s)
{
    return s->rate > 0 ? 1000000 / s->rate : 0;
}

static bool take_token(struct scan *s)
{
    if (s->rate == 0)
        return true;
    const int64_t now = clock_mono_us(), cost = token_us(s);
    s->tokens_us += now - s->rate_at_us;
    s->rate_at_us = now;
    const int64_t most = cost > 50000 ? cost : 50000;
    if (s->tokens_us > most)
        s->tokens_us = most;
    if (s->tokens_us < cost)
        return false;
    s->tokens_us -= cost;
    return true;
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM || error == EADDRNOTAVAIL || error == EAGAIN;
}

static void wait_in_line(struct scan *s, struct slot *slot)
{
    if (slot->fd >= 0)
        close(slot->fd);
    slot->fd = -1;
    move_to(s, slot, PHASE_WAITING);
}

static void open_connection(struct scan *s, struct slot *slot)
{
    struct sockaddr_storage sa;
    const socklen_t n = address_to_sockaddr(&slot->address, &sa);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                            .data.u64 = (uint64_t)slot->generation << 32 | (uint64_t)(slot - s->slots)};
    move_to(s, slot, PHASE_CONNECTING);
    s->counts.connections++;
    slot->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (slot->fd >= 0 && (connect(slot->fd, (struct sockaddr *)&sa, n) == 0 || errno == EINPROGRESS) &&
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, slot->fd, &e) == 0)
        return;
    if (!is_shortage(errno)) {
        fail_errno(s, slot);
        return;
    }
    s->shortage_until_ms = clock_mono_ms() + SHORTAGE_MS;
    s->counts.connections--;
    wait_in_line(s, slot);
}

/* Who keeps one already gets the next, or those that keep one would wait for each other. */
static bool may_connect(const struct scan *s, const struct slot *slot)
{
    const bool keeps = slot->got != NULL && slot->got->look[0] != NULL;
    return !by_openssl(slot) || keeps || s->looks < s->looks_most;
}

/* The next connection of an endpoint: now, or in its turn. */
static void connect_slot(struct scan *s, struct slot *slot)
{
    if (clock_mono_ms() >= s->shortage_until_ms && may_connect(s, slot) && take_token(s))
        open_connection(s, slot);
    else
        wait_in_line(s, slot);
}

static void begin(struct scan *s, const struct scan_place *place)
{
    struct slot *slot = s->free.first;
    const uint16_t busy_at = busy_place(&place->address);
    slot->step = STEP_FIRST;
    slot->first_state = SCAN_UNREACHABLE;
    slot->alert = 0;
    slot->why[0] = '\0';
    slot->address = place->address;
    slot->name = place->name;
    slot->port_at = place->port_at;
    slot->position = place->position;
    slot->single = place->single;
    slot->busy_at = busy_at;
    slot->began_ms = clock_mono_ms();
    s->busy[busy_at]++;
    s->active++;
    open_connection(s, slot);
}

static void skip(struct scan *s, const struct scan_place *place, enum scan_state state)
{
    const struct scan_result r = {.address = place->address,
                                  .name = place->name != NULL ? place->name : "",
                                  .starttls = s->space.ports[place->port_at].starttls,
                                  .single = place->single,
                                  .state = state,
                                  .detail = ""};
    count(s, state);
    if (place->single)
        tell(s, &r);
}

static bool is_busy(const struct scan *s, const struct scan_place *p)
{
    return s->busy[busy_place(&p->address)] >= s->per_host;
}

static bool next_deferred(struct scan *s, struct scan_place *out)
{
    for (size_t tries = s->deferred_n; s->freed && tries > 0; tries--) {
        const struct scan_place p = s->deferred[s->deferred_at];
        s->deferred_at = (s->deferred_at + 1) % DEFERRED_MAX;
        if (!is_busy(s, &p)) {
            s->deferred_n--;
            *out = p;
            return true;
        }
        s->deferred[(s->deferred_at + s->deferred_n - 1) % DEFERRED_MAX] = p;
    }
    s->freed = false;
    return false;
}

/* The addresses of a name, one after another.  False: it is still being looked up. */
static bool next_name(struct scan *s, const struct scan_place *place)
{
    const enum scan_name_state state = scan_names_look(s->names, place->name_at, s->name_addresses, &s->name_n);
    if (state == SCAN_NAME_WAITS)
        return false;
    s->name_place = *place;
    s->name_given = 0;
    s->next++;
    if (state == SCAN_NAME_UNKNOWN) {
        s->name_n = 0;
        skip(s, place, SCAN_UNRESOLVED);
    }
    return true;
}

static bool draw(struct scan *s, struct scan_place *out)
{
    for (;;) {
        if (s->name_given < s->name_n) {
            const uint16_t port = s->name_place.address.port;
            *out = s->name_place;
            out->address = s->name_addresses[s->name_given++];
            out->address.port = port;
        } else if (s->next == s->space.total) {
            return false;
        } else {
            scan_space_at(&s->space, s->next, out);
            if (out->address.len == 0) {
                if (!next_name(s, out))
                    return false;
                continue;
            }
            s->next++;
        }
        if (scan_nets_find(&s->exclude, &out->address) == NULL && scan_granted(&s->granted, &out->address))
            return true;
        if (scan_nets_find(&s->exclude, &out->address) != NULL)
            s->counts.skipped++;
        else
            skip(s, out, SCAN_NOT_GRANTED);
        if (s->enough || s->counts.skipped % 4096 == 0) /* a long stretch of them: let others have a turn */
            return false;
    }
}

static void go_on_with_waiting(struct scan *s)
{
    const int64_t now = clock_mono_ms();
    struct slot *next;
    for (struct slot *slot = s->waiting.first; slot != NULL && now >= s->shortage_until_ms && !s->enough;
         slot = next) {
        next = slot->next;
        if (!may_connect(s, slot))
            continue;
        if (!take_token(s))
            return;
        open_connection(s, slot);
        if (clock_mono_ms() < s->shortage_until_ms)
            return;
    }
}

static void begin_some(struct scan *s)
{
    const int64_t now = clock_mono_ms();
    struct scan_place p;
    for (unsigned i = 0; i < EVENTS_MAX && s->active < s->in_flight && now >= s->shortage_until_ms && !s->enough; i++) {
        if (!take_token(s))
            return;
        if (!next_deferred(s, &p)) {
            if (s->deferred_n == DEFERRED_MAX || !draw(s, &p)) {
                s->tokens_us += token_us(s);
                return;
            }
            if (is_busy(s, &p)) {
                s->deferred[(s->deferred_at + s->deferred_n++) % DEFERRED_MAX] = p;
                s->tokens_us += token_us(s);
                continue;
            }
        }
        begin(s, &p);
        if (s->shortage_until_ms > now)
            return;
    }
}

/* --- the loop */

static void expire(struct scan *s)
{
    const int64_t now = clock_mono_ms();
    struct list *const lists[] = {&s->connecting, &s->answering};
    for (size_t i = 0; i < 2; i++)
        while (lists[i]->first != NULL && lists[i]->first->deadline_ms <= now && !s->enough) {
            struct slot *slot = lists[i]->first;
            if (slot->phase == PHASE_HELLO && slot->reader.certificates.n > 0)
                took_chain(s, slot);
            else
                fail(s, slot, SCAN_SILENT, 0, slot->phase == PHASE_CONNECTING ? "" : "it takes the connection and says nothing");
        }
}

static int wait_ms(const struct scan *s, int64_t until_ms)
{
    const int64_t now = clock_mono_ms();
    int64_t until = until_ms;
    if (s->connecting.first != NULL && s->connecting.first->deadline_ms < until)
        until = s->connecting.first->deadline_ms;
    if (s->answering.first != NULL && s->answering.first->deadline_ms < until)
        until = s->answering.first->deadline_ms;
    const bool more = s->waiting.first != NULL || (s->active < s->in_flight && s->next < s->space.total);
    if (more && s->shortage_until_ms > now && s->shortage_until_ms < until)
        until = s->shortage_until_ms;
    else if (more && s->rate > 0 && until > now + 1 + (token_us(s) - s->tokens_us) / 1000)
        until = now + 1 + (token_us(s) - s->tokens_us) / 1000;
    else if (more && s->shortage_until_ms <= now && s->rate == 0 && s->deferred_n < DEFERRED_MAX && s->next >= s->space.by_name)
        until = s->waiting.first != NULL && s->looks >= s->looks_most ? until : now;
    return until > now ? (int)(until - now) : 0;
}

bool scan_is_done(const struct scan *s)
{
    return s->active == 0 && s->deferred_n == 0 && s->next == s->space.total && s->name_given == s->name_n;
}

/* A short pause moves the deadlines; in a long one the other sides have gone. */
static void after_pause(struct scan *s)
{
    const int64_t gap = s->ran_ms > 0 ? clock_mono_ms() - s->ran_ms : 0;
    struct list *const lists[] = {&s->connecting, &s->answering};
    s->rate_at_us = gap > 50 ? clock_mono_us() : s->rate_at_us;
    for (size_t i = 0; i < 2 && gap > PAUSE_MS; i++)
        while (lists[i]->first != NULL) {
            struct slot *slot = lists[i]->first;
            drop_connection(s, slot);
            gathered_free(s, slot->got);
            slot->got = NULL;
            weigh(s, slot);
            slot->step = STEP_FIRST;
            wait_in_line(s, slot);
        }
    for (size_t i = 0; i < 2; i++)
        for (struct slot *slot = lists[i]->first; slot != NULL; slot = slot->next)
            slot->deadline_ms += gap;
}

static void turn(struct scan *s)
{
    while (s->events_at < s->events_n && !s->enough) {
        const struct epoll_event *e = &s->events[s->events_at++];
        uint64_t drop;
        if (e->data.u64 == UINT64_MAX) {
            (void)!read(s->wake, &drop, sizeof drop); /* a name was resolved */
            continue;
        }
        struct slot *slot = &s->slots[e->data.u64 & UINT32_MAX];
        if (slot->generation == (uint32_t)(e->data.u64 >> 32) && slot->fd >= 0)
            on_event(s, slot, e->events);
    }
}

static RC wait_for_events(struct ctx *ctx, struct scan *s, int64_t until_ms)
{
    const int n = epoll_wait(s->epoll, s->events, EVENTS_MAX, wait_ms(s, until_ms));
    s->events_at = 0;
    s->events_n = n > 0 ? n : 0;
    return n >= 0 || errno == EINTR ? RC_OK : ctx_fail_errno(ctx, "waiting for the endpoints of a scan");
}

RC scan_run(struct ctx *ctx, struct scan *s, int64_t until_ms, scan_found *found, void *arg)
{
    struct rc rc = RC_OK;
    s->found = found;
    s->arg = arg;
    s->enough = false;
    after_pause(s);
    ctx_reset(&s->scratch);
    turn(s);
    while (!s->enough && !scan_is_done(s) && clock_mono_ms() < until_ms && rc_ok(rc)) {
        ctx_reset(&s->scratch);
        go_on_with_waiting(s);
        begin_some(s);
        if (s->enough)
            break;
        rc = wait_for_events(ctx, s, until_ms);
        turn(s);
        if (s->events_n < EVENTS_MAX) /* else there is more that came in time */
            expire(s);
    }
    s->ran_ms = clock_mono_ms();
    return rc;
}

/* --- making one */

static unsigned files_allowed(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < 2 * SPARE_FILES)
        return SPARE_FILES / 2;
    return limit.rlim_cur - SPARE_FILES > SCAN_IN_FLIGHT_MAX ? SCAN_IN_FLIGHT_MAX : (unsigned)(limit.rlim_cur - SPARE_FILES);
}

static RC copy_spec(struct scan *s, const struct scan_spec *spec)
{
    struct arena *a = &s->keep.arena;
    struct scan_target *targets = arena_array(a, spec->targets_n + 1, sizeof *targets);
    for (size_t i = 0; i < spec->targets_n; i++)
        targets[i] = (struct scan_target){spec->targets[i].net, arena_strdup(a, spec->targets[i].name)};
    const struct scan_port *ports = arena_dup(a, spec->ports, spec->ports_n * sizeof *ports);
    s->exclude = scan_nets_make(a, spec->exclude, spec->exclude_n);
    s->granted = scan_nets_make(a, spec->granted, spec->granted_n);
    TRY(scan_space_make(&s->keep, targets, spec->targets_n, ports, spec->ports_n, spec->seed, &s->space));
    s->next = spec->position < s->space.total ? spec->position : s->space.total;
    s->rate = spec->rate;
    s->per_host = spec->per_host > 0 && spec->per_host < 200 ? spec->per_host : 4;
    s->connect_ms = spec->connect_ms > 0 ? spec->connect_ms : 3000;
    s->answer_ms = spec->answer_ms > 0 ? spec->answer_ms : 5000;
    s->both_keys = spec->both_keys;
    s->details = spec->details;
    s->verify = spec->verify;
    s->memory_most = spec->memory > 0 ? spec->memory : MEMORY_USUAL;
    s->looks_most = spec->looks > 0 ? spec->looks : LOOKS_USUAL;
    s->in_flight = spec->in_flight > 0 ? spec->in_flight : IN_FLIGHT_USUAL;
    if (s->in_flight > files_allowed())
        s->in_flight = files_allowed();
    if (s->in_flight > s->space.total)
        s->in_flight = (unsigned)s->space.total;
    if (s->space.names_n > 0 && s->in_flight < SCAN_NAME_ADDRESSES) /* a name has several */
        s->in_flight = SCAN_NAME_ADDRESSES;
    return RC_OK;
}

static RC prepare(struct ctx *ctx, struct scan *s, const struct scan_spec *spec)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
    struct rc rc = copy_spec(s, spec);
    if (rc_failed(rc))
        return ctx_fail(ctx, rc.e, "%s", ctx_why(&s->keep));
    random_fill(s->random, sizeof s->random);
    s->rate_at_us = clock_mono_us();
    s->slots = calloc(s->in_flight + 1, sizeof *s->slots);
    s->busy = calloc(BUSY_SLOTS, 1);
    s->deferred = calloc(DEFERRED_MAX, sizeof *s->deferred);
    if (s->slots == NULL || s->busy == NULL || s->deferred == NULL)
        return ctx_fail(ctx, E_NO_MEMORY, "the connections of a scan");
    for (unsigned i = 0; i < s->in_flight; i++) {
        s->slots[i].fd = -1;
        list_add(&s->free, &s->slots[i]);
    }
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->epoll < 0 || s->wake < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->wake, &e) != 0)
        return ctx_fail_errno(ctx, "making what a scan waits on");
    return s->space.names_n > 0 ? scan_names_start(ctx, s->space.names, s->space.names_n, s->wake, &s->names) : RC_OK;
}

RC scan_new(struct ctx *ctx, const struct scan_spec *spec, struct scan **out)
{
    struct scan *s = calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL)
        return ctx_fail(ctx, E_NO_MEMORY, "a scan");
    s->epoll = s->wake = -1;
    ctx_init(&s->keep, ctx->clock);
    ctx_init(&s->scratch, ctx->clock);
    struct rc rc = prepare(ctx, s, spec);
    if (rc_failed(rc)) {
        scan_free(s);
        return rc;
    }
    *out = s;
    return RC_OK;
}

void scan_free(struct scan *s)
{
    if (s == NULL)
        return;
    scan_names_stop(s->names);
    for (unsigned i = 0; s->slots != NULL && i < s->in_flight; i++) {
        drop_connection(s, &s->slots[i]);
        gathered_free(s, s->slots[i].got);
        hello_free(&s->slots[i].reader);
    }
    tls_looks_free(s->looks_shared);
    if (s->epoll >= 0)
        close(s->epoll);
    if (s->wake >= 0)
        close(s->wake);
    free(s->slots);
    free(s->busy);
    free(s->deferred);
    ctx_free(&s->keep);
    ctx_free(&s->scratch);
    free(s);
}

void scan_set_rate(struct scan *s, unsigned rate)
{
    s->rate = rate;
}

uint64_t scan_total(const struct scan *s)
{
    return s->space.total;
}

struct scan_counts scan_counts(const struct scan *s)
{
    return s->counts;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t scan_position(const struct scan *s)
{
    uint64_t p = s->next;
    struct list const *const lists[] = {&s->connecting, &s->answering, &s->waiting};
    if (s->name_given < s->name_n)
        p = least(p, s->name_place.position);
    for (size_t i = 0; i < s->deferred_n; i++)
        p = least(p, s->deferred[(s->deferred_at + i) % DEFERRED_MAX].position);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (const struct slot *slot = lists[i]->first; slot != NULL; slot = slot->next)
            p = least(p, slot->position);
    return p;
}
