#include "base/uri.h"

#include "base/str.h"
#include "base/address.h"

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_unreserved(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

bool percent_decode(struct arena *a, struct bytes text, bool plus, struct bytes *out)
{
    uint8_t *p = arena_alloc(a, text.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '%') {
            int hi = text.n - i >= 3 ? hex_value(text.p[i + 1]) : -1;
            int lo = hi >= 0 ? hex_value(text.p[i + 2]) : -1;
            if (lo < 0)
                return false;
            c = (uint8_t)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        p[n++] = c;
    }
    *out = bytes_of(p, n);
    return true;
}

void put_percent(struct buf *b, struct bytes data)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < data.n; i++) {
        uint8_t c = data.p[i];
        if (is_unreserved(c)) {
            buf_put_u8(b, c);
        } else {
            buf_put_u8(b, '%');
            buf_put_u8(b, (uint8_t)hex[c >> 4]);
            buf_put_u8(b, (uint8_t)hex[c & 15]);
        }
    }
}

/* Whether the bytes are of path (or query) characters, RFC 3986 section 3.3 and 3.4, with well-formed escapes. */
static bool chars_ok(struct bytes b, const char *more)
{
    for (size_t i = 0; i < b.n; i++) {
        uint8_t c = b.p[i];
        if (c == '%') {
            if (b.n - i < 3 || hex_value(b.p[i + 1]) < 0 || hex_value(b.p[i + 2]) < 0)
                return false;
            i += 2;
        } else if (!is_unreserved(c) && (c == 0 || !strchr("!$&'()*+,;=:@", c)) && (c == 0 || !strchr(more, c))) {
            return false;
        }
    }
    return true;
}

/* RFC 3986 section 5.2.4; the path begins with '/'. */
static const char *remove_dot_segments(struct arena *a, struct bytes path)
{
    char *out = arena_alloc(a, path.n + 2);
    size_t n = 0;
    while (path.n) {
        bytes_skip(&path, 1);
        size_t len = bytes_find(path, BYTES_LIT("/"));
        bool last = len == SIZE_MAX;
        struct bytes segment = bytes_of(path.p, last ? path.n : len);
        bytes_skip(&path, segment.n);
        bool dot = bytes_equal_z(segment, "."), dots = bytes_equal_z(segment, "..");
        if (dots)
            while (n && out[--n] != '/')
                ;
        if (!dot && !dots) {
            out[n++] = '/';
            memcpy(out + n, segment.p, segment.n);
            n += segment.n;
        } else if (last) {
            out[n++] = '/';
        }
    }
    if (n == 0)
        out[n++] = '/';
    out[n] = 0;
    return out;
}

/* A host whose last label is a number is an IPv4 address for many readers: then it must be one in the plain form. */
static bool looks_numeric(const char *host)
{
    size_t n = strlen(host);
    if (n && host[n - 1] == '.')
        n--;
    size_t start = n;
    while (start && host[start - 1] != '.')
        start--;
    if (n - start >= 2 && host[start] == '0' && (host[start + 1] == 'x' || host[start + 1] == 'X'))
        return true;
    for (size_t i = start; i < n; i++)
        if (host[i] < '0' || host[i] > '9')
            return false;
    return true;
}

static struct rc parse_authority(struct ctx *ctx, struct bytes authority, struct uri *out)
{
    if (bytes_find(authority, BYTES_LIT("@")) != SIZE_MAX)
        return ctx_fail(ctx, E_INVALID, "the URL holds a user name or password, which is not allowed");
    if (authority.n == 0)
        return ctx_fail(ctx, E_INVALID, "the URL has no host");
    if (authority.p[authority.n - 1] == ':')
        authority.n--;
    TRY(address_parse_host_port(ctx, authority, out->https ? 443 : 80, &out->host, &out->port));
    char *host = arena_strdup(&ctx->arena, out->host);
    for (char *c = host; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c | 0x20);
    out->host = host;
    struct address a;
    out->host_is_ip = address_parse(bytes_z(host), &a);
    if (!out->host_is_ip && (looks_numeric(host) || host[0] == '.' || strstr(host, "..")))
        return ctx_fail(ctx, E_INVALID, "the URL's host %s is neither a name nor an IP address", host);
    return RC_OK;
}

RC uri_parse(struct ctx *ctx, struct bytes text, struct uri *out)
{
    *out = (struct uri){0};
    if (text.n > URI_MAX)
        return ctx_fail(ctx, E_INVALID, "the URL is longer than %d bytes", URI_MAX);
    struct bytes rest = text;
    if (text.n >= 8 && bytes_equal_nocase(bytes_of(text.p, 8), BYTES_LIT("https://"))) {
        out->https = true;
        bytes_skip(&rest, 8);
    } else if (text.n >= 7 && bytes_equal_nocase(bytes_of(text.p, 7), BYTES_LIT("http://"))) {
        bytes_skip(&rest, 7);
    } else {
        return ctx_fail(ctx, E_INVALID, "the URL does not begin with https:// or http://");
    }
    size_t end = 0;
    while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?' && rest.p[end] != '#')
        end++;
    struct bytes authority = bytes_of(rest.p, end), path, query = {0};
    bytes_skip(&rest, end);
    if (bytes_find(rest, BYTES_LIT("#")) != SIZE_MAX)
        return ctx_fail(ctx, E_INVALID, "the URL has a fragment ('#'), which is not allowed here");
    size_t mark = bytes_find(rest, BYTES_LIT("?"));
    path = mark == SIZE_MAX ? rest : bytes_of(rest.p, mark);
    if (mark != SIZE_MAX)
        query = bytes_of(rest.p + mark + 1, rest.n - mark - 1);
    if (!chars_ok(path, "/") || !chars_ok(query, "/?"))
        return ctx_fail(ctx, E_INVALID, "the URL holds characters that must be percent-encoded, or a broken escape");
    TRY(parse_authority(ctx, authority, out));
    out->path = path.n ? remove_dot_segments(&ctx->arena, path) : "/";
    out->query = mark == SIZE_MAX ? NULL : arena_str(&ctx->arena, query);
    return RC_OK;
}

void uri_put(struct buf *b, const struct uri *u)
{
    bool v6 = strchr(u->host, ':') != NULL;
    buf_put_z(b, u->https ? "https://" : "http://");
    buf_put_z(b, v6 ? "[" : "");
    buf_put_z(b, u->host);
    buf_put_z(b, v6 ? "]" : "");
    if (u->port != (u->https ? 443 : 80))
        buf_printf(b, ":%u", u->port);
    buf_put_z(b, u->path);
    if (u->query) {
        buf_put_u8(b, '?');
        buf_put_z(b, u->query);
    }
}

bool uri_same_origin(const struct uri *a, const struct uri *b)
{
    return a->https == b->https && a->port == b->port && str_equal(a->host, b->host);
}
