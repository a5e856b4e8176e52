#include "base/json.h"

#include "base/encode.h"
#include "base/str.h"

#define JSON_DEPTH_MAX 1000 /* elements deep */

/* jansson recurses; what is too deep is refused before it does. */
static bool too_deep(struct bytes t)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < t.n; i++) {
        const uint8_t c = t.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return true;
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        }
    }
    return false;
}

RC json_read(struct ctx *ctx, struct bytes text, json_t **out)
{
    *out = NULL;
    if (too_deep(text))
        return ctx_fail(ctx, E_PARSE, "the JSON is nested more than %d levels deep", JSON_DEPTH_MAX);
    json_error_t error;
    *out = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (*out)
        return RC_OK;
    return ctx_fail(ctx, E_PARSE, "not valid JSON: line %d, column %d: %s", error.line, error.column, error.text);
}

static struct rc member(struct ctx *ctx, const json_t *obj, const char *key, bool need, const json_t **out)
{
    const json_t *v = json_object_get(obj, key);
    *out = v && !json_is_null(v) ? v : NULL;
    if (*out || !need)
        return RC_OK;
    return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/%s", key), "%s is missing", key);
}

static struct rc wrong(struct ctx *ctx, const char *key, const char *what)
{
    return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/%s", key), "%s must be %s", key, what);
}

RC json_get_str(struct ctx *ctx, const json_t *obj, const char *key, bool need, const char **out)
{
    const json_t *v;
    TRY(member(ctx, obj, key, need, &v));
    if (!v)
        return RC_OK;
    if (!json_is_string(v))
        return wrong(ctx, key, "text");
    *out = arena_strdup(&ctx->arena, json_string_value(v));
    return RC_OK;
}

RC json_get_int(struct ctx *ctx, const json_t *obj, const char *key, bool need, int64_t *out)
{
    const json_t *v;
    TRY(member(ctx, obj, key, need, &v));
    if (!v)
        return RC_OK;
    if (!json_is_integer(v))
        return wrong(ctx, key, "a whole number");
    *out = json_integer_value(v);
    return RC_OK;
}

RC json_get_bool(struct ctx *ctx, const json_t *obj, const char *key, bool need, bool *out)
{
    const json_t *v;
    TRY(member(ctx, obj, key, need, &v));
    if (!v)
        return RC_OK;
    if (!json_is_boolean(v))
        return wrong(ctx, key, "true or false");
    *out = json_is_true(v);
    return RC_OK;
}

RC json_get_base64(struct ctx *ctx, const json_t *obj, const char *key, bool need, struct bytes *out)
{
    const json_t *v;
    TRY(member(ctx, obj, key, need, &v));
    if (!v)
        return RC_OK;
    if (!json_is_string(v) || !get_base64(&ctx->arena, bytes_of(json_string_value(v), json_string_length(v)), out))
        return wrong(ctx, key, "base64");
    return RC_OK;
}

RC json_get_list(struct ctx *ctx, const json_t *obj, const char *key, bool need, const json_t **out)
{
    const json_t *v;
    TRY(member(ctx, obj, key, need, &v));
    if (!v)
        return RC_OK;
    if (!json_is_array(v))
        return wrong(ctx, key, "a list");
    *out = v;
    return RC_OK;
}

RC json_get_obj(struct ctx *ctx, const json_t *obj, const char *key, bool need, const json_t **out)
{
    const json_t *v;
    TRY(member(ctx, obj, key, need, &v));
    if (!v)
        return RC_OK;
    if (!json_is_object(v))
        return wrong(ctx, key, "an object");
    *out = v;
    return RC_OK;
}

RC json_get_obj_text(struct ctx *ctx, const json_t *obj, const char *key, bool need, const char **out)
{
    const json_t *v = NULL;
    struct buf b;
    struct json_out j;
    *out = "{}";
    TRY(json_get_obj(ctx, obj, key, need, &v));
    if (!v)
        return RC_OK;
    buf_init_arena(&b, &ctx->arena, 65536);
    json_begin(&j, &b);
    json_put_value(&j, NULL, v);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

void json_begin(struct json_out *j, struct buf *b)
{
    *j = (struct json_out){.b = b};
}

/* Writes text in quotes; what is not UTF-8 becomes U+FFFD, control characters are escaped. */
static void put_quoted(struct buf *b, struct bytes s)
{
    buf_put_u8(b, '"');
    size_t from = 0;
    for (size_t i = 0; i < s.n;) {
        const uint8_t c = s.p[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            i++;
            continue;
        }
        size_t good = 0;
        for (size_t k = 2; c >= 0x80 && k <= 4 && i + k <= s.n && !good; k++)
            if (str_is_utf8(bytes_of(s.p + i, k)))
                good = k;
        const bool c1 = good == 2 && c == 0xc2 && s.p[i + 1] < 0xa0;
        if (good && !c1) {
            i += good;
            continue;
        }
        buf_put_mem(b, s.p + from, i - from);
        if (c1) /* a control character (U+0080 to U+009F), which a terminal may act on */
            buf_printf(b, "\\u%04x", s.p[++i]);
        else if (c >= 0x80)
            buf_put_z(b, "\xef\xbf\xbd");
        else if (c == '"' || c == '\\')
            buf_put_mem(b, (const uint8_t[]){'\\', c}, 2);
        else if (c == '\n')
            buf_put_z(b, "\\n");
        else
            buf_printf(b, "\\u%04x", c);
        from = ++i;
    }
    if (s.n > from)
        buf_put_mem(b, s.p + from, s.n - from);
    buf_put_u8(b, '"');
}

static void before_value(struct json_out *j, const char *key)
{
    if (j->comma[j->depth])
        buf_put_u8(j->b, ',');
    j->comma[j->depth] = true;
    if (key) {
        put_quoted(j->b, bytes_z(key));
        buf_put_u8(j->b, ':');
    }
}

static void open_any(struct json_out *j, const char *key, char open, char close)
{
    before_value(j, key);
    if (j->depth + 1 >= (int)(sizeof j->close)) {
        j->b->failed = E_BUG;
        return;
    }
    buf_put_u8(j->b, (uint8_t)open);
    j->depth++;
    j->comma[j->depth] = false;
    j->close[j->depth] = close;
}

void json_open_obj(struct json_out *j, const char *key)
{
    open_any(j, key, '{', '}');
}

void json_open_list(struct json_out *j, const char *key)
{
    open_any(j, key, '[', ']');
}

void json_close(struct json_out *j)
{
    if (j->depth)
        buf_put_u8(j->b, (uint8_t)j->close[j->depth--]);
}

void json_put_str(struct json_out *j, const char *key, const char *value)
{
    if (value)
        json_put_bytes_str(j, key, bytes_z(value));
    else
        json_put_null(j, key);
}

void json_put_bytes_str(struct json_out *j, const char *key, struct bytes value)
{
    before_value(j, key);
    put_quoted(j->b, value);
}

void json_put_int(struct json_out *j, const char *key, int64_t value)
{
    before_value(j, key);
    buf_printf(j->b, "%lld", (long long)value);
}

void json_put_bool(struct json_out *j, const char *key, bool value)
{
    before_value(j, key);
    buf_put_z(j->b, value ? "true" : "false");
}

void json_put_null(struct json_out *j, const char *key)
{
    before_value(j, key);
    buf_put_z(j->b, "null");
}

void json_put_base64(struct json_out *j, const char *key, struct bytes value)
{
    before_value(j, key);
    buf_put_u8(j->b, '"');
    put_base64(j->b, value);
    buf_put_u8(j->b, '"');
}

void json_put_hex(struct json_out *j, const char *key, struct bytes value)
{
    before_value(j, key);
    buf_put_u8(j->b, '"');
    put_hex(j->b, value);
    buf_put_u8(j->b, '"');
}

void json_put_time(struct json_out *j, const char *key, int64_t unix_s)
{
    before_value(j, key);
    buf_put_u8(j->b, '"');
    time_put_rfc3339(j->b, unix_s);
    buf_put_u8(j->b, '"');
}

void json_put_raw(struct json_out *j, const char *key, struct bytes json)
{
    before_value(j, key);
    buf_put(j->b, json);
}

static int dump_to_buf(const char *text, size_t n, void *arg)
{
    buf_put_mem(arg, text, n);
    return 0;
}

void json_put_value(struct json_out *j, const char *key, const json_t *value)
{
    before_value(j, key);
    if (json_dump_callback(value, dump_to_buf, j->b, JSON_COMPACT | JSON_ENCODE_ANY))
        j->b->failed = E_NO_MEMORY;
}
