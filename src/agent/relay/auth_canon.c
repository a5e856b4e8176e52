#include "agent/relay/auth_canon.h"

#include "base/encode.h"
#include "base/random.h"
#include "base/uri.h"

/* --- the request */

static const char *host_of(struct ctx *ctx, const struct uri *u)
{
    bool ip6 = strchr(u->host, ':') != NULL;
    const char *host = ip6 ? arena_printf(&ctx->arena, "[%s]", u->host) : u->host;
    return u->port == 443 ? host : arena_printf(&ctx->arena, "%s:%d", host, u->port);
}

static const char *new_nonce(struct ctx *ctx)
{
    uint64_t a = random_u64(), b = random_u64();
    return arena_printf(&ctx->arena, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(a >> 32), (unsigned)(a >> 16 & 0xffff),
                        (unsigned)(a & 0xfff), (unsigned)(0x8000 | (b >> 48 & 0x3fff)), (unsigned long long)(b & 0xffffffffffff));
}

RC canon_of(struct ctx *ctx, const struct push_request *r, struct canon *out)
{
    struct uri uri;
    TRY(uri_parse(ctx, bytes_z(r->url), &uri));
    *out = (struct canon){.method = r->method,
                          .host = host_of(ctx, &uri),
                          .path = uri.path,
                          .query = uri.query,
                          .headers = r->headers,
                          .n_headers = r->n_headers,
                          .body = r->body,
                          .now_s = push_clock_s(ctx),
                          .nonce = new_nonce(ctx)};
    return RC_OK;
}

const char *canon_header(const struct canon *in, const char *name)
{
    for (size_t i = 0; i < in->n_headers; i++)
        if (bytes_equal_nocase(bytes_z(in->headers[i].name), bytes_z(name)))
            return in->headers[i].value;
    return NULL;
}

/* --- its pieces */

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

RC canon_put_query(struct ctx *ctx, const char *query, struct buf *out)
{
    struct bytes rest = bytes_z(query), one, name;
    struct pair v[CANON_QUERY_MAX];
    size_t n = 0;
    while (bytes_take_until(&rest, '&', &one)) {
        if (one.n == 0)
            continue;
        if (n == CANON_QUERY_MAX)
            return ctx_fail(ctx, E_TOO_LARGE, "a query of more than %d members is not signed", CANON_QUERY_MAX);
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
RC canon_put_headers(struct ctx *ctx, const struct http_header *v, size_t n, struct buf *lines, struct buf *names)
{
    const char *sorted[CANON_HEADERS_MAX];
    if (n > CANON_HEADERS_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "more than %d headers are not signed", CANON_HEADERS_MAX);
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

RC canon_put_hash(struct ctx *ctx, struct bytes data, struct buf *out)
{
    uint8_t hash[SHA256_LEN];
    TRY(digest_sha256(ctx, data, hash));
    put_hex(out, bytes_of(hash, sizeof hash));
    return RC_OK;
}

RC canon_put_request(struct ctx *ctx, const struct canon *in, const char *path, const struct http_header *v, size_t n,
                     struct buf *names, struct buf *out)
{
    buf_put_z(out, in->method);
    buf_put_u8(out, '\n');
    buf_put_z(out, path);
    buf_put_u8(out, '\n');
    TRY(canon_put_query(ctx, in->query, out));
    buf_put_u8(out, '\n');
    TRY(canon_put_headers(ctx, v, n, out, names));
    buf_put_u8(out, '\n');
    buf_put(out, buf_bytes(names));
    buf_put_u8(out, '\n');
    TRY(canon_put_hash(ctx, in->body, out));
    TRY(buf_status(names));
    return buf_status(out);
}

RC canon_hmac_chain(struct ctx *ctx, const char *prefix, struct bytes secret, const struct bytes *parts, size_t n,
                    uint8_t out[SHA256_LEN])
{
    struct buf first BUF_CLEANUP = {0};
    uint8_t last[SHA256_LEN];
    buf_init_secret(&first, PUSH_HEADER_MAX);
    buf_put_z(&first, prefix);
    buf_put(&first, secret);
    TRY(buf_status(&first));
    struct bytes key = buf_bytes(&first);
    struct rc rc = RC_OK;
    for (size_t i = 0; i < n && rc_ok(rc); i++) {
        rc = digest_hmac_sha256(ctx, key, parts[i], out);
        memcpy(last, out, sizeof last);
        key = bytes_of(last, sizeof last);
    }
    wipe(last, sizeof last);
    return rc;
}
