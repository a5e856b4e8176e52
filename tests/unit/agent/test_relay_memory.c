/* What the relay remembers, and forgets. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "agent/relay/memory.h"

static const struct relay_ca one = {&one, "https://ca.example/dir"}, other = {NULL, "https://ca.example/dir"};

static void a_directory_belongs_to_who_asked_for_it(void **state)
{
    struct ctx ctx CTX_CLEANUP;
    struct relay_memory *m = relay_memory_new();
    struct bytes body = {0};
    bool found = true;
    (void)state;
    ctx_init(&ctx, &clock_system);
    relay_memory_directory(&ctx, m, one, &body, &found);
    assert_false(found);
    relay_memory_keep_directory(m, one, BYTES_LIT("{}"));
    relay_memory_directory(&ctx, m, other, &body, &found); /* by other roots */
    assert_false(found);
    relay_memory_directory(&ctx, m, one, &body, &found);
    assert_true(found && bytes_equal_z(body, "{}"));
    relay_memory_forget_ca(m, one);
    relay_memory_directory(&ctx, m, one, &body, &found);
    assert_false(found);
    relay_memory_free(m);
}

static void nonces_are_used_once_and_the_newest_first(void **state)
{
    struct ctx ctx CTX_CLEANUP;
    struct relay_memory *m = relay_memory_new();
    char long_one[4096];
    (void)state;
    ctx_init(&ctx, &clock_system);
    memset(long_one, 'n', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = '\0';
    relay_memory_keep_nonce(m, one, "a");
    relay_memory_keep_nonce(m, one, "b");
    relay_memory_keep_nonce(m, one, long_one);
    assert_null(relay_memory_nonce(&ctx, m, other));
    assert_string_equal(relay_memory_nonce(&ctx, m, one), "b");
    assert_string_equal(relay_memory_nonce(&ctx, m, one), "a");
    assert_null(relay_memory_nonce(&ctx, m, one));
    for (int i = 0; i < 1000; i++)
        relay_memory_keep_nonce(m, one, "c");
    relay_memory_forget_nonces(m, one);
    assert_null(relay_memory_nonce(&ctx, m, one));
    relay_memory_free(m);
}

static void orders_come_back_as_they_were_and_cas_give_way(void **state)
{
    struct ctx ctx CTX_CLEANUP;
    struct relay_memory *m = relay_memory_new();
    struct relay_known_order in = {.said = true, .round = 3}, out;
    (void)state;
    ctx_init(&ctx, &clock_system);
    str_list_add(&ctx.arena, &in.urls, "https://ca.example/chall/1");
    str_list_add(&ctx.arena, &in.authorization_urls, "https://ca.example/authz/1");
    str_list_add(&ctx.arena, &in.identifiers, "dns:www.example.org");
    str_list_add(&ctx.arena, &in.types, "http-01");
    relay_memory_keep_order(m, "https://ca.example/order/1", &in);
    assert_false(relay_memory_order(&ctx, m, "https://ca.example/order/2", &out));
    assert_true(relay_memory_order(&ctx, m, "https://ca.example/order/1", &out));
    assert_true(out.said && out.round == 3 && out.urls.n == 1 && out.types.n == 1);
    assert_string_equal(out.urls.v[0], in.urls.v[0]);
    assert_string_equal(out.authorization_urls.v[0], in.authorization_urls.v[0]);
    assert_string_equal(out.identifiers.v[0], in.identifiers.v[0]);
    relay_memory_forget_order(m, "https://ca.example/order/1");
    assert_false(relay_memory_order(&ctx, m, "https://ca.example/order/1", &out));
    for (int i = 0; i < 20000; i++) /* more than there are places */
        relay_memory_keep_order(m, arena_printf(&ctx.arena, "https://ca.example/order/%d", i), &in);
    assert_true(relay_memory_order(&ctx, m, "https://ca.example/order/19999", &out));
    for (int i = 0; i < 100; i++)
        relay_memory_keep_nonce(m, (struct relay_ca){NULL, arena_printf(&ctx.arena, "https://ca%d.example", i)}, "n");
    assert_null(relay_memory_nonce(&ctx, m, (struct relay_ca){NULL, "https://ca0.example"}));
    assert_non_null(relay_memory_nonce(&ctx, m, (struct relay_ca){NULL, "https://ca99.example"}));
    relay_memory_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_belongs_to_who_asked_for_it),
        cmocka_unit_test(nonces_are_used_once_and_the_newest_first),
        cmocka_unit_test(orders_come_back_as_they_were_and_cas_give_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
