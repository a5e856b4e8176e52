#include "pki_test.h"

#include "pki/cbor.h"
#include "pki/digest.h"
#include "pki/webauthn.h"

static struct bytes hex(const char *text)
{
    struct bytes out = {0};
    assert_true(get_hex(&test_ctx.arena, bytes_z(text), &out));
    return out;
}

/* Web Authentication Level 3, section 16 "Test vectors": none with ES256, and packed self-attestation with ES256. */
#define NONE_CHALLENGE "00c30fb78531c464d2b6771dab8d7b603c01162f2fa486bea70f283ae556e130"
#define NONE_CLIENT_DATA                                                                                                           \
    "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a22414d4d507434557878475453746e6364713431375944"   \
    "7742466938767049612d7077386f4f755657345441222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f72" \
    "6967696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a534f4e206d617920626520657874656e64656420776974682061" \
    "64646974696f6e616c206669656c647320696e20746865206675747572652c207375636820617320746869733a20426b5165446a646354427258426941"   \
    "774a544c453551227d"
#define NONE_COSE                                                                                                                  \
    "a5010203262001215820afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61225820930a56b87a2fca66334b03458abf8797"   \
    "17c12cc68ed73290af2e2664796b9220"
#define NONE_CREDENTIAL "f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4"
#define NONE_AUTH_DATA                                                                                                             \
    "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b559000000008446ccb9ab1db374750b2367ff6f3a1f002"                \
    "0" NONE_CREDENTIAL NONE_COSE
#define NONE_OBJECT    "a363666d74646e6f6e656761747453746d74a068617574684461746158a4" NONE_AUTH_DATA
#define USED_CHALLENGE "39c0e7521417ba54d43e8dc95174f423dee9bf3cd804ff6d65c857c9abf4d408"
#define USED_AUTH_DATA "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000"
#define USED_CLIENT_DATA                                                                                                           \
    "7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a224f63446e55685158756c5455506f334a5558543049393770767a" \
    "7a59425039745a63685879617630314167222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e" \
    "223a66616c73657d"
#define USED_SIGNATURE                                                                                                             \
    "3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd380221008480ac0f0b93538174f575bf11a1dd5d78c6e4860"    \
    "13f937295ea13653e331e87"
#define SELF_CHALLENGE "7869c2b772d4b58eba9378cf8f29e26cf935aa77df0da89fa99c0bdc0a76f7e5"
#define SELF_CLIENT_DATA                                                                                                           \
    "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a2265476e4374334c55745936366b336a506a796e6962506b" \
    "31716e666644616966715a774c33417032392d55222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f7269" \
    "67696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a534f4e206d617920626520657874656e64656420776974682061"   \
    "64646974696f6e616c206669656c647320696e20746865206675747572652c207375636820617320746869733a205539685458764b453255526b4d6e62"   \
    "5f307859485667227d"
#define SELF_SIGNATURE                                                                                                             \
    "30440220067a20754ab925005dbf378097c92120031581c73228d1fb4f5b881bcd7da98302207fc7b147558c7c0eba3af18bd9d121fa3d3a26d17fe3f2"   \
    "20272178f473b6006d"
#define SELF_AUTH_DATA                                                                                                             \
    "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b55d00000000df850e09db6afbdfab51697791506cfc0020455ef34e2043a8" \
    "7db3d4afeb39bbcb6cc32df9347c789a865ecdca129cbef58ca5010203262001215820eb151c8176b225cc651559fecf07af450fd85802046656b34c18"   \
    "f6cf193843c5225820927b8aa427a2be1b8834d233a2d34f61f13bfd44119c325d5896e183fee484f2"
#define SELF_OBJECT                                                                                                                \
    "a363666d74667061636b65646761747453746d74a263616c67266373696758"                                                               \
    "46" SELF_SIGNATURE "68617574684461746158a4" SELF_AUTH_DATA

static struct webauthn_want want(const char *challenge)
{
    return (struct webauthn_want){.origin = "https://example.org", .rp_id = "example.org", .challenge = hex(challenge)};
}

static void the_vectors_of_the_standard_verify(void **state)
{
    struct webauthn_made made;
    struct webauthn_used used;
    struct webauthn_want w = want(NONE_CHALLENGE);
    (void)state;
    assert_ok(webauthn_made_read(&test_ctx, &w, hex(NONE_CLIENT_DATA), hex(NONE_OBJECT), &made));
    assert_true(bytes_equal(made.credential, hex(NONE_CREDENTIAL)));
    assert_true(bytes_equal(made.cose, hex(NONE_COSE)));
    assert_int_equal(made.count, 0);
    assert_false(made.user_verified);
    w = want(USED_CHALLENGE);
    assert_ok(webauthn_used_read(&test_ctx, &w, made.cose, hex(USED_CLIENT_DATA), hex(USED_AUTH_DATA), hex(USED_SIGNATURE), &used));
    assert_int_equal(used.count, 0);
    w = want(SELF_CHALLENGE);
    assert_ok(webauthn_made_read(&test_ctx, &w, hex(SELF_CLIENT_DATA), hex(SELF_OBJECT), &made));
    assert_true(made.user_verified);
}

static void anything_else_than_was_wanted_is_refused(void **state)
{
    struct webauthn_used used;
    struct webauthn_made made;
    const struct bytes cose = hex(NONE_COSE), data = hex(USED_CLIENT_DATA), auth = hex(USED_AUTH_DATA), sig = hex(USED_SIGNATURE);
    struct webauthn_want w = want(NONE_CHALLENGE);
    (void)state;
    assert_fails(webauthn_used_read(&test_ctx, &w, cose, data, auth, sig, &used), E_INVALID); /* of another challenge */
    w = want(USED_CHALLENGE);
    w.origin = "https://example.org:8443";
    assert_fails(webauthn_used_read(&test_ctx, &w, cose, data, auth, sig, &used), E_INVALID);
    w = want(USED_CHALLENGE);
    w.rp_id = "hub.example.org";
    assert_fails(webauthn_used_read(&test_ctx, &w, cose, data, auth, sig, &used), E_INVALID);
    w = want(USED_CHALLENGE);
    w.user_verified = true;
    assert_fails(webauthn_used_read(&test_ctx, &w, cose, data, auth, sig, &used), E_INVALID);
    w = want(NONE_CHALLENGE); /* what was said when it was made is no use */
    assert_fails(webauthn_used_read(&test_ctx, &w, cose, hex(NONE_CLIENT_DATA), auth, sig, &used), E_INVALID);
    w = want(SELF_CHALLENGE); /* an attestation by another key, and one that was not asked for */
    char *object = arena_strdup(&test_ctx.arena, SELF_OBJECT);
    object[strlen("a363666d74667061636b65646761747453746d74a263616c67266373696758"
                  "46"
                  "30440220067a")] ^= 1;
    assert_fails(webauthn_made_read(&test_ctx, &w, hex(SELF_CLIENT_DATA), hex(object), &made), E_INVALID);
    w = want(NONE_CHALLENGE);
    assert_fails(webauthn_made_read(&test_ctx, &w, hex(NONE_CLIENT_DATA),
                                    hex("a363666d74667061636b65646761747453746d74a168617574684461746158a4" NONE_AUTH_DATA), &made),
                 E_PARSE);
    assert_fails(webauthn_made_read(&test_ctx, &w, hex(NONE_CLIENT_DATA),
                                    hex("a363666d74687469646f2d7532666761747453746d74a068617574684461746158a4" NONE_AUTH_DATA),
                                    &made),
                 E_INVALID);
}

/* Each bit of what is signed, of the key and of the signature. */
static void no_bit_may_be_changed(void **state)
{
    const struct bytes parts[] = {hex(NONE_COSE), hex(USED_CLIENT_DATA), hex(USED_AUTH_DATA), hex(USED_SIGNATURE)};
    struct webauthn_want w = want(USED_CHALLENGE);
    struct webauthn_used used;
    (void)state;
    for (size_t part = 0; part < 4; part++)
        for (size_t i = 0; i < parts[part].n * 8; i += part == 1 ? 3 : 1) {
            struct bytes p[4] = {parts[0], parts[1], parts[2], parts[3]};
            uint8_t *changed = arena_dup(&test_ctx.arena, parts[part].p, parts[part].n);
            changed[i / 8] ^= (uint8_t)(1 << i % 8);
            p[part].p = changed;
            assert_true(rc_failed(webauthn_used_read(&test_ctx, &w, p[0], p[1], p[2], p[3], &used)));
            ctx_forget(&test_ctx);
        }
}

static void nothing_may_be_cut_or_added(void **state)
{
    struct webauthn_want w = want(NONE_CHALLENGE);
    const struct bytes object = hex(NONE_OBJECT), data = hex(NONE_CLIENT_DATA);
    struct webauthn_made made;
    (void)state;
    for (size_t n = 0; n < object.n; n++) {
        assert_fails(webauthn_made_read(&test_ctx, &w, data, bytes_of(object.p, n), &made), E_PARSE);
        ctx_forget(&test_ctx);
    }
    uint8_t *more = arena_alloc(&test_ctx.arena, object.n + 1);
    memcpy(more, object.p, object.n);
    assert_fails(webauthn_made_read(&test_ctx, &w, data, bytes_of(more, object.n + 1), &made), E_PARSE);
}

/* RS256, as Windows Hello makes it; ES384; and keys that are none. */
static void keys_of_other_kinds_verify(void **state)
{
    static const struct {
        enum key_kind kind;
        const char *head;
    } rows[] = {{KEY_RSA_2048, "a401030339010020590100"}, {KEY_EC_P384, "a5010203382220022158"}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        KEY_CLEANUP struct key *key = NULL;
        struct buf cose, text;
        struct bytes sig, data;
        struct webauthn_used used;
        uint8_t hash[SHA256_LEN];
        assert_ok(key_generate(&test_ctx, rows[i].kind, &key));
        const struct spki *spki = key_public(key);
        buf_init_arena(&cose, &test_ctx.arena, 1024);
        buf_init_arena(&text, &test_ctx.arena, 1024);
        buf_put(&cose, hex(rows[i].head));
        if (i == 0) {
            buf_put(&cose, spki->modulus);
            buf_put(&cose, hex("2143"));
            buf_put(&cose, spki->exponent);
        } else {
            buf_put_u8(&cose, 48);
            buf_put_mem(&cose, spki->key.p + 1, 48);
            buf_put(&cose, hex("225830"));
            buf_put_mem(&cose, spki->key.p + 49, 48);
        }
        const struct webauthn_want w = want(USED_CHALLENGE);
        data = hex(USED_CLIENT_DATA);
        buf_put(&text, hex(USED_AUTH_DATA));
        assert_ok(digest_sha256(&test_ctx, data, hash));
        buf_put_mem(&text, hash, sizeof hash);
        assert_ok(key_sign(&test_ctx, key, buf_bytes(&text), &sig));
        assert_ok(webauthn_used_read(&test_ctx, &w, buf_bytes(&cose), data, hex(USED_AUTH_DATA), sig, &used));
    }
    struct webauthn_used used;
    const struct webauthn_want w = want(USED_CHALLENGE);
    char *off_curve = arena_strdup(&test_ctx.arena, NONE_COSE);
    off_curve[30] = off_curve[30] == '0' ? '1' : '0';
    assert_true(rc_failed(
        webauthn_used_read(&test_ctx, &w, hex(off_curve), hex(USED_CLIENT_DATA), hex(USED_AUTH_DATA), hex(USED_SIGNATURE), &used)));
    ctx_forget(&test_ctx);
    /* EdDSA is not offered */
    assert_fails(webauthn_used_read(&test_ctx, &w, hex("a3010103272006"), hex(USED_CLIENT_DATA), hex(USED_AUTH_DATA),
                                    hex(USED_SIGNATURE), &used),
                 E_INVALID);
}

static void counts_only_rise(void **state)
{
    (void)state;
    assert_true(webauthn_count_fits(0, 0));
    assert_true(webauthn_count_fits(0, 1));
    assert_true(webauthn_count_fits(7, 8));
    assert_false(webauthn_count_fits(7, 7));
    assert_false(webauthn_count_fits(7, 6));
    assert_false(webauthn_count_fits(7, 0));
}

/* --- CBOR: RFC 8949 appendix A */

static void cbor_as_rfc_8949(void **state)
{
    static const struct {
        const char *hex;
        int64_t value;
    } rows[] = {{"00", 0},
                {"17", 23},
                {"1818", 24},
                {"1903e8", 1000},
                {"1a000f4240", 1000000},
                {"1b000000e8d4a51000", 1000000000000},
                {"20", -1},
                {"3863", -100},
                {"3903e7", -1000},
                {"3b7fffffffffffffff", INT64_MIN}};
    struct cbor item, value;
    int64_t n;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(cbor_only(hex(rows[i].hex), &item));
        assert_true(cbor_int(&item, &n));
        assert_int_equal(n, rows[i].value);
    }
    assert_true(cbor_only(hex("3bffffffffffffffff"), &item)); /* -18446744073709551616 */
    assert_false(cbor_int(&item, &n));
    assert_true(cbor_only(hex("a26161016162820203"), &item)); /* {"a": 1, "b": [2, 3]} */
    assert_int_equal(item.n, 2);
    assert_true(cbor_find_text(&item, "b", &value));
    assert_int_equal(value.kind, CBOR_ARRAY);
    assert_int_equal(value.n, 2);
    assert_false(cbor_find_text(&item, "c", &value));
    assert_false(cbor_find_int(&item, 1, &value));
    assert_true(cbor_only(hex("a201020304"), &item) && cbor_find_int(&item, 3, &value) && value.n == 4);
    assert_true(cbor_only(hex("c11a514b67b0"), &item)); /* a tag with what it holds */
    assert_true(cbor_only(hex("fb3ff199999999999a"), &item));
}

static void cbor_that_is_none_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "18",
                                      "19ff",
                                      "1c",
                                      "1f",
                                      "5f42010243030405ff",
                                      "9fff",
                                      "bf61610161629f0203ffff",
                                      "44010203",
                                      "5bffffffffffffffff00",
                                      "9bffffffffffffffff00",
                                      "bb800000000000000000",
                                      "a101",
                                      "82",
                                      "c1",
                                      "ff",
                                      "0000"};
    struct cbor item, value;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(cbor_only(hex(bad[i]), &item));
    assert_true(cbor_only(hex("a2010201"
                              "03"),
                          &item)); /* the same key twice: there is no telling which is meant */
    assert_false(cbor_find_int(&item, 1, &value));
    assert_true(cbor_only(hex("8181818181818100"), &item));
    assert_false(cbor_only(hex("818181818181818100"), &item)); /* too deep */
}

int main(void)
{
    const struct CMUnitTest tests[] = {PKI_TEST(the_vectors_of_the_standard_verify),
                                       PKI_TEST(anything_else_than_was_wanted_is_refused),
                                       PKI_TEST(no_bit_may_be_changed),
                                       PKI_TEST(nothing_may_be_cut_or_added),
                                       PKI_TEST(keys_of_other_kinds_verify),
                                       PKI_TEST(counts_only_rise),
                                       PKI_TEST(cbor_as_rfc_8949),
                                       PKI_TEST(cbor_that_is_none_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
