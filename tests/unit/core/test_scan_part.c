/* What an agent was asked of a scan: places, ports and names that are of it, and that are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/scan_part.h"

#define PART                                                                                                                    \
    "{\"scan\":\"s\",\"targets\":[%s],\"exclude\":[\"10.1.0.0/24\",\"10.1.0.7\"],\"ports\":[\"443\",\"25/smtp\"]}"

static struct scan_part *part(struct ctx *ctx, const char *targets, const char *granted)
{
    struct scan_part *p = NULL;
    assert_true(rc_ok(scan_part_read(ctx, arena_printf(&ctx->arena, PART, targets), granted, &p)));
    return p;
}

static void places_of_a_part_are_told_from_others(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    (void)state;
    ctx_init(&ctx, &clock_system);
    const struct scan_part *p = part(&ctx,
                                     "\"10.0.0.0/8\",\"10.2.0.0/16\",\"192.0.2.1\",\"Shop.example.@192.0.2.0/24\",\"www.example\","
                                     "\"2001:db8::/64\"",
                                     "{\"networks\":[\"198.51.100.0/24\",\"0.0.0.0/0\"]}");
    static const struct {
        const char *address, *name;
        int port;
        bool is;
    } rows[] = {{"10.0.0.1", "", 443, true},
                {"10.2.3.4", "", 25, true},
                {"10.255.255.255", "", 443, true},
                {"11.0.0.0", "", 443, false},
                {"9.255.255.255", "", 443, false},
                {"10.0.0.1", "", 80, false},
                {"10.0.0.1", "", 0, false},
                {"10.0.0.1", "", 65536, false},
                {"10.1.0.9", "", 443, false},
                {"10.1.1.0", "", 443, true},
                {"10.0.0.1", "shop.example", 443, false},
                {"192.0.2.1", "", 443, true},
                {"192.0.2.2", "", 443, false},
                {"192.0.2.2", "SHOP.example.", 443, true},
                {"192.0.3.2", "shop.example", 443, false},
                {"198.51.100.4", "www.example", 443, true},
                {"203.0.113.4", "www.example", 443, true},
                {"10.1.0.7", "www.example", 443, false},
                {"127.0.0.1", "www.example", 443, false}, /* 0.0.0.0/0 does not grant it */
                {"169.254.169.254", "www.example", 443, false},
                {"2001:db8::1", "www.example", 443, false},
                {"203.0.113.4", "other.example", 443, false},
                {"2001:db8::ffff", "", 443, true},
                {"2001:db8:0:1::", "", 443, false},
                {"::ffff:10.0.0.1", "", 443, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct address a;
        assert_true(address_parse(bytes_z(rows[i].address), &a));
        if (scan_part_has(p, &a, rows[i].port, scan_part_name(&ctx, rows[i].name)) != rows[i].is)
            fail_msg("%s %s %d", rows[i].address, rows[i].name, rows[i].port);
    }
    assert_true(scan_part_resolves(p, "www.example"));
    assert_false(scan_part_resolves(p, "shop.example"));
    assert_false(scan_part_resolves(p, ""));
}

static void a_part_is_measured_as_the_agent_counts(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    (void)state;
    ctx_init(&ctx, &clock_system);
    const struct scan_part *p = part(&ctx, "\"10.0.0.0/24\",\"a@10.0.0.0/30\",\"a\",\"b\"", "{}");
    assert_int_equal(p->positions, (256 + 4 + 2) * 2);
    assert_int_equal(p->places, (256 + 4 + 2 * SCAN_NAME_PLACES) * 2);
    p = part(&ctx, "\"::/0\",\"::/0\",\"8000::/1\"", "{}");
    assert_true(p->positions == UINT64_C(1) << 48 && p->places == p->positions);
    p = part(&ctx, "", "{}");
    assert_int_equal(p->positions, 0);
}

static void what_is_no_part_is_refused(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct scan_part *p = NULL;
    (void)state;
    ctx_init(&ctx, &clock_system);
    const char *bad[] = {"", "[]", "{}", "{\"scan\":1,\"targets\":[],\"ports\":[]}", "{\"scan\":\"s\",\"targets\":[1],\"ports\":[]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (rc_ok(scan_part_read(&ctx, bad[i], "{}", &p)))
            fail_msg("%s", bad[i]);
    assert_true(rc_ok(scan_part_read(&ctx, "{\"scan\":\"s\",\"targets\":[\"@\",\"a@b\",\"\"],\"ports\":[]}", "{}", &p)));
    assert_int_equal(p->targets_n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_of_a_part_are_told_from_others),
        cmocka_unit_test(a_part_is_measured_as_the_agent_counts),
        cmocka_unit_test(what_is_no_part_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
