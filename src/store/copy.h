/* A copy of the whole database, as it was at one moment, while it is in use; and the way back.
 *
 * SQLite: a copy of its file, page by page.  PostgreSQL: every table of the schema, row by row, of one REPEATABLE READ snapshot.
 * The one is not brought into the other: full-text terms are a table of SQLite's own kind there, and an array with a GIN index
 * here.
 *
 * A row is its columns in their order, each: 0 (NULL) | 1 and a number (8 bytes) | 2 and text | 3 and bytes, with a length (4) in
 * front. Columns of other types (arrays) travel as the text that PostgreSQL makes of them. */
#ifndef STORE_COPY_H
#define STORE_COPY_H

#include "store/store.h"

#define STORE_COPY_FILE     "sqlite" /* kinds of sections */
#define STORE_COPY_TABLE    "table"
#define STORE_COPY_SEQUENCE "sequence" /* one row of one column: the last number that was given */

struct store_copy_to {
    void *arg;
    RC (*section)(struct ctx *ctx, void *arg, const char *kind, const char *name, const char *detail);
    RC (*data)(struct ctx *ctx, void *arg, struct bytes data); /* a piece of the file, or a row */
    RC (*end)(struct ctx *ctx, void *arg, int64_t count);
};
struct store_count {
    const char *table;
    int64_t rows;
};
struct store_copied {
    int64_t migrations; /* the newest that was applied */
    struct store_count *counts;
    size_t n;
};

/* store_copy: SQLite's goes by way of the file `scratch`, made and removed. */
RC store_copy(struct ctx *ctx, struct store *store, const char *scratch, const struct store_copy_to *to, struct store_copied *out);

/* store_counts counts what a database holds without changing anything in it, not even its tables; n is 0 where there is none. */
RC store_counts(struct ctx *ctx, const struct store_config *config, struct store_copied *out);

/* --- PostgreSQL, the way back: within one write.  store_load_begin empties the tables and lets references be; store_load_table and
 * _row fill them; store_load_end says that references hold again (E_CONFLICT where they do not), and where ids go on. */
struct store_loader;
RC store_load_begin(struct ctx *ctx, struct txn *txn, struct store_loader **out); /* in the arena of `ctx` */
RC store_load_table(struct ctx *ctx, struct store_loader *l, const char *name, const char *detail);
RC store_load_row(struct ctx *ctx, struct store_loader *l, struct bytes row);
RC store_load_table_end(struct ctx *ctx, struct store_loader *l);
RC store_load_sequence(struct ctx *ctx, struct store_loader *l, const char *name, struct bytes row);
RC store_load_end(struct ctx *ctx, struct store_loader *l);
/* store_drop_all takes away every table of the schema. */
RC store_drop_all(struct ctx *ctx, struct store *store);

#endif
