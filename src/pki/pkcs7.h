/* Certificates in PKCS #7 (RFC 2315, RFC 5652 section 5): SignedData without a signature, as EST (RFC 7030 section 4.1.3) and
 * Microsoft's CA hand out chains.  Read by OpenSSL, for some servers write BER; nothing in it is believed: who reads checks the
 * certificates. */
#ifndef PKI_PKCS7_H
#define PKI_PKCS7_H

#include "pki/cert.h"

#define PKCS7_CERTS_MAX 20

/* pkcs7_certificates reads the certificates of `in` (one structure, nothing behind it), in the order found there; at least one.
 * E_PARSE otherwise. */
RC pkcs7_certificates(struct ctx *ctx, struct bytes in, struct cert_chain *out);

/* pkcs7_ders gives them as they are, unread: at most `most` of them. */
RC pkcs7_ders(struct ctx *ctx, struct bytes in, size_t most, struct bytes **ders, size_t *n);

#endif
