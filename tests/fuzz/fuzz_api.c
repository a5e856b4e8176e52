/* Bodies of the API: whatever comes, decoding ends without harm and names the wrong field; what it accepts is encoded to something
 * that decodes and encodes to the same again. */
#include "api/types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct api_schema *const schemas[] = {
    &api_agent_exchange_schema,
    &api_agent_exchange_reply_schema,
    &api_agent_acme_sign_schema,
    &api_managed_certificate_new_schema,
    &api_managed_certificate_patch_schema,
    &api_issuer_new_schema,
    &api_issuer_patch_schema,
    &api_target_new_schema,
    &api_target_patch_schema,
    &api_profile_new_schema,
    &api_token_new_schema,
    &api_managed_certificate_schema,
};

static const char *text_of(struct ctx *ctx, const struct api_schema *schema, const void *value)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, (size_t)8 << 20);
    json_begin(&j, &b);
    api_encode(&j, NULL, schema, value);
    return rc_ok(buf_status(&b)) ? buf_z(&b) : NULL;
}

static void round_trip(struct ctx *ctx, const struct api_schema *schema, const void *value)
{
    const char *first = text_of(ctx, schema, value);
    if (!first)
        return;
    json_auto_t *json = NULL;
    void *again = arena_alloc(&ctx->arena, schema->size);
    if (rc_failed(json_read(ctx, bytes_z(first), &json)) || rc_failed(api_decode(ctx, schema, json, again)))
        abort();
    const char *second = text_of(ctx, schema, again);
    if (!second || strcmp(first, second) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > 65536)
        return 0;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    const struct api_schema *schema = schemas[data[0] % (sizeof schemas / sizeof *schemas)];
    json_auto_t *json = NULL;
    if (rc_failed(json_read(&ctx, bytes_of(data + 1, size - 1), &json)))
        return 0;
    void *value = arena_alloc(&ctx.arena, schema->size);
    struct rc rc = api_decode(&ctx, schema, json, value);
    if (rc_ok(rc))
        round_trip(&ctx, schema, value);
    else if (rc.e == E_INVALID && !ctx.field)
        abort();
    return 0;
}
