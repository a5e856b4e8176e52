/* The journal of a target: what a kill may leave of it, and that no key stays in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/apply/journal.h"
#include "os/file.h"

struct place {
    struct ctx ctx;
    char folder[32];
    const char *path;
    struct journal j;
};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    ctx_init(&p->ctx, &clock_system);
    snprintf(p->folder, sizeof p->folder, "/tmp/cw-journal-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    p->path = arena_printf(&p->ctx.arena, "%s/t.journal", p->folder);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    journal_free(&p->j);
    unlink(p->path);
    rmdir(p->folder);
    ctx_free(&p->ctx);
    free(p);
    return 0;
}

static void append(struct place *p, enum target_step step, const char *member, const char *carries)
{
    p->j.path = p->path;
    p->j.last = (struct journal_entry){step, "d1", 7, 3};
    assert_true(rc_ok(journal_append(&p->ctx, &p->j, member, bytes_z(carries), false)));
}

static const char *text(struct place *p)
{
    struct bytes all;
    assert_true(rc_ok(file_read(&p->ctx, p->path, (size_t)1 << 20, &all)));
    return arena_str(&p->ctx.arena, all);
}

static void read_again(struct place *p)
{
    journal_free(&p->j);
    assert_true(rc_ok(journal_read(&p->ctx, p->path, &p->j)));
}

static void deployment(struct place *p)
{
    append(p, TARGET_STAGED, "stage", "{\"key\":\"NEW\"}");
    append(p, TARGET_SAVED, "saved", "[\"OLD\"]");
    append(p, TARGET_INSTALLED, NULL, "");
}

static void what_was_staged_and_saved_is_read_back(void **state)
{
    struct place *p = *state;
    read_again(p);
    assert_int_equal(p->j.last.step, TARGET_NEW);
    assert_false(p->j.exists);
    deployment(p);
    read_again(p);
    assert_int_equal(p->j.last.step, TARGET_INSTALLED);
    assert_int_equal(p->j.last.fence, 7);
    assert_string_equal(json_string_value(json_object_get(p->j.stage, "key")), "NEW");
    assert_string_equal(json_string_value(json_array_get(p->j.saved, 0)), "OLD");
}

static void no_key_is_left_after_the_end(void **state)
{
    struct place *p = *state;
    deployment(p);
    append(p, TARGET_COMMITTED, "stage", "{\"key\":\"none\"}");
    assert_null(strstr(text(p), "NEW"));
    assert_null(strstr(text(p), "OLD"));
    read_again(p);
    assert_int_equal(p->j.last.step, TARGET_COMMITTED);
    assert_string_equal(json_string_value(json_object_get(p->j.stage, "key")), "none");
    assert_null(p->j.saved);
}

static void the_next_deployment_does_not_see_the_one_before(void **state)
{
    struct place *p = *state;
    deployment(p);
    append(p, TARGET_COMMITTED, "stage", "{\"key\":\"none\"}");
    append(p, TARGET_STAGED, "stage", "{\"key\":\"NEXT\"}");
    read_again(p);
    assert_int_equal(p->j.last.step, TARGET_STAGED);
    assert_string_equal(json_string_value(json_object_get(p->j.stage, "key")), "NEXT");
    assert_null(p->j.saved);
}

static void a_torn_end_does_not_count(void **state)
{
    struct place *p = *state;
    deployment(p);
    const char *whole = text(p);
    for (size_t n = strlen(whole) - 1; n > 0; n -= n > 40 ? 37 : 1) {
        assert_int_equal(truncate(p->path, (off_t)n), 0);
        read_again(p);
        assert_true(p->j.last.step < TARGET_INSTALLED);
        append(p, TARGET_UNDOING, NULL, "");
        read_again(p);
        assert_int_equal(p->j.last.step, TARGET_UNDOING);
        assert_true(rc_ok(file_write_atomic_path(&p->ctx, p->path, bytes_z(whole), FILE_KEEP_UID, FILE_KEEP_GID, 0600)));
    }
}

/* A kill in the middle of overwriting leaves the rest of a line before the last. */
static void a_line_half_overwritten_does_not_count(void **state)
{
    struct place *p = *state;
    deployment(p);
    append(p, TARGET_COMMITTED, "stage", "{\"key\":\"none\"}");
    const char *rest = arena_printf(&p->ctx.arena, "\n\n\nEW\"}}\n{\"step\":\"saved\"}\n%s", text(p));
    assert_true(rc_ok(file_write_atomic_path(&p->ctx, p->path, bytes_z(rest), FILE_KEEP_UID, FILE_KEEP_GID, 0600)));
    read_again(p);
    assert_int_equal(p->j.last.step, TARGET_COMMITTED);
    append(p, TARGET_STAGED, "stage", "{\"key\":\"NEXT\"}");
    read_again(p);
    assert_int_equal(p->j.last.step, TARGET_STAGED);
}

static void a_journal_that_makes_no_sense_is_refused_with_its_name(void **state)
{
    struct place *p = *state;
    assert_true(
        rc_ok(file_write_atomic_path(&p->ctx, p->path, BYTES_LIT("{\"step\":\"flown\"}\n"), FILE_KEEP_UID, FILE_KEEP_GID, 0600)));
    assert_true(rc_failed(journal_read(&p->ctx, p->path, &p->j)));
    assert_true(rc_ok(file_write_atomic_path(&p->ctx, p->path, BYTES_LIT("nonsense\n"), FILE_KEEP_UID, FILE_KEEP_GID, 0600)));
    assert_true(rc_failed(journal_read(&p->ctx, p->path, &p->j)));
    assert_non_null(strstr(ctx_why(&p->ctx), p->path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_staged_and_saved_is_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(no_key_is_left_after_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(the_next_deployment_does_not_see_the_one_before, setup, teardown),
        cmocka_unit_test_setup_teardown(a_torn_end_does_not_count, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_half_overwritten_does_not_count, setup, teardown),
        cmocka_unit_test_setup_teardown(a_journal_that_makes_no_sense_is_refused_with_its_name, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
