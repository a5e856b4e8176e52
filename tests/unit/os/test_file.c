/* Files: whole or not at all, and never outside their folder. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "os/file.h"

struct place {
    struct ctx ctx;
    char path[64];
    int dir;
};

static int place_make(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    ctx_init(&p->ctx, &clock_system);
    snprintf(p->path, sizeof p->path, "/tmp/certwright-file-XXXXXX");
    if (!mkdtemp(p->path) || rc_failed(file_open_dir(&p->ctx, p->path, &p->dir)))
        return 1;
    *state = p;
    return 0;
}

static int place_drop(void **state)
{
    struct place *p = *state;
    struct str_list names = {0};
    if (rc_ok(file_list(&p->ctx, p->dir, &names)))
        for (size_t i = 0; i < names.n; i++)
            if (unlinkat(p->dir, names.v[i], 0))
                unlinkat(p->dir, names.v[i], AT_REMOVEDIR);
    fd_close(&p->dir);
    rmdir(p->path);
    ctx_free(&p->ctx);
    free(p);
    return 0;
}

static bool holds(struct place *p, const char *name, const char *text)
{
    struct bytes b;
    return rc_ok(file_read_at(&p->ctx, p->dir, name, 1 << 20, &b)) && bytes_equal_z(b, text);
}

static size_t count(struct place *p)
{
    struct str_list names = {0};
    assert_true(rc_ok(file_list(&p->ctx, p->dir, &names)));
    return names.n;
}

static void a_file_is_replaced_as_a_whole_with_its_mode(void **state)
{
    struct place *p = *state;
    struct stat st;
    assert_true(rc_ok(file_write_atomic(&p->ctx, p->dir, "key.pem", BYTES_LIT("one"), FILE_KEEP_UID, FILE_KEEP_GID, 0640)));
    assert_int_equal(fstatat(p->dir, "key.pem", &st, 0), 0);
    ino_t first = st.st_ino;
    int old FD_CLEANUP = openat(p->dir, "key.pem", O_RDONLY | O_CLOEXEC);
    assert_true(rc_ok(file_write_atomic(&p->ctx, p->dir, "key.pem", BYTES_LIT("two, longer"), FILE_KEEP_UID, FILE_KEEP_GID, 0600)));
    assert_true(holds(p, "key.pem", "two, longer"));
    assert_int_equal(fstatat(p->dir, "key.pem", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_not_equal(st.st_ino, first);
    struct bytes b; /* who has the old one open still reads the old one */
    assert_true(rc_ok(file_read_fd(&p->ctx, old, "old", 100, &b)));
    assert_true(bytes_equal_z(b, "one"));
    assert_int_equal(count(p), 1);
}

static void a_symbolic_link_in_its_place_is_replaced_and_not_followed(void **state)
{
    struct place *p = *state;
    assert_true(rc_ok(file_write_atomic(&p->ctx, p->dir, "victim", BYTES_LIT("untouched"), FILE_KEEP_UID, FILE_KEEP_GID, 0600)));
    assert_int_equal(symlinkat("victim", p->dir, "key.pem"), 0);
    assert_true(rc_ok(file_write_atomic(&p->ctx, p->dir, "key.pem", BYTES_LIT("new"), FILE_KEEP_UID, FILE_KEEP_GID, 0600)));
    assert_true(holds(p, "victim", "untouched"));
    assert_true(holds(p, "key.pem", "new"));
}

/* A small tmpfs; for those who are not root, a limit on the size of files, which fails at the same place. */
static int small_disk(struct place *p, char *path, size_t n)
{
    int dir = -1;
    assert_int_equal(mkdirat(p->dir, "small", 0700), 0);
    snprintf(path, n, "%s/small", p->path);
    if (geteuid() == 0) {
        assert_int_equal(mount("none", path, "tmpfs", 0, "size=64k"), 0);
    } else {
        struct rlimit limit = {65536, RLIM_INFINITY};
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    }
    assert_true(rc_ok(file_open_dir(&p->ctx, path, &dir)));
    return dir;
}

static void a_full_disk_leaves_the_old_file_and_no_rest(void **state)
{
    struct place *p = *state;
    char path[80];
    int dir = small_disk(p, path, sizeof path);
    assert_true(rc_ok(file_write_atomic(&p->ctx, dir, "f", BYTES_LIT("old"), FILE_KEEP_UID, FILE_KEEP_GID, 0600)));
    uint8_t *big = arena_alloc(&p->ctx.arena, 1 << 20);
    struct rc rc = file_write_atomic(&p->ctx, dir, "f", bytes_of(big, 1 << 20), FILE_KEEP_UID, FILE_KEEP_GID, 0600);
    struct bytes b;
    struct rc read = file_read_at(&p->ctx, dir, "f", 100, &b);
    struct str_list names = {0};
    struct rc list = file_list(&p->ctx, dir, &names);
    int journal = openat(dir, "j", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct rc whole = file_append_sync(&p->ctx, journal, "j", BYTES_LIT("record\n"));
    struct rc torn = file_append_sync(&p->ctx, journal, "j", bytes_of(big, 1 << 20));
    struct stat st;
    int seen = fstat(journal, &st);
    close(journal);
    unlinkat(dir, "f", 0);
    unlinkat(dir, "j", 0);
    fd_close(&dir);
    if (geteuid() == 0)
        umount2(path, MNT_DETACH);
    assert_true(geteuid() == 0 ? rc.e == E_DISK_FULL : rc_failed(rc));
    assert_true(rc_ok(read) && bytes_equal_z(b, "old"));
    assert_true(rc_ok(list));
    assert_int_equal(names.n, 1);
    assert_true(rc_ok(whole));
    assert_true(geteuid() == 0 ? torn.e == E_DISK_FULL : rc_failed(torn));
    assert_int_equal(seen, 0);
    assert_int_equal(st.st_size, 7);
}

static void nothing_leads_out_of_the_folder(void **state)
{
    struct place *p = *state;
    assert_int_equal(mkdirat(p->dir, "in", 0700), 0);
    assert_int_equal(symlinkat("/etc", p->dir, "out"), 0);
    int fd FD_CLEANUP = -1;
    assert_true(rc_ok(file_open_beneath(&p->ctx, p->dir, "in/f", O_WRONLY | O_CREAT | O_EXCL, 0600, &fd)));
    fd_close(&fd);
    static const char *const bad[] = {"../x", "/etc/passwd", "out/passwd", "in/../../x"};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(file_open_beneath(&p->ctx, p->dir, bad[i], O_RDONLY, 0, &fd).e, E_INVALID);
    assert_int_equal(file_open_beneath(&p->ctx, p->dir, "in/none", O_RDONLY, 0, &fd).e, E_NOT_FOUND);
    unlinkat(p->dir, "in/f", 0);
}

static void what_is_longer_than_the_ceiling_is_not_read(void **state)
{
    struct place *p = *state;
    struct bytes b;
    assert_true(rc_ok(file_write_atomic(&p->ctx, p->dir, "f", BYTES_LIT("12345"), FILE_KEEP_UID, FILE_KEEP_GID, 0600)));
    assert_int_equal(file_read_at(&p->ctx, p->dir, "f", 4, &b).e, E_TOO_LARGE);
    assert_true(rc_ok(file_read_at(&p->ctx, p->dir, "f", 5, &b)));
    assert_int_equal(file_read(&p->ctx, "/dev/zero", 1000, &b).e, E_TOO_LARGE);
    assert_int_equal(file_read(&p->ctx, "/nowhere", 1000, &b).e, E_NOT_FOUND);
    assert_true(rc_ok(file_read(&p->ctx, "/proc/self/status", 100000, &b)) && b.n > 100);
}

static void temporary_names_are_known_as_such(void **state)
{
    (void)state;
    assert_true(file_is_temporary(".certwright-0123456789abcdef.tmp"));
    assert_false(file_is_temporary("key.pem"));
    assert_false(file_is_temporary(".certwright-key.tmp"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_replaced_as_a_whole_with_its_mode, place_make, place_drop),
        cmocka_unit_test_setup_teardown(a_symbolic_link_in_its_place_is_replaced_and_not_followed, place_make, place_drop),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_the_old_file_and_no_rest, place_make, place_drop),
        cmocka_unit_test_setup_teardown(nothing_leads_out_of_the_folder, place_make, place_drop),
        cmocka_unit_test_setup_teardown(what_is_longer_than_the_ceiling_is_not_read, place_make, place_drop),
        cmocka_unit_test(temporary_names_are_known_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
