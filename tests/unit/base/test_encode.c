#include "base/base_test.h"

#include "base/encode.h"
#include "base/random.h"

static void base64_gives_the_vectors_of_rfc_4648(void **state)
{
    (void)state;
    struct arena ARENA_CLEANUP a = {0};
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes back;
        assert_string_equal(base64_str(&a, bytes_z(rows[i][0])), rows[i][1]);
        assert_true(get_base64(&a, bytes_z(rows[i][1]), &back));
        assert_true(bytes_equal_z(back, rows[i][0]));
    }
    assert_string_equal(base64url_str(&a, BYTES_LIT("\xfb\xff\xfe\xff")), "-__-_w");
    assert_string_equal(base64_str(&a, BYTES_LIT("\xfb\xff\xfe\xff")), "+//+/w==");
}

static void readers_refuse_what_is_not_canonical(void **state)
{
    (void)state;
    struct arena ARENA_CLEANUP a = {0};
    struct bytes out;
    static const char *const bad[] = {
        "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Z", "Zg==Zg==", "Zm 8=", "Zm8=\n", "=", "====", "Zm8*", "-_-_"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(get_base64(&a, bytes_z(bad[i]), &out));
    static const char *const bad_url[] = {"Zg==", "Zh", "Z", "+/+/", "Zg ", "Zm9"};
    for (size_t i = 0; i < sizeof bad_url / sizeof *bad_url; i++)
        assert_false(get_base64url(&a, bytes_z(bad_url[i]), &out));
    static const char *const bad_hex[] = {"0", "0g", "0x00", " 00"};
    for (size_t i = 0; i < sizeof bad_hex / sizeof *bad_hex; i++)
        assert_false(get_hex(&a, bytes_z(bad_hex[i]), &out));
    assert_true(get_hex(&a, BYTES_LIT("00fFaB"), &out));
    assert_bytes(out, "\x00\xff\xab");
}

static void pem_bodies_are_lines_of_64_and_white_space_is_skipped_there_only(void **state)
{
    (void)state;
    struct arena ARENA_CLEANUP a = {0};
    uint8_t raw[100];
    random_fill(raw, sizeof raw);
    struct buf BUF_CLEANUP b;
    buf_init(&b, 1000);
    put_base64_lines(&b, bytes_of(raw, sizeof raw));
    struct bytes text = buf_bytes(&b), line, out;
    assert_true(bytes_take_line(&text, &line));
    assert_int_equal(line.n, 64);
    assert_true(get_base64_pem(&a, buf_bytes(&b), &out));
    assert_int_equal(out.n, sizeof raw);
    assert_memory_equal(out.p, raw, sizeof raw);
    assert_false(get_base64(&a, buf_bytes(&b), &out));
}

static void random_data_of_every_length_survives(void **state)
{
    (void)state;
    struct arena ARENA_CLEANUP a = {0};
    uint8_t raw[200];
    for (size_t n = 0; n <= sizeof raw; n++) {
        random_fill(raw, n);
        const struct bytes in = bytes_of(raw, n);
        struct bytes out;
        assert_true(get_base64(&a, bytes_z(base64_str(&a, in)), &out) && bytes_equal(in, out));
        assert_true(get_base64url(&a, bytes_z(base64url_str(&a, in)), &out) && bytes_equal(in, out));
        assert_true(get_hex(&a, bytes_z(hex_str(&a, in)), &out) && bytes_equal(in, out));
    }
}

static void markup_holds_any_text(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct buf b;
    (void)state;
    ctx_init(&ctx, &clock_system);
    buf_init_arena(&b, &ctx.arena, 1000);
    put_markup(&b, BYTES_LIT("<a href=\"x\" b='y'>&amp;\0\xc3\xbc"));
    assert_true(bytes_equal(buf_bytes(&b), BYTES_LIT("&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;amp;\0\xc3\xbc")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_gives_the_vectors_of_rfc_4648),
        cmocka_unit_test(markup_holds_any_text),
        cmocka_unit_test(readers_refuse_what_is_not_canonical),
        cmocka_unit_test(pem_bodies_are_lines_of_64_and_white_space_is_skipped_there_only),
        cmocka_unit_test(random_data_of_every_length_survives),
    };
    return cmocka_run_group_tests_name("base/encode", tests, NULL, NULL);
}
