/* OVHcloud: https://help.ovhcloud.com/csm/en-gb-api-getting-started-ovhcloud-api (application, secret and consumer key). */
#include "agent/relay/auth_hmac.h"

#include "base/encode.h"
#include "base/str.h"
#include "pki/sha1.h"

#define OFFSET_MOST_S 86400

RC ovh_sign(struct ctx *ctx, const char *method, const char *url, struct bytes body, int64_t now_s, struct bytes application_secret,
            struct bytes consumer_key, struct buf *out)
{
    struct buf text BUF_CLEANUP = {0};
    uint8_t hash[SHA1_LEN];
    buf_init_secret(&text, PUSH_BODY_MAX + CANON_TEXT_MAX);
    buf_put(&text, application_secret);
    buf_put_u8(&text, '+');
    buf_put(&text, consumer_key);
    buf_printf(&text, "+%s+%s+", method, url);
    buf_put(&text, body);
    buf_printf(&text, "+%lld", (long long)now_s);
    TRY(buf_status(&text));
    TRY(sha1_digest(ctx, buf_bytes(&text), hash));
    buf_put_z(out, "$1$");
    put_hex(out, bytes_of(hash, sizeof hash));
    return buf_status(out);
}

/* A signature is good for seconds: where the API says what time it has, that is what counts. */
static RC prepare(struct ctx *ctx, struct push_session *s)
{
    struct push_request r = {.method = "GET", .url = arena_str(&ctx->arena, push_setting(s, "time_url"))};
    struct push_answer a = {0};
    int64_t theirs;
    if (*r.url == '\0')
        return RC_OK;
    struct rc rc = push_send(ctx, s, &r, &a);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "asking %s for the time", r.url);
    if (a.status != 200 || !str_to_i64(bytes_trim(a.body), &theirs))
        return ctx_fail(ctx, E_BAD_ANSWER, "%s does not say what time it is (%d)", r.url, a.status);
    int64_t offset = theirs - push_clock_s(ctx);
    if (offset > OFFSET_MOST_S || offset < -OFFSET_MOST_S)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s has a time that is %lld s from this host's: check the clock", r.url,
                        (long long)offset);
    return push_keep(ctx, s, "offset", bytes_z(arena_printf(&ctx->arena, "%lld", (long long)offset)));
}

static RC sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    struct buf *b = push_room(s, PUSH_HEADER_MAX);
    struct bytes kept;
    int64_t offset = 0;
    if (push_get(s, "auth.offset", &kept) && !str_to_i64(kept, &offset))
        offset = 0;
    int64_t now = push_clock_s(ctx) + offset;
    struct bytes consumer = push_setting(s, "consumer_key");
    TRY(ovh_sign(ctx, r->method, r->url, r->body, now, push_setting(s, "application_secret"), consumer, b));
    TRY(push_header(ctx, s, r, "X-Ovh-Application", push_setting(s, "application_key")));
    TRY(push_header(ctx, s, r, "X-Ovh-Consumer", consumer));
    TRY(push_header(ctx, s, r, "X-Ovh-Timestamp", bytes_z(arena_printf(&ctx->arena, "%lld", (long long)now))));
    return push_header(ctx, s, r, "X-Ovh-Signature", buf_bytes(b));
}

const struct push_auth auth_ovh = {.name = "ovh", .prepare = prepare, .sign = sign};
