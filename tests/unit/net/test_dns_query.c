/* Questions to DNS servers that answer well, late, cut, twice, for others, and not at all; and signed updates. */
#include "net/net_test.h"

#include <net/if.h>

#include "net/dns_query.h"
#include "pki/hmac.h"

#define EACH(i, a) (size_t i = 0; i < sizeof(a) / sizeof *(a); i++)

enum how { WELL, STRAYS_FIRST, CUT, NO_EDNS, SILENT, GARBAGE, REFUSES, TSIG_GOOD, TSIG_MISSING, TSIG_OTHER_KEY, TSIG_TAMPERED, TSIG_OLD, BADKEY };

struct server {
    enum how how;
    int udp, tcp;
    struct address at;
    pthread_t threads[2];
    int asked;
    struct bytes secret;
};

static const struct dns_key good_key = {"certwright", "hmac-sha256", {(const uint8_t *)"0123456789abcdef0123456789abcdef", 32}};

/* The answer: `n` TXT records "value". */
static void put_answer(struct ctx *ctx, struct buf *b, struct bytes query, uint16_t flags, size_t n)
{
    const struct bytes question = bytes_of(query.p + 12, query.n - 12);
    size_t end = 0;
    while (question.p[end] != 0)
        end += question.p[end] + 1u;
    (void)ctx;
    buf_put(b, bytes_of(query.p, 2));
    buf_put_u16(b, flags);
    buf_put_u16(b, 1);
    buf_put_u16(b, (uint16_t)n);
    buf_put_u32(b, 0);
    buf_put(b, bytes_of(question.p, end + 5));
    for (size_t i = 0; i < n; i++)
        buf_put(b, BYTES_LIT("\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x05\x00\x06\x05" "value"));
}

static size_t original_end(struct bytes query, struct bytes *mac)
{
    struct ctx ctx = {0};
    struct dns_reply r;
    BUF_CLEANUP struct buf as_answer = {0};
    ctx_init(&ctx, &clock_system);
    buf_init(&as_answer, DNS_MESSAGE_MAX);
    buf_put(&as_answer, query);
    as_answer.p[2] |= 0x80;
    assert_true(rc_ok(dns_reply_read(&ctx, buf_bytes(&as_answer), &r)));
    size_t at = r.tsig.at;
    uint8_t *copy = malloc(r.tsig.mac.n);
    assert_non_null(copy);
    memcpy(copy, r.tsig.mac.p, r.tsig.mac.n);
    *mac = bytes_of(copy, r.tsig.mac.n);
    ctx_free(&ctx);
    return at;
}

/* An UPDATE's answer, signed as RFC 8945 section 5.3 says. */
static void put_signed(struct ctx *ctx, struct buf *b, struct bytes query, enum how how)
{
    struct bytes mac;
    struct buf over;
    uint8_t code[HMAC_MAX];
    size_t n;
    const struct dns_key other = {"certwright", "hmac-sha256", BYTES_LIT("another secret that is not the same")};
    const struct dns_key *key = how == TSIG_OTHER_KEY ? &other : &good_key;
    const uint64_t now = (uint64_t)ctx_now_s(ctx) - (how == TSIG_OLD ? 301 : 0);
    original_end(query, &mac);
    buf_put(b, bytes_of(query.p, 2));
    buf_put_u16(b, how == BADKEY ? 0xa809 : 0xa800);
    buf_put_u32(b, 0);
    buf_put_u32(b, 0);
    if (how == TSIG_MISSING)
        goto done;
    buf_init_arena(&over, &ctx->arena, 4096);
    buf_put_u16(&over, (uint16_t)mac.n);
    buf_put(&over, mac);
    buf_put(&over, buf_bytes(b));
    assert_true(rc_ok(dns_put_name(ctx, &over, key->name)));
    buf_put_u16(&over, 255);
    buf_put_u32(&over, 0);
    assert_true(rc_ok(dns_put_name(ctx, &over, key->algorithm)));
    buf_put_u16(&over, (uint16_t)(now >> 32));
    buf_put_u32(&over, (uint32_t)now);
    buf_put_u16(&over, 300);
    buf_put_u32(&over, 0);
    assert_true(rc_ok(hmac_make(ctx, "SHA256", key->secret, buf_bytes(&over), code, &n)));
    code[5] ^= how == TSIG_TAMPERED ? 1 : 0;
    b->p[11] = 1;
    assert_true(rc_ok(dns_put_name(ctx, b, key->name)));
    buf_put_u16(b, 250);
    buf_put_u16(b, 255);
    buf_put_u32(b, 0);
    buf_put_u16(b, (uint16_t)(13 + 16 + n));
    assert_true(rc_ok(dns_put_name(ctx, b, key->algorithm)));
    buf_put_u16(b, (uint16_t)(now >> 32));
    buf_put_u32(b, (uint32_t)now);
    buf_put_u16(b, 300);
    buf_put_u16(b, (uint16_t)n);
    buf_put_mem(b, code, n);
    buf_put(b, bytes_of(query.p, 2));
    buf_put_u16(b, how == BADKEY ? 17 : 0);
    buf_put_u16(b, 0);
done:
    free((void *)(uintptr_t)mac.p);
}

static void answer(struct server *s, struct bytes query, bool tcp, struct buf *b)
{
    CTX_CLEANUP struct ctx ctx = {0};
    ctx_init(&ctx, &clock_system);
    s->asked++;
    switch (s->how) {
    case WELL:
    case STRAYS_FIRST: put_answer(&ctx, b, query, 0x8400, 1); break;
    case CUT: put_answer(&ctx, b, query, tcp ? 0x8400 : 0x8600, tcp ? 3 : 0); break;
    case NO_EDNS: put_answer(&ctx, b, query, query.p[11] != 0 ? 0x8401 : 0x8400, query.p[11] != 0 ? 0 : 1); break;
    case REFUSES: put_answer(&ctx, b, query, 0x8005, 0); break;
    case GARBAGE: /* the question is right, the record's name leads to itself */
        put_answer(&ctx, b, query, 0x8400, 0);
        b->p[7] = 1;
        buf_put(b, bytes_of((const uint8_t[]){0xc0, (uint8_t)b->n, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0}, 12));
        break;
    case SILENT: break;
    default: put_signed(&ctx, b, query, s->how);
    }
}

static void *serve_udp(void *arg)
{
    struct server *s = arg;
    uint8_t room[4096];
    struct sockaddr_storage from;
    for (;;) {
        socklen_t from_n = sizeof from;
        ssize_t n = recvfrom(s->udp, room, sizeof room, 0, (struct sockaddr *)&from, &from_n);
        if (n <= 12)
            return NULL;
        BUF_CLEANUP struct buf b = {0};
        buf_init(&b, DNS_MESSAGE_MAX);
        answer(s, bytes_of(room, (size_t)n), false, &b);
        if (s->how == STRAYS_FIRST) {
            uint8_t stray[4096];
            const size_t stray_n = b.n;
            memcpy(stray, b.p, stray_n);
            stray[0] ^= 1; /* another id, a question instead of an answer, another question, nothing at all */
            sendto(s->udp, stray, stray_n, 0, (struct sockaddr *)&from, from_n);
            sendto(s->udp, room, (size_t)n, 0, (struct sockaddr *)&from, from_n);
            stray[0] ^= 1;
            stray[14] ^= 1;
            sendto(s->udp, stray, stray_n, 0, (struct sockaddr *)&from, from_n);
            sendto(s->udp, "", 0, 0, (struct sockaddr *)&from, from_n);
        }
        if (b.n > 0)
            sendto(s->udp, b.p, b.n, 0, (struct sockaddr *)&from, from_n);
    }
}

static void *serve_tcp(void *arg)
{
    struct server *s = arg;
    for (;;) {
        int fd = accept(s->tcp, NULL, NULL);
        uint8_t room[4096];
        if (fd < 0)
            return NULL;
        if (recv(fd, room, 2, MSG_WAITALL) == 2) {
            size_t n = (size_t)(room[0] << 8 | room[1]);
            BUF_CLEANUP struct buf b = {0};
            buf_init(&b, DNS_MESSAGE_MAX);
            if (n <= sizeof room && recv(fd, room, n, MSG_WAITALL) == (ssize_t)n)
                answer(s, bytes_of(room, n), true, &b);
            const uint8_t length[2] = {(uint8_t)(b.n >> 8), (uint8_t)b.n};
            if (send(fd, length, 2, MSG_NOSIGNAL) != 2 || send(fd, b.p, b.n, MSG_NOSIGNAL) < 0)
                b.n = 0;
        }
        close(fd);
    }
}

static void server_start(struct server *s, enum how how)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof in;
    *s = (struct server){.how = how, .tcp = socket(AF_INET, SOCK_STREAM, 0), .udp = socket(AF_INET, SOCK_DGRAM, 0)};
    assert_int_equal(bind(s->tcp, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(getsockname(s->tcp, (struct sockaddr *)&in, &n), 0);
    assert_int_equal(bind(s->udp, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(s->tcp, 8), 0);
    assert_true(address_from_sockaddr((struct sockaddr *)&in, &s->at));
    s->at.port = ntohs(in.sin_port);
    assert_int_equal(pthread_create(&s->threads[0], NULL, serve_udp, s), 0);
    assert_int_equal(pthread_create(&s->threads[1], NULL, serve_tcp, s), 0);
}

static void server_stop(struct server *s)
{
    struct sockaddr_storage sa;
    socklen_t n = address_to_sockaddr(&s->at, &sa);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    sendto(fd, "", 0, 0, (struct sockaddr *)&sa, n); /* wakes it */
    close(fd);
    shutdown(s->tcp, SHUT_RDWR);
    pthread_join(s->threads[0], NULL);
    pthread_join(s->threads[1], NULL);
    close(s->udp);
    close(s->tcp);
}

static struct rc ask(struct ctx *ctx, const struct address *at, size_t n, int64_t timeout_ms, struct dns_reply *out)
{
    const struct dns_ask q = {.servers = at, .n = n, .name = "_acme-challenge.www.example.org", .type = DNS_TXT, .timeout_ms = timeout_ms};
    return dns_ask(ctx, &q, out);
}

static void answers_are_found_among_what_else_is_said(void **state)
{
    static const struct {
        enum how how;
        size_t values;
        int asked;
    } cases[] = {{WELL, 1, 1}, {STRAYS_FIRST, 1, 1}, {CUT, 3, 2}, {NO_EDNS, 1, 2}};
    for EACH(i, cases) {
        struct server s;
        struct dns_reply r;
        server_start(&s, cases[i].how);
        if (rc_failed(ask(*state, &s.at, 1, 5000, &r)))
            fail_msg("case %zu: %s", i, ctx_why(*state));
        assert_int_equal(r.rcode, DNS_NOERROR);
        assert_true(r.authoritative);
        assert_int_equal(r.n_answer, cases[i].values);
        for (size_t k = 0; k < r.n_answer; k++) {
            assert_string_equal(r.answer[k].owner, "_acme-challenge.www.example.org");
            assert_true(bytes_equal_z(r.answer[k].data, "value"));
        }
        server_stop(&s);
        assert_int_equal(s.asked, cases[i].asked);
    }
}

static void servers_that_do_not_help_are_passed_over(void **state)
{
    static const enum how bad[] = {SILENT, GARBAGE, REFUSES};
    for EACH(i, bad) {
        struct server s[2];
        struct dns_reply r;
        server_start(&s[0], bad[i]);
        server_start(&s[1], WELL);
        const struct address both[] = {s[0].at, s[1].at};
        assert_true(rc_ok(ask(*state, both, 2, 5000, &r)));
        assert_int_equal(r.n_answer, 1);
        server_stop(&s[0]);
        server_stop(&s[1]);
    }
}

static void where_nobody_helps_it_is_told_in_time(void **state)
{
    struct ctx *ctx = *state;
    struct server s;
    struct dns_reply r;
    int64_t begun = clock_mono_ms();
    server_start(&s, SILENT);
    assert_int_equal(ask(ctx, &s.at, 1, 300, &r).e, E_TIMEOUT);
    assert_true(clock_mono_ms() - begun < 3000);
    assert_non_null(strstr(ctx_why(ctx), "does not answer"));
    server_stop(&s);
    ctx_forget(ctx);
    assert_int_equal(ask(ctx, &s.at, 1, 300, &r).e, E_UNREACHABLE);
    ctx_forget(ctx);
    server_start(&s, REFUSES);
    assert_true(rc_ok(ask(ctx, &s.at, 1, 300, &r)));
    assert_int_equal(r.rcode, DNS_REFUSED);
    server_stop(&s);
    server_start(&s, GARBAGE);
    assert_int_equal(ask(ctx, &s.at, 1, 300, &r).e, E_BAD_ANSWER);
    server_stop(&s);
    ctx_forget(ctx);
    assert_int_equal(ask(ctx, NULL, 0, 300, &r).e, E_DNS);
}

static void addresses_from_outside_pass_the_guard(void **state)
{
    struct ctx *ctx = *state;
    const struct address_grants none = {0};
    struct address a = {.ip = {127, 0, 0, 1}, .len = 4, .port = 53};
    const struct dns_ask q = {.servers = &a, .n = 1, .grants = &none, .name = "example.org", .type = DNS_SOA, .timeout_ms = 300};
    struct dns_reply r;
    assert_int_equal(dns_ask(ctx, &q, &r).e, E_ADDRESS_REFUSED);
}

static void an_update_is_believed_where_its_answer_is_signed(void **state)
{
    static const struct {
        enum how how;
        enum err e;
        const char *words;
    } cases[] = {{TSIG_GOOD, E_OK, ""},
                 {TSIG_MISSING, E_BAD_ANSWER, "is not signed"},
                 {TSIG_OTHER_KEY, E_BAD_ANSWER, "not signed with the key certwright"},
                 {TSIG_TAMPERED, E_BAD_ANSWER, "not signed with the key certwright"},
                 {TSIG_OLD, E_BAD_ANSWER, "clock differs"},
                 {BADKEY, E_OK, ""}};
    struct ctx *ctx = *state;
    const struct dns_change change = {.zone = "example.org", .name = "_acme-challenge.example.org", .value = BYTES_LIT("value"), .ttl = 60, .add = true};
    for EACH(i, cases) {
        struct server s;
        struct dns_reply r;
        server_start(&s, cases[i].how);
        ctx_forget(ctx);
        struct rc rc = dns_update(ctx, &s.at, NULL, &good_key, &change, &r);
        server_stop(&s);
        if (rc.e != cases[i].e || !strstr(ctx_why(ctx), cases[i].words))
            fail_msg("case %zu: %d %s", i, rc.e, ctx_why(ctx));
        assert_int_equal(r.rcode, cases[i].how == BADKEY ? DNS_NOTAUTH : DNS_NOERROR);
        assert_int_equal(r.tsig.error, cases[i].how == BADKEY ? DNS_BADKEY : 0);
    }
    const struct dns_key md5 = {"k", "hmac-md5.sig-alg.reg.int", BYTES_LIT("x")};
    struct dns_reply r;
    struct address nobody = {.ip = {127, 0, 0, 1}, .len = 4, .port = 1};
    assert_int_equal(dns_update(ctx, &nobody, NULL, &md5, &change, &r).e, E_UNSUPPORTED);
}

static void names_are_compared_by_label(void **state)
{
    (void)state;
    assert_true(dns_name_plain("_acme-challenge.www.example.org"));
    static const char *const bad[] = {"", ".", "a..b", ".a", "a.", "A.b", "a b", "a\\.b", "\xc3\xa4.b",
                                      "a123456789012345678901234567890123456789012345678901234567890123.org"};
    for EACH(i, bad)
        assert_false(dns_name_plain(bad[i]));
    assert_true(dns_name_within("www.example.org", "example.org"));
    assert_true(dns_name_within("example.org", "example.org"));
    assert_false(dns_name_within("badexample.org", "example.org"));
    assert_false(dns_name_within("org", "example.org"));
    assert_true(dns_name_within("org", ""));
    assert_string_equal(dns_name_parent("www.example.org"), "example.org");
    assert_string_equal(dns_name_parent("org"), "");
}

static void long_values_are_divided_into_strings(void **state)
{
    struct ctx *ctx = *state;
    uint8_t text[300];
    memset(text, 'x', sizeof text);
    struct dns_change c = {.zone = "example.org", .name = "a.example.org", .value = bytes_of(text, sizeof text), .ttl = 60, .add = true};
    struct dns_reply r;
    struct buf b;
    buf_init_arena(&b, &ctx->arena, DNS_MESSAGE_MAX);
    assert_true(rc_ok(dns_put_update(ctx, &b, 1, &c)));
    b.p[2] |= 0x80;
    assert_true(rc_ok(dns_reply_read(ctx, buf_bytes(&b), &r)));
    assert_int_equal(r.n_authority, 1);
    assert_int_equal(r.authority[0].data.n, 300);
    c.value.n = 0;
    assert_int_equal(dns_put_update(ctx, &b, 1, &c).e, E_INVALID);
    c.value = bytes_of(text, sizeof text);
    c.name = "a..b";
    assert_int_equal(dns_put_update(ctx, &b, 1, &c).e, E_INVALID);
}

static void resolvers_are_read_as_the_system_reads_them(void **state)
{
    static const struct {
        const char *text;
        size_t n;
        const char *first;
    } cases[] = {
        {"", 1, "127.0.0.1:53"},
        {"# nameserver 192.0.2.9\nsearch example.org\n", 1, "127.0.0.1:53"},
        {"nameserver 192.0.2.1\nnameserver\t2001:db8::1 \nnameserver nonsense\nnameservers 192.0.2.4", 2, "192.0.2.1:53"},
        {"nameserver fe80::1%lo\n", 1, "[fe80::1]:53"},
        {"nameserver 192.0.2.7", 1, "192.0.2.7:53"},
    };
    struct ctx *ctx = *state;
    for EACH(i, cases) {
        struct address *v;
        size_t n;
        assert_true(rc_ok(dns_resolvers(ctx, bytes_z(cases[i].text), &v, &n)));
        assert_int_equal(n, cases[i].n);
        assert_string_equal(address_port_str(&ctx->arena, &v[0]), cases[i].first);
        assert_int_equal(v[0].scope, strchr(cases[i].text, '%') != NULL ? if_nametoindex("lo") : 0);
    }
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_are_found_among_what_else_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(servers_that_do_not_help_are_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(where_nobody_helps_it_is_told_in_time, setup, teardown),
        cmocka_unit_test_setup_teardown(addresses_from_outside_pass_the_guard, setup, teardown),
        cmocka_unit_test_setup_teardown(an_update_is_believed_where_its_answer_is_signed, setup, teardown),
        cmocka_unit_test_setup_teardown(names_are_compared_by_label, setup, teardown),
        cmocka_unit_test_setup_teardown(long_values_are_divided_into_strings, setup, teardown),
        cmocka_unit_test_setup_teardown(resolvers_are_read_as_the_system_reads_them, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
