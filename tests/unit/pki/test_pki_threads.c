/* Several threads, each with its own context, on one key and one set of roots. */
#include "pki_test.h"

#include <pthread.h>

#include "pki/jose.h"

#define THREADS 4
#define ROUNDS 60

struct shared {
    struct key *key;
    struct bytes leaf; /* DER of a certificate by `key` */
    const struct chain_roots *roots;
};

static void *work(void *arg)
{
    const struct shared *s = arg;
    CTX_CLEANUP struct ctx ctx;
    bool ok = true;
    ctx_init(&ctx, &clock_system);
    for (int i = 0; i < ROUNDS && ok; i++) {
        KEY_CLEANUP struct key *own = NULL, *public = NULL;
        struct bytes signature;
        struct cert cert;
        struct chain_result result;
        struct buf b;
        const struct jose_header header = {.nonce = "n", .url = "https://ca.example/x"};
        struct jose_message m;
        ok =
            rc_ok(key_generate(&ctx, KEY_EC_P256, &own)) && rc_ok(key_from_spki(&ctx, key_spki(s->key), &public)) &&
            rc_ok(key_sign(&ctx, s->key, BYTES_LIT("data"), &signature)) &&
            rc_ok(key_verify_own(&ctx, public, BYTES_LIT("data"), signature)) && rc_ok(cert_parse(&ctx, s->leaf, &cert)) &&
            rc_ok(chain_verify(&ctx, s->roots, &(struct cert_chain){&cert, 1}, NULL, ctx_now_s(&ctx), CHAIN_FOR_SERVER, &result)) &&
            result.verdict == CHAIN_TRUSTED;
        buf_init_arena(&b, &ctx.arena, 65536);
        ok =
            ok && rc_ok(jose_sign(&ctx, s->key, &header, BYTES_LIT("{}"), &b)) && rc_ok(jose_verify(&ctx, buf_bytes(&b), NULL, &m));
    }
    return ok ? arg : NULL;
}

static void one_key_and_one_set_of_roots_serve_many_threads(void **state)
{
    int64_t now = ctx_now_s(&test_ctx);
    struct test_ca ca = {0};
    CHAIN_ROOTS_CLEANUP struct chain_roots *roots = NULL;
    struct buf pem;
    pthread_t threads[THREADS];
    (void)state;
    test_ca_new(&ca, NULL, KEY_EC_P256, "Root", now);
    buf_init_arena(&pem, &test_ctx.arena, 65536);
    cert_chain_put_pem(&pem, &(struct cert_chain){&ca.cert, 1});
    assert_ok(chain_roots_load(&test_ctx, buf_bytes(&pem), false, &roots));
    static const char *const names[] = {"www.example.org"};
    struct cert_intent intent = test_leaf(&ca, ca.key, names, 1, now);
    struct shared s = {ca.key, test_issue(&intent, ca.key, now), roots};
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &s), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, &s);
    }
    key_free(ca.key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {PKI_TEST(one_key_and_one_set_of_roots_serve_many_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
