/* Profiles: what certificates are for. */
#include "base/random.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/issuer.h"
#include "pki/profile.h"
#include "pki/spki.h"

void profile_settings_encode(struct buf *b, const struct profile_settings *s)
{
    struct json_out j;
    json_begin(&j, b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "usage", s->usage);
    json_open_list(&j, "key_kinds");
    for (size_t i = 0; i < s->key_kinds.n; i++)
        json_put_str(&j, NULL, s->key_kinds.v[i]);
    json_close(&j);
    json_put_int(&j, "validity_s", s->validity_s);
    json_put_bool(&j, "common_name", s->common_name);
    json_close(&j);
}

RC profile_settings_decode(struct ctx *ctx, const char *json, struct profile_settings *out)
{
    *out = (struct profile_settings){0};
    json_auto_t *root = NULL;
    TRY(json_read(ctx, bytes_z(json), &root));
    TRY(json_get_str(ctx, root, "usage", true, &out->usage));
    TRY(json_get_int(ctx, root, "validity_s", true, &out->validity_s));
    TRY(json_get_bool(ctx, root, "common_name", true, &out->common_name));
    const json_t *list = NULL;
    TRY(json_get_list(ctx, root, "key_kinds", true, &list));
    for (size_t i = 0; i < json_array_size(list); i++)
        str_list_add(&ctx->arena, &out->key_kinds, arena_strdup(&ctx->arena, json_string_value(json_array_get(list, i))));
    return RC_OK;
}

static struct rc settings_check(struct ctx *ctx, const struct profile_settings *s)
{
    const enum cert_profile p = profile_by_name(s->usage);
    if (p == PROFILE_NONE || profile_info(p)->internal)
        return ctx_fail_field(ctx, "/usage", "a profile is for tls-server, tls-client or tls-mutual");
    if (s->validity_s < 3600 || s->validity_s > profile_info(p)->max_validity_s)
        return ctx_fail_field(ctx, "/validity_s", "certificates of this usage live from an hour to %lld days",
                              (long long)(profile_info(p)->max_validity_s / 86400));
    for (size_t i = 0; i < s->key_kinds.n; i++)
        if (key_kind_by_name(s->key_kinds.v[i]) == KEY_OTHER)
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/key_kinds/%zu", i), "%s is no kind of key", s->key_kinds.v[i]);
    return RC_OK;
}

struct profile_change {
    struct core *core;
    const char *ref, *name, *team, *id;
    const struct profile_settings *s;
    int64_t revision;
};

static const char *encoded(struct ctx *ctx, const struct profile_settings *s)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    profile_settings_encode(&b, s);
    return buf_z(&b);
}

static struct rc profile_find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_profile_get_row *out)
{
    bool found = false;
    TRY(q_profile_get(ctx, txn, ref, access_scope(ctx), out, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no profile is named %s; certwright profile list shows them", ref);
}

static struct rc profile_make(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct profile_change *c = arg;
    TRY(access_team(ctx, txn, c->team, &c->team));
    TRY(decide(ctx, c->core, txn, "profile.create", c->team));
    const char *text = encoded(ctx, c->s);
    const struct q_profile_add_in in = {.id = c->id, .team_id = c->team, .name = c->name, .settings = text, .now = ctx_now_s(ctx)};
    struct rc rc = q_profile_add(ctx, txn, &in);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "a profile named %s is there already", c->name);
    }
    TRY(rc);
    return audit_write(ctx, txn, "profile.create", "profile", c->id, c->team, audit_change(ctx, (struct bytes){0}, bytes_z(text)));
}

RC profile_create(struct ctx *ctx, struct core *core, const char *name, const char *team, const struct profile_settings *s,
                  const char **id)
{
    TRY(settings_check(ctx, s));
    struct profile_change c = {.core = core,
                               .name = name,
                               .team = team ? team : access_scope(ctx),
                               .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                               .s = s};
    TRY(store_write(ctx, core->store, profile_make, &c));
    *id = c.id;
    return RC_OK;
}

static struct rc profile_set(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct profile_change *c = arg;
    struct q_profile_get_row row;
    TRY(profile_find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "profile.update", row.team_id));
    const char *text = encoded(ctx, c->s);
    TRY(q_profile_update(ctx, txn, row.id, text, c->revision ? c->revision : row.revision, ctx_now_s(ctx)));
    return audit_write(ctx, txn, "profile.update", "profile", row.id, row.team_id,
                       audit_change(ctx, bytes_z(row.settings), bytes_z(text)));
}

RC profile_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct profile_settings *s)
{
    TRY(settings_check(ctx, s));
    struct profile_change c = {.core = core, .ref = ref, .s = s, .revision = revision};
    return store_write(ctx, core->store, profile_set, &c);
}

static struct rc profile_drop(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct profile_change *c = arg;
    struct q_profile_get_row row;
    TRY(profile_find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "profile.delete", row.team_id));
    struct q_profile_used_row used;
    bool found = false;
    TRY(q_profile_used(ctx, txn, arena_printf(&ctx->arena, "\"profile\":\"%s\"", row.name), &used, &found));
    if (found)
        return ctx_fail(ctx, E_IN_USE, "%s is the profile of %s; give that another first", row.name, used.name);
    TRY(q_profile_remove(ctx, txn, row.id, ctx_now_s(ctx)));
    return audit_write(ctx, txn, "profile.delete", "profile", row.id, row.team_id,
                       audit_change(ctx, bytes_z(row.settings), (struct bytes){0}));
}

RC profile_remove(struct ctx *ctx, struct core *core, const char *ref)
{
    struct profile_change c = {.core = core, .ref = ref};
    return store_write(ctx, core->store, profile_drop, &c);
}

struct profile_read {
    struct core *core;
    const char *ref;
    int64_t limit;
    struct profile_view *out;
    size_t n;
};

static struct rc profile_fill(struct ctx *ctx, const struct q_profile_get_row *r, struct profile_view *v)
{
    *v = (struct profile_view){.id = r->id,
                               .name = r->name,
                               .team_id = r->team_id,
                               .revision = r->revision,
                               .created_at = r->created_at,
                               .updated_at = r->updated_at};
    return profile_settings_decode(ctx, r->settings, &v->settings);
}

static struct rc profile_read_one(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct profile_read *r = arg;
    TRY(decide(ctx, r->core, txn, "profile.read", NULL));
    struct q_profile_get_row row;
    TRY(profile_find(ctx, txn, r->ref, &row));
    return profile_fill(ctx, &row, r->out);
}

RC profile_show(struct ctx *ctx, struct core *core, const char *ref, struct profile_view *out)
{
    struct profile_read r = {.core = core, .ref = ref, .out = out};
    return store_read(ctx, core->store, profile_read_one, &r);
}

static struct rc profile_read_page(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct profile_read *r = arg;
    TRY(decide(ctx, r->core, txn, "profile.read", NULL));
    struct q_profile_get_row *rows = NULL;
    TRY(q_profile_list(ctx, txn, access_scope(ctx), r->ref, r->limit, &rows, &r->n));
    r->out = arena_array(&ctx->arena, r->n, sizeof *r->out);
    for (size_t i = 0; i < r->n; i++)
        TRY(profile_fill(ctx, &rows[i], &r->out[i]));
    return RC_OK;
}

RC profile_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct profile_view **out, size_t *n)
{
    struct profile_read r = {.core = core, .ref = after, .limit = limit};
    TRY(store_read(ctx, core->store, profile_read_page, &r));
    *out = r.out;
    *n = r.n;
    return RC_OK;
}
