#include "store/store_test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/random.h"

#define THREADS 16
#define WRITES 200

struct shared {
    struct store *store;
    atomic_int good, refused, other;
};

struct one {
    const char *name;
    bool fail;
};

static struct rc add(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct one *o = arg;
    TRY(q_timer_set(ctx, txn, "thread", o->name, 1));
    return o->fail ? ctx_fail(ctx, E_POLICY, "on purpose") : RC_OK;
}

static void *writer(void *arg)
{
    struct shared *s = arg;
    struct ctx ctx;
    ctx_init(&ctx, &clock_system);
    for (int i = 0; i < WRITES; i++) {
        struct one o = {.name = id_new(&ctx.arena, i), .fail = i % 5 == 4};
        const enum err e = store_write(&ctx, s->store, add, &o).e;
        atomic_fetch_add(e == E_OK ? &s->good : e == E_POLICY ? &s->refused : &s->other, 1);
        ctx_reset(&ctx);
    }
    ctx_free(&ctx);
    return NULL;
}

static struct rc count(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct q_timer_due_row *rows = NULL;
    size_t n = 0;
    TRY(q_timer_due(ctx, txn, 1, 100000, &rows, &n));
    *(size_t *)arg = n;
    return RC_OK;
}

static void crowd(struct ctx *ctx, struct store *store)
{
    struct shared s = {.store = store};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, writer, &s), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(s.other, 0);
    assert_int_equal(s.refused, THREADS * WRITES / 5);
    size_t n = 0;
    must(ctx, store_read(ctx, store, count, &n));
    assert_int_equal(n, s.good);
    struct store_stats st;
    store_stats(store, &st);
    if (store_engine_of(store) == STORE_SQLITE)
        assert_true(st.commits < st.writes); /* many closures shared a commit */
}

static void every_writer_of_a_crowd_gets_its_own_answer(void **state)
{
    (void)state;
    on_both(crowd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_writer_of_a_crowd_gets_its_own_answer)};
    return cmocka_run_group_tests(tests, pg_up, pg_down);
}
