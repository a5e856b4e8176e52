#include "pki_test.h"

#include "pki/pem.h"

static void blocks_come_back_between_other_text(void **state)
{
    struct buf b;
    struct pem_block block;
    struct bytes text;
    bool found;
    (void)state;
    buf_init_arena(&b, &test_ctx.arena, 4096);
    buf_put_z(&b, "subject=CN = x\r\n");
    pem_put(&b, PEM_CERTIFICATE, BYTES_LIT("one, a text long enough to need more than a single line of base64"));
    buf_put_z(&b, "\n\nin between\n");
    pem_put(&b, PEM_CRL, BYTES_LIT("two"));
    text = buf_bytes(&b);
    assert_ok(pem_next(&test_ctx, &text, &block, &found));
    assert_true(found && bytes_equal_z(block.label, "CERTIFICATE") && bytes_starts_with(block.der, BYTES_LIT("one,")));
    assert_ok(pem_next(&test_ctx, &text, &block, &found));
    assert_true(found && bytes_equal_z(block.label, "X509 CRL") && bytes_equal_z(block.der, "two"));
    assert_ok(pem_next(&test_ctx, &text, &block, &found));
    assert_false(found);
}

static void windows_line_ends_and_a_missing_last_one_are_read(void **state)
{
    struct bytes text = BYTES_LIT("-----BEGIN X-----\r\nYWJj\r\n-----END X-----");
    struct pem_block block;
    bool found;
    (void)state;
    assert_ok(pem_next(&test_ctx, &text, &block, &found));
    assert_true(found && bytes_equal_z(block.der, "abc"));
}

static void broken_blocks_are_refused(void **state)
{
    static const char *const rows[] = {
        "-----BEGIN X-----\nYWJj\n",
        "-----BEGIN X-----\nYWJj\n-----END Y-----\n",
        "-----BEGIN X-----\nYW!j\n-----END X-----\n",
        "-----BEGIN X-----\n-----END X-----\n",
        "-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\n\nYWJj\n-----END X-----\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes text = bytes_z(rows[i]);
        struct pem_block block;
        bool found;
        assert_fails(pem_next(&test_ctx, &text, &block, &found), E_PARSE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(blocks_come_back_between_other_text),
        PKI_TEST(windows_line_ends_and_a_missing_last_one_are_read),
        PKI_TEST(broken_blocks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
