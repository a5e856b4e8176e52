/* Makes certificates of every kind that is met, and many that should not be: for the tests of the inventory's reader, its fuzzer's
 * seeds and its bench.  The signatures are noise, for nobody here checks them; the keys come from OpenSSL where it has the kind. */
#ifndef TESTS_CERT_CORPUS_H
#define TESTS_CERT_CORPUS_H

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include "base/ctx.h"
#include "pki/cert_read.h"
#include "pki/der.h"
#include "pki/oid.h"

struct corpus_item {
    struct bytes der;
    const char *what;
};
struct corpus {
    struct arena *a;
    struct corpus_item *v;
    size_t n, cap;
};

static inline void corpus_add(struct corpus *c, const char *what, struct bytes der)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 4096;
        struct corpus_item *v = arena_array(c->a, cap, sizeof *v);
        if (c->n)
            memcpy(v, c->v, c->n * sizeof *v);
        c->v = v;
        c->cap = cap;
    }
    c->v[c->n++] = (struct corpus_item){der, what};
}

/* --- DER, element by element */

static inline struct bytes el(struct arena *a, uint8_t tag, struct bytes content)
{
    struct buf b;
    buf_init_arena(&b, a, content.n + 16);
    der_put(&b, tag, content);
    return buf_bytes(&b);
}

#define CAT(a, ...)                                                                                                                \
    corpus_cat(a, (const struct bytes[]){__VA_ARGS__}, sizeof((const struct bytes[]){__VA_ARGS__}) / sizeof(struct bytes))
static inline struct bytes corpus_cat(struct arena *a, const struct bytes *v, size_t n)
{
    struct buf b;
    size_t all = 1;
    for (size_t i = 0; i < n; i++)
        all += v[i].n;
    buf_init_arena(&b, a, all);
    for (size_t i = 0; i < n; i++)
        buf_put(&b, v[i]);
    return buf_bytes(&b);
}
#define SEQ(a, ...) el(a, DER_SEQUENCE, CAT(a, __VA_ARGS__))

static inline struct bytes filled(struct arena *a, uint8_t c, size_t n)
{
    uint8_t *p = arena_alloc(a, n + 1);
    memset(p, c, n);
    return bytes_of(p, n);
}

static inline struct bytes noise(struct arena *a, size_t n, uint32_t seed)
{
    uint8_t *p = arena_alloc(a, n + 1);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        p[i] = (uint8_t)(seed >> 24);
    }
    return bytes_of(p, n);
}

static inline struct bytes bits_el(struct arena *a, struct bytes v)
{
    return el(a, DER_BIT_STRING, CAT(a, BYTES_LIT("\0"), v));
}

static inline struct bytes number_el(struct arena *a, int64_t v)
{
    struct buf b;
    buf_init_arena(&b, a, 16);
    der_put_int(&b, v);
    return buf_bytes(&b);
}

static inline struct bytes attribute_el(struct arena *a, struct bytes oid, uint8_t tag, struct bytes value)
{
    return SEQ(a, el(a, DER_OID, oid), el(a, tag, value));
}

static inline struct bytes rdn_el(struct arena *a, struct bytes oid, uint8_t tag, struct bytes value)
{
    return el(a, DER_SET, attribute_el(a, oid, tag, value));
}

static inline struct bytes ext_el(struct arena *a, struct bytes oid, bool critical, struct bytes value)
{
    return SEQ(a, el(a, DER_OID, oid), critical ? BYTES_LIT("\x01\x01\xff") : (struct bytes){0}, el(a, DER_OCTET_STRING, value));
}

static inline struct bytes validity_el(struct arena *a, uint8_t tag1, const char *begin, uint8_t tag2, const char *end)
{
    return SEQ(a, el(a, tag1, bytes_z(begin)), el(a, tag2, bytes_z(end)));
}

static inline struct bytes algorithm_el(struct arena *a, struct bytes oid, bool null)
{
    return SEQ(a, el(a, DER_OID, oid), null ? BYTES_LIT("\x05\x00") : (struct bytes){0});
}

static inline struct bytes san_el(struct arena *a, struct bytes names)
{
    return ext_el(a, OID_SAN, false, el(a, DER_SEQUENCE, names));
}

static inline struct bytes rsa_spki(struct arena *a, struct bytes oid, size_t bits, struct bytes exponent)
{
    struct bytes modulus = noise(a, (bits + 7) / 8, (uint32_t)bits);
    uint8_t *p = (uint8_t *)modulus.p, top = (uint8_t)(1u << (bits - 1) % 8);
    p[0] = (uint8_t)((p[0] & (top - 1)) | top);
    p[modulus.n - 1] |= 1;
    struct bytes key =
        SEQ(a, el(a, DER_INTEGER, CAT(a, top & 0x80 ? BYTES_LIT("\0") : (struct bytes){0}, modulus)), el(a, DER_INTEGER, exponent));
    return SEQ(a, algorithm_el(a, oid, true), bits_el(a, key));
}

static inline struct bytes raw_spki(struct arena *a, struct bytes oid, struct bytes parameters, struct bytes key)
{
    return SEQ(a, SEQ(a, el(a, DER_OID, oid), parameters), bits_el(a, key));
}

static inline struct bytes pkey_spki(struct arena *a, EVP_PKEY *pkey)
{
    uint8_t *der = NULL;
    int n = pkey ? i2d_PUBKEY(pkey, &der) : 0;
    struct bytes out = n > 0 ? arena_bytes(a, bytes_of(der, (size_t)n)) : (struct bytes){0};
    OPENSSL_free(der);
    return out;
}

/* --- a certificate from its parts: whole elements, left out where empty */

struct recipe {
    struct bytes version, serial, inner, issuer, validity, subject, spki, unique, extensions, more, outer, signature, behind;
};

static inline struct bytes recipe_der(struct arena *a, const struct recipe *r)
{
    struct bytes extensions = r->extensions.p ? el(a, DER_CONTEXT_CONS(3), el(a, DER_SEQUENCE, r->extensions)) : (struct bytes){0};
    struct bytes tbs =
        SEQ(a, r->version, r->serial, r->inner, r->issuer, r->validity, r->subject, r->spki, r->unique, extensions, r->more);
    return SEQ(a, tbs, r->outer, r->signature, r->behind);
}

static inline struct bytes sct_list(struct arena *a, int n)
{
    struct buf b;
    buf_init_arena(&b, a, 64 << 10);
    for (int i = 0; i < n; i++) {
        buf_put_u16(&b, 1 + 32 + 8 + 2 + 4 + 71);
        buf_put_u8(&b, 0);
        buf_put(&b, noise(a, 32, (uint32_t)i));
        buf_put_u64(&b, 1760000000000u + (uint64_t)i);
        buf_put_u16(&b, 0);
        buf_put_u8(&b, 4);
        buf_put_u8(&b, 3);
        buf_put_u16(&b, 71);
        buf_put(&b, noise(a, 71, (uint32_t)i + 9));
    }
    struct buf whole;
    buf_init_arena(&whole, a, b.n + 2);
    buf_put_u16(&whole, (uint16_t)b.n);
    buf_put(&whole, buf_bytes(&b));
    return el(a, DER_OCTET_STRING, buf_bytes(&whole));
}

static inline struct bytes uri_point(struct arena *a, struct bytes uri)
{
    return SEQ(a, el(a, DER_CONTEXT_CONS(0), el(a, DER_CONTEXT_CONS(0), el(a, DER_CONTEXT(6), uri))));
}

static inline struct bytes access_el(struct arena *a, struct bytes method, struct bytes uri)
{
    return SEQ(a, el(a, DER_OID, method), el(a, DER_CONTEXT(6), uri));
}

/* What a public CA issues for a web server today. */
static inline struct recipe recipe_leaf(struct arena *a)
{
    struct bytes usage = ext_el(a, OID_KEY_USAGE, true, BYTES_LIT("\x03\x02\x07\x80"));
    struct bytes eku = ext_el(a, OID_EKU, false, SEQ(a, el(a, DER_OID, OID_EKU_SERVER), el(a, DER_OID, OID_EKU_CLIENT)));
    struct bytes basic = ext_el(a, OID_BASIC_CONSTRAINTS, true, BYTES_LIT("\x30\x00"));
    struct bytes ski = ext_el(a, OID_SKI, false, el(a, DER_OCTET_STRING, noise(a, 20, 1)));
    struct bytes aki = ext_el(a, OID_AKI, false, SEQ(a, el(a, DER_CONTEXT(0), noise(a, 20, 2))));
    struct bytes aia = ext_el(a, OID_AIA, false,
                              SEQ(a, access_el(a, OID_AIA_OCSP, BYTES_LIT("http://o.ca.example")),
                                  access_el(a, OID_AIA_ISSUER, BYTES_LIT("http://i.ca.example/r3.der"))));
    struct bytes san =
        san_el(a, CAT(a, el(a, DER_CONTEXT(2), BYTES_LIT("www.example.org")), el(a, DER_CONTEXT(2), BYTES_LIT("example.org"))));
    struct bytes policies = ext_el(a, OID_POLICIES, false, SEQ(a, SEQ(a, el(a, DER_OID, BYTES_LIT("\x67\x81\x0c\x01\x02\x01")))));
    struct bytes crl = ext_el(a, OID_CRL_POINTS, false, SEQ(a, uri_point(a, BYTES_LIT("http://c.ca.example/17.crl"))));
    struct bytes scts = ext_el(a, OID_SCT_LIST, false, sct_list(a, 2));
    struct bytes rsa_sha256 = algorithm_el(a, OID_RSA_SHA256, true);
    return (struct recipe){
        .version = BYTES_LIT("\xa0\x03\x02\x01\x02"),
        .serial = el(a, DER_INTEGER, CAT(a, BYTES_LIT("\x04"), noise(a, 17, 3))),
        .inner = rsa_sha256,
        .issuer = SEQ(a, rdn_el(a, OID_COUNTRY, DER_PRINTABLE_STRING, BYTES_LIT("DE")),
                      rdn_el(a, OID_ORGANIZATION, DER_PRINTABLE_STRING, BYTES_LIT("Example Trust")),
                      rdn_el(a, OID_CN, DER_PRINTABLE_STRING, BYTES_LIT("R3"))),
        .validity = validity_el(a, DER_UTC_TIME, "261101000000Z", DER_UTC_TIME, "270130235959Z"),
        .subject = SEQ(a, rdn_el(a, OID_CN, DER_UTF8_STRING, BYTES_LIT("www.example.org"))),
        .spki = raw_spki(a, OID_EC, el(a, DER_OID, OID_P256), CAT(a, BYTES_LIT("\x04"), noise(a, 64, 4))),
        .extensions = CAT(a, usage, eku, basic, ski, aki, aia, san, policies, crl, scts),
        .outer = rsa_sha256,
        .signature = bits_el(a, noise(a, 256, 5)),
    };
}

static inline void corpus_put(struct corpus *c, const char *what, const struct recipe *r)
{
    corpus_add(c, what, recipe_der(c->a, r));
}

/* --- keys */

static inline void corpus_keys_rsa(struct corpus *c)
{
    static const size_t bits[] = {512, 768, 1000, 1023, 1024, 1025, 1536, 2046, 2048, 3072, 4096, 6144, 8192, 16384};
    static const struct bytes exponents[] = {BYTES_LIT("\x01\x00\x01"), BYTES_LIT("\x03"), BYTES_LIT("\x11"), BYTES_LIT("\x01"),
                                             BYTES_LIT("\x00\x80\x00\x00\x01")};
    static const struct bytes oids[] = {OID_RSA, OID_RSA_PSS};
    for (size_t o = 0; o < 2; o++)
        for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
            for (size_t e = 0; e < sizeof exponents / sizeof *exponents; e++) {
                struct recipe r = recipe_leaf(c->a);
                r.spki = o ? raw_spki(c->a, oids[o], (struct bytes){0}, (struct bytes){0}) : r.spki;
                r.spki = rsa_spki(c->a, oids[o], bits[i], exponents[e]);
                corpus_put(c, "RSA key", &r);
            }
}

static inline void corpus_keys_ec(struct corpus *c)
{
    EC_builtin_curve curves[128];
    size_t n = EC_get_builtin_curves(curves, sizeof curves / sizeof *curves);
    for (size_t i = 0; i < n && i < sizeof curves / sizeof *curves; i++) {
        struct recipe r = recipe_leaf(c->a);
        EVP_PKEY *pkey = EVP_EC_gen(OBJ_nid2sn(curves[i].nid));
        r.spki = pkey_spki(c->a, pkey);
        if (r.spki.n)
            corpus_put(c, OBJ_nid2sn(curves[i].nid), &r);
        if (r.spki.n && EVP_PKEY_set_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed") == 1) {
            r.spki = pkey_spki(c->a, pkey);
            corpus_put(c, "compressed point", &r);
        }
        if (r.spki.n && i % 8 == 0 && EVP_PKEY_set_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_ENCODING, "explicit") == 1) {
            r.spki = pkey_spki(c->a, pkey);
            if (r.spki.n)
                corpus_put(c, "explicit curve", &r);
        }
        EVP_PKEY_free(pkey);
    }
}

static inline void corpus_keys_other(struct corpus *c)
{
    struct arena *a = c->a;
    static const char *const named[] = {"ED25519", "ED448", "X25519", "X448"};
    struct recipe r = recipe_leaf(a);
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, named[i]);
        r.spki = pkey_spki(a, pkey);
        corpus_put(c, named[i], &r);
        EVP_PKEY_free(pkey);
    }
    struct bytes p = el(a, DER_INTEGER, CAT(a, BYTES_LIT("\x00\xff"), noise(a, 255, 7), BYTES_LIT("\x01")));
    struct bytes q = el(a, DER_INTEGER, CAT(a, BYTES_LIT("\x00\xff"), noise(a, 30, 8), BYTES_LIT("\x01")));
    struct bytes g = el(a, DER_INTEGER, CAT(a, BYTES_LIT("\x7f"), noise(a, 255, 9)));
    r.spki = raw_spki(a, BYTES_LIT("\x2a\x86\x48\xce\x38\x04\x01"), SEQ(a, p, q, g), g);
    corpus_put(c, "DSA", &r);
    r.spki = raw_spki(a, BYTES_LIT("\x2a\x86\x48\xce\x38\x04\x01"), (struct bytes){0}, g);
    corpus_put(c, "DSA with inherited parameters", &r);
    r.spki = raw_spki(a, BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x03\x01"), SEQ(a, p, g), g);
    corpus_put(c, "DH", &r);
    r.spki = raw_spki(a, BYTES_LIT("\x2a\x86\x48\xce\x3e\x02\x01"), SEQ(a, p, g, q), g);
    corpus_put(c, "DH of X9.42", &r);
    /* What OpenSSL 3.0 has not: it keeps the bits, and so do we. */
    for (uint8_t i = 0x11; i <= 0x1f; i++) {
        static const size_t lengths[] = {1312, 1952, 2592, 32, 32, 48, 48, 64, 64, 32, 32, 48, 48, 64, 64};
        struct bytes oid = CAT(a, BYTES_LIT("\x60\x86\x48\x01\x65\x03\x04\x03"), bytes_of(&i, 1));
        r.spki = raw_spki(a, oid, (struct bytes){0}, noise(a, lengths[i - 0x11], i));
        r.inner = r.outer = algorithm_el(a, oid, false);
        r.signature = bits_el(a, noise(a, i < 0x14 ? 3000 : 8000, i));
        corpus_put(c, i < 0x14 ? "ML-DSA" : "SLH-DSA", &r);
    }
    r = recipe_leaf(a);
    r.spki = raw_spki(a, BYTES_LIT("\x2a\x85\x03\x07\x01\x01\x01\x01"),
                      SEQ(a, el(a, DER_OID, BYTES_LIT("\x2a\x85\x03\x02\x02\x23\x01"))), el(a, DER_OCTET_STRING, noise(a, 64, 1)));
    corpus_put(c, "GOST", &r);
    r.spki = raw_spki(a, BYTES_LIT("\x2a\x03\x04"), (struct bytes){0}, noise(a, 10, 1));
    corpus_put(c, "key of a kind that nobody knows", &r);
    r.spki = raw_spki(a, OID_EC, el(a, DER_OID, BYTES_LIT("\x2a\x03\x04")), noise(a, 65, 1));
    corpus_put(c, "curve that nobody knows", &r);
    r.spki = raw_spki(a, OID_EC, (struct bytes){0}, noise(a, 65, 1));
    corpus_put(c, "EC without a curve", &r);
    r.spki = raw_spki(a, OID_EC, BYTES_LIT("\x05\x00"), noise(a, 65, 1));
    corpus_put(c, "EC with the issuer's curve", &r);
}

/* --- signature algorithms: all that OpenSSL knows, with and without parameters */

static inline void corpus_signatures(struct corpus *c)
{
    struct arena *a = c->a;
    for (int nid = 1; nid < 1400; nid++) {
        int hash, key;
        if (OBJ_find_sigid_algs(nid, &hash, &key) != 1)
            continue;
        const ASN1_OBJECT *o = OBJ_nid2obj(nid);
        struct bytes oid = bytes_of(OBJ_get0_data(o), OBJ_length(o));
        for (int null = 0; null < 2; null++) {
            struct recipe r = recipe_leaf(a);
            r.inner = r.outer = algorithm_el(a, oid, null);
            corpus_put(c, "signature algorithm", &r);
        }
    }
    static const struct bytes hashes[] = {BYTES_LIT("\x2b\x0e\x03\x02\x1a"), BYTES_LIT("\x60\x86\x48\x01\x65\x03\x04\x02\x01"),
                                          BYTES_LIT("\x60\x86\x48\x01\x65\x03\x04\x02\x02"),
                                          BYTES_LIT("\x60\x86\x48\x01\x65\x03\x04\x02\x03"),
                                          BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x02\x05")};
    for (size_t i = 0; i <= sizeof hashes / sizeof *hashes; i++) {
        struct recipe r = recipe_leaf(a);
        struct bytes parameters = (struct bytes){0};
        if (i < sizeof hashes / sizeof *hashes)
            parameters =
                CAT(a, el(a, DER_CONTEXT_CONS(0), algorithm_el(a, hashes[i], true)), el(a, DER_CONTEXT_CONS(2), number_el(a, 32)));
        r.inner = r.outer = SEQ(a, el(a, DER_OID, OID_RSA_PSS), el(a, DER_SEQUENCE, parameters));
        corpus_put(c, "RSASSA-PSS", &r);
    }
}

/* --- names */

static inline void corpus_names(struct corpus *c)
{
    struct arena *a = c->a;
    static const struct bytes oids[] = {OID_CN,
                                        OID_ORGANIZATION,
                                        OID_UNIT,
                                        OID_COUNTRY,
                                        OID_LOCALITY,
                                        OID_STATE,
                                        OID_STREET,
                                        OID_DC,
                                        OID_UID,
                                        OID_EMAIL,
                                        OID_SERIAL_NUMBER,
                                        BYTES_LIT("\x55\x04\x0f"),
                                        BYTES_LIT("\x2b\x06\x01\x04\x01\x82\x37\x3c\x02\x01\x03"),
                                        BYTES_LIT("\x2a\x03\x04")};
    static const uint8_t tags[] = {DER_UTF8_STRING,      DER_NUMERIC_STRING, DER_PRINTABLE_STRING,
                                   DER_TELETEX_STRING,   DER_IA5_STRING,     DER_VISIBLE_STRING,
                                   DER_UNIVERSAL_STRING, DER_BMP_STRING,     DER_BIT_STRING};
    static const struct bytes values[] = {BYTES_LIT("Exam"),
                                          BYTES_LIT(""),
                                          BYTES_LIT("a\0b."),
                                          BYTES_LIT("m\xc3\xbc"
                                                    "de"),
                                          BYTES_LIT("m\xfc"
                                                    "de\x80"),
                                          BYTES_LIT("\xe2\x80\xae"
                                                    "gro."),
                                          BYTES_LIT("a@b*c\\"),
                                          BYTES_LIT("D\x01\x02\x7f"),
                                          BYTES_LIT("DE")};
    for (size_t i = 0; i < sizeof oids / sizeof *oids; i++)
        for (size_t t = 0; t < sizeof tags; t++) {
            struct recipe r = recipe_leaf(a);
            struct bytes value = values[(i + t) % (sizeof values / sizeof *values)];
            r.subject = SEQ(a, rdn_el(a, oids[i], tags[t], value), rdn_el(a, OID_CN, DER_UTF8_STRING, BYTES_LIT("x")));
            corpus_put(c, "attribute", &r);
            r = recipe_leaf(a);
            r.issuer = SEQ(a, rdn_el(a, oids[i], tags[t], values[(i * 3 + t * 5) % (sizeof values / sizeof *values)]));
            corpus_put(c, "attribute of the issuer", &r);
        }
    static const size_t sizes[] = {63, 64, 65, 127, 128, 255, 256, 1000, 65535, 65536, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct recipe r = recipe_leaf(a);
        r.subject = SEQ(a, rdn_el(a, OID_CN, DER_UTF8_STRING, filled(a, 'n', sizes[i])));
        corpus_put(c, "long common name", &r);
    }
    static const size_t counts[] = {2, 63, 64, 65, 500, 2000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct recipe r = recipe_leaf(a);
        struct buf many;
        buf_init_arena(&many, a, 64 << 10);
        for (size_t k = 0; k < counts[i]; k++)
            buf_put(&many, attribute_el(a, OID_UNIT, DER_PRINTABLE_STRING, BYTES_LIT("unit")));
        r.subject = SEQ(a, el(a, DER_SET, buf_bytes(&many)));
        corpus_put(c, "many attributes in one RDN", &r);
        buf_init_arena(&many, a, 128 << 10);
        for (size_t k = 0; k < counts[i]; k++)
            buf_put(&many, rdn_el(a, OID_UNIT, DER_PRINTABLE_STRING, BYTES_LIT("unit")));
        r.subject = el(a, DER_SEQUENCE, buf_bytes(&many));
        corpus_put(c, "many RDNs", &r);
    }
    struct recipe r = recipe_leaf(a);
    r.subject = BYTES_LIT("\x30\x00");
    corpus_put(c, "empty subject", &r);
    r.issuer = BYTES_LIT("\x30\x00");
    corpus_put(c, "empty issuer", &r);
    r.subject = BYTES_LIT("\x30\x02\x31\x00");
    corpus_put(c, "empty RDN", &r);
    r = recipe_leaf(a);
    r.subject = r.issuer;
    corpus_put(c, "self-issued", &r);
    r.subject = SEQ(a,
                    el(a, DER_SET,
                       CAT(a, attribute_el(a, OID_CN, DER_UTF8_STRING, BYTES_LIT("a")),
                           attribute_el(a, OID_ORGANIZATION, DER_UTF8_STRING, BYTES_LIT("b")))),
                    rdn_el(a, OID_CN, DER_BMP_STRING, BYTES_LIT("\x00m\x00\xfc\xd8\x3d\xde\x00")));
    corpus_put(c, "multi-valued RDN, BMPString", &r);
}

/* --- validity */

static inline void corpus_times(struct corpus *c)
{
    static const char *const utc[] = {"500101000000Z",
                                      "491231235959Z",
                                      "700101000000Z",
                                      "691231235959Z",
                                      "000229120000Z",
                                      "240229000000Z",
                                      "230229000000Z",
                                      "261301000000Z",
                                      "260001000000Z",
                                      "260100000000Z",
                                      "260132000000Z",
                                      "260101240000Z",
                                      "260101006000Z",
                                      "260101000060Z",
                                      "260101000061Z",
                                      "2601010000Z",
                                      "260101000000+0100",
                                      "260101000000-1200",
                                      "2601010000+0100",
                                      "260101000000",
                                      "26010100000aZ",
                                      "",
                                      "Z",
                                      "260101000000.5Z",
                                      "260101000000z",
                                      "2601010000000Z",
                                      "-60101000000Z",
                                      "260101 00000Z"};
    static const char *const general[] = {"99991231235959Z",
                                          "20500101000000Z",
                                          "20491231235959Z",
                                          "20260101000000Z",
                                          "19500101000000Z",
                                          "19491231235959Z",
                                          "00000101000000Z",
                                          "00010101000000Z",
                                          "16010101000000Z",
                                          "20260101000000.5Z",
                                          "20260101000000.123456Z",
                                          "20260101000000+0200",
                                          "20260101000000.5-0200",
                                          "202601010000Z",
                                          "2026010100Z",
                                          "20260101000000",
                                          "20260101000000.Z",
                                          "20240229000000Z",
                                          "20250229000000Z",
                                          "21000229000000Z",
                                          "20000229000000Z",
                                          "20260101000060Z",
                                          "",
                                          "99991231235960Z",
                                          "202601010000000Z"};
    for (size_t i = 0; i < sizeof utc / sizeof *utc; i++) {
        struct recipe r = recipe_leaf(c->a);
        r.validity = validity_el(c->a, DER_UTC_TIME, utc[i], DER_GENERALIZED_TIME, "99991231235959Z");
        corpus_put(c, utc[i], &r);
        r.validity = validity_el(c->a, DER_UTC_TIME, "500101000000Z", DER_UTC_TIME, utc[i]);
        corpus_put(c, utc[i], &r);
        r.validity = validity_el(c->a, DER_GENERALIZED_TIME, utc[i], DER_UTC_TIME, utc[i]);
        corpus_put(c, utc[i], &r);
    }
    for (size_t i = 0; i < sizeof general / sizeof *general; i++) {
        struct recipe r = recipe_leaf(c->a);
        r.validity = validity_el(c->a, DER_GENERALIZED_TIME, general[i], DER_GENERALIZED_TIME, "99991231235959Z");
        corpus_put(c, general[i], &r);
        r.validity = validity_el(c->a, DER_UTC_TIME, "700101000000Z", DER_GENERALIZED_TIME, general[i]);
        corpus_put(c, general[i], &r);
        r.validity = validity_el(c->a, DER_UTC_TIME, general[i], DER_GENERALIZED_TIME, general[i]);
        corpus_put(c, general[i], &r);
    }
}

/* --- version and serial number */

static inline void corpus_first_fields(struct corpus *c)
{
    static const struct bytes serials[] = {
        BYTES_LIT("\x00"),
        BYTES_LIT("\x01"),
        BYTES_LIT("\x7f"),
        BYTES_LIT("\x00\x80"),
        BYTES_LIT("\x80"),
        BYTES_LIT("\xff"),
        BYTES_LIT("\xff\x7f"),
        BYTES_LIT("\x80\x00"),
        BYTES_LIT("\x00\x00\x01"),
        BYTES_LIT("\xff\xff\x01"),
        BYTES_LIT("\x00\x01"),
        BYTES_LIT("\xff\xff"),
        BYTES_LIT("\xfe\xff"),
        BYTES_LIT("\x80\x00\x00\x00"),
        BYTES_LIT("\xff\x00\x00\x00\x00"),
    };
    for (size_t i = 0; i < sizeof serials / sizeof *serials; i++) {
        struct recipe r = recipe_leaf(c->a);
        r.serial = el(c->a, DER_INTEGER, serials[i]);
        corpus_put(c, "serial number", &r);
    }
    for (size_t n = 18; n < 400; n += n < 24 ? 1 : 61) {
        struct recipe r = recipe_leaf(c->a);
        r.serial = el(c->a, DER_INTEGER, filled(c->a, 0x55, n));
        corpus_put(c, "long serial number", &r);
        r.serial = el(c->a, DER_INTEGER, filled(c->a, 0xaa, n));
        corpus_put(c, "long negative serial number", &r);
    }
    for (int version = -2; version < 6; version++)
        for (int rest = 0; rest < 4; rest++) {
            struct recipe r = recipe_leaf(c->a);
            r.version = version == -2 ? (struct bytes){0} : el(c->a, DER_CONTEXT_CONS(0), number_el(c->a, version));
            r.extensions = rest & 1 ? r.extensions : (struct bytes){0};
            r.unique = rest & 2 ? CAT(c->a, BYTES_LIT("\x81\x03\x00\x01\x02"), BYTES_LIT("\x82\x02\x00\x05")) : (struct bytes){0};
            corpus_put(c, "version", &r);
        }
}

/* --- extensions */

static inline void corpus_ext(struct corpus *c, const char *what, struct bytes oid, bool critical, struct bytes value)
{
    struct recipe r = recipe_leaf(c->a);
    r.extensions = ext_el(c->a, oid, critical, value);
    corpus_put(c, what, &r);
}

static inline void corpus_usages(struct corpus *c)
{
    struct arena *a = c->a;
    for (uint32_t flags = 0; flags < 512; flags++) {
        struct buf b;
        buf_init_arena(&b, a, 16);
        der_put_flags(&b, flags);
        corpus_ext(c, "key usage", OID_KEY_USAGE, flags & 1, buf_bytes(&b));
    }
    static const struct bytes odd[] = {BYTES_LIT("\x03\x01\x00"),
                                       BYTES_LIT("\x03\x02\x07\xff"),
                                       BYTES_LIT("\x03\x02\x00\x80"),
                                       BYTES_LIT("\x03\x03\x00\x01\x00"),
                                       BYTES_LIT("\x03\x02\x08\x80"),
                                       BYTES_LIT("\x03\x00"),
                                       BYTES_LIT("\x03\x01\x05"),
                                       BYTES_LIT("\x03\x06\x00\x01\x02\x03\x04\x05"),
                                       BYTES_LIT("\x04\x02\x07\x80"),
                                       BYTES_LIT("\x03\x02\x07\x80\x05\x00"),
                                       BYTES_LIT("")};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        corpus_ext(c, "odd key usage", OID_KEY_USAGE, true, odd[i]);
    static const struct bytes ekus[] = {
        OID_EKU_SERVER, OID_EKU_CLIENT, OID_EKU_CODE, OID_EKU_EMAIL,
        OID_EKU_TIME,   OID_EKU_OCSP,   OID_EKU_ANY,  BYTES_LIT("\x2b\x06\x01\x04\x01\x82\x37\x0a\x03\x03")};
    for (uint32_t flags = 0; flags < 256; flags++) {
        struct buf b;
        buf_init_arena(&b, a, 256);
        for (size_t i = 0; i < 8; i++)
            if (flags >> i & 1)
                der_put_oid(&b, ekus[i]);
        corpus_ext(c, "extended key usage", OID_EKU, flags & 1, el(a, DER_SEQUENCE, buf_bytes(&b)));
    }
}

static inline void corpus_constraints(struct corpus *c)
{
    static const struct bytes basic[] = {BYTES_LIT("\x30\x00"),
                                         BYTES_LIT("\x30\x03\x01\x01\xff"),
                                         BYTES_LIT("\x30\x03\x01\x01\x00"),
                                         BYTES_LIT("\x30\x03\x01\x01\x01"),
                                         BYTES_LIT("\x30\x06\x01\x01\xff\x02\x01\x00"),
                                         BYTES_LIT("\x30\x06\x01\x01\xff\x02\x01\x05"),
                                         BYTES_LIT("\x30\x06\x01\x01\xff\x02\x01\xff"),
                                         BYTES_LIT("\x30\x03\x02\x01\x03"),
                                         BYTES_LIT("\x30\x0a\x01\x01\xff\x02\x05\x00\xff\xff\xff\xff"),
                                         BYTES_LIT("\x30\x07\x01\x01\xff\x02\x02\x00\x01"),
                                         BYTES_LIT("\x30\x04\x01\x02\xff\xff"),
                                         BYTES_LIT("\x30\x02\x01\x00"),
                                         BYTES_LIT("\x30\x05\x01\x01\xff\x05\x00"),
                                         BYTES_LIT(""),
                                         BYTES_LIT("\x05\x00"),
                                         BYTES_LIT("\x30\x80\x01\x01\xff\x00\x00"),
                                         BYTES_LIT("\x30\x81\x03\x01\x01\xff"),
                                         BYTES_LIT("\x30\x03\x01\x01\xff\x05\x00")};
    for (size_t i = 0; i < sizeof basic / sizeof *basic; i++)
        for (int critical = 0; critical < 2; critical++)
            corpus_ext(c, "basic constraints", OID_BASIC_CONSTRAINTS, critical, basic[i]);
    static const struct bytes lists[] = {BYTES_LIT("\x30\x00"),
                                         BYTES_LIT("\x30\x02\x05\x00"),
                                         BYTES_LIT("\x05\x00"),
                                         BYTES_LIT("\x04\x02\x00\x00"),
                                         BYTES_LIT(""),
                                         BYTES_LIT("\x30\x03\x02\x01\x05"),
                                         BYTES_LIT("\x30\x06\x02\x01\x05\x02\x01\x11"),
                                         BYTES_LIT("\x30\x03\x02\x01\x07"),
                                         BYTES_LIT("\x30\x03\x02\x01\x11"),
                                         BYTES_LIT("\x30\x04\x30\x02\x05\x00"),
                                         BYTES_LIT("\x04\x04\x01\x02\x03\x04"),
                                         BYTES_LIT("\x30\x03\x80\x01\x05"),
                                         BYTES_LIT("\x30\x0a\xa0\x08\x30\x06\x82\x04.org"),
                                         BYTES_LIT("\x30\x02\x30\x00"),
                                         BYTES_LIT("\x30\x02\x06\x00"),
                                         BYTES_LIT("\x30\x05\x06\x03\x2a\x80\x01"),
                                         BYTES_LIT("\x30\x05\x30\x03\x06\x01\x2a"),
                                         BYTES_LIT("\x30\x03\x82\x01x"),
                                         BYTES_LIT("\x30\x07\x30\x05\xa0\x03\xa1\x01\x00"),
                                         BYTES_LIT("\x30\x06\x30\x04\xa0\x02\xa0\x00"),
                                         BYTES_LIT("\x30\x06\x80\x01\x01\x82\x01\x05")};
    static const struct bytes oids[] = {OID_SKI,
                                        OID_AKI,
                                        OID_SAN,
                                        OID_EKU,
                                        OID_POLICIES,
                                        OID_AIA,
                                        OID_CRL_POINTS,
                                        OID_NAME_CONSTRAINTS,
                                        OID_TLS_FEATURE,
                                        OID_SCT_LIST,
                                        BYTES_LIT("\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x03"),
                                        BYTES_LIT("\x55\x1d\x24"),
                                        BYTES_LIT("\x55\x1d\x36"),
                                        BYTES_LIT("\x2a\x03\x04\x05")};
    for (size_t o = 0; o < sizeof oids / sizeof *oids; o++)
        for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
            corpus_ext(c, "extension with odd content", oids[o], (o + i) % 2, lists[i]);
}

static inline void corpus_alternative_names(struct corpus *c)
{
    struct arena *a = c->a;
    struct bytes upn = CAT(a, el(a, DER_OID, BYTES_LIT("\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03")),
                           el(a, DER_CONTEXT_CONS(0), el(a, DER_UTF8_STRING, BYTES_LIT("user@example.org"))));
    struct bytes name = SEQ(a, rdn_el(a, OID_CN, DER_UTF8_STRING, BYTES_LIT("d")));
    const struct bytes names[] = {
        el(a, DER_CONTEXT(2), BYTES_LIT("www.example.org")),
        el(a, DER_CONTEXT(2), BYTES_LIT("*.Example.ORG.")),
        el(a, DER_CONTEXT(2), BYTES_LIT("xn--mnchen-3ya.example")),
        el(a, DER_CONTEXT(2), BYTES_LIT("m\xc3\xbcnchen.example")),
        el(a, DER_CONTEXT(2), BYTES_LIT("good.example\0.evil.example")),
        el(a, DER_CONTEXT(2), BYTES_LIT("")),
        el(a, DER_CONTEXT(2), BYTES_LIT(" ")),
        el(a, DER_CONTEXT(2), filled(a, 'x', 300)),
        el(a, DER_CONTEXT(2), BYTES_LIT("_a.b")),
        el(a, DER_CONTEXT(7), BYTES_LIT("\x7f\x00\x00\x01")),
        el(a, DER_CONTEXT(7), noise(a, 16, 1)),
        el(a, DER_CONTEXT(7), BYTES_LIT("\x01\x02\x03")),
        el(a, DER_CONTEXT(7), BYTES_LIT("")),
        el(a, DER_CONTEXT(1), BYTES_LIT("a@example.org")),
        el(a, DER_CONTEXT(6), BYTES_LIT("https://example.org/")),
        el(a, DER_CONTEXT(8), BYTES_LIT("\x2a\x03\x04")),
        el(a, DER_CONTEXT_CONS(4), name),
        el(a, DER_CONTEXT_CONS(0), upn),
        el(a, DER_CONTEXT(8), BYTES_LIT("")),
        el(a, DER_CONTEXT_CONS(3), BYTES_LIT("\x30\x00")),
        el(a, DER_CONTEXT_CONS(5), el(a, DER_CONTEXT_CONS(1), el(a, DER_UTF8_STRING, BYTES_LIT("p")))),
        el(a, DER_CONTEXT(9), BYTES_LIT("?")),
        el(a, DER_UTF8_STRING, BYTES_LIT("?")),
        el(a, DER_CONTEXT_CONS(2), el(a, DER_IA5_STRING, BYTES_LIT("?"))),
        el(a, DER_CONTEXT_CONS(4), BYTES_LIT("\x05\x00")),
        el(a, DER_CONTEXT_CONS(0), BYTES_LIT("\x05\x00")),
    };
    const size_t n = sizeof names / sizeof *names;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k += i % 3 + 1)
            corpus_ext(c, "alternative names", OID_SAN, k % 2, SEQ(a, names[i], names[k]));
    static const size_t counts[] = {3, 50, 100, 1000, 5000, 12000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct buf many;
        buf_init_arena(&many, a, 200 << 10);
        for (size_t k = 0; k < counts[i]; k++)
            der_put(&many, DER_CONTEXT(2), bytes_z(counts[i] > 5000 ? "a.example" : arena_printf(a, "host-%zu.example.org", k)));
        corpus_ext(c, "many alternative names", OID_SAN, false, el(a, DER_SEQUENCE, buf_bytes(&many)));
    }
}

static inline void corpus_extensions(struct corpus *c)
{
    struct arena *a = c->a;
    struct bytes http = BYTES_LIT("http://c.example/x"), ldap = BYTES_LIT("ldap://c.example/x");
    struct bytes full =
        el(a, DER_CONTEXT_CONS(0), el(a, DER_CONTEXT_CONS(0), CAT(a, el(a, DER_CONTEXT(6), ldap), el(a, DER_CONTEXT(6), http))));
    struct bytes relative =
        el(a, DER_CONTEXT_CONS(0), el(a, DER_CONTEXT_CONS(1), attribute_el(a, OID_CN, DER_UTF8_STRING, BYTES_LIT("r"))));
    struct bytes issuer =
        el(a, DER_CONTEXT_CONS(2), el(a, DER_CONTEXT_CONS(4), SEQ(a, rdn_el(a, OID_CN, DER_UTF8_STRING, BYTES_LIT("i")))));
    corpus_ext(c, "CRL point with two URIs", OID_CRL_POINTS, false, SEQ(a, SEQ(a, full)));
    corpus_ext(c, "CRL points of every kind", OID_CRL_POINTS, false,
               SEQ(a, SEQ(a, relative), SEQ(a, issuer), SEQ(a, full, BYTES_LIT("\x81\x02\x01\x06"), issuer), uri_point(a, http)));
    corpus_ext(c, "access by a name", OID_AIA, false,
               SEQ(a,
                   SEQ(a, el(a, DER_OID, OID_AIA_ISSUER),
                       el(a, DER_CONTEXT_CONS(4), SEQ(a, rdn_el(a, OID_CN, DER_UTF8_STRING, BYTES_LIT("i"))))),
                   access_el(a, OID_AIA_ISSUER, ldap), access_el(a, OID_AIA_ISSUER, http), access_el(a, OID_AIA_OCSP, http),
                   access_el(a, OID_AIA_OCSP, ldap), access_el(a, BYTES_LIT("\x2a\x03"), http)));
    corpus_ext(
        c, "authority by issuer and serial number", OID_AKI, false,
        SEQ(a, el(a, DER_CONTEXT(0), noise(a, 20, 1)),
            el(a, DER_CONTEXT_CONS(1), el(a, DER_CONTEXT_CONS(4), SEQ(a, rdn_el(a, OID_CN, DER_UTF8_STRING, BYTES_LIT("i"))))),
            el(a, DER_CONTEXT(2), BYTES_LIT("\x01\x02"))));
    corpus_ext(c, "policies with qualifiers", OID_POLICIES, false,
               SEQ(a,
                   SEQ(a, el(a, DER_OID, BYTES_LIT("\x55\x1d\x20\x00")),
                       SEQ(a, SEQ(a, el(a, DER_OID, BYTES_LIT("\x2b\x06\x01\x05\x05\x07\x02\x01")), el(a, DER_IA5_STRING, http)))),
                   SEQ(a, el(a, DER_OID, BYTES_LIT("\x67\x81\x0c\x01\x01")))));
    for (int n = 0; n < 6; n++)
        corpus_ext(c, "SCTs", OID_SCT_LIST, false, sct_list(a, n));
    for (size_t n = 60; n < 70; n++) {
        struct recipe r = recipe_leaf(a);
        struct buf many;
        buf_init_arena(&many, a, 16 << 10);
        for (size_t k = 0; k < n; k++)
            buf_put(&many, ext_el(a, CAT(a, BYTES_LIT("\x2a\x03\x04"), bytes_of(&(uint8_t){(uint8_t)(k + 1)}, 1)), k % 2,
                                  BYTES_LIT("\x05\x00")));
        r.extensions = buf_bytes(&many);
        corpus_put(c, "many extensions", &r);
    }
    struct recipe r = recipe_leaf(a);
    r.extensions = CAT(a, r.extensions, san_el(a, el(a, DER_CONTEXT(2), BYTES_LIT("second.example"))));
    corpus_put(c, "alternative names twice", &r);
    r.extensions = CAT(a, r.extensions, ext_el(a, BYTES_LIT("\x2a\x03"), true, BYTES_LIT("x")),
                       ext_el(a, BYTES_LIT("\x2a\x03"), false, BYTES_LIT("x")));
    corpus_put(c, "unknown extension twice", &r);
    r.extensions = (struct bytes){(const uint8_t *)"", 0};
    corpus_put(c, "no extension in the list", &r);
    r = recipe_leaf(a);
    r.behind = BYTES_LIT("\x05\x00");
    corpus_put(c, "something behind the signature", &r);
    r = recipe_leaf(a);
    r.more = BYTES_LIT("\x05\x00");
    corpus_put(c, "something behind the extensions", &r);
    r = recipe_leaf(a);
    r.outer = algorithm_el(a, OID_ECDSA_SHA256, false);
    corpus_put(c, "two algorithms", &r);
    r = recipe_leaf(a);
    r.signature = BYTES_LIT("\x03\x02\x04\xf0");
    corpus_put(c, "signature of four bits", &r);
}

/* --- each element of a certificate, changed in each way */

enum corpus_change {
    CHANGE_LONG,
    CHANGE_INDEFINITE,
    CHANGE_EMPTY,
    CHANGE_TAG,
    CHANGE_TWICE,
    CHANGE_DROP,
    CHANGE_TAIL,
    CHANGE_ZERO,
    CHANGES
};

struct corpus_rewrite {
    struct arena *a;
    int target, at;
    enum corpus_change change;
};

/* Writes the elements of `in` again, the one whose turn it is changed; what stands in strings is written again too where it is DER.
 */
static inline void corpus_rewrite(struct corpus_rewrite *w, struct bytes in, struct buf *out)
{
    while (in.n) {
        struct bytes value, probe = in;
        uint8_t tag;
        if (!der_take(&probe, &tag, &value)) {
            buf_put(out, in);
            return;
        }
        in = probe;
        const bool mine = w->at++ == w->target;
        const size_t lead = tag == DER_BIT_STRING && value.n ? 1 : 0;
        struct bytes inner = bytes_of(value.p + lead, value.n - lead);
        struct buf content;
        buf_init_arena(&content, w->a, value.n * 2 + 64);
        buf_put(&content, bytes_of(value.p, lead));
        if (tag & 0x20 || ((tag == DER_OCTET_STRING || lead) && der_well_formed(inner, 16)))
            corpus_rewrite(w, inner, &content);
        else
            buf_put(&content, inner);
        struct bytes v = buf_bytes(&content);
        if (!mine || w->change == CHANGE_TWICE || w->change == CHANGE_ZERO) {
            if (mine && w->change == CHANGE_ZERO)
                v = filled(w->a, 0, v.n);
            der_put(out, tag, v);
            if (mine && w->change == CHANGE_TWICE)
                der_put(out, tag, v);
        } else if (w->change == CHANGE_LONG) {
            buf_put_u8(out, tag);
            buf_put_u8(out, 0x84);
            buf_put_u32(out, (uint32_t)v.n);
            buf_put(out, v);
        } else if (w->change == CHANGE_INDEFINITE) {
            buf_put_u8(out, tag | 0x20);
            buf_put_u8(out, 0x80);
            if (!(tag & 0x20))
                der_put(out, tag, v);
            else
                buf_put(out, v);
            buf_put_u16(out, 0);
        } else if (w->change == CHANGE_EMPTY) {
            der_put(out, tag, (struct bytes){0});
        } else if (w->change == CHANGE_TAG) {
            der_put(out, tag ^ 0x01, v);
        } else if (w->change == CHANGE_TAIL) {
            buf_put(&content, BYTES_LIT("\x05\x00"));
            der_put(out, tag, buf_bytes(&content));
        } /* CHANGE_DROP: nothing */
    }
}

static inline void corpus_changes(struct corpus *c)
{
    static const char *const words[] = {"length not minimal", "length indefinite", "emptied", "tag changed", "twice",
                                        "left out",           "something behind",  "zeros"};
    struct recipe r = recipe_leaf(c->a);
    struct bytes base = recipe_der(c->a, &r);
    for (int target = 0, nodes = 1; target < nodes; target++)
        for (int change = 0; change < CHANGES; change++) {
            struct corpus_rewrite w = {.a = c->a, .target = target, .change = (enum corpus_change)change};
            struct buf out;
            buf_init_arena(&out, c->a, base.n * 2 + 1024);
            corpus_rewrite(&w, base, &out);
            if (change == 0 && w.at > nodes)
                nodes = w.at;
            corpus_add(c, words[change], buf_bytes(&out));
        }
    for (size_t n = 0; n < base.n; n += 41)
        corpus_add(c, "cut off", bytes_of(base.p, n));
    corpus_add(c, "with a tail", CAT(c->a, base, BYTES_LIT("x")));
}

/* corpus_make makes them all; memory is the arena's. */
static inline void corpus_make(struct corpus *c, struct arena *a)
{
    *c = (struct corpus){.a = a};
    struct recipe leaf = recipe_leaf(a);
    corpus_put(c, "a leaf", &leaf);
    corpus_keys_rsa(c);
    corpus_keys_ec(c);
    corpus_keys_other(c);
    corpus_signatures(c);
    corpus_names(c);
    corpus_times(c);
    corpus_first_fields(c);
    corpus_usages(c);
    corpus_constraints(c);
    corpus_alternative_names(c);
    corpus_extensions(c);
    corpus_changes(c);
}

#endif
