#include "core/token.h"

#include "base/encode.h"
#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/agent.h"
#include "core/audit.h"
#include "core/request.h"
#include "core/role.h"
#include "core/scope.h"
#include "core/user.h"

struct token_change {
    struct core *core;
    const char *ref, *after, *id;
    const struct token_input *in;
    struct bytes hash;
    int64_t expires_at, limit;
    const char *team, *agent, *user, *permissions; /* what the input means */
    struct q_token_get_row row, *rows;
    size_t n;
};

static struct rc find(struct ctx *ctx, struct txn *txn, struct token_change *t)
{
    bool found = false;
    TRY(q_token_get(ctx, txn, t->ref, access_scope(ctx), &t->row, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no token is named %s; certwright token list shows them", t->ref);
}

/* What was not found is the fault of a field. */
static struct rc at(struct ctx *ctx, struct rc rc, const char *field)
{
    if (rc_failed(rc))
        ctx->field = field;
    return rc;
}

/* A team's; or of the clients on an agent's host, which are of the agent's team. */
static struct rc for_where(struct ctx *ctx, struct txn *txn, struct token_change *t)
{
    struct q_agent_of_row row;
    if (!t->in->agent)
        return access_team(ctx, txn, t->in->team, &t->team);
    TRY(at(ctx, agent_named(ctx, txn, t->in->agent, &t->agent), "/agent"));
    TRY(q_agent_of(ctx, txn, t->agent, &row));
    t->team = row.team_id;
    return RC_OK;
}

/* What somebody makes ends with them.  In the name of another person only root on the hub's host makes one: who acts is to be seen.
 */
static struct rc for_whom(struct ctx *ctx, struct txn *txn, struct token_change *t)
{
    const struct principal *p = ctx->principal;
    struct q_user_get_row user;
    t->user = p->user;
    if (!t->in->user)
        return RC_OK;
    TRY(at(ctx, user_find(ctx, txn, t->in->user, &user), "/user"));
    t->user = user.id;
    if (str_equal(user.id, p->user) || p->kind == PRINCIPAL_OWNER)
        return RC_OK;
    if (!str_equal(user.kind, "service"))
        return ctx_fail(ctx, E_FORBIDDEN, "%s is a person; who wants tokens makes them, or root on the hub's host", user.name);
    return decide(ctx, t->core, txn, "token.create", user.team_id);
}

/* What the token may do is held by who makes it. */
static struct rc for_what(struct ctx *ctx, struct txn *txn, struct token_change *t)
{
    struct q_role_get_row role;
    struct permission_set may, scopes;
    TRY(role_find(ctx, txn, t->in->role, &role));
    TRY(role_set(ctx, t->core, role.permissions, &may));
    if (t->in->scopes && t->in->scopes->n) {
        TRY(permission_set_of(ctx, t->in->scopes->v, t->in->scopes->n, "/scopes", &scopes));
        const char *beyond = permission_beyond(&scopes, &may);
        if (beyond)
            return ctx_fail_field(ctx, "/scopes", "the role %s has no %s; certwright role show %s shows what it has", role.name,
                                  beyond, role.name);
        t->permissions = permission_set_json(ctx, &scopes);
        may = scopes;
    }
    return access_holds(ctx, t->core, txn, &may, t->team);
}

static struct rc told(struct ctx *ctx, struct txn *txn, const struct token_change *t)
{
    const struct bytes is = audit_facts(ctx, "name", t->in->name, "role", t->in->role, "scopes:", t->permissions, "agent", t->agent,
                                        "user", t->user, "spki_sha256",
                                        t->in->spki_sha256.n ? hex_str(&ctx->arena, t->in->spki_sha256) : NULL, NULL);
    return audit_write(ctx, txn, "token.create", "token", t->id, t->team, audit_change(ctx, (struct bytes){0}, is));
}

/* A key is one account's: else it would not be known whose it is. */
static struct rc key_free(struct ctx *ctx, struct txn *txn, const struct token_change *t)
{
    struct q_token_spki_taken_row taken;
    bool found = false;
    if (!t->in->spki_sha256.n)
        return RC_OK;
    TRY(q_token_spki_taken(ctx, txn, t->in->spki_sha256, &taken, &found));
    return found ? ctx_fail(ctx, E_EXISTS, "this key is enrolled already; make another one, or take that one back first") : RC_OK;
}

static struct rc add(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct token_change *t = arg;
    t->team = t->agent = t->user = t->permissions = NULL;
    TRY(key_free(ctx, txn, t));
    TRY(for_where(ctx, txn, t));
    TRY(decide(ctx, t->core, txn, "token.create", t->team));
    TRY(for_whom(ctx, txn, t));
    TRY(for_what(ctx, txn, t));
    const struct q_token_add_in in = {.id = t->id,
                                      .team_id = t->team,
                                      .name = t->in->name,
                                      .role = t->in->role,
                                      .agent_id = t->agent,
                                      .user_id = t->user,
                                      .permissions = t->permissions,
                                      .hash = t->hash,
                                      .spki_sha256 = t->in->spki_sha256,
                                      .now = ctx_now_s(ctx),
                                      .expires_at = t->expires_at};
    struct rc rc = q_token_add(ctx, txn, &in);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "a token is named %s already; take it back with: certwright token revoke %s", t->in->name,
                        t->in->name);
    }
    TRY(rc);
    if (t->user)
        TRY(scopes_of_user(ctx, t->core, txn, t->user));
    const char *maker = NULL;
    TRY(request_maker(ctx, txn, &maker));
    TRY(q_token_made_by(ctx, txn, t->id, maker));
    return told(ctx, txn, t);
}

RC token_create(struct ctx *ctx, struct core *core, const struct token_input *in, struct token_made *out)
{
    struct token_input meant = *in;
    if (in->agent)
        meant.role = ROLE_CHALLENGES;
    struct token_change t = {.core = core,
                             .in = &meant,
                             .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                             .expires_at = ctx_now_s(ctx) + in->lifetime_s};
    const char *text = NULL;
    TRY(token_text_new(ctx, &text, &t.hash));
    TRY(store_write(ctx, core->store, add, &t));
    *out = (struct token_made){.id = t.id, .role = meant.role, .text = text, .expires_at = t.expires_at};
    return RC_OK;
}

static struct rc revoke(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct token_change *t = arg;
    TRY(find(ctx, txn, t));
    TRY(decide(ctx, t->core, txn, "token.delete", t->row.team_id));
    if (t->row.revoked_at)
        return RC_OK;
    TRY(q_token_revoke(ctx, txn, t->row.id, ctx_now_s(ctx)));
    const struct bytes was = audit_facts(ctx, "name", t->row.name, "role", t->row.role, NULL);
    return audit_write(ctx, txn, "token.delete", "token", t->row.id, t->row.team_id, audit_change(ctx, was, (struct bytes){0}));
}

RC token_revoke(struct ctx *ctx, struct core *core, const char *ref)
{
    struct token_change t = {.core = core, .ref = ref};
    return store_write(ctx, core->store, revoke, &t);
}

static struct rc get(struct ctx *ctx, struct txn *txn, void *arg)
{
    return find(ctx, txn, arg);
}

RC token_get(struct ctx *ctx, struct core *core, const char *ref, struct q_token_get_row *out)
{
    struct token_change t = {.core = core, .ref = ref};
    TRY(store_read(ctx, core->store, get, &t));
    *out = t.row;
    return RC_OK;
}

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct token_change *t = arg;
    return q_token_list(ctx, txn, access_scope(ctx), t->after, t->limit, &t->rows, &t->n);
}

RC token_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct q_token_get_row **rows, size_t *n)
{
    struct token_change t = {.core = core, .after = after, .limit = limit};
    TRY(store_read(ctx, core->store, list, &t));
    *rows = t.rows;
    *n = t.n;
    return RC_OK;
}

struct key_list {
    const char *user;
    struct q_client_key_list_row *rows;
    size_t n;
};

static struct rc key_list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct key_list *l = arg;
    struct q_user_get_row user;
    TRY(user_find(ctx, txn, l->user, &user));
    return q_client_key_list(ctx, txn, user.id, access_scope(ctx), &l->rows, &l->n);
}

RC token_client_keys(struct ctx *ctx, struct core *core, const char *user, struct q_client_key_list_row **rows, size_t *n)
{
    struct key_list l = {.user = user};
    TRY(store_read(ctx, core->store, key_list, &l));
    *rows = l.rows;
    *n = l.n;
    return RC_OK;
}
