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

static char order[16];

static void note(void *arg)
{
    order[strlen(order)] = *(const char *)arg;
}

static void what_goes_first_goes_before_the_rest(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct pool *p;
    atomic_bool go = false;
    assert_true(rc_ok(pool_new(&ctx, 1, 2, 0, &p)));
    assert_true(pool_submit(p, wait_for, &go));
    while (!pool_busy(p))
        usleep(1000);
    assert_true(pool_submit(p, note, (char[]){"c"}) && pool_submit(p, note, (char[]){"d"}));
    assert_true(pool_submit_first(p, note, (char[]){"a"}) && pool_submit_first(p, note, (char[]){"b"}));
    assert_false(pool_submit(p, note, order) || pool_submit_first(p, note, order));
    assert_int_equal(pool_waiting(p), 4);
    atomic_store(&go, true);
    pool_free(p);
    assert_string_equal(order, "abcd");
}

struct numbered {
    int number, *next;
    bool *in_order;
    atomic_bool *go; /* NULL: it does not wait */
};

static void count(void *arg)
{
    const struct numbered *w = arg;
    *w->in_order &= w->number == *w->next;
    ++*w->next;
    while (w->go && !atomic_load(w->go))
        usleep(100);
}

/* The queue begins small; it grows where its oldest entry stands in the middle. */
static void a_queue_that_grows_keeps_its_order(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct pool *p;
    int next = 0;
    bool in_order = true;
    atomic_bool first = false, second = false;
    struct numbered w[300];
    assert_true(rc_ok(pool_new(&ctx, 1, 1000, 0, &p)));
    for (int i = 0; i < 300; i++) {
        w[i] = (struct numbered){i, &next, &in_order, i == 0 ? &first : i == 40 ? &second : NULL};
        assert_true(pool_submit(p, count, &w[i]));
        if (i == 60)
            atomic_store(&first, true); /* forty are taken, then the rest wraps around */
        while (i == 60 && pool_waiting(p) > 20)
            usleep(100);
    }
    atomic_store(&second, true);
    pool_free(p);
    assert_true(in_order);
    assert_int_equal(next, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_was_taken_is_done),
        cmocka_unit_test(a_full_queue_refuses_and_a_drain_gives_up_in_time),
        cmocka_unit_test(what_goes_first_goes_before_the_rest),
        cmocka_unit_test(a_queue_that_grows_keeps_its_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
