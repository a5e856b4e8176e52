/* JSON Object Signing as ACME uses it: JWK (RFC 7517), thumbprint (RFC 7638), flattened JWS (RFC 7515), external account binding
 * (RFC 8555 section 7.3.4). */
#ifndef PKI_JOSE_H
#define PKI_JOSE_H

#include "base/buf.h"
#include "base/ctx.h"
#include "pki/key.h"

/* jose_alg returns "ES256", "ES384" or "RS256". */
const char *jose_alg(const struct key *key);
/* jose_jwk returns the public key as JSON: required members in lexicographic order, no white space. */
RC jose_jwk(struct ctx *ctx, const struct key *key, const char **out);
RC jose_key_from_jwk(struct ctx *ctx, struct bytes jwk, struct key **out);
/* jose_private_from_jwk reads a private key: RSA with all its numbers, EC P-256 and P-384 (RFC 7518 sections 6.2.2, 6.3.2). */
RC jose_private_from_jwk(struct ctx *ctx, struct bytes jwk, struct key **out);
/* jose_thumbprint returns the SHA-256 of that, base64url. */
RC jose_thumbprint(struct ctx *ctx, const struct key *key, const char **out);
/* jose_key_authorization returns TOKEN "." THUMBPRINT (RFC 8555 section 8.1). */
RC jose_key_authorization(struct ctx *ctx, const struct key *key, struct bytes token, const char **out);

/* The protected header of an ACME request (RFC 8555 section 6.2). */
struct jose_header {
    const char *kid;   /* account URL; NULL: the key itself goes in as "jwk" */
    const char *nonce; /* NULL: none */
    const char *url;   /* NULL: none */
};
/* jose_sign appends {"protected":…,"payload":…,"signature":…}.  An empty payload is POST-as-GET. */
RC jose_sign(struct ctx *ctx, const struct key *key, const struct jose_header *header, struct bytes payload, struct buf *out);
/* jose_eab appends the externalAccountBinding object: HS256 by the CA's `mac_key` over the account's public key. */
RC jose_eab(struct ctx *ctx, const struct key *account, const char *kid, const struct secret *mac_key, const char *url,
            struct buf *out);

/* What jose_verify found in a flattened JWS; texts and bytes in the arena. */
struct jose_message {
    const char *alg, *kid, *nonce, *url; /* NULL where absent */
    const char *jwk;                     /* JSON text; NULL where absent */
    struct bytes payload;
};
/* jose_verify reads a JWS and checks it with `key`, or with the key in its header where `key` is NULL (which proves possession
 * only). E_UNAUTHENTICATED where the signature is wrong. */
RC jose_verify(struct ctx *ctx, struct bytes jws, const struct key *key, struct jose_message *out);
/* jose_verify_compact reads PROTECTED "." PAYLOAD "." SIGNATURE (RFC 7515 section 7.1) and checks it with a key of `jwks` (a JWK
 * Set, RFC 7517 section 5): that of its "kid", or any where it names none.  The key says the algorithm, never the token alone:
 * "none", MACs and keys in the header are refused.  RSA of 2,048 bits and more (RS256), EC P-256 and P-384 (ES256, ES384).
 * E_NOT_FOUND where no key of the set is meant: the set may be old.  E_UNAUTHENTICATED where the signature is wrong. */
RC jose_verify_compact(struct ctx *ctx, struct bytes token, struct bytes jwks, struct jose_message *out);
RC jose_verify_hs256(struct ctx *ctx, struct bytes jws, struct bytes mac_key, struct jose_message *out);

#endif
