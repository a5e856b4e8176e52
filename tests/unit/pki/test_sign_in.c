/* What people sign in with besides passkeys: codes of authenticator apps, and passwords. */
#include "pki_test.h"

#include "pki/password.h"
#include "pki/totp.h"

/* RFC 6238 appendix B, SHA-1, 8 digits; RFC 4226 appendix D, 6 digits. */
static void codes_as_the_rfcs_have_them(void **state)
{
    static const struct {
        int64_t time;
        uint32_t code;
    } rows[] = {{59, 94287082},         {1111111109, 7081804},  {1111111111, 14050471},
                {1234567890, 89005924}, {2000000000, 69279037}, {20000000000, 65353130}};
    static const uint32_t counted[] = {755224, 287082, 359152, 969429, 338314, 254676, 287922, 162583, 399871, 520489};
    SECRET_CLEANUP struct secret key = {0};
    uint32_t code;
    (void)state;
    assert_ok(secret_from(&test_ctx, &key, BYTES_LIT("12345678901234567890")));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_ok(totp_code(&test_ctx, &key, rows[i].time / TOTP_STEP_S, 8, &code));
        assert_int_equal(code, rows[i].code);
    }
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++) {
        assert_ok(totp_code(&test_ctx, &key, (int64_t)i, 6, &code));
        assert_int_equal(code, counted[i]);
    }
}

static void a_code_is_good_once_and_a_step_early_or_late(void **state)
{
    SECRET_CLEANUP struct secret key = {0};
    int64_t step;
    (void)state;
    assert_ok(secret_from(&test_ctx, &key, BYTES_LIT("12345678901234567890")));
    assert_ok(totp_check(&test_ctx, &key, BYTES_LIT("287082"), 59, 0, &step)); /* step 1 */
    assert_int_equal(step, 1);
    assert_ok(totp_check(&test_ctx, &key, BYTES_LIT("287082"), 61, 0, &step)); /* a second too late */
    assert_int_equal(step, 1);
    assert_ok(totp_check(&test_ctx, &key, BYTES_LIT("287082"), 59, 1, &step)); /* again */
    assert_int_equal(step, 0);
    assert_ok(totp_check(&test_ctx, &key, BYTES_LIT("287082"), 90, 0, &step)); /* two steps later */
    assert_int_equal(step, 0);
    assert_ok(totp_check(&test_ctx, &key, BYTES_LIT("359152"), 59, 1, &step)); /* the next, of a clock that is ahead */
    assert_int_equal(step, 2);
    static const char *const none[] = {"", "28708", "2870820", "28708x", " 287082", "+87082", "000000"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_ok(totp_check(&test_ctx, &key, bytes_z(none[i]), 59, 0, &step));
        assert_int_equal(step, 0);
    }
}

/* RFC 4648 section 10, without padding. */
static void secrets_are_typed_in_base32(void **state)
{
    static const char *const rows[][2] = {{"f", "MY"},         {"fo", "MZXQ"},        {"foo", "MZXW6"},
                                          {"foob", "MZXW6YQ"}, {"fooba", "MZXW6YTB"}, {"foobar", "MZXW6YTBOI"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        SECRET_CLEANUP struct secret key = {0}, text = {0};
        assert_ok(secret_from(&test_ctx, &key, bytes_z(rows[i][0])));
        assert_ok(totp_text_new(&test_ctx, &key, &text));
        assert_true(bytes_equal_z(secret_use(&text), rows[i][1]));
    }
}

static void a_password_fits_what_was_kept_of_it(void **state)
{
    SECRET_CLEANUP struct secret right = {0}, wrong = {0};
    const char *kept, *again;
    bool fits, weak;
    (void)state;
    assert_ok(secret_from(&test_ctx, &right, BYTES_LIT("correct horse battery staple")));
    assert_ok(secret_from(&test_ctx, &wrong, BYTES_LIT("correct horse battery stapler")));
    assert_ok(password_hash(&test_ctx, &right, &kept));
    assert_ok(password_hash(&test_ctx, &right, &again));
    assert_string_not_equal(kept, again); /* salted */
    assert_ok(password_check(&test_ctx, kept, &right, &fits, &weak));
    assert_true(fits && !weak);
    assert_ok(password_check(&test_ctx, kept, &wrong, &fits, &weak));
    assert_true(!fits && !weak);
}

/* The example of the reference implementation (argon2id, version 19): made elsewhere, with less than is asked for today. */
static void what_others_hashed_fits_and_is_to_be_made_anew(void **state)
{
    SECRET_CLEANUP struct secret p = {0};
    bool fits, weak;
    (void)state;
    assert_ok(secret_from(&test_ctx, &p, BYTES_LIT("password")));
    assert_ok(password_check(&test_ctx, "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", &p,
                             &fits, &weak));
    assert_true(fits && weak);
}

static void what_is_no_hash_is_a_defect(void **state)
{
    static const char *const bad[] = {"",
                                      "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
                                      "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
                                      "$argon2id$v=19$m=256,t=4000,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
                                      "$argon2id$v=19$m=256,t=2,p=4$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
                                      "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$",
                                      "$argon2id$v=19$m=256"};
    SECRET_CLEANUP struct secret p = {0};
    bool fits, weak;
    (void)state;
    assert_ok(secret_from(&test_ctx, &p, BYTES_LIT("password")));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(password_check(&test_ctx, bad[i], &p, &fits, &weak), E_BUG);
        assert_false(fits);
        ctx_forget(&test_ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {PKI_TEST(codes_as_the_rfcs_have_them),
                                       PKI_TEST(a_code_is_good_once_and_a_step_early_or_late),
                                       PKI_TEST(secrets_are_typed_in_base32),
                                       PKI_TEST(a_password_fits_what_was_kept_of_it),
                                       PKI_TEST(what_others_hashed_fits_and_is_to_be_made_anew),
                                       PKI_TEST(what_is_no_hash_is_a_defect)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
