/* DNS Made Easy: https://api-docs.dnsmadeeasy.com/ */
#include "agent/relay/auth_hmac.h"

#include "base/encode.h"
#include "pki/sha1.h"

RC dnsme_sign(struct ctx *ctx, struct bytes date, struct bytes secret_key, struct buf *out)
{
    uint8_t mac[SHA1_LEN];
    TRY(sha1_hmac(ctx, secret_key, date, mac));
    put_hex(out, bytes_of(mac, sizeof mac));
    return buf_status(out);
}

static RC sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    struct buf *b = push_room(s, 64), date;
    buf_init_arena(&date, &ctx->arena, 64);
    time_put_http(&date, push_clock_s(ctx));
    TRY(buf_status(&date));
    TRY(dnsme_sign(ctx, buf_bytes(&date), push_setting(s, "secret_key"), b));
    TRY(push_header(ctx, s, r, "x-dnsme-apiKey", push_setting(s, "api_key")));
    TRY(push_header(ctx, s, r, "x-dnsme-requestDate", buf_bytes(&date)));
    return push_header(ctx, s, r, "x-dnsme-hmac", buf_bytes(b));
}

const struct push_auth auth_dnsme = {.name = "hmac-dnsmadeeasy", .sign = sign};
