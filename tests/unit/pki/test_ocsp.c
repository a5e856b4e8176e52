/* Answers about revocation: made here with OpenSSL as a responder makes them, read by pki/ocsp. */
#include "pki_test.h"

#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include "pki/ocsp.h"

static X509 *x509(const struct cert *c)
{
    const uint8_t *p = c->der.p;
    return d2i_X509(NULL, &p, (long)c->der.n);
}

static EVP_PKEY *private(const struct key *key)
{
    SECRET_CLEANUP struct secret der = {0};
    assert_ok(key_to_pkcs8(&test_ctx, key, &der));
    struct bytes b = secret_use(&der);
    const uint8_t *p = b.p;
    return d2i_AutoPrivateKey(NULL, &p, (long)b.n);
}

static struct bytes encode(OCSP_RESPONSE *response)
{
    uint8_t *p = NULL;
    int n = i2d_OCSP_RESPONSE(response, &p);
    assert_true(n > 0);
    struct bytes der = bytes_of(arena_dup(&test_ctx.arena, p, (size_t)n), (size_t)n);
    OPENSSL_free(p);
    OCSP_RESPONSE_free(response);
    return der;
}

/* What `signer` says about the leaf: from `from` until `until`, in seconds from now. */
static struct bytes answer(const struct test_issued *w, const struct test_ca *signer, int status, int reason, long from, long until)
{
    X509 *leaf = x509(&w->leaf), *issuer = x509(&w->ca.cert), *by = x509(&signer->cert);
    EVP_PKEY *key = private(signer->key);
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), leaf, issuer);
    ASN1_TIME *revoked = ASN1_TIME_set(NULL, (time_t)w->now - 1000);
    ASN1_TIME *this = ASN1_TIME_set(NULL, (time_t)(w->now + from)), *next = ASN1_TIME_set(NULL, (time_t)(w->now + until));
    assert_non_null(OCSP_basic_add1_status(basic, id, status, reason, revoked, this, next));
    assert_int_equal(OCSP_basic_sign(basic, by, key, EVP_sha256(), NULL, 0), 1);
    struct bytes der = encode(OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic));
    ASN1_TIME_free(revoked);
    ASN1_TIME_free(this);
    ASN1_TIME_free(next);
    OCSP_CERTID_free(id);
    OCSP_BASICRESP_free(basic);
    EVP_PKEY_free(key);
    X509_free(leaf);
    X509_free(issuer);
    X509_free(by);
    return der;
}

static struct rc look(const struct test_issued *w, struct bytes der, struct ocsp_answer *out)
{
    return ocsp_read(&test_ctx, der, &w->leaf, &w->ca.cert, w->now, out);
}

static void a_request_names_the_certificate(void **state)
{
    struct test_issued w;
    struct bytes der;
    (void)state;
    test_issued_new(&w);
    assert_ok(ocsp_request(&test_ctx, &w.leaf, &w.ca.cert, &der));
    const uint8_t *p = der.p;
    OCSP_REQUEST *request = d2i_OCSP_REQUEST(NULL, &p, (long)der.n);
    assert_non_null(request);
    assert_int_equal(OCSP_request_onereq_count(request), 1);
    ASN1_INTEGER *serial = NULL;
    OCSP_id_get0_info(NULL, NULL, NULL, &serial, OCSP_onereq_get0_id(OCSP_request_onereq_get0(request, 0)));
    assert_bytes(bytes_of(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial)), w.leaf.serial);
    OCSP_REQUEST_free(request);
    test_issued_free(&w);
}

static void answers_are_read(void **state)
{
    struct test_issued w;
    struct ocsp_answer a;
    (void)state;
    test_issued_new(&w);
    assert_ok(look(&w, answer(&w, &w.ca, V_OCSP_CERTSTATUS_GOOD, 0, -60, 3600), &a));
    assert_int_equal(a.status, OCSP_IS_GOOD);
    assert_int_equal(a.this_update, w.now - 60);
    assert_int_equal(a.next_update, w.now + 3600);
    assert_ok(look(&w, answer(&w, &w.ca, V_OCSP_CERTSTATUS_REVOKED, 1, -60, 3600), &a));
    assert_int_equal(a.status, OCSP_IS_REVOKED);
    assert_int_equal(a.reason, 1);
    assert_int_equal(a.revoked_at, w.now - 1000);
    assert_ok(look(&w, answer(&w, &w.ca, V_OCSP_CERTSTATUS_UNKNOWN, 0, -60, 3600), &a));
    assert_int_equal(a.status, OCSP_IS_UNKNOWN);
    test_issued_free(&w);
}

static void what_proves_nothing_is_refused(void **state)
{
    struct test_issued w;
    struct ocsp_answer a;
    (void)state;
    test_issued_new(&w);
    assert_fails(look(&w, answer(&w, &w.other, V_OCSP_CERTSTATUS_GOOD, 0, -60, 3600), &a), E_PEER_IDENTITY);
    assert_why("not signed by the certificate's issuer");
    assert_fails(look(&w, answer(&w, &w.ca, V_OCSP_CERTSTATUS_GOOD, 0, -7200, -3600), &a), E_BAD_ANSWER);
    assert_why("out of date");
    assert_fails(look(&w, answer(&w, &w.ca, V_OCSP_CERTSTATUS_GOOD, 0, 3600, 7200), &a), E_BAD_ANSWER);
    assert_why("from the future");
    struct bytes good = answer(&w, &w.ca, V_OCSP_CERTSTATUS_GOOD, 0, -60, 3600);
    struct cert leaf = w.leaf;
    w.leaf = w.other.cert; /* the answer is about another one */
    assert_fails(look(&w, good, &a), E_BAD_ANSWER);
    assert_why("another certificate");
    w.leaf = leaf;
    for (size_t n = 0; n < good.n; n += 7) /* cut anywhere */
        assert_true(rc_failed(look(&w, bytes_of(good.p, n), &a)));
    assert_fails(look(&w, bytes_of(good.p, OCSP_MAX + 1), &a), E_BAD_ANSWER);
    test_issued_free(&w);
}

static void a_responder_may_have_no_answer(void **state)
{
    struct test_issued w;
    struct ocsp_answer a;
    (void)state;
    test_issued_new(&w);
    assert_fails(look(&w, encode(OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, NULL)), &a), E_UNREACHABLE);
    assert_fails(look(&w, encode(OCSP_response_create(OCSP_RESPONSE_STATUS_UNAUTHORIZED, NULL)), &a), E_NOT_FOUND);
    test_issued_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(a_request_names_the_certificate),
        PKI_TEST(answers_are_read),
        PKI_TEST(what_proves_nothing_is_refused),
        PKI_TEST(a_responder_may_have_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
