/* CSV as programs write it, and as it should not be. */
#include "base/base_test.h"

#include "base/csv.h"

static struct ctx ctx_, *const ctx = &ctx_;
static struct bytes f[CSV_FIELDS_MAX];
static size_t n;
static bool found;

static void quotes_separators_and_line_ends_of_all_kinds_are_read(void **state)
{
    (void)state;
    struct csv c = csv_begin(BYTES_LIT("\xef\xbb\xbfhost;owner\r\n\r\n\"a;\"\"b\"\"\nc\";x\r;\nlast;\"\""));
    assert_ok(csv_next(ctx, &c, f, &n, &found));
    assert_int_equal(n, 2);
    assert_bytes(f[0], "host");
    assert_bytes(f[1], "owner");
    assert_ok(csv_next(ctx, &c, f, &n, &found));
    assert_int_equal(c.line, 3);
    assert_bytes(f[0], "a;\"b\"\nc");
    assert_bytes(f[1], "x");
    assert_ok(csv_next(ctx, &c, f, &n, &found));
    assert_int_equal(c.line, 5);
    assert_true(n == 2 && f[0].n == 0 && f[1].n == 0);
    assert_ok(csv_next(ctx, &c, f, &n, &found));
    assert_bytes(f[0], "last");
    assert_int_equal(f[1].n, 0);
    assert_ok(csv_next(ctx, &c, f, &n, &found));
    assert_false(found);
    assert_int_equal(csv_begin(BYTES_LIT("a\tb\tc,d\n")).separator, '\t');
    assert_int_equal(csv_begin(BYTES_LIT("\"a,b,c\"|d\n1,2")).separator, '|');
}

static void a_bad_record_is_told_with_its_line_and_the_next_is_read(void **state)
{
    (void)state;
    struct csv c = csv_begin(BYTES_LIT("a,b\n\"x\"y,z\nc,d\n\"open,e\nf"));
    assert_ok(csv_next(ctx, &c, f, &n, &found));
    assert_err(csv_next(ctx, &c, f, &n, &found), E_PARSE);
    assert_non_null(strstr(ctx_why(ctx), "line 2: something stands behind a field in quotes"));
    ctx_forget(ctx);
    assert_ok(csv_next(ctx, &c, f, &n, &found));
    assert_bytes(f[0], "c");
    assert_err(csv_next(ctx, &c, f, &n, &found), E_PARSE);
    assert_non_null(strstr(ctx_why(ctx), "line 4: a quote is not closed"));
    ctx_forget(ctx);
    assert_ok(csv_next(ctx, &c, f, &n, &found));
    assert_bytes(f[0], "f");
    char wide[2 * CSV_FIELDS_MAX + 1];
    memset(wide, ',', sizeof wide);
    c = csv_begin(bytes_of(wide, sizeof wide));
    assert_err(csv_next(ctx, &c, f, &n, &found), E_TOO_LARGE);
    ctx_forget(ctx);
    char *large = malloc(CSV_FIELD_MAX + 2);
    memset(large, 'x', CSV_FIELD_MAX + 2);
    c = csv_begin(bytes_of(large, CSV_FIELD_MAX + 2));
    assert_err(csv_next(ctx, &c, f, &n, &found), E_TOO_LARGE);
    free(large);
}

int main(void)
{
    ctx_init(ctx, &clock_system);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_separators_and_line_ends_of_all_kinds_are_read),
        cmocka_unit_test(a_bad_record_is_told_with_its_line_and_the_next_is_read),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ctx_free(ctx);
    return failed;
}
