/* Standard Webhooks (https://www.standardwebhooks.com), symmetric signatures: HMAC-SHA256 over "id.timestamp.body". */
#include "agent/relay/auth_hmac.h"
#include "agent/relay/push_session.h"

#include "base/encode.h"
#include "pki/digest.h"

#define SECRET_PREFIX "whsec_"
#define SECRET_LEAST  24 /* bytes, as the specification says */
#define SECRET_MOST   64

/* "whsec_" and base64; without the prefix the same. */
static RC key_of(struct ctx *ctx, struct bytes text, struct bytes *out)
{
    const struct bytes prefix = BYTES_LIT(SECRET_PREFIX);
    if (bytes_starts_with(text, prefix))
        bytes_skip(&text, prefix.n);
    if (!get_base64(&ctx->arena, text, out) || out->n < SECRET_LEAST || out->n > SECRET_MOST)
        return ctx_fail(ctx, E_NOT_GRANTED, "the secret of a webhook is %s and base64 of %d to %d random bytes", SECRET_PREFIX,
                        SECRET_LEAST, SECRET_MOST);
    return RC_OK;
}

RC webhook_sign(struct ctx *ctx, struct bytes secret, struct bytes id, int64_t now_s, struct bytes body, struct buf *out)
{
    struct buf text BUF_CLEANUP = {0};
    struct bytes key;
    uint8_t mac[SHA256_LEN];
    buf_init_secret(&text, PUSH_BODY_MAX + 256);
    TRY(key_of(ctx, secret, &key));
    buf_put(&text, id);
    buf_printf(&text, ".%lld.", (long long)now_s);
    buf_put(&text, body);
    TRY(buf_status(&text));
    TRY(digest_hmac_sha256(ctx, key, buf_bytes(&text), mac));
    buf_put_z(out, "v1,");
    put_base64(out, bytes_of(mac, sizeof mac));
    return buf_status(out);
}

static RC sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    struct buf *b = push_room(s, PUSH_HEADER_MAX);
    const int64_t now = push_clock_s(ctx);
    struct bytes id;
    if (!push_get(s, "id", &id) || id.n == 0)
        return ctx_fail(ctx, E_INVALID, "family standard-webhooks is for channels: what is sent must have an id");
    TRY(webhook_sign(ctx, push_setting(s, "secret"), id, now, r->body, b));
    TRY(push_header(ctx, s, r, "webhook-id", id));
    TRY(push_header(ctx, s, r, "webhook-timestamp", bytes_z(arena_printf(&ctx->arena, "%lld", (long long)now))));
    return push_header(ctx, s, r, "webhook-signature", buf_bytes(b));
}

const struct push_auth auth_webhook = {.name = "standard-webhooks", .sign = sign};
