/* Hashes, MACs and key derivation.  The algorithms are fetched from OpenSSL once for the process; safe from any thread. */
#ifndef PKI_DIGEST_H
#define PKI_DIGEST_H

#include "base/ctx.h"
#include "base/secret.h"

#define SHA256_LEN 32
#define SHA384_LEN 48

RC digest_sha256(struct ctx *ctx, struct bytes data, uint8_t out[SHA256_LEN]);
RC digest_sha384(struct ctx *ctx, struct bytes data, uint8_t out[SHA384_LEN]);
/* digest_sha256_new is digest_sha256 with the 32 bytes in the arena. */
RC digest_sha256_new(struct ctx *ctx, struct bytes data, struct bytes *out);

/* digest_hmac_sha256 is HMAC (RFC 2104) with SHA-256; `key` of any length, also empty. */
RC digest_hmac_sha256(struct ctx *ctx, struct bytes key, struct bytes data, uint8_t out[SHA256_LEN]);
/* digest_hkdf_sha256 fills `n` bytes (at most 8,160) with HKDF (RFC 5869). */
RC digest_hkdf_sha256(struct ctx *ctx, struct bytes secret, struct bytes salt, struct bytes info, uint8_t *out, size_t n);

#endif
