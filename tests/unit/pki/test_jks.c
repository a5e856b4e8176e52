#include "container_test.h"

#include "pki/jks.h"

static struct bytes build(const struct fixture *f)
{
    struct buf b;
    buf_init_arena(&b, &test_ctx.arena, CONTAINER_MAX);
    assert_ok(jks_build(&test_ctx, &f->what, &b));
    return buf_bytes(&b);
}

static void what_is_written_is_read_back(void **state)
{
    static const enum key_kind kinds[] = {KEY_EC_P256, KEY_RSA_2048};
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct fixture f;
        struct cert_chain chain;
        KEY_CLEANUP struct key *key = NULL;
        fixture_new(&f, kinds[i]);
        struct bytes file = build(&f);
        assert_bytes(file, build(&f));
        assert_true(bytes_find(file, BYTES_LIT("server-1")) != SIZE_MAX); /* as keytool writes names */
        assert_ok(jks_read(&test_ctx, file, &f.password, &chain, &key));
        assert_true(chain.n == 2);
        assert_bytes(chain.v[0].der, f.chain.v[0].der);
        assert_bytes(chain.v[1].der, f.chain.v[1].der);
        assert_true(key_is_private(key) && key_same(key, f.key));
        fixture_free(&f);
    }
}

/* They are not encrypted: no password is needed for them. */
static void its_certificates_are_read_without_a_password(void **state)
{
    struct fixture f;
    struct bytes *ders = NULL;
    size_t n = 0;
    (void)state;
    fixture_new(&f, KEY_EC_P256);
    struct bytes file = build(&f);
    assert_true(jks_is(file) && !jks_is(BYTES_LIT("-----BEGIN")) && !jks_is((struct bytes){0}));
    assert_ok(jks_certificates(&test_ctx, file, &ders, &n));
    assert_int_equal(n, 2);
    assert_bytes(ders[0], f.chain.v[0].der);
    assert_bytes(ders[1], f.chain.v[1].der);
    for (size_t cut = 0; cut < file.n; cut++)
        if (rc_ok(jks_certificates(&test_ctx, bytes_of(file.p, cut), &ders, &n)))
            fail_msg("cut to %zu bytes", cut);
    fixture_free(&f);
}

static void another_password_is_told_from_a_file_that_is_none(void **state)
{
    struct fixture f;
    struct cert_chain chain;
    (void)state;
    fixture_new(&f, KEY_EC_P256);
    assert_fails(jks_read(&test_ctx, build(&f), &f.other, &chain, NULL), E_FORBIDDEN);
    assert_why("another password");
    assert_fails(jks_read(&test_ctx, BYTES_LIT("-----BEGIN CERTIFICATE-----"), &f.other, &chain, NULL), E_PARSE);
    assert_fails(jks_read(&test_ctx, (struct bytes){0}, &f.other, &chain, NULL), E_PARSE);
    fixture_free(&f);
}

static void a_file_that_is_damaged_or_cut_gives_nothing(void **state)
{
    struct fixture f;
    struct cert_chain chain;
    (void)state;
    fixture_new(&f, KEY_EC_P256);
    struct bytes file = build(&f);
    for (size_t i = 0; i < file.n; i++) {
        uint8_t *copy = arena_dup(&test_ctx.arena, file.p, file.n);
        copy[i] ^= 0x41;
        if (rc_ok(jks_read(&test_ctx, bytes_of(copy, file.n), &f.password, &chain, NULL)))
            fail_msg("byte %zu was changed", i);
    }
    for (size_t n = 0; n < file.n; n++)
        if (rc_ok(jks_read(&test_ctx, bytes_of(file.p, n), &f.password, &chain, NULL)))
            fail_msg("cut to %zu bytes", n);
    fixture_free(&f);
}

/* Lengths and counts of a file come before its digest: none may lead out of it. */
static void numbers_that_are_too_large_are_refused(void **state)
{
    static const struct {
        const char *hex;
        enum err e;
    } rows[] = {
        {"feedfeed00000002ffffffff", E_TOO_LARGE},                                          /* entries */
        {"feedfeed0000000300000001", E_PARSE},                                              /* version */
        {"feedfeed0000000000000001", E_PARSE},
        {"cececece0000000200000001", E_PARSE},                                              /* JCEKS */
        {"feedfeed0000000200000001000000030001610000000000000000", E_PARSE},                /* kind of entry */
        {"feedfeed000000020000000100000001ffff61", E_PARSE},                                /* alias */
        {"feedfeed00000002000000010000000100016100000000000000000fffffff", E_PARSE},        /* key */
        {"feedfeed00000002000000010000000100016100000000000000000000000000000fff", E_TOO_LARGE}, /* chain */
        {"feedfeed000000020000000100000001000161000000000000000000000000000000010005582e353039ffffffff", E_PARSE},
        {"feedfeed000000020000000000", E_PARSE},                                            /* more than the entries */
    };
    struct fixture f;
    struct cert_chain chain;
    (void)state;
    fixture_new(&f, KEY_EC_P256);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char hex[256];
        snprintf(hex, sizeof hex, "%s%040d", rows[i].hex, 0);
        struct rc rc = jks_read(&test_ctx, from_hex(hex), &f.password, &chain, NULL);
        if (rc.e != rows[i].e)
            fail_msg("row %zu gave %s: %s", i, err_info(rc.e)->name, ctx_why(&test_ctx));
        ctx_forget(&test_ctx);
    }
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(what_is_written_is_read_back),
        PKI_TEST(its_certificates_are_read_without_a_password),
        PKI_TEST(another_password_is_told_from_a_file_that_is_none),
        PKI_TEST(a_file_that_is_damaged_or_cut_gives_nothing),
        PKI_TEST(numbers_that_are_too_large_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
