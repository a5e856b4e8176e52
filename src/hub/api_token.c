/* Bearer tokens: only their hash is kept; the text is shown once. */
#include "base/random.h"
#include "core/agent.h"
#include "core/audit.h"
#include "hub/api.h"
#include "store/queries.h"

struct tokens {
    struct core *core;
    const char *ref, *after, *id, *team;
    const struct api_token_new *in;
    struct bytes hash;
    int64_t limit, expires_at;
    bool found;
    struct q_token_get_row row;
    struct q_token_get_row *rows;
    size_t n;
};

static void token_out(const struct q_token_get_row *r, struct api_token *out)
{
    *out = (struct api_token){
        .id = r->id,
        .name = r->name,
        .team_id = r->team_id,
        .role = r->role,
        .agent = r->agent,
        .created_at = r->created_at,
        .expires_at = r->expires_at,
        .has_used_at = r->used_at != NULL,
        .used_at = r->used_at ? *r->used_at : 0,
        .has_revoked_at = r->revoked_at != NULL,
        .revoked_at = r->revoked_at ? *r->revoked_at : 0,
    };
}

static struct rc list_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct tokens *t = arg;
    return q_token_list(ctx, txn, access_scope(ctx), t->after, t->limit, &t->rows, &t->n);
}

RC api_token_list(struct api_call *call, struct api_token_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_token_list_query *q = call->query;
    struct tokens t = {.limit = q->limit};
    TRY(api_cursor_read(ctx, q->cursor, &t.after));
    TRY(store_read(ctx, call->core->store, list_read, &t));
    struct api_token *items = arena_array(&ctx->arena, t.n, sizeof *items);
    for (size_t i = 0; i < t.n; i++)
        token_out(&t.rows[i], &items[i]);
    out->items = (struct api_token_list){items, t.n};
    if ((int64_t)t.n == q->limit)
        out->next = api_cursor_make(ctx, items[t.n - 1].id);
    return RC_OK;
}

static struct rc find(struct ctx *ctx, struct txn *txn, struct tokens *t)
{
    TRY(q_token_get(ctx, txn, t->ref, access_scope(ctx), &t->row, &t->found));
    return t->found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no token is named %s; certwright token list shows them", t->ref);
}

static struct rc one_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    return find(ctx, txn, arg);
}

RC api_token_get(struct api_call *call, struct api_token *out)
{
    struct tokens t = {.ref = call->path[0]};
    TRY(store_read(call->ctx, call->core->store, one_read, &t));
    token_out(&t.row, out);
    return RC_OK;
}

/* Whose it is: a team's; or of the clients on an agent's host, which are of the agent's team. */
static struct rc for_whom(struct ctx *ctx, struct txn *txn, struct tokens *t, const char **agent)
{
    struct q_agent_of_row row;
    if (!t->in->agent && t->in->team)
        TRY(access_team(ctx, txn, t->in->team, &t->team));
    if (!t->in->agent)
        return RC_OK;
    struct rc rc = agent_named(ctx, txn, t->in->agent, agent);
    if (rc_failed(rc)) {
        ctx->field = "/agent";
        return rc;
    }
    TRY(q_agent_of(ctx, txn, *agent, &row));
    t->team = row.team_id;
    return RC_OK;
}

static struct rc add(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct tokens *t = arg;
    const char *agent = NULL;
    TRY(for_whom(ctx, txn, t, &agent));
    TRY(decide(ctx, t->core, txn, "token.create", t->team));
    const struct q_token_add_in in = {.id = t->id,
                                      .team_id = t->team,
                                      .name = t->in->name,
                                      .role = agent ? "challenges" : t->in->role,
                                      .agent_id = agent,
                                      .hash = t->hash,
                                      .now = ctx_now_s(ctx),
                                      .expires_at = t->expires_at};
    struct rc rc = q_token_add(ctx, txn, &in);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "a token is named %s already; take it back with: certwright token revoke %s", t->in->name,
                        t->in->name);
    }
    TRY(rc);
    return audit_write(ctx, txn, "token.create", "token", t->id, t->team, (struct bytes){0});
}

RC api_token_create(struct api_call *call, const struct api_token_new *in, struct api_token_made *out)
{
    struct ctx *ctx = call->ctx;
    struct tokens t = {.core = call->core,
                       .in = in,
                       .team = access_scope(ctx),
                       .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                       .expires_at = ctx_now_s(ctx) + in->lifetime_s};
    const char *text = NULL;
    TRY(token_text_new(ctx, &text, &t.hash));
    TRY(store_write(ctx, call->core->store, add, &t));
    *out = (struct api_token_made){
        .id = t.id, .name = in->name, .role = in->agent ? "challenges" : in->role, .expires_at = t.expires_at, .token = text};
    return RC_OK;
}

static struct rc revoke(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct tokens *t = arg;
    TRY(find(ctx, txn, t));
    TRY(decide(ctx, t->core, txn, "token.delete", t->row.team_id));
    if (t->row.revoked_at)
        return RC_OK;
    TRY(q_token_revoke(ctx, txn, t->row.id, ctx_now_s(ctx)));
    return audit_write(ctx, txn, "token.delete", "token", t->row.id, t->row.team_id, (struct bytes){0});
}

RC api_token_remove(struct api_call *call)
{
    struct tokens t = {.core = call->core, .ref = call->path[0]};
    return store_write(call->ctx, call->core->store, revoke, &t);
}
