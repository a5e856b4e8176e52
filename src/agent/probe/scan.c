/* The engine of scans: which place is next, how fast, the slots and their lists, who waits, the loop, and making one.
 * What a connection goes through is in scan_slot.c. */
#include "agent/probe/scan.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/probe/scan_own.h"
#include "base/random.h"

#define IN_FLIGHT_USUAL 2048
#define LOOKS_USUAL     256  /* handshakes of OpenSSL that are begun at a time: each needs some 100 KiB */
#define DEFERRED_MAX    1024 /* endpoints that wait because their host is busy */
#define SPARE_FILES     256  /* left to the rest of the process */
#define BUSY_SLOTS      (1u << 16)
#define MEMORY_USUAL    (64u << 20) /* for what all endpoints send; many that send much at once are let go */
#define SHORTAGE_MS     200
#define PAUSE_MS        1000 /* connections outlive a pause of scan_run that is no longer */

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
void scan_move_to(struct scan *s, struct slot *slot, enum phase phase)
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

/* --- telling, and the slot after it */

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

void scan_tell(struct scan *s, const struct scan_result *r)
{
    count(s, r->state);
    if (!s->found(s->arg, r))
        s->enough = true;
}

void scan_give_back(struct scan *s, struct slot *slot)
{
    s->busy[slot->busy_at]--;
    s->freed = true;
    s->active--;
    scan_move_to(s, slot, PHASE_FREE);
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
    scan_move_to(s, slot, PHASE_WAITING);
}

static void open_connection(struct scan *s, struct slot *slot)
{
    struct sockaddr_storage sa;
    const socklen_t n = address_to_sockaddr(&slot->address, &sa);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                            .data.u64 = (uint64_t)slot->generation << 32 | (uint64_t)(slot - s->slots)};
    scan_move_to(s, slot, PHASE_CONNECTING);
    s->counts.connections++;
    slot->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (slot->fd >= 0 && (connect(slot->fd, (struct sockaddr *)&sa, n) == 0 || errno == EINPROGRESS) &&
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, slot->fd, &e) == 0)
        return;
    if (!is_shortage(errno)) {
        scan_slot_fail_errno(s, slot);
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
    return !scan_slot_by_openssl(slot) || keeps || s->looks < s->looks_most;
}

void scan_connect(struct scan *s, struct slot *slot)
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
    slot->received = 0;
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
    if (place->single)
        scan_tell(s, &r);
    else
        count(s, state);
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
    for (unsigned i = 0; i < SCAN_EVENTS_MAX && s->active < s->in_flight && now >= s->shortage_until_ms && !s->enough; i++) {
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
        while (lists[i]->first != NULL && lists[i]->first->deadline_ms <= now && !s->enough)
            scan_slot_expire(s, lists[i]->first);
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
            scan_slot_forget(s, slot);
            slot->step = STEP_FIRST;
            slot->received = 0;
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
            scan_slot_on_event(s, slot, e->events);
    }
}

static RC wait_for_events(struct ctx *ctx, struct scan *s, int64_t until_ms)
{
    const int n = epoll_wait(s->epoll, s->events, SCAN_EVENTS_MAX, wait_ms(s, until_ms));
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
        if (s->events_n < SCAN_EVENTS_MAX) /* else there is more that came in time */
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
    for (unsigned i = 0; s->slots != NULL && i < s->in_flight; i++)
        s->slots[i].fd = -1;
    s->busy = calloc(BUSY_SLOTS, 1);
    s->deferred = calloc(DEFERRED_MAX, sizeof *s->deferred);
    if (s->slots == NULL || s->busy == NULL || s->deferred == NULL)
        return ctx_fail(ctx, E_NO_MEMORY, "the connections of a scan");
    for (unsigned i = 0; i < s->in_flight; i++)
        list_add(&s->free, &s->slots[i]);
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
        scan_slot_forget(s, &s->slots[i]);
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
