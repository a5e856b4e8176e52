/* Public keys as they stand in certificates and requests: SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), read without OpenSSL. */
#ifndef PKI_SPKI_H
#define PKI_SPKI_H

#include "base/ctx.h"

enum spki_kind { SPKI_OTHER, SPKI_RSA, SPKI_EC, SPKI_ED25519 };

/* The keys that this project makes and accepts, and their names: "ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096". */
enum key_kind { KEY_OTHER, KEY_EC_P256, KEY_EC_P384, KEY_RSA_2048, KEY_RSA_3072, KEY_RSA_4096 };

/* key_kind_name returns "other" for KEY_OTHER; key_kind_by_name KEY_OTHER for what is no such name. */
const char *key_kind_name(enum key_kind kind);
enum key_kind key_kind_by_name(const char *name);

/* A public key; all bytes point into what was parsed. */
struct spki {
    struct bytes der;       /* the whole element */
    struct bytes algorithm; /* OID */
    struct bytes key;       /* content of the bit string */
    enum spki_kind kind;
    int bits;               /* of the modulus or the curve; 0 where not known */
    const char *curve;      /* EC: "P-256", "P-384", "P-521", or "?" for another named curve */
    struct bytes curve_oid; /* EC */
    struct bytes modulus, exponent; /* RSA, no leading zeros */
    enum key_kind key_kind; /* KEY_OTHER where it is none of those */
};

RC spki_parse(struct ctx *ctx, struct bytes der, struct spki *out);
/* spki_id is the key identifier: the leftmost 160 bits of SHA-256 over the key (RFC 7093 section 2, method 1). */
#define SPKI_ID_LEN 20
RC spki_id(struct ctx *ctx, const struct spki *spki, uint8_t out[SPKI_ID_LEN]);

#endif
