#include "store/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"
#include "store/sql.h"

#define TABLES_MAX   500
#define PIECE        ((size_t)64 << 10)
#define ROWS_AT_ONCE "200"
#define ROW_MAX      ((size_t)64 << 20)
#define TEXT_MAX     ((size_t)1 << 20)

/* Those that belong to no column: a column's go with its table. */
#define SEQUENCES                                                                                                                  \
    "SELECT c.relname FROM pg_class c WHERE c.relnamespace = current_schema()::text::regnamespace AND c.relkind = 'S' AND NOT "    \
    "EXISTS "                                                                                                                      \
    "(SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('i', 'a')) ORDER BY " \
    "c.oid"

/* --- questions put together here */

struct table {
    const char *name;
    unsigned columns_n;
    const char *columns[SQL_COLUMNS_MAX], *types[SQL_COLUMNS_MAX];
    bool serial; /* the first column makes its own numbers */
};

static uint8_t may_be_null(enum sql_type type)
{
    return (uint8_t)(type | SQL_MAY_BE_NULL);
}

/* `columns`: a letter each, 'i' or 't'. */
static struct rc ask(struct ctx *ctx, struct txn *txn, const char *sql, const char *columns, const char *parameter, sql_row_fn *row,
                     void *arg)
{
    uint8_t types[SQL_COLUMNS_MAX], one = SQL_TEXT;
    struct sql_query q = {.name = "copy", .sqlite = sql, .columns = types, .params = &one, .params_n = parameter ? 1 : 0};
    const struct sql_value v = sql_text(parameter);
    for (; columns[q.columns_n]; q.columns_n++)
        types[q.columns_n] = may_be_null(columns[q.columns_n] == 'i' ? SQL_I64 : SQL_TEXT);
    return sql_run_text(ctx, txn, &q, &v, q.columns_n ? row : NULL, arg);
}

static struct rc run(struct ctx *ctx, struct txn *txn, const char *sql)
{
    return ask(ctx, txn, sql, "", NULL, NULL, NULL);
}

struct tables {
    struct table *v;
    size_t n;
};

static struct rc table_row(struct ctx *ctx, void *arg, const struct sql_value *row)
{
    struct tables *t = arg;
    if (t->n == TABLES_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "more than %d tables", TABLES_MAX);
    t->v[t->n++] = (struct table){.name = sql_copy_text(ctx, &row[0])};
    return RC_OK;
}

static struct rc column_row(struct ctx *ctx, void *arg, const struct sql_value *row)
{
    struct table *t = arg;
    if (t->columns_n == SQL_COLUMNS_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "%s has more than %d columns", t->name, SQL_COLUMNS_MAX);
    t->columns[t->columns_n] = sql_copy_text(ctx, &row[0]);
    t->types[t->columns_n] = sql_copy_text(ctx, &row[1]);
    t->serial |= t->columns_n == 0 && row[2].i != 0;
    t->columns_n++;
    return RC_OK;
}

static const char *quoted(struct ctx *ctx, const char *name)
{
    return arena_printf(&ctx->arena, "\"%s\"", name);
}

static struct rc pg_columns(struct ctx *ctx, struct txn *txn, struct table *t)
{
    return ask(
        ctx, txn,
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), (a.attidentity <> '')::int::bigint FROM pg_attribute a "
        "JOIN pg_class c ON c.oid = a.attrelid WHERE c.relname = $1 AND c.relnamespace = current_schema()::text::regnamespace "
        "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        "tti", t->name, column_row, t);
}

static struct rc pg_tables(struct ctx *ctx, struct txn *txn, struct tables *out)
{
    out->v = arena_array(&ctx->arena, TABLES_MAX, sizeof *out->v);
    TRY(ask(ctx, txn,
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = current_schema()::text::regnamespace AND c.relkind = 'r' "
            "ORDER BY c.oid",
            "t", NULL, table_row, out));
    for (size_t i = 0; i < out->n; i++)
        TRY(pg_columns(ctx, txn, &out->v[i]));
    return RC_OK;
}

/* How a column travels. */
static enum sql_type carried(const char *type)
{
    return str_equal(type, "bigint") ? SQL_I64 : str_equal(type, "bytea") ? SQL_BLOB : SQL_TEXT;
}

static bool is_plain(const char *type)
{
    return str_equal(type, "bigint") || str_equal(type, "bytea") || str_equal(type, "text");
}

static struct rc number_row(struct ctx *ctx, void *arg, const struct sql_value *row)
{
    (void)ctx;
    *(int64_t *)arg = row[0].i;
    return RC_OK;
}

/* --- PostgreSQL: out */

struct copying {
    const struct store_copy_to *to;
    struct store_copied *out;
    const struct table *table;
    struct buf row;
    int64_t rows, fetched;
};

static struct rc row_out(struct ctx *ctx, void *arg, const struct sql_value *row)
{
    struct copying *c = arg;
    buf_reset(&c->row);
    for (unsigned i = 0; i < c->table->columns_n; i++) {
        const struct sql_value *v = &row[i];
        buf_put_u8(&c->row, (uint8_t)v->type);
        if (v->type == SQL_I64)
            buf_put_u64(&c->row, (uint64_t)v->i);
        if (v->type == SQL_TEXT || v->type == SQL_BLOB) {
            buf_put_u32(&c->row, (uint32_t)v->b.n);
            buf_put(&c->row, v->b);
        }
    }
    TRY(buf_status(&c->row));
    c->rows++;
    c->fetched++;
    return c->to->data(ctx, c->to->arg, buf_bytes(&c->row));
}

static struct rc detail_of(struct ctx *ctx, const struct table *t, const char **out)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, TEXT_MAX);
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    for (unsigned i = 0; i < t->columns_n; i++)
        json_put_str(&j, NULL, t->columns[i]);
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

static struct rc table_out(struct ctx *ctx, struct txn *txn, struct copying *c)
{
    const struct table *t = c->table;
    uint8_t types[SQL_COLUMNS_MAX];
    struct buf b;
    const char *detail = NULL;
    buf_init_arena(&b, &ctx->arena, TEXT_MAX);
    buf_put_z(&b, "DECLARE copied NO SCROLL CURSOR FOR SELECT ");
    for (unsigned i = 0; i < t->columns_n; i++) {
        types[i] = may_be_null(carried(t->types[i]));
        buf_printf(&b, "%s\"%s\"%s", i ? ", " : "", t->columns[i], is_plain(t->types[i]) ? "" : "::text");
    }
    buf_printf(&b, " FROM \"%s\"", t->name);
    TRY(buf_status(&b));
    TRY(detail_of(ctx, t, &detail));
    TRY(run(ctx, txn, buf_z(&b)));
    TRY(c->to->section(ctx, c->to->arg, STORE_COPY_TABLE, t->name, detail));
    const struct sql_query fetch = {.name = t->name,
                                    .sqlite = "FETCH FORWARD " ROWS_AT_ONCE " FROM copied",
                                    .columns = types,
                                    .columns_n = (uint8_t)t->columns_n};
    c->rows = 0;
    do {
        c->fetched = 0;
        TRY(sql_run_text(ctx, txn, &fetch, NULL, row_out, c));
    } while (c->fetched);
    TRY(c->to->end(ctx, c->to->arg, c->rows));
    c->out->counts[c->out->n++] = (struct store_count){t->name, c->rows};
    return run(ctx, txn, "CLOSE copied");
}

/* Read after the tables: what a sequence has given since leaves a gap, never a number twice. */
static struct rc sequences_out(struct ctx *ctx, struct txn *txn, struct copying *c)
{
    struct tables names = {.v = arena_array(&ctx->arena, TABLES_MAX, sizeof *names.v)};
    TRY(ask(ctx, txn, SEQUENCES, "t", NULL, table_row, &names));
    for (size_t i = 0; i < names.n; i++) {
        int64_t last = 0;
        const char *name = names.v[i].name;
        TRY(ask(ctx, txn, arena_printf(&ctx->arena, "SELECT last_value FROM %s", quoted(ctx, name)), "i", NULL, number_row, &last));
        buf_reset(&c->row);
        buf_put_u8(&c->row, SQL_I64);
        buf_put_u64(&c->row, (uint64_t)last);
        TRY(c->to->section(ctx, c->to->arg, STORE_COPY_SEQUENCE, name, NULL));
        TRY(c->to->data(ctx, c->to->arg, buf_bytes(&c->row)));
        TRY(c->to->end(ctx, c->to->arg, 1));
    }
    return RC_OK;
}

static struct rc pg_copy_all(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct copying *c = arg;
    struct tables tables = {0};
    TRY(ask(ctx, txn, "SELECT MAX(number) FROM schema_migration", "i", NULL, number_row, &c->out->migrations));
    TRY(pg_tables(ctx, txn, &tables));
    c->out->counts = arena_array(&ctx->arena, tables.n + 1, sizeof *c->out->counts);
    for (size_t i = 0; i < tables.n; i++) {
        c->table = &tables.v[i];
        if (!str_equal(c->table->name, "schema_migration"))
            TRY(table_out(ctx, txn, c));
    }
    return sequences_out(ctx, txn, c);
}

/* --- SQLite: out */

static struct rc lite_fail(struct ctx *ctx, sqlite3 *db, const char *what)
{
    return ctx_fail(ctx, E_DATABASE, "%s: %s", what, db ? sqlite3_errmsg(db) : "no memory");
}

static struct rc lite_numbers(struct ctx *ctx, sqlite3 *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *s = NULL;
    struct rc rc = RC_OK;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK || sqlite3_step(s) != SQLITE_ROW)
        rc = lite_fail(ctx, db, sql);
    else
        *out = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return rc;
}

/* Tables of ours: those of FTS5 and of SQLite itself are left out. */
static struct rc lite_counts(struct ctx *ctx, sqlite3 *db, struct store_copied *out)
{
    sqlite3_stmt *s = NULL;
    struct rc rc = RC_OK;
    out->counts = arena_array(&ctx->arena, TABLES_MAX, sizeof *out->counts);
    if (sqlite3_prepare_v2(db,
                           "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND "
                           "name NOT LIKE 'certificate!_term%' ESCAPE '!' AND name <> 'schema_migration' ORDER BY rowid",
                           -1, &s, NULL) != SQLITE_OK)
        rc = lite_fail(ctx, db, "tables");
    while (rc_ok(rc) && sqlite3_step(s) == SQLITE_ROW && out->n < TABLES_MAX) {
        const char *name = arena_strdup(&ctx->arena, (const char *)sqlite3_column_text(s, 0));
        struct store_count *c = &out->counts[out->n++];
        c->table = name;
        rc = lite_numbers(ctx, db, arena_printf(&ctx->arena, "SELECT COUNT(*) FROM %s", quoted(ctx, name)), &c->rows);
    }
    sqlite3_finalize(s);
    return rc_ok(rc) ? lite_numbers(ctx, db, "SELECT MAX(number) FROM schema_migration", &out->migrations) : rc;
}

static struct rc lite_pages(struct ctx *ctx, const char *path, const char *scratch, struct store_copied *out)
{
    sqlite3 *from = NULL, *to = NULL;
    struct rc rc = RC_OK;
    if (sqlite3_open_v2(path, &from, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        rc = lite_fail(ctx, from, path);
    else if (sqlite3_open_v2(scratch, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        rc = lite_fail(ctx, to, scratch);
    if (rc_ok(rc)) {
        sqlite3_busy_timeout(from, 10000);
        sqlite3_exec(to, "PRAGMA synchronous=OFF", NULL, NULL, NULL);
        sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
        /* In one step: one snapshot; writers go on meanwhile, into the write-ahead log. */
        const int code = b ? sqlite3_backup_step(b, -1) : SQLITE_ERROR;
        if (!b || code != SQLITE_DONE || sqlite3_backup_finish(b) != SQLITE_OK)
            rc = code == SQLITE_FULL ? ctx_fail(ctx, E_DISK_FULL, "the disk of %s is full", scratch)
                                     : lite_fail(ctx, to, "copying the database");
    }
    if (rc_ok(rc) && sqlite3_exec(to, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL) != SQLITE_OK)
        rc = lite_fail(ctx, to, "copying the database");
    if (rc_ok(rc))
        rc = lite_counts(ctx, to, out);
    sqlite3_close_v2(to);
    sqlite3_close_v2(from);
    return rc;
}

static struct rc file_out(struct ctx *ctx, const char *path, const struct store_copy_to *to)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t piece[PIECE];
    int64_t bytes = 0;
    if (fd < 0)
        return ctx_fail_errno(ctx, "%s", path);
    struct rc rc = to->section(ctx, to->arg, STORE_COPY_FILE, "certwright.db", NULL);
    while (rc_ok(rc)) {
        const ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = ctx_fail_errno(ctx, "%s", path);
        if (n <= 0)
            break;
        rc = to->data(ctx, to->arg, bytes_of(piece, (size_t)n));
        bytes += n;
    }
    close(fd);
    return rc_ok(rc) ? to->end(ctx, to->arg, bytes) : rc;
}

static struct rc path_row(struct ctx *ctx, void *arg, const struct sql_value *row)
{
    *(const char **)arg = sql_copy_text(ctx, &row[0]);
    return RC_OK;
}

static struct rc lite_path(struct ctx *ctx, struct txn *txn, void *arg)
{
    return ask(ctx, txn, "SELECT file FROM pragma_database_list WHERE name = 'main'", "t", NULL, path_row, arg);
}

RC store_copy(struct ctx *ctx, struct store *store, const char *scratch, const struct store_copy_to *to, struct store_copied *out)
{
    *out = (struct store_copied){0};
    if (store_engine_of(store) == STORE_POSTGRES) {
        struct copying c = {.to = to, .out = out};
        buf_init_secret(&c.row, ROW_MAX);
        struct rc rc = store_read(ctx, store, pg_copy_all, &c);
        buf_free(&c.row);
        return rc;
    }
    const char *path = NULL;
    TRY(store_read(ctx, store, lite_path, &path));
    unlink(scratch);
    struct rc rc = lite_pages(ctx, path, scratch, out);
    if (rc_ok(rc))
        rc = file_out(ctx, scratch, to);
    unlink(scratch);
    return rc;
}

static struct rc pg_counts(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct store_copied *out = arg;
    struct tables tables = {0};
    TRY(pg_tables(ctx, txn, &tables));
    out->counts = arena_array(&ctx->arena, tables.n + 1, sizeof *out->counts);
    for (size_t i = 0; i < tables.n; i++) {
        struct store_count *c = &out->counts[out->n++];
        c->table = tables.v[i].name;
        TRY(ask(ctx, txn, arena_printf(&ctx->arena, "SELECT COUNT(*) FROM %s", quoted(ctx, c->table)), "i", NULL, number_row,
                &c->rows));
    }
    return RC_OK;
}

RC store_counts(struct ctx *ctx, const struct store_config *config, struct store_copied *out)
{
    *out = (struct store_copied){0};
    if (config->engine == STORE_POSTGRES) {
        struct store_config as_is = *config;
        struct store *store = NULL;
        as_is.migrations = -1;
        as_is.connections = 1;
        TRY(store_open(ctx, &as_is, &store));
        struct rc rc = store_read(ctx, store, pg_counts, out);
        store_close(store);
        return rc;
    }
    sqlite3 *db = NULL;
    if (access(config->path, F_OK))
        return RC_OK;
    struct rc rc = sqlite3_open_v2(config->path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK
                       ? lite_counts(ctx, db, out)
                       : lite_fail(ctx, db, config->path);
    sqlite3_close_v2(db);
    return rc;
}

/* --- PostgreSQL: back */

struct reference {
    const char *table, *name, *text;
};
struct store_loader {
    struct ctx *ctx; /* of store_load_begin(): what must last */
    struct txn *txn;
    struct tables tables;
    struct reference *references;
    size_t references_n, references_cap;
    struct table *now;
    unsigned order[SQL_COLUMNS_MAX]; /* of the row: which column of `now` it is */
    unsigned row_n, rows_most, rows;
    const char *rows_text; /* of as many rows as go at once */
    struct buf held;       /* rows that wait */
    struct sql_value values[SQL_PARAMS_MAX];
    uint8_t types[SQL_PARAMS_MAX];
};

static struct rc reference_row(struct ctx *ctx, void *arg, const struct sql_value *row)
{
    struct store_loader *l = arg;
    if (l->references_n == l->references_cap)
        return ctx_fail(ctx, E_TOO_LARGE, "too many references between tables");
    l->references[l->references_n++] =
        (struct reference){sql_copy_text(ctx, &row[0]), sql_copy_text(ctx, &row[1]), sql_copy_text(ctx, &row[2])};
    return RC_OK;
}

RC store_load_begin(struct ctx *ctx, struct txn *txn, struct store_loader **out)
{
    struct store_loader *l = ARENA_NEW(&ctx->arena, struct store_loader);
    *l = (struct store_loader){.ctx = ctx, .txn = txn, .references_cap = 4 * TABLES_MAX};
    l->references = arena_array(&ctx->arena, l->references_cap, sizeof *l->references);
    buf_init_arena(&l->held, &ctx->arena, 2 * ROW_MAX);
    TRY(pg_tables(ctx, txn, &l->tables));
    TRY(ask(ctx, txn,
            "SELECT t.relname, c.conname, pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid "
            "WHERE c.contype = 'f' AND c.connamespace = current_schema()::text::regnamespace",
            "ttt", NULL, reference_row, l));
    for (size_t i = 0; i < l->references_n; i++)
        TRY(run(ctx, txn,
                arena_printf(&ctx->arena, "ALTER TABLE %s DROP CONSTRAINT %s", quoted(ctx, l->references[i].table),
                             quoted(ctx, l->references[i].name))));
    for (size_t i = 0; i < l->tables.n; i++)
        if (!str_equal(l->tables.v[i].name, "schema_migration"))
            TRY(run(ctx, txn, arena_printf(&ctx->arena, "TRUNCATE %s", quoted(ctx, l->tables.v[i].name))));
    *out = l;
    return RC_OK;
}

static struct rc order_of(struct ctx *ctx, struct store_loader *l, const char *detail)
{
    json_auto_t *names = NULL;
    TRY(json_read(ctx, bytes_z(detail ? detail : ""), &names));
    if (!json_is_array(names) || !json_array_size(names) || json_array_size(names) > SQL_COLUMNS_MAX)
        return ctx_fail(ctx, E_PARSE, "the table %s of the backup has no columns", l->now->name);
    l->row_n = (unsigned)json_array_size(names);
    for (unsigned i = 0; i < l->row_n; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        unsigned k = 0;
        while (name && k < l->now->columns_n && !str_equal(l->now->columns[k], name))
            k++;
        if (!name || k == l->now->columns_n)
            return ctx_fail(ctx, E_PARSE, "the table %s has no column %s", l->now->name, name ? name : "of that kind");
        l->order[i] = k;
    }
    return RC_OK;
}

/* INSERT of so many rows. */
static const char *insert_text(struct ctx *ctx, const struct store_loader *l, unsigned rows)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, TEXT_MAX);
    buf_printf(&b, "INSERT INTO \"%s\" (", l->now->name);
    for (unsigned i = 0; i < l->row_n; i++)
        buf_printf(&b, "%s\"%s\"", i ? ", " : "", l->now->columns[l->order[i]]);
    buf_put_z(&b, ") OVERRIDING SYSTEM VALUE VALUES ");
    for (unsigned r = 0; r < rows; r++) {
        buf_put_z(&b, r ? ", (" : "(");
        for (unsigned i = 0; i < l->row_n; i++) {
            const char *type = l->now->types[l->order[i]];
            buf_printf(&b, "%s$%u%s%s", i ? ", " : "", r * l->row_n + i + 1,
                       is_plain(type) ? "" : "::text::", is_plain(type) ? "" : type);
        }
        buf_put_z(&b, ")");
    }
    return buf_z(&b);
}

RC store_load_table(struct ctx *ctx, struct store_loader *l, const char *name, const char *detail)
{
    l->now = NULL;
    for (size_t i = 0; i < l->tables.n; i++)
        if (str_equal(l->tables.v[i].name, name) && !str_equal(name, "schema_migration"))
            l->now = &l->tables.v[i];
    if (!l->now)
        return ctx_fail(ctx, E_PARSE, "the backup has a table %s, which is none of Certwright's", name);
    TRY(order_of(ctx, l, detail));
    l->rows_most = SQL_PARAMS_MAX / l->row_n;
    l->rows = 0;
    buf_reset(&l->held);
    l->rows_text = insert_text(l->ctx, l, l->rows_most);
    return RC_OK;
}

static struct rc insert(struct ctx *ctx, struct store_loader *l)
{
    struct bytes in = buf_bytes(&l->held);
    struct sql_query q = {.name = l->now->name, .params = l->types};
    unsigned n = 0;
    if (!l->rows)
        return RC_OK;
    for (; n < l->rows * l->row_n; n++) {
        uint8_t type = 0;
        uint64_t number = 0;
        uint32_t length = 0;
        struct sql_value *v = &l->values[n];
        const enum sql_type want = carried(l->now->types[l->order[n % l->row_n]]);
        *v = (struct sql_value){0};
        l->types[n] = (uint8_t)want;
        if (!bytes_take_u8(&in, &type) || (type != SQL_NULL && type != want) ||
            (type == SQL_I64 && !bytes_take_u64(&in, &number)) ||
            ((type == SQL_TEXT || type == SQL_BLOB) && (!bytes_take_u32(&in, &length) || !bytes_take(&in, length, &v->b))))
            return ctx_fail(ctx, E_PARSE, "a row of %s in the backup is none", l->now->name);
        v->type = (enum sql_type)type;
        v->i = (int64_t)number;
    }
    if (in.n)
        return ctx_fail(ctx, E_PARSE, "a row of %s in the backup is too long", l->now->name);
    q.params_n = (uint8_t)n;
    q.sqlite = l->rows == l->rows_most ? l->rows_text : insert_text(ctx, l, l->rows);
    TRY(sql_run_text(ctx, l->txn, &q, l->values, NULL, NULL));
    l->rows = 0;
    buf_reset(&l->held);
    return RC_OK;
}

RC store_load_row(struct ctx *ctx, struct store_loader *l, struct bytes row)
{
    if (!l->now)
        return ctx_fail(ctx, E_PARSE, "a row of no table");
    buf_put(&l->held, row);
    TRY(buf_status(&l->held));
    l->rows++;
    return l->rows == l->rows_most ? insert(ctx, l) : RC_OK;
}

RC store_load_table_end(struct ctx *ctx, struct store_loader *l)
{
    TRY(insert(ctx, l));
    if (l->now->serial)
        TRY(run(ctx, l->txn,
                arena_printf(
                    &ctx->arena, "SELECT setval(pg_get_serial_sequence('%s', '%s'), GREATEST((SELECT MAX(%s) FROM %s), 1))",
                    quoted(ctx, l->now->name), l->now->columns[0], quoted(ctx, l->now->columns[0]), quoted(ctx, l->now->name))));
    l->now = NULL;
    return RC_OK;
}

RC store_load_sequence(struct ctx *ctx, struct store_loader *l, const char *name, struct bytes row)
{
    struct tables names = {.v = arena_array(&ctx->arena, TABLES_MAX, sizeof *names.v)};
    uint8_t type = 0;
    uint64_t last = 0;
    TRY(ask(ctx, l->txn, SEQUENCES, "t", NULL, table_row, &names));
    for (size_t i = 0; i < names.n; i++)
        if (str_equal(names.v[i].name, name) && bytes_take_u8(&row, &type) && type == SQL_I64 && bytes_take_u64(&row, &last) &&
            !row.n)
            return run(ctx, l->txn, arena_printf(&ctx->arena, "SELECT setval('%s', %lld)", quoted(ctx, name), (long long)last));
    return ctx_fail(ctx, E_PARSE, "the backup has a sequence %s, which is none of Certwright's", name);
}

RC store_load_end(struct ctx *ctx, struct store_loader *l)
{
    for (size_t i = 0; i < l->references_n; i++)
        TRY(run(ctx, l->txn,
                arena_printf(&ctx->arena, "ALTER TABLE %s ADD CONSTRAINT %s %s", quoted(ctx, l->references[i].table),
                             quoted(ctx, l->references[i].name), l->references[i].text)));
    return RC_OK;
}

static struct rc drop_all(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct tables tables = {0};
    (void)arg;
    TRY(pg_tables(ctx, txn, &tables));
    for (size_t i = 0; i < tables.n; i++)
        TRY(run(ctx, txn, arena_printf(&ctx->arena, "DROP TABLE %s CASCADE", quoted(ctx, tables.v[i].name))));
    tables.n = 0;
    TRY(ask(ctx, txn, SEQUENCES, "t", NULL, table_row, &tables));
    for (size_t i = 0; i < tables.n; i++)
        TRY(run(ctx, txn, arena_printf(&ctx->arena, "DROP SEQUENCE %s CASCADE", quoted(ctx, tables.v[i].name))));
    return RC_OK;
}

RC store_drop_all(struct ctx *ctx, struct store *store)
{
    return store_write(ctx, store, drop_all, NULL);
}
