/* SQLite: readers in a pool, and one writer thread that commits many closures together. */
#include <pthread.h>
#include <sqlite3.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "store/sql.h"

/* How many closures one transaction holds at most. */
#define BATCH_MAX 256

struct conn {
    sqlite3 *db;
    sqlite3_stmt **statements; /* by index of the query, prepared when first used */
    struct conn *next;
};

/* A closure on its way through the writer. */
struct write_job {
    struct ctx *ctx;
    store_fn *fn;
    void *arg;
    struct txn txn;
    struct rc rc;
    bool done;
    struct write_job *next;
};

struct lite {
    const char *path;
    pthread_mutex_t lock;
    pthread_cond_t reader_free, work, finished;
    struct conn *readers; /* those not in use */
    unsigned readers_made, readers_max;
    struct conn *writer;
    pthread_t thread;
    bool thread_runs, stopping;
    struct write_job *first, **last;
};

static enum err err_of(sqlite3 *db, int code)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        return E_DISK_FULL;
    case SQLITE_IOERR:
        return E_IO;
    case SQLITE_NOMEM:
        return E_NO_MEMORY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return E_BUSY;
    case SQLITE_CONSTRAINT:
        switch (sqlite3_extended_errcode(db)) {
        case SQLITE_CONSTRAINT_UNIQUE:
        case SQLITE_CONSTRAINT_PRIMARYKEY:
            return E_EXISTS;
        case SQLITE_CONSTRAINT_FOREIGNKEY:
            return E_IN_USE;
        default:
            return E_CONFLICT;
        }
    default:
        return E_DATABASE;
    }
}

static struct rc fail(struct ctx *ctx, sqlite3 *db, int code, const char *what)
{
    return ctx_fail(ctx, err_of(db, code), "%s: %s", what, sqlite3_errmsg(db));
}

static struct rc exec(struct ctx *ctx, struct conn *c, const char *sql)
{
    const int code = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? RC_OK : fail(ctx, c->db, code, sql);
}

static void conn_close(struct conn *c)
{
    if (!c)
        return;
    for (unsigned i = 0; c->statements && i < sql_queries_n; i++)
        sqlite3_finalize(c->statements[i]);
    free(c->statements);
    sqlite3_close_v2(c->db);
    free(c);
}

static struct rc conn_open(struct ctx *ctx, const char *path, bool reader, struct conn **out)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c || !(c->statements = calloc(sql_queries_n + 1, sizeof *c->statements))) {
        free(c);
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for a database connection");
    }
    const int code = sqlite3_open_v2(path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    struct rc rc = code == SQLITE_OK ? RC_OK : fail(ctx, c->db, code, "cannot be opened");
    if (rc_ok(rc)) {
        sqlite3_busy_timeout(c->db, 10000);
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        rc = exec(ctx, c,
                  "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA cache_size=-1024;"
                  "PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=67108864; PRAGMA wal_autocheckpoint=2000;");
    }
    if (rc_ok(rc) && reader)
        rc = exec(ctx, c, "PRAGMA query_only=ON");
    if (rc_failed(rc)) {
        conn_close(c);
        return rc;
    }
    *out = c;
    return RC_OK;
}

static struct rc statement(struct ctx *ctx, struct conn *c, unsigned index, sqlite3_stmt **out)
{
    if (!c->statements[index]) {
        const int code = sqlite3_prepare_v3(c->db, sql_queries[index].sqlite, -1, SQLITE_PREPARE_PERSISTENT, &c->statements[index], NULL);
        if (code != SQLITE_OK)
            return fail(ctx, c->db, code, sql_queries[index].name);
    }
    *out = c->statements[index];
    return RC_OK;
}

static int bind_one(sqlite3_stmt *s, int i, const struct sql_value *v)
{
    switch (v->type) {
    case SQL_I64:
        return sqlite3_bind_int64(s, i, v->i);
    case SQL_TEXT:
        return sqlite3_bind_text64(s, i, v->b.n ? (const char *)v->b.p : "", v->b.n, SQLITE_STATIC, SQLITE_UTF8);
    case SQL_BLOB:
        return sqlite3_bind_blob64(s, i, v->b.n ? (const void *)v->b.p : "", v->b.n, SQLITE_STATIC);
    default:
        return sqlite3_bind_null(s, i);
    }
}

static void column(sqlite3_stmt *s, int i, struct sql_value *v)
{
    switch (sqlite3_column_type(s, i)) {
    case SQLITE_INTEGER:
        *v = sql_i64(sqlite3_column_int64(s, i));
        break;
    case SQLITE_TEXT:
        *v = (struct sql_value){.type = SQL_TEXT, .b = {sqlite3_column_text(s, i), (size_t)sqlite3_column_bytes(s, i)}};
        break;
    case SQLITE_BLOB:
        *v = (struct sql_value){.type = SQL_BLOB, .b = {sqlite3_column_blob(s, i), (size_t)sqlite3_column_bytes(s, i)}};
        break;
    default:
        *v = (struct sql_value){0};
    }
}

static struct rc lite_run(struct ctx *ctx, struct txn *txn, unsigned index, const struct sql_value *params, sql_row_fn *row, void *arg,
                          int64_t *changed)
{
    struct conn *c = txn->conn;
    const struct sql_query *q = &sql_queries[index];
    sqlite3_stmt *s;
    TRY(statement(ctx, c, index, &s));
    int code = SQLITE_OK;
    for (int i = 0; i < q->params_n && code == SQLITE_OK; i++)
        code = bind_one(s, i + 1, &params[i]);
    struct rc rc = RC_OK;
    while (code == SQLITE_OK && rc_ok(rc) && (code = sqlite3_step(s)) == SQLITE_ROW) {
        struct sql_value values[64];
        for (int i = 0; i < q->columns_n; i++)
            column(s, i, &values[i]);
        if (row)
            rc = row(ctx, arg, values);
        code = SQLITE_OK;
    }
    if (code != SQLITE_DONE && code != SQLITE_OK)
        rc = fail(ctx, c->db, code, q->name);
    if (changed)
        *changed = sqlite3_changes(c->db);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return rc;
}

/* --- reading */

static struct rc reader_take(struct ctx *ctx, struct lite *l, struct conn **out)
{
    pthread_mutex_lock(&l->lock);
    while (!l->readers && l->readers_made >= l->readers_max)
        pthread_cond_wait(&l->reader_free, &l->lock);
    *out = l->readers;
    const bool make = !*out;
    if (make)
        l->readers_made++;
    else
        l->readers = (*out)->next;
    pthread_mutex_unlock(&l->lock);
    if (!make)
        return RC_OK;
    struct rc rc = conn_open(ctx, l->path, true, out);
    if (rc_failed(rc)) {
        pthread_mutex_lock(&l->lock);
        l->readers_made--;
        pthread_cond_signal(&l->reader_free);
        pthread_mutex_unlock(&l->lock);
    }
    return rc;
}

static void reader_give(struct lite *l, struct conn *c)
{
    pthread_mutex_lock(&l->lock);
    c->next = l->readers;
    l->readers = c;
    pthread_cond_signal(&l->reader_free);
    pthread_mutex_unlock(&l->lock);
}

static struct rc lite_read(struct ctx *ctx, struct store *store, store_fn *fn, void *arg)
{
    struct lite *l = store->own;
    struct conn *c;
    TRY(reader_take(ctx, l, &c));
    struct txn txn = {.engine = &sql_sqlite, .conn = c};
    struct rc rc = exec(ctx, c, "BEGIN");
    if (rc_ok(rc)) {
        rc = fn(ctx, &txn, arg);
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    }
    reader_give(l, c);
    return rc;
}

/* --- writing */

/* Runs one closure in its savepoint: what it wrote stays only if it succeeded. */
static bool job_run(struct conn *c, struct write_job *job)
{
    job->txn = (struct txn){.engine = &sql_sqlite, .conn = c};
    job->rc = exec(job->ctx, c, "SAVEPOINT job");
    if (rc_failed(job->rc))
        return false;
    job->rc = job->fn(job->ctx, &job->txn, job->arg);
    if (rc_failed(job->rc)) {
        sqlite3_exec(c->db, "ROLLBACK TO job", NULL, NULL, NULL);
        job->txn.effects = NULL;
    }
    /* A full disk or an I/O error ends the whole transaction: nothing is left to release. */
    return !sqlite3_get_autocommit(c->db) && sqlite3_exec(c->db, "RELEASE job", NULL, NULL, NULL) == SQLITE_OK;
}

static void batch_fail(struct write_job *batch, struct rc rc, const char *why)
{
    for (struct write_job *j = batch; j; j = j->next)
        if (rc_ok(j->rc)) {
            j->rc = ctx_fail(j->ctx, rc.e, "%s", why);
            j->txn.effects = NULL;
        }
}

static void batch_run(struct store *store, struct conn *c, struct write_job *batch)
{
    struct ctx *first = batch->ctx;
    struct rc rc = exec(first, c, "BEGIN IMMEDIATE");
    if (rc_failed(rc)) {
        for (struct write_job *j = batch; j; j = j->next)
            j->rc = j == batch ? rc : ctx_fail(j->ctx, rc.e, "the database did not begin a transaction");
        return;
    }
    bool whole = true;
    for (struct write_job *j = batch; j && whole; j = j->next)
        whole = job_run(c, j);
    FAILPOINT("store.before_commit");
    const int code = whole ? sqlite3_exec(c->db, "COMMIT", NULL, NULL, NULL) : SQLITE_ERROR;
    if (code != SQLITE_OK) {
        char why[256];
        snprintf(why, sizeof why, "not committed: %s", sqlite3_errmsg(c->db));
        const enum err e = err_of(c->db, sqlite3_errcode(c->db));
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
        batch_fail(batch, rc_of(e == E_OK ? E_DATABASE : e), why);
        return;
    }
    FAILPOINT("store.after_commit");
    store->commits++;
}

static struct write_job *batch_take(struct lite *l)
{
    struct write_job *batch = l->first, *last = batch;
    for (unsigned n = 1; n < BATCH_MAX && last->next; n++)
        last = last->next;
    l->first = last->next;
    if (!l->first)
        l->last = &l->first;
    last->next = NULL;
    return batch;
}

static void *writer_main(void *arg)
{
    struct store *store = arg;
    struct lite *l = store->own;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->first && !l->stopping)
            pthread_cond_wait(&l->work, &l->lock);
        if (!l->first)
            break;
        struct write_job *batch = batch_take(l);
        pthread_mutex_unlock(&l->lock);
        batch_run(store, l->writer, batch);
        pthread_mutex_lock(&l->lock);
        for (struct write_job *j = batch, *next; j; j = next) {
            next = j->next; /* the job is its caller's again as soon as it is done */
            j->done = true;
            store->writes++;
        }
        pthread_cond_broadcast(&l->finished);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static struct rc lite_write(struct ctx *ctx, struct store *store, store_fn *fn, void *arg)
{
    struct lite *l = store->own;
    struct write_job job = {.ctx = ctx, .fn = fn, .arg = arg};
    pthread_mutex_lock(&l->lock);
    if (l->stopping) {
        pthread_mutex_unlock(&l->lock);
        return ctx_fail(ctx, E_SHUTTING_DOWN, "the database is being closed");
    }
    *l->last = &job;
    l->last = &job.next;
    pthread_cond_signal(&l->work);
    while (!job.done)
        pthread_cond_wait(&l->finished, &l->lock);
    pthread_mutex_unlock(&l->lock);
    if (rc_ok(job.rc))
        sql_effects_run(&job.txn);
    return job.rc;
}

/* --- opening */

static struct rc applied_check(struct ctx *ctx, struct conn *c, int64_t *newest)
{
    sqlite3_stmt *s = NULL;
    *newest = 0;
    int code = sqlite3_prepare_v2(c->db, "SELECT number, checksum FROM schema_migration ORDER BY number", -1, &s, NULL);
    struct rc rc = code == SQLITE_OK ? RC_OK : fail(ctx, c->db, code, "schema_migration");
    while (rc_ok(rc) && (code = sqlite3_step(s)) == SQLITE_ROW) {
        const int64_t number = sqlite3_column_int64(s, 0);
        const char *checksum = (const char *)sqlite3_column_text(s, 1);
        *newest = number;
        if (number < 1 || number > (int64_t)sql_migrations_n)
            rc = ctx_fail(ctx, E_CONFLICT, "was made by a newer release (schema %lld); start that one, or restore a backup", (long long)number);
        else if (!checksum || strcmp(checksum, sql_migrations[number - 1].checksum))
            rc = ctx_fail(ctx, E_CONFLICT, "has another migration %lld than this release", (long long)number);
    }
    sqlite3_finalize(s);
    return rc;
}

static struct rc migrate(struct ctx *ctx, struct conn *c)
{
    TRY(exec(ctx, c,
             "CREATE TABLE IF NOT EXISTS schema_migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL,"
             " applied_at INTEGER NOT NULL) STRICT"));
    int64_t newest = 0;
    TRY(applied_check(ctx, c, &newest));
    for (int64_t i = newest; i < (int64_t)sql_migrations_n; i++) {
        TRY(exec(ctx, c, "BEGIN IMMEDIATE"));
        struct rc rc = exec(ctx, c, sql_migrations[i].sqlite);
        if (rc_ok(rc))
            rc = exec(ctx, c,
                      arena_printf(&ctx->arena, "INSERT INTO schema_migration VALUES (%lld, '%s', '%s', unixepoch())",
                                   (long long)sql_migrations[i].number, sql_migrations[i].name, sql_migrations[i].checksum));
        if (rc_ok(rc))
            rc = exec(ctx, c, "COMMIT");
        if (rc_failed(rc)) {
            sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
            return rc;
        }
    }
    return RC_OK;
}

static struct rc lite_open(struct ctx *ctx, const struct store_config *config, struct store *store)
{
    struct lite *l = calloc(1, sizeof *l);
    if (!l)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the database");
    store->own = l;
    l->path = strdup(config->path);
    l->readers_max = config->connections ? config->connections : 4;
    l->last = &l->first;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->reader_free, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->finished, NULL);
    TRY(conn_open(ctx, l->path, false, &l->writer));
    TRY(migrate(ctx, l->writer));
    if (pthread_create(&l->thread, NULL, writer_main, store))
        return ctx_fail(ctx, E_NO_MEMORY, "no thread for the database's writer");
    l->thread_runs = true;
    return RC_OK;
}

static void lite_close(struct store *store)
{
    struct lite *l = store->own;
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stopping = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    if (l->thread_runs)
        pthread_join(l->thread, NULL);
    while (l->readers) {
        struct conn *c = l->readers;
        l->readers = c->next;
        conn_close(c);
    }
    conn_close(l->writer);
    pthread_cond_destroy(&l->reader_free);
    pthread_cond_destroy(&l->work);
    pthread_cond_destroy(&l->finished);
    pthread_mutex_destroy(&l->lock);
    free((char *)(uintptr_t)l->path);
    free(l);
}

static struct rc lite_prepare_all(struct ctx *ctx, struct store *store)
{
    struct lite *l = store->own;
    struct conn *c;
    TRY(reader_take(ctx, l, &c));
    struct rc rc = RC_OK;
    for (unsigned i = 0; i < sql_queries_n && rc_ok(rc); i++) {
        sqlite3_stmt *s;
        rc = statement(ctx, c, i, &s);
        if (rc_ok(rc) && sqlite3_column_count(s) != sql_queries[i].columns_n)
            rc = ctx_fail(ctx, E_BUG, "query %s gives %d columns, not %d", sql_queries[i].name, sqlite3_column_count(s), sql_queries[i].columns_n);
    }
    reader_give(l, c);
    return rc;
}

const struct sql_engine sql_sqlite = {lite_open, lite_close, lite_read, lite_write, lite_run, lite_prepare_all};
