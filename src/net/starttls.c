#include "net/starttls.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/str.h"

/* A greeting has a few lines; who goes on and on is not served. */
#define LINE_MAX_  2048
#define LINES_MAX  64
#define PACKET_MAX 4096

struct talk {
    int fd;
    int64_t deadline_ms;
    const char *peer;
};

static RC wait_for(struct ctx *ctx, const struct talk *t, short events)
{
    for (;;) {
        int64_t left = t->deadline_ms - clock_mono_ms();
        struct pollfd fd = {.fd = t->fd, .events = events};
        int n = left > 0 ? poll(&fd, 1, (int)left) : 0;
        if (n > 0)
            return RC_OK;
        if (n == 0)
            return ctx_fail(ctx, E_TIMEOUT, "%s did not answer in time before STARTTLS", t->peer);
        if (errno != EINTR)
            return ctx_fail_errno(ctx, "waiting for %s", t->peer);
    }
}

static RC say(struct ctx *ctx, const struct talk *t, struct bytes data)
{
    while (data.n > 0) {
        ssize_t n = send(t->fd, data.p, data.n, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            TRY(wait_for(ctx, t, POLLOUT));
            continue;
        }
        if (n < 0)
            return ctx_fail(ctx, E_UNREACHABLE, "%s closed the connection before STARTTLS", t->peer);
        bytes_skip(&data, (size_t)n);
    }
    return RC_OK;
}

/* Exactly `n` bytes: what follows them belongs to the handshake. */
static RC hear(struct ctx *ctx, const struct talk *t, uint8_t *out, size_t n)
{
    while (n > 0) {
        ssize_t got = recv(t->fd, out, n, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            TRY(wait_for(ctx, t, POLLIN));
            continue;
        }
        if (got <= 0)
            return ctx_fail(ctx, E_UNREACHABLE, "%s closed the connection before STARTTLS", t->peer);
        out += got;
        n -= (size_t)got;
    }
    return RC_OK;
}

static RC hear_line(struct ctx *ctx, const struct talk *t, struct bytes *out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, LINE_MAX_);
    for (;;) {
        uint8_t c;
        TRY(hear(ctx, t, &c, 1));
        if (c == '\n')
            break;
        buf_put_u8(&b, c);
        if (rc_failed(buf_status(&b)))
            return ctx_fail(ctx, E_BAD_ANSWER, "%s sends a line of more than %d bytes before STARTTLS", t->peer, LINE_MAX_);
    }
    *out = bytes_trim(buf_bytes(&b));
    return RC_OK;
}

/* Their words, as they may stand in a message. */
static const char *words(struct ctx *ctx, struct bytes line)
{
    char *text = arena_str(&ctx->arena, bytes_of(line.p, line.n < 200 ? line.n : 200));
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            *c = '?';
    return text;
}

static RC refused(struct ctx *ctx, const struct talk *t, struct bytes line)
{
    return ctx_fail(ctx, E_TLS, "%s does not begin TLS: %s", t->peer, words(ctx, line));
}

/* The reply of SMTP and FTP: "250-…" lines, then "250 …".  `code` begins the last. */
static RC hear_reply(struct ctx *ctx, const struct talk *t, const char *code)
{
    for (int i = 0; i < LINES_MAX; i++) {
        struct bytes line;
        TRY(hear_line(ctx, t, &line));
        if (line.n > 3 && line.p[3] == '-')
            continue;
        return bytes_starts_with(line, bytes_z(code)) ? RC_OK : refused(ctx, t, line);
    }
    return ctx_fail(ctx, E_BAD_ANSWER, "%s goes on and on before STARTTLS", t->peer);
}

/* Lines until one that begins with `good`; one that begins with `bad` is a refusal. */
static RC hear_until(struct ctx *ctx, const struct talk *t, const char *good, const char *bad)
{
    for (int i = 0; i < LINES_MAX; i++) {
        struct bytes line;
        TRY(hear_line(ctx, t, &line));
        if (bytes_starts_with(line, bytes_z(good)))
            return RC_OK;
        if (bytes_starts_with(line, bytes_z(bad)))
            return refused(ctx, t, line);
    }
    return ctx_fail(ctx, E_BAD_ANSWER, "%s goes on and on before STARTTLS", t->peer);
}

static RC smtp(struct ctx *ctx, const struct talk *t)
{
    TRY(hear_reply(ctx, t, "220"));
    TRY(say(ctx, t, BYTES_LIT("EHLO certwright.invalid\r\n")));
    TRY(hear_reply(ctx, t, "250"));
    TRY(say(ctx, t, BYTES_LIT("STARTTLS\r\n")));
    return hear_reply(ctx, t, "220");
}

static RC ftp(struct ctx *ctx, const struct talk *t)
{
    TRY(hear_reply(ctx, t, "220"));
    TRY(say(ctx, t, BYTES_LIT("AUTH TLS\r\n")));
    return hear_reply(ctx, t, "234");
}

static RC imap(struct ctx *ctx, const struct talk *t)
{
    TRY(hear_until(ctx, t, "* OK", "* BYE"));
    TRY(say(ctx, t, BYTES_LIT("a1 STARTTLS\r\n")));
    return hear_until(ctx, t, "a1 OK", "a1 ");
}

static RC pop3(struct ctx *ctx, const struct talk *t)
{
    TRY(hear_until(ctx, t, "+OK", "-ERR"));
    TRY(say(ctx, t, BYTES_LIT("STLS\r\n")));
    return hear_until(ctx, t, "+OK", "-ERR");
}

static RC sieve(struct ctx *ctx, const struct talk *t)
{
    TRY(hear_until(ctx, t, "OK", "BYE"));
    TRY(say(ctx, t, BYTES_LIT("STARTTLS\r\n")));
    return hear_until(ctx, t, "OK", "NO");
}

/* ExtendedRequest with the name 1.3.6.1.4.1.1466.20037, message 1. */
static RC ldap(struct ctx *ctx, const struct talk *t)
{
    static const uint8_t ask[] = "\x30\x1d\x02\x01\x01\x77\x18\x80\x16" "1.3.6.1.4.1.1466.20037";
    uint8_t head[2], more[4], body[PACKET_MAX];
    size_t n;
    TRY(say(ctx, t, bytes_of(ask, sizeof ask - 1)));
    TRY(hear(ctx, t, head, sizeof head));
    n = head[1];
    if (head[1] & 0x80) { /* the long form of a length; OpenLDAP uses four bytes */
        size_t octets = head[1] & 0x7f;
        if (octets == 0 || octets > sizeof more)
            return ctx_fail(ctx, E_BAD_ANSWER, "%s does not answer as LDAP does", t->peer);
        TRY(hear(ctx, t, more, octets));
        n = 0;
        for (size_t i = 0; i < octets; i++)
            n = n << 8 | more[i];
    }
    if (head[0] != 0x30 || n < 10 || n > sizeof body)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s does not answer as LDAP does", t->peer);
    TRY(hear(ctx, t, body, n));
    /* messageID 1, then ExtendedResponse (0x78) with a length of any form, then resultCode. */
    if (memcmp(body, "\x02\x01\x01\x78", 4) != 0)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s does not answer as LDAP does", t->peer);
    size_t at = 5 + (body[4] & 0x80 ? body[4] & 0x7fU : 0);
    if (at + 3 > n || body[at] != 0x0a || body[at + 1] != 1)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s does not answer as LDAP does", t->peer);
    if (body[at + 2] != 0)
        return ctx_fail(ctx, E_TLS, "%s does not begin TLS: LDAP result %d", t->peer, body[at + 2]);
    return RC_OK;
}

static RC postgres(struct ctx *ctx, const struct talk *t)
{
    static const uint8_t ask[] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};
    uint8_t answer;
    TRY(say(ctx, t, bytes_of(ask, sizeof ask)));
    TRY(hear(ctx, t, &answer, 1));
    if (answer == 'S')
        return RC_OK;
    if (answer == 'N')
        return ctx_fail(ctx, E_TLS, "%s does not begin TLS: ssl is off there", t->peer);
    return ctx_fail(ctx, E_BAD_ANSWER, "%s does not answer as PostgreSQL does", t->peer);
}

#define MYSQL_CLIENT_SSL 0x0800

/* The greeting (protocol 10): version, NUL, 4 bytes thread, 8 bytes salt, a zero, and the lower two bytes of what it can. */
static RC mysql(struct ctx *ctx, const struct talk *t)
{
    uint8_t head[4], body[PACKET_MAX], ask[36] = {32, 0, 0, 1};
    TRY(hear(ctx, t, head, sizeof head));
    size_t n = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
    if (n < 20 || n > sizeof body)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s does not greet as MySQL does", t->peer);
    TRY(hear(ctx, t, body, n));
    if (body[0] == 0xff)
        return refused(ctx, t, bytes_of(body + 3, n - 3));
    const uint8_t *end = memchr(body + 1, 0, n - 1);
    if (body[0] != 10 || end == NULL || (size_t)(end - body) + 1 + 4 + 8 + 1 + 2 > n)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s does not greet as MySQL does", t->peer);
    const uint8_t *can = end + 1 + 4 + 8 + 1;
    if (!((can[0] | can[1] << 8) & MYSQL_CLIENT_SSL))
        return ctx_fail(ctx, E_TLS, "%s does not begin TLS: ssl is off there", t->peer);
    ask[4] = 0x00, ask[5] = 0x8a; /* CLIENT_PROTOCOL_41 0x0200, CLIENT_SSL 0x0800, CLIENT_SECURE_CONNECTION 0x8000 */
    ask[11] = 0x01;               /* packets of at most 16 MiB */
    ask[12] = 33;                 /* utf8 */
    return say(ctx, t, bytes_of(ask, sizeof ask));
}

static const struct {
    const char *name;
    RC (*begin)(struct ctx *ctx, const struct talk *t);
} protocols[STARTTLS_PROTOCOLS] = {
    [STARTTLS_NONE] = {"", NULL},      [STARTTLS_SMTP] = {"smtp", smtp},
    [STARTTLS_IMAP] = {"imap", imap},  [STARTTLS_POP3] = {"pop3", pop3},
    [STARTTLS_FTP] = {"ftp", ftp},     [STARTTLS_LDAP] = {"ldap", ldap},
    [STARTTLS_SIEVE] = {"sieve", sieve}, [STARTTLS_POSTGRES] = {"postgres", postgres},
    [STARTTLS_MYSQL] = {"mysql", mysql},
};

enum starttls starttls_by_name(const char *name)
{
    for (unsigned i = 0; i < STARTTLS_PROTOCOLS; i++)
        if (str_equal(protocols[i].name, name))
            return (enum starttls)i;
    return STARTTLS_PROTOCOLS;
}

RC starttls_begin(struct ctx *ctx, enum starttls protocol, int fd, int64_t deadline_ms, const char *peer)
{
    const struct talk t = {fd, deadline_ms, peer};
    return protocol == STARTTLS_NONE ? RC_OK : protocols[protocol].begin(ctx, &t);
}
