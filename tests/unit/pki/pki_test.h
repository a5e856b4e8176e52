/* What the tests of pki/ share: a context for each test, short forms of assertions, and a small CA. */
#ifndef TESTS_PKI_TEST_H
#define TESTS_PKI_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/ctx.h"
#include "base/encode.h"
#include "base/str.h"
#include "pki/chain.h"
#include "pki/key.h"
#include "pki/lint.h"
#include "pki/tbs.h"

static struct ctx test_ctx;

static inline int pki_setup(void **state)
{
    ctx_init(&test_ctx, &clock_system);
    *state = &test_ctx;
    return 0;
}

static inline int pki_teardown(void **state)
{
    (void)state;
    ctx_free(&test_ctx);
    return 0;
}

#define PKI_TEST(f) cmocka_unit_test_setup_teardown(f, pki_setup, pki_teardown)
#define assert_ok(expr)                                                            \
    do {                                                                           \
        struct rc rc_ = (expr);                                                    \
        if (rc_failed(rc_))                                                        \
            fail_msg("%s: %s: %s", #expr, err_info(rc_.e)->name, ctx_why(&test_ctx)); \
    } while (0)
#define assert_fails(expr, code)                                                              \
    do {                                                                                      \
        struct rc rc_ = (expr);                                                               \
        if (rc_.e != (code))                                                                  \
            fail_msg("%s gave %s, not %s", #expr, err_info(rc_.e)->name, err_info(code)->name); \
    } while (0)
#define assert_why(text)                                                                          \
    do {                                                                                          \
        if (!strstr(ctx_why(&test_ctx), (text)))                                                  \
            fail_msg("\"%s\" does not say \"%s\"", ctx_why(&test_ctx), (text));                   \
    } while (0)
#define assert_bytes(a, b) assert_true(bytes_equal((a), (b)))

static inline struct bytes from_hex(const char *hex)
{
    struct bytes out = {0};
    assert_true(get_hex(&test_ctx.arena, bytes_z(hex), &out));
    return out;
}

/* A CA and what it makes. */
struct test_ca {
    struct key *key;
    struct bytes der;
    struct cert cert;
};

static inline struct cert_intent test_intent(enum cert_profile profile, int64_t now)
{
    struct cert_intent intent = {.profile = profile, .not_before = now - 3600, .not_after = now + 90 * 86400, .path_length = -1};
    assert_ok(serial_new(&test_ctx, &intent.serial));
    return intent;
}

/* Builds, lints and signs. */
static inline struct bytes test_issue(const struct cert_intent *intent, const struct key *signer, int64_t now)
{
    struct bytes tbs, der;
    assert_ok(tbs_build(&test_ctx, intent, signer, &tbs));
    assert_ok(lint_tbs(&test_ctx, tbs, intent->profile, intent->issuer, now));
    assert_ok(tbs_sign(&test_ctx, tbs, signer, &der));
    return der;
}

static inline void test_ca_new(struct test_ca *ca, const struct test_ca *parent, enum key_kind kind, const char *name, int64_t now)
{
    struct cert_intent intent = test_intent(parent ? PROFILE_CA_INTERMEDIATE : PROFILE_CA_ROOT, now);
    assert_ok(key_generate(&test_ctx, kind, &ca->key));
    intent.organization = "Test";
    intent.common_name = name;
    intent.spki = key_spki(ca->key);
    intent.not_before = now - (parent ? 7200 : 10800);
    intent.not_after = now + (parent ? 3000 : 3600) * (int64_t)86400;
    if (parent) {
        intent.issuer = &parent->cert;
        intent.path_length = 0;
        intent.crl_url = "http://ca.example.org/root.crl";
        intent.issuer_url = "http://ca.example.org/root.crt";
    }
    ca->der = test_issue(&intent, parent ? parent->key : ca->key, now);
    assert_ok(cert_parse(&test_ctx, ca->der, &ca->cert));
}

static inline struct cert_intent test_leaf(const struct test_ca *ca, const struct key *key, const char *const *names, size_t n,
                                           int64_t now)
{
    struct cert_intent intent = test_intent(PROFILE_TLS_SERVER, now);
    intent.issuer = &ca->cert;
    intent.spki = key_spki(key);
    intent.crl_url = "http://ca.example.org/issuing.crl";
    intent.issuer_url = "http://ca.example.org/issuing.crt";
    assert_ok(name_list_parse(&test_ctx, names, n, &intent.names));
    return intent;
}

/* A certificate, its CA, and another CA that has nothing to do with it. */
struct test_issued {
    int64_t now;
    struct test_ca ca, other;
    struct key *key;
    struct cert leaf;
};

static inline void test_issued_new(struct test_issued *w)
{
    static const char *const names[] = {"www.example.org"};
    *w = (struct test_issued){.now = ctx_now_s(&test_ctx)};
    test_ca_new(&w->ca, NULL, KEY_EC_P256, "Issuing", w->now);
    test_ca_new(&w->other, NULL, KEY_EC_P256, "Another", w->now);
    assert_ok(key_generate(&test_ctx, KEY_EC_P256, &w->key));
    struct cert_intent intent = test_leaf(&w->ca, w->key, names, 1, w->now);
    assert_ok(cert_parse(&test_ctx, test_issue(&intent, w->ca.key, w->now), &w->leaf));
}

static inline void test_issued_free(struct test_issued *w)
{
    key_free(w->ca.key);
    key_free(w->other.key);
    key_free(w->key);
}

#endif
