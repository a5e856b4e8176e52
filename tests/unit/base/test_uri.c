#include "net/net_test.h"

#include "net/dns.h"
#include "net/http.h"
#include "base/uri.h"

static void urls_come_out_normalised(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    static const char *const rows[][2] = {
        {"HTTPS://Example.ORG", "https://example.org/"},
        {"https://example.org:443/a", "https://example.org/a"},
        {"http://example.org:443/a?b=c&d", "http://example.org:443/a?b=c&d"},
        {"http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080/"},
        {"https://a/b/../c/./d", "https://a/c/d"},
        {"https://a/../../x", "https://a/x"},
        {"https://a/b/..", "https://a/"},
        {"https://a/b//c", "https://a/b//c"},
        {"https://a?x", "https://a/?x"},
        {"https://192.0.2.1/%7Ea", "https://192.0.2.1/%7Ea"},
        {"https://a:/", "https://a/"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct uri u;
        struct buf b BUF_CLEANUP;
        buf_init(&b, 4096);
        if (rc_failed(uri_parse(&ctx, bytes_z(rows[i][0]), &u)))
            fail_msg("%s: %s", rows[i][0], ctx_why(&ctx));
        uri_put(&b, &u);
        assert_string_equal(buf_z(&b), rows[i][1]);
    }
}

static void urls_that_two_readers_could_read_differently_are_refused(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    static const char *const rows[] = {
        "",
        "ftp://a/",
        "file:///etc/passwd",
        "//a/",
        "/a",
        "http:/a",
        "http://",
        "http:///a",
        "http://a@b/",
        "http://a:b@c/",
        "http://a/#f",
        "http://127.1/",
        "http://0x7f.0.0.1/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://1.2.3.4.5/",
        "http://a b/",
        "http://a/ b",
        "http://a\\b/",
        "http://a/\\b",
        "http://a/%4",
        "http://a/%zz",
        "http://a:0/",
        "http://a:65536/",
        "http://a:8x/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[fe80::1%25eth0]/",
        "http://a..b/",
        "http://.a/",
        "http://a/\x01",
        "http://a/\xc3\xa4",
        "http://127.0.0.1./",
        "http://a%41/",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct uri u;
        if (rc_ok(uri_parse(&ctx, bytes_z(rows[i]), &u)))
            fail_msg("%s is read as host %s", rows[i], u.host);
    }
}

static void query_parameters_are_decoded(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct http_params p;
    assert_true(rc_ok(http_params_parse(&ctx, BYTES_LIT("a=1&b=x%20y+z&&c&d=%3D%26"), &p)));
    assert_int_equal(p.n, 4);
    assert_string_equal(http_params_get(&p, "b"), "x y z");
    assert_string_equal(http_params_get(&p, "c"), "");
    assert_string_equal(http_params_get(&p, "d"), "=&");
    assert_null(http_params_get(&p, "e"));
    assert_true(rc_ok(http_params_parse(&ctx, (struct bytes){0}, &p)));
    assert_int_equal(p.n, 0);
    static const char *const bad[] = {"a=%", "a=%4", "a=%00", "a=1&a=2", "a=%ff", "%zz=1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (rc_ok(http_params_parse(&ctx, bytes_z(bad[i]), &p)))
            fail_msg("%s is read", bad[i]);
}

static void names_and_literals_are_resolved(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct dns_answer a;
    assert_true(rc_ok(dns_resolve(&ctx, "::1", 443, &a)));
    assert_string_equal(address_port_str(&ctx.arena, &a.v[0]), "[::1]:443");
    assert_true(rc_ok(dns_resolve(&ctx, "localhost", 80, &a)));
    assert_int_equal(address_classify(&a.v[0]), ADDRESS_LOOPBACK);
    assert_true(rc_failed(dns_resolve(&ctx, "does-not-exist.invalid", 80, &a)));
    ctx.deadline_ms = clock_mono_ms() + 1;
    sleep_ms(3);
    assert_int_equal(dns_resolve(&ctx, "slow.invalid", 80, &a).e, E_TIMEOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_come_out_normalised),
        cmocka_unit_test(urls_that_two_readers_could_read_differently_are_refused),
        cmocka_unit_test(query_parameters_are_decoded),
        cmocka_unit_test(names_and_literals_are_resolved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
