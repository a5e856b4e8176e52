/* A notification as a mail: how the message is written (RFC 5322, RFC 2045 to 2047), and to whom it is given. */
#include "agent/relay/notice.h"

#include "base/encode.h"
#include "base/str.h"
#include "net/deliver.h"

#define MESSAGE_MAX  ((size_t)256 << 10)
#define SUBMIT_PORT  587
#define SUBMITS_PORT 465
#define WORD_BYTES   42 /* of text in an encoded word, which may have 75 characters */

/* --- the message */

static bool is_plain(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if ((uint8_t)*c < 0x20 || (uint8_t)*c >= 0x7f)
            return false;
    return strstr(text, "=?") == NULL;
}

/* What is not ASCII goes as encoded words (RFC 2047), each of whole characters, a line each. */
static void put_words(struct buf *out, const char *text)
{
    struct bytes rest = bytes_z(text), piece;
    bool first = true;
    if (is_plain(text)) {
        buf_put_z(out, text);
        return;
    }
    while (rest.n > 0) {
        size_t n = rest.n < WORD_BYTES ? rest.n : WORD_BYTES;
        while (n < rest.n && n > 1 && (rest.p[n] & 0xc0) == 0x80)
            n--;
        bytes_take(&rest, n, &piece);
        buf_put_z(out, first ? "=?UTF-8?B?" : "\r\n =?UTF-8?B?");
        put_base64(out, piece);
        buf_put_z(out, "?=");
        first = false;
    }
}

static void put_html(struct buf *out, const char *text)
{
    struct bytes rest = bytes_z(text), line;
    for (bool first = true; bytes_take_until(&rest, '\n', &line); first = false) {
        buf_put_z(out, first ? "" : "<br>\r\n");
        put_markup(out, line);
    }
}

static const char *foot(struct ctx *ctx, const struct notice *n, const char *channel)
{
    return arena_printf(&ctx->arena, "%s, %s. Sent by certwright over channel %s.", n->severity, n->time, channel);
}

static void put_plain_part(struct ctx *ctx, const struct notice *n, const char *channel, struct buf *out)
{
    for (const char *c = n->text; *c != '\0'; c++)
        if (*c == '\n')
            buf_put_z(out, "\r\n");
        else
            buf_put_u8(out, (uint8_t)*c);
    buf_put_z(out, "\r\n");
    if (*n->url != '\0') {
        buf_put_z(out, "\r\n");
        buf_put_z(out, n->url);
        buf_put_z(out, "\r\n");
    }
    buf_put_z(out, "\r\n-- \r\n");
    buf_put_z(out, foot(ctx, n, channel));
    buf_put_z(out, "\r\n");
}

static void put_html_part(struct ctx *ctx, const struct notice *n, const char *channel, struct buf *out)
{
    static const char *const colors[] = {"#175cd3", "#175cd3", "#b54708", "#b42318", "#7a271a"};
    buf_put_z(out, "<!DOCTYPE html>\r\n<html><body style=\"font-family:sans-serif\">\r\n<p style=\"font-weight:bold;color:");
    buf_put_z(out, n->resolved ? "#067647" : colors[n->level]);
    buf_put_z(out, "\">");
    put_html(out, n->subject);
    buf_put_z(out, "</p>\r\n<p>");
    put_html(out, n->text);
    buf_put_z(out, "</p>\r\n");
    if (*n->url != '\0') {
        buf_put_z(out, "<p><a href=\"");
        put_html(out, n->url);
        buf_put_z(out, "\">");
        put_html(out, n->url);
        buf_put_z(out, "</a></p>\r\n");
    }
    buf_put_z(out, "<p style=\"color:#667085;font-size:smaller\">");
    put_html(out, foot(ctx, n, channel));
    buf_put_z(out, "</p>\r\n</body></html>\r\n");
}

/* Base64 holds no line that could be a boundary, nor one that is too long. */
static RC put_part(struct ctx *ctx, struct buf *out, const char *boundary, const char *type, const struct buf *content)
{
    struct buf lines;
    struct bytes rest, line;
    TRY(buf_status(content));
    buf_init_arena(&lines, &ctx->arena, MESSAGE_MAX);
    put_base64_lines(&lines, buf_bytes(content));
    TRY(buf_status(&lines));
    buf_put_z(out, "--");
    buf_put_z(out, boundary);
    buf_put_z(out, "\r\nContent-Type: ");
    buf_put_z(out, type);
    buf_put_z(out, "; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n");
    rest = buf_bytes(&lines);
    while (bytes_take_until(&rest, '\n', &line)) {
        buf_put(out, line);
        buf_put_z(out, "\r\n");
    }
    return buf_status(out);
}

static void put_date(struct ctx *ctx, struct buf *out, int64_t at)
{
    struct buf http;
    buf_init_arena(&http, &ctx->arena, 64);
    time_put_http(&http, at);
    struct bytes text = buf_bytes(&http);
    if (bytes_ends_with(text, BYTES_LIT("GMT")))
        text.n -= 3;
    buf_put(out, text);
    buf_put_z(out, "+0000");
}

static void put_header(struct buf *out, const char *name, const char *value)
{
    buf_put_z(out, name);
    buf_put_z(out, ": ");
    buf_put_z(out, value);
    buf_put_z(out, "\r\n");
}

static RC put_head(struct ctx *ctx, const struct notice *n, const char *from, struct wire_texts to, const char *boundary,
                   struct buf *out)
{
    const char *domain = strrchr(from, '@') + 1;
    buf_put_z(out, "Date: ");
    put_date(ctx, out, n->in->at);
    buf_put_z(out, "\r\n");
    put_header(out, "From", arena_printf(&ctx->arena, "Certwright <%s>", from));
    buf_put_z(out, "To: ");
    for (size_t i = 0; i < to.n; i++) {
        buf_put_z(out, i > 0 ? ",\r\n " : "");
        buf_put_z(out, to.v[i]);
    }
    buf_put_z(out, "\r\nSubject: ");
    put_words(out, n->subject);
    buf_put_z(out, "\r\n");
    put_header(out, "Message-ID", arena_printf(&ctx->arena, "<%s@%s>", n->id, domain));
    if (!str_equal(n->key, n->id)) /* what is told of one matter is one thread */
        put_header(out, "References", arena_printf(&ctx->arena, "<%s@%s>", n->key, domain));
    put_header(out, "Auto-Submitted", "auto-generated");
    put_header(out, "X-Auto-Response-Suppress", "All");
    put_header(out, "X-Certwright-Notification", n->id);
    put_header(out, "X-Certwright-Severity", is_plain(n->severity) ? n->severity : "info");
    put_header(out, "MIME-Version", "1.0");
    put_header(out, "Content-Type", arena_printf(&ctx->arena, "multipart/alternative; boundary=\"%s\"", boundary));
    buf_put_z(out, "\r\n");
    return buf_status(out);
}

RC mail_message(struct ctx *ctx, const struct notice *n, const char *channel, const char *from, struct wire_texts to,
                struct buf *out)
{
    struct buf plain, html;
    const char *boundary = arena_printf(&ctx->arena, "=_certwright_%s", n->id); /* '_' is no base64 */
    if (!deliver_is_address(from))
        return ctx_fail_field(ctx, "/parameters/from", "%s is no mail address", from);
    for (size_t i = 0; i < to.n; i++)
        if (!deliver_is_address(to.v[i]))
            return ctx_fail(ctx, E_INVALID, "%s is no mail address", to.v[i]);
    buf_init_arena(&plain, &ctx->arena, MESSAGE_MAX);
    buf_init_arena(&html, &ctx->arena, MESSAGE_MAX);
    put_plain_part(ctx, n, channel, &plain);
    put_html_part(ctx, n, channel, &html);
    TRY(put_head(ctx, n, from, to, boundary, out));
    TRY(put_part(ctx, out, boundary, "text/plain", &plain));
    TRY(put_part(ctx, out, boundary, "text/html", &html));
    buf_put_z(out, "--");
    buf_put_z(out, boundary);
    buf_put_z(out, "--\r\n");
    return buf_status(out);
}

/* --- the way */

struct mail_way {
    const char *server, *tls, *user, *password, *from, *helo, *host;
    uint16_t port;
    enum deliver_tls how;
};

static RC read_parameters(struct ctx *ctx, const struct notice_way *w, struct mail_way *m)
{
    static const char *const known[] = {"server", "tls", "user", "password", "from", "helo", NULL};
    const json_t *p = w->parameters;
    *m = (struct mail_way){.server = "", .tls = "starttls"};
    TRY(notice_parameters(ctx, w, known));
    TRY(json_get_str(ctx, p, "server", true, &m->server));
    TRY(json_get_str(ctx, p, "from", true, &m->from));
    TRY(json_get_str(ctx, p, "tls", false, &m->tls));
    TRY(json_get_str(ctx, p, "user", false, &m->user));
    TRY(json_get_str(ctx, p, "password", false, &m->password));
    if (!deliver_is_address(m->from))
        return ctx_fail_field(ctx, "/parameters/from", "%s is no mail address", m->from);
    m->helo = strrchr(m->from, '@') + 1;
    TRY(json_get_str(ctx, p, "helo", false, &m->helo));
    if (str_equal(m->tls, "starttls"))
        m->how = DELIVER_STARTTLS;
    else if (str_equal(m->tls, "tls"))
        m->how = DELIVER_TLS;
    else if (str_equal(m->tls, "none"))
        m->how = DELIVER_PLAIN;
    else
        return ctx_fail_field(ctx, "/parameters/tls", "%s is none of starttls, tls and none", m->tls);
    if ((m->user != NULL) != (m->password != NULL))
        return ctx_fail_field(ctx, "/parameters/user", "user goes with password, which names a credential of agent.yaml");
    return address_parse_host_port(ctx, bytes_z(m->server), m->how == DELIVER_TLS ? SUBMITS_PORT : SUBMIT_PORT, &m->host,
                                   &m->port);
}

static RC read_password(struct ctx *ctx, const struct notice_way *w, const struct mail_way *m, struct secret *out)
{
    const struct agent_credential *row;
    SECRET_CLEANUP struct secret text = {0};
    TRY(agent_config_credential(ctx, w->cfg, m->password, &row));
    if (!agent_credential_reaches(row, m->host, m->port, SUBMIT_PORT))
        return ctx_fail(ctx, E_NOT_GRANTED,
                        "credential %s may not be sent to %s port %d: add it to its hosts under credentials in %s", row->name,
                        m->host, m->port, w->cfg->file);
    TRY(credential_read(ctx, w->cfg, w->files, row, &text));
    struct bytes password = secret_use(&text);
    if (memchr(password.p, 0, password.n) != NULL)
        return ctx_fail(ctx, E_NOT_GRANTED, "credential %s holds a NUL, which no password does", row->name);
    struct buf z BUF_CLEANUP = {0};
    buf_init_secret(&z, CREDENTIAL_MAX + 1);
    buf_put(&z, password);
    buf_put_u8(&z, 0);
    TRY(buf_status(&z));
    return secret_from(ctx, out, buf_bytes(&z));
}

RC channel_mail(struct ctx *ctx, const struct notice_way *w, const struct notice *n, const char **what)
{
    SECRET_CLEANUP struct secret password = {0};
    const struct wire_texts to = n->in->to;
    struct mail_way m;
    struct buf message;
    struct deliver_to at = {0};
    if (to.n == 0)
        return ctx_fail(ctx, E_INVALID, "channel %s needs addresses: certwright channel edit NAME --to ops@example.org",
                        w->row->name);
    TRY(read_parameters(ctx, w, &m));
    TRY(agent_channel_reaches(ctx, w->cfg, w->row, m.host, m.port));
    for (size_t i = 0; i < to.n; i++)
        TRY(agent_channel_writes(ctx, w->cfg, w->row, to.v[i]));
    if (m.password != NULL)
        TRY(read_password(ctx, w, &m, &password));
    buf_init_arena(&message, &ctx->arena, MESSAGE_MAX);
    TRY(mail_message(ctx, n, w->row->name, m.from, to, &message));
    at = (struct deliver_to){.host = m.host, .port = m.port, .tls = m.how, .grants = *w->grants};
    TRY(notice_roots(ctx, w, &at.roots_pem));
    const struct deliver_mail mail = {.helo = m.helo,
                                      .from = m.from,
                                      .to = to.v,
                                      .to_n = to.n,
                                      .user = m.user,
                                      .password = m.password != NULL ? (const char *)secret_use(&password).p : NULL,
                                      .message = buf_bytes(&message)};
    TRY(deliver_mail(ctx, &at, &mail));
    *what = arena_printf(&ctx->arena, "%s has taken it for %zu recipient%s", m.host, to.n, to.n == 1 ? "" : "s");
    return RC_OK;
}
