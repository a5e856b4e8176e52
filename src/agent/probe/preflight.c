#include "agent/probe/preflight.h"

#include <errno.h>
#include <unistd.h>

#include "agent/probe/dns.h"
#include "base/uri.h"
#include "net/caa.h"
#include "net/dns_query.h"
#include "net/dnssec.h"
#include "net/handshake.h"
#include "os/file.h"

#define RESOLVERS_MAX 4  /* that are compared */
#define ADDRESSES_MAX 16 /* of a name that are kept */
#define TRIED_MAX     6  /* of them that are connected to */
#define REDIRECTS_MAX 10
#define ASK_MS        2500
#define DNSSEC_MS     4000
#define CONNECT_MS    4000
#define TEXT_MAX      960

struct look {
    const struct preflight_with *with;
    const struct wire_probe_preflight *in;
    struct address *resolvers;
    size_t n_resolvers;
    bool is_ip;
    bool deaf; /* no resolver answers at all: what else would be asked of them cannot be known either */
    struct address addresses[ADDRESSES_MAX];
    bool doubted[ADDRESSES_MAX]; /* not all resolvers tell this one */
    size_t n_addresses;
    int64_t until;
    enum preflight_verdict redirects; /* what the checks before it have seen */
    const char *redirects_text;       /* NULL: there was none */
};

static int64_t left_of(const struct look *l, int64_t most)
{
    const int64_t left = l->until - clock_mono_ms();
    return left < 0 ? 0 : left < most ? left : most;
}

static const char *why_of(struct ctx *ctx)
{
    const char *why = ctx_why(ctx);
    ctx->trail = NULL;
    return why;
}

/* --- addresses */

struct seen {
    struct address v[ADDRESSES_MAX];
    size_t n;
    bool replied;  /* it said something */
    bool definite; /* it said what there is, or that there is nothing */
    const char *why;
};

static bool has(const struct address *v, size_t n, const struct address *a)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].len == a->len && memcmp(v[i].ip, a->ip, a->len) == 0)
            return true;
    return false;
}

static void keep(struct address *v, size_t *n, const struct dns_record *r)
{
    struct address a = {.len = (uint8_t)r->data.n};
    if ((r->type != DNS_A && r->type != DNS_AAAA) || *n == ADDRESSES_MAX)
        return;
    memcpy(a.ip, r->data.p, r->data.n);
    if (!has(v, *n, &a))
        v[(*n)++] = a;
}

static void ask_addresses(struct ctx *ctx, const struct look *l, const struct address *servers, size_t n, const char *name,
                          struct seen *out)
{
    static const enum dns_type types[] = {DNS_A, DNS_AAAA};
    *out = (struct seen){.definite = true, .why = ""};
    for (size_t t = 0; t < 2; t++) {
        struct dns_reply reply;
        const struct dns_ask ask = {
            .servers = servers, .n = n, .name = name, .type = types[t], .recurse = true, .timeout_ms = left_of(l, ASK_MS) + 1};
        ctx->trail = NULL;
        if (rc_failed(dns_ask(ctx, &ask, &reply))) {
            out->definite = false;
            out->why = why_of(ctx);
            return;
        }
        out->replied = true;
        if (reply.rcode != DNS_NOERROR && reply.rcode != DNS_NXDOMAIN) {
            out->definite = false;
            out->why = arena_printf(&ctx->arena, "it says %s", dns_rcode_text(ctx, reply.rcode));
        }
        for (size_t i = 0; i < reply.n_answer; i++)
            keep(out->v, &out->n, &reply.answer[i]);
    }
}

static void put_addresses(struct buf *b, const struct address *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_put_z(b, i > 0 ? ", " : "");
        address_put(b, &v[i]);
    }
}

static bool same_set(const struct seen *a, const struct seen *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!has(b->v, b->n, &a->v[i]))
            return false;
    return true;
}

/* "192.0.2.53:53 says 192.0.2.7; 198.51.100.53:53 says none" */
static const char *each_says(struct ctx *ctx, const struct look *l, const struct seen *seen, size_t n)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 16384);
    for (size_t i = 0; i < n; i++) {
        buf_put_z(&b, i > 0 ? "; " : "");
        address_put_port(&b, &l->resolvers[i]);
        buf_put_z(&b, seen[i].definite || seen[i].n > 0 ? " says " : ": ");
        if (seen[i].n > 0)
            put_addresses(&b, seen[i].v, seen[i].n);
        else
            buf_put_z(&b, seen[i].definite ? "that there is none" : seen[i].why);
    }
    return buf_z(&b);
}

static const struct address *private_one(const struct look *l)
{
    for (size_t i = 0; i < l->n_addresses; i++)
        if (address_classify(&l->addresses[i]) != ADDRESS_PUBLIC)
            return &l->addresses[i];
    return NULL;
}

static enum preflight_verdict check_addresses(struct ctx *ctx, struct look *l, const char **text)
{
    struct seen *seen = arena_array(&ctx->arena, RESOLVERS_MAX, sizeof *seen);
    const size_t n = l->n_resolvers < RESOLVERS_MAX ? l->n_resolvers : RESOLVERS_MAX;
    bool definite = false, agree = true, replied = false;
    size_t first = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        ask_addresses(ctx, l, &l->resolvers[i], 1, l->in->name, &seen[i]);
        for (size_t k = 0; k < seen[i].n && l->n_addresses < ADDRESSES_MAX; k++)
            if (!has(l->addresses, l->n_addresses, &seen[i].v[k]))
                l->addresses[l->n_addresses++] = seen[i].v[k];
        replied = replied || seen[i].replied;
        if (!seen[i].definite)
            continue;
        agree = agree && (first == SIZE_MAX || same_set(&seen[first], &seen[i]));
        first = first == SIZE_MAX ? i : first;
        definite = true;
    }
    if (l->n_addresses == 0 && definite) {
        *text = "no address in DNS (neither A nor AAAA), so no CA finds a server for it: enter one";
        return PREFLIGHT_FAIL;
    }
    for (size_t i = 0; i < l->n_addresses; i++)
        for (size_t k = 0; k < n; k++)
            l->doubted[i] = l->doubted[i] || (seen[k].definite && !has(seen[k].v, seen[k].n, &l->addresses[i]));
    if (l->n_addresses == 0) {
        l->deaf = !replied;
        *text = arena_printf(&ctx->arena, "DNS could not be asked: %s", each_says(ctx, l, seen, n));
        return PREFLIGHT_UNKNOWN;
    }
    if (!agree) {
        *text = arena_printf(&ctx->arena, "resolvers do not agree, so the CA may see either: %s", each_says(ctx, l, seen, n));
        return PREFLIGHT_WARN;
    }
    const struct address *private = l->in->public_ca ? private_one(l) : NULL;
    if (private != NULL) {
        *text =
            arena_printf(&ctx->arena,
                         "%s as seen from here, which is %s: a public CA cannot reach that; fine only where DNS tells it another "
                         "address",
                         address_str(&ctx->arena, private), address_class_text(address_classify(private)));
        return PREFLIGHT_WARN;
    }
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 4096);
    put_addresses(&b, l->addresses, l->n_addresses);
    *text = buf_z(&b);
    return PREFLIGHT_OK;
}

/* --- CAA */

static RC look_caa(struct ctx *ctx, void *arg, const char *name, struct dns_reply *out)
{
    const struct look *l = arg;
    const struct dns_ask ask = {.servers = l->resolvers,
                                .n = l->n_resolvers,
                                .name = name,
                                .type = DNS_CAA,
                                .recurse = true,
                                .timeout_ms = left_of(l, ASK_MS) + 1};
    return dns_ask(ctx, &ask, out);
}

static enum preflight_verdict check_caa(struct ctx *ctx, struct look *l, const char **text)
{
    struct str_list identities = {l->in->identities.v, l->in->identities.n, l->in->identities.n};
    const struct caa_ask ask = {&identities, l->in->account_url, l->in->method, l->in->wildcard};
    const char *at, *why;
    struct bytes *records;
    size_t n;
    if (rc_failed(caa_climb(ctx, l->in->name, look_caa, l, &at, &records, &n))) {
        *text = arena_printf(&ctx->arena, "%s", why_of(ctx));
        return PREFLIGHT_UNKNOWN;
    }
    if (at == NULL) {
        *text = "no CAA records: every CA may issue";
        return PREFLIGHT_OK;
    }
    const enum caa_verdict v = caa_judge(ctx, records, n, &ask, &why);
    *text = v == CAA_ALLOWS ? arena_printf(&ctx->arena, "the CAA records of %s let this CA issue", at)
                            : arena_printf(&ctx->arena, "the CAA records of %s %s", at, why);
    return v == CAA_ALLOWS ? PREFLIGHT_OK : v == CAA_FORBIDS ? PREFLIGHT_FAIL : PREFLIGHT_WARN;
}

/* --- DNSSEC */

static enum preflight_verdict check_dnssec(struct ctx *ctx, struct look *l, const char **text)
{
    const bool dns = strncmp(l->in->method, "dns-", 4) == 0;
    const struct {
        const char *name;
        enum dns_type type;
    } asked[] = {{dns ? arena_printf(&ctx->arena, "_acme-challenge.%s", l->in->name) : l->in->name, dns ? DNS_TXT : DNS_A},
                 {l->in->name, DNS_CAA}};
    enum dnssec_verdict v = DNSSEC_UNKNOWN;
    for (size_t i = 0; i < 2; i++) {
        const char *why;
        const struct dnssec_ask ask = {.resolvers = l->resolvers,
                                       .n = l->n_resolvers,
                                       .anchors = &l->with->cfg->trust_anchors,
                                       .name = asked[i].name,
                                       .type = asked[i].type,
                                       .timeout_ms = left_of(l, DNSSEC_MS)};
        v = dnssec_look(ctx, &ask, &why);
        if (v == DNSSEC_UNKNOWN) {
            *text = arena_printf(&ctx->arena, "DNSSEC could not be looked at: %s", why);
            return PREFLIGHT_UNKNOWN;
        }
        if (v == DNSSEC_BOGUS) {
            *text = arena_printf(&ctx->arena, "DNSSEC of %s is broken, so CAs refuse it until its zone is mended: %s",
                                 asked[i].name, why);
            return PREFLIGHT_FAIL;
        }
    }
    *text = v == DNSSEC_SECURE ? "signed, and the signatures hold" : "not signed";
    return PREFLIGHT_OK;
}

/* --- our answer, as the CA will look for it */

/* Whether this host has a way to the address at all: one without IPv6 says nothing about IPv6. */
static bool has_route(const struct address *a)
{
    struct sockaddr_storage sa;
    const socklen_t n = address_to_sockaddr(a, &sa);
    FD_CLEANUP int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    return connect(fd, (struct sockaddr *)&sa, n) == 0 || (errno != ENETUNREACH && errno != EHOSTUNREACH && errno != EADDRNOTAVAIL);
}

/* libcurl's words come with the URL, which says nothing new here. */
static const char *without_url(const char *why)
{
    const char *after = strncmp(why, "http", 4) == 0 ? strstr(why, ": ") : NULL;
    return after != NULL ? after + 2 : why;
}

static enum preflight_verdict not_reached(struct ctx *ctx, const struct look *l, const struct address *a, struct rc rc,
                                          const char **text)
{
    const char *where = address_port_str(&ctx->arena, a), *why = without_url(why_of(ctx));
    if (rc.e == E_ADDRESS_REFUSED) {
        *text = arena_printf(&ctx->arena, "%s was not asked: %s", where, why);
        return PREFLIGHT_UNKNOWN;
    }
    if (!has_route(a)) {
        *text = arena_printf(&ctx->arena, "%s was not asked: there is no way to it from this host", where);
        return PREFLIGHT_UNKNOWN;
    }
    if (left_of(l, 1) == 0) {
        *text = arena_printf(&ctx->arena, "%s was not asked to the end: no time was left", where);
        return PREFLIGHT_UNKNOWN;
    }
    *text = arena_printf(&ctx->arena, "%s cannot be reached from here (%s): %s", where, why,
                         a->len == 16 ? "CAs try IPv6 first, so have the server listen there, or take the AAAA record away"
                                      : "is it the right address, does the server listen, does a firewall let everybody in?");
    return PREFLIGHT_FAIL;
}

bool preflight_redirect(struct ctx *ctx, const char *url, struct uri *out, const char **why)
{
    if (rc_failed(uri_parse(ctx, bytes_z(url), out))) {
        *why = arena_printf(&ctx->arena, "that is no URL: %s", why_of(ctx));
        return false;
    }
    if (out->host_is_ip) {
        *why = "CAs follow no redirect to an IP address";
        return false;
    }
    if (out->port != 80 && out->port != 443) {
        *why = "CAs follow redirects to ports 80 and 443 alone";
        return false;
    }
    return true;
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static const char *origin(struct ctx *ctx, const struct uri *u)
{
    return arena_printf(&ctx->arena, "%s://%s:%u", u->https ? "https" : "http", u->host, u->port);
}

/* What became of a redirect to `url`; `*at`: where it leads. */
static enum preflight_verdict follow(struct ctx *ctx, struct look *l, const struct address *first, const char *from,
                                     const char *url, struct address *at, const char **text)
{
    struct uri u = {0};
    struct seen seen;
    const char *why;
    if (!preflight_redirect(ctx, url, &u, &why)) {
        l->redirects = PREFLIGHT_FAIL;
        l->redirects_text = arena_printf(&ctx->arena, "%s sends the CA to %.100s: %s; leave /.well-known/acme-challenge/ out of it",
                                         from, u.host != NULL ? origin(ctx, &u) : url, why);
        *text = arena_printf(&ctx->arena, "%s answers with a redirect that no CA follows", from);
        return PREFLIGHT_FAIL;
    }
    *at = *first;
    at->port = u.port;
    if (str_equal(u.host, l->in->name)) {
        if (l->redirects_text == NULL)
            l->redirects_text = arena_printf(&ctx->arena, "%s sends on to %s, the same name", from, origin(ctx, &u));
        return PREFLIGHT_OK;
    }
    l->redirects = l->redirects == PREFLIGHT_OK ? PREFLIGHT_WARN : l->redirects;
    l->redirects_text =
        arena_printf(&ctx->arena, "%s sends on to another host, %s, which has to answer for it", from, origin(ctx, &u));
    ask_addresses(ctx, l, l->resolvers, l->n_resolvers, u.host, &seen);
    if (seen.n == 0) {
        *text = arena_printf(&ctx->arena, "%s sends on to %s, which has no address in DNS", from, u.host);
        return seen.definite ? PREFLIGHT_FAIL : PREFLIGHT_UNKNOWN;
    }
    *at = seen.v[0];
    at->port = u.port;
    return PREFLIGHT_OK;
}

static enum preflight_verdict ask_http(struct ctx *ctx, struct look *l, const struct address *first, const char **text)
{
    const char *url = arena_printf(&ctx->arena,
                                   strchr(l->in->name, ':') != NULL ? "http://[%s]/.well-known/acme-challenge/%s"
                                                                    : "http://%s/.well-known/acme-challenge/%s",
                                   l->in->name, l->in->token);
    struct address at = *first;
    at.port = 80;
    for (int i = 0; i <= REDIRECTS_MAX; i++) {
        const char *where = address_port_str(&ctx->arena, &at);
        struct http_answer answer;
        const struct http_call call = {.url = url,
                                       .connect_to = &at,
                                       .skip_verify = true,
                                       .body_max = 65536,
                                       .connect_ms = CONNECT_MS,
                                       .total_ms = left_of(l, CONNECT_MS) + 1};
        ctx->trail = NULL;
        struct rc rc = http_client_call(ctx, l->with->http, &call, &answer);
        if (rc.e == E_BAD_ANSWER) {
            *text = arena_printf(&ctx->arena, "%s does not answer with our token: %s", where, without_url(why_of(ctx)));
            return PREFLIGHT_FAIL;
        }
        if (rc_failed(rc))
            return not_reached(ctx, l, &at, rc, text);
        if (!is_redirect(answer.status) || answer.location == NULL) {
            if (answer.status == 200 && bytes_equal_z(bytes_trim(answer.body), l->in->key_authorization)) {
                *text = arena_printf(&ctx->arena, "%s answers with our token", where);
                return PREFLIGHT_OK;
            }
            *text = arena_printf(
                &ctx->arena, "%s answers with %s instead of our token: does %s lead to another server than the one we manage?",
                where, answer.status == 200 ? "something else" : arena_printf(&ctx->arena, "status %d", answer.status),
                l->in->name);
            return PREFLIGHT_FAIL;
        }
        enum preflight_verdict v = follow(ctx, l, first, where, answer.location, &at, text);
        if (v != PREFLIGHT_OK)
            return v;
        url = answer.location;
    }
    *text = arena_printf(&ctx->arena, "%s sends on more than %d times", address_port_str(&ctx->arena, &at), REDIRECTS_MAX);
    return PREFLIGHT_FAIL;
}

static enum preflight_verdict ask_tls(struct ctx *ctx, struct look *l, const struct address *a, const char **text)
{
    static const char *const alpn[] = {"acme-tls/1", NULL};
    struct handshake_result res = {0};
    struct address literal;
    struct handshake_request req = {.address = *a,
                                    .grants = l->with->grants,
                                    .name = l->in->name,
                                    .alpn = alpn,
                                    .sni = address_parse(bytes_z(l->in->name), &literal) ? NULL : l->in->name,
                                    .timeout_ms = left_of(l, CONNECT_MS) + 1};
    req.address.port = 443;
    const char *where = address_port_str(&ctx->arena, &req.address);
    ctx->trail = NULL;
    struct rc rc = handshake_probe(ctx, l->with->trust, &req, &res);
    if (rc.e == E_ADDRESS_REFUSED || rc.e == E_UNREACHABLE || rc.e == E_TIMEOUT)
        return not_reached(ctx, l, &req.address, rc, text);
    if (rc_ok(rc) && strcmp(res.alpn, alpn[0]) == 0) {
        *text = arena_printf(&ctx->arena, "%s speaks acme-tls/1", where);
        return PREFLIGHT_OK;
    }
    *text = arena_printf(&ctx->arena, "%s does not speak acme-tls/1 (RFC 8737): another server than our listener has the port%s%s",
                         where, rc_failed(rc) ? ": " : "", rc_failed(rc) ? why_of(ctx) : "");
    return PREFLIGHT_FAIL;
}

static const int weight[] = {[PREFLIGHT_OK] = 0, [PREFLIGHT_UNKNOWN] = 1, [PREFLIGHT_WARN] = 2, [PREFLIGHT_FAIL] = 3};

/* At every address of the name: the worst of them is what counts, and all that went well are named where all did. */
static enum preflight_verdict everywhere(struct ctx *ctx, struct look *l, const char **text,
                                         enum preflight_verdict (*ask)(struct ctx *, struct look *, const struct address *,
                                                                       const char **))
{
    enum preflight_verdict worst = PREFLIGHT_OK;
    struct buf b;
    if (l->n_addresses == 0) {
        *text = "not asked, for there is no address";
        return PREFLIGHT_UNKNOWN;
    }
    buf_init_arena(&b, &ctx->arena, 16384);
    for (size_t i = 0; i < l->n_addresses && i < TRIED_MAX; i++) {
        const char *words = "";
        enum preflight_verdict v = ask(ctx, l, &l->addresses[i], &words);
        if (v == PREFLIGHT_FAIL && l->doubted[i]) /* an old one, perhaps, that the CA does not see any more */
            v = PREFLIGHT_WARN;
        if (weight[v] > weight[worst]) {
            worst = v;
            buf_reset(&b);
        }
        if (weight[v] == weight[worst])
            buf_printf(&b, "%s%s", b.n > 0 ? "; " : "", words);
    }
    *text = buf_z(&b);
    return worst;
}

static enum preflight_verdict check_http(struct ctx *ctx, struct look *l, const char **text)
{
    return everywhere(ctx, l, text, ask_http);
}

static enum preflight_verdict check_redirects(struct ctx *ctx, struct look *l, const char **text)
{
    (void)ctx;
    *text = l->redirects_text;
    return l->redirects;
}

static enum preflight_verdict check_tls(struct ctx *ctx, struct look *l, const char **text)
{
    return everywhere(ctx, l, text, ask_tls);
}

/* --- the checks, in their order */

static bool to_a_server(const struct look *l)
{
    return strncmp(l->in->method, "dns-", 4) != 0 && !l->is_ip && !l->in->caa_alone;
}
static bool by_ca(const struct look *l)
{
    return l->in->caa && !l->is_ip && !l->deaf;
}
static bool by_name(const struct look *l)
{
    return !l->is_ip && !l->deaf && !l->in->caa_alone;
}
static bool over_http(const struct look *l)
{
    return strcmp(l->in->method, "http-01") == 0 && *l->in->token != '\0';
}
static bool sent_on(const struct look *l)
{
    return l->redirects_text != NULL;
}
static bool over_tls(const struct look *l)
{
    return strcmp(l->in->method, "tls-alpn-01") == 0 && *l->in->token != '\0';
}

static const struct {
    const char *check;
    bool (*wanted)(const struct look *l);
    enum preflight_verdict (*run)(struct ctx *ctx, struct look *l, const char **text);
} checks[] = {
    {"addresses", to_a_server, check_addresses}, {"caa", by_ca, check_caa},
    {"dnssec", by_name, check_dnssec},           {"port 80", over_http, check_http},
    {"redirects", sent_on, check_redirects},     {"port 443", over_tls, check_tls},
};
#define CHECKS_N (sizeof checks / sizeof *checks)

/* What a peer said may be in it. */
static const char *cleaned(struct ctx *ctx, const char *text)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, TEXT_MAX + 8);
    for (; *text != '\0' && b.n < TEXT_MAX; text++)
        buf_put_u8(&b, (uint8_t)*text < 0x20 || (uint8_t)*text > 0x7e ? '?' : (uint8_t)*text);
    return buf_z(&b);
}

RC probe_preflight(struct ctx *ctx, const struct preflight_with *with, const struct wire_probe_preflight *in,
                   struct wire_probe_preflight_done *out)
{
    struct look *l = ARENA_NEW(&ctx->arena, struct look);
    *l = (struct look){.with = with, .in = in, .until = clock_mono_ms() + in->timeout_ms};
    l->is_ip = address_parse(bytes_z(in->name), &l->addresses[0]);
    l->n_addresses = l->is_ip ? 1 : 0;
    if (!l->is_ip && !dns_name_plain(in->name))
        return ctx_fail(ctx, E_INVALID, "\"%s\" is not a name that a certificate can have", in->name);
    TRY(probe_dns_resolvers(ctx, with->cfg, &l->resolvers, &l->n_resolvers));
    *out = (struct wire_probe_preflight_done){.checks = {arena_array(&ctx->arena, CHECKS_N, sizeof(char *)), 0},
                                              .verdicts = {arena_array(&ctx->arena, CHECKS_N, sizeof(int64_t)), 0},
                                              .texts = {arena_array(&ctx->arena, CHECKS_N, sizeof(char *)), 0},
                                              .addresses = {arena_array(&ctx->arena, ADDRESSES_MAX, sizeof(char *)), 0}};
    for (size_t i = 0; i < CHECKS_N; i++) {
        const char *text = "no time was left for it";
        enum preflight_verdict v = PREFLIGHT_UNKNOWN;
        if (!checks[i].wanted(l))
            continue;
        ctx->trail = NULL;
        if (left_of(l, 1) > 0 || checks[i].run == check_redirects)
            v = checks[i].run(ctx, l, &text);
        out->checks.v[out->checks.n++] = checks[i].check;
        out->verdicts.v[out->verdicts.n++] = v;
        out->texts.v[out->texts.n++] = cleaned(ctx, text);
    }
    ctx->trail = NULL;
    for (size_t i = 0; i < l->n_addresses; i++)
        out->addresses.v[out->addresses.n++] = address_str(&ctx->arena, &l->addresses[i]);
    return RC_OK;
}
