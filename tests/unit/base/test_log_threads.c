/* Log lines and failpoints, from many threads at once: run under ThreadSanitizer too. */
#include "base/base_test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/json.h"
#include "base/log.h"

/* Standard error goes to a file while logging; the text is given back. */
struct capture {
    FILE *file;
    int saved;
};

static struct capture capture_start(void)
{
    struct capture c = {.file = tmpfile(), .saved = dup(STDERR_FILENO)};
    assert_non_null(c.file);
    /* As journald's pipe: each write lands whole at the end. */
    assert_int_equal(fcntl(fileno(c.file), F_SETFL, O_APPEND), 0);
    dup2(fileno(c.file), STDERR_FILENO);
    return c;
}

static struct bytes capture_end(struct capture *c, struct arena *a)
{
    dup2(c->saved, STDERR_FILENO);
    close(c->saved);
    const off_t n = lseek(fileno(c->file), 0, SEEK_END);
    char *text = arena_alloc(a, (size_t)n + 1);
    assert_int_equal(pread(fileno(c->file), text, (size_t)n, 0), n);
    fclose(c->file);
    return bytes_of(text, (size_t)n);
}

static void *log_much(void *arg)
{
    for (int i = 0; i < 500; i++)
        log_event(LOG_INFO_, "thread_works", "thread", (const char *)arg, "turn", log_num(i), "text", "two words", NULL);
    return NULL;
}

static void lines_of_many_threads_do_not_mix(void **state)
{
    (void)state;
    struct arena ARENA_CLEANUP a = {0};
    log_init("tester", LOG_INFO_, false);
    struct capture c = capture_start();
    pthread_t threads[4];
    static char names[4][2] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_much, names[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    struct bytes text = capture_end(&c, &a), line;
    int lines = 0;
    for (; bytes_take_line(&text, &line); lines++) {
        assert_true(bytes_find(line, BYTES_LIT("Z tester info thread_works thread=")) == 19);
        assert_true(bytes_ends_with(line, BYTES_LIT(" text=\"two words\"")));
    }
    assert_int_equal(lines, 2000);
    assert_int_equal(text.n, 0);
}

static void values_cannot_forge_a_second_line_or_key(void **state)
{
    (void)state;
    struct arena ARENA_CLEANUP a = {0};
    log_init("tester", LOG_INFO_, false);
    struct capture c = capture_start();
    log_event(LOG_WARN_, "peer_said", "text", "x\n2026-01-01T00:00:00Z hub info lie", "eq", "a=b", "empty", "", "none", NULL, "esc",
              "\x1b[2J", NULL);
    log_event(LOG_DEBUG_, "below_the_level", NULL);
    struct bytes text = capture_end(&c, &a), line;
    assert_true(bytes_take_line(&text, &line));
    assert_int_equal(text.n, 0);
    assert_true(bytes_ends_with(
        line,
        BYTES_LIT(
            " tester warn peer_said text=\"x\\n2026-01-01T00:00:00Z hub info lie\" eq=\"a=b\" empty=\"\" esc=\"\\u001b[2J\"")));
}

static void a_very_long_value_is_cut_and_the_line_still_written(void **state)
{
    (void)state;
    struct arena ARENA_CLEANUP a = {0};
    char *v = arena_alloc(&a, 100001);
    memset(v, 'v', 100000);
    for (int json = 0; json < 2; json++) {
        log_init("tester", LOG_INFO_, json);
        struct capture c = capture_start();
        errno = EXDEV;
        log_event(LOG_ERROR_, "long", "a", v, "b", "end", NULL);
        assert_int_equal(errno, EXDEV);
        struct bytes text = capture_end(&c, &a);
        assert_in_range(text.n, 2048, 2200);
        assert_true(bytes_find(text, BYTES_LIT("end")) != SIZE_MAX);
    }
}

static void json_lines_are_json(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    log_init("hub", LOG_DEBUG_, true);
    struct capture c = capture_start();
    log_event(LOG_DEBUG_, "request", "path", "/a\"b", "none", NULL, "n", log_num(-3), NULL);
    struct bytes text = capture_end(&c, &ctx.arena);
    json_auto_t *v = NULL;
    assert_ok(json_read(&ctx, text, &v));
    assert_string_equal(json_string_value(json_object_get(v, "role")), "hub");
    assert_string_equal(json_string_value(json_object_get(v, "path")), "/a\"b");
    assert_string_equal(json_string_value(json_object_get(v, "n")), "-3");
    assert_null(json_object_get(v, "none"));
    log_init("tester", LOG_INFO_, false);
}

#ifdef CERTWRIGHT_FAILPOINTS
static struct rc passes(struct ctx *ctx)
{
    FAILPOINT("test.kill");
    FAILPOINT_ERROR(ctx, "test.error");
    return RC_OK;
}

/* Passes the points once in a child with standard error closed; returns how it ended. */
static int status_after(const char *setting, int options)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        close(STDERR_FILENO);
        struct ctx ctx;
        ctx_init(&ctx, &clock_system);
        failpoint_set(setting);
        _exit((int)passes(&ctx).e);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, options), pid);
    if (WIFSTOPPED(status)) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return status;
}

static void a_failpoint_kills_stops_fails_or_does_nothing(void **state)
{
    (void)state;
    int status = status_after("test.kill=kill", 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    status = status_after("test.kill=stop", WUNTRACED);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    status = status_after("test.error=error", 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == E_IO);
    status = status_after("test.error=disk_full", 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == E_DISK_FULL);
    static const char *const nothing[] = {"", "test.other=kill", "test.kill", "test.kill@2=kill", "test.kil=kill", "="};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
        status = status_after(nothing[i], 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static void a_count_fires_at_that_passing_only(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    struct capture c = capture_start();
    failpoint_set("test.error@3=error");
    enum err got[5];
    for (int i = 0; i < 5; i++)
        got[i] = passes(&ctx).e;
    failpoint_set("test.error@1=sleep:30");
    const int64_t from = clock_mono_ms();
    const struct rc slept = passes(&ctx);
    const int64_t took = clock_mono_ms() - from;
    failpoint_set(NULL);
    (void)capture_end(&c, &ctx.arena);
    static const enum err want[5] = {E_OK, E_OK, E_IO, E_OK, E_OK};
    for (int i = 0; i < 5; i++)
        assert_int_equal(got[i], want[i]);
    assert_ok(slept);
    assert_true(took >= 30);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_many_threads_do_not_mix),
        cmocka_unit_test(values_cannot_forge_a_second_line_or_key),
        cmocka_unit_test(a_very_long_value_is_cut_and_the_line_still_written),
        cmocka_unit_test(json_lines_are_json),
#ifdef CERTWRIGHT_FAILPOINTS
        cmocka_unit_test(a_failpoint_kills_stops_fails_or_does_nothing),
        cmocka_unit_test(a_count_fires_at_that_passing_only),
#endif
    };
    return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
