/* What goes into a filter is nothing but a value, and names of entries are the same however they are spelled. */
#include "net/net_test.h"

#include "net/directory.h"

static struct ctx ctx;

static int setup(void **state)
{
    (void)state;
    ctx_init(&ctx, &clock_system);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ctx_free(&ctx);
    return 0;
}

static const char *put(struct bytes value)
{
    struct buf b;
    buf_init_arena(&b, &ctx.arena, 4096);
    directory_filter_put(&b, value);
    return buf_z(&b);
}

static void a_value_stays_a_value(void **state)
{
    uint8_t all[256];
    (void)state;
    assert_string_equal(put(bytes_z("jane.doe-2@example.org")), "jane.doe-2@example.org");
    assert_string_equal(put(bytes_z("*)(uid=*")), "\\2a\\29\\28uid=\\2a");
    assert_string_equal(put(bytes_z("a\\2a")), "a\\5c2a");
    assert_string_equal(put(bytes_of("a\0b", 3)), "a\\00b");
    assert_string_equal(put(bytes_z("J\xc3\xbcrgen")), "J\\c3\\bcrgen");
    assert_string_equal(put(bytes_z("")), "");
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    const char *text = put(bytes_of(all, sizeof all));
    for (const char *p = text; *p; p++) {
        assert_true(*p >= 0x20 && *p < 0x7f && !strchr("*()", *p));
        if (*p == '\\')
            p += 2;
    }
}

static void addresses_are_read(void **state)
{
    static const struct {
        const char *url, *host;
        uint16_t port;
        bool tls;
    } good[] = {{"ldaps://ldap.example.org", "ldap.example.org", 636, true},
                {"ldaps://ldap.example.org:1636/", "ldap.example.org", 1636, true},
                {"ldap://192.0.2.1", "192.0.2.1", 389, false},
                {"ldap://[2001:db8::1]:3389", "2001:db8::1", 3389, false}};
    static const char *const bad[] = {"",
                                      "ldap.example.org",
                                      "http://ldap.example.org",
                                      "ldapi:///run/ldapi",
                                      "ldaps://",
                                      "ldaps:///",
                                      "ldap://a b",
                                      "ldaps://ldap.example.org:0",
                                      "ldaps://ldap.example.org:70000",
                                      "ldaps://ldap.example.org/dc=example",
                                      "ldap://user@host"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct directory_server s;
        assert_true(rc_ok(directory_server_read(&ctx, good[i].url, &s)));
        assert_string_equal(s.host, good[i].host);
        assert_int_equal(s.port, good[i].port);
        assert_int_equal(s.tls, good[i].tls);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct directory_server s;
        if (rc_ok(directory_server_read(&ctx, bad[i], &s)))
            fail_msg("%s was taken", bad[i]);
        ctx_forget(&ctx);
    }
}

static void a_name_has_one_plain_form(void **state)
{
    (void)state;
    directory_load(&ctx);
    const char *plain = directory_name_plain(&ctx, "cn=Staff\\, all,ou=groups,dc=example,dc=org");
    assert_non_null(plain);
    assert_string_equal(directory_name_plain(&ctx, "CN=Staff\\2c all, OU=groups , DC=Example,DC=org"), plain);
    assert_string_not_equal(directory_name_plain(&ctx, "cn=Staff,cn=all,ou=groups,dc=example,dc=org"), plain);
    assert_null(directory_name_plain(&ctx, "staff"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(a_value_stays_a_value), TEST(addresses_are_read), TEST(a_name_has_one_plain_form)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
