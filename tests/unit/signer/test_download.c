/* Keys that people download: one an attempt, handed out with the certificate that is of it, and gone when they are forgotten. */
#include <sys/stat.h>

#include "pki/digest.h"
#include "pki/jks.h"
#include "pki/pkcs12.h"
#include "signer_fixture.h"

#define HOUR_S 3600
#define PER_HOUR 500 /* DOWNLOADS_PER_HOUR of signer/download.c */

static const char *const one_name[] = {"www.example.org"};

static struct wire_signer_download_make make_wish(const char *attempt, const char *kind)
{
    return (struct wire_signer_download_make){.attempt = attempt,
                                              .managed = "managed-1",
                                              .key_kind = kind,
                                              .names = {(const char **)(uintptr_t)one_name, 1},
                                              .common_name = "",
                                              .reuse = ""};
}

static struct csr read_csr(struct fixture *f, const struct wire_signer_download_made *made)
{
    struct csr csr;
    assert_int_equal(f->rc.e, E_OK);
    assert_true(rc_ok(csr_parse(&f->ctx, made->csr, &csr)));
    return csr;
}

static struct csr make(struct fixture *f, const char *attempt, const char *kind)
{
    const struct wire_signer_download_make in = make_wish(attempt, kind);
    return read_csr(f, must_ask(f, "hub", WIRE_signer_download_make, &in));
}

/* A certificate of the key, and those above it. */
static struct wire_blobs certify(struct fixture *f, const char *attempt, struct bytes spki)
{
    struct wire_signer_issue in = issue_wish(f, attempt, one_name[0]);
    in.spki = spki;
    const struct wire_signer_issued *out = must_ask(f, "hub", WIRE_signer_issue, &in);
    struct bytes *v = arena_array(&f->ctx.arena, out->chain.n + 1, sizeof *v);
    v[0] = out->certificate;
    for (size_t i = 0; i < out->chain.n; i++)
        v[i + 1] = arena_bytes(&f->ctx.arena, out->chain.v[i]); /* the signer's own memory may go */
    return (struct wire_blobs){v, out->chain.n + 1};
}

static struct wire_signer_download_taken *take(struct fixture *f, const char *attempt,
                                               enum wire_signer_download_take_format format, struct wire_blobs chain)
{
    const struct wire_signer_download_take in = {
        .attempt = attempt, .managed = "managed-1", .format = format, .chain = chain, .alias = "www"};
    return ask(f, "hub", WIRE_signer_download_take, &in);
}

static void done(struct wire_signer_download_taken *t)
{
    secret_free(&t->content);
    secret_free(&t->passphrase);
}

static void forget(struct fixture *f, const char *attempt)
{
    const struct wire_signer_download_forget in = {.attempt = attempt};
    must_ask(f, "hub", WIRE_signer_download_forget, &in);
}

static bool on_disk(struct fixture *f, const char *attempt)
{
    struct stat st;
    const bool there = stat(arena_printf(&f->ctx.arena, "%s/keys/download.%s.key", f->dir, attempt), &st) == 0;
    if (there)
        assert_int_equal(st.st_mode & 0777, 0600);
    return there;
}

static void the_same_attempt_gets_the_same_key_and_another_request_none(void **state)
{
    struct fixture *f = *state;
    const struct csr first = make(f, "a1", "ec-p256"), again = make(f, "a1", "ec-p256");
    assert_memory_equal(first.spki_sha256, again.spki_sha256, SHA256_LEN);
    assert_int_equal(first.names.n, 1);
    fixture_reopen(f);
    const struct csr later = make(f, "a1", "ec-p256"), other = make(f, "a2", "ec-p256");
    assert_memory_equal(first.spki_sha256, later.spki_sha256, SHA256_LEN);
    assert_memory_not_equal(first.spki_sha256, other.spki_sha256, SHA256_LEN);
    const struct wire_signer_download_make rows[] = {
        {.attempt = "a1", .managed = "managed-2", .key_kind = "ec-p256", .names = {(const char **)(uintptr_t)one_name, 1}},
        {.attempt = "a1", .managed = "managed-1", .key_kind = "rsa-2048", .names = {(const char **)(uintptr_t)one_name, 1}}};
    for (size_t i = 0; i < 2; i++) {
        struct wire_signer_download_make in = rows[i];
        in.common_name = in.reuse = "";
        ask(f, "hub", WIRE_signer_download_make, &in);
        assert_int_equal(f->rc.e, E_CONFLICT);
    }
    struct wire_signer_download_make bad = make_wish("../a", "ec-p256");
    ask(f, "hub", WIRE_signer_download_make, &bad);
    assert_int_equal(f->rc.e, E_INVALID);
    bad = make_wish("a3", "dsa");
    ask(f, "hub", WIRE_signer_download_make, &bad);
    assert_int_equal(f->rc.e, E_UNSUPPORTED);
    bad = make_wish("a3", "ec-p256");
    bad.names.n = 0;
    ask(f, "hub", WIRE_signer_download_make, &bad);
    assert_int_equal(f->rc.e, E_INVALID);
    ask(f, "officer", WIRE_signer_download_make, &bad);
    assert_int_equal(f->rc.e, E_FORBIDDEN);
}

static void it_is_handed_out_with_its_certificate_alone(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    const struct csr csr = make(f, "a1", "ec-p384");
    const struct wire_blobs chain = certify(f, "a1", csr.spki.der);
    const int64_t keys = f->s->keys.keys;
    struct key *key KEY_CLEANUP = NULL, *pem KEY_CLEANUP = NULL;
    struct wire_signer_download_taken *t = take(f, "a1", WIRE_signer_download_take_format_pkcs12, chain);
    struct pkcs12 p;
    assert_int_equal(f->rc.e, E_OK);
    assert_int_equal(t->passphrase.n, 20);
    assert_true(rc_ok(pkcs12_read(&f->ctx, secret_use(&t->content), &t->passphrase, &p, &key)));
    assert_int_equal(p.certs.n, chain.n);
    assert_true(bytes_equal(key_spki(key), csr.spki.der));
    done(t);
    key_free(key);
    key = NULL;
    t = take(f, "a1", WIRE_signer_download_take_format_jks, chain);
    struct cert_chain certs;
    assert_true(rc_ok(jks_read(&f->ctx, secret_use(&t->content), &t->passphrase, &certs, &key)));
    assert_true(bytes_equal(key_spki(key), csr.spki.der));
    done(t);
    t = take(f, "a1", WIRE_signer_download_take_format_pem, chain);
    assert_int_equal(t->passphrase.n, 0);
    assert_true(rc_ok(key_from_pem(&f->ctx, &t->content, &pem)));
    assert_true(rc_ok(cert_chain_parse_pem(&f->ctx, secret_use(&t->content), 8, &certs)));
    assert_int_equal(certs.n, chain.n);
    done(t);
    /* a certificate of another key, no certificate, another managed certificate, no such key */
    const struct wire_blobs other = certify(f, "b1", make(f, "b1", "ec-p256").spki.der);
    take(f, "a1", WIRE_signer_download_take_format_pem, other);
    assert_int_equal(f->rc.e, E_CONFLICT);
    take(f, "a1", WIRE_signer_download_take_format_pem, (struct wire_blobs){0});
    assert_int_not_equal(f->rc.e, E_OK);
    struct wire_signer_download_take in = {
        .attempt = "a1", .managed = "managed-2", .format = WIRE_signer_download_take_format_pem, .chain = chain, .alias = "www"};
    ask(f, "hub", WIRE_signer_download_take, &in);
    assert_int_equal(f->rc.e, E_NOT_FOUND);
    take(f, "nobody", WIRE_signer_download_take_format_pem, chain);
    assert_int_equal(f->rc.e, E_NOT_FOUND);
    ask(f, "officer", WIRE_signer_download_take, &in);
    assert_int_equal(f->rc.e, E_FORBIDDEN);
    assert_int_equal(f->s->keys.keys, keys); /* none stayed in memory */
}

static void what_was_forgotten_is_gone_for_good(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    const struct wire_blobs chain = certify(f, "a1", make(f, "a1", "ec-p256").spki.der);
    assert_true(on_disk(f, "a1"));
    forget(f, "a1");
    forget(f, "a1");
    forget(f, "never");
    assert_false(on_disk(f, "a1"));
    for (int i = 0; i < 3; i++) {
        take(f, "a1", WIRE_signer_download_take_format_pem, chain);
        assert_int_equal(f->rc.e, E_CONFLICT);
        const struct wire_signer_download_make rows[] = {make_wish("a1", "ec-p256"), make_wish("never", "ec-p256")};
        for (size_t k = 0; k < 2; k++) {
            ask(f, "hub", WIRE_signer_download_make, &rows[k]);
            assert_int_equal(f->rc.e, E_CONFLICT);
        }
        if (i == 0)
            fixture_reopen(f);
        else
            assert_true(rc_ok(state_compact(&f->ctx, f->s)));
    }
    assert_false(on_disk(f, "a1"));
}

static void a_key_is_used_again_within_its_certificate(void **state)
{
    struct fixture *f = *state;
    const struct csr first = make(f, "a1", "ec-p256");
    struct wire_signer_download_make in = make_wish("a2", "ec-p256");
    in.reuse = "a1";
    const struct csr second = read_csr(f, must_ask(f, "hub", WIRE_signer_download_make, &in));
    assert_memory_equal(first.spki_sha256, second.spki_sha256, SHA256_LEN);
    forget(f, "a1");
    assert_true(on_disk(f, "a2"));
    in.attempt = "a3"; /* gone, of another kind, never there: a new one */
    assert_memory_not_equal(first.spki_sha256, read_csr(f, must_ask(f, "hub", WIRE_signer_download_make, &in)).spki_sha256,
                            SHA256_LEN);
    in = make_wish("a4", "ec-p384");
    in.reuse = "a2";
    assert_int_equal(read_csr(f, must_ask(f, "hub", WIRE_signer_download_make, &in)).spki.key_kind, KEY_EC_P384);
    in = make_wish("a5", "ec-p256");
    in.reuse = "nobody";
    must_ask(f, "hub", WIRE_signer_download_make, &in);
    in = make_wish("a6", "ec-p256");
    in.managed = "managed-2";
    in.reuse = "a2";
    ask(f, "hub", WIRE_signer_download_make, &in);
    assert_int_equal(f->rc.e, E_FORBIDDEN);
}

static void a_rewritten_journal_keeps_the_keys_that_are_there(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    const struct csr csr = make(f, "a1", "ec-p256");
    make(f, "a2", "ec-p256");
    forget(f, "a2");
    f->offset += REPLAY_S + HOUR_S;
    assert_true(rc_ok(state_compact(&f->ctx, f->s)));
    fixture_reopen(f);
    assert_memory_equal(csr.spki_sha256, make(f, "a1", "ec-p256").spki_sha256, SHA256_LEN);
    assert_int_equal(f->s->downloads.n, 1);
    done(take(f, "a1", WIRE_signer_download_take_format_pem, certify(f, "a1", csr.spki.der)));
    assert_int_equal(f->rc.e, E_OK);
}

static void no_more_than_so_many_leave_in_one_hour(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    const struct wire_blobs chain = certify(f, "a1", make(f, "a1", "ec-p256").spki.der);
    for (int i = 0; i < PER_HOUR; i++) {
        done(take(f, "a1", WIRE_signer_download_take_format_pem, chain));
        assert_int_equal(f->rc.e, E_OK);
    }
    for (int i = 0; i < 3; i++) { /* also after a restart, and with the journal rewritten */
        take(f, "a1", WIRE_signer_download_take_format_pem, chain);
        assert_int_equal(f->rc.e, E_CEILING);
        if (i == 0)
            fixture_reopen(f);
        else
            assert_true(rc_ok(state_compact(&f->ctx, f->s)));
    }
    f->offset += HOUR_S + 60;
    done(take(f, "a1", WIRE_signer_download_take_format_pem, chain));
    assert_int_equal(f->rc.e, E_OK);
}

/* Killed at each point of making, handing out and forgetting: the next asking ends where it would have ended. */
static void a_kill_anywhere_leaves_what_the_next_asking_mends(void **state)
{
    struct fixture *f = *state;
    static const char *const points[] = {"signer.key_written", "signer.intent_written", "signer.result_written"};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        for (int what = 0; what < 2; what++) {
            const char *attempt = arena_printf(&f->ctx.arena, "k%zu-%d", i, what);
            if (what == 1)
                make(f, attempt, "ec-p256");
            signer_close(f->s);
            f->s = NULL;
            const pid_t pid = fork();
            if (pid == 0) {
                fixture_open(f);
                failpoint_set(arena_printf(&f->ctx.arena, "%s=kill", points[i]));
                if (what == 0)
                    make(f, attempt, "ec-p256");
                else
                    forget(f, attempt);
                _exit(0);
            }
            int status = 0;
            assert_int_equal(waitpid(pid, &status, 0), pid);
            assert_true(WIFSIGNALED(status) || (what == 1 && i == 0)); /* forgetting writes no key */
            fixture_open(f);
            if (what == 0) {
                const struct csr first = make(f, attempt, "ec-p256"), again = make(f, attempt, "ec-p256");
                assert_memory_equal(first.spki_sha256, again.spki_sha256, SHA256_LEN);
                assert_true(on_disk(f, attempt));
            } else {
                forget(f, attempt);
                assert_false(on_disk(f, attempt));
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIGNER_TEST(the_same_attempt_gets_the_same_key_and_another_request_none),
        SIGNER_TEST(it_is_handed_out_with_its_certificate_alone),
        SIGNER_TEST(what_was_forgotten_is_gone_for_good),
        SIGNER_TEST(a_key_is_used_again_within_its_certificate),
        SIGNER_TEST(a_rewritten_journal_keeps_the_keys_that_are_there),
        SIGNER_TEST(no_more_than_so_many_leave_in_one_hour),
        SIGNER_TEST(a_kill_anywhere_leaves_what_the_next_asking_mends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
