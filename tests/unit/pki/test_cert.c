#include "pki_test.h"

#include <fcntl.h>
#include <unistd.h>

#include <openssl/asn1.h>
#include <openssl/x509v3.h>

#include "pki/der.h"
#include "pki/oid.h"

#define BUNDLE "/etc/ssl/certs/ca-certificates.crt"

static struct bytes read_bundle(void)
{
    size_t cap = 4 << 20, n = 0;
    uint8_t *p = arena_alloc(&test_ctx.arena, cap);
    int fd = open(BUNDLE, O_RDONLY);
    assert_true(fd >= 0);
    for (ssize_t got; (got = read(fd, p + n, cap - n)) > 0;)
        n += (size_t)got;
    close(fd);
    assert_true(n > 10000 && n < cap);
    return bytes_of(p, n);
}

static int64_t openssl_time(const ASN1_TIME *t)
{
    struct tm tm;
    assert_int_equal(ASN1_TIME_to_tm(t, &tm), 1);
    struct civil c = {tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec};
    int64_t out;
    assert_true(civil_to_unix(&c, &out));
    return out;
}

/* OpenSSL's opinion of a certificate that our reader has read. */
static void compare_with_openssl(const struct cert *c)
{
    const uint8_t *p = c->der.p;
    X509 *x = d2i_X509(NULL, &p, (long)c->der.n);
    uint8_t md[32], serial[64];
    unsigned n = 0;
    assert_non_null(x);
    assert_int_equal(X509_get_version(x) + 1, c->version);
    assert_int_equal(openssl_time(X509_get0_notBefore(x)), c->not_before);
    assert_int_equal(openssl_time(X509_get0_notAfter(x)), c->not_after);
    X509_digest(x, EVP_sha256(), md, &n);
    assert_memory_equal(md, c->fingerprint, 32);
    BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
    int serial_n = BN_bn2bin(bn, serial);
    BN_free(bn);
    struct bytes own = c->serial;
    if (own.n && own.p[0] == 0)
        bytes_skip(&own, 1);
    assert_bytes(own, bytes_of(serial, (size_t)serial_n));
    assert_int_equal(X509_check_ca(x) == 1, c->is_ca);
    uint32_t usage = X509_get_key_usage(x);
    if (usage != UINT32_MAX) {
        assert_int_equal((usage & X509v3_KU_KEY_CERT_SIGN) != 0, (c->key_usage & USAGE_CERT_SIGN) != 0);
        assert_int_equal((usage & X509v3_KU_CRL_SIGN) != 0, (c->key_usage & USAGE_CRL_SIGN) != 0);
    }
    const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(x), *aki = X509_get0_authority_key_id(x);
    assert_bytes(c->ski, ski ? bytes_of(ski->data, (size_t)ski->length) : (struct bytes){0});
    assert_bytes(c->aki, aki ? bytes_of(aki->data, (size_t)aki->length) : (struct bytes){0});
    assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(x)), c->spki.bits);
    long length = X509_get_pathlen(x);
    assert_int_equal(length, c->path_length);
    X509_free(x);
}

static void every_system_root_reads_as_openssl_reads_it(void **state)
{
    struct cert_chain roots;
    (void)state;
    assert_ok(cert_chain_parse_pem(&test_ctx, read_bundle(), 10000, &roots));
    assert_true(roots.n > 50);
    for (size_t i = 0; i < roots.n; i++) {
        compare_with_openssl(&roots.v[i]);
        assert_true(cert_is_self_issued(&roots.v[i]));
        assert_true(*roots.v[i].subject.text);
        KEY_CLEANUP struct key *key = NULL;
        if (roots.v[i].spki.key_kind != KEY_OTHER) {
            assert_ok(key_from_spki(&test_ctx, roots.v[i].spki.der, &key));
            struct rc rc = key_verify(&test_ctx, key, roots.v[i].signature_algorithm, roots.v[i].tbs, roots.v[i].signature);
            assert_true(rc_ok(rc) || rc.e == E_UNSUPPORTED); /* some old roots are signed with SHA-1 */
        }
    }
}

static void a_chain_comes_back_from_pem(void **state)
{
    struct cert_chain roots, again;
    struct buf b;
    (void)state;
    assert_ok(cert_chain_parse_pem(&test_ctx, read_bundle(), 10000, &roots));
    roots.n = 3;
    buf_init_arena(&b, &test_ctx.arena, 1 << 20);
    cert_chain_put_pem(&b, &roots);
    assert_ok(cert_chain_parse_pem(&test_ctx, buf_bytes(&b), 3, &again));
    assert_int_equal(again.n, 3);
    assert_bytes(again.v[2].der, roots.v[2].der);
    assert_fails(cert_chain_parse_pem(&test_ctx, buf_bytes(&b), 2, &again), E_TOO_LARGE);
    assert_fails(cert_chain_parse_pem(&test_ctx, BYTES_LIT("nothing"), 2, &again), E_PARSE);
}

static void truncated_and_extended_certificates_are_refused(void **state)
{
    struct cert_chain roots;
    struct cert c;
    (void)state;
    assert_ok(cert_chain_parse_pem(&test_ctx, read_bundle(), 10000, &roots));
    struct bytes der = roots.v[0].der;
    for (size_t n = 0; n < der.n; n++)
        if (rc_ok(cert_parse(&test_ctx, bytes_of(der.p, n), &c)))
            fail_msg("accepted with %zu of %zu bytes", n, der.n);
    uint8_t *longer = arena_alloc(&test_ctx.arena, der.n + 1);
    memcpy(longer, der.p, der.n);
    assert_fails(cert_parse(&test_ctx, bytes_of(longer, der.n + 1), &c), E_PARSE);
}

static void put_attribute(struct buf *b, struct bytes oid, uint8_t tag, struct bytes value)
{
    size_t set = der_begin(b, DER_SET), seq = der_begin(b, DER_SEQUENCE);
    der_put_oid(b, oid);
    der_put(b, tag, value);
    der_end(b, seq);
    der_end(b, set);
}

static void names_are_escaped_so_that_none_pretends_to_be_another(void **state)
{
    struct buf b;
    struct cert_dn dn;
    (void)state;
    buf_init_arena(&b, &test_ctx.arena, 4096);
    size_t outer = der_begin(&b, DER_SEQUENCE);
    put_attribute(&b, OID_ORGANIZATION, DER_PRINTABLE_STRING, BYTES_LIT("A, B+C <x>"));
    put_attribute(&b, OID_UNIT, DER_BMP_STRING, BYTES_LIT("\x00\xdc\x00o"));
    put_attribute(&b, OID_COUNTRY, DER_TELETEX_STRING, BYTES_LIT("\xdc"));
    put_attribute(&b, OID_CN, DER_UTF8_STRING, BYTES_LIT("good.org\0.evil.org"));
    der_end(&b, outer);
    assert_ok(dn_parse(&test_ctx, buf_bytes(&b), &dn));
    assert_string_equal(dn.text, "CN=good.org\\00.evil.org,C=Ü,OU=Üo,O=A\\, B\\+C \\<x\\>");
    assert_string_equal(dn.common_name, "good.org\\00.evil.org");
    assert_string_equal(dn.unit, "Üo");
    assert_false(name_dns_valid(bytes_z(dn.common_name), true));

    buf_reset(&b);
    outer = der_begin(&b, DER_SEQUENCE);
    put_attribute(&b, OID_CN, DER_UTF8_STRING, BYTES_LIT(" \xe2\x80\xae" "evil "));
    put_attribute(&b, BYTES_LIT("\x2a\x03"), DER_UTF8_STRING, BYTES_LIT("x"));
    der_end(&b, outer);
    assert_ok(dn_parse(&test_ctx, buf_bytes(&b), &dn));
    assert_string_equal(dn.text, "1.2.3=#0c0178,CN=\\ \\e2\\80\\aeevil\\ ");
}

static void names_of_a_certificate_cover_hosts(void **state)
{
    static const char *const names[] = {"www.example.org", "*.apps.example.org", "192.0.2.9", "2001:db8::9"};
    int64_t now = ctx_now_s(&test_ctx);
    struct test_ca ca = {0};
    struct cert leaf;
    struct name_list list;
    KEY_CLEANUP struct key *key = NULL;
    (void)state;
    test_ca_new(&ca, NULL, KEY_EC_P256, "Root", now);
    assert_ok(key_generate(&test_ctx, KEY_EC_P256, &key));
    struct cert_intent intent = test_leaf(&ca, key, names, 4, now);
    assert_ok(cert_parse(&test_ctx, test_issue(&intent, ca.key, now), &leaf));
    assert_true(cert_covers(&leaf, BYTES_LIT("WWW.example.org")));
    assert_true(cert_covers(&leaf, BYTES_LIT("x.apps.example.org")));
    assert_true(cert_covers(&leaf, BYTES_LIT("192.0.2.9")));
    assert_true(cert_covers(&leaf, BYTES_LIT("2001:DB8:0::9")));
    assert_false(cert_covers(&leaf, BYTES_LIT("192.0.2.8")));
    assert_false(cert_covers(&leaf, BYTES_LIT("example.org")));
    assert_ok(cert_names(&test_ctx, &leaf, &list));
    assert_true(name_list_same(&list, &intent.names));
    key_free(ca.key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(every_system_root_reads_as_openssl_reads_it),
        PKI_TEST(a_chain_comes_back_from_pem),
        PKI_TEST(truncated_and_extended_certificates_are_refused),
        PKI_TEST(names_are_escaped_so_that_none_pretends_to_be_another),
        PKI_TEST(names_of_a_certificate_cover_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
