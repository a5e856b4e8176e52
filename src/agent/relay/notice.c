#include "agent/relay/notice.h"

#include "base/str.h"
#include "os/file.h"

#define ROOTS_MAX ((size_t)1 << 20)

/* How long the character at the front is, and whether it may stand in a text; 0 bytes: no UTF-8. */
static size_t take_character(struct bytes b, bool *plain)
{
    const uint8_t c = b.p[0];
    const size_t n = c < 0x80 ? 1 : (c & 0xe0) == 0xc0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : (c & 0xf8) == 0xf0 ? 4 : 0;
    if (n == 0 || n > b.n || !str_is_utf8(bytes_of(b.p, n)))
        return 0;
    uint32_t code = n == 1 ? c : c & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++)
        code = code << 6 | (b.p[i] & 0x3f);
    const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029;
    const bool turns = code == 0x061c || code == 0x200e || code == 0x200f || (code >= 0x202a && code <= 0x202e) ||
                       (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
    *plain = !control && !turns;
    return n;
}

const char *notice_clean(struct ctx *ctx, const char *text, size_t max, bool lines)
{
    struct bytes rest = bytes_z(text), one;
    struct buf b;
    bool plain;
    buf_init_arena(&b, &ctx->arena, max + 8);
    while (rest.n > 0) {
        const size_t n = take_character(rest, &plain);
        if (b.n + (n > 0 ? n : 1) > max - 3) { /* "…" has three bytes */
            buf_put_z(&b, "…");
            break;
        }
        bytes_take(&rest, n > 0 ? n : 1, &one);
        if (n == 0)
            buf_put_u8(&b, '?');
        else if (plain || (lines && one.p[0] == '\n'))
            buf_put(&b, one);
        else if (one.p[0] != '\r' || !lines)
            buf_put_u8(&b, ' ');
    }
    return buf_z(&b);
}

static const char *url_of(struct ctx *ctx, const char *text)
{
    const bool good = strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0;
    for (const char *c = text; good && *c != '\0'; c++)
        if ((uint8_t)*c <= 0x20 || (uint8_t)*c >= 0x7f || strchr("\"<>\\`'{}|^", *c) != NULL)
            return "";
    return good ? arena_strdup(&ctx->arena, text) : "";
}

static int level_of(const char *severity)
{
    static const char *const words[] = {"info", "warning", "error", "critical"};
    for (int i = 0; i < 4; i++)
        if (strcmp(severity, words[i]) == 0)
            return i + 1;
    return 1;
}

RC notice_of(struct ctx *ctx, const struct wire_relay_notify *in, struct notice *out)
{
    struct buf time;
    buf_init_arena(&time, &ctx->arena, 64);
    time_put_rfc3339(&time, in->at);
    *out = (struct notice){.in = in,
                           .id = notice_clean(ctx, in->id, 64, false),
                           .key = notice_clean(ctx, in->key, 64, false),
                           .time = buf_z(&time),
                           .subject = notice_clean(ctx, in->subject, NOTICE_SUBJECT_MAX, false),
                           .headline = notice_clean(ctx, in->subject, NOTICE_HEADLINE_MAX, false),
                           .text = notice_clean(ctx, in->text, NOTICE_TEXT_MAX, true),
                           .brief = notice_clean(ctx, in->text, NOTICE_SHORT_MAX, true),
                           .url = url_of(ctx, in->url),
                           .severity = notice_clean(ctx, in->severity, 16, false),
                           .state = notice_clean(ctx, in->state, 16, false),
                           .object_kind = notice_clean(ctx, in->object_kind, 64, false),
                           .object_id = notice_clean(ctx, in->object_id, 64, false),
                           .object_name = notice_clean(ctx, in->object_name, 300, false),
                           .team = notice_clean(ctx, in->team, 128, false),
                           .level = level_of(in->severity),
                           .resolved = strcmp(in->state, "resolved") == 0};
    for (const char *c = out->id; *c != '\0'; c++) /* it stands in headers */
        if (!((*c | 0x20) >= 'a' && (*c | 0x20) <= 'z') && !(*c >= '0' && *c <= '9') && *c != '-' && *c != '_')
            return ctx_fail(ctx, E_INVALID, "%s is no id of a notification", out->id);
    for (const char *c = out->key; *c != '\0'; c++)
        if (!((*c | 0x20) >= 'a' && (*c | 0x20) <= 'z') && !(*c >= '0' && *c <= '9') && *c != '-' && *c != '_')
            return ctx_fail(ctx, E_INVALID, "%s is no key of a notification", out->key);
    return *out->id != '\0' && *out->key != '\0' ? RC_OK : ctx_fail(ctx, E_INVALID, "a notification without an id");
}

RC notice_parameters(struct ctx *ctx, const struct notice_way *w, const char *const *known)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)w->parameters, name, v)
    {
        struct buf all;
        bool found = false;
        buf_init_arena(&all, &ctx->arena, 512);
        for (size_t i = 0; known[i] != NULL; i++) {
            found |= strcmp(name, known[i]) == 0;
            buf_printf(&all, "%s%s", i > 0 ? ", " : "", known[i]);
        }
        if (!found || !json_is_string(v))
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/parameters/%s", name),
                                  "%s has no parameter %s: it has %s, each a text", w->row->use, name, buf_z(&all));
    }
    return RC_OK;
}

RC notice_roots(struct ctx *ctx, const struct notice_way *w, struct bytes *out)
{
    *out = (struct bytes){0};
    if (w->row->roots == NULL)
        return RC_OK;
    struct rc rc = file_read(ctx, w->row->roots, ROOTS_MAX, out);
    return rc_ok(rc) ? rc : ctx_wrap(ctx, rc, "the roots of channel %s, which the relay's user must be able to read", w->row->name);
}
