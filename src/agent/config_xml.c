/* A scanner rather than a library: elements and attributes are all that is looked for, nothing is fetched or declared, and expat
 * would be a parser of outside bytes more in the agent's process, for one service. */
#include "agent/config_formats.h"
#include "base/buf.h"
#include "base/str.h"

#define NAME_MAX_BYTES 256
#define VALUE_MAX_BYTES 8192
#define ATTRIBUTES_MAX 100

struct xml {
    struct config_reader *r;
    struct bytes rest;
};

static void skip(struct xml *x, size_t n)
{
    for (size_t i = 0; i < n && i < x->rest.n; i++)
        if (x->rest.p[i] == '\n')
            config_next_line(x->r);
    bytes_skip(&x->rest, n);
}

static bool is_blank(uint8_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static bool skip_blanks(struct xml *x)
{
    size_t n = 0;
    while (n < x->rest.n && is_blank(x->rest.p[n]))
        n++;
    skip(x, n);
    return n > 0;
}

static bool at(const struct xml *x, const char *sign) { return bytes_starts_with(x->rest, bytes_z(sign)); }

/* Past the next `end`. */
static RC skip_past(struct xml *x, size_t from, const char *end)
{
    struct bytes rest = x->rest;
    bytes_skip(&rest, from);
    size_t n = bytes_find(rest, bytes_z(end));
    if (n == SIZE_MAX)
        return config_refuse(x->r, "the document ends too early");
    skip(x, from + n + strlen(end));
    return RC_OK;
}

/* "<!DOCTYPE name SYSTEM "…">": nothing is fetched; what it declares itself would have to be obeyed. */
static RC skip_doctype(struct xml *x)
{
    uint8_t quote = 0;
    for (size_t i = 0; i < x->rest.n; i++) {
        uint8_t c = x->rest.p[i];
        if (quote != 0) {
            quote = c == quote ? 0 : quote;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '[') {
            return config_refuse(x->r, "the document declares a type of its own; say by hand where its certificates are");
        } else if (c == '>') {
            skip(x, i + 1);
            return RC_OK;
        }
    }
    return config_refuse(x->r, "the document ends too early");
}

/* Every byte above ASCII can stand in a name: which of them may is not for us to say. */
static bool is_name_byte(uint8_t c, bool first)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' || c >= 0x80)
        return true;
    return !first && ((c >= '0' && c <= '9') || c == '-' || c == '.');
}

static RC take_name(struct xml *x, const char **out)
{
    size_t n = 0;
    while (n < x->rest.n && n < NAME_MAX_BYTES && is_name_byte(x->rest.p[n], n == 0))
        n++;
    if (n == 0 || n == NAME_MAX_BYTES)
        return config_refuse(x->r, "no name of an element or attribute");
    *out = arena_str(&config_reader_ctx(x->r)->arena, bytes_of(x->rest.p, n));
    skip(x, n);
    return RC_OK;
}

static bool put_utf8(struct buf *b, uint32_t c)
{
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return false;
    if (c < 0x80) {
        buf_put_u8(b, (uint8_t)c);
        return true;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    buf_put_u8(b, (uint8_t)(lead[more] | (c >> (6 * more))));
    for (int i = more - 1; i >= 0; i--)
        buf_put_u8(b, (uint8_t)(0x80 | ((c >> (6 * i)) & 0x3f)));
    return true;
}

/* "#38", "#x26". */
static bool put_number(struct buf *b, struct bytes text)
{
    uint32_t c = 0;
    bytes_skip(&text, 1);
    bool hex = text.n > 0 && text.p[0] == 'x';
    if (hex)
        bytes_skip(&text, 1);
    if (text.n == 0 || text.n > 8)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t d = text.p[i];
        uint32_t v = d >= '0' && d <= '9' ? (uint32_t)(d - '0') : d >= 'a' && d <= 'f' ? (uint32_t)(d - 'a' + 10)
                   : d >= 'A' && d <= 'F' ? (uint32_t)(d - 'A' + 10) : 99;
        if (v >= (hex ? 16U : 10U))
            return false;
        c = c * (hex ? 16U : 10U) + v; /* 8 digits do not overflow */
    }
    return put_utf8(b, c);
}

static RC put_entity(struct xml *x, struct buf *b, struct bytes *rest)
{
    static const struct {
        const char *name;
        uint8_t is;
    } known[] = {{"lt", '<'}, {"gt", '>'}, {"amp", '&'}, {"quot", '"'}, {"apos", '\''}};
    struct bytes name;
    bytes_skip(rest, 1);
    size_t n = bytes_find(*rest, BYTES_LIT(";"));
    if (n == SIZE_MAX || n == 0 || n > 16)
        return config_refuse(x->r, "& without the name of an entity and ;");
    bytes_take(rest, n, &name);
    bytes_skip(rest, 1);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (bytes_equal_z(name, known[i].name)) {
            buf_put_u8(b, known[i].is);
            return RC_OK;
        }
    return name.p[0] == '#' && put_number(b, name) ? RC_OK : config_refuse(x->r, "an entity that is not known");
}

static RC take_value(struct xml *x, const char **out)
{
    struct buf b;
    struct bytes rest;
    uint8_t quote = x->rest.n > 0 ? x->rest.p[0] : 0;
    if (quote != '"' && quote != '\'')
        return config_refuse(x->r, "a value without quotes");
    size_t n = 1;
    while (n < x->rest.n && x->rest.p[n] != quote)
        n++;
    if (n == x->rest.n || n > VALUE_MAX_BYTES)
        return config_refuse(x->r, "a value without an end");
    buf_init_arena(&b, &config_reader_ctx(x->r)->arena, VALUE_MAX_BYTES);
    for (rest = bytes_of(x->rest.p + 1, n - 1); rest.n > 0;) {
        if (rest.p[0] == '<')
            return config_refuse(x->r, "< in a value");
        if (rest.p[0] == '&') {
            TRY(put_entity(x, &b, &rest));
            continue;
        }
        buf_put_u8(&b, is_blank(rest.p[0]) ? ' ' : rest.p[0]);
        bytes_skip(&rest, 1);
    }
    TRY(buf_status(&b));
    *out = arena_str(&config_reader_ctx(x->r)->arena, buf_bytes(&b));
    skip(x, n + 1);
    return RC_OK;
}

static RC take_attribute(struct xml *x)
{
    const char *name, *value;
    TRY(take_name(x, &name));
    skip_blanks(x);
    if (!at(x, "="))
        return config_refuse(x->r, "an attribute without a value");
    skip(x, 1);
    skip_blanks(x);
    TRY(take_value(x, &value));
    TRY(config_put_word(x->r, name));
    TRY(config_put_word(x->r, value));
    return config_put_line(x->r);
}

static RC take_start(struct xml *x)
{
    const char *name;
    skip(x, 1);
    TRY(take_name(x, &name));
    TRY(config_put_word(x->r, name));
    TRY(config_open(x->r));
    for (int i = 0;; i++) {
        bool blank = skip_blanks(x);
        if (at(x, "/>")) {
            skip(x, 2);
            config_close(x->r);
            return RC_OK;
        }
        if (at(x, ">")) {
            skip(x, 1);
            return RC_OK;
        }
        if (!blank || i == ATTRIBUTES_MAX)
            return config_refuse(x->r, "an element without an end");
        TRY(take_attribute(x));
    }
}

static RC take_end(struct xml *x)
{
    const char *name;
    skip(x, 2);
    TRY(take_name(x, &name));
    skip_blanks(x);
    if (!at(x, ">") || !str_equal(config_open_name(x->r), name))
        return config_refuse(x->r, "the end of an element that is not open");
    skip(x, 1);
    config_close(x->r);
    return RC_OK;
}

RC config_xml_read(struct config_reader *r, struct bytes text)
{
    struct xml x = {r, text};
    if (!str_is_utf8(text))
        return config_refuse(r, "the document is not written in UTF-8");
    while (x.rest.n > 0) {
        if (at(&x, "<!--"))
            TRY(skip_past(&x, 4, "-->"));
        else if (at(&x, "<![CDATA["))
            TRY(skip_past(&x, 9, "]]>"));
        else if (at(&x, "<?"))
            TRY(skip_past(&x, 2, "?>"));
        else if (at(&x, "<!"))
            TRY(skip_doctype(&x));
        else if (at(&x, "</"))
            TRY(take_end(&x));
        else if (at(&x, "<"))
            TRY(take_start(&x));
        else
            skip(&x, 1);
    }
    return config_open_name(r) == NULL ? RC_OK : config_refuse(r, "the document ends within an element");
}
