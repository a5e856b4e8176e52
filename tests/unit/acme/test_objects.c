/* ACME resources as a CA sends them, well and badly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "acme/ari.h"
#include "acme/dns_proof.h"
#include "acme/objects.h"
#include "base/encode.h"

static int setup(void **state)
{
    struct ctx *ctx = calloc(1, sizeof *ctx);
    ctx_init(ctx, &clock_system);
    *state = ctx;
    return 0;
}

static int teardown(void **state)
{
    ctx_free(*state);
    free(*state);
    return 0;
}

#define DIRECTORY                                                                                                                  \
    "\"newNonce\":\"https://ca.example/n\",\"newAccount\":\"https://ca.example/a\",\"newOrder\":\"https://ca.example/o\","         \
    "\"revokeCert\":\"https://ca.example/r\""

static void a_directory_is_read_and_strange_terms_are_left_out(void **state)
{
    struct ctx *ctx = *state;
    struct acme_directory d;
    assert_true(rc_ok(acme_directory_parse(
        ctx,
        BYTES_LIT("{" DIRECTORY ",\"renewalInfo\":\"https://ca.example/ari\",\"x\":1,\"meta\":{\"termsOfService\":\"javascript:1\","
                  "\"externalAccountRequired\":true,\"profiles\":{\"short\":\"six days\"},"
                  "\"caaIdentities\":[\"ca.example\",7,\"\",\"a b\",\"two.example\"]}}"),
        &d)));
    assert_string_equal(d.new_order, "https://ca.example/o");
    assert_string_equal(d.renewal_info, "https://ca.example/ari");
    assert_null(d.terms_of_service);
    assert_true(d.external_account_required);
    assert_int_equal(d.n_profiles, 1);
    assert_string_equal(d.profiles[0].name, "short");
    assert_int_equal(d.caa_identities.n, 2);
    assert_string_equal(d.caa_identities.v[1], "two.example");
}

static void a_directory_without_what_is_needed_is_a_bad_answer(void **state)
{
    struct ctx *ctx = *state;
    struct acme_directory d;
    static const char *const bad[] = {
        "", "[]", "{}", "{\"newNonce\":\"https://ca.example/n\"}", "<html>", "{\"newNonce\":\"file:///etc/passwd\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(acme_directory_parse(ctx, bytes_z(bad[i]), &d).e, E_BAD_ANSWER);
}

static void an_order_is_read_with_its_problem(void **state)
{
    struct ctx *ctx = *state;
    struct acme_order o;
    assert_true(
        rc_ok(acme_order_parse(ctx,
                               BYTES_LIT("{\"status\":\"invalid\",\"expires\":\"2026-12-01T00:00:00Z\",\"identifiers\":[{\"type\":"
                                         "\"dns\",\"value\":\"WWW.Example.org\"}],"
                                         "\"authorizations\":[\"https://ca.example/z/1\"],\"finalize\":\"https://ca.example/f/1\","
                                         "\"error\":{\"type\":\"urn:ietf:params:acme:error:caa\",\"detail\":\"CAA says no\"}}"),
                               &o)));
    assert_int_equal(o.status, ACME_INVALID);
    assert_string_equal(o.identifiers.v[0], "dns:www.example.org");
    assert_int_equal(o.expires, 1796083200);
    assert_true(o.has_problem && acme_problem_is(&o.problem, "caa"));
    assert_int_equal(acme_problem_err(&o.problem, 403), E_CHALLENGE_FAILED);
    assert_int_equal(acme_order_parse(ctx,
                                      BYTES_LIT("{\"status\":\"lovely\",\"identifiers\":[],\"authorizations\":[],"
                                                "\"finalize\":\"https://ca.example/f\"}"),
                                      &o)
                         .e,
                     E_BAD_ANSWER);
}

static void an_order_with_more_than_a_hundred_names_is_a_bad_answer(void **state)
{
    struct ctx *ctx = *state;
    struct acme_order o;
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 65536);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "status", "pending");
    json_put_str(&j, "finalize", "https://ca.example/f");
    json_open_list(&j, "identifiers");
    json_close(&j);
    json_open_list(&j, "authorizations");
    for (int i = 0; i < 101; i++)
        json_put_str(&j, NULL, "https://ca.example/z");
    json_close(&j);
    json_close(&j);
    assert_int_equal(acme_order_parse(ctx, buf_bytes(&b), &o).e, E_BAD_ANSWER);
}

static void a_token_that_is_a_path_is_a_bad_answer(void **state)
{
    struct ctx *ctx = *state;
    struct acme_authorization a;
    static const char *const tokens[] = {"../../../../etc/passwd/aaaa", "short", "aaaaaaaaaaaaaaaaaaaaaaaaaa%2e"};
    for (size_t i = 0; i < 3; i++) {
        const char *body =
            arena_printf(&ctx->arena,
                         "{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":\"a.example\"},\"challenges\":[{"
                         "\"type\":\"http-01\",\"url\":\"https://ca.example/c\",\"status\":\"pending\",\"token\":\"%s\"}]}",
                         tokens[i]);
        assert_int_equal(acme_authorization_parse(ctx, bytes_z(body), &a).e, E_BAD_ANSWER);
    }
}

static void a_problem_is_told_in_the_cas_own_words(void **state)
{
    struct ctx *ctx = *state;
    struct acme_problem p;
    acme_problem_parse(
        ctx,
        BYTES_LIT("{\"type\":\"urn:ietf:params:acme:error:compound\",\"detail\":\"two\\nthings\",\"subproblems\":["
                  "{\"type\":\"urn:ietf:params:acme:error:dns\",\"detail\":\"NXDOMAIN\",\"identifier\":{\"type\":\"dns\","
                  "\"value\":\"a.example\"}}]}"),
        &p);
    assert_string_equal(acme_problem_text(ctx, &p), "compound: two?things (dns:a.example: dns: NXDOMAIN)");
    acme_problem_parse(ctx, BYTES_LIT("<html>502</html>\nmore"), &p);
    assert_string_equal(acme_problem_text(ctx, &p), "<html>502</html>");
    assert_int_equal(acme_problem_err(&p, 502), E_ISSUER_FAILED);
    assert_int_equal(acme_problem_err(&p, 429), E_RATE_LIMITED);
    assert_int_equal(acme_problem_err(&p, 403), E_ISSUER_REFUSED);
}

/* RFC 9773 section 4.1 gives this example. */
static void renewal_information_is_asked_for_by_the_rfcs_identifier(void **state)
{
    struct ctx *ctx = *state;
    struct bytes aki, serial;
    struct acme_ari ari;
    assert_true(get_hex(&ctx->arena, BYTES_LIT("69885b6b8746404161e1b37b847ba0ae2cde01d4"), &aki));
    assert_true(get_hex(&ctx->arena, BYTES_LIT("0087654321"), &serial));
    assert_string_equal(acme_ari_id(&ctx->arena, aki, serial), "aYhba4dGQEFh4bN7hHugrizeAdQ.AIdlQyE");
    assert_string_equal(acme_ari_url(&ctx->arena, "https://ca.example/ari/", "x.y"), "https://ca.example/ari/x.y");
    assert_true(rc_ok(acme_ari_parse(ctx,
                                     BYTES_LIT("{\"suggestedWindow\":{\"start\":\"2026-12-01T00:00:00Z\",\"end\":"
                                               "\"2026-12-02T00:00:00Z\"},\"explanationURL\":\"https://ca.example/why\"}"),
                                     &ari)));
    assert_int_equal(ari.end - ari.start, 86400);
    assert_string_equal(ari.explanation_url, "https://ca.example/why");
    assert_int_equal(acme_ari_parse(ctx,
                                    BYTES_LIT("{\"suggestedWindow\":{\"start\":\"2026-12-02T00:00:00Z\",\"end\":"
                                              "\"2026-12-01T00:00:00Z\"}}"),
                                    &ari)
                         .e,
                     E_BAD_ANSWER);
    assert_int_equal(acme_ari_retry(-1), 21600);
    assert_int_equal(acme_ari_retry(1), 60);
    assert_int_equal(acme_ari_retry(1000000), 86400);
}

static void an_account_is_read_with_its_contacts(void **state)
{
    struct ctx *ctx = *state;
    struct acme_account a;
    assert_true(rc_ok(acme_account_parse(
        ctx, BYTES_LIT("{\"status\":\"deactivated\",\"contact\":[\"mailto:a@example.org\"],\"orders\":\"https://ca.example/o\"}"), &a)));
    assert_int_equal(a.status, ACME_DEACTIVATED);
    assert_string_equal(a.contacts.v[0], "mailto:a@example.org");
    assert_int_equal(acme_account_parse(ctx, BYTES_LIT("{\"status\":\"ready\"}"), &a).e, E_BAD_ANSWER);
    assert_int_equal(acme_account_parse(ctx, BYTES_LIT("{\"status\":\"valid\",\"contact\":[1]}"), &a).e, E_BAD_ANSWER);
}

/* The label is the example of draft-ietf-acme-dns-account-label, the record that of draft-ietf-acme-dns-persist. */
static void challenges_in_dns_stand_where_the_drafts_say(void **state)
{
    struct ctx *ctx = *state;
    struct acme_dns_proof p;
    struct acme_persist said;
    const char *value;
    assert_true(rc_ok(acme_dns_proof(ctx, "dns-account-01", "www.example.org", "https://example.com/acme/acct/ExampleAccount", "t.k", &p)));
    assert_string_equal(p.owner, "_ujmmovf2vn55tgye._acme-challenge.www.example.org");
    assert_false(p.stays);
    assert_true(rc_ok(acme_dns_proof(ctx, "dns-01", "www.example.org", NULL, "t.k", &p)));
    assert_string_equal(p.owner, "_acme-challenge.www.example.org");
    assert_int_equal(strlen(p.value), 43);
    assert_true(rc_ok(acme_persist_value(ctx, "authority.example", "https://ca.example/acct/123", true, 1721952000, &value)));
    assert_string_equal(value, "authority.example; accounturi=https://ca.example/acct/123; policy=wildcard; persistUntil=1721952000");
    assert_true(rc_ok(acme_dns_proof(ctx, ACME_DNS_PERSIST, "example.com", NULL, value, &p)));
    assert_string_equal(p.owner, "_validation-persist.example.com");
    assert_true(p.stays && strcmp(p.value, value) == 0);
    assert_true(rc_ok(acme_persist_parse(ctx, value, &said)));
    assert_string_equal(said.issuer_domain, "authority.example");
    assert_string_equal(said.account_url, "https://ca.example/acct/123");
    assert_true(said.wildcard && said.until == 1721952000);
    assert_int_equal(acme_persist_value(ctx, "a;b", "https://ca.example/acct/123", false, 0, &value).e, E_BAD_ANSWER);
    assert_true(rc_ok(acme_persist_value(ctx, "authority.example", "https://ca.example/~x/acct?id=a%20b", false, 0, &value)));
    assert_true(acme_dns_value_is(value));
    static const char *const never[] = {"v=spf1 -all", "a.example; accounturi=http://ca.example/1", "a.example; accounturi=https://ca.example/\"",
                                        "a.example; accounturi=https://ca.example/<&'", "a.example; accounturi=https://ca.example/\\"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        assert_false(acme_dns_value_is(never[i]));
    assert_int_equal(acme_dns_proof(ctx, "http-01", "example.com", NULL, "t.k", &p).e, E_UNSUPPORTED);
}

#define ACME_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ACME_TEST(a_directory_is_read_and_strange_terms_are_left_out),
        ACME_TEST(a_directory_without_what_is_needed_is_a_bad_answer),
        ACME_TEST(an_order_is_read_with_its_problem),
        ACME_TEST(an_order_with_more_than_a_hundred_names_is_a_bad_answer),
        ACME_TEST(a_token_that_is_a_path_is_a_bad_answer),
        ACME_TEST(a_problem_is_told_in_the_cas_own_words),
        ACME_TEST(renewal_information_is_asked_for_by_the_rfcs_identifier),
        ACME_TEST(an_account_is_read_with_its_contacts),
        ACME_TEST(challenges_in_dns_stand_where_the_drafts_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
