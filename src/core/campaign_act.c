/* What can be done to many, one by one. */
#include "base/json.h"
#include "core/access.h"
#include "core/campaign.h"
#include "core/managed.h"
#include "core/remark.h"

static struct rc act_renew(struct ctx *ctx, struct core *core, struct txn *txn, const struct campaign_params *p, const char *object)
{
    return managed_act_in(ctx, core, txn, MANAGED_RENEW, object, NULL, p->code, p->when);
}

static struct rc act_retry(struct ctx *ctx, struct core *core, struct txn *txn, const struct campaign_params *p, const char *object)
{
    return managed_act_in(ctx, core, txn, MANAGED_RETRY, object, NULL, p->code, p->when);
}

static struct rc act_pause(struct ctx *ctx, struct core *core, struct txn *txn, const struct campaign_params *p, const char *object)
{
    const char *why = p->reason ? p->reason : arena_printf(&ctx->arena, "paused by %s", ctx->principal->name);
    return managed_act_in(ctx, core, txn, MANAGED_PAUSE, object, why, p->code, p->when);
}

static struct rc act_resume(struct ctx *ctx, struct core *core, struct txn *txn, const struct campaign_params *p,
                            const char *object)
{
    return managed_act_in(ctx, core, txn, MANAGED_RESUME, object, NULL, p->code, p->when);
}

static struct rc act_revoke(struct ctx *ctx, struct core *core, struct txn *txn, const struct campaign_params *p,
                            const char *object)
{
    struct q_managed_get_row m;
    struct q_version_get_row v;
    bool found = false;
    TRY(managed_find(ctx, txn, object, &m));
    TRY(q_version_get(ctx, txn, m.id, m.version, &v, &found));
    if (found && v.revoked_at)
        return ctx_fail(ctx, E_CONFLICT, "version %lld of %s is revoked already", (long long)m.version, m.name);
    return managed_act_in(ctx, core, txn, MANAGED_REVOKE, object, NULL, p->code, p->when);
}

static struct rc act_remove(struct ctx *ctx, struct core *core, struct txn *txn, const struct campaign_params *p,
                            const char *object)
{
    return managed_act_in(ctx, core, txn, MANAGED_REMOVE, object, NULL, p->code, p->when);
}

void campaign_wish(struct ctx *ctx, const struct campaign_params *p, struct wish *w)
{
    if (p->issuer) {
        w->issuers = (struct str_list){0};
        str_list_add(&ctx->arena, &w->issuers, p->issuer);
        w->acme_profile = w->preferred_chain = NULL; /* another CA has others */
    }
    if (p->key_kind)
        w->key_kind = p->key_kind;
    if (p->profile)
        w->profile = p->profile;
}

/* What is wished, and a new version of it: by the change of the wish, else as a renewal by hand. */
static struct rc act_replace(struct ctx *ctx, struct core *core, struct txn *txn, const struct campaign_params *p,
                             const char *object)
{
    struct q_managed_get_row before, now;
    struct managed_input in = {0};
    TRY(managed_find(ctx, txn, object, &before));
    if (before.paused_at)
        return ctx_fail(ctx, E_PAUSED, "%s is paused (%s)", before.name, before.paused_reason);
    TRY(wish_decode(ctx, before.wish, &in.wish));
    campaign_wish(ctx, p, &in.wish);
    TRY(managed_update_in(ctx, core, txn, before.id, &in));
    TRY(managed_find(ctx, txn, object, &now));
    if (!bytes_equal(before.wish_hash, now.wish_hash))
        return RC_OK;
    return managed_act_in(ctx, core, txn, MANAGED_RENEW, object, NULL, p->code, p->when);
}

static struct rc act_remark(struct ctx *ctx, struct core *core, struct txn *txn, const struct campaign_params *p,
                            const char *object)
{
    const struct remark_input in = {.team = p->to_team, .owner = p->owner, .add = p->add, .remove = p->remove};
    return remark_put_in(ctx, core, txn, object, &in);
}

static const struct campaign_act acts[] = {
    {"renew", "managed-certificate.renew", CAMPAIGN_MANAGED, true, act_renew},
    {"retry", "managed-certificate.renew", CAMPAIGN_MANAGED, true, act_retry},
    {"replace", "managed-certificate.update", CAMPAIGN_MANAGED, true, act_replace},
    {"revoke", "certificate.revoke", CAMPAIGN_MANAGED, true, act_revoke},
    {"pause", "managed-certificate.pause", CAMPAIGN_MANAGED, false, act_pause},
    {"resume", "managed-certificate.pause", CAMPAIGN_MANAGED, false, act_resume},
    {"remove", "managed-certificate.delete", CAMPAIGN_MANAGED, false, act_remove},
    {"assign", "certificate.update", CAMPAIGN_FOUND, false, act_remark},
    {"tag", "certificate.update", CAMPAIGN_FOUND, false, act_remark},
};

const struct campaign_act *campaign_act_named(const char *word)
{
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (str_equal(acts[i].word, word))
            return &acts[i];
    return NULL;
}

/* --- what they take, kept as JSON */

static void put_text(struct json_out *j, const char *key, const char *value)
{
    if (value)
        json_put_str(j, key, value);
}

static void put_list(struct json_out *j, const char *key, const struct str_list *l)
{
    json_open_list(j, key);
    for (size_t i = 0; i < l->n; i++)
        json_put_str(j, NULL, l->v[i]);
    json_close(j);
}

const char *campaign_params_text(struct ctx *ctx, const struct campaign_params *p)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    put_text(&j, "reason", p->reason);
    json_put_int(&j, "code", p->code);
    json_put_int(&j, "when", p->when);
    put_text(&j, "to_team", p->to_team);
    put_text(&j, "owner", p->owner);
    put_list(&j, "add", &p->add);
    put_list(&j, "remove", &p->remove);
    put_text(&j, "issuer", p->issuer);
    put_text(&j, "key_kind", p->key_kind);
    put_text(&j, "profile", p->profile);
    json_put_int(&j, "canary", p->canary);
    json_put_int(&j, "wave", p->wave);
    json_put_int(&j, "wave_percent", p->wave_percent);
    json_close(&j);
    return buf_z(&b);
}

static void get_list(struct ctx *ctx, const json_t *root, const char *key, struct str_list *out)
{
    const json_t *l = json_object_get(root, key);
    for (size_t i = 0; i < json_array_size(l); i++)
        str_list_add(&ctx->arena, out, arena_strdup(&ctx->arena, json_string_value(json_array_get(l, i))));
}

RC campaign_params_read(struct ctx *ctx, const char *text, struct campaign_params *out)
{
    json_auto_t *root = NULL;
    int64_t when = 0;
    *out = (struct campaign_params){0};
    TRY(json_read(ctx, bytes_z(text), &root));
    TRY(json_get_str(ctx, root, "reason", false, &out->reason));
    TRY(json_get_int(ctx, root, "code", true, &out->code));
    TRY(json_get_int(ctx, root, "when", true, &when));
    TRY(json_get_str(ctx, root, "to_team", false, &out->to_team));
    TRY(json_get_str(ctx, root, "owner", false, &out->owner));
    TRY(json_get_str(ctx, root, "issuer", false, &out->issuer));
    TRY(json_get_str(ctx, root, "key_kind", false, &out->key_kind));
    TRY(json_get_str(ctx, root, "profile", false, &out->profile));
    TRY(json_get_int(ctx, root, "canary", true, &out->canary));
    TRY(json_get_int(ctx, root, "wave", true, &out->wave));
    TRY(json_get_int(ctx, root, "wave_percent", true, &out->wave_percent));
    get_list(ctx, root, "add", &out->add);
    get_list(ctx, root, "remove", &out->remove);
    out->when = (enum revocation_when)when;
    return RC_OK;
}
