/* PostgreSQL: a pool of connections; each write is a SERIALIZABLE transaction that runs again where it lost. */
#include <libpq-fe.h>
#include <pthread.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/failpoint.h"
#include "base/random.h"
#include "base/str.h"
#include "os/library.h"
#include "store/sql.h"

#define PQ_FUNCTIONS(X) \
    X(PQclear) \
    X(PQcmdStatus) \
    X(PQcmdTuples) \
    X(PQconnectdbParams) \
    X(PQdescribePrepared) \
    X(PQerrorMessage) \
    X(PQexec) \
    X(PQexecParams) \
    X(PQexecPrepared) \
    X(PQfinish) \
    X(PQfname) \
    X(PQftype) \
    X(PQgetisnull) \
    X(PQgetlength) \
    X(PQgetvalue) \
    X(PQnfields) \
    X(PQntuples) \
    X(PQparameterStatus) \
    X(PQprepare) \
    X(PQresultErrorField) \
    X(PQresultStatus) \
    X(PQsetNoticeReceiver) \
    X(PQstatus) \
    X(PQtransactionStatus)

/* libpq, loaded by store_load(): what is called below is in this table. */
static struct {
#define X(f) __typeof__(f) *f##_;
    PQ_FUNCTIONS(X)
#undef X
} lib;
#define PQclear lib.PQclear_
#define PQcmdStatus lib.PQcmdStatus_
#define PQcmdTuples lib.PQcmdTuples_
#define PQconnectdbParams lib.PQconnectdbParams_
#define PQdescribePrepared lib.PQdescribePrepared_
#define PQerrorMessage lib.PQerrorMessage_
#define PQexec lib.PQexec_
#define PQexecParams lib.PQexecParams_
#define PQexecPrepared lib.PQexecPrepared_
#define PQfinish lib.PQfinish_
#define PQfname lib.PQfname_
#define PQftype lib.PQftype_
#define PQgetisnull lib.PQgetisnull_
#define PQgetlength lib.PQgetlength_
#define PQgetvalue lib.PQgetvalue_
#define PQnfields lib.PQnfields_
#define PQntuples lib.PQntuples_
#define PQparameterStatus lib.PQparameterStatus_
#define PQprepare lib.PQprepare_
#define PQresultErrorField lib.PQresultErrorField_
#define PQresultStatus lib.PQresultStatus_
#define PQsetNoticeReceiver lib.PQsetNoticeReceiver_
#define PQstatus lib.PQstatus_
#define PQtransactionStatus lib.PQtransactionStatus_

#define RETRIES_MAX    20
#define EACH_BYTES_MAX ((size_t)512 << 20)
/* Of pg_type.dat. */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_NAME = 19,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_BYTEA_ARRAY = 1001,
    OID_TEXT_ARRAY = 1009,
    OID_INT8_ARRAY = 1016,
    OID_VARCHAR = 1043
};

struct conn {
    PGconn *pg;
    bool *prepared; /* by index of the query; the second half: as pg_each() has it */
    struct conn *next;
    char sqlstate[6]; /* of the first failure of the transaction */
};

struct pool {
    const char *conninfo;
    pthread_mutex_t lock;
    pthread_cond_t free;
    struct conn *idle;
    unsigned made, max;
    pthread_key_t writing; /* not NULL on a thread that runs a write closure */
};

/* `q` may be NULL. */
static enum err err_of(const struct conn *c, const char *sqlstate, const struct sql_query *q)
{
    static const struct {
        const char *state;
        enum err e;
    } rows[] = {{"22021", E_INVALID},     {"23505", E_EXISTS},      {"40001", E_BUSY},       {"40P01", E_BUSY},
                {"53100", E_DISK_FULL},   {"53200", E_NO_MEMORY},   {"53300", E_BUSY},       {"55P03", E_BUSY},
                {"57P01", E_UNREACHABLE}, {"57P02", E_UNREACHABLE}, {"57P03", E_UNREACHABLE}};
    if (PQstatus(c->pg) != CONNECTION_OK)
        return E_UNREACHABLE;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].state, sqlstate))
            return rows[i].e;
    if (!strcmp(sqlstate, "23503") && q)
        return sql_reference_error(q);
    return !strncmp(sqlstate, "23", 2) ? E_CONFLICT : E_DATABASE;
}

/* The server's words without the newline at their end: the primary message alone, since the detail holds values of parameters. */
static struct rc fail_query(struct ctx *ctx, struct conn *c, const PGresult *r, const char *what, const struct sql_query *q)
{
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    const char *words = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    if (!c->sqlstate[0])
        snprintf(c->sqlstate, sizeof c->sqlstate, "%s", state ? state : "");
    struct bytes text = bytes_z(words ? words : PQerrorMessage(c->pg));
    while (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    return ctx_fail(ctx, err_of(c, state ? state : "", q), "%s: %s", what, arena_str(&ctx->arena, text));
}

static struct rc fail(struct ctx *ctx, struct conn *c, const PGresult *r, const char *what)
{
    return fail_query(ctx, c, r, what, NULL);
}

/* A query failed: the server ends the transaction, whatever its closure says. */
static struct rc refuse(struct txn *txn, struct rc rc)
{
    if (rc_ok(txn->refused))
        txn->refused = rc;
    return rc;
}

static struct rc exec(struct ctx *ctx, struct conn *c, const char *sql)
{
    PGresult *r = PQexec(c->pg, sql);
    const ExecStatusType status = PQresultStatus(r);
    struct rc rc = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? RC_OK : fail(ctx, c, r, "the database refused");
    /* A COMMIT of a transaction that failed is answered with a friendly ROLLBACK. */
    if (rc_ok(rc) && !strcmp(sql, "COMMIT") && strcmp(PQcmdStatus(r), "COMMIT"))
        rc = ctx_fail(ctx, E_DATABASE, "the database rolled back instead of committing");
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
    if (!c || !(c->prepared = calloc(2 * sql_queries_n + 1, sizeof *c->prepared))) {
        free(c);
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for a database connection");
    }
    /* What comes later wins: these hold where the connection string says nothing.  A server that went away without a word must not
     * hold a worker for hours. */
    static const char *const words[] = {"connect_timeout", "tcp_user_timeout", "fallback_application_name",
                                        "dbname",          "client_encoding",  NULL};
    const char *const values[] = {"10", "30000", "certwright", conninfo, "UTF8", NULL};
    c->pg = PQconnectdbParams(words, values, 1);
    if (PQstatus(c->pg) != CONNECTION_OK) {
        struct rc rc = fail(ctx, c, NULL, "cannot be reached");
        conn_close(c);
        return rc;
    }
    const char *encoding = PQparameterStatus(c->pg, "server_encoding");
    if (!encoding || strcmp(encoding, "UTF8")) {
        struct rc rc = ctx_fail(ctx, E_UNSUPPORTED, "has the encoding %s; make it anew with ENCODING 'UTF8'",
                                encoding ? encoding : "of no name");
        conn_close(c);
        return rc;
    }
    PQsetNoticeReceiver(c->pg, notice_drop, NULL);
    /* No question here runs long enough to be worth compiling, and one whose cost is guessed too high took ten times as long for
     * it. */
    PQclear(PQexec(c->pg, "SET jit = off"));
    *out = c;
    return RC_OK;
}

static struct rc conn_take(struct ctx *ctx, struct pool *p, struct conn **out, bool *fresh)
{
    pthread_mutex_lock(&p->lock);
    struct rc rc = RC_OK;
    while (rc_ok(rc) && !p->idle && p->made >= p->max)
        rc = sql_wait(ctx, &p->free, &p->lock);
    if (rc_failed(rc)) {
        pthread_cond_signal(&p->free); /* a wakeup that came with the deadline is another's */
        pthread_mutex_unlock(&p->lock);
        return rc;
    }
    *out = p->idle;
    *fresh = !*out;
    if (*fresh)
        p->made++;
    else
        p->idle = (*out)->next;
    pthread_mutex_unlock(&p->lock);
    if (*fresh)
        rc = conn_open(ctx, p->conninfo, out);
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

/* Begins a transaction with `begin`.  Connections that waited in the pool while the server went away are dropped; the error of a
 * fresh one is the caller's. */
static struct rc begin_on(struct ctx *ctx, struct pool *p, const char *begin, struct conn **out)
{
    for (;;) {
        bool fresh = false;
        TRY(conn_take(ctx, p, out, &fresh));
        (*out)->sqlstate[0] = 0;
        PGresult *r = PQexec((*out)->pg, begin);
        const bool begun = PQresultStatus(r) == PGRES_COMMAND_OK;
        const bool lost = PQstatus((*out)->pg) != CONNECTION_OK;
        struct rc rc = begun || (lost && !fresh) ? RC_OK : fail(ctx, *out, r, "the database refused");
        PQclear(r);
        if (begun)
            return RC_OK;
        conn_give(p, *out);
        TRY(rc);
    }
}

static const char *name_of(char *text, size_t size, unsigned index)
{
    snprintf(text, size, "q%u", index);
    return text;
}

static const Oid parameter_oids[] = {[SQL_I64] = OID_INT8, [SQL_TEXT] = OID_TEXT, [SQL_BLOB] = OID_BYTEA};
static const Oid array_oids[] = {[SQL_I64] = OID_INT8_ARRAY, [SQL_TEXT] = OID_TEXT_ARRAY, [SQL_BLOB] = OID_BYTEA_ARRAY};

static const char *text_of(struct ctx *ctx, const struct sql_query *q)
{
    if (q->postgres)
        return q->postgres;
    char *text = arena_strdup(&ctx->arena, q->sqlite);
    for (char *p = text; (p = strchr(p, '?')); p++)
        if (p[1] >= '0' && p[1] <= '9')
            *p = '$';
    return text;
}

static struct rc prepare(struct ctx *ctx, struct conn *c, unsigned index)
{
    const struct sql_query *q = &sql_queries[index];
    if (c->prepared[index])
        return RC_OK;
    Oid types[SQL_PARAMS_MAX];
    for (unsigned i = 0; i < q->params_n; i++)
        types[i] = parameter_oids[q->params[i]];
    char name[16];
    PGresult *r = PQprepare(c->pg, name_of(name, sizeof name, index), text_of(ctx, q), q->params_n, types);
    struct rc rc = PQresultStatus(r) == PGRES_COMMAND_OK ? RC_OK : fail_query(ctx, c, r, q->name, q);
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

static enum sql_type type_of(Oid oid)
{
    switch (oid) {
    case OID_BOOL:
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
        return SQL_I64;
    case OID_BYTEA:
        return SQL_BLOB;
    case OID_TEXT:
    case OID_VARCHAR:
    case OID_NAME:
        return SQL_TEXT;
    default: /* numeric, as of sum(): to be cast in the query */
        return SQL_OTHER;
    }
}

static void column(const PGresult *r, int row, int i, struct sql_value *v)
{
    const int n = PQgetlength(r, row, i);
    const char *p = PQgetvalue(r, row, i);
    *v = (struct sql_value){0};
    if (PQgetisnull(r, row, i))
        return;
    v->type = type_of(PQftype(r, i));
    if (v->type == SQL_I64)
        v->i = read_number(p, n);
    else
        v->b = bytes_of(p, (size_t)n);
}

static struct rc rows_read(struct ctx *ctx, const PGresult *r, const struct sql_query *q, sql_row_fn *row, void *arg)
{
    if (PQnfields(r) != q->columns_n)
        return ctx_fail(ctx, E_BUG, "%s gives %d columns, not %d", q->name, PQnfields(r), q->columns_n);
    for (int k = 0; k < PQntuples(r); k++) {
        struct sql_value values[SQL_COLUMNS_MAX];
        for (int i = 0; i < q->columns_n; i++)
            column(r, k, i, &values[i]);
        TRY(sql_give(ctx, q, values, row, arg));
    }
    return RC_OK;
}

/* Parameters as libpq takes them. */
struct bound {
    const char *values[SQL_PARAMS_MAX];
    int lengths[SQL_PARAMS_MAX], formats[SQL_PARAMS_MAX];
    uint8_t numbers[SQL_PARAMS_MAX][8];
};

static void bind(const struct sql_query *q, const struct sql_value *params, struct bound *b)
{
    for (unsigned i = 0; i < q->params_n; i++) {
        b->formats[i] = 1;
        b->lengths[i] = (int)params[i].b.n;
        b->values[i] = params[i].type == SQL_NULL ? NULL : params[i].b.n ? (const char *)params[i].b.p : "";
        if (params[i].type != SQL_I64)
            continue;
        for (int k = 0; k < 8; k++)
            b->numbers[i][k] = (uint8_t)((uint64_t)params[i].i >> (56 - 8 * k));
        b->values[i] = (const char *)b->numbers[i];
        b->lengths[i] = 8;
    }
}

static struct rc answered(struct ctx *ctx, struct txn *txn, const PGresult *r, const struct sql_query *q, sql_row_fn *row,
                          void *arg)
{
    const ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        return refuse(txn, fail_query(ctx, txn->conn, r, q->name, q));
    return row ? rows_read(ctx, r, q, row, arg) : RC_OK;
}

static struct rc pg_run(struct ctx *ctx, struct txn *txn, unsigned index, const struct sql_value *params, sql_row_fn *row,
                        void *arg, int64_t *changed)
{
    struct conn *c = txn->conn;
    const struct sql_query *q = &sql_queries[index];
    struct rc prepared = prepare(ctx, c, index);
    if (rc_failed(prepared))
        return refuse(txn, prepared);
    struct bound b;
    bind(q, params, &b);
    char name[16];
    PGresult *r = PQexecPrepared(c->pg, name_of(name, sizeof name, index), q->params_n, b.values, b.lengths, b.formats, 1);
    struct rc rc = answered(ctx, txn, r, q, row, arg);
    if (changed) {
        uint64_t n = 0;
        for (const char *s = PQcmdTuples(r); *s; s++)
            n = n * 10 + (uint64_t)(*s - '0');
        *changed = (int64_t)n;
    }
    PQclear(r);
    return rc;
}

/* "INSERT INTO t (…) VALUES ($1, f($2)) …" becomes "INSERT INTO t (…) SELECT r.p1, f(r.p2) FROM unnest($1, $2) AS r (p1, p2) …".
 * One parameter holds a column of all rows, however many: no statement of its own for each number of them, and the server makes one
 * plan of one row's length. */
static struct rc each_text(struct ctx *ctx, const struct sql_query *q, const char **out)
{
    const char *text = text_of(ctx, q), *values = strstr(text, "VALUES ("), *end = values;
    struct buf b;
    int depth = 0;
    if (!values)
        return ctx_fail(ctx, E_BUG, "%s inserts no values", q->name);
    for (end = values += strlen("VALUES "); *end && (depth += *end == '(', depth -= *end == ')', depth); end++)
        ;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    buf_put(&b, bytes_of(text, (size_t)(values - text) - strlen("VALUES ")));
    buf_put_z(&b, "SELECT ");
    for (const char *p = values + 1; p < end; p++)
        buf_put_z(&b, *p == '$' ? "r.p" : (char[]){*p, 0});
    buf_put_z(&b, " FROM unnest(");
    for (unsigned i = 1; i <= q->params_n; i++)
        buf_printf(&b, "%s$%u", i > 1 ? ", " : "", i);
    buf_put_z(&b, ") AS r (");
    for (unsigned i = 1; i <= q->params_n; i++)
        buf_printf(&b, "%sp%u", i > 1 ? ", " : "", i);
    buf_put_u8(&b, ')');
    buf_put_z(&b, end + 1);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

static struct rc each_prepare(struct ctx *ctx, struct conn *c, unsigned index, const char *name)
{
    const struct sql_query *q = &sql_queries[index];
    Oid types[SQL_PARAMS_MAX];
    const char *text = NULL;
    if (c->prepared[sql_queries_n + index])
        return RC_OK;
    TRY(each_text(ctx, q, &text));
    for (unsigned i = 0; i < q->params_n; i++)
        types[i] = array_oids[q->params[i]];
    PGresult *r = PQprepare(c->pg, name, text, q->params_n, types);
    struct rc rc = PQresultStatus(r) == PGRES_COMMAND_OK ? RC_OK : fail_query(ctx, c, r, q->name, q);
    PQclear(r);
    c->prepared[sql_queries_n + index] = rc_ok(rc);
    return rc;
}

/* A column of `n` rows as the server takes arrays: `v` is its value in the first row, the next one lies `step` behind. */
static void put_array(struct buf *b, Oid element, const struct sql_value *v, size_t step, size_t n)
{
    bool nulls = false;
    for (size_t i = 0; i < n; i++)
        nulls |= v[i * step].type == SQL_NULL;
    buf_put_u32(b, 1); /* dimensions */
    buf_put_u32(b, nulls);
    buf_put_u32(b, element);
    buf_put_u32(b, (uint32_t)n);
    buf_put_u32(b, 1); /* the first index */
    for (size_t i = 0; i < n; i++, v += step) {
        const bool number = v->type == SQL_I64;
        buf_put_u32(b, v->type == SQL_NULL ? UINT32_MAX : number ? 8 : (uint32_t)v->b.n);
        if (number)
            buf_put_u64(b, (uint64_t)v->i);
        else if (v->type != SQL_NULL)
            buf_put(b, v->b);
    }
}

static struct rc pg_each(struct ctx *ctx, struct txn *txn, unsigned index, const struct sql_value *params, size_t n)
{
    struct conn *c = txn->conn;
    const struct sql_query *q = &sql_queries[index];
    const char *values[SQL_PARAMS_MAX];
    size_t begins[SQL_PARAMS_MAX + 1] = {0};
    int lengths[SQL_PARAMS_MAX], formats[SQL_PARAMS_MAX];
    struct buf BUF_CLEANUP arrays;
    buf_init(&arrays, EACH_BYTES_MAX);
    for (unsigned i = 0; i < q->params_n; i++) {
        put_array(&arrays, parameter_oids[q->params[i]], params + i, q->params_n, n);
        begins[i + 1] = arrays.n;
    }
    TRY(buf_status(&arrays));
    for (unsigned i = 0; i < q->params_n; i++) {
        values[i] = (const char *)arrays.p + begins[i];
        lengths[i] = (int)(begins[i + 1] - begins[i]);
        formats[i] = 1;
    }
    char name[24];
    snprintf(name, sizeof name, "e%u", index);
    struct rc prepared = each_prepare(ctx, c, index, name);
    if (rc_failed(prepared))
        return refuse(txn, prepared);
    PGresult *r = PQexecPrepared(c->pg, name, q->params_n, values, lengths, formats, 1);
    struct rc rc = answered(ctx, txn, r, q, NULL, NULL);
    PQclear(r);
    return rc;
}

static struct rc pg_run_text(struct ctx *ctx, struct txn *txn, const struct sql_query *q, const struct sql_value *params,
                             sql_row_fn *row, void *arg)
{
    struct conn *c = txn->conn;
    struct bound b;
    Oid types[SQL_PARAMS_MAX];
    bind(q, params, &b);
    for (unsigned i = 0; i < q->params_n; i++)
        types[i] = parameter_oids[q->params[i]];
    PGresult *r = PQexecParams(c->pg, q->sqlite, q->params_n, types, b.values, b.lengths, b.formats, 1);
    struct rc rc = answered(ctx, txn, r, q, row, arg);
    PQclear(r);
    return rc;
}

static struct rc pg_read(struct ctx *ctx, struct store *store, store_fn *fn, void *arg)
{
    struct pool *p = store->own;
    struct conn *c;
    TRY(begin_on(ctx, p, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", &c));
    struct txn txn = {.engine = &sql_postgres, .conn = c};
    struct rc rc = fn(ctx, &txn, arg);
    PQclear(PQexec(c->pg, "ROLLBACK"));
    conn_give(p, c);
    return rc;
}

static struct rc commit(struct ctx *ctx, struct conn *c, bool *in_commit)
{
    FAILPOINT_ERROR(ctx, "store.before_commit");
    *in_commit = true;
    TRY(exec(ctx, c, "COMMIT"));
    FAILPOINT("store.after_commit");
    return RC_OK;
}

static struct rc write_once(struct ctx *ctx, struct conn *c, struct txn *txn, store_fn *fn, void *arg, bool *in_commit)
{
    struct rc rc = sql_closure(ctx, txn, fn, arg);
    if (rc_ok(rc))
        rc = commit(ctx, c, in_commit);
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
    if (pthread_getspecific(p->writing))
        return ctx_fail(ctx, E_BUG, "a write inside of a write");
    for (unsigned try = 0;; try++) {
        struct conn *c;
        TRY(begin_on(ctx, p, "BEGIN ISOLATION LEVEL SERIALIZABLE", &c));
        struct txn txn = {.engine = &sql_postgres, .conn = c};
        bool in_commit = false;
        pthread_setspecific(p->writing, p);
        struct rc rc = write_once(ctx, c, &txn, fn, arg, &in_commit);
        pthread_setspecific(p->writing, NULL);
        const bool again = rc_failed(rc) && lost_race(c) && try < RETRIES_MAX && ctx_left_ms(ctx, 1) > 0;
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
    PGresult *r = PQexec(c->pg, "SELECT number::text, checksum FROM schema_migration m ORDER BY m.number");
    struct rc rc = PQresultStatus(r) == PGRES_TUPLES_OK ? RC_OK : fail(ctx, c, r, "schema_migration");
    for (int i = 0; rc_ok(rc) && i < PQntuples(r); i++) {
        int64_t number = 0; /* stays 0, and is refused, where it is none */
        (void)!str_to_i64(bytes_z(PQgetvalue(r, i, 0)), &number);
        rc = sql_migration_check(ctx, number, PQgetvalue(r, i, 1), newest);
    }
    PQclear(r);
    return rc;
}

static struct rc migrate_locked(struct ctx *ctx, struct conn *c, int64_t most)
{
    if (most < 0)
        return RC_OK;
    if (most == 0 || most > (int64_t)sql_migrations_n)
        most = (int64_t)sql_migrations_n;
    TRY(exec(ctx, c,
             "CREATE TABLE IF NOT EXISTS schema_migration (number BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL,"
             " applied_at BIGINT NOT NULL)"));
    int64_t newest = 0;
    TRY(applied_check(ctx, c, &newest));
    for (int64_t i = newest; i < most; i++) {
        const struct sql_migration *m = &sql_migrations[i];
        TRY(exec(ctx, c, "BEGIN"));
        struct rc rc = exec(ctx, c, m->postgres);
        if (rc_ok(rc))
            rc = exec(ctx, c,
                      arena_printf(&ctx->arena, "INSERT INTO schema_migration VALUES (%lld, '%s', '%s', %lld)",
                                   (long long)m->number, m->name, m->checksum, (long long)ctx_now_s(ctx)));
        if (rc_ok(rc))
            rc = exec(ctx, c, "COMMIT");
        if (rc_failed(rc)) {
            PQclear(PQexec(c->pg, "ROLLBACK"));
            return ctx_wrap(ctx, rc, "migration %s", m->name);
        }
    }
    return RC_OK;
}

RC sql_postgres_load(struct ctx *ctx)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool loaded;
    static const struct library_function functions[] = {
#define X(f) {#f, (void **)&lib.f##_},
        PQ_FUNCTIONS(X)
#undef X
    };
    pthread_mutex_lock(&lock);
    struct rc rc = loaded ? RC_OK : library_load(ctx, "libpq.so.5", "libpq5", functions, sizeof functions / sizeof *functions);
    loaded = rc_ok(rc);
    pthread_mutex_unlock(&lock);
    return rc;
}

static struct rc pg_open(struct ctx *ctx, const struct store_config *config, struct store *store)
{
    TRY(sql_postgres_load(ctx));
    struct pool *p = calloc(1, sizeof *p);
    if (!p || pthread_key_create(&p->writing, NULL)) {
        free(p);
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the database");
    }
    store->own = p;
    p->conninfo = strdup(config->conninfo);
    p->max = config->connections ? config->connections : 16;
    pthread_mutex_init(&p->lock, NULL);
    sql_cond_init(&p->free);
    struct conn *c;
    bool fresh = false;
    TRY(conn_take(ctx, p, &c, &fresh));
    /* Two hubs that start together: one migrates, the other finds it done. */
    struct rc rc = exec(ctx, c, "SELECT pg_advisory_lock(4049283746)");
    if (rc_ok(rc))
        rc = migrate_locked(ctx, c, config->migrations);
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
    pthread_key_delete(p->writing);
    pthread_cond_destroy(&p->free);
    pthread_mutex_destroy(&p->lock);
    free((char *)(uintptr_t)p->conninfo);
    free(p);
}

/* Compares the columns of query `index`, which is prepared, with what was declared. */
static struct rc columns_check(struct ctx *ctx, struct conn *c, unsigned index)
{
    const struct sql_query *q = &sql_queries[index];
    char name[16];
    PGresult *r = PQdescribePrepared(c->pg, name_of(name, sizeof name, index));
    struct rc rc = PQresultStatus(r) == PGRES_COMMAND_OK ? RC_OK : fail(ctx, c, r, q->name);
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 4096);
    for (int i = 0; rc_ok(rc) && i < PQnfields(r); i++) {
        buf_put_z(&b, i ? " " : "");
        buf_put_z(&b, PQfname(r, i));
    }
    if (rc_ok(rc))
        rc = sql_columns_check(ctx, q, buf_z(&b));
    for (int i = 0; rc_ok(rc) && i < q->columns_n; i++)
        if (type_of(PQftype(r, i)) != (q->columns[i] & ~SQL_MAY_BE_NULL))
            rc = ctx_fail(ctx, E_BUG, "query %s: column %s is of type %u, not as declared", q->name, PQfname(r, i), PQftype(r, i));
    PQclear(r);
    return rc;
}

static struct rc pg_prepare_all(struct ctx *ctx, struct store *store)
{
    struct pool *p = store->own;
    struct conn *c;
    bool fresh = false;
    TRY(conn_take(ctx, p, &c, &fresh));
    struct rc rc = RC_OK;
    for (unsigned i = 0; i < sql_queries_n && rc_ok(rc); i++) {
        rc = prepare(ctx, c, i);
        if (rc_ok(rc))
            rc = columns_check(ctx, c, i);
    }
    conn_give(p, c);
    return rc;
}

const struct sql_engine sql_postgres = {pg_open, pg_close, pg_read, pg_write, pg_run, pg_run_text, pg_prepare_all, pg_each, NULL};
