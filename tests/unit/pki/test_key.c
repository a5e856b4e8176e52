#include "pki_test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static const enum key_kind kinds[] = {KEY_EC_P256, KEY_EC_P384, KEY_RSA_2048};

static void keys_survive_pkcs8_and_pem_and_sign(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        KEY_CLEANUP struct key *key = NULL, *again = NULL, *public = NULL, *from_pem = NULL;
        SECRET_CLEANUP struct secret der = {0}, pem = {0};
        BUF_CLEANUP struct buf text = {0};
        struct bytes signature;
        assert_ok(key_generate(&test_ctx, kinds[i], &key));
        assert_int_equal(key_kind_of(key), kinds[i]);
        assert_ok(key_to_pkcs8(&test_ctx, key, &der));
        assert_ok(key_from_pkcs8(&test_ctx, &der, &again));
        assert_true(key_same(key, again) && key_is_private(again));
        buf_init_secret(&text, 16384);
        assert_ok(key_to_pem(&test_ctx, key, &text));
        assert_ok(secret_from(&test_ctx, &pem, buf_bytes(&text)));
        assert_ok(key_from_pem(&test_ctx, &pem, &from_pem));
        assert_true(key_same(key, from_pem));
        assert_ok(key_from_spki(&test_ctx, key_spki(key), &public));
        assert_false(key_is_private(public));
        assert_ok(key_sign(&test_ctx, again, BYTES_LIT("message"), &signature));
        assert_ok(key_verify_own(&test_ctx, public, BYTES_LIT("message"), signature));
        assert_fails(key_verify_own(&test_ctx, public, BYTES_LIT("massage"), signature), E_INVALID);
        assert_fails(key_verify_own(&test_ctx, public, BYTES_LIT("message"), (struct bytes){0}), E_INVALID);
    }
}

static void openssl_reads_our_pkcs8_and_we_read_its_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        KEY_CLEANUP struct key *key = NULL, *again = NULL, *traditional = NULL;
        SECRET_CLEANUP struct secret der = {0}, theirs = {0}, old = {0};
        assert_ok(key_generate(&test_ctx, kinds[i], &key));
        assert_ok(key_to_pkcs8(&test_ctx, key, &der));
        const uint8_t *p = secret_use(&der).p;
        EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &p, (long)der.n);
        assert_non_null(pkey);
        assert_int_equal(EVP_PKEY_eq(pkey, key_evp(key)), 1);
        uint8_t *out = NULL;
        PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
        int n = i2d_PKCS8_PRIV_KEY_INFO(info, &out);
        assert_true(n > 0);
        assert_ok(secret_from(&test_ctx, &theirs, bytes_of(out, (size_t)n)));
        assert_ok(key_from_pkcs8(&test_ctx, &theirs, &again));
        assert_true(key_same(key, again));
        OPENSSL_free(out);
        out = NULL;
        n = i2d_PrivateKey(pkey, &out); /* RSAPrivateKey, ECPrivateKey */
        assert_ok(secret_from(&test_ctx, &old, bytes_of(out, (size_t)n)));
        assert_ok(key_from_pkcs8(&test_ctx, &old, &traditional));
        assert_true(key_same(key, traditional));
        OPENSSL_free(out);
        uint8_t *spki = NULL;
        n = i2d_PUBKEY(pkey, &spki);
        assert_bytes(key_spki(key), bytes_of(spki, (size_t)n));
        OPENSSL_free(spki);
        PKCS8_PRIV_KEY_INFO_free(info);
        EVP_PKEY_free(pkey);
    }
}

static void damaged_keys_are_refused(void **state)
{
    KEY_CLEANUP struct key *key = NULL, *out = NULL;
    SECRET_CLEANUP struct secret der = {0};
    (void)state;
    assert_ok(key_generate(&test_ctx, KEY_EC_P256, &key));
    assert_ok(key_to_pkcs8(&test_ctx, key, &der));
    for (size_t n = 0; n < der.n; n++) {
        SECRET_CLEANUP struct secret cut = {0};
        assert_ok(secret_from(&test_ctx, &cut, bytes_of(secret_use(&der).p, n)));
        assert_true(rc_failed(key_from_pkcs8(&test_ctx, &cut, &out)));
    }
    secret_fill(&der)[der.n - 1] ^= 1; /* of the public point */
    assert_fails(key_from_pkcs8(&test_ctx, &der, &out), E_PARSE);
    assert_why("do not belong together");
}

static void a_point_off_the_curve_is_refused(void **state)
{
    KEY_CLEANUP struct key *key = NULL, *out = NULL;
    (void)state;
    assert_ok(key_generate(&test_ctx, KEY_EC_P256, &key));
    struct bytes spki = arena_bytes(&test_ctx.arena, key_spki(key));
    ((uint8_t *)spki.p)[spki.n - 1] ^= 1;
    assert_fails(key_from_spki(&test_ctx, spki, &out), E_WEAK_KEY);
}

static void another_algorithm_does_not_verify(void **state)
{
    KEY_CLEANUP struct key *ec = NULL, *rsa = NULL;
    struct bytes signature;
    (void)state;
    assert_ok(key_generate(&test_ctx, KEY_EC_P256, &ec));
    assert_ok(key_generate(&test_ctx, KEY_RSA_2048, &rsa));
    assert_ok(key_sign(&test_ctx, ec, BYTES_LIT("x"), &signature));
    assert_fails(key_verify(&test_ctx, ec, key_signature_algorithm(rsa), BYTES_LIT("x"), signature), E_UNSUPPORTED);
    assert_fails(key_verify(&test_ctx, ec, from_hex("3000"), BYTES_LIT("x"), signature), E_UNSUPPORTED);
}

static void kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(key_kind_name(KEY_RSA_3072), "rsa-3072");
    assert_int_equal(key_kind_by_name("ec-p384"), KEY_EC_P384);
    assert_int_equal(key_kind_by_name("ec-p521"), KEY_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(keys_survive_pkcs8_and_pem_and_sign),
        PKI_TEST(openssl_reads_our_pkcs8_and_we_read_its_forms),
        PKI_TEST(damaged_keys_are_refused),
        PKI_TEST(a_point_off_the_curve_is_refused),
        PKI_TEST(another_algorithm_does_not_verify),
        PKI_TEST(kinds_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
