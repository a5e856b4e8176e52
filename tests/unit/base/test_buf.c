#include "base/base_test.h"

#include "base/buf.h"

static void what_is_built_is_followed_by_a_nul_that_is_not_counted(void **state)
{
    (void)state;
    struct buf BUF_CLEANUP b;
    buf_init(&b, 100);
    assert_string_equal(buf_z(&b), "");
    buf_put_z(&b, "abc");
    buf_put(&b, BYTES_LIT("de"));
    assert_int_equal(b.n, 5);
    assert_string_equal(buf_z(&b), "abcde");
    buf_reset(&b);
    assert_string_equal(buf_z(&b), "");
}

static void numbers_are_big_endian(void **state)
{
    (void)state;
    struct buf BUF_CLEANUP b;
    buf_init(&b, 100);
    buf_put_u8(&b, 1);
    buf_put_u16(&b, 0x0203);
    buf_put_u32(&b, 0x04050607);
    buf_put_u64(&b, 0x08090a0b0c0d0e0f);
    assert_bytes(buf_bytes(&b), "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17");
}

static void exactly_the_ceiling_fits_and_one_more_sticks_as_an_error(void **state)
{
    (void)state;
    struct buf BUF_CLEANUP b;
    buf_init(&b, 300);
    for (int i = 0; i < 300; i++)
        buf_put_u8(&b, 'x');
    assert_ok(buf_status(&b));
    buf_put_u8(&b, 'y');
    assert_err(buf_status(&b), E_TOO_LARGE);
    assert_int_equal(b.n, 300);
    buf_drop_front(&b, 200);
    buf_put_u8(&b, 'z');
    assert_err(buf_status(&b), E_TOO_LARGE);
    assert_int_equal(b.n, 100);
    buf_reset(&b);
    buf_put_u8(&b, 'z');
    assert_ok(buf_status(&b));
}

static void no_ceiling_at_all_works(void **state)
{
    (void)state;
    struct buf BUF_CLEANUP b;
    buf_init(&b, SIZE_MAX);
    for (int i = 0; i < 1000; i++)
        buf_put_z(&b, "0123456789");
    assert_ok(buf_status(&b));
    assert_int_equal(b.n, 10000);
    assert_null(buf_reserve(&b, SIZE_MAX - 10));
    assert_err(buf_status(&b), E_TOO_LARGE);
}

static void committing_more_than_was_reserved_is_refused(void **state)
{
    (void)state;
    struct buf BUF_CLEANUP b;
    buf_init(&b, 1000);
    assert_non_null(buf_reserve(&b, 10));
    buf_commit(&b, 900);
    assert_err(buf_status(&b), E_BUG);
    assert_int_equal(b.n, 0);
}

static void long_formatted_text_is_whole_and_bound_by_the_ceiling(void **state)
{
    (void)state;
    struct buf BUF_CLEANUP b;
    buf_init(&b, 2000);
    buf_printf(&b, "%s:%0600d", "n", 3);
    assert_int_equal(b.n, 602);
    assert_int_equal(b.p[601], '3');
    buf_printf(&b, "%01500d", 3);
    assert_err(buf_status(&b), E_TOO_LARGE);
}

static void the_front_is_dropped_and_the_rest_stays(void **state)
{
    (void)state;
    struct buf BUF_CLEANUP b;
    buf_init(&b, 100);
    buf_put_z(&b, "hello world");
    buf_drop_front(&b, 6);
    assert_string_equal(buf_z(&b), "world");
    buf_drop_front(&b, 60);
    assert_string_equal(buf_z(&b), "");
}

static void memory_of_an_arena_is_the_arenas(void **state)
{
    (void)state;
    struct arena ARENA_CLEANUP a = {0};
    struct buf b;
    buf_init_arena(&b, &a, 10000);
    for (int i = 0; i < 1000; i++)
        buf_put_z(&b, "abcdef");
    assert_int_equal(b.n, 6000);
    buf_free(&b);
    assert_int_equal(b.n, 0);
}

static void a_buffer_of_secrets_is_wiped_at_reset(void **state)
{
    (void)state;
    struct buf BUF_CLEANUP b;
    buf_init_secret(&b, 100);
    buf_put_z(&b, "passphrase");
    buf_reset(&b);
    for (size_t i = 0; i < b.cap; i++)
        assert_int_equal(b.p[i], 0);
}

static void all_zero_is_freeable(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_free(&b);
    buf_put_u8(&b, 1);
    assert_err(buf_status(&b), E_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_built_is_followed_by_a_nul_that_is_not_counted),
        cmocka_unit_test(numbers_are_big_endian),
        cmocka_unit_test(exactly_the_ceiling_fits_and_one_more_sticks_as_an_error),
        cmocka_unit_test(no_ceiling_at_all_works),
        cmocka_unit_test(committing_more_than_was_reserved_is_refused),
        cmocka_unit_test(long_formatted_text_is_whole_and_bound_by_the_ceiling),
        cmocka_unit_test(the_front_is_dropped_and_the_rest_stays),
        cmocka_unit_test(memory_of_an_arena_is_the_arenas),
        cmocka_unit_test(a_buffer_of_secrets_is_wiped_at_reset),
        cmocka_unit_test(all_zero_is_freeable),
    };
    return cmocka_run_group_tests_name("base/buf", tests, NULL, NULL);
}
