#include "cli/yaml_out.h"

#include <string.h>
#include <strings.h>

static bool is_word(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* What no reader of YAML 1.1 or 1.2 takes for anything but this text. */
static bool is_plain(const char *s)
{
    static const char *const taken[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
    if (!is_word((unsigned char)*s))
        return false;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (!strcasecmp(s, taken[i]))
            return false;
    for (const char *p = s; *p; p++)
        if (!is_word((unsigned char)*p) && !(*p >= '0' && *p <= '9') && !strchr("-_./@", *p))
            return false;
    return true;
}

static void indent(struct buf *b, unsigned n)
{
    buf_printf(b, "%*s", (int)n, "");
}

/* Lines as they are, where they are just that: PEM. */
static bool is_block(const char *s)
{
    const size_t n = strlen(s);
    if (n < 2 || s[n - 1] != '\n' || s[n - 2] == '\n' || *s == ' ' || *s == '\n' || !strchr(s, '\n'))
        return false;
    for (; *s; s++)
        if (*s != '\n' && ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f))
            return false;
    return true;
}

static void block(struct buf *b, const char *s, unsigned at)
{
    buf_put_z(b, "|\n");
    while (*s) {
        const size_t n = strcspn(s, "\n") + 1;
        if (n > 1)
            indent(b, at);
        buf_put(b, bytes_of(s, n));
        s += n;
    }
}

static void quoted(struct buf *b, const char *s)
{
    struct json_out j;
    json_begin(&j, b);
    json_put_str(&j, NULL, s);
}

static void key_out(struct buf *b, const char *key)
{
    if (is_plain(key))
        buf_put_z(b, key);
    else
        quoted(b, key);
    buf_put_z(b, ":");
}

static bool is_small(const json_t *v)
{
    size_t i;
    const json_t *item;
    if (json_is_object(v))
        return json_object_size(v) == 0;
    json_array_foreach((json_t *)v, i, item) if (json_is_object(item) || json_is_array(item)) return false;
    return true;
}

static void value(struct buf *b, const json_t *v, unsigned at);

static void members(struct buf *b, const json_t *object, unsigned at, bool first_is_placed)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)object, key, v)
    {
        if (!first_is_placed)
            indent(b, at);
        first_is_placed = false;
        key_out(b, key);
        value(b, v, at + 2);
    }
}

static void scalar(struct buf *b, const json_t *v)
{
    if (json_is_string(v) && is_plain(json_string_value(v)))
        buf_put_z(b, json_string_value(v));
    else if (json_is_string(v))
        quoted(b, json_string_value(v));
    else if (json_is_integer(v))
        buf_printf(b, "%lld", (long long)json_integer_value(v));
    else
        buf_put_z(b, json_is_true(v) ? "true" : json_is_false(v) ? "false" : "null");
}

static void items_out(struct buf *b, const json_t *list, unsigned at)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)list, i, item)
    {
        indent(b, at);
        buf_put_z(b, "-");
        if (json_is_object(item) && json_object_size(item)) {
            buf_put_z(b, " ");
            members(b, item, at + 2, true);
        } else {
            value(b, item, at + 2);
        }
    }
}

/* Behind a key or a dash, to the end of the line or of what lies below. */
static void value(struct buf *b, const json_t *v, unsigned at)
{
    size_t i;
    json_t *item;
    if (json_is_string(v) && is_block(json_string_value(v))) {
        buf_put_z(b, " ");
        block(b, json_string_value(v), at);
        return;
    }
    if (json_is_array(v) && is_small(v)) {
        buf_put_z(b, " [");
        json_array_foreach((json_t *)v, i, item)
        {
            buf_put_z(b, i ? ", " : "");
            scalar(b, item);
        }
        buf_put_z(b, "]\n");
    } else if (json_is_object(v) && is_small(v)) {
        buf_put_z(b, " {}\n");
    } else if (json_is_array(v) || json_is_object(v)) {
        buf_put_z(b, "\n");
        if (json_is_array(v))
            items_out(b, v, at);
        else
            members(b, v, at, false);
    } else {
        buf_put_z(b, " ");
        scalar(b, v);
        buf_put_z(b, "\n");
    }
}

void yaml_out_list(struct buf *b, const char *key, const json_t *items)
{
    key_out(b, key);
    if (!json_array_size(items)) {
        buf_put_z(b, " []\n");
        return;
    }
    buf_put_z(b, "\n");
    items_out(b, items, 2);
}
