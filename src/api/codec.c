#include "api/codec.h"

#include "base/encode.h"
#include "base/random.h"
#include "base/str.h"

/* Where in the document we are: a chain on the stack, made into a JSON pointer (RFC 6901) only when something is wrong. */
struct at {
    const struct at *up;
    const char *key; /* NULL: index */
    size_t index;
};

static void put_pointer(struct buf *b, const struct at *at)
{
    if (!at)
        return;
    put_pointer(b, at->up);
    buf_put_u8(b, '/');
    if (!at->key) {
        buf_printf(b, "%zu", at->index);
        return;
    }
    for (const char *p = at->key; *p; p++) {
        if (*p == '~')
            buf_put_z(b, "~0");
        else if (*p == '/')
            buf_put_z(b, "~1");
        else
            buf_put_u8(b, (uint8_t)*p);
    }
}

static struct rc wrong(struct ctx *ctx, const struct at *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static struct rc wrong(struct ctx *ctx, const struct at *at, const char *fmt, ...)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 4096);
    put_pointer(&b, at);
    const char *pointer = arena_strdup(&ctx->arena, buf_z(&b));
    va_list ap;
    va_start(ap, fmt);
    const char *what = arena_vprintf(&ctx->arena, fmt, ap);
    va_end(ap);
    if (!*pointer)
        return ctx_fail_field(ctx, "", "the body %s", what);
    return ctx_fail_field(ctx, pointer, "%s %s", pointer, what);
}

static void *member(void *base, uint32_t offset)
{
    return (uint8_t *)base + offset;
}
static const void *const_member(const void *base, uint32_t offset)
{
    return (const uint8_t *)base + offset;
}
static void raise_flag(void *base, uint32_t offset)
{
    if (offset != API_NONE)
        *(bool *)member(base, offset) = true;
}

const char *api_map_get(const struct api_map *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_equal(m->v[i].name, name))
            return m->v[i].value;
    return NULL;
}

const struct api_field *api_schema_field(const struct api_schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->fields_n; i++)
        if (str_equal(schema->fields[i].name, name))
            return &schema->fields[i];
    return NULL;
}

static bool is_dns_name(struct bytes b)
{
    if (!b.n || b.n > 253)
        return false;
    for (size_t i = 0; i < b.n; i++) {
        uint8_t c = b.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' ||
              c == '*' || c == ':'))
            return false;
    }
    return true;
}

static bool is_one_of(const char *const *words, struct bytes b)
{
    for (; *words; words++)
        if (bytes_equal_z(b, *words))
            return true;
    return false;
}

static const char *list_words(struct ctx *ctx, const char *const *words)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 4096);
    for (size_t i = 0; words[i]; i++) {
        buf_put_z(&b, i ? ", " : "");
        buf_put_z(&b, words[i]);
    }
    return buf_z(&b);
}

/* text_cut shortens to at most `max` bytes without cutting a character of UTF-8 in two. */
static struct bytes text_cut(struct bytes b, size_t max)
{
    if (b.n <= max)
        return b;
    while (max && (b.p[max] & 0xc0) == 0x80)
        max--;
    return bytes_of(b.p, max);
}

static struct rc check_text(struct ctx *ctx, const struct at *at, const struct api_field *f, struct bytes *b)
{
    if (f->flags & API_TEXT) {
        *b = text_cut(*b, f->bytes_max);
        return RC_OK;
    }
    if (b->n > f->bytes_max)
        return wrong(ctx, at, "is longer than %u bytes", f->bytes_max);
    if (b->n < f->bytes_min)
        return wrong(ctx, at, b->n ? "is shorter than %u bytes" : "is empty; at least %u bytes are needed", f->bytes_min);
    for (size_t i = 0; i < b->n; i++) {
        uint8_t c = b->p[i];
        bool line = c == '\n' || c == '\r' || c == '\t';
        if ((c < 0x20 && !(line && f->flags & API_MULTILINE)) || c == 0x7f)
            return wrong(ctx, at, "holds a control character");
    }
    if (f->words && !is_one_of(f->words, *b))
        return wrong(ctx, at, "is none of: %s", list_words(ctx, f->words));
    switch ((enum api_format)f->format) {
    case API_ID:
        return id_valid(*b) ? RC_OK : wrong(ctx, at, "is not an id");
    case API_NAME:
        return str_is_name(*b) ? RC_OK
                               : wrong(ctx, at, "is not a name: 1 to 64 of a-z, A-Z, 0-9, '.', '_', '-', first a letter or digit");
    case API_DNS_NAME:
        return is_dns_name(*b) ? RC_OK : wrong(ctx, at, "is neither a DNS name nor an address");
    case API_ANY:
        break;
    }
    return RC_OK;
}

static struct rc put_int(struct ctx *ctx, const struct at *at, const struct api_field *f, int64_t v, void *out)
{
    if (v < f->min || v > f->max)
        return wrong(ctx, at, "is %lld; it must be from %lld to %lld", (long long)v, (long long)f->min, (long long)f->max);
    *(int64_t *)out = v;
    return RC_OK;
}

/* put_text stores what travels as a string. */
static struct rc put_text(struct ctx *ctx, const struct at *at, const struct api_field *f, enum api_type type, struct bytes b,
                          void *out)
{
    if (type == API_TIME)
        return time_parse_rfc3339(b, out) ? RC_OK : wrong(ctx, at, "is not a time like 2026-11-21T04:25:21Z");
    TRY(check_text(ctx, at, f, &b));
    if (type == API_BYTES)
        return get_base64(&ctx->arena, b, out) ? RC_OK : wrong(ctx, at, "is not base64");
    if (type == API_HEX)
        return get_hex(&ctx->arena, b, out) ? RC_OK : wrong(ctx, at, "is not hexadecimal");
    *(const char **)out = arena_str(&ctx->arena, b);
    return RC_OK;
}

static struct rc decode_object(struct ctx *ctx, const struct at *at, const struct api_schema *s, const json_t *v, void *out);

static struct rc decode_map(struct ctx *ctx, const struct at *at, const struct api_field *f, const json_t *v, struct api_map *out)
{
    if (!json_is_object(v))
        return wrong(ctx, at, "must be an object");
    size_t n = json_object_size(v);
    if (n > f->items_max)
        return wrong(ctx, at, "has more than %u members", f->items_max);
    struct api_pair *pairs = arena_array(&ctx->arena, n, sizeof *pairs);
    size_t i = 0;
    /* jansson's iterators take a pointer that is not const, but change nothing. */
    json_t *obj = (json_t *)(uintptr_t)v;
    for (void *it = json_object_iter(obj); it; it = json_object_iter_next(obj, it), i++) {
        const char *key = json_object_iter_key(it);
        const json_t *value = json_object_iter_value(it);
        const struct at here = {.up = at, .key = key};
        if (!*key || strlen(key) > 64)
            return wrong(ctx, at, "has a member whose name is empty or longer than 64 bytes");
        if (!json_is_string(value))
            return wrong(ctx, &here, "must be a string");
        struct bytes b = bytes_of(json_string_value(value), json_string_length(value));
        TRY(check_text(ctx, &here, f, &b));
        pairs[i] = (struct api_pair){.name = arena_strdup(&ctx->arena, key), .value = arena_str(&ctx->arena, b)};
    }
    *out = (struct api_map){.v = pairs, .n = n};
    return RC_OK;
}

static struct rc decode_value(struct ctx *ctx, const struct at *at, const struct api_field *f, enum api_type type, const json_t *v,
                              void *out)
{
    switch (type) {
    case API_STR:
    case API_BYTES:
    case API_HEX:
    case API_TIME:
        if (!json_is_string(v))
            return wrong(ctx, at, "must be a string");
        return put_text(ctx, at, f, type, bytes_of(json_string_value(v), json_string_length(v)), out);
    case API_INT:
        if (!json_is_integer(v))
            return wrong(ctx, at, "must be a whole number");
        return put_int(ctx, at, f, json_integer_value(v), out);
    case API_BOOL:
        if (!json_is_boolean(v))
            return wrong(ctx, at, "must be true or false");
        *(bool *)out = json_is_true(v);
        return RC_OK;
    case API_OBJECT:
        return decode_object(ctx, at, f->ref, v, out);
    case API_POINTER: {
        void *p = arena_alloc(&ctx->arena, f->ref->size);
        *(void **)out = p;
        return decode_object(ctx, at, f->ref, v, p);
    }
    case API_MAP:
        return decode_map(ctx, at, f, v, out);
    case API_LIST:
        break;
    }
    return ctx_fail(ctx, E_BUG, "a list cannot be here");
}

static size_t item_size(const struct api_field *f)
{
    switch ((enum api_type)f->item) {
    case API_STR:
        return sizeof(const char *);
    case API_BYTES:
    case API_HEX:
        return sizeof(struct bytes);
    case API_TIME:
    case API_INT:
        return sizeof(int64_t);
    default:
        return f->ref ? f->ref->size : 0;
    }
}

/* Every list struct has this layout; api/types.c checks it. */
struct any_list {
    const void *v;
    size_t n;
};

static struct rc decode_list(struct ctx *ctx, const struct at *at, const struct api_field *f, const json_t *v, struct any_list *out)
{
    if (!json_is_array(v))
        return wrong(ctx, at, "must be a list");
    size_t n = json_array_size(v), size = item_size(f);
    if (n > f->items_max)
        return wrong(ctx, at, "has %zu items; at most %u are allowed", n, f->items_max);
    uint8_t *items = arena_array(&ctx->arena, n ? n : 1, size);
    for (size_t i = 0; i < n; i++) {
        const struct at here = {.up = at, .index = i};
        TRY(decode_value(ctx, &here, f, f->item, json_array_get(v, i), items + i * size));
    }
    *out = (struct any_list){.v = items, .n = n};
    return RC_OK;
}

static struct rc decode_field(struct ctx *ctx, const struct at *at, const struct api_field *f, const json_t *v, void *out)
{
    if (json_is_null(v)) {
        if (!(f->flags & API_NULLABLE))
            return wrong(ctx, at, "must not be null; leave it out instead");
        raise_flag(out, f->has);
        raise_flag(out, f->null);
        return RC_OK;
    }
    raise_flag(out, f->has);
    if (f->type == API_LIST)
        return decode_list(ctx, at, f, v, member(out, f->offset));
    return decode_value(ctx, at, f, f->type, v, member(out, f->offset));
}

void api_defaults(const struct api_schema *schema, void *out)
{
    for (size_t i = 0; i < schema->fields_n; i++) {
        const struct api_field *f = &schema->fields[i];
        if (!(f->flags & API_DEFAULT))
            continue;
        if (f->type == API_BOOL)
            *(bool *)member(out, f->offset) = f->initial != 0;
        else if (f->type == API_INT)
            *(int64_t *)member(out, f->offset) = f->initial;
        else if (f->type == API_STR)
            *(const char **)member(out, f->offset) = f->initial_text;
    }
}

static struct rc decode_object(struct ctx *ctx, const struct at *at, const struct api_schema *s, const json_t *v, void *out)
{
    if (!json_is_object(v))
        return wrong(ctx, at, "must be an object");
    api_defaults(s, out);
    size_t known = 0;
    for (size_t i = 0; i < s->fields_n; i++) {
        const struct api_field *f = &s->fields[i];
        const struct at here = {.up = at, .key = f->name};
        const json_t *value = json_object_get(v, f->name);
        if (!value && f->flags & API_REQUIRED)
            return wrong(ctx, &here, "is missing");
        if (!value)
            continue;
        known++;
        TRY(decode_field(ctx, &here, f, value, out));
    }
    if (s->skip_unknown || known == json_object_size(v))
        return RC_OK;
    json_t *obj = (json_t *)(uintptr_t)v;
    for (void *it = json_object_iter(obj); it; it = json_object_iter_next(obj, it))
        if (!api_schema_field(s, json_object_iter_key(it))) {
            struct bytes key = text_cut(bytes_z(json_object_iter_key(it)), 100);
            const struct at here = {.up = at, .key = arena_str(&ctx->arena, key)};
            return wrong(ctx, &here, "is not a field of %s", s->name);
        }
    return RC_OK;
}

RC api_decode(struct ctx *ctx, const struct api_schema *schema, const json_t *value, void *out)
{
    memset(out, 0, schema->size);
    return decode_object(ctx, NULL, schema, value, out);
}

RC api_decode_text(struct ctx *ctx, const struct api_schema *schema, const char *name, const char *text, void *out)
{
    const struct api_field *f = api_schema_field(schema, name);
    const struct at at = {.key = name};
    if (!f)
        return wrong(ctx, &at, "is not a parameter of this request");
    raise_flag(out, f->has);
    void *place = member(out, f->offset);
    int64_t number = 0;
    switch ((enum api_type)f->type) {
    case API_INT:
        if (!str_to_i64(bytes_z(text), &number))
            return wrong(ctx, &at, "must be a whole number");
        return put_int(ctx, &at, f, number, place);
    case API_BOOL:
        if (!str_equal(text, "true") && !str_equal(text, "false"))
            return wrong(ctx, &at, "must be true or false");
        *(bool *)place = str_equal(text, "true");
        return RC_OK;
    case API_STR:
    case API_BYTES:
    case API_HEX:
    case API_TIME:
        return put_text(ctx, &at, f, f->type, bytes_z(text), place);
    default:
        return ctx_fail(ctx, E_BUG, "the parameter %s has a type that no query can hold", name);
    }
}

/* --- encoding */

static void encode_text(struct json_out *j, const char *key, const struct api_field *f, const char *text)
{
    struct bytes b = bytes_z(text);
    json_put_bytes_str(j, key, f->flags & API_TEXT ? text_cut(b, f->bytes_max) : b);
}

void api_map_encode(struct json_out *j, const char *key, const struct api_map *m)
{
    json_open_obj(j, key);
    for (size_t i = 0; i < m->n; i++)
        json_put_str(j, m->v[i].name, m->v[i].value ? m->v[i].value : "");
    json_close(j);
}

static void encode_value(struct json_out *j, const char *key, const struct api_field *f, enum api_type type, const void *in)
{
    switch (type) {
    case API_STR:
        encode_text(j, key, f, *(const char *const *)in);
        break;
    case API_BYTES:
        json_put_base64(j, key, *(const struct bytes *)in);
        break;
    case API_HEX:
        json_put_hex(j, key, *(const struct bytes *)in);
        break;
    case API_TIME:
        json_put_time(j, key, *(const int64_t *)in);
        break;
    case API_INT:
        json_put_int(j, key, *(const int64_t *)in);
        break;
    case API_BOOL:
        json_put_bool(j, key, *(const bool *)in);
        break;
    case API_OBJECT:
        api_encode(j, key, f->ref, in);
        break;
    case API_POINTER:
        api_encode(j, key, f->ref, *(const void *const *)in);
        break;
    case API_MAP:
        api_map_encode(j, key, in);
        break;
    case API_LIST: {
        const struct any_list *l = in;
        size_t size = item_size(f);
        json_open_list(j, key);
        for (size_t i = 0; i < l->n; i++)
            encode_value(j, NULL, f, f->item, (const uint8_t *)l->v + i * size);
        json_close(j);
        break;
    }
    }
}

/* is_there says whether an optional field has a value to be written. */
static bool is_there(const struct api_field *f, const void *base)
{
    const void *in = const_member(base, f->offset);
    if (f->flags & API_REQUIRED)
        return true;
    if (f->has != API_NONE)
        return *(const bool *)const_member(base, f->has);
    switch ((enum api_type)f->type) {
    case API_STR:
    case API_POINTER:
        return *(const void *const *)in != NULL;
    case API_BYTES:
    case API_HEX:
        return ((const struct bytes *)in)->n > 0;
    case API_LIST:
    case API_MAP:
        return ((const struct any_list *)in)->n > 0;
    default:
        return true;
    }
}

static bool is_null(const struct api_field *f, const void *base)
{
    if (!(f->flags & API_NULLABLE))
        return false;
    if (f->null != API_NONE)
        return *(const bool *)const_member(base, f->null);
    if (f->type == API_STR || f->type == API_POINTER)
        return *(const void *const *)const_member(base, f->offset) == NULL;
    return false;
}

void api_encode(struct json_out *j, const char *key, const struct api_schema *schema, const void *in)
{
    json_open_obj(j, key);
    for (size_t i = 0; i < schema->fields_n; i++) {
        const struct api_field *f = &schema->fields[i];
        if (!is_there(f, in))
            continue;
        if (is_null(f, in))
            json_put_null(j, f->name);
        else
            encode_value(j, f->name, f, f->type, const_member(in, f->offset));
    }
    json_close(j);
}
