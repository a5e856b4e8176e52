#include "core/collection.h"

#include "base/json.h"
#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/filter.h"

struct collection_change {
    struct core *core;
    const char *ref, *id;
    int64_t revision;
    const struct collection_input *in;
    struct q_collection_list_row *rows;
    size_t n;
    int64_t limit;
};

static struct rc find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_collection_list_row *out)
{
    bool found = false;
    TRY(q_collection_get(ctx, txn, ref, access_scope(ctx), out, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no collection is named %s; certwright collection list shows them", ref);
}

/* A filter that is none is found out when it is kept, not when it is needed. */
static struct rc filter_check(struct ctx *ctx, const char *text)
{
    struct filter *filter = NULL;
    struct rc rc = filter_parse(ctx, text, &filter);
    if (rc_failed(rc))
        ctx->field = "/filter";
    return rc;
}

static struct bytes facts(struct ctx *ctx, const char *name, const char *filter, const char *description)
{
    return audit_facts(ctx, "name", name, "filter", filter, "description", description, NULL);
}

static struct rc exists(struct ctx *ctx, struct rc rc, const char *name)
{
    if (rc.e != E_EXISTS)
        return rc;
    ctx_forget(ctx);
    return ctx_fail(ctx, E_EXISTS, "a collection named %s is there already; change it with: certwright collection edit %s", name,
                    name);
}

static struct rc create(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct collection_change *c = arg;
    const char *team;
    TRY(access_team(ctx, txn, c->in->team, &team));
    TRY(decide(ctx, c->core, txn, "collection.create", team));
    TRY(exists(ctx,
               q_collection_add(ctx, txn,
                                &(struct q_collection_add_in){.id = c->id,
                                                              .team_id = team,
                                                              .name = c->in->name,
                                                              .filter = c->in->filter,
                                                              .description = c->in->description ? c->in->description : "",
                                                              .now = ctx_now_s(ctx)}),
               c->in->name));
    return audit_write(ctx, txn, "collection.create", "collection", c->id, team,
                       audit_change(ctx, (struct bytes){0}, facts(ctx, c->in->name, c->in->filter, c->in->description)));
}

RC collection_create(struct ctx *ctx, struct core *core, const struct collection_input *in, const char **id)
{
    struct collection_change c = {.core = core, .in = in, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    TRY(filter_check(ctx, in->filter));
    TRY(store_write(ctx, core->store, create, &c));
    *id = c.id;
    return RC_OK;
}

static struct rc update(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct collection_change *c = arg;
    struct q_collection_list_row row;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "collection.update", row.team_id));
    const struct q_collection_update_in in = {.id = row.id,
                                              .revision = c->revision ? c->revision : row.revision,
                                              .name = c->in->name ? c->in->name : row.name,
                                              .filter = c->in->filter ? c->in->filter : row.filter,
                                              .description = c->in->description ? c->in->description : row.description,
                                              .now = ctx_now_s(ctx)};
    TRY(exists(ctx, q_collection_update(ctx, txn, &in), in.name));
    return audit_write(ctx, txn, "collection.update", "collection", row.id, row.team_id,
                       audit_change(ctx, facts(ctx, row.name, row.filter, row.description),
                                    facts(ctx, in.name, in.filter, in.description)));
}

RC collection_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct collection_input *in)
{
    struct collection_change c = {.core = core, .ref = ref, .in = in, .revision = revision};
    if (in->filter)
        TRY(filter_check(ctx, in->filter));
    return store_write(ctx, core->store, update, &c);
}

static struct rc drop(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct collection_change *c = arg;
    struct q_collection_list_row row;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "collection.delete", row.team_id));
    TRY(q_collection_remove(ctx, txn, row.id));
    return audit_write(ctx, txn, "collection.delete", "collection", row.id, row.team_id,
                       audit_change(ctx, facts(ctx, row.name, row.filter, row.description), (struct bytes){0}));
}

RC collection_remove(struct ctx *ctx, struct core *core, const char *ref)
{
    struct collection_change c = {.core = core, .ref = ref};
    return store_write(ctx, core->store, drop, &c);
}

static struct rc get(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct collection_change *c = arg;
    return find(ctx, txn, c->ref, c->rows);
}

RC collection_get(struct ctx *ctx, struct core *core, const char *ref, struct q_collection_list_row *out)
{
    struct collection_change c = {.core = core, .ref = ref, .rows = out};
    return store_read(ctx, core->store, get, &c);
}

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct collection_change *c = arg;
    return q_collection_list(ctx, txn, access_scope(ctx), c->ref, c->limit, &c->rows, &c->n);
}

RC collection_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct q_collection_list_row **rows,
                   size_t *n)
{
    struct collection_change c = {.core = core, .ref = after, .limit = limit};
    TRY(store_read(ctx, core->store, list, &c));
    *rows = c.rows;
    *n = c.n;
    return RC_OK;
}

RC collection_where(struct ctx *ctx, struct txn *txn, const char *collection, const char *where, const char **out)
{
    struct q_collection_list_row row;
    *out = where;
    if (!collection || !*collection)
        return RC_OK;
    TRY(find(ctx, txn, collection, &row));
    const bool both = where && *where && *row.filter;
    if (both) { /* each has to be a filter of its own: "ca) or (ca" is none */
        struct filter *filter = NULL;
        TRY(filter_parse(ctx, where, &filter));
    }
    *out = both ? arena_printf(&ctx->arena, "(%s) and (%s)", where, row.filter) : *row.filter ? row.filter : where;
    return RC_OK;
}
