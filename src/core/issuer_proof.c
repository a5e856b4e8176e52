#include "core/issuer_proof.h"

#include "core/access.h"
#include "core/solver.h"
#include "core/wish.h"

#define NAMED_MAX 5

struct looking {
    const char *id, *name;
    const struct issuer_settings *was, *now;
    struct str_list named;
    size_t n;
    const char *why; /* of the first */
};

static struct rc proves(struct ctx *ctx, struct txn *txn, const struct solver_owner *owner, const struct looking *l,
                        const struct issuer_settings *s, const struct wish *w, const char **why)
{
    struct str_list ignored;
    *why = NULL;
    struct rc rc = solver_methods(ctx, txn, owner, l->name, s, &w->names, &ignored);
    if (rc.e != E_CONFLICT)
        return rc;
    *why = arena_strdup(&ctx->arena, ctx_why(ctx));
    ctx_forget(ctx);
    return RC_OK;
}

static struct rc look_at(struct ctx *ctx, struct txn *txn, struct looking *l, const struct q_managed_of_issuer_row *m)
{
    struct q_managed_targets_row *t = NULL;
    struct q_team_is_within_row within;
    struct str_list targets = {0};
    struct solver_owner owner;
    struct wish w;
    const char *before = NULL, *after = NULL;
    size_t n = 0;
    bool seen = false;
    TRY(wish_decode(ctx, m->wish, &w));
    TRY(q_managed_targets(ctx, txn, m->id, &t, &n));
    for (size_t i = 0; i < n; i++)
        str_list_add(&ctx->arena, &targets, t[i].target_id);
    struct rc rc = solver_owner_wished(ctx, txn, m->team_id, &w, &targets, &owner);
    if (rc.e == E_NOT_FOUND) { /* the agent that was to make its key: told where it fails */
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(rc);
    TRY(proves(ctx, txn, &owner, l, l->now, &w, &after));
    if (after)
        TRY(proves(ctx, txn, &owner, l, l->was, &w, &before));
    if (!after || before)
        return RC_OK;
    TRY(q_team_is_within(ctx, txn, m->team_id, access_scope(ctx), &within, &seen));
    if (seen && l->named.n < NAMED_MAX) {
        str_list_add(&ctx->arena, &l->named, m->name);
        l->why = l->why ? l->why : after;
    }
    l->n++;
    return RC_OK;
}

static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct looking *l = arg;
    struct q_managed_of_issuer_row *rows = NULL;
    size_t n = 0;
    TRY(q_managed_of_issuer(ctx, txn, l->id, &rows, &n));
    for (size_t i = 0; i < n; i++)
        TRY(look_at(ctx, txn, l, &rows[i]));
    return RC_OK;
}

RC issuer_unproved(struct ctx *ctx, struct core *core, const char *id, const char *name, const struct issuer_settings *was,
                   const struct issuer_settings *now, struct str_list *out)
{
    struct looking l = {.id = id, .name = name, .was = was, .now = now};
    struct buf b;
    *out = (struct str_list){0};
    TRY(store_read(ctx, core->store, look, &l));
    if (!l.n)
        return RC_OK;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    buf_printf(&b, "%zu certificate%s could not be proved to it any more", l.n, l.n == 1 ? "" : "s");
    for (size_t i = 0; i < l.named.n; i++)
        buf_printf(&b, "%s%s", i ? ", " : ": ", l.named.v[i]);
    if (l.n > l.named.n)
        buf_printf(&b, "%s%zu more", l.named.n ? " and " : ", ", l.n - l.named.n);
    if (l.why)
        buf_printf(&b, " (%.500s)", l.why);
    TRY(buf_status(&b));
    str_list_add(&ctx->arena, out, buf_z(&b));
    return RC_OK;
}
