/* How a wish divides targets into waves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "core/rollout.h"

static void a_wish_divides_targets_into_waves(void **state)
{
    static const struct {
        int64_t canary, wave, percent, targets;
        bool waves;
        int64_t first, each;
    } rows[] = {
        {-1, 0, 0, 0, false, 0, 0},     {-1, 0, 0, 1, false, 1, 1},      {-1, 0, 0, 3, false, 3, 3},
        {-1, 0, 0, 4, true, 1, 4},      {-1, 0, 0, 1000, true, 1, 1000}, {0, 0, 0, 1000, false, 1000, 1000},
        {0, 5, 0, 10, true, 5, 5},      {2, 0, 0, 3, true, 2, 3},        {3, 0, 0, 3, false, 3, 3},
        {5, 0, 0, 3, false, 5, 3},      {1, 2, 0, 2, true, 1, 2},        {-1, 10, 0, 3, false, 3, 3},
        {-1, 0, 20, 10, true, 1, 2},    {0, 0, 34, 3, true, 2, 2},       {0, 0, 1, 10, true, 1, 1},
        {0, 0, 100, 10, false, 10, 10}, {1, 0, 100, 10, true, 1, 10},    {1, 1, 0, 1, false, 1, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct wish w = {.canary = rows[i].canary, .wave = rows[i].wave, .wave_percent = rows[i].percent};
        int64_t first = -1, each = -1;
        if (rollout_sizes(&w, rows[i].targets, &first, &each) != rows[i].waves || first != rows[i].first || each != rows[i].each)
            fail_msg("row %zu: %lld, then %lld each", i, (long long)first, (long long)each);
    }
}

static void a_wish_of_an_earlier_release_has_no_word_on_waves(void **state)
{
    static const char old[] =
        "{\"names\":[\"www.example.org\"],\"profile\":\"tls-server\",\"key_kind\":\"ec-p256\",\"reuse_key\":false,"
        "\"issuers\":[\"ca\"],\"usage\":\"tls-server\",\"validity_s\":1,\"renew_percent\":0,\"renew_before_s\":0,"
        "\"targets\":[\"a\"]}";
    CTX_CLEANUP struct ctx ctx;
    struct wish w, again;
    struct buf b;
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_true(rc_ok(wish_decode(&ctx, old, &w)));
    assert_int_equal(w.canary, -1);
    buf_init_arena(&b, &ctx.arena, 65536);
    wish_encode(&b, &w);
    assert_string_equal(buf_z(&b), old);
    w.canary = 0;
    w.wave_percent = 25;
    w.wave_pause_s = 600;
    buf_init_arena(&b, &ctx.arena, 65536);
    wish_encode(&b, &w);
    assert_true(rc_ok(wish_decode(&ctx, buf_z(&b), &again)));
    assert_int_equal(again.canary, 0);
    assert_int_equal(again.wave_percent, 25);
    assert_int_equal(again.wave_pause_s, 600);
    w.wave = 3;
    assert_int_equal(wish_check(&ctx, &w).e, E_INVALID);
    assert_string_equal(ctx.field, "/rollout/wave");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wish_divides_targets_into_waves),
        cmocka_unit_test(a_wish_of_an_earlier_release_has_no_word_on_waves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
