#include "core/wish.h"

#include "base/encode.h"
#include "pki/digest.h"
#include "pki/name.h"

static void put_list(struct json_out *j, const char *key, const struct str_list *l)
{
    json_open_list(j, key);
    for (size_t i = 0; i < l->n; i++)
        json_put_str(j, NULL, l->v[i]);
    json_close(j);
}

/* What a change of re-issues. */
static void put_essence(struct json_out *j, const struct wish *w)
{
    put_list(j, "names", &w->names);
    if (w->common_name)
        json_put_str(j, "common_name", w->common_name);
    json_put_str(j, "profile", w->profile);
    json_put_str(j, "key_kind", w->key_kind);
    json_put_bool(j, "reuse_key", w->reuse_key);
    if (w->csr.n)
        json_put_base64(j, "csr", w->csr);
    if (w->download)
        json_put_bool(j, "download", true);
    put_list(j, "issuers", &w->issuers);
    if (w->acme_profile)
        json_put_str(j, "acme_profile", w->acme_profile);
    if (w->preferred_chain)
        json_put_str(j, "preferred_chain", w->preferred_chain);
}

/* Only what was said: a wish of an earlier release reads the same. */
static void put_rollout(struct json_out *j, const struct wish *w)
{
    if (w->canary >= 0)
        json_put_int(j, "canary", w->canary);
    if (w->wave)
        json_put_int(j, "wave", w->wave);
    if (w->wave_percent)
        json_put_int(j, "wave_percent", w->wave_percent);
    if (w->wave_pause_s)
        json_put_int(j, "wave_pause_s", w->wave_pause_s);
}

void wish_encode(struct buf *b, const struct wish *w)
{
    struct json_out j;
    json_begin(&j, b);
    json_open_obj(&j, NULL);
    put_essence(&j, w);
    json_put_str(&j, "usage", w->usage);
    json_put_int(&j, "validity_s", w->validity_s);
    json_put_int(&j, "renew_percent", w->renew_percent);
    json_put_int(&j, "renew_before_s", w->renew_before_s);
    if (w->key_agent)
        json_put_str(&j, "key_agent", w->key_agent);
    if (w->bad_name)
        json_put_str(&j, "bad_name", w->bad_name);
    if (w->preflight)
        json_put_str(&j, "preflight", w->preflight);
    put_list(&j, "targets", &w->targets);
    put_rollout(&j, w);
    json_close(&j);
}

static struct rc get_list(struct ctx *ctx, const json_t *obj, const char *key, struct str_list *out)
{
    const json_t *list = NULL;
    TRY(json_get_list(ctx, obj, key, true, &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_string(v))
            return ctx_fail(ctx, E_BUG, "the wish kept in the database has a %s that is not text", key);
        str_list_add(&ctx->arena, out, arena_strdup(&ctx->arena, json_string_value(v)));
    }
    return RC_OK;
}

RC wish_decode(struct ctx *ctx, const char *json, struct wish *out)
{
    *out = (struct wish){.canary = -1};
    json_auto_t *root = NULL;
    TRY(json_read(ctx, bytes_z(json), &root));
    TRY(get_list(ctx, root, "names", &out->names));
    TRY(json_get_str(ctx, root, "common_name", false, &out->common_name));
    TRY(json_get_str(ctx, root, "profile", true, &out->profile));
    TRY(json_get_str(ctx, root, "usage", true, &out->usage));
    TRY(json_get_int(ctx, root, "validity_s", true, &out->validity_s));
    TRY(json_get_str(ctx, root, "key_kind", true, &out->key_kind));
    TRY(json_get_bool(ctx, root, "reuse_key", true, &out->reuse_key));
    TRY(json_get_base64(ctx, root, "csr", false, &out->csr));
    TRY(json_get_bool(ctx, root, "download", false, &out->download));
    TRY(json_get_str(ctx, root, "acme_profile", false, &out->acme_profile));
    TRY(json_get_str(ctx, root, "preferred_chain", false, &out->preferred_chain));
    TRY(json_get_str(ctx, root, "key_agent", false, &out->key_agent));
    TRY(json_get_str(ctx, root, "bad_name", false, &out->bad_name));
    TRY(json_get_str(ctx, root, "preflight", false, &out->preflight));
    TRY(get_list(ctx, root, "issuers", &out->issuers));
    TRY(json_get_int(ctx, root, "renew_percent", true, &out->renew_percent));
    TRY(json_get_int(ctx, root, "renew_before_s", true, &out->renew_before_s));
    TRY(json_get_int(ctx, root, "canary", false, &out->canary));
    TRY(json_get_int(ctx, root, "wave", false, &out->wave));
    TRY(json_get_int(ctx, root, "wave_percent", false, &out->wave_percent));
    TRY(json_get_int(ctx, root, "wave_pause_s", false, &out->wave_pause_s));
    return get_list(ctx, root, "targets", &out->targets);
}

RC wish_hash(struct ctx *ctx, const struct wish *w, struct bytes *out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 20);
    struct json_out j;
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    put_essence(&j, w);
    json_close(&j);
    TRY(buf_status(&b));
    uint8_t *digest = arena_alloc(&ctx->arena, 32);
    TRY(digest_sha256(ctx, buf_bytes(&b), digest));
    *out = bytes_of(digest, 32);
    return RC_OK;
}

RC wish_check(struct ctx *ctx, struct wish *w)
{
    if (!w->names.n)
        return ctx_fail_field(ctx, "/names", "a certificate needs at least one name");
    if (w->names.n > 100)
        return ctx_fail_field(ctx, "/names", "at most 100 names fit one certificate");
    struct str_list checked = {0};
    for (size_t i = 0; i < w->names.n; i++) {
        const char *name = NULL;
        struct rc rc = name_normalize(ctx, w->names.v[i], &name);
        if (rc_failed(rc)) {
            ctx->field = arena_printf(&ctx->arena, "/names/%zu", i);
            return rc;
        }
        if (!str_list_has(&checked, name))
            str_list_add(&ctx->arena, &checked, name);
    }
    w->names = checked;
    if (w->common_name && !str_list_has(&w->names, w->common_name))
        return ctx_fail_field(ctx, "/common_name", "the common name must be one of the names");
    if (w->download && w->csr.n)
        return ctx_fail_field(ctx, "/download", "with a request of one's own there is no key to download");
    if (w->download && w->key_agent)
        return ctx_fail_field(ctx, "/key_agent", "a key that is downloaded is made by the signer, not by an agent");
    if (w->renew_percent && (w->renew_percent < 10 || w->renew_percent > 95))
        return ctx_fail_field(ctx, "/renewal/at_percent", "renewal at %lld percent of the lifetime: 10 to 95 makes sense",
                              (long long)w->renew_percent);
    if (w->wave && w->wave_percent)
        return ctx_fail_field(ctx, "/rollout/wave", "a wave is said as a number of targets or as a percentage, not as both");
    return RC_OK;
}
