/* Sandboxes, each in a child process that tries what it may not. */
#include <setjmp.h>
#include <stdarg.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/sandbox.h"
#include "os/sandbox_calls.h"
#include "os/spawn.h"

static char place[64]; /* may be written in the sandbox */
static char other[64]; /* may not */

/* What was tried ended so: 0 allowed, an errno, or 1000 + the signal that killed it.  2000: the sandbox could not be entered. */
static int tried(struct sandbox sb, int (*try)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct ctx ctx;
        ctx_init(&ctx, &clock_system);
        const char *state = "";
        struct rc rc = sandbox_mounts(&ctx, &sb);
        if (rc_ok(rc))
            rc = sandbox_enter(&ctx, &sb, &state);
        if (rc_failed(rc)) {
            fprintf(stderr, "%s\n", ctx_why(&ctx));
            _exit(rc.e == E_SANDBOX ? 200 : 201);
        }
        _exit(try());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        return 1000 + WTERMSIG(status);
    return WEXITSTATUS(status) == 200 ? 2000 : WEXITSTATUS(status);
}

static int write_file(const char *dir)
{
    char path[128];
    snprintf(path, sizeof path, "%s/f", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return errno;
    int bad = write(fd, "x", 1) != 1 || fchmod(fd, 0640) || close(fd);
    char to[128];
    snprintf(to, sizeof to, "%s/g", dir);
    return bad || rename(path, to) ? errno : 0;
}

static int write_inside(void)
{
    return write_file(place);
}
static int write_outside(void)
{
    return write_file(other);
}
static int read_shadow(void)
{
    return open("/etc/shadow", O_RDONLY) < 0 ? errno : 0;
}
static int read_passwd(void)
{
    return open("/etc/passwd", O_RDONLY) < 0 ? errno : 0;
}

static int connect_to(int family, int type)
{
    int fd = socket(family, type, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0)
        return errno;
    return connect(fd, (struct sockaddr *)&a, sizeof a) && errno != ECONNREFUSED ? errno : 0;
}
static int connect_tcp(void)
{
    return connect_to(AF_INET, SOCK_STREAM);
}
static int connect_udp(void)
{
    return connect_to(AF_INET, SOCK_DGRAM);
}
static int open_raw(void)
{
    return socket(AF_INET, SOCK_RAW, 1) < 0 ? errno : 0;
}
static int bind_tcp(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0)
        return errno;
    return bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 1) ? errno : 0;
}
static int open_unix(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0;
}
static int start_program(void)
{
    struct ctx ctx;
    ctx_init(&ctx, &clock_system);
    struct spawn_result r;
    struct spawn s = {.argv = (const char *const[]){"/bin/true", NULL}};
    return rc_failed(spawn_run(&ctx, &s, &r)) ? 99 : r.exit_code;
}
static int make_process(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid < 0 ? errno : 0;
}
static int trace(void)
{
    return ptrace(PTRACE_TRACEME, 0, 0, 0) < 0 ? errno : 0;
}
static int change_owner(void)
{
    return chown(place, 1, 1) ? errno : 0;
}
static int dumpable(void)
{
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 1;
}
static int signal_parent(void)
{
    return kill(getppid(), 0) ? errno : 0;
}
static void *nothing(void *arg)
{
    return arg;
}
static int start_thread(void)
{
    pthread_t t;
    int e = pthread_create(&t, NULL, nothing, NULL);
    return e ? e : pthread_join(t, NULL);
}

static struct sandbox plain(void)
{
    struct sandbox sb = {0};
    sandbox_allow(&sb, place, SANDBOX_READ | SANDBOX_WRITE);
    return sb;
}

static struct sandbox with(unsigned may)
{
    struct sandbox sb = plain();
    sb.may = may;
    return sb;
}

/* The kernels of the project's own tests have Landlock; where one has not, root gets the mount namespace. */
static void files_outside_its_paths_are_out_of_reach(void **state)
{
    (void)state;
    assert_int_equal(tried(plain(), write_inside), 0);
    assert_int_not_equal(tried(plain(), write_outside), 0);
    assert_int_not_equal(tried(plain(), read_shadow), 0);
    assert_int_equal(tried(plain(), read_passwd), 0);
}

static void a_mount_namespace_stands_in_for_landlock(void **state)
{
    (void)state;
    struct sandbox sb = plain();
    sb.assume_no_landlock = true;
    if (geteuid() != 0) {
        assert_int_equal(tried(sb, write_inside), 2000); /* fails closed */
        return;
    }
    assert_int_equal(tried(sb, write_inside), 0);
    assert_int_equal(tried(sb, write_outside), ENOENT);
    assert_int_equal(tried(sb, read_shadow), ENOENT);
    assert_int_equal(tried(sb, read_passwd), 0);
    assert_int_equal(tried(sb, connect_tcp) != 0, 1);
}

static void the_network_is_closed_unless_granted(void **state)
{
    (void)state;
    assert_int_not_equal(tried(plain(), connect_tcp), 0);
    assert_int_not_equal(tried(plain(), connect_udp), 0);
    assert_int_not_equal(tried(plain(), bind_tcp), 0);
    assert_int_not_equal(tried(plain(), open_unix), 0);
    assert_int_equal(tried(with(SANDBOX_CONNECT_TCP), connect_tcp), 0);
    assert_int_not_equal(tried(with(SANDBOX_CONNECT_TCP), connect_udp), 0);
    assert_int_not_equal(tried(with(SANDBOX_CONNECT_TCP | SANDBOX_UDP), open_raw), 0);
    assert_int_equal(tried(with(SANDBOX_UDP), connect_udp), 0);
    assert_int_equal(tried(with(SANDBOX_BIND_TCP), bind_tcp), 0);
    assert_int_equal(tried(with(SANDBOX_UNIX), open_unix), 0);
    if (sandbox_landlock_abi() >= 4) {
        assert_int_equal(tried(with(SANDBOX_CONNECT_TCP), bind_tcp), EACCES);
        assert_int_equal(tried(with(SANDBOX_BIND_TCP), connect_tcp), EACCES);
    }
    if (sandbox_landlock_abi() >= 6)
        assert_int_equal(tried(plain(), signal_parent), EPERM);
}

static void programs_start_only_where_granted(void **state)
{
    (void)state;
    struct sandbox sb = with(SANDBOX_EXEC);
    sandbox_allow(&sb, "/", SANDBOX_READ | SANDBOX_WRITE | SANDBOX_EXECUTE);
    assert_int_equal(tried(sb, start_program), 0);
    assert_int_not_equal(tried(plain(), start_program), 0);
}

static void what_only_attackers_do_ends_the_process(void **state)
{
    (void)state;
    if (SANDBOX_SANITIZED) {
        print_message("sanitizer build: the filter leaves ptrace to the leak checker\n");
        return;
    }
    assert_int_equal(tried(plain(), trace), 1000 + SIGSYS);
    assert_int_equal(tried(plain(), make_process), EPERM);
    assert_int_equal(tried(plain(), dumpable), 0);
}

static void owners_change_only_where_granted(void **state)
{
    (void)state;
    assert_int_equal(tried(plain(), change_owner), EPERM);
    if (geteuid() == 0)
        assert_int_equal(tried(with(SANDBOX_CHOWN), change_owner), 0);
}

static void threads_go_on_working(void **state)
{
    (void)state;
    assert_int_equal(tried(plain(), start_thread), 0);
}

static void a_path_that_is_not_there_is_told_and_stops_the_role(void **state)
{
    (void)state;
    struct sandbox sb = plain();
    sandbox_allow(&sb, "/nowhere/at/all", SANDBOX_READ);
    assert_int_equal(tried(sb, write_inside), 2000);
    sb = plain();
    sandbox_allow(&sb, "/nowhere/at/all", SANDBOX_READ | SANDBOX_OPTIONAL);
    assert_int_equal(tried(sb, write_inside), 0);
}

static void without_a_sandbox_it_says_so(void **state)
{
    (void)state;
    struct sandbox sb = plain();
    sb.off = true;
    assert_int_equal(tried(sb, write_outside), 0);
}

static int places(void **state)
{
    (void)state;
    snprintf(place, sizeof place, "/tmp/certwright-in-XXXXXX");
    snprintf(other, sizeof other, "/tmp/certwright-out-XXXXXX");
    return !mkdtemp(place) || !mkdtemp(other);
}

static int sweep(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/g", i ? place : other);
        unlink(path);
        rmdir(i ? place : other);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_outside_its_paths_are_out_of_reach),
        cmocka_unit_test(a_mount_namespace_stands_in_for_landlock),
        cmocka_unit_test(the_network_is_closed_unless_granted),
        cmocka_unit_test(programs_start_only_where_granted),
        cmocka_unit_test(what_only_attackers_do_ends_the_process),
        cmocka_unit_test(owners_change_only_where_granted),
        cmocka_unit_test(threads_go_on_working),
        cmocka_unit_test(a_path_that_is_not_there_is_told_and_stops_the_role),
        cmocka_unit_test(without_a_sandbox_it_says_so),
    };
    return cmocka_run_group_tests(tests, places, sweep);
}
