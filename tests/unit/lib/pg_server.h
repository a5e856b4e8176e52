/* A private PostgreSQL for tests: its own folder, a Unix socket, no TCP. */
#ifndef TESTS_PG_SERVER_H
#define TESTS_PG_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

struct pg_server {
    char dir[64];
    pid_t pid;
    char conninfo[128];
};

/* pg_server_start makes and starts a cluster; false (with a word on standard error) where PostgreSQL is not installed. */
bool pg_server_start(struct pg_server *s);
/* The same with so much shared memory ("128MB"): for what is measured. */
bool pg_server_start_with(struct pg_server *s, const char *shared_buffers);
/* pg_server_sql has psql run `sql` as the owner of the cluster; false where it failed. */
bool pg_server_sql(const struct pg_server *s, const char *sql);
void pg_server_stop(struct pg_server *s);

#endif
