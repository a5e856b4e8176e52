#include "pki_test.h"

#include "pki/hpke.h"

#define RFC_INFO  "4f6465206f6e2061204772656369616e2055726e"
#define RFC_PLAIN "4265617574792069732074727574682c20747275746820626561757479"
#define RFC_AAD   "436f756e742d30"

/* RFC 9180 Appendix A: the base mode of A.1, A.2, A.3 and A.5, and of the vector file the RFC names the suite with AES-256-GCM,
 * which the appendix leaves out; the first encryption of each. */
static const struct vector {
    const char *name;
    struct hpke_suite suite;
    const char *ephemeral, *receiver, *public, *enc, *ct;
} vectors[] = {
    {"A.1",
     {HPKE_X25519, HPKE_AES_128_GCM},
     "52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736",
     "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
     "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d",
     "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
     "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"},
    {"AES-256-GCM",
     {HPKE_X25519, HPKE_AES_256_GCM},
     "179d4b53b6365c45b600c4163b61d95cbc2f4d9e36f1695558dce265ab8bab11",
     "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d",
     "430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c",
     "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256",
     "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a"},
    {"A.2",
     {HPKE_X25519, HPKE_CHACHA20_POLY1305},
     "f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600",
     "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb",
     "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a",
     "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a",
     "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28"},
    {"A.3",
     {HPKE_P256, HPKE_AES_128_GCM},
     "4995788ef4b9d6132b249ce59a77281493eb39af373d236a1fe415cb0c2d7beb",
     "f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2",
     "04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a82"
     "6a779b4cf969b8a0e539c7f62fb3d30ad6aa8f80e30f1d128aafd68a2ce72ea0",
     "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac9"
     "8536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4",
     "5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab2523f39513434"},
    {"A.5",
     {HPKE_P256, HPKE_CHACHA20_POLY1305},
     "7550253e1147aae48839c1f8af80d2770fb7a4c763afe7d0afa7e0f42a5b3689",
     "a4d1c55836aa30f9b3fbb6ac98d338c877c2867dd3a77396d13f68d3ab150d3b",
     "04a697bffde9405c992883c5c439d6cc358170b51af72812333b015621dc0f40ba"
     "d9bb726f68a5c013806a790ec716ab8669f84f6b694596c2987cf35baba2a006",
     "04c07836a0206e04e31d8ae99bfd549380b072a1b1b82e563c935c095827824fc1"
     "559eac6fb9e3c70cd3193968994e7fe9781aa103f5b50e934b5b2f387e381291",
     "6469c41c5c81d3aa85432531ecf6460ec945bde1eb428cb2fedf7a29f5a685b4ccb0d057f03ea2952a27bb458b"},
};

static struct hpke_key *key_of(enum hpke_kem kem, const char *hex)
{
    SECRET_CLEANUP struct secret raw = {0};
    struct hpke_key *key = NULL;
    assert_ok(secret_from(&test_ctx, &raw, from_hex(hex)));
    assert_ok(hpke_key_from(&test_ctx, kem, &raw, &key));
    return key;
}

static void the_vectors_of_the_rfc_come_out_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const struct vector *v = &vectors[i];
        HPKE_KEY_CLEANUP struct hpke_key *ephemeral = key_of(v->suite.kem, v->ephemeral),
                                         *receiver = key_of(v->suite.kem, v->receiver);
        SECRET_CLEANUP struct secret plain = {0}, opened = {0}, raw = {0};
        struct bytes sealed, expected = from_hex(arena_printf(&test_ctx.arena, "%s%s", v->enc, v->ct));
        assert_bytes(hpke_key_public(receiver), from_hex(v->public));
        assert_bytes(hpke_key_public(ephemeral), from_hex(v->enc));
        assert_ok(hpke_key_to(&test_ctx, receiver, &raw));
        assert_bytes(secret_use(&raw), from_hex(v->receiver));
        assert_ok(secret_from(&test_ctx, &plain, from_hex(RFC_PLAIN)));
        assert_ok(hpke_seal_with(&test_ctx, v->suite, ephemeral, from_hex(v->public), from_hex(RFC_INFO), from_hex(RFC_AAD), &plain,
                                 &sealed));
        if (!bytes_equal(sealed, expected))
            fail_msg("%s: sealed to other bytes than the RFC's", v->name);
        assert_ok(hpke_open_with(&test_ctx, v->suite, receiver, from_hex(RFC_INFO), from_hex(RFC_AAD), expected, &opened));
        assert_bytes(secret_use(&opened), from_hex(RFC_PLAIN));
    }
}

struct fixture {
    struct hpke_key *key;
    struct secret plain;
    struct bytes sealed;
};

#define INFO BYTES_LIT("the purpose")
#define AAD  BYTES_LIT("what goes with it")

static void fixture_new(struct fixture *f)
{
    *f = (struct fixture){0};
    assert_ok(hpke_key_new(&test_ctx, HPKE_X25519, &f->key));
    assert_ok(secret_from(&test_ctx, &f->plain, BYTES_LIT("the private key")));
    assert_ok(hpke_seal(&test_ctx, hpke_key_public(f->key), INFO, AAD, &f->plain, &f->sealed));
}

static void fixture_free(struct fixture *f)
{
    hpke_key_free(f->key);
    secret_free(&f->plain);
}

static void what_is_sealed_opens_with_the_key_that_was_kept(void **state)
{
    struct fixture f;
    SECRET_CLEANUP struct secret raw = {0}, out = {0}, empty = {0}, none = {0};
    HPKE_KEY_CLEANUP struct hpke_key *again = NULL;
    struct bytes sealed;
    (void)state;
    fixture_new(&f);
    assert_int_equal(f.sealed.n, f.plain.n + HPKE_OVERHEAD);
    assert_int_equal(bytes_find(f.sealed, BYTES_LIT("private")), SIZE_MAX);
    assert_ok(hpke_key_to(&test_ctx, f.key, &raw));
    assert_ok(hpke_key_from(&test_ctx, HPKE_X25519, &raw, &again));
    assert_ok(hpke_open(&test_ctx, again, INFO, AAD, f.sealed, &out));
    assert_bytes(secret_use(&out), BYTES_LIT("the private key"));
    assert_ok(hpke_seal(&test_ctx, hpke_key_public(f.key), INFO, AAD, &f.plain, &sealed));
    assert_false(bytes_equal(sealed, f.sealed)); /* a new ephemeral key each time */
    assert_ok(secret_new(&test_ctx, &empty, 0));
    assert_ok(hpke_seal(&test_ctx, hpke_key_public(f.key), (struct bytes){0}, (struct bytes){0}, &empty, &sealed));
    assert_ok(hpke_open(&test_ctx, f.key, (struct bytes){0}, (struct bytes){0}, sealed, &none));
    assert_int_equal(none.n, 0);
    fixture_free(&f);
}

static void another_key_purpose_or_companion_does_not_open_it(void **state)
{
    struct fixture f;
    struct secret out = {0};
    HPKE_KEY_CLEANUP struct hpke_key *other = NULL, *point = NULL;
    (void)state;
    fixture_new(&f);
    assert_ok(hpke_key_new(&test_ctx, HPKE_X25519, &other));
    assert_ok(hpke_key_new(&test_ctx, HPKE_P256, &point));
    assert_fails(hpke_open(&test_ctx, other, INFO, AAD, f.sealed, &out), E_CRYPTO);
    assert_why("does not open");
    assert_fails(hpke_open(&test_ctx, f.key, AAD, AAD, f.sealed, &out), E_CRYPTO);
    assert_fails(hpke_open(&test_ctx, f.key, INFO, INFO, f.sealed, &out), E_CRYPTO);
    assert_fails(hpke_open(&test_ctx, f.key, INFO, (struct bytes){0}, f.sealed, &out), E_CRYPTO);
    assert_fails(hpke_open(&test_ctx, point, INFO, AAD, f.sealed, &out), E_CRYPTO);
    struct hpke_suite chacha = {HPKE_X25519, HPKE_CHACHA20_POLY1305};
    assert_fails(hpke_open_with(&test_ctx, chacha, f.key, INFO, AAD, f.sealed, &out), E_CRYPTO);
    assert_null(out.locked_);
    fixture_free(&f);
}

static void every_changed_byte_and_every_cut_is_noticed(void **state)
{
    struct fixture f;
    (void)state;
    fixture_new(&f);
    for (size_t i = 0; i < f.sealed.n; i++) {
        struct bytes copy = arena_bytes(&test_ctx.arena, f.sealed);
        struct secret out = {0};
        ((uint8_t *)copy.p)[i] ^= 0x40;
        assert_true(rc_failed(hpke_open(&test_ctx, f.key, INFO, AAD, copy, &out)));
        assert_fails(hpke_open(&test_ctx, f.key, INFO, AAD, bytes_of(f.sealed.p, i), &out), i < HPKE_OVERHEAD ? E_PARSE : E_CRYPTO);
        assert_null(out.locked_);
        ctx_forget(&test_ctx);
    }
    fixture_free(&f);
}

static void weak_points_and_points_off_the_curve_are_refused(void **state)
{
    /* the points of small order that RFC 7748 section 6.1 warns of */
    static const char *const weak[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    struct fixture f;
    struct bytes sealed;
    (void)state;
    fixture_new(&f);
    for (size_t i = 0; i < sizeof weak / sizeof *weak; i++) {
        struct secret out = {0};
        struct bytes point = from_hex(weak[i]), enc = arena_bytes(&test_ctx.arena, f.sealed);
        assert_fails(hpke_seal(&test_ctx, point, INFO, AAD, &f.plain, &sealed), E_CRYPTO);
        assert_fails(hpke_public_check(&test_ctx, HPKE_X25519, point), E_CRYPTO);
        memcpy((uint8_t *)enc.p, point.p, point.n);
        assert_fails(hpke_open(&test_ctx, f.key, INFO, AAD, enc, &out), E_CRYPTO);
    }
    struct bytes off = from_hex(vectors[3].public);
    assert_ok(hpke_public_check(&test_ctx, HPKE_P256, off));
    ((uint8_t *)off.p)[40] ^= 1;
    assert_fails(hpke_public_check(&test_ctx, HPKE_P256, off), E_PARSE);
    assert_fails(hpke_public_check(&test_ctx, HPKE_X25519, bytes_of(off.p, 31)), E_PARSE);
    assert_why("32 bytes, not 31");
    assert_fails(hpke_public_check(&test_ctx, (enum hpke_kem)0x12, off), E_UNSUPPORTED);
    fixture_free(&f);
}

static void what_is_too_long_and_keys_that_are_none_are_refused(void **state)
{
    struct fixture f;
    SECRET_CLEANUP struct secret big = {0}, zero = {0}, small = {0};
    struct hpke_key *key = NULL;
    struct bytes sealed, long_info = {arena_alloc(&test_ctx.arena, HPKE_INFO_MAX + 1), HPKE_INFO_MAX + 1};
    (void)state;
    fixture_new(&f);
    assert_ok(secret_new(&test_ctx, &big, HPKE_PLAIN_MAX + 1));
    assert_fails(hpke_seal(&test_ctx, hpke_key_public(f.key), INFO, AAD, &big, &sealed), E_TOO_LARGE);
    assert_fails(hpke_seal(&test_ctx, hpke_key_public(f.key), long_info, AAD, &f.plain, &sealed), E_TOO_LARGE);
    big.n--;
    assert_ok(hpke_seal(&test_ctx, hpke_key_public(f.key), bytes_of(long_info.p, HPKE_INFO_MAX), AAD, &big, &sealed));
    big.n++;
    assert_ok(secret_new(&test_ctx, &zero, 32));
    assert_fails(hpke_key_from(&test_ctx, HPKE_P256, &zero, &key), E_PARSE);
    memset(secret_fill(&zero), 0xff, 32);
    assert_fails(hpke_key_from(&test_ctx, HPKE_P256, &zero, &key), E_PARSE); /* above the order */
    assert_ok(secret_new(&test_ctx, &small, 31));
    assert_fails(hpke_key_from(&test_ctx, HPKE_X25519, &small, &key), E_PARSE);
    assert_null(key);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(the_vectors_of_the_rfc_come_out_both_ways),         PKI_TEST(what_is_sealed_opens_with_the_key_that_was_kept),
        PKI_TEST(another_key_purpose_or_companion_does_not_open_it), PKI_TEST(every_changed_byte_and_every_cut_is_noticed),
        PKI_TEST(weak_points_and_points_off_the_curve_are_refused),  PKI_TEST(what_is_too_long_and_keys_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
