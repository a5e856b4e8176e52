/* A notification, or an entry of the audit log, as a message of RFC 5424: over TLS (RFC 5425), or plain to this host alone. */
#include "agent/relay/notice.h"

#include <sys/socket.h>
#include <unistd.h>

#include "api/audit_cef.h"
#include "base/encode.h"
#include "base/str.h"
#include "net/deliver.h"
#include "os/file.h"

#define MESSAGE_MAX ((size_t)8 << 10)
#define ENTRY_ROOM  ((size_t)64 << 10)
#define UDP_MAX     ((size_t)2048) /* RFC 5426 section 3.2 */
#define TLS_PORT    6514
#define PLAIN_PORT  514

/* PARAM-VALUE (section 6.3.3): three characters are escaped. */
static void put_param(struct buf *out, const char *name, const char *value)
{
    if (*value == '\0')
        return;
    buf_put_u8(out, ' ');
    buf_put_z(out, name);
    buf_put_z(out, "=\"");
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\' || *c == ']')
            buf_put_u8(out, '\\');
        buf_put_u8(out, (uint8_t)*c);
    }
    buf_put_u8(out, '"');
}

/* HOSTNAME and MSGID are printable ASCII without a space. */
static void put_word(struct buf *out, const char *text, size_t max)
{
    size_t n = 0;
    for (; *text != '\0' && n < max; text++, n++)
        buf_put_u8(out, (uint8_t)*text > 0x20 && (uint8_t)*text < 0x7f ? (uint8_t)*text : '?');
    if (n == 0)
        buf_put_u8(out, '-');
}

RC syslog_message(struct ctx *ctx, const struct notice *n, const char *host, int facility, struct buf *out)
{
    static const int severities[] = {6, 6, 4, 3, 2}; /* section 6.2.1 */
    (void)ctx;
    buf_printf(out, "<%d>1 %s ", facility * 8 + (n->resolved ? 5 : severities[n->level]), n->time);
    put_word(out, host, 255);
    buf_put_z(out, " certwright - ");
    put_word(out, n->state, 32);
    buf_put_z(out, " [certwright@32473");
    put_param(out, "id", n->id);
    put_param(out, "key", n->key);
    put_param(out, "severity", n->severity);
    put_param(out, "kind", n->object_kind);
    put_param(out, "object", n->object_name);
    put_param(out, "team", n->team);
    put_param(out, "url", n->url);
    buf_put_z(out, "] \xef\xbb\xbf");
    buf_put_z(out, n->subject);
    buf_put_z(out, ": ");
    for (const char *c = n->brief; *c != '\0'; c++)
        buf_put_u8(out, *c == '\n' ? ' ' : (uint8_t)*c);
    return buf_status(out);
}

/* What goes without TLS goes to this host alone, where a syslog daemon sends it on. */
static RC loopback(struct ctx *ctx, const struct notice_way *w, const char *host, uint16_t port, struct address *out)
{
    if (!address_parse(bytes_z(host), out) || address_classify(out) != ADDRESS_LOOPBACK)
        return ctx_fail_field(ctx, "/parameters/server",
                              "%s is not this host (127.0.0.1, ::1): to another one syslog goes over TLS alone, tls://HOST:%d",
                              host, TLS_PORT);
    out->port = port;
    return address_check(ctx, out, w->grants);
}

static RC send_udp(struct ctx *ctx, const struct address *to, struct bytes message)
{
    struct sockaddr_storage sa;
    const socklen_t n = address_to_sockaddr(to, &sa);
    FD_CLEANUP int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (message.n > UDP_MAX) {
        message.n = UDP_MAX;
        while (message.n > 0 && (message.p[message.n] & 0xc0) == 0x80) /* whole characters */
            message.n--;
    }
    if (fd < 0 || connect(fd, (struct sockaddr *)&sa, n) != 0 || send(fd, message.p, message.n, MSG_NOSIGNAL) != (ssize_t)message.n)
        return ctx_fail_errno(ctx, "sending to %s", address_port_str(&ctx->arena, to));
    return RC_OK;
}

/* Octet counting: RFC 5425 section 4.3, RFC 6587 section 3.4.1. */
static void put_frame(struct buf *out, struct bytes message)
{
    buf_printf(out, "%zu ", message.n);
    buf_put(out, message);
}

/* Where it goes, by the parameters. */
struct syslog_way {
    const char *server;
    int facility;
    bool udp;
    struct deliver_to to;
    struct address here; /* not over TLS */
};

static RC way_of(struct ctx *ctx, const struct notice_way *w, struct syslog_way *out)
{
    static const char *const known[] = {"server", "facility", NULL};
    const char *server = "", *facility = "16", *host;
    int64_t number;
    uint16_t port;
    *out = (struct syslog_way){.to = {.tls = DELIVER_TLS, .grants = *w->grants}};
    TRY(notice_parameters(ctx, w, known));
    TRY(json_get_str(ctx, w->parameters, "server", true, &server));
    TRY(json_get_str(ctx, w->parameters, "facility", false, &facility));
    if (!str_to_i64(bytes_z(facility), &number) || number < 0 || number > 23)
        return ctx_fail_field(ctx, "/parameters/facility", "%s is not a number from 0 to 23", facility);
    const bool tls = strncmp(server, "tls://", 6) == 0, tcp = strncmp(server, "tcp://", 6) == 0;
    if (!tls && !tcp && strncmp(server, "udp://", 6) != 0)
        return ctx_fail_field(ctx, "/parameters/server", "%s is not tls://HOST:PORT, nor tcp:// or udp:// of this host", server);
    TRY(address_parse_host_port(ctx, bytes_z(server + 6), tls ? TLS_PORT : PLAIN_PORT, &host, &port));
    TRY(agent_channel_reaches(ctx, w->cfg, w->row, host, port));
    out->server = server;
    out->facility = (int)number;
    out->to.host = host;
    out->to.port = port;
    if (tls)
        return notice_roots(ctx, w, &out->to.roots_pem);
    TRY(loopback(ctx, w, host, port, &out->here));
    out->to.tls = DELIVER_PLAIN;
    out->udp = !tcp;
    return RC_OK;
}

RC channel_syslog(struct ctx *ctx, const struct notice_way *w, const struct notice *n, const char **what)
{
    struct syslog_way way;
    struct buf message, frame;
    if (n->in->to.n > 0)
        return ctx_fail(ctx, E_INVALID, "channel %s takes no addresses", w->row->name);
    TRY(way_of(ctx, w, &way));
    buf_init_arena(&message, &ctx->arena, MESSAGE_MAX);
    TRY(syslog_message(ctx, n, w->cfg->name, way.facility, &message));
    *what = arena_printf(&ctx->arena, "sent to %s", way.server);
    if (way.udp)
        return send_udp(ctx, &way.here, buf_bytes(&message));
    buf_init_arena(&frame, &ctx->arena, MESSAGE_MAX + 16);
    put_frame(&frame, buf_bytes(&message));
    TRY(buf_status(&frame));
    return deliver_stream(ctx, &way.to, buf_bytes(&frame));
}

/* --- entries of the audit log */

RC syslog_entry(struct ctx *ctx, const struct audit_entry *e, int64_t place, bool cef, const char *host, int facility,
                struct buf *out)
{
    struct buf time, text;
    buf_init_arena(&time, &ctx->arena, 64);
    buf_init_arena(&text, &ctx->arena, ENTRY_ROOM);
    time_put_rfc3339(&time, e->at);
    buf_printf(out, "<%d>1 %s ", facility * 8 + (audit_went_bad(e) ? 4 : 6), buf_z(&time));
    put_word(out, host, 255);
    buf_put_z(out, " certwright - ");
    put_word(out, e->action, 32);
    buf_put_z(out, " [certwright@32473");
    put_param(out, "place", arena_printf(&ctx->arena, "%lld", (long long)place));
    const struct {
        const char *name, *value;
    } all[] = {{"principal", e->principal}, {"action", e->action}, {"kind", e->object_kind}, {"object", e->object_id},
               {"team", e->team_id},        {"from", e->peer},     {"request", e->request_id}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        put_param(out, all[i].name, notice_clean(ctx, all[i].value, 256, false));
    buf_put_z(out, "] ");
    if (cef)
        audit_cef_put(&text, e, place);
    else
        buf_printf(&text, "\xef\xbb\xbf%s %s %s by %s: %s", e->action, e->object_kind, e->object_id, e->principal, e->detail);
    TRY(buf_status(&text));
    TRY(buf_status(out));
    /* The detail, which is last, is cut where a message would be longer than collectors take. */
    struct bytes rest = buf_bytes(&text);
    if (rest.n > MESSAGE_MAX - out->n) {
        rest.n = MESSAGE_MAX - out->n;
        while (rest.n > 0 && (rest.p[rest.n] & 0xc0) == 0x80)
            rest.n--;
    }
    for (size_t i = 0; i < rest.n; i++)
        buf_put_u8(out, rest.p[i] < 0x20 || rest.p[i] == 0x7f ? ' ' : rest.p[i]);
    return buf_status(out);
}

RC channel_stream(struct ctx *ctx, const struct notice_way *w, const struct wire_relay_stream *in, const char **what)
{
    struct syslog_way way;
    struct buf message, frames;
    TRY(way_of(ctx, w, &way));
    if (in->places.n != in->entries.n)
        return ctx_fail(ctx, E_INVALID, "%zu entries have %zu places", in->entries.n, in->places.n);
    buf_init_arena(&frames, &ctx->arena, in->entries.n * (MESSAGE_MAX + 16) + 16);
    for (size_t i = 0; i < in->entries.n; i++) {
        json_auto_t *json = NULL;
        struct audit_entry e;
        TRY(json_read(ctx, bytes_z(in->entries.v[i]), &json));
        TRY(audit_entry_take(ctx, json, &e));
        buf_init_arena(&message, &ctx->arena, MESSAGE_MAX);
        TRY(syslog_entry(ctx, &e, in->places.v[i], in->cef, w->cfg->name, way.facility, &message));
        if (way.udp)
            TRY(send_udp(ctx, &way.here, buf_bytes(&message)));
        else
            put_frame(&frames, buf_bytes(&message));
    }
    TRY(buf_status(&frames));
    *what = arena_printf(&ctx->arena, "%zu entries sent to %s", in->entries.n, way.server);
    return way.udp ? RC_OK : deliver_stream(ctx, &way.to, buf_bytes(&frames));
}
