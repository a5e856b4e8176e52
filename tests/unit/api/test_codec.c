/* What the API accepts and what it refuses, and that it says where. */
#include "base/base_test.h"

#include "api/types.h"
#include "base/str.h"

static struct rc decode(struct ctx *ctx, const struct api_schema *schema, const char *text, void *out)
{
    json_auto_t *json = NULL;
    struct rc rc = json_read(ctx, bytes_z(text), &json);
    return rc_failed(rc) ? rc : api_decode(ctx, schema, json, out);
}

static void refused(const struct api_schema *schema, const char *text, const char *field)
{
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    void *out = arena_alloc(&ctx.arena, schema->size);
    assert_err(decode(&ctx, schema, text, out), E_INVALID);
    assert_non_null(ctx.field);
    assert_string_equal(ctx.field, field);
    /* The message names the field too. */
    assert_true(bytes_find(bytes_z(ctx_why(&ctx)), bytes_z(*field ? field : "body")) != SIZE_MAX);
}

static void what_is_wrong_is_named_by_its_pointer(void **state)
{
    (void)state;
    const struct api_schema *s = &api_managed_certificate_new_schema;
    refused(s, "{}", "/names");
    refused(s, "[]", "");
    refused(s, "{\"names\": \"a.example\"}", "/names");
    refused(s, "{\"names\": [\"a.example\", 7]}", "/names/1");
    refused(s, "{\"names\": [\"\"]}", "/names/0");
    refused(s, "{\"names\": [\"a.example\"], \"nmaes\": []}", "/nmaes");
    refused(s, "{\"names\": [\"a.example\"], \"a~b/c\": []}", "/a~0b~1c");
    refused(s, "{\"names\": [\"a.example\"], \"reuse_key\": \"yes\"}", "/reuse_key");
    refused(s, "{\"names\": [\"a.example\"], \"key_kind\": \"dsa\"}", "/key_kind");
    refused(s, "{\"names\": [\"a.example\"], \"renewal\": {\"at_percent\": 96}}", "/renewal/at_percent");
    refused(s, "{\"names\": [\"a.example\"], \"renewal\": {\"at_percent\": 50.5}}", "/renewal/at_percent");
    refused(s, "{\"names\": [\"a.example\"], \"common_name\": null}", "/common_name");
    refused(s, "{\"names\": [\"a.example\"], \"name\": \"two words\"}", "/name");
    refused(s, "{\"names\": [\"a\\u0007.example\"]}", "/names/0");
}

static void ceilings_hold_for_text_lists_and_maps(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct buf b;
    buf_init_arena(&b, &ctx.arena, 1 << 20);
    buf_put_z(&b, "{\"names\": [");
    for (int i = 0; i < 101; i++)
        buf_put_z(&b, i ? ",\"a.example\"" : "\"a.example\"");
    buf_put_z(&b, "]}");
    refused(&api_managed_certificate_new_schema, buf_z(&b), "/names");
    buf_reset(&b);
    buf_put_z(&b, "{\"connector\": \"files\", \"parameters\": {");
    for (int i = 0; i < 65; i++)
        buf_printf(&b, "%s\"p%d\": \"\"", i ? "," : "", i);
    buf_put_z(&b, "}}");
    refused(&api_target_new_schema, buf_z(&b), "/parameters");
    buf_reset(&b);
    buf_put_z(&b, "{\"names\": [\"");
    for (int i = 0; i < 254; i++)
        buf_put_u8(&b, 'a');
    buf_put_z(&b, "\"]}");
    refused(&api_managed_certificate_new_schema, buf_z(&b), "/names/0");
}

static void defaults_and_absent_fields(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct api_managed_certificate_new in;
    assert_ok(decode(&ctx, &api_managed_certificate_new_schema, "{\"names\": [\"a.example\", \"b.example\"]}", &in));
    assert_int_equal(in.names.n, 2);
    assert_string_equal(in.names.v[1], "b.example");
    assert_string_equal(in.profile, "tls-server");
    assert_null(in.common_name);
    assert_null(in.renewal);
    assert_false(in.reuse_key);
    assert_int_equal(in.targets.n, 0);
}

static void a_patch_tells_null_from_absent(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct api_managed_certificate_patch in;
    assert_ok(decode(&ctx, &api_managed_certificate_patch_schema, "{\"common_name\": null, \"reuse_key\": false}", &in));
    assert_true(in.has_common_name);
    assert_null(in.common_name);
    assert_true(in.has_reuse_key);
    assert_false(in.has_names);
    assert_false(in.has_renewal);
    refused(&api_managed_certificate_patch_schema, "{\"profile\": null}", "/profile");
}

static void an_agent_of_another_release_is_understood(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct api_job_ref ref;
    assert_ok(decode(&ctx, &api_job_ref_schema, "{\"id\": \"x\", \"fence\": 7, \"colour\": {\"deep\": [1]}}", &ref));
    assert_int_equal(ref.fence, 7);
}

static void words_of_others_are_cut_and_never_refused(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct buf b;
    buf_init_arena(&b, &ctx.arena, 1 << 20);
    buf_put_z(&b, "{\"code\": \"io\", \"text\": \"line\\nx");
    /* Two bytes a character: the ceiling of 4,000 falls into the middle of one. */
    for (int i = 0; i < 3000; i++)
        buf_put_z(&b, "\xc3\xa9");
    buf_put_z(&b, "\"}");
    struct api_job_error e;
    assert_ok(decode(&ctx, &api_job_error_schema, buf_z(&b), &e));
    assert_in_range(strlen(e.text), 3990, 4000);
    assert_true(str_is_utf8(bytes_z(e.text)));
}

static void what_is_encoded_decodes_to_the_same(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    static const struct api_job_step steps[] = {{.at_ms = 5, .step = "key", .text = "made \"it\"\n"}};
    static const struct api_job_key_done key = {.csr = {(const uint8_t *)"\0\1\2", 3},
                                                .spki_sha256 = {(const uint8_t *)"\xff\x00", 2}};
    const struct api_job_result in = {.id = "j1", .fence = (int64_t)1 << 40, .ok = true, .steps = {steps, 1}, .key = &key};
    struct buf b;
    buf_init_arena(&b, &ctx.arena, 1 << 20);
    struct json_out j;
    json_begin(&j, &b);
    api_job_result_encode(&j, NULL, &in);
    struct api_job_result out;
    assert_ok(decode(&ctx, &api_job_result_schema, buf_z(&b), &out));
    assert_string_equal(out.id, "j1");
    assert_int_equal(out.fence, (int64_t)1 << 40);
    assert_true(out.ok);
    assert_int_equal(out.steps.n, 1);
    assert_string_equal(out.steps.v[0].text, "made \"it\"\n");
    assert_non_null(out.key);
    assert_true(bytes_equal(out.key->csr, key.csr));
    assert_true(bytes_equal(out.key->spki_sha256, key.spki_sha256));
    assert_null(out.error);
    assert_null(out.deploy);
}

static void dates_and_maps_travel(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct api_target_new t;
    assert_ok(decode(&ctx, &api_target_new_schema,
                     "{\"connector\": \"files\", \"parameters\": {\"chain\": \"/a\", \"key\": \"/b\"}}", &t));
    assert_string_equal(api_parameters_get(&t.parameters, "key"), "/b");
    assert_null(api_parameters_get(&t.parameters, "none"));
    struct api_job_renewal_info_done w;
    assert_ok(decode(&ctx, &api_job_renewal_info_done_schema,
                     "{\"start\": \"2026-11-21T04:25:21Z\", \"end\": \"2026-11-22T04:25:21Z\"}", &w));
    assert_int_equal(w.end - w.start, 86400);
    refused(&api_job_renewal_info_done_schema, "{\"start\": \"yesterday\", \"end\": \"2026-11-22T04:25:21Z\"}", "/start");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_named_by_its_pointer),
        cmocka_unit_test(ceilings_hold_for_text_lists_and_maps),
        cmocka_unit_test(defaults_and_absent_fields),
        cmocka_unit_test(a_patch_tells_null_from_absent),
        cmocka_unit_test(an_agent_of_another_release_is_understood),
        cmocka_unit_test(words_of_others_are_cut_and_never_refused),
        cmocka_unit_test(what_is_encoded_decodes_to_the_same),
        cmocka_unit_test(dates_and_maps_travel),
    };
    return cmocka_run_group_tests_name("api/codec", tests, NULL, NULL);
}
