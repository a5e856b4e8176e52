#include "core/user.h"

#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/role.h"
#include "core/scope.h"
#include "core/sign_in_factor.h"

struct user_change {
    struct core *core;
    const char *ref, *id, *role, *team, *grant;
    int64_t revision, limit;
    const struct user_input *in;
    struct q_user_get_row row, *rows;
    struct q_grant_list_row *grants;
    size_t n;
};

RC user_find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_user_get_row *out)
{
    bool found = false;
    TRY(q_user_get(ctx, txn, ref, access_scope(ctx), out, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no user is named %s; certwright user list shows them", ref);
}

static struct bytes facts(struct ctx *ctx, const struct q_user_get_row *u)
{
    return u ? audit_facts(ctx, "name", u->name, "kind", u->kind, "display_name", u->display_name, "email", u->email, "state",
                           u->state, NULL)
             : (struct bytes){0};
}

static struct rc told(struct ctx *ctx, struct txn *txn, const char *action, const char *id, const char *team,
                      const struct q_user_get_row *before, const struct q_user_get_row *after)
{
    return audit_write(ctx, txn, action, "user", id, team, audit_change(ctx, facts(ctx, before), facts(ctx, after)));
}

/* --- somebody can always let others in */

/* check_last is asked when `was` people could administer everything before a change: one at least still can. */
static struct rc check_last(struct ctx *ctx, struct core *core, struct txn *txn, int64_t was)
{
    struct q_administrators_row now;
    TRY(q_administrators(ctx, txn, core->team_root, ROLE_ADMINISTRATOR, &now));
    return was && !now.n ? ctx_fail(ctx, E_CONFLICT,
                                    "this is the last person who is administrator of everything and may sign in; make "
                                    "another one first: certwright user grant NAME --role administrator")
                         : RC_OK;
}

static struct rc count_last(struct ctx *ctx, struct core *core, struct txn *txn, int64_t *n)
{
    struct q_administrators_row row;
    TRY(q_administrators(ctx, txn, core->team_root, ROLE_ADMINISTRATOR, &row));
    *n = row.n;
    return RC_OK;
}

/* Who may disable an account, or change what is known of it, could get at what it may do: so it takes as much. */
static struct rc check_above(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_user_get_row *user)
{
    struct access_right *rights = NULL;
    size_t n = 0;
    if (str_equal(ctx->principal->user, user->id))
        return RC_OK;
    TRY(access_rights_of(ctx, core, txn, user->id, NULL, NULL, &rights, &n));
    for (size_t i = 0; i < n; i++) {
        struct rc rc = access_holds(ctx, core, txn, &rights[i].may, rights[i].team);
        if (rc.e == E_FORBIDDEN) {
            ctx_forget(ctx);
            return ctx_fail(ctx, E_FORBIDDEN, "%s may do more than %s; somebody who may do as much can change the account",
                            user->name, ctx->principal->name);
        }
        TRY(rc);
    }
    return RC_OK;
}

/* --- accounts */

static struct rc create(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct user_change *c = arg;
    const char *team;
    TRY(access_team(ctx, txn, c->in->team, &team));
    TRY(decide(ctx, c->core, txn, "user.create", team));
    const struct q_user_add_in in = {.id = c->id,
                                     .team_id = team,
                                     .kind = c->in->kind,
                                     .name = c->in->name,
                                     .display_name = c->in->display_name ? c->in->display_name : "",
                                     .email = c->in->email ? c->in->email : "",
                                     .now = ctx_now_s(ctx)};
    struct rc rc = q_user_add(ctx, txn, &in);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "the name %s is taken", in.name);
    }
    TRY(rc);
    const struct q_user_get_row now = {
        .name = in.name, .kind = in.kind, .display_name = in.display_name, .email = in.email, .state = "active"};
    return told(ctx, txn, "user.create", c->id, team, NULL, &now);
}

RC user_create(struct ctx *ctx, struct core *core, const struct user_input *in, const char **id)
{
    struct user_change c = {.core = core, .in = in, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    TRY(store_write(ctx, core->store, create, &c));
    *id = c.id;
    return RC_OK;
}

static struct rc update(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct user_change *c = arg;
    struct q_user_get_row row;
    int64_t administrators = 0;
    TRY(user_find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "user.update", row.team_id));
    TRY(check_above(ctx, c->core, txn, &row));
    TRY(count_last(ctx, c->core, txn, &administrators));
    struct q_user_get_row now = row;
    if (c->in->display_name)
        now.display_name = c->in->display_name;
    if (c->in->email)
        now.email = c->in->email;
    if (c->in->state)
        now.state = c->in->state;
    TRY(q_user_update(ctx, txn,
                      &(struct q_user_update_in){.id = row.id,
                                                 .revision = c->revision ? c->revision : row.revision,
                                                 .display_name = now.display_name,
                                                 .email = now.email,
                                                 .state = now.state,
                                                 .now = ctx_now_s(ctx)}));
    if (!str_equal(now.state, "active"))
        TRY(session_end_all(ctx, txn, row.id, NULL)); /* so that none goes on when the account is enabled again */
    TRY(check_last(ctx, c->core, txn, administrators));
    return told(ctx, txn, "user.update", row.id, row.team_id, &row, &now);
}

RC user_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct user_input *in)
{
    struct user_change c = {.core = core, .ref = ref, .revision = revision, .in = in};
    return store_write(ctx, core->store, update, &c);
}

static struct rc drop(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct user_change *c = arg;
    struct q_user_get_row row;
    int64_t administrators = 0;
    const int64_t now = ctx_now_s(ctx);
    TRY(user_find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "user.delete", row.team_id));
    TRY(check_above(ctx, c->core, txn, &row));
    TRY(count_last(ctx, c->core, txn, &administrators));
    TRY(q_user_grants_end(ctx, txn, row.id));
    TRY(q_user_tokens_end(ctx, txn, row.id, now));
    TRY(factor_reset(ctx, txn, row.id));
    TRY(q_identity_end_user(ctx, txn, row.id));
    TRY(q_user_remove(ctx, txn, row.id, now));
    TRY(check_last(ctx, c->core, txn, administrators));
    return told(ctx, txn, "user.delete", row.id, row.team_id, &row, NULL);
}

RC user_remove(struct ctx *ctx, struct core *core, const char *ref)
{
    struct user_change c = {.core = core, .ref = ref};
    return store_write(ctx, core->store, drop, &c);
}

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct user_change *c = arg;
    return q_user_list(ctx, txn, access_scope(ctx), c->ref, c->limit, &c->rows, &c->n);
}

RC user_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct q_user_get_row **rows, size_t *n)
{
    struct user_change c = {.core = core, .ref = after, .limit = limit};
    TRY(store_read(ctx, core->store, list, &c));
    *rows = c.rows;
    *n = c.n;
    return RC_OK;
}

static struct rc get(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct user_change *c = arg;
    return user_find(ctx, txn, c->ref, &c->row);
}

RC user_get(struct ctx *ctx, struct core *core, const char *ref, struct q_user_get_row *out)
{
    struct user_change c = {.core = core, .ref = ref};
    TRY(store_read(ctx, core->store, get, &c));
    *out = c.row;
    return RC_OK;
}

/* --- grants */

static struct rc grants_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct user_change *c = arg;
    return q_grant_list(ctx, txn, c->id, access_scope(ctx), ACCESS_RIGHTS_MAX, &c->grants, &c->n);
}

RC user_grants(struct ctx *ctx, struct core *core, const char *user_id, struct q_grant_list_row **rows, size_t *n)
{
    struct user_change c = {.core = core, .id = user_id};
    TRY(store_read(ctx, core->store, grants_read, &c));
    *rows = c.grants;
    *n = c.n;
    return RC_OK;
}

static struct rc grant_told(struct ctx *ctx, struct txn *txn, const char *action, const char *user, const char *team, bool gone,
                            const char *role, const char *team_name)
{
    const struct bytes grant = audit_facts(ctx, "role", role, "team", team_name, NULL);
    const struct bytes detail = gone ? audit_change(ctx, grant, (struct bytes){0}) : audit_change(ctx, (struct bytes){0}, grant);
    return audit_write(ctx, txn, action, "user", user, team, detail);
}

static struct rc check_room(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_user_get_row *user)
{
    struct access_right *rights = NULL;
    size_t n = 0;
    TRY(access_rights_of(ctx, core, txn, user->id, NULL, NULL, &rights, &n));
    return n < ACCESS_RIGHTS_MAX ? RC_OK
                                 : ctx_fail(ctx, E_CONFLICT,
                                            "%s has %d grants, which is the most an account may have; a grant in a team "
                                            "above several of them does as well",
                                            user->name, ACCESS_RIGHTS_MAX);
}

static struct rc give(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct user_change *c = arg;
    struct q_user_get_row user;
    struct q_role_get_row role;
    struct q_team_name_row name;
    struct permission_set may;
    const char *team;
    TRY(user_find(ctx, txn, c->ref, &user));
    TRY(role_find(ctx, txn, c->role, &role));
    TRY(access_team(ctx, txn, c->team, &team));
    TRY(decide(ctx, c->core, txn, "user.grant", team));
    TRY(role_set(ctx, c->core, role.permissions, &may));
    TRY(access_holds(ctx, c->core, txn, &may, team));
    TRY(check_room(ctx, c->core, txn, &user));
    TRY(q_team_name(ctx, txn, team, &name));
    struct rc rc = q_grant_add(ctx, txn,
                               &(struct q_grant_add_in){.id = c->id,
                                                        .user_id = user.id,
                                                        .role_id = role.id,
                                                        .team_id = team,
                                                        .source = "local",
                                                        .created_by = ctx->principal->name,
                                                        .now = ctx_now_s(ctx)});
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "%s is %s in %s already", user.name, role.name, name.name);
    }
    TRY(rc);
    TRY(invitation_narrow(ctx, txn, user.id));
    TRY(scopes_of_user(ctx, c->core, txn, user.id));
    return grant_told(ctx, txn, "user.grant", user.id, team, false, role.name, name.name);
}

RC user_grant(struct ctx *ctx, struct core *core, const char *ref, const char *role, const char *team)
{
    struct user_change c = {
        .core = core, .ref = ref, .role = role, .team = team, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    return store_write(ctx, core->store, give, &c);
}

static struct rc take_back(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct user_change *c = arg;
    struct q_user_get_row user;
    struct q_grant_list_row *rows = NULL, *one = NULL;
    size_t n = 0;
    int64_t administrators = 0;
    TRY(user_find(ctx, txn, c->ref, &user));
    TRY(q_grant_list(ctx, txn, user.id, access_scope(ctx), ACCESS_RIGHTS_MAX, &rows, &n));
    for (size_t i = 0; i < n; i++)
        if (str_equal(rows[i].id, c->grant))
            one = &rows[i];
    if (!one)
        return ctx_fail(ctx, E_NOT_FOUND, "%s has no such grant; certwright user show %s shows them", user.name, user.name);
    TRY(decide(ctx, c->core, txn, "user.grant", one->team_id));
    TRY(count_last(ctx, c->core, txn, &administrators));
    TRY(q_grant_remove(ctx, txn, one->id));
    TRY(check_last(ctx, c->core, txn, administrators));
    TRY(scopes_of_user(ctx, c->core, txn, user.id));
    return grant_told(ctx, txn, "user.revoke", user.id, one->team_id, true, one->role, one->team);
}

RC user_revoke(struct ctx *ctx, struct core *core, const char *ref, const char *grant)
{
    struct user_change c = {.core = core, .ref = ref, .grant = grant};
    return store_write(ctx, core->store, take_back, &c);
}
