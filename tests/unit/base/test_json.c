#include "base/base_test.h"

#include "base/json.h"

static void what_is_not_strict_json_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "{",
                                      "{} x",
                                      "{\"a\":1,\"a\":2}",
                                      "[1,]",
                                      "'a'",
                                      "{a:1}",
                                      "\"\\u0000\"",
                                      "\"\xff\"",
                                      "01",
                                      "nul",
                                      "99999999999999999999",
                                      "\"\xed\xa0\x80\"",
                                      "{\"a\\u0000\":1}",
                                      "[1]]"};
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *v;
        assert_err(json_read(&ctx, bytes_z(bad[i]), &v), E_PARSE);
        assert_null(v);
    }
    json_t *v;
    assert_err(json_read(&ctx, BYTES_LIT("{}\0"), &v), E_PARSE);
    assert_err(json_read(&ctx, (struct bytes){0}, &v), E_PARSE);
}

static struct rc read_nested(struct ctx *ctx, size_t depth)
{
    struct buf BUF_CLEANUP b;
    buf_init(&b, 100000);
    buf_put_z(&b, "[\"[[\\\"[\",");
    for (size_t i = 1; i < depth; i++)
        buf_put_u8(&b, '[');
    for (size_t i = 1; i < depth; i++)
        buf_put_u8(&b, ']');
    buf_put_u8(&b, ']');
    json_auto_t *v = NULL;
    return json_read(ctx, buf_bytes(&b), &v);
}

static void depth_has_a_ceiling_and_brackets_in_strings_do_not_count(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    assert_ok(read_nested(&ctx, 1000));
    assert_err(read_nested(&ctx, 1001), E_PARSE);
    assert_err(read_nested(&ctx, 40000), E_PARSE);
}

static void members_are_read_with_their_types_and_null_counts_as_absent(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    json_auto_t *v = NULL;
    assert_ok(
        json_read(&ctx, BYTES_LIT("{\"s\":\"x\",\"i\":-5,\"b\":true,\"n\":null,\"d\":\"AQI=\",\"l\":[1],\"o\":{\"k\":1}}"), &v));
    const char *s = NULL;
    int64_t i = 7;
    bool b = false;
    struct bytes d;
    const json_t *child;
    assert_ok(json_get_str(&ctx, v, "s", true, &s));
    assert_string_equal(s, "x");
    assert_ok(json_get_int(&ctx, v, "n", false, &i));
    assert_int_equal(i, 7);
    assert_ok(json_get_int(&ctx, v, "i", true, &i));
    assert_int_equal(i, -5);
    assert_ok(json_get_bool(&ctx, v, "b", true, &b));
    assert_true(b);
    assert_ok(json_get_base64(&ctx, v, "d", true, &d));
    assert_bytes(d, "\1\2");
    assert_ok(json_get_list(&ctx, v, "l", true, &child));
    assert_int_equal(json_array_size(child), 1);
    assert_ok(json_get_obj(&ctx, v, "o", true, &child));
    assert_err(json_get_str(&ctx, v, "n", true, &s), E_INVALID);
    assert_string_equal(ctx.field, "/n");
    assert_err(json_get_str(&ctx, v, "i", false, &s), E_INVALID);
    assert_string_equal(ctx.field, "/i");
    assert_err(json_get_int(&ctx, v, "s", false, &i), E_INVALID);
    assert_err(json_get_bool(&ctx, v, "i", false, &b), E_INVALID);
    assert_err(json_get_base64(&ctx, v, "s", false, &d), E_INVALID);
    assert_err(json_get_list(&ctx, v, "o", false, &child), E_INVALID);
    assert_err(json_get_obj(&ctx, v, "l", false, &child), E_INVALID);
}

static void the_builder_writes_commas_escapes_and_nesting(void **state)
{
    (void)state;
    struct buf BUF_CLEANUP b;
    buf_init(&b, 10000);
    struct json_out j;
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "a\"", "q\"\\\n\x01\x7f<>");
    json_put_str(&j, "none", NULL);
    json_open_list(&j, "l");
    json_put_int(&j, NULL, INT64_MIN);
    json_put_bool(&j, NULL, false);
    json_open_obj(&j, NULL);
    json_close(&j);
    json_open_list(&j, NULL);
    json_close(&j);
    json_close(&j);
    json_put_base64(&j, "b", BYTES_LIT("\1\2"));
    json_put_hex(&j, "h", BYTES_LIT("\1\xff"));
    json_put_time(&j, "t", 0);
    json_put_raw(&j, "r", BYTES_LIT("[1]"));
    json_close(&j);
    assert_ok(buf_status(&b));
    assert_string_equal(buf_z(&b),
                        "{\"a\\\"\":\"q\\\"\\\\\\n\\u0001\\u007f<>\",\"none\":null,\"l\":[-9223372036854775808,false,{},[]],"
                        "\"b\":\"AQI=\",\"h\":\"01ff\",\"t\":\"1970-01-01T00:00:00Z\",\"r\":[1]}");
}

/* Any byte at any place of a string comes out as JSON that a strict reader takes. */
static void any_bytes_become_valid_json(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    for (unsigned c = 0; c < 256 * 256; c++) {
        const uint8_t raw[] = {'a', (uint8_t)(c >> 8), (uint8_t)c, 0xc3, 0xa4, 'z'};
        struct buf b;
        buf_init_arena(&b, &ctx.arena, 1000);
        struct json_out j;
        json_begin(&j, &b);
        json_put_bytes_str(&j, NULL, bytes_of(raw, sizeof raw));
        json_error_t error;
        json_auto_t *v = json_loadb((const char *)b.p, b.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        assert_non_null(v);
        const struct bytes text = bytes_of(json_string_value(v), json_string_length(v));
        assert_true(bytes_starts_with(text, BYTES_LIT("a")) && bytes_ends_with(text, BYTES_LIT("z")));
        if (!(c & 1023))
            ctx_reset(&ctx);
    }
}

static void control_characters_beyond_ascii_are_escaped_too(void **state)
{
    (void)state;
    struct buf BUF_CLEANUP b;
    buf_init(&b, 100);
    struct json_out j;
    json_begin(&j, &b);
    json_put_str(&j, NULL, "x\xc2\x9b" "1m\xc2\xa0y\xf0\x9f\x94\x92\xff");
    assert_string_equal(buf_z(&b), "\"x\\u009b1m\xc2\xa0y\xf0\x9f\x94\x92\xef\xbf\xbd\"");
}

static void too_deep_building_is_an_error_not_an_overflow(void **state)
{
    (void)state;
    struct buf BUF_CLEANUP b;
    buf_init(&b, 1000);
    struct json_out j;
    json_begin(&j, &b);
    for (int i = 0; i < 100; i++)
        json_open_list(&j, NULL);
    for (int i = 0; i < 100; i++)
        json_close(&j);
    assert_err(buf_status(&b), E_BUG);
}

static void values_of_jansson_are_written_into_the_ceiling(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    json_auto_t *v = NULL;
    assert_ok(json_read(&ctx, BYTES_LIT("{\"k\": [1, \"two\", null]}"), &v));
    struct buf BUF_CLEANUP b;
    buf_init(&b, 40);
    struct json_out j;
    json_begin(&j, &b);
    json_put_value(&j, NULL, v);
    assert_string_equal(buf_z(&b), "{\"k\":[1,\"two\",null]}");
    json_put_value(&j, NULL, v);
    assert_err(buf_status(&b), E_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_strict_json_is_refused),
        cmocka_unit_test(depth_has_a_ceiling_and_brackets_in_strings_do_not_count),
        cmocka_unit_test(members_are_read_with_their_types_and_null_counts_as_absent),
        cmocka_unit_test(the_builder_writes_commas_escapes_and_nesting),
        cmocka_unit_test(any_bytes_become_valid_json),
        cmocka_unit_test(control_characters_beyond_ascii_are_escaped_too),
        cmocka_unit_test(too_deep_building_is_an_error_not_an_overflow),
        cmocka_unit_test(values_of_jansson_are_written_into_the_ceiling),
    };
    return cmocka_run_group_tests_name("base/json", tests, NULL, NULL);
}
