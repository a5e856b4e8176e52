#include "agent/probe/scan_space.h"

#include "base/str.h"

/* --- sets of networks */

static int compare_nets(const void *a_, const void *b_)
{
    const struct cidr *a = a_, *b = b_;
    if (a->base.len != b->base.len)
        return a->base.len < b->base.len ? -1 : 1;
    const int c = memcmp(a->base.ip, b->base.ip, a->base.len);
    return c ? c : (a->bits > b->bits) - (a->bits < b->bits); /* the larger first */
}

struct scan_nets scan_nets_make(struct arena *arena, const struct cidr *v, size_t n)
{
    struct cidr *sorted = arena_array(arena, n + 1, sizeof *sorted);
    struct scan_nets out = {.v = arena_array(arena, n + 1, sizeof *out.v), .all = sorted, .all_n = n};
    if (n > 0)
        memcpy(sorted, v, n * sizeof *v);
    qsort(sorted, n, sizeof *sorted, compare_nets);
    for (size_t i = 0; i < n; i++)
        if (out.n == 0 || !cidr_has(&out.v[out.n - 1], &sorted[i].base))
            out.v[out.n++] = sorted[i];
    return out;
}

const struct cidr *scan_nets_find(const struct scan_nets *nets, const struct address *a)
{
    const struct cidr key = {.base = *a, .bits = 255};
    size_t low = 0, high = nets->n;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (compare_nets(&nets->v[mid], &key) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low > 0 && cidr_has(&nets->v[low - 1], a) ? &nets->v[low - 1] : NULL;
}

/* Whether it is no address of that form, or one that a network within the form grants: rare enough to look at all of them. */
static bool form_granted(const char *form, const struct scan_nets *granted, const struct address *a)
{
    struct cidr c;
    if (!cidr_parse(bytes_z(form), &c) || !cidr_has(&c, a))
        return true;
    for (size_t i = 0; i < granted->all_n; i++)
        if (granted->all[i].bits >= c.bits && cidr_has(&granted->all[i], a))
            return true;
    return false;
}

bool scan_granted(const struct scan_nets *granted, const struct address *a)
{
    static const char *const forms[] = {"::ffff:0:0/96", "::/96", "64:ff9b::/96", "2002::/16"};
    const enum address_class class = address_classify(a);
    bool named = class != ADDRESS_LOOPBACK && class != ADDRESS_LINK_LOCAL;
    if (scan_nets_find(granted, a) == NULL || class == ADDRESS_MULTICAST || class == ADDRESS_UNSPECIFIED)
        return false;
    for (size_t i = 0; !named && i < granted->all_n; i++)
        named = cidr_grants(&granted->all[i], a);
    if (!named)
        return false;
    for (size_t i = 0; a->len == 16 && i < sizeof forms / sizeof *forms; i++)
        if (!form_granted(forms[i], granted, a))
            return false;
    return true;
}

/* --- reading */

static bool is_name(struct bytes b)
{
    bool letter = false;
    if (b.n == 0 || b.n > 253 || b.p[0] == '.' || b.p[0] == '-' || b.p[b.n - 1] == '.')
        return false;
    for (size_t i = 0; i < b.n; i++) {
        const uint8_t c = b.p[i];
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        letter = letter || is_letter;
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '.')
            return false;
    }
    return letter && bytes_find(b, BYTES_LIT("..")) == SIZE_MAX;
}

/* A server name is sent without its final dot (RFC 6066 section 3). */
static struct bytes without_dot(struct bytes b)
{
    return b.n > 1 && b.p[b.n - 1] == '.' ? bytes_of(b.p, b.n - 1) : b;
}

RC scan_target_parse(struct ctx *ctx, const char *text, struct scan_target *out)
{
    struct bytes b = bytes_z(text);
    const size_t at = bytes_find(b, BYTES_LIT("@"));
    *out = (struct scan_target){0};
    if (at != SIZE_MAX) {
        const struct bytes name = without_dot(bytes_of(b.p, at));
        bytes_skip(&b, at + 1);
        if (is_name(name) && cidr_parse(b, &out->net)) {
            out->name = arena_str(&ctx->arena, name);
            return RC_OK;
        }
    } else if (cidr_parse(b, &out->net)) {
        return RC_OK;
    } else if (is_name(without_dot(b))) {
        *out = (struct scan_target){.name = arena_str(&ctx->arena, without_dot(b))};
        return RC_OK;
    }
    return ctx_fail(ctx, E_INVALID, "%.300s is no network (192.0.2.0/24), address, name or name@address", text);
}

RC scan_port_parse(struct ctx *ctx, const char *text, struct scan_port *out)
{
    struct bytes rest = bytes_z(text), number;
    int64_t port;
    out->starttls = STARTTLS_NONE;
    if (bytes_take_until(&rest, '/', &number) && str_to_i64(number, &port) && port >= 1 && port <= 65535) {
        out->port = (uint16_t)port;
        out->starttls = starttls_by_name(arena_str(&ctx->arena, rest));
        if (out->starttls != STARTTLS_PROTOCOLS)
            return RC_OK;
        return ctx_fail(ctx, E_UNSUPPORTED, "this agent does not know STARTTLS of %.20s: upgrade it", arena_str(&ctx->arena, rest));
    }
    return ctx_fail(ctx, E_INVALID, "%.40s is no port such as 443 or 25/smtp", text);
}

/* --- the space */

static unsigned host_bits(const struct cidr *c)
{
    return (unsigned)c->base.len * 8 - c->bits;
}

/* splitmix64: a good mix of 64 bits. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t permute_once(const struct scan_space *s, uint64_t x)
{
    const uint64_t mask = (UINT64_C(1) << s->half) - 1;
    uint64_t left = x >> s->half, right = x & mask;
    for (unsigned i = 0; i < 4; i++) {
        const uint64_t next = left ^ (mix(right ^ s->key[i]) & mask);
        left = right;
        right = next;
    }
    return left << s->half | right;
}

static uint64_t permute(const struct scan_space *s, uint64_t x, uint64_t n)
{
    do
        x = permute_once(s, x);
    while (x >= n);
    return x;
}

static RC add_range(struct ctx *ctx, struct scan_space *s, const struct cidr *net, const char *name)
{
    if (host_bits(net) > 40)
        return ctx_fail(ctx, E_TOO_LARGE, "a network with more than 40 bits of addresses cannot be scanned: list what is in it");
    s->ranges[s->ranges_n++] = (struct scan_range){.net = *net, .name = name, .first = s->hosts};
    s->hosts += UINT64_C(1) << host_bits(net);
    return RC_OK;
}

static RC add_targets(struct ctx *ctx, struct scan_space *s, const struct scan_target *targets, size_t n)
{
    struct cidr *nets = arena_array(&ctx->arena, n + 1, sizeof *nets);
    size_t nets_n = 0;
    for (size_t i = 0; i < n; i++) {
        if (targets[i].net.base.len == 0)
            s->names[s->names_n++] = targets[i].name;
        else if (targets[i].name)
            TRY(add_range(ctx, s, &targets[i].net, targets[i].name));
        else
            nets[nets_n++] = targets[i].net;
    }
    const struct scan_nets distinct = scan_nets_make(&ctx->arena, nets, nets_n);
    for (size_t i = 0; i < distinct.n; i++)
        TRY(add_range(ctx, s, &distinct.v[i], NULL));
    return RC_OK;
}

RC scan_space_make(struct ctx *ctx, const struct scan_target *targets, size_t n, const struct scan_port *ports, size_t ports_n,
                   uint64_t seed, struct scan_space *out)
{
    struct scan_space s = {.ports = ports, .ports_n = ports_n};
    s.names = arena_array(&ctx->arena, n + 1, sizeof *s.names);
    s.ranges = arena_array(&ctx->arena, n + 1, sizeof *s.ranges);
    if (n == 0 || ports_n == 0)
        return ctx_fail(ctx, E_INVALID, "a scan needs targets and ports");
    TRY(add_targets(ctx, &s, targets, n));
    if (s.hosts > SCAN_TOTAL_MAX / ports_n || s.names_n > SCAN_TOTAL_MAX / ports_n)
        return ctx_fail(ctx, E_TOO_LARGE, "more than 2^40 endpoints cannot be scanned: name smaller networks");
    s.by_name = (uint64_t)s.names_n * ports_n;
    s.total = s.by_name + s.hosts * ports_n;
    while ((UINT64_C(1) << (2 * s.half)) < s.total - s.by_name)
        s.half++;
    for (unsigned i = 0; i < 4; i++)
        s.key[i] = mix(seed + i);
    *out = s;
    return RC_OK;
}

static struct address nth_address(const struct cidr *net, uint64_t n, uint16_t port)
{
    struct address a = net->base;
    for (unsigned i = a.len; i-- > 0 && n > 0; n >>= 8)
        a.ip[i] = (uint8_t)(a.ip[i] | n);
    a.port = port;
    return a;
}

static const struct scan_range *range_of(const struct scan_space *s, uint64_t host)
{
    size_t low = 0, high = s->ranges_n;
    while (high - low > 1) {
        const size_t mid = low + (high - low) / 2;
        if (s->ranges[mid].first <= host)
            low = mid;
        else
            high = mid;
    }
    return &s->ranges[low];
}

void scan_space_at(const struct scan_space *s, uint64_t position, struct scan_place *out)
{
    *out = (struct scan_place){.position = position};
    if (position < s->by_name) {
        out->name_at = position % s->names_n;
        out->port_at = (uint16_t)(position / s->names_n);
        out->name = s->names[out->name_at];
        out->address.port = s->ports[out->port_at].port;
        out->single = true;
        return;
    }
    const uint64_t x = permute(s, position - s->by_name, s->total - s->by_name);
    const struct scan_range *r = range_of(s, x / s->ports_n);
    out->port_at = (uint16_t)(x % s->ports_n);
    out->address = nth_address(&r->net, x / s->ports_n - r->first, s->ports[out->port_at].port);
    out->name = r->name;
    out->single = host_bits(&r->net) == 0;
}
