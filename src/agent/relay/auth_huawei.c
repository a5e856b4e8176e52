/* Huawei Cloud: https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-algorithm-002.html */
#include "agent/relay/auth_hmac.h"

#include "base/encode.h"

RC huawei_sign(struct ctx *ctx, const struct canon *in, struct bytes access_key, struct bytes secret_key, struct buf *out)
{
    struct buf request BUF_CLEANUP = {0}, names, text;
    struct http_header v[CANON_HEADERS_MAX];
    uint8_t signature[SHA256_LEN];
    const char *date = canon_header(in, "x-sdk-date");
    size_t n = 0, length = strlen(in->path);
    buf_init_secret(&request, CANON_TEXT_MAX);
    buf_init_arena(&names, &ctx->arena, 8192);
    buf_init_arena(&text, &ctx->arena, 256);
    for (; n < in->n_headers && n < CANON_HEADERS_MAX - 1; n++)
        v[n] = in->headers[n];
    v[n++] = (struct http_header){"host", in->host};
    /* The path counts with a '/' at its end, whether it is sent or not. */
    const char *path = in->path[length - 1] == '/' ? in->path : arena_printf(&ctx->arena, "%s/", in->path);
    TRY(canon_put_request(ctx, in, path, v, n, &names, &request));
    buf_printf(&text, "SDK-HMAC-SHA256\n%s\n", date != NULL ? date : "");
    TRY(canon_put_hash(ctx, buf_bytes(&request), &text));
    TRY(buf_status(&text));
    TRY(digest_hmac_sha256(ctx, secret_key, buf_bytes(&text), signature));
    buf_put_z(out, "SDK-HMAC-SHA256 Access=");
    buf_put(out, access_key);
    buf_put_z(out, ", SignedHeaders=");
    buf_put(out, buf_bytes(&names));
    buf_put_z(out, ", Signature=");
    put_hex(out, bytes_of(signature, sizeof signature));
    return buf_status(out);
}

static RC sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    struct canon c;
    struct buf *b = push_room(s, PUSH_HEADER_MAX);
    TRY(canon_of(ctx, r, &c));
    struct civil t = civil_from_unix(c.now_s);
    const char *date =
        arena_printf(&ctx->arena, "%04d%02d%02dT%02d%02d%02dZ", (int)t.year, t.month, t.day, t.hour, t.minute, t.second);
    TRY(push_header(ctx, s, r, "X-Sdk-Date", bytes_z(date)));
    c.n_headers = r->n_headers;
    TRY(huawei_sign(ctx, &c, push_setting(s, "access_key"), push_setting(s, "secret_key"), b));
    return push_header(ctx, s, r, "Authorization", buf_bytes(b));
}

const struct push_auth auth_huawei = {.name = "huawei", .sign = sign};
