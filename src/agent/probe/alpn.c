#include "agent/probe/alpn.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/tls_alpn.h"

#define CONNS_MAX 32
#define CONN_MS   5000

struct conn {
    int fd; /* -1: free */
    short events;
    int64_t until_ms;
    struct tls_conn *tls;
};

struct alpn {
    struct address listen;
    struct tls_alpn *tls;
    pthread_mutex_t lock; /* over fd and stop */
    pthread_t thread;
    int fd;   /* listening, -1 while closed */
    int wake; /* eventfd: fd or stop has changed */
    bool stop;
    struct conn conns[CONNS_MAX]; /* the thread's own */
};

static void conn_close(struct conn *c)
{
    tls_conn_free(c->tls);
    if (c->fd >= 0)
        close(c->fd);
    *c = (struct conn){.fd = -1};
}

static void conn_go_on(struct conn *c)
{
    switch (tls_conn_handshake(c->tls)) {
    case TLS_IO_WANT_READ:
        c->events = POLLIN;
        return;
    case TLS_IO_WANT_WRITE:
        c->events = POLLOUT;
        return;
    case TLS_IO_OK:
        tls_conn_close(c->tls);
        break;
    case TLS_IO_CLOSED:
    case TLS_IO_FAILED:
        break;
    }
    conn_close(c);
}

static void conn_accept(struct alpn *a, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct conn *place = &a->conns[0];
    if (fd < 0)
        return;
    for (size_t i = 0; i < CONNS_MAX && place->fd >= 0; i++)
        if (a->conns[i].fd < 0 || a->conns[i].until_ms < place->until_ms)
            place = &a->conns[i];
    conn_close(place);
    *place = (struct conn){
        .fd = fd, .events = POLLIN, .until_ms = clock_mono_ms() + CONN_MS, .tls = tls_alpn_conn(a->tls, fd)};
    if (place->tls == NULL)
        conn_close(place);
}

static void sweep(struct alpn *a)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < CONNS_MAX; i++)
        if (a->conns[i].fd >= 0 && a->conns[i].until_ms <= now)
            conn_close(&a->conns[i]);
}

/* Closing the port is the thread's business alone, so that its number cannot be another file meanwhile. */
static bool port_look(struct alpn *a, int *listener)
{
    pthread_mutex_lock(&a->lock);
    const bool any = tls_alpn_open(a->tls) > 0, stop = a->stop;
    if (!any && a->fd >= 0) {
        close(a->fd);
        a->fd = -1;
    }
    *listener = a->fd;
    pthread_mutex_unlock(&a->lock);
    return !stop;
}

static void *alpn_loop(void *arg)
{
    struct alpn *a = arg;
    struct pollfd fds[CONNS_MAX + 2];
    int listener;
    while (port_look(a, &listener)) {
        uint64_t count;
        fds[0] = (struct pollfd){.fd = a->wake, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = listener, .events = POLLIN};
        for (size_t i = 0; i < CONNS_MAX; i++)
            fds[i + 2] = (struct pollfd){.fd = a->conns[i].fd, .events = a->conns[i].events};
        int n = poll(fds, CONNS_MAX + 2, 1000);
        if (n > 0 && fds[0].revents != 0 && read(a->wake, &count, sizeof count) < 0 && errno != EAGAIN)
            return NULL;
        for (size_t i = 0; n > 0 && i < CONNS_MAX; i++)
            if (fds[i + 2].revents != 0)
                conn_go_on(&a->conns[i]);
        if (n > 0 && fds[1].revents != 0)
            conn_accept(a, listener);
        sweep(a);
    }
    return NULL;
}

static void poke(struct alpn *a)
{
    uint64_t one = 1;
    ssize_t n = write(a->wake, &one, sizeof one);
    (void)n;
}

RC alpn_new(struct ctx *ctx, struct address listen, struct alpn **out)
{
    struct tls_alpn *tls = NULL;
    TRY(tls_alpn_new(ctx, &tls));
    struct alpn *a = calloc(1, sizeof *a);
    if (a == NULL) {
        tls_alpn_free(tls);
        return ctx_fail(ctx, E_NO_MEMORY, "the tls-alpn-01 listener");
    }
    *a = (struct alpn){.listen = listen, .tls = tls, .fd = -1};
    for (size_t i = 0; i < CONNS_MAX; i++)
        a->conns[i].fd = -1;
    a->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&a->lock, NULL);
    if (a->wake < 0 || pthread_create(&a->thread, NULL, alpn_loop, a) != 0) {
        if (a->wake >= 0)
            close(a->wake);
        tls_alpn_free(tls);
        free(a);
        return ctx_fail(ctx, E_NO_MEMORY, "the tls-alpn-01 listener's thread");
    }
    *out = a;
    return RC_OK;
}

void alpn_free(struct alpn *a)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_mutex_unlock(&a->lock);
    poke(a);
    pthread_join(a->thread, NULL);
    for (size_t i = 0; i < CONNS_MAX; i++)
        conn_close(&a->conns[i]);
    if (a->fd >= 0)
        close(a->fd);
    close(a->wake);
    tls_alpn_free(a->tls);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

static RC open_port(struct ctx *ctx, const struct address *at, int *out)
{
    struct sockaddr_storage sa;
    socklen_t n = address_to_sockaddr(at, &sa);
    int one = 1, fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        bind(fd, (const struct sockaddr *)&sa, n) == 0 && listen(fd, 64) == 0) {
        *out = fd;
        return RC_OK;
    }
    int why = errno;
    if (fd >= 0)
        close(fd);
    if (why == EADDRINUSE)
        return ctx_fail(ctx, E_IN_USE,
                        "another program listens on %s: prove the name by http-01 or dns-01, or let a front end pass acme-tls/1 "
                        "on to another port and name that in tls_alpn of agent.yaml",
                        address_port_str(&ctx->arena, at));
    errno = why;
    return ctx_fail_errno(ctx, "listening on %s for tls-alpn-01", address_port_str(&ctx->arena, at));
}

RC alpn_put(struct ctx *ctx, struct alpn *a, const char *identifier, const char *token, const char *key_authorization)
{
    struct name name;
    struct rc rc = RC_OK;
    TRY(name_parse(ctx, bytes_z(identifier), &name));
    pthread_mutex_lock(&a->lock);
    if (a->fd < 0)
        rc = open_port(ctx, &a->listen, &a->fd);
    if (rc_ok(rc))
        rc = tls_alpn_put(ctx, a->tls, &name, token, key_authorization);
    pthread_mutex_unlock(&a->lock);
    poke(a);
    return rc;
}

void alpn_remove(struct alpn *a, const char *token)
{
    tls_alpn_remove(a->tls, token);
    poke(a);
}
