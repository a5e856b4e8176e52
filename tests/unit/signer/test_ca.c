/* CAs, revocations, CRLs, and ACME account keys. */
#include "signer_fixture.h"

#include "pki/crl.h"
#include "pki/jose.h"

static void a_ca_is_made_once_and_shown_the_same_after_a_restart(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    struct wire_signer_ca *first = make_ca(f, "issuing", "root", 0);
    struct bytes kept = arena_bytes(&f->ctx.arena, first->certificate);
    assert_int_equal(first->chain.n, 0);
    fixture_reopen(f);
    struct wire_signer_ca *again = make_ca(f, "issuing", "root", 0);
    assert_true(bytes_equal(kept, again->certificate));
    struct wire_signer_ca_create other = ca_wish("issuing", "root", 0);
    other.common_name = "another";
    ask(f, "hub", WIRE_signer_ca_create, &other);
    assert_int_equal(f->rc.e, E_EXISTS);
    struct cert cert = read_cert(f, again->certificate);
    assert_true(cert.is_ca);
    assert_int_equal(cert.path_length, 0);
    assert_string_equal(cert.crl_urls[0], "http://pki.example.org/root.crl");
}

static void killed_while_it_made_a_ca_it_makes_it_anew(void **state)
{
    struct fixture *f = *state;
    struct wire_signer_ca_create in = ca_wish("root", "", 1);
    static const char *const points[] = {"signer.key_written=kill", "signer.intent_written=kill", "signer.ca_signed=kill"};
    for (size_t i = 0; i < 3; i++) {
        signer_close(f->s);
        f->s = NULL;
        pid_t child = fork();
        if (child == 0) {
            fixture_open(f);
            failpoint_set(points[i]);
            ask(f, "hub", WIRE_signer_ca_create, &in);
            _exit(1);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        fixture_open(f);
        assert_null(f->s->cas);
    }
    make_cas(f);
    struct wire_signer_issue w = issue_wish(f, "a", "www.example.org");
    must_ask(f, "hub", WIRE_signer_issue, &w);
}

/* Somebody else's root, played by a CA in another signer. */
static void an_external_root_answers_the_request(void **state)
{
    struct fixture *f = *state;
    struct wire_signer_ca_create in = ca_wish("issuing", "", 0);
    in.external = true;
    struct wire_signer_ca *ca = must_ask(f, "hub", WIRE_signer_ca_create, &in);
    assert_true(ca->csr.n > 0 && ca->certificate.n == 0);
    struct wire_signer_issue w = issue_wish(f, "a", "www.example.org");
    ask(f, "hub", WIRE_signer_issue, &w);
    assert_int_equal(f->rc.e, E_CONFLICT);

    struct csr csr;
    assert_true(rc_ok(csr_parse(&f->ctx, ca->csr, &csr)));
    struct key *root_key KEY_CLEANUP = NULL;
    assert_true(rc_ok(key_generate(&f->ctx, KEY_EC_P384, &root_key)));
    int64_t now = ctx_now_s(&f->ctx);
    struct bytes serial, tbs, root_der = {0}, der = {0}, wrong = {0};
    assert_true(rc_ok(serial_new(&f->ctx, &serial)));
    struct cert_intent root = {.profile = PROFILE_CA_ROOT,
                               .serial = serial,
                               .common_name = "Elsewhere",
                               .spki = key_spki(root_key),
                               .not_before = now - 60,
                               .not_after = now + 86400 * 1000,
                               .path_length = -1};
    assert_true(rc_ok(tbs_build(&f->ctx, &root, root_key, &tbs)) && rc_ok(tbs_sign(&f->ctx, tbs, root_key, &root_der)));
    struct cert root_cert = read_cert(f, root_der);
    struct cert_intent sub = {.profile = PROFILE_CA_INTERMEDIATE,
                              .serial = serial,
                              .issuer = &root_cert,
                              .common_name = "issuing",
                              .spki = csr.spki.der,
                              .not_before = now - 60,
                              .not_after = now + 86400 * 900,
                              .path_length = 0};
    assert_true(rc_ok(tbs_build(&f->ctx, &sub, root_key, &tbs)) && rc_ok(tbs_sign(&f->ctx, tbs, root_key, &der)));
    sub.spki = new_spki(f);
    assert_true(rc_ok(tbs_build(&f->ctx, &sub, root_key, &tbs)) && rc_ok(tbs_sign(&f->ctx, tbs, root_key, &wrong)));

    struct bytes good[] = {der, root_der}, other_key[] = {wrong, root_der}, no_issuer[] = {der, der};
    struct wire_signer_ca_import import = {.ca = "issuing", .chain = {other_key, 2}};
    ask(f, "officer", WIRE_signer_ca_import, &import);
    assert_int_equal(f->rc.e, E_BAD_CERTIFICATE);
    import.chain.v = no_issuer;
    ask(f, "officer", WIRE_signer_ca_import, &import);
    assert_int_equal(f->rc.e, E_BAD_CERTIFICATE);
    import.chain.v = good;
    ask(f, "hub", WIRE_signer_ca_import, &import);
    assert_int_equal(f->rc.e, E_FORBIDDEN);
    /* Where two people are needed, the second one sees whose certificate it is. */
    const struct wire_signer_protect on = {.on = true};
    const struct wire_signer_proposal_list all = {.id = ""};
    must_ask(f, "officer", WIRE_signer_protect, &on);
    ask(f, "officer", WIRE_signer_ca_import, &import);
    assert_int_equal(f->rc.e, E_PENDING);
    fixture_reopen(f);
    struct wire_signer_proposals *p = must_ask(f, "hub", WIRE_signer_proposal_list, &all);
    assert_int_equal(p->ids.n, 1);
    assert_non_null(strstr(p->words.v[0], "CA issuing gets its certificate\ncertificate CN=issuing\nissued by CN=Elsewhere, until "));
    const struct wire_signer_approve approve = {.hash = p->hashes.v[0], .approver = "anna"};
    must_ask(f, "hub", WIRE_signer_approve, &approve);
    ca = must_ask(f, "officer", WIRE_signer_ca_import, &import); /* it is so already */
    assert_true(bytes_equal(ca->root, root_der));
    assert_int_equal(ca->csr.n, 0);
    fixture_reopen(f);
    struct wire_signer_issued *out = must_ask(f, "hub", WIRE_signer_issue, &w);
    assert_int_equal(out->chain.n, 1);
}

static struct wire_signer_crl_made *crl(struct fixture *f, bool force)
{
    struct wire_signer_crl in = {.ca = "issuing", .force = force};
    return must_ask(f, "hub", WIRE_signer_crl, &in);
}

static struct cert issued(struct fixture *f, const char *id, int64_t validity_s)
{
    struct wire_signer_issue w = issue_wish(f, id, "www.example.org");
    w.validity_s = validity_s;
    struct wire_signer_issued *out = must_ask(f, "hub", WIRE_signer_issue, &w);
    return read_cert(f, out->certificate);
}

static struct wire_signer_revoked *revoke_it(struct fixture *f, const struct cert *cert, int64_t reason)
{
    struct wire_signer_revoke in = {.request_id = "r", .ca = "issuing", .serial = cert->serial, .reason = reason};
    return must_ask(f, "hub", WIRE_signer_revoke, &in);
}

static void crl_numbers_rise_across_restarts(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    int64_t last = crl(f, false)->number;
    assert_int_equal(crl(f, false)->number, last); /* kept: not due */
    for (int i = 0; i < 3; i++) {
        fixture_reopen(f);
        assert_int_equal(crl(f, false)->number, last);
        int64_t number = crl(f, true)->number;
        assert_true(number > last);
        last = number;
    }
    f->offset += 4 * 86400; /* more than half of its life */
    assert_true(crl(f, false)->number > last);
    assert_true(rc_ok(state_compact(&f->ctx, f->s)));
    last = crl(f, false)->number;
    assert_true(crl(f, true)->number > last);
}

static void a_number_that_a_crash_took_is_not_used_again(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    int64_t last = crl(f, false)->number;
    signer_close(f->s);
    f->s = NULL;
    pid_t child = fork();
    if (child == 0) {
        fixture_open(f);
        failpoint_set("signer.crl_signed=kill");
        struct wire_signer_crl in = {.ca = "issuing", .force = true};
        ask(f, "hub", WIRE_signer_crl, &in);
        _exit(1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    fixture_open(f);
    assert_int_equal(crl(f, false)->number, last + 2);
}

static void a_revoked_certificate_is_on_the_next_list_and_leaves_one_after_it_expired(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    struct cert cert = issued(f, "a", (int64_t)10 * 86400), lives = issued(f, "b", (int64_t)60 * 86400);
    int64_t before = crl(f, false)->number;
    int64_t at = revoke_it(f, &cert, 1)->revoked_at;
    revoke_it(f, &lives, 0);
    f->offset += 100;
    struct wire_signer_revoked *again = revoke_it(f, &cert, 4);
    assert_true(again->replayed);
    assert_int_equal(again->revoked_at, at);
    fixture_reopen(f);
    struct wire_signer_crl_made *made = crl(f, false);
    assert_int_equal(made->number, before + 1);
    struct crl list;
    assert_true(rc_ok(crl_parse(&f->ctx, made->crl, &list)));
    assert_int_equal(list.n, 2);
    assert_true(crl_has(&list, cert.serial));
    f->offset += (int64_t)11 * 86400;
    assert_true(rc_ok(crl_parse(&f->ctx, crl(f, false)->crl, &list)));
    assert_true(crl_has(&list, cert.serial)); /* once more, now that it has expired */
    assert_true(rc_ok(crl_parse(&f->ctx, crl(f, true)->crl, &list)));
    assert_false(crl_has(&list, cert.serial));
    assert_true(crl_has(&list, lives.serial));
    fixture_reopen(f);
    assert_true(rc_ok(crl_parse(&f->ctx, crl(f, true)->crl, &list)));
    assert_int_equal(list.n, 1);
}

static void only_its_own_certificates_are_revoked(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    struct wire_signer_revoke in = {.request_id = "r", .ca = "issuing", .serial = BYTES_LIT("\x12\x34"), .reason = 1};
    ask(f, "hub", WIRE_signer_revoke, &in);
    assert_int_equal(f->rc.e, E_NOT_FOUND);
    struct cert cert = issued(f, "a", 86400);
    in.serial = cert.serial;
    in.reason = 6;
    ask(f, "hub", WIRE_signer_revoke, &in);
    assert_int_equal(f->rc.e, E_INVALID);
}

/* --- ACME */

#define DIRECTORY "https://acme.example.net/directory"

static void make_account(struct fixture *f)
{
    struct wire_signer_acme_account in = {.account = "acc", .directory_url = DIRECTORY, .key_kind = "ec-p256"};
    must_ask(f, "hub", WIRE_signer_acme_account, &in);
}

static struct wire_signer_acme_sign sign_wish(unsigned operation)
{
    return (struct wire_signer_acme_sign){.account = "acc",
                                          .attempt = "t1",
                                          .job = "j",
                                          .fence = 5,
                                          .operation = (enum wire_signer_acme_sign_operation)operation,
                                          .nonce = "bm9uY2U",
                                          .url = "https://acme.example.net/x",
                                          .kid = "https://acme.example.net/acct/1",
                                          .eab_kid = "",
                                          .replaces = "",
                                          .profile = ""};
}

static void refuse_sign(struct fixture *f, const struct wire_signer_acme_sign *in, enum err e)
{
    ask(f, "hub", WIRE_signer_acme_sign, in);
    if (f->rc.e != e)
        print_message("%s\n", ctx_why(&f->ctx));
    assert_int_equal(f->rc.e, e);
}

static const char *names[] = {"dns:www.example.org", "dns:example.org"}, *others[] = {"dns:www.example.com"};

static struct bytes make_csr(struct fixture *f, const char *const *texts, size_t n, struct bytes *hash)
{
    struct key *key KEY_CLEANUP = NULL;
    struct name_list list;
    struct bytes der = {0};
    struct csr csr;
    assert_true(rc_ok(key_generate(&f->ctx, KEY_EC_P256, &key)) && rc_ok(name_list_parse(&f->ctx, texts, n, &list)));
    assert_true(rc_ok(csr_build(&f->ctx, key, &list, NULL, &der)) && rc_ok(csr_parse(&f->ctx, der, &csr)));
    *hash = bytes_of(arena_dup(&f->ctx.arena, csr.spki_sha256, 32), 32);
    return der;
}

static void an_account_key_stays_the_same_and_signs_what_the_fields_say(void **state)
{
    struct fixture *f = *state;
    make_account(f);
    struct wire_signer_acme_account account = {.account = "acc", .directory_url = DIRECTORY, .key_kind = "ec-p256"};
    struct wire_signer_acme_key *first = must_ask(f, "hub", WIRE_signer_acme_account, &account);
    fixture_reopen(f);
    struct wire_signer_acme_key *again = must_ask(f, "hub", WIRE_signer_acme_account, &account);
    assert_string_equal(first->thumbprint, again->thumbprint);
    struct wire_signer_acme_sign in = sign_wish(WIRE_signer_acme_sign_operation_new_account);
    static const char *contacts[] = {"mailto:ops@example.org"};
    in.kid = "";
    in.contacts = (struct wire_texts){contacts, 1};
    in.terms_agreed = true;
    struct wire_signer_acme_signed *out = must_ask(f, "hub", WIRE_signer_acme_sign, &in);
    struct jose_message m;
    struct key *key KEY_CLEANUP = NULL;
    assert_true(rc_ok(jose_key_from_jwk(&f->ctx, bytes_z(again->jwk), &key)));
    assert_true(rc_ok(jose_verify(&f->ctx, bytes_z(out->body), key, &m)));
    assert_true(bytes_equal_z(m.payload, "{\"termsOfServiceAgreed\":true,\"contact\":[\"mailto:ops@example.org\"]}"));
    assert_string_equal(m.url, in.url);
    assert_string_equal(m.nonce, in.nonce);
    assert_null(m.kid);
    account.directory_url = "https://other.example.net/directory";
    ask(f, "hub", WIRE_signer_acme_account, &account);
    assert_int_equal(f->rc.e, E_EXISTS);
}

static void an_external_account_is_bound_with_the_sealed_key(void **state)
{
    struct fixture *f = *state;
    make_account(f);
    struct wire_signer_seal seal = {.class = WIRE_signer_seal_class_eab_key, .object = "acc"};
    assert_true(rc_ok(secret_from(&f->ctx, &seal.plain, BYTES_LIT("0123456789abcdef0123456789abcdef"))));
    struct wire_signer_sealed *sealed = must_ask(f, "hub", WIRE_signer_seal, &seal);
    secret_free(&seal.plain);
    struct wire_signer_acme_sign in = sign_wish(WIRE_signer_acme_sign_operation_new_account);
    in.kid = "";
    in.eab_kid = "kid-1";
    in.eab_key = sealed->sealed;
    struct wire_signer_acme_signed *out = must_ask(f, "hub", WIRE_signer_acme_sign, &in);
    struct jose_message m;
    assert_true(rc_ok(jose_verify(&f->ctx, bytes_z(out->body), NULL, &m)));
    assert_true(bytes_find(m.payload, BYTES_LIT("externalAccountBinding")) != SIZE_MAX);
}

static const char *thumbprint(struct fixture *f, unsigned step)
{
    struct wire_signer_acme_change_key in = {.account = "acc", .step = (enum wire_signer_acme_change_key_step)step};
    return ((struct wire_signer_acme_key *)must_ask(f, "hub", WIRE_signer_acme_change_key, &in))->thumbprint;
}

/* RFC 8555 section 7.3.5; both keys are there until one is said to be good, whatever dies in between. */
static void an_account_changes_its_key_and_neither_is_lost_before_that(void **state)
{
    enum { NEXT = WIRE_signer_acme_change_key_step_next, TAKE = WIRE_signer_acme_change_key_step_take,
           DROP = WIRE_signer_acme_change_key_step_drop };
    struct fixture *f = *state;
    make_account(f);
    const char *first = thumbprint(f, TAKE), *next = thumbprint(f, NEXT);
    assert_string_not_equal(first, next);
    fixture_reopen(f);
    assert_string_equal(thumbprint(f, NEXT), next);
    struct wire_signer_acme_sign in = sign_wish(WIRE_signer_acme_sign_operation_key_change);
    struct wire_signer_acme_signed *out = must_ask(f, "hub", WIRE_signer_acme_sign, &in);
    struct jose_message outer, inner;
    struct wire_signer_acme_account account = {.account = "acc", .directory_url = DIRECTORY, .key_kind = "ec-p256"};
    struct wire_signer_acme_key *old = must_ask(f, "hub", WIRE_signer_acme_account, &account);
    struct key *old_key KEY_CLEANUP = NULL;
    assert_string_equal(old->thumbprint, first);
    assert_true(rc_ok(jose_key_from_jwk(&f->ctx, bytes_z(old->jwk), &old_key)));
    assert_true(rc_ok(jose_verify(&f->ctx, bytes_z(out->body), old_key, &outer)));
    assert_true(rc_ok(jose_verify(&f->ctx, outer.payload, NULL, &inner)));
    assert_null(inner.nonce);
    assert_true(bytes_find(inner.payload, BYTES_LIT("\"account\":\"https://acme.example.net/acct/1\"")) != SIZE_MAX);
    assert_true(bytes_find(inner.payload, bytes_z(old->jwk)) != SIZE_MAX);
    assert_string_equal(thumbprint(f, TAKE), next);
    fixture_reopen(f);
    assert_true(rc_ok(state_compact(&f->ctx, f->s)));
    assert_string_equal(thumbprint(f, DROP), next);
    const char *third = thumbprint(f, NEXT);
    assert_string_not_equal(third, next);
    assert_string_equal(thumbprint(f, DROP), next);
    refuse_sign(f, &in, E_CONFLICT);
}

static void import_key(struct fixture *f, const char *account, const char *text, enum err e)
{
    struct wire_signer_acme_account in = {.account = account, .directory_url = DIRECTORY, .key_kind = ""};
    assert_true(rc_ok(secret_from(&f->ctx, &in.import, bytes_z(text))));
    ask(f, "hub", WIRE_signer_acme_account, &in);
    secret_free(&in.import);
    assert_int_equal(f->rc.e, e);
}

/* The key of RFC 7515 appendix A.3. */
#define JWK(d)                                                                                                                     \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                                              \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\",\"d\":\"" d "\"}"

static void an_account_of_another_client_comes_with_its_key(void **state)
{
    struct fixture *f = *state;
    import_key(f, "imported", JWK("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"), E_OK);
    struct wire_signer_acme_account in = {.account = "imported", .directory_url = DIRECTORY, .key_kind = "ec-p256"};
    struct wire_signer_acme_key *key = must_ask(f, "hub", WIRE_signer_acme_account, &in);
    assert_non_null(strstr(key->jwk, "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"));
    import_key(f, "imported", JWK("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"), E_EXISTS);
    import_key(f, "short", JWK("jpsQ"), E_PARSE);
    import_key(f, "public", "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", E_INVALID);
    import_key(f, "nothing", "hello", E_PARSE);
}

static void a_pinned_attempt_gets_its_own_names_and_key_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    make_account(f);
    struct bytes hash, other_hash, csr = make_csr(f, names, 2, &hash), other_csr = make_csr(f, names, 2, &other_hash);
    struct wire_signer_acme_sign order = sign_wish(WIRE_signer_acme_sign_operation_new_order);
    order.identifiers = (struct wire_texts){names, 2};
    refuse_sign(f, &order, E_CEILING); /* not pinned yet */
    struct wire_signer_acme_pin pin = {.attempt = "t1", .account = "acc", .identifiers = {names, 2}};
    must_ask(f, "hub", WIRE_signer_acme_pin, &pin);
    must_ask(f, "hub", WIRE_signer_acme_sign, &order);
    struct wire_signer_acme_sign finalize = sign_wish(WIRE_signer_acme_sign_operation_finalize);
    finalize.csr = csr;
    refuse_sign(f, &finalize, E_CEILING); /* the key is not pinned yet */
    pin.csr_spki_hash = hash;
    must_ask(f, "hub", WIRE_signer_acme_pin, &pin);
    fixture_reopen(f);
    must_ask(f, "hub", WIRE_signer_acme_sign, &finalize);
    finalize.csr = other_csr;
    refuse_sign(f, &finalize, E_CEILING);
    order.identifiers = (struct wire_texts){others, 1};
    refuse_sign(f, &order, E_CEILING);
    pin.csr_spki_hash = other_hash;
    ask(f, "hub", WIRE_signer_acme_pin, &pin);
    assert_int_equal(f->rc.e, E_CONFLICT);
    pin.csr_spki_hash = (struct bytes){0};
    must_ask(f, "hub", WIRE_signer_acme_pin, &pin); /* the same again, and less of it */
    pin.identifiers = (struct wire_texts){others, 1};
    ask(f, "hub", WIRE_signer_acme_pin, &pin);
    assert_int_equal(f->rc.e, E_CONFLICT);
}

static void a_csr_with_another_name_is_not_finalized(void **state)
{
    struct fixture *f = *state;
    make_account(f);
    struct bytes hash, csr = make_csr(f, others, 1, &hash);
    struct wire_signer_acme_pin pin = {.attempt = "t1", .account = "acc", .identifiers = {names, 2}, .csr_spki_hash = hash};
    must_ask(f, "hub", WIRE_signer_acme_pin, &pin);
    struct wire_signer_acme_sign finalize = sign_wish(WIRE_signer_acme_sign_operation_finalize);
    finalize.csr = csr;
    refuse_sign(f, &finalize, E_CEILING);
}

static void an_account_key_signs_for_its_own_directory_alone(void **state)
{
    struct fixture *f = *state;
    make_account(f);
    struct wire_signer_acme_sign in = sign_wish(WIRE_signer_acme_sign_operation_get);
    must_ask(f, "hub", WIRE_signer_acme_sign, &in);
    static const char *const wrong[] = {"https://acme.example.com/x", "http://acme.example.net/x", "https://acme.example.net:444/x",
                                        "https://acme.example.net@evil.example/x"};
    for (size_t i = 0; i < 4; i++) {
        in.url = wrong[i];
        ask(f, "hub", WIRE_signer_acme_sign, &in);
        assert_true(rc_failed(f->rc));
    }
    in = sign_wish(WIRE_signer_acme_sign_operation_get);
    in.kid = "https://acme.example.com/acct/1";
    refuse_sign(f, &in, E_CEILING);
    in.kid = "";
    refuse_sign(f, &in, E_INVALID);
}

static void a_lower_fence_gets_no_signature(void **state)
{
    struct fixture *f = *state;
    make_account(f);
    struct wire_signer_acme_pin pin = {.attempt = "t1", .account = "acc", .identifiers = {names, 2}};
    must_ask(f, "hub", WIRE_signer_acme_pin, &pin);
    struct wire_signer_acme_sign in = sign_wish(WIRE_signer_acme_sign_operation_challenge);
    must_ask(f, "hub", WIRE_signer_acme_sign, &in);
    in.fence = 4;
    refuse_sign(f, &in, E_FENCED);
}

static void key_authorizations_take_tokens_only(void **state)
{
    struct fixture *f = *state;
    make_account(f);
    struct wire_signer_acme_keyauth in = {.account = "acc", .token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"};
    struct wire_signer_acme_keyauth_made *out = must_ask(f, "hub", WIRE_signer_acme_keyauth, &in);
    assert_int_equal(strlen(out->key_authorization), 43 + 1 + 43);
    in.token = "a.b";
    ask(f, "hub", WIRE_signer_acme_keyauth, &in);
    assert_int_equal(f->rc.e, E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIGNER_TEST(a_ca_is_made_once_and_shown_the_same_after_a_restart),
        SIGNER_TEST(killed_while_it_made_a_ca_it_makes_it_anew),
        SIGNER_TEST(an_external_root_answers_the_request),
        SIGNER_TEST(crl_numbers_rise_across_restarts),
        SIGNER_TEST(a_number_that_a_crash_took_is_not_used_again),
        SIGNER_TEST(a_revoked_certificate_is_on_the_next_list_and_leaves_one_after_it_expired),
        SIGNER_TEST(only_its_own_certificates_are_revoked),
        SIGNER_TEST(an_account_key_stays_the_same_and_signs_what_the_fields_say),
        SIGNER_TEST(an_external_account_is_bound_with_the_sealed_key),
        SIGNER_TEST(an_account_changes_its_key_and_neither_is_lost_before_that),
        SIGNER_TEST(an_account_of_another_client_comes_with_its_key),
        SIGNER_TEST(a_pinned_attempt_gets_its_own_names_and_key_and_nothing_else),
        SIGNER_TEST(a_csr_with_another_name_is_not_finalized),
        SIGNER_TEST(an_account_key_signs_for_its_own_directory_alone),
        SIGNER_TEST(a_lower_fence_gets_no_signature),
        SIGNER_TEST(key_authorizations_take_tokens_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
