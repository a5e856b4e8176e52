#include "agent/probe/responder.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"

#define CONNS_MAX 32
#define REQUEST_MAX 4096
#define CONN_MS 5000
#define TOKENS_MAX 1000
#define PATH_HEAD "/.well-known/acme-challenge/"

struct answer {
    char *token, *key_authorization; /* heap */
};

struct conn {
    int fd; /* -1: free */
    int64_t until_ms;
    size_t n;
    uint8_t request[REQUEST_MAX];
};

struct responder {
    struct address listen;
    pthread_mutex_t lock; /* over answers, n, fd and stop */
    pthread_t thread;
    struct answer answers[TOKENS_MAX];
    size_t n;
    int fd;   /* listening, -1 while closed */
    int wake; /* eventfd: fd or stop has changed */
    bool stop;
    struct conn conns[CONNS_MAX]; /* the thread's own */
};

static void conn_close(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void conn_send(struct conn *c, const char *status, struct bytes body)
{
    BUF_CLEANUP struct buf b;
    buf_init(&b, 4096);
    buf_printf(&b, "HTTP/1.1 %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
               status,
               body.n);
    buf_put(&b, body);
    /* Less than any socket's buffer: it is sent at once or the peer is not worth waiting for. */
    ssize_t sent = send(c->fd, b.p, b.n, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent;
    shutdown(c->fd, SHUT_WR);
    conn_close(c);
}

static void conn_answer(struct responder *r, struct conn *c)
{
    struct bytes text = bytes_of(c->request, c->n), line, method, path;
    bool found = false;
    if (!bytes_take_line(&text, &line) || !bytes_take_until(&line, ' ', &method) || !bytes_take_until(&line, ' ', &path)) {
        conn_send(c, "400 Bad Request", (struct bytes){0});
        return;
    }
    if (!bytes_equal_z(method, "GET") || !bytes_starts_with(path, BYTES_LIT(PATH_HEAD))) {
        conn_send(c, "404 Not Found", (struct bytes){0});
        return;
    }
    bytes_skip(&path, strlen(PATH_HEAD));
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->n && !found; i++)
        if (bytes_equal_z(path, r->answers[i].token)) {
            conn_send(c, "200 OK", bytes_z(r->answers[i].key_authorization));
            found = true;
        }
    pthread_mutex_unlock(&r->lock);
    if (!found)
        conn_send(c, "404 Not Found", (struct bytes){0});
}

static void conn_read(struct responder *r, struct conn *c)
{
    ssize_t n = recv(c->fd, c->request + c->n, REQUEST_MAX - c->n, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_close(c);
        return;
    }
    c->n += (size_t)n;
    struct bytes all = bytes_of(c->request, c->n);
    if (bytes_find(all, BYTES_LIT("\r\n\r\n")) != SIZE_MAX || bytes_find(all, BYTES_LIT("\n\n")) != SIZE_MAX)
        conn_answer(r, c);
    else if (c->n == REQUEST_MAX)
        conn_send(c, "431 Request Header Fields Too Large", (struct bytes){0});
}

static void conn_accept(struct responder *r, int listener)
{
    int fd = accept(listener, NULL, NULL);
    struct conn *place = &r->conns[0];
    if (fd < 0)
        return;
    for (size_t i = 0; i < CONNS_MAX && place->fd >= 0; i++)
        if (r->conns[i].fd < 0 || r->conns[i].until_ms < place->until_ms)
            place = &r->conns[i];
    conn_close(place);
    *place = (struct conn){.fd = fd, .until_ms = clock_mono_ms() + CONN_MS};
}

static void sweep(struct responder *r)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < CONNS_MAX; i++)
        if (r->conns[i].fd >= 0 && r->conns[i].until_ms <= now)
            conn_close(&r->conns[i]);
}

static void *responder_loop(void *arg)
{
    struct responder *r = arg;
    struct pollfd fds[CONNS_MAX + 2];
    for (;;) {
        pthread_mutex_lock(&r->lock);
        /* A copy of the descriptor: closing is this thread's business alone, so it cannot be another file meanwhile. */
        int listener = r->n > 0 ? r->fd : -1;
        bool stop = r->stop;
        if (r->n == 0 && r->fd >= 0) {
            close(r->fd);
            r->fd = -1;
        }
        pthread_mutex_unlock(&r->lock);
        if (stop)
            return NULL;
        fds[0] = (struct pollfd){.fd = r->wake, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = listener, .events = POLLIN};
        for (size_t i = 0; i < CONNS_MAX; i++)
            fds[i + 2] = (struct pollfd){.fd = r->conns[i].fd, .events = POLLIN};
        int n = poll(fds, CONNS_MAX + 2, 1000);
        uint64_t count;
        if (n > 0 && fds[0].revents != 0 && read(r->wake, &count, sizeof count) < 0 && errno != EAGAIN)
            return NULL;
        for (size_t i = 0; n > 0 && i < CONNS_MAX; i++)
            if (fds[i + 2].revents != 0)
                conn_read(r, &r->conns[i]);
        if (n > 0 && fds[1].revents != 0)
            conn_accept(r, listener);
        sweep(r);
    }
}

static void poke(struct responder *r)
{
    uint64_t one = 1;
    ssize_t n = write(r->wake, &one, sizeof one);
    (void)n;
}

RC responder_new(struct ctx *ctx, struct address listen, struct responder **out)
{
    struct responder *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ctx_fail(ctx, E_NO_MEMORY, "the challenge listener");
    r->listen = listen;
    r->fd = -1;
    for (size_t i = 0; i < CONNS_MAX; i++)
        r->conns[i].fd = -1;
    r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&r->lock, NULL);
    if (r->wake < 0 || pthread_create(&r->thread, NULL, responder_loop, r) != 0) {
        if (r->wake >= 0)
            close(r->wake);
        free(r);
        return ctx_fail(ctx, E_NO_MEMORY, "the challenge listener's thread");
    }
    *out = r;
    return RC_OK;
}

void responder_free(struct responder *r)
{
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_mutex_unlock(&r->lock);
    poke(r);
    pthread_join(r->thread, NULL);
    for (size_t i = 0; i < CONNS_MAX; i++)
        conn_close(&r->conns[i]);
    for (size_t i = 0; i < r->n; i++) {
        free(r->answers[i].token);
        free(r->answers[i].key_authorization);
    }
    if (r->fd >= 0)
        close(r->fd);
    close(r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r);
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
        return ctx_fail(ctx, E_IN_USE, "another program listens on %s: answer challenges through it (connector nginx or webroot)",
                        address_port_str(&ctx->arena, at));
    errno = why;
    return ctx_fail_errno(ctx, "listening on %s for http-01", address_port_str(&ctx->arena, at));
}

static RC add_answer(struct ctx *ctx, struct responder *r, const char *token, const char *key_authorization)
{
    struct answer a = {strdup(token), strdup(key_authorization)};
    size_t at = 0;
    while (at < r->n && strcmp(r->answers[at].token, token) != 0)
        at++;
    if (a.token == NULL || a.key_authorization == NULL || at == TOKENS_MAX) {
        free(a.token);
        free(a.key_authorization);
        return ctx_fail(ctx, E_BUSY, "%d challenges are open already", TOKENS_MAX);
    }
    if (at < r->n) {
        free(r->answers[at].token);
        free(r->answers[at].key_authorization);
    } else {
        r->n++;
    }
    r->answers[at] = a;
    return RC_OK;
}

RC responder_put(struct ctx *ctx, struct responder *r, const char *token, const char *key_authorization)
{
    struct rc rc = RC_OK;
    pthread_mutex_lock(&r->lock);
    if (r->fd < 0)
        rc = open_port(ctx, &r->listen, &r->fd);
    if (rc_ok(rc))
        rc = add_answer(ctx, r, token, key_authorization);
    pthread_mutex_unlock(&r->lock);
    poke(r);
    return rc;
}

void responder_remove(struct responder *r, const char *token)
{
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->answers[i].token, token) == 0) {
            free(r->answers[i].token);
            free(r->answers[i].key_authorization);
            r->answers[i] = r->answers[--r->n];
            break;
        }
    pthread_mutex_unlock(&r->lock);
    poke(r);
}

uint16_t responder_port(struct responder *r)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    struct address a = {0};
    pthread_mutex_lock(&r->lock);
    if (r->fd >= 0 && getsockname(r->fd, (struct sockaddr *)&sa, &n) == 0)
        address_from_sockaddr((const struct sockaddr *)&sa, &a);
    pthread_mutex_unlock(&r->lock);
    return a.port;
}
