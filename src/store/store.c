#include "store/sql.h"

RC store_load(struct ctx *ctx, enum store_engine engine)
{
    return engine == STORE_POSTGRES ? sql_postgres_load(ctx) : RC_OK;
}

RC store_open(struct ctx *ctx, const struct store_config *config, struct store **out)
{
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the database");
    store->kind = config->engine;
    pthread_mutex_init(&store->trouble_lock, NULL);
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
    pthread_mutex_destroy(&store->trouble_lock);
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

static void trouble_note(struct store *store, const char *text)
{
    size_t n = strlen(text);
    if (n >= sizeof store->trouble) /* not in the middle of a character: it goes out as JSON */
        for (n = sizeof store->trouble - 1; n && (text[n] & 0xc0) == 0x80;)
            n--;
    pthread_mutex_lock(&store->trouble_lock);
    memcpy(store->trouble, text, n);
    store->trouble[n] = 0;
    pthread_mutex_unlock(&store->trouble_lock);
}

RC store_write(struct ctx *ctx, struct store *store, store_fn *fn, void *arg)
{
    struct rc rc = store->engine->write(ctx, store, fn, arg);
    const bool trouble = (err_info(rc.e)->category == CAT_RESOURCE && rc.e != E_BUSY) || rc.e == E_UNREACHABLE;
    if (rc_ok(rc) || trouble)
        trouble_note(store, trouble ? ctx_why(ctx) : "");
    return rc;
}

const char *store_trouble(struct ctx *ctx, struct store *store)
{
    pthread_mutex_lock(&store->trouble_lock);
    const char *text = *store->trouble ? arena_strdup(&ctx->arena, store->trouble) : NULL;
    pthread_mutex_unlock(&store->trouble_lock);
    return text;
}

void store_bulk(struct store *store, bool begin)
{
    if (store->engine->bulk)
        store->engine->bulk(store, begin);
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
    *e = (struct sql_effect){.fn = fn, .arg = arg};
    *(txn->effects ? txn->effects_end : &txn->effects) = e;
    txn->effects_end = &e->next;
    return RC_OK;
}

void sql_effects_run(struct txn *txn)
{
    for (const struct sql_effect *e = txn->effects; e; e = e->next)
        e->fn(e->arg);
    txn->effects = NULL;
}

RC sql_run(struct ctx *ctx, struct txn *txn, unsigned index, const struct sql_value *params, sql_row_fn *row, void *arg,
           int64_t *changed)
{
    return txn->engine->run(ctx, txn, index, params, row, arg, changed);
}

RC sql_each(struct ctx *ctx, struct txn *txn, unsigned index, const struct sql_value *params, size_t n)
{
    return txn->engine->each(ctx, txn, index, params, n);
}

RC sql_run_text(struct ctx *ctx, struct txn *txn, const struct sql_query *q, const struct sql_value *params, sql_row_fn *row,
                void *arg)
{
    return txn->engine->run_text(ctx, txn, q, params, row, arg);
}

RC sql_closure(struct ctx *ctx, struct txn *txn, store_fn *fn, void *arg)
{
    struct rc rc = fn(ctx, txn, arg);
    if (rc_ok(rc) && rc_failed(txn->refused))
        rc = ctx_fail(ctx, E_BUG, "the write went on after the database refused a query (%s); nothing was written",
                      err_info(txn->refused.e)->name);
    return rc;
}

static const char *type_name(unsigned type)
{
    static const char *const names[] = {"NULL", "a number", "text", "a blob", "of another type"};
    return names[type];
}

RC sql_give(struct ctx *ctx, const struct sql_query *q, const struct sql_value *values, sql_row_fn *row, void *arg)
{
    for (unsigned i = 0; i < q->columns_n; i++) {
        const unsigned want = q->columns[i] & ~SQL_MAY_BE_NULL;
        if (values[i].type != want && !(values[i].type == SQL_NULL && q->columns[i] & SQL_MAY_BE_NULL))
            return ctx_fail(ctx, E_BUG, "%s: column %u is %s, not %s", q->name, i + 1, type_name(values[i].type), type_name(want));
    }
    return row(ctx, arg, values);
}

enum err sql_reference_error(const struct sql_query *q)
{
    const struct bytes text = bytes_z(q->sqlite);
    if (bytes_starts_with(text, BYTES_LIT("INSERT")))
        return E_NOT_FOUND;
    return bytes_starts_with(text, BYTES_LIT("DELETE")) ? E_IN_USE : E_CONFLICT;
}

RC sql_columns_check(struct ctx *ctx, const struct sql_query *q, const char *names)
{
    if (strcmp(names, q->column_names))
        return ctx_fail(ctx, E_BUG, "query %s gives the columns \"%s\", not \"%s\"", q->name, names, q->column_names);
    return RC_OK;
}

RC sql_migration_check(struct ctx *ctx, int64_t number, const char *checksum, int64_t *newest)
{
    if (number > (int64_t)sql_migrations_n)
        return ctx_fail(ctx, E_CONFLICT, "was made by a newer release (schema %lld); start that one, or restore a backup",
                        (long long)number);
    if (number != *newest + 1)
        return ctx_fail(ctx, E_CONFLICT, "lacks migration %lld although a later one is there; restore a backup",
                        (long long)*newest + 1);
    if (strcmp(checksum, sql_migrations[number - 1].checksum))
        return ctx_fail(ctx, E_CONFLICT,
                        "has another migration %lld than this release; start the one that made it, or restore a backup",
                        (long long)number);
    *newest = number;
    return RC_OK;
}

void sql_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

RC sql_wait(struct ctx *ctx, pthread_cond_t *cond, pthread_mutex_t *lock)
{
    if (!ctx->deadline_ms) {
        pthread_cond_wait(cond, lock);
        return RC_OK;
    }
    const struct timespec until = {ctx->deadline_ms / 1000, ctx->deadline_ms % 1000 * 1000000};
    if (!pthread_cond_timedwait(cond, lock, &until))
        return RC_OK;
    return ctx_fail(ctx, E_BUSY, "no connection to the database became free in time");
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
