#include "pki_test.h"

#include "cert_agree.h"
#include "cert_corpus.h"
#include "pki/pem.h"

static const char *defect_words(uint64_t defects)
{
    struct buf b;
    buf_init_arena(&b, &test_ctx.arena, 4096);
    for (int i = 0; i < CERT_DEFECT_COUNT; i++)
        if (defects >> i & 1)
            buf_printf(&b, " %s", cert_defect_info((enum cert_defect)i)->word);
    return buf_z(&b);
}

static void fields_agree_with_openssl_on_every_kind_of_certificate(void **state)
{
    (void)state;
    struct corpus corpus;
    size_t both = 0, differ = 0, ours = 0;
    test_ctx.arena.max = (size_t)1 << 30;
    corpus_make(&corpus, &test_ctx.arena);
    for (size_t i = 0; i < corpus.n; i++) {
        struct bytes der = corpus.v[i].der;
        struct cert_fields c;
        const uint8_t *p = der.p;
        struct rc rc = cert_read(&test_ctx, der, &c);
        X509 *x = d2i_X509(NULL, &p, (long)der.n);
        ERR_clear_error();
        ours += rc_ok(rc);
        if (x && p == der.p + der.n && rc_failed(rc)) {
            print_error("%zu, %s: only OpenSSL reads it: %s\n", i, corpus.v[i].what, ctx_why(&test_ctx));
            differ++;
        } else if (x && p == der.p + der.n) {
            const char *differs = cert_disagrees(&c, x);
            both++;
            if (differs) {
                print_error("%zu, %s: they differ on %s; defects:%s\n", i, corpus.v[i].what, differs, defect_words(c.defects));
                differ++;
            }
        }
        X509_free(x);
    }
    print_message("%zu certificates, %zu read, %zu by both\n", corpus.n, ours, both);
    assert_int_equal(differ, 0);
    assert_true(both >= 1500);
}

static uint32_t pick(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(*seed >> 4) * below >> 28);
}

/* Changes up to three elements of a certificate, and then perhaps some bits. */
static struct bytes changed(struct arena *a, struct bytes der, uint32_t *seed)
{
    for (uint32_t i = 0, n = 1 + pick(seed, 3); i < n; i++) {
        struct corpus_rewrite w = {.a = a, .target = (int)pick(seed, 150), .change = (enum corpus_change)pick(seed, CHANGES)};
        struct buf out;
        buf_init_arena(&out, a, der.n * 2 + 1024);
        corpus_rewrite(&w, der, &out);
        if (out.failed == E_OK && out.n > 60)
            der = buf_bytes(&out);
    }
    uint8_t *p = arena_dup(a, der.p, der.n);
    for (uint32_t i = pick(seed, 4); i > 0; i--)
        p[pick(seed, (uint32_t)der.n)] ^= (uint8_t)(1u << pick(seed, 8));
    return bytes_of(p, der.n);
}

static void fields_agree_with_openssl_whatever_is_changed_in_a_certificate(void **state)
{
    (void)state;
    struct corpus corpus;
    uint32_t seed = getenv("CERTWRIGHT_SOAK") ? (uint32_t)clock_unix_s(&clock_system) : 1;
    const uint32_t first = seed, rounds = getenv("CERTWRIGHT_SOAK") ? 500000 : 2000;
    test_ctx.arena.max = (size_t)1 << 30;
    corpus_make(&corpus, &test_ctx.arena);
    for (uint32_t i = 0; i < rounds; i++) {
        struct bytes der = corpus.v[pick(&seed, (uint32_t)corpus.n)].der;
        struct ctx ctx CTX_CLEANUP = {0};
        struct cert_fields c;
        ctx_init(&ctx, &clock_system);
        if (der.n > 2500 || der.n < 100)
            continue;
        der = changed(&ctx.arena, der, &seed);
        const uint8_t *p = der.p;
        struct rc rc = cert_read(&ctx, der, &c);
        X509 *x = d2i_X509(NULL, &p, (long)der.n);
        const char *differs = NULL;
        if (x && p == der.p + der.n)
            differs = rc_failed(rc) ? "whether it can be read" : cert_disagrees(&c, x);
        X509_free(x);
        ERR_clear_error();
        if (differs)
            fail_msg("seed %u, round %u: they differ on %s: %s", first, i, differs, hex_str(&ctx.arena, der));
    }
}

static void fields_agree_with_openssl_on_the_roots_of_the_system(void **state)
{
    (void)state;
    FILE *f = fopen("/etc/ssl/certs/ca-certificates.crt", "r");
    char *text = arena_alloc(&test_ctx.arena, 4 << 20);
    if (!f)
        skip();
    struct bytes pem = bytes_of(text, fread(text, 1, 4 << 20, f));
    fclose(f);
    struct cert_hasher *hasher CERT_HASHER_CLEANUP = NULL;
    assert_ok(cert_hasher_new(&test_ctx, &hasher));
    struct pem_block block;
    bool found;
    size_t n = 0;
    for (;; n++) {
        assert_ok(pem_next(&test_ctx, &pem, &block, &found));
        if (!found)
            break;
        struct cert_fields c;
        struct cert strict;
        struct cert_digests d;
        uint8_t sha[EVP_MAX_MD_SIZE];
        const uint8_t *p = block.der.p;
        X509 *x = d2i_X509(NULL, &p, (long)block.der.n);
        assert_ok(cert_read(&test_ctx, block.der, &c));
        assert_null(cert_disagrees(&c, x));
        assert_ok(cert_digest(&test_ctx, hasher, &c, &d));
        assert_int_equal(X509_digest(x, EVP_sha1(), sha, NULL), 1);
        assert_memory_equal(sha, d.sha1, SHA1_LEN);
        if (rc_ok(cert_parse(&test_ctx, block.der, &strict))) {
            assert_memory_equal(d.sha256, strict.fingerprint, SHA256_LEN);
            assert_memory_equal(d.spki_sha256, strict.spki_sha256, SHA256_LEN);
            assert_string_equal(cert_read_serial(&test_ctx.arena, &c), cert_serial_text(&test_ctx.arena, &strict));
        }
        X509_free(x);
    }
    assert_true(n > 100);
}

static struct cert_fields read_recipe(const struct recipe *r)
{
    struct cert_fields c;
    assert_ok(cert_read(&test_ctx, recipe_der(&test_ctx.arena, r), &c));
    return c;
}

static void all_fields_of_a_leaf_are_read(void **state)
{
    (void)state;
    struct recipe r = recipe_leaf(&test_ctx.arena);
    struct cert_fields c = read_recipe(&r);
    struct bytes rest = c.san.der, point = {0}, uri;
    struct cert_general_name name;
    assert_string_equal(defect_words(c.defects), "");
    assert_int_equal(c.version, 3);
    assert_int_equal(c.serial.n, 18);
    assert_int_equal(c.signature_type, CERT_SIGNATURE_RSA_SHA256);
    assert_string_equal(cert_signature_word(c.signature_type), "sha256WithRSAEncryption");
    assert_string_equal(cert_hash_word(c.signature_hash), "SHA-256");
    assert_int_equal(c.signature.n, 256);
    assert_true(bytes_equal_z(c.issuer.organization.value, "Example Trust") && bytes_equal_z(c.issuer.country.value, "DE"));
    assert_true(bytes_equal_z(c.subject.common_name.value, "www.example.org") && c.subject.common_name.tag == DER_UTF8_STRING);
    assert_int_equal(c.subject.organization.tag, 0);
    assert_int_equal(c.not_before, 1793491200);
    assert_int_equal(c.not_after, 1801353599);
    assert_string_equal(cert_key_word(c.key.type), "ec");
    assert_string_equal(cert_curve_word(c.key.curve), "P-256");
    assert_int_equal(c.key.bits, 256);
    assert_int_equal(c.extension_n, 10);
    assert_int_equal(c.critical, EXT_KEY_USAGE | EXT_BASIC_CONSTRAINTS);
    assert_int_equal(c.key_usage, USAGE_DIGITAL_SIGNATURE);
    assert_int_equal(c.eku, EKU_SERVER | EKU_CLIENT);
    assert_false(c.is_ca || c.must_staple || c.self_issued);
    assert_int_equal(c.path_length, -1);
    assert_int_equal(c.ski.n, 20);
    assert_int_equal(c.aki.n, 20);
    assert_int_equal(c.policy_flags, POLICY_DOMAIN);
    assert_true(bytes_equal_z(c.ocsp_uri, "http://o.ca.example") && bytes_equal_z(c.issuer_uri, "http://i.ca.example/r3.der"));
    assert_true(bytes_equal_z(c.crl_uri, "http://c.ca.example/17.crl"));
    assert_int_equal(c.scts.n, 2);
    assert_int_equal(c.san_dns_n, 2);
    assert_true(cert_next_general_name(&rest, &name) && name.type == CERT_GENERAL_DNS &&
                bytes_equal_z(name.value, "www.example.org"));
    assert_true(cert_next_general_name(&rest, &name) && bytes_equal_z(name.value, "example.org"));
    assert_false(cert_next_general_name(&rest, &name));
    rest = c.crl_points.der;
    assert_true(cert_next_crl_uri(&rest, &point, &uri) && !cert_next_crl_uri(&rest, &point, &uri));
}

/* --- golden: one rule broken, and the defects that come of it */

#define L(s)         BYTES_LIT(s)
#define D(name)      CERT_DEFECT_BIT(name)
#define PART(member) offsetof(struct recipe, member)

static void a_broken_field_is_a_defect_and_the_rest_is_read(void **state)
{
    (void)state;
    static const struct {
        size_t part;
        struct bytes element;
        uint64_t defects;
    } rows[] = {
        {PART(version), L("\xa0\x03\x02\x01\x03"), D(VERSION) | D(VERSION_FIELDS)},
        {PART(version), L("\xa0\x03\x02\x01\x00"), D(DEFAULT) | D(VERSION_FIELDS)},
        {PART(version), L(""), D(VERSION_FIELDS)},
        {PART(version), L("\xa0\x03\x04\x01\x02"), D(VERSION) | D(VERSION_FIELDS)},
        {PART(version), L("\xa0\x04\x02\x02\x00\x02"), D(INTEGER)},
        {PART(version), L("\xa0\x05\x02\x01\x02\x05\x00"), D(TRAILING)},
        {PART(version), L("\xa0\x09\x02\x07\x01\x00\x00\x00\x00\x00\x00"), D(VERSION) | D(VERSION_FIELDS)},
        {PART(serial), L("\x02\x01\x00"), D(SERIAL_ZERO)},
        {PART(serial), L("\x02\x01\x80"), D(SERIAL_NEGATIVE)},
        {PART(serial), L("\x02\x02\x00\x01"), D(INTEGER)},
        {PART(serial),
         L("\x02\x15\x01"
           "12345678901234567890"),
         D(SERIAL_LONG)},
        {PART(serial), L("\x02\x81\x01\x05"), D(LENGTH)},
        {PART(inner), L("\x30\x03\x06\x01\x2a"), D(ALGORITHM_DIFFERS)},
        {PART(inner), L("\x05\x00"), D(ALGORITHM_DIFFERS)},
        {PART(outer), L("\x05\x00"), D(ALGORITHM) | D(ALGORITHM_DIFFERS)},
        {PART(outer), L("\x30\x00"), D(ALGORITHM) | D(ALGORITHM_DIFFERS)},
        {PART(outer), L("\x30\x04\x06\x02\x80\x01"), D(ALGORITHM_DIFFERS) | D(OID)},
        {PART(signature), L("\x03\x02\x04\xf0"), D(SIGNATURE)},
        {PART(signature), L("\x03\x02\x04\xff"), D(SIGNATURE) | D(BITS)},
        {PART(signature), L("\x04\x02\x00\xff"), D(SIGNATURE)},
        {PART(signature), L("\x03\x00"), D(SIGNATURE)},
        {PART(behind), L("\x05\x00"), D(TRAILING)},
        {PART(issuer), L("\x30\x00"), D(ISSUER_EMPTY)},
        {PART(issuer), L("\x05\x00"), D(ISSUER)},
        {PART(issuer), L("\x30\x02\x31\x00"), D(ISSUER)},
        {PART(subject), L("\x30\x00"), D(SUBJECT_EMPTY)},
        {PART(subject), L("\x30\x02\x30\x00"), D(SUBJECT)},
        {PART(subject),
         L("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02"
           "a\0"),
         D(NAME_NUL)},
        {PART(subject),
         L("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02"
           "a\xff"),
         D(NAME_TEXT)},
        {PART(subject),
         L("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x13\x02"
           "a*"),
         D(NAME_TEXT)},
        {PART(subject),
         L("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x16\x02"
           "a\x80"),
         D(NAME_TEXT) | D(NAME_KIND)},
        {PART(subject), L("\x30\x0e\x31\x0c\x30\x0a\x06\x03\x55\x04\x03\x1e\x03\0a\0"), D(NAME_TEXT)},
        {PART(subject), L("\x30\x0f\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x1e\x04\0a\0\0"), D(NAME_NUL)},
        {PART(subject),
         L("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x0c\x02"
           "DE"),
         D(NAME_KIND)},
        {PART(subject),
         L("\x30\x0e\x31\x0c\x30\x0a\x06\x03\x55\x04\x06\x13\x03"
           "DEU"),
         D(NAME_LONG)},
        {PART(subject),
         L("\x30\x0f\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x0c\x02"
           "ab\x05\x00"),
         D(TRAILING)},
        {PART(subject),
         L("\x30\x0f\x31\x0d\x30\x0b\x06\x05\x55\x04\x03\x80\x01\x0c\x02"
           "ab"),
         D(OID)},
        {PART(validity), L("\x30\x00"), D(NOT_BEFORE) | D(NOT_AFTER)},
        {PART(validity), L("\x05\x00"), D(NOT_BEFORE) | D(NOT_AFTER)},
        {PART(validity),
         L("\x30\x1e\x17\x0d"
           "261101000000Z\x17\x0d"
           "261301000000Z"),
         D(NOT_AFTER)},
        {PART(validity),
         L("\x30\x1e\x17\x0d"
           "26110100000aZ\x17\x0d"
           "261201000000Z"),
         D(NOT_BEFORE) | D(TIME_FORM)},
        {PART(validity),
         L("\x30\x1c\x17\x0b"
           "2611010000Z\x17\x0d"
           "261201000000Z"),
         D(TIME_FORM)},
        {PART(validity),
         L("\x30\x1e\x17\x0d"
           "261101000000Z\x17\x0d"
           "261001000000Z"),
         D(VALIDITY_ORDER)},
        {PART(validity),
         L("\x30\x20\x17\x0d"
           "261101000000Z\x18\x0f"
           "20261201000000Z"),
         D(TIME_KIND)},
        {PART(validity),
         L("\x30\x20\x17\x0d"
           "261101000000Z\x18\x0f"
           "99991231235959Z"),
         0},
        {PART(validity),
         L("\x30\x20\x17\x0d"
           "261101000000Z\x17\x0d"
           "261201000000Z\x05\x00"),
         D(TRAILING)},
        {PART(spki), L("\x30\x00"), D(KEY)},
        {PART(spki), L("\x05\x00"), D(KEY)},
        {PART(spki), L("\x30\x09\x30\x03\x06\x01\x2a\x03\x02\x00\x01"), 0},
        {PART(spki), L("\x30\x09\x30\x03\x06\x01\x2a\x03\x02\x04\x10"), D(KEY)},
        {PART(spki), L("\x30\x0c\x30\x05\x06\x03\x2b\x65\x70\x03\x03\x00\x01\x02"), D(KEY)},
        {PART(unique), L("\x81\x02\x00\x01"), D(UNIQUE_ID)},
        {PART(more), L("\x05\x00"), D(TRAILING)},
        {PART(more), L("\xa3\x02\x30\x00"), D(TRAILING)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct recipe r = recipe_leaf(&test_ctx.arena);
        *(struct bytes *)((char *)&r + rows[i].part) = rows[i].element;
        struct cert_fields c = read_recipe(&r);
        if (c.defects != rows[i].defects)
            print_error("row %zu\n", i);
        assert_string_equal(defect_words(c.defects), defect_words(rows[i].defects));
        assert_int_equal(c.san.n, 2); /* whatever stands before it */
        assert_int_equal(c.scts.n, 2);
    }
}

static void a_broken_extension_is_a_defect_and_keeps_what_stands_before_the_break(void **state)
{
    (void)state;
    static const struct {
        struct bytes oid;
        bool critical;
        struct bytes value;
        uint64_t defects;
        size_t list; /* which list holds `n` elements; 0: none is looked at */
        uint32_t n;
    } rows[] = {
        {OID_SAN, false,
         L("\x30\x03\x82\x01"
           "a"),
         0, offsetof(struct cert_fields, san), 1},
        {OID_SAN, false, L("\x30\x00"), D(SAN_EMPTY), offsetof(struct cert_fields, san), 0},
        {OID_SAN, false,
         L("\x30\x06\x82\x01"
           "a\x89\x01"
           "b"),
         D(SAN), offsetof(struct cert_fields, san), 1},
        {OID_SAN, false,
         L("\x30\x06\x82\x01"
           "a\x82\x02"
           "b"),
         D(SAN), offsetof(struct cert_fields, san), 1},
        {OID_SAN, false,
         L("\x30\x05\x82\x03"
           "a\0b"),
         D(SAN_TEXT), offsetof(struct cert_fields, san), 1},
        {OID_SAN, false, L("\x30\x02\x82\x00"), D(SAN_TEXT), offsetof(struct cert_fields, san), 1},
        {OID_SAN, false, L("\x30\x03\x82\x01 "), D(SAN_TEXT), offsetof(struct cert_fields, san), 1},
        {OID_SAN, false, L("\x30\x05\x87\x03\x01\x02\x03"), D(SAN_ADDRESS), offsetof(struct cert_fields, san), 1},
        {OID_SAN, false,
         L("\x31\x03\x82\x01"
           "a"),
         D(SAN), offsetof(struct cert_fields, san), 0},
        {OID_SAN, false,
         L("\x30\x03\x82\x01"
           "a\x05\x00"),
         D(TRAILING), offsetof(struct cert_fields, san), 1},
        {OID_SAN, false,
         L("\x30\x80\x82\x01"
           "a\x00\x00"),
         D(INDEFINITE), offsetof(struct cert_fields, san), 1},
        {OID_SAN, false,
         L("\x30\x80\x82\x01"
           "a"),
         D(SAN), offsetof(struct cert_fields, san), 0},
        {OID_SAN, false,
         L("\x30\x81\x03\x82\x01"
           "a"),
         D(LENGTH), offsetof(struct cert_fields, san), 1},
        {OID_SAN, false, L("\x30\x04\xa2\x02\x16\x00"), D(SAN), offsetof(struct cert_fields, san), 0},
        {OID_SKI, true,
         L("\x04\x01"
           "a"),
         D(CRITICAL), 0, 0},
        {OID_SKI, false, L("\x30\x00"), D(SKI), 0, 0},
        {OID_AKI, false,
         L("\x30\x03\x83\x01"
           "a"),
         D(AKI), 0, 0},
        {OID_KEY_USAGE, true, L("\x03\x01\x00"), D(KEY_USAGE_EMPTY), 0, 0},
        {OID_KEY_USAGE, true, L("\x03\x02\x07\xff"), D(BITS), 0, 0},
        {OID_KEY_USAGE, true, L("\x03\x02\x08\x80"), D(KEY_USAGE), 0, 0},
        {OID_EKU, false, L("\x30\x06\x06\x01\x2a\x05\x01\x00"), D(EKU), offsetof(struct cert_fields, eku_oids), 1},
        {OID_EKU, false, L("\x30\x00"), D(EKU), offsetof(struct cert_fields, eku_oids), 0},
        {OID_EKU, false, L("\x30\x04\x06\x02\x80\x01"), D(OID), offsetof(struct cert_fields, eku_oids), 1},
        {OID_BASIC_CONSTRAINTS, true, L("\x30\x03\x01\x01\x01"), D(BOOLEAN), 0, 0},
        {OID_BASIC_CONSTRAINTS, true, L("\x30\x03\x01\x01\x00"), D(DEFAULT), 0, 0},
        {OID_BASIC_CONSTRAINTS, true, L("\x30\x04\x01\x02\xff\xff"), D(BASIC_CONSTRAINTS), 0, 0},
        {OID_BASIC_CONSTRAINTS, true, L("\x30\x03\x02\x01\x01"), D(PATH_LENGTH), 0, 0},
        {OID_BASIC_CONSTRAINTS, true, L("\x30\x06\x01\x01\xff\x02\x01\xff"), D(BASIC_CONSTRAINTS), 0, 0},
        {OID_NAME_CONSTRAINTS, true, L("\x30\x00"), D(NAME_CONSTRAINTS), 0, 0},
        {OID_NAME_CONSTRAINTS, false, L("\x30\x02\xa0\x00"), D(CRITICAL), 0, 0},
        {OID_POLICIES, false, L("\x30\x07\x30\x03\x06\x01\x2a\x30\x00"), D(POLICIES), offsetof(struct cert_fields, policies), 1},
        {OID_AIA, false,
         L("\x30\x0a\x30\x06\x06\x01\x2a\x86\x01"
           "u\x30\x00"),
         D(ACCESS), offsetof(struct cert_fields, access), 1},
        {OID_CRL_POINTS, false, L("\x30\x04\x30\x00\x05\x00"), D(CRL_POINTS), offsetof(struct cert_fields, crl_points), 1},
        {OID_SCT_LIST, false, L("\x04\x03\x00\x05\x00"), D(SCTS), offsetof(struct cert_fields, scts), 0},
        {OID_SCT_LIST, false, L("\x04\x05\x00\x03\x00\x01\x09"), 0, offsetof(struct cert_fields, scts), 1},
        {OID_TLS_FEATURE, false, L("\x30\x02\x05\x00"), D(TLS_FEATURE), 0, 0},
        {L("\x2a\x80\x01"), false, L(""), D(OID), 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena *a = &test_ctx.arena;
        struct recipe r = recipe_leaf(a);
        r.extensions = CAT(a, ext_el(a, rows[i].oid, rows[i].critical, rows[i].value), ext_el(a, L("\x2a\x03"), true, L("x")));
        struct cert_fields c = read_recipe(&r);
        if (c.defects != rows[i].defects)
            print_error("row %zu\n", i);
        assert_string_equal(defect_words(c.defects), defect_words(rows[i].defects));
        if (rows[i].list)
            assert_int_equal(((const struct cert_list *)((const char *)&c + rows[i].list))->n, rows[i].n);
        assert_int_equal(c.unknown_critical_n, 1); /* the one behind it */
        assert_true(bytes_equal(c.unknown_critical, L("\x2a\x03")));
    }
}

static void what_has_no_outer_shape_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        struct bytes der;
        const char *why;
    } rows[] = {
        {L(""), "not one DER SEQUENCE"},
        {L("\x30"), "not one DER SEQUENCE"},
        {L("hello"), "not one DER SEQUENCE"},
        {L("\x30\x05\x30\x00"), "cut off"},
        {L("\x30\x80\x30\x00"), "cut off"},
        {L("\x30\x85\x01\x00\x00\x00\x00"), "cut off"},
        {L("\x30\x89\x01\x00\x00\x00\x00\x00\x00\x00\x00"), "cut off"},
        {L("\x30\x88\xff\xff\xff\xff\xff\xff\xff\xff"), "cut off"},
        {L("\x30\x00"), "part that was signed"},
        {L("\x30\x02\x05\x00"), "part that was signed"},
        {L("\x30\x02\x30\x00"), "no signature algorithm"},
        {L("\x30\x04\x30\x00\x30\x00"), "has no signature"},
        {L("\x30\x07\x30\x00\x30\x00\x03\x01\x00"), "serial number cannot be read"},
        {L("\x30\x09\x30\x02\x02\x00\x30\x00\x03\x01\x00"), "serial number cannot be read"},
        {L("\x30\x0a\x30\x03\x02\x01\x05\x30\x00\x03\x01\x00 "), "followed by 1 bytes"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cert_fields c;
        assert_true(rc_failed(cert_read(&test_ctx, rows[i].der, &c)));
        assert_non_null(strstr(ctx_why(&test_ctx), rows[i].why));
        ctx_free(&test_ctx);
        ctx_init(&test_ctx, &clock_system);
    }
    struct cert_fields c;
    assert_ok(cert_read(&test_ctx, L("\x30\x0a\x30\x03\x02\x01\x05\x30\x00\x03\x01\x00"), &c)); /* the least there is */
    assert_int_equal(c.defects & (D(ISSUER) | D(NOT_AFTER) | D(SUBJECT) | D(KEY)), D(ISSUER) | D(NOT_AFTER) | D(SUBJECT) | D(KEY));
    assert_int_equal(cert_read(&test_ctx, filled(&test_ctx.arena, 0x30, CERT_READ_MAX + 1), &c).e, E_TOO_LARGE);
}

static void lists_end_at_their_ceilings(void **state)
{
    (void)state;
    struct arena *a = &test_ctx.arena;
    struct recipe r = recipe_leaf(a);
    struct buf many;
    buf_init_arena(&many, a, 200 << 10);
    for (size_t i = 0; i <= CERT_READ_LIST_MAX; i++)
        buf_put(&many, L("\x82\x01"
                         "a"));
    r.extensions = san_el(a, buf_bytes(&many));
    struct cert_fields c = read_recipe(&r);
    assert_string_equal(defect_words(c.defects), " extensions_many");
    assert_int_equal(c.san.n, CERT_READ_LIST_MAX);
    buf_init_arena(&many, a, 200 << 10);
    for (size_t i = 0; i <= CERT_READ_EXTENSIONS_MAX; i++)
        buf_put(&many, ext_el(a, noise(a, 4, (uint32_t)i), false, L("x")));
    r.extensions = buf_bytes(&many);
    c = read_recipe(&r);
    assert_true(c.defects & D(EXTENSIONS_MANY));
    assert_int_equal(c.extension_n, CERT_READ_EXTENSIONS_MAX);
    struct bytes deep = L("");
    r = recipe_leaf(a);
    for (int depth = 1; depth <= 33; depth++) { /* elements without a length, in one another */
        deep = CAT(a, L("\x30\x80"), deep, L("\x00\x00"));
        r.subject = SEQ(a, el(a, DER_SET, SEQ(a, L("\x06\x01\x2a"), deep)));
        c = read_recipe(&r);
        assert_int_equal(c.defects, depth <= 32 ? D(INDEFINITE) : D(SUBJECT));
    }
}

static void what_is_seen_in_whole_is_a_defect_too(void **state)
{
    (void)state;
    struct arena *a = &test_ctx.arena;
    struct recipe r = recipe_leaf(a);
    struct bytes san = san_el(a, L("\x82\x01"
                                   "a"));
    r.extensions = CAT(a, san, san);
    struct cert_fields c = read_recipe(&r);
    assert_string_equal(defect_words(c.defects), " extension_twice");
    assert_int_equal(c.san.n, 1);
    r.extensions = CAT(a, ext_el(a, L("\x2a\x03"), true, L("x")), ext_el(a, L("\x2a\x03"), true, L("y")));
    c = read_recipe(&r);
    assert_string_equal(defect_words(c.defects), " extension_twice");
    r.extensions = ext_el(a, OID_SAN, true,
                          L("\x30\x03\x82\x01"
                            "a"));
    r.subject = L("\x30\x00");
    c = read_recipe(&r);
    assert_string_equal(defect_words(c.defects), "");
    r.extensions = CAT(a, ext_el(a, OID_BASIC_CONSTRAINTS, false, L("\x30\x03\x01\x01\xff")),
                       ext_el(a, OID_KEY_USAGE, true, L("\x03\x02\x02\x04")));
    r.subject = r.issuer;
    c = read_recipe(&r);
    assert_string_equal(defect_words(c.defects), " critical");
    assert_true(c.is_ca && c.self_issued && c.key_usage == USAGE_CERT_SIGN);
    r.extensions = CAT(a, ext_el(a, OID_TLS_FEATURE, false, L("\x30\x03\x02\x01\x05")),
                       ext_el(a, L("\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x03"), true, L("\x05\x00")));
    c = read_recipe(&r);
    assert_true(c.must_staple && c.extensions == (EXT_TLS_FEATURE | EXT_POISON) && !c.unknown_critical_n);
    r.extensions = (struct bytes){(const uint8_t *)"", 0};
    c = read_recipe(&r);
    assert_string_equal(defect_words(c.defects), " extensions_empty");
}

static void dates_are_exact_before_1970_and_to_the_end_of_time(void **state)
{
    (void)state;
    static const struct {
        uint8_t tag;
        const char *text;
        int64_t unix_s;
    } rows[] = {
        {DER_UTC_TIME, "500101000000Z", -631152000},
        {DER_UTC_TIME, "691231235959Z", -1},
        {DER_UTC_TIME, "491231235959Z", 2524607999},
        {DER_UTC_TIME, "2601010000Z", 1767225600},
        {DER_UTC_TIME, "260101010000+0100", 1767225600},
        {DER_GENERALIZED_TIME, "20500101000000Z", 2524608000},
        {DER_GENERALIZED_TIME, "19491231235959Z", -631152001},
        {DER_GENERALIZED_TIME, "00000101000000Z", -62167219200},
        {DER_GENERALIZED_TIME, "20260101000000.75Z", 1767225600},
        {DER_GENERALIZED_TIME, "20251231190000-0500", 1767225600},
        {DER_GENERALIZED_TIME, "99991231235959Z", CERT_NO_EXPIRY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct recipe r = recipe_leaf(&test_ctx.arena);
        r.validity = validity_el(&test_ctx.arena, rows[i].tag, rows[i].text, DER_GENERALIZED_TIME, "99991231235959Z");
        struct cert_fields c = read_recipe(&r);
        assert_int_equal(c.not_before, rows[i].unix_s);
        assert_int_equal(c.not_after, CERT_NO_EXPIRY);
    }
}

static void every_curve_and_signature_of_openssl_is_in_the_tables(void **state)
{
    (void)state;
    EC_builtin_curve curves[128];
    size_t n = EC_get_builtin_curves(curves, sizeof curves / sizeof *curves);
    struct recipe r = recipe_leaf(&test_ctx.arena);
    for (size_t i = 0; i < n; i++) {
        const ASN1_OBJECT *o = OBJ_nid2obj(curves[i].nid);
        if (!OBJ_length(o))
            continue; /* has no OID: cannot be named in a certificate */
        r.spki =
            raw_spki(&test_ctx.arena, OID_EC, el(&test_ctx.arena, DER_OID, bytes_of(OBJ_get0_data(o), OBJ_length(o))), L("\x04xy"));
        struct cert_fields c = read_recipe(&r);
        if (c.key.curve <= CERT_CURVE_EXPLICIT)
            print_error("%s\n", OBJ_nid2sn(curves[i].nid));
        assert_true(c.key.curve > CERT_CURVE_EXPLICIT);
        EVP_PKEY *pkey = EVP_EC_gen(OBJ_nid2sn(curves[i].nid));
        assert_int_equal(c.key.bits, EVP_PKEY_get_bits(pkey));
        EVP_PKEY_free(pkey);
    }
    static const int passed_over[] = {NID_shaWithRSAEncryption,
                                      NID_dsaWithSHA,
                                      NID_mdc2WithRSA,
                                      NID_id_GostR3411_94_with_GostR3410_94,
                                      NID_id_GostR3411_94_with_GostR3410_94_cc,
                                      NID_id_GostR3411_94_with_GostR3410_2001_cc};
    for (int nid = 1; nid < 1400; nid++) {
        int hash, key;
        bool wanted = OBJ_find_sigid_algs(nid, &hash, &key) == 1 && key != NID_dh_std_kdf && key != NID_dh_cofactor_kdf;
        for (size_t i = 0; i < sizeof passed_over / sizeof *passed_over; i++)
            wanted = wanted && nid != passed_over[i];
        if (!wanted)
            continue;
        const ASN1_OBJECT *o = OBJ_nid2obj(nid);
        r.inner = r.outer = algorithm_el(&test_ctx.arena, bytes_of(OBJ_get0_data(o), OBJ_length(o)), false);
        struct cert_fields c = read_recipe(&r);
        if (c.signature_type == CERT_SIGNATURE_OTHER)
            print_error("%s\n", OBJ_nid2ln(nid));
        assert_true(c.signature_type != CERT_SIGNATURE_OTHER);
    }
}

static void every_defect_has_its_own_words(void **state)
{
    (void)state;
    for (int i = 0; i < CERT_DEFECT_COUNT; i++) {
        const struct cert_defect_info *d = cert_defect_info((enum cert_defect)i);
        assert_true(*d->word && *d->text && *d->source);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(d->word, cert_defect_info((enum cert_defect)k)->word);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(all_fields_of_a_leaf_are_read),
        PKI_TEST(fields_agree_with_openssl_on_every_kind_of_certificate),
        PKI_TEST(fields_agree_with_openssl_whatever_is_changed_in_a_certificate),
        PKI_TEST(fields_agree_with_openssl_on_the_roots_of_the_system),
        PKI_TEST(a_broken_field_is_a_defect_and_the_rest_is_read),
        PKI_TEST(a_broken_extension_is_a_defect_and_keeps_what_stands_before_the_break),
        PKI_TEST(what_has_no_outer_shape_is_refused_with_a_reason),
        PKI_TEST(lists_end_at_their_ceilings),
        PKI_TEST(what_is_seen_in_whole_is_a_defect_too),
        PKI_TEST(dates_are_exact_before_1970_and_to_the_end_of_time),
        PKI_TEST(every_curve_and_signature_of_openssl_is_in_the_tables),
        PKI_TEST(every_defect_has_its_own_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
