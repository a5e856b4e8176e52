/* What is said before TLS, in each protocol: with a server that keeps to it, and with those that refuse, babble, stall or speak out
 * of turn. */
#include "net/net_test.h"

#include <fcntl.h>
#include <signal.h>

#include "net/handshake.h"
#include "net/starttls.h"

#define TURNS_MAX 3
#define B(s) {(const uint8_t *)(s), sizeof(s) - 1}

/* What the server says and what it must hear thereafter, in turns; a turn may be empty on either side. */
struct conversation {
    enum starttls protocol;
    struct bytes said[TURNS_MAX], heard[TURNS_MAX];
};

#define SMTP_GREETING "220-mx.example.org\r\n220 ESMTP\r\n"
#define SMTP_CAN      "250-mx.example.org\r\n250-STARTTLS\r\n250 DSN\r\n"
#define EHLO          "EHLO certwright.invalid\r\n"
#define LDAP_ASK      "\x30\x1d\x02\x01\x01\x77\x18\x80\x16" "1.3.6.1.4.1.1466.20037"
#define LDAP_YES      "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
#define POSTGRES_ASK  "\x00\x00\x00\x08\x04\xd2\x16\x2f"
#define MYSQL_HELLO   "\x28\x00\x00\x00\x0a" "8.0.36\0" "\x01\0\0\0" "abcdefgh\0" "\xff\xff\x21\x02\0\xff\xdf\x15" "0123456789\0"
#define MYSQL_ASK     "\x20\x00\x00\x01\x00\x8a\x00\x00\x00\x00\x00\x01\x21\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

#define XMPP_OPEN     "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' "                    \
                      "xmlns:stream='http://etherx.jabber.org/streams'>"
#define XMPP_TLS      "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
#define XMPP_CAN      "<?xml version='1.0'?><stream:stream id='1'><stream:features>" XMPP_TLS "</stream:features>"
#define RDP_ASK       "\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00"
#define RDP_YES       "\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x00\x08\x00\x01\x00\x00\x00"

static const struct conversation good[] = {
    {STARTTLS_SMTP, {B(SMTP_GREETING), B(SMTP_CAN), B("220 go ahead\r\n")}, {B(EHLO), B("STARTTLS\r\n")}},
    {STARTTLS_SMTP, {B("220 \n"), B("250 mx\n"), B("220\n")}, {B(EHLO), B("STARTTLS\r\n")}},
    {STARTTLS_IMAP,
     {B("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"), B("* CAPABILITY IMAP4rev1\r\na1 ok begin\r\n")},
     {B("a1 STARTTLS\r\n")}},
    {STARTTLS_IMAP, {B("* OK ready\r\n* OK [ALERT] closed on Sunday\r\n"), B("a1 OK\r\n")}, {B("a1 STARTTLS\r\n")}},
    {STARTTLS_POP3, {B("+OK ready <1.2@pop.example.org>\r\n"), B("+OK\r\n")}, {B("STLS\r\n")}},
    {STARTTLS_FTP,
     {B("220-Welcome\r\n 220 to\r\nall of you\r\n234 no\r\n220 ready\r\n"), B("234 AUTH TLS\r\n")},
     {B("AUTH TLS\r\n")}},
    {STARTTLS_LDAP, {B(""), B(LDAP_YES)}, {B(LDAP_ASK)}},
    {STARTTLS_LDAP, /* the long form of each length */
     {B(""), B("\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00")},
     {B(LDAP_ASK)}},
    {STARTTLS_POSTGRES, {B(""), B("S")}, {B(POSTGRES_ASK)}},
    {STARTTLS_MYSQL, {B(MYSQL_HELLO)}, {B(MYSQL_ASK)}},
    {STARTTLS_SIEVE,
     {B("\"IMPLEMENTATION\" \"Dovecot\"\r\n\"STARTTLS\"\r\nOK \"ready\"\r\n"), B("ok \"begin\"\r\n")},
     {B("STARTTLS\r\n")}},
    {STARTTLS_XMPP, {B(""), B(XMPP_CAN), B("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")}, {B(XMPP_OPEN), B(XMPP_TLS)}},
    {STARTTLS_NNTP, {B("201 news.example.org ready\r\n"), B("382 go on\r\n")}, {B("STARTTLS\r\n")}},
    {STARTTLS_RDP, {B(""), B(RDP_YES)}, {B(RDP_ASK)}},
};

/* ---- the server ---- */

struct server {
    const struct conversation *talk;
    struct bytes after;       /* said at once after turn `after_turn` */
    size_t after_turn, limit; /* `limit`: bytes until it says no more */
    bool drips, holds;        /* `holds`: leaves the connection open when it says no more */
    int fd;
    bool heard_all;
};

static bool speak(struct server *s, struct bytes data)
{
    while (data.n > 0) {
        size_t n = s->drips ? 1 : data.n;
        if (n > s->limit)
            n = s->limit;
        if (n == 0 || send(s->fd, data.p, n, MSG_NOSIGNAL) != (ssize_t)n)
            return false;
        s->limit -= n;
        bytes_skip(&data, n);
    }
    return true;
}

static bool hear(struct server *s, struct bytes expected)
{
    uint8_t c;
    for (size_t i = 0; i < expected.n; i++)
        if (recv(s->fd, &c, 1, 0) != 1 || c != expected.p[i])
            return false;
    return true;
}

static size_t said_bytes(const struct conversation *c)
{
    size_t n = 0;
    for (size_t i = 0; i < TURNS_MAX; i++)
        n += c->said[i].n;
    return n;
}

/* All turns of one go, since a receiver that reads "220 ready" and what follows it in one piece is the one to be caught. */
static void *serve(void *arg)
{
    struct server *s = arg;
    bool going = true;
    for (size_t i = 0; i < TURNS_MAX && going; i++) {
        struct buf turn;
        buf_init(&turn, 8192);
        buf_put(&turn, s->talk->said[i]);
        if (i == s->after_turn)
            buf_put(&turn, s->after);
        going = speak(s, buf_bytes(&turn)) && hear(s, s->talk->heard[i]);
        buf_free(&turn);
    }
    s->heard_all = going;
    if (!s->holds)
        shutdown(s->fd, SHUT_WR);
    return NULL;
}

/* The client's side; `within_ms` for all of it. */
static enum err begin(struct ctx *ctx, struct server *s, int within_ms)
{
    int fd[2];
    pthread_t t;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    assert_int_equal(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
    s->fd = fd[1];
    assert_int_equal(pthread_create(&t, NULL, serve, s), 0);
    ctx_reset(ctx);
    enum err e = starttls_begin(ctx, s->talk->protocol, fd[0], clock_mono_ms() + within_ms, "192.0.2.1:25").e;
    shutdown(fd[0], SHUT_RDWR);
    pthread_join(t, NULL);
    close(fd[0]);
    close(fd[1]);
    return e;
}

static int setup(void **state)
{
    struct ctx *ctx = calloc(1, sizeof *ctx);
    ctx_init(ctx, &clock_system);
    *state = ctx;
    return 0;
}

static int teardown(void **state)
{
    ctx_free(*state);
    free(*state);
    return 0;
}

#define EACH(i, table) (size_t i = 0; i < sizeof(table) / sizeof *(table); i++)

/* ---- the tests ---- */

static void protocols_have_names(void **state)
{
    (void)state;
    static const char *const names[] = {"", "smtp", "imap", "pop3", "ftp", "ldap", "postgres", "mysql", "sieve", "xmpp", "nntp", "rdp"};
    assert_int_equal(sizeof names / sizeof *names, STARTTLS_PROTOCOLS);
    for EACH(i, names)
        assert_int_equal(starttls_by_name(names[i]), i);
    CTX_CLEANUP struct ctx ctx;
    ctx_init(&ctx, NULL);
    assert_string_equal(starttls_words(&ctx), "smtp, imap, pop3, ftp, ldap, postgres, mysql, sieve, xmpp, nntp, rdp");
    assert_int_equal(starttls_by_name("gopher"), STARTTLS_PROTOCOLS);
    assert_int_equal(starttls_by_name("SMTP"), STARTTLS_PROTOCOLS);
}

static void each_protocol_comes_to_the_handshake(void **state)
{
    struct ctx *ctx = *state;
    for EACH(i, good)
        for (int drips = 0; drips < 2; drips++) {
            struct server s = {.talk = &good[i], .limit = SIZE_MAX, .drips = drips, .holds = true};
            enum err e = begin(ctx, &s, 10000);
            if (e != E_OK || !s.heard_all)
                fail_msg("conversation %zu%s: %s", i, drips ? " in single bytes" : "", ctx_why(ctx));
        }
}

static void without_a_protocol_nothing_is_said(void **state)
{
    struct ctx *ctx = *state;
    assert_int_equal(starttls_begin(ctx, STARTTLS_NONE, -1, 0, "192.0.2.1:443").e, E_OK);
}

static void servers_that_do_not_begin_tls_are_quoted(void **state)
{
    struct ctx *ctx = *state;
    static const struct {
        struct conversation talk;
        const char *words;
    } refusals[] = {
        {{STARTTLS_SMTP, {B("554-go\r\n554 not you\r\n")}, {B("")}}, "does not begin TLS: 554 not you"},
        {{STARTTLS_SMTP, {B("220 hi\r\n"), B("502 what?\r\n")}, {B(EHLO)}}, "502 what?"},
        {{STARTTLS_SMTP, {B("220 hi\r\n"), B(SMTP_CAN), B("454 TLS not available\r\n")}, {B(EHLO), B("STARTTLS\r\n")}},
         "does not begin TLS: 454 TLS not available"},
        {{STARTTLS_SMTP,
          {B("220 hi\r\n"), B("250-mx\r\n421 bye\r\n250 x\r\n"), B("503 no\x1b[2J\xff\r\n")},
          {B(EHLO), B("STARTTLS\r\n")}},
         "503 no?[2J?"},
        {{STARTTLS_IMAP, {B("* BYE overloaded\r\n")}, {B("")}}, "* BYE overloaded"},
        {{STARTTLS_IMAP, {B("* PREAUTH you are root\r\n")}, {B("")}}, "* PREAUTH you are root"},
        {{STARTTLS_IMAP, {B("* OK\r\n"), B("* BAD x\r\na1 BAD unknown command\r\n")}, {B("a1 STARTTLS\r\n")}},
         "a1 BAD unknown command"},
        {{STARTTLS_IMAP, {B("* OK\r\n"), B("* BYE\r\n")}, {B("a1 STARTTLS\r\n")}}, "does not begin TLS: * BYE"},
        {{STARTTLS_POP3, {B("-ERR [SYS/TEMP] full\r\n")}, {B("")}}, "-ERR [SYS/TEMP] full"},
        {{STARTTLS_POP3, {B("+OK\r\n"), B("-ERR no such command\r\n")}, {B("STLS\r\n")}}, "-ERR no such command"},
        {{STARTTLS_FTP, {B("421 too many users\r\n")}, {B("")}}, "421 too many users"},
        {{STARTTLS_FTP, {B("220 hi\r\n"), B("500-AUTH\r\nnot understood\r\n500 sorry\r\n")}, {B("AUTH TLS\r\n")}}, "500 sorry"},
        {{STARTTLS_LDAP, {B(""), B("\x30\x13\x02\x01\x01\x78\x0e\x0a\x01\x02\x04\x00\x04\x07" "unknown")}, {B(LDAP_ASK)}},
         "LDAP result 2, unknown"},
        {{STARTTLS_LDAP, {B(""), B("\x30\x13\x02\x01\x00\x78\x0e\x0a\x01\x34\x04\x00\x04\x07" "too bad")}, {B(LDAP_ASK)}},
         "LDAP result 52, too bad"},
        {{STARTTLS_POSTGRES, {B(""), B("N")}, {B(POSTGRES_ASK)}}, "ssl is off there"},
        {{STARTTLS_NNTP, {B("400 closed\r\n")}, {B("")}}, "does not begin TLS: 400 closed"},
        {{STARTTLS_NNTP, {B("200 hi\r\n"), B("580 no\r\n")}, {B("STARTTLS\r\n")}}, "does not begin TLS: 580 no"},
        {{STARTTLS_XMPP,
          {B(""), B("<stream:stream id='1'><stream:error><host-unknown/></stream:error></stream:stream>")},
          {B(XMPP_OPEN)}},
         "does not begin TLS: <stream:error><host-unknown/>"},
        {{STARTTLS_XMPP, {B(""), B("<stream:stream id='1'><stream:features/>")}, {B(XMPP_OPEN)}}, "does not offer STARTTLS"},
        {{STARTTLS_XMPP, {B(""), B("<stream:stream><stream:features><x/></stream:features>")}, {B(XMPP_OPEN)}},
         "does not offer STARTTLS"},
        {{STARTTLS_XMPP, {B(""), B(XMPP_CAN), B("<failure/></stream:stream>")}, {B(XMPP_OPEN), B(XMPP_TLS)}}, "<failure/>"},
        {{STARTTLS_RDP, {B(""), B("\x03\x00\x00\x0b\x06\xd0\x00\x00\x12\x34\x00")}, {B(RDP_ASK)}}, "RDP's own security (0)"},
        {{STARTTLS_RDP,
          {B(""), B("\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x03\x00\x08\x00\x02\x00\x00\x00")},
          {B(RDP_ASK)}},
         "RDP's own security (2)"},
        {{STARTTLS_MYSQL, {B("\x17\x00\x00\x00\xff\x10\x04" "Too many connections")}, {B("")}}, "Too many connections"},
        {{STARTTLS_MYSQL,
          {B("\x1c\x00\x00\x00\x0a" "5.5\0" "\x01\x00\x00\x00" "abcdefgh\0" "\xff\xf7\x21\x02\x00\xff\xdf\x15\0\0")},
          {B("")}},
         "ssl is off there"},
        {{STARTTLS_SIEVE, {B("BYE \"go away\"\r\n")}, {B("")}}, "BYE \"go away\""},
        {{STARTTLS_SIEVE, {B("\"SIEVE\" \"\"\r\nOK\r\n"), B("NO \"TLS is off\"\r\n")}, {B("STARTTLS\r\n")}}, "NO \"TLS is off\""},
    };
    for EACH(i, refusals) {
        struct server s = {.talk = &refusals[i].talk, .limit = SIZE_MAX};
        enum err e = begin(ctx, &s, 10000);
        if (e != E_TLS || !strstr(ctx_why(ctx), refusals[i].words) || !strstr(ctx_why(ctx), "192.0.2.1:25"))
            fail_msg("refusal %zu: %d %s", i, e, ctx_why(ctx));
    }
}

static void what_is_another_protocol_is_told_at_once(void **state)
{
    struct ctx *ctx = *state;
    static const struct conversation strangers[] = {
        {STARTTLS_SMTP, {B("SSH-2.0-OpenSSH_9.2p1\r\n")}, {B("")}},
        {STARTTLS_SMTP, {B("2200 hello\r\n")}, {B("")}},
        {STARTTLS_SMTP, {B("\r\n")}, {B("")}},
        {STARTTLS_SMTP, {B("22\r\n")}, {B("")}},
        {STARTTLS_SMTP, {B("020 hello\r\n")}, {B("")}},
        {STARTTLS_SMTP, {B("220 hi\r\n"), B("OK\r\n")}, {B(EHLO)}},
        {STARTTLS_FTP, {B("* OK ready\r\n")}, {B("")}},
        {STARTTLS_IMAP, {B("220 hi\r\n")}, {B("")}},
        {STARTTLS_IMAP, {B("* OKAY\r\n")}, {B("")}},
        {STARTTLS_IMAP, {B("* OK\r\n"), B("a2 OK\r\n")}, {B("a1 STARTTLS\r\n")}},
        {STARTTLS_IMAP, {B("* OK\r\n"), B("+ go on\r\n")}, {B("a1 STARTTLS\r\n")}},
        {STARTTLS_POP3, {B("* OK\r\n")}, {B("")}},
        {STARTTLS_POP3, {B("+OK\r\n"), B("+OKAY\r\n")}, {B("STLS\r\n")}},
        {STARTTLS_SIEVE, {B("* OK\r\n")}, {B("")}},
        {STARTTLS_SIEVE, {B("OK\r\n"), B("\"STARTTLS\"\r\nOK\r\n")}, {B("STARTTLS\r\n")}},
        {STARTTLS_LDAP, {B(""), B("HTTP/1.1 400 Bad Request\r\n")}, {B(LDAP_ASK)}},
        {STARTTLS_LDAP, {B(""), B("\x30\x80" "0123456789abcdef")}, {B(LDAP_ASK)}},
        {STARTTLS_LDAP, {B(""), B("\x30\x85" "0123456789abcdef")}, {B(LDAP_ASK)}},
        {STARTTLS_LDAP, {B(""), B("\x30\x84\xff\xff\xff\xff" "0123456789abcdef")}, {B(LDAP_ASK)}},
        {STARTTLS_LDAP, {B(""), B("\x30\x82\x10\x01" "0123456789abcdef")}, {B(LDAP_ASK)}},
        {STARTTLS_LDAP, {B(""), B("\x30\x00")}, {B(LDAP_ASK)}},
        {STARTTLS_LDAP, {B(""), B("\x30\x0c\x02\x01\x02\x78\x07\x0a\x01\x00\x04\x00\x04\x00")}, {B(LDAP_ASK)}}, /* message 2 */
        {STARTTLS_LDAP, {B(""), B("\x30\x0c\x02\x01\x02\x78\x07\x0a\x01\x02\x04\x00\x04\x00")}, {B(LDAP_ASK)}},
        {STARTTLS_LDAP, {B(""), B("\x30\x0c\x02\x01\x00\x78\x07\x0a\x01\x00\x04\x00\x04\x00")}, {B(LDAP_ASK)}}, /* a good notice */
        {STARTTLS_LDAP, {B(""), B("\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00")}, {B(LDAP_ASK)}}, /* BindResponse */
        {STARTTLS_LDAP, {B(""), B("\x30\x0c\x02\x01\x01\x78\x08\x0a\x01\x00\x04\x00\x04\x00")}, {B(LDAP_ASK)}}, /* over its end */
        {STARTTLS_LDAP, {B(""), B("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x01")}, {B(LDAP_ASK)}},
        {STARTTLS_POSTGRES, {B(""), B("E")}, {B(POSTGRES_ASK)}},
        {STARTTLS_POSTGRES, {B(""), B("H")}, {B(POSTGRES_ASK)}},
        {STARTTLS_MYSQL, {B("220 hello there\r\n")}, {B("")}},
        {STARTTLS_MYSQL, {B("\x02\x00\x00\x00\x0a\x00")}, {B("")}},
        {STARTTLS_MYSQL, {B("\x01\x10\x00\x00\x0a" "8.0.36\0")}, {B("")}},           /* one byte above what is read */
        {STARTTLS_MYSQL, {B("\xff\xff\xff\x00\x0a" "8.0.36\0")}, {B("")}},
        {STARTTLS_MYSQL, {B("\x05\x00\x00\x00\x0a" "8.00")}, {B("")}},               /* the version has no end */
        {STARTTLS_MYSQL, {B("\x10\x00\x00\x00\x0a" "8\0" "\x01\x00\x00\x00" "abcdefgh\0")}, {B("")}}, /* what it can is missing */
        {STARTTLS_MYSQL, {B("\x12\x00\x00\x00\x09" "3\0" "\x01\x00\x00\x00" "abcdefgh\0\xff\xff")}, {B("")}}, /* protocol 9 */
        {STARTTLS_MYSQL, {B("\x12\x00\x00\x07\x0a" "8\0" "\x01\x00\x00\x00" "abcdefgh\0\xff\xff")}, {B("")}}, /* packet 7 */
    };
    for EACH(i, strangers) {
        struct server s = {.talk = &strangers[i], .limit = SIZE_MAX, .holds = true};
        enum err e = begin(ctx, &s, 10000);
        if (e != E_BAD_ANSWER || !strstr(ctx_why(ctx), "192.0.2.1:25 does not answer as"))
            fail_msg("stranger %zu: %d %s", i, e, ctx_why(ctx));
    }
}

static void who_goes_on_and_on_is_left(void **state)
{
    struct ctx *ctx = *state;
    static const struct {
        enum starttls protocol;
        const char *line;
    } endless[] = {
        {STARTTLS_SMTP, "220-hello\r\n"},
        {STARTTLS_FTP, "220-hello\r\n"},
        {STARTTLS_SIEVE, "\"X\" \"y\"\r\n"},
        {STARTTLS_IMAP, "* X\r\n"},
    };
    for EACH(i, endless) {
        struct conversation c = {.protocol = endless[i].protocol};
        struct buf b;
        bool imap = c.protocol == STARTTLS_IMAP; /* whose greeting has one line */
        ctx_reset(ctx);
        buf_init(&b, 8192);
        for (int n = 0; n < 65; n++)
            buf_put_z(&b, endless[i].line);
        c.said[imap] = buf_bytes(&b);
        if (imap)
            c.said[0] = BYTES_LIT("* OK\r\n"), c.heard[0] = BYTES_LIT("a1 STARTTLS\r\n");
        struct server s = {.talk = &c, .limit = SIZE_MAX, .holds = true};
        assert_int_equal(begin(ctx, &s, 10000), E_BAD_ANSWER);
        assert_non_null(strstr(ctx_why(ctx), "more than 64 lines"));
        buf_free(&b);
    }
}

static void a_line_has_a_ceiling(void **state)
{
    struct ctx *ctx = *state;
    static const struct {
        enum starttls protocol;
        const char *begins;
    } lines[] = {
        {STARTTLS_SMTP, "220-"}, {STARTTLS_FTP, "220-"}, {STARTTLS_SIEVE, "\""}, {STARTTLS_IMAP, "* OK "}, {STARTTLS_POP3, "+OK "},
    };
    for EACH(i, lines)
        for (size_t n = 2048; n <= 2049; n++) {
            char text[2100];
            memset(text, 'x', sizeof text);
            memcpy(text, lines[i].begins, strlen(lines[i].begins));
            text[n] = '\n';
            struct conversation c = {.protocol = lines[i].protocol, .said = {bytes_of(text, n + 1)}};
            struct server s = {.talk = &c, .limit = SIZE_MAX};
            assert_int_equal(begin(ctx, &s, 10000), n > 2048 ? E_BAD_ANSWER : E_UNREACHABLE);
            assert_int_equal(strstr(ctx_why(ctx), "a line of more than 2048 bytes") != NULL, n > 2048);
        }
}

static void a_server_that_ends_at_any_byte_is_told_from_one_that_refuses(void **state)
{
    struct ctx *ctx = *state;
    for EACH(i, good)
        for (size_t n = 0; n < said_bytes(&good[i]); n++) {
            struct server s = {.talk = &good[i], .limit = n};
            enum err e = begin(ctx, &s, 10000);
            if (e != E_UNREACHABLE || !strstr(ctx_why(ctx), "closed the connection before STARTTLS"))
                fail_msg("conversation %zu cut at %zu: %d %s", i, n, e, ctx_why(ctx));
        }
}

static void silence_ends_at_the_deadline(void **state)
{
    struct ctx *ctx = *state;
    for EACH(i, good) {
        size_t all = said_bytes(&good[i]), cuts[] = {0, all / 2, all - 1};
        for EACH(k, cuts) {
            struct server s = {.talk = &good[i], .limit = cuts[k], .holds = true};
            enum err e = begin(ctx, &s, 20);
            if (e != E_TIMEOUT || !strstr(ctx_why(ctx), "did not answer in time"))
                fail_msg("conversation %zu silent at %zu: %d %s", i, cuts[k], e, ctx_why(ctx));
        }
    }
}

/* A line that somebody on the way puts behind an answer comes before the handshake, and would be read as if it had come in it. */
static void words_behind_the_consent_are_not_taken_for_anything(void **state)
{
    struct ctx *ctx = *state;
    static const struct bytes behind[] = {B("250 injected\r\n"), B("\x16\x03\x03\x00\x02xx"), B("\n")};
    for EACH(i, good)
        for EACH(k, behind)
            for (size_t turn = 0; turn < TURNS_MAX && (turn == 0 || good[i].heard[turn - 1].n > 0); turn++) {
                struct server s = {.talk = &good[i], .after = behind[k], .after_turn = turn, .limit = SIZE_MAX, .holds = true};
                if (good[i].protocol == STARTTLS_IMAP && turn == 0)
                    continue; /* it may speak unasked there */
                if (good[i].said[turn].n == 0)
                    continue;
                enum err e = begin(ctx, &s, 10000);
                if (e != E_BAD_ANSWER || !strstr(ctx_why(ctx), "sends more than was asked for"))
                    fail_msg("conversation %zu with more after turn %zu: %d %s", i, turn, e, ctx_why(ctx));
            }
}

/* ---- with the handshake behind it ---- */

struct mail_server {
    int listener;
    const struct identity *id;
    const char *late; /* said in plain text once the client has begun its handshake */
};

static void *serve_mail(void *arg)
{
    static const char *const said[] = {"220 mx.example.org\r\n", "250-mx\r\n250 STARTTLS\r\n", "220 go ahead\r\n"};
    const struct mail_server *m = arg;
    char heard[256];
    int fd = accept(m->listener, NULL, NULL);
    for (size_t i = 0; i < 3; i++) {
        (void)!send(fd, said[i], strlen(said[i]), MSG_NOSIGNAL);
        if (recv(fd, heard, sizeof heard, i == 2 ? MSG_PEEK : 0) <= 0)
            break;
    }
    (void)!send(fd, m->late, strlen(m->late), MSG_NOSIGNAL);
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(ctx, m->id->x);
    SSL_CTX_use_PrivateKey(ctx, key_evp(m->id->key));
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1)
        (void)!SSL_read(ssl, heard, sizeof heard);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    return NULL;
}

static enum err prove(struct ctx *ctx, const struct identity *id, const char *late, struct handshake_result *r)
{
    struct cidr loopback;
    struct tls_trust *trust;
    struct mail_server m = {.id = id, .late = late};
    pthread_t t;
    assert_true(cidr_parse(BYTES_LIT("127.0.0.0/8"), &loopback));
    struct address_grants grants = {&loopback, 1};
    struct handshake_request q = {.grants = &grants, .sni = "mx.example.org", .starttls = STARTTLS_SMTP, .timeout_ms = 10000};
    assert_true(address_parse(BYTES_LIT("127.0.0.1"), &q.address));
    m.listener = listen_tcp(&q.address.port);
    assert_true(rc_ok(tls_trust_new(ctx, false, bytes_of(id->pem, id->pem_n), &trust)));
    assert_int_equal(pthread_create(&t, NULL, serve_mail, &m), 0);
    enum err e = handshake_probe(ctx, trust, &q, r).e;
    pthread_join(t, NULL);
    tls_trust_free(trust);
    close(m.listener);
    return e;
}

static void the_handshake_follows_and_plain_text_in_it_fails_it(void **state)
{
    struct ctx *ctx = *state;
    struct identity id = identity_new(ctx, "mx.example.org", "DNS:mx.example.org", -1, NULL, KEY_EC_P256);
    struct handshake_result r;
    assert_int_equal(prove(ctx, &id, "", &r), E_OK);
    assert_true(bytes_equal(r.chain[0], id.der));
    assert_int_equal(r.verdict, HANDSHAKE_TRUSTED);
    assert_int_equal(prove(ctx, &id, "250 injected\r\n", &r), E_TLS);
    identity_free(&id);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(protocols_have_names),
        TEST(each_protocol_comes_to_the_handshake),
        TEST(without_a_protocol_nothing_is_said),
        TEST(servers_that_do_not_begin_tls_are_quoted),
        TEST(what_is_another_protocol_is_told_at_once),
        TEST(who_goes_on_and_on_is_left),
        TEST(a_line_has_a_ceiling),
        TEST(a_server_that_ends_at_any_byte_is_told_from_one_that_refuses),
        TEST(silence_ends_at_the_deadline),
        TEST(words_behind_the_consent_are_not_taken_for_anything),
        TEST(the_handshake_follows_and_plain_text_in_it_fails_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
