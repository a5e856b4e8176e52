#include "agent/apply/send.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/apply/disk.h"
#include "agent/send_desc.h"
#include "base/failpoint.h"

struct sending {
    const struct agent_config *cfg;
    const struct connector *connector;
    const json_t *params;
    const char *socket; /* symbolic links followed */
    int64_t until_ms;
    uid_t owner;        /* of a file that the step at hand sends; (uid_t)-1: it sends none */
};

static void json_free(json_t **j) { json_decref(*j); }

/* --- what is sent */

/* One word to any service: nothing in it ends a word, a line or a command. */
static bool is_plain_word(const char *value)
{
    for (const char *p = value; *p != '\0'; p++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./_:@*+,=%-", *p) == NULL)
            return false;
    return *value != '\0';
}

/* Without empty lines: they end what is sent in more than one protocol. */
static void put_lines(struct buf *out, struct bytes text)
{
    struct bytes line;
    bool first = true;
    while (text.n > 0) {
        if (!bytes_take_line(&text, &line)) {
            line = text;
            text = (struct bytes){0};
        }
        if (bytes_trim(line).n == 0)
            continue;
        if (!first)
            buf_put_u8(out, '\n');
        buf_put(out, line);
        first = false;
    }
}

static RC put_file(struct ctx *ctx, struct sending *s, const char *path, struct buf *out)
{
    struct bytes text;
    struct stat st;
    const char *real;
    TRY(disk_resolve(ctx, path, &real));
    TRY(agent_config_check_path(ctx, s->cfg, real)); /* again: a link may have led elsewhere */
    struct rc rc = disk_read(ctx, real, DISK_FILE_MAX, &text, &st);
    if (rc.e == E_NOT_FOUND)
        return ctx_fail(ctx, E_NOT_FOUND, "%s is not there: it cannot be sent", path);
    TRY(rc);
    s->owner = st.st_uid;
    put_lines(out, text);
    return RC_OK;
}

static RC make_text(struct ctx *ctx, struct sending *s, const struct send_step *step, struct buf *out)
{
    struct bytes rest = bytes_z(step->text);
    struct send_piece piece;
    bool bad;
    s->owner = (uid_t)-1;
    buf_init_arena(out, &ctx->arena, DISK_FILE_MAX + 65536);
    while (send_next(ctx, &rest, &piece, &bad)) {
        buf_put(out, piece.literal);
        const char *value = *piece.name != '\0' ? connector_param(s->params, piece.name) : NULL;
        if (*piece.name == '\0')
            continue;
        if (value == NULL)
            return ctx_fail(ctx, E_INVALID, "the parameter %s is not given, but is to be sent", piece.name);
        if (piece.file) {
            TRY(put_file(ctx, s, value, out));
            continue;
        }
        if (!is_plain_word(value))
            return ctx_fail(ctx, E_INVALID, "%s %s cannot be sent: it has a sign that would not be taken as part of a word",
                            piece.name, value);
        buf_put_z(out, value);
    }
    return buf_status(out);
}

/* --- the socket */

static RC wait_for(struct ctx *ctx, const struct sending *s, int fd, short what)
{
    for (;;) {
        int64_t left = s->until_ms - clock_mono_ms();
        struct pollfd p = {.fd = fd, .events = what};
        int n = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (n > 0)
            return RC_OK;
        if (n == 0)
            return ctx_fail(ctx, E_TIMEOUT, "%s does not answer within %d s", s->socket, SEND_WAIT_MS / 1000);
        if (errno != EINTR)
            return ctx_fail_errno(ctx, "%s", s->socket);
    }
}

static RC open_socket(struct ctx *ctx, const struct sending *s, int *out)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(s->socket) >= sizeof a.sun_path)
        return ctx_fail(ctx, E_INVALID, "%s: the path of a socket has at most %zu bytes", s->socket, sizeof a.sun_path - 1);
    memcpy(a.sun_path, s->socket, strlen(s->socket));
    *out = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*out < 0)
        return ctx_fail_errno(ctx, "a socket");
    while (connect(*out, (struct sockaddr *)&a, sizeof a) != 0) {
        if (errno == EAGAIN && clock_mono_ms() < s->until_ms) { /* its queue is full */
            struct timespec t = {.tv_nsec = 20000000};
            nanosleep(&t, NULL);
        } else if (errno != EINTR) {
            return ctx_fail(ctx, E_UNREACHABLE, "nobody listens on %s: %s", s->socket, strerror(errno));
        }
    }
    return RC_OK;
}

/* Whoever listens learns what is sent. */
static RC check_listener(struct ctx *ctx, const struct sending *s, int fd)
{
    struct ucred who;
    socklen_t n = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) != 0)
        return ctx_fail_errno(ctx, "%s", s->socket);
    if (s->owner == (uid_t)-1 || who.uid == 0 || who.uid == geteuid() || who.uid == s->owner)
        return RC_OK;
    return ctx_fail(ctx, E_NOT_GRANTED,
                    "%s is listened on by user %u, who may not read what would be sent there: have the service open it as root, or "
                    "give the file to that user",
                    s->socket, (unsigned)who.uid);
}

static RC write_all(struct ctx *ctx, const struct sending *s, int fd, struct bytes text)
{
    while (text.n > 0) {
        ssize_t n = send(fd, text.p, text.n, MSG_NOSIGNAL);
        if (n > 0)
            bytes_skip(&text, (size_t)n);
        else if (n < 0 && errno == EAGAIN)
            TRY(wait_for(ctx, s, fd, POLLOUT));
        else if (n == 0 || errno != EINTR)
            return ctx_fail(ctx, E_UNREACHABLE, "%s took only a part of what was sent: %s", s->socket, strerror(errno));
    }
    return RC_OK;
}

/* The answer ends where the service closes; where what is expected has come it is heard out no further. */
static RC read_answer(struct ctx *ctx, const struct sending *s, int fd, const char *expect, struct buf *out)
{
    buf_init_arena(out, &ctx->arena, SEND_ANSWER_MAX);
    for (;;) {
        uint8_t *room = buf_reserve(out, 1024);
        if (room == NULL)
            return ctx_fail(ctx, E_TOO_LARGE, "%s answers with more than %d bytes", s->socket, SEND_ANSWER_MAX);
        ssize_t n = recv(fd, room, 1024, 0);
        if (n < 0 && errno == EAGAIN) {
            TRY(wait_for(ctx, s, fd, POLLIN));
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) /* a reset after the answer is no worse than its end */
            return RC_OK;
        buf_commit(out, (size_t)n);
        if (expect != NULL && bytes_find(buf_bytes(out), bytes_z(expect)) != SIZE_MAX)
            return RC_OK;
    }
}

static const char *in_words(struct ctx *ctx, struct bytes answer)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1024);
    while (answer.n > 0 && (answer.p[answer.n - 1] == '\n' || answer.p[answer.n - 1] == ' '))
        answer.n--;
    for (size_t i = 0; i < answer.n && i < 500; i++)
        buf_put_u8(&b, answer.p[i] >= 0x20 && answer.p[i] < 0x7f ? answer.p[i] : ' ');
    return b.n > 0 ? buf_z(&b) : "nothing";
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static RC do_step(struct ctx *ctx, struct sending *s, const struct send_step *step)
{
    __attribute__((cleanup(close_fd))) int fd = -1;
    struct buf text, answer;
    TRY(make_text(ctx, s, step, &text));
    TRY(open_socket(ctx, s, &fd));
    TRY(check_listener(ctx, s, fd));
    TRY(write_all(ctx, s, fd, buf_bytes(&text)));
    TRY(read_answer(ctx, s, fd, step->expect, &answer));
    if (step->expect == NULL || bytes_find(buf_bytes(&answer), bytes_z(step->expect)) != SIZE_MAX)
        return RC_OK;
    return ctx_fail(ctx, E_DEPLOY_FAILED, "%s says: %s", s->socket, in_words(ctx, buf_bytes(&answer)));
}

RC send_steps(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref, const char *connector,
              const char *parameters)
{
    __attribute__((cleanup(json_free))) json_t *params = NULL;
    struct connector c;
    struct sending s = {.cfg = cfg, .connector = &c, .until_ms = clock_mono_ms() + ctx_left_ms(ctx, SEND_WAIT_MS)};
    struct stat st;
    TRY(target_check(ctx, cfg, ref));
    TRY(connector_load(ctx, cfg, connector, &c));
    if (c.send == NULL)
        return ctx_fail(ctx, E_INVALID, "connector %s sends nothing", connector);
    TRY(json_read(ctx, bytes_z(parameters), &params));
    TRY(connector_check_params(ctx, cfg, &c, params));
    s.params = params;
    TRY(disk_resolve(ctx, connector_param(params, c.send->socket_param), &s.socket));
    TRY(agent_config_check_path(ctx, cfg, s.socket));
    if (lstat(s.socket, &st) != 0)
        return ctx_fail(ctx, E_UNREACHABLE, "%s: %s; does the service run, and does it open this socket?", s.socket,
                        strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return ctx_fail(ctx, E_INVALID, "%s is not a socket", s.socket);
    for (size_t i = 0; i < c.send->n; i++) {
        FAILPOINT("apply.send_step");
        TRY(do_step(ctx, &s, &c.send->steps[i]));
    }
    FAILPOINT("apply.sent");
    return RC_OK;
}
