/* A signed JWT as proof at a token endpoint (RFC 7519, RFC 7523): Google's service accounts. */
#ifndef AGENT_RELAY_AUTH_JWT_H
#define AGENT_RELAY_AUTH_JWT_H

#include "agent/relay/push.h"
#include "pki/key.h"

/* jwt_sign appends HEADER.CLAIMS.SIGNATURE (JWS compact serialization, RFC 7515 section 7.1), RS256; both are JSON texts.
 * E_UNSUPPORTED for a key that is not RSA. */
RC jwt_sign(struct ctx *ctx, const struct key *key, struct bytes header, struct bytes claims, struct buf *out);

#endif
