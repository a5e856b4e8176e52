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

static struct rc join(struct recovery_join *j, const struct secret *typed, bool *whole)
{
    SECRET_CLEANUP struct secret out = {0};
    return recovery_join(&test_ctx, j, typed, whole, &out);
}

static void a_recovery_key_in_parts_takes_all_of_them(void **state)
{
    SECRET_CLEANUP struct secret text = {0}, out = {0};
    (void)state;
    assert_ok(recovery_key_new(&test_ctx, &text));
    for (size_t n = 2; n <= RECOVERY_PARTS_MAX; n++) {
        struct secret parts[RECOVERY_PARTS_MAX] = {0}, others[RECOVERY_PARTS_MAX] = {0};
        struct recovery_join j = {0};
        bool whole = true;
        assert_ok(recovery_split(&test_ctx, &text, n, parts));
        assert_ok(recovery_split(&test_ctx, &text, n, others));
        for (size_t i = n; i-- > 0;) { /* in any order */
            assert_int_equal(secret_use(&parts[i]).n, 11 * 4 + 10);
            SECRET_CLEANUP struct secret lower = {0};
            assert_ok(secret_from(&test_ctx, &lower, secret_use(&parts[i])));
            for (size_t k = 0; k < lower.n; k++)
                if (secret_fill(&lower)[k] >= 'A')
                    secret_fill(&lower)[k] |= 0x20;
            assert_ok(recovery_join(&test_ctx, &j, &lower, &whole, &out));
            assert_int_equal(whole, i == 0);
            if (i == 0)
                continue;
            /* What is wrong is told and not counted. */
            assert_fails(join(&j, &parts[i], &whole), E_CONFLICT);
            assert_why("was there already");
            assert_fails(join(&j, &others[i], &whole), E_CONFLICT);
            assert_why("another split");
            assert_fails(join(&j, &text, &whole), E_INVALID); /* the whole key is no part */
            assert_non_null(strstr(recovery_missing(&test_ctx, &j), i == 1 ? "part 1 of" : "parts 1"));
        }
        assert_bytes(secret_use(&out), secret_use(&text));
        secret_free(&out);
        recovery_join_end(&j);
        for (size_t i = 0; i < RECOVERY_PARTS_MAX; i++) {
            secret_free(&parts[i]);
            secret_free(&others[i]);
        }
    }
    assert_fails(recovery_split(&test_ctx, &text, 1, &out), E_INVALID);
    assert_fails(recovery_split(&test_ctx, &text, RECOVERY_PARTS_MAX + 1, &out), E_INVALID);
    struct recovery_join j = {0};
    bool whole = false;
    assert_ok(recovery_join(&test_ctx, &j, &text, &whole, &out)); /* or the key itself */
    assert_true(whole);
    assert_bytes(secret_use(&out), secret_use(&text));
}

static void a_mistyped_part_is_told(void **state)
{
    SECRET_CLEANUP struct secret text = {0};
    struct secret parts[2] = {0};
    bool whole = false;
    (void)state;
    assert_ok(recovery_key_new(&test_ctx, &text));
    assert_ok(recovery_split(&test_ctx, &text, 2, parts));
    for (size_t i = 0; i < parts[0].n; i++) {
        SECRET_CLEANUP struct secret typed = {0};
        struct recovery_join j = {0};
        assert_ok(secret_from(&test_ctx, &typed, secret_use(&parts[0])));
        uint8_t *c = secret_fill(&typed) + i;
        *c = *c == 'A' || *c == '-' ? 'B' : 'A';
        assert_true(rc_failed(join(&j, &typed, &whole)) && !whole && j.have == 0);
        typed.n = i;
        assert_fails(join(&j, &typed, &whole), E_INVALID);
        typed.n = parts[0].n;
        recovery_join_end(&j);
    }
    assert_fails(recovery_hpke(&test_ctx, &parts[0], &(struct hpke_key *){NULL}), E_INVALID); /* a part alone opens nothing */
    secret_free(&parts[0]);
    secret_free(&parts[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(what_is_sealed_opens_again_and_says_with_which_key),
        PKI_TEST(another_object_version_class_or_key_does_not_open_it),
        PKI_TEST(every_changed_byte_and_every_cut_is_noticed),
        PKI_TEST(the_recovery_key_opens_the_key_as_a_person_types_it),
        PKI_TEST(a_wrong_recovery_key_and_a_typing_error_are_told_apart),
        PKI_TEST(a_recovery_key_in_parts_takes_all_of_them),
        PKI_TEST(a_mistyped_part_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
