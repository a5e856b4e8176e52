/* The database: SQLite by default, PostgreSQL when several hubs share one.  Queries are typed functions made from src/store/queries
 * (store/queries.h); nothing else speaks SQL.
 *
 * A write is a closure that may run again and does no I/O: SQLite runs many in one transaction, each in its savepoint (group
 * commit); PostgreSQL runs each SERIALIZABLE and again where it lost.  Effects follow the commit (txn_on_commit).  The arena of the
 * caller's ctx may be used by the closure: the caller waits meanwhile.
 *
 * Once the engine refused a query (E_EXISTS, E_IN_USE, …) the closure must end with a failure: on either engine what it wrote can
 * no longer be committed, and one that goes on and succeeds fails with E_BUG.  E_NOT_FOUND and E_CHANGED are no refusals: it may go
 * on.
 *
 * Errors: E_EXISTS a unique key is there; E_NOT_FOUND an INSERT names a row that is not there; E_IN_USE a DELETE of a row that
 * others name; E_CONFLICT another rule of the tables; E_DISK_FULL; E_BUSY too many at once, try again; E_UNREACHABLE the connection
 * was lost, nothing was written.  The trail names the query, never the value of a parameter. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/ctx.h"

enum store_engine { STORE_SQLITE, STORE_POSTGRES };

struct store_config {
    enum store_engine engine;
    const char *path;     /* SQLite: the file */
    const char *conninfo; /* PostgreSQL: libpq's connection string */
    unsigned connections; /* SQLite: readers (4); PostgreSQL: in all (16) */
    int64_t migrations;   /* PostgreSQL: bring the tables to this migration; 0: to the newest; less: leave them as they are */
};

struct store;
struct txn;

/* store_load loads what the engine needs: a role calls it before it enters its sandbox.  Elsewhere store_open() does. */
RC store_load(struct ctx *ctx, enum store_engine engine);
/* store_open opens the database and brings its tables up to date.  A database of a newer release is refused; so is one whose
 * applied migrations differ from this binary's. */
RC store_open(struct ctx *ctx, const struct store_config *config, struct store **out);
void store_close(struct store *store);
enum store_engine store_engine_of(const struct store *store);

typedef struct rc store_fn(struct ctx *ctx, struct txn *txn, void *arg);

/* store_read runs `fn` on one consistent snapshot. */
RC store_read(struct ctx *ctx, struct store *store, store_fn *fn, void *arg);
/* store_write runs `fn` in a transaction and returns when it is durable, or with fn's failure and nothing changed.  E_DATABASE with
 * "outcome unknown" where the connection was lost in the commit: ids made by the caller make a second try harmless.  Not from
 * inside a write's closure, which would wait for itself: refused on either engine (E_BUG). */
RC store_write(struct ctx *ctx, struct store *store, store_fn *fn, void *arg);

/* txn_on_commit has `fn` called once the transaction is durable, on the thread that called store_write(), in the order of the
 * calls. Not called after a failure, nor by store_read(). */
RC txn_on_commit(struct ctx *ctx, struct txn *txn, void (*fn)(void *arg), void *arg);

/* store_bulk says that millions of rows are going to be written (`begin`), or were: meanwhile SQLite's writer takes more memory,
 * and for seconds more closures into one transaction, which others wait for.  Calls pair. */
void store_bulk(struct store *store, bool begin);

/* store_trouble says why the last write failed for want of resources (a full disk, no database); NULL when it did not.  A write
 * that failed of its own fault changes nothing here. */
const char *store_trouble(struct ctx *ctx, struct store *store);

/* store_prepare_all prepares every query there is and compares the names of its columns, and on PostgreSQL their types, with what
 * was declared: for tests. */
RC store_prepare_all(struct ctx *ctx, struct store *store);

/* Counters since the start: commits are what was synced, writes the closures they held, retries those that ran again. */
struct store_stats {
    int64_t writes, commits, retries;
};
void store_stats(struct store *store, struct store_stats *out);

#endif
