#include "api/audit_entry.h"

#include <stdlib.h>

#include "base/str.h"

static void put_sorted(struct json_out *j, const char *key, const json_t *value);

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_object(struct json_out *j, const char *key, const json_t *object)
{
    const char *name;
    json_t *value;
    size_t n = 0;
    const char **names = calloc(json_object_size(object) + 1, sizeof *names);
    json_open_obj(j, key);
    if (names == NULL)
        j->b->failed = E_NO_MEMORY;
    else
        json_object_foreach((json_t *)(uintptr_t)object, name, value) names[n++] = name;
    if (n)
        qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++)
        put_sorted(j, names[i], json_object_get(object, names[i]));
    free(names);
    json_close(j);
}

static void put_sorted(struct json_out *j, const char *key, const json_t *value)
{
    if (j->depth >= 30) { /* deeper than anything that is noted */
        json_put_null(j, key);
        return;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        put_object(j, key, value);
        return;
    case JSON_ARRAY:
        json_open_list(j, key);
        for (size_t i = 0; i < json_array_size(value); i++)
            put_sorted(j, NULL, json_array_get(value, i));
        json_close(j);
        return;
    case JSON_STRING:
        json_put_bytes_str(j, key, bytes_of(json_string_value(value), json_string_length(value)));
        return;
    case JSON_INTEGER:
        json_put_int(j, key, json_integer_value(value));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        json_put_bool(j, key, json_is_true(value));
        return;
    case JSON_REAL: {
        char text[64];
        snprintf(text, sizeof text, "%.17g", json_real_value(value));
        json_put_raw(j, key, bytes_z(text));
        return;
    }
    case JSON_NULL:
        break;
    }
    json_put_null(j, key);
}

void audit_detail_put(struct buf *b, const json_t *detail)
{
    struct json_out j;
    json_begin(&j, b);
    put_sorted(&j, NULL, detail);
}

RC audit_detail(struct ctx *ctx, struct bytes json, const char **out)
{
    json_auto_t *root = NULL;
    struct buf b;
    *out = "{}";
    if (json.n == 0 || bytes_equal(json, BYTES_LIT("{}")))
        return RC_OK;
    TRY(json_read(ctx, json, &root));
    buf_init_arena(&b, &ctx->arena, AUDIT_ENTRY_MAX / 2);
    audit_detail_put(&b, root);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

void audit_entry_put(struct buf *b, const struct audit_entry *e)
{
    struct json_out j;
    json_begin(&j, b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "action", e->action);
    json_put_int(&j, "at", e->at);
    json_put_str(&j, "by", e->principal);
    json_put_raw(&j, "detail", bytes_z(e->detail));
    json_put_str(&j, "from", e->peer);
    json_put_str(&j, "kind", e->object_kind);
    json_put_str(&j, "object", e->object_id);
    json_put_str(&j, "request", e->request_id);
    json_put_str(&j, "team", e->team_id);
    json_put_int(&j, "v", 1);
    json_close(&j);
}

RC audit_entry_take(struct ctx *ctx, const json_t *json, struct audit_entry *out)
{
    *out = (struct audit_entry){0};
    int64_t version = 0;
    const json_t *detail = NULL;
    const struct {
        const char *key;
        const char **to;
    } texts[] = {{"action", &out->action},    {"by", &out->principal},       {"from", &out->peer},   {"kind", &out->object_kind},
                 {"object", &out->object_id}, {"request", &out->request_id}, {"team", &out->team_id}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        TRY(json_get_str(ctx, json, texts[i].key, true, texts[i].to));
    TRY(json_get_int(ctx, json, "at", true, &out->at));
    TRY(json_get_int(ctx, json, "v", true, &version));
    detail = json_object_get(json, "detail");
    if (version != 1 || detail == NULL || json_object_size(json) != 10)
        return ctx_fail(ctx, E_INVALID, "no audit entry that this version knows");
    struct buf b;
    buf_init_arena(&b, &ctx->arena, AUDIT_ENTRY_MAX / 2);
    audit_detail_put(&b, detail);
    TRY(buf_status(&b));
    out->detail = buf_z(&b);
    return RC_OK;
}
