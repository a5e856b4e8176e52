/* The life of a certificate in pki/: request, building, lint, chain, revocation. */
#include "pki_test.h"

#include <openssl/x509v3.h>

#include "pki/crl.h"
#include "pki/csr.h"
#include "pki/der.h"
#include "pki/oid.h"
#include "pki/pem.h"

struct world {
    int64_t now;
    struct test_ca root, issuing;
    struct key *key;
    struct cert_intent intent;
    struct bytes der;
    struct cert leaf;
    struct chain_roots *roots;
};

static void world_new(struct world *w, enum key_kind ca_kind, enum key_kind kind)
{
    static const char *const names[] = {"www.example.org", "*.apps.example.org", "192.0.2.9"};
    struct buf pem;
    *w = (struct world){.now = ctx_now_s(&test_ctx)};
    test_ca_new(&w->root, NULL, ca_kind, "Root", w->now);
    test_ca_new(&w->issuing, &w->root, ca_kind, "Issuing", w->now);
    assert_ok(key_generate(&test_ctx, kind, &w->key));
    w->intent = test_leaf(&w->issuing, w->key, names, 3, w->now);
    w->der = test_issue(&w->intent, w->issuing.key, w->now);
    assert_ok(cert_parse(&test_ctx, w->der, &w->leaf));
    buf_init_arena(&pem, &test_ctx.arena, 65536);
    pem_put(&pem, PEM_CERTIFICATE, w->root.der);
    assert_ok(chain_roots_load(&test_ctx, buf_bytes(&pem), false, &w->roots));
}

static void world_free(struct world *w)
{
    key_free(w->root.key);
    key_free(w->issuing.key);
    key_free(w->key);
    chain_roots_free(w->roots);
}

static struct chain_result verify(const struct world *w, struct cert_chain chain, const char *host, int64_t at)
{
    struct chain_result r;
    assert_ok(chain_verify(&test_ctx, w->roots, &chain, host, at, CHAIN_FOR_SERVER, &r));
    return r;
}

static void issued_certificates_are_believed_by_openssl(void **state)
{
    static const enum key_kind kinds[][2] = {
        {KEY_EC_P256, KEY_EC_P256}, {KEY_EC_P384, KEY_EC_P384}, {KEY_EC_P256, KEY_RSA_2048}, {KEY_RSA_2048, KEY_EC_P256}};
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct world w;
        world_new(&w, kinds[i][0], kinds[i][1]);
        struct cert v[] = {w.leaf, w.issuing.cert};
        struct cert_chain chain = {v, 2};
        struct chain_result r = verify(&w, chain, "www.example.org", w.now);
        assert_string_equal(r.text, "");
        assert_int_equal(r.verdict, CHAIN_TRUSTED);
        assert_int_equal(verify(&w, chain, "a.apps.example.org", w.now).verdict, CHAIN_TRUSTED);
        assert_int_equal(verify(&w, chain, "192.0.2.9", w.now).verdict, CHAIN_TRUSTED);
        assert_int_equal(verify(&w, chain, "example.org", w.now).verdict, CHAIN_WRONG_NAME);
        assert_int_equal(verify(&w, chain, "192.0.2.8", w.now).verdict, CHAIN_WRONG_NAME);
        assert_int_equal(verify(&w, chain, NULL, w.leaf.not_after + 1).verdict, CHAIN_EXPIRED);
        assert_int_equal(verify(&w, chain, NULL, w.leaf.not_before - 1).verdict, CHAIN_NOT_YET_VALID);
        chain.n = 1;
        assert_int_equal(verify(&w, chain, NULL, w.now).verdict, CHAIN_UNKNOWN_ISSUER);
        chain.n = 0;
        assert_int_equal(verify(&w, chain, NULL, w.now).verdict, CHAIN_EMPTY);
        chain = (struct cert_chain){v, 2};
        chain.n = 2;
        struct chain_result client;
        assert_ok(chain_verify(&test_ctx, w.roots, &chain, NULL, w.now, CHAIN_FOR_CLIENT, &client));
        assert_int_equal(client.verdict, CHAIN_WRONG_USE);
        world_free(&w);
    }
}

static void a_changed_certificate_has_a_bad_signature(void **state)
{
    struct world w;
    (void)state;
    world_new(&w, KEY_EC_P256, KEY_EC_P256);
    struct bytes changed = arena_bytes(&test_ctx.arena, w.der);
    size_t at = bytes_find(changed, BYTES_LIT("www.example.org"));
    ((uint8_t *)changed.p)[at] = 'x';
    struct cert v[2] = {[1] = w.issuing.cert};
    assert_ok(cert_parse(&test_ctx, changed, &v[0]));
    struct chain_result r = verify(&w, (struct cert_chain){v, 2}, NULL, w.now);
    assert_int_equal(r.verdict, CHAIN_BAD_SIGNATURE);
    assert_int_equal(r.at, 0);
    world_free(&w);
}

static void a_self_signed_certificate_is_named_so(void **state)
{
    struct world w;
    struct test_ca other = {0};
    (void)state;
    world_new(&w, KEY_EC_P256, KEY_EC_P256);
    test_ca_new(&other, NULL, KEY_EC_P256, "Other", w.now);
    assert_int_equal(verify(&w, (struct cert_chain){&other.cert, 1}, NULL, w.now).verdict, CHAIN_SELF_SIGNED);
    key_free(other.key);
    world_free(&w);
}

static void the_system_knows_its_roots_but_not_ours(void **state)
{
    struct world w;
    const struct chain_roots *roots;
    struct chain_result r;
    (void)state;
    world_new(&w, KEY_EC_P256, KEY_EC_P256);
    struct cert v[] = {w.leaf, w.issuing.cert, w.root.cert};
    const struct cert_chain chain = {v, 3};
    assert_ok(chain_roots_system(&test_ctx, &roots));
    assert_ok(chain_verify(&test_ctx, roots, &chain, NULL, w.now, CHAIN_FOR_SERVER, &r));
    assert_int_equal(r.verdict, CHAIN_UNKNOWN_ISSUER);
    world_free(&w);
}

static void chains_are_put_in_order_and_strangers_refused(void **state)
{
    struct world w;
    struct test_ca stranger = {0};
    struct cert_chain out;
    struct cert root;
    (void)state;
    world_new(&w, KEY_EC_P256, KEY_EC_P256);
    struct cert mixed[] = {w.root.cert, w.issuing.cert, w.leaf, w.issuing.cert};
    assert_ok(chain_order(&test_ctx, &(struct cert_chain){mixed, 4}, &out, &root));
    assert_int_equal(out.n, 2);
    assert_bytes(out.v[0].der, w.der);
    assert_bytes(out.v[1].der, w.issuing.der);
    assert_bytes(root.der, w.root.der);
    test_ca_new(&stranger, NULL, KEY_EC_P256, "Stranger", w.now);
    mixed[0] = stranger.cert;
    assert_fails(chain_order(&test_ctx, &(struct cert_chain){mixed, 3}, &out, NULL), E_BAD_CERTIFICATE);
    key_free(stranger.key);
    world_free(&w);
}

static void an_empty_subject_makes_the_names_critical_and_a_common_name_does_not(void **state)
{
    struct world w;
    struct cert named;
    (void)state;
    world_new(&w, KEY_EC_P256, KEY_EC_P256);
    assert_true(w.leaf.critical & EXT_SAN);
    assert_string_equal(w.leaf.subject.text, "");
    w.intent.common_name = "www.example.org";
    assert_ok(cert_parse(&test_ctx, test_issue(&w.intent, w.issuing.key, w.now), &named));
    assert_false(named.critical & EXT_SAN);
    assert_string_equal(named.subject.text, "CN=www.example.org");
    assert_string_equal(named.crl_urls[0], "http://ca.example.org/issuing.crl");
    assert_string_equal(named.issuer_url, "http://ca.example.org/issuing.crt");
    world_free(&w);
}

static void name_constraints_bind_lint_and_clients(void **state)
{
    static const char *const inside[] = {"www.example.org"}, *const outside[] = {"www.example.net"},
                             *const address[] = {"192.0.2.1"};
    struct world w;
    struct test_ca ca = {0};
    (void)state;
    world_new(&w, KEY_EC_P256, KEY_EC_P256);
    struct cert_intent intent = test_intent(PROFILE_CA_INTERMEDIATE, w.now);
    assert_ok(key_generate(&test_ctx, KEY_EC_P256, &ca.key));
    intent.issuer = &w.root.cert;
    intent.common_name = "Constrained";
    intent.spki = key_spki(ca.key);
    intent.path_length = 0;
    intent.not_before = w.now - 7200;
    intent.not_after = w.now + 1000 * 86400;
    intent.crl_url = "http://ca.example.org/root.crl";
    str_list_add(&test_ctx.arena, &intent.permitted_dns, "example.org");
    ca.der = test_issue(&intent, w.root.key, w.now);
    assert_ok(cert_parse(&test_ctx, ca.der, &ca.cert));
    const char *const *const rows[] = {inside, outside, address};
    for (size_t i = 0; i < 3; i++) {
        struct cert_intent leaf = test_leaf(&ca, w.key, rows[i], 1, w.now);
        struct bytes tbs, der;
        struct cert v[2] = {[1] = ca.cert};
        assert_ok(tbs_build(&test_ctx, &leaf, ca.key, &tbs));
        struct rc rc = lint_tbs(&test_ctx, tbs, PROFILE_TLS_SERVER, &ca.cert, w.now);
        assert_int_equal(rc.e, i == 0 ? E_OK : E_LINT);
        assert_ok(tbs_sign(&test_ctx, tbs, ca.key, &der));
        assert_ok(cert_parse(&test_ctx, der, &v[0]));
        assert_int_equal(verify(&w, (struct cert_chain){v, 2}, NULL, w.now).verdict, i == 0 ? CHAIN_TRUSTED : CHAIN_CONSTRAINED);
    }
    assert_why("constraints-kept");
    key_free(ca.key);
    world_free(&w);
}

static void serials_are_positive_and_never_meet(void **state)
{
    struct bytes last = {0}, serial;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        assert_ok(serial_new(&test_ctx, &serial));
        assert_int_equal(serial.n, 20);
        assert_true(serial.p[0] >= 0x40 && serial.p[0] < 0x80);
        assert_false(bytes_equal(serial, last));
        last = serial;
    }
}

/* --- lint: each row breaks one rule */

static void lint_finds(struct world *w, const struct cert_intent *intent, const struct key *signer, int64_t now, const char *id)
{
    struct bytes tbs;
    struct cert c;
    const struct lint_finding *f;
    assert_ok(tbs_build(&test_ctx, intent, signer, &tbs));
    assert_ok(cert_parse_tbs(&test_ctx, tbs, &c));
    ctx_forget(&test_ctx);
    assert_fails(lint_certificate(&test_ctx, &c, intent->profile, intent->issuer ? &w->issuing.cert : NULL, now, &f), E_LINT);
    if (!str_equal(f->id, id))
        fail_msg("found %s, not %s: %s", f->id, id, ctx_why(&test_ctx));
}

static void lint_refuses_what_breaks_a_rule(void **state)
{
    struct world w;
    struct cert_intent i;
    KEY_CLEANUP struct key *rsa = NULL;
    (void)state;
    world_new(&w, KEY_EC_P256, KEY_EC_P256);
    assert_ok(key_generate(&test_ctx, KEY_RSA_2048, &rsa));
#define BREAK(id, ...)                                            \
    do {                                                          \
        i = w.intent;                                             \
        __VA_ARGS__;                                              \
        lint_finds(&w, &i, w.issuing.key, w.now, id);             \
    } while (0)
    BREAK("serial", i.serial = from_hex("01"));
    BREAK("serial", i.serial = from_hex("ff00112233445566778899"));
    BREAK("serial", i.serial = from_hex("40112233445566778899001122334455667788990011"));
    BREAK("validity-order", i.not_after = i.not_before - 1);
    BREAK("validity-length", i.not_after = i.not_before + (int64_t)825 * 86400);
    BREAK("validity-now", i.not_before = w.now - 49 * 3600);
    BREAK("validity-now", i.not_before = w.now - 7000; i.not_after = w.now - 10);
    BREAK("issuer-name", i.issuer = &w.root.cert);
    BREAK("self-signed", i.profile = PROFILE_CA_ROOT; i.names.n = 0; i.common_name = "x"; i.not_after = w.now + 86400);
    BREAK("san-present", i.names.n = 0; i.common_name = "www.example.org");
    BREAK("san-critical", i.names.n = 0);
    BREAK("names", i.names.v = &(struct name){.kind = NAME_DNS, .text = "a_b.example.org"}; i.names.n = 1);
    BREAK("names", i.names.v = &(struct name){.kind = NAME_DNS, .text = "WWW.example.org"}; i.names.n = 1);
    BREAK("names", i.names.v = &(struct name){.kind = NAME_DNS, .text = "w*.example.org"}; i.names.n = 1);
    BREAK("names-once", struct name twice[] = {i.names.v[0], i.names.v[0]}; i.names.v = twice; i.names.n = 2);
    BREAK("common-name", i.common_name = "other.example.org");
    BREAK("crl-url", i.crl_url = NULL);
    BREAK("crl-url", i.crl_url = "ldap://ca.example.org");
    BREAK("issuer-url", i.issuer_url = NULL);
#undef BREAK
    i = w.intent;
    w.issuing.cert.not_after = i.not_after - 1;
    lint_finds(&w, &i, w.issuing.key, w.now, "validity-issuer");
    w.issuing.cert.not_after = i.not_after;
    lint_finds(&w, &i, rsa, w.now, "signature"); /* an RSA signature under an EC issuer */

    /* The right certificate under the wrong profile. */
    struct cert c = w.leaf;
    const struct lint_finding *f;
    assert_fails(lint_certificate(&test_ctx, &c, PROFILE_TLS_CLIENT, &w.issuing.cert, w.now, &f), E_LINT);
    assert_string_equal(f->id, "extended-key-usage");
    assert_fails(lint_certificate(&test_ctx, &c, PROFILE_CA_INTERMEDIATE, &w.issuing.cert, w.now, &f), E_LINT);
    assert_fails(lint_certificate(&test_ctx, &c, PROFILE_NONE, &w.issuing.cert, w.now, &f), E_LINT);
    c.is_ca = true;
    assert_fails(lint_certificate(&test_ctx, &c, PROFILE_TLS_SERVER, &w.issuing.cert, w.now, &f), E_LINT);
    assert_string_equal(f->id, "basic-constraints");
    c = w.leaf;
    c.spki.key_kind = KEY_OTHER;
    assert_fails(lint_certificate(&test_ctx, &c, PROFILE_TLS_SERVER, &w.issuing.cert, w.now, &f), E_LINT);
    assert_string_equal(f->id, "key-kind");
    c = w.leaf;
    c.aki = from_hex("00");
    assert_fails(lint_certificate(&test_ctx, &c, PROFILE_TLS_SERVER, &w.issuing.cert, w.now, &f), E_LINT);
    assert_string_equal(f->id, "authority-key-id");
    c = w.leaf;
    c.extensions |= EXT_OTHER;
    assert_fails(lint_certificate(&test_ctx, &c, PROFILE_TLS_SERVER, &w.issuing.cert, w.now, &f), E_LINT);
    assert_string_equal(f->id, "extensions-known");
    c = w.leaf; /* a leaf as issuer */
    assert_fails(lint_certificate(&test_ctx, &w.leaf, PROFILE_TLS_SERVER, &w.leaf, w.now, &f), E_LINT);
    world_free(&w);
}

/* --- requests */

static void requests_come_back_with_their_names(void **state)
{
    static const enum key_kind kinds[] = {KEY_EC_P256, KEY_EC_P384, KEY_RSA_2048};
    static const char *const texts[] = {"www.example.org", "*.example.org", "2001:db8::1"};
    struct name_list names;
    (void)state;
    assert_ok(name_list_parse(&test_ctx, texts, 3, &names));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        KEY_CLEANUP struct key *key = NULL;
        struct bytes der;
        struct csr csr;
        assert_ok(key_generate(&test_ctx, kinds[i], &key));
        assert_ok(csr_build(&test_ctx, key, &names, i ? "www.example.org" : NULL, &der));
        assert_ok(csr_parse(&test_ctx, der, &csr));
        assert_true(name_list_same(&csr.names, &names));
        assert_string_equal(csr.subject.text, i ? "CN=www.example.org" : "");
        assert_bytes(csr.spki.der, key_spki(key));
        assert_false(csr.asks_ca);
        const uint8_t *p = der.p;
        X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)der.n);
        assert_non_null(req);
        assert_int_equal(X509_REQ_verify(req, key_evp(key)), 1);
        STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(req);
        assert_int_equal(sk_X509_EXTENSION_num(extensions), 1);
        sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
        X509_REQ_free(req);
    }
}

static void openssl_requests_are_read(void **state)
{
    KEY_CLEANUP struct key *key = NULL;
    X509_REQ *req = X509_REQ_new();
    X509_NAME *subject = X509_NAME_new();
    STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
    uint8_t *der = NULL;
    struct csr csr;
    (void)state;
    assert_ok(key_generate(&test_ctx, KEY_EC_P256, &key));
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)"a.example.org", -1, -1, 0);
    X509_REQ_set_subject_name(req, subject);
    X509_REQ_set_pubkey(req, key_evp(key));
    sk_X509_EXTENSION_push(extensions, X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:b.example.org,IP:192.0.2.1"));
    sk_X509_EXTENSION_push(extensions, X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "CA:TRUE"));
    X509_REQ_add_extensions(req, extensions);
    assert_true(X509_REQ_sign(req, key_evp(key), EVP_sha256()) > 0);
    int n = i2d_X509_REQ(req, &der);
    assert_ok(csr_parse(&test_ctx, bytes_of(der, (size_t)n), &csr));
    assert_int_equal(csr.names.n, 3);
    assert_string_equal(csr.names.v[2].text, "a.example.org");
    assert_true(csr.asks_ca);
    /* Every cut and every changed byte is refused: the signature covers all of it. */
    for (int i = 0; i < n; i++) {
        uint8_t *copy = arena_dup(&test_ctx.arena, der, (size_t)n);
        copy[i] ^= 1;
        if (rc_ok(csr_parse(&test_ctx, bytes_of(copy, (size_t)n), &csr)))
            fail_msg("byte %d may be changed", i);
        assert_fails(csr_parse(&test_ctx, bytes_of(der, (size_t)i), &csr), E_BAD_CSR);
        ctx_forget(&test_ctx);
    }
    /* Who has verified it before need not do so again, and reads the same. */
    struct csr again;
    assert_ok(csr_parse(&test_ctx, bytes_of(der, (size_t)n), &csr));
    der[n - 1] ^= 1;
    assert_ok(csr_read(&test_ctx, bytes_of(der, (size_t)n), &again));
    assert_memory_equal(again.spki_sha256, csr.spki_sha256, sizeof csr.spki_sha256);
    assert_true(again.names.n == csr.names.n && again.asks_ca);
    assert_fails(csr_read(&test_ctx, bytes_of(der, (size_t)n - 1), &again), E_BAD_CSR);
    ctx_forget(&test_ctx);
    OPENSSL_free(der);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_NAME_free(subject);
    X509_REQ_free(req);
}

static void a_ca_request_asks_for_a_ca(void **state)
{
    KEY_CLEANUP struct key *key = NULL;
    struct bytes der;
    struct csr csr;
    (void)state;
    assert_ok(key_generate(&test_ctx, KEY_EC_P384, &key));
    assert_ok(csr_build_ca(&test_ctx, key, "Example", "Issuing CA", 0, &der));
    assert_ok(csr_parse(&test_ctx, der, &csr));
    assert_true(csr.asks_ca);
    assert_string_equal(csr.subject.text, "CN=Issuing CA,O=Example");
    assert_int_equal(csr.names.n, 0);
}

/* --- revocation */

static void crls_are_read_by_openssl_and_by_us(void **state)
{
    struct world w;
    struct crl crl;
    struct bytes der;
    (void)state;
    world_new(&w, KEY_EC_P256, KEY_EC_P256);
    struct crl_entry entries[300];
    for (size_t i = 0; i < 300; i++) {
        entries[i] = (struct crl_entry){.revoked_at = w.now - 60, .reason = i % 2 ? 1 : 0};
        assert_ok(serial_new(&test_ctx, &entries[i].serial));
    }
    entries[7].serial = w.leaf.serial;
    struct crl_intent intent = {.issuer = &w.issuing.cert, .number = 5, .this_update = w.now, .next_update = w.now + 86400,
                                .entries = entries, .n = 300};
    assert_ok(crl_build(&test_ctx, &intent, w.issuing.key, &der));
    assert_ok(crl_parse(&test_ctx, der, &crl));
    assert_int_equal(crl.n, 300);
    assert_bytes(crl.number, from_hex("05"));
    assert_int_equal(crl.next_update, w.now + 86400);
    assert_bytes(crl.aki, w.issuing.cert.ski);
    assert_true(crl_has(&crl, w.leaf.serial));
    assert_false(crl_has(&crl, w.issuing.cert.serial));
    assert_ok(crl_verify(&test_ctx, &crl, w.issuing.key));
    assert_fails(crl_verify(&test_ctx, &crl, w.root.key), E_INVALID);
    struct bytes rest = crl.rest;
    struct crl_entry e;
    assert_true(crl_next(&rest, &e) && crl_next(&rest, &e));
    assert_string_equal(crl_reason_name(e.reason), "keyCompromise");

    const uint8_t *p = der.p;
    X509_CRL *theirs = d2i_X509_CRL(NULL, &p, (long)der.n);
    assert_non_null(theirs);
    assert_int_equal(X509_CRL_verify(theirs, key_evp(w.issuing.key)), 1);
    p = w.der.p;
    X509 *leaf = d2i_X509(NULL, &p, (long)w.der.n);
    X509_REVOKED *found = NULL;
    assert_int_equal(X509_CRL_get0_by_cert(theirs, &found, leaf), 1);
    X509_CRL_free(theirs);
    X509_free(leaf);

    intent.n = 0; /* an empty list has no list */
    assert_ok(crl_build(&test_ctx, &intent, w.issuing.key, &der));
    assert_ok(crl_parse(&test_ctx, der, &crl));
    assert_int_equal(crl.n, 0);
    p = der.p;
    theirs = d2i_X509_CRL(NULL, &p, (long)der.n);
    assert_non_null(theirs);
    assert_int_equal(X509_CRL_verify(theirs, key_evp(w.issuing.key)), 1);
    X509_CRL_free(theirs);
    entries[0].reason = 7;
    intent.n = 1;
    assert_fails(crl_build(&test_ctx, &intent, w.issuing.key, &der), E_INVALID);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(issued_certificates_are_believed_by_openssl),
        PKI_TEST(a_changed_certificate_has_a_bad_signature),
        PKI_TEST(a_self_signed_certificate_is_named_so),
        PKI_TEST(the_system_knows_its_roots_but_not_ours),
        PKI_TEST(chains_are_put_in_order_and_strangers_refused),
        PKI_TEST(an_empty_subject_makes_the_names_critical_and_a_common_name_does_not),
        PKI_TEST(name_constraints_bind_lint_and_clients),
        PKI_TEST(serials_are_positive_and_never_meet),
        PKI_TEST(lint_refuses_what_breaks_a_rule),
        PKI_TEST(requests_come_back_with_their_names),
        PKI_TEST(openssl_requests_are_read),
        PKI_TEST(a_ca_request_asks_for_a_ca),
        PKI_TEST(crls_are_read_by_openssl_and_by_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
