/* What the tests of key stores share: a key with its chain, under a password that is not ASCII. */
#ifndef CONTAINER_TEST_H
#define CONTAINER_TEST_H

#include "pki_test.h"

#include "pki/container.h"

#define PASSWORD "p\xc3\xa4ss \xf0\x9f\x94\x91" /* two bytes, and four, in UTF-8 */

struct fixture {
    struct test_ca root, issuing;
    struct key *key;
    struct cert_chain chain;
    struct secret password, other;
    struct container what;
};

static inline void fixture_new(struct fixture *f, enum key_kind kind)
{
    static const char *const names[] = {"www.example.org"};
    int64_t now = ctx_now_s(&test_ctx);
    *f = (struct fixture){0};
    test_ca_new(&f->root, NULL, KEY_EC_P256, "Root", now);
    test_ca_new(&f->issuing, &f->root, KEY_EC_P256, "Issuing", now);
    assert_ok(key_generate(&test_ctx, kind, &f->key));
    struct cert_intent intent = test_leaf(&f->issuing, f->key, names, 1, now);
    struct bytes ders[2] = {test_issue(&intent, f->issuing.key, now), f->issuing.der};
    assert_ok(cert_chain_parse_der(&test_ctx, ders, 2, &f->chain));
    assert_ok(secret_from(&test_ctx, &f->password, BYTES_LIT(PASSWORD)));
    assert_ok(secret_from(&test_ctx, &f->other, BYTES_LIT("password")));
    f->what = (struct container){f->key, &f->chain, "Server-1", &f->password};
}

static inline void fixture_free(struct fixture *f)
{
    key_free(f->root.key);
    key_free(f->issuing.key);
    key_free(f->key);
    secret_free(&f->password);
    secret_free(&f->other);
}

#endif
