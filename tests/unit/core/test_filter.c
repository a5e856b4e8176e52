/* The language in which certificates are asked for: what it reads, what it refuses and with which words, and its ceilings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/filter.h"

#define NOW 1800000000 /* 2027-01-15T08:00:00Z */

static const char *text_of(struct ctx *ctx, const char *text)
{
    struct filter *f = NULL;
    if (rc_failed(filter_parse(ctx, text, &f)))
        return ctx_why(ctx);
    return filter_text(ctx, f);
}

static void filters_are_read(void **state)
{
    static const struct {
        const char *text, *read;
    } rows[] = {
        {"", ""},
        {"  \n ", ""},
        {"expires < 30d", "expires < now+2592000s"},
        {"expires < 30d and issuer.o = \"Let's Encrypt\" and not managed and name under example.org",
         "expires < now+2592000s and issuer.o = \"Let's Encrypt\" and managed = false and name under \"example.org\""},
        {"managed", "managed = true"},
        {"not managed", "managed = false"},
        {"not not managed", "managed = true"},
        {"managed != yes", "managed = false"},
        {"managed=no", "managed = false"},
        {"ca or self_signed and wildcard", "ca = true or (self_signed = true and wildcard = true)"},
        {"(ca or self_signed) and wildcard", "(ca = true or self_signed = true) and wildcard = true"},
        {"((ca))", "ca = true"},
        {"not not ca", "not not ca = true"},
        {"NOT ca AND Wildcard", "not ca = true and wildcard = true"},
        {"expires<30d", "expires < now+2592000s"},
        {"expires >= now", "expires >= now"},
        {"expires < now - 12h", "expires < now-43200s"},
        {"expires < now+1w", "expires < now+604800s"},
        {"issued > -7d", "issued > now-604800s"},
        {"first_seen > now-1h", "first_seen > now-3600s"},
        {"expires = 2026", "expires = 2026"},
        {"expires <= 2026-12", "expires <= 2026-12"},
        {"expires > 2026-12-31", "expires > 2026-12-31"},
        {"expires > 2026-02-28T10:00:00Z", "expires > 2026-02-28T10:00:00Z"},
        {"lifetime > 398d", "lifetime > 34387200s"},
        {"name = WWW.Example.ORG.", "name = \"www.example.org\""},
        {"name = *.example.org", "name = \"*.example.org\""},
        {"name under *.example.org", "name under \"example.org\""},
        {"name under .example.org", "name under \"example.org\""},
        {"name ~ Shop", "name ~ \"shop\""},
        {"name word shop", "name ~ \"shop\""},
        {"name = 2001:db8::1", "name = \"2001:db8::1\""},
        {"name != hostmaster@example.org", "name != \"hostmaster@example.org\""},
        {"issuer.o = 'a\\'b'", "issuer.o = \"a'b\""},
        {"issuer.o = \"a\\\"b\\\\c\"", "issuer.o = \"a\\\"b\\\\c\""},
        {"issuer ~ Grün", "issuer ~ \"Grün\""},
        {"subject.cn = \"and\"", "subject.cn = \"and\""},
        {"key = RSA-2048", "key = \"rsa-2048\""},
        {"key = ec-p256", "key = \"ec-p256\""},
        {"key in (rsa-1024, rsa-2048) and key.bits < 2048", "(key = \"rsa-1024\" or key = \"rsa-2048\") and key.bits < 2048"},
        {"key in (rsa)", "key = \"rsa\""},
        {"signature = SHA256withRSAencryption", "signature = \"sha256WithRSAEncryption\""},
        {"serial = 00:0A:bc", "serial = \"abc\""},
        {"fingerprint = AB:CD:EF:01:23", "fingerprint = \"abcdef0123\""},
        {"endpoint under 10.0.0.0/8", "endpoint under \"10.0.0.0/8\""},
        {"endpoint = [2001:db8::1]:443", "endpoint = \"[2001:db8::1]:443\""},
        {"endpoint = www.example.org:8443", "endpoint = \"www.example.org:8443\""},
        {"endpoint under example.org", "endpoint under \"example.org\""},
        {"endpoint = web1:/etc/ssl/My.pem", "endpoint = \"web1:/etc/ssl/My.pem\""},
        {"port = 443", "port = 443"},
        {"finding = Weak-Hash or severity >= warning", "finding = \"weak_hash\" or severity >= \"warning\""},
        {"source in (scan, import)", "source = \"scan\" or source = \"import\""},
        {"team under payments", "team under \"payments\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx;
        ctx_init(&ctx, &clock_system);
        const char *text = text_of(&ctx, rows[i].text);
        assert_string_equal(text, rows[i].read);
        assert_string_equal(text_of(&ctx, text), text); /* what it writes reads the same */
    }
}

static void errors_point_at_the_character(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"expires", "column 8: behind \"expires\" comes one of = != < <= > >= in, not the end"},
        {"expires <", "column 10: behind \"expires <\" comes a time (30d, now, 2026-12-31), not the end"},
        {"expires ~ 30d", "column 9: \"expires\" is not compared by \"~\"; it has = != < <= > >= in"},
        {"expires < soon", "column 11: expires is compared with a time (30d, now, 2026-12-31), not with \"soon\""},
        {"expires < 30", "column 11: expires is compared with a time (30d, now, 2026-12-31), not with \"30\""},
        {"expires < 2026-02-30", "column 11: expires is compared with a time (30d, now, 2026-12-31), not with \"2026-02-30\""},
        {"expires < 9000000000000000000d",
         "column 11: expires is compared with a time (30d, now, 2026-12-31), not with \"9000000000000000000d\""},
        {"expires < now - x", "column 17: behind \"now -\" comes a length of time (30d, 12h), not \"x\""},
        {"issued > 7d", "column 10: issued lies behind us: write -7d, or now+7d if you mean it"},
        {"expired < 30d", "column 1: there is no field \"expired\"; did you mean expires?"},
        {"Not_After < 30d", "column 1: there is no field \"Not_After\"; did you mean expires?"},
        {"ca and isuer.o = x", "column 8: there is no field \"isuer.o\"; did you mean issuer.o?"},
        {"grün = 1 ca",
         "column 1: there is no field \"grün\"; there are name, expires, issued, first_seen, last_seen, lifetime, "
         "issuer, issuer.o, issuer.cn, subject, subject.o, subject.cn, key, key.bits, signature, serial, fingerprint, spki, "
         "managed, superseded, ca, self_signed, wildcard, revoked, team, tag, owner, unowned, finding, severity, source, endpoint, port"},
        {"issuer = \"ü\" ca", "column 14: \"and\" or \"or\" is expected here, not \"ca\""},
        {"(ca", "column 4: the parenthesis of column 1 is closed here by ), or \"and\" or \"or\" goes on; not the end"},
        {"ca)", "column 3: no parenthesis is open that could be closed here"},
        {"and", "column 1: a field, \"not\" or ( is expected here, not \"and\""},
        {"ca and", "column 7: a field, \"not\" or ( is expected here, not the end"},
        {"()", "column 2: a field, \"not\" or ( is expected here, not \")\""},
        {"issuer = \"x", "column 10: the quote that begins here has no end"},
        {"issuer = \"\"", "column 10: there is nothing between the quotes"},
        {"issuer = \x01", "column 10: a control character stands here"},
        {"issuer under x", "column 8: \"issuer\" is not compared by \"under\"; it has = != ~ in"},
        {"key.bits < many", "column 12: key.bits is compared with a number, not with \"many\""},
        {"key = banana", "column 7: key is compared with a kind of key (rsa-2048, ec-p256), not with \"banana\""},
        {"fingerprint = abc", "column 15: fingerprint has 64 hexadecimal digits; the first 8 of them at least"},
        {"serial = 0xzz", "column 10: serial is compared with hexadecimal digits, not with \"0xzz\""},
        {"managed = perhaps", "column 11: managed is compared with true or false, not with \"perhaps\""},
        {"signature = sha256WithRSAEncrypion",
         "column 13: signature is never \"sha256WithRSAEncrypion\"; did you mean sha256WithRSAEncryption?"},
        {"finding = weakhash", "column 11: finding is never \"weakhash\"; did you mean weak_hash?"},
        {"severity > bad", "column 12: severity is never \"bad\"; it is one of info, warning, error, critical"},
        {"name ~ www.example",
         "column 8: a word of a name has no . in it; \"name = www.example\" or \"name under …\" ask for more"},
        {"endpoint = 10.0.0.0/8", "column 12: a network is asked for by \"endpoint under 10.0.0.0/8\""},
        {"endpoint under 10.0.0.1/8",
         "column 16: \"10.0.0.1/8\" is no network; bits behind the prefix must be zero, as in 10.0.0.0/16"},
        {"key in rsa", "column 8: behind \"in\" comes a list (a, b, …), not \"rsa\""},
        {"key in (rsa", "column 12: the list behind \"in\" goes on with a comma or ends with ), not with the end"},
        {"\xff", "the filter is not UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx;
        ctx_init(&ctx, &clock_system);
        assert_string_equal(text_of(&ctx, rows[i].text), rows[i].why);
        assert_string_equal(ctx.field, "/where");
    }
}

static void fill(struct buf *b, const char *what, int n)
{
    for (int i = 0; i < n; i++)
        buf_put_z(b, what);
}

static void length_depth_and_tests_have_ceilings(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct buf b;
    (void)state;
    ctx_init(&ctx, &clock_system);
    buf_init_arena(&b, &ctx.arena, 65536);
    fill(&b, "(", FILTER_DEPTH_MAX);
    assert_string_equal(text_of(&ctx, buf_z(&b)), "column 33: a field, \"not\" or ( is expected here, not the end");
    ctx_forget(&ctx);
    fill(&b, "(", 1000);
    assert_string_equal(text_of(&ctx, buf_z(&b)), "column 34: parentheses and \"not\" go 32 deep at most");
    ctx_forget(&ctx);
    buf_reset(&b);
    fill(&b, "not ", 1000);
    assert_string_equal(text_of(&ctx, buf_z(&b)), "column 133: parentheses and \"not\" go 32 deep at most");
    ctx_forget(&ctx);
    buf_reset(&b);
    buf_put_z(&b, "ca");
    fill(&b, " and ca", FILTER_TESTS_MAX - 1);
    assert_true(bytes_starts_with(bytes_z(text_of(&ctx, buf_z(&b))), BYTES_LIT("ca = true and")));
    buf_put_z(&b, " or ca");
    assert_string_equal(text_of(&ctx, buf_z(&b)), "column 448: a filter has 64 tests at most");
    ctx_forget(&ctx);
    buf_reset(&b);
    fill(&b, " ", FILTER_TEXT_MAX);
    assert_string_equal(text_of(&ctx, buf_z(&b)), "");
    buf_put_z(&b, " ");
    assert_string_equal(text_of(&ctx, buf_z(&b)), "a filter has 4096 bytes at most; this one has 4097");
    ctx_forget(&ctx);
    buf_reset(&b);
    buf_put_z(&b, "issuer = ");
    fill(&b, "x", FILTER_VALUE_MAX + 1);
    assert_string_equal(text_of(&ctx, buf_z(&b)), "column 10: a value has 512 bytes at most; this one has 513");
}

static void times_have_bounds(void **state)
{
    static const struct {
        const char *text;
        int64_t from, to;
    } rows[] = {
        {"expires < 1h", INT64_MIN, NOW + 3599},
        {"expires <= 1h", INT64_MIN, NOW + 3600},
        {"expires > now", NOW + 1, INT64_MAX},
        {"expires >= -1h", NOW - 3600, INT64_MAX},
        {"expires = 2026", 1767225600, 1798761599},
        {"expires = 2026-12", 1796083200, 1798761599},
        {"expires = 2026-12-31", 1798675200, 1798761599},
        {"expires > 2026", 1798761600, INT64_MAX},
        {"expires >= 2026", 1767225600, INT64_MAX},
        {"expires < 2026", INT64_MIN, 1767225599},
        {"expires <= 2026", INT64_MIN, 1798761599},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx;
        struct filter *f = NULL;
        int64_t from, to;
        ctx_init(&ctx, &clock_system);
        assert_true(rc_ok(filter_parse(&ctx, rows[i].text, &f)));
        filter_bounds(f, NOW, &from, &to);
        assert_int_equal(from, rows[i].from);
        assert_int_equal(to, rows[i].to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_are_read),
        cmocka_unit_test(errors_point_at_the_character),
        cmocka_unit_test(length_depth_and_tests_have_ceilings),
        cmocka_unit_test(times_have_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
