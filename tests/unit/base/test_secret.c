#include "base/base_test.h"

#include <unistd.h>

#include "base/secret.h"

static void a_secret_is_copied_and_starts_zeroed(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    struct secret SECRET_CLEANUP s = {0}, e = {0}, z = {0};
    assert_ok(secret_from(&ctx, &s, BYTES_LIT("key\0material")));
    assert_bytes(secret_use(&s), "key\0material");
    assert_ok(secret_new(&ctx, &z, 3));
    assert_bytes(secret_use(&z), "\0\0\0");
    memcpy(secret_fill(&z), "abc", 3);
    assert_bytes(secret_use(&z), "abc");
    assert_ok(secret_new(&ctx, &e, 0));
    assert_int_equal(secret_use(&e).n, 0);
}

static void too_large_is_refused_and_freeing_twice_is_fine(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    struct secret s;
    assert_err(secret_new(&ctx, &s, (1 << 20) + 1), E_TOO_LARGE);
    secret_free(&s);
    assert_ok(secret_new(&ctx, &s, 1 << 20));
    secret_free(&s);
    secret_free(&s);
    assert_null(s.locked_);
}

/* The flags of the mapping that holds `p`, from the kernel. */
static bool mapping_says(const void *p, const char *flag)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    assert_non_null(f);
    char line[512];
    bool inside = false, found = false;
    while (fgets(line, sizeof line, f)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = (uintptr_t)p >= from && (uintptr_t)p < to;
        else if (inside && !strncmp(line, "VmFlags:", 8))
            found = strstr(line, flag) != NULL;
    }
    fclose(f);
    return found;
}

static void memory_of_a_secret_is_left_out_of_core_dumps(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    struct secret SECRET_CLEANUP s = {0};
    assert_ok(secret_from(&ctx, &s, BYTES_LIT("x")));
    assert_true(mapping_says(secret_use(&s).p, " dd"));
}

static void wipe_overwrites(void **state)
{
    (void)state;
    char text[] = "secret";
    wipe(text, sizeof text);
    for (size_t i = 0; i < sizeof text; i++)
        assert_int_equal(text[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_copied_and_starts_zeroed),
        cmocka_unit_test(too_large_is_refused_and_freeing_twice_is_fine),
        cmocka_unit_test(memory_of_a_secret_is_left_out_of_core_dumps),
        cmocka_unit_test(wipe_overwrites),
    };
    return cmocka_run_group_tests_name("base/secret", tests, NULL, NULL);
}
