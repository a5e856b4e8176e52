/* The database: SQLite by default, PostgreSQL when several hubs share one.  Queries are typed functions made from src/store/queries
 * (store/queries.h); nothing else speaks SQL.
 *
 * A write is a closure that may run again and does no I/O: SQLite runs many in one transaction, each in its savepoint (group commit);
 * PostgreSQL runs each SERIALIZABLE and again where it lost.  Effects follow the commit (txn_on_commit).  The arena of the caller's
 * ctx may be used by the closure: the caller waits meanwhile. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/ctx.h"

enum store_engine { STORE_SQLITE, STORE_POSTGRES };

struct store_config {
    enum store_engine engine;
    const char *path;      /* SQLite: the file */
    const char *conninfo;  /* PostgreSQL: libpq's connection string */
    unsigned connections;  /* SQLite: readers (4); PostgreSQL: in all (16) */
};

struct store;
struct txn;

/* store_open opens the database and brings its tables up to date.  A database of a newer release is refused; so is one whose applied
 * migrations differ from this binary's. */
RC store_open(struct ctx *ctx, const struct store_config *config, struct store **out);
void store_close(struct store *store);
enum store_engine store_engine_of(const struct store *store);

typedef struct rc store_fn(struct ctx *ctx, struct txn *txn, void *arg);

/* store_read runs `fn` on one consistent snapshot. */
RC store_read(struct ctx *ctx, struct store *store, store_fn *fn, void *arg);
/* store_write runs `fn` in a transaction and returns when it is durable, or with fn's failure and nothing changed.  E_DATABASE with
 * "outcome unknown" where the connection was lost in the commit: ids made by the caller make a second try harmless. */
RC store_write(struct ctx *ctx, struct store *store, store_fn *fn, void *arg);

/* txn_on_commit has `fn` called once the transaction is durable, on the thread that called store_write().  Not called after a failure. */
RC txn_on_commit(struct ctx *ctx, struct txn *txn, void (*fn)(void *arg), void *arg);

/* store_prepare_all prepares every query there is: for tests. */
RC store_prepare_all(struct ctx *ctx, struct store *store);

/* Counters since the start: commits are what was synced, writes what they held. */
struct store_stats {
    int64_t writes, commits, retries;
};
void store_stats(struct store *store, struct store_stats *out);

#endif
