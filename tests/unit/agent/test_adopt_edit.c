/* What is changed in other clients' files, and that undoing gives them back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/adopt_edit.h"

struct made {
    struct ctx ctx;
    struct adopt_edit edits[ADOPT_EDITS_MAX];
    size_t n;
    const char *why;
    struct rc rc;
};

static void done(struct made *m)
{
    ctx_free(&m->ctx);
}
#define MADE __attribute__((cleanup(done))) struct made

static void plan(struct made *m, enum lineage_client client, const char *name, const char *text)
{
    *m = (struct made){0};
    ctx_init(&m->ctx, &clock_system);
    m->rc = adopt_edit_plan(&m->ctx, client, name, "/etc/x", bytes_z(text), m->edits, &m->n, &m->why);
}

static struct bytes all(struct made *m, struct bytes text, bool undo)
{
    for (size_t i = 0; i < m->n; i++) {
        struct bytes out = text;
        const enum adopt_edit_end end = undo ? adopt_edit_undo(&m->ctx, &m->edits[m->n - 1 - i], text, &out)
                                             : adopt_edit_make(&m->ctx, &m->edits[i], text, &out);
        assert_int_not_equal(end, ADOPT_EDIT_LOST);
        text = end == ADOPT_EDIT_MADE ? out : text;
    }
    return text;
}

/* Made it says `is`, twice made as well; undone it is what it was, twice undone as well. */
static void becomes(enum lineage_client client, const char *name, const char *was, const char *is)
{
    MADE m;
    plan(&m, client, name, was);
    assert_true(rc_ok(m.rc));
    const struct bytes made = all(&m, bytes_z(was), false);
    assert_true(bytes_equal_z(made, is));
    assert_true(bytes_equal_z(all(&m, made, false), is));
    const struct bytes undone = all(&m, made, true);
    assert_true(bytes_equal_z(undone, was));
    assert_true(bytes_equal_z(all(&m, undone, true), was));
}

static void test_certbot_is_told_by_its_own_setting(void **state)
{
    (void)state;
    becomes(LINEAGE_CERTBOT, "x", "a = b\n[renewalparams]\nserver = y\n",
            "a = b\n[renewalparams]\nautorenew = False\nserver = y\n");
    becomes(LINEAGE_CERTBOT, "x", "[renewalparams]", "[renewalparams]\nautorenew = False");
    becomes(LINEAGE_CERTBOT, "x", "[renewalparams]\nautorenew = True\n# end", "[renewalparams]\nautorenew = False\n# end");
    becomes(LINEAGE_CERTBOT, "x", "[renewalparams]\n# autorenew = False\n",
            "[renewalparams]\nautorenew = False\n# autorenew = False\n");
}

static void test_a_renewal_that_is_off_needs_no_edit(void **state)
{
    MADE m, a;
    (void)state;
    plan(&m, LINEAGE_CERTBOT, "x", "[renewalparams]\nautorenew=false\n");
    assert_true(rc_ok(m.rc) && m.n == 0 && *m.why != '\0');
    plan(&a, LINEAGE_ACME_SH, "x", "Le_NextRenewTime='4102444800'\n"); /* by an adoption: what it was is not known */
    assert_true(rc_ok(a.rc) && a.n == 0 && *a.why != '\0');
}

static void test_what_is_no_file_of_certbot_is_refused(void **state)
{
    MADE a, b;
    (void)state;
    plan(&a, LINEAGE_CERTBOT, "x", "server = y\n");
    assert_int_equal(a.rc.e, E_UNSUPPORTED);
    plan(&b, LINEAGE_CERTBOT, "x", "[renewalparams]\nautorenew = True\nautorenew = 1\n");
    assert_int_equal(b.rc.e, E_UNSUPPORTED);
}

static void test_acme_sh_waits_until_the_year_2100(void **state)
{
    (void)state;
    becomes(LINEAGE_ACME_SH, "x", "Le_Domain='x'\nLe_NextRenewTime='17'\nLe_Alt='no'\n",
            "Le_Domain='x'\nLe_NextRenewTime='4102444800'\nLe_Alt='no'\n");
    becomes(LINEAGE_ACME_SH, "x", "Le_Domain='x'", "Le_NextRenewTime='4102444800'\nLe_Domain='x'");
    becomes(LINEAGE_ACME_SH, "x", "", "Le_NextRenewTime='4102444800'\n");
}

static void test_dehydrated_passes_over_the_lines_of_the_certificate(void **state)
{
    (void)state;
    becomes(LINEAGE_DEHYDRATED, "a.org", "# a.org\nb.org a.org\nA.org www.a.org",
            "# a.org\nb.org a.org\n# adopted by certwright: A.org www.a.org");
    becomes(LINEAGE_DEHYDRATED, "shop", "*.a.org a.org > shop\nshop.a.org\n",
            "# adopted by certwright: *.a.org a.org > shop\nshop.a.org\n");
    becomes(LINEAGE_DEHYDRATED, "a.org", "a.org\nb.org\na.org\n",
            "# adopted by certwright: a.org\nb.org\n# adopted by certwright: a.org\n");
    becomes(LINEAGE_DEHYDRATED, "*.a.org", "*.a.org > b\n", "*.a.org > b\n");
}

static void test_a_line_of_cron_is_switched_off_where_it_renews_this_certificate_alone(void **state)
{
    (void)state;
    becomes(LINEAGE_LEGO, "a.org",
            "0 3 * * * root /usr/bin/lego --path /etc/lego --domains a.org --domains b.org renew && systemctl reload x\n"
            "0 4 * * * root lego --domains='b.org' -d a.org renew\n# lego -d a.org renew\n",
            "# adopted by certwright: 0 3 * * * root /usr/bin/lego --path /etc/lego --domains a.org --domains b.org renew && systemctl reload x\n"
            "0 4 * * * root lego --domains='b.org' -d a.org renew\n# lego -d a.org renew\n");
    becomes(LINEAGE_LEGO, "a.org", "0 3 * * * lego -d a.org renew; lego -d b.org renew\n", "0 3 * * * lego -d a.org renew; lego -d b.org renew\n");
    becomes(LINEAGE_LEGO, "a.org", "0 3 * * * root /root/legolas -d a.org\n", "0 3 * * * root /root/legolas -d a.org\n");
    becomes(LINEAGE_UACME, "a.org", "@daily root uacme -h /hook issue a.org www.a.org\n@daily root uacme issue b.org a.org",
            "# adopted by certwright: @daily root uacme -h /hook issue a.org www.a.org\n@daily root uacme issue b.org a.org");
}

static void test_what_others_change_meanwhile_stays(void **state)
{
    MADE m;
    struct bytes out = {0};
    (void)state;
    plan(&m, LINEAGE_DEHYDRATED, "a.org", "a.org\n");
    assert_int_equal(adopt_edit_undo(&m.ctx, &m.edits[0], BYTES_LIT("new.org\n# adopted by certwright: a.org\n# end"), &out),
                     ADOPT_EDIT_MADE);
    assert_true(bytes_equal_z(out, "new.org\na.org\n# end"));
    assert_int_equal(adopt_edit_undo(&m.ctx, &m.edits[0], BYTES_LIT("a.org www.a.org\n"), &out), ADOPT_EDIT_LOST);
    assert_int_equal(adopt_edit_make(&m.ctx, &m.edits[0], BYTES_LIT("a.org www.a.org\n"), &out), ADOPT_EDIT_LOST);
}

static void test_a_comment_of_before_would_come_back_as_a_line(void **state)
{
    MADE m;
    (void)state;
    plan(&m, LINEAGE_DEHYDRATED, "a.org", "# adopted by certwright: a.org\na.org\n");
    assert_int_equal(m.rc.e, E_UNSUPPORTED);
}

static void test_settings_are_read_as_shells_write_them(void **state)
{
    MADE m;
    const char *value = NULL;
    (void)state;
    plan(&m, LINEAGE_LEGO, "x", "");
    assert_true(adopt_setting(&m.ctx, BYTES_LIT("# K=0\nK=1\nK = \"two\"\n"), "K", &value));
    assert_string_equal(value, "two");
    assert_false(adopt_setting(&m.ctx, BYTES_LIT("K=''\nKK=1"), "K", &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certbot_is_told_by_its_own_setting),
        cmocka_unit_test(test_a_renewal_that_is_off_needs_no_edit),
        cmocka_unit_test(test_what_is_no_file_of_certbot_is_refused),
        cmocka_unit_test(test_acme_sh_waits_until_the_year_2100),
        cmocka_unit_test(test_dehydrated_passes_over_the_lines_of_the_certificate),
        cmocka_unit_test(test_a_line_of_cron_is_switched_off_where_it_renews_this_certificate_alone),
        cmocka_unit_test(test_what_others_change_meanwhile_stays),
        cmocka_unit_test(test_a_comment_of_before_would_come_back_as_a_line),
        cmocka_unit_test(test_settings_are_read_as_shells_write_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
