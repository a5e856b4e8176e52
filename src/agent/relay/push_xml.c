#include "agent/relay/push_xml.h"

#include <string.h>

#include "base/json.h"
#include "base/str.h"

#define CHILDREN_MAX   1000
#define ATTRIBUTES_MAX 32
#define VALUE_MAX      ((size_t)16 << 10)

static RC refuse(struct ctx *ctx, const char *why)
{
    return ctx_fail(ctx, E_BAD_ANSWER, "the answer is not the XML that its description knows: %s", why);
}

static bool is_space(uint8_t ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}

static bool skip_space(struct bytes *in)
{
    bool any = false;
    for (; in->n > 0 && is_space(in->p[0]); any = true)
        bytes_skip(in, 1);
    return any;
}

static bool skip_char(struct bytes *in, uint8_t ch)
{
    return in->n > 0 && in->p[0] == ch && bytes_skip(in, 1);
}

static bool is_name_char(uint8_t ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || memchr("_-.:", ch, 4) != NULL;
}

static struct bytes take_name(struct bytes *in)
{
    struct bytes name = {0};
    size_t n = 0;
    while (n < in->n && is_name_char(in->p[n]))
        n++;
    bytes_take(in, n, &name);
    return name;
}

/* --- values */

static void put_utf8(struct buf *b, uint32_t ch)
{
    if (ch < 0x80) {
        buf_put_u8(b, (uint8_t)ch);
        return;
    }
    unsigned more = ch < 0x800 ? 1 : ch < 0x10000 ? 2 : 3;
    static const uint8_t heads[] = {0, 0xc0, 0xe0, 0xf0};
    buf_put_u8(b, (uint8_t)(heads[more] | ch >> 6 * more));
    while (more-- > 0)
        buf_put_u8(b, (uint8_t)(0x80 | (ch >> 6 * more & 0x3f)));
}

/* "#38" or "#x26"; false where that is no character. */
static bool put_number(struct buf *b, struct bytes in)
{
    bool hex = in.n > 1 && in.p[1] == 'x';
    uint32_t ch = 0, base = hex ? 16 : 10;
    bytes_skip(&in, hex ? 2 : 1);
    if (in.n == 0 || in.n > 7)
        return false;
    for (size_t i = 0; i < in.n; i++) {
        uint8_t c = in.p[i];
        uint32_t digit = c >= '0' && c <= '9'          ? (uint32_t)(c - '0')
                         : hex && c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : hex && c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                       : 16;
        if (digit >= base)
            return false;
        ch = ch * base + digit;
    }
    if (ch == 0 || ch > 0x10ffff || (ch >= 0xd800 && ch < 0xe000))
        return false;
    put_utf8(b, ch);
    return true;
}

static bool put_entity(struct buf *b, struct bytes name)
{
    static const struct {
        const char *name;
        char is;
    } entities[] = {{"quot", '"'}, {"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"apos", '\''}};
    if (name.n > 0 && name.p[0] == '#')
        return put_number(b, name);
    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++)
        if (bytes_equal_z(name, entities[i].name)) {
            buf_put_u8(b, (uint8_t)entities[i].is);
            return true;
        }
    return false;
}

static bool put_plain(struct buf *b, struct bytes in)
{
    struct bytes name;
    uint8_t ch;
    while (bytes_take_u8(&in, &ch)) {
        if (ch < 0x20 || ch == 0x7f || ch == '<')
            return false;
        if (ch != '&') {
            buf_put_u8(b, ch);
            continue;
        }
        size_t end = bytes_find(in, BYTES_LIT(";"));
        if (end == SIZE_MAX || !bytes_take(&in, end, &name) || !bytes_skip(&in, 1) || !put_entity(b, name))
            return false;
    }
    return true;
}

/* --- tags */

static RC take_attribute(struct ctx *ctx, struct bytes *in, json_t *out)
{
    struct bytes name = take_name(in), value;
    struct buf plain;
    uint8_t quote = 0;
    skip_space(in);
    bool good = name.n > 0 && skip_char(in, '=');
    skip_space(in);
    good = good && bytes_take_u8(in, &quote) && (quote == '"' || quote == '\'');
    size_t n = 0;
    while (good && n < in->n && in->p[n] != quote)
        n++;
    if (!good || !bytes_take(in, n, &value) || !bytes_skip(in, 1))
        return refuse(ctx, "an attribute has no value in quotes");
    if (value.n > VALUE_MAX)
        return refuse(ctx, "an attribute is too long");
    buf_init_arena(&plain, &ctx->arena, VALUE_MAX + 1);
    if (!put_plain(&plain, value) || rc_failed(buf_status(&plain)) || !str_is_utf8(buf_bytes(&plain)))
        return refuse(ctx, "an attribute holds a character or an entity that is not known");
    const char *key = arena_str(&ctx->arena, name);
    if (json_object_size(out) == ATTRIBUTES_MAX || json_object_get(out, key) != NULL)
        return refuse(ctx, "an attribute is there twice, or there are too many");
    if (json_object_set_new(out, key, json_stringn(buf_z(&plain), buf_bytes(&plain).n)) != 0)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for an answer");
    return RC_OK;
}

/* After "<NAME": the attributes, and whether the element ends with the tag. */
static RC take_attributes(struct ctx *ctx, struct bytes *in, json_t *out, bool *empty)
{
    for (;;) {
        bool space = skip_space(in);
        *empty = skip_char(in, '/');
        if (skip_char(in, '>'))
            return RC_OK;
        if (*empty || !space)
            return refuse(ctx, "a tag is cut off");
        TRY(take_attribute(ctx, in, out));
    }
}

static bool take_end(struct bytes *in, const char *name)
{
    if (!skip_char(in, '<') || !skip_char(in, '/') || !bytes_equal_nocase(take_name(in), bytes_z(name)))
        return false;
    skip_space(in);
    return skip_char(in, '>');
}

/* In well-formed XML '<' is in tags alone, once comments and the like are refused. */
static RC find_element(struct ctx *ctx, struct bytes doc, const char *name, struct bytes *rest, bool *found)
{
    *found = false;
    for (bool first = true;; first = false) {
        size_t at = bytes_find(doc, BYTES_LIT("<"));
        if (at == SIZE_MAX)
            return RC_OK;
        bytes_skip(&doc, at + 1);
        if (doc.n > 0 && (doc.p[0] == '!' || (doc.p[0] == '?' && !first)))
            return refuse(ctx, "there are comments or other things in it that are no elements");
        if (!bytes_equal_nocase(take_name(&doc), bytes_z(name)))
            continue;
        if (*found)
            return refuse(ctx, arena_printf(&ctx->arena, "%s is there twice", name));
        *found = true;
        *rest = doc;
    }
}

RC push_xml_attribute(struct ctx *ctx, struct bytes doc, const char *element, const char *attribute, struct buf *out, bool *found)
{
    json_auto_t *all = json_object();
    struct bytes rest;
    bool empty;
    TRY(find_element(ctx, doc, element, &rest, found));
    if (!*found)
        return RC_OK;
    TRY(take_attributes(ctx, &rest, all, &empty));
    const json_t *v = json_object_get(all, attribute);
    *found = v != NULL;
    if (*found)
        buf_put(out, bytes_of(json_string_value(v), json_string_length(v)));
    return buf_status(out);
}

static RC take_child(struct ctx *ctx, struct bytes *in, const char *name, json_t *list)
{
    json_t *attributes = json_object();
    bool empty;
    if (attributes == NULL || json_array_append_new(list, attributes) != 0)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for an answer");
    if (!skip_char(in, '<') || !bytes_equal_nocase(take_name(in), bytes_z(name)))
        return refuse(ctx, arena_printf(&ctx->arena, "there is something that is no %s", name));
    TRY(take_attributes(ctx, in, attributes, &empty));
    if (empty)
        return RC_OK;
    skip_space(in);
    return take_end(in, name) ? RC_OK : refuse(ctx, arena_printf(&ctx->arena, "there is something inside of a %s", name));
}

RC push_xml_children(struct ctx *ctx, struct bytes doc, const char *element, const char *child, struct buf *out, bool *found)
{
    json_auto_t *list = json_array(), *head = json_object();
    struct json_out j;
    struct bytes rest;
    bool empty;
    TRY(find_element(ctx, doc, element, &rest, found));
    if (!*found)
        return RC_OK;
    TRY(take_attributes(ctx, &rest, head, &empty));
    while (!empty) {
        struct bytes here;
        skip_space(&rest);
        here = rest;
        if (take_end(&here, element))
            break;
        if (json_array_size(list) == CHILDREN_MAX)
            return refuse(ctx, arena_printf(&ctx->arena, "there are more than %d of %s", CHILDREN_MAX, child));
        TRY(take_child(ctx, &rest, child, list));
    }
    json_begin(&j, out);
    json_put_value(&j, NULL, list);
    return buf_status(out);
}
