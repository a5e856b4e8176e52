/* CAA records: the examples of RFC 8659 and RFC 8657, who is asked in which order, and records that are none. */
#include "net/net_test.h"

#include "net/caa.h"

/* One record as it is on the wire. */
static struct bytes record(struct ctx *ctx, int flags, const char *tag, const char *value)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 65536);
    buf_put_u8(&b, (uint8_t)flags);
    buf_put_u8(&b, (uint8_t)strlen(tag));
    buf_put_z(&b, tag);
    buf_put_z(&b, value);
    return buf_bytes(&b);
}

struct row {
    int flags;
    const char *tag, *value;
};

struct example {
    struct row rows[4];
    const char *identity, *account, *method;
    bool wildcard;
    enum caa_verdict verdict;
    const char *says;
};

#define ACCOUNT "https://example.net/account/1234"

static const struct example examples[] = {
    /* RFC 8659 section 4.2 */
    {{{0, "issue", ";"}}, "ca1.example.net", "", "http-01", false, CAA_FORBIDS, "no CA"},
    {{{0, "issue", "ca1.example.net"}, {0, "issue", "ca2.example.org"}}, "ca2.example.org", "", "http-01", false, CAA_ALLOWS, ""},
    {{{0, "issue", "ca1.example.net"}, {0, "issue", "ca2.example.org"}}, "ca3.example", "", "http-01", false, CAA_FORBIDS, "add 0 issue \"ca3.example\""},
    {{{0, "issue", "ca1.example.net; account=230123"}}, "ca1.example.net", "", "http-01", false, CAA_ALLOWS, ""},
    {{{0, "issue", "CA1.Example.NET"}}, "ca1.example.net", "", "http-01", false, CAA_ALLOWS, ""},
    {{{0, "issue", "%%%%%"}}, "ca1.example.net", "", "http-01", false, CAA_FORBIDS, "no CA"},
    {{{0, "issue", "ca1.example.net"}, {0, "issue", ";"}}, "ca1.example.net", "", "http-01", false, CAA_ALLOWS, ""},
    /* Section 4.3: wild.example.com, wild2.example.com */
    {{{0, "issue", "ca1.example.net"}, {0, "issuewild", "ca2.example.org"}}, "ca1.example.net", "", "dns-01", true, CAA_FORBIDS, "issuewild"},
    {{{0, "issue", "ca1.example.net"}, {0, "issuewild", "ca2.example.org"}}, "ca2.example.org", "", "dns-01", true, CAA_ALLOWS, ""},
    {{{0, "issue", "ca1.example.net"}, {0, "issuewild", "ca2.example.org"}}, "ca1.example.net", "", "dns-01", false, CAA_ALLOWS, ""},
    {{{0, "issuewild", "ca2.example.org"}}, "ca1.example.net", "", "dns-01", false, CAA_ALLOWS, ""},
    {{{0, "issue", "ca1.example.net"}}, "ca1.example.net", "", "dns-01", true, CAA_ALLOWS, ""},
    {{{0, "issuewild", ";"}}, "ca1.example.net", "", "dns-01", true, CAA_FORBIDS, "no CA"},
    /* Section 4.4 and 4.5: iodef alone lets everybody; a critical property that nobody knows */
    {{{0, "iodef", "mailto:security@example.com"}}, "ca1.example.net", "", "http-01", false, CAA_ALLOWS, ""},
    {{{0, "issue", "ca1.example.net; policy=ev"}, {128, "tbs", "Unknown"}}, "ca1.example.net", "", "http-01", false, CAA_FORBIDS, "tbs"},
    {{{0, "issue", "ca1.example.net"}, {0, "tbs", "Unknown"}}, "ca1.example.net", "", "http-01", false, CAA_ALLOWS, ""},
    {{{128, "issue", "ca1.example.net"}}, "ca1.example.net", "", "http-01", false, CAA_ALLOWS, ""},
    /* RFC 8657 section 3 and appendix A */
    {{{0, "issue", "example.net; accounturi=" ACCOUNT}}, "example.net", ACCOUNT, "http-01", false, CAA_ALLOWS, ""},
    {{{0, "issue", "example.net; accounturi=" ACCOUNT}}, "example.net", "https://example.net/account/2", "http-01", false, CAA_FORBIDS, "account/2"},
    {{{0, "issue", "example.net; accounturi=" ACCOUNT}}, "example.net", "", "http-01", false, CAA_UNCLEAR, "we have none"},
    {{{0, "issue", "example.net; accounturi=" ACCOUNT}, {0, "issue", "example.net; accounturi=https://example.net/account/2"}}, "example.net",
     "https://example.net/account/2", "http-01", false, CAA_ALLOWS, ""},
    {{{0, "issue", "example.net; accounturi=" ACCOUNT "; accounturi=" ACCOUNT}}, "example.net", ACCOUNT, "http-01", false, CAA_FORBIDS, "two"},
    {{{0, "issue", "example.net; validationmethods=dns-01"}}, "example.net", "", "http-01", false, CAA_FORBIDS, "not http-01"},
    {{{0, "issue", "example.net; validationmethods=dns-01,http-01"}}, "example.net", "", "http-01", false, CAA_ALLOWS, ""},
    {{{0, "issue", "example.net; accounturi=" ACCOUNT "; validationmethods=dns-01"}}, "example.net", ACCOUNT, "dns-01", false, CAA_ALLOWS, ""},
    {{{0, "issue", "example.net; validationmethods=dns-01"}, {0, "issue", "example.net; validationmethods=http-01"}}, "example.net", "",
     "http-01", false, CAA_ALLOWS, ""},
    {{{0, "issue", "example.net; validationmethods"}}, "example.net", "", "http-01", false, CAA_FORBIDS, "no CA"},
    /* Whoever does not say how it is called */
    {{{0, "issue", "ca1.example.net"}}, NULL, "", "http-01", false, CAA_UNCLEAR, "caaIdentities"},
    {{{0, "issue", ";"}}, NULL, "", "http-01", false, CAA_FORBIDS, "no CA"},
};

static void test_the_examples_of_the_rfcs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        CTX_CLEANUP struct ctx ctx = {0};
        const struct example *e = &examples[i];
        struct bytes records[4];
        struct str_list identities = {0};
        const char *why;
        size_t n = 0;
        ctx_init(&ctx, &clock_system);
        for (; n < 4 && e->rows[n].tag != NULL; n++)
            records[n] = record(&ctx, e->rows[n].flags, e->rows[n].tag, e->rows[n].value);
        if (e->identity != NULL)
            str_list_add(&ctx.arena, &identities, e->identity);
        const struct caa_ask ask = {&identities, e->account, e->method, e->wildcard};
        const enum caa_verdict v = caa_judge(&ctx, records, n, &ask, &why);
        if (v != e->verdict || strstr(why, e->says) == NULL)
            fail_msg("example %zu: %d \"%s\"", i, v, why);
    }
}

static void test_no_records_allow_everything(void **state)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct str_list identities = {0};
    const char *why;
    (void)state;
    ctx_init(&ctx, &clock_system);
    const struct caa_ask ask = {&identities, "", "http-01", false};
    assert_int_equal(caa_judge(&ctx, NULL, 0, &ask, &why), CAA_ALLOWS);
}

static void test_records_that_are_none_allow_nothing(void **state)
{
    static const struct bytes broken[] = {{(const uint8_t *)"", 0}, {(const uint8_t *)"\0", 1}, {(const uint8_t *)"\0\5issu", 6},
                                          {(const uint8_t *)"\0\0x", 3}, {(const uint8_t *)"\0\5is-ue;", 8}};
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        CTX_CLEANUP struct ctx ctx = {0};
        struct str_list identities = {0};
        const char *why;
        ctx_init(&ctx, &clock_system);
        const struct caa_ask ask = {&identities, "", "http-01", false};
        assert_int_equal(caa_judge(&ctx, &broken[i], 1, &ask, &why), CAA_FORBIDS);
        assert_string_equal(why, "are malformed");
    }
}

/* --- climbing (section 3) */

struct tree {
    const char *holder; /* who has a record; NULL: nobody */
    int rcode;
    char asked[512];
};

static struct rc look(struct ctx *ctx, void *arg, const char *name, struct dns_reply *out)
{
    struct tree *t = arg;
    const size_t n = strlen(t->asked);
    snprintf(t->asked + n, sizeof t->asked - n, "%s ", name);
    *out = (struct dns_reply){.rcode = t->rcode};
    if (t->holder != NULL && strcmp(t->holder, name) == 0) {
        out->answer = arena_array(&ctx->arena, 2, sizeof *out->answer);
        out->answer[0] = (struct dns_record){.owner = name, .type = DNS_CNAME, .name = "elsewhere.example.net"};
        out->answer[1] = (struct dns_record){.owner = "elsewhere.example.net", .type = DNS_CAA, .data = record(ctx, 0, "issue", ";")};
        out->n_answer = 2;
    }
    return RC_OK;
}

static void test_the_nearest_name_that_has_records_counts(void **state)
{
    CTX_CLEANUP struct ctx ctx = {0};
    const char *at;
    struct bytes *records;
    size_t n;
    (void)state;
    ctx_init(&ctx, &clock_system);
    struct tree own = {.holder = "x.y.z.example.com"}, above = {.holder = "z.example.com"}, none = {0};
    assert_true(rc_ok(caa_climb(&ctx, "x.y.z.example.com", look, &own, &at, &records, &n)));
    assert_string_equal(at, "x.y.z.example.com");
    assert_int_equal(n, 1);
    assert_string_equal(own.asked, "x.y.z.example.com ");
    assert_true(rc_ok(caa_climb(&ctx, "x.y.z.example.com", look, &above, &at, &records, &n)));
    assert_string_equal(at, "z.example.com");
    assert_string_equal(above.asked, "x.y.z.example.com y.z.example.com z.example.com ");
    assert_true(rc_ok(caa_climb(&ctx, "x.example.com", look, &none, &at, &records, &n)));
    assert_null(at);
    assert_int_equal(n, 0);
    assert_string_equal(none.asked, "x.example.com example.com com ");
}

static void test_a_resolver_that_fails_is_no_permission(void **state)
{
    CTX_CLEANUP struct ctx ctx = {0};
    const char *at;
    struct bytes *records;
    size_t n;
    struct tree broken = {.rcode = DNS_SERVFAIL};
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_int_equal(caa_climb(&ctx, "example.com", look, &broken, &at, &records, &n).e, E_DNS);
    assert_non_null(strstr(ctx_why(&ctx), "SERVFAIL"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_examples_of_the_rfcs),
        cmocka_unit_test(test_no_records_allow_everything),
        cmocka_unit_test(test_records_that_are_none_allow_nothing),
        cmocka_unit_test(test_the_nearest_name_that_has_records_counts),
        cmocka_unit_test(test_a_resolver_that_fails_is_no_permission),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
