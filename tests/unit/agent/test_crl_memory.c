/* A list is read once for all certificates that name it, and what is kept has bounds. */
#include "pki/pki_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "agent/relay/crl_memory.h"

static volatile int64_t offset_s;
static const struct clock set_clock = {&offset_s};

struct server {
    struct crl_memory *m;
    atomic_int asked;
    size_t n;
    bool fails;
    int slow_us;
};

static struct rc fetch(struct ctx *ctx, void *arg, const char *url, struct bytes *body)
{
    struct server *s = arg;
    atomic_fetch_add(&s->asked, 1);
    usleep((useconds_t)s->slow_us);
    if (s->fails)
        return ctx_fail(ctx, E_UNREACHABLE, "%s has no answer", url);
    *body = bytes_of(arena_array(&ctx->arena, s->n, 1), s->n);
    memset((uint8_t *)(uintptr_t)body->p, 'a', s->n);
    return RC_OK;
}

static struct rc take(struct ctx *ctx, struct server *s, const char *url, bool good, int64_t next_update)
{
    struct crl_kept *kept = NULL;
    struct bytes body;
    TRY(crl_memory_take(ctx, s->m, url, (struct crl_source){fetch, s}, &kept, &body));
    assert_int_equal(body.n, s->n);
    assert_int_equal(body.p[s->n - 1], 'a');
    crl_memory_give(ctx, s->m, kept, good, next_update);
    return RC_OK;
}

static void open_one(struct server *s)
{
    offset_s = 0;
    test_ctx.clock = &set_clock;
    *s = (struct server){.m = crl_memory_new(), .n = 1000};
    assert_non_null(s->m);
}

static void a_list_is_read_once_until_its_next_update(void **state)
{
    struct server s;
    (void)state;
    open_one(&s);
    const int64_t next = ctx_now_s(&test_ctx) + 86400;
    for (int i = 0; i < 3; i++)
        assert_ok(take(&test_ctx, &s, "http://a/1.crl", true, next));
    assert_int_equal(s.asked, 1);
    assert_ok(take(&test_ctx, &s, "http://a/2.crl", true, next));
    assert_int_equal(s.asked, 2);
    offset_s = 86300;
    assert_ok(take(&test_ctx, &s, "http://a/1.crl", true, next));
    assert_int_equal(s.asked, 2);
    offset_s = 86401;
    assert_ok(take(&test_ctx, &s, "http://a/1.crl", true, next + 90000 * (int64_t)86400)); /* for ever, it says */
    assert_int_equal(s.asked, 3);
    offset_s += CRL_KEPT_S + 1;
    assert_ok(take(&test_ctx, &s, "http://a/1.crl", true, 0));
    assert_int_equal(s.asked, 4);
    crl_memory_free(s.m);
}

static void what_is_of_no_use_is_asked_for_again_after_a_while(void **state)
{
    struct server s;
    (void)state;
    open_one(&s);
    assert_ok(take(&test_ctx, &s, "http://a/", false, 0));
    assert_ok(take(&test_ctx, &s, "http://a/", false, 0));
    s.fails = true;
    assert_fails(take(&test_ctx, &s, "http://b/", true, 0), E_UNREACHABLE);
    assert_fails(take(&test_ctx, &s, "http://b/", true, 0), E_UNREACHABLE);
    assert_int_equal(s.asked, 2);
    offset_s = CRL_DOUBT_S + 1;
    s.fails = false;
    assert_ok(take(&test_ctx, &s, "http://a/", true, 0));
    assert_ok(take(&test_ctx, &s, "http://b/", true, 0));
    assert_int_equal(s.asked, 4);
    crl_memory_free(s.m);
}

static void what_is_kept_has_bounds(void **state)
{
    struct server s;
    (void)state;
    open_one(&s);
    const int64_t next = ctx_now_s(&test_ctx) + 86400;
    for (int i = 0; i <= CRL_KEPT_MAX; i++, offset_s++)
        assert_ok(take(&test_ctx, &s, arena_printf(&test_ctx.arena, "http://a/%d", i), true, next));
    assert_int_equal(s.asked, CRL_KEPT_MAX + 1);
    assert_ok(take(&test_ctx, &s, arena_printf(&test_ctx.arena, "http://a/%d", CRL_KEPT_MAX), true, next));
    assert_int_equal(s.asked, CRL_KEPT_MAX + 1);
    assert_ok(take(&test_ctx, &s, "http://a/0", true, next)); /* went for the last */
    assert_int_equal(s.asked, CRL_KEPT_MAX + 2);
    s.n = (size_t)16 << 20;
    for (int i = 0; i < 5; i++, offset_s++)
        assert_ok(take(&test_ctx, &s, arena_printf(&test_ctx.arena, "http://large/%d", i), true, next));
    s.asked = 0;
    assert_ok(take(&test_ctx, &s, "http://large/4", true, next));
    assert_int_equal(s.asked, 0);
    assert_ok(take(&test_ctx, &s, "http://large/0", true, next)); /* four fill it */
    assert_int_equal(s.asked, 1);
    s.n = CRL_KEPT_BYTES + 1;
    assert_ok(take(&test_ctx, &s, "http://larger/", true, next));
    assert_ok(take(&test_ctx, &s, "http://larger/", true, next));
    assert_int_equal(s.asked, 3);
    crl_memory_free(s.m);
}

static void *take_too(void *arg)
{
    CTX_CLEANUP struct ctx ctx = {0};
    ctx_init(&ctx, &set_clock);
    return rc_ok(take(&ctx, arg, "http://a/", true, ctx_now_s(&ctx) + 86400)) ? arg : NULL;
}

static void one_fetches_and_the_others_wait(void **state)
{
    struct server s;
    pthread_t threads[8];
    (void)state;
    open_one(&s);
    s.slow_us = 50000;
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_too, &s), 0);
    for (size_t i = 0; i < 8; i++) {
        void *done = NULL;
        assert_int_equal(pthread_join(threads[i], &done), 0);
        assert_non_null(done);
    }
    assert_int_equal(s.asked, 1);
    crl_memory_free(s.m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(a_list_is_read_once_until_its_next_update),
        PKI_TEST(what_is_of_no_use_is_asked_for_again_after_a_while),
        PKI_TEST(what_is_kept_has_bounds),
        PKI_TEST(one_fetches_and_the_others_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
