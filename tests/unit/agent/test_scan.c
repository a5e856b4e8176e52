/* The engine of network scans: which endpoints in which order, and what it makes of servers that answer, refuse, keep silent,
 * babble, drip or never end. */
#include "net/net_test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>

#include "agent/probe/scan.h"

#define EACH(i, table) (size_t i = 0; i < sizeof(table) / sizeof *(table); i++)

static int setup(void **state)
{
    struct ctx *ctx = calloc(1, sizeof *ctx);
    ctx_init(ctx, &clock_system);
    *state = ctx;
    return 0;
}

static int teardown(void **state)
{
    ctx_free(*state);
    free(*state);
    return 0;
}

static struct cidr net(const char *text)
{
    struct cidr c;
    assert_true(cidr_parse(bytes_z(text), &c));
    return c;
}

static struct address address(const char *text)
{
    struct address a;
    assert_true(address_parse(bytes_z(text), &a));
    return a;
}

/* ---- the order ---- */

static size_t number(const struct scan_place *p)
{
    return ((size_t)p->address.ip[2] << 8 | p->address.ip[3]) * 2 + p->port_at;
}

static void each_endpoint_has_one_position_and_neighbours_are_apart(void **state)
{
    struct ctx *ctx = *state;
    const struct scan_port ports[] = {{443, 0}, {8443, 0}};
    const struct scan_target targets[] = {{net("10.1.0.0/20"), NULL}, {net("10.1.2.0/24"), NULL}, {net("10.1.64.7/32"), NULL}};
    struct scan_space s, again, other;
    static uint8_t seen[65536 * 2];
    assert_true(rc_ok(scan_space_make(ctx, targets, 3, ports, 2, 7, &s)));
    assert_true(rc_ok(scan_space_make(ctx, targets, 3, ports, 2, 7, &again)));
    assert_true(rc_ok(scan_space_make(ctx, targets, 3, ports, 2, 8, &other)));
    assert_int_equal(s.total, (4096 + 1) * 2);
    size_t near = 0, same = 0, before = 0;
    memset(seen, 0, sizeof seen);
    for (uint64_t i = 0; i < s.total; i++) {
        struct scan_place p, q, r;
        scan_space_at(&s, i, &p);
        scan_space_at(&again, i, &q);
        scan_space_at(&other, i, &r);
        assert_int_equal(p.address.port, ports[p.port_at].port);
        assert_memory_equal(&p.address, &q.address, sizeof p.address);
        assert_int_equal(p.single, p.address.ip[2] == 64);
        assert_int_equal(seen[number(&p)]++, 0);
        near += number(&p) - before + 4 <= 8;
        same += number(&p) == number(&r);
        before = number(&p);
    }
    assert_true(near < 64 && same < 64);
}

static void names_come_first_and_addresses_get_them(void **state)
{
    struct ctx *ctx = *state;
    const struct scan_port ports[] = {{443, 0}, {25, STARTTLS_SMTP}};
    const struct scan_target targets[] = {
        {.name = "a.example.org"}, {net("192.0.2.1/32"), "b.example.org"}, {.name = "c.example.org"}};
    struct scan_space s;
    struct scan_place p;
    static const char *const names[] = {"a.example.org", "c.example.org"};
    assert_true(rc_ok(scan_space_make(ctx, targets, 3, ports, 2, 0, &s)));
    assert_int_equal(s.total, 6);
    for (uint64_t i = 0; i < 4; i++) {
        scan_space_at(&s, i, &p);
        assert_string_equal(p.name, names[i % 2]);
        assert_int_equal(p.address.len, 0);
        assert_int_equal(p.address.port, ports[i / 2].port);
    }
    for (uint64_t i = 4; i < 6; i++) {
        scan_space_at(&s, i, &p);
        assert_string_equal(p.name, "b.example.org");
        assert_string_equal(address_str(&ctx->arena, &p.address), "192.0.2.1");
    }
}

static void too_much_is_refused(void **state)
{
    struct ctx *ctx = *state;
    const struct scan_port ports[] = {{443, 0}, {444, 0}};
    const struct scan_target large = {net("2001:db8::/64"), NULL}, most = {net("2001:db8::/88"), NULL};
    struct scan_space s;
    assert_int_equal(scan_space_make(ctx, &large, 1, ports, 1, 0, &s).e, E_TOO_LARGE);
    assert_int_equal(scan_space_make(ctx, &most, 1, ports, 2, 0, &s).e, E_TOO_LARGE);
    assert_int_equal(scan_space_make(ctx, &most, 1, ports, 1, 0, &s).e, E_OK);
    struct scan_place p;
    scan_space_at(&s, s.total - 1, &p);
    assert_true(cidr_has(&most.net, &p.address));
    assert_int_equal(scan_space_make(ctx, &most, 0, ports, 1, 0, &s).e, E_INVALID);
    assert_int_equal(scan_space_make(ctx, &most, 1, ports, 0, 0, &s).e, E_INVALID);
}

static void targets_and_ports_are_read(void **state)
{
    struct ctx *ctx = *state;
    static const char *const good[] = {"10.0.0.0/8", "192.0.2.1", "2001:db8::/120", "www.example.org", "www.example.org@192.0.2.1",
                                       "a_b.example.org@2001:db8::1"},
                      *const bad[] = {"", "10.0.0.1/8", "@192.0.2.1", "www.example.org@", "a@b", "-x.org", "a..b", "a..", ".", "a b", "1.2.3",
                                      "999.1.1.1", "x@192.0.2.1@192.0.2.2"},
                      *const ports[] = {"", "0", "65536", "443/", "443/gopher", "x", "443 ", "443/smtp/smtp"};
    struct scan_target t;
    struct scan_port p;
    for EACH(i, good)
        assert_true(rc_ok(scan_target_parse(ctx, good[i], &t)));
    for EACH(i, bad)
        if (rc_ok(scan_target_parse(ctx, bad[i], &t)))
            fail_msg("%s was read", bad[i]);
    assert_true(rc_ok(scan_target_parse(ctx, "www.example.org.@192.0.2.1", &t)));
    assert_string_equal(t.name, "www.example.org");
    assert_true(rc_ok(scan_port_parse(ctx, "25/smtp", &p)));
    assert_int_equal(p.port, 25);
    assert_int_equal(p.starttls, STARTTLS_SMTP);
    for EACH(i, ports)
        if (rc_ok(scan_port_parse(ctx, ports[i], &p)) && i != 3) /* "443/": nothing before TLS */
            fail_msg("%s was read", ports[i]);
}

static void what_is_not_granted_is_found_out(void **state)
{
    struct ctx *ctx = *state;
    const struct cidr v[] = {net("10.0.0.0/8"), net("10.1.0.0/16"), net("::/0"), net("224.0.0.0/4"), net("192.0.2.7/32"),
                             net("::1/128")},
                      mapped[] = {net("::ffff:10.0.0.0/104")};
    const struct scan_nets nets = scan_nets_make(&ctx->arena, v, 6), only_mapped = scan_nets_make(&ctx->arena, mapped, 1);
    static const struct {
        const char *address;
        bool granted;
    } rows[] = {{"10.0.0.0", true},     {"10.255.255.255", true}, {"11.0.0.0", false},        {"9.255.255.255", false},
                {"192.0.2.7", true},    {"192.0.2.8", false},     {"224.0.0.1", false},       {"2001:db8::1", true},
                {"ff02::1", false},     {"::", false},            {"::ffff:127.0.0.1", false}, {"64:ff9b::7f00:1", false},
                {"2002:7f00:1::", false}, {"::1", true},          {"::2", false}};
    assert_int_equal(nets.n, 4);
    for EACH(i, rows) {
        const struct address a = address(rows[i].address);
        if (scan_granted(&nets, &a) != rows[i].granted)
            fail_msg("%s", rows[i].address);
    }
    /* Loopback and link-local ones by a network of their own only, which may lie within another. */
    const struct cidr wide[] = {net("0.0.0.0/0"), net("::/0"), net("127.0.64.0/18"), net("fe80::/64"), net("126.0.0.0/7"),
                                net("::ffff:0:0/96")};
    const struct scan_nets all = scan_nets_make(&ctx->arena, wide, 6);
    static const struct {
        const char *address;
        bool granted;
    } own[] = {{"126.0.0.1", true},  {"127.0.0.1", false},     {"127.0.64.1", true},  {"169.254.169.254", false}, {"10.0.0.1", true},
               {"fe80::1", true},    {"fe80:0:0:1::1", false}, {"2001:db8::1", true}, {"::1", false},             {"::ffff:10.0.0.1", true},
               {"::ffff:127.0.0.1", false}};
    for EACH(i, own) {
        const struct address a = address(own[i].address);
        if (scan_granted(&all, &a) != own[i].granted)
            fail_msg("%s", own[i].address);
    }
    const struct address in = address("::ffff:10.1.2.3"), out = address("::ffff:11.1.2.3");
    assert_true(scan_granted(&only_mapped, &in));
    assert_false(scan_granted(&only_mapped, &out));
}

/* ---- servers ---- */

enum behaviour { SERVES, SILENT, CLOSES, BABBLES, ENDLESS, DRIPS, ALERTS, HALVES, HEAPS, MAIL, HYBRID, BEHAVIOURS };

struct server {
    enum behaviour behaviour;
    int listener;
    uint16_t port;
    SSL_CTX *ssl;
    pthread_t thread;
    atomic_int now, most, all;
    atomic_bool stop;
};

struct one {
    struct server *s;
    int fd;
};

static void say(int fd, const char *p, size_t n)
{
    (void)!send(fd, p, n, MSG_NOSIGNAL);
}

static void shake(struct server *s, int fd)
{
    SSL *ssl = SSL_new(s->ssl);
    SSL_set_fd(ssl, fd);
    (void)SSL_accept(ssl);
    SSL_free(ssl);
}

static void drip(struct server *s, int fd)
{
    static const char answer[] = "\x16\x03\x03\x40\x00\x02\x00\xff\xff";
    for (size_t i = 0; !s->stop && i < 400; i++) {
        say(fd, i < 9 ? answer + i : "x", 1);
        usleep(5000);
    }
}

static void endless(int fd)
{
    static const char record[16389] = "\x16\x03\x03\x40\x00\x02\x00\xff\xff";
    struct timeval limit = {.tv_sec = 2};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    while (send(fd, record, sizeof record, MSG_NOSIGNAL) > 0)
        ;
}

/* A record, some of the next, and then silence. */
static void heap(struct server *s, int fd)
{
    static const char record[16389] = "\x16\x03\x03\x40\x00\x02\x00\xff\xff";
    char heard[16];
    say(fd, record, sizeof record);
    say(fd, "\x16\x03\x03\x40\x00", 5);
    say(fd, record, 4000);
    while (!s->stop && recv(fd, heard, sizeof heard, 0) > 0)
        ;
}

/* TLS 1.3 and X25519MLKEM768 alone: a HelloRetryRequest to who offers it (RFC 8446 section 4.1.4), an alert to others. */
static void hybrid(int fd, struct bytes hello)
{
    static const char retry[] = "\x16\x03\x03\x00\x38\x02\x00\x00\x34\x03\x03"
                                "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91"
                                "\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"
                                "\x00\x13\x01\x00\x00\x0c\x00\x2b\x00\x02\x03\x04\x00\x33\x00\x02\x11\xec";
    if (bytes_find(hello, BYTES_LIT("\x00\x2b\x00\x03\x02\x03\x04")) != SIZE_MAX &&
        bytes_find(hello, BYTES_LIT("\x11\xec")) != SIZE_MAX)
        say(fd, retry, sizeof retry - 1);
    else if (bytes_find(hello, BYTES_LIT("\x03\x04\x03\x03")) != SIZE_MAX) /* versions, as OpenSSL tells them */
        say(fd, "\x15\x03\x03\x00\x02\x02\x28", 7);
    else
        say(fd, "\x15\x03\x03\x00\x02\x02\x46", 7);
}

static void *serve_one(void *arg)
{
    struct one *o = arg;
    struct server *s = o->s;
    char heard[2048];
    ssize_t n = 0;
    if (s->behaviour == MAIL) {
        say(o->fd, "220 mx\r\n", 8);
        (void)!recv(o->fd, heard, sizeof heard, 0);
        say(o->fd, "250-mx\r\n250 STARTTLS\r\n", 22);
        (void)!recv(o->fd, heard, sizeof heard, 0);
        say(o->fd, "220 go\r\n", 8);
    }
    if (s->behaviour == SERVES || s->behaviour == MAIL)
        shake(s, o->fd);
    else if (s->behaviour != CLOSES)
        n = recv(o->fd, heard, sizeof heard, 0);
    if (s->behaviour == HYBRID && n > 0)
        hybrid(o->fd, bytes_of(heard, (size_t)n));
    if (s->behaviour == SILENT)
        while (!s->stop && recv(o->fd, heard, sizeof heard, 0) > 0)
            ;
    if (s->behaviour == BABBLES)
        say(o->fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    if (s->behaviour == ENDLESS)
        endless(o->fd);
    if (s->behaviour == HEAPS)
        heap(s, o->fd);
    if (s->behaviour == DRIPS)
        drip(s, o->fd);
    if (s->behaviour == ALERTS)
        say(o->fd, "\x15\x03\x03\x00\x02\x02\x70", 7);
    if (s->behaviour == HALVES)
        say(o->fd, "\x16\x03\x03\x00\x40\x02\x00\x00\x3c", 9);
    s->now--;
    close(o->fd);
    free(o);
    return NULL;
}

static void *serve(void *arg)
{
    struct server *s = arg;
    for (;;) {
        struct one *o = malloc(sizeof *o);
        pthread_t t;
        *o = (struct one){s, accept(s->listener, NULL, NULL)};
        if (o->fd < 0 || s->stop) {
            if (o->fd >= 0)
                close(o->fd);
            free(o);
            return NULL;
        }
        const int now = ++s->now;
        s->all++;
        if (now > s->most)
            s->most = now;
        assert_int_equal(pthread_create(&t, NULL, serve_one, o), 0);
        pthread_detach(t);
    }
}

struct fixture {
    struct identity ec, rsa;
    SSL_CTX *ssl;
    struct server v[BEHAVIOURS];
};

/* All on every address of 127.0.0.0/8. */
static void start(struct ctx *ctx, struct fixture *f)
{
    f->ec = identity_new(ctx, "ec", "DNS:ec.example.org", -1, NULL, KEY_EC_P256);
    f->rsa = identity_new(ctx, "rsa", "DNS:rsa.example.org", -1, NULL, KEY_RSA_2048);
    f->ssl = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(f->ssl, f->ec.x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(f->ssl, key_evp(f->ec.key)), 1);
    assert_int_equal(SSL_CTX_use_certificate(f->ssl, f->rsa.x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(f->ssl, key_evp(f->rsa.key)), 1);
    for (unsigned i = 0; i < BEHAVIOURS; i++) {
        struct server *s = &f->v[i];
        struct sockaddr_in in = {.sin_family = AF_INET};
        socklen_t n = sizeof in;
        *s = (struct server){.behaviour = (enum behaviour)i, .ssl = f->ssl};
        s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(s->listener, (struct sockaddr *)&in, sizeof in), 0);
        assert_int_equal(listen(s->listener, 512), 0);
        assert_int_equal(getsockname(s->listener, (struct sockaddr *)&in, &n), 0);
        s->port = ntohs(in.sin_port);
        assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    }
}

static void stop(struct fixture *f)
{
    for (unsigned i = 0; i < BEHAVIOURS; i++) {
        f->v[i].stop = true;
        shutdown(f->v[i].listener, SHUT_RDWR);
        pthread_join(f->v[i].thread, NULL);
        close(f->v[i].listener);
        for (int k = 0; f->v[i].now > 0 && k < 500; k++)
            usleep(10000);
    }
    SSL_CTX_free(f->ssl);
    identity_free(&f->ec);
    identity_free(&f->rsa);
}

/* ---- scans ---- */

struct seen {
    size_t n, stop_after;
    unsigned by_state[SCAN_STATES];
    uint8_t hosts[256]; /* by the last byte of the address */
    struct scan_result last;
    uint8_t leaf[2][2048];
    size_t leaf_n[2];
    char detail[200], versions[100], groups[100];
};

static bool note(void *arg, const struct scan_result *r)
{
    struct seen *s = arg;
    s->n++;
    s->by_state[r->state]++;
    s->hosts[r->address.ip[3]]++;
    s->last = *r;
    snprintf(s->detail, sizeof s->detail, "%s", r->detail);
    size_t at = 0;
    s->versions[0] = '\0';
    for (size_t i = 0; i < r->versions_n; i++)
        at += (size_t)snprintf(s->versions + at, sizeof s->versions - at, " %s", r->versions[i]);
    at = 0;
    s->groups[0] = '\0';
    for (size_t i = 0; i < r->groups_n; i++)
        at += (size_t)snprintf(s->groups + at, sizeof s->groups - at, " %s", r->groups[i]);
    for (size_t i = 0; i < r->chains_n; i++) {
        s->leaf_n[i] = r->chains[i].v[0].n;
        memcpy(s->leaf[i], r->chains[i].v[0].p, r->chains[i].v[0].n);
    }
    return s->stop_after == 0 || s->n < s->stop_after;
}

static struct scan *begin(struct ctx *ctx, struct scan_spec spec, const char *target, uint16_t port, enum starttls starttls)
{
    const struct cidr granted[] = {net("127.0.0.0/8"), net("::1/128")};
    const struct scan_port ports[] = {{port, starttls}};
    struct scan_target t;
    struct scan *s;
    assert_true(rc_ok(scan_target_parse(ctx, target, &t)));
    spec.targets = &t;
    spec.targets_n = 1;
    spec.ports = ports;
    spec.ports_n = 1;
    if (spec.granted == NULL) {
        spec.granted = granted;
        spec.granted_n = 2;
    }
    spec.answer_ms = spec.answer_ms > 0 ? spec.answer_ms : 20000;
    if (rc_failed(scan_new(ctx, &spec, &s)))
        fail_msg("%s", ctx_why(ctx));
    return s;
}

static struct seen scan_all(struct ctx *ctx, struct scan_spec spec, const char *target, uint16_t port, enum starttls starttls)
{
    struct seen seen = {0};
    struct scan *s = begin(ctx, spec, target, port, starttls);
    while (!scan_is_done(s))
        assert_true(rc_ok(scan_run(ctx, s, clock_mono_ms() + 1000, note, &seen)));
    assert_int_equal(scan_position(s), scan_total(s));
    scan_free(s);
    return seen;
}

static void both_certificates_and_all_else_of_one_server(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f;
    start(ctx, &f);
    const struct scan_spec all = {.both_keys = true, .details = true, .verify = true};
    for (int mail = 0; mail < 2; mail++) {
        const struct seen s = scan_all(ctx, all, "www.example.org@127.0.0.1", f.v[mail ? MAIL : SERVES].port,
                                       mail ? STARTTLS_SMTP : STARTTLS_NONE);
        assert_int_equal(s.n, 1);
        assert_int_equal(s.last.state, SCAN_TLS);
        assert_int_equal(s.last.chains_n, 2);
        assert_true(bytes_equal(bytes_of(s.leaf[0], s.leaf_n[0]), f.ec.der));
        assert_true(bytes_equal(bytes_of(s.leaf[1], s.leaf_n[1]), f.rsa.der));
        assert_string_equal(s.versions, " TLSv1.2 TLSv1.3");
        assert_true(s.last.verified);
        assert_true(s.last.single);
    }
    stop(&f);
}

static void servers_of_one_version_alone_are_read(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f;
    start(ctx, &f);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX_set_min_proto_version(f.ssl, version);
        SSL_CTX_set_max_proto_version(f.ssl, version);
        const struct scan_spec spec = {.both_keys = true, .details = true};
        const struct seen s = scan_all(ctx, spec, "127.0.0.1", f.v[SERVES].port, 0);
        assert_int_equal(s.last.state, SCAN_TLS);
        assert_int_equal(s.last.chains_n, 2);
        assert_true(bytes_equal(bytes_of(s.leaf[1], s.leaf_n[1]), f.rsa.der));
        assert_string_equal(s.versions, version == TLS1_3_VERSION ? " TLSv1.3" : " TLSv1.2");
    }
    stop(&f);
}

static void each_way_to_fail_is_told(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f;
    static const struct {
        enum behaviour behaviour;
        enum scan_state state;
        const char *detail;
    } rows[] = {
        {SILENT, SCAN_SILENT, "says nothing"},
        {CLOSES, SCAN_CLOSED, "the connection"},
        {BABBLES, SCAN_NOT_TLS, "another protocol"},
        {ENDLESS, SCAN_BAD_ANSWER, "64 KiB"},
        {DRIPS, SCAN_SILENT, ""},
        {ALERTS, SCAN_ALERT, ""},
        {HALVES, SCAN_CLOSED, "in its answer"},
    };
    start(ctx, &f);
    for EACH(i, rows) {
        const struct seen s = scan_all(ctx, (struct scan_spec){.answer_ms = 300}, "127.0.0.1", f.v[rows[i].behaviour].port, 0);
        if (s.n != 1 || s.last.state != rows[i].state || strstr(s.detail, rows[i].detail) == NULL)
            fail_msg("row %zu: %s %s", i, scan_state_name(s.last.state), s.detail);
        if (rows[i].state == SCAN_ALERT)
            assert_int_equal(s.last.alert, 112);
    }
    const uint16_t port = f.v[SERVES].port;
    stop(&f);
    assert_int_equal(scan_all(ctx, (struct scan_spec){0}, "127.0.0.1", port, 0).last.state, SCAN_REFUSED);
}

/* Neither OpenSSL nor anybody else here speaks with it: what it takes is known all the same. */
static void what_shows_no_certificate_says_version_and_group(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f;
    start(ctx, &f);
    struct seen s = scan_all(ctx, (struct scan_spec){.both_keys = true, .verify = true}, "127.0.0.1", f.v[HYBRID].port, 0);
    assert_int_equal(s.last.state, SCAN_ALERT);
    assert_int_equal(s.last.alert, 40); /* not of its version, which was not offered first */
    assert_string_equal(s.versions, " TLSv1.3");
    assert_string_equal(s.groups, " X25519MLKEM768");
    assert_non_null(strstr(s.detail, "its certificate was not read: it "));
    if (strncmp(OpenSSL_version(OPENSSL_VERSION_STRING), "3.0.", 4) == 0) {
        assert_non_null(strstr(s.detail, "no key exchange but X25519MLKEM768, which OpenSSL 3.0."));
        assert_non_null(strstr(s.detail, "scan it by an agent whose host has OpenSSL 3.5"));
    }
    assert_int_equal(f.v[HYBRID].all, 4);
    const struct scan_spec all = {.both_keys = true, .details = true, .verify = true};
    s = scan_all(ctx, all, "127.0.0.1", f.v[HYBRID].port, 0);
    assert_int_equal(s.last.state, SCAN_ALERT);
    assert_int_equal(s.last.alert, 40);
    assert_int_equal(s.last.chains_n, 0);
    assert_false(s.last.verified);
    assert_string_equal(s.versions, " TLSv1.3");
    assert_string_equal(s.groups, " X25519MLKEM768");
    assert_int_equal(f.v[HYBRID].all, 4 + 4);
    stop(&f);
}

/* Each connection brings a chain of 30 KiB. */
static void all_connections_of_an_endpoint_have_64_kib(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f;
    start(ctx, &f);
    for (size_t n = 0; n < 30000; n += f.rsa.der.n) {
        assert_int_equal(X509_up_ref(f.rsa.x), 1);
        assert_int_equal(SSL_CTX_add_extra_chain_cert(f.ssl, f.rsa.x), 1);
    }
    const struct scan_spec all = {.both_keys = true, .details = true, .verify = true};
    for (int tls13 = 0; tls13 < 2; tls13++) {
        const int before = f.v[SERVES].all;
        if (tls13)
            SSL_CTX_set_min_proto_version(f.ssl, TLS1_3_VERSION);
        const struct seen s = scan_all(ctx, all, "127.0.0.1", f.v[SERVES].port, 0);
        assert_int_equal(s.last.state, SCAN_TLS);
        assert_int_equal(s.last.chains_n, 2);
        assert_true(bytes_equal(bytes_of(s.leaf[0], s.leaf_n[0]), f.ec.der));
        assert_true(bytes_equal(bytes_of(s.leaf[1], s.leaf_n[1]), f.rsa.der));
        assert_false(s.last.verified); /* there was no room for a third */
        assert_in_range(f.v[SERVES].all - before, 3, 8);
    }
    stop(&f);
}

static void starttls_where_it_is_not_offered(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f;
    start(ctx, &f);
    const struct seen s = scan_all(ctx, (struct scan_spec){.answer_ms = 300}, "127.0.0.1", f.v[BABBLES].port, STARTTLS_POSTGRES);
    assert_int_equal(s.last.state, SCAN_BAD_ANSWER);
    assert_string_equal(s.detail, "it does not answer as PostgreSQL does: is it another port?");
    stop(&f);
}

static void a_network_is_gone_through_and_gone_on_with(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f;
    struct seen all = {0};
    uint64_t position = 0;
    bool done = false;
    start(ctx, &f);
    for (int rounds = 0; !done; rounds++) { /* each round as if it had been restarted */
        struct seen s = {.stop_after = 60};
        struct scan *scan = begin(ctx, (struct scan_spec){.position = position, .in_flight = 16, .seed = 5}, "127.0.3.0/24",
                                  f.v[SERVES].port, 0);
        assert_true(rc_ok(scan_run(ctx, scan, clock_mono_ms() + 60000, note, &s)));
        assert_true(scan_position(scan) >= position); /* as it was where the first of all is the slowest */
        position = scan_position(scan);
        done = scan_is_done(scan);
        scan_free(scan);
        for (int i = 0; i < 256; i++)
            all.hosts[i] = (uint8_t)(all.hosts[i] + s.hosts[i]);
        assert_true(rounds < 60);
    }
    for (int i = 0; i < 256; i++)
        assert_true(all.hosts[i] >= 1);
    stop(&f);
}

static void after_a_long_pause_what_was_under_way_begins_anew(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f;
    struct seen s = {.stop_after = 1};
    start(ctx, &f);
    const struct scan_spec spec = {.in_flight = 32, .answer_ms = 5000};
    struct scan *scan = begin(ctx, spec, "127.0.4.0/26", f.v[SERVES].port, 0);
    assert_true(rc_ok(scan_run(ctx, scan, clock_mono_ms() + 60000, note, &s)));
    usleep(1100000);
    s.stop_after = 0;
    while (!scan_is_done(scan))
        assert_true(rc_ok(scan_run(ctx, scan, clock_mono_ms() + 1000, note, &s)));
    assert_int_equal(s.n, 64);
    assert_int_equal(s.by_state[SCAN_TLS], 64);
    scan_free(scan);
    stop(&f);
}

/* What the kernel has told is told once: it must not be forgotten where there was enough for now. */
static void with_enough_for_now_nothing_is_lost(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f;
    struct seen s = {0};
    start(ctx, &f);
    struct scan *scan = begin(ctx, (struct scan_spec){.in_flight = 128}, "127.0.7.0/24", f.v[SERVES].port, 0);
    while (!scan_is_done(scan)) {
        s.stop_after = s.n + 3;
        usleep(2000);
        assert_true(rc_ok(scan_run(ctx, scan, clock_mono_ms() + 1000, note, &s)));
        assert_true(s.n <= s.stop_after);
    }
    assert_int_equal(s.by_state[SCAN_TLS], 256);
    scan_free(scan);
    stop(&f);
}

/* Each keeps a look of OpenSSL's while it wants the next: there are fewer than want one. */
static void servers_of_tls13_do_not_wait_for_each_other(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f;
    struct seen s = {0};
    start(ctx, &f);
    SSL_CTX_set_min_proto_version(f.ssl, TLS1_3_VERSION);
    const struct scan_spec spec = {.both_keys = true, .verify = true, .looks = 2};
    struct scan *scan = begin(ctx, spec, "127.0.8.0/28", f.v[SERVES].port, 0);
    const int64_t until_ms = clock_mono_ms() + 15000;
    while (!scan_is_done(scan) && clock_mono_ms() < until_ms)
        assert_true(rc_ok(scan_run(ctx, scan, clock_mono_ms() + 100, note, &s)));
    assert_int_equal(s.by_state[SCAN_TLS], 16);
    assert_int_equal(s.last.chains_n, 2);
    scan_free(scan);
    stop(&f);
}

static void what_may_not_be_asked_is_told_no_faster_than_it_is_taken(void **state)
{
    struct ctx *ctx = *state;
    enum { SINGLE = 3000 };
    struct scan_target *targets = arena_array(&ctx->arena, SINGLE, sizeof *targets);
    const struct scan_port port = {443, 0};
    const struct cidr granted = net("127.0.0.0/8");
    struct seen s = {0};
    struct scan *scan;
    for (size_t i = 0; i < SINGLE; i++)
        targets[i].net = net(arena_printf(&ctx->arena, "192.0.%zu.%zu/32", 2 + 2 * (i / 250), 1 + i % 250));
    const struct scan_spec spec = {
        .targets = targets, .targets_n = SINGLE, .granted = &granted, .granted_n = 1, .ports = &port, .ports_n = 1};
    assert_true(rc_ok(scan_new(ctx, &spec, &scan)));
    while (!scan_is_done(scan)) {
        s.stop_after = s.n + 100;
        assert_true(rc_ok(scan_run(ctx, scan, clock_mono_ms() + 1000, note, &s)));
        assert_true(s.n <= s.stop_after);
    }
    assert_int_equal(s.by_state[SCAN_NOT_GRANTED], SINGLE);
    scan_free(scan);
}

/* Many that send much and go on and on: the others' share of memory is theirs. */
static void those_that_send_much_get_only_so_much_memory(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f;
    start(ctx, &f);
    const struct scan_spec spec = {.memory = 100000, .answer_ms = 700};
    const struct seen s = scan_all(ctx, spec, "127.0.9.0/28", f.v[HEAPS].port, 0);
    assert_in_range(s.by_state[SCAN_SILENT], 1, 5);
    assert_int_equal(s.by_state[SCAN_BAD_ANSWER] + s.by_state[SCAN_SILENT], 16);
    stop(&f);
}

static void one_host_is_not_hammered(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f;
    struct scan_port ports[64];
    const struct cidr granted = net("127.0.0.0/8");
    const struct scan_target t = {net("127.0.0.1/32"), NULL};
    struct scan_spec spec = {.targets = &t, .targets_n = 1, .granted = &granted, .granted_n = 1, .ports = ports, .ports_n = 64,
                             .per_host = 3, .answer_ms = 20000};
    struct seen s = {0};
    struct scan *scan;
    start(ctx, &f);
    for EACH(i, ports)
        ports[i] = (struct scan_port){f.v[SERVES].port, 0}; /* as if there were so many */
    assert_true(rc_ok(scan_new(ctx, &spec, &scan)));
    while (!scan_is_done(scan))
        assert_true(rc_ok(scan_run(ctx, scan, clock_mono_ms() + 1000, note, &s)));
    assert_int_equal(s.by_state[SCAN_TLS], 64);
    assert_int_equal(f.v[SERVES].all, 64);
    scan_free(scan);
    for EACH(i, ports)
        ports[i] = (struct scan_port){f.v[SILENT].port, 0};
    spec.ports_n = 12;
    spec.answer_ms = 50;
    const int64_t begun = clock_mono_ms();
    assert_true(rc_ok(scan_new(ctx, &spec, &scan)));
    while (!scan_is_done(scan))
        assert_true(rc_ok(scan_run(ctx, scan, clock_mono_ms() + 1000, note, &s)));
    assert_int_equal(s.by_state[SCAN_SILENT], 12);
    assert_true(clock_mono_ms() - begun >= 4 * 50); /* three at a time, four times */
    scan_free(scan);
    stop(&f);
}

static void the_rate_holds(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f;
    start(ctx, &f);
    const int64_t begun = clock_mono_ms();
    const struct seen s = scan_all(ctx, (struct scan_spec){.rate = 100}, "127.0.5.0/27", f.v[SERVES].port, 0);
    assert_int_equal(s.by_state[SCAN_TLS], 32);
    assert_true(clock_mono_ms() - begun >= 200); /* 5 at once, and 27 after them */
    stop(&f);
}

static void what_is_excluded_or_not_granted_is_not_connected_to(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f;
    const struct cidr granted[] = {net("127.0.6.0/25")}, exclude[] = {net("127.0.6.0/26")};
    struct seen s = {0};
    start(ctx, &f);
    const struct scan_spec spec = {.granted = granted, .granted_n = 1, .exclude = exclude, .exclude_n = 1};
    struct scan *scan = begin(ctx, spec, "127.0.6.0/24", f.v[SERVES].port, 0);
    while (!scan_is_done(scan))
        assert_true(rc_ok(scan_run(ctx, scan, clock_mono_ms() + 1000, note, &s)));
    assert_int_equal(scan_counts(scan).probed, 64);
    assert_int_equal(scan_counts(scan).skipped, 192);
    assert_int_equal(f.v[SERVES].all, 64);
    assert_int_equal(s.n, 64);
    for (int i = 0; i < 256; i++)
        assert_int_equal(s.hosts[i], i >= 64 && i < 128);
    scan_free(scan);
    stop(&f);
}

static void names_are_resolved(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f;
    start(ctx, &f);
    struct seen s = scan_all(ctx, (struct scan_spec){0}, "localhost", f.v[SERVES].port, 0);
    assert_true(s.by_state[SCAN_TLS] >= 1);
    s = scan_all(ctx, (struct scan_spec){0}, "no-such-host.invalid", f.v[SERVES].port, 0);
    assert_int_equal(s.by_state[SCAN_UNRESOLVED], 1);
    stop(&f);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_endpoint_has_one_position_and_neighbours_are_apart),
        TEST(names_come_first_and_addresses_get_them),
        TEST(too_much_is_refused),
        TEST(targets_and_ports_are_read),
        TEST(what_is_not_granted_is_found_out),
        TEST(both_certificates_and_all_else_of_one_server),
        TEST(servers_of_one_version_alone_are_read),
        TEST(each_way_to_fail_is_told),
        TEST(what_shows_no_certificate_says_version_and_group),
        TEST(all_connections_of_an_endpoint_have_64_kib),
        TEST(starttls_where_it_is_not_offered),
        TEST(a_network_is_gone_through_and_gone_on_with),
        TEST(after_a_long_pause_what_was_under_way_begins_anew),
        TEST(with_enough_for_now_nothing_is_lost),
        TEST(servers_of_tls13_do_not_wait_for_each_other),
        TEST(what_may_not_be_asked_is_told_no_faster_than_it_is_taken),
        TEST(those_that_send_much_get_only_so_much_memory),
        TEST(one_host_is_not_hammered),
        TEST(the_rate_holds),
        TEST(what_is_excluded_or_not_granted_is_not_connected_to),
        TEST(names_are_resolved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
