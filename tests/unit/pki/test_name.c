#include "pki_test.h"

static void names_get_one_form(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"WWW.Example.ORG", "www.example.org"},
        {"dns:www.example.org.", "www.example.org"},
        {"*.example.org", "*.example.org"},
        {"localhost", "localhost"},
        {"xn--bcher-kva.example", "xn--bcher-kva.example"},
        {"192.0.2.7", "192.0.2.7"},
        {"ip:2001:0DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"::1", "::1"},
        {"3com.com", "3com.com"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *out;
        assert_ok(name_normalize(&test_ctx, rows[i].in, &out));
        assert_string_equal(out, rows[i].out);
    }
}

static void names_that_no_certificate_can_have_are_refused(void **state)
{
    static const char *const rows[] = {
        "",         ".",         "a..b",        ".example.org", "-a.org",         "a-.org",  "a_b.org",      "a b.org",
        "*",        "*.org",     "a.*.org",     "w*.example.org", "1.2.3",        "1.2.3.4.5", "256.1.1.1",  "ip:example.org",
        "ip:1.2.3", "::g",       "a.org:443",   "https://a.org",  "ab--cd.org",   "xn--.org",  "a.org\n",     "dns:1.2.3.4",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.org",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *out;
        if (rc_ok(name_normalize(&test_ctx, rows[i], &out)))
            fail_msg("\"%s\" was accepted", rows[i]);
    }
    struct name name;
    assert_fails(name_parse(&test_ctx, BYTES_LIT("good.org\0.evil.org"), &name), E_INVALID);
    char longest[260];
    for (size_t i = 0; i < sizeof longest; i++)
        longest[i] = i % 2 ? '.' : 'a';
    assert_false(name_dns_valid(bytes_of(longest, 255), false));
    assert_true(name_dns_valid(bytes_of(longest, 253), false));
}

static void letters_outside_ascii_are_refused_with_the_remedy(void **state)
{
    const char *out;
    (void)state;
    assert_fails(name_normalize(&test_ctx, "bücher.example", &out), E_INVALID);
    assert_why("write it as an A-label (xn--");
}

static void wildcards_cover_exactly_one_label(void **state)
{
    static const struct {
        const char *pattern, *host;
        bool covers;
    } rows[] = {
        {"www.example.org", "WWW.example.org", true},   {"www.example.org", "www.example.org.", true},
        {"*.example.org", "a.example.org", true},       {"*.example.org", "a.b.example.org", false},
        {"*.example.org", "example.org", false},        {"*.example.org", "*.example.org", false},
        {"w*.example.org", "www.example.org", false},   {"*.org", "example.org", false},
        {"www.example.org", "example.org", false},      {"*.example.org", ".example.org", false},
        {"*.0.2.1", "192.0.2.1", false},                {"", "", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (name_covers(bytes_z(rows[i].pattern), bytes_z(rows[i].host)) != rows[i].covers)
            fail_msg("%s %s %s", rows[i].pattern, rows[i].covers ? "should cover" : "should not cover", rows[i].host);
}

static void subtrees_hold_whole_labels(void **state)
{
    (void)state;
    assert_true(name_within(BYTES_LIT("a.example.org"), BYTES_LIT("example.org")));
    assert_true(name_within(BYTES_LIT("Example.org"), BYTES_LIT("example.org")));
    assert_true(name_within(BYTES_LIT("*.example.org"), BYTES_LIT(".example.org")));
    assert_true(name_within(BYTES_LIT("x.net"), BYTES_LIT("")));
    assert_false(name_within(BYTES_LIT("badexample.org"), BYTES_LIT("example.org")));
    assert_false(name_within(BYTES_LIT("org"), BYTES_LIT("example.org")));
}

static void lists_are_sets(void **state)
{
    static const char *const one[] = {"b.org", "A.org", "192.0.2.1", "a.org"}, *const two[] = {"ip:192.0.2.1", "a.org",
                                                                                               "dns:b.org"};
    struct name_list a, b;
    (void)state;
    assert_ok(name_list_parse(&test_ctx, one, 4, &a));
    assert_ok(name_list_parse(&test_ctx, two, 3, &b));
    assert_int_equal(a.n, 3);
    assert_true(name_list_same(&a, &b));
    assert_string_equal(name_prefixed(&test_ctx.arena, &a.v[2]), "ip:192.0.2.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(names_get_one_form),
        PKI_TEST(names_that_no_certificate_can_have_are_refused),
        PKI_TEST(letters_outside_ascii_are_refused_with_the_remedy),
        PKI_TEST(wildcards_cover_exactly_one_label),
        PKI_TEST(subtrees_hold_whole_labels),
        PKI_TEST(lists_are_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
