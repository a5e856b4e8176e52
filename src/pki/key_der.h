/* Inside pki/ only: the DER of keys, read and written as numbers. */
#ifndef PKI_KEY_DER_H
#define PKI_KEY_DER_H

#include "base/buf.h"
#include "base/ctx.h"
#include "pki/spki.h"

#define EC_POINT_MAX 133 /* uncompressed, up to P-521 */
#define RSA_NUMBERS 8    /* n, e, d, p, q, dP, dQ, qInv */

/* A private key as its numbers; bytes point into what was read. */
struct key_numbers {
    enum key_kind kind;
    struct bytes scalar, point;   /* EC; the point may be empty */
    struct bytes rsa[RSA_NUMBERS]; /* big-endian magnitudes */
};

bool key_kind_is_ec(enum key_kind kind);
/* key_der_read reads PKCS #8, ECPrivateKey or RSAPrivateKey; E_UNSUPPORTED for kinds other than enum key_kind. */
RC key_der_read(struct ctx *ctx, struct bytes der, struct key_numbers *out);
/* key_der_put_private writes PKCS #8. */
void key_der_put_private(const struct key_numbers *key, struct buf *out);
RC key_der_put_ec_spki(struct ctx *ctx, enum key_kind kind, struct bytes point, struct bytes *out);
RC key_der_put_rsa_spki(struct ctx *ctx, struct bytes modulus, struct bytes exponent, struct bytes *out);

#endif
