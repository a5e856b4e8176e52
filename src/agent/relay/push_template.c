#include "agent/relay/push_session.h"

#include "agent/relay/totp.h"
#include "base/encode.h"
#include "base/uri.h"
#include "pki/pem.h"

/* --- filters: bytes in, bytes out */

static RC put_json(struct ctx *ctx, struct push_session *s, struct bytes in, struct buf *out)
{
    struct buf *quoted = push_room(s, PUSH_VALUE_MAX * 2);
    struct json_out j;
    (void)ctx;
    json_begin(&j, quoted);
    json_put_bytes_str(&j, NULL, in);
    struct bytes text = buf_bytes(quoted);
    if (text.n >= 2)
        buf_put(out, bytes_of(text.p + 1, text.n - 2));
    return buf_status(quoted);
}

static RC put_xml(struct ctx *ctx, struct push_session *s, struct bytes in, struct buf *out)
{
    (void)ctx;
    (void)s;
    put_markup(out, in);
    return RC_OK;
}

/* Where a text is marked up with these three alone, as messages of Slack are. */
static RC put_angles(struct ctx *ctx, struct push_session *s, struct bytes in, struct buf *out)
{
    (void)ctx;
    (void)s;
    for (size_t i = 0; i < in.n; i++)
        if (in.p[i] == '&' || in.p[i] == '<' || in.p[i] == '>')
            buf_put_z(out, in.p[i] == '&' ? "&amp;" : in.p[i] == '<' ? "&lt;" : "&gt;");
        else
            buf_put_u8(out, in.p[i]);
    return RC_OK;
}

static RC refuse_dots(struct ctx *ctx, struct bytes segment)
{
    if (segment.n == 0 || bytes_equal_z(segment, ".") || bytes_equal_z(segment, ".."))
        return ctx_fail(ctx, E_INVALID, "\"%.*s\" cannot stand in a path", (int)segment.n, (const char *)segment.p);
    return RC_OK;
}

static RC put_segments(struct ctx *ctx, struct push_session *s, struct bytes in, struct buf *out)
{
    struct bytes segment;
    bool first = true;
    (void)s;
    if (in.n == 0 || in.p[in.n - 1] == '/')
        return refuse_dots(ctx, (struct bytes){0});
    while (bytes_take_until(&in, '/', &segment)) {
        TRY(refuse_dots(ctx, segment));
        if (!first)
            buf_put_u8(out, '/');
        put_percent(out, segment);
        first = false;
    }
    return RC_OK;
}

static RC put_changed(struct ctx *ctx, struct push_session *s, struct bytes in, struct buf *out, bool upper)
{
    (void)ctx;
    (void)s;
    for (size_t i = 0; i < in.n; i++) {
        uint8_t ch = in.p[i];
        if (upper && ch >= 'a' && ch <= 'z')
            ch = (uint8_t)(ch - 32);
        else if (!upper && ch >= 'A' && ch <= 'Z')
            ch = (uint8_t)(ch + 32);
        buf_put_u8(out, ch);
    }
    return RC_OK;
}

static RC put_upper(struct ctx *ctx, struct push_session *s, struct bytes in, struct buf *out)
{
    return put_changed(ctx, s, in, out, true);
}

static RC put_lower(struct ctx *ctx, struct push_session *s, struct bytes in, struct buf *out)
{
    return put_changed(ctx, s, in, out, false);
}

static RC put_nonl(struct ctx *ctx, struct push_session *s, struct bytes in, struct buf *out)
{
    (void)ctx;
    (void)s;
    for (size_t i = 0; i < in.n; i++)
        if (in.p[i] == '\n')
            buf_put_z(out, "\\n");
        else
            buf_put_u8(out, in.p[i]);
    return RC_OK;
}

/* Of an upload in one piece (RFC 9110 section 14.4, without the unit, as F5 wants it). */
static RC put_range(struct ctx *ctx, struct push_session *s, struct bytes in, struct buf *out)
{
    (void)s;
    if (in.n == 0)
        return ctx_fail(ctx, E_INVALID, "there is nothing to upload");
    buf_printf(out, "0-%zu/%zu", in.n - 1, in.n);
    return RC_OK;
}

static RC put_totp(struct ctx *ctx, struct push_session *s, struct bytes in, struct buf *out)
{
    (void)s;
    return totp_put(ctx, in, push_clock_s(ctx), out);
}

#define PLAIN_FILTER(name, put)                                                                                                    \
    static RC name(struct ctx *ctx, struct push_session *s, struct bytes in, struct buf *out)                                      \
    {                                                                                                                              \
        (void)ctx;                                                                                                                 \
        (void)s;                                                                                                                   \
        put(out, in);                                                                                                              \
        return RC_OK;                                                                                                              \
    }
PLAIN_FILTER(put_b64, put_base64)
PLAIN_FILTER(put_b64_lines, put_base64_lines)
PLAIN_FILTER(put_b64url, put_base64url)
PLAIN_FILTER(put_hex_text, put_hex)
PLAIN_FILTER(put_url, put_percent)
PLAIN_FILTER(put_raw, buf_put)

/* Those of the last group say how a value stands in JSON; anywhere else they change nothing. */
static const struct filter {
    const char *name;
    RC (*put)(struct ctx *ctx, struct push_session *s, struct bytes in, struct buf *out);
    bool encoded; /* fit for a path as it is */
} filters[] = {
    {"base64", put_b64, false},       {"base64lines", put_b64_lines, false},
    {"base64url", put_b64url, false}, {"hex", put_hex_text, false},
    {"url", put_url, true},           {"segments", put_segments, true},
    {"json", put_json, false},        {"xml", put_xml, false},
    {"raw", put_raw, true},           {"upper", put_upper, false},
    {"lower", put_lower, false},      {"nonl", put_nonl, false},
    {"range", put_range, false},      {"totp", put_totp, false},
    {"angles", put_angles, false},
};

static RC filter_one(struct ctx *ctx, struct push_session *s, struct bytes name, struct bytes *value, bool *encoded)
{
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        if (!bytes_equal_z(name, filters[i].name))
            continue;
        struct buf *out = push_room(s, PUSH_VALUE_MAX * 2);
        TRY(filters[i].put(ctx, s, *value, out));
        *value = buf_bytes(out);
        *encoded |= filters[i].encoded;
        struct rc rc = buf_status(out);
        return rc_ok(rc) ? rc : ctx_fail(ctx, rc.e, "a value is over the limit of %zu bytes", PUSH_VALUE_MAX * 2);
    }
    return RC_OK;
}

/* --- templates */

static RC value_of(struct ctx *ctx, struct push_session *s, struct bytes name, struct bytes list, struct bytes *out, bool *encoded)
{
    struct bytes filter;
    *encoded = false;
    push_get(s, arena_str(&ctx->arena, name), out); /* what is not there is empty: names are checked with the description */
    while (bytes_take_until(&list, '|', &filter))
        TRY(filter_one(ctx, s, filter, out, encoded));
    return RC_OK;
}

static RC put_place(struct ctx *ctx, struct push_session *s, struct bytes value, enum push_place place, bool encoded,
                    const char *method, struct buf *out)
{
    if (place == PUSH_PATH && (!encoded || s->transport != &push_https)) /* no filter makes a word of a command line safe */
        return s->transport->put_value(ctx, method, value, out);
    if (place != PUSH_POINTER) {
        buf_put(out, value);
        return RC_OK;
    }
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] == '~' || value.p[i] == '/')
            buf_put_z(out, value.p[i] == '~' ? "~0" : "~1");
        else
            buf_put_u8(out, value.p[i]);
    return RC_OK;
}

RC push_expand(struct ctx *ctx, struct push_session *s, const char *text, enum push_place place, const char *method,
               struct bytes *out)
{
    struct bytes rest = bytes_z(text), literal, name, list, value;
    struct buf *b = push_room(s, PUSH_BODY_MAX);
    const char *bad;
    bool encoded;
    while (push_template_next(&rest, &literal, &name, &list, &bad)) {
        buf_put(b, literal);
        if (name.n == 0)
            continue;
        TRY(value_of(ctx, s, name, list, &value, &encoded));
        TRY(put_place(ctx, s, value, place, encoded, method, b));
    }
    if (bad != NULL)
        return ctx_fail(ctx, E_INVALID, "template %s: %s", text, bad);
    buf_z(b); /* a NUL follows, also where nothing was written */
    *out = buf_bytes(b);
    if (out->p == NULL)
        *out = bytes_of("", 0);
    struct rc rc = buf_status(b);
    return rc_ok(rc) ? rc : ctx_fail(ctx, rc.e, "a text is over the limit of %zu bytes", PUSH_BODY_MAX);
}

/* --- bodies */

static bool has_filter(struct bytes list, const char *name)
{
    struct bytes filter;
    while (bytes_take_until(&list, '|', &filter))
        if (bytes_equal_z(filter, name))
            return true;
    return false;
}

/* The certificates of a PEM text, one string each. */
static RC put_pem_list(struct ctx *ctx, struct push_session *s, struct json_out *j, const char *key, struct bytes pem)
{
    struct pem_block block;
    bool found = true;
    json_open_list(j, key);
    for (;;) {
        TRY(pem_next(ctx, &pem, &block, &found));
        if (!found)
            break;
        struct buf *one = push_room(s, PUSH_VALUE_MAX);
        pem_put(one, PEM_CERTIFICATE, block.der);
        json_put_bytes_str(j, NULL, buf_bytes(one));
    }
    json_close(j);
    return RC_OK;
}

/* A text that is one placeholder alone may become something other than a string. */
static RC put_kind(struct ctx *ctx, struct push_session *s, struct json_out *j, const char *key, struct bytes value,
                   struct bytes list, bool *put)
{
    json_auto_t *tree = NULL;
    int64_t number;
    *put = true;
    if (has_filter(list, "null") && value.n == 0)
        json_put_null(j, key);
    else if (has_filter(list, "int") && str_to_i64(value, &number))
        json_put_int(j, key, number);
    else if (has_filter(list, "bool") && (bytes_equal_z(value, "true") || bytes_equal_z(value, "false")))
        json_put_bool(j, key, bytes_equal_z(value, "true"));
    else if (has_filter(list, "int") || has_filter(list, "bool"))
        return ctx_fail(ctx, E_BAD_ANSWER, "a value that must be a number or a truth value is \"%.*s\"",
                        (int)(value.n < 40 ? value.n : 40), (const char *)value.p);
    else if (has_filter(list, "tree") && value.n == 0)
        json_put_null(j, key);
    else if (has_filter(list, "tree"))
        TRY(json_read(ctx, value, &tree));
    else if (has_filter(list, "list"))
        return put_pem_list(ctx, s, j, key, value);
    else
        *put = false;
    if (tree != NULL)
        json_put_value(j, key, tree);
    return RC_OK;
}

static RC put_string(struct ctx *ctx, struct push_session *s, struct json_out *j, const char *key, const char *text)
{
    struct bytes rest = bytes_z(text), literal, name, list, value;
    const char *bad;
    bool encoded, put = false;
    if (push_template_next(&rest, &literal, &name, &list, &bad) && name.n > 0 && rest.n == 0) {
        TRY(value_of(ctx, s, name, list, &value, &encoded));
        TRY(put_kind(ctx, s, j, key, value, list, &put));
    } else {
        TRY(push_expand(ctx, s, text, PUSH_PLAIN, NULL, &value));
    }
    if (!put && !str_is_utf8(value))
        return ctx_fail(ctx, E_INVALID, "template %s yields bytes that are no text: it needs a filter such as base64", text);
    if (!put)
        json_put_bytes_str(j, key, value);
    return RC_OK;
}

static RC put_tree(struct ctx *ctx, struct push_session *s, struct json_out *j, const char *key, json_t *v)
{
    const char *name;
    json_t *member;
    size_t i;
    if (json_is_string(v))
        return put_string(ctx, s, j, key, json_string_value(v));
    if (json_is_object(v)) {
        json_open_obj(j, key);
        json_object_foreach(v, name, member)
        {
            struct bytes expanded;
            TRY(push_expand(ctx, s, name, PUSH_PLAIN, NULL, &expanded));
            TRY(put_tree(ctx, s, j, str_is_utf8(expanded) ? (const char *)expanded.p : name, member));
        }
        json_close(j);
    } else if (json_is_array(v)) {
        json_open_list(j, key);
        json_array_foreach(v, i, member) TRY(put_tree(ctx, s, j, NULL, member));
        json_close(j);
    } else {
        json_put_value(j, key, v);
    }
    return RC_OK;
}

RC push_build_json(struct ctx *ctx, struct push_session *s, const char *text, struct bytes *out)
{
    json_auto_t *tree = NULL;
    struct buf *b = push_room(s, PUSH_BODY_MAX);
    struct json_out j;
    TRY(json_read(ctx, bytes_z(text), &tree));
    json_begin(&j, b);
    TRY(put_tree(ctx, s, &j, NULL, tree));
    *out = buf_bytes(b);
    return buf_status(b);
}

static RC build_pairs(struct ctx *ctx, struct push_session *s, const struct push_pairs *p, struct buf *b)
{
    bool put = false;
    for (size_t i = 0; i < p->n; i++) {
        struct bytes value;
        TRY(push_expand(ctx, s, p->v[i].value, PUSH_PLAIN, NULL, &value));
        if (value.n == 0 && *p->v[i].value != '\0')
            continue; /* what is not there is not said */
        if (put)
            buf_put_u8(b, '&');
        put = true;
        put_percent(b, bytes_z(p->v[i].name));
        buf_put_u8(b, '=');
        put_percent(b, value);
    }
    return buf_status(b);
}

/* Names stand in quotes in the part's head (RFC 7578). */
static RC put_quoted(struct ctx *ctx, struct push_session *s, struct buf *b, const char *what, const char *text)
{
    struct bytes value;
    if (text == NULL)
        return RC_OK;
    TRY(push_expand(ctx, s, text, PUSH_PLAIN, NULL, &value));
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < 0x20 || value.p[i] == '"' || value.p[i] == '\\' || value.p[i] == 0x7f)
            return ctx_fail(ctx, E_INVALID, "the %s of a part holds a character that it cannot", what);
    buf_put_z(b, "; ");
    buf_put_z(b, what);
    buf_put_z(b, "=\"");
    buf_put(b, value);
    buf_put_u8(b, '"');
    return RC_OK;
}

static RC build_multipart(struct ctx *ctx, struct push_session *s, const struct push_step *step, struct bytes *out)
{
    struct buf *b = push_room(s, PUSH_BODY_MAX);
    for (size_t i = 0; i < step->n_parts; i++) {
        const struct push_part *p = &step->parts[i];
        struct bytes value;
        buf_put_z(b, "--");
        buf_put_z(b, s->boundary);
        buf_put_z(b, "\r\nContent-Disposition: form-data");
        TRY(put_quoted(ctx, s, b, "name", p->name));
        TRY(put_quoted(ctx, s, b, "filename", p->filename));
        if (p->type != NULL) {
            buf_put_z(b, "\r\nContent-Type: ");
            buf_put_z(b, p->type);
        }
        buf_put_z(b, "\r\n\r\n");
        TRY(push_expand(ctx, s, p->text, PUSH_PLAIN, NULL, &value));
        buf_put(b, value);
        buf_put_z(b, "\r\n");
    }
    buf_put_z(b, "--");
    buf_put_z(b, s->boundary);
    buf_put_z(b, "--\r\n");
    *out = buf_bytes(b);
    return buf_status(b);
}

static RC build_body(struct ctx *ctx, struct push_session *s, const struct push_step *step, struct push_request *r)
{
    const char *type = NULL;
    struct buf *b;
    r->has_body = step->kind != PUSH_BODY_NONE;
    switch (step->kind) {
    case PUSH_BODY_NONE:
        return RC_OK;
    case PUSH_BODY_JSON:
        TRY(push_build_json(ctx, s, step->body, &r->body));
        type = "application/json";
        break;
    case PUSH_BODY_TEXT:
        TRY(push_expand(ctx, s, step->body, PUSH_PLAIN, NULL, &r->body));
        break;
    case PUSH_BODY_FORM:
        b = push_room(s, PUSH_BODY_MAX);
        TRY(build_pairs(ctx, s, &step->form, b));
        r->body = buf_bytes(b);
        type = "application/x-www-form-urlencoded";
        break;
    case PUSH_BODY_MULTIPART:
        TRY(build_multipart(ctx, s, step, &r->body));
        type = arena_printf(&ctx->arena, "multipart/form-data; boundary=%s", s->boundary);
        break;
    }
    for (size_t i = 0; i < r->n_headers; i++)
        if (bytes_equal_nocase(bytes_z(r->headers[i].name), BYTES_LIT("content-type")))
            return RC_OK;
    return type == NULL ? RC_OK : push_header(ctx, s, r, "Content-Type", bytes_z(type));
}

/* --- requests */

RC push_header(struct ctx *ctx, struct push_session *s, struct push_request *r, const char *name, struct bytes value)
{
    if (r->n_headers == PUSH_HEADERS_MAX || value.n > PUSH_HEADER_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "header %s: more than %d headers, or longer than %d bytes", name, PUSH_HEADERS_MAX,
                        PUSH_HEADER_MAX);
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < 0x20 || value.p[i] == 0x7f)
            return ctx_fail(ctx, E_INVALID, "header %s: its value holds a control character", name);
    struct buf *b = push_room(s, PUSH_HEADER_MAX + 1);
    buf_put(b, value);
    r->headers[r->n_headers++] = (struct http_header){arena_strdup(&ctx->arena, name), buf_z(b)};
    return buf_status(b);
}

RC push_add_query(struct ctx *ctx, struct push_session *s, const struct push_pairs *query, struct push_request *r)
{
    if (query->n == 0)
        return RC_OK;
    struct buf *b = push_room(s, URI_MAX + 1);
    buf_put_z(b, r->url);
    buf_put_u8(b, strchr(r->url, '?') != NULL ? '&' : '?');
    TRY(build_pairs(ctx, s, query, b));
    r->url = buf_z(b);
    return buf_status(b);
}

static RC build_url(struct ctx *ctx, struct push_session *s, const struct push_step *step, struct push_request *r)
{
    struct bytes base = {0}, path;
    struct buf *b = push_room(s, PUSH_TEMPLATE_MAX * 16);
    if (step->url == NULL && s->desc->base != NULL)
        TRY(push_expand(ctx, s, s->desc->base, PUSH_PLAIN, NULL, &base));
    while (base.n > 0 && base.p[base.n - 1] == '/')
        base.n--;
    TRY(push_expand(ctx, s, step->url != NULL ? step->url : step->path, PUSH_PATH, step->method, &path));
    buf_put(b, base);
    buf_put(b, path);
    r->url = buf_z(b);
    TRY(buf_status(b));
    if (strlen(r->url) != buf_bytes(b).n)
        return ctx_fail(ctx, E_INVALID, "an address holds a NUL");
    return push_add_query(ctx, s, &step->query, r);
}

RC push_build(struct ctx *ctx, struct push_session *s, const struct push_step *step, struct push_request *out)
{
    struct bytes value;
    *out = (struct push_request){.method = step->method};
    TRY(build_url(ctx, s, step, out));
    if (step->mode != NULL) {
        TRY(push_expand(ctx, s, step->mode, PUSH_PLAIN, NULL, &value));
        out->mode = arena_str(&ctx->arena, value);
    }
    for (size_t i = 0; i < step->headers.n; i++) {
        TRY(push_expand(ctx, s, step->headers.v[i].value, PUSH_PLAIN, NULL, &value));
        if (value.n > 0)
            TRY(push_header(ctx, s, out, step->headers.v[i].name, value));
    }
    return build_body(ctx, s, step, out);
}
