/* Every test of the store runs on both engines. */
#ifndef TESTS_STORE_TEST_H
#define TESTS_STORE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/ctx.h"
#include "lib/pg_server.h"
#include "store/queries.h"
#include "store/store.h"

static struct pg_server pg;

static inline int pg_up(void **state)
{
    (void)state;
    return pg_server_start(&pg) ? 0 : -1;
}

static inline int pg_down(void **state)
{
    (void)state;
    pg_server_stop(&pg);
    return 0;
}

static inline void sqlite_remove(const char *path)
{
    char name[128];
    const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

/* Runs `test` on a fresh SQLite file, then on PostgreSQL. */
static inline void on_both(void (*test)(struct ctx *, struct store *))
{
    char path[] = "/tmp/cw-store-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    const struct store_config configs[] = {{.engine = STORE_SQLITE, .path = path},
                                           {.engine = STORE_POSTGRES, .conninfo = pg.conninfo, .connections = 32}};
    for (size_t i = 0; i < 2; i++) {
        struct ctx ctx;
        ctx_init(&ctx, &clock_system);
        struct store *store = NULL;
        struct rc rc = store_open(&ctx, &configs[i], &store);
        if (rc_failed(rc))
            fail_msg("%s", ctx_why(&ctx));
        test(&ctx, store);
        store_close(store);
        ctx_free(&ctx);
    }
    sqlite_remove(path);
}

static inline void must(struct ctx *ctx, struct rc rc)
{
    if (rc_failed(rc))
        fail_msg("%s", ctx_why(ctx));
}

#endif
