/* Passkeys: what an authenticator says when one is made and when one is used (Web Authentication Level 2, sections 7.1 and 7.2).
 *
 * Attestation is not asked for: "none" is taken, and a signature with the new key itself ("packed" without certificates), which is
 * then verified.  Keys: ES256, ES384, RS256 (RFC 9053, RFC 8812).  Refusals are E_INVALID or E_PARSE and say what did not fit. */
#ifndef PKI_WEBAUTHN_H
#define PKI_WEBAUTHN_H

#include "base/ctx.h"

#define WEBAUTHN_CHALLENGE_LEN   32
#define WEBAUTHN_CREDENTIAL_MAX  1023
#define WEBAUTHN_CLIENT_DATA_MAX 4096
#define WEBAUTHN_OBJECT_MAX      16384
#define WEBAUTHN_COSE_MAX        2048
/* What is offered to authenticators, in this order of preference. */
#define WEBAUTHN_ES256 (-7)
#define WEBAUTHN_RS256 (-257)

/* What it has to be about. */
struct webauthn_want {
    const char *origin;     /* "https://hub.example.org:8443" */
    const char *rp_id;      /* "hub.example.org" */
    struct bytes challenge; /* as it was given out */
    bool user_verified;     /* the authenticator must have asked for PIN or finger */
};

struct webauthn_made {
    struct bytes credential; /* its id */
    struct bytes cose;       /* its public key, as COSE_Key */
    uint32_t count;
    bool user_verified;
};
/* webauthn_made_read verifies the answer of navigator.credentials.create(); bytes point into what was given. */
RC webauthn_made_read(struct ctx *ctx, const struct webauthn_want *want, struct bytes client_data, struct bytes attestation,
                      struct webauthn_made *out);

struct webauthn_used {
    uint32_t count;
    bool user_verified;
};
/* webauthn_used_read verifies the answer of navigator.credentials.get() with the key that was kept. */
RC webauthn_used_read(struct ctx *ctx, const struct webauthn_want *want, struct bytes cose, struct bytes client_data,
                      struct bytes authenticator_data, struct bytes signature, struct webauthn_used *out);
/* webauthn_count_fits says whether a count may follow the one that was kept: it rises, or the authenticator counts nothing.  One
 * that does not fit is a copy of the key. */
bool webauthn_count_fits(uint32_t kept, uint32_t now);

#endif
