#include "pki_test.h"

#include "pki/der.h"

static struct bytes built(const struct buf *b)
{
    assert_ok(buf_status(b));
    return buf_bytes(b);
}

static void integers_of_every_size_come_back(void **state)
{
    static const int64_t values[] = {0, 1, -1, 127, 128, -128, -129, 255, 256, 65535, INT32_MAX, INT64_MAX, INT64_MIN};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct buf b;
        int64_t back;
        buf_init_arena(&b, &test_ctx.arena, 64);
        der_put_int(&b, values[i]);
        struct bytes in = built(&b);
        assert_true(der_take_int(&in, &back));
        assert_int_equal(back, values[i]);
        assert_int_equal(in.n, 0);
    }
}

static void lengths_around_each_boundary_come_back(void **state)
{
    static const size_t sizes[] = {0, 1, 127, 128, 255, 256, 65535, 65536, 70000};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct buf b;
        struct bytes body, inner, content = bytes_of(arena_alloc(&test_ctx.arena, sizes[i] + 1), sizes[i]);
        buf_init_arena(&b, &test_ctx.arena, 1 << 20);
        size_t outer = der_begin(&b, DER_SEQUENCE), string = der_begin(&b, DER_OCTET_STRING);
        der_put_octets(&b, content);
        der_end(&b, string);
        der_put_int(&b, 7);
        der_end(&b, outer);
        assert_true(der_only(built(&b), DER_SEQUENCE, &body));
        assert_true(der_take_tag(&body, DER_OCTET_STRING, &inner));
        assert_true(der_only(inner, DER_OCTET_STRING, &inner));
        assert_bytes(inner, content);
        int64_t seven;
        assert_true(der_take_int(&body, &seven) && seven == 7 && body.n == 0);
    }
}

static void what_is_ber_but_not_der_is_refused_and_nothing_moves(void **state)
{
    static const char *const bad[] = {
        "",         "30",           "3001",         "3080",           "30800000",         "308101ff",   "30820001ff",
        "1f8101",   "30847fffffff", "0000",         "3085000000000100", "3081",           "308200",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bytes in = from_hex(bad[i]), before = in, value;
        uint8_t tag;
        assert_false(der_take(&in, &tag, &value));
        assert_int_equal(in.n, before.n);
    }
    struct bytes in, v;
    int64_t n;
    bool flag;
    int unused;
    in = from_hex("02020001");
    assert_false(der_take_int(&in, &n)); /* not minimal */
    in = from_hex("0200");
    assert_false(der_take_int(&in, &n));
    in = from_hex("0209010000000000000000");
    assert_false(der_take_int(&in, &n)); /* too large */
    in = from_hex("0201ff");
    assert_false(der_take_unsigned(&in, &v));
    in = from_hex("010101");
    assert_false(der_take_bool(&in, &flag));
    in = from_hex("03020801");
    assert_false(der_take_bits(&in, &v, &unused));
    in = from_hex("03020103");
    assert_false(der_take_bits(&in, &v, &unused)); /* unused bit set */
    in = from_hex("0603800101");
    assert_false(der_take_oid(&in, &v));
    in = from_hex("060181");
    assert_false(der_take_oid(&in, &v));
}

static void nesting_has_a_ceiling(void **state)
{
    struct buf b;
    size_t marks[40];
    (void)state;
    buf_init_arena(&b, &test_ctx.arena, 4096);
    for (size_t i = 0; i < 40; i++)
        marks[i] = der_begin(&b, DER_SEQUENCE);
    for (size_t i = 40; i-- > 0;)
        der_end(&b, marks[i]);
    assert_false(der_well_formed(built(&b), 1000));
    assert_true(der_well_formed(from_hex("300430020500"), 3));
    assert_false(der_well_formed(from_hex("300430020500"), 1));
    assert_false(der_well_formed(from_hex("3004300305"), 8));
}

static void times_follow_rfc_5280(void **state)
{
    static const struct {
        const char *hex;
        int64_t unix_s;
    } good[] = {
        {"170d3439313233313233353935395a", 2524607999},           /* 491231235959Z is 2049 */
        {"180f32303530303130313030303030305a", 2524608000},       /* 20500101000000Z */
        {"170d3530303130313030303030305a", -631152000},           /* 500101000000Z is 1950 */
        {"180f39393939313233313233353935395a", 253402300799},     /* 99991231235959Z: no end */
        {"170d3730303130313030303030305a", 0},
    };
    static const char *const bad[] = {
        "170b373030313031303030305a",           /* no seconds */
        "17113730303130313030303030302b30303030", /* offset */
        "180f32303530313330313030303030305a",   /* month 13 */
        "170d3731303232393030303030305a",       /* 29 February 1971 */
        "170d373030313031303030303030ff",       /* no Z */
        "181132303530303130313030303030302e355a", /* fraction */
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct bytes in = from_hex(good[i].hex);
        struct buf b;
        int64_t t;
        assert_true(der_take_time(&in, &t));
        assert_int_equal(t, good[i].unix_s);
        buf_init_arena(&b, &test_ctx.arena, 64);
        der_put_time(&b, t);
        assert_bytes(built(&b), from_hex(good[i].hex));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bytes in = from_hex(bad[i]);
        int64_t t;
        assert_false(der_take_time(&in, &t));
    }
}

static void named_bits_lose_their_trailing_zeros(void **state)
{
    static const struct {
        uint32_t flags;
        const char *hex;
    } rows[] = {{1, "03020780"}, {0x60, "03020106"}, {0, "030100"}, {0x100, "0303070080"}, {5, "030205a0"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b;
        uint32_t back;
        buf_init_arena(&b, &test_ctx.arena, 64);
        der_put_flags(&b, rows[i].flags);
        struct bytes in = built(&b);
        assert_bytes(in, from_hex(rows[i].hex));
        assert_true(der_take_flags(&in, &back));
        assert_int_equal(back, rows[i].flags);
    }
}

static void oids_read_as_digits(void **state)
{
    struct buf b;
    (void)state;
    buf_init_arena(&b, &test_ctx.arena, 256);
    der_oid_text(&b, from_hex("2a864886f70d01010b"));
    assert_string_equal(buf_z(&b), "1.2.840.113549.1.1.11");
    buf_reset(&b);
    der_oid_text(&b, from_hex("551d11"));
    assert_string_equal(buf_z(&b), "2.5.29.17");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(integers_of_every_size_come_back),
        PKI_TEST(lengths_around_each_boundary_come_back),
        PKI_TEST(what_is_ber_but_not_der_is_refused_and_nothing_moves),
        PKI_TEST(nesting_has_a_ceiling),
        PKI_TEST(times_follow_rfc_5280),
        PKI_TEST(named_bits_lose_their_trailing_zeros),
        PKI_TEST(oids_read_as_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
