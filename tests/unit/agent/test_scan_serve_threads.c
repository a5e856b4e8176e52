/* Scans within the probe: batches until the end, each until it is taken; begun anew, stopped and asked from several threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/probe/scan_serve.h"
#include "base/json.h"

/* Port 9 of 127.0.0.0/8, where nobody listens. */
struct fixture {
    struct ctx ctx;
    struct agent_config cfg;
    struct scans *scans;
};

static int setup(void **state)
{
    static const char text[] = "scan: {networks: [127.0.0.0/8], ports: [9], rate: 100000}\n";
    struct fixture *f = calloc(1, sizeof *f);
    ctx_init(&f->ctx, &clock_system);
    assert_true(rc_ok(agent_config_parse(&f->ctx, "agent.yaml", bytes_z(text), &f->cfg)));
    assert_true(rc_ok(scans_new(&f->ctx, &f->cfg, &f->scans)));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    scans_free(f->scans);
    ctx_free(&f->ctx);
    free(f);
    return 0;
}

static struct rc begin(struct fixture *f, struct ctx *ctx, const char *id, const char *target, const char *port, int64_t position)
{
    const struct wire_probe_scan_begin in = {.scan = id, .targets = {&target, 1}, .ports = {&port, 1}, .position = position};
    struct wire_probe_scan_begun out;
    return scans_begin(ctx, f->scans, &in, &out);
}

static int64_t probed(struct ctx *ctx, const char *json)
{
    json_t *root;
    int64_t n = 0;
    assert_true(rc_ok(json_read(ctx, bytes_z(json), &root)));
    assert_true(rc_ok(json_get_int(ctx, root, "probed", true, &n)));
    json_decref(root);
    return n;
}

static void batches_come_until_the_end_and_each_until_it_is_taken(void **state)
{
    struct fixture *f = *state;
    struct wire_probe_scan_next next = {.scan = "a", .taken = "", .wait_ms = 10000};
    struct wire_probe_scan_batch batch = {0}, again;
    int64_t sum = 0;
    assert_true(rc_ok(begin(f, &f->ctx, "a", "127.0.32.0/19", "9", 0)));
    while (!batch.done) {
        assert_true(rc_ok(scans_next(&f->ctx, f->scans, &next, &batch)));
        assert_string_not_equal(batch.batch, "");
        assert_true(rc_ok(scans_next(&f->ctx, f->scans, &next, &again)));
        assert_string_equal(again.batch, batch.batch);
        sum += probed(&f->ctx, batch.json);
        next.taken = batch.batch;
    }
    assert_int_equal(sum, 8192);
    assert_int_equal(batch.position, 8192);
    assert_int_equal(batch.total, 8192);
    assert_int_equal(scans_next(&f->ctx, f->scans, &next, &batch).e, E_NOT_FOUND);
}

static void what_agent_yaml_does_not_grant_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(begin(f, &f->ctx, "a", "192.0.2.1", "9", 0).e, E_NOT_GRANTED);
    assert_int_equal(begin(f, &f->ctx, "a", "126.0.0.0/7", "9", 0).e, E_NOT_GRANTED);
    assert_int_equal(begin(f, &f->ctx, "a", "127.0.0.1", "10", 0).e, E_NOT_GRANTED);
    assert_int_equal(begin(f, &f->ctx, "a", "127.0.0.1", "9/gopher", 0).e, E_UNSUPPORTED);
    struct agent_config none = f->cfg;
    none.scan_networks.n = 0;
    scans_free(f->scans);
    assert_true(rc_ok(scans_new(&f->ctx, &none, &f->scans)));
    assert_int_equal(begin(f, &f->ctx, "a", "192.0.2.1", "9", 0).e, E_NOT_GRANTED);
}

static void only_so_many_run_at_once(void **state)
{
    struct fixture *f = *state;
    static const char *const ids[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < SCANS_MAX; i++)
        assert_true(rc_ok(begin(f, &f->ctx, ids[i], "127.0.0.0/10", "9", 0)));
    assert_int_equal(begin(f, &f->ctx, "e", "127.0.0.0/10", "9", 0).e, E_BUSY);
    assert_true(rc_ok(begin(f, &f->ctx, "b", "127.0.0.0/10", "9", 100))); /* in the place of the one before */
    scans_stop(f->scans, "c");
    assert_true(rc_ok(begin(f, &f->ctx, "e", "127.0.0.0/10", "9", 0)));
}

static void the_rate_of_agent_yaml_is_for_all_of_them(void **state)
{
    struct fixture *f = *state;
    static const char *const ids[] = {"a", "b", "c", "d"};
    int64_t sum = 0;
    f->cfg.scan_rate = 200;
    for (size_t i = 0; i < SCANS_MAX; i++)
        assert_true(rc_ok(begin(f, &f->ctx, ids[i], "127.0.0.0/10", "9", 0)));
    for (size_t i = 0; i < SCANS_MAX; i++) { /* what each did in its first second */
        const struct wire_probe_scan_next next = {.scan = ids[i], .taken = "", .wait_ms = 10000};
        struct wire_probe_scan_batch batch;
        assert_true(rc_ok(scans_next(&f->ctx, f->scans, &next, &batch)));
        sum += probed(&f->ctx, batch.json);
    }
    assert_true(sum > 0 && sum <= 400);
}

static void *ask(void *arg)
{
    struct fixture *f = arg;
    CTX_CLEANUP struct ctx ctx;
    char taken[27] = "";
    ctx_init(&ctx, &clock_system);
    for (int i = 0; i < 20; i++) {
        const struct wire_probe_scan_next next = {.scan = "a", .taken = taken, .wait_ms = 50};
        struct wire_probe_scan_batch batch;
        ctx_reset(&ctx);
        if (rc_ok(scans_next(&ctx, f->scans, &next, &batch)))
            snprintf(taken, sizeof taken, "%s", batch.batch);
    }
    return NULL;
}

static void one_is_begun_anew_and_stopped_while_others_ask(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, f), 0);
    for (int i = 0; i < 8; i++) {
        struct fixture own = {.scans = f->scans};
        ctx_init(&own.ctx, &clock_system);
        assert_true(rc_ok(begin(&own, &own.ctx, "a", "127.0.64.0/20", "9", 0)));
        usleep(20000);
        if (i % 3 == 0)
            scans_stop(f->scans, "a");
        ctx_free(&own.ctx);
    }
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(batches_come_until_the_end_and_each_until_it_is_taken),
        TEST(what_agent_yaml_does_not_grant_is_refused),
        TEST(only_so_many_run_at_once),
        TEST(the_rate_of_agent_yaml_is_for_all_of_them),
        TEST(one_is_begun_anew_and_stopped_while_others_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
