/* Who somebody is, as an OpenID provider says it (OpenID Connect Core 1.0 section 2). */
#ifndef PKI_ID_TOKEN_H
#define PKI_ID_TOKEN_H

#include "base/ctx.h"
#include "base/str.h"

/* What has to hold (section 3.1.3.7). */
struct id_token_expect {
    const char *issuer;    /* as in the provider's configuration, to the byte */
    const char *client_id; /* ours: it must be meant */
    const char *nonce;     /* of the sign-in that was begun */
    const char *groups;    /* name of the claim that lists groups; NULL: none is looked at */
};

/* In the arena.  Texts may be anything that is UTF-8: they are a stranger's. */
struct id_token {
    const char *subject;                 /* unique and never given to another, within the issuer */
    const char *name, *username, *email; /* NULL where absent; email only where the provider says that it was verified */
    const char *acr;                     /* how much proof they gave there, in the provider's words; NULL where absent */
    struct str_list groups, amr;         /* amr: by which methods (RFC 8176) */
    int64_t issued_at, expires_at;
};

#define ID_TOKEN_SKEW_S 60  /* how far clocks may be apart */
#define ID_TOKEN_AGE_S  600 /* it comes straight from the provider: an old one is somebody else's */
#define ID_TOKEN_GROUPS 500

/* id_token_verify checks the token of one sign-in with the provider's keys (a JWK Set).  E_NOT_FOUND: none of these keys is meant,
 * so fetch them again, once.  E_UNAUTHENTICATED names what is wrong. */
RC id_token_verify(struct ctx *ctx, struct bytes token, struct bytes jwks, const struct id_token_expect *expect,
                   struct id_token *out);

#endif
