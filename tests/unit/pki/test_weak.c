#include "pki_test.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/random.h"
#include "pki/key_der.h"
#include "pki/weak.h"

static struct bytes bn_bytes(const BIGNUM *n)
{
    uint8_t *p = arena_alloc(&test_ctx.arena, (size_t)BN_num_bytes(n) + 1);
    return bytes_of(p, (size_t)BN_bn2bin(n, p));
}

static struct bytes rsa_spki(const BIGNUM *n, const char *exponent_hex)
{
    struct bytes out;
    assert_ok(key_der_put_rsa_spki(&test_ctx, bn_bytes(n), from_hex(exponent_hex), &out));
    return out;
}

static void refused(struct bytes spki, const char *why)
{
    ctx_forget(&test_ctx);
    assert_fails(weak_check(&test_ctx, spki, NULL, 0), E_WEAK_KEY);
    assert_why(why);
}

static uint32_t look(struct bytes spki)
{
    uint32_t weak;
    assert_ok(weak_look(&test_ctx, spki, NULL, 0, &weak));
    return weak;
}

/* A product of two random primes of `bits` together. */
static BIGNUM *modulus_of(int bits)
{
    BIGNUM *p = BN_new(), *q = BN_new(), *n = BN_new();
    BN_CTX *c = BN_CTX_new();
    assert_true(BN_generate_prime_ex(p, bits / 2, 0, NULL, NULL, NULL) && BN_generate_prime_ex(q, bits / 2, 0, NULL, NULL, NULL));
    assert_true(BN_mul(n, p, q, c));
    BN_free(p);
    BN_free(q);
    BN_CTX_free(c);
    return n;
}

static void good_keys_pass(void **state)
{
    static const enum key_kind kinds[] = {KEY_EC_P256, KEY_EC_P384, KEY_RSA_2048};
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        KEY_CLEANUP struct key *key = NULL;
        assert_ok(key_generate(&test_ctx, kinds[i], &key));
        assert_ok(weak_check(&test_ctx, key_spki(key), NULL, 0));
    }
}

static void rsa_of_wrong_sizes_and_exponents_is_refused(void **state)
{
    BIGNUM *small = modulus_of(1024), *good = modulus_of(2048), *huge = BN_new();
    (void)state;
    refused(rsa_spki(small, "010001"), "1024 bits is too short");
    assert_int_equal(look(rsa_spki(small, "03")), 0); /* its size is another matter */
    assert_true(BN_one(huge) && BN_lshift(huge, huge, 8192) && BN_add_word(huge, 1));
    refused(rsa_spki(huge, "010001"), "over the limit");
    refused(rsa_spki(good, "03"), "less than 65537");
    refused(rsa_spki(good, "010002"), "even");
    refused(rsa_spki(good, "010000000000000000000000000000000000000000000000000000000000000001"), "2^256");
    assert_ok(weak_check(&test_ctx, rsa_spki(good, "010001"), NULL, 0));
    BN_free(small);
    BN_free(good);
    BN_free(huge);
}

static void small_factors_are_found_up_to_the_limit(void **state)
{
    static const struct {
        unsigned factor;
        const char *text;
    } rows[] = {
        {3, "divided by 3"}, {5, "divided by 5"}, {251, "divided by 251"}, {257, "divided by 257"}, {65521, "divided by 65521"}};
    BIGNUM *p = BN_new(), *n = BN_new();
    (void)state;
    assert_true(BN_generate_prime_ex(p, 2060, 0, NULL, NULL, NULL));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(BN_copy(n, p) && BN_mul_word(n, rows[i].factor));
        refused(rsa_spki(n, "010001"), rows[i].text);
        assert_int_equal(look(rsa_spki(n, "010001")) & WEAK_FACTOR, WEAK_FACTOR);
    }
    BN_free(p);
    BN_free(n);
}

static void close_primes_are_found_by_fermat(void **state)
{
    BIGNUM *p = BN_new(), *q = BN_new(), *n = BN_new();
    BN_CTX *c = BN_CTX_new();
    (void)state;
    assert_true(BN_generate_prime_ex(p, 1024, 0, NULL, NULL, NULL) && BN_copy(q, p));
    do
        assert_true(BN_add_word(q, 2));
    while (BN_check_prime(q, c, NULL) != 1);
    assert_true(BN_mul(n, p, q, c));
    refused(rsa_spki(n, "010001"), "Fermat");
    assert_int_equal(look(rsa_spki(n, "010001")), WEAK_FERMAT);
    BN_free(p);
    BN_free(q);
    BN_free(n);
    BN_CTX_free(c);
}

/* A prime of the form that the faulty library made: k*M + (65537^a mod M), M the product of the first 126 primes. */
static BIGNUM *roca_prime(BN_CTX *c)
{
    BIGNUM *m = BN_new(), *a = BN_new(), *k = BN_new(), *p = BN_new(), *g = BN_new();
    assert_true(BN_one(m) && BN_set_word(g, 65537));
    for (unsigned i = 2, found = 0; found < 126; i++) {
        bool prime = true;
        for (unsigned d = 2; d * d <= i; d++)
            prime = prime && i % d;
        if (prime) {
            assert_true(BN_mul_word(m, i));
            found++;
        }
    }
    do {
        assert_true(BN_rand(a, 250, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) && BN_mod_exp(p, g, a, m, c));
        assert_true(BN_rand(k, 1024 - BN_num_bits(m), BN_RAND_TOP_TWO, BN_RAND_BOTTOM_ANY) && BN_mul(k, k, m, c) &&
                    BN_add(p, p, k));
    } while (BN_num_bits(p) != 1024 || BN_check_prime(p, c, NULL) != 1);
    BN_free(m);
    BN_free(a);
    BN_free(k);
    BN_free(g);
    return p;
}

static void keys_of_the_faulty_smart_cards_are_found(void **state)
{
    BN_CTX *c = BN_CTX_new();
    BIGNUM *p = roca_prime(c), *q = roca_prime(c), *n = BN_new();
    (void)state;
    assert_true(BN_mul(n, p, q, c));
    refused(rsa_spki(n, "010001"), "ROCA");
    assert_int_equal(look(rsa_spki(n, "010001")), WEAK_ROCA);
    BN_free(p);
    BN_free(q);
    BN_free(n);
    BN_CTX_free(c);
}

static void curves_off_the_list_and_points_off_the_curve_are_refused(void **state)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-521");
    uint8_t *der = NULL;
    int n = i2d_PUBKEY(pkey, &der);
    KEY_CLEANUP struct key *key = NULL;
    (void)state;
    refused(bytes_of(der, (size_t)n), "P-521 is not accepted");
    OPENSSL_free(der);
    EVP_PKEY_free(pkey);
    der = NULL;
    pkey = EVP_EC_gen("secp256k1");
    n = i2d_PUBKEY(pkey, &der);
    refused(bytes_of(der, (size_t)n), "is not accepted");
    OPENSSL_free(der);
    EVP_PKEY_free(pkey);
    assert_ok(key_generate(&test_ctx, KEY_EC_P384, &key));
    struct bytes spki = arena_bytes(&test_ctx.arena, key_spki(key));
    ((uint8_t *)spki.p)[spki.n - 1] ^= 1;
    refused(spki, "not a point of its curve");
    der = NULL;
    pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    n = i2d_PUBKEY(pkey, &der);
    assert_fails(weak_check(&test_ctx, bytes_of(der, (size_t)n), NULL, 0), E_UNSUPPORTED);
    OPENSSL_free(der);
    EVP_PKEY_free(pkey);
}

/* What Debian's list holds of a modulus, worked out another way than weak.c does: by OpenSSL's own printing. */
static const char *debian_digits(const BIGNUM *n)
{
    char *hex = BN_bn2hex(n);
    const char *line = arena_printf(&test_ctx.arena, "Modulus=%s\n", hex);
    uint8_t md[20];
    OPENSSL_free(hex);
    assert_int_equal(EVP_Digest(line, strlen(line), md, NULL, EVP_sha1(), NULL), 1);
    return hex_str(&test_ctx.arena, bytes_of(md + 10, 10));
}

static void keys_on_a_list_are_refused_in_every_form_of_list(void **state)
{
    KEY_CLEANUP struct key *ec = NULL, *other = NULL;
    BIGNUM *n = modulus_of(2048);
    struct bytes rsa = rsa_spki(n, "010001"), hash;
    (void)state;
    assert_ok(key_generate(&test_ctx, KEY_EC_P256, &ec));
    assert_ok(key_generate(&test_ctx, KEY_EC_P256, &other));
    assert_ok(digest_sha256_new(&test_ctx, key_spki(ec), &hash));
    const char *full = hex_str(&test_ctx.arena, hash);
    uint8_t records[48];
    random_fill(records, sizeof records);
    records[0] = 0;
    struct bytes x = bytes_of(key_spki(ec).p + key_spki(ec).n - 64, 32), x_hash;
    while (x.p[0] == 0)
        bytes_skip(&x, 1);
    assert_ok(digest_sha256_new(&test_ctx, x, &x_hash));
    memcpy(records + 16, x_hash.p, 15);
    const struct {
        struct bytes text, spki;
    } rows[] = {
        {bytes_z(arena_printf(&test_ctx.arena, "# known keys\n%064d\n%s # leaked\n\n%s", 7, full, full)), key_spki(ec)},
        {bytes_z(arena_printf(&test_ctx.arena, "%.40s\n", full)), key_spki(ec)},
        {bytes_of(records, sizeof records), key_spki(ec)},
        {bytes_z(arena_printf(&test_ctx.arena, "# Debian\n00000000000000000000\n%s\n", debian_digits(n))), rsa},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct weak_list *list = NULL;
        assert_ok(weak_list_parse(&test_ctx, rows[i].text, &list));
        assert_true(weak_list_count(list) >= 1);
        const struct weak_list *lists[] = {list};
        ctx_forget(&test_ctx);
        assert_fails(weak_check(&test_ctx, rows[i].spki, lists, 1), E_WEAK_KEY);
        assert_why("on a list");
        assert_ok(weak_check(&test_ctx, key_spki(other), lists, 1));
        weak_list_free(list);
    }
    struct weak_list *list = NULL;
    assert_fails(weak_list_parse(&test_ctx, BYTES_LIT("00ff\n"), &list), E_PARSE);
    assert_fails(weak_list_load(&test_ctx, "/nowhere/weak", &list), E_NOT_FOUND);
    BN_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(good_keys_pass),
        PKI_TEST(rsa_of_wrong_sizes_and_exponents_is_refused),
        PKI_TEST(small_factors_are_found_up_to_the_limit),
        PKI_TEST(close_primes_are_found_by_fermat),
        PKI_TEST(keys_of_the_faulty_smart_cards_are_found),
        PKI_TEST(curves_off_the_list_and_points_off_the_curve_are_refused),
        PKI_TEST(keys_on_a_list_are_refused_in_every_form_of_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
