/* Codecs of messages: what is read back, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "wire/messages.h"

static struct bytes encode(struct ctx *ctx, uint16_t type, const void *msg)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, wire_codec_of(type)->max);
    assert_true(rc_ok(wire_codec_of(type)->encode(ctx, msg, &b)));
    return buf_bytes(&b);
}

static enum err decode(struct ctx *ctx, uint16_t type, struct bytes in, void *out)
{
    return wire_codec_of(type)->decode(ctx, in, out).e;
}

static struct wire_signer_issue example(void)
{
    static const char *names[] = {"www.example.org", "*.example.net"};
    static struct bytes addresses[] = {{(const uint8_t *)"\x7f\0\0\1", 4}};
    return (struct wire_signer_issue){.request_id = "01J",
                                      .ca = "issuing",
                                      .profile = WIRE_signer_issue_profile_tls_mutual,
                                      .spki = BYTES_LIT("\x30\x00\x01"),
                                      .dns_names = {names, 2},
                                      .ip_addresses = {addresses, 1},
                                      .validity_s = 7776000};
}

static void a_message_is_read_back_as_it_was(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct wire_signer_issue in = example(), out = {0};
    assert_int_equal(decode(&ctx, WIRE_signer_issue, encode(&ctx, WIRE_signer_issue, &in), &out), E_OK);
    assert_string_equal(out.request_id, "01J");
    assert_string_equal(out.common_name, "");
    assert_int_equal(out.profile, WIRE_signer_issue_profile_tls_mutual);
    assert_true(bytes_equal(out.spki, in.spki));
    assert_int_equal(out.dns_names.n, 2);
    assert_string_equal(out.dns_names.v[1], "*.example.net");
    assert_int_equal(out.ip_addresses.v[0].n, 4);
    assert_int_equal(out.validity_s, 7776000);
}

static void every_truncation_and_a_trailing_byte_are_refused(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct wire_signer_issue in = example(), out;
    struct bytes whole = encode(&ctx, WIRE_signer_issue, &in);
    for (size_t n = 0; n < whole.n; n++)
        assert_int_equal(decode(&ctx, WIRE_signer_issue, bytes_of(whole.p, n), &out), E_INVALID);
    uint8_t *longer = arena_alloc(&ctx.arena, whole.n + 1);
    memcpy(longer, whole.p, whole.n);
    assert_int_equal(decode(&ctx, WIRE_signer_issue, bytes_of(longer, whole.n + 1), &out), E_INVALID);
}

static void ceilings_hold_on_both_ends(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct wire_signer_issue in = example();
    char long_name[66];
    memset(long_name, 'a', 65);
    long_name[65] = 0;
    in.ca = long_name;
    struct buf b BUF_CLEANUP;
    buf_init(&b, 1 << 20);
    assert_int_equal(wire_codec_of(WIRE_signer_issue)->encode(&ctx, &in, &b).e, E_INVALID);
    in.ca = "issuing";
    in.validity_s = 59;
    assert_int_equal(wire_codec_of(WIRE_signer_issue)->encode(&ctx, &in, &b).e, E_INVALID);

    struct bytes v;
    const char *text;
    struct wire_texts texts;
    int64_t i;
    bool flag;
    struct bytes five = BYTES_LIT("\0\0\0\5aaaaa"), nul = BYTES_LIT("\0\0\0\3a\0b"), bad = BYTES_LIT("\0\0\0\2\xc3\x28");
    struct bytes many = BYTES_LIT("\xff\xff\xff\xff"), minus = BYTES_LIT("\xff\xff\xff\xff\xff\xff\xff\xff"), two = BYTES_LIT("\2");
    struct bytes copy = five;
    assert_int_equal(wire_take_bytes(&ctx, &copy, "x", &v, 4).e, E_INVALID);
    assert_int_equal(wire_take_text(&ctx, &nul, "x", &text, 9).e, E_INVALID);
    assert_int_equal(wire_take_text(&ctx, &bad, "x", &text, 9).e, E_INVALID);
    copy = many;
    assert_int_equal(wire_take_texts(&ctx, &copy, "x", &texts, 9, 100).e, E_INVALID);
    assert_int_equal(wire_take_texts(&ctx, &many, "x", &texts, 9, SIZE_MAX).e, E_INVALID);
    assert_int_equal(wire_take_i64(&ctx, &minus, "x", &i, 0, INT64_MAX).e, E_INVALID);
    assert_int_equal(wire_take_bool(&ctx, &two, "x", &flag).e, E_INVALID);
}

static void the_table_says_who_may_send_what_to_whom(void **state)
{
    (void)state;
    const struct wire_codec *set = wire_codec_of(WIRE_signer_ceilings_set);
    assert_true(set->from == wire_role_bit("officer"));
    assert_true(set->to == wire_role_bit("signer"));
    assert_true(wire_codec_of(WIRE_signer_issued)->answer_only);
    assert_int_equal(wire_codec_of(WIRE_signer_issue)->reply, WIRE_signer_issued);
    assert_true(wire_codec_of(WIRE_signer_seal)->secret);
    assert_int_equal(wire_role_bit("nobody"), 0);
    assert_null(wire_codec_of(0));
    assert_null(wire_codec_of(WIRE_TYPE_END));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_read_back_as_it_was),
        cmocka_unit_test(every_truncation_and_a_trailing_byte_are_refused),
        cmocka_unit_test(ceilings_hold_on_both_ends),
        cmocka_unit_test(the_table_says_who_may_send_what_to_whom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
