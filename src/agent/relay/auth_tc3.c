/* Tencent Cloud: https://www.tencentcloud.com/document/product/1097/40676 */
#include "agent/relay/auth_hmac.h"

#include "base/encode.h"

static const char *lower(struct ctx *ctx, const char *text)
{
    char *out = arena_strdup(&ctx->arena, text);
    for (char *p = out; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + 32);
    return out;
}

RC tc3_sign(struct ctx *ctx, const struct canon *in, struct bytes secret_id, struct bytes secret_key, const char *service,
            struct buf *out)
{
    static const char *const wanted[] = {"content-type", "x-tc-action"};
    struct buf request BUF_CLEANUP = {0}, names, text;
    struct civil t = civil_from_unix(in->now_s);
    struct http_header v[3];
    uint8_t signature[SHA256_LEN];
    size_t n = 0;
    const char *day = arena_printf(&ctx->arena, "%04d-%02d-%02d", (int)t.year, t.month, t.day);
    buf_init_secret(&request, CANON_TEXT_MAX);
    buf_init_arena(&names, &ctx->arena, 256);
    buf_init_arena(&text, &ctx->arena, 1024);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const char *value = canon_header(in, wanted[i]);
        if (value != NULL) /* values count in lower case */
            v[n++] = (struct http_header){wanted[i], lower(ctx, value)};
    }
    v[n++] = (struct http_header){"host", in->host};
    TRY(canon_put_request(ctx, in, "/", v, n, &names, &request));
    buf_printf(&text, "TC3-HMAC-SHA256\n%lld\n%s/%s/tc3_request\n", (long long)in->now_s, day, service);
    TRY(canon_put_hash(ctx, buf_bytes(&request), &text));
    TRY(buf_status(&text));
    const struct bytes parts[] = {bytes_z(day), bytes_z(service), BYTES_LIT("tc3_request"), buf_bytes(&text)};
    TRY(canon_hmac_chain(ctx, "TC3", secret_key, parts, sizeof parts / sizeof *parts, signature));
    buf_put_z(out, "TC3-HMAC-SHA256 Credential=");
    buf_put(out, secret_id);
    buf_printf(out, "/%s/%s/tc3_request, SignedHeaders=%s, Signature=", day, service, buf_z(&names));
    put_hex(out, bytes_of(signature, sizeof signature));
    return buf_status(out);
}

static RC sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    struct canon c;
    struct buf *b = push_room(s, PUSH_HEADER_MAX);
    TRY(canon_of(ctx, r, &c));
    if (strcmp(c.path, "/") != 0)
        return ctx_fail(ctx, E_INVALID, "family tc3 signs requests to / alone, not %.100s", c.path);
    TRY(tc3_sign(ctx, &c, push_setting(s, "secret_id"), push_setting(s, "secret_key"),
                 arena_str(&ctx->arena, push_setting(s, "service")), b));
    TRY(push_header(ctx, s, r, "X-TC-Timestamp", bytes_z(arena_printf(&ctx->arena, "%lld", (long long)c.now_s))));
    return push_header(ctx, s, r, "Authorization", buf_bytes(b));
}

const struct push_auth auth_tc3 = {.name = "tc3", .sign = sign};
