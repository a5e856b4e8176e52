/* Certificate revocation lists (RFC 5280 section 5), version 2, direct: full, or one of several that an issuer divides its list
 * into. */
#ifndef PKI_CRL_H
#define PKI_CRL_H

#include "pki/cert.h"
#include "pki/key.h"

struct crl_entry {
    struct bytes serial; /* content of the INTEGER */
    int64_t revoked_at;
    int reason; /* RFC 5280 section 5.3.1; 0 is left out of the encoding */
};

struct crl_intent {
    const struct cert *issuer; /* its name and key identifier */
    int64_t number;
    int64_t this_update, next_update;
    const struct crl_entry *entries;
    size_t n;
};

struct crl {
    struct bytes der, tbs;
    struct cert_dn issuer;
    struct bytes aki;
    struct bytes number;              /* magnitude, big-endian; empty where absent */
    int64_t this_update, next_update; /* next_update 0 where absent */
    struct bytes signature_algorithm, signature;
    bool only_leaves, only_cas; /* its scope (section 5.2.5): certificates of one kind */
    struct bytes points;        /* GeneralNames' content: only those that name one of these; empty: all of the issuer's */
    size_t n;                   /* entries */
    struct bytes rest;          /* of the entries: crl_next() */
};

#define CRL_MAX ((size_t)16 << 20)

RC crl_build(struct ctx *ctx, const struct crl_intent *intent, const struct key *signer, struct bytes *der);
/* crl_parse reads a list; the signature is not checked.  crl_verify checks it with the issuer's key. */
RC crl_parse(struct ctx *ctx, struct bytes der, struct crl *out);
RC crl_verify(struct ctx *ctx, const struct crl *crl, const struct key *issuer);
/* crl_next takes the next entry from `rest` (a copy of crl->rest); false at the end. */
bool crl_next(struct bytes *rest, struct crl_entry *out);
/* crl_is_for: a certificate (`ca`: of a CA) that names this URL as its list's place is within the scope: not to be on the list is
 * to be good. */
bool crl_is_for(const struct crl *crl, bool ca, struct bytes url);
bool crl_has(const struct crl *crl, struct bytes serial);
/* crl_reason_name returns "keyCompromise" …; "unspecified" for 0, "unknown" for what is no reason. */
const char *crl_reason_name(int reason);

#endif
