/* Requests signed with an RSA key, and logins signed with one. */
#ifndef AGENT_RELAY_AUTH_RSA_H
#define AGENT_RELAY_AUTH_RSA_H

#include "agent/relay/auth_canon.h"
#include "pki/key.h"

/* Oracle Cloud Infrastructure (HTTP signatures as in draft-cavage-http-signatures-08, version="1"): Authorization.  Signs Date, the
 * request's target and Host; of a request with a body its length, type and hash too.  `in` has the headers Date, and with a body
 * Content-Type and X-Content-SHA256. */
RC oci_put_text(const struct canon *in, struct buf *out); /* what is signed */
RC oci_sign(struct ctx *ctx, const struct canon *in, const char *key_id, const struct key *key, struct buf *out);

/* TransIP: Signature, RSA with SHA-512 of the login's body, base64.  transip_read takes the token out of the answer. */
RC transip_sign(struct ctx *ctx, struct bytes body, const struct key *key, struct buf *out);
RC transip_read(struct ctx *ctx, struct bytes json, const char **token);

#endif
