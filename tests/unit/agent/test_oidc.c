/* What an OpenID provider says of itself: believed where it is of the issuer that was asked, and leads nowhere but to https. */
#include "pki/pki_test.h"

#include "agent/relay/oidc.h"

#define ISSUER "https://idp.example.org/realm"

static struct bytes configuration(const char *issuer, const char *token_endpoint, const char *more)
{
    return bytes_z(
        arena_printf(&test_ctx.arena,
                     "{\"issuer\":\"%s\",\"authorization_endpoint\":\"https://idp.example.org/auth?x=1\",\"token_endpoint\":\"%s\","
                     "\"jwks_uri\":\"https://keys.example.org/jwks\"%s}",
                     issuer, token_endpoint, more));
}

static void its_endpoints_are_read(void **state)
{
    struct wire_relay_oidc_done out = {0};
    (void)state;
    assert_ok(relay_oidc_read(&test_ctx, ISSUER, configuration(ISSUER, "https://idp.example.org/token", ""), &out));
    assert_string_equal(out.authorization_endpoint, "https://idp.example.org/auth?x=1");
    assert_string_equal(out.token_endpoint, "https://idp.example.org/token");
    assert_string_equal(out.jwks_uri, "https://keys.example.org/jwks");
    assert_true(out.basic); /* where it does not say how a client proves itself */
    assert_false(out.tells_issuer);
    assert_ok(relay_oidc_read(&test_ctx, ISSUER,
                              configuration(ISSUER, "https://idp.example.org/token",
                                            ",\"token_endpoint_auth_methods_supported\":[\"client_secret_post\"],"
                                            "\"authorization_response_iss_parameter_supported\":true"),
                              &out));
    assert_false(out.basic);
    assert_true(out.tells_issuer);
}

static void another_issuer_or_plain_http_is_refused(void **state)
{
    static const char *const issuers[] = {"https://idp.example.org", "https://idp.example.org/realm/",
                                          "https://IDP.example.org/realm", ""};
    static const char *const endpoints[] = {"http://idp.example.org/token", "file:///etc/passwd", "",
                                            "https://user@idp.example.org/"};
    struct wire_relay_oidc_done out = {0};
    (void)state;
    for (size_t i = 0; i < sizeof issuers / sizeof *issuers; i++)
        assert_fails(relay_oidc_read(&test_ctx, ISSUER, configuration(issuers[i], "https://idp.example.org/token", ""), &out),
                     E_BAD_ANSWER);
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++)
        assert_fails(relay_oidc_read(&test_ctx, ISSUER, configuration(ISSUER, endpoints[i], ""), &out), E_BAD_ANSWER);
    assert_fails(relay_oidc_read(&test_ctx, ISSUER, BYTES_LIT("[]"), &out), E_BAD_ANSWER);
    assert_fails(relay_oidc_read(&test_ctx, ISSUER, BYTES_LIT("{\"issuer\":1}"), &out), E_INVALID);
    assert_true(rc_failed(relay_oidc_read(&test_ctx, ISSUER, BYTES_LIT("<html>"), &out)));
}

static void a_token_is_taken_out_of_the_answer(void **state)
{
    const char *token = NULL;
    (void)state;
    assert_ok(relay_oidc_token(&test_ctx, BYTES_LIT("{\"access_token\":\"a\",\"id_token\":\"x.y.z\"}"), &token));
    assert_string_equal(token, "x.y.z");
    assert_true(rc_failed(relay_oidc_token(&test_ctx, BYTES_LIT("{\"access_token\":\"a\"}"), &token)));
    assert_fails(relay_oidc_token(&test_ctx, BYTES_LIT("[]"), &token), E_BAD_ANSWER);
    char *large = arena_alloc(&test_ctx.arena, 50001);
    memset(large, 'a', 50000);
    assert_fails(relay_oidc_token(&test_ctx, bytes_z(arena_printf(&test_ctx.arena, "{\"id_token\":\"%s\"}", large)), &token),
                 E_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {PKI_TEST(its_endpoints_are_read), PKI_TEST(another_issuer_or_plain_http_is_refused),
                                       PKI_TEST(a_token_is_taken_out_of_the_answer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
