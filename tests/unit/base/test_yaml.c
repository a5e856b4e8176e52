#include "base/base_test.h"

#include "base/yaml.h"

static void maps_lists_and_scalars_become_the_same_tree_as_json(void **state)
{
    (void)state;
    static const char text[] = "name: hub\n"
                               "port: 8443\n"
                               "on: true\n"
                               "none: ~\n"
                               "quoted: \"8443\"\n"
                               "word: yes\n"
                               "zero: 0\n"
                               "mode: 0640\n"
                               "float: 1.5\n"
                               "empty:\n"
                               "list:\n  - a\n  - {b: 1, c: [2, 3]}\n"
                               "text: |\n  two\n  lines\n";
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    struct yaml y;
    assert_ok(yaml_read(&ctx, "hub.yaml", BYTES_LIT(text), &y));
    char *json = json_dumps(y.root, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(
        json,
        "{\"empty\":null,\"float\":\"1.5\",\"list\":[\"a\",{\"b\":1,\"c\":[2,3]}],\"mode\":\"0640\",\"name\":\"hub\","
        "\"none\":null,\"on\":true,\"port\":8443,\"quoted\":\"8443\",\"text\":\"two\\nlines\\n\",\"word\":\"yes\",\"zero\":0}");
    free(json);
    yaml_free(&y);
    yaml_free(&y);
}

static void an_empty_file_is_an_empty_map(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    struct yaml y;
    assert_ok(yaml_read(&ctx, "x", BYTES_LIT("# nothing\n"), &y));
    assert_int_equal(json_object_size(y.root), 0);
    yaml_free(&y);
    assert_ok(yaml_read(&ctx, "x", (struct bytes){0}, &y));
    yaml_free(&y);
}

static void what_is_outside_the_subset_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"a: 1\nb: &x 2\n", "f.yaml:2: anchors and tags are not used here"},
        {"a: &m {b: 1}\n", "f.yaml:1: anchors and tags are not used here"},
        {"a: &s [1]\n", "f.yaml:1: anchors and tags are not used here"},
        {"a: 1\nb: *x\n", "f.yaml:2: aliases are not used here"},
        {"a: !!str 1\n", "f.yaml:1: anchors and tags are not used here"},
        {"a: 1\n\na: 2\n", "f.yaml:3: the same key twice"},
        {"? [a]\n: 1\n", "f.yaml:1: a key must be text"},
        {"a: 1\n---\nb: 2\n", "f.yaml:2: more than one document"},
        {"a: \"\\0\"\n", "f.yaml:1: a NUL character"},
    };
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct yaml y;
        assert_err(yaml_read(&ctx, "f.yaml", bytes_z(rows[i].text), &y), E_INVALID);
        assert_string_equal(ctx_why(&ctx), rows[i].why);
        assert_null(y.root);
        ctx_forget(&ctx);
    }
    struct yaml y;
    assert_err(yaml_read(&ctx, "f.yaml", BYTES_LIT("a: [1\nb: {"), &y), E_INVALID);
    assert_err(yaml_read(&ctx, "f.yaml", BYTES_LIT("a: \xff\xfe\n"), &y), E_INVALID);
    assert_err(yaml_read(&ctx, "f.yaml", BYTES_LIT("\tb"), &y), E_INVALID);
}

static void depth_and_size_have_ceilings(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    struct buf BUF_CLEANUP b;
    buf_init(&b, 4 << 20);
    for (int i = 0; i < 1000; i++)
        buf_put_u8(&b, '[');
    struct yaml y;
    assert_err(yaml_read(&ctx, "deep", buf_bytes(&b), &y), E_INVALID);
    assert_non_null(strstr(ctx_why(&ctx), "nested too deep"));
    buf_reset(&b);
    for (int i = 0; i < 1 << 17; i++)
        buf_put_z(&b, "# filler\n");
    assert_err(yaml_read(&ctx, "big", buf_bytes(&b), &y), E_TOO_LARGE);
}

static void messages_name_the_line_of_the_setting(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    struct yaml y;
    assert_ok(yaml_read(&ctx, "f.yaml", BYTES_LIT("a: true\nport: 70000\nlist:\n  - x\n  - y\nextra: true\n"), &y));
    assert_int_equal(yaml_line(&y, json_object_get(y.root, "port")), 2);
    assert_int_equal(yaml_line(&y, json_array_get(json_object_get(y.root, "list"), 1)), 5);
    assert_int_equal(yaml_line(&y, json_object_get(y.root, "a")), 0);
    assert_err(yaml_fail(&ctx, &y, json_object_get(y.root, "port"), "port must be below %d", 65536), E_INVALID);
    assert_string_equal(ctx_why(&ctx), "f.yaml:2: port must be below 65536");
    ctx_forget(&ctx);
    assert_ok(yaml_only(&ctx, &y, y.root, (const char *const[]){"a", "port", "list", "extra", NULL}));
    assert_err(yaml_only(&ctx, &y, y.root, (const char *const[]){"a", "port", "list", NULL}), E_INVALID);
    assert_string_equal(ctx_why(&ctx), "f.yaml:6: extra is not a setting here");
    yaml_free(&y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_lists_and_scalars_become_the_same_tree_as_json),
        cmocka_unit_test(an_empty_file_is_an_empty_map),
        cmocka_unit_test(what_is_outside_the_subset_is_refused_with_its_line),
        cmocka_unit_test(depth_and_size_have_ceilings),
        cmocka_unit_test(messages_name_the_line_of_the_setting),
    };
    return cmocka_run_group_tests_name("base/yaml", tests, NULL, NULL);
}
