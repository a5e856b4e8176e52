/* SQLite: readers in a pool, and one writer thread that commits many closures together. */
#include <pthread.h>
#include <sqlite3.h>

#include "base/buf.h"
#include "base/failpoint.h"
#include "store/sql.h"

/* How many closures one transaction holds at most, and for how long it takes on more: slow ones must not hold up those before them.
 */
enum { BATCH_MAX = 256, BATCH_MS = 20, BULK_MS = 3000 };

/* What frames closures: prepared once a connection, as the queries are. */
enum frame { BEGIN_READ, BEGIN_WRITE, COMMIT, ROLLBACK, SAVEPOINT, UNDO_JOB, RELEASE, FRAMES };
static const char *const frame_sql[FRAMES] = {"BEGIN",         "BEGIN IMMEDIATE", "COMMIT",     "ROLLBACK",
                                              "SAVEPOINT job", "ROLLBACK TO job", "RELEASE job"};

struct conn {
    sqlite3 *db;
    sqlite3_stmt **statements; /* by index of the query, prepared when first used */
    sqlite3_stmt *frames[FRAMES];
    struct conn *next;
};

/* A closure on its way through the writer. */
struct write_job {
    struct ctx *ctx;
    store_fn *fn;
    void *arg;
    struct txn txn;
    struct rc rc;
    bool again; /* to be run in the next transaction */
    bool done;
    pthread_cond_t finished; /* one each: a commit wakes only those it was for */
    struct write_job *next;
};

struct lite {
    const char *path;
    pthread_mutex_t lock;
    pthread_cond_t reader_free, work;
    struct conn *readers; /* those not in use */
    unsigned readers_made, readers_max;
    struct conn *writer;
    pthread_t thread;
    bool thread_runs, stopping;
    struct write_job *first, **last;
    unsigned alone; /* of the writer's thread: so many of the next closures get a transaction each */
    unsigned bulks; /* how many load much at once */
    bool bulk;      /* of the writer's thread: it is set up for them */
};

/* `q` may be NULL. */
static enum err err_of(sqlite3 *db, int code, const struct sql_query *q)
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
            return q ? sql_reference_error(q) : E_CONFLICT;
        default:
            return E_CONFLICT;
        }
    default:
        return E_DATABASE;
    }
}

static struct rc fail_query(struct ctx *ctx, sqlite3 *db, int code, const char *what, const struct sql_query *q)
{
    const char *file = db ? sqlite3_db_filename(db, "main") : NULL; /* no memory: no db */
    if ((code & 0xff) == SQLITE_FULL)
        return ctx_fail(ctx, E_DISK_FULL, "the disk of %s is full (%s)", file ? file : "the database", what);
    if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB)
        return ctx_fail(ctx, E_DATABASE, "%s is damaged (%s: %s): restore it from a backup", file ? file : "the database", what,
                        sqlite3_errmsg(db));
    return ctx_fail(ctx, err_of(db, code, q), "%s: %s", what, sqlite3_errmsg(db));
}

static struct rc fail(struct ctx *ctx, sqlite3 *db, int code, const char *what)
{
    return fail_query(ctx, db, code, what, NULL);
}

/* A query failed: whatever its closure says, what it wrote goes. */
static struct rc refuse(struct ctx *ctx, struct txn *txn, const struct sql_query *q, int code)
{
    struct rc rc = fail_query(ctx, ((struct conn *)txn->conn)->db, code, q->name, q);
    if (rc_ok(txn->refused))
        txn->refused = rc;
    return rc;
}

/* `what` is what messages call it. */
static struct rc exec_as(struct ctx *ctx, struct conn *c, const char *sql, const char *what)
{
    const int code = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? RC_OK : fail(ctx, c->db, code, what);
}

static struct rc exec(struct ctx *ctx, struct conn *c, const char *sql)
{
    return exec_as(ctx, c, sql, sql);
}

static void conn_close(struct conn *c)
{
    if (!c)
        return;
    for (unsigned i = 0; c->statements && i < sql_queries_n; i++)
        sqlite3_finalize(c->statements[i]);
    for (unsigned i = 0; i < FRAMES; i++)
        sqlite3_finalize(c->frames[i]);
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
        rc = exec_as(
            ctx, c,
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA cache_size=-1024;"
            "PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA journal_size_limit=67108864; PRAGMA wal_autocheckpoint=2000;",
            "cannot be set up");
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

static int statement(struct conn *c, unsigned index, sqlite3_stmt **out)
{
    int code = SQLITE_OK;
    if (!c->statements[index])
        code = sqlite3_prepare_v3(c->db, sql_queries[index].sqlite, -1, SQLITE_PREPARE_PERSISTENT, &c->statements[index], NULL);
    *out = c->statements[index];
    return code;
}

static int frame_step(struct conn *c, enum frame f)
{
    int code = SQLITE_OK;
    if (!c->frames[f])
        code = sqlite3_prepare_v3(c->db, frame_sql[f], -1, SQLITE_PREPARE_PERSISTENT, &c->frames[f], NULL);
    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(c->frames[f]);
    sqlite3_reset(c->frames[f]);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static struct rc frame(struct ctx *ctx, struct conn *c, enum frame f)
{
    const int code = frame_step(c, f);
    return code == SQLITE_OK ? RC_OK : fail(ctx, c->db, code, frame_sql[f]);
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
    case SQLITE_FLOAT: /* as of avg(): to be cast in the query */
        *v = (struct sql_value){.type = SQL_OTHER};
        break;
    default:
        *v = (struct sql_value){0};
    }
}

static struct rc statement_run(struct ctx *ctx, struct txn *txn, const struct sql_query *q, sqlite3_stmt *s,
                               const struct sql_value *params, sql_row_fn *row, void *arg)
{
    int code = SQLITE_OK;
    if (sqlite3_column_count(s) != q->columns_n)
        return ctx_fail(ctx, E_BUG, "%s gives %d columns, not %d", q->name, sqlite3_column_count(s), q->columns_n);
    for (int i = 0; i < q->params_n && code == SQLITE_OK; i++)
        code = bind_one(s, i + 1, &params[i]);
    struct rc rc = RC_OK;
    while (code == SQLITE_OK && rc_ok(rc) && (code = sqlite3_step(s)) == SQLITE_ROW) {
        struct sql_value values[SQL_COLUMNS_MAX];
        for (int i = 0; i < q->columns_n; i++)
            column(s, i, &values[i]);
        if (row)
            rc = sql_give(ctx, q, values, row, arg);
        code = SQLITE_OK;
    }
    if (code != SQLITE_DONE && code != SQLITE_OK)
        rc = refuse(ctx, txn, q, code);
    return rc;
}

static struct rc lite_run(struct ctx *ctx, struct txn *txn, unsigned index, const struct sql_value *params, sql_row_fn *row,
                          void *arg, int64_t *changed)
{
    struct conn *c = txn->conn;
    const struct sql_query *q = &sql_queries[index];
    sqlite3_stmt *s;
    const int code = statement(c, index, &s);
    if (code != SQLITE_OK)
        return refuse(ctx, txn, q, code);
    struct rc rc = statement_run(ctx, txn, q, s, params, row, arg);
    if (changed)
        *changed = sqlite3_changes(c->db);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return rc;
}

static struct rc lite_each(struct ctx *ctx, struct txn *txn, unsigned index, const struct sql_value *params, size_t n)
{
    for (size_t i = 0; i < n; i++)
        TRY(lite_run(ctx, txn, index, params + i * sql_queries[index].params_n, NULL, NULL, NULL));
    return RC_OK;
}

static struct rc lite_run_text(struct ctx *ctx, struct txn *txn, const struct sql_query *q, const struct sql_value *params,
                               sql_row_fn *row, void *arg)
{
    struct conn *c = txn->conn;
    sqlite3_stmt *s = NULL;
    const int code = sqlite3_prepare_v3(c->db, q->sqlite, -1, 0, &s, NULL);
    struct rc rc = code == SQLITE_OK ? statement_run(ctx, txn, q, s, params, row, arg) : refuse(ctx, txn, q, code);
    sqlite3_finalize(s);
    return rc;
}

/* --- reading */

static struct rc reader_take(struct ctx *ctx, struct lite *l, struct conn **out)
{
    pthread_mutex_lock(&l->lock);
    struct rc waited = RC_OK;
    while (rc_ok(waited) && !l->readers && l->readers_made >= l->readers_max)
        waited = sql_wait(ctx, &l->reader_free, &l->lock);
    if (rc_failed(waited)) {
        pthread_cond_signal(&l->reader_free); /* a wakeup that came with the deadline is another's */
        pthread_mutex_unlock(&l->lock);
        return waited;
    }
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
    struct rc rc = frame(ctx, c, BEGIN_READ);
    if (rc_ok(rc)) {
        rc = fn(ctx, &txn, arg);
        frame_step(c, ROLLBACK);
    }
    reader_give(l, c);
    return rc;
}

/* --- writing */

/* Runs one closure in its savepoint: what it wrote stays only if it succeeded.  False where the whole transaction is lost. */
static bool job_run(struct conn *c, struct write_job *job)
{
    job->txn = (struct txn){.engine = &sql_sqlite, .conn = c};
    job->rc = frame(job->ctx, c, SAVEPOINT);
    if (rc_failed(job->rc))
        return false;
    job->rc = sql_closure(job->ctx, &job->txn, job->fn, job->arg);
    /* A full disk or an I/O error ends the whole transaction: nothing is left to undo or to release.  What could not be undone must
     * not be committed with the others. */
    if (rc_failed(job->rc) && frame_step(c, UNDO_JOB) != SQLITE_OK)
        return false;
    return !sqlite3_get_autocommit(c->db) && frame_step(c, RELEASE) == SQLITE_OK;
}

/* Runs the closures of `batch` until one takes the transaction with it or time is up; marks those that must run again. */
static bool batch_try(struct conn *c, struct write_job *batch, bool bulk)
{
    const int64_t until = clock_mono_ms() + (bulk ? BULK_MS : BATCH_MS);
    struct write_job *j = batch;
    bool whole = true;
    for (; j && whole && (j == batch || clock_mono_ms() <= until); j = j->next) {
        whole = job_run(c, j);
        if (!whole && rc_ok(j->rc))
            j->rc = fail(j->ctx, c->db, sqlite3_errcode(c->db), "not kept");
    }
    for (; j; j = j->next)
        j->again = true;
    for (j = batch; j && !whole; j = j->next) /* it has its answer; the others did nothing wrong */
        j->again |= rc_ok(j->rc);
    return whole;
}

static struct rc commit(struct ctx *ctx, struct conn *c)
{
    FAILPOINT_ERROR(ctx, "store.before_commit");
    TRY(frame(ctx, c, COMMIT));
    FAILPOINT("store.after_commit");
    return RC_OK;
}

static bool in_commit(const struct write_job *j)
{
    return !j->again && rc_ok(j->rc);
}

/* The commit had no room: as likely for one large closure as for all.  Each is to run in a transaction of its own. */
static void batch_part(struct lite *l, struct write_job *batch)
{
    for (struct write_job *j = batch; j; j = j->next)
        if (in_commit(j)) {
            j->again = true;
            l->alone++;
        }
}

static void batch_run(struct store *store, struct conn *c, struct write_job *batch)
{
    struct lite *l = store->own;
    struct ctx ctx; /* for what concerns no single one of them */
    ctx_init(&ctx, batch->ctx->clock);
    struct rc rc = frame(&ctx, c, BEGIN_WRITE);
    if (rc_ok(rc) && !batch_try(c, batch, l->bulk)) {
        frame_step(c, ROLLBACK);
        ctx_free(&ctx);
        return;
    }
    if (rc_ok(rc))
        rc = commit(&ctx, c);
    if (rc_failed(rc))
        frame_step(c, ROLLBACK);
    else
        store->commits++;
    if (rc.e == E_DISK_FULL && batch->next)
        batch_part(l, batch);
    for (struct write_job *j = batch; j; j = j->next)
        if (in_commit(j)) {
            if (rc_failed(rc))
                j->rc = ctx_fail(j->ctx, rc.e, "not committed: %s", ctx_why(&ctx));
            else
                store->writes++;
        }
    ctx_free(&ctx);
}

static struct write_job *batch_take(struct lite *l)
{
    struct write_job *batch = l->first, *last = batch;
    batch->again = false;
    const unsigned max = l->alone ? 1 : BATCH_MAX;
    l->alone -= l->alone > 0;
    for (unsigned n = 1; n < max && last->next; n++) {
        last = last->next;
        last->again = false;
    }
    l->first = last->next;
    if (!l->first)
        l->last = &l->first;
    last->next = NULL;
    return batch;
}

/* Tells those that have their answer, and puts the others back in front of the queue, in their order. */
static void batch_answer(struct store *store, struct lite *l, struct write_job *batch)
{
    struct write_job *again = NULL, **end = &again;
    for (struct write_job *j = batch, *next; j; j = next) {
        next = j->next; /* the job is its caller's again as soon as it is done */
        if (j->again) {
            store->retries++;
            *end = j;
            end = &j->next;
        } else {
            j->done = true;
            pthread_cond_signal(&j->finished);
        }
    }
    *end = l->first;
    if (again && !l->first)
        l->last = end;
    l->first = again ? again : l->first;
}

/* Who loads millions of rows touches most pages of the indexes again and again: with room for them, several closures a transaction,
 * and a checkpoint every so many commits, each is read once and written once for many rows.  Terms: runs of the merge that stay in
 * the processor's cache while they are sorted, and sixteen of them merged at once instead of four.  All of it goes back when they
 * are done.  What FTS5 is told is in the database: after a crash it is said again (lite_open). */
#define TERMS_SET(automerge, hash)                                                                                                 \
    "BEGIN IMMEDIATE; INSERT INTO certificate_term (certificate_term, rank) VALUES ('automerge', " automerge ");"                  \
    "INSERT INTO certificate_term (certificate_term, rank) VALUES ('hashsize', " hash "); COMMIT"
#define TERMS_BULK  TERMS_SET("16", "262144")
#define TERMS_USUAL TERMS_SET("4", "1048576")

/* Where it fails the load is slow, no more. */
static void bulk_set_up(struct conn *c, bool bulk)
{
    if (sqlite3_exec(c->db, bulk ? TERMS_BULK : TERMS_USUAL, NULL, NULL, NULL) != SQLITE_OK && !sqlite3_get_autocommit(c->db))
        frame_step(c, ROLLBACK);
    sqlite3_exec(c->db,
                 bulk ? "PRAGMA cache_size=-262144; PRAGMA wal_autocheckpoint=131072"
                      : "PRAGMA cache_size=-1024; PRAGMA wal_autocheckpoint=2000; PRAGMA shrink_memory",
                 NULL, NULL, NULL);
}

static int bulk_left_over(void *arg, int n, char **values, char **names)
{
    (void)n, (void)names;
    *(bool *)arg = values[0] && strcmp(values[0], "4");
    return 0;
}

/* A load that was cut off left its settings. */
static void bulk_undo(struct conn *c)
{
    bool left = false;
    sqlite3_exec(c->db, "SELECT v FROM certificate_term_config WHERE k = 'automerge'", bulk_left_over, &left, NULL);
    if (left)
        bulk_set_up(c, false);
}

static void lite_bulk(struct store *store, bool begin)
{
    struct lite *l = store->own;
    pthread_mutex_lock(&l->lock);
    l->bulks = begin ? l->bulks + 1 : l->bulks - 1;
    pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->lock);
}

static void *writer_main(void *arg)
{
    struct store *store = arg;
    struct lite *l = store->own;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->first && !l->stopping && l->bulk == (l->bulks > 0))
            pthread_cond_wait(&l->work, &l->lock);
        if (l->bulk != (l->bulks > 0)) {
            l->bulk = !l->bulk;
            bulk_set_up(l->writer, l->bulk);
            continue;
        }
        if (!l->first)
            break;
        struct write_job *batch = batch_take(l);
        pthread_mutex_unlock(&l->lock);
        batch_run(store, l->writer, batch);
        pthread_mutex_lock(&l->lock);
        batch_answer(store, l, batch);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static struct rc lite_write(struct ctx *ctx, struct store *store, store_fn *fn, void *arg)
{
    struct lite *l = store->own;
    struct write_job job = {.ctx = ctx, .fn = fn, .arg = arg};
    if (pthread_equal(pthread_self(), l->thread))
        return ctx_fail(ctx, E_BUG, "a write inside of a write");
    pthread_mutex_lock(&l->lock);
    if (l->stopping) {
        pthread_mutex_unlock(&l->lock);
        return ctx_fail(ctx, E_SHUTTING_DOWN, "the database is being closed");
    }
    pthread_cond_init(&job.finished, NULL);
    *l->last = &job;
    l->last = &job.next;
    pthread_cond_signal(&l->work);
    while (!job.done)
        pthread_cond_wait(&job.finished, &l->lock);
    pthread_mutex_unlock(&l->lock);
    pthread_cond_destroy(&job.finished);
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
        const char *checksum = (const char *)sqlite3_column_text(s, 1);
        rc = sql_migration_check(ctx, sqlite3_column_int64(s, 0), checksum ? checksum : "", newest);
    }
    if (rc_ok(rc) && code != SQLITE_DONE)
        rc = fail(ctx, c->db, code, "schema_migration");
    sqlite3_finalize(s);
    return rc;
}

/* Applies the next migration there is.  It looks and acts in one transaction: another process may be opening the same file. */
static struct rc migrate_next(struct ctx *ctx, struct conn *c, bool *more)
{
    int64_t newest = 0;
    TRY(applied_check(ctx, c, &newest));
    *more = newest < (int64_t)sql_migrations_n;
    if (!*more)
        return RC_OK;
    const struct sql_migration *m = &sql_migrations[newest];
    TRY(exec_as(ctx, c, m->sqlite, m->name));
    return exec_as(ctx, c,
                   arena_printf(&ctx->arena, "INSERT INTO schema_migration VALUES (%lld, '%s', '%s', %lld)", (long long)m->number,
                                m->name, m->checksum, (long long)ctx_now_s(ctx)),
                   m->name);
}

static struct rc migrate(struct ctx *ctx, struct conn *c)
{
    TRY(exec_as(
        ctx, c,
        "CREATE TABLE IF NOT EXISTS schema_migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL,"
        " applied_at INTEGER NOT NULL) STRICT",
        "schema_migration"));
    for (bool more = true; more;) {
        TRY(frame(ctx, c, BEGIN_WRITE));
        struct rc rc = migrate_next(ctx, c, &more);
        if (rc_ok(rc))
            rc = frame(ctx, c, COMMIT);
        if (rc_failed(rc)) {
            frame_step(c, ROLLBACK);
            return rc;
        }
    }
    return RC_OK;
}

/* SQLite's count of the memory it uses is a lock that every connection takes at every allocation. */
static void no_memory_statistics(void) { sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); }

static struct rc lite_open(struct ctx *ctx, const struct store_config *config, struct store *store)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, no_memory_statistics);
    struct lite *l = calloc(1, sizeof *l);
    if (!l)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the database");
    store->own = l;
    l->path = strdup(config->path);
    l->readers_max = config->connections ? config->connections : 4;
    l->last = &l->first;
    pthread_mutex_init(&l->lock, NULL);
    sql_cond_init(&l->reader_free);
    sql_cond_init(&l->work);
    TRY(conn_open(ctx, l->path, false, &l->writer));
    TRY(migrate(ctx, l->writer));
    bulk_undo(l->writer);
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
    pthread_mutex_destroy(&l->lock);
    free((char *)(uintptr_t)l->path);
    free(l);
}

static const char *names_of(struct ctx *ctx, sqlite3_stmt *s)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 4096);
    for (int i = 0; i < sqlite3_column_count(s); i++) {
        buf_put_z(&b, i ? " " : "");
        buf_put_z(&b, sqlite3_column_name(s, i));
    }
    return buf_z(&b);
}

static struct rc lite_prepare_all(struct ctx *ctx, struct store *store)
{
    struct lite *l = store->own;
    struct conn *c;
    TRY(reader_take(ctx, l, &c));
    struct rc rc = RC_OK;
    for (unsigned i = 0; i < sql_queries_n && rc_ok(rc); i++) {
        sqlite3_stmt *s;
        const int code = statement(c, i, &s);
        rc = code == SQLITE_OK ? sql_columns_check(ctx, &sql_queries[i], names_of(ctx, s))
                               : fail(ctx, c->db, code, sql_queries[i].name);
    }
    reader_give(l, c);
    return rc;
}

const struct sql_engine sql_sqlite = {lite_open, lite_close, lite_read, lite_write, lite_run, lite_run_text,
                                      lite_prepare_all, lite_each, lite_bulk};
