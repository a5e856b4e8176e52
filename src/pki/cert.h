/* X.509 certificates (RFC 5280), read by our own reader: nothing is copied, all bytes point into the DER given, which must live as
 * long.  Texts and lists are in the arena.  Reading is about structure; whether a certificate is good is lint.h's and chain.h's. */
#ifndef PKI_CERT_H
#define PKI_CERT_H

#include "base/ctx.h"
#include "pki/digest.h"
#include "pki/name.h"
#include "pki/spki.h"

#define CERT_MAX ((size_t)64 << 10) /* bytes of one certificate */
#define CERT_NAMES_MAX 1000         /* subject alternative names */

/* Key usage bits, as der_take_flags() reads them (RFC 5280 section 4.2.1.3); not OpenSSL's KU_ numbers. */
enum {
    USAGE_DIGITAL_SIGNATURE = 1 << 0,
    USAGE_NON_REPUDIATION = 1 << 1,
    USAGE_KEY_ENCIPHERMENT = 1 << 2,
    USAGE_DATA_ENCIPHERMENT = 1 << 3,
    USAGE_KEY_AGREEMENT = 1 << 4,
    USAGE_CERT_SIGN = 1 << 5,
    USAGE_CRL_SIGN = 1 << 6,
    USAGE_ENCIPHER_ONLY = 1 << 7,
    USAGE_DECIPHER_ONLY = 1 << 8,
};

/* Extended key usages; EKU_UNKNOWN stands for any other. */
enum {
    EKU_SERVER = 1 << 0,
    EKU_CLIENT = 1 << 1,
    EKU_CODE = 1 << 2,
    EKU_EMAIL = 1 << 3,
    EKU_TIME = 1 << 4,
    EKU_OCSP = 1 << 5,
    EKU_ANY = 1 << 6,
    EKU_UNKNOWN = 1 << 7,
};

/* Extensions seen, and which of them were critical. */
enum {
    EXT_SKI = 1 << 0,
    EXT_AKI = 1 << 1,
    EXT_KEY_USAGE = 1 << 2,
    EXT_EKU = 1 << 3,
    EXT_SAN = 1 << 4,
    EXT_BASIC_CONSTRAINTS = 1 << 5,
    EXT_NAME_CONSTRAINTS = 1 << 6,
    EXT_CRL_POINTS = 1 << 7,
    EXT_AIA = 1 << 8,
    EXT_POLICIES = 1 << 9,
    EXT_TLS_FEATURE = 1 << 10,
    EXT_SCT_LIST = 1 << 11,
    EXT_OTHER = 1 << 12,
};

/* A distinguished name. */
struct cert_dn {
    struct bytes der;   /* the whole Name */
    const char *text;   /* RFC 4514, last attribute first, "" where empty; control characters escaped */
    const char *common_name, *organization, *unit, *country; /* the first of each, UTF-8; NULL where absent */
};

enum cert_san_kind { SAN_DNS, SAN_IP, SAN_EMAIL, SAN_URI, SAN_OTHER };
struct cert_san {
    enum cert_san_kind kind;
    struct bytes value; /* as encoded: not checked, not normalised */
};

struct cert {
    struct bytes der; /* empty where only the to-be-signed part was read */
    struct bytes tbs;
    int version;          /* 1, 2 or 3 */
    struct bytes serial;  /* content of the INTEGER */
    struct cert_dn issuer, subject;
    int64_t not_before, not_after; /* both inclusive (RFC 5280 section 4.1.2.5) */
    struct spki spki;
    struct bytes signature_algorithm; /* AlgorithmIdentifier, whole element */
    const char *signature_name;       /* "ecdsa-with-SHA256", "sha256WithRSAEncryption", or the OID in digits */
    struct bytes signature;
    uint32_t extensions, critical; /* EXT_ bits */
    const char *unknown_critical;  /* OID of the first critical extension that is not known here; NULL where none */
    struct cert_san *san;
    size_t san_n;
    bool is_ca;
    int path_length; /* -1: not stated */
    uint32_t key_usage, eku;
    struct bytes ski, aki; /* key identifiers; empty where absent */
    const char **crl_urls; /* http and ldap URLs of full names; texts, each checked to be printable ASCII */
    size_t crl_url_n;
    const char *ocsp_url, *issuer_url;  /* the first of each; NULL where absent */
    struct bytes name_constraints;      /* extnValue's content; empty where absent */
    uint8_t fingerprint[SHA256_LEN];    /* SHA-256 of the DER; zero where only the to-be-signed part was read */
    uint8_t spki_sha256[SHA256_LEN];
};

/* cert_parse reads one certificate, whole and nothing after it.  cert_parse_tbs reads a TBSCertificate that is not signed yet. */
RC cert_parse(struct ctx *ctx, struct bytes der, struct cert *out);
RC cert_parse_tbs(struct ctx *ctx, struct bytes tbs, struct cert *out);
/* cert_names lists the DNS names and IP addresses of the SAN, normalised; those that are malformed are left out.  Where there is no
 * SAN at all and the common name is a DNS name, that. */
RC cert_names(struct ctx *ctx, const struct cert *cert, struct name_list *out);
/* cert_covers says whether a client that asks for `host` (DNS name or IP address in text) would accept the name (RFC 9525). */
bool cert_covers(const struct cert *cert, struct bytes host);
bool cert_is_self_issued(const struct cert *cert);
/* cert_serial_text returns the serial as lower-case hex. */
const char *cert_serial_text(struct arena *a, const struct cert *cert);

/* dn_parse reads a Name.  dn_build makes one: organization, then common name; NULL leaves out; both NULL is the empty Name. */
RC dn_parse(struct ctx *ctx, struct bytes der, struct cert_dn *out);
RC dn_build(struct ctx *ctx, const char *organization, const char *common_name, struct bytes *out);

/* Certificates in the order of a handshake: leaf first. */
struct cert_chain {
    struct cert *v;
    size_t n;
};

/* cert_chain_parse_pem reads the certificates of a PEM text in their order; other blocks are skipped.  More than `max`, or none,
 * is an error. */
RC cert_chain_parse_pem(struct ctx *ctx, struct bytes pem, size_t max, struct cert_chain *out);
RC cert_chain_parse_der(struct ctx *ctx, const struct bytes *ders, size_t n, struct cert_chain *out);
void cert_chain_put_pem(struct buf *b, const struct cert_chain *chain);

#endif
