/* Between the generated queries and the engines.  Only store/ includes this. */
#ifndef STORE_SQL_H
#define STORE_SQL_H

#include <pthread.h>

#include "store/store.h"

enum sql_type { SQL_NULL, SQL_I64, SQL_TEXT, SQL_BLOB, SQL_OTHER };
#define SQL_MAY_BE_NULL 0x80 /* beside the type of a column */

/* As many columns and parameters as a query may have; tools/gen-sql.py sees to it. */
enum { SQL_COLUMNS_MAX = 64, SQL_PARAMS_MAX = 128 };

struct sql_value {
    enum sql_type type;
    int64_t i;
    struct bytes b;
};

static inline struct sql_value sql_i64(int64_t v)
{
    return (struct sql_value){.type = SQL_I64, .i = v};
}
static inline struct sql_value sql_i64_null(const int64_t *v)
{
    return v ? sql_i64(*v) : (struct sql_value){0};
}
static inline struct sql_value sql_text(const char *v)
{
    return (struct sql_value){.type = v ? SQL_TEXT : SQL_NULL, .b = bytes_z(v)};
}
static inline struct sql_value sql_blob(struct bytes v)
{
    return (struct sql_value){.type = SQL_BLOB, .b = v};
}
static inline struct sql_value sql_blob_null(struct bytes v)
{
    return v.n ? sql_blob(v) : (struct sql_value){0};
}

struct sql_query {
    const char *name;
    const char *sqlite, *postgres; /* postgres is NULL where it is the same but for "?1", which is "$1" there */
    const uint8_t *params;         /* enum sql_type of each */
    const uint8_t *columns;        /* the same, with SQL_MAY_BE_NULL */
    const char *column_names;      /* "id name state" */
    uint8_t params_n, columns_n;
};
extern const struct sql_query sql_queries[];
extern const unsigned sql_queries_n;

struct sql_migration {
    int64_t number;
    const char *name, *checksum;
    const char *sqlite, *postgres;
};
extern const struct sql_migration sql_migrations[];
extern const unsigned sql_migrations_n;

/* Called for each row; values are valid during the call only. */
typedef struct rc sql_row_fn(struct ctx *ctx, void *arg, const struct sql_value *row);

/* sql_run runs query `index`; `row` may be NULL; `changed` (may be NULL) gets the number of rows written. */
RC sql_run(struct ctx *ctx, struct txn *txn, unsigned index, const struct sql_value *params, sql_row_fn *row, void *arg,
           int64_t *changed);
RC sql_exactly(struct ctx *ctx, struct txn *txn, unsigned index, const struct sql_value *params);
/* sql_each runs query `index`, an INSERT, for each of `n` rows of parameters that lie behind each other. */
#define SQL_EACH_PARAMS 1024 /* of all rows, at most: tools/gen-sql.py sees to it */
RC sql_each(struct ctx *ctx, struct txn *txn, unsigned index, const struct sql_value *params, size_t n);
/* sql_run_text runs a query that was put together (store/select.c); its text is `sqlite`, whichever the engine.  A failure of `row`
 * ends it, and is returned. */
RC sql_run_text(struct ctx *ctx, struct txn *txn, const struct sql_query *q, const struct sql_value *params, sql_row_fn *row,
                void *arg);

/* For the engines.  sql_give checks that a row is what was declared, and gives it to `row`: an SQL text that gives NULL or another
 * type fails with E_BUG instead of being read as 0.  sql_closure runs `fn` and fails where it went on after a refusal
 * (txn.refused). sql_reference_error tells which side of a foreign key `q` broke.  sql_columns_check compares names, as "id name
 * state". */
RC sql_give(struct ctx *ctx, const struct sql_query *q, const struct sql_value *values, sql_row_fn *row, void *arg);
RC sql_closure(struct ctx *ctx, struct txn *txn, store_fn *fn, void *arg);
enum err sql_reference_error(const struct sql_query *q);
RC sql_columns_check(struct ctx *ctx, const struct sql_query *q, const char *names);
/* sql_migration_check looks at an applied migration; `newest` is the one before it, and becomes `number`. */
RC sql_migration_check(struct ctx *ctx, int64_t number, const char *checksum, int64_t *newest);
/* sql_wait waits for `cond` (made by sql_cond_init) until the deadline of `ctx`; then fails with E_BUSY. */
RC sql_wait(struct ctx *ctx, pthread_cond_t *cond, pthread_mutex_t *lock);
void sql_cond_init(pthread_cond_t *cond);

/* The row of a query that gives one at most. */
struct sql_one {
    void *row;
    bool found;
};
/* Rows of a query that may give many. */
struct sql_many {
    void *rows;
    size_t n, cap;
};
void *sql_many_add(struct ctx *ctx, struct sql_many *m, size_t size);
const int64_t *sql_copy_i64(struct ctx *ctx, const struct sql_value *v); /* NULL for NULL */
const char *sql_copy_text(struct ctx *ctx, const struct sql_value *v);
struct bytes sql_copy_blob(struct ctx *ctx, const struct sql_value *v);

/* An engine. */
struct sql_engine {
    RC (*open)(struct ctx *ctx, const struct store_config *config, struct store *store);
    void (*close)(struct store *store);
    RC (*read)(struct ctx *ctx, struct store *store, store_fn *fn, void *arg);
    RC (*write)(struct ctx *ctx, struct store *store, store_fn *fn, void *arg);
    RC (*run)
    (struct ctx *ctx, struct txn *txn, unsigned index, const struct sql_value *params, sql_row_fn *row, void *arg,
     int64_t *changed);
    RC (*run_text)
    (struct ctx *ctx, struct txn *txn, const struct sql_query *q, const struct sql_value *params, sql_row_fn *row, void *arg);
    RC (*prepare_all)(struct ctx *ctx, struct store *store);
    RC (*each)(struct ctx *ctx, struct txn *txn, unsigned index, const struct sql_value *params, size_t n);
    void (*bulk)(struct store *store, bool begin); /* NULL: nothing to be set up */
};
RC sql_postgres_load(struct ctx *ctx); /* of store_load() */
extern const struct sql_engine sql_sqlite, sql_postgres;

struct sql_effect {
    void (*fn)(void *arg);
    void *arg;
    struct sql_effect *next;
};

/* The head of every engine's transaction. */
struct txn {
    const struct sql_engine *engine;
    struct sql_effect *effects, **effects_end; /* in the caller's arena */
    struct rc refused;                         /* the first refusal of the engine */
    void *conn;
};
void sql_effects_run(struct txn *txn);

struct store {
    const struct sql_engine *engine;
    enum store_engine kind;
    void *own; /* the engine's */
    _Atomic int64_t writes, commits, retries;
    pthread_mutex_t trouble_lock;
    char trouble[256]; /* why the last write failed, where it was not its own fault; "" when it did not */
};

#endif
