/* Holds what cert_read() read against OpenSSL, field by field: for the unit test and the fuzzer.  Returns the first field on which
 * they differ, or NULL.  Where a defect says that a field is unreadable, or that the encoding is none that OpenSSL reads the same
 * way, that field is passed over: agreement is demanded on what both accept. */
#ifndef TESTS_CERT_AGREE_H
#define TESTS_CERT_AGREE_H

#include <time.h>

#include <openssl/core_names.h>
#include <openssl/ct.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "pki/cert_read.h"
#include "pki/der.h"

#define HAS(c, name) (((c)->defects & CERT_DEFECT_BIT(name)) != 0)

static inline struct bytes agree_string(const ASN1_STRING *s)
{
    return s ? bytes_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)) : (struct bytes){0};
}

static inline struct bytes agree_oid(const ASN1_OBJECT *o)
{
    return bytes_of(OBJ_get0_data(o), OBJ_length(o));
}

static inline bool agree_integer(const ASN1_INTEGER *i, struct bytes content)
{
    uint8_t *der = NULL;
    int n = i2d_ASN1_INTEGER(i, &der);
    struct bytes in = bytes_of(der, n > 0 ? (size_t)n : 0), ours;
    bool same = der_only(in, DER_INTEGER, &ours) && bytes_equal(ours, content);
    OPENSSL_free(der);
    return same;
}

static inline const char *agree_name(const struct cert_name *name, const X509_NAME *theirs)
{
    struct cert_attribute_cursor at = cert_attributes(name);
    struct cert_attribute ours;
    int set = -1, n = X509_NAME_entry_count(theirs);
    if ((uint32_t)n != name->n)
        return "number of attributes";
    for (int i = 0; i < n; i++) {
        const X509_NAME_ENTRY *e = X509_NAME_get_entry(theirs, i);
        const ASN1_STRING *value = X509_NAME_ENTRY_get_data(e);
        if (!cert_next_attribute(&at, &ours))
            return "attributes";
        if (!bytes_equal(agree_oid(X509_NAME_ENTRY_get_object(e)), ours.oid))
            return "attribute type";
        if (ours.joined != (X509_NAME_ENTRY_set(e) == set))
            return "multi-valued RDN";
        set = X509_NAME_ENTRY_set(e);
        if (ours.text.tag & 0xe0 || ours.text.tag == DER_BIT_STRING)
            continue; /* their value has other bounds */
        if (ASN1_STRING_type(value) != ours.text.tag || !bytes_equal(agree_string(value), ours.text.value))
            return "attribute value";
    }
    if (cert_next_attribute(&at, &ours))
        return "attributes behind the last";
    const struct {
        int nid;
        const struct cert_text *text;
    } first[] = {{NID_commonName, &name->common_name},
                 {NID_organizationName, &name->organization},
                 {NID_organizationalUnitName, &name->unit},
                 {NID_countryName, &name->country}};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        int at_i = X509_NAME_get_index_by_NID(theirs, first[i].nid, -1);
        if ((at_i >= 0) != (first[i].text->tag != 0))
            return "whether it has a common name, organization, unit or country";
        if (at_i >= 0 && !(first[i].text->tag & 0xe0) && first[i].text->tag != DER_BIT_STRING &&
            !bytes_equal(agree_string(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(theirs, at_i))), first[i].text->value))
            return "first common name, organization, unit or country";
    }
    return NULL;
}

/* `loose`: not as RFC 5280 wants it written, where each accepts a little that the other does not. */
static inline const char *agree_time(const ASN1_TIME *t, int64_t ours, bool unreadable, bool loose)
{
    struct tm tm;
    bool theirs = ASN1_TIME_to_tm(t, &tm) == 1;
    if (unreadable || loose)
        return theirs && !unreadable && timegm(&tm) != ours ? "loose time"
               : theirs && unreadable && !loose             ? "readable time"
                                                            : NULL;
    if (!theirs)
        return "unreadable time";
    return timegm(&tm) != ours ? "time" : NULL;
}

static inline const char *agree_rsa(const EVP_PKEY *pkey, const struct cert_key *key)
{
    BIGNUM *n = NULL, *e = NULL, *ours_n = BN_bin2bn(key->modulus.p, (int)key->modulus.n, NULL);
    BIGNUM *ours_e = BN_bin2bn(key->exponent.p, (int)key->exponent.n, NULL);
    bool same = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
                EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && !BN_cmp(n, ours_n) && !BN_cmp(e, ours_e);
    BN_free(n);
    BN_free(e);
    BN_free(ours_n);
    BN_free(ours_e);
    return same ? NULL : "RSA modulus and exponent";
}

static inline const char *agree_key(const struct cert_fields *c, X509 *x)
{
    static const struct {
        const char *name;
        enum cert_key_type type;
    } names[] = {{"RSA", CERT_KEY_RSA},         {"RSA-PSS", CERT_KEY_RSA_PSS}, {"EC", CERT_KEY_EC},   {"SM2", CERT_KEY_EC},
                 {"ED25519", CERT_KEY_ED25519}, {"ED448", CERT_KEY_ED448},     {"DSA", CERT_KEY_DSA}, {"X25519", CERT_KEY_X25519},
                 {"X448", CERT_KEY_X448},       {"DH", CERT_KEY_DH},           {"DHX", CERT_KEY_DHX}};
    ASN1_OBJECT *oid;
    const uint8_t *p;
    int n;
    char group[80];
    size_t group_n;
    EVP_PKEY *pkey = X509_get0_pubkey(x);
    if (HAS(c, KEY))
        return NULL;
    if (X509_PUBKEY_get0_param(&oid, &p, &n, NULL, X509_get_X509_PUBKEY(x)) != 1)
        return "public key";
    if (!bytes_equal(agree_oid(oid), c->key.oid) || !bytes_equal(bytes_of(p, (size_t)n), c->key.bits_value))
        return "algorithm or bits of the key";
    if (!pkey)
        return NULL;
    enum cert_key_type type = CERT_KEY_OTHER;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (EVP_PKEY_is_a(pkey, names[i].name))
            type = names[i].type;
    if (c->key.type >= CERT_KEY_ML_DSA_44 && EVP_PKEY_is_a(pkey, cert_key_word(c->key.type)))
        return NULL; /* an OpenSSL that has them */
    if (type != c->key.type)
        return "type of key";
    if (type == CERT_KEY_RSA || type == CERT_KEY_RSA_PSS)
        return (uint32_t)EVP_PKEY_get_bits(pkey) != c->key.bits ? "bits of the modulus" : agree_rsa(pkey, &c->key);
    if (type == CERT_KEY_ED25519 || type == CERT_KEY_X25519)
        return c->key.bits == 256 ? NULL : "bits"; /* 253 is how OpenSSL counts them */
    if (c->key.curve != CERT_CURVE_OTHER && (uint32_t)EVP_PKEY_get_bits(pkey) != c->key.bits)
        return "bits of the key";
    if (c->key.curve > CERT_CURVE_EXPLICIT &&
        EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, &group_n) == 1 &&
        !bytes_equal(agree_oid(OBJ_nid2obj(OBJ_txt2nid(group))), c->key.curve_oid))
        return "curve";
    return NULL;
}

static inline enum cert_hash agree_hash_by_nid(int nid)
{
    static const struct {
        int nid;
        enum cert_hash hash;
    } known[] = {{NID_md2, CERT_HASH_MD2},
                 {NID_md4, CERT_HASH_MD4},
                 {NID_md5, CERT_HASH_MD5},
                 {NID_sha1, CERT_HASH_SHA1},
                 {NID_sha224, CERT_HASH_SHA224},
                 {NID_sha256, CERT_HASH_SHA256},
                 {NID_sha384, CERT_HASH_SHA384},
                 {NID_sha512, CERT_HASH_SHA512},
                 {NID_sha3_224, CERT_HASH_SHA3_224},
                 {NID_sha3_256, CERT_HASH_SHA3_256},
                 {NID_sha3_384, CERT_HASH_SHA3_384},
                 {NID_sha3_512, CERT_HASH_SHA3_512},
                 {NID_ripemd160, CERT_HASH_RIPEMD160},
                 {NID_sm3, CERT_HASH_SM3},
                 {NID_id_GostR3411_94, CERT_HASH_GOST94},
                 {NID_id_GostR3411_2012_256, CERT_HASH_STREEBOG256},
                 {NID_id_GostR3411_2012_512, CERT_HASH_STREEBOG512}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].nid == nid)
            return known[i].hash;
    return CERT_HASH_NONE;
}

static inline const char *agree_signature(const struct cert_fields *c, X509 *x)
{
    const ASN1_BIT_STRING *signature;
    const X509_ALGOR *outer, *inner = X509_get0_tbs_sigalg(x);
    const ASN1_OBJECT *oid;
    const void *parameter;
    int type, hash = NID_undef, key;
    X509_get0_signature(&signature, &outer, x);
    X509_ALGOR_get0(&oid, &type, &parameter, outer);
    if (!HAS(c, SIGNATURE) && !HAS(c, BITS) && !bytes_equal(agree_string(signature), c->signature))
        return "signature";
    if (HAS(c, ALGORITHM))
        return "readable signature algorithm";
    if (!bytes_equal(agree_oid(oid), c->signature_oid))
        return "signature algorithm";
    if (X509_ALGOR_cmp(inner, outer) != 0 && !HAS(c, ALGORITHM_DIFFERS)) /* ours also differ where only the encoding does */
        return "whether inner and outer algorithm are the same";
    if (c->signature_type != CERT_SIGNATURE_OTHER && OBJ_find_sigid_algs(OBJ_obj2nid(oid), &hash, &key) == 1 && hash != NID_undef &&
        c->signature_hash != agree_hash_by_nid(hash))
        return "hash of the signature";
    if (OBJ_obj2nid(oid) == NID_rsassaPss && type == V_ASN1_SEQUENCE) {
        RSA_PSS_PARAMS *pss = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(RSA_PSS_PARAMS), outer->parameter);
        int nid = !pss ? NID_undef : pss->hashAlgorithm ? OBJ_obj2nid(pss->hashAlgorithm->algorithm) : NID_sha1;
        RSA_PSS_PARAMS_free(pss);
        if (nid != NID_undef && agree_hash_by_nid(nid) != c->signature_hash)
            return "hash of RSASSA-PSS";
    }
    return NULL;
}

/* --- extensions: given what OpenSSL decoded */

static inline const char *agree_general_name(const GENERAL_NAME *theirs, const struct cert_general_name *ours)
{
    int type;
    const void *value = GENERAL_NAME_get0_value(theirs, &type);
    if (type != (int)ours->type)
        return "type of an alternative name";
    switch (type) {
    case GEN_EMAIL:
    case GEN_DNS:
    case GEN_URI:
    case GEN_IPADD:
        return bytes_equal(agree_string(value), ours->value) ? NULL : "alternative name";
    case GEN_RID:
        return bytes_equal(agree_oid(value), ours->value) ? NULL : "registered OID";
    case GEN_DIRNAME: {
        struct cert_name name;
        uint64_t defects = cert_read_name(ours->value, &name);
        return defects & CERT_DEFECT_BIT(ISSUER) ? NULL : agree_name(&name, value);
    }
    default:
        return NULL;
    }
}

static inline const char *agree_san(const struct cert_fields *c, void *decoded)
{
    GENERAL_NAMES *names = decoded;
    struct bytes rest = c->san.der;
    struct cert_general_name ours;
    const char *differs = NULL;
    if ((uint32_t)sk_GENERAL_NAME_num(names) != c->san.n)
        return "number of alternative names";
    uint32_t dns = 0, ip = 0;
    for (int i = 0; !differs && i < sk_GENERAL_NAME_num(names); i++) {
        if (!cert_next_general_name(&rest, &ours))
            return "alternative names";
        dns += ours.type == CERT_GENERAL_DNS;
        ip += ours.type == CERT_GENERAL_IP;
        differs = agree_general_name(sk_GENERAL_NAME_value(names, i), &ours);
    }
    return differs                                    ? differs
           : rest.n                                   ? "alternative names behind the last"
           : dns != c->san_dns_n || ip != c->san_ip_n ? "counts"
                                                      : NULL;
}

static inline const char *agree_ski(const struct cert_fields *c, void *decoded)
{
    return bytes_equal(agree_string(decoded), c->ski) ? NULL : "subject key identifier";
}

static inline const char *agree_aki(const struct cert_fields *c, void *decoded)
{
    const AUTHORITY_KEYID *a = decoded;
    if ((a->issuer != NULL) != (c->aki_issuer.p != NULL))
        return "authority's issuer";
    if ((a->serial != NULL) != (c->aki_serial.p != NULL) ||
        (a->serial && !HAS(c, INTEGER) && !agree_integer(a->serial, c->aki_serial)))
        return "authority's serial number";
    return bytes_equal(agree_string(a->keyid), c->aki) ? NULL : "authority key identifier";
}

static inline const char *agree_key_usage(const struct cert_fields *c, void *decoded)
{
    for (int i = 0; i < 32; i++)
        if (ASN1_BIT_STRING_get_bit(decoded, i) != (int)(c->key_usage >> i & 1))
            return "key usage";
    return NULL;
}

static inline const char *agree_eku(const struct cert_fields *c, void *decoded)
{
    static const struct {
        int nid;
        uint32_t flag;
    } known[] = {{NID_server_auth, EKU_SERVER},     {NID_client_auth, EKU_CLIENT}, {NID_code_sign, EKU_CODE},
                 {NID_email_protect, EKU_EMAIL},    {NID_time_stamp, EKU_TIME},    {NID_OCSP_sign, EKU_OCSP},
                 {NID_anyExtendedKeyUsage, EKU_ANY}};
    EXTENDED_KEY_USAGE *eku = decoded;
    struct bytes rest = c->eku_oids.der, oid;
    uint32_t flags = 0;
    if ((uint32_t)sk_ASN1_OBJECT_num(eku) != c->eku_oids.n)
        return "number of extended key usages";
    for (int i = 0; i < sk_ASN1_OBJECT_num(eku); i++) {
        const ASN1_OBJECT *theirs = sk_ASN1_OBJECT_value(eku, i);
        uint32_t flag = EKU_UNKNOWN;
        if (!cert_next_oid(&rest, &oid) || !bytes_equal(agree_oid(theirs), oid))
            return "extended key usage";
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            flag = OBJ_obj2nid(theirs) == known[k].nid ? known[k].flag : flag;
        flags |= flag;
    }
    return flags == c->eku ? NULL : "flags of the extended key usages";
}

static inline const char *agree_basic_constraints(const struct cert_fields *c, void *decoded)
{
    const BASIC_CONSTRAINTS *b = decoded;
    long length = b->pathlen ? ASN1_INTEGER_get(b->pathlen) : -1;
    if ((b->ca != 0) != c->is_ca)
        return "whether it is a CA";
    return (b->pathlen != NULL) != (c->path_length >= 0) || (length >= 0 && length < INT32_MAX && length != c->path_length)
               ? "path length"
               : NULL;
}

static inline const char *agree_policies(const struct cert_fields *c, void *decoded)
{
    CERTIFICATEPOLICIES *policies = decoded;
    struct bytes rest = c->policies.der, oid;
    if ((uint32_t)sk_POLICYINFO_num(policies) != c->policies.n)
        return "number of policies";
    for (int i = 0; i < sk_POLICYINFO_num(policies); i++)
        if (!cert_next_policy(&rest, &oid) || !bytes_equal(agree_oid(sk_POLICYINFO_value(policies, i)->policyid), oid))
            return "policy";
    return NULL;
}

static inline const char *agree_access(const struct cert_fields *c, void *decoded)
{
    AUTHORITY_INFO_ACCESS *list = decoded;
    struct bytes rest = c->access.der, ocsp = {0}, issuer = {0};
    struct cert_access ours;
    const char *differs = NULL;
    if ((uint32_t)sk_ACCESS_DESCRIPTION_num(list) != c->access.n)
        return "number of authority information accesses";
    for (int i = 0; !differs && i < sk_ACCESS_DESCRIPTION_num(list); i++) {
        const ACCESS_DESCRIPTION *a = sk_ACCESS_DESCRIPTION_value(list, i);
        if (!cert_next_access(&rest, &ours) || !bytes_equal(agree_oid(a->method), ours.method))
            return "access method";
        differs = agree_general_name(a->location, &ours.location);
        struct bytes *first = OBJ_obj2nid(a->method) == NID_ad_OCSP         ? &ocsp
                              : OBJ_obj2nid(a->method) == NID_ad_ca_issuers ? &issuer
                                                                            : NULL;
        if (first && !first->n && a->location->type == GEN_URI)
            *first = agree_string(a->location->d.uniformResourceIdentifier);
    }
    return differs                                                                ? differs
           : bytes_equal(ocsp, c->ocsp_uri) && bytes_equal(issuer, c->issuer_uri) ? NULL
                                                                                  : "URI of OCSP or issuer";
}

static inline const char *agree_crl_points(const struct cert_fields *c, void *decoded)
{
    CRL_DIST_POINTS *points = decoded;
    struct bytes rest = c->crl_points.der, point = {0}, uri, first = {0};
    if ((uint32_t)sk_DIST_POINT_num(points) != c->crl_points.n)
        return "number of CRL distribution points";
    for (int i = 0; i < sk_DIST_POINT_num(points); i++) {
        const DIST_POINT_NAME *name = sk_DIST_POINT_value(points, i)->distpoint;
        for (int k = 0; name && name->type == 0 && k < sk_GENERAL_NAME_num(name->name.fullname); k++) {
            const GENERAL_NAME *g = sk_GENERAL_NAME_value(name->name.fullname, k);
            if (g->type != GEN_URI || !ASN1_STRING_length(g->d.uniformResourceIdentifier))
                continue;
            if (!cert_next_crl_uri(&rest, &point, &uri) || !bytes_equal(agree_string(g->d.uniformResourceIdentifier), uri))
                return "URI of a CRL";
            if (!first.n)
                first = uri;
        }
    }
    if (!bytes_equal(first, c->crl_uri))
        return "first URI of a CRL";
    return cert_next_crl_uri(&rest, &point, &uri) ? "URI behind the last" : NULL;
}

static inline const char *agree_scts(const struct cert_fields *c, void *decoded)
{
    STACK_OF(SCT) *scts = decoded;
    struct bytes rest = c->scts.der;
    struct cert_sct ours;
    if ((uint32_t)sk_SCT_num(scts) != c->scts.n)
        return "number of SCTs";
    for (int i = 0; i < sk_SCT_num(scts); i++) {
        const SCT *theirs = sk_SCT_value(scts, i);
        uint8_t *p;
        if (!cert_next_sct(&rest, &ours))
            return "SCTs";
        if (SCT_get_version(theirs) != SCT_VERSION_V1)
            continue;
        size_t n = SCT_get0_log_id(theirs, &p);
        if (ours.version != 0 || !bytes_equal(bytes_of(p, n), ours.log_id) || SCT_get_timestamp(theirs) != ours.unix_ms)
            return "log or time of an SCT";
        n = SCT_get0_signature(theirs, &p);
        if (!bytes_equal(bytes_of(p, n), ours.signature))
            return "signature of an SCT";
        n = SCT_get0_extensions(theirs, &p);
        if (!bytes_equal(bytes_of(p, n), ours.extensions))
            return "extensions of an SCT";
    }
    return NULL;
}

static inline const char *agree_tls_feature(const struct cert_fields *c, void *decoded)
{
    TLS_FEATURE *features = decoded;
    bool staple = false;
    for (int i = 0; i < sk_ASN1_INTEGER_num(features); i++) {
        long feature = ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i));
        staple = staple || feature == 5 || feature == 17;
    }
    return staple == c->must_staple ? NULL : "must-staple";
}

static const struct agree_extension {
    int nid;
    uint32_t flag;
    uint64_t unreadable;
    const char *(*agree)(const struct cert_fields *c, void *decoded);
    const char *name;
} agree_extensions[] = {
    {NID_subject_key_identifier, EXT_SKI, CERT_DEFECT_BIT(SKI), agree_ski, "SKI"},
    {NID_authority_key_identifier, EXT_AKI, CERT_DEFECT_BIT(AKI), agree_aki, "AKI"},
    {NID_key_usage, EXT_KEY_USAGE, CERT_DEFECT_BIT(KEY_USAGE), agree_key_usage, "key usage"},
    {NID_ext_key_usage, EXT_EKU, CERT_DEFECT_BIT(EKU), agree_eku, "EKU"},
    {NID_subject_alt_name, EXT_SAN, CERT_DEFECT_BIT(SAN), agree_san, "SAN"},
    {NID_basic_constraints, EXT_BASIC_CONSTRAINTS, CERT_DEFECT_BIT(BASIC_CONSTRAINTS), agree_basic_constraints,
     "basic constraints"},
    {NID_certificate_policies, EXT_POLICIES, CERT_DEFECT_BIT(POLICIES), agree_policies, "policies"},
    {NID_info_access, EXT_AIA, CERT_DEFECT_BIT(ACCESS), agree_access, "AIA"},
    {NID_crl_distribution_points, EXT_CRL_POINTS, CERT_DEFECT_BIT(CRL_POINTS), agree_crl_points, "CRL points"},
    {NID_ct_precert_scts, EXT_SCT_LIST, CERT_DEFECT_BIT(SCTS), agree_scts, "SCTs"},
    {NID_tlsfeature, EXT_TLS_FEATURE, CERT_DEFECT_BIT(TLS_FEATURE), agree_tls_feature, "TLS feature"},
    {NID_name_constraints, EXT_NAME_CONSTRAINTS, CERT_DEFECT_BIT(NAME_CONSTRAINTS), NULL, "name constraints"},
};

static inline const char *agree_extension(const struct cert_fields *c, const X509 *x, const struct agree_extension *e)
{
    int critical;
    void *decoded = X509_get_ext_d2i(x, e->nid, &critical, NULL);
    const char *differs = NULL;
    if (critical == -2)
        differs = HAS(c, EXTENSION_TWICE) ? NULL : "that an extension comes twice";
    else if ((critical >= 0) != ((c->extensions & e->flag) != 0))
        differs = e->name;
    else if (critical >= 0 && (critical == 1) != ((c->critical & e->flag) != 0))
        differs = "whether an extension is critical";
    else if (decoded && e->agree && !(c->defects & e->unreadable) && !HAS(c, EXTENSIONS_MANY) && !HAS(c, BITS))
        differs = e->agree(c, decoded);
    const X509V3_EXT_METHOD *method = X509V3_EXT_get_nid(e->nid);
    if (decoded && method->it)
        ASN1_item_free(decoded, ASN1_ITEM_ptr(method->it));
    else if (decoded)
        method->ext_free(decoded);
    return differs;
}

static inline const char *cert_disagrees(const struct cert_fields *c, X509 *x)
{
    const char *differs = NULL;
    if (!HAS(c, VERSION) && X509_get_version(x) + 1 != c->version)
        return "version";
    if (!agree_integer(X509_get0_serialNumber(x), c->serial))
        return "serial number";
    if (!differs && !HAS(c, ISSUER))
        differs = agree_name(&c->issuer, X509_get_issuer_name(x));
    if (!differs && !HAS(c, SUBJECT))
        differs = agree_name(&c->subject, X509_get_subject_name(x));
    if (!differs)
        differs = agree_time(X509_get0_notBefore(x), c->not_before, HAS(c, NOT_BEFORE), HAS(c, TIME_FORM) || HAS(c, INDEFINITE));
    if (!differs)
        differs = agree_time(X509_get0_notAfter(x), c->not_after, HAS(c, NOT_AFTER), HAS(c, TIME_FORM) || HAS(c, INDEFINITE));
    if (!differs)
        differs = agree_signature(c, x);
    if (!differs)
        differs = agree_key(c, x);
    if (!differs && !HAS(c, EXTENSIONS) && !HAS(c, EXTENSIONS_MANY) && (uint32_t)X509_get_ext_count(x) != c->extension_n)
        differs = "number of extensions";
    for (size_t i = 0;
         !differs && !HAS(c, EXTENSIONS) && !HAS(c, EXTENSIONS_MANY) && i < sizeof agree_extensions / sizeof *agree_extensions; i++)
        differs = agree_extension(c, x, &agree_extensions[i]);
    ERR_clear_error();
    return differs;
}

#endif
