/* One connection: frames in, frames out. */
#include "wire/conn.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

void cond_init_mono(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

bool cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t mono_ms)
{
    struct timespec until = {.tv_sec = mono_ms / 1000, .tv_nsec = (mono_ms % 1000) * 1000000};
    return pthread_cond_timedwait(c, m, &until) == 0;
}

void frame_free(struct wire_frame *f)
{
    if (f->body.p) {
        if (f->codec && f->codec->secret)
            wipe((void *)(uintptr_t)f->body.p, f->body.n);
        free((void *)(uintptr_t)f->body.p);
    }
    f->body = (struct bytes){0};
}

struct wire_conn *conn_new(int fd, const char *self, const char *other, uid_t uid, struct wire_server *server,
                           struct wire_peer *peer)
{
    struct wire_conn *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->fd = fd;
    atomic_init(&c->refs, 1);
    pthread_mutex_init(&c->write_lock, NULL);
    c->self_bit = wire_role_bit(self);
    c->other_bit = wire_role_bit(other);
    snprintf(c->other, sizeof c->other, "%s", other);
    c->uid = uid;
    c->server = server;
    c->peer = peer;
    return c;
}

void conn_ref(struct wire_conn *c)
{
    atomic_fetch_add(&c->refs, 1);
}

void conn_unref(struct wire_conn *c)
{
    if (atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    close(c->fd);
    pthread_mutex_destroy(&c->write_lock);
    free(c);
}

void conn_shut(struct wire_conn *c)
{
    atomic_store(&c->dead, true);
    shutdown(c->fd, SHUT_RDWR);
}

void conn_end(struct wire_conn *c)
{
    conn_shut(c);
    if (c->has_reader)
        pthread_join(c->reader, NULL);
    conn_unref(c);
}

/* Waits until the socket takes more; false where the peer took nothing for WIRE_STALL_MS, or `give_up_ms` (0: none) has come. */
static bool wait_writable(struct wire_conn *c, int64_t give_up_ms)
{
    int64_t until = clock_mono_ms() + WIRE_STALL_MS;
    if (give_up_ms && give_up_ms < until)
        until = give_up_ms;
    for (;;) {
        int64_t left = until - clock_mono_ms();
        if (left <= 0)
            return false;
        struct pollfd p = {.fd = c->fd, .events = POLLOUT};
        int n = poll(&p, 1, (int)left);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
}

static struct rc send_all(struct ctx *ctx, struct wire_conn *c, struct iovec *iov, size_t n_iov)
{
    bool begun = false;
    while (n_iov) {
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = n_iov};
        ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            /* A frame once begun must be finished, or the stream is lost: only before that does the caller's deadline count. */
            if (wait_writable(c, begun ? 0 : ctx->deadline_ms))
                continue;
            if (!begun && ctx->deadline_ms && clock_mono_ms() >= ctx->deadline_ms)
                return ctx_fail(ctx, E_TIMEOUT, "the %s took no more messages until the deadline", c->other);
            conn_shut(c);
            return ctx_fail(ctx, E_UNREACHABLE, "the %s took nothing for %d s", c->other, WIRE_STALL_MS / 1000);
        }
        if (n < 0) {
            conn_shut(c);
            return ctx_fail(ctx, E_UNREACHABLE, "the %s has gone", c->other);
        }
        begun = true;
        size_t done = (size_t)n;
        while (n_iov && done >= iov->iov_len) {
            done -= iov->iov_len;
            iov++;
            n_iov--;
        }
        if (n_iov) {
            iov->iov_base = (uint8_t *)iov->iov_base + done;
            iov->iov_len -= done;
        }
    }
    return RC_OK;
}

struct rc conn_send(struct ctx *ctx, struct wire_conn *c, uint16_t type, uint16_t flags, uint32_t call_id, struct bytes body)
{
    uint64_t left = ctx->deadline_ms ? (uint64_t)ctx_left_ms(ctx, INT64_MAX) : 0;
    if (ctx->deadline_ms && !left)
        left = 1;
    struct buf head BUF_CLEANUP;
    buf_init(&head, WIRE_HEADER);
    buf_put_u32(&head, wire_table_hash());
    buf_put_u32(&head, (uint32_t)body.n);
    buf_put_u16(&head, type);
    buf_put_u16(&head, flags);
    buf_put_u32(&head, call_id);
    buf_put_u64(&head, left);
    char id[WIRE_ID_LEN] = {0};
    memcpy(id, ctx->request_id, strnlen(ctx->request_id, sizeof id));
    buf_put_mem(&head, id, sizeof id);
    TRY(buf_status(&head));
    struct iovec iov[2] = {{head.p, head.n}, {(void *)(uintptr_t)body.p, body.n}};
    pthread_mutex_lock(&c->write_lock);
    struct rc rc =
        atomic_load(&c->dead) ? ctx_fail(ctx, E_UNREACHABLE, "the %s has gone", c->other) : send_all(ctx, c, iov, body.n ? 2 : 1);
    pthread_mutex_unlock(&c->write_lock);
    return rc;
}

static bool read_full(int fd, uint8_t *p, size_t n)
{
    while (n) {
        ssize_t got = recv(fd, p, n, MSG_WAITALL);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

/* Why a frame ends the connection; NULL where it may come. */
static const char *frame_wrong(const struct wire_conn *c, struct wire_frame *f, uint32_t hash, uint32_t length)
{
    if (hash != wire_table_hash())
        return "another build's frame; restart what is older";
    if (f->flags & ~WIRE_FLAG_ANSWER)
        return "unknown flag";
    f->codec = wire_codec_of(f->type);
    bool answer = f->flags & WIRE_FLAG_ANSWER;
    if (!f->codec && !(f->type == WIRE_ERROR && answer))
        return "unknown type";
    if (length > (f->codec ? f->codec->max : WIRE_ERROR_MAX))
        return "too long";
    if (answer)
        return c->peer ? NULL : "an answer to nothing";
    if (f->codec->answer_only || !(f->codec->from & c->other_bit) || !(f->codec->to & c->self_bit))
        return "not permitted";
    return NULL;
}

/* Between two frames, so that nothing of the next one has been read where the connection is given away. */
static void await_frame(struct wire_conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    while (c->quiet.after_ms > 0 && poll(&p, 1, c->quiet.after_ms) == 0)
        c->quiet.fn(c->quiet.arg, c->fd);
}

static bool read_frame(struct wire_conn *c, struct wire_frame *f)
{
    await_frame(c);
    uint8_t raw[WIRE_HEADER];
    if (!read_full(c->fd, raw, sizeof raw))
        return false;
    struct bytes b = bytes_of(raw, sizeof raw), id;
    uint32_t hash, length;
    *f = (struct wire_frame){0};
    if (!bytes_take_u32(&b, &hash) || !bytes_take_u32(&b, &length) || !bytes_take_u16(&b, &f->type) ||
        !bytes_take_u16(&b, &f->flags) || !bytes_take_u32(&b, &f->call_id) || !bytes_take_u64(&b, &f->left_ms) ||
        !bytes_take(&b, WIRE_ID_LEN, &id))
        return false;
    for (size_t i = 0; i < id.n; i++) /* goes to logs: only what an id is made of */
        f->request_id[i] = (char)((id.p[i] >= '0' && id.p[i] <= '9') || (id.p[i] >= 'A' && id.p[i] <= 'Z') ||
                                          (id.p[i] >= 'a' && id.p[i] <= 'z') || id.p[i] == '-'
                                      ? id.p[i]
                                      : 0);
    const char *wrong = frame_wrong(c, f, hash, length);
    if (wrong) {
        log_event(LOG_ERROR_, "wire_refused", "peer", c->other, "why", wrong, "type", log_num(f->type), "length", log_num(length),
                  NULL);
        return false;
    }
    if (length) {
        uint8_t *p = malloc(length);
        if (!p)
            return false;
        f->body = bytes_of(p, length);
        if (!read_full(c->fd, p, length)) {
            frame_free(f);
            return false;
        }
    }
    return true;
}

static void *reader_main(void *arg)
{
    struct wire_conn *c = arg;
    struct wire_frame f;
    while (read_frame(c, &f)) {
        if (!(f.flags & WIRE_FLAG_ANSWER)) {
            server_push(c->server, c, &f);
        } else if (!peer_answered(c->peer, c, &f)) {
            log_event(LOG_ERROR_, "wire_refused", "peer", c->other, "why", "answers with another type", "type", log_num(f.type),
                      NULL);
            break;
        }
    }
    conn_shut(c);
    if (c->peer)
        peer_lost(c->peer, c);
    atomic_store(&c->finished, true);
    return NULL;
}

struct rc conn_start(struct ctx *ctx, struct wire_conn *c)
{
    /* Signals are for the main thread, but for those that tell of a defect in this one. */
    sigset_t all, before;
    sigfillset(&all);
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&all, own[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int e = pthread_create(&c->reader, NULL, reader_main, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (e) {
        errno = e;
        return ctx_fail_errno(ctx, "cannot start a thread for messages of the %s", c->other);
    }
    c->has_reader = true;
    return RC_OK;
}
