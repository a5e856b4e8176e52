/* A signer in a folder of its own, asked in the same process as its loop asks it. */
#ifndef TEST_SIGNER_FIXTURE_H
#define TEST_SIGNER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ftw.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "pki/csr.h"
#include "pki/tbs.h"
#include "signer/work.h"

struct fixture {
    struct ctx ctx;
    struct clock clock;
    int64_t offset;
    char dir[64];
    struct signer *s;
    struct rc rc; /* of the last ask() */
};

static inline int fixture_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void fixture_open(struct fixture *f)
{
    static const uint8_t bytes[32] = "the same key-encryption key each";
    struct secret kek = {0};
    assert_true(rc_ok(secret_from(&f->ctx, &kek, bytes_of(bytes, sizeof bytes))));
    struct signer_config config = {.dir = f->dir, .clock = &f->clock, .sandbox = "test"};
    struct rc rc = signer_open(&f->ctx, &config, &kek, &f->s);
    if (rc_failed(rc))
        print_message("%s\n", ctx_why(&f->ctx));
    assert_int_equal(rc.e, E_OK);
}

static inline void fixture_reopen(struct fixture *f)
{
    signer_close(f->s);
    f->s = NULL;
    fixture_open(f);
}

static inline int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->clock.offset_s = &f->offset;
    ctx_init(&f->ctx, &f->clock);
    snprintf(f->dir, sizeof f->dir, "/tmp/cw-signer-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    fixture_open(f);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    signer_close(f->s);
    nftw(f->dir, fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
    ctx_free(&f->ctx);
    free(f);
    return 0;
}

/* ask returns the answer, valid as long as f->ctx; f->rc tells whether there is one. */
static inline void *ask(struct fixture *f, const char *from, uint16_t type, const void *in)
{
    const struct wire_codec *codec = wire_codec_of(type);
    struct work w = {
        .ctx = &f->ctx, .type = type, .from = from, .in = in, .out = arena_alloc(&f->ctx.arena, wire_codec_of(codec->reply)->size)};
    ctx_forget(&f->ctx);
    signer_work(f->s, &w, 1);
    f->rc = w.rc;
    return w.out;
}

/* must_ask fails the test with the signer's words where there is no answer. */
static inline void *must_ask(struct fixture *f, const char *from, uint16_t type, const void *in)
{
    void *out = ask(f, from, type, in);
    if (rc_failed(f->rc))
        print_message("%s: %s\n", wire_codec_of(type)->name, ctx_why(&f->ctx));
    assert_int_equal(f->rc.e, E_OK);
    return out;
}

static inline struct wire_signer_ca_create ca_wish(const char *name, const char *parent, int64_t path_length)
{
    return (struct wire_signer_ca_create){.request_id = name,
                                          .ca = name,
                                          .parent = parent,
                                          .key_kind = "ec-p256",
                                          .common_name = name,
                                          .organization = "Example",
                                          .validity_s = (int64_t)3650 * 86400,
                                          .path_length = path_length,
                                          .crl_url = parent[0] == 0 ? "" : "http://pki.example.org/root.crl",
                                          .issuer_url = parent[0] == 0 ? "" : "http://pki.example.org/root.cer",
                                          .own_crl_url = "http://pki.example.org/own.crl",
                                          .own_issuer_url = "http://pki.example.org/own.cer"};
}

static inline struct wire_signer_ca *make_ca(struct fixture *f, const char *name, const char *parent, int64_t path_length)
{
    struct wire_signer_ca_create in = ca_wish(name, parent, path_length);
    return must_ask(f, "hub", WIRE_signer_ca_create, &in);
}

static inline void make_cas(struct fixture *f)
{
    make_ca(f, "root", "", 1);
    make_ca(f, "issuing", "root", 0);
}

static inline struct bytes new_spki(struct fixture *f)
{
    struct key *key = NULL;
    assert_true(rc_ok(key_generate(&f->ctx, KEY_EC_P256, &key)));
    struct bytes spki = arena_bytes(&f->ctx.arena, key_spki(key));
    key_free(key);
    return spki;
}

/* issue_wish: for one name, of a new key, 30 days. */
static inline struct wire_signer_issue issue_wish(struct fixture *f, const char *request_id, const char *name)
{
    const char **names = arena_alloc(&f->ctx.arena, sizeof *names);
    names[0] = name;
    return (struct wire_signer_issue){.request_id = request_id,
                                      .ca = "issuing",
                                      .profile = WIRE_signer_issue_profile_tls_server,
                                      .spki = new_spki(f),
                                      .common_name = "",
                                      .dns_names = {names, 1},
                                      .validity_s = (int64_t)30 * 86400};
}

static inline struct cert read_cert(struct fixture *f, struct bytes der)
{
    struct cert cert;
    assert_true(rc_ok(cert_parse(&f->ctx, der, &cert)));
    return cert;
}

#define SIGNER_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
