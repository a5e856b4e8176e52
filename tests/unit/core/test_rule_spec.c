/* What rules say: what is refused and where, and when somebody is told, also when the wall clock is put forward or back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "core/rule_spec.h"

static int64_t at(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm));
    return (int64_t)timegm(&tm);
}

static const char *shown(struct ctx *ctx, int64_t t)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 64);
    time_put_rfc3339(&b, t);
    return buf_z(&b);
}

static void what_makes_no_sense_is_refused_where_it_stands(void **state)
{
    static const struct {
        const char *spec, *field;
    } rows[] = {
        {"{}", "/spec"},
        {"{\"on\":[\"issuer.failing\"],\"where\":\"managed\"}", "/spec"},
        {"{\"on\":[\"issuer.failed\"]}", "/spec/on/0"},
        {"{\"on\":[\"issuer.failing\"],\"closes\":[\"alert.close\"]}", "/spec/closes/0"},
        {"{\"on\":[\"issuer.failing\"],\"closes\":[\"issuer.failing\"]}", "/spec/closes"},
        {"{\"on\":[\"issuer.failing\"],\"every\":\"1h\"}", "/spec/every"},
        {"{\"on\":[\"issuer.failing\"],\"within\":\"soon\"}", "/spec/within"},
        {"{\"on\":[\"issuer.failing\"],\"steps\":[{\"action\":\"renew\",\"issuer\":\"ca\"}]}", "/spec/steps/0"},
        {"{\"where\":\"managed and\"}", "/spec/where"},
        {"{\"where\":\"managed\",\"every\":\"1s\"}", "/spec/every"},
        {"{\"where\":\"managed\",\"times\":2}", "/spec"},
        {"{\"where\":\"managed\",\"closes\":[\"issuer.healthy\"]}", "/spec"},
        {"{\"on\":[\"issuer.failing\"],\"steps\":[{}]}", "/spec/steps/0"},
        {"{\"on\":[\"issuer.failing\"],\"steps\":[{\"notify\":\"\"}]}", "/spec/steps/0"},
        {"{\"on\":[\"issuer.failing\"],\"steps\":[{\"notify\":\"team\"},{\"notify\":\"x\",\"wait\":\"1h\"}]}", "/spec/steps/1"},
        {"{\"on\":[\"issuer.failing\"],\"steps\":[{\"wait\":\"1s\"}]}", "/spec/steps/0/wait"},
        {"{\"on\":[\"issuer.failing\"],\"steps\":[{\"action\":\"tag\"}]}", "/spec/steps/0"},
        {"{\"on\":[\"issuer.failing\"],\"steps\":[{\"action\":\"renew\",\"tags\":[\"x\"]}]}", "/spec/steps/0"},
        {"{\"on\":[\"issuer.failing\"],\"quiet\":[\"20:00-07:00\",\"at night\"]}", "/spec/quiet/1"},
        {"{\"on\":[\"issuer.failing\"],\"quiet\":[\"20:00-07:00 Europe/Nowhere\"]}", "/spec/quiet/0"},
        {"{\"on\":[\"issuer.failing\"],\"digest\":\"1000d\"}", "/spec/digest"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ctx ctx;
        struct rule_spec spec;
        ctx_init(&ctx, &clock_system);
        if (rule_spec_read(&ctx, rows[i].spec, &spec).e != E_INVALID || !ctx.field || strcmp(ctx.field, rows[i].field) != 0)
            fail_msg("%s: %s at %s", rows[i].spec, ctx_why(&ctx), ctx.field ? ctx.field : "no field");
        ctx_free(&ctx);
    }
}

static void it_is_told_at_once_or_when_the_quiet_hours_end_or_with_the_next_digest(void **state)
{
    static const struct {
        const char *more;
        enum check_severity severity;
        const char *now, *told;
    } rows[] = {
        {"", SEVERITY_INFO, "2026-11-21T12:00:00Z", "2026-11-21T12:00:00Z"},
        {",\"quiet\":[\"20:00-07:00\"]", SEVERITY_ERROR, "2026-11-21T19:59:59Z", "2026-11-21T19:59:59Z"},
        {",\"quiet\":[\"20:00-07:00\"]", SEVERITY_ERROR, "2026-11-21T20:00:00Z", "2026-11-22T07:00:00Z"},
        {",\"quiet\":[\"20:00-07:00\"]", SEVERITY_CRITICAL, "2026-11-21T20:00:00Z", "2026-11-21T20:00:00Z"},
        /* A weekend, and the night before Monday behind it without a gap. */
        {",\"quiet\":[\"Sat,Sun 00:00-24:00\",\"20:00-07:00\"]", SEVERITY_ERROR, "2026-11-21T12:00:00Z", "2026-11-23T07:00:00Z"},
        /* In Berlin 07:00 is 06:00Z in winter and 05:00Z in summer; on the night between the clock is put forward. */
        {",\"quiet\":[\"20:00-07:00 Europe/Berlin\"]", SEVERITY_ERROR, "2026-03-27T20:00:00Z", "2026-03-28T06:00:00Z"},
        {",\"quiet\":[\"20:00-07:00 Europe/Berlin\"]", SEVERITY_ERROR, "2026-03-28T20:00:00Z", "2026-03-29T05:00:00Z"},
        {",\"quiet\":[\"20:00-07:00 Europe/Berlin\"]", SEVERITY_ERROR, "2026-10-24T19:00:00Z", "2026-10-25T06:00:00Z"},
        /* Quiet is what lies in the hour that comes twice; told behind it. */
        {",\"quiet\":[\"02:00-03:00 Europe/Berlin\"]", SEVERITY_ERROR, "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"},
        {",\"digest\":\"1h\"", SEVERITY_ERROR, "2026-11-21T12:10:00Z", "2026-11-21T13:00:00Z"},
        {",\"digest\":\"1d\"", SEVERITY_ERROR, "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"},
        {",\"digest\":\"1h\"", SEVERITY_CRITICAL, "2026-11-21T12:10:00Z", "2026-11-21T12:10:00Z"},
        {",\"digest\":\"1h\",\"quiet\":[\"20:00-07:00\"]", SEVERITY_ERROR, "2026-11-21T19:10:00Z", "2026-11-22T07:00:00Z"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ctx ctx;
        struct rule_spec spec;
        ctx_init(&ctx, &clock_system);
        assert_true(rc_ok(
            rule_spec_read(&ctx, arena_printf(&ctx.arena, "{\"on\":[\"issuer.failing\"]%s}", rows[i].more), &spec)));
        const char *told = shown(&ctx, rule_tells_at(&spec, rows[i].severity, at(rows[i].now)));
        if (strcmp(told, rows[i].told) != 0)
            fail_msg("%s at %s: told at %s, not %s", rows[i].more, rows[i].now, told, rows[i].told);
        ctx_free(&ctx);
    }
}

static void a_rule_needs_what_its_steps_do_and_steps_go_on_only_where_they_say_so(void **state)
{
    struct ctx ctx;
    struct rule_spec spec;
    struct permission_set needs;
    size_t renew = 0, revoke = 0;
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_true(rc_ok(rule_spec_read(&ctx,
                                     "{\"on\":[\"certificate.late\"],\"steps\":[{\"notify\":\"owner\"},{\"wait\":\"1h\"},"
                                     "{\"action\":\"renew\"},{\"wait\":\"1h\",\"unless\":\"closed\"},{\"notify\":\"a@b.example\"}]}",
                                     &spec)));
    needs = rule_needs(&spec);
    assert_true(api_permission_find("managed-certificate.renew", &renew) && api_permission_find("certificate.revoke", &revoke));
    assert_true(permission_in(&needs, renew));
    assert_false(permission_in(&needs, revoke));
    assert_int_equal(spec.steps_n, 5);
    assert_int_equal(spec.steps[1].wait_s, 3600);
    assert_false(spec.steps[2].although_acknowledged);
    assert_true(spec.steps[3].although_acknowledged && spec.steps[4].although_acknowledged);
    assert_true(rule_opens(&spec, "certificate.late") && !rule_opens(&spec, "certificate.issued"));
    assert_string_equal(rule_step_words(&ctx, &spec.steps[4]), "tell a@b.example");
    assert_true(rc_ok(rule_spec_read(&ctx, "{\"where\":\"finding = rogue\"}", &spec)));
    assert_int_equal(spec.steps_n, 1);
    assert_string_equal(spec.steps[0].notify, "team");
    assert_int_equal(spec.every_s, RULE_EVERY_S);
    assert_int_equal(spec.severity, SEVERITY_WARNING);
    ctx_free(&ctx);
}

static void the_built_in_rules_can_be_read(void **state)
{
    static const struct {
        const char *name, *spec;
    } rows[] = {
#define RULE(name, enabled, spec) {name, spec},
#include "core/rules.def"
#undef RULE
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ctx ctx;
        struct rule_spec spec;
        ctx_init(&ctx, &clock_system);
        if (rc_failed(rule_spec_read(&ctx, rows[i].spec, &spec)))
            fail_msg("%s: %s", rows[i].name, ctx_why(&ctx));
        ctx_free(&ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_makes_no_sense_is_refused_where_it_stands),
        cmocka_unit_test(it_is_told_at_once_or_when_the_quiet_hours_end_or_with_the_next_digest),
        cmocka_unit_test(the_built_in_rules_can_be_read),
        cmocka_unit_test(a_rule_needs_what_its_steps_do_and_steps_go_on_only_where_they_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
