/* HMAC (RFC 2104) with the hashes that TSIG names (RFC 8945 section 6). */
#ifndef PKI_HMAC_H
#define PKI_HMAC_H

#include "base/ctx.h"

#define HMAC_MAX 64

/* hmac_make writes `*n` bytes to `out`, as many as the hash has.  `hash`: "SHA224", "SHA256", "SHA384" or "SHA512". */
RC hmac_make(struct ctx *ctx, const char *hash, struct bytes key, struct bytes data, uint8_t out[HMAC_MAX], size_t *n);

#endif
