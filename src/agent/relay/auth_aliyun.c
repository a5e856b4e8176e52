/* Alibaba Cloud, version 3 of its signature:
 * https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature */
#include "agent/relay/auth_hmac.h"

#include "base/encode.h"

static bool is_signed(const char *name)
{
    struct bytes b = bytes_z(name), start = bytes_of(name, b.n < 6 ? b.n : 6);
    return bytes_equal_nocase(start, BYTES_LIT("x-acs-")) || bytes_equal_nocase(b, BYTES_LIT("content-type"));
}

RC aliyun_sign(struct ctx *ctx, const struct canon *in, struct bytes access_key, struct bytes secret_key, struct buf *out)
{
    struct buf request BUF_CLEANUP = {0}, names, text;
    struct http_header v[CANON_HEADERS_MAX];
    uint8_t signature[SHA256_LEN];
    size_t n = 0;
    buf_init_secret(&request, CANON_TEXT_MAX);
    buf_init_arena(&names, &ctx->arena, 8192);
    buf_init_arena(&text, &ctx->arena, 256);
    for (size_t i = 0; i < in->n_headers && n < CANON_HEADERS_MAX - 1; i++)
        if (is_signed(in->headers[i].name))
            v[n++] = in->headers[i];
    v[n++] = (struct http_header){"host", in->host};
    TRY(canon_put_request(ctx, in, in->path, v, n, &names, &request));
    buf_put_z(&text, "ACS3-HMAC-SHA256\n");
    TRY(canon_put_hash(ctx, buf_bytes(&request), &text));
    TRY(buf_status(&text));
    TRY(digest_hmac_sha256(ctx, secret_key, buf_bytes(&text), signature));
    buf_put_z(out, "ACS3-HMAC-SHA256 Credential=");
    buf_put(out, access_key);
    buf_put_z(out, ",SignedHeaders=");
    buf_put(out, buf_bytes(&names));
    buf_put_z(out, ",Signature=");
    put_hex(out, bytes_of(signature, sizeof signature));
    return buf_status(out);
}

static RC sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    struct canon c;
    struct buf *b = push_room(s, PUSH_HEADER_MAX), date, hash;
    buf_init_arena(&date, &ctx->arena, 64);
    buf_init_arena(&hash, &ctx->arena, 128);
    TRY(canon_of(ctx, r, &c));
    time_put_rfc3339(&date, c.now_s);
    TRY(canon_put_hash(ctx, c.body, &hash));
    TRY(push_header(ctx, s, r, "x-acs-date", buf_bytes(&date)));
    TRY(push_header(ctx, s, r, "x-acs-signature-nonce", bytes_z(c.nonce)));
    TRY(push_header(ctx, s, r, "x-acs-content-sha256", buf_bytes(&hash)));
    c.n_headers = r->n_headers; /* with the three */
    TRY(aliyun_sign(ctx, &c, push_setting(s, "access_key"), push_setting(s, "secret_key"), b));
    return push_header(ctx, s, r, "Authorization", buf_bytes(b));
}

const struct push_auth auth_aliyun = {.name = "aliyun", .sign = sign};
