/* A parent with two roles of this very program: the hub asks the signer, and tells on a socket what it heard. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/str.h"
#include "os/file.h"
#include "os/parent.h"
#include "os/role.h"
#include "wire/messages.h"

/* --- the roles */

static RC healthy(struct ctx *ctx, void *arg, const void *in, void *out)
{
    (void)in;
    struct role_env *env = arg;
    struct wire_signer_healthy *a = out;
    struct secret kek SECRET_CLEANUP = {0};
    FAILPOINT("answer");
    TRY(file_read_secret(ctx, role_credential(env, "kek"), "kek", 64, &kek));
    a->keys = getpid();
    a->journal_bytes = (int64_t)secret_use(&kek).n;
    a->sandbox = arena_printf(&ctx->arena, "%d %s", (int)getuid(), role_sandbox_state(env));
    return RC_OK;
}

static RC signer_enter(struct ctx *ctx, struct role_env *env)
{
    static const struct wire_route routes[] = {{WIRE_signer_health, healthy}};
    if (bytes_equal_z(role_config(env), "broken"))
        return ctx_fail(ctx, E_INVALID, "the configuration is broken");
    role_ready(env, "keys loaded");
    return wire_serve(ctx, role_server(env), routes, 1, 2, env);
}

static void answer(struct role_env *env, int fd)
{
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, role_clock(env));
    struct wire_signer_healthy h;
    struct rc rc = wire_call_signer_health(&ctx, role_peer(env, "signer"), &(struct wire_signer_health){0}, &h);
    if (rc_ok(rc))
        dprintf(fd, "%d %d %lld %lld %s\n", (int)getpid(), (int)getuid(), (long long)h.keys, (long long)h.journal_bytes, h.sandbox);
    else
        dprintf(fd, "%d %d 0 0 %s\n", (int)getpid(), (int)getuid(), ctx_why(&ctx));
}

static RC hub_enter(struct ctx *ctx, struct role_env *env)
{
    (void)ctx;
    role_ready(env, NULL);
    while (!role_stopping(env)) {
        struct pollfd p[2] = {{.fd = role_listener(env, "status"), .events = POLLIN}, {.fd = role_stop_fd(env), .events = POLLIN}};
        poll(p, 2, -1);
        int fd = accept4(p[0].fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            answer(env, fd);
            close(fd);
        }
    }
    /* The signer must still serve while the hub drains. */
    struct ctx last CTX_CLEANUP;
    ctx_init(&last, role_clock(env));
    struct wire_signer_healthy h;
    return wire_call_signer_health(&last, role_peer(env, "signer"), &(struct wire_signer_health){0}, &h);
}

static const struct role roles[] = {{.name = "signer", .enter = signer_enter}, {.name = "hub", .enter = hub_enter}};

/* --- the parent, in a child of the test */

#define REST_MS 20

struct run {
    char dir[64], socket[80], kek[80];
    pid_t pid;
};

static void run_parent(struct run *r, const char *signer_config, int words)
{
    struct ctx ctx;
    ctx_init(&ctx, &clock_system);
    struct parent_user user = {.uid_base = 41000};
    struct parent_role plan_roles[] = {
        {.name = "signer", .user = user, .config = bytes_z(signer_config), .credentials = {"kek"},
         .rest_ms = str_equal(signer_config, "rests") ? REST_MS : 0},
        {.name = "hub", .user = user, .peers = {"signer"}, .listeners = {"status"}},
    };
    struct parent_listener listener = {
        .name = "status", .path = r->socket, .mode = 0600, .uid = FILE_KEEP_UID, .gid = FILE_KEEP_GID};
    struct parent_credential kek = {.name = "kek", .path = r->kek};
    struct parent_plan plan = {.roles = plan_roles,
                               .n_roles = 2,
                               .listeners = &listener,
                               .n_listeners = 1,
                               .credentials = &kek,
                               .n_credentials = 1,
                               .log_least = LOG_WARN_};
    struct rc rc = parent_run(&ctx, &plan);
    if (rc_failed(rc))
        dprintf(words, "%s", ctx_why(&ctx));
    ctx_free(&ctx);
    exit(rc_failed(rc) ? 1 : 0);
}

static int run_start(struct run *r, const char *signer_config)
{
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    int words[2];
    *r = (struct run){.pid = 0};
    snprintf(r->dir, sizeof r->dir, "/tmp/certwright-parent-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->socket, sizeof r->socket, "%s/status", r->dir);
    snprintf(r->kek, sizeof r->kek, "%s/kek", r->dir);
    assert_true(rc_ok(file_write_atomic_path(&ctx, r->kek, BYTES_LIT("0123456789"), FILE_KEEP_UID, FILE_KEEP_GID, 0600)));
    assert_int_equal(pipe(words), 0);
    fflush(NULL);
    r->pid = fork();
    if (r->pid == 0)
        run_parent(r, signer_config, words[1]);
    close(words[1]);
    return words[0];
}

static void run_clean(struct run *r)
{
    unlink(r->socket);
    unlink(r->kek);
    rmdir(r->dir);
}

struct told {
    int hub, hub_uid, signer, credential, signer_uid;
    char rest[512];
};

/* Asks the hub; false where nobody answers within the time. */
static bool ask(const struct run *r, struct told *t)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, r->socket, strlen(r->socket) + 1);
    for (int tries = 0; tries < 500; tries++, usleep(20000)) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char line[512] = "";
        size_t n = 0;
        ssize_t got = 0;
        if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
            while (n < sizeof line - 1 && (got = read(fd, line + n, sizeof line - 1 - n)) > 0)
                n += (size_t)got;
        close(fd);
        *t = (struct told){0};
        if (n && sscanf(line, "%d %d %d %d %511[^\n]", &t->hub, &t->hub_uid, &t->signer, &t->credential, t->rest) == 5)
            return true;
    }
    return false;
}

static bool gone_soon(pid_t pid)
{
    for (int tries = 0; tries < 500; tries++, usleep(20000))
        if (kill(pid, 0) && errno == ESRCH)
            return true;
    return false;
}

static void end(struct run *r)
{
    int status;
    kill(r->pid, SIGTERM);
    assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    run_clean(r);
}

static void roles_get_config_credentials_listeners_and_users_of_their_own(void **state)
{
    (void)state;
    struct run r;
    struct told t;
    close(run_start(&r, ""));
    assert_true(ask(&r, &t));
    assert_int_equal(t.credential, 10);
    assert_true(t.signer > 0 && t.signer != t.hub);
    assert_non_null(strstr(t.rest, "seccomp"));
    if (geteuid() == 0) {
        assert_int_equal(t.hub_uid, 41001);
        assert_int_equal(strncmp(t.rest, "41000 ", 6), 0);
    }
    end(&r);
    assert_true(gone_soon(t.hub) && gone_soon(t.signer));
}

static void a_killed_role_is_replaced_and_its_peer_goes_on(void **state)
{
    (void)state;
    struct run r;
    struct told before, after;
    close(run_start(&r, ""));
    assert_true(ask(&r, &before));
    kill(before.signer, SIGKILL);
    assert_true(gone_soon(before.signer));
    assert_true(ask(&r, &after));
    assert_int_equal(after.hub, before.hub);
    assert_true(after.signer > 0 && after.signer != before.signer);
    kill(after.hub, SIGKILL);
    assert_true(gone_soon(after.hub));
    assert_true(ask(&r, &before));
    assert_int_equal(before.signer, after.signer);
    assert_int_not_equal(before.hub, after.hub);
    end(&r);
}

/* Asked again and again just when it is about to rest: not one call may get lost between two of its lives. */
static void a_role_without_work_rests_and_no_call_is_lost(void **state)
{
    (void)state;
    struct run r;
    struct told t, after;
    int lives = 0, before = 0;
    close(run_start(&r, "rests"));
    for (useconds_t i = 0; i < 60; i++) {
        assert_true(ask(&r, &t));
        if (t.signer <= 0)
            fail_msg("call %u: %s", (unsigned)i, t.rest);
        lives += t.signer != before;
        before = t.signer;
        usleep(REST_MS * 1000 - 2000 + i % 12 * 500);
    }
    assert_in_range(lives, 3, 60);
    assert_true(gone_soon(t.signer));
    kill(t.hub, SIGKILL); /* who comes after it finds it, too */
    assert_true(gone_soon(t.hub));
    assert_true(ask(&r, &after));
    assert_true(after.signer > 0 && after.hub != t.hub);
    assert_true(gone_soon(after.signer));
    end(&r);
}

static void roles_die_with_their_parent(void **state)
{
    (void)state;
    struct run r;
    struct told t;
    close(run_start(&r, ""));
    assert_true(ask(&r, &t));
    kill(r.pid, SIGKILL);
    waitpid(r.pid, NULL, 0);
    assert_true(gone_soon(t.hub) && gone_soon(t.signer));
    run_clean(&r);
}

static void a_role_that_cannot_start_ends_the_run_with_its_own_words(void **state)
{
    (void)state;
    struct run r;
    int status, words = run_start(&r, "broken");
    char text[512] = "";
    ssize_t n = read(words, text, sizeof text - 1);
    close(words);
    assert_int_equal(waitpid(r.pid, &status, 0), r.pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    assert_true(n > 0);
    assert_non_null(strstr(text, "role signer could not start: the configuration is broken"));
    run_clean(&r);
}

static void a_failpoint_kills_the_first_life_alone(void **state)
{
    (void)state;
#ifdef CERTWRIGHT_FAILPOINTS
    struct run r;
    struct told first, second;
    setenv("CERTWRIGHT_FAILPOINT", "signer:answer=kill", 1);
    close(run_start(&r, ""));
    unsetenv("CERTWRIGHT_FAILPOINT");
    assert_true(ask(&r, &first));
    assert_int_equal(first.signer, 0);
    assert_non_null(strstr(first.rest, "the signer ended before it answered"));
    assert_true(ask(&r, &second));
    assert_true(second.signer > 0);
    end(&r);
#endif
}

static void a_stopped_role_is_killed_when_patience_ends_or_at_the_second_signal(void **state)
{
    (void)state;
    struct run r;
    struct told t;
    close(run_start(&r, ""));
    assert_true(ask(&r, &t));
    kill(t.hub, SIGSTOP);
    kill(r.pid, SIGTERM);
    usleep(300000);
    assert_int_equal(kill(t.hub, 0), 0);
    assert_int_equal(kill(t.signer, 0), 0); /* still there for the hub */
    int64_t begun = clock_mono_ms();
    end(&r); /* the second */
    assert_true(clock_mono_ms() - begun < PARENT_DRAIN_MS - 1000);
}

static void a_credential_that_others_can_read_is_refused(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    char path[] = "/tmp/certwright-kek-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(fchmod(fd, 0640), 0);
    struct parent_credential kek = {.name = "kek", .path = path};
    struct parent_plan plan = {.credentials = &kek, .n_credentials = 1};
    assert_int_equal(parent_open(&ctx, &plan).e, E_FORBIDDEN);
    close(fd);
    unlink(path);
}

static void a_port_in_use_is_told(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct parent_listener first = {.name = "https", .address = "127.0.0.1"}, second = first;
    struct parent_plan plan = {.listeners = &first, .n_listeners = 1};
    assert_true(rc_ok(parent_open(&ctx, &plan)));
    assert_true(first.bound_port > 0);
    second.port = first.bound_port;
    plan.listeners = &second;
    assert_int_equal(parent_open(&ctx, &plan).e, E_IN_USE);
    close(first.fd);
}

int main(int argc, char **argv)
{
    if (role_asked(argc, argv))
        return role_main(roles, sizeof roles / sizeof roles[0], argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_get_config_credentials_listeners_and_users_of_their_own),
        cmocka_unit_test(a_killed_role_is_replaced_and_its_peer_goes_on),
        cmocka_unit_test(a_role_without_work_rests_and_no_call_is_lost),
        cmocka_unit_test(roles_die_with_their_parent),
        cmocka_unit_test(a_role_that_cannot_start_ends_the_run_with_its_own_words),
        cmocka_unit_test(a_failpoint_kills_the_first_life_alone),
        cmocka_unit_test(a_stopped_role_is_killed_when_patience_ends_or_at_the_second_signal),
        cmocka_unit_test(a_credential_that_others_can_read_is_refused),
        cmocka_unit_test(a_port_in_use_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
