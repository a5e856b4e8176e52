/* What the signer itself allows an issuer to sign, whoever asks (invariant 3). */
#ifndef SIGNER_CEILINGS_H
#define SIGNER_CEILINGS_H

#include "pki/name.h"
#include "signer/state.h"

/* ceilings_check refuses with E_CEILING a profile, validity or name that the CA's ceilings do not have, and names that the name
 * constraints of the CA, or of one above it, do not permit (RFC 5280 section 4.2.1.10). */
RC ceilings_check(struct ctx *ctx, const struct ca *ca, const char *profile, const struct name_list *names, int64_t validity_s);
/* ceilings_check_names is the part about names. */
RC ceilings_check_names(struct ctx *ctx, const struct ca *ca, const struct name_list *names);
/* ceilings_count refuses with E_CEILING where the CA has issued its number within the last hour; else counts one more as on its
 * way. */
RC ceilings_count(struct ctx *ctx, struct ca *ca, int64_t now);
int64_t ceilings_issued_last_hour(const struct ca *ca, int64_t now);

#endif
