/* The way to the zone of a challenge through servers that say odd things.  One server plays all of them, at port 53 of a loopback
 * address of its own, for NS records have no port: skipped where that is not allowed. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/probe/dns.h"
#include "base/random.h"
#include "base/str.h"
#include "net/dns_wire.h"

#define RECORDS_MAX 4
#define ANSWERS_MAX 12
#define HERE        "here"

struct record {
    char section; /* 'a' answer, 'u' authority */
    const char *owner;
    enum dns_type type;
    const char *data; /* a name, an IPv4 address, HERE */
};
struct said {
    const char *name;
    enum dns_type type;
    int rcode;
    bool authoritative;
    struct record records[RECORDS_MAX];
};
struct scene {
    const char *asked;
    struct said said[ANSWERS_MAX];
    enum err e;
    const char *words; /* of the error; else target and zone, with a space between */
};

#define SOA_OF(zone)  {zone, DNS_SOA, 0, true, {{'a', zone, DNS_SOA, "ns." zone}}}
#define NS_OF(zone)   {zone, DNS_NS, 0, true, {{'a', zone, DNS_NS, "ns." zone}}}
#define A_OF(zone)    {"ns." zone, DNS_A, 0, true, {{'a', "ns." zone, DNS_A, HERE}}}
#define ZONE(zone)    SOA_OF(zone), NS_OF(zone), A_OF(zone)
#define CHALLENGE     "_acme-challenge.www.example.org"

static const struct scene scenes[] = {
    {CHALLENGE, {ZONE("example.org"), {CHALLENGE, DNS_CNAME, 3, true, {{'u', "example.org", DNS_SOA, "ns.example.org"}}}}, E_OK,
     CHALLENGE " example.org"},
    /* a resolver that tells the SOA beside the answer; a server that holds the zone below as well */
    {CHALLENGE,
     {{"www.example.org", DNS_SOA, 0, false, {{'u', "example.org", DNS_SOA, "ns.example.org"}}},
      NS_OF("example.org"),
      A_OF("example.org"),
      NS_OF("www.example.org"),
      A_OF("www.example.org"),
      {CHALLENGE, DNS_CNAME, 0, true, {{'u', "www.example.org", DNS_SOA, "ns.www.example.org"}}}},
     E_OK, CHALLENGE " www.example.org"},
    /* a delegation whose server answers */
    {CHALLENGE,
     {ZONE("example.org"), A_OF(CHALLENGE), {CHALLENGE, DNS_CNAME, 0, false, {{'u', CHALLENGE, DNS_NS, "ns." CHALLENGE}}}}, E_DNS,
     "do not answer for"},
    /* a delegation upwards, and to a stranger: neither is followed */
    {CHALLENGE, {ZONE("example.org"), {CHALLENGE, DNS_CNAME, 0, false, {{'u', "org", DNS_NS, "ns.example.org"}}}}, E_DNS,
     "the zone example.org do not answer for " CHALLENGE},
    {CHALLENGE, {ZONE("example.org"), {CHALLENGE, DNS_CNAME, 0, false, {{'u', "example.net", DNS_NS, "ns.example.org"}}}}, E_DNS,
     "the zone example.org do not answer for " CHALLENGE},
    /* aliases */
    {CHALLENGE,
     {ZONE("example.org"),
      ZONE("example.net"),
      {CHALLENGE, DNS_CNAME, 0, true, {{'a', CHALLENGE, DNS_CNAME, "x.example.net"}}},
      {"x.example.net", DNS_CNAME, 0, true, {{'u', "example.net", DNS_SOA, "ns.example.net"}}}},
     E_OK, "x.example.net example.net"},
    {CHALLENGE, {ZONE("example.org"), {CHALLENGE, DNS_CNAME, 0, true, {{'a', CHALLENGE, DNS_CNAME, CHALLENGE}}}}, E_DNS, "or of itself"},
    {CHALLENGE, {ZONE("example.org"), {CHALLENGE, DNS_CNAME, 0, true, {{'a', CHALLENGE, DNS_CNAME, "a\\032b.example.org"}}}}, E_DNS,
     "cannot hold a challenge"},
    {CHALLENGE, {ZONE("example.org"), {CHALLENGE, DNS_CNAME, 0, true, {{'a', "other.example.org", DNS_CNAME, "x.example.net"}}}}, E_OK,
     CHALLENGE " example.org"},
    /* servers */
    {CHALLENGE, {SOA_OF("example.org"), NS_OF("example.org")}, E_DNS, "have no addresses"},
    {CHALLENGE, {SOA_OF("example.org"), {"example.org", DNS_NS, 0, true, {{0}}}}, E_DNS, "no servers are found"},
    {CHALLENGE,
     {SOA_OF("example.org"), NS_OF("example.org"), {"ns.example.org", DNS_A, 0, true, {{'a', "ns.example.org", DNS_A, "169.254.169.254"}}}},
     E_ADDRESS_REFUSED, "169.254.169.254"},
    {CHALLENGE, {ZONE("example.org"), {CHALLENGE, DNS_CNAME, 2, false, {{0}}}}, E_DNS, "SERVFAIL"},
    /* resolvers */
    {CHALLENGE, {{"www.example.org", DNS_SOA, 2, false, {{0}}}, {"example.org", DNS_SOA, 2, false, {{0}}}}, E_DNS,
     "says SERVFAIL when asked for the zone"},
    {"_acme-challenge.nowhere", {{"nowhere", DNS_SOA, 3, false, {{'u', "", DNS_SOA, "a.root-servers.net"}}}}, E_DNS, "no zone is found"},
    {"a b", {{0}}, E_INVALID, "is not a name"},
};

static struct {
    int fd;
    struct sockaddr_in at;
    pthread_t thread;
    const struct scene *scene;
} server;

static void put_record(struct ctx *ctx, struct buf *b, const struct record *r)
{
    struct buf data;
    buf_init_arena(&data, &ctx->arena, 1024);
    if (r->type == DNS_A) {
        struct in_addr a = server.at.sin_addr;
        if (strcmp(r->data, HERE) != 0)
            inet_pton(AF_INET, r->data, &a);
        buf_put_mem(&data, &a, 4);
    } else {
        (void)rc_failed(dns_put_name(ctx, &data, r->data));
        if (r->type == DNS_SOA)
            buf_put(&data, bytes_of((const uint8_t[21]){0}, 21));
    }
    (void)rc_failed(dns_put_name(ctx, b, r->owner));
    buf_put_u16(b, (uint16_t)r->type);
    buf_put_u16(b, 1);
    buf_put_u32(b, 5);
    buf_put_u16(b, (uint16_t)data.n);
    buf_put(b, buf_bytes(&data));
}

/* The name of a question, in text. */
static size_t read_name(const uint8_t *p, char *out)
{
    size_t at = 0, n = 0;
    while (p[at] != 0) {
        if (n > 0)
            out[n++] = '.';
        memcpy(out + n, p + at + 1, p[at]);
        n += p[at];
        at += p[at] + 1u;
    }
    out[n] = '\0';
    return at + 5;
}

static void reply(struct ctx *ctx, const uint8_t *query, struct buf *b)
{
    char name[300];
    const size_t question = read_name(query + 12, name);
    const int type = query[12 + question - 4] << 8 | query[12 + question - 3];
    static const struct said nothing = {.authoritative = true};
    const struct said *s = &nothing;
    uint16_t counts[2] = {0};
    for (size_t i = 0; i < ANSWERS_MAX && server.scene->said[i].name != NULL; i++)
        if (strcmp(server.scene->said[i].name, name) == 0 && (int)server.scene->said[i].type == type)
            s = &server.scene->said[i];
    for (size_t i = 0; i < RECORDS_MAX && s->records[i].section != 0; i++)
        counts[s->records[i].section == 'u']++;
    buf_put_mem(b, query, 2);
    buf_put_u16(b, (uint16_t)(0x8000 | (s->authoritative ? 0x400 : 0) | s->rcode));
    buf_put_u16(b, 1);
    buf_put_u16(b, counts[0]);
    buf_put_u16(b, counts[1]);
    buf_put_u16(b, 0);
    buf_put_mem(b, query + 12, question);
    for (int section = 0; section < 2; section++)
        for (size_t i = 0; i < RECORDS_MAX && s->records[i].section != 0; i++)
            if ((s->records[i].section == 'u') == section)
                put_record(ctx, b, &s->records[i]);
}

static void *serve(void *arg)
{
    uint8_t query[1500];
    struct sockaddr_in from;
    (void)arg;
    for (;;) {
        CTX_CLEANUP struct ctx ctx = {0};
        struct buf b;
        socklen_t n = sizeof from;
        ssize_t got = recvfrom(server.fd, query, sizeof query, 0, (struct sockaddr *)&from, &n);
        if (got < 17)
            return NULL;
        ctx_init(&ctx, &clock_system);
        buf_init_arena(&b, &ctx.arena, 4096);
        reply(&ctx, query, &b);
        sendto(server.fd, b.p, b.n, 0, (struct sockaddr *)&from, n);
    }
}

static int setup(void **state)
{
    (void)state;
    server.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (int i = 0; i < 20; i++) {
        const uint32_t own = 0x7f000000u | (uint32_t)(64 + random_below(100)) << 16 | (uint32_t)(1 + random_below(60000));
        server.at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(own), .sin_port = htons(53)};
        if (bind(server.fd, (struct sockaddr *)&server.at, sizeof server.at) == 0)
            return pthread_create(&server.thread, NULL, serve, NULL);
        if (errno == EACCES)
            break;
    }
    close(server.fd);
    server.fd = -1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (server.fd < 0)
        return 0;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sendto(fd, "", 0, 0, (struct sockaddr *)&server.at, sizeof server.at);
    close(fd);
    pthread_join(server.thread, NULL);
    close(server.fd);
    return 0;
}

static void the_zone_is_found_or_it_is_told_why_not(void **state)
{
    (void)state;
    if (server.fd < 0)
        skip();
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
        CTX_CLEANUP struct ctx ctx = {0};
        struct agent_config cfg = {.file = "agent.yaml"};
        struct wire_probe_dns_zone_is found = {0};
        struct cidr loopback;
        char at[INET_ADDRSTRLEN];
        ctx_init(&ctx, &clock_system);
        server.scene = &scenes[i];
        assert_true(cidr_parse(BYTES_LIT("127.0.0.0/8"), &loopback));
        str_list_add(&ctx.arena, &cfg.resolvers, inet_ntop(AF_INET, &server.at.sin_addr, at, sizeof at));
        struct rc rc = probe_dns_find(&ctx, &cfg, &(struct address_grants){&loopback, 1}, scenes[i].asked, &found);
        const char *got = rc_failed(rc) ? ctx_why(&ctx) : arena_printf(&ctx.arena, "%s %s", found.target, found.zone);
        if (rc.e != scenes[i].e || (rc_failed(rc) ? strstr(got, scenes[i].words) == NULL : strcmp(got, scenes[i].words) != 0))
            fail_msg("scene %zu: %s: %s", i, err_info(rc.e)->name, got);
        if (rc_ok(rc)) {
            assert_int_equal(found.servers.n, 1);
            assert_string_equal(found.servers.v[0], arena_printf(&ctx.arena, "%s:53", at));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_zone_is_found_or_it_is_told_why_not)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
