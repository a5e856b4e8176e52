#include "net/net_test.h"

#include "base/address.h"

static struct address address(const char *text)
{
    struct address a;
    if (!address_parse(bytes_z(text), &a))
        fail_msg("%s is not read", text);
    return a;
}

static void addresses_are_classified(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum address_class class;
    } rows[] = {
        {"8.8.8.8", ADDRESS_PUBLIC},
        {"2606:4700::1111", ADDRESS_PUBLIC},
        {"127.0.0.1", ADDRESS_LOOPBACK},
        {"127.255.255.255", ADDRESS_LOOPBACK},
        {"::1", ADDRESS_LOOPBACK},
        {"169.254.169.254", ADDRESS_LINK_LOCAL},
        {"fe80::1", ADDRESS_LINK_LOCAL},
        {"10.1.2.3", ADDRESS_PRIVATE},
        {"172.16.0.1", ADDRESS_PRIVATE},
        {"172.31.255.255", ADDRESS_PRIVATE},
        {"172.32.0.1", ADDRESS_PUBLIC},
        {"192.168.1.1", ADDRESS_PRIVATE},
        {"100.64.0.1", ADDRESS_PRIVATE},
        {"100.128.0.1", ADDRESS_PUBLIC},
        {"fc00::1", ADDRESS_PRIVATE},
        {"fdff::1", ADDRESS_PRIVATE},
        {"fec0::1", ADDRESS_PRIVATE},
        {"0.0.0.0", ADDRESS_UNSPECIFIED},
        {"0.1.2.3", ADDRESS_UNSPECIFIED},
        {"::", ADDRESS_UNSPECIFIED},
        {"224.0.0.1", ADDRESS_MULTICAST},
        {"ff02::1", ADDRESS_MULTICAST},
        {"240.0.0.1", ADDRESS_RESERVED},
        {"255.255.255.255", ADDRESS_RESERVED},
        {"192.0.2.1", ADDRESS_RESERVED},
        {"198.18.0.1", ADDRESS_RESERVED},
        {"198.51.100.1", ADDRESS_RESERVED},
        {"203.0.113.9", ADDRESS_RESERVED},
        {"2001:db8::1", ADDRESS_RESERVED},
        {"2001::1", ADDRESS_RESERVED},
        {"4000::1", ADDRESS_RESERVED},
        {"100::1", ADDRESS_RESERVED},
        {"::ffff:127.0.0.1", ADDRESS_LOOPBACK},
        {"::ffff:8.8.8.8", ADDRESS_PUBLIC},
        {"::7f00:1", ADDRESS_LOOPBACK},
        {"64:ff9b::10.0.0.1", ADDRESS_PRIVATE},
        {"64:ff9b::8.8.8.8", ADDRESS_PUBLIC},
        {"64:ff9b:1::8.8.8.8", ADDRESS_PRIVATE},
        {"2002:7f00:1::", ADDRESS_LOOPBACK},
        {"2002:a9fe:a9fe::1", ADDRESS_LINK_LOCAL},
        {"2002:0808:0808::1", ADDRESS_PUBLIC},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct address a = address(rows[i].text);
        if (address_classify(&a) != rows[i].class)
            fail_msg("%s is %s", rows[i].text, address_class_text(address_classify(&a)));
    }
}

static void only_grants_open_what_is_not_public(void **state)
{
    (void)state;
    struct cidr nets[2];
    assert_true(cidr_parse(BYTES_LIT("10.0.0.0/8"), &nets[0]));
    assert_true(cidr_parse(BYTES_LIT("::1"), &nets[1]));
    struct address_grants grants = {nets, 2};
    struct address inside = address("10.9.8.7"), mapped = address("::ffff:10.9.8.7"), outside = address("192.168.0.1"),
                   loop6 = address("::1"), loop4 = address("127.0.0.1"), open = address("8.8.8.8");
    assert_true(address_allowed(&inside, &grants));
    assert_true(address_allowed(&mapped, &grants));
    assert_true(address_allowed(&loop6, &grants));
    assert_true(address_allowed(&open, NULL));
    assert_false(address_allowed(&outside, &grants));
    assert_false(address_allowed(&loop4, &grants));
    assert_false(address_allowed(&inside, NULL));
    assert_true(cidr_parse(BYTES_LIT("0.0.0.0/0"), &nets[0]));
    assert_true(cidr_parse(BYTES_LIT("::/0"), &nets[1]));
    struct address multicast = address("224.0.0.1"), any = address("::");
    assert_false(address_allowed(&multicast, &grants));
    assert_false(address_allowed(&any, &grants));
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    assert_int_equal(address_check(&ctx, &loop4, NULL).e, E_ADDRESS_REFUSED);
    assert_non_null(strstr(ctx_why(&ctx), "127.0.0.1 is a loopback address"));
}

static void networks_are_read_strictly(void **state)
{
    (void)state;
    struct cidr c;
    const char *bad[] = {"10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0/8", "::/129", "fe80::1%eth0", "", "/8"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (cidr_parse(bytes_z(bad[i]), &c))
            fail_msg("%s is read", bad[i]);
    assert_true(cidr_parse(BYTES_LIT("192.168.128.0/17"), &c));
    struct address in = address("192.168.255.1"), out = address("192.168.127.255"), v6 = address("::1");
    assert_true(cidr_has(&c, &in));
    assert_false(cidr_has(&c, &out));
    assert_false(cidr_has(&c, &v6));
}

static void host_and_port_are_taken_apart(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    static const struct {
        const char *text, *host;
        uint16_t port;
    } good[] = {{"a.example:8443", "a.example", 8443},
                {"a.example", "a.example", 443},
                {"[::1]:1", "::1", 1},
                {"[::1]", "::1", 443},
                {"::1", "::1", 443},
                {"192.0.2.1:65535", "192.0.2.1", 65535}};
    const char *host;
    uint16_t port;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(rc_ok(address_parse_host_port(&ctx, bytes_z(good[i].text), 443, &host, &port)));
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
    }
    const char *bad[] = {"",       ":443",  "a:0", "a:65536", "a:+1",  "a:",           "[::1",
                         "[::1]x", "[a]:1", "a b", "a/b",     "a:1:2", "[192.0.2.1]:1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (rc_ok(address_parse_host_port(&ctx, bytes_z(bad[i]), 443, &host, &port)))
            fail_msg("%s is read", bad[i]);
    assert_true(rc_failed(address_parse_host_port(&ctx, BYTES_LIT("a"), 0, &host, &port)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_classified),
        cmocka_unit_test(only_grants_open_what_is_not_public),
        cmocka_unit_test(networks_are_read_strictly),
        cmocka_unit_test(host_and_port_are_taken_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
