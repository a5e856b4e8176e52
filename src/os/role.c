/* A role's process: takes what the parent hands over, confines itself, works, and ends with its parent. */
#include "os/role.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/str.h"
#include "os/control.h"
#include "os/file.h"
#include "os/identity.h"

#define NAMES_MAX  96
#define CONFIG_MAX ((size_t)16 << 20)

struct named_fd {
    char name[CONTROL_NAME_MAX];
    int fd;
};

struct role_env {
    const struct role *row;
    struct ctx ctx; /* for what lives as long as the process */
    struct bytes config;
    struct clock clock;
    struct named_fd peer_fds[NAMES_MAX], listeners[NAMES_MAX], credentials[NAMES_MAX];
    struct wire_peer *peers[NAMES_MAX]; /* of peer_fds, same place */
    size_t n_peers, n_listeners, n_credentials;
    struct wire_server *server;
    bool switch_user, no_sandbox, threads_left;
    int64_t uid, gid, log_json, log_least, rest_ms;
    const char *failpoint, *sandbox_state;
    int stop_fd;
    pthread_t control;
    atomic_bool leaving, stopping, ready;
    pthread_mutex_t stop_lock;
    void (*on_stop)(void *arg); /* under stop_lock */
    void *on_stop_arg;
};

const char *role_name(const struct role_env *env)
{
    return env->row->name;
}

struct bytes role_config(const struct role_env *env)
{
    return env->config;
}

const struct clock *role_clock(const struct role_env *env)
{
    return &env->clock;
}

struct wire_server *role_server(struct role_env *env)
{
    return env->server;
}

const char *role_sandbox_state(const struct role_env *env)
{
    return env->sandbox_state;
}

static size_t find_name(const struct named_fd *v, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i].name, name) == 0)
            return i;
    return SIZE_MAX;
}

struct wire_peer *role_peer(struct role_env *env, const char *name)
{
    size_t i = find_name(env->peer_fds, env->n_peers, name);
    return i == SIZE_MAX ? NULL : env->peers[i];
}

int role_listener(const struct role_env *env, const char *name)
{
    size_t i = find_name(env->listeners, env->n_listeners, name);
    return i == SIZE_MAX ? -1 : env->listeners[i].fd;
}

int role_credential(const struct role_env *env, const char *name)
{
    size_t i = find_name(env->credentials, env->n_credentials, name);
    return i == SIZE_MAX ? -1 : env->credentials[i].fd;
}

bool role_stopping(struct role_env *env)
{
    return atomic_load(&env->stopping);
}

int role_stop_fd(const struct role_env *env)
{
    return env->stop_fd;
}

void role_on_stop(struct role_env *env, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&env->stop_lock);
    bool now = atomic_load(&env->stopping);
    env->on_stop = fn;
    env->on_stop_arg = arg;
    pthread_mutex_unlock(&env->stop_lock);
    if (now && fn)
        fn(arg);
}

void role_wait_stop(struct role_env *env)
{
    struct pollfd p = {.fd = env->stop_fd, .events = POLLIN};
    while (!role_stopping(env))
        poll(&p, 1, -1);
}

void role_ready(struct role_env *env, const char *text)
{
    malloc_trim(0); /* the start needed more than what follows */
    atomic_store(&env->ready, true);
    control_send(CONTROL_FD, CONTROL_READY, env->row->name, text, -1);
}

/* --- what the parent hands over */

static struct rc keep_fd(struct ctx *ctx, struct named_fd *v, size_t *n, struct control_message *m)
{
    size_t i = find_name(v, *n, m->name);
    if (i == SIZE_MAX) {
        if (*n == NAMES_MAX)
            return ctx_fail(ctx, E_BUG, "more than %d names of a kind", NAMES_MAX);
        i = (*n)++;
        memcpy(v[i].name, m->name, sizeof v[i].name);
        v[i].fd = -1;
    }
    fd_close(&v[i].fd);
    v[i].fd = m->fd;
    m->fd = -1;
    return RC_OK;
}

RC role_keep_credential(struct ctx *ctx, struct role_env *env, const char *name, int fd)
{
    struct control_message m = {.fd = fd};
    memcpy(m.name, name, strnlen(name, sizeof m.name - 1));
    struct rc rc = keep_fd(ctx, env->credentials, &env->n_credentials, &m);
    fd_close(&m.fd);
    return rc;
}

static struct rc take_setting(struct ctx *ctx, struct role_env *env, const char *name, const char *text)
{
    int64_t n = 0;
    if (str_equal(name, "failpoint")) {
        env->failpoint = arena_strdup(&env->ctx.arena, text);
        return RC_OK;
    }
    if (!str_to_i64(bytes_z(text), &n))
        return ctx_fail(ctx, E_BUG, "setting %s is not a number", name);
    if (str_equal(name, "uid")) {
        env->uid = n;
        env->switch_user = true;
    } else if (str_equal(name, "gid")) {
        env->gid = n;
    } else if (str_equal(name, "no_sandbox")) {
        env->no_sandbox = n;
    } else if (str_equal(name, "log_json")) {
        env->log_json = n;
    } else if (str_equal(name, "log_least")) {
        env->log_least = n;
    } else if (str_equal(name, "rest_ms")) {
        env->rest_ms = n;
    } else {
        return ctx_fail(ctx, E_BUG, "no setting is named %s", name);
    }
    return RC_OK;
}

static struct rc take_clock(struct ctx *ctx, struct role_env *env, int fd)
{
    void *p = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return ctx_fail_errno(ctx, "cannot map the clock's file");
    env->clock.offset_s = p;
    return RC_OK;
}

static struct rc take_message(struct ctx *ctx, struct role_env *env, struct control_message *m)
{
    switch (m->kind) {
    case CONTROL_SETTING:
        return take_setting(ctx, env, m->name, m->text);
    case CONTROL_CONFIG:
        return file_read_fd(&env->ctx, m->fd, "the role's configuration", CONFIG_MAX, &env->config);
    case CONTROL_CLOCK:
        return take_clock(ctx, env, m->fd);
    case CONTROL_PEER:
        return keep_fd(ctx, env->peer_fds, &env->n_peers, m);
    case CONTROL_LISTENER:
        return keep_fd(ctx, env->listeners, &env->n_listeners, m);
    case CONTROL_CREDENTIAL:
        return keep_fd(ctx, env->credentials, &env->n_credentials, m);
    default:
        return ctx_fail(ctx, E_BUG, "control message %d came before its time", (int)m->kind);
    }
}

static struct rc take_all(struct ctx *ctx, struct role_env *env)
{
    for (;;) {
        struct control_message m;
        if (control_receive(CONTROL_FD, false, &m) < 0)
            return ctx_fail(ctx, E_UNREACHABLE, "the parent has gone; roles are started by `certwright run`");
        if (m.kind == CONTROL_GO)
            return RC_OK;
        struct rc rc = m.kind == CONTROL_PING ? RC_OK : take_message(ctx, env, &m);
        fd_close(&m.fd);
        TRY(rc);
    }
}

/* --- confinement */

/* A role must not outlive its parent.  The kernel forgets this at a change of user, so it is said again after it. */
static struct rc die_with_parent(struct ctx *ctx)
{
    struct pollfd p = {.fd = CONTROL_FD, .events = 0};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
        return ctx_fail_errno(ctx, "cannot tie the role to its parent");
    if (poll(&p, 1, 0) > 0 && (p.revents & POLLHUP))
        return ctx_fail(ctx, E_UNREACHABLE, "the parent has gone");
    return RC_OK;
}

static struct rc confine(struct ctx *ctx, struct role_env *env)
{
    struct sandbox sb = {.off = env->no_sandbox};
    if (env->row->confine)
        TRY(env->row->confine(&env->ctx, env, &sb));
    TRY(sandbox_mounts(ctx, &sb));
    if (env->switch_user)
        TRY(identity_take(ctx, (uid_t)env->uid, (gid_t)env->gid, env->row->capabilities));
    TRY(die_with_parent(ctx));
    TRY(sandbox_enter(&env->ctx, &sb, &env->sandbox_state));
    return RC_OK;
}

/* --- the control thread */

static void stop(struct role_env *env)
{
    pthread_mutex_lock(&env->stop_lock);
    if (!atomic_exchange(&env->stopping, true)) {
        eventfd_write(env->stop_fd, 1);
        wire_server_stop(env->server);
        if (env->on_stop) /* with the lock, so that who takes it back knows that it does not run */
            env->on_stop(env->on_stop_arg);
    }
    pthread_mutex_unlock(&env->stop_lock);
}

static void *control_main(void *arg)
{
    struct role_env *env = arg;
    struct control_message m;
    while (control_receive(CONTROL_FD, false, &m) > 0) {
        size_t i;
        switch (m.kind) {
        case CONTROL_PEER:
            i = find_name(env->peer_fds, env->n_peers, m.name);
            if (i != SIZE_MAX) {
                wire_peer_replace(env->peers[i], m.fd);
                m.fd = -1;
            }
            break;
        case CONTROL_STOP:
            stop(env);
            break;
        case CONTROL_PING:
            control_send(CONTROL_FD, CONTROL_PONG, env->row->name, NULL, -1);
            break;
        default:
            break;
        }
        fd_close(&m.fd);
    }
    if (!atomic_load(&env->leaving)) {
        log_event(LOG_WARN_, "role_parent_gone", NULL);
        _exit(1);
    }
    return NULL;
}

/* Nobody asks: the parent watches the connection from here on, and starts the role again when something comes.  Nothing is lost:
 * the reader that calls this has read nothing of what may be on its way. */
static void rest(void *arg, int fd)
{
    struct role_env *env = arg;
    if (!atomic_load(&env->ready) || atomic_load(&env->stopping) || atomic_load(&env->leaving) || wire_server_busy(env->server))
        return;
    if (control_send(CONTROL_FD, CONTROL_REST, env->row->name, NULL, fd))
        _exit(0);
}

static struct rc start_threads(struct ctx *ctx, struct role_env *env)
{
    env->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (env->stop_fd < 0)
        return ctx_fail_errno(ctx, "cannot make an event descriptor");
    env->server = wire_server_new(&env->clock);
    for (size_t i = 0; i < env->n_peers; i++) {
        env->peers[i] = wire_peer_new(env->row->name, env->peer_fds[i].name, env->server);
        if (env->rest_ms > 0)
            wire_peer_on_quiet(env->peers[i], (int)env->rest_ms, rest, env);
        wire_peer_replace(env->peers[i], env->peer_fds[i].fd);
    }
    int e = pthread_create(&env->control, NULL, control_main, env);
    if (e) {
        errno = e;
        return ctx_fail_errno(ctx, "cannot start the control thread");
    }
    return RC_OK;
}

static void end_threads(struct role_env *env)
{
    atomic_store(&env->leaving, true);
    shutdown(CONTROL_FD, SHUT_RD);
    pthread_join(env->control, NULL);
    wire_server_stop(env->server);
    for (size_t i = 0; i < env->n_peers && env->threads_left; i++)
        wire_peer_end(env->peers[i]);
    if (env->threads_left)
        return;
    for (size_t i = 0; i < env->n_peers; i++)
        wire_peer_free(env->peers[i]);
    wire_server_free(env->server);
    fd_close(&env->stop_fd);
}

static struct rc live(struct ctx *ctx, struct role_env *env)
{
    TRY(die_with_parent(ctx));
    TRY(take_all(ctx, env));
    log_init(env->row->name, (enum log_level)env->log_least, env->log_json != 0);
    failpoint_set(env->failpoint);
    TRY(confine(ctx, env));
    TRY(start_threads(ctx, env));
    struct rc rc = env->row->enter(ctx, env);
    if (rc_failed(rc))
        control_send(CONTROL_FD, CONTROL_FAILED, env->row->name, ctx_why(ctx), -1);
    end_threads(env);
    if (env->threads_left)
        _exit(rc_failed(rc)); /* no handler of exit() may take from them what they use */
    return rc;
}

void role_leave_threads(struct role_env *env) { env->threads_left = true; }

bool role_asked(int argc, char **argv)
{
    return argc == 3 && strcmp(argv[1], "--role") == 0;
}

/* Requests come and go by the hundred a second: what one gives back the next one takes, rather than the kernel in between. */
static void memory_habits(void)
{
    mallopt(M_ARENA_MAX, 4);
    mallopt(M_TRIM_THRESHOLD, 512 << 10);
    mallopt(M_MMAP_THRESHOLD, 512 << 10);
}

int role_main(const struct role *table, size_t n, int argc, char **argv)
{
    struct role_env env = {.stop_fd = -1, .stop_lock = PTHREAD_MUTEX_INITIALIZER};
    for (size_t i = 0; role_asked(argc, argv) && i < n; i++)
        if (str_equal(table[i].name, argv[2]))
            env.row = &table[i];
    struct sockaddr_storage a;
    socklen_t a_len = sizeof a;
    if (!env.row || getsockname(CONTROL_FD, (struct sockaddr *)&a, &a_len)) {
        fprintf(stderr, "certwright: roles are started by `certwright run`, not by hand\n");
        return 2;
    }
    memory_habits();
    log_init(env.row->name, LOG_INFO_, false);
    prctl(PR_SET_NAME, env.row->name, 0, 0, 0);
    /* The parent decides when a role ends; a terminal's Ctrl-C reaches all of them. */
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    struct ctx ctx;
    ctx_init(&ctx, &clock_system);
    ctx_init(&env.ctx, &clock_system);
    struct rc rc = live(&ctx, &env);
    if (rc_failed(rc)) {
        /* What fails in confine() may have left its words in either trail. */
        const char *why = ctx.trail ? ctx_why(&ctx) : ctx_why(&env.ctx);
        log_event(LOG_ERROR_, "role_failed", "why", *why ? why : err_info(rc.e)->text, NULL);
        if (!env.server)
            control_send(CONTROL_FD, CONTROL_FAILED, env.row->name, *why ? why : err_info(rc.e)->text, -1);
    }
    ctx_free(&env.ctx);
    ctx_free(&ctx);
    return rc_failed(rc) ? 1 : 0;
}
