/* The parent: starts roles, hands over what they need, restarts those that die, and ends them in order. */
#include "os/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "os/control.h"
#include "os/file.h"

#define DESCRIPTORS_MAX 65536

#define ROLES_MAX           16
#define BACKOFF_LEAST_MS    100
#define BACKOFF_MOST_MS     5000
#define LIFE_THAT_RESETS_MS 10000
#define FIRST_TRIES         5
#define GIVE_UP_MS          1000 /* patience where nothing has been served yet */
#define PING_EVERY_MS       10000
#define SILENCE_MS          30000
#define CONFIG_MAX          ((size_t)16 << 20)

struct child {
    const struct parent_role *row;
    pid_t pid; /* 0: not running */
    int control;
    int64_t started_ms, restart_ms, backoff_ms, heard_ms, pinged_ms;
    unsigned starts;
    bool ready, ever_ready, asked_to_stop, silent;
    bool rests, asked; /* rests: not running, and not to be started until `asked` */
    int held;          /* while it rests: the end of its connection, which is watched for it; -1 */
};

struct parent {
    struct ctx *ctx;
    const struct parent_plan *plan;
    struct child children[ROLES_MAX];
    size_t n;
    int signals;
    bool all_ready_told, stopping;
    int64_t kill_ms;  /* while stopping: when patience ends */
    struct rc failed; /* why it stops, where no signal asked for it */
};

/* --- starting one */

/* In the child: system calls only; the parent has one thread, but habits count. */
static _Noreturn void child_exec(const struct parent *p, const struct child *c, int control, char *const *env)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    const char *program = p->plan->program ? p->plan->program : "/proc/self/exe";
    char *argv[] = {(char *)(uintptr_t) "certwright", (char *)(uintptr_t) "--role", (char *)(uintptr_t)c->row->name, NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0)
        dup2(null, 0);
    if (control == CONTROL_FD)
        fcntl(control, F_SETFD, 0);
    else
        dup2(control, CONTROL_FD);
    if (syscall(SYS_close_range, CONTROL_FD + 1, ~0U, 0) != 0)
        for (int fd = CONTROL_FD + 1; fd < 65536; fd++)
            close(fd);
    execve(program, argv, env);
    _exit(127);
}

/* Roles get no environment but what the C library and developers' tools read. */
static char **role_environment(struct ctx *ctx)
{
    static const char *const passed[] = {"TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS", "OPENSSL_CONF"};
    size_t count = sizeof passed / sizeof passed[0], n = 0;
    char **env = arena_array(&ctx->arena, count + 3, sizeof *env);
    env[n++] = arena_strdup(&ctx->arena, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
    env[n++] = arena_strdup(&ctx->arena, "LANG=C.UTF-8");
    for (size_t i = 0; i < count; i++)
        if (getenv(passed[i]))
            env[n++] = arena_printf(&ctx->arena, "%s=%s", passed[i], getenv(passed[i]));
    return env;
}

static struct rc send_to(struct ctx *ctx, struct child *c, enum control_kind kind, const char *name, const char *text, int fd)
{
    if (!control_send(c->control, kind, name, text, fd))
        return ctx_fail(ctx, E_IO, "cannot hand %s to role %s: %s", name ? name : "a message", c->row->name, strerror(errno));
    return RC_OK;
}

static struct rc send_number(struct ctx *ctx, struct child *c, const char *name, long long v)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", v);
    return send_to(ctx, c, CONTROL_SETTING, name, text, -1);
}

static struct rc send_config(struct ctx *ctx, struct child *c)
{
    if (c->row->config.n > CONFIG_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "the configuration of role %s is larger than %zu bytes", c->row->name, CONFIG_MAX);
    int fd FD_CLEANUP = memfd_create("config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return ctx_fail_errno(ctx, "cannot make memory for the configuration");
    TRY(file_write_all(ctx, fd, "the configuration", c->row->config));
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL))
        return ctx_fail_errno(ctx, "cannot seal the configuration");
    return send_to(ctx, c, CONTROL_CONFIG, NULL, NULL, fd);
}

/* CERTWRIGHT_FAILPOINT="role:name=action", for a role's first life alone: what comes after it must recover. */
static struct rc send_failpoint(struct ctx *ctx, struct child *c)
{
#ifdef CERTWRIGHT_FAILPOINTS
    const char *text = getenv("CERTWRIGHT_FAILPOINT");
    size_t n = strlen(c->row->name);
    if (text && c->starts == 0 && strncmp(text, c->row->name, n) == 0 && text[n] == ':')
        return send_to(ctx, c, CONTROL_SETTING, "failpoint", text + n + 1, -1);
#endif
    (void)ctx, (void)c;
    return RC_OK;
}

static struct rc send_settings(struct ctx *ctx, const struct parent *p, struct child *c)
{
    uid_t uid;
    gid_t gid;
    TRY(parent_uid(ctx, p->plan, c->row->name, &uid, &gid));
    if (geteuid() == 0) {
        TRY(send_number(ctx, c, "uid", uid));
        TRY(send_number(ctx, c, "gid", gid));
    }
    TRY(send_number(ctx, c, "no_sandbox", p->plan->no_sandbox));
    TRY(send_number(ctx, c, "log_json", p->plan->log_json));
    TRY(send_number(ctx, c, "log_least", p->plan->log_least));
    TRY(send_number(ctx, c, "rest_ms", c->row->rest_ms));
    if (p->plan->clock_file) {
        int fd FD_CLEANUP = open(p->plan->clock_file, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return ctx_fail_errno(ctx, "cannot open the clock's file %s", p->plan->clock_file);
        TRY(send_to(ctx, c, CONTROL_CLOCK, NULL, NULL, fd));
    }
    TRY(send_failpoint(ctx, c));
    return send_config(ctx, c);
}

static struct rc send_descriptors(struct ctx *ctx, const struct parent *p, struct child *c)
{
    const struct parent_plan *plan = p->plan;
    for (size_t i = 0; i < PARENT_NAMES_MAX && c->row->listeners[i]; i++)
        for (size_t j = 0; j < plan->n_listeners; j++)
            if (str_equal(plan->listeners[j].name, c->row->listeners[i]))
                TRY(send_to(ctx, c, CONTROL_LISTENER, plan->listeners[j].name, NULL, plan->listeners[j].fd));
    for (size_t i = 0; i < PARENT_NAMES_MAX && c->row->credentials[i]; i++) {
        for (size_t j = 0; j < plan->n_credentials; j++) {
            const struct parent_credential *cred = &plan->credentials[j];
            if (!str_equal(cred->name, c->row->credentials[i]))
                continue;
            lseek(cred->fd, 0, SEEK_SET);
            TRY(send_to(ctx, c, CONTROL_CREDENTIAL, cred->name, NULL, cred->fd));
        }
    }
    return RC_OK;
}

static bool names(const struct parent_role *r, const char *other)
{
    for (size_t i = 0; i < PARENT_NAMES_MAX && r->peers[i]; i++)
        if (strcmp(r->peers[i], other) == 0)
            return true;
    return false;
}

static bool connected(const struct child *a, const struct child *b)
{
    return names(a->row, b->row->name) || names(b->row, a->row->name);
}

/* Fresh sockets between `c` and each of its peers that runs or rests; another one gets its own when it starts. */
static struct rc connect_peers(struct ctx *ctx, struct parent *p, struct child *c)
{
    for (size_t i = 0; i < p->n; i++) {
        struct child *o = &p->children[i];
        if (o == c || !connected(c, o))
            continue;
        if (c->held >= 0) { /* with what came meanwhile */
            struct rc rc = send_to(ctx, c, CONTROL_PEER, o->row->name, NULL, c->held);
            fd_close(&c->held);
            TRY(rc);
            continue;
        }
        if (!o->pid && !o->rests) {
            TRY(send_to(ctx, c, CONTROL_PEER, o->row->name, NULL, -1));
            continue;
        }
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
            return ctx_fail_errno(ctx, "cannot make a socket between %s and %s", c->row->name, o->row->name);
        struct rc rc = send_to(ctx, c, CONTROL_PEER, o->row->name, NULL, pair[0]);
        if (rc_ok(rc) && o->rests) {
            fd_close(&o->held);
            o->held = pair[1];
            pair[1] = -1;
        } else if (rc_ok(rc) && !control_send(o->control, CONTROL_PEER, c->row->name, NULL, pair[1]))
            log_event(LOG_WARN_, "role_not_told", "role", o->row->name, "of", c->row->name, NULL); /* it is about to die itself */
        fd_close(&pair[0]);
        fd_close(&pair[1]);
        TRY(rc);
    }
    return RC_OK;
}

static struct rc child_start(struct ctx *ctx, struct parent *p, struct child *c)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return ctx_fail_errno(ctx, "cannot make a control channel for role %s", c->row->name);
    char **env = role_environment(ctx);
    pid_t pid = fork();
    if (pid == 0)
        child_exec(p, c, pair[1], env);
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return ctx_fail_errno(ctx, "cannot start a process for role %s", c->row->name);
    }
    c->control = pair[0];
    c->started_ms = c->heard_ms = c->pinged_ms = clock_mono_ms();
    c->ready = c->silent = c->asked_to_stop = c->rests = c->asked = false;
    c->pid = pid;
    log_event(LOG_INFO_, "role_started", "name", c->row->name, "pid", log_num(pid), NULL);
    struct rc rc = send_settings(ctx, p, c);
    if (rc_ok(rc))
        rc = send_descriptors(ctx, p, c);
    if (rc_ok(rc))
        rc = connect_peers(ctx, p, c);
    if (rc_ok(rc))
        rc = send_to(ctx, c, CONTROL_GO, NULL, NULL, -1);
    c->starts++;
    return rc; /* where it failed, the caller ends it */
}

/* --- watching */

static void begin_stop(struct parent *p)
{
    if (p->stopping) {
        p->kill_ms = 0; /* asked twice */
        return;
    }
    p->stopping = true;
    p->kill_ms = clock_mono_ms() + PARENT_DRAIN_MS;
}

static void give_up(struct parent *p, struct rc why)
{
    if (rc_ok(p->failed))
        p->failed = why;
    begin_stop(p);
    p->kill_ms = clock_mono_ms() + GIVE_UP_MS;
}

static void role_is_ready(struct parent *p, struct child *c, const char *text)
{
    c->ready = c->ever_ready = true;
    log_event(LOG_INFO_, "role_ready", "name", c->row->name, "text", *text ? text : NULL, "took_ms",
              log_num(clock_mono_ms() - c->started_ms), NULL);
    for (size_t i = 0; i < p->n; i++)
        if (!p->children[i].ever_ready)
            return;
    if (!p->all_ready_told && !p->stopping) {
        p->all_ready_told = true;
        if (p->plan->on_ready)
            p->plan->on_ready(p->plan->arg);
    }
}

static void hear(struct parent *p, struct child *c)
{
    struct control_message m;
    int got;
    while ((got = control_receive(c->control, true, &m)) > 0) {
        if (m.kind == CONTROL_REST && c->row->rest_ms > 0 && c->held < 0) {
            c->held = m.fd;
            m.fd = -1;
            if (c->pid)
                kill(c->pid, SIGKILL); /* it has nothing left to do, and must not answer what the next one will be asked */
        }
        fd_close(&m.fd);
        c->heard_ms = clock_mono_ms();
        if (c->silent)
            log_event(LOG_INFO_, "role_answers_again", "name", c->row->name, NULL);
        c->silent = false;
        if (m.kind == CONTROL_READY) {
            role_is_ready(p, c, m.text);
        } else if (m.kind == CONTROL_FAILED) {
            log_event(LOG_ERROR_, "role_could_not_work", "name", c->row->name, "why", m.text, NULL);
            if (!p->all_ready_told && !p->stopping)
                give_up(p, ctx_fail(p->ctx, E_IO, "role %s could not start: %s", c->row->name, m.text));
        }
    }
    if (got < 0)
        fd_close(&c->control); /* its end is told by SIGCHLD */
}

static void child_ended(struct parent *p, struct child *c, int status)
{
    int64_t lived = clock_mono_ms() - c->started_ms;
    c->pid = 0;
    if (c->control >= 0)
        hear(p, c); /* its last words */
    fd_close(&c->control);
    if (c->held >= 0) {
        c->rests = true;
        log_event(LOG_INFO_, "role_rests", "name", c->row->name, "lived_ms", log_num(lived), NULL);
        return;
    }
    bool asked = p->stopping && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    log_event(asked ? LOG_INFO_ : LOG_ERROR_, asked ? "role_ended" : "role_died", "name", c->row->name, "exit",
              WIFEXITED(status) ? log_num(WEXITSTATUS(status)) : NULL, "signal",
              WIFSIGNALED(status) ? log_num(WTERMSIG(status)) : NULL, "lived_ms", log_num(lived), NULL);
    if (p->stopping)
        return;
    if (!c->ever_ready && c->starts >= FIRST_TRIES && !p->all_ready_told) {
        give_up(p, ctx_fail(p->ctx, E_IO, "role %s died %u times before it was ready (see the log)", c->row->name, c->starts));
        return;
    }
    if (lived >= LIFE_THAT_RESETS_MS || !c->backoff_ms)
        c->backoff_ms = BACKOFF_LEAST_MS;
    c->restart_ms = clock_mono_ms() + c->backoff_ms;
    c->backoff_ms = c->backoff_ms * 2 < BACKOFF_MOST_MS ? c->backoff_ms * 2 : BACKOFF_MOST_MS;
}

/* Something has come for a role that rests, or its connection has ended: with its peer, whose next life gets another one, or alone,
 * and then it must be there to be connected anew. */
static void wake(struct parent *p, struct child *c, bool gone)
{
    c->asked = !gone;
    for (size_t i = 0; i < p->n && !p->stopping; i++)
        c->asked |= p->children[i].pid && connected(c, &p->children[i]);
    if (gone)
        fd_close(&c->held);
    c->restart_ms = c->started_ms + c->row->rest_ms; /* gone by, but for one that rested too early to keep us busy */
}

static void reap(struct parent *p)
{
    for (size_t i = 0; i < p->n; i++) {
        int status;
        if (p->children[i].pid && waitpid(p->children[i].pid, &status, WNOHANG) == p->children[i].pid)
            child_ended(p, &p->children[i], status);
    }
}

static void take_signals(struct parent *p)
{
    struct signalfd_siginfo s;
    while (read(p->signals, &s, sizeof s) == sizeof s) {
        if (s.ssi_signo == SIGTERM || s.ssi_signo == SIGINT) {
            log_event(LOG_INFO_, p->stopping ? "stopping_now" : "stopping", "signal", log_num(s.ssi_signo), NULL);
            begin_stop(p);
        }
    }
    reap(p);
}

static bool may_start(const struct parent *p, const struct child *c, int64_t now)
{
    if (p->stopping ? !c->asked || now >= p->kill_ms : c->rests && !c->asked)
        return false;
    return now >= c->restart_ms;
}

static void start_due(struct parent *p, int64_t now)
{
    for (size_t i = 0; i < p->n; i++) {
        struct child *c = &p->children[i];
        if (c->pid || !may_start(p, c, now))
            continue;
        struct ctx ctx CTX_CLEANUP;
        ctx_init(&ctx, &clock_system);
        struct rc rc = child_start(&ctx, p, c);
        if (rc_ok(rc))
            continue;
        log_event(LOG_ERROR_, "role_not_started", "name", c->row->name, "why", ctx_why(&ctx), NULL);
        if (!p->all_ready_told)
            give_up(p, ctx_fail(p->ctx, rc.e, "%s", ctx_why(&ctx)));
        else if (!c->pid)
            c->restart_ms = now + BACKOFF_MOST_MS;
        if (c->pid)
            kill(c->pid, SIGKILL);
    }
}

static void ping_due(struct parent *p, int64_t now)
{
    for (size_t i = 0; i < p->n; i++) {
        struct child *c = &p->children[i];
        if (!c->pid || !c->ready || c->control < 0 || now - c->pinged_ms < PING_EVERY_MS)
            continue;
        c->pinged_ms = now;
        control_send(c->control, CONTROL_PING, NULL, NULL, -1);
        if (!c->silent && now - c->heard_ms > SILENCE_MS) {
            c->silent = true;
            log_event(LOG_WARN_, "role_silent", "name", c->row->name, "for_ms", log_num(now - c->heard_ms), NULL);
        }
    }
}

/* Asks the last one that still runs; those before it serve it until it has ended. */
static void stop_step(struct parent *p, int64_t now)
{
    bool last = true;
    for (size_t i = p->n; i-- > 0;) {
        struct child *c = &p->children[i];
        if (!c->pid)
            continue;
        if (now >= p->kill_ms)
            kill(c->pid, SIGKILL);
        else if (last && !c->asked_to_stop && c->control >= 0) {
            c->asked_to_stop = true;
            control_send(c->control, CONTROL_STOP, NULL, NULL, -1);
        }
        last = false;
    }
}

static bool any_running(const struct parent *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->children[i].pid)
            return true;
    return false;
}

static int next_wait(const struct parent *p, int64_t now)
{
    int64_t until = now + (p->stopping ? 200 : 1000);
    if (p->stopping && p->kill_ms > now && p->kill_ms < until)
        until = p->kill_ms;
    for (size_t i = 0; i < p->n && !p->stopping; i++)
        if (!p->children[i].pid && (p->children[i].asked || !p->children[i].rests) && p->children[i].restart_ms < until)
            until = p->children[i].restart_ms;
    return until > now ? (int)(until - now) : 0;
}

static void watch(struct parent *p)
{
    for (;;) {
        int64_t now = clock_mono_ms();
        start_due(p, now);
        ping_due(p, now);
        if (p->stopping)
            stop_step(p, now);
        if (p->stopping && !any_running(p))
            return;
        struct pollfd fds[ROLES_MAX + 1] = {{.fd = p->signals, .events = POLLIN}};
        for (size_t i = 0; i < p->n; i++) {
            const struct child *c = &p->children[i];
            fds[i + 1] = (struct pollfd){.fd = c->pid ? c->control : c->rests && !c->asked ? c->held : -1, .events = POLLIN};
        }
        poll(fds, p->n + 1, next_wait(p, now));
        for (size_t i = 0; i < p->n; i++) {
            struct child *c = &p->children[i];
            if (fds[i + 1].revents && c->pid && c->control >= 0)
                hear(p, c);
            else if (fds[i + 1].revents && !c->pid)
                wake(p, c, fds[i + 1].revents & ~POLLIN);
        }
        take_signals(p);
    }
}

/* --- the plan */

/* One that rests leaves one connection behind. */
static struct rc check_rest(struct ctx *ctx, const struct parent_plan *plan, const struct parent_role *r)
{
    size_t peers = 0;
    for (size_t i = 0; i < plan->n_roles; i++)
        peers += &plan->roles[i] != r && (names(r, plan->roles[i].name) || names(&plan->roles[i], r->name));
    if (r->rest_ms > 0 && peers != 1)
        return ctx_fail(ctx, E_BUG, "role %s may rest and has %zu peers", r->name, peers);
    return RC_OK;
}

static struct rc check_plan(struct ctx *ctx, const struct parent_plan *plan)
{
    if (plan->n_roles < 1 || plan->n_roles > ROLES_MAX)
        return ctx_fail(ctx, E_BUG, "a plan of %zu roles", plan->n_roles);
    for (size_t i = 0; i < plan->n_roles; i++) {
        const struct parent_role *r = &plan->roles[i];
        uid_t uid;
        gid_t gid;
        TRY(parent_uid(ctx, plan, r->name, &uid, &gid));
        TRY(check_rest(ctx, plan, r));
        for (size_t k = 0; k < PARENT_NAMES_MAX && r->peers[k]; k++)
            TRY(parent_uid(ctx, plan, r->peers[k], &uid, &gid));
        for (size_t k = 0; k < PARENT_NAMES_MAX && r->listeners[k]; k++) {
            size_t j = 0;
            while (j < plan->n_listeners && !str_equal(plan->listeners[j].name, r->listeners[k]))
                j++;
            if (j == plan->n_listeners)
                return ctx_fail(ctx, E_BUG, "role %s wants listener %s, which the plan lacks", r->name, r->listeners[k]);
        }
        for (size_t k = 0; k < PARENT_NAMES_MAX && r->credentials[k]; k++) {
            size_t j = 0;
            while (j < plan->n_credentials && !str_equal(plan->credentials[j].name, r->credentials[k]))
                j++;
            if (j == plan->n_credentials)
                return ctx_fail(ctx, E_BUG, "role %s wants credential %s, which the plan lacks", r->name, r->credentials[k]);
        }
    }
    return RC_OK;
}

/* As many descriptors as are permitted: the usual 1,024 are meant for select(), which nothing here calls. */
static void descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS_MAX ? limit.rlim_max : DESCRIPTORS_MAX;
    setrlimit(RLIMIT_NOFILE, &limit);
}

struct rc parent_run(struct ctx *ctx, struct parent_plan *plan)
{
    TRY(check_plan(ctx, plan));
    descriptors_raise();
    TRY(parent_open(ctx, plan));
    struct parent p = {.ctx = ctx, .plan = plan, .n = plan->n_roles};
    for (size_t i = 0; i < p.n; i++)
        p.children[i] = (struct child){.row = &plan->roles[i], .control = -1, .held = -1};
    sigset_t ours, before;
    sigemptyset(&ours);
    static const int handled[] = {SIGTERM, SIGINT, SIGCHLD, SIGHUP, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof handled / sizeof handled[0]; i++)
        sigaddset(&ours, handled[i]);
    sigprocmask(SIG_BLOCK, &ours, &before);
    p.signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
    if (p.signals < 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        return ctx_fail_errno(ctx, "cannot receive signals");
    }
    watch(&p);
    for (size_t i = 0; i < p.n; i++)
        fd_close(&p.children[i].held);
    close(p.signals);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return p.failed;
}
