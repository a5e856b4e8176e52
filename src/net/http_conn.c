/* The life of a connection on its loop: handshake, request after request, end. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/secret.h"
#include "net/http_internal.h"

#define READING     (UV_READABLE | UV_DISCONNECT)
#define LINGER_MS   2000
#define LINGER_MAX  ((size_t)1 << 20)
#define BYTES_PER_S ((uint64_t)65536)
#define READ_ROUNDS 16

static void conn_run(struct conn *c);
static void conn_write(struct conn *c);

/* ---- deadlines and events ---- */

static void timer_cb(uv_timer_t *timer);

/* The timer is moved only when the new deadline is sooner: most deadlines are replaced long before they come. */
static void conn_deadline(struct conn *c, int64_t ms)
{
    int64_t now = (int64_t)uv_now(&c->loop->uv);
    c->deadline_ms = ms ? now + ms : 0;
    if (!ms || (c->timer_ms && c->timer_ms <= c->deadline_ms))
        return;
    c->timer_ms = c->deadline_ms;
    uv_timer_start(&c->timer, timer_cb, (uint64_t)ms, 0);
}

static int64_t by_size(int64_t base_ms, uint64_t bytes)
{
    return base_ms + (int64_t)(bytes / BYTES_PER_S) * 1000;
}

static void poll_cb(uv_poll_t *poll, int status, int events);

static void conn_arm(struct conn *c, int events)
{
    if (c->closing || c->armed == events)
        return;
    c->armed = events;
    if (events)
        uv_poll_start(&c->poll, events, poll_cb);
    else
        uv_poll_stop(&c->poll);
}

/* ---- birth and death ---- */

static void handle_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    if (--c->open_handles)
        return;
    free(c->certificate);
    free(c);
}

void conn_destroy(struct conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    if (c->x && c->phase == PHASE_HANDLER) {
        c->x->conn = NULL;
        if (park_leave(c->loop->server, c->x))
            exchange_free(c->x);
    } else if (c->x) {
        exchange_free(c->x);
    }
    c->x = NULL;
    if (c->tls)
        tls_conn_close(c->tls);
    tls_conn_free(c->tls);
    c->tls = NULL;
    uv_close((uv_handle_t *)&c->poll, handle_closed);
    uv_close((uv_handle_t *)&c->timer, handle_closed);
    close(c->fd);
    buf_free(&c->in);
    buf_free(&c->out);
    if (c->prev)
        c->prev->next = c->next;
    else
        c->loop->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    counts_remove(c->loop->server, &c->address, c->stranger);
}

bool conn_is_idle(const struct conn *c)
{
    return c->phase == PHASE_IDLE || c->phase == PHASE_HELLO || c->phase == PHASE_LINGER ||
           (c->phase == PHASE_HEAD && c->in.n == 0);
}

static bool conn_start_tls(struct conn *c)
{
    struct http_server *s = c->loop->server;
    pthread_mutex_lock(&s->tls_lock);
    c->tls = tls_conn_new(s->tls, c->fd,
                          c->listener->config.ask_client_certificate || c->listener->config.take_client_certificate);
    pthread_mutex_unlock(&s->tls_lock);
    return c->tls != NULL;
}

static void conn_describe(struct conn *c)
{
    struct buf b BUF_CLEANUP;
    buf_init(&b, ADDRESS_TEXT_MAX - 1);
    if (c->address.len)
        address_put(&b, &c->address);
    snprintf(c->address_text, sizeof c->address_text, "%s", buf_z(&b));
}

static void conn_credentials(struct conn *c)
{
    struct ucred cred;
    socklen_t n = sizeof cred;
    c->uid = (uid_t)-1;
    c->gid = (gid_t)-1;
    if (c->listener->config.kind != HTTP_LISTENER_UNIX || getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) != 0)
        return;
    c->uid = cred.uid;
    c->gid = cred.gid;
    c->pid = cred.pid;
}

void http_conn_new(struct http_loop *loop, const struct listener *listener, int fd, const struct address *address)
{
    const struct http_server_config *config = &loop->server->config;
    const bool stranger = listener->config.kind == HTTP_LISTENER_TLS && listener->config.ask_client_certificate;
    if (!counts_add(loop->server, address, stranger)) {
        close(fd);
        return;
    }
    struct conn *c = calloc(1, sizeof *c);
    if (!c || uv_poll_init(&loop->uv, &c->poll, fd) != 0) {
        counts_remove(loop->server, address, stranger);
        close(fd);
        free(c);
        return;
    }
    uv_timer_init(&loop->uv, &c->timer);
    c->poll.data = c->timer.data = c;
    c->open_handles = 2;
    c->loop = loop;
    c->listener = listener;
    c->fd = fd;
    c->stranger = stranger;
    c->address = *address;
    c->next = loop->conns;
    if (c->next)
        c->next->prev = c;
    loop->conns = c;
    buf_init_secret(&c->in, config->head_max + sizeof loop->scratch);
    conn_describe(c);
    conn_credentials(c);
    if (listener->config.kind == HTTP_LISTENER_TLS) {
        c->phase = PHASE_HELLO;
        conn_deadline(c, config->hello_ms);
        if (!conn_start_tls(c)) {
            conn_destroy(c);
            return;
        }
    } else {
        c->phase = PHASE_HEAD;
        conn_deadline(c, config->head_ms);
    }
    conn_arm(c, READING);
}

/* ---- bytes ---- */

static enum tls_io conn_recv(struct conn *c, void *p, size_t n, size_t *got)
{
    if (c->tls)
        return tls_conn_read(c->tls, p, n, got);
    ssize_t r;
    do
        r = recv(c->fd, p, n, 0);
    while (r < 0 && errno == EINTR);
    *got = r > 0 ? (size_t)r : 0;
    if (r < 0)
        return errno == EAGAIN ? TLS_IO_WANT_READ : TLS_IO_FAILED;
    return r == 0 ? TLS_IO_CLOSED : TLS_IO_OK;
}

static enum tls_io conn_send(struct conn *c, struct bytes data, size_t *done)
{
    if (c->tls)
        return tls_conn_write(c->tls, data, done);
    ssize_t r;
    do
        r = send(c->fd, data.p, data.n, MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    *done = r > 0 ? (size_t)r : 0;
    if (r < 0)
        return errno == EAGAIN ? TLS_IO_WANT_WRITE : TLS_IO_FAILED;
    return TLS_IO_OK;
}

/* ---- answers ---- */

static void conn_start_write(struct conn *c)
{
    c->phase = PHASE_WRITE;
    c->sent = 0;
    conn_deadline(c, by_size(c->loop->server->config.write_ms, c->out.n));
    conn_write(c);
}

/* A request that no handler sees: its answer is the last one. */
static void conn_refuse(struct conn *c, int status, const char *why)
{
    if (c->x)
        exchange_free(c->x);
    c->x = NULL;
    buf_free(&c->in);
    buf_free(&c->out);
    buf_init(&c->out, 16384);
    http_put_refusal(&c->out, c->loop->server->config.clock, status, why);
    c->close_after = c->linger = true;
    conn_start_write(c);
}

void conn_answer(struct exchange *x)
{
    struct conn *c = x->conn;
    if (!c) {
        exchange_free(x);
        return;
    }
    if (x->out.n == 0) {
        c->x = NULL;
        c->phase = PHASE_IDLE;
        exchange_free(x);
        conn_destroy(c);
        return;
    }
    buf_free(&c->out);
    c->out = x->out;
    x->out = (struct buf){0};
    c->close_after = x->close;
    c->x = NULL;
    exchange_free(x);
    conn_start_write(c);
}

static void conn_linger(struct conn *c)
{
    if (c->tls)
        tls_conn_close(c->tls);
    shutdown(c->fd, SHUT_WR);
    c->phase = PHASE_LINGER;
    conn_deadline(c, LINGER_MS);
    conn_arm(c, UV_READABLE);
}

static size_t conn_consume(struct conn *c, struct bytes in);

/* The response is out: on to the next request, which may have come already. */
static void conn_next(struct conn *c)
{
    buf_free(&c->out);
    if (c->close_after || atomic_load(&c->loop->server->stopping)) {
        if (c->linger)
            conn_linger(c);
        else
            conn_destroy(c);
        return;
    }
    c->phase = PHASE_IDLE;
    c->scanned = 0;
    conn_deadline(c, c->loop->server->config.idle_ms);
    if (c->in.n) {
        size_t used = conn_consume(c, buf_bytes(&c->in));
        if (c->closing || c->close_after)
            return;
        buf_drop_front(&c->in, used);
        if (c->in.n == 0)
            buf_free(&c->in);
    }
    if (c->phase == PHASE_HANDLER || c->phase == PHASE_WRITE)
        return;
    conn_arm(c, READING);
    if (c->tls && tls_conn_has_pending(c->tls))
        conn_run(c);
}

static void conn_write(struct conn *c)
{
    while (c->sent < c->out.n) {
        size_t done;
        enum tls_io io = conn_send(c, bytes_of(c->out.p + c->sent, c->out.n - c->sent), &done);
        c->sent += done;
        if (io == TLS_IO_OK)
            continue;
        if (io == TLS_IO_WANT_WRITE || io == TLS_IO_WANT_READ)
            conn_arm(c, io == TLS_IO_WANT_WRITE ? UV_WRITABLE : UV_READABLE);
        else
            conn_destroy(c);
        return;
    }
    conn_next(c);
}

/* ---- requests ---- */

static void fill_peer(const struct conn *c, struct exchange *x)
{
    struct http_peer *p = &x->req.peer;
    if (c->stranger)
        x->framing.keep_alive = false; /* who has not joined keeps no connection */
    p->listener = c->listener->config.name;
    p->is_tls = c->listener->config.kind == HTTP_LISTENER_TLS;
    p->is_unix = c->listener->config.kind == HTTP_LISTENER_UNIX;
    p->address = arena_strdup(&x->arena, c->address_text);
    p->port = c->address.port;
    p->uid = c->uid;
    p->gid = c->gid;
    p->pid = c->pid;
    p->certificate = arena_bytes(&x->arena, bytes_of(c->certificate, c->certificate_n));
    p->certificate_verified = c->certificate_verified;
    p->certificate_why = c->certificate_why;
}

static void conn_dispatch(struct conn *c)
{
    struct exchange *x = c->x;
    fill_peer(c, x);
    x->req.body = buf_bytes(&x->body);
    x->conn = c;
    c->phase = PHASE_HANDLER;
    conn_deadline(c, 0);
    switch (http_pool_submit(c->loop->server, x)) {
    case PUSH_DONE:
        break;
    case PUSH_DEFERRED:
        loop_watch_pool(c->loop);
        break;
    case PUSH_FULL:
        c->phase = PHASE_BODY;
        conn_refuse(c, 503, "too many requests are waiting; ask again in a few seconds");
    }
}

/* RFC 9110 section 10.1.1.  A client whose buffer does not even take these bytes is not worth waiting for. */
static bool conn_continue(struct conn *c)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    size_t done;
    return conn_send(c, bytes_of(text, sizeof text - 1), &done) == TLS_IO_OK && done == sizeof text - 1;
}

/* Where a client certificate is asked for, who shows none has little to say. */
static uint64_t body_most(const struct conn *c)
{
    const struct http_listener *l = &c->listener->config;
    return c->stranger && l->body_max > HTTP_STRANGER_BODY_MAX ? HTTP_STRANGER_BODY_MAX : l->body_max;
}

static size_t conn_take_body(struct conn *c, struct bytes in)
{
    struct exchange *x = c->x;
    size_t before = in.n;
    if (x->framing.chunked) {
        int status;
        enum http_parse r = http_chunked_feed(&x->chunked, &in, body_most(c), &x->body, &status);
        if (r == HTTP_PARSE_BAD)
            conn_refuse(c, status, status == 413 ? "the body is larger than this listener accepts" : "the chunks are malformed");
        else if (r == HTTP_PARSE_DONE)
            conn_dispatch(c);
        return before - in.n;
    }
    uint64_t need = x->framing.length - x->body.n;
    size_t n = need < in.n ? (size_t)need : in.n;
    buf_put_mem(&x->body, in.p, n);
    if (rc_failed(buf_status(&x->body)))
        conn_refuse(c, 503, "no memory for the body");
    else if (x->body.n == x->framing.length)
        conn_dispatch(c);
    return n;
}

static size_t conn_take_head(struct conn *c, struct bytes in)
{
    const struct http_server_config *config = &c->loop->server->config;
    uint64_t body_max = body_most(c);
    size_t used = 0;
    if (c->phase == PHASE_IDLE) {
        c->phase = PHASE_HEAD;
        conn_deadline(c, config->head_ms);
    }
    struct exchange *x = exchange_new(c->loop);
    if (!x) {
        conn_refuse(c, 503, "no memory for the request");
        return in.n;
    }
    switch (http_parse_head(in, &c->scanned, config->head_max, body_max, &x->arena, &x->req, &x->framing, &used)) {
    case HTTP_PARSE_MORE:
        exchange_free(x);
        return 0;
    case HTTP_PARSE_BAD: {
        int status = x->framing.status;
        const char *why = x->framing.why;
        exchange_free(x);
        conn_refuse(c, status, why);
        return in.n;
    }
    case HTTP_PARSE_DONE:
        break;
    }
    c->scanned = 0;
    c->x = x;
    buf_init_secret(&x->body, body_max);
    if (!x->framing.chunked && x->framing.length == 0) {
        conn_dispatch(c);
        return used;
    }
    c->phase = PHASE_BODY;
    conn_deadline(c, by_size(config->body_ms, x->framing.chunked ? body_max : x->framing.length));
    if (x->framing.expect_continue && used == in.n && !conn_continue(c))
        conn_destroy(c);
    return used;
}

/* Uses bytes for the request that is being read; stops where a handler has it.  Returns how many were used. */
static size_t conn_consume(struct conn *c, struct bytes in)
{
    size_t used = 0;
    if (in.n && (c->phase == PHASE_IDLE || c->phase == PHASE_HEAD))
        used = conn_take_head(c, in);
    if (used < in.n && !c->closing && c->phase == PHASE_BODY)
        used += conn_take_body(c, bytes_of(in.p + used, in.n - used));
    return used;
}

static void conn_feed(struct conn *c, struct bytes data)
{
    bool kept = c->in.n > 0;
    if (kept)
        buf_put(&c->in, data);
    else if (c->in.max == 0)
        buf_init_secret(&c->in, c->loop->server->config.head_max + sizeof c->loop->scratch);
    struct bytes all = kept ? buf_bytes(&c->in) : data;
    size_t used = conn_consume(c, all);
    if (c->closing || c->close_after)
        return;
    if (kept)
        buf_drop_front(&c->in, used);
    else
        buf_put_mem(&c->in, all.p + used, all.n - used);
    if (rc_failed(buf_status(&c->in)))
        conn_destroy(c);
    else if (c->in.n == 0)
        buf_free(&c->in);
}

static bool is_reading(const struct conn *c)
{
    return !c->closing && (c->phase == PHASE_IDLE || c->phase == PHASE_HEAD || c->phase == PHASE_BODY);
}

static void conn_read(struct conn *c)
{
    for (int round = 0; is_reading(c); round++) {
        size_t got;
        enum tls_io io = conn_recv(c, c->loop->scratch, sizeof c->loop->scratch, &got);
        if (io == TLS_IO_WANT_READ || io == TLS_IO_WANT_WRITE) {
            conn_arm(c, io == TLS_IO_WANT_READ ? READING : UV_WRITABLE);
            return;
        }
        if (io != TLS_IO_OK) {
            conn_destroy(c);
            return;
        }
        struct http_loop *loop = c->loop;
        conn_feed(c, bytes_of(loop->scratch, got));
        wipe(loop->scratch, got); /* passwords and tokens come this way */
        /* Less than was asked for: the socket is empty, or poll says so; but it does not know what OpenSSL holds. */
        bool more = c->tls ? !c->closing && tls_conn_has_pending(c->tls) : got == sizeof c->loop->scratch && round < READ_ROUNDS;
        if (!more)
            return;
    }
}

static void conn_hello(struct conn *c)
{
    switch (tls_conn_handshake(c->tls)) {
    case TLS_IO_OK:
        c->certificate = tls_conn_client_certificate(c->tls, &c->certificate_n, &c->certificate_verified, &c->certificate_why);
        if (c->stranger && c->certificate_verified) {
            c->stranger = false;
            counts_known(c->loop->server, &c->address);
        }
        c->phase = PHASE_HEAD;
        conn_deadline(c, c->loop->server->config.head_ms);
        conn_arm(c, READING);
        if (tls_conn_has_pending(c->tls))
            conn_read(c);
        return;
    case TLS_IO_WANT_READ:
        conn_arm(c, READING);
        return;
    case TLS_IO_WANT_WRITE:
        conn_arm(c, UV_WRITABLE);
        return;
    default:
        conn_destroy(c);
    }
}

static void conn_discard(struct conn *c)
{
    ssize_t n = recv(c->fd, c->loop->scratch, sizeof c->loop->scratch, 0);
    if (n > 0)
        c->lingered += (size_t)n;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || c->lingered > LINGER_MAX)
        conn_destroy(c);
}

static void conn_run(struct conn *c)
{
    switch (c->phase) {
    case PHASE_HELLO:
        conn_hello(c);
        break;
    case PHASE_IDLE:
    case PHASE_HEAD:
    case PHASE_BODY:
        conn_arm(c, READING); /* after a write that a read had to wait for */
        conn_read(c);
        break;
    case PHASE_HANDLER:
        break;
    case PHASE_WRITE:
        conn_write(c);
        break;
    case PHASE_LINGER:
        conn_discard(c);
        break;
    }
}

/* While the handler runs nothing is read: a pipelined request waits in the socket.  A client that went away is forgotten at once
 * where its request is parked; else the answer is still tried, as it may have closed only its sending side. */
static void conn_event_while_handled(struct conn *c, int events)
{
    if (!(events & UV_DISCONNECT)) {
        conn_arm(c, UV_DISCONNECT);
        return;
    }
    conn_arm(c, 0);
    struct exchange *x = c->x;
    if (!park_leave(c->loop->server, x))
        return;
    c->x = NULL;
    exchange_free(x);
    conn_destroy(c);
}

static void poll_cb(uv_poll_t *poll, int status, int events)
{
    struct conn *c = poll->data;
    if (c->closing)
        return;
    if (status < 0) {
        c->armed = 0;
        conn_destroy(c);
    } else if (c->phase == PHASE_HANDLER) {
        conn_event_while_handled(c, events);
    } else {
        conn_run(c);
    }
}

static void timer_cb(uv_timer_t *timer)
{
    struct conn *c = timer->data;
    int64_t now = (int64_t)uv_now(&c->loop->uv);
    c->timer_ms = 0;
    if (c->closing || c->deadline_ms == 0)
        return;
    if (now < c->deadline_ms) {
        conn_deadline(c, c->deadline_ms - now);
        return;
    }
    if ((c->phase == PHASE_HEAD && c->in.n) || c->phase == PHASE_BODY)
        conn_refuse(c, 408, "the request did not arrive in time");
    else
        conn_destroy(c);
}
