/* X.509 read for the inventory (RFC 5280): every certificate that somebody serves, also a broken one, understood as far as it goes.
 *
 * One pass over the DER, without OpenSSL, heap or recursion; all bytes point into what was given, which must live as long.  Bytes
 * stay bytes: nothing is decoded, folded or cut at a NUL (name_text.h makes text of them).  A rule that is broken is a bit in
 * `defects` (cert_defects.def), not a failure; only what has no outer shape (a SEQUENCE that begins with a SEQUENCE, two more
 * elements behind it, and in the first a serial number) is refused.  Where a defect says that a field cannot be read, the field is
 * zero or empty, and a list ends before its first unreadable element.  What we deploy ourselves is read by cert.h, which is strict.
 */
#ifndef PKI_CERT_READ_H
#define PKI_CERT_READ_H

#include "pki/cert.h"
#include "pki/sha1.h"

#define CERT_READ_MAX            ((size_t)256 << 10)   /* bytes of one certificate */
#define CERT_READ_EXTENSIONS_MAX 64                    /* those behind are not read */
#define CERT_READ_LIST_MAX       10000                 /* elements of any other list; those behind are not read */
#define CERT_NO_EXPIRY           INT64_C(253402300799) /* 9999-12-31T23:59:59Z: has no end (RFC 5280 section 4.1.2.5) */

/* --- tables: what there is of each, with its word.  Numbers of keys, curves, signatures and hashes may be stored: they stay. */

enum cert_defect {
#define DEFECT(name, word, text, source) CERT_DEFECT_##name,
#include "pki/cert_defects.def"
#undef DEFECT
    CERT_DEFECT_COUNT
};
#define CERT_DEFECT_BIT(name) (UINT64_C(1) << CERT_DEFECT_##name)

struct cert_defect_info {
    const char *word;   /* "serial_negative" */
    const char *text;   /* "the serial number is negative" */
    const char *source; /* "RFC 5280 4.1.2.2" */
};
/* cert_defect_info: `defect` is below CERT_DEFECT_COUNT. */
const struct cert_defect_info *cert_defect_info(enum cert_defect defect);

enum cert_key_type {
    CERT_KEY_OTHER,
#define KEY(name, word, bits, oid) CERT_KEY_##name,
#include "pki/cert_algs.def"
    CERT_KEY_COUNT
};
enum cert_curve {
    CERT_CURVE_NONE,     /* no elliptic curve */
    CERT_CURVE_OTHER,    /* named, but not known here */
    CERT_CURVE_EXPLICIT, /* parameters written out */
#define CURVE(name, word, bits, oid) CERT_CURVE_##name,
#include "pki/cert_algs.def"
    CERT_CURVE_COUNT
};
enum cert_signature {
    CERT_SIGNATURE_OTHER,
#define SIGNATURE(name, word, hash, oid) CERT_SIGNATURE_##name,
#include "pki/cert_algs.def"
    CERT_SIGNATURE_COUNT
};
/* The hash under a signature; NONE where it is the algorithm's own affair (Ed25519, ML-DSA) or not known. */
enum cert_hash {
    CERT_HASH_NONE,
    CERT_HASH_MD2,
    CERT_HASH_MD4,
    CERT_HASH_MD5,
    CERT_HASH_SHA1,
    CERT_HASH_SHA224,
    CERT_HASH_SHA256,
    CERT_HASH_SHA384,
    CERT_HASH_SHA512,
    CERT_HASH_SHA3_224,
    CERT_HASH_SHA3_256,
    CERT_HASH_SHA3_384,
    CERT_HASH_SHA3_512,
    CERT_HASH_RIPEMD160,
    CERT_HASH_SM3,
    CERT_HASH_GOST94,
    CERT_HASH_STREEBOG256,
    CERT_HASH_STREEBOG512,
    CERT_HASH_COUNT
};

/* Words for people and for the database: "rsa", "ec", "ml-dsa-65"; "P-256", "secp256k1", "explicit"; "sha256WithRSAEncryption";
 * "SHA-256".  "other" for what is not known, "" for CERT_CURVE_NONE and CERT_HASH_NONE.  Never NULL. */
const char *cert_key_word(enum cert_key_type type);
const char *cert_curve_word(enum cert_curve curve);
const char *cert_signature_word(enum cert_signature signature);
const char *cert_hash_word(enum cert_hash hash);

/* --- names */

/* The value of an attribute: its ASN.1 tag (enum der_tag) and its bytes as they stand.  Tag 0: absent. */
struct cert_text {
    struct bytes value;
    uint8_t tag;
};

/* An issuer or subject.  The texts are the first of each kind; cert_next_attribute walks through all. */
struct cert_name {
    struct bytes der;  /* the whole Name */
    struct bytes rdns; /* its readable content */
    uint32_t n;        /* attributes */
    struct cert_text common_name, organization, unit, country;
};

enum cert_attribute_type {
    CERT_ATTRIBUTE_OTHER,
    CERT_ATTRIBUTE_CN,
    CERT_ATTRIBUTE_O,
    CERT_ATTRIBUTE_OU,
    CERT_ATTRIBUTE_C,
    CERT_ATTRIBUTE_L,
    CERT_ATTRIBUTE_ST,
    CERT_ATTRIBUTE_STREET,
    CERT_ATTRIBUTE_SERIAL,
    CERT_ATTRIBUTE_DC,
    CERT_ATTRIBUTE_UID,
    CERT_ATTRIBUTE_EMAIL,
};
struct cert_attribute {
    enum cert_attribute_type type;
    struct bytes oid; /* content of the OBJECT IDENTIFIER */
    struct cert_text text;
    struct bytes element; /* the value with its header */
    bool joined;          /* belongs to the same RDN as the one before it */
};
struct cert_attribute_cursor {
    struct bytes rdns, set;
};
/* cert_attributes begins at the first attribute; cert_next_attribute is false behind the last. */
struct cert_attribute_cursor cert_attributes(const struct cert_name *name);
bool cert_next_attribute(struct cert_attribute_cursor *at, struct cert_attribute *out);
/* cert_read_name reads a Name that stands elsewhere (an alternative name), with its defects; the bit of ISSUER: unreadable. */
uint64_t cert_read_name(struct bytes der, struct cert_name *out);

/* --- the key */

struct cert_key {
    struct bytes der;        /* SubjectPublicKeyInfo, whole */
    struct bytes oid;        /* algorithm */
    struct bytes parameters; /* of the algorithm, with header; empty where absent */
    struct bytes bits_value; /* content of the bit string: the key itself */
    enum cert_key_type type;
    enum cert_curve curve;
    struct bytes curve_oid;         /* where the curve is named */
    uint32_t bits;                  /* RSA modulus, DSA or DH prime, order of the curve, post-quantum: of the key; 0: not known */
    struct bytes modulus, exponent; /* RSA, without leading zeros */
};

/* --- extensions */

/* EXT_ bits (cert.h) that only the inventory tells apart. */
enum {
    EXT_POISON = 1 << 13, /* a precertificate (RFC 6962 section 3.1): nobody serves it */
    EXT_ISSUER_NAMES = 1 << 14,
    EXT_POLICY_MAPPINGS = 1 << 15,
    EXT_POLICY_CONSTRAINTS = 1 << 16,
    EXT_INHIBIT_ANY_POLICY = 1 << 17,
    EXT_FRESHEST_CRL = 1 << 18,
    EXT_SUBJECT_INFO = 1 << 19,
};

/* Policies that say how the subject was checked (CA/B Forum BR 7.1.6.1), of cert_fields.policy_flags. */
enum {
    POLICY_DOMAIN = 1 << 0,
    POLICY_ORGANIZATION = 1 << 1,
    POLICY_INDIVIDUAL = 1 << 2,
    POLICY_EXTENDED = 1 << 3,
    POLICY_ANY = 1 << 4
};

/* A list in an extension: the elements that could be read, and how many; walked through by the function that its field names. */
struct cert_list {
    struct bytes der;
    uint32_t n;
};

/* The numbers are those of the context tags (RFC 5280 section 4.2.1.6). */
enum cert_general_name_type {
    CERT_GENERAL_OTHER = 0,
    CERT_GENERAL_EMAIL = 1,
    CERT_GENERAL_DNS = 2,
    CERT_GENERAL_X400 = 3,
    CERT_GENERAL_DIRECTORY = 4,
    CERT_GENERAL_EDI = 5,
    CERT_GENERAL_URI = 6,
    CERT_GENERAL_IP = 7,
    CERT_GENERAL_REGISTERED_ID = 8,
};
struct cert_general_name {
    enum cert_general_name_type type;
    struct bytes value; /* content: text, 4 or 16 bytes (or what stands there), an OID; for a directory name the Name with header */
};
struct cert_access {
    struct bytes method; /* OID */
    struct cert_general_name location;
};
struct cert_sct {
    uint8_t version;     /* 0: v1 (RFC 6962) */
    struct bytes log_id; /* 32 bytes */
    uint64_t unix_ms;
    struct bytes extensions;
    uint8_t hash, signature_type; /* as in TLS 1.2 */
    struct bytes signature;
};

/* cert_next_*: takes the next of a list from the front of `rest` (begin with a copy of cert_list.der); false behind the last. */
bool cert_next_general_name(struct bytes *rest, struct cert_general_name *out);
bool cert_next_oid(struct bytes *rest, struct bytes *oid); /* extended key usages */
bool cert_next_policy(struct bytes *rest, struct bytes *oid);
bool cert_next_access(struct bytes *rest, struct cert_access *out);
bool cert_next_sct(struct bytes *rest, struct cert_sct *out);
/* cert_next_crl_uri passes over points without a URI.  `point` begins as {0}. */
bool cert_next_crl_uri(struct bytes *rest, struct bytes *point, struct bytes *uri);

/* --- the certificate */

struct cert_fields {
    struct bytes der, tbs; /* both whole elements */
    uint64_t defects;      /* CERT_DEFECT_BIT()s */
    int version;           /* 1, 2, 3; another number as it stands, plus one; 0 where unreadable */
    struct bytes serial;   /* content of the INTEGER, sign included; never empty */
    enum cert_signature signature_type;
    enum cert_hash signature_hash;    /* of RSASSA-PSS: from its parameters */
    struct bytes signature_oid;       /* of the outer algorithm, as the rest of these */
    struct bytes signature_algorithm; /* whole element */
    struct bytes signature;           /* content of the bit string */
    struct cert_name issuer, subject;
    bool self_issued;              /* both names are the same bytes */
    int64_t not_before, not_after; /* inclusive; not_after may be CERT_NO_EXPIRY; 0 where the defect says that it is unreadable */
    struct cert_key key;
    uint32_t extensions, critical; /* EXT_ bits: seen; marked critical */
    uint32_t extension_n;          /* how many there are, known or not */
    uint32_t unknown_critical_n;
    struct bytes unknown_critical; /* OID of the first; empty where none */
    struct bytes ski;
    struct bytes aki, aki_issuer, aki_serial; /* key identifier; GeneralNames' content and serial, where the issuer is named so */
    uint32_t key_usage;                       /* USAGE_ bits (cert.h); 0 where absent: see EXT_KEY_USAGE */
    uint32_t eku;                             /* EKU_ bits */
    struct cert_list eku_oids;                /* cert_next_oid */
    bool is_ca;
    int path_length;                   /* -1: not stated */
    bool must_staple;                  /* TLS feature status_request or status_request_v2 (RFC 7633) */
    uint32_t policy_flags;             /* POLICY_ bits */
    struct cert_list policies;         /* cert_next_policy */
    struct cert_list access;           /* authority information access: cert_next_access */
    struct bytes ocsp_uri, issuer_uri; /* the first of each; bytes as they stand */
    struct cert_list crl_points;       /* cert_next_crl_uri */
    struct bytes crl_uri;              /* the first */
    struct cert_list scts;             /* cert_next_sct */
    struct cert_list san;              /* cert_next_general_name */
    uint32_t san_dns_n, san_ip_n;
    struct bytes name_constraints; /* extnValue's content */
};

/* cert_read reads one certificate, whole and nothing behind it.  E_TOO_LARGE, or E_PARSE with what is missing; `ctx` serves the
 * text of the error alone. */
RC cert_read(struct ctx *ctx, struct bytes der, struct cert_fields *out);
/* cert_read_serial returns the serial number as cert_serial_text() does: bytes in lower-case hex, without the 00 of the sign. */
const char *cert_read_serial(struct arena *a, const struct cert_fields *cert);

/* Hashes of a certificate, apart from reading it, for they cost more than it. */
struct cert_digests {
    uint8_t sha256[SHA256_LEN]; /* of the DER: the certificate's name in the inventory */
    uint8_t sha1[SHA1_LEN];     /* of the DER: what older tools show */
    uint8_t spki_sha256[SHA256_LEN];
};
/* A hasher keeps OpenSSL's contexts from one certificate to the next.  One a thread. */
struct cert_hasher;
RC cert_hasher_new(struct ctx *ctx, struct cert_hasher **out);
void cert_hasher_free(struct cert_hasher **hasher);
#define CERT_HASHER_CLEANUP __attribute__((cleanup(cert_hasher_free)))
/* cert_digest hashes what cert_read() read; an unreadable key has a hash of zeros. */
RC cert_digest(struct ctx *ctx, struct cert_hasher *hasher, const struct cert_fields *cert, struct cert_digests *out);

#endif
