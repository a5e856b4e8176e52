/* Programs started by argv, with ceilings on what they say and how long they take. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/str.h"
#include "os/spawn.h"

static struct spawn_result run(struct ctx *ctx, struct spawn s)
{
    struct spawn_result r;
    assert_true(rc_ok(spawn_run(ctx, &s, &r)));
    return r;
}

#define SHELL(script) ((const char *const[]){"/bin/sh", "-c", script, NULL})

static void output_exit_code_and_signal_come_back(void **state)
{
    struct ctx *ctx = *state;
    struct spawn_result r = run(ctx, (struct spawn){.argv = SHELL("echo out; echo err >&2; exit 3")});
    assert_int_equal(r.exit_code, 3);
    assert_true(bytes_equal_z(r.out, "out\nerr\n"));
    r = run(ctx, (struct spawn){.argv = SHELL("echo out; echo err >&2"), .only_stdout = true});
    assert_true(bytes_equal_z(r.out, "out\n"));
    r = run(ctx, (struct spawn){.argv = SHELL("kill -TERM $$")});
    assert_int_equal(r.exit_code, -1);
    assert_int_equal(r.signal, SIGTERM);
}

static void arguments_reach_the_program_as_they_are(void **state)
{
    struct ctx *ctx = *state;
    struct spawn_result r = run(ctx, (struct spawn){.argv = (const char *const[]){"/bin/echo", "$(id); `id` > x", "a  b", NULL}});
    assert_true(bytes_equal_z(r.out, "$(id); `id` > x a  b\n"));
}

static void input_is_fed_and_a_program_that_ignores_it_harms_nobody(void **state)
{
    struct ctx *ctx = *state;
    size_t n = 1 << 20;
    uint8_t *big = arena_alloc(&ctx->arena, n);
    memset(big, 'x', n);
    struct spawn_result r = run(ctx, (struct spawn){.argv = SHELL("wc -c"), .in = bytes_of(big, n)});
    int64_t said = 0;
    assert_true(str_to_i64(bytes_of(r.out.p, r.out.n - 1), &said));
    assert_int_equal(said, 1 << 20);
    r = run(ctx, (struct spawn){.argv = SHELL("exec 0<&-; exit 0"), .in = bytes_of(big, n)});
    assert_int_equal(r.exit_code, 0);
}

static void what_it_says_is_cut_at_the_ceiling_start_or_end(void **state)
{
    struct ctx *ctx = *state;
    struct spawn s = {.argv = SHELL("i=0; while [ $i -lt 3000 ]; do echo line$i; i=$((i+1)); done"), .max_out = 100};
    struct spawn_result r = run(ctx, s);
    assert_true(r.cut && r.out.n == 100 && bytes_starts_with(r.out, BYTES_LIT("line0\nline1\n")));
    s.keep_end = true;
    r = run(ctx, s);
    assert_true(r.cut && r.out.n == 100 && bytes_ends_with(r.out, BYTES_LIT("line2998\nline2999\n")));
}

static void at_the_timeout_the_whole_group_is_killed(void **state)
{
    struct ctx *ctx = *state;
    struct spawn_result r = run(ctx, (struct spawn){.argv = SHELL("sleep 60 & echo $!; wait"), .timeout_ms = 300});
    assert_true(r.timed_out);
    assert_int_equal(r.signal, SIGKILL);
    assert_true(r.took_ms < 30000);
    int64_t pid = 0;
    assert_true(r.out.n > 1 && str_to_i64(bytes_of(r.out.p, r.out.n - 1), &pid));
    int tries = 0;
    while (kill((pid_t)pid, 0) == 0 && tries++ < 100) { /* until init has reaped it, where it does */
        char path[64], line[256] = "";
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        FILE *f = fopen(path, "r");
        bool zombie = f && fgets(line, sizeof line, f) && strstr(line, ") Z ");
        if (f)
            fclose(f);
        if (zombie)
            break;
        usleep(10000);
    }
    assert_true(tries < 100);
}

static void a_child_left_in_the_background_does_not_hold_us(void **state)
{
    struct ctx *ctx = *state;
    struct spawn_result r = run(ctx, (struct spawn){.argv = SHELL("sleep 20 & echo started"), .timeout_ms = 15000});
    assert_false(r.timed_out);
    assert_int_equal(r.exit_code, 0);
    assert_true(bytes_equal_z(r.out, "started\n"));
}

static void it_gets_no_descriptor_and_no_environment_of_ours(void **state)
{
    struct ctx *ctx = *state;
    int fd = open("/etc/passwd", O_RDONLY); /* without close-on-exec */
    setenv("SECRET", "1", 1);
    struct spawn_result r = run(ctx, (struct spawn){.argv = SHELL("ls /proc/$$/fd; echo \"[$SECRET][$PATH]\"; pwd")});
    close(fd);
    assert_true(bytes_equal_z(r.out, "0\n1\n2\n[][/usr/sbin:/usr/bin:/sbin:/bin]\n/\n"));
}

static void a_program_that_is_not_there_is_told(void **state)
{
    struct ctx *ctx = *state;
    struct spawn_result r;
    struct spawn s = {.argv = (const char *const[]){"/nowhere/program", NULL}};
    assert_int_equal(spawn_run(ctx, &s, &r).e, E_NOT_FOUND);
    assert_non_null(strstr(ctx_why(ctx), "/nowhere/program"));
}

static void root_can_start_it_as_somebody_else(void **state)
{
    struct ctx *ctx = *state;
    struct spawn s = {.argv = SHELL("id -u; id -g; id -G"),
                      .switch_user = true,
                      .uid = geteuid() ? geteuid() : 4711,
                      .gid = geteuid() ? getegid() : 4712};
    if (geteuid() != 0)
        s.switch_user = false;
    struct spawn_result r = run(ctx, s);
    if (geteuid() == 0)
        assert_true(bytes_equal_z(r.out, "4711\n4712\n4712\n"));
}

static int make(void **state)
{
    struct ctx *ctx = calloc(1, sizeof *ctx);
    ctx_init(ctx, &clock_system);
    *state = ctx;
    return 0;
}

static int drop(void **state)
{
    ctx_free(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(output_exit_code_and_signal_come_back, make, drop),
        cmocka_unit_test_setup_teardown(arguments_reach_the_program_as_they_are, make, drop),
        cmocka_unit_test_setup_teardown(input_is_fed_and_a_program_that_ignores_it_harms_nobody, make, drop),
        cmocka_unit_test_setup_teardown(what_it_says_is_cut_at_the_ceiling_start_or_end, make, drop),
        cmocka_unit_test_setup_teardown(at_the_timeout_the_whole_group_is_killed, make, drop),
        cmocka_unit_test_setup_teardown(a_child_left_in_the_background_does_not_hold_us, make, drop),
        cmocka_unit_test_setup_teardown(it_gets_no_descriptor_and_no_environment_of_ours, make, drop),
        cmocka_unit_test_setup_teardown(a_program_that_is_not_there_is_told, make, drop),
        cmocka_unit_test_setup_teardown(root_can_start_it_as_somebody_else, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
