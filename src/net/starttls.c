#include "net/starttls.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/str.h"

/* A greeting has a few lines; who goes on and on is not served. */
#define LINE_CEILING 2048
#define LINES_MAX    64
#define PACKET_MAX   4096

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

/* Who speaks out of turn is not listened to: somebody on the way may have put in words, since nothing protects them yet. */
static RC quiet(struct ctx *ctx, const struct talk *t)
{
    uint8_t c;
    if (recv(t->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s sends more than was asked for before TLS has begun", t->peer);
    return RC_OK;
}

static RC ask(struct ctx *ctx, const struct talk *t, struct bytes data)
{
    TRY(quiet(ctx, t));
    return say(ctx, t, data);
}

static RC hear_line(struct ctx *ctx, const struct talk *t, struct bytes *out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, LINE_CEILING);
    for (;;) {
        uint8_t c;
        TRY(hear(ctx, t, &c, 1));
        if (c == '\n')
            break;
        buf_put_u8(&b, c);
        if (rc_failed(buf_status(&b)))
            return ctx_fail(ctx, E_BAD_ANSWER, "%s sends a line of more than %d bytes before TLS", t->peer, LINE_CEILING);
    }
    *out = buf_bytes(&b);
    if (bytes_ends_with(*out, BYTES_LIT("\r")))
        out->n--;
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

static RC foreign(struct ctx *ctx, const struct talk *t, const char *protocol)
{
    return ctx_fail(ctx, E_BAD_ANSWER, "%s does not answer as %s does: is it another port?", t->peer, protocol);
}

static RC endless(struct ctx *ctx, const struct talk *t)
{
    return ctx_fail(ctx, E_BAD_ANSWER, "%s sends more than %d lines before STARTTLS", t->peer, LINES_MAX);
}

/* Whether a line begins with the word, in any case, and the word ends there. */
static bool says(struct bytes line, const char *word)
{
    struct bytes w = bytes_z(word);
    return line.n >= w.n && bytes_equal_nocase(bytes_of(line.p, w.n), w) && (line.n == w.n || line.p[w.n] == ' ');
}

static bool has_code(struct bytes line)
{
    return line.n >= 3 && line.p[0] >= '2' && line.p[0] <= '5' && line.p[1] >= '0' && line.p[1] <= '9' && line.p[2] >= '0' &&
           line.p[2] <= '9' && (line.n == 3 || line.p[3] == ' ' || line.p[3] == '-');
}

/* The reply of SMTP and FTP: "250 …", or "250-…" and further lines until "250 …".  In FTP those between may hold anything. */
static RC hear_reply(struct ctx *ctx, const struct talk *t, const char *protocol, const char *code)
{
    struct bytes first = {0}, line;
    for (int i = 0; i < LINES_MAX; i++) {
        TRY(hear_line(ctx, t, &line));
        if (i == 0 && !has_code(line))
            return foreign(ctx, t, protocol);
        if (i == 0)
            first = line;
        bool last = line.n == 3 || (line.n > 3 && line.p[3] == ' ');
        if (last && bytes_starts_with(line, bytes_of(first.p, 3)))
            return says(line, code) ? RC_OK : refused(ctx, t, line);
    }
    return endless(ctx, t);
}

/* Lines until one that begins with `good`.  One that begins with one of `bad` (separated by '|') is a refusal; others may come
 * between where they begin with `between`, and never where that is NULL. */
static RC hear_until(struct ctx *ctx, const struct talk *t, const char *protocol, const char *good, const char *bad,
                     const char *between)
{
    for (int i = 0; i < LINES_MAX; i++) {
        struct bytes line, rest = bytes_z(bad), word;
        TRY(hear_line(ctx, t, &line));
        if (says(line, good))
            return RC_OK;
        while (bytes_take_until(&rest, '|', &word))
            if (says(line, arena_str(&ctx->arena, word)))
                return refused(ctx, t, line);
        if (between == NULL || !bytes_starts_with(line, bytes_z(between)))
            return foreign(ctx, t, protocol);
    }
    return endless(ctx, t);
}

static RC smtp(struct ctx *ctx, const struct talk *t)
{
    TRY(hear_reply(ctx, t, "SMTP", "220"));
    TRY(ask(ctx, t, BYTES_LIT("EHLO certwright.invalid\r\n")));
    TRY(hear_reply(ctx, t, "SMTP", "250"));
    TRY(ask(ctx, t, BYTES_LIT("STARTTLS\r\n")));
    return hear_reply(ctx, t, "SMTP", "220");
}

static RC ftp(struct ctx *ctx, const struct talk *t)
{
    TRY(hear_reply(ctx, t, "FTP", "220"));
    TRY(ask(ctx, t, BYTES_LIT("AUTH TLS\r\n")));
    return hear_reply(ctx, t, "FTP", "234");
}

/* An IMAP server may say something untagged at any time, but not after the tagged answer.  PREAUTH: signed in already, and then
 * there is no STARTTLS (RFC 9051 section 7.1.4). */
static RC imap(struct ctx *ctx, const struct talk *t)
{
    TRY(hear_until(ctx, t, "IMAP", "* OK", "* BYE|* PREAUTH", NULL));
    TRY(say(ctx, t, BYTES_LIT("a1 STARTTLS\r\n")));
    return hear_until(ctx, t, "IMAP", "a1 OK", "a1 NO|a1 BAD|* BYE", "* ");
}

static RC pop3(struct ctx *ctx, const struct talk *t)
{
    TRY(hear_until(ctx, t, "POP3", "+OK", "-ERR", NULL));
    TRY(ask(ctx, t, BYTES_LIT("STLS\r\n")));
    return hear_until(ctx, t, "POP3", "+OK", "-ERR", NULL);
}

static RC sieve(struct ctx *ctx, const struct talk *t)
{
    TRY(hear_until(ctx, t, "ManageSieve", "OK", "NO|BYE", "\""));
    TRY(ask(ctx, t, BYTES_LIT("STARTTLS\r\n")));
    return hear_until(ctx, t, "ManageSieve", "OK", "NO|BYE", NULL);
}

/* One element of BER: OpenLDAP writes each length in four bytes, which DER forbids. */
static bool take_ber(struct bytes *b, uint8_t tag, struct bytes *out)
{
    uint8_t found, first, octet;
    size_t n;
    if (!bytes_take_u8(b, &found) || found != tag || !bytes_take_u8(b, &first))
        return false;
    n = first;
    if (first & 0x80) {
        if ((first & 0x7f) == 0 || (first & 0x7f) > 4)
            return false;
        n = 0;
        for (int i = 0; i < (first & 0x7f); i++) {
            if (!bytes_take_u8(b, &octet))
                return false;
            n = n << 8 | octet;
        }
    }
    return bytes_take(b, n, out);
}

/* An LDAPMessage with an ExtendedResponse, message 1 or (notice of disconnection) 0: resultCode and diagnosticMessage. */
static bool read_ldap(struct bytes message, int *result, struct bytes *why)
{
    struct bytes id, response, code, dn;
    if (!take_ber(&message, 0x02, &id) || id.n != 1 || id.p[0] > 1 || !take_ber(&message, 0x78, &response))
        return false;
    if (!take_ber(&response, 0x0a, &code) || code.n != 1 || !take_ber(&response, 0x04, &dn) || !take_ber(&response, 0x04, why))
        return false;
    *result = code.p[0];
    return id.p[0] == 1 || *result != 0;
}

/* ExtendedRequest with the name 1.3.6.1.4.1.1466.20037, message 1. */
static RC ldap(struct ctx *ctx, const struct talk *t)
{
    static const uint8_t request[] = "\x30\x1d\x02\x01\x01\x77\x18\x80\x16" "1.3.6.1.4.1.1466.20037";
    uint8_t head[2], more[4], body[PACKET_MAX];
    struct bytes why;
    int result;
    TRY(ask(ctx, t, bytes_of(request, sizeof request - 1)));
    TRY(hear(ctx, t, head, sizeof head));
    size_t n = head[1];
    if (head[0] != 0x30)
        return foreign(ctx, t, "LDAP");
    if (head[1] & 0x80) {
        size_t octets = head[1] & 0x7f;
        if (octets == 0 || octets > sizeof more)
            return foreign(ctx, t, "LDAP");
        TRY(hear(ctx, t, more, octets));
        n = 0;
        for (size_t i = 0; i < octets; i++)
            n = n << 8 | more[i];
    }
    if (n > sizeof body)
        return foreign(ctx, t, "LDAP");
    TRY(hear(ctx, t, body, n));
    if (!read_ldap(bytes_of(body, n), &result, &why))
        return foreign(ctx, t, "LDAP");
    if (result != 0)
        return ctx_fail(ctx, E_TLS, "%s does not begin TLS: LDAP result %d, %s", t->peer, result, words(ctx, why));
    return RC_OK;
}

/* SSLRequest; the answer is one byte. */
static RC postgres(struct ctx *ctx, const struct talk *t)
{
    static const uint8_t request[] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};
    uint8_t answer;
    TRY(ask(ctx, t, bytes_of(request, sizeof request)));
    TRY(hear(ctx, t, &answer, 1));
    if (answer == 'S')
        return RC_OK;
    if (answer == 'N')
        return ctx_fail(ctx, E_TLS, "%s does not begin TLS: ssl is off there", t->peer);
    return foreign(ctx, t, "PostgreSQL");
}

#define MYSQL_CLIENT_SSL 0x0800

/* The greeting (protocol 10): version, NUL, 4 bytes thread, 8 bytes salt, a zero, and the lower two bytes of what it can. */
static RC mysql(struct ctx *ctx, const struct talk *t)
{
    uint8_t head[4], body[PACKET_MAX], request[36] = {32, 0, 0, 1};
    TRY(hear(ctx, t, head, sizeof head));
    size_t n = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
    if (n < 3 || n > sizeof body || head[3] != 0)
        return foreign(ctx, t, "MySQL");
    TRY(hear(ctx, t, body, n));
    if (body[0] == 0xff) /* an error, such as too many connections: its number and its words */
        return refused(ctx, t, bytes_of(body + 3, n - 3));
    const uint8_t *end = memchr(body + 1, 0, n - 1);
    if (body[0] != 10 || end == NULL || (size_t)(end - body) + 1 + 4 + 8 + 1 + 2 > n)
        return foreign(ctx, t, "MySQL");
    const uint8_t *can = end + 1 + 4 + 8 + 1;
    if (!((can[0] | can[1] << 8) & MYSQL_CLIENT_SSL))
        return ctx_fail(ctx, E_TLS, "%s does not begin TLS: ssl is off there", t->peer);
    request[4] = 0x00, request[5] = 0x8a; /* CLIENT_PROTOCOL_41 0x0200, CLIENT_SSL 0x0800, CLIENT_SECURE_CONNECTION 0x8000 */
    request[11] = 0x01;                   /* packets of at most 16 MiB */
    request[12] = 33;                     /* utf8 */
    return ask(ctx, t, bytes_of(request, sizeof request));
}

static const struct {
    const char *name;
    RC (*begin)(struct ctx *ctx, const struct talk *t);
    uint16_t port;
} protocols[STARTTLS_PROTOCOLS] = {
    [STARTTLS_NONE] = {"", NULL, 443},         [STARTTLS_SMTP] = {"smtp", smtp, 25},
    [STARTTLS_IMAP] = {"imap", imap, 143},     [STARTTLS_POP3] = {"pop3", pop3, 110},
    [STARTTLS_FTP] = {"ftp", ftp, 21},         [STARTTLS_LDAP] = {"ldap", ldap, 389},
    [STARTTLS_SIEVE] = {"sieve", sieve, 4190}, [STARTTLS_POSTGRES] = {"postgres", postgres, 5432},
    [STARTTLS_MYSQL] = {"mysql", mysql, 3306},
};

uint16_t starttls_port(enum starttls protocol)
{
    return protocols[protocol].port;
}

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
    if (protocol == STARTTLS_NONE)
        return RC_OK;
    TRY(protocols[protocol].begin(ctx, &t));
    return quiet(ctx, &t);
}
