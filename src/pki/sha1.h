/* SHA-1 and HMAC with it (RFC 2104): what some providers' APIs still want under a request.  For nothing that we decide ourselves.
 */
#ifndef PKI_SHA1_H
#define PKI_SHA1_H

#include "base/ctx.h"

#define SHA1_LEN 20

RC sha1_digest(struct ctx *ctx, struct bytes data, uint8_t out[SHA1_LEN]);
RC sha1_hmac(struct ctx *ctx, struct bytes key, struct bytes data, uint8_t out[SHA1_LEN]);

#endif
