/* A bench of the domain on a fresh SQLite file for each of its sizes, and on PostgreSQL for the last. */
#ifndef TESTS_ON_ENGINES_H
#define TESTS_ON_ENGINES_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/ctx.h"
#include "lib/pg_server.h"
#include "store/store.h"

typedef struct rc bench_fn(struct ctx *ctx, const struct store_config *config, size_t size);

static inline int on_engines(const char *name, bench_fn *run, const size_t *sizes, size_t n)
{
    struct pg_server pg;
    int failed = 0;
    const bool postgres = pg_server_start(&pg);
    for (size_t i = 0; i < n + postgres; i++) {
        char path[] = "/tmp/cw-bench-XXXXXX";
        const int fd = mkstemp(path);
        if (fd >= 0)
            close(fd);
        CTX_CLEANUP struct ctx ctx;
        ctx_init(&ctx, &clock_system);
        const struct store_config sqlite = {.engine = STORE_SQLITE, .path = path},
                                  server = {.engine = STORE_POSTGRES, .conninfo = pg.conninfo, .connections = 2};
        struct rc rc = run(&ctx, i < n ? &sqlite : &server, sizes[i < n ? i : n - 1]);
        if (rc_failed(rc)) {
            fprintf(stderr, "%s: %s\n", name, ctx_why(&ctx));
            failed = 1;
        }
        unlink(path);
        unlink(arena_printf(&ctx.arena, "%s-wal", path));
        unlink(arena_printf(&ctx.arena, "%s-shm", path));
    }
    if (postgres)
        pg_server_stop(&pg);
    return failed;
}

#endif
