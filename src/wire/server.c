/* Answering: one queue for all that is asked, taken by threads one by one or by a loop in batches. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "wire/conn.h"

#define QUEUE_REQUESTS_MAX 4096
#define QUEUE_BYTES_MAX    ((size_t)64 << 20)

struct wire_server {
    const struct clock *clock;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    struct wire_request *first, **last;
    size_t n, bytes;
    bool stopped;
    bool (*holds)(void *arg);
    void *holds_arg;
    atomic_size_t open; /* requests that are not given back */
};

struct wire_server *wire_server_new(const struct clock *clock)
{
    struct wire_server *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->clock = clock;
    s->last = &s->first;
    pthread_mutex_init(&s->lock, NULL);
    cond_init_mono(&s->changed);
    return s;
}

static void drop_body(struct wire_request *req)
{
    struct wire_frame f = {.codec = wire_codec_of(req->type), .body = req->body_};
    frame_free(&f);
    req->body_ = (struct bytes){0};
}

static void request_free(struct wire_request *req)
{
    const struct wire_codec *codec = wire_codec_of(req->type);
    if (req->in && codec->wipe)
        codec->wipe(req->in);
    drop_body(req);
    if (req->conn_->server)
        atomic_fetch_sub(&req->conn_->server->open, 1);
    conn_unref(req->conn_);
    ctx_free(&req->ctx);
    free(req);
}

void wire_server_free(struct wire_server *s)
{
    if (!s)
        return;
    while (s->first) {
        struct wire_request *req = s->first;
        s->first = req->next_;
        request_free(req);
    }
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
    free(s);
}

void wire_server_stop(struct wire_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopped = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

bool wire_server_busy(struct wire_server *s)
{
    pthread_mutex_lock(&s->lock);
    bool busy = atomic_load(&s->open) > 0 || (s->holds && s->holds(s->holds_arg));
    pthread_mutex_unlock(&s->lock);
    return busy;
}

void wire_server_holds(struct wire_server *s, bool (*holds)(void *arg), void *arg)
{
    pthread_mutex_lock(&s->lock);
    s->holds = holds;
    s->holds_arg = arg;
    pthread_mutex_unlock(&s->lock);
}

static struct wire_request *request_new(const struct clock *clock, struct wire_conn *c, struct wire_frame *f)
{
    struct wire_request *req = calloc(1, sizeof *req);
    if (!req)
        abort();
    ctx_init(&req->ctx, clock);
    if (f->request_id[0])
        memcpy(req->ctx.request_id, f->request_id, sizeof req->ctx.request_id);
    if (f->left_ms)
        req->ctx.deadline_ms = clock_mono_ms() + (int64_t)(f->left_ms < WIRE_CALL_MOST_MS ? f->left_ms : WIRE_CALL_MOST_MS);
    req->type = f->type;
    req->from = c->other;
    req->uid = c->uid;
    req->call_id_ = f->call_id;
    req->body_ = f->body;
    req->conn_ = c;
    conn_ref(c);
    if (c->server)
        atomic_fetch_add(&c->server->open, 1);
    return req;
}

void server_push(struct wire_server *s, struct wire_conn *c, struct wire_frame *f)
{
    struct wire_request *req = request_new(s ? s->clock : &clock_system, c, f);
    if (!s) {
        wire_answer_error(req, NULL, ctx_fail(&req->ctx, E_UNSUPPORTED, "nobody answers %s here", f->codec->name));
        return;
    }
    pthread_mutex_lock(&s->lock);
    bool full = s->n >= QUEUE_REQUESTS_MAX || (s->n && s->bytes + f->body.n > QUEUE_BYTES_MAX), stopped = s->stopped;
    if (!full && !stopped) {
        *s->last = req;
        s->last = &req->next_;
        s->n++;
        s->bytes += f->body.n;
        pthread_cond_signal(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    if (stopped)
        wire_answer_error(req, NULL, ctx_fail(&req->ctx, E_SHUTTING_DOWN, "%s came while shutting down", f->codec->name));
    else if (full)
        wire_answer_error(req, NULL, ctx_fail(&req->ctx, E_BUSY, "%d requests wait already", QUEUE_REQUESTS_MAX));
}

/* Decodes; false where the request has been answered with an error. */
static bool request_open(struct wire_request *req)
{
    const struct wire_codec *codec = wire_codec_of(req->type);
    if (req->ctx.deadline_ms && clock_mono_ms() >= req->ctx.deadline_ms) {
        wire_answer_error(req, NULL, ctx_fail(&req->ctx, E_TIMEOUT, "%s waited in the queue past its deadline", codec->name));
        return false;
    }
    req->in = arena_alloc(&req->ctx.arena, codec->size);
    struct rc rc = codec->decode(&req->ctx, req->body_, req->in);
    drop_body(req);
    if (rc_failed(rc)) {
        rc = ctx_wrap(&req->ctx, rc, "%s from the %s is not valid", codec->name, req->from);
        log_event(LOG_ERROR_, "wire_invalid", "peer", req->from, "request", req->ctx.request_id, "why", ctx_why(&req->ctx), NULL);
        wire_answer_error(req, NULL, rc);
        return false;
    }
    return true;
}

size_t wire_receive_batch(struct wire_server *s, size_t max, struct wire_request **reqs)
{
    for (;;) {
        size_t taken = 0, n = 0;
        pthread_mutex_lock(&s->lock);
        while (!s->first && !s->stopped)
            pthread_cond_wait(&s->changed, &s->lock);
        while (s->first && taken < max) {
            struct wire_request *req = s->first;
            s->first = req->next_;
            if (!s->first)
                s->last = &s->first;
            req->next_ = NULL;
            s->n--;
            s->bytes -= req->body_.n;
            reqs[taken++] = req;
        }
        pthread_mutex_unlock(&s->lock);
        if (!taken)
            return 0;
        for (size_t i = 0; i < taken; i++)
            if (request_open(reqs[i]))
                reqs[n++] = reqs[i];
        if (n)
            return n;
    }
}

static void send_error(struct wire_request *req, struct ctx *ctx, struct rc rc)
{
    struct buf body BUF_CLEANUP;
    buf_init(&body, WIRE_ERROR_MAX);
    error_encode(ctx, rc, &body);
    struct ctx out CTX_CLEANUP; /* the caller's deadline has often passed; its answer is still tried */
    ctx_init(&out, &clock_system);
    memcpy(out.request_id, req->ctx.request_id, sizeof out.request_id);
    if (rc_failed(conn_send(&out, req->conn_, WIRE_ERROR, WIRE_FLAG_ANSWER, req->call_id_, buf_bytes(&body))))
        log_event(LOG_DEBUG_, "wire_answer_lost", "peer", req->from, "request", req->ctx.request_id, NULL);
}

static void send_answer(struct wire_request *req, const void *msg)
{
    const struct wire_codec *codec = wire_codec_of(req->type), *reply = wire_codec_of(codec->reply);
    if (!reply)
        return;
    struct buf body BUF_CLEANUP;
    if (reply->secret)
        buf_init_secret(&body, reply->max);
    else
        buf_init(&body, reply->max);
    struct rc rc = reply->encode(&req->ctx, msg, &body);
    if (rc_failed(rc)) {
        rc = ctx_fail(&req->ctx, E_BUG, "the answer %s does not fit its own table", reply->name);
        log_event(LOG_ERROR_, "wire_bad_answer", "to", req->from, "why", ctx_why(&req->ctx), NULL);
        send_error(req, &req->ctx, rc);
        return;
    }
    req->ctx.deadline_ms = 0;
    if (rc_failed(conn_send(&req->ctx, req->conn_, codec->reply, WIRE_FLAG_ANSWER, req->call_id_, buf_bytes(&body))))
        log_event(LOG_DEBUG_, "wire_answer_lost", "peer", req->from, "request", req->ctx.request_id, NULL);
}

void wire_answer(struct wire_request *req, void *out)
{
    const struct wire_codec *reply = wire_codec_of(wire_codec_of(req->type)->reply);
    send_answer(req, out);
    if (reply && reply->wipe)
        reply->wipe(out);
    request_free(req);
}

void wire_answer_error(struct wire_request *req, struct ctx *ctx, struct rc rc)
{
    if (wire_codec_of(req->type)->reply)
        send_error(req, ctx ? ctx : &req->ctx, rc);
    request_free(req);
}

void wire_dispatch(struct wire_request *req, const struct wire_route *routes, size_t n, void *arg)
{
    const struct wire_codec *codec = wire_codec_of(req->type), *reply = wire_codec_of(codec->reply);
    const struct wire_route *route = NULL;
    for (size_t i = 0; i < n && !route; i++)
        if (routes[i].type == req->type)
            route = &routes[i];
    if (!route) {
        wire_answer_error(req, NULL, ctx_fail(&req->ctx, E_UNSUPPORTED, "%s is not answered here", codec->name));
        return;
    }
    void *out = reply ? arena_alloc(&req->ctx.arena, reply->size) : NULL;
    struct rc rc = route->handle(&req->ctx, arg, req->in, out);
    if (rc_ok(rc))
        send_answer(req, out);
    else if (reply)
        send_error(req, &req->ctx, rc);
    if (reply && reply->wipe)
        reply->wipe(out);
    request_free(req);
}

struct serving {
    struct wire_server *server;
    const struct wire_route *routes;
    size_t n;
    void *arg;
};

static void *serve_main(void *arg)
{
    struct serving *s = arg;
    struct wire_request *req;
    while (wire_receive_batch(s->server, 1, &req))
        wire_dispatch(req, s->routes, s->n, s->arg);
    return NULL;
}

#define SERVE_THREADS_MAX 64
struct rc wire_serve(struct ctx *ctx, struct wire_server *s, const struct wire_route *routes, size_t n, unsigned threads, void *arg)
{
    if (threads < 1 || threads > SERVE_THREADS_MAX)
        return ctx_fail(ctx, E_BUG, "%u threads to serve with", threads);
    struct serving serving = {s, routes, n, arg};
    pthread_t ids[SERVE_THREADS_MAX];
    unsigned started = 0;
    int e = 0;
    for (; started < threads - 1 && !e; started++) {
        e = pthread_create(&ids[started], NULL, serve_main, &serving);
        if (e)
            break;
    }
    if (e)
        wire_server_stop(s);
    serve_main(&serving);
    for (unsigned i = 0; i < started; i++)
        pthread_join(ids[i], NULL);
    if (e) {
        errno = e;
        return ctx_fail_errno(ctx, "cannot start a thread to serve with");
    }
    return RC_OK;
}

/* --- listening */

struct wire_listener {
    struct wire_server *server;
    int fd, stop_fd;
    char self[WIRE_ROLE_MAX], role[WIRE_ROLE_MAX];
    uid_t *uids;
    size_t n_uids;
    pthread_t thread;
    struct wire_conn *conns[WIRE_LISTENER_MAX]; /* the thread's */
};

static bool uid_listed(const struct wire_listener *l, uid_t uid)
{
    for (size_t i = 0; i < l->n_uids; i++)
        if (l->uids[i] == uid)
            return true;
    return false;
}

static void admit(struct wire_listener *l, int fd)
{
    struct ucred who;
    socklen_t n = sizeof who;
    size_t at = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) || n != sizeof who || !uid_listed(l, who.uid)) {
        log_event(LOG_WARN_, "wire_not_admitted", "role", l->role, "uid", log_num((long long)who.uid), NULL);
        close(fd);
        return;
    }
    while (at < WIRE_LISTENER_MAX && l->conns[at])
        at++;
    if (at == WIRE_LISTENER_MAX) {
        log_event(LOG_WARN_, "wire_too_many", "role", l->role, "connections", log_num(WIRE_LISTENER_MAX), NULL);
        close(fd);
        return;
    }
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, l->server->clock);
    struct wire_conn *c = conn_new(fd, l->self, l->role, who.uid, l->server, NULL);
    if (rc_failed(conn_start(&ctx, c))) {
        log_event(LOG_ERROR_, "wire_failed", "role", l->role, "why", ctx_why(&ctx), NULL);
        conn_end(c);
        return;
    }
    l->conns[at] = c;
}

static void sweep(struct wire_listener *l, bool all)
{
    for (size_t i = 0; i < WIRE_LISTENER_MAX; i++) {
        if (l->conns[i] && (all || atomic_load(&l->conns[i]->finished))) {
            conn_end(l->conns[i]);
            l->conns[i] = NULL;
        }
    }
}

static void *listener_main(void *arg)
{
    struct wire_listener *l = arg;
    for (;;) {
        struct pollfd p[2] = {{.fd = l->fd, .events = POLLIN}, {.fd = l->stop_fd, .events = POLLIN}};
        if (poll(p, 2, 10000) < 0 && errno != EINTR)
            break;
        if (p[1].revents)
            break;
        sweep(l, false);
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            admit(l, fd);
        else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            usleep(100000); /* out of descriptors: let some go */
    }
    sweep(l, true);
    return NULL;
}

struct rc wire_listener_start(struct ctx *ctx, struct wire_server *s, int fd, const char *self, const char *role, const uid_t *uids,
                              size_t n, struct wire_listener **out)
{
    struct wire_listener *l = calloc(1, sizeof *l);
    uid_t *copy = calloc(n ? n : 1, sizeof *copy);
    if (!l || !copy)
        abort();
    if (n)
        memcpy(copy, uids, n * sizeof *copy);
    *l = (struct wire_listener){.server = s, .fd = fd, .uids = copy, .n_uids = n};
    snprintf(l->self, sizeof l->self, "%s", self);
    snprintf(l->role, sizeof l->role, "%s", role);
    l->stop_fd = eventfd(0, EFD_CLOEXEC);
    /* Another process may take the connection between poll and accept. */
    int e = l->stop_fd < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) ? errno : 0;
    if (!e)
        e = pthread_create(&l->thread, NULL, listener_main, l);
    if (e) {
        if (l->stop_fd >= 0)
            close(l->stop_fd);
        free(copy);
        free(l);
        errno = e;
        return ctx_fail_errno(ctx, "cannot listen for the %s", role);
    }
    *out = l;
    return RC_OK;
}

void wire_listener_stop(struct wire_listener *l)
{
    if (!l)
        return;
    if (eventfd_write(l->stop_fd, 1))
        abort();
    pthread_join(l->thread, NULL);
    close(l->stop_fd);
    free(l->uids);
    free(l);
}
