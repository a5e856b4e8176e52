#include "pki/name.h"

#include <arpa/inet.h>

#include "base/buf.h"


#define DNS_MAX 253
#define LABEL_MAX 63

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* What is wrong with a label, NULL where nothing is. */
static const char *label_fault(struct bytes label)
{
    if (!label.n)
        return "has an empty label (two dots in a row, or one in front)";
    for (size_t i = 0; i < label.n; i++) {
        uint8_t c = lower(label.p[i]);
        if (c >= 0x80)
            return "has letters outside ASCII: write it as an A-label (xn--…), as idn2 or a browser shows it";
        if (c == '_')
            return "has an underscore, which no certificate's host name may have";
        if (c == '*')
            return "has a '*' that is not the whole leftmost label";
        if (!(c >= 'a' && c <= 'z') && !is_digit(c) && c != '-')
            return "has a character other than letters, digits, '-' and '.'";
    }
    if (label.n > LABEL_MAX)
        return "has a label of more than 63 characters";
    if (label.p[0] == '-' || label.p[label.n - 1] == '-')
        return "has a label that starts or ends with '-'";
    if (label.n >= 4 && label.p[2] == '-' && label.p[3] == '-') {
        if (lower(label.p[0]) != 'x' || lower(label.p[1]) != 'n')
            return "has a label with '--' in third place, which is reserved (RFC 5890)";
        if (label.n == 4)
            return "has an A-label with nothing after xn--";
    }
    return NULL;
}

/* What is wrong with a name without its final dot. */
static const char *dns_fault(struct bytes text)
{
    struct bytes rest = text, label = {0};
    size_t labels = 0;
    bool wildcard = false, digits = true;
    if (!text.n)
        return "is empty";
    if (text.n > DNS_MAX)
        return "is longer than 253 characters";
    if (text.p[text.n - 1] == '.')
        return "has an empty label (two dots in a row)";
    while (bytes_take_until(&rest, '.', &label)) {
        if (labels++ == 0 && bytes_equal(label, BYTES_LIT("*"))) {
            wildcard = true;
            continue;
        }
        const char *fault = label_fault(label);
        if (fault)
            return fault;
    }
    for (size_t i = 0; i < label.n; i++)
        digits = digits && is_digit(label.p[i]);
    if (digits)
        return "ends in a label of digits alone: a malformed IP address?";
    if (wildcard && labels < 3)
        return "is a wildcard over a whole top-level domain";
    return NULL;
}

bool name_dns_valid(struct bytes text, bool wildcard)
{
    return !dns_fault(text) && (wildcard || text.p[0] != '*');
}

/* A name for messages: what a person typed, without control characters, cut short. */
static const char *shown(struct ctx *ctx, struct bytes text)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 512);
    bool utf8 = str_is_utf8(text);
    for (size_t i = 0; i < text.n && i < 100; i++) {
        uint8_t c = text.p[i];
        buf_put_u8(&b, c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8) ? '?' : c);
    }
    if (text.n > 100)
        buf_put_z(&b, "…");
    return buf_z(&b);
}

struct rc name_parse_dns(struct ctx *ctx, struct bytes text, struct name *out)
{
    struct bytes body = text;
    if (body.n > 1 && body.p[body.n - 1] == '.')
        body.n--;
    const char *fault = dns_fault(body);
    if (fault)
        return ctx_fail(ctx, E_INVALID, "the name \"%s\" %s", shown(ctx, text), fault);
    char *p = arena_alloc(&ctx->arena, body.n + 1);
    for (size_t i = 0; i < body.n; i++)
        p[i] = (char)lower(body.p[i]);
    *out = (struct name){.kind = NAME_DNS, .text = p};
    return RC_OK;
}

struct rc name_parse_ip(struct ctx *ctx, struct bytes ip, struct name *out)
{
    if (ip.n != 4 && ip.n != 16)
        return ctx_fail(ctx, E_INVALID, "an IP address has 4 or 16 bytes, not %zu", ip.n);
    *out = (struct name){.kind = NAME_IP, .text = ip_text(&ctx->arena, ip), .ip = arena_bytes(&ctx->arena, ip)};
    return RC_OK;
}

struct rc name_parse(struct ctx *ctx, struct bytes text, struct name *out)
{
    struct bytes body = text;
    bool dns = bytes_starts_with(body, BYTES_LIT("dns:")), address = bytes_starts_with(body, BYTES_LIT("ip:"));
    uint8_t ip[16];
    size_t n;
    if (dns)
        bytes_skip(&body, 4);
    else if (address)
        bytes_skip(&body, 3);
    if (dns)
        return name_parse_dns(ctx, body, out);
    if (ip_parse(body, ip, &n))
        return name_parse_ip(ctx, bytes_of(ip, n), out);
    if (address || bytes_find(body, BYTES_LIT(":")) != SIZE_MAX)
        return ctx_fail(ctx, E_INVALID, "\"%s\" is not an IP address", shown(ctx, body));
    return name_parse_dns(ctx, body, out);
}

struct rc name_normalize(struct ctx *ctx, const char *text, const char **out)
{
    struct name name;
    TRY(name_parse(ctx, bytes_z(text), &name));
    *out = name.text;
    return RC_OK;
}

const char *name_prefixed(struct arena *a, const struct name *name)
{
    return arena_printf(a, "%s:%s", name->kind == NAME_IP ? "ip" : "dns", name->text);
}

bool name_is_wildcard(const struct name *name)
{
    return name->kind == NAME_DNS && name->text[0] == '*';
}

bool name_equal(const struct name *a, const struct name *b)
{
    return a->kind == b->kind && str_equal(a->text, b->text);
}

void name_list_add(struct arena *a, struct name_list *list, struct name name)
{
    if (name_list_has(list, &name))
        return;
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 8;
        struct name *v = arena_array(a, cap, sizeof *v);
        if (list->n)
            memcpy(v, list->v, list->n * sizeof *v);
        list->v = v;
        list->cap = cap;
    }
    list->v[list->n++] = name;
}

struct rc name_list_parse(struct ctx *ctx, const char *const *texts, size_t n, struct name_list *out)
{
    *out = (struct name_list){0};
    for (size_t i = 0; i < n; i++) {
        struct name name;
        TRY(name_parse(ctx, bytes_z(texts[i]), &name));
        name_list_add(&ctx->arena, out, name);
    }
    return RC_OK;
}

bool name_list_has(const struct name_list *list, const struct name *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (name_equal(&list->v[i], name))
            return true;
    return false;
}

bool name_list_same(const struct name_list *a, const struct name_list *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!name_list_has(b, &a->v[i]))
            return false;
    return true;
}

bool name_covers(struct bytes pattern, struct bytes host)
{
    struct bytes label;
    if (host.n > 1 && host.p[host.n - 1] == '.')
        host.n--;
    if (!name_dns_valid(host, false) || !name_dns_valid(pattern, true))
        return false;
    if (pattern.p[0] != '*')
        return bytes_equal_nocase(pattern, host);
    bytes_skip(&pattern, 2);
    return bytes_take_until(&host, '.', &label) && bytes_equal_nocase(pattern, host);
}

bool name_within(struct bytes dns, struct bytes subtree)
{
    if (bytes_starts_with(dns, BYTES_LIT("*.")))
        bytes_skip(&dns, 2);
    if (bytes_starts_with(subtree, BYTES_LIT(".")))
        bytes_skip(&subtree, 1);
    if (!subtree.n)
        return true;
    if (dns.n < subtree.n)
        return false;
    struct bytes tail = bytes_of(dns.p + (dns.n - subtree.n), subtree.n);
    return bytes_equal_nocase(tail, subtree) && (dns.n == subtree.n || tail.p[-1] == '.');
}

bool ip_parse(struct bytes text, uint8_t out[16], size_t *n)
{
    char z[IP_TEXT_MAX];
    if (!text.n || text.n >= sizeof z || memchr(text.p, 0, text.n))
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = 0;
    if (inet_pton(AF_INET, z, out) == 1) {
        *n = 4;
        return true;
    }
    if (inet_pton(AF_INET6, z, out) == 1) {
        *n = 16;
        return true;
    }
    return false;
}

const char *ip_text(struct arena *a, struct bytes ip)
{
    char z[IP_TEXT_MAX];
    if ((ip.n != 4 && ip.n != 16) || !inet_ntop(ip.n == 4 ? AF_INET : AF_INET6, ip.p, z, sizeof z))
        return "";
    return arena_strdup(a, z);
}
