/* Rules that a certificate keeps, checked before it is signed.  One table (lint.c): id, rule, source, check. */
#ifndef PKI_LINT_H
#define PKI_LINT_H

#include "pki/cert.h"
#include "pki/profile.h"

struct lint_finding {
    const char *id;     /* "serial-length" */
    const char *rule;   /* what is wanted, for people */
    const char *source; /* "RFC 5280 4.1.2.2", "BR 7.1.2.7.6" */
};

/* lint_certificate checks against the rules of the profile; `issuer` is the issuer's certificate, NULL for a self-signed one.
 * E_LINT with the first finding in words; `finding` (may be NULL) tells which. */
RC lint_certificate(struct ctx *ctx, const struct cert *cert, enum cert_profile profile, const struct cert *issuer, int64_t now,
                    const struct lint_finding **finding);
/* lint_tbs is the same for a to-be-signed structure. */
RC lint_tbs(struct ctx *ctx, struct bytes tbs, enum cert_profile profile, const struct cert *issuer, int64_t now);

#endif
