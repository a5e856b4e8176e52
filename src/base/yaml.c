#include "base/yaml.h"

#include <yaml.h>

#include "base/str.h"

#define YAML_MAX ((size_t)1 << 20)
#define YAML_DEPTH_MAX 32

/* Where each value stands, in the order of reading.  jansson has one object for every true, one for every false and one for every
 * null: a member is told apart by its map and key too. */
struct yaml_line_row {
    const json_t *value, *map;
    const char *key; /* the map's own copy; NULL outside maps */
    int line, column;
};

struct yaml_lines {
    struct yaml_line_row *v;
    size_t n, cap;
};

struct reader {
    struct ctx *ctx;
    struct yaml *y;
    yaml_parser_t parser;
    yaml_event_t event;
    int depth;
};

static void event_drop(yaml_event_t *e)
{
    yaml_event_delete(e);
}

static int line_of(const struct reader *r)
{
    return (int)r->event.start_mark.line + 1;
}

static int column_of(const struct reader *r)
{
    return (int)r->event.start_mark.column + 1;
}

static struct rc bad(struct reader *r, const char *what)
{
    r->y->bad_line = line_of(r);
    r->y->bad_column = column_of(r);
    r->y->bad_words = what;
    return ctx_fail(r->ctx, E_INVALID, "%s:%d: %s", r->y->name, line_of(r), what);
}

static struct rc next(struct reader *r)
{
    event_drop(&r->event);
    if (yaml_parser_parse(&r->parser, &r->event))
        return RC_OK;
    r->y->bad_line = (int)r->parser.problem_mark.line + 1;
    r->y->bad_column = (int)r->parser.problem_mark.column + 1;
    r->y->bad_words = r->parser.problem ? arena_strdup(&r->ctx->arena, r->parser.problem) : "cannot be read";
    return ctx_fail(r->ctx, E_INVALID, "%s:%d: %s", r->y->name, r->y->bad_line, r->y->bad_words);
}

static struct rc note_line(struct reader *r, const json_t *value, int line, int column)
{
    struct yaml_lines *l = r->y->lines;
    if (l->n == l->cap) {
        const size_t cap = l->cap ? l->cap * 2 : 64;
        struct yaml_line_row *v = realloc(l->v, cap * sizeof *v);
        if (!v)
            return ctx_fail(r->ctx, E_NO_MEMORY, "no memory to read %s", r->y->name);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = (struct yaml_line_row){.value = value, .line = line, .column = column};
    return RC_OK;
}

static struct rc read_value(struct reader *r, json_t **out);

static struct rc read_scalar(struct reader *r, json_t **out)
{
    const struct bytes text = bytes_of(r->event.data.scalar.value, r->event.data.scalar.length);
    const bool plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    int64_t number;
    if (text.n && memchr(text.p, 0, text.n))
        return bad(r, "a NUL character");
    if (plain && bytes_equal_z(text, "true"))
        *out = json_true();
    else if (plain && bytes_equal_z(text, "false"))
        *out = json_false();
    else if (plain && (bytes_equal_z(text, "null") || bytes_equal_z(text, "~") || !text.n))
        *out = json_null();
    else if (plain && str_to_i64(text, &number) && (text.n == 1 || text.p[0] != '0'))
        *out = json_integer(number);
    else
        *out = json_stringn((const char *)text.p, text.n);
    return *out ? RC_OK : bad(r, "not UTF-8");
}

static struct rc read_list(struct reader *r, json_t **out)
{
    *out = json_array();
    for (;;) {
        TRY(next(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            return RC_OK;
        json_t *item = NULL;
        struct rc rc = read_value(r, &item);
        if (rc_failed(rc)) {
            json_decref(item);
            return rc;
        }
        json_array_append_new(*out, item);
    }
}

static struct rc read_map(struct reader *r, json_t **out)
{
    *out = json_object();
    for (;;) {
        TRY(next(r));
        if (r->event.type == YAML_MAPPING_END_EVENT)
            return RC_OK;
        if (r->event.type != YAML_SCALAR_EVENT)
            return bad(r, "a key must be text");
        const int line = line_of(r), column = column_of(r);
        const char *key = str_z(&r->ctx->arena, bytes_of(r->event.data.scalar.value, r->event.data.scalar.length));
        if (!key || json_object_get(*out, key))
            return bad(r, key ? "the same key twice" : "a NUL character");
        TRY(next(r));
        json_t *value = NULL;
        struct rc rc = read_value(r, &value);
        if (rc_failed(rc)) {
            json_decref(value);
            return rc;
        }
        if (json_object_set_new(*out, key, value))
            return bad(r, "a key that is not UTF-8");
        struct yaml_line_row *row = &r->y->lines->v[r->y->lines->n - 1]; /* the value's, noted last */
        row->map = *out;
        row->key = json_object_iter_key(json_object_iter_at(*out, key));
        row->line = line;
        row->column = column;
    }
}

static bool anchored(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return e->data.scalar.anchor || e->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.anchor || e->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.anchor || e->data.mapping_start.tag;
    default:
        return false;
    }
}

static struct rc read_value(struct reader *r, json_t **out)
{
    if (++r->depth > YAML_DEPTH_MAX)
        return bad(r, "nested too deep");
    if (anchored(&r->event))
        return bad(r, "anchors and tags are not used here");
    const int line = line_of(r), column = column_of(r);
    switch (r->event.type) {
    case YAML_SCALAR_EVENT:
        TRY(read_scalar(r, out));
        break;
    case YAML_SEQUENCE_START_EVENT:
        TRY(read_list(r, out));
        break;
    case YAML_MAPPING_START_EVENT:
        TRY(read_map(r, out));
        break;
    case YAML_ALIAS_EVENT:
        return bad(r, "aliases are not used here");
    default:
        return bad(r, "a value was expected");
    }
    r->depth--;
    return note_line(r, *out, line, column);
}

static struct rc read_document(struct reader *r)
{
    TRY(next(r)); /* start of the stream */
    TRY(next(r));
    if (r->event.type == YAML_STREAM_END_EVENT) {
        r->y->root = json_object();
        return RC_OK;
    }
    TRY(next(r));
    TRY(read_value(r, &r->y->root));
    TRY(next(r)); /* end of the document */
    TRY(next(r));
    return r->event.type == YAML_STREAM_END_EVENT ? RC_OK : bad(r, "more than one document");
}

RC yaml_read(struct ctx *ctx, const char *name, struct bytes text, struct yaml *out)
{
    *out = (struct yaml){.name = name};
    if (text.n > YAML_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "%s is over 1 MiB", name);
    struct reader r = {.ctx = ctx, .y = out};
    out->lines = calloc(1, sizeof *out->lines);
    if (!out->lines || !yaml_parser_initialize(&r.parser)) {
        yaml_free(out);
        return ctx_fail(ctx, E_NO_MEMORY, "no memory to read %s", name);
    }
    yaml_parser_set_input_string(&r.parser, text.n ? text.p : (const uint8_t *)"", text.n);
    struct rc rc = read_document(&r);
    event_drop(&r.event);
    yaml_parser_delete(&r.parser);
    if (rc_failed(rc))
        yaml_free(out);
    return rc;
}

void yaml_free(struct yaml *y)
{
    json_decref(y->root);
    y->root = NULL;
    if (y->lines)
        free(y->lines->v);
    free(y->lines);
    y->lines = NULL;
}

int yaml_line(const struct yaml *y, const json_t *value)
{
    int line = 0;
    for (size_t i = 0; y->lines && i < y->lines->n; i++) {
        if (y->lines->v[i].value != value)
            continue;
        if (line)
            return 0;
        line = y->lines->v[i].line;
    }
    return line;
}

void yaml_place(const struct yaml *y, const json_t *map, const char *key, const json_t *value, int *line, int *column)
{
    *line = *column = 0;
    for (size_t i = 0; y->lines && i < y->lines->n; i++) {
        const struct yaml_line_row *row = &y->lines->v[i];
        if (map ? row->map != map || !str_equal(row->key, key) : row->value != value)
            continue;
        if (*line) { /* one that stands in several places */
            *line = *column = 0;
            return;
        }
        *line = row->line;
        *column = row->column;
    }
}

static int line_of_member(const struct yaml *y, const json_t *map, const char *key)
{
    for (size_t i = 0; y->lines && i < y->lines->n; i++)
        if (y->lines->v[i].map == map && str_equal(y->lines->v[i].key, key))
            return y->lines->v[i].line;
    return 0;
}

static struct rc fail_at(struct ctx *ctx, const struct yaml *y, int line, const char *text)
{
    return line ? ctx_fail(ctx, E_INVALID, "%s:%d: %s", y->name, line, text) : ctx_fail(ctx, E_INVALID, "%s: %s", y->name, text);
}

RC yaml_fail(struct ctx *ctx, const struct yaml *y, const json_t *value, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(&ctx->arena, fmt, ap);
    va_end(ap);
    return fail_at(ctx, y, yaml_line(y, value), text);
}

RC yaml_only(struct ctx *ctx, const struct yaml *y, const json_t *obj, const char *const *keys)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)obj, key, value)
    {
        bool known = false;
        for (size_t i = 0; keys[i] && !known; i++)
            known = str_equal(keys[i], key);
        if (!known)
            return fail_at(ctx, y, line_of_member(y, obj, key), arena_printf(&ctx->arena, "%s is not a setting here", key));
    }
    return RC_OK;
}
