#include "pki_test.h"

#include "base/json.h"
#include "pki/jose.h"

/* RFC 7638 section 3.1. */
static const char rfc7638_jwk[] =
    "{\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZ"
    "CiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL"
    "5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\","
    "\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}";

static void thumbprint_as_rfc_7638(void **state)
{
    KEY_CLEANUP struct key *key = NULL;
    const char *thumbprint, *authorization;
    (void)state;
    assert_ok(jose_key_from_jwk(&test_ctx, bytes_z(rfc7638_jwk), &key));
    assert_ok(jose_thumbprint(&test_ctx, key, &thumbprint));
    assert_string_equal(thumbprint, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_ok(jose_key_authorization(&test_ctx, key, BYTES_LIT("token"), &authorization));
    assert_string_equal(authorization, "token.NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

/* RFC 7515 appendix A.3, as flattened JSON. */
static void es256_example_of_rfc_7515_verifies(void **state)
{
    static const char jwk[] = "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                              "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";
    static const char jws[] = "{\"protected\":\"eyJhbGciOiJFUzI1NiJ9\",\"payload\":"
                              "\"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNv"
                              "bS9pc19yb290Ijp0cnVlfQ\",\"signature\":\"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-"
                              "F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q\"}";
    KEY_CLEANUP struct key *key = NULL, *other = NULL;
    struct jose_message m;
    (void)state;
    assert_ok(jose_key_from_jwk(&test_ctx, bytes_z(jwk), &key));
    assert_ok(jose_verify(&test_ctx, bytes_z(jws), key, &m));
    assert_string_equal(m.alg, "ES256");
    assert_true(bytes_starts_with(m.payload, BYTES_LIT("{\"iss\":\"joe\"")));
    assert_ok(key_generate(&test_ctx, KEY_EC_P256, &other));
    assert_fails(jose_verify(&test_ctx, bytes_z(jws), other, &m), E_UNAUTHENTICATED);
    assert_fails(jose_verify(&test_ctx, bytes_z(jws), NULL, &m), E_UNAUTHENTICATED);
}

/* RFC 7515 appendix A.1. */
static void hs256_example_of_rfc_7515_verifies(void **state)
{
    static const char jws[] =
        "{\"protected\":\"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\",\"payload\":"
        "\"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0"
        "dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\",\"signature\":\"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk\"}";
    struct jose_message m;
    struct bytes key;
    (void)state;
    assert_true(get_base64url(&test_ctx.arena,
                              BYTES_LIT("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTw"
                                        "jAzZr1Z9CAow"),
                              &key));
    assert_ok(jose_verify_hs256(&test_ctx, bytes_z(jws), key, &m));
    assert_fails(jose_verify_hs256(&test_ctx, bytes_z(jws), BYTES_LIT("wrong"), &m), E_UNAUTHENTICATED);
}

static void what_is_signed_verifies_with_every_kind_of_key(void **state)
{
    static const enum key_kind kinds[] = {KEY_EC_P256, KEY_EC_P384, KEY_RSA_2048};
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        KEY_CLEANUP struct key *key = NULL;
        struct jose_message m;
        struct buf b;
        assert_ok(key_generate(&test_ctx, kinds[i], &key));
        /* often enough to meet an R or S with a zero in front */
        for (size_t n = 0; n < (i == 2 ? 1 : 600); n++) {
            const struct jose_header header = {.nonce = "abc", .url = "https://ca.example/new-account"};
            buf_init_arena(&b, &test_ctx.arena, 65536);
            assert_ok(jose_sign(&test_ctx, key, &header, BYTES_LIT("{\"x\":1}"), &b));
            assert_ok(jose_verify(&test_ctx, buf_bytes(&b), NULL, &m));
        }
        assert_string_equal(m.nonce, "abc");
        assert_string_equal(m.url, "https://ca.example/new-account");
        assert_null(m.kid);
        const struct jose_header by_kid = {.kid = "https://ca.example/a/1", .nonce = "n", .url = "https://ca.example/o/1"};
        buf_init_arena(&b, &test_ctx.arena, 65536);
        assert_ok(jose_sign(&test_ctx, key, &by_kid, (struct bytes){0}, &b));
        assert_true(strstr(buf_z(&b), "\"payload\":\"\"") != NULL); /* POST-as-GET */
        assert_ok(jose_verify(&test_ctx, buf_bytes(&b), key, &m));
        assert_string_equal(m.kid, "https://ca.example/a/1");
        assert_null(m.jwk);
    }
}

static void external_account_binding_holds_the_account_key(void **state)
{
    KEY_CLEANUP struct key *key = NULL;
    SECRET_CLEANUP struct secret mac = {0};
    struct jose_message m;
    struct buf b;
    const char *jwk;
    (void)state;
    assert_ok(key_generate(&test_ctx, KEY_EC_P256, &key));
    assert_ok(secret_from(&test_ctx, &mac, BYTES_LIT("0123456789abcdef")));
    buf_init_arena(&b, &test_ctx.arena, 65536);
    assert_ok(jose_eab(&test_ctx, key, "kid-1", &mac, "https://ca.example/new-account", &b));
    assert_ok(jose_verify_hs256(&test_ctx, buf_bytes(&b), secret_use(&mac), &m));
    assert_ok(jose_jwk(&test_ctx, key, &jwk));
    assert_true(bytes_equal_z(m.payload, jwk));
    assert_string_equal(m.kid, "kid-1");
    assert_null(m.nonce);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(thumbprint_as_rfc_7638),
        PKI_TEST(es256_example_of_rfc_7515_verifies),
        PKI_TEST(hs256_example_of_rfc_7515_verifies),
        PKI_TEST(what_is_signed_verifies_with_every_kind_of_key),
        PKI_TEST(external_account_binding_holds_the_account_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
