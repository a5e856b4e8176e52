#include "agent/probe/door.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CONNS_MAX 256 /* CAs that ask from several places, for many names at once */
#define CONN_MS   5000

struct conn {
    int fd; /* -1: free */
    short events;
    int64_t until_ms;
    void *state;
};

struct door {
    struct address listen;
    const struct door_work *work;
    void *arg;
    pthread_mutex_t lock; /* over fd and stop */
    pthread_t thread;
    int fd;   /* listening, -1 while closed */
    int wake; /* eventfd: fd or stop has changed */
    bool stop;
    struct conn conns[CONNS_MAX]; /* the thread's own */
};

static void conn_close(struct door *d, struct conn *c)
{
    if (c->state != NULL)
        d->work->end(c->state);
    if (c->fd >= 0)
        close(c->fd);
    *c = (struct conn){.fd = -1};
}

static void conn_accept(struct door *d, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct conn *place = &d->conns[0];
    if (fd < 0)
        return;
    for (size_t i = 0; i < CONNS_MAX && place->fd >= 0; i++)
        if (d->conns[i].fd < 0 || d->conns[i].until_ms < place->until_ms)
            place = &d->conns[i];
    conn_close(d, place);
    *place = (struct conn){fd, POLLIN, clock_mono_ms() + CONN_MS, d->work->begin(d->arg, fd)};
    if (place->state == NULL)
        conn_close(d, place);
}

static void sweep(struct door *d)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < CONNS_MAX; i++)
        if (d->conns[i].fd >= 0 && d->conns[i].until_ms <= now)
            conn_close(d, &d->conns[i]);
}

/* Closing the port is the thread's business alone, so that its number cannot be another file meanwhile. */
static bool port_look(struct door *d, int *listener)
{
    pthread_mutex_lock(&d->lock);
    const bool wanted = d->work->wanted(d->arg), stop = d->stop;
    if (!wanted && d->fd >= 0) {
        close(d->fd);
        d->fd = -1;
    }
    *listener = d->fd;
    pthread_mutex_unlock(&d->lock);
    return !stop;
}

static void *door_loop(void *arg)
{
    struct door *d = arg;
    struct pollfd fds[CONNS_MAX + 2];
    int listener;
    while (port_look(d, &listener)) {
        uint64_t count;
        fds[0] = (struct pollfd){.fd = d->wake, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = listener, .events = POLLIN};
        for (size_t i = 0; i < CONNS_MAX; i++)
            fds[i + 2] = (struct pollfd){.fd = d->conns[i].fd, .events = d->conns[i].events};
        int n = poll(fds, CONNS_MAX + 2, 1000);
        if (n > 0 && fds[0].revents != 0 && read(d->wake, &count, sizeof count) < 0 && errno != EAGAIN)
            return NULL;
        for (size_t i = 0; n > 0 && i < CONNS_MAX; i++) {
            struct conn *c = &d->conns[i];
            if (fds[i + 2].revents != 0 && !d->work->go_on(d->arg, c->state, c->fd, &c->events))
                conn_close(d, c);
        }
        if (n > 0 && fds[1].revents != 0)
            conn_accept(d, listener);
        sweep(d);
    }
    return NULL;
}

RC door_new(struct ctx *ctx, struct address listen, const struct door_work *work, void *arg, struct door **out)
{
    struct door *d = calloc(1, sizeof *d);
    if (d == NULL)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the listener of %s", work->what);
    *d = (struct door){.listen = listen, .work = work, .arg = arg, .fd = -1};
    for (size_t i = 0; i < CONNS_MAX; i++)
        d->conns[i].fd = -1;
    d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&d->lock, NULL);
    if (d->wake < 0 || pthread_create(&d->thread, NULL, door_loop, d) != 0) {
        if (d->wake >= 0)
            close(d->wake);
        pthread_mutex_destroy(&d->lock);
        free(d);
        return ctx_fail(ctx, E_NO_MEMORY, "no thread for the listener of %s", work->what);
    }
    *out = d;
    return RC_OK;
}

void door_free(struct door *d)
{
    if (d == NULL)
        return;
    pthread_mutex_lock(&d->lock);
    d->stop = true;
    pthread_mutex_unlock(&d->lock);
    door_look(d);
    pthread_join(d->thread, NULL);
    for (size_t i = 0; i < CONNS_MAX; i++)
        conn_close(d, &d->conns[i]);
    if (d->fd >= 0)
        close(d->fd);
    close(d->wake);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

static RC open_port(struct ctx *ctx, struct door *d)
{
    struct sockaddr_storage sa;
    socklen_t n = address_to_sockaddr(&d->listen, &sa);
    int one = 1, fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        bind(fd, (const struct sockaddr *)&sa, n) == 0 && listen(fd, 64) == 0) {
        d->fd = fd;
        return RC_OK;
    }
    int why = errno;
    if (fd >= 0)
        close(fd);
    const char *at = address_port_str(&ctx->arena, &d->listen);
    if (why == EADDRINUSE)
        return ctx_fail(ctx, E_IN_USE, "another program listens on %s: %s", at, d->work->instead);
    errno = why;
    return ctx_fail_errno(ctx, "listening on %s for %s", at, d->work->what);
}

RC door_admit(struct ctx *ctx, struct door *d, RC (*add)(struct ctx *ctx, void *what), void *what)
{
    struct rc rc = RC_OK;
    pthread_mutex_lock(&d->lock);
    if (d->fd < 0)
        rc = open_port(ctx, d);
    if (rc_ok(rc))
        rc = add(ctx, what);
    pthread_mutex_unlock(&d->lock);
    door_look(d);
    return rc;
}

void door_look(struct door *d)
{
    uint64_t one = 1;
    ssize_t n = write(d->wake, &one, sizeof one);
    (void)n;
}

uint16_t door_port(struct door *d)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    struct address a = {0};
    pthread_mutex_lock(&d->lock);
    if (d->fd >= 0 && getsockname(d->fd, (struct sockaddr *)&sa, &n) == 0)
        address_from_sockaddr((const struct sockaddr *)&sa, &a);
    pthread_mutex_unlock(&d->lock);
    return a.port;
}
