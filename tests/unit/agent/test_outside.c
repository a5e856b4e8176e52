/* What strangers say of certificates: believed where the issuer signed it, for its time, and for what it is about. */
#include "pki/pki_test.h"

#include "agent/relay/outside.h"
#include "pki/crl.h"
#include "pki/pem.h"

static struct bytes list(const struct test_issued *w, const struct test_ca *named, const struct test_ca *signer, int64_t from,
                         int64_t until, bool revoked)
{
    const struct crl_entry entry = {.serial = w->leaf.serial, .revoked_at = w->now - 1000, .reason = 4};
    const struct crl_intent intent = {.issuer = &named->cert,
                                      .number = 1,
                                      .this_update = w->now + from,
                                      .next_update = w->now + until,
                                      .entries = &entry,
                                      .n = revoked};
    struct bytes der;
    assert_ok(crl_build(&test_ctx, &intent, signer->key, &der));
    return der;
}

static struct rc look(const struct test_issued *w, struct bytes der, struct wire_relay_revocation_done *out)
{
    return outside_crl(&test_ctx, der, BYTES_LIT("http://ca.example.org/issuing.crl"), &w->leaf, &w->ca.cert, w->now, out);
}

static void a_list_of_the_issuer_is_believed(void **state)
{
    struct test_issued w;
    struct wire_relay_revocation_done out;
    (void)state;
    test_issued_new(&w);
    assert_ok(look(&w, list(&w, &w.ca, &w.ca, -100, 1000, true), &out));
    assert_int_equal(out.status, WIRE_relay_revocation_done_status_revoked);
    assert_int_equal(out.revoked_at, w.now - 1000);
    assert_int_equal(out.reason, 4);
    assert_int_equal(out.next_update, w.now + 1000);
    assert_ok(look(&w, list(&w, &w.ca, &w.ca, -100, 1000, false), &out));
    assert_int_equal(out.status, WIRE_relay_revocation_done_status_good);
    assert_int_equal(out.revoked_at, 0);
    test_issued_free(&w);
}

static void anybody_elses_or_an_old_one_is_not(void **state)
{
    struct test_issued w;
    struct wire_relay_revocation_done out;
    (void)state;
    test_issued_new(&w);
    assert_fails(look(&w, list(&w, &w.ca, &w.other, -100, 1000, false), &out), E_PEER_IDENTITY);
    assert_fails(look(&w, list(&w, &w.other, &w.other, -100, 1000, false), &out), E_BAD_ANSWER);
    assert_fails(look(&w, list(&w, &w.ca, &w.ca, -1000, -10, false), &out), E_BAD_ANSWER);
    assert_fails(look(&w, list(&w, &w.ca, &w.ca, 1000, 2000, false), &out), E_BAD_ANSWER);
    assert_fails(look(&w, BYTES_LIT("<html>not found</html>"), &out), E_BAD_ANSWER);
    assert_fails(look(&w, (struct bytes){0}, &out), E_BAD_ANSWER);
    struct bytes good = list(&w, &w.ca, &w.ca, -100, 1000, true), changed = arena_bytes(&test_ctx.arena, good);
    size_t at = bytes_find(changed, w.leaf.serial);
    assert_true(at != SIZE_MAX);
    ((uint8_t *)(uintptr_t)changed.p)[at + 1] ^= 1; /* the entry is about another certificate now */
    assert_fails(look(&w, changed, &out), E_PEER_IDENTITY);
    test_issued_free(&w);
}

static void an_issuer_comes_in_any_wrapping(void **state)
{
    struct test_issued w;
    struct wire_blobs out;
    struct buf pem;
    (void)state;
    test_issued_new(&w);
    assert_ok(outside_issuers(&test_ctx, w.ca.der, &out));
    assert_int_equal(out.n, 1);
    assert_bytes(out.v[0], w.ca.der);
    buf_init_arena(&pem, &test_ctx.arena, 1 << 16);
    pem_put(&pem, "CERTIFICATE", w.ca.der);
    pem_put(&pem, "CERTIFICATE", w.other.der);
    assert_ok(outside_issuers(&test_ctx, buf_bytes(&pem), &out));
    assert_int_equal(out.n, 2);
    assert_fails(outside_issuers(&test_ctx, BYTES_LIT("<html>"), &out), E_BAD_ANSWER);
    assert_fails(outside_issuers(&test_ctx, (struct bytes){0}, &out), E_BAD_ANSWER);
    test_issued_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {PKI_TEST(a_list_of_the_issuer_is_believed), PKI_TEST(anybody_elses_or_an_old_one_is_not),
                                       PKI_TEST(an_issuer_comes_in_any_wrapping)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
