#include "base/base_test.h"

#include "base/random.h"
#include "base/str.h"

static void numbers_are_whole_and_never_overflow(void **state)
{
    (void)state;
    int64_t i;
    uint64_t u;
    assert_true(str_to_i64(BYTES_LIT("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(str_to_i64(BYTES_LIT("9223372036854775807"), &i) && i == INT64_MAX);
    assert_true(str_to_u64(BYTES_LIT("18446744073709551615"), &u) && u == UINT64_MAX);
    assert_true(str_to_i64(BYTES_LIT("0"), &i) && i == 0);
    static const char *const bad[] = {
        "", "-", "--1", "+1", " 1", "1 ", "1x", "0x1", "9223372036854775808", "-9223372036854775809", "1.0"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        assert_false(str_to_i64(bytes_z(bad[k]), &i));
    assert_false(str_to_u64(BYTES_LIT("18446744073709551616"), &u));
    assert_false(str_to_u64(BYTES_LIT("-1"), &u));
    assert_false(str_to_i64(BYTES_LIT("1\0"), &i));
}

static void strings_with_a_nul_inside_are_not_strings(void **state)
{
    (void)state;
    struct arena ARENA_CLEANUP a = {0};
    assert_null(str_z(&a, BYTES_LIT("www.example\0.attacker")));
    assert_string_equal(str_z(&a, BYTES_LIT("www")), "www");
    assert_string_equal(str_z(&a, (struct bytes){0}), "");
    assert_true(str_equal(NULL, NULL) && !str_equal("a", NULL) && !str_equal(NULL, "a") && str_equal("a", "a"));
}

static void utf8_is_told_from_overlong_surrogate_and_cut_forms(void **state)
{
    (void)state;
    static const char *const good[] = {
        "", "abc", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x94\x92", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xe2\x82",
                                      "a\xff"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(str_is_utf8(bytes_z(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(str_is_utf8(bytes_z(bad[i])));
}

static void names_cannot_be_paths_or_options(void **state)
{
    (void)state;
    static const char *const good[] = {"www.example.org", "*.example.org", "a", "A_b-9", "0:1"};
    static const char *const bad[] = {"", ".", "..", "-o", "_x", "a/b", "a b", "a\n", "\xc3\xa4",
                                      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(str_is_name(bytes_z(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(str_is_name(bytes_z(bad[i])));
    assert_false(str_is_name(BYTES_LIT("a\0b")));
}

static void spans_have_units_and_do_not_overflow(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t s;
    } good[] = {{"90", 90}, {"90s", 90}, {"15m", 900}, {"12h", 43200}, {"30d", 2592000}, {"2w", 1209600}, {"0", 0}};
    static const char *const bad[] = {"", "d", "-1d", "1.5h", "1 d", "d1", "1dd", "9223372036854775807y"};
    int64_t s;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(str_parse_span(bytes_z(good[i].text), &s) && s == good[i].s);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(str_parse_span(bytes_z(bad[i]), &s));
}

static void lists_grow_and_find(void **state)
{
    (void)state;
    struct arena ARENA_CLEANUP a = {0};
    struct str_list l = {0};
    assert_false(str_list_has(&l, "0"));
    for (int i = 0; i < 100; i++)
        str_list_add(&a, &l, arena_printf(&a, "%d", i));
    assert_int_equal(l.n, 100);
    assert_true(str_list_has(&l, "0") && str_list_has(&l, "99") && !str_list_has(&l, "100"));
}

static void ids_sort_by_time_differ_and_are_recognized(void **state)
{
    (void)state;
    struct arena ARENA_CLEANUP a = {0};
    const char *early = id_new(&a, 1000), *late = id_new(&a, 1795235121000), *again = id_new(&a, 1000);
    assert_int_equal(strlen(early), ID_LEN);
    assert_true(strcmp(early, late) < 0);
    assert_string_not_equal(early, again);
    assert_memory_equal(early, again, 10);
    assert_true(id_valid(bytes_z(early)));
    assert_false(id_valid(bytes_z("01")));
    assert_false(id_valid(bytes_z("0000000000000000000000000u")));
    assert_false(id_valid(bytes_z("0000000000000000000000000O")));
}

static void random_numbers_stay_below_their_bound_and_reach_every_value(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (int i = 0; i < 1000; i++) {
        const uint64_t v = random_below(10);
        assert_true(v < 10);
        seen |= 1U << v;
    }
    assert_int_equal(seen, 1023);
    assert_int_equal(random_below(1), 0);
    assert_true(random_below(UINT64_MAX) < UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_whole_and_never_overflow),
        cmocka_unit_test(strings_with_a_nul_inside_are_not_strings),
        cmocka_unit_test(utf8_is_told_from_overlong_surrogate_and_cut_forms),
        cmocka_unit_test(names_cannot_be_paths_or_options),
        cmocka_unit_test(spans_have_units_and_do_not_overflow),
        cmocka_unit_test(lists_grow_and_find),
        cmocka_unit_test(ids_sort_by_time_differ_and_are_recognized),
        cmocka_unit_test(random_numbers_stay_below_their_bound_and_reach_every_value),
    };
    return cmocka_run_group_tests_name("base/str", tests, NULL, NULL);
}
