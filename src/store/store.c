#include "store/sql.h"

RC store_open(struct ctx *ctx, const struct store_config *config, struct store **out)
{
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the database");
    store->kind = config->engine;
    store->engine = config->engine == STORE_POSTGRES ? &sql_postgres : &sql_sqlite;
    struct rc rc = store->engine->open(ctx, config, store);
    if (rc_failed(rc)) {
        store_close(store);
        return ctx_wrap(ctx, rc, "the database %s", config->engine == STORE_POSTGRES ? "(PostgreSQL)" : config->path);
    }
    *out = store;
    return RC_OK;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    store->engine->close(store);
    free(store);
}

enum store_engine store_engine_of(const struct store *store)
{
    return store->kind;
}

RC store_read(struct ctx *ctx, struct store *store, store_fn *fn, void *arg)
{
    return store->engine->read(ctx, store, fn, arg);
}

RC store_write(struct ctx *ctx, struct store *store, store_fn *fn, void *arg)
{
    return store->engine->write(ctx, store, fn, arg);
}

RC store_prepare_all(struct ctx *ctx, struct store *store)
{
    return store->engine->prepare_all(ctx, store);
}

void store_stats(struct store *store, struct store_stats *out)
{
    *out = (struct store_stats){.writes = store->writes, .commits = store->commits, .retries = store->retries};
}

RC txn_on_commit(struct ctx *ctx, struct txn *txn, void (*fn)(void *arg), void *arg)
{
    struct sql_effect *e = ARENA_NEW(&ctx->arena, struct sql_effect);
    *e = (struct sql_effect){.fn = fn, .arg = arg, .next = txn->effects};
    txn->effects = e;
    return RC_OK;
}

void sql_effects_run(struct txn *txn)
{
    for (const struct sql_effect *e = txn->effects; e; e = e->next)
        e->fn(e->arg);
    txn->effects = NULL;
}

RC sql_run(struct ctx *ctx, struct txn *txn, unsigned index, const struct sql_value *params, sql_row_fn *row, void *arg, int64_t *changed)
{
    return txn->engine->run(ctx, txn, index, params, row, arg, changed);
}

RC sql_exactly(struct ctx *ctx, struct txn *txn, unsigned index, const struct sql_value *params)
{
    int64_t changed = 0;
    TRY(sql_run(ctx, txn, index, params, NULL, NULL, &changed));
    return changed == 1 ? RC_OK : ctx_fail(ctx, E_CHANGED, "it is no longer as it was (%s)", sql_queries[index].name);
}

void *sql_many_add(struct ctx *ctx, struct sql_many *m, size_t size)
{
    if (m->n == m->cap) {
        const size_t cap = m->cap ? m->cap * 2 : 8;
        void *rows = arena_array(&ctx->arena, cap, size);
        if (m->n)
            memcpy(rows, m->rows, m->n * size);
        m->rows = rows;
        m->cap = cap;
    }
    return (uint8_t *)m->rows + m->n++ * size;
}

const int64_t *sql_copy_i64(struct ctx *ctx, const struct sql_value *v)
{
    return v->type == SQL_NULL ? NULL : arena_dup(&ctx->arena, &v->i, sizeof v->i);
}

const char *sql_copy_text(struct ctx *ctx, const struct sql_value *v)
{
    return v->type == SQL_NULL ? NULL : arena_str(&ctx->arena, v->b);
}

struct bytes sql_copy_blob(struct ctx *ctx, const struct sql_value *v)
{
    return v->type == SQL_NULL ? (struct bytes){0} : arena_bytes(&ctx->arena, v->b);
}
