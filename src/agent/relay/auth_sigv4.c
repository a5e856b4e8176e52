#include "agent/relay/auth_sigv4.h"

#include "base/encode.h"
#include "base/uri.h"
#include "pki/digest.h"

#define TEXT_MAX ((size_t)256 << 10)

/* --- the canonical request */

/* Dot segments and empty ones go; every other byte but the unreserved ones is encoded, also the '%' of what is encoded already. */
static RC put_path(struct ctx *ctx, const char *path, struct buf *out)
{
    struct bytes rest = bytes_z(path), segment, kept[128];
    bool slash = rest.n > 0 && rest.p[rest.n - 1] == '/';
    size_t n = 0;
    while (bytes_take_until(&rest, '/', &segment)) {
        if (bytes_equal_z(segment, ".."))
            n -= n > 0;
        else if (segment.n > 0 && !bytes_equal_z(segment, ".")) {
            if (n == sizeof kept / sizeof *kept)
                return ctx_fail(ctx, E_TOO_LARGE, "a path of more than %zu segments is not signed", sizeof kept / sizeof *kept);
            kept[n++] = segment;
        }
    }
    for (size_t i = 0; i < n; i++) {
        buf_put_u8(out, '/');
        put_percent(out, kept[i]);
    }
    if (slash || n == 0)
        buf_put_u8(out, '/');
    return RC_OK;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct pair {
    const char *name, *value; /* encoded */
};

static int compare_pair(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return c != 0 ? c : strcmp(x->value, y->value);
}

static RC encoded(struct ctx *ctx, struct bytes in, const char **out)
{
    struct bytes plain;
    struct buf b;
    if (!percent_decode(&ctx->arena, in, false, &plain))
        return ctx_fail(ctx, E_INVALID, "a query with broken percent-encoding is not signed");
    buf_init_arena(&b, &ctx->arena, plain.n * 3 + 1);
    put_percent(&b, plain);
    *out = buf_z(&b);
    return buf_status(&b);
}

static RC put_query(struct ctx *ctx, const char *query, struct buf *out)
{
    struct bytes rest = bytes_z(query), one, name;
    struct pair v[SIGV4_QUERY_MAX];
    size_t n = 0;
    while (bytes_take_until(&rest, '&', &one)) {
        if (one.n == 0)
            continue;
        if (n == SIGV4_QUERY_MAX)
            return ctx_fail(ctx, E_TOO_LARGE, "a query of more than %d members is not signed", SIGV4_QUERY_MAX);
        if (!bytes_take_until(&one, '=', &name))
            name = (struct bytes){0};
        TRY(encoded(ctx, name, &v[n].name));
        TRY(encoded(ctx, one, &v[n].value));
        n++;
    }
    qsort(v, n, sizeof *v, compare_pair);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_put_u8(out, '&');
        buf_put_z(out, v[i].name);
        buf_put_u8(out, '=');
        buf_put_z(out, v[i].value);
    }
    return RC_OK;
}

static void put_lower(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        buf_put_u8(out, (uint8_t)(*text >= 'A' && *text <= 'Z' ? *text + 32 : *text));
}

/* Runs of spaces count as one. */
static void put_trimmed(struct buf *out, const char *value)
{
    struct bytes in = bytes_trim(bytes_z(value));
    for (size_t i = 0; i < in.n; i++)
        if (in.p[i] != ' ' || in.p[i - 1] != ' ')
            buf_put_u8(out, in.p[i]);
}

/* Values of one name are joined in the order in which they are sent. */
static RC put_headers(struct ctx *ctx, const struct http_header *v, size_t n, struct buf *lines, struct buf *names)
{
    const char *sorted[SIGV4_HEADERS_MAX];
    for (size_t i = 0; i < n; i++) {
        struct buf name;
        buf_init_arena(&name, &ctx->arena, 256);
        put_lower(&name, v[i].name);
        TRY(buf_status(&name));
        sorted[i] = buf_z(&name);
    }
    qsort(sorted, n, sizeof *sorted, compare_text);
    for (size_t i = 0; i < n; i++) {
        bool first = true;
        if (i > 0 && strcmp(sorted[i], sorted[i - 1]) == 0)
            continue;
        if (i > 0)
            buf_put_u8(names, ';');
        buf_put_z(names, sorted[i]);
        buf_put_z(lines, sorted[i]);
        buf_put_u8(lines, ':');
        for (size_t k = 0; k < n; k++) {
            if (!bytes_equal_nocase(bytes_z(v[k].name), bytes_z(sorted[i])))
                continue;
            if (!first)
                buf_put_u8(lines, ',');
            put_trimmed(lines, v[k].value);
            first = false;
        }
        buf_put_u8(lines, '\n');
    }
    return RC_OK;
}

static RC put_hash(struct ctx *ctx, struct bytes data, struct buf *out)
{
    uint8_t hash[SHA256_LEN];
    TRY(digest_sha256(ctx, data, hash));
    put_hex(out, bytes_of(hash, sizeof hash));
    return RC_OK;
}

static RC put_request(struct ctx *ctx, const struct sigv4 *in, const char *date, struct buf *names, struct buf *out)
{
    struct http_header v[SIGV4_HEADERS_MAX];
    size_t n = 0;
    if (in->n_headers > PUSH_HEADERS_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "more than %d headers are not signed", PUSH_HEADERS_MAX);
    for (; n < in->n_headers; n++)
        v[n] = in->headers[n];
    v[n++] = (struct http_header){"host", in->host};
    v[n++] = (struct http_header){"x-amz-date", date};
    if (in->token.n > 0)
        v[n++] = (struct http_header){"x-amz-security-token", (const char *)in->token.p};
    buf_put_z(out, in->method);
    buf_put_u8(out, '\n');
    TRY(put_path(ctx, in->path, out));
    buf_put_u8(out, '\n');
    TRY(put_query(ctx, in->query, out));
    buf_put_u8(out, '\n');
    TRY(put_headers(ctx, v, n, out, names));
    buf_put_u8(out, '\n');
    buf_put(out, buf_bytes(names));
    buf_put_u8(out, '\n');
    TRY(put_hash(ctx, in->body, out));
    TRY(buf_status(names));
    return buf_status(out);
}

/* --- the signature */

static RC sign_text(struct ctx *ctx, const struct sigv4 *in, struct bytes day, struct bytes text, uint8_t out[SHA256_LEN])
{
    struct buf first BUF_CLEANUP = {0};
    buf_init_secret(&first, 512);
    buf_put_z(&first, "AWS4");
    buf_put(&first, in->secret_key);
    TRY(buf_status(&first));
    const struct bytes parts[] = {day, bytes_z(in->region), bytes_z(in->service), BYTES_LIT("aws4_request"), text};
    struct bytes key = buf_bytes(&first);
    uint8_t last[SHA256_LEN];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        TRY(digest_hmac_sha256(ctx, key, parts[i], out));
        memcpy(last, out, sizeof last);
        key = bytes_of(last, sizeof last);
    }
    wipe(last, sizeof last);
    return RC_OK;
}

RC sigv4_sign(struct ctx *ctx, const struct sigv4 *in, struct buf *date, struct buf *authorization)
{
    struct buf request BUF_CLEANUP = {0}, names, scope, text;
    struct civil t = civil_from_unix(in->now_s);
    uint8_t signature[SHA256_LEN];
    buf_init_secret(&request, TEXT_MAX); /* a temporary credential's token is in it */
    buf_init_arena(&names, &ctx->arena, 8192);
    buf_init_arena(&scope, &ctx->arena, 512);
    buf_init_arena(&text, &ctx->arena, 1024);
    buf_printf(date, "%04d%02d%02dT%02d%02d%02dZ", (int)t.year, t.month, t.day, t.hour, t.minute, t.second);
    TRY(put_request(ctx, in, buf_z(date), &names, &request));
    struct bytes day = bytes_of(date->p, 8);
    buf_put(&scope, day);
    buf_printf(&scope, "/%s/%s/aws4_request", in->region, in->service);
    buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%s\n", buf_z(date), buf_z(&scope));
    TRY(put_hash(ctx, buf_bytes(&request), &text));
    TRY(buf_status(&scope));
    TRY(buf_status(&text));
    TRY(sign_text(ctx, in, day, buf_bytes(&text), signature));
    buf_put_z(authorization, "AWS4-HMAC-SHA256 Credential=");
    buf_put(authorization, in->access_key);
    buf_put_u8(authorization, '/');
    buf_put(authorization, buf_bytes(&scope));
    buf_put_z(authorization, ", SignedHeaders=");
    buf_put(authorization, buf_bytes(&names));
    buf_put_z(authorization, ", Signature=");
    put_hex(authorization, bytes_of(signature, sizeof signature));
    TRY(buf_status(date));
    return buf_status(authorization);
}

/* --- the family */

static const char *host_of(struct ctx *ctx, const struct uri *u)
{
    bool ip6 = strchr(u->host, ':') != NULL;
    const char *host = ip6 ? arena_printf(&ctx->arena, "[%s]", u->host) : u->host;
    return u->port == 443 ? host : arena_printf(&ctx->arena, "%s:%d", host, u->port);
}

static RC sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    struct uri uri;
    struct buf *date = push_room(s, 64), *authorization = push_room(s, PUSH_HEADER_MAX);
    TRY(uri_parse(ctx, bytes_z(r->url), &uri));
    struct sigv4 in = {.method = r->method,
                       .host = host_of(ctx, &uri),
                       .path = uri.path,
                       .query = uri.query,
                       .headers = r->headers,
                       .n_headers = r->n_headers,
                       .body = r->body,
                       .access_key = push_setting(s, "access_key"),
                       .secret_key = push_setting(s, "secret_key"),
                       .token = push_setting(s, "session_token"),
                       .region = arena_str(&ctx->arena, push_setting(s, "region")),
                       .service = arena_str(&ctx->arena, push_setting(s, "service")),
                       .now_s = push_clock_s(ctx)};
    TRY(sigv4_sign(ctx, &in, date, authorization));
    TRY(push_header(ctx, s, r, "X-Amz-Date", buf_bytes(date)));
    if (in.token.n > 0)
        TRY(push_header(ctx, s, r, "X-Amz-Security-Token", in.token));
    return push_header(ctx, s, r, "Authorization", buf_bytes(authorization));
}

const struct push_auth auth_sigv4 = {.name = "sigv4", .sign = sign};
