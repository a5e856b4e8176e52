#include "agent/probe/responder.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>

#include "agent/probe/door.h"
#include "base/buf.h"

#define REQUEST_MAX 4096
#define TOKENS_MAX 4096
#define PATH_HEAD "/.well-known/acme-challenge/"

struct answer {
    char *token, *key_authorization; /* heap */
};

struct request {
    size_t n;
    uint8_t text[REQUEST_MAX];
};

struct responder {
    struct door *door;
    pthread_mutex_t lock; /* over answers and n; taken after the door's */
    struct answer answers[TOKENS_MAX];
    size_t n;
};

static void answer_free(struct answer *a)
{
    free(a->token);
    free(a->key_authorization);
}

/* --- a connection */

static void say(int fd, const char *status, struct bytes body)
{
    BUF_CLEANUP struct buf b;
    buf_init(&b, 4096);
    buf_printf(&b, "HTTP/1.1 %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
               status,
               body.n);
    buf_put(&b, body);
    /* Less than any socket's buffer: it is sent at once or the peer is not worth waiting for. */
    ssize_t sent = send(fd, b.p, b.n, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent;
    shutdown(fd, SHUT_WR);
}

static void answer_request(struct responder *r, int fd, struct bytes text)
{
    struct bytes line, method, path;
    bool found = false;
    if (!bytes_take_line(&text, &line) || !bytes_take_until(&line, ' ', &method) || !bytes_take_until(&line, ' ', &path)) {
        say(fd, "400 Bad Request", (struct bytes){0});
        return;
    }
    if (!bytes_equal_z(method, "GET") || !bytes_starts_with(path, BYTES_LIT(PATH_HEAD))) {
        say(fd, "404 Not Found", (struct bytes){0});
        return;
    }
    bytes_skip(&path, strlen(PATH_HEAD));
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->n && !found; i++)
        if (bytes_equal_z(path, r->answers[i].token)) {
            say(fd, "200 OK", bytes_z(r->answers[i].key_authorization));
            found = true;
        }
    pthread_mutex_unlock(&r->lock);
    if (!found)
        say(fd, "404 Not Found", (struct bytes){0});
}

static bool wanted(void *arg)
{
    struct responder *r = arg;
    pthread_mutex_lock(&r->lock);
    const bool any = r->n > 0;
    pthread_mutex_unlock(&r->lock);
    return any;
}

static void *begin(void *arg, int fd)
{
    (void)arg, (void)fd;
    return calloc(1, sizeof(struct request));
}

static bool go_on(void *arg, void *conn, int fd, short *events)
{
    struct request *q = conn;
    (void)events;
    ssize_t n = recv(fd, q->text + q->n, REQUEST_MAX - q->n, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0)
        return false;
    q->n += (size_t)n;
    struct bytes all = bytes_of(q->text, q->n);
    if (bytes_find(all, BYTES_LIT("\r\n\r\n")) != SIZE_MAX || bytes_find(all, BYTES_LIT("\n\n")) != SIZE_MAX)
        answer_request(arg, fd, all);
    else if (q->n == REQUEST_MAX)
        say(fd, "431 Request Header Fields Too Large", (struct bytes){0});
    else
        return true;
    return false;
}

/* --- the listener */

RC responder_new(struct ctx *ctx, struct address listen, struct responder **out)
{
    static const struct door_work work = {
        "http-01", "answer challenges through it (connector nginx or webroot)", wanted, begin, go_on, free};
    struct responder *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the listener of http-01");
    pthread_mutex_init(&r->lock, NULL);
    struct rc rc = door_new(ctx, listen, &work, r, &r->door);
    if (rc_failed(rc)) {
        responder_free(r);
        return rc;
    }
    *out = r;
    return RC_OK;
}

void responder_free(struct responder *r)
{
    if (r == NULL)
        return;
    door_free(r->door);
    for (size_t i = 0; i < r->n; i++)
        answer_free(&r->answers[i]);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

struct wish {
    struct responder *responder;
    const char *token, *key_authorization;
};

static RC add_answer(struct ctx *ctx, void *what)
{
    const struct wish *w = what;
    struct responder *r = w->responder;
    struct answer a = {strdup(w->token), strdup(w->key_authorization)};
    size_t at = 0;
    pthread_mutex_lock(&r->lock);
    while (at < r->n && strcmp(r->answers[at].token, w->token) != 0)
        at++;
    const bool good = a.token != NULL && a.key_authorization != NULL && at < TOKENS_MAX;
    if (good && at < r->n)
        answer_free(&r->answers[at]);
    if (good)
        r->answers[at] = a;
    r->n += good && at == r->n;
    pthread_mutex_unlock(&r->lock);
    if (good)
        return RC_OK;
    answer_free(&a);
    return ctx_fail(ctx, E_BUSY, "%d challenges are open already", TOKENS_MAX);
}

RC responder_put(struct ctx *ctx, struct responder *r, const char *token, const char *key_authorization)
{
    struct wish w = {r, token, key_authorization};
    return door_admit(ctx, r->door, add_answer, &w);
}

void responder_remove(struct responder *r, const char *token)
{
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->answers[i].token, token) == 0) {
            answer_free(&r->answers[i]);
            r->answers[i] = r->answers[--r->n];
            break;
        }
    pthread_mutex_unlock(&r->lock);
    door_look(r->door);
}

uint16_t responder_port(struct responder *r)
{
    return door_port(r->door);
}
