#include "agent/share.h"

#include "base/encode.h"
#include "base/failpoint.h"
#include "base/log.h"

static RC get_hex_member(struct ctx *ctx, const json_t *obj, const char *key, struct bytes *out)
{
    const char *text = NULL;
    TRY(json_get_str(ctx, obj, key, true, &text));
    return get_hex(&ctx->arena, bytes_z(text), out) ? RC_OK : ctx_fail(ctx, E_PARSE, "%s is not hex", key);
}

void share_put_key(struct ctx *ctx, struct hands *h, struct json_out *j)
{
    const struct wire_apply_seal_key in = {0};
    struct wire_apply_seal_key_is out;
    if (h->apply == NULL)
        return;
    struct rc rc = HANDS_CALL(ctx, h->apply, apply_seal_key, &in, apply_seal_key_is, &out);
    if (rc_ok(rc)) {
        json_put_hex(j, "seal_key", out.public);
        return;
    }
    log_event(LOG_WARN_, "no_sealing_key", "why", ctx_why(ctx), NULL);
    ctx_forget(ctx);
}

static RC seal_one(struct ctx *ctx, struct hands *h, struct wire_apply_key_seal *in, const json_t *receiver, struct json_out *j)
{
    struct wire_apply_key_sealed out;
    TRY(json_get_str(ctx, receiver, "agent", true, &in->agent));
    TRY(get_hex_member(ctx, receiver, "seal_key", &in->seal_key));
    TRY(HANDS_CALL(ctx, h->apply, apply_key_seal, in, apply_key_sealed, &out));
    json_open_obj(j, NULL);
    json_put_str(j, "agent", in->agent);
    json_put_base64(j, "sealed", out.sealed);
    json_close(j);
    return RC_OK;
}

RC share_seal(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body, struct buf *member)
{
    struct wire_apply_key_seal in = {0};
    const json_t *receivers, *v;
    struct json_out j;
    struct buf b;
    size_t i;
    TRY(json_get_str(ctx, body, "attempt", true, &in.attempt));
    TRY(json_get_str(ctx, body, "certificate", true, &in.certificate));
    TRY(json_get_str(ctx, body, "installation", true, &in.installation));
    TRY(get_hex_member(ctx, body, "spki_sha256", &in.spki_sha256));
    TRY(json_get_list(ctx, body, "receivers", true, &receivers));
    buf_init_arena(&b, &ctx->arena, (size_t)1 << 20);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_open_list(&j, "sealed");
    json_array_foreach(receivers, i, v) TRY(seal_one(ctx, h, &in, v, &j));
    json_close(&j);
    json_close(&j);
    TRY(buf_status(&b));
    FAILPOINT("agent.sealed");
    buf_put(member, buf_bytes(&b)); /* whole or not at all */
    story_add(ctx, story, "seal", "the key made on this host, sealed to %zu other host%s", json_array_size(receivers),
              json_array_size(receivers) == 1 ? "" : "s");
    return RC_OK;
}

RC share_open(struct ctx *ctx, struct hands *h, const char *attempt, const json_t *deploy)
{
    struct wire_apply_key_open in = {.attempt = attempt};
    struct wire_apply_done out;
    const json_t *o = json_object_get(deploy, "sealed_key");
    if (!json_is_object(o))
        return RC_OK;
    TRY(json_get_str(ctx, o, "certificate", true, &in.certificate));
    TRY(json_get_str(ctx, o, "installation", true, &in.installation));
    TRY(json_get_str(ctx, o, "agent", true, &in.agent));
    TRY(get_hex_member(ctx, o, "spki_sha256", &in.spki_sha256));
    TRY(json_get_base64(ctx, o, "sealed", true, &in.sealed));
    return HANDS_CALL(ctx, h->apply, apply_key_open, &in, apply_done, &out);
}
