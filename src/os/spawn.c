/* Starting programs: see spawn.h. */
#include "os/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/file.h"

#define SPAWN_TIMEOUT_MS 60000
#define SPAWN_OUT_MAX    65536

static const char *const default_env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", NULL};

/* The child's ends, and the parent's. */
struct pipes {
    int in[2], out[2], failed[2];
};

static void pipes_close(struct pipes *p)
{
    for (int i = 0; i < 2; i++) {
        fd_close(&p->in[i]);
        fd_close(&p->out[i]);
        fd_close(&p->failed[i]);
    }
}

/* In the child between fork and exec, where other threads' locks may be held: system calls only. */
static _Noreturn void child(const struct spawn *s, const struct pipes *p)
{
    setpgid(0, 0);
    int in = s->in.n ? p->in[0] : open("/dev/null", O_RDONLY | O_CLOEXEC);
    int err = s->err_fd > 0 ? s->err_fd : s->only_stdout ? open("/dev/null", O_WRONLY | O_CLOEXEC) : p->out[1];
    int failed = p->failed[1];
    bool ok = in >= 0 && err >= 0 && dup2(in, 0) >= 0 && dup2(p->out[1], 1) >= 0 && dup2(err, 2) >= 0;
    if (ok && failed != 3) {
        ok = dup3(failed, 3, O_CLOEXEC) >= 0;
        failed = 3;
    } else if (ok) {
        ok = fcntl(3, F_SETFD, FD_CLOEXEC) == 0;
    }
    if (ok && syscall(SYS_close_range, 4, ~0U, 0) != 0)
        for (int fd = 4; fd < 65536; fd++)
            close(fd);
    for (int sig = 1; sig < 65; sig++)
        signal(sig, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    umask(022);
    if (ok && s->switch_user)
        ok = syscall(SYS_setgroups, (size_t)0, NULL) == 0 && syscall(SYS_setresgid, s->gid, s->gid, s->gid) == 0 &&
             syscall(SYS_setresuid, s->uid, s->uid, s->uid) == 0;
    if (ok)
        ok = chdir(s->cwd ? s->cwd : "/") == 0;
    if (ok)
        execve(s->argv[0], (char *const *)(uintptr_t)s->argv, (char *const *)(uintptr_t)(s->env ? s->env : default_env));
    int e = errno;
    ssize_t ignored = write(failed, &e, sizeof e);
    (void)ignored;
    _exit(127);
}

/* What it says, up to a ceiling: the start, or the end in a ring of twice the size. */
struct capture {
    uint8_t *p;
    size_t n, max;
    bool keep_end, cut;
};

static void capture_put(struct capture *c, const uint8_t *p, size_t n)
{
    if (!c->keep_end) {
        size_t take = n < c->max - c->n ? n : c->max - c->n;
        memcpy(c->p + c->n, p, take);
        c->n += take;
        c->cut |= take < n;
        return;
    }
    if (n > c->max) {
        p += n - c->max;
        n = c->max;
        c->cut = true;
    }
    if (c->n + n > c->max * 2) {
        memmove(c->p, c->p + c->n - c->max, c->max);
        c->n = c->max;
        c->cut = true;
    }
    memcpy(c->p + c->n, p, n);
    c->n += n;
}

static struct bytes capture_end(struct capture *c)
{
    if (c->keep_end && c->n > c->max) {
        c->cut = true;
        return bytes_of(c->p + c->n - c->max, c->max);
    }
    return bytes_of(c->p, c->n);
}

/* Feeds and listens until its output ends, or the time is over (false).  A child left in the background may hold the output
 * open: what counts then is that the program itself has ended, so look every 50 ms. */
static bool talk(const struct spawn *s, struct pipes *p, struct capture *c, pid_t pid, int64_t until)
{
    struct bytes in = s->in;
    uint8_t chunk[8192];
    int64_t wait_ms = 50;
    for (;;) {
        int64_t left = until - clock_mono_ms();
        if (left <= 0)
            return false;
        struct pollfd fds[2] = {{.fd = p->out[0], .events = POLLIN}, {.fd = in.n ? p->in[1] : -1, .events = POLLOUT}};
        int ready = poll(fds, 2, (int)(left < wait_ms ? left : wait_ms));
        if (ready == 0) {
            siginfo_t info = {0};
            if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid == pid)
                return true;
        }
        if (fds[1].revents) {
            ssize_t n = write(p->in[1], in.p, in.n);
            if (n > 0)
                bytes_skip(&in, (size_t)n);
            else if (n < 0 && errno != EAGAIN && errno != EINTR)
                in.n = 0; /* it does not want more */
            if (!in.n)
                fd_close(&p->in[1]);
        }
        if (fds[0].revents) {
            ssize_t n = read(p->out[0], chunk, sizeof chunk);
            if (n > 0)
                capture_put(c, chunk, (size_t)n);
            else if (n == 0 || (errno != EAGAIN && errno != EINTR))
                break;
        }
    }
    while (clock_mono_ms() < until) {
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG) || info.si_pid == pid)
            return true;
        usleep(2000);
    }
    return false;
}

static struct rc start(struct ctx *ctx, const struct spawn *s, struct pipes *p, pid_t *pid)
{
    if (pipe2(p->out, O_CLOEXEC) || pipe2(p->failed, O_CLOEXEC) || (s->in.n && pipe2(p->in, O_CLOEXEC)))
        return ctx_fail_errno(ctx, "cannot make pipes for %s", s->argv[0]);
    /* Nobody may get our signal handlers between fork and exec. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    *pid = fork();
    if (*pid == 0)
        child(s, p);
    int e = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (*pid < 0) {
        errno = e;
        return ctx_fail_errno(ctx, "cannot start a process for %s", s->argv[0]);
    }
    fd_close(&p->in[0]);
    fd_close(&p->out[1]);
    fd_close(&p->failed[1]);
    ssize_t n;
    do
        n = read(p->failed[0], &e, sizeof e);
    while (n < 0 && errno == EINTR);
    if (n == sizeof e) {
        waitpid(*pid, NULL, 0);
        errno = e;
        return ctx_fail_errno(ctx, "cannot start %s", s->argv[0]);
    }
    fcntl(p->out[0], F_SETFL, O_NONBLOCK);
    if (p->in[1] >= 0)
        fcntl(p->in[1], F_SETFL, O_NONBLOCK);
    return RC_OK;
}

struct rc spawn_run(struct ctx *ctx, const struct spawn *s, struct spawn_result *out)
{
    if (!s->argv || !s->argv[0] || s->argv[0][0] != '/')
        return ctx_fail(ctx, E_BUG, "a program is started by its absolute path");
    *out = (struct spawn_result){0};
    struct pipes p = {{-1, -1}, {-1, -1}, {-1, -1}};
    pid_t pid = -1;
    int64_t begun = clock_mono_ms();
    int64_t until = begun + ctx_left_ms(ctx, s->timeout_ms > 0 ? s->timeout_ms : SPAWN_TIMEOUT_MS);
    /* A program that does not read its input must not kill us. */
    sigset_t sigpipe, before;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    struct rc rc = start(ctx, s, &p, &pid);
    if (rc_failed(rc)) {
        pipes_close(&p);
        return rc;
    }
    pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
    struct capture c = {.max = s->max_out ? s->max_out : SPAWN_OUT_MAX, .keep_end = s->keep_end};
    c.p = arena_alloc(&ctx->arena, c.max * (s->keep_end ? 2 : 1) + 1);
    out->timed_out = !talk(s, &p, &c, pid, until);
    if (out->timed_out)
        kill(-pid, SIGKILL); /* before the wait: the group's number is its own only as long as its first process is not reaped */
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    pipes_close(&p);
    if (!sigismember(&before, SIGPIPE)) {
        sigtimedwait(&sigpipe, NULL, &(struct timespec){0});
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    out->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    out->out = capture_end(&c);
    out->cut = c.cut;
    out->took_ms = clock_mono_ms() - begun;
    return RC_OK;
}

RC spawn_as(struct ctx *ctx, struct spawn *s, const char *user, const char *what)
{
    char room[16384];
    struct passwd pw, *found = NULL;
    if (user == NULL)
        return RC_OK;
    if (getpwnam_r(user, &pw, room, sizeof room, &found) != 0 || found == NULL)
        return ctx_fail(ctx, E_NOT_FOUND, "%s runs as %s, but no user is named so on this host", what, user);
    if (pw.pw_uid == geteuid())
        return RC_OK;
    s->switch_user = true;
    s->uid = pw.pw_uid;
    s->gid = pw.pw_gid;
    return RC_OK;
}
