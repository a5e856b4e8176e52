#include "container_test.h"

#include "pki/pkcs12.h"

static struct bytes build(const struct fixture *f, enum pkcs12_kind kind)
{
    struct buf b;
    buf_init_arena(&b, &test_ctx.arena, CONTAINER_MAX);
    assert_ok(pkcs12_build(&test_ctx, kind, &f->what, &b));
    return buf_bytes(&b);
}

static void what_is_written_is_read_back(void **state)
{
    static const enum key_kind kinds[] = {KEY_EC_P256, KEY_EC_P384, KEY_RSA_2048};
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct fixture f;
        struct pkcs12 p;
        KEY_CLEANUP struct key *key = NULL;
        fixture_new(&f, kinds[i / 2]);
        struct bytes file = build(&f, i % 2 == 0 ? PKCS12_MODERN : PKCS12_LEGACY);
        assert_ok(pkcs12_read(&test_ctx, file, &f.password, &p, &key));
        assert_true(p.certs.n == 2 && p.leaf == 0);
        assert_bytes(p.certs.v[0].der, f.chain.v[0].der);
        assert_bytes(p.certs.v[1].der, f.chain.v[1].der);
        assert_true(key_is_private(key) && key_same(key, f.key));
        fixture_free(&f);
    }
}

static void the_same_makes_the_same_bytes_and_all_else_makes_others(void **state)
{
    struct fixture f;
    (void)state;
    fixture_new(&f, KEY_EC_P256);
    struct bytes one = build(&f, PKCS12_MODERN), salt_of_one = {0}, salt = {0};
    assert_bytes(one, build(&f, PKCS12_MODERN));
    f.what.password = &f.other;
    struct bytes other = build(&f, PKCS12_MODERN);
    assert_false(bytes_equal(one, other));
    /* The salts differ too: the first OCTET STRING within PBKDF2's parameters. */
    struct bytes mark = BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c\x30");
    for (int i = 0; i < 2; i++) {
        struct bytes at = i == 0 ? one : other;
        assert_true(bytes_skip(&at, bytes_find(at, mark) + mark.n + 3) && bytes_take(&at, 16, i == 0 ? &salt_of_one : &salt));
    }
    assert_false(bytes_equal(salt_of_one, salt));
    f.what.password = &f.password;
    f.what.alias = "another";
    assert_false(bytes_equal(one, build(&f, PKCS12_MODERN)));
    fixture_free(&f);
}

static void another_password_is_told_from_a_file_that_is_none(void **state)
{
    struct fixture f;
    struct pkcs12 p;
    (void)state;
    fixture_new(&f, KEY_EC_P256);
    assert_fails(pkcs12_read(&test_ctx, build(&f, PKCS12_MODERN), &f.other, &p, NULL), E_FORBIDDEN);
    assert_why("another password");
    assert_fails(pkcs12_read(&test_ctx, build(&f, PKCS12_LEGACY), &f.other, &p, NULL), E_FORBIDDEN);
    assert_fails(pkcs12_read(&test_ctx, BYTES_LIT("-----BEGIN CERTIFICATE-----"), &f.other, &p, NULL), E_PARSE);
    assert_fails(pkcs12_read(&test_ctx, (struct bytes){0}, &f.other, &p, NULL), E_PARSE);
    fixture_free(&f);
}

/* Not decrypted before the MAC fits: whatever is changed, nothing comes out. */
static void a_file_that_is_damaged_or_cut_gives_nothing(void **state)
{
    struct fixture f;
    struct pkcs12 p;
    (void)state;
    fixture_new(&f, KEY_EC_P256);
    struct bytes file = build(&f, PKCS12_LEGACY);
    for (size_t i = 0; i < file.n; i += 97) {
        uint8_t *copy = arena_dup(&test_ctx.arena, file.p, file.n);
        copy[i] ^= 0x41;
        if (rc_ok(pkcs12_read(&test_ctx, bytes_of(copy, file.n), &f.password, &p, NULL)))
            fail_msg("byte %zu was changed", i);
    }
    for (size_t n = 0; n < file.n; n += 61)
        if (rc_ok(pkcs12_read(&test_ctx, bytes_of(file.p, n), &f.password, &p, NULL)))
            fail_msg("cut to %zu bytes", n);
    fixture_free(&f);
}

static void a_file_that_wants_too_many_rounds_is_refused_at_once(void **state)
{
    struct fixture f;
    struct pkcs12 p;
    (void)state;
    fixture_new(&f, KEY_EC_P256);
    struct bytes file = build(&f, PKCS12_MODERN); /* it ends with the iterations of its MAC: 02 03 01 86 A0 */
    uint8_t *copy = arena_dup(&test_ctx.arena, file.p, file.n);
    assert_memory_equal(copy + file.n - 5, "\x02\x03\x01\x86\xa0", 5);
    copy[file.n - 3] = 0x7f;
    assert_fails(pkcs12_read(&test_ctx, bytes_of(copy, file.n), &f.password, &p, NULL), E_UNSUPPORTED);
    assert_why("rounds");
    copy[file.n - 3] = 0x80; /* negative */
    assert_fails(pkcs12_read(&test_ctx, bytes_of(copy, file.n), &f.password, &p, NULL), E_UNSUPPORTED);
    fixture_free(&f);
}

static void what_cannot_be_written_is_refused_with_the_reason(void **state)
{
    static const struct {
        const char *password, *alias, *why;
    } rows[] = {
        {"", "x", "password"},          {"two\nlines", "x", "password"}, {"\xff\xfe", "x", "password"}, {"good", "", "name"},
        {"good", "t\xc3\xa4g", "name"}, {"good", "a\nb", "name"},
    };
    struct fixture f;
    struct buf b;
    (void)state;
    fixture_new(&f, KEY_EC_P256);
    buf_init_arena(&b, &test_ctx.arena, CONTAINER_MAX);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        SECRET_CLEANUP struct secret password = {0};
        if (*rows[i].password != '\0')
            assert_ok(secret_from(&test_ctx, &password, bytes_z(rows[i].password)));
        struct container c = {f.key, &f.chain, rows[i].alias, &password};
        assert_fails(pkcs12_build(&test_ctx, PKCS12_MODERN, &c, &b), E_INVALID);
        assert_why(rows[i].why);
        ctx_forget(&test_ctx);
    }
    struct container wrong = f.what;
    wrong.key = f.issuing.key;
    assert_fails(pkcs12_build(&test_ctx, PKCS12_MODERN, &wrong, &b), E_INVALID);
    assert_why("not that of the first certificate");
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(what_is_written_is_read_back),
        PKI_TEST(the_same_makes_the_same_bytes_and_all_else_makes_others),
        PKI_TEST(another_password_is_told_from_a_file_that_is_none),
        PKI_TEST(a_file_that_is_damaged_or_cut_gives_nothing),
        PKI_TEST(a_file_that_wants_too_many_rounds_is_refused_at_once),
        PKI_TEST(what_cannot_be_written_is_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
