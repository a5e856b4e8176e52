#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/str.h"

bool address_parse(struct bytes text, struct address *out)
{
    char z[INET6_ADDRSTRLEN];
    *out = (struct address){0};
    if (text.n == 0 || text.n >= sizeof z || memchr(text.p, 0, text.n))
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = 0;
    if (inet_pton(AF_INET, z, out->ip) == 1)
        out->len = 4;
    else if (inet_pton(AF_INET6, z, out->ip) == 1)
        out->len = 16;
    return out->len != 0;
}

static bool host_chars_ok(struct bytes host)
{
    if (host.n == 0 || host.n > 253)
        return false;
    for (size_t i = 0; i < host.n; i++) {
        uint8_t c = host.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        if (!ok)
            return false;
    }
    return true;
}

RC address_parse_host_port(struct ctx *ctx, struct bytes text, uint16_t default_port, const char **host, uint16_t *port)
{
    struct bytes h = text, p = {0};
    struct address a;
    bool has_port = false;
    if (text.n && text.p[0] == '[') {
        size_t end = bytes_find(text, BYTES_LIT("]"));
        if (end == SIZE_MAX)
            return ctx_fail(ctx, E_INVALID, "an address begins with '[' and has no ']'");
        h = bytes_of(text.p + 1, end - 1);
        if (!address_parse(h, &a) || a.len != 16)
            return ctx_fail(ctx, E_INVALID, "what stands in brackets is not an IPv6 address");
        struct bytes rest = bytes_of(text.p + end + 1, text.n - end - 1);
        if (rest.n) {
            if (rest.p[0] != ':')
                return ctx_fail(ctx, E_INVALID, "after ']' only ':' and a port may follow");
            has_port = true;
            p = bytes_of(rest.p + 1, rest.n - 1);
        }
    } else if (!(address_parse(text, &a) && a.len == 16)) {
        size_t colon = bytes_find(text, BYTES_LIT(":"));
        if (colon != SIZE_MAX) {
            has_port = true;
            h = bytes_of(text.p, colon);
            p = bytes_of(text.p + colon + 1, text.n - colon - 1);
        }
        if (!host_chars_ok(h))
            return ctx_fail(ctx, E_INVALID, "a host name or an IP address is expected, as in www.example.org:443");
    }
    uint64_t number = default_port;
    if (has_port && (p.n > 5 || !str_to_u64(p, &number) || number == 0 || number > 65535))
        return ctx_fail(ctx, E_INVALID, "a port is a number from 1 to 65535");
    if (number == 0)
        return ctx_fail(ctx, E_INVALID, "the port is missing, as in www.example.org:443");
    *host = arena_str(&ctx->arena, h);
    *port = (uint16_t)number;
    return RC_OK;
}

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

bool cidr_parse(struct bytes text, struct cidr *out)
{
    size_t slash = bytes_find(text, BYTES_LIT("/"));
    struct bytes addr = slash == SIZE_MAX ? text : bytes_of(text.p, slash);
    uint64_t bits;
    *out = (struct cidr){0};
    if (!address_parse(addr, &out->base))
        return false;
    bits = out->base.len * 8U;
    if (slash != SIZE_MAX) {
        struct bytes n = bytes_of(text.p + slash + 1, text.n - slash - 1);
        if (n.n > 3 || !str_to_u64(n, &bits) || bits > out->base.len * 8U)
            return false;
    }
    for (unsigned i = (unsigned)bits; i < out->base.len * 8U; i++)
        if (out->base.ip[i / 8] & (0x80 >> (i % 8)))
            return false;
    out->bits = (uint8_t)bits;
    return true;
}

bool cidr_has(const struct cidr *net, const struct address *a)
{
    return a->len != 0 && net->base.len == a->len && bits_equal(net->base.ip, a->ip, net->bits);
}

bool address_from_sockaddr(const struct sockaddr *sa, struct address *out)
{
    *out = (struct address){0};
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        memcpy(out->ip, &in.sin_addr, 4);
        out->len = 4;
        out->port = ntohs(in.sin_port);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        memcpy(out->ip, &in6.sin6_addr, 16);
        out->len = 16;
        out->port = ntohs(in6.sin6_port);
        out->scope = in6.sin6_scope_id;
    }
    return out->len != 0;
}

socklen_t address_to_sockaddr(const struct address *a, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (a->len == 4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};
        memcpy(&in.sin_addr, a->ip, 4);
        memcpy(out, &in, sizeof in);
        return sizeof in;
    }
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port), .sin6_scope_id = a->scope};
    memcpy(&in6.sin6_addr, a->ip, 16);
    memcpy(out, &in6, sizeof in6);
    return sizeof in6;
}

void address_put(struct buf *b, const struct address *a)
{
    char text[INET6_ADDRSTRLEN];
    if (inet_ntop(a->len == 4 ? AF_INET : AF_INET6, a->ip, text, sizeof text))
        buf_put_z(b, text);
}

void address_put_port(struct buf *b, const struct address *a)
{
    if (a->len == 16)
        buf_put_u8(b, '[');
    address_put(b, a);
    buf_printf(b, a->len == 16 ? "]:%u" : ":%u", a->port);
}

const char *address_str(struct arena *arena, const struct address *a)
{
    struct buf b;
    buf_init_arena(&b, arena, ADDRESS_TEXT_MAX);
    address_put(&b, a);
    return buf_z(&b);
}

const char *address_port_str(struct arena *arena, const struct address *a)
{
    struct buf b;
    buf_init_arena(&b, arena, ADDRESS_TEXT_MAX);
    address_put_port(&b, a);
    return buf_z(&b);
}

/* The special ranges; the first row that matches decides, so a smaller network stands before the one it is part of.  Global
 * unicast of IPv6 is 2000::/3 alone: what no row names and lies outside is reserved. */
struct range {
    uint8_t ip[16];
    uint8_t bits;
    enum address_class class;
};

static const struct range ranges4[] = {
    {{0}, 8, ADDRESS_UNSPECIFIED},         {{10}, 8, ADDRESS_PRIVATE},           {{100, 64}, 10, ADDRESS_PRIVATE},
    {{127}, 8, ADDRESS_LOOPBACK},          {{169, 254}, 16, ADDRESS_LINK_LOCAL}, {{172, 16}, 12, ADDRESS_PRIVATE},
    {{192, 0, 0}, 24, ADDRESS_RESERVED},   {{192, 0, 2}, 24, ADDRESS_RESERVED},  {{192, 88, 99}, 24, ADDRESS_RESERVED},
    {{192, 168}, 16, ADDRESS_PRIVATE},     {{198, 18}, 15, ADDRESS_RESERVED},    {{198, 51, 100}, 24, ADDRESS_RESERVED},
    {{203, 0, 113}, 24, ADDRESS_RESERVED}, {{224}, 4, ADDRESS_MULTICAST},        {{240}, 4, ADDRESS_RESERVED},
};

static const struct range ranges6[] = {
    {{0}, 128, ADDRESS_UNSPECIFIED},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, ADDRESS_LOOPBACK},
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, ADDRESS_PRIVATE},
    {{0x01, 0x00}, 64, ADDRESS_RESERVED},
    {{0x20, 0x01}, 23, ADDRESS_RESERVED},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, ADDRESS_RESERVED},
    {{0x3f, 0xff}, 20, ADDRESS_RESERVED},
    {{0xfc}, 7, ADDRESS_PRIVATE},
    {{0xfe, 0x80}, 10, ADDRESS_LINK_LOCAL},
    {{0xfe, 0xc0}, 10, ADDRESS_PRIVATE},
    {{0xff}, 8, ADDRESS_MULTICAST},
    {{0x20}, 3, ADDRESS_PUBLIC},
    {{0}, 0, ADDRESS_RESERVED},
};

/* Forms of IPv6 addresses that lead to an IPv4 address, and where in them it stands. */
static const struct {
    uint8_t ip[16];
    uint8_t bits, at;
} embeddings[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 12}, /* IPv4-mapped */
    {{0x00, 0x64, 0xff, 0x9b}, 96, 12},                   /* NAT64 (RFC 6052) */
    {{0x20, 0x02}, 16, 2},                                /* 6to4 (RFC 3056) */
    {{0}, 96, 12},                                        /* IPv4-compatible (RFC 4291), but for :: and ::1 */
};

static struct address inner(const struct address *a)
{
    if (a->len != 16)
        return *a;
    static const uint8_t zeros[15];
    if (memcmp(a->ip, zeros, sizeof zeros) == 0 && a->ip[15] <= 1)
        return *a;
    for (size_t i = 0; i < sizeof embeddings / sizeof *embeddings; i++) {
        if (!bits_equal(a->ip, embeddings[i].ip, embeddings[i].bits))
            continue;
        struct address v4 = {.len = 4, .port = a->port};
        memcpy(v4.ip, a->ip + embeddings[i].at, 4);
        return v4;
    }
    return *a;
}

enum address_class address_classify(const struct address *a)
{
    struct address in = inner(a);
    const struct range *r = in.len == 4 ? ranges4 : ranges6;
    size_t n = in.len == 4 ? sizeof ranges4 / sizeof *ranges4 : sizeof ranges6 / sizeof *ranges6;
    if (in.len == 0)
        return ADDRESS_UNSPECIFIED;
    for (size_t i = 0; i < n; i++)
        if (bits_equal(in.ip, r[i].ip, r[i].bits))
            return r[i].class;
    return ADDRESS_PUBLIC;
}

const char *address_class_text(enum address_class c)
{
    static const char *const text[] = {
        [ADDRESS_PUBLIC] = "public",           [ADDRESS_LOOPBACK] = "loopback", [ADDRESS_LINK_LOCAL] = "link-local",
        [ADDRESS_PRIVATE] = "private",         [ADDRESS_RESERVED] = "reserved", [ADDRESS_MULTICAST] = "multicast",
        [ADDRESS_UNSPECIFIED] = "unspecified",
    };
    return text[c];
}

bool address_allowed(const struct address *a, const struct address_grants *grants)
{
    enum address_class class = address_classify(a);
    if (class == ADDRESS_PUBLIC)
        return true;
    if (class == ADDRESS_MULTICAST || class == ADDRESS_UNSPECIFIED)
        return false;
    struct address in = inner(a);
    for (size_t i = 0; grants && i < grants->n; i++)
        if (cidr_has(&grants->v[i], a) || cidr_has(&grants->v[i], &in))
            return true;
    return false;
}

bool cidr_grants(const struct cidr *net, const struct address *a)
{
    const enum address_class class = address_classify(a);
    struct address last = net->base;
    if (!cidr_has(net, a))
        return false;
    if (class != ADDRESS_LOOPBACK && class != ADDRESS_LINK_LOCAL)
        return true;
    for (unsigned i = net->bits; i < last.len * 8u; i++)
        last.ip[i / 8] = (uint8_t)(last.ip[i / 8] | 0x80 >> i % 8);
    return address_classify(&net->base) == class && address_classify(&last) == class;
}

RC address_check(struct ctx *ctx, const struct address *a, const struct address_grants *grants)
{
    if (address_allowed(a, grants))
        return RC_OK;
    enum address_class class = address_classify(a);
    const char *text = address_str(&ctx->arena, a);
    if (class == ADDRESS_MULTICAST || class == ADDRESS_UNSPECIFIED)
        return ctx_fail(ctx, E_ADDRESS_REFUSED, "%s is a %s address: nothing is ever connected to one", text,
                        address_class_text(class));
    return ctx_fail(ctx, E_ADDRESS_REFUSED, "%s is a %s address, and its network is not granted: grant the network that holds it",
                    text, address_class_text(class));
}
