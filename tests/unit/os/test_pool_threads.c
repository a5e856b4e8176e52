/* The worker pool. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <unistd.h>

#include "os/pool.h"

static void add_one(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void wait_for(void *arg)
{
    while (!atomic_load((atomic_bool *)arg))
        usleep(1000);
}

static void all_that_was_taken_is_done(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct pool *p;
    assert_true(rc_ok(pool_new(&ctx, 4, 10000, 0, &p)));
    atomic_int n = 0;
    for (int i = 0; i < 5000; i++)
        assert_true(pool_submit(p, add_one, &n));
    assert_true(pool_drain(p, 20000));
    assert_int_equal(atomic_load(&n), 5000);
    assert_false(pool_submit(p, add_one, &n));
    pool_free(p);
}

static void a_full_queue_refuses_and_a_drain_gives_up_in_time(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct pool *p;
    assert_true(rc_ok(pool_new(&ctx, 1, 2, 0, &p)));
    atomic_bool go = false;
    atomic_int n = 0;
    assert_true(pool_submit(p, wait_for, &go));
    while (!pool_busy(p))
        usleep(1000);
    assert_true(pool_submit(p, add_one, &n));
    assert_true(pool_submit(p, add_one, &n));
    assert_false(pool_submit(p, add_one, &n));
    assert_int_equal(pool_waiting(p), 2);
    assert_false(pool_drain(p, 20));
    atomic_store(&go, true);
    pool_free(p);
    assert_int_equal(atomic_load(&n), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_was_taken_is_done),
        cmocka_unit_test(a_full_queue_refuses_and_a_drain_gives_up_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
