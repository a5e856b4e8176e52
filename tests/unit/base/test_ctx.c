#include "base/base_test.h"

#include <errno.h>

static void setup_ctx(struct ctx *ctx)
{
    ctx_init(ctx, &clock_system);
}

static struct rc inner(struct ctx *ctx)
{
    return ctx_fail(ctx, E_NOT_FOUND, "no issuer is named %s", "acme");
}

static struct rc outer(struct ctx *ctx)
{
    TRY(ctx_wrap(ctx, inner(ctx), "renewing %s", "www"));
    return RC_OK;
}

static void the_trail_reads_outermost_first_and_the_code_stays(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    setup_ctx(&ctx);
    assert_string_equal(ctx_why(&ctx), "");
    assert_err(outer(&ctx), E_NOT_FOUND);
    assert_string_equal(ctx_why(&ctx), "renewing www: no issuer is named acme");
    ctx_forget(&ctx);
    assert_string_equal(ctx_why(&ctx), "");
    assert_ok(ctx_wrap(&ctx, RC_OK, "nothing"));
    assert_string_equal(ctx_why(&ctx), "");
}

static void errno_becomes_the_fitting_error_with_its_words(void **state)
{
    (void)state;
    static const struct {
        int no;
        enum err e;
    } rows[] = {{ENOSPC, E_DISK_FULL}, {ENOENT, E_NOT_FOUND},         {EEXIST, E_EXISTS}, {EACCES, E_FORBIDDEN},
                {ENOMEM, E_NO_MEMORY}, {ECONNREFUSED, E_UNREACHABLE}, {EIO, E_IO}};
    struct ctx CTX_CLEANUP ctx;
    setup_ctx(&ctx);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        errno = rows[i].no;
        assert_err(ctx_fail_errno(&ctx, "opening %s", "/x"), rows[i].e);
    }
    ctx_forget(&ctx);
    errno = ENOENT;
    assert_err(ctx_fail_errno(&ctx, "opening %s", "/x"), E_NOT_FOUND);
    assert_string_equal(ctx_why(&ctx), "opening /x: No such file or directory");
}

static void a_wrong_field_is_named_by_its_pointer(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    setup_ctx(&ctx);
    assert_err(ctx_fail_field(&ctx, "/names/0", "not a name"), E_INVALID);
    assert_string_equal(ctx.field, "/names/0");
    ctx_forget(&ctx);
    assert_null(ctx.field);
}

static void a_deadline_bounds_the_time_left_and_never_goes_negative(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    setup_ctx(&ctx);
    assert_int_equal(ctx_left_ms(&ctx, 500), 500);
    ctx.deadline_ms = clock_mono_ms() + 100000;
    assert_int_equal(ctx_left_ms(&ctx, 500), 500);
    assert_true(ctx_left_ms(&ctx, 200000) <= 100000);
    ctx.deadline_ms = clock_mono_ms() - 5;
    assert_int_equal(ctx_left_ms(&ctx, 500), 0);
}

static void each_job_has_its_own_request_id_and_no_leftovers(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    setup_ctx(&ctx);
    char first[33];
    memcpy(first, ctx.request_id, sizeof first);
    assert_int_equal(strlen(first), 32);
    ctx.deadline_ms = 5;
    ctx.retry_after_s = 9;
    assert_err(inner(&ctx), E_NOT_FOUND);
    ctx_reset(&ctx);
    assert_string_not_equal(first, ctx.request_id);
    assert_null(ctx.trail);
    assert_int_equal(ctx.deadline_ms, 0);
    assert_int_equal(ctx.retry_after_s, 0);
    assert_ptr_equal(ctx.clock, &clock_system);
}

static void every_error_has_a_row_and_is_found_by_its_name(void **state)
{
    (void)state;
    for (int e = 0; e < E_COUNT; e++) {
        const struct err_info *info = err_info((enum err)e);
        assert_non_null(info->name);
        assert_int_equal(err_by_name(info->name), e);
        assert_true(info->http >= 200 && info->http < 600);
        assert_true(info->exit >= 0 && info->exit <= 7);
        assert_true((info->exit == 0) == (e == E_OK));
    }
    assert_ptr_equal(err_info((enum err)9999), err_info(E_BUG));
    assert_int_equal(err_by_name("no such thing"), E_BUG);
    assert_int_equal(err_by_name(NULL), E_BUG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_trail_reads_outermost_first_and_the_code_stays),
        cmocka_unit_test(errno_becomes_the_fitting_error_with_its_words),
        cmocka_unit_test(a_wrong_field_is_named_by_its_pointer),
        cmocka_unit_test(a_deadline_bounds_the_time_left_and_never_goes_negative),
        cmocka_unit_test(each_job_has_its_own_request_id_and_no_leftovers),
        cmocka_unit_test(every_error_has_a_row_and_is_found_by_its_name),
    };
    return cmocka_run_group_tests_name("base/ctx", tests, NULL, NULL);
}
