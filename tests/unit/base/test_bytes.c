#include "base/base_test.h"

static void comparing_looks_at_every_byte_and_at_nuls_too(void **state)
{
    (void)state;
    assert_true(bytes_equal(BYTES_LIT("a\0b"), BYTES_LIT("a\0b")));
    assert_false(bytes_equal(BYTES_LIT("a\0b"), BYTES_LIT("a\0c")));
    assert_false(bytes_equal_z(BYTES_LIT("a\0b"), "a"));
    assert_true(bytes_equal((struct bytes){0}, BYTES_LIT("")));
    assert_true(bytes_equal_z((struct bytes){0}, NULL));
    assert_true(bytes_equal_nocase(BYTES_LIT("WWW.Example"), BYTES_LIT("www.eXAMPLE")));
    assert_false(bytes_equal_nocase(BYTES_LIT("@[`{"), BYTES_LIT("`{@[")));
    assert_true(bytes_equal_secret(BYTES_LIT("secret"), BYTES_LIT("secret")));
    assert_false(bytes_equal_secret(BYTES_LIT("secret"), BYTES_LIT("secreT")));
    assert_false(bytes_equal_secret(BYTES_LIT("secret"), BYTES_LIT("secre")));
}

static void order_is_that_of_memcmp_with_prefixes_first(void **state)
{
    (void)state;
    assert_true(bytes_compare(BYTES_LIT("a"), BYTES_LIT("b")) < 0);
    assert_true(bytes_compare(BYTES_LIT("ab"), BYTES_LIT("a")) > 0);
    assert_true(bytes_compare(BYTES_LIT("\xff"), BYTES_LIT("\x01")) > 0);
    assert_int_equal(bytes_compare((struct bytes){0}, BYTES_LIT("")), 0);
}

static void ends_and_parts_are_found(void **state)
{
    (void)state;
    assert_true(bytes_starts_with(BYTES_LIT("dns:www"), BYTES_LIT("dns:")));
    assert_false(bytes_starts_with(BYTES_LIT("dn"), BYTES_LIT("dns:")));
    assert_true(bytes_ends_with(BYTES_LIT("a.example"), BYTES_LIT(".example")));
    assert_false(bytes_ends_with(BYTES_LIT("example"), BYTES_LIT(".example")));
    assert_true(bytes_ends_with((struct bytes){0}, BYTES_LIT("")));
    assert_int_equal(bytes_find(BYTES_LIT("a\0bc"), BYTES_LIT("bc")), 2);
    assert_true(bytes_find(BYTES_LIT("abc"), BYTES_LIT("x")) == SIZE_MAX);
    assert_int_equal(bytes_find(BYTES_LIT("abc"), BYTES_LIT("")), 0);
}

static void a_reader_moves_only_when_it_succeeds(void **state)
{
    (void)state;
    struct bytes b = BYTES_LIT("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a"), part;
    uint8_t u8;
    uint16_t u16;
    uint32_t u24, u32;
    uint64_t u64;
    assert_true(bytes_take_u8(&b, &u8));
    assert_int_equal(u8, 1);
    assert_true(bytes_take_u16(&b, &u16));
    assert_int_equal(u16, 0x0203);
    assert_true(bytes_take_u24(&b, &u24));
    assert_int_equal(u24, 0x040506);
    assert_false(bytes_take_u64(&b, &u64));
    assert_false(bytes_take(&b, 5, &part));
    assert_false(bytes_skip(&b, 5));
    assert_int_equal(b.n, 4);
    assert_true(bytes_take_u32(&b, &u32));
    assert_int_equal(u32, 0x0708090a);
    assert_false(bytes_take_u8(&b, &u8));
    assert_true(bytes_take(&b, 0, &part));
    assert_int_equal(part.n, 0);
}

static void lines_end_with_newline_or_carriage_return_and_newline(void **state)
{
    (void)state;
    struct bytes b = BYTES_LIT("one\r\n\ntwo\rx\nrest"), line;
    assert_true(bytes_take_line(&b, &line));
    assert_bytes(line, "one");
    assert_true(bytes_take_line(&b, &line));
    assert_bytes(line, "");
    assert_true(bytes_take_line(&b, &line));
    assert_bytes(line, "two\rx");
    assert_false(bytes_take_line(&b, &line));
    assert_bytes(b, "rest");
}

static void separated_parts_come_one_by_one(void **state)
{
    (void)state;
    struct bytes b = BYTES_LIT("a,,b"), part;
    assert_true(bytes_take_until(&b, ',', &part));
    assert_bytes(part, "a");
    assert_true(bytes_take_until(&b, ',', &part));
    assert_bytes(part, "");
    assert_true(bytes_take_until(&b, ',', &part));
    assert_bytes(part, "b");
    assert_false(bytes_take_until(&b, ',', &part));
    assert_bytes(bytes_trim(BYTES_LIT(" \t a b\t ")), "a b");
    assert_bytes(bytes_trim(BYTES_LIT(" \t")), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparing_looks_at_every_byte_and_at_nuls_too),
        cmocka_unit_test(order_is_that_of_memcmp_with_prefixes_first),
        cmocka_unit_test(ends_and_parts_are_found),
        cmocka_unit_test(a_reader_moves_only_when_it_succeeds),
        cmocka_unit_test(lines_end_with_newline_or_carriage_return_and_newline),
        cmocka_unit_test(separated_parts_come_one_by_one),
    };
    return cmocka_run_group_tests_name("base/bytes", tests, NULL, NULL);
}
