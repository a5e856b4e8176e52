#include "pki_test.h"

#include "pki/seal.h"

struct fixture {
    struct secret kek, plain;
    struct seal_ad ad;
    struct bytes sealed;
};

static void fixture_new(struct fixture *f)
{
    *f = (struct fixture){.ad = {.class_ = "ca-key", .object = "issuing", .version = 1}};
    assert_ok(seal_key_new(&test_ctx, &f->kek));
    assert_ok(seal_key_id(&test_ctx, &f->kek, &f->ad.key_id));
    assert_ok(secret_from(&test_ctx, &f->plain, BYTES_LIT("the private key")));
    assert_ok(seal(&test_ctx, &f->kek, &f->ad, &f->plain, &f->sealed));
}

static void fixture_free(struct fixture *f)
{
    secret_free(&f->kek);
    secret_free(&f->plain);
}

static void what_is_sealed_opens_again_and_says_with_which_key(void **state)
{
    struct fixture f;
    SECRET_CLEANUP struct secret out = {0}, empty = {0}, none = {0};
    const char *id;
    struct bytes again;
    (void)state;
    fixture_new(&f);
    assert_int_equal(bytes_find(f.sealed, BYTES_LIT("private")), SIZE_MAX);
    assert_ok(unseal(&test_ctx, &f.kek, &f.ad, f.sealed, &out));
    assert_bytes(secret_use(&out), BYTES_LIT("the private key"));
    assert_ok(seal_sealed_by(&test_ctx, f.sealed, &id));
    assert_string_equal(id, f.ad.key_id);
    assert_ok(seal(&test_ctx, &f.kek, &f.ad, &f.plain, &again));
    assert_false(bytes_equal(again, f.sealed));
    assert_ok(secret_new(&test_ctx, &empty, 0));
    assert_ok(seal(&test_ctx, &f.kek, &f.ad, &empty, &again));
    assert_ok(unseal(&test_ctx, &f.kek, &f.ad, again, &none));
    assert_int_equal(none.n, 0);
    fixture_free(&f);
}

static void another_object_version_class_or_key_does_not_open_it(void **state)
{
    struct fixture f;
    struct secret out = {0};
    SECRET_CLEANUP struct secret other = {0};
    (void)state;
    fixture_new(&f);
    struct seal_ad ad = f.ad;
    ad.object = "fleet";
    assert_fails(unseal(&test_ctx, &f.kek, &ad, f.sealed, &out), E_CRYPTO);
    ad = f.ad;
    ad.version = 2;
    assert_fails(unseal(&test_ctx, &f.kek, &ad, f.sealed, &out), E_CRYPTO);
    ad = f.ad;
    ad.class_ = "ca-keyi";
    ad.object = "ssuing"; /* the same letters, divided elsewhere */
    assert_fails(unseal(&test_ctx, &f.kek, &ad, f.sealed, &out), E_CRYPTO);
    ad = f.ad;
    ad.key_id = "0000000000000000";
    assert_fails(unseal(&test_ctx, &f.kek, &ad, f.sealed, &out), E_CRYPTO);
    assert_why("was sealed with key");
    assert_ok(seal_key_new(&test_ctx, &other));
    assert_fails(unseal(&test_ctx, &other, &f.ad, f.sealed, &out), E_CRYPTO);
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
        assert_true(rc_failed(unseal(&test_ctx, &f.kek, &f.ad, copy, &out)));
        assert_true(rc_failed(unseal(&test_ctx, &f.kek, &f.ad, bytes_of(f.sealed.p, i), &out)));
    }
    fixture_free(&f);
}

static void the_recovery_key_opens_the_key_as_a_person_types_it(void **state)
{
    struct fixture f;
    SECRET_CLEANUP struct secret text = {0}, typed = {0}, out = {0};
    struct bytes wrapped;
    (void)state;
    fixture_new(&f);
    assert_ok(recovery_key_new(&test_ctx, &text));
    struct bytes shown = secret_use(&text);
    assert_int_equal(shown.n, 9 * 4 + 8);
    assert_ok(recovery_wrap(&test_ctx, &f.kek, &text, &wrapped));
    /* lower case, spaces for hyphens, letters for the digits they look like */
    uint8_t line[64];
    for (size_t i = 0; i < shown.n; i++) {
        uint8_t c = shown.p[i];
        line[i] = c == '-' ? ' ' : c == '0' ? 'o' : c == '1' ? 'l' : c >= 'A' ? (uint8_t)(c | 0x20) : c;
    }
    line[shown.n] = '\n';
    assert_ok(secret_from(&test_ctx, &typed, bytes_of(line, shown.n + 1)));
    assert_ok(recovery_unwrap(&test_ctx, wrapped, &typed, &out));
    assert_bytes(secret_use(&out), secret_use(&f.kek));
    fixture_free(&f);
}

static void a_wrong_recovery_key_and_a_typing_error_are_told_apart(void **state)
{
    struct fixture f;
    SECRET_CLEANUP struct secret text = {0}, other = {0};
    struct secret out = {0};
    struct bytes wrapped;
    (void)state;
    fixture_new(&f);
    assert_ok(recovery_key_new(&test_ctx, &text));
    assert_ok(recovery_key_new(&test_ctx, &other));
    assert_ok(recovery_wrap(&test_ctx, &f.kek, &text, &wrapped));
    assert_fails(recovery_unwrap(&test_ctx, wrapped, &other, &out), E_CRYPTO);
    uint8_t *first = secret_fill(&text);
    *first = *first == 'A' ? 'B' : 'A';
    assert_fails(recovery_unwrap(&test_ctx, wrapped, &text, &out), E_INVALID);
    assert_why("typing error");
    *first = 'U'; /* not in the alphabet */
    assert_fails(recovery_unwrap(&test_ctx, wrapped, &text, &out), E_INVALID);
    text.n -= 1;
    assert_fails(recovery_unwrap(&test_ctx, wrapped, &text, &out), E_INVALID);
    text.n += 1;
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(what_is_sealed_opens_again_and_says_with_which_key),
        PKI_TEST(another_object_version_class_or_key_does_not_open_it),
        PKI_TEST(every_changed_byte_and_every_cut_is_noticed),
        PKI_TEST(the_recovery_key_opens_the_key_as_a_person_types_it),
        PKI_TEST(a_wrong_recovery_key_and_a_typing_error_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
