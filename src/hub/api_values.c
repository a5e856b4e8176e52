/* Between the API's values and core's: cursors, lists, JSON that is kept as text. */
#include "base/encode.h"
#include "hub/api.h"
#include "pki/pem.h"

#define CURSOR_MAX 192

RC api_cursor_read(struct ctx *ctx, const char *cursor, const char **after)
{
    *after = "";
    if (!cursor || !*cursor)
        return RC_OK;
    struct bytes raw;
    if (!get_base64url(&ctx->arena, bytes_z(cursor), &raw) || !raw.n || raw.n > CURSOR_MAX || !str_is_utf8(raw) ||
        !str_z(&ctx->arena, raw))
        return ctx_fail_field(ctx, "/cursor", "the cursor is not one given here; start again without it");
    *after = str_z(&ctx->arena, raw);
    return RC_OK;
}

RC api_cursor_read_number(struct ctx *ctx, const char *cursor, int64_t if_none, int64_t *out)
{
    const char *text = NULL;
    TRY(api_cursor_read(ctx, cursor, &text));
    *out = if_none;
    if (*text && !str_to_i64(bytes_z(text), out))
        return ctx_fail_field(ctx, "/cursor", "the cursor is not one given here; start again without it");
    return RC_OK;
}

const char *api_cursor_make(struct ctx *ctx, const char *last)
{
    return base64url_str(&ctx->arena, bytes_z(last));
}

const char *api_cursor_make_number(struct ctx *ctx, int64_t last)
{
    return api_cursor_make(ctx, arena_printf(&ctx->arena, "%lld", (long long)last));
}

struct api_strings api_strings_of(const struct str_list *l)
{
    return (struct api_strings){.v = l->v, .n = l->n};
}

struct str_list api_list_of(struct ctx *ctx, const struct api_strings *s)
{
    struct str_list out = {0};
    for (size_t i = 0; i < s->n; i++)
        str_list_add(&ctx->arena, &out, s->v[i]);
    return out;
}

/* decode_kept reads JSON from the database by the field of a schema that describes it. */
static struct rc decode_kept(struct ctx *ctx, const struct api_schema *schema, const char *field, const char *json, void *out)
{
    json_auto_t *value = NULL;
    TRY(json_read(ctx, bytes_z(json && *json ? json : "null"), &value));
    if (json_is_null(value))
        return RC_OK;
    json_auto_t *wrapped = json_object();
    if (!wrapped || json_object_set(wrapped, field, value))
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for JSON");
    return ctx_wrap(ctx, api_decode(ctx, schema, wrapped, out), "reading %s kept in the database", field);
}

/* No ceiling but the database's own: what is kept there had its ceilings when it came. */
RC api_strings_of_json(struct ctx *ctx, const char *json, struct api_strings *out)
{
    json_auto_t *list = NULL;
    *out = (struct api_strings){0};
    TRY(json_read(ctx, bytes_z(json && *json ? json : "null"), &list));
    const char **v = arena_array(&ctx->arena, json_array_size(list), sizeof *v);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text)
            return ctx_fail(ctx, E_BUG, "a list kept in the database has an element that is not text");
        v[i] = arena_strdup(&ctx->arena, text);
    }
    *out = (struct api_strings){.v = v, .n = json_array_size(list)};
    return RC_OK;
}

RC api_parameters_of_json(struct ctx *ctx, const char *json, struct api_parameters *out)
{
    struct api_target_patch t = {0};
    TRY(decode_kept(ctx, &api_target_patch_schema, "parameters", json, &t));
    *out = t.parameters;
    return RC_OK;
}

RC api_endpoints_of_json(struct ctx *ctx, const char *json, struct api_job_endpoint_list *out)
{
    struct api_target_patch t = {0};
    TRY(decode_kept(ctx, &api_target_patch_schema, "endpoints", json, &t));
    *out = t.endpoints;
    return RC_OK;
}

RC api_served_of_json(struct ctx *ctx, const char *json, struct api_job_served_list *out)
{
    struct api_job_verify_done v = {0};
    TRY(decode_kept(ctx, &api_job_verify_done_schema, "served", json, &v));
    *out = v.served;
    return RC_OK;
}

static void text_begin(struct ctx *ctx, struct buf *b, struct json_out *j)
{
    buf_init_arena(b, &ctx->arena, 1 << 20);
    json_begin(j, b);
}

const char *api_parameters_json(struct ctx *ctx, const struct api_parameters *p)
{
    struct buf b;
    struct json_out j;
    text_begin(ctx, &b, &j);
    api_parameters_encode(&j, NULL, p);
    return buf_z(&b);
}

const char *api_endpoints_json(struct ctx *ctx, const struct api_job_endpoint_list *l)
{
    struct buf b;
    struct json_out j;
    text_begin(ctx, &b, &j);
    json_open_list(&j, NULL);
    for (size_t i = 0; i < l->n; i++)
        api_job_endpoint_encode(&j, NULL, &l->v[i]);
    json_close(&j);
    return buf_z(&b);
}

const char *api_strings_json(struct ctx *ctx, const struct api_strings *s)
{
    struct buf b;
    struct json_out j;
    text_begin(ctx, &b, &j);
    json_open_list(&j, NULL);
    for (size_t i = 0; i < s->n; i++)
        json_put_str(&j, NULL, s->v[i]);
    json_close(&j);
    return buf_z(&b);
}

const struct api_last_error *api_error_of(struct ctx *ctx, const char *code, const char *text, int64_t at)
{
    if (!code || !*code)
        return NULL;
    const struct api_last_error e = {.code = code, .text = text ? text : "", .at = at, .has_at = at != 0};
    return arena_dup(&ctx->arena, &e, sizeof e);
}

RC api_pem(struct ctx *ctx, const char *label, struct bytes der, const char **out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 20);
    if (der.n)
        pem_put(&b, label, der);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}
