/* What one connection and one endpoint of a scan go through: what is asked, what was heard, gathered and told, and the next
 * step.  When they may begin, and how long they may take, is in scan.c. */
#include <errno.h>
#include <unistd.h>

#include "agent/probe/scan_own.h"

#define KEPT_BUFFER 8192  /* larger ones are given back after an endpoint */
#define DETAIL_MAX  280   /* the API takes 300 */
#define MEMORY_FAIR 16384 /* each may have so much even where all together have too much */

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
    if (slot->step == STEP_TLS13 || slot->step == STEP_POST_QUANTUM || slot->step == STEP_CLASSIC)
        ask.version = 0x0304;
    if (slot->step == STEP_TLS11 || slot->step == STEP_TLS10)
        ask.version = slot->step == STEP_TLS11 ? 0x0302 : 0x0301;
    ask.post_quantum = slot->step == STEP_POST_QUANTUM;
    ask.classic = slot->step == STEP_CLASSIC;
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
                        : slot->step == STEP_CLASSIC   ? 7
                                                       : 8;
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

void scan_slot_forget(struct scan *s, struct slot *slot)
{
    drop_connection(s, slot);
    gathered_free(s, slot->got);
    slot->got = NULL;
    weigh(s, slot);
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
    for (size_t i = 0; (s->details || g->n == 0) && i < SCAN_VERSIONS_MAX; i++)
        if (takes[i])
            r->versions[r->versions_n++] = names[i];
    for (size_t i = 0; i < SCAN_GROUPS_MAX; i++)
        if (groups[i] != 0 && hello_group_name(groups[i]) != NULL && (i == 0 || groups[0] != groups[1]))
            r->groups[r->groups_n++] = hello_group_name(groups[i]);
}

static bool shown(const struct slot *slot)
{
    return slot->got != NULL && slot->got->n > 0;
}

/* It serves, and not to us. */
static void say_unread(const struct scan *s, const struct gathered *g, char *out, size_t n)
{
    const char *has = tls_looks_library(), *remedy = "; scan it by an agent whose host has OpenSSL 3.5 or later (Debian 13)";
    if (s->looks_shared == NULL || tls_looks_post_quantum(s->looks_shared))
        remedy = "";
    if (g->no_classic && *remedy != '\0')
        snprintf(out, n, "its certificate was not read: it takes no key exchange but %s, which OpenSSL %s of this agent lacks%s",
                 text_or(hello_group_name(g->group13), "post-quantum ones"), has, remedy);
    else
        snprintf(out, n,
                 "its certificate was not read: it speaks TLS 1.3 and takes nothing of what OpenSSL %s of this agent offers%s",
                 has, remedy);
}

static void finish(struct scan *s, struct slot *slot)
{
    char unread[DETAIL_MAX];
    struct scan_result r = {.address = slot->address,
                            .name = slot->name != NULL ? slot->name : "",
                            .starttls = s->space.ports[slot->port_at].starttls,
                            .single = slot->single,
                            .state = shown(slot) ? SCAN_TLS : (enum scan_state)slot->first_state,
                            .alert = slot->alert,
                            .detail = shown(slot) ? "" : slot->why,
                            .took_ms = clock_mono_ms() - slot->began_ms};
    drop_connection(s, slot);
    if (slot->got != NULL)
        tell_gathered(s, slot->got, &r);
    if (slot->got != NULL && !shown(slot) && slot->got->tls13) {
        say_unread(s, slot->got, unread, sizeof unread);
        r.detail = unread;
    }
    scan_tell(s, &r);
    if (shown(slot) && slot->reader.messages.p == NULL) { /* its memory serves the next */
        slot->reader = slot->got->reader[0];
        slot->got->reader[0] = (struct hello_reader){0};
    }
    gathered_free(s, slot->got);
    slot->got = NULL;
    if (slot->reader.messages.cap > KEPT_BUFFER)
        hello_free(&slot->reader);
    s->held -= slot->held;
    slot->held = 0;
    scan_give_back(s, slot);
}

/* Our TLS 1.2 and OpenSSL's ClientHello: what was said to the second is told where it is an answer, for the first may be about
 * its version alone. */
static void note_failure(struct slot *slot, enum step step, enum scan_state state, int alert, const char *why)
{
    if (step == STEP_FIRST || (step == STEP_FALLBACK && (state == SCAN_ALERT || state == SCAN_BAD_ANSWER))) {
        slot->first_state = (uint8_t)state;
        slot->alert = (int16_t)alert;
        snprintf(slot->why, sizeof slot->why, "%s", state == SCAN_ALERT ? "" : why);
    }
}

/* Nothing to be had from this connection. */
static void fail(struct scan *s, struct slot *slot, enum scan_state state, int alert, const char *why)
{
    const enum step step = (enum step)slot->step;
    drop_connection(s, slot);
    note_failure(slot, step, state, alert, why);
    if (step == STEP_CLASSIC && state == SCAN_ALERT)
        slot->got->no_classic = true;
    /* No certificate for that name (unrecognized_name) is an answer; all else may be a dislike of our ClientHello. */
    if (step == STEP_FIRST && (state == SCAN_ALERT || state == SCAN_CLOSED) && alert != 112 && slot->received < HELLO_BYTES_MAX) {
        slot->step = STEP_FALLBACK;
        scan_connect(s, slot);
        return;
    }
    if (step == STEP_FIRST)
        finish(s, slot);
    else
        next_step(s, slot);
}

/* One that showed no certificate to anybody may still say which version and group it takes.  Without details only those are asked
 * that say there is nothing in common: handshake_failure, illegal_parameter, insufficient_security. */
static bool is_wanted_to_say_why(const struct scan *s, const struct slot *slot, enum step step)
{
    const bool alert = slot->first_state == SCAN_ALERT, bad = slot->first_state == SCAN_BAD_ANSWER;
    const bool nothing_common = alert && (slot->alert == 40 || slot->alert == 47 || slot->alert == 71);
    if (step == STEP_TLS13)
        return nothing_common || (s->details && (alert || bad));
    if (slot->got == NULL || !slot->got->tls13)
        return false;
    const bool post_quantum = hello_group_is_post_quantum(slot->got->group13);
    return (step == STEP_POST_QUANTUM && s->details && !post_quantum) || (step == STEP_CLASSIC && post_quantum);
}

/* Which connection is the next one of an endpoint. */
static bool is_wanted(const struct scan *s, const struct slot *slot, enum step step)
{
    if (slot->received >= HELLO_BYTES_MAX)
        return false;
    if (!shown(slot))
        return is_wanted_to_say_why(s, slot, step);
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
        scan_connect(s, slot);
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
    struct gathered *g = gather(s, slot);
    if (g == NULL)
        return;
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

void scan_slot_fail_errno(struct scan *s, struct slot *slot)
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

bool scan_slot_by_openssl(const struct slot *slot)
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
        scan_slot_fail_errno(s, slot);
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
    if (scan_slot_by_openssl(slot)) {
        if (straight)
            scan_move_to(s, slot, PHASE_LOOK);
        begin_look(s, slot);
        return;
    }
    hello_reuse(&slot->reader, until_of(s, slot));
    const struct bytes ask = ask_bytes(s, slot, &own);
    if (ask.n == 0) {
        fail(s, slot, SCAN_BAD_ANSWER, 0, "the name is too long to be sent");
    } else if (!send_all(slot, ask)) {
        scan_slot_fail_errno(s, slot); /* of the connection, where it is the first that is said */
    } else if (straight) {
        scan_move_to(s, slot, PHASE_HELLO);
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
        scan_slot_fail_errno(s, slot);
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
    scan_move_to(s, slot, PHASE_STARTTLS);
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

/* What was read of the chain before stays. */
static void too_much(struct scan *s, struct slot *slot)
{
    if (slot->phase == PHASE_HELLO && slot->reader.until != HELLO_UNTIL_HELLO && slot->reader.certificates.n > 0)
        took_chain(s, slot);
    else
        fail(s, slot, SCAN_BAD_ANSWER, 0, "it sends more than 64 KiB");
}

static void on_readable(struct scan *s, struct slot *slot, bool ended)
{
    const uint32_t generation = slot->generation;
    for (;;) {
        const size_t most = HELLO_BYTES_MAX - slot->received;
        if (most == 0) {
            too_much(s, slot);
            return;
        }
        const ssize_t n = recv(slot->fd, s->received, most, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            scan_slot_fail_errno(s, slot);
            return;
        }
        if (n == 0) {
            closed(s, slot);
            return;
        }
        slot->received += (uint32_t)n;
        const struct bytes in = bytes_of(s->received, (size_t)n);
        if (slot->phase == PHASE_HELLO)
            hear_hello(s, slot, in);
        else if (slot->phase == PHASE_STARTTLS)
            hear_starttls(s, slot, in);
        else
            hear_look(s, slot, in);
        /* Edge-triggered: a short read has emptied it, and what comes later is another event; the end was told already. */
        if (slot->generation != generation || slot->fd < 0 || (!ended && (size_t)n < most))
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

void scan_slot_on_event(struct scan *s, struct slot *slot, uint32_t events)
{
    const uint32_t generation = slot->generation;
    const bool failed = events & (EPOLLERR | EPOLLHUP), ended = failed || events & EPOLLRDHUP;
    int error = 0;
    socklen_t n = sizeof error;
    if (slot->phase == PHASE_CONNECTING && failed && getsockopt(slot->fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error != 0) {
        errno = error;
        scan_slot_fail_errno(s, slot);
        return;
    }
    if (slot->phase == PHASE_CONNECTING)
        connected(s, slot);
    if (slot->generation == generation && slot->fd >= 0 && (ended || events & EPOLLIN))
        on_readable(s, slot, ended);
    make_room(s, slot);
}

void scan_slot_expire(struct scan *s, struct slot *slot)
{
    if (slot->phase == PHASE_HELLO && slot->reader.certificates.n > 0)
        took_chain(s, slot);
    else
        fail(s, slot, SCAN_SILENT, 0, slot->phase == PHASE_CONNECTING ? "" : "it takes the connection and says nothing");
}
