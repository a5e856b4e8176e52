/* The signer's journal: what was committed comes back, what was torn is gone, what was damaged is not passed over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "signer/journal.h"

struct fixture {
    struct ctx ctx;
    char dir[64];
    char path[96];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    ctx_init(&f->ctx, &clock_system);
    snprintf(f->dir, sizeof f->dir, "/tmp/cw-journal-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/journal", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char extra[128];
    snprintf(extra, sizeof extra, "%s.new", f->path);
    unlink(f->path);
    unlink(extra);
    rmdir(f->dir);
    ctx_free(&f->ctx);
    free(f);
    return 0;
}

struct seen {
    size_t n;
    char text[4096];
};

static RC collect(struct ctx *ctx, void *arg, const struct signer_record *r)
{
    (void)ctx;
    struct seen *s = arg;
    size_t at = strlen(s->text);
    snprintf(s->text + at, sizeof s->text - at, "%d:%.*s@%lld ", r->type, (int)r->content.n, (const char *)r->content.p,
             (long long)r->time);
    s->n++;
    return RC_OK;
}

static struct signer_journal *open_journal(struct fixture *f, struct seen *s)
{
    struct signer_journal *j = NULL;
    *s = (struct seen){0};
    struct rc rc = signer_journal_open(&f->ctx, f->path, collect, s, &j);
    if (rc_failed(rc))
        print_message("%s\n", ctx_why(&f->ctx));
    assert_int_equal(rc.e, E_OK);
    return j;
}

static void add(struct fixture *f, struct signer_journal *j, const char *text)
{
    signer_journal_append(j, 7, 1000, bytes_z(text));
    assert_true(rc_ok(signer_journal_commit(&f->ctx, j)));
}

static void records_come_back_in_order(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    struct signer_journal *j = open_journal(f, &s);
    signer_journal_append(j, 1, 10, bytes_z("one"));
    uint64_t at = signer_journal_append(j, 2, 20, bytes_z("two"));
    assert_true(rc_ok(signer_journal_commit(&f->ctx, j)));
    add(f, j, "three");
    struct signer_record r;
    assert_true(rc_ok(signer_journal_read(&f->ctx, j, at, &r)));
    assert_true(bytes_equal_z(r.content, "two"));
    assert_int_equal(r.time, 20);
    signer_journal_close(j);
    j = open_journal(f, &s);
    assert_string_equal(s.text, "1:one@10 2:two@20 7:three@1000 ");
    assert_true(rc_ok(signer_journal_read(&f->ctx, j, at, &r)));
    assert_true(bytes_equal_z(r.content, "two"));
    signer_journal_close(j);
}

static void a_torn_end_is_cut_off_wherever_it_was_torn(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    struct signer_journal *j = open_journal(f, &s);
    add(f, j, "kept");
    off_t good = (off_t)signer_journal_size(j);
    add(f, j, "torn");
    off_t end = (off_t)signer_journal_size(j);
    signer_journal_close(j);
    for (off_t at = end - 1; at > good; at--) {
        assert_int_equal(truncate(f->path, at), 0);
        j = open_journal(f, &s);
        assert_string_equal(s.text, "7:kept@1000 ");
        assert_int_equal(signer_journal_size(j), good);
        add(f, j, "torn");
        signer_journal_close(j);
        j = open_journal(f, &s);
        assert_int_equal(s.n, 2);
        signer_journal_close(j);
    }
}

static void flip(const char *path, off_t at)
{
    int fd = open(path, O_RDWR);
    char c;
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c ^= 0x20;
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    close(fd);
}

static void a_frame_half_on_the_disk_is_cut_off(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    struct signer_journal *j = open_journal(f, &s);
    add(f, j, "kept");
    add(f, j, "not all of it arrived");
    off_t end = (off_t)signer_journal_size(j);
    signer_journal_close(j);
    flip(f->path, end - 3);
    signer_journal_close(open_journal(f, &s));
    assert_string_equal(s.text, "7:kept@1000 ");
}

static void damage_before_good_frames_stops_the_signer(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    struct signer_journal *j = open_journal(f, &s);
    add(f, j, "first");
    off_t second = (off_t)signer_journal_size(j);
    add(f, j, "second");
    add(f, j, "third");
    signer_journal_close(j);
    flip(f->path, second + 30);
    j = NULL;
    assert_int_equal(signer_journal_open(&f->ctx, f->path, collect, &s, &j).e, E_IO);
    assert_non_null(strstr(ctx_why(&f->ctx), "backup"));
    assert_null(j);
}

static void a_second_signer_is_kept_out(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    struct signer_journal *j = open_journal(f, &s), *other = NULL;
    assert_int_equal(signer_journal_open(&f->ctx, f->path, collect, &s, &other).e, E_IN_USE);
    signer_journal_close(j);
}

static void a_full_disk_is_named_and_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    struct signer_journal *j = open_journal(f, &s);
    add(f, j, "before");
    int64_t size = signer_journal_size(j);
    failpoint_set("signer.journal_write=disk_full");
    signer_journal_append(j, 7, 1000, bytes_z("lost"));
    assert_int_equal(signer_journal_commit(&f->ctx, j).e, E_DISK_FULL);
    failpoint_set(NULL);
    /* A real write that ends in the middle. */
    struct rlimit old, small = {(rlim_t)size + 40, RLIM_INFINITY};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    signer_journal_append(j, 7, 1000, bytes_z("a record that is longer than the room that is left in the file"));
    assert_true(rc_failed(signer_journal_commit(&f->ctx, j)));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_size, size);
    add(f, j, "after");
    signer_journal_close(j);
    signer_journal_close(open_journal(f, &s));
    assert_string_equal(s.text, "7:before@1000 7:after@1000 ");
}

static void a_rewritten_journal_takes_the_place_of_the_old(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    struct signer_journal *j = open_journal(f, &s), *fresh = NULL;
    for (int i = 0; i < 20; i++)
        add(f, j, "old");
    assert_true(rc_ok(signer_journal_rewrite(&f->ctx, j, &fresh)));
    add(f, fresh, "summary");
    assert_true(rc_ok(signer_journal_adopt(&f->ctx, j, fresh)));
    add(f, j, "new");
    signer_journal_close(j);
    signer_journal_close(open_journal(f, &s));
    assert_string_equal(s.text, "7:summary@1000 7:new@1000 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_come_back_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_torn_end_is_cut_off_wherever_it_was_torn, setup, teardown),
        cmocka_unit_test_setup_teardown(a_frame_half_on_the_disk_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_before_good_frames_stops_the_signer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_signer_is_kept_out, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_is_named_and_leaves_nothing_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rewritten_journal_takes_the_place_of_the_old, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
