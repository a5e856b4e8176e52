/* Asking: many calls at once on one connection, told apart by their ids. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "wire/conn.h"

enum call_state { CALL_WAITS, CALL_ANSWERED, CALL_LOST };

/* A call that waits, on the stack of its thread; in peer->calls while CALL_WAITS. */
struct call {
    uint32_t id;
    uint16_t reply_type;
    const struct wire_conn *conn;
    enum call_state state;
    struct wire_frame frame;
    pthread_cond_t changed;
    struct call *next;
};

struct wire_peer {
    char self[WIRE_ROLE_MAX], name[WIRE_ROLE_MAX];
    struct wire_server *server;
    struct wire_quiet quiet;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t connected;
    struct wire_conn *conn; /* stays after its end until it is replaced: its reader is still to be joined */
    bool up, ended;
    uint32_t last_id;
    struct call *calls;
};

struct wire_peer *wire_peer_new(const char *self, const char *name, struct wire_server *server)
{
    struct wire_peer *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    snprintf(p->self, sizeof p->self, "%s", self);
    snprintf(p->name, sizeof p->name, "%s", name);
    p->server = server;
    pthread_mutex_init(&p->lock, NULL);
    cond_init_mono(&p->connected);
    return p;
}

const char *wire_peer_name(const struct wire_peer *peer)
{
    return peer->name;
}

void wire_peer_on_quiet(struct wire_peer *peer, int after_ms, void (*fn)(void *arg, int fd), void *arg)
{
    peer->quiet = (struct wire_quiet){after_ms, fn, arg};
}

bool wire_peer_connected(struct wire_peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    bool up = peer->up;
    pthread_mutex_unlock(&peer->lock);
    return up;
}

/* With the lock held. */
static void fail_calls(struct wire_peer *peer, const struct wire_conn *c)
{
    for (struct call **at = &peer->calls; *at;) {
        struct call *call = *at;
        if (call->conn != c) {
            at = &call->next;
            continue;
        }
        *at = call->next;
        call->state = CALL_LOST;
        pthread_cond_signal(&call->changed);
    }
}

void peer_lost(struct wire_peer *peer, struct wire_conn *c)
{
    pthread_mutex_lock(&peer->lock);
    if (peer->conn == c)
        peer->up = false;
    fail_calls(peer, c);
    pthread_mutex_unlock(&peer->lock);
}

bool peer_answered(struct wire_peer *peer, struct wire_conn *c, struct wire_frame *f)
{
    bool fits = true;
    pthread_mutex_lock(&peer->lock);
    struct call **at = &peer->calls;
    while (*at && ((*at)->id != f->call_id || (*at)->conn != c))
        at = &(*at)->next;
    struct call *call = *at;
    if (call && f->type != call->reply_type && f->type != WIRE_ERROR) {
        fits = false;
    } else if (call) {
        *at = call->next;
        call->frame = *f;
        f->body = (struct bytes){0};
        call->state = CALL_ANSWERED;
        pthread_cond_signal(&call->changed);
    } /* else it answers a call that gave up */
    pthread_mutex_unlock(&peer->lock);
    frame_free(f);
    return fits;
}

void wire_peer_replace(struct wire_peer *peer, int fd)
{
    struct wire_conn *c = NULL;
    if (fd >= 0) {
        c = conn_new(fd, peer->self, peer->name, (uid_t)-1, peer->server, peer);
        c->quiet = peer->quiet;
        struct ctx ctx CTX_CLEANUP;
        ctx_init(&ctx, &clock_system);
        if (rc_failed(conn_start(&ctx, c))) {
            log_event(LOG_ERROR_, "wire_failed", "peer", peer->name, "why", ctx_why(&ctx), NULL);
            conn_end(c);
            c = NULL;
        }
    }
    pthread_mutex_lock(&peer->lock);
    struct wire_conn *before = peer->conn;
    peer->conn = c;
    /* The new reader may have seen its end already; then nobody is told again, so look. */
    peer->up = c && !atomic_load(&c->dead);
    if (before)
        fail_calls(peer, before);
    pthread_cond_broadcast(&peer->connected);
    pthread_mutex_unlock(&peer->lock);
    if (before)
        conn_end(before);
}

void wire_peer_end(struct wire_peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    peer->ended = true;
    pthread_mutex_unlock(&peer->lock);
    wire_peer_replace(peer, -1);
}

void wire_peer_free(struct wire_peer *peer)
{
    if (!peer)
        return;
    wire_peer_replace(peer, -1);
    pthread_mutex_destroy(&peer->lock);
    pthread_cond_destroy(&peer->connected);
    free(peer);
}

/* Waits for a connection, and enters `call` (unless NULL) among those that wait on it.  The result holds a reference. */
static struct rc take_conn(struct ctx *ctx, struct wire_peer *peer, struct call *call, struct wire_conn **out)
{
    int64_t until = clock_mono_ms() + ctx_left_ms(ctx, WIRE_CONNECT_MS);
    pthread_mutex_lock(&peer->lock);
    bool in_time = true;
    while (!peer->up && !peer->ended && in_time)
        in_time = cond_wait_until(&peer->connected, &peer->lock, until) || clock_mono_ms() < until;
    if (!peer->up) {
        pthread_mutex_unlock(&peer->lock);
        return ctx_fail(ctx, E_UNREACHABLE, "the %s is not running", peer->name);
    }
    *out = peer->conn;
    conn_ref(*out);
    if (call) {
        call->conn = *out;
        call->id = ++peer->last_id;
        call->next = peer->calls;
        peer->calls = call;
    }
    pthread_mutex_unlock(&peer->lock);
    return RC_OK;
}

static void forget_call(struct wire_peer *peer, struct call *call)
{
    for (struct call **at = &peer->calls; *at; at = &(*at)->next) {
        if (*at == call) {
            *at = call->next;
            return;
        }
    }
}

static struct rc send_and_wait(struct ctx *ctx, struct wire_peer *peer, struct call *call, uint16_t type, struct bytes body)
{
    struct wire_conn *c = NULL;
    TRY(take_conn(ctx, peer, call, &c));
    struct rc rc = conn_send(ctx, c, type, 0, call->id, body);
    int64_t until = clock_mono_ms() + ctx_left_ms(ctx, WIRE_CALL_MOST_MS);
    pthread_mutex_lock(&peer->lock);
    while (rc_ok(rc) && call->state == CALL_WAITS && clock_mono_ms() < until)
        cond_wait_until(&call->changed, &peer->lock, until);
    if (call->state == CALL_WAITS)
        forget_call(peer, call);
    pthread_mutex_unlock(&peer->lock);
    conn_unref(c);
    TRY(rc);
    if (call->state == CALL_WAITS)
        return ctx_fail(ctx, E_TIMEOUT, "the %s did not answer %s in time", peer->name, wire_codec_of(type)->name);
    if (call->state == CALL_LOST)
        return ctx_fail(ctx, E_UNREACHABLE, "the %s ended before it answered %s", peer->name, wire_codec_of(type)->name);
    return RC_OK;
}

/* Checks the table before anything is sent: a mistake here is ours. */
static struct rc encode_request(struct ctx *ctx, struct wire_peer *peer, uint16_t type, const void *in, struct buf *body)
{
    const struct wire_codec *codec = wire_codec_of(type);
    if (!codec || codec->answer_only)
        return ctx_fail(ctx, E_BUG, "message %u cannot be sent", type);
    if (!(codec->from & wire_role_bit(peer->self)) || !(codec->to & wire_role_bit(peer->name)))
        return ctx_fail(ctx, E_BUG, "%s may not send %s to %s", peer->self, codec->name, peer->name);
    body->max = codec->max;
    body->wipe = codec->secret;
    struct rc rc = codec->encode(ctx, in, body);
    return rc_failed(rc) ? ctx_wrap(ctx, rc, "%s cannot be sent to the %s", codec->name, peer->name) : rc;
}

struct rc wire_call(struct ctx *ctx, struct wire_peer *peer, uint16_t type, const void *in, uint16_t reply_type, void *out)
{
    bool answered;
    return wire_call_answered(ctx, peer, type, in, reply_type, out, &answered);
}

struct rc wire_call_answered(struct ctx *ctx, struct wire_peer *peer, uint16_t type, const void *in, uint16_t reply_type, void *out,
                             bool *answered)
{
    *answered = false;
    struct buf body BUF_CLEANUP;
    buf_init(&body, 0);
    TRY(encode_request(ctx, peer, type, in, &body));
    const struct wire_codec *reply = wire_codec_of(reply_type);
    if (!reply || wire_codec_of(type)->reply != reply_type)
        return ctx_fail(ctx, E_BUG, "%s is not answered by message %u", wire_codec_of(type)->name, reply_type);
    memset(out, 0, reply->size);
    struct call call = {.reply_type = reply_type, .state = CALL_WAITS};
    cond_init_mono(&call.changed);
    struct rc rc = send_and_wait(ctx, peer, &call, type, buf_bytes(&body));
    pthread_cond_destroy(&call.changed);
    *answered = rc_ok(rc);
    if (rc_ok(rc) && call.frame.type == WIRE_ERROR) {
        rc = error_decode(ctx, call.frame.body, peer->name);
    } else if (rc_ok(rc)) {
        rc = reply->decode(ctx, call.frame.body, out);
        if (rc_failed(rc)) {
            if (reply->wipe)
                reply->wipe(out);
            rc = ctx_fail(ctx, E_BAD_ANSWER, "the %s's answer %s is not valid", peer->name, reply->name);
        }
    }
    frame_free(&call.frame);
    return rc;
}

struct rc wire_notify(struct ctx *ctx, struct wire_peer *peer, uint16_t type, const void *in)
{
    struct buf body BUF_CLEANUP;
    buf_init(&body, 0);
    TRY(encode_request(ctx, peer, type, in, &body));
    if (wire_codec_of(type)->reply)
        return ctx_fail(ctx, E_BUG, "%s has an answer; call it", wire_codec_of(type)->name);
    struct wire_conn *c = NULL;
    TRY(take_conn(ctx, peer, NULL, &c));
    struct rc rc = conn_send(ctx, c, type, 0, 0, buf_bytes(&body));
    conn_unref(c);
    return rc;
}

struct rc wire_connect(struct ctx *ctx, const char *path, const char *self, const char *name, struct wire_peer **out)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path)
        return ctx_fail(ctx, E_INVALID, "the path of a socket is at most %zu bytes: %s", sizeof a.sun_path - 1, path);
    memcpy(a.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ctx_fail_errno(ctx, "cannot make a socket");
    if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
        int e = errno;
        close(fd);
        return ctx_fail(ctx, E_UNREACHABLE, "cannot reach the %s at %s: %s", name, path, strerror(e));
    }
    *out = wire_peer_new(self, name, NULL);
    wire_peer_replace(*out, fd);
    return RC_OK;
}
