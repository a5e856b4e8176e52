/* Tokens of an identity provider: who is believed, and every way in which one is not. */
#include "pki_test.h"

#include "base/encode.h"
#include "base/json.h"
#include "pki/id_token.h"
#include "pki/jose.h"

#define ISSUER "https://id.example.org"
#define CLIENT "certwright"
#define NONCE  "n-0S6_WzA2Mj"

static const struct id_token_expect expect = {.issuer = ISSUER, .client_id = CLIENT, .nonce = NONCE, .groups = "groups"};

static struct key *provider, *older, *rsa, *small;
static const char *keys; /* the provider's JWK Set: "new" and "old" (EC), "rsa" */

static const char *jwk_with(const struct key *key, const char *more)
{
    const char *jwk;
    assert_ok(jose_jwk(&test_ctx, key, &jwk));
    return arena_printf(&test_ctx.arena, "{%s,%s", more, jwk + 1);
}

static int set_up(void **state)
{
    (void)state;
    assert_ok(key_generate(&test_ctx, KEY_EC_P256, &provider));
    assert_ok(key_generate(&test_ctx, KEY_EC_P384, &older));
    assert_ok(key_generate(&test_ctx, KEY_RSA_2048, &rsa));
    assert_ok(key_generate(&test_ctx, KEY_EC_P256, &small));
    keys = arena_printf(&test_ctx.arena, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"},7,%s,%s,%s]}",
                        jwk_with(provider, "\"kid\":\"new\",\"use\":\"sig\",\"alg\":\"ES256\""), jwk_with(older, "\"kid\":\"old\""),
                        jwk_with(rsa, "\"kid\":\"rsa\""));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    key_free(provider);
    key_free(older);
    key_free(rsa);
    key_free(small);
    return 0;
}

/* A compact JWS out of a flattened one. */
static const char *compact(const struct key *key, const char *kid, const char *claims)
{
    const struct jose_header header = {.kid = kid};
    const char *part[3], *names[3] = {"protected", "payload", "signature"};
    struct buf b;
    json_auto_t *jws = NULL;
    buf_init_arena(&b, &test_ctx.arena, 1 << 20);
    assert_ok(jose_sign(&test_ctx, key, &header, bytes_z(claims), &b));
    assert_ok(json_read(&test_ctx, buf_bytes(&b), &jws));
    for (int i = 0; i < 3; i++)
        assert_ok(json_get_str(&test_ctx, jws, names[i], true, &part[i]));
    return arena_printf(&test_ctx.arena, "%s.%s.%s", part[0], part[1], part[2]);
}

/* The claims of a good token; `instead` replaces the member of its name, `without` is left out. */
static const char *claims(const char *without, const char *instead)
{
    const int64_t now = ctx_now_s(&test_ctx);
    const struct {
        const char *name, *value;
    } rows[] = {{"iss", "\"" ISSUER "\""},
                {"aud", "\"" CLIENT "\""},
                {"sub", "\"248289761001\""},
                {"nonce", "\"" NONCE "\""},
                {"exp", arena_printf(&test_ctx.arena, "%lld", (long long)now + 300)},
                {"iat", arena_printf(&test_ctx.arena, "%lld", (long long)now)},
                {"name", "\"Jane Doe\""},
                {"email", "\"jane@example.org\""},
                {"email_verified", "true"},
                {"groups", "[\"pki\",7,\"ops\"]"}};
    const char *out = "{";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!without || !str_equal(rows[i].name, without))
            out = arena_printf(&test_ctx.arena, "%s%s\"%s\":%s", out, out[1] ? "," : "", rows[i].name, rows[i].value);
    return arena_printf(&test_ctx.arena, "%s%s%s}", out, instead ? "," : "", instead ? instead : "");
}

static struct rc verify(const char *token, struct id_token *out)
{
    ctx_forget(&test_ctx);
    return id_token_verify(&test_ctx, bytes_z(token), bytes_z(keys), &expect, out);
}

static void a_token_of_the_provider_says_who_it_is(void **state)
{
    struct id_token t;
    (void)state;
    const struct {
        const struct key *key;
        const char *kid;
    } rows[] = {{provider, "new"}, {older, "old"}, {rsa, "rsa"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_ok(verify(compact(rows[i].key, rows[i].kid, claims(NULL, NULL)), &t));
        assert_string_equal(t.subject, "248289761001");
        assert_string_equal(t.name, "Jane Doe");
        assert_string_equal(t.email, "jane@example.org");
        assert_null(t.username);
        assert_int_equal(t.groups.n, 2);
        assert_string_equal(t.groups.v[1], "ops");
    }
    assert_ok(verify(compact(provider, "new", claims("email_verified", NULL)), &t));
    assert_null(t.email);
    assert_ok(verify(compact(provider, "new", claims("groups", "\"groups\":\"pki\"")), &t));
    assert_int_equal(t.groups.n, 1);
    assert_ok(verify(compact(provider, "new", claims("aud", "\"aud\":[\"other\",\"" CLIENT "\"],\"azp\":\"" CLIENT "\"")), &t));
}

static void what_was_not_said_to_us_now_is_refused(void **state)
{
    static const struct {
        const char *without, *instead, *words;
    } rows[] = {
        {"iss", NULL, "iss"},
        {"iss", "\"iss\":\"https://id.example.org/\"", "another provider"},
        {"aud", NULL, "another application"},
        {"aud", "\"aud\":\"certwright2\"", "another application"},
        {"aud", "\"aud\":[\"other\",\"" CLIENT "\"]", "another application"},
        {"aud", "\"aud\":\"" CLIENT "\",\"azp\":\"other\"", "another application"},
        {"aud", "\"aud\":{\"certwright\":1}", "another application"},
        {"nonce", NULL, "not of this sign-in"},
        {"nonce", "\"nonce\":\"n-0S6_WzA2Mk\"", "not of this sign-in"},
        {"nonce", "\"nonce\":\"\"", "not of this sign-in"},
        {"sub", NULL, "sub"},
        {"sub", "\"sub\":\"\"", "subject"},
        {"sub", "\"sub\":7", "sub"},
        {"exp", NULL, "exp"},
        {"exp", "\"exp\":1300819380", "expired"},
        {"exp", "\"exp\":\"4000000000\"", "exp"},
        {"exp", "\"exp\":1e300", "exp"},
        {"iat", NULL, "iat"},
        {"iat", "\"iat\":4000000000", "of the future"},
        {"iat", "\"iat\":1300819380", "too old"},
        {NULL, "\"nbf\":4000000000", "of the future"},
        {NULL, "\"iss\":\"https://evil.example\"", ""}, /* twice */
    };
    struct id_token t;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_fails(verify(compact(provider, "new", claims(rows[i].without, rows[i].instead)), &t),
                     rows[i].words[0] ? E_UNAUTHENTICATED : E_PARSE);
        assert_non_null(strstr(ctx_why(&test_ctx), rows[i].words));
    }
}

static const char *unsigned_token(const char *header, const char *signature)
{
    struct arena *a = &test_ctx.arena;
    return arena_printf(a, "%s.%s.%s", base64url_str(a, bytes_z(header)), base64url_str(a, bytes_z(claims(NULL, NULL))), signature);
}

static void the_key_says_the_algorithm(void **state)
{
    struct id_token t;
    const char *own;
    (void)state;
    assert_fails(verify(unsigned_token("{\"alg\":\"none\"}", ""), &t), E_UNAUTHENTICATED);
    assert_fails(verify(unsigned_token("{\"alg\":\"none\",\"kid\":\"old\"}", ""), &t), E_UNAUTHENTICATED);
    /* The MAC with the public key as its secret: what a verifier that believes the header would take. */
    const char *input = unsigned_token("{\"alg\":\"HS256\",\"kid\":\"rsa\"}", "");
    uint8_t mac[SHA256_LEN];
    assert_ok(digest_hmac_sha256(&test_ctx, key_spki(rsa), bytes_of(input, strlen(input) - 1), mac));
    assert_fails(
        verify(arena_printf(&test_ctx.arena, "%s%s", input, base64url_str(&test_ctx.arena, bytes_of(mac, sizeof mac))), &t),
        E_UNAUTHENTICATED);
    /* A key that the token brings along is nobody's. */
    assert_ok(jose_jwk(&test_ctx, small, &own));
    assert_fails(verify(compact(small, NULL, claims(NULL, NULL)), &t), E_UNAUTHENTICATED);
    assert_fails(verify(compact(small, "new", claims(NULL, NULL)), &t), E_UNAUTHENTICATED);
    assert_fails(verify(compact(rsa, "old", claims(NULL, NULL)), &t), E_UNAUTHENTICATED);
    assert_fails(verify(compact(provider, "newer", claims(NULL, NULL)), &t), E_NOT_FOUND); /* keys were rotated: fetch them */
}

static void what_is_no_token_is_refused(void **state)
{
    static const char *const rows[] = {
        "", ".", "..", "a.b", "a.b.c", "e30.e30.", "e30.e30.AA", "eyJhbGciOiJFUzI1NiJ9.e30.A=", "\xff.\xff.\xff"};
    struct id_token t;
    char *large = arena_alloc(&test_ctx.arena, 70000);
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_true(rc_failed(verify(rows[i], &t)));
    memset(large, 'a', 69999);
    assert_fails(verify(large, &t), E_TOO_LARGE);
    const char *good = compact(provider, "new", claims(NULL, NULL));
    assert_ok(verify(good, &t));
    for (size_t i = 0; i < strlen(good); i += 7) {
        char *bad = arena_strdup(&test_ctx.arena, good);
        bad[i] = bad[i] == 'A' ? 'B' : 'A';
        assert_true(rc_failed(verify(bad, &t)) || i == strlen(good) - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_of_the_provider_says_who_it_is),
        cmocka_unit_test(what_was_not_said_to_us_now_is_refused),
        cmocka_unit_test(the_key_says_the_algorithm),
        cmocka_unit_test(what_is_no_token_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
