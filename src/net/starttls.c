#include "net/starttls.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/str.h"

/* A greeting has a few lines; who goes on and on is not served. */
#define LINE_CEILING 2048
#define LINES_MAX    64
#define PACKET_MAX   4096
#define HEARD_MAX    ((size_t)160 << 10) /* waiting to be used; LINES_MAX lines and more */
#define XMPP_MAX     16384

/* --- what is told */

/* Their words, as they may stand in a message. */
static const char *words(struct ctx *ctx, struct bytes line)
{
    char *text = arena_str(&ctx->arena, bytes_of(line.p, line.n < 200 ? line.n : 200));
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            *c = '?';
    return text;
}

static RC refused(struct ctx *ctx, const struct starttls_talk *t, struct bytes line)
{
    return ctx_fail(ctx, E_TLS, "%s does not begin TLS: %s", t->peer, words(ctx, line));
}

static RC foreign(struct ctx *ctx, const struct starttls_talk *t, const char *protocol)
{
    return ctx_fail(ctx, E_BAD_ANSWER, "%s does not answer as %s does: is it another port?", t->peer, protocol);
}

/* Who speaks out of turn is not listened to: somebody on the way may have put in words, since nothing protects them yet. */
static RC quiet(struct ctx *ctx, const struct starttls_talk *t, struct bytes rest)
{
    if (rest.n > 0)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s sends more than was asked for before TLS has begun", t->peer);
    return RC_OK;
}

/* --- protocols of lines: a table of steps each */

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

struct line_step {
    const char *say;     /* NULL: the server begins */
    bool aside;          /* it may have spoken meanwhile */
    const char *code;    /* the reply of SMTP and FTP with one of these codes, or … */
    const char *good;    /* … lines until one that begins with this word */
    const char *bad;     /* words that refuse, separated by '|' */
    const char *between; /* how lines before it begin; NULL: there are none */
};

/* An IMAP server may say something untagged at any time, but not after the tagged answer.  PREAUTH: signed in already, and then
 * there is no STARTTLS (RFC 9051 section 7.1.4). */
static const struct line_step
    smtp[] = {{.code = "220"}, {.say = "EHLO certwright.invalid\r\n", .code = "250"}, {.say = "STARTTLS\r\n", .code = "220"}, {0}},
    ftp[] = {{.code = "220"}, {.say = "AUTH TLS\r\n", .code = "234"}, {0}},
    nntp[] = {{.code = "200|201"}, {.say = "STARTTLS\r\n", .code = "382"}, {0}},
    imap[] = {{.good = "* OK", .bad = "* BYE|* PREAUTH"},
              {.say = "a1 STARTTLS\r\n", .aside = true, .good = "a1 OK", .bad = "a1 NO|a1 BAD|* BYE", .between = "* "},
              {0}},
    pop3[] = {{.good = "+OK", .bad = "-ERR"}, {.say = "STLS\r\n", .good = "+OK", .bad = "-ERR"}, {0}},
    sieve[] = {{.good = "OK", .bad = "NO|BYE", .between = "\""}, {.say = "STARTTLS\r\n", .good = "OK", .bad = "NO|BYE"}, {0}};

static bool says_any(struct ctx *ctx, struct bytes line, const char *list)
{
    struct bytes rest = bytes_z(list), word;
    while (bytes_take_until(&rest, '|', &word))
        if (says(line, arena_str(&ctx->arena, word)))
            return true;
    return false;
}

/* "250 …", or "250-…" and further lines until "250 …".  In FTP those between may hold anything. */
static RC line_of_code(struct ctx *ctx, struct starttls_talk *t, const struct line_step *s, const char *protocol, struct bytes line,
                       bool *done)
{
    if (t->lines == 0 && !has_code(line))
        return foreign(ctx, t, protocol);
    if (t->lines == 0)
        memcpy(t->first, line.p, 3);
    const bool last = line.n == 3 || (line.n > 3 && line.p[3] == ' ');
    *done = last && bytes_starts_with(line, bytes_of(t->first, 3));
    return !*done || says_any(ctx, line, s->code) ? RC_OK : refused(ctx, t, line);
}

static RC line_of_words(struct ctx *ctx, struct starttls_talk *t, const struct line_step *s, const char *protocol,
                        struct bytes line, bool *done)
{
    *done = says(line, s->good);
    if (*done)
        return RC_OK;
    if (says_any(ctx, line, s->bad))
        return refused(ctx, t, line);
    return s->between && bytes_starts_with(line, bytes_z(s->between)) ? RC_OK : foreign(ctx, t, protocol);
}

static RC take_line(struct ctx *ctx, const struct starttls_talk *t, struct bytes *rest, struct bytes *line, bool *there)
{
    const size_t n = bytes_find(*rest, BYTES_LIT("\n"));
    *there = n != SIZE_MAX;
    if ((*there ? n : rest->n) > LINE_CEILING)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s sends a line of more than %d bytes before TLS", t->peer, LINE_CEILING);
    if (*there)
        bytes_take_line(rest, line);
    return RC_OK;
}

static RC go_lines(struct ctx *ctx, struct starttls_talk *t, const struct line_step *steps, const char *protocol,
                   struct bytes *rest, struct bytes *say, bool *ready)
{
    for (const struct line_step *s = &steps[t->step]; s->code || s->good; s = &steps[t->step]) {
        struct bytes line;
        bool there, done = false;
        if (s->say && !t->said) {
            if (!s->aside)
                TRY(quiet(ctx, t, *rest));
            t->said = true;
            *say = bytes_z(s->say);
            return RC_OK;
        }
        TRY(take_line(ctx, t, rest, &line, &there));
        if (!there)
            return RC_OK;
        TRY((s->code ? line_of_code : line_of_words)(ctx, t, s, protocol, line, &done));
        if (!done && ++t->lines == LINES_MAX)
            return ctx_fail(ctx, E_BAD_ANSWER, "%s sends more than %d lines before STARTTLS", t->peer, LINES_MAX);
        if (done)
            t->step++, t->lines = 0, t->said = false;
    }
    *ready = true;
    return RC_OK;
}

/* --- protocols of messages */

/* What is said first, once. */
static bool speaks(struct starttls_talk *t, struct bytes words_, struct bytes *say)
{
    if (t->said)
        return false;
    t->said = true;
    *say = words_;
    return true;
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

/* The length of what begins with a tag and a length in BER; SIZE_MAX where it is not there yet; 0 where it is none, or too long. */
static size_t ber_length(struct bytes b)
{
    size_t n = b.n < 2 ? 0 : b.p[1];
    if (b.n < 2)
        return SIZE_MAX;
    if (!(n & 0x80))
        return 2 + n;
    const size_t octets = n & 0x7f;
    if (octets == 0 || octets > 4)
        return 0;
    if (b.n < 2 + octets)
        return SIZE_MAX;
    n = 0;
    for (size_t i = 0; i < octets; i++)
        n = n << 8 | b.p[2 + i];
    return n > PACKET_MAX ? 0 : 2 + octets + n;
}

/* ExtendedRequest with the name 1.3.6.1.4.1.1466.20037, message 1. */
static RC go_ldap(struct ctx *ctx, struct starttls_talk *t, struct bytes *rest, struct bytes *say, bool *ready)
{
    static const char request[] = "\x30\x1d\x02\x01\x01\x77\x18\x80\x16" "1.3.6.1.4.1.1466.20037";
    struct bytes message, body, why;
    int result;
    if (!t->said)
        TRY(quiet(ctx, t, *rest));
    if (speaks(t, bytes_of(request, sizeof request - 1), say) || rest->n == 0)
        return RC_OK;
    const size_t n = ber_length(*rest);
    if (rest->p[0] != 0x30 || n == 0)
        return foreign(ctx, t, "LDAP");
    if (n == SIZE_MAX || !bytes_take(rest, n, &message))
        return RC_OK;
    if (!take_ber(&message, 0x30, &body) || !read_ldap(body, &result, &why))
        return foreign(ctx, t, "LDAP");
    if (result != 0)
        return ctx_fail(ctx, E_TLS, "%s does not begin TLS: LDAP result %d, %s", t->peer, result, words(ctx, why));
    *ready = true;
    return RC_OK;
}

/* SSLRequest; the answer is one byte. */
static RC go_postgres(struct ctx *ctx, struct starttls_talk *t, struct bytes *rest, struct bytes *say, bool *ready)
{
    static const uint8_t request[] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};
    uint8_t answer;
    if (!t->said)
        TRY(quiet(ctx, t, *rest));
    if (speaks(t, bytes_of(request, sizeof request), say) || !bytes_take_u8(rest, &answer))
        return RC_OK;
    if (answer == 'N')
        return ctx_fail(ctx, E_TLS, "%s does not begin TLS: ssl is off there", t->peer);
    *ready = answer == 'S';
    return *ready ? RC_OK : foreign(ctx, t, "PostgreSQL");
}

#define MYSQL_CLIENT_SSL 0x0800

/* The greeting (protocol 10): version, NUL, 4 bytes thread, 8 bytes salt, a zero, and the lower two bytes of what it can. */
static RC go_mysql(struct ctx *ctx, struct starttls_talk *t, struct bytes *rest, struct bytes *say, bool *ready)
{
    /* CLIENT_PROTOCOL_41 0x0200, CLIENT_SSL 0x0800, CLIENT_SECURE_CONNECTION 0x8000; packets of at most 16 MiB; utf8 */
    static const uint8_t request[36] = {32, 0, 0, 1, 0x00, 0x8a, [11] = 0x01, [12] = 33};
    struct bytes message, body;
    if (rest->n < 4)
        return RC_OK;
    const size_t n = (size_t)rest->p[0] | (size_t)rest->p[1] << 8 | (size_t)rest->p[2] << 16;
    if (n < 3 || n > PACKET_MAX || rest->p[3] != 0)
        return foreign(ctx, t, "MySQL");
    if (!bytes_take(rest, 4 + n, &message))
        return RC_OK;
    body = bytes_of(message.p + 4, n);
    if (body.p[0] == 0xff) /* an error, such as too many connections: its number and its words */
        return refused(ctx, t, bytes_of(body.p + 3, n - 3));
    const uint8_t *end = memchr(body.p + 1, 0, n - 1);
    if (body.p[0] != 10 || end == NULL || (size_t)(end - body.p) + 1 + 4 + 8 + 1 + 2 > n)
        return foreign(ctx, t, "MySQL");
    const uint8_t *can = end + 1 + 4 + 8 + 1;
    if (!((can[0] | can[1] << 8) & MYSQL_CLIENT_SSL))
        return ctx_fail(ctx, E_TLS, "%s does not begin TLS: ssl is off there", t->peer);
    *say = bytes_of(request, sizeof request);
    *ready = true;
    return RC_OK;
}

/* A TPKT with a Connection Request that asks for TLS or CredSSP, and the Connection Confirm that chooses. */
static RC go_rdp(struct ctx *ctx, struct starttls_talk *t, struct bytes *rest, struct bytes *say, bool *ready)
{
    static const uint8_t request[] = {3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0};
    struct bytes m;
    if (!t->said)
        TRY(quiet(ctx, t, *rest));
    if (speaks(t, bytes_of(request, sizeof request), say) || rest->n == 0)
        return RC_OK;
    if (rest->p[0] != 3)
        return foreign(ctx, t, "RDP");
    if (rest->n < 4)
        return RC_OK;
    const size_t n = (size_t)rest->p[2] << 8 | rest->p[3];
    if (n < 11 || n > 256)
        return foreign(ctx, t, "RDP");
    if (!bytes_take(rest, n, &m))
        return RC_OK;
    if (m.p[5] != 0xd0)
        return foreign(ctx, t, "RDP");
    if (n < 19 || m.p[11] != 2)
        return ctx_fail(ctx, E_TLS, "%s does not begin TLS: it knows only RDP's own security (%d)", t->peer, n < 19 ? 0 : m.p[15]);
    *ready = (m.p[15] & 0x0b) != 0;
    return *ready ? RC_OK : foreign(ctx, t, "RDP");
}

/* --- XMPP: enough of XML to find three elements */

#define XMPP_TLS "urn:ietf:params:xml:ns:xmpp-tls"

static const char *xmpp_domain(const struct starttls_talk *t)
{
    const char *d = t->domain && *t->domain && strlen(t->domain) < 256 ? t->domain : "localhost";
    for (const char *c = d; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || strchr("-._:", *c)))
            return "localhost";
    return d;
}

/* Drops all up to and with `end`; false where it is not there yet. */
static bool skip_behind(struct bytes *rest, const char *end)
{
    const size_t at = bytes_find(*rest, bytes_z(end));
    return at != SIZE_MAX && bytes_skip(rest, at + strlen(end));
}

static bool has(struct bytes text, const char *part)
{
    return bytes_find(text, bytes_z(part)) != SIZE_MAX;
}

static RC xmpp_features(struct ctx *ctx, struct starttls_talk *t, struct bytes *rest)
{
    const struct bytes all = *rest;
    const size_t error = bytes_find(all, BYTES_LIT("<stream:error"));
    if (error != SIZE_MAX && has(all, "</stream:error>") && bytes_skip(rest, error))
        return refused(ctx, t, *rest);
    if (!skip_behind(rest, "features>") && !skip_behind(rest, "features/>"))
        return RC_OK;
    /* The end tag: the start tag may end with the same letters. */
    struct bytes before = bytes_of(all.p, all.n - rest->n);
    if (!bytes_ends_with(before, BYTES_LIT("features/>")) && !has(before, "</stream:features>") && !has(before, "</features>")) {
        if (!skip_behind(rest, "features>")) {
            *rest = all;
            return RC_OK;
        }
        before = bytes_of(all.p, all.n - rest->n);
    }
    if (!has(before, XMPP_TLS))
        return ctx_fail(ctx, E_TLS, "%s does not begin TLS: it does not offer STARTTLS", t->peer);
    t->step++;
    t->said = false;
    return RC_OK;
}

static RC xmpp_proceed(struct ctx *ctx, struct starttls_talk *t, struct bytes *rest, bool *ready)
{
    const struct bytes all = *rest;
    if (has(all, "<failure") || has(all, "<stream:error"))
        return refused(ctx, t, all);
    if (!skip_behind(rest, "<proceed") || !skip_behind(rest, ">") ||
        (!bytes_ends_with(bytes_of(all.p, all.n - rest->n), BYTES_LIT("/>")) && !skip_behind(rest, "</proceed>"))) {
        *rest = all;
        return RC_OK;
    }
    *ready = true;
    return RC_OK;
}

static RC go_xmpp(struct ctx *ctx, struct starttls_talk *t, struct bytes *rest, struct bytes *say, bool *ready)
{
    if (rest->n > 0 && t->step == 0 && rest->p[0] != '<')
        return foreign(ctx, t, "XMPP");
    if (rest->n > XMPP_MAX)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s sends more than %d bytes before STARTTLS", t->peer, XMPP_MAX);
    if (t->step == 0) {
        if (!t->said)
            TRY(quiet(ctx, t, *rest));
        const char *open = arena_printf(&ctx->arena, "<?xml version='1.0'?><stream:stream to='%s' version='1.0' "
                                        "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>", xmpp_domain(t));
        if (speaks(t, bytes_z(open), say))
            return RC_OK;
        TRY(xmpp_features(ctx, t, rest));
        if (t->step == 0)
            return RC_OK;
        TRY(quiet(ctx, t, *rest));
    }
    if (speaks(t, BYTES_LIT("<starttls xmlns='" XMPP_TLS "'/>"), say))
        return RC_OK;
    return xmpp_proceed(ctx, t, rest, ready);
}

/* --- all of them */

static const struct {
    const char *name;
    uint16_t port;
    const char *words_of; /* its name in messages */
    const struct line_step *lines;
    RC (*go)(struct ctx *ctx, struct starttls_talk *t, struct bytes *rest, struct bytes *say, bool *ready);
} protocols[STARTTLS_PROTOCOLS] = {
    [STARTTLS_NONE] = {"", 443, "", NULL, NULL},
    [STARTTLS_SMTP] = {"smtp", 25, "SMTP", smtp, NULL},
    [STARTTLS_IMAP] = {"imap", 143, "IMAP", imap, NULL},
    [STARTTLS_POP3] = {"pop3", 110, "POP3", pop3, NULL},
    [STARTTLS_FTP] = {"ftp", 21, "FTP", ftp, NULL},
    [STARTTLS_LDAP] = {"ldap", 389, "LDAP", NULL, go_ldap},
    [STARTTLS_POSTGRES] = {"postgres", 5432, "PostgreSQL", NULL, go_postgres},
    [STARTTLS_MYSQL] = {"mysql", 3306, "MySQL", NULL, go_mysql},
    [STARTTLS_SIEVE] = {"sieve", 4190, "ManageSieve", sieve, NULL},
    [STARTTLS_XMPP] = {"xmpp", 5222, "XMPP", NULL, go_xmpp},
    [STARTTLS_NNTP] = {"nntp", 119, "NNTP", nntp, NULL},
    [STARTTLS_RDP] = {"rdp", 3389, "RDP", NULL, go_rdp},
};

uint16_t starttls_port(enum starttls protocol)
{
    return protocols[protocol].port;
}

const char *starttls_name(enum starttls protocol)
{
    return protocols[protocol].name;
}

const char *starttls_words(struct ctx *ctx)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 256);
    for (unsigned i = STARTTLS_NONE + 1; i < STARTTLS_PROTOCOLS; i++)
        buf_printf(&b, "%s%s", b.n ? ", " : "", protocols[i].name);
    return buf_z(&b);
}

enum starttls starttls_by_name(const char *name)
{
    for (unsigned i = 0; i < STARTTLS_PROTOCOLS; i++)
        if (str_equal(protocols[i].name, name))
            return (enum starttls)i;
    return STARTTLS_PROTOCOLS;
}

void starttls_end(struct starttls_talk *t)
{
    buf_free(&t->heard);
    *t = (struct starttls_talk){0};
}

RC starttls_hear(struct ctx *ctx, struct starttls_talk *t, struct bytes in, struct bytes *say, bool *ready)
{
    *say = (struct bytes){0};
    *ready = t->protocol == STARTTLS_NONE;
    if (*ready)
        return RC_OK;
    if (t->heard.max == 0)
        buf_init(&t->heard, HEARD_MAX);
    buf_put(&t->heard, in);
    if (rc_failed(buf_status(&t->heard)))
        return ctx_fail(ctx, E_BAD_ANSWER, "%s sends too much before TLS", t->peer);
    const struct line_step *lines = protocols[t->protocol].lines;
    struct bytes rest = buf_bytes(&t->heard);
    const size_t before = rest.n;
    TRY(lines ? go_lines(ctx, t, lines, protocols[t->protocol].words_of, &rest, say, ready)
              : protocols[t->protocol].go(ctx, t, &rest, say, ready));
    if (*ready)
        TRY(quiet(ctx, t, rest));
    buf_drop_front(&t->heard, before - rest.n);
    return RC_OK;
}

/* --- on a socket */

static RC wait_for(struct ctx *ctx, int fd_, short events, int64_t deadline_ms, const char *peer)
{
    for (;;) {
        int64_t left = deadline_ms - clock_mono_ms();
        struct pollfd fd = {.fd = fd_, .events = events};
        int n = left > 0 ? poll(&fd, 1, (int)left) : 0;
        if (n > 0)
            return RC_OK;
        if (n == 0)
            return ctx_fail(ctx, E_TIMEOUT, "%s did not answer in time before STARTTLS", peer);
        if (errno != EINTR)
            return ctx_fail_errno(ctx, "waiting for %s", peer);
    }
}

static RC send_all(struct ctx *ctx, int fd, struct bytes data, int64_t deadline_ms, const char *peer)
{
    while (data.n > 0) {
        ssize_t n = send(fd, data.p, data.n, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            TRY(wait_for(ctx, fd, POLLOUT, deadline_ms, peer));
            continue;
        }
        if (n < 0)
            return ctx_fail(ctx, E_UNREACHABLE, "%s closed the connection before STARTTLS", peer);
        bytes_skip(&data, (size_t)n);
    }
    return RC_OK;
}

/* All that is there, so that words out of turn are seen before the next are said. */
static RC receive(struct ctx *ctx, int fd, int64_t deadline_ms, const char *peer, struct buf *out, bool *closed)
{
    uint8_t chunk[4096];
    while (out->n == 0 && !*closed) {
        TRY(wait_for(ctx, fd, POLLIN, deadline_ms, peer));
        while (!*closed && out->n < HEARD_MAX / 2) {
            const ssize_t n = recv(fd, chunk, sizeof chunk, 0);
            if (n < 0 && errno == EAGAIN)
                break;
            if (n > 0)
                buf_put_mem(out, chunk, (size_t)n);
            *closed = n == 0 || (n < 0 && errno != EINTR);
        }
    }
    return buf_status(out);
}

static RC converse(struct ctx *ctx, struct starttls_talk *t, int fd, int64_t deadline_ms)
{
    struct bytes say;
    bool ready, closed = false;
    TRY(starttls_hear(ctx, t, (struct bytes){0}, &say, &ready));
    for (;;) {
        BUF_CLEANUP struct buf in;
        buf_init(&in, HEARD_MAX);
        TRY(send_all(ctx, fd, say, deadline_ms, t->peer));
        if (ready)
            return RC_OK;
        if (closed)
            return ctx_fail(ctx, E_UNREACHABLE, "%s closed the connection before STARTTLS", t->peer);
        TRY(receive(ctx, fd, deadline_ms, t->peer, &in, &closed));
        TRY(starttls_hear(ctx, t, buf_bytes(&in), &say, &ready));
    }
}

RC starttls_begin(struct ctx *ctx, enum starttls protocol, int fd, int64_t deadline_ms, const char *peer)
{
    struct starttls_talk t = {.protocol = protocol, .peer = peer};
    uint8_t c;
    if (protocol == STARTTLS_NONE)
        return RC_OK;
    struct rc rc = converse(ctx, &t, fd, deadline_ms);
    starttls_end(&t);
    if (rc_ok(rc) && recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s sends more than was asked for before TLS has begun", peer);
    return rc;
}
