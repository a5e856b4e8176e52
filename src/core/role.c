#include "core/role.h"

#include <pthread.h>

#include "base/json.h"
#include "base/random.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/scope.h"
#include "core/sign_in_factor.h"

static const struct {
    const char *name, *description, *patterns[40];
} built_in[] = {
#define ROLE(name, description, ...) {name, description, {__VA_ARGS__}},
#include "core/roles.def"
#undef ROLE
};

RC role_start(struct ctx *ctx, struct txn *txn)
{
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++) {
        struct permission_set s = {0};
        for (size_t k = 0; built_in[i].patterns[k]; k++)
            if (!permission_set_match(built_in[i].patterns[k], &s))
                return ctx_fail(ctx, E_BUG, "core/roles.def: %s: %s means no permission", built_in[i].name,
                                built_in[i].patterns[k]);
        const struct q_role_put_in in = {.id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                                         .name = built_in[i].name,
                                         .description = built_in[i].description,
                                         .permissions = permission_set_json(ctx, &s),
                                         .now = ctx_now_s(ctx)};
        TRY(q_role_put(ctx, txn, &in));
    }
    return RC_OK;
}

/* --- what was read */

#define CACHED 64

/* By the text itself, not by a revision: a database that was put back to an older copy counts revisions a second time. */
struct role_cache {
    pthread_mutex_t lock;
    struct cached {
        char *json;
        struct permission_set may;
    } v[CACHED];
    size_t next;
};

struct role_cache *role_cache_new(void)
{
    struct role_cache *c = calloc(1, sizeof *c);
    if (c)
        pthread_mutex_init(&c->lock, NULL);
    return c;
}

void role_cache_free(struct role_cache *c)
{
    for (size_t i = 0; c && i < CACHED; i++)
        free(c->v[i].json);
    free(c);
}

static bool cached(struct role_cache *c, const char *json, struct permission_set *out)
{
    bool found = false;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < CACHED && !found; i++) {
        found = str_equal(c->v[i].json, json);
        if (found)
            *out = c->v[i].may;
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

static void keep(struct role_cache *c, const char *json, const struct permission_set *may)
{
    char *copy = strdup(json);
    if (!copy)
        return;
    pthread_mutex_lock(&c->lock);
    struct cached *to = &c->v[c->next++ % CACHED];
    free(to->json);
    *to = (struct cached){copy, *may};
    pthread_mutex_unlock(&c->lock);
}

RC role_set(struct ctx *ctx, struct core *core, const char *json, struct permission_set *out)
{
    if (core->roles && cached(core->roles, json, out))
        return RC_OK;
    TRY(permission_set_read(ctx, json, "a role", out));
    if (core->roles)
        keep(core->roles, json, out);
    return RC_OK;
}

/* --- roles that people make */

struct role_change {
    struct core *core;
    const char *ref, *id, *after;
    int64_t revision, limit;
    const struct role_input *in;
    struct q_role_get_row row, *rows;
    size_t n;
};

static struct rc find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_role_get_row *out)
{
    bool found = false;
    TRY(q_role_get(ctx, txn, ref, out, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no role is named %s; certwright role list shows them", ref);
}

RC role_find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_role_get_row *out)
{
    bool found = false;
    TRY(q_role_get(ctx, txn, ref, out, &found));
    return found ? RC_OK : ctx_fail_field(ctx, "/role", "no role is named %s; certwright role list shows them", ref);
}

static void words(struct json_out *j, const char *key, const struct q_role_get_row *row)
{
    json_open_obj(j, key);
    if (row) {
        json_put_str(j, "name", row->name);
        json_put_str(j, "description", row->description);
        json_put_raw(j, "permissions", bytes_z(row->permissions));
    }
    json_close(j);
}

static struct rc told(struct ctx *ctx, struct core *core, struct txn *txn, const char *action, const char *id,
                      const struct q_role_get_row *before, const struct q_role_get_row *after)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    words(&j, "before", before);
    words(&j, "after", after);
    json_close(&j);
    TRY(buf_status(&b));
    return audit_write(ctx, txn, action, "role", id, core->team_root, buf_bytes(&b));
}

/* A role holds in every team: so do those who change it. */
static struct rc may_put(struct ctx *ctx, struct core *core, struct txn *txn, const struct str_list *names, const char **json)
{
    struct permission_set s;
    if (!names->n)
        return ctx_fail_field(ctx, "/permissions", "a role has at least one permission");
    TRY(permission_set_of(ctx, names->v, names->n, "/permissions", &s));
    TRY(access_holds(ctx, core, txn, &s, core->team_root));
    *json = permission_set_json(ctx, &s);
    return RC_OK;
}

static struct rc create(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct role_change *c = arg;
    const char *json = NULL;
    static const char *const taken[] = {"hub", "agent", "sign-in-link"}; /* what is not a role may not look like one */
    TRY(access_everywhere(ctx, c->core, txn, "role.create"));
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (str_equal(taken[i], c->in->name))
            return ctx_fail_field(ctx, "/name", "a role cannot be called %s", c->in->name);
    TRY(may_put(ctx, c->core, txn, c->in->permissions, &json));
    const struct q_role_add_in in = {.id = c->id,
                                     .name = c->in->name,
                                     .description = c->in->description ? c->in->description : "",
                                     .permissions = json,
                                     .now = ctx_now_s(ctx)};
    struct rc rc = q_role_add(ctx, txn, &in);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "a role is named %s already; change it with: certwright role edit %s", in.name, in.name);
    }
    TRY(rc);
    const struct q_role_get_row now = {.name = in.name, .description = in.description, .permissions = json};
    return told(ctx, c->core, txn, "role.create", c->id, NULL, &now);
}

RC role_create(struct ctx *ctx, struct core *core, const struct role_input *in, const char **id)
{
    struct role_change c = {.core = core, .in = in, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    TRY(store_write(ctx, core->store, create, &c));
    *id = c.id;
    return RC_OK;
}

/* find_free finds a role that may be changed by whoever asks: not a built-in one, and none of their own. */
static struct rc find_free(struct ctx *ctx, struct txn *txn, const char *ref, struct q_role_get_row *row)
{
    TRY(find(ctx, txn, ref, row));
    if (row->built_in)
        return ctx_fail(ctx, E_CONFLICT, "%s is built in and stays as it is; make another: certwright role add NAME --permission …",
                        row->name);
    return access_has_role(ctx, row->name)
               ? ctx_fail(ctx, E_FORBIDDEN, "who has the role %s does not change it; somebody who has not can", row->name)
               : RC_OK;
}

static struct rc update(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct role_change *c = arg;
    struct q_role_get_row row;
    TRY(access_everywhere(ctx, c->core, txn, "role.update"));
    TRY(find_free(ctx, txn, c->ref, &row));
    struct q_role_get_row now = row;
    if (c->in->permissions)
        TRY(may_put(ctx, c->core, txn, c->in->permissions, &now.permissions));
    if (c->in->description)
        now.description = c->in->description;
    TRY(q_role_update(ctx, txn,
                      &(struct q_role_update_in){.id = row.id,
                                                 .revision = c->revision ? c->revision : row.revision,
                                                 .description = now.description,
                                                 .permissions = now.permissions,
                                                 .now = ctx_now_s(ctx)}));
    if (c->in->permissions) {
        TRY(invitation_narrow_role(ctx, txn, row.id));
        TRY(scopes_of_all(ctx, c->core, txn));
    }
    return told(ctx, c->core, txn, "role.update", row.id, &row, &now);
}

RC role_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct role_input *in)
{
    struct role_change c = {.core = core, .ref = ref, .revision = revision, .in = in};
    return store_write(ctx, core->store, update, &c);
}

static struct rc drop(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct role_change *c = arg;
    struct q_role_get_row row;
    struct q_role_used_row used;
    TRY(access_everywhere(ctx, c->core, txn, "role.delete"));
    TRY(find_free(ctx, txn, c->ref, &row));
    TRY(q_role_used(ctx, txn, row.id, row.name, ctx_now_s(ctx), &used));
    if (used.grants || used.tokens)
        return ctx_fail(ctx, E_IN_USE, "%s is held by %lld grants and %lld tokens; take them back first", row.name,
                        (long long)used.grants, (long long)used.tokens);
    TRY(q_role_remove(ctx, txn, row.id));
    return told(ctx, c->core, txn, "role.delete", row.id, &row, NULL);
}

RC role_remove(struct ctx *ctx, struct core *core, const char *ref)
{
    struct role_change c = {.core = core, .ref = ref};
    return store_write(ctx, core->store, drop, &c);
}

static struct rc show(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct role_change *c = arg;
    return find(ctx, txn, c->ref, &c->row);
}

RC role_show(struct ctx *ctx, struct core *core, const char *ref, struct q_role_get_row *out)
{
    struct role_change c = {.core = core, .ref = ref};
    TRY(store_read(ctx, core->store, show, &c));
    *out = c.row;
    return RC_OK;
}

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct role_change *c = arg;
    return q_role_list(ctx, txn, c->after, c->limit, &c->rows, &c->n);
}

RC role_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct q_role_get_row **rows, size_t *n)
{
    struct role_change c = {.core = core, .after = after, .limit = limit};
    TRY(store_read(ctx, core->store, list, &c));
    *rows = c.rows;
    *n = c.n;
    return RC_OK;
}
