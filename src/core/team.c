#include "core/team.h"

#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/scope.h"

#define NAMED_MAX 10 /* of what is in a team that shall go */

struct team_change {
    struct core *core;
    const char *ref, *id, *name, *parent;
    int64_t revision, limit;
    const struct team_input *in;
    struct q_team_show_row row, *rows;
    size_t n;
};

static struct rc find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_team_show_row *out)
{
    bool found = false;
    TRY(q_team_show(ctx, txn, ref, access_scope(ctx), out, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no team is named %s; certwright team list shows them", ref);
}

static struct rc exists(struct ctx *ctx, struct rc rc, const char *name)
{
    if (rc.e != E_EXISTS)
        return rc;
    ctx_forget(ctx);
    return ctx_fail(ctx, E_EXISTS, "the name %s is taken", name);
}

static struct bytes facts(struct ctx *ctx, const struct q_team_show_row *t)
{
    return t ? audit_facts(ctx, "name", t->name, "parent", t->parent, NULL) : (struct bytes){0};
}

static struct rc told(struct ctx *ctx, struct txn *txn, const char *action, const char *id, const struct q_team_show_row *before,
                      const struct q_team_show_row *after)
{
    return audit_write(ctx, txn, action, "team", id, id, audit_change(ctx, facts(ctx, before), facts(ctx, after)));
}

static struct rc create(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct team_change *c = arg;
    const char *parent;
    struct q_team_show_row above;
    TRY(access_team(ctx, txn, c->parent, &parent));
    TRY(decide(ctx, c->core, txn, "team.create", parent));
    TRY(find(ctx, txn, parent, &above));
    TRY(exists(ctx, q_team_insert(ctx, txn, c->id, parent, c->name, ctx_now_s(ctx)), c->name));
    TRY(q_team_within_add(ctx, txn, c->id, c->id));
    TRY(q_team_within_join(ctx, txn, c->id, parent)); /* also into the scopes that hold its parent */
    return told(ctx, txn, "team.create", c->id, NULL, &(struct q_team_show_row){.name = c->name, .parent = above.name});
}

RC team_create(struct ctx *ctx, struct core *core, const char *name, const char *parent, const char **id)
{
    struct team_change c = {.core = core, .name = name, .parent = parent, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    TRY(store_write(ctx, core->store, create, &c));
    *id = c.id;
    return RC_OK;
}

/* What lies in a team is seen by those of the teams above it: who moves it has to have a say in both places. */
static struct rc may_move(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_team_show_row *row, const char *to)
{
    struct q_team_parent_row from;
    struct q_team_is_within_row w;
    bool below = false;
    TRY(q_team_parent(ctx, txn, row->id, &from));
    if (!from.parent_id)
        return ctx_fail(ctx, E_CONFLICT, "%s holds everything; it lies in no other team", row->name);
    struct rc rc = decide(ctx, core, txn, "team.update", from.parent_id);
    if (rc.e == E_NOT_FOUND) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_FORBIDDEN, "who moves %s has to have team.update in the team it lies in", row->name);
    }
    TRY(rc);
    TRY(decide(ctx, core, txn, "team.create", to));
    TRY(q_team_is_within(ctx, txn, to, row->id, &w, &below));
    return below ? ctx_fail_field(ctx, "/parent", "a team cannot lie in itself or in one below it") : RC_OK;
}

static struct rc move(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const char *to)
{
    TRY(q_team_within_cut(ctx, txn, id));
    TRY(q_team_within_join(ctx, txn, id, to));
    /* What lies in it may have been cut out of a scope that holds it for another reason. */
    return scopes_of_all(ctx, core, txn);
}

static struct rc update(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct team_change *c = arg;
    struct q_team_show_row row;
    struct q_team_parent_row was;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "team.update", row.id));
    TRY(q_team_parent(ctx, txn, row.id, &was));
    struct q_team_show_row now = row;
    if (c->in->name)
        now.name = c->in->name;
    if (c->in->parent) {
        struct q_team_show_row above;
        struct rc rc = find(ctx, txn, c->in->parent, &above);
        if (rc.e == E_NOT_FOUND) {
            ctx_forget(ctx);
            return ctx_fail_field(ctx, "/parent", "no team is named %s", c->in->parent);
        }
        TRY(rc);
        now.parent = above.name;
        now.parent_id = above.id;
    }
    const bool moves = c->in->parent && !str_equal(now.parent_id, was.parent_id);
    if (moves)
        TRY(may_move(ctx, c->core, txn, &row, now.parent_id));
    TRY(exists(
        ctx,
        q_team_update(ctx, txn, row.id, c->revision ? c->revision : row.revision, now.name, moves ? now.parent_id : was.parent_id),
        now.name));
    if (moves)
        TRY(move(ctx, c->core, txn, row.id, now.parent_id));
    return told(ctx, txn, "team.update", row.id, &row, &now);
}

RC team_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct team_input *in)
{
    struct team_change c = {.core = core, .ref = ref, .revision = revision, .in = in};
    return store_write(ctx, core->store, update, &c);
}

static struct rc check_empty(struct ctx *ctx, struct txn *txn, const struct q_team_show_row *row)
{
    struct q_team_has_row *has = NULL;
    size_t n = 0;
    const char *names = "";
    TRY(q_team_has(ctx, txn, row->id, ctx_now_s(ctx), NAMED_MAX + 1, &has, &n));
    for (size_t i = 0; i < n && i < NAMED_MAX; i++)
        names = arena_printf(&ctx->arena, "%s%s%s%s%s", names, i ? ", " : "", has[i].kind, *has[i].name ? " " : "", has[i].name);
    return n ? ctx_fail(ctx, E_IN_USE, "team %s is not empty: %s%s", row->name, names, n > NAMED_MAX ? ", …" : "") : RC_OK;
}

static struct rc drop(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct team_change *c = arg;
    struct q_team_show_row row;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "team.delete", row.id));
    if (str_equal(row.id, c->core->team_root))
        return ctx_fail(ctx, E_CONFLICT, "%s holds everything, and stays", row.name);
    TRY(check_empty(ctx, txn, &row));
    TRY(q_team_remove(ctx, txn, row.id, ctx_now_s(ctx)));
    TRY(q_team_within_end(ctx, txn, row.id)); /* those above go on to see its audit entries */
    return told(ctx, txn, "team.delete", row.id, &row, NULL);
}

RC team_remove(struct ctx *ctx, struct core *core, const char *ref)
{
    struct team_change c = {.core = core, .ref = ref};
    return store_write(ctx, core->store, drop, &c);
}

static struct rc show(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct team_change *c = arg;
    return find(ctx, txn, c->ref, &c->row);
}

RC team_get(struct ctx *ctx, struct core *core, const char *ref, struct q_team_show_row *out)
{
    struct team_change c = {.core = core, .ref = ref};
    TRY(store_read(ctx, core->store, show, &c));
    *out = c.row;
    return RC_OK;
}

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct team_change *c = arg;
    return q_team_list(ctx, txn, access_scope(ctx), c->ref, c->limit, &c->rows, &c->n);
}

RC team_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct q_team_show_row **rows, size_t *n)
{
    struct team_change c = {.core = core, .ref = after, .limit = limit};
    TRY(store_read(ctx, core->store, list, &c));
    *rows = c.rows;
    *n = c.n;
    return RC_OK;
}
