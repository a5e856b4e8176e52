/* PostgreSQL: a pool of connections; each write is a SERIALIZABLE transaction that runs again where it lost. */
#include <libpq-fe.h>
#include <pthread.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/random.h"
#include "store/sql.h"

#define RETRIES_MAX 20
/* Of pg_type.dat. */
enum { OID_BYTEA = 17, OID_INT8 = 20, OID_TEXT = 25 };

struct conn {
    PGconn *pg;
    bool *prepared; /* by index of the query */
    struct conn *next;
    char sqlstate[6]; /* of the last failure */
};

struct pool {
    const char *conninfo;
    pthread_mutex_t lock;
    pthread_cond_t free;
    struct conn *idle;
    unsigned made, max;
};

static enum err err_of(struct conn *c)
{
    static const struct {
        const char *state;
        enum err e;
    } rows[] = {{"23505", E_EXISTS}, {"23503", E_IN_USE},  {"40001", E_BUSY},    {"40P01", E_BUSY},        {"53100", E_DISK_FULL},
                {"53200", E_NO_MEMORY}, {"57P01", E_UNREACHABLE}, {"57P02", E_UNREACHABLE}, {"57P03", E_UNREACHABLE}};
    if (PQstatus(c->pg) != CONNECTION_OK)
        return E_UNREACHABLE;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].state, c->sqlstate))
            return rows[i].e;
    return !strncmp(c->sqlstate, "23", 2) ? E_CONFLICT : E_DATABASE;
}

/* The server's words without the newline at their end; values of parameters are never in the primary message. */
static struct rc fail(struct ctx *ctx, struct conn *c, const PGresult *r, const char *what)
{
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    const char *words = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    snprintf(c->sqlstate, sizeof c->sqlstate, "%s", state ? state : "");
    struct bytes text = bytes_z(words ? words : PQerrorMessage(c->pg));
    while (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    return ctx_fail(ctx, err_of(c), "%s: %s", what, arena_str(&ctx->arena, text));
}

static struct rc exec(struct ctx *ctx, struct conn *c, const char *sql)
{
    PGresult *r = PQexec(c->pg, sql);
    const ExecStatusType status = PQresultStatus(r);
    struct rc rc = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? RC_OK : fail(ctx, c, r, "the database refused");
    PQclear(r);
    return rc;
}

static void conn_close(struct conn *c)
{
    if (!c)
        return;
    PQfinish(c->pg);
    free(c->prepared);
    free(c);
}

static void notice_drop(void *arg, const PGresult *r)
{
    (void)arg;
    (void)r;
}

static struct rc conn_open(struct ctx *ctx, const char *conninfo, struct conn **out)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c || !(c->prepared = calloc(sql_queries_n + 1, sizeof *c->prepared))) {
        free(c);
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for a database connection");
    }
    c->pg = PQconnectdb(conninfo);
    if (PQstatus(c->pg) != CONNECTION_OK) {
        struct rc rc = fail(ctx, c, NULL, "cannot be reached");
        conn_close(c);
        return rc;
    }
    PQsetNoticeReceiver(c->pg, notice_drop, NULL);
    *out = c;
    return RC_OK;
}

static struct rc conn_take(struct ctx *ctx, struct pool *p, struct conn **out)
{
    pthread_mutex_lock(&p->lock);
    while (!p->idle && p->made >= p->max)
        pthread_cond_wait(&p->free, &p->lock);
    *out = p->idle;
    const bool make = !*out;
    if (make)
        p->made++;
    else
        p->idle = (*out)->next;
    pthread_mutex_unlock(&p->lock);
    struct rc rc = make ? conn_open(ctx, p->conninfo, out) : RC_OK;
    if (rc_failed(rc)) {
        pthread_mutex_lock(&p->lock);
        p->made--;
        pthread_cond_signal(&p->free);
        pthread_mutex_unlock(&p->lock);
    }
    return rc;
}

static void conn_give(struct pool *p, struct conn *c)
{
    const bool good = PQstatus(c->pg) == CONNECTION_OK && PQtransactionStatus(c->pg) == PQTRANS_IDLE;
    if (!good)
        conn_close(c);
    pthread_mutex_lock(&p->lock);
    if (good) {
        c->next = p->idle;
        p->idle = c;
    } else {
        p->made--;
    }
    pthread_cond_signal(&p->free);
    pthread_mutex_unlock(&p->lock);
}

static const char *name_of(char *text, size_t size, unsigned index)
{
    snprintf(text, size, "q%u", index);
    return text;
}

static struct rc prepare(struct ctx *ctx, struct conn *c, unsigned index)
{
    const struct sql_query *q = &sql_queries[index];
    if (c->prepared[index])
        return RC_OK;
    static const Oid oids[] = {[SQL_I64] = OID_INT8, [SQL_TEXT] = OID_TEXT, [SQL_BLOB] = OID_BYTEA};
    Oid types[256];
    for (unsigned i = 0; i < q->params_n; i++)
        types[i] = oids[q->params[i]];
    char name[16];
    PGresult *r = PQprepare(c->pg, name_of(name, sizeof name, index), q->postgres ? q->postgres : q->sqlite, q->params_n, types);
    struct rc rc = PQresultStatus(r) == PGRES_COMMAND_OK ? RC_OK : fail(ctx, c, r, q->name);
    PQclear(r);
    c->prepared[index] = rc_ok(rc);
    return rc;
}

static int64_t read_number(const char *p, int n)
{
    uint64_t v = n && (p[0] & 0x80) ? UINT64_MAX : 0;
    for (int i = 0; i < n; i++)
        v = v << 8 | (uint8_t)p[i];
    return (int64_t)v;
}

static void column(const PGresult *r, int row, int i, struct sql_value *v)
{
    const int n = PQgetlength(r, row, i);
    const char *p = PQgetvalue(r, row, i);
    *v = (struct sql_value){0};
    if (PQgetisnull(r, row, i))
        return;
    switch (PQftype(r, i)) {
    case OID_INT8:
    case 23: /* int4 */
    case 21: /* int2 */
        *v = sql_i64(read_number(p, n));
        break;
    case OID_BYTEA:
        *v = sql_blob(bytes_of(p, (size_t)n));
        break;
    default:
        *v = (struct sql_value){.type = SQL_TEXT, .b = bytes_of(p, (size_t)n)};
    }
}

static struct rc rows_read(struct ctx *ctx, const PGresult *r, const struct sql_query *q, sql_row_fn *row, void *arg)
{
    for (int k = 0; k < PQntuples(r); k++) {
        struct sql_value values[64];
        for (int i = 0; i < q->columns_n; i++)
            column(r, k, i, &values[i]);
        TRY(row(ctx, arg, values));
    }
    return RC_OK;
}

static struct rc pg_run(struct ctx *ctx, struct txn *txn, unsigned index, const struct sql_value *params, sql_row_fn *row, void *arg,
                        int64_t *changed)
{
    struct conn *c = txn->conn;
    const struct sql_query *q = &sql_queries[index];
    TRY(prepare(ctx, c, index));
    const char *values[256];
    int lengths[256], formats[256];
    uint8_t numbers[256][8];
    for (unsigned i = 0; i < q->params_n; i++) {
        formats[i] = 1;
        lengths[i] = (int)params[i].b.n;
        values[i] = params[i].type == SQL_NULL ? NULL : params[i].b.n ? (const char *)params[i].b.p : "";
        if (params[i].type != SQL_I64)
            continue;
        for (int k = 0; k < 8; k++)
            numbers[i][k] = (uint8_t)((uint64_t)params[i].i >> (56 - 8 * k));
        values[i] = (const char *)numbers[i];
        lengths[i] = 8;
    }
    char name[16];
    PGresult *r = PQexecPrepared(c->pg, name_of(name, sizeof name, index), q->params_n, values, lengths, formats, 1);
    const ExecStatusType status = PQresultStatus(r);
    struct rc rc = RC_OK;
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        rc = fail(ctx, c, r, q->name);
    else if (row)
        rc = rows_read(ctx, r, q, row, arg);
    if (changed) {
        uint64_t n = 0;
        for (const char *s = PQcmdTuples(r); *s; s++)
            n = n * 10 + (uint64_t)(*s - '0');
        *changed = (int64_t)n;
    }
    PQclear(r);
    return rc;
}

static struct rc pg_read(struct ctx *ctx, struct store *store, store_fn *fn, void *arg)
{
    struct pool *p = store->own;
    struct conn *c;
    TRY(conn_take(ctx, p, &c));
    struct txn txn = {.engine = &sql_postgres, .conn = c};
    struct rc rc = exec(ctx, c, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    if (rc_ok(rc)) {
        rc = fn(ctx, &txn, arg);
        PQclear(PQexec(c->pg, "ROLLBACK"));
    }
    conn_give(p, c);
    return rc;
}

static struct rc write_once(struct ctx *ctx, struct conn *c, struct txn *txn, store_fn *fn, void *arg, bool *in_commit)
{
    *in_commit = false;
    c->sqlstate[0] = 0;
    TRY(exec(ctx, c, "BEGIN ISOLATION LEVEL SERIALIZABLE"));
    struct rc rc = fn(ctx, txn, arg);
    if (rc_ok(rc)) {
        FAILPOINT("store.before_commit");
        *in_commit = true;
        rc = exec(ctx, c, "COMMIT");
        FAILPOINT("store.after_commit");
    }
    if (rc_failed(rc) && PQstatus(c->pg) == CONNECTION_OK)
        PQclear(PQexec(c->pg, "ROLLBACK"));
    return rc;
}

static bool lost_race(const struct conn *c)
{
    return !strcmp(c->sqlstate, "40001") || !strcmp(c->sqlstate, "40P01");
}

static struct rc pg_write(struct ctx *ctx, struct store *store, store_fn *fn, void *arg)
{
    struct pool *p = store->own;
    for (unsigned try = 0;; try++) {
        struct conn *c;
        TRY(conn_take(ctx, p, &c));
        struct txn txn = {.engine = &sql_postgres, .conn = c};
        bool in_commit = false;
        struct rc rc = write_once(ctx, c, &txn, fn, arg, &in_commit);
        const bool again = rc_failed(rc) && lost_race(c) && try < RETRIES_MAX;
        const bool unknown = rc_failed(rc) && in_commit && PQstatus(c->pg) != CONNECTION_OK;
        conn_give(p, c);
        if (rc_ok(rc)) {
            store->writes++;
            store->commits++;
            sql_effects_run(&txn);
            return rc;
        }
        if (unknown)
            return ctx_fail(ctx, E_DATABASE, "the connection was lost while committing: outcome unknown");
        if (!again)
            return rc;
        store->retries++;
        ctx_forget(ctx);
        usleep((useconds_t)random_below(1000ULL << (try < 6 ? try : 6)));
    }
}

static struct rc applied_check(struct ctx *ctx, struct conn *c, int64_t *newest)
{
    *newest = 0;
    PGresult *r = PQexec(c->pg, "SELECT number::text, checksum FROM schema_migration ORDER BY number");
    struct rc rc = PQresultStatus(r) == PGRES_TUPLES_OK ? RC_OK : fail(ctx, c, r, "schema_migration");
    for (int i = 0; rc_ok(rc) && i < PQntuples(r); i++) {
        int64_t number = 0;
        for (const char *s = PQgetvalue(r, i, 0); *s; s++)
            number = number * 10 + (*s - '0');
        *newest = number;
        if (number < 1 || number > (int64_t)sql_migrations_n)
            rc = ctx_fail(ctx, E_CONFLICT, "was made by a newer release (schema %lld); start that one, or restore a backup", (long long)number);
        else if (strcmp(PQgetvalue(r, i, 1), sql_migrations[number - 1].checksum))
            rc = ctx_fail(ctx, E_CONFLICT, "has another migration %lld than this release", (long long)number);
    }
    PQclear(r);
    return rc;
}

static struct rc migrate_locked(struct ctx *ctx, struct conn *c)
{
    TRY(exec(ctx, c,
             "CREATE TABLE IF NOT EXISTS schema_migration (number BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL,"
             " applied_at BIGINT NOT NULL)"));
    int64_t newest = 0;
    TRY(applied_check(ctx, c, &newest));
    for (int64_t i = newest; i < (int64_t)sql_migrations_n; i++) {
        const struct sql_migration *m = &sql_migrations[i];
        TRY(exec(ctx, c, "BEGIN"));
        struct rc rc = exec(ctx, c, m->postgres);
        if (rc_ok(rc))
            rc = exec(ctx, c,
                      arena_printf(&ctx->arena, "INSERT INTO schema_migration VALUES (%lld, '%s', '%s', extract(epoch from now())::bigint)",
                                   (long long)m->number, m->name, m->checksum));
        if (rc_ok(rc))
            rc = exec(ctx, c, "COMMIT");
        if (rc_failed(rc)) {
            PQclear(PQexec(c->pg, "ROLLBACK"));
            return rc;
        }
    }
    return RC_OK;
}

static struct rc pg_open(struct ctx *ctx, const struct store_config *config, struct store *store)
{
    struct pool *p = calloc(1, sizeof *p);
    if (!p)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the database");
    store->own = p;
    p->conninfo = strdup(config->conninfo);
    p->max = config->connections ? config->connections : 16;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->free, NULL);
    struct conn *c;
    TRY(conn_take(ctx, p, &c));
    /* Two hubs that start together: one migrates, the other finds it done. */
    struct rc rc = exec(ctx, c, "SELECT pg_advisory_lock(4049283746)");
    if (rc_ok(rc))
        rc = migrate_locked(ctx, c);
    if (PQstatus(c->pg) == CONNECTION_OK)
        PQclear(PQexec(c->pg, "SELECT pg_advisory_unlock(4049283746)"));
    conn_give(p, c);
    return rc;
}

static void pg_close(struct store *store)
{
    struct pool *p = store->own;
    if (!p)
        return;
    while (p->idle) {
        struct conn *c = p->idle;
        p->idle = c->next;
        conn_close(c);
    }
    pthread_cond_destroy(&p->free);
    pthread_mutex_destroy(&p->lock);
    free((char *)(uintptr_t)p->conninfo);
    free(p);
}

static struct rc pg_prepare_all(struct ctx *ctx, struct store *store)
{
    struct pool *p = store->own;
    struct conn *c;
    TRY(conn_take(ctx, p, &c));
    struct rc rc = RC_OK;
    for (unsigned i = 0; i < sql_queries_n && rc_ok(rc); i++)
        rc = prepare(ctx, c, i);
    conn_give(p, c);
    return rc;
}

const struct sql_engine sql_postgres = {pg_open, pg_close, pg_read, pg_write, pg_run, pg_prepare_all};
