#include "agent/relay/auth_sigv4.h"

#include "agent/relay/auth_canon.h"
#include "base/encode.h"
#include "base/uri.h"
#include "pki/digest.h"

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

static RC put_request(struct ctx *ctx, const struct sigv4 *in, const char *date, struct buf *names, struct buf *out)
{
    struct http_header v[SIGV4_HEADERS_MAX];
    struct buf path;
    size_t n = 0;
    if (in->n_headers > PUSH_HEADERS_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "more than %d headers are not signed", PUSH_HEADERS_MAX);
    for (; n < in->n_headers; n++)
        v[n] = in->headers[n];
    v[n++] = (struct http_header){"host", in->host};
    v[n++] = (struct http_header){"x-amz-date", date};
    if (in->token.n > 0)
        v[n++] = (struct http_header){"x-amz-security-token", (const char *)in->token.p};
    buf_init_arena(&path, &ctx->arena, URI_MAX * 3);
    TRY(put_path(ctx, in->path, &path));
    TRY(buf_status(&path));
    const struct canon c = {.method = in->method, .query = in->query, .body = in->body};
    return canon_put_request(ctx, &c, buf_z(&path), v, n, names, out);
}

/* --- the signature */

RC sigv4_sign(struct ctx *ctx, const struct sigv4 *in, struct buf *date, struct buf *authorization)
{
    struct buf request BUF_CLEANUP = {0}, names, scope, text;
    struct civil t = civil_from_unix(in->now_s);
    uint8_t signature[SHA256_LEN];
    buf_init_secret(&request, CANON_TEXT_MAX); /* a temporary credential's token is in it */
    buf_init_arena(&names, &ctx->arena, 8192);
    buf_init_arena(&scope, &ctx->arena, 512);
    buf_init_arena(&text, &ctx->arena, 1024);
    buf_printf(date, "%04d%02d%02dT%02d%02d%02dZ", (int)t.year, t.month, t.day, t.hour, t.minute, t.second);
    TRY(put_request(ctx, in, buf_z(date), &names, &request));
    struct bytes day = bytes_of(date->p, 8);
    buf_put(&scope, day);
    buf_printf(&scope, "/%s/%s/aws4_request", in->region, in->service);
    buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%s\n", buf_z(date), buf_z(&scope));
    TRY(canon_put_hash(ctx, buf_bytes(&request), &text));
    TRY(buf_status(&scope));
    TRY(buf_status(&text));
    const struct bytes parts[] = {day, bytes_z(in->region), bytes_z(in->service), BYTES_LIT("aws4_request"), buf_bytes(&text)};
    TRY(canon_hmac_chain(ctx, "AWS4", in->secret_key, parts, sizeof parts / sizeof *parts, signature));
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

static RC sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    struct canon c;
    struct buf *date = push_room(s, 64), *authorization = push_room(s, PUSH_HEADER_MAX);
    TRY(canon_of(ctx, r, &c));
    struct sigv4 in = {.method = c.method,
                       .host = c.host,
                       .path = c.path,
                       .query = c.query,
                       .headers = c.headers,
                       .n_headers = c.n_headers,
                       .body = c.body,
                       .access_key = push_setting(s, "access_key"),
                       .secret_key = push_setting(s, "secret_key"),
                       .token = push_setting(s, "session_token"),
                       .region = arena_str(&ctx->arena, push_setting(s, "region")),
                       .service = arena_str(&ctx->arena, push_setting(s, "service")),
                       .now_s = c.now_s};
    TRY(sigv4_sign(ctx, &in, date, authorization));
    TRY(push_header(ctx, s, r, "X-Amz-Date", buf_bytes(date)));
    if (in.token.n > 0)
        TRY(push_header(ctx, s, r, "X-Amz-Security-Token", in.token));
    return push_header(ctx, s, r, "Authorization", buf_bytes(authorization));
}

const struct push_auth auth_sigv4 = {.name = "sigv4", .sign = sign};
