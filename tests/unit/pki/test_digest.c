#include "pki_test.h"

static void sha256_of_nothing_and_of_abc(void **state)
{
    struct bytes out;
    (void)state;
    assert_ok(digest_sha256_new(&test_ctx, (struct bytes){0}, &out));
    assert_string_equal(hex_str(&test_ctx.arena, out), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_ok(digest_sha256_new(&test_ctx, BYTES_LIT("abc"), &out));
    assert_string_equal(hex_str(&test_ctx.arena, out), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* RFC 4231 test case 2. */
static void hmac_sha256_as_rfc_4231(void **state)
{
    uint8_t out[32];
    (void)state;
    assert_ok(digest_hmac_sha256(&test_ctx, BYTES_LIT("Jefe"), BYTES_LIT("what do ya want for nothing?"), out));
    assert_string_equal(hex_str(&test_ctx.arena, bytes_of(out, 32)),
                        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_ok(digest_hmac_sha256(&test_ctx, (struct bytes){0}, (struct bytes){0}, out));
    assert_string_equal(hex_str(&test_ctx.arena, bytes_of(out, 32)),
                        "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* RFC 5869 test cases 1 and 3. */
static void hkdf_sha256_as_rfc_5869(void **state)
{
    uint8_t out[42];
    struct bytes ikm = from_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
    (void)state;
    assert_ok(
        digest_hkdf_sha256(&test_ctx, ikm, from_hex("000102030405060708090a0b0c"), from_hex("f0f1f2f3f4f5f6f7f8f9"), out, 42));
    assert_bytes(bytes_of(out, 42),
                 from_hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"));
    assert_ok(digest_hkdf_sha256(&test_ctx, ikm, (struct bytes){0}, (struct bytes){0}, out, 42));
    assert_bytes(bytes_of(out, 42),
                 from_hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(sha256_of_nothing_and_of_abc),
        PKI_TEST(hmac_sha256_as_rfc_4231),
        PKI_TEST(hkdf_sha256_as_rfc_5869),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
