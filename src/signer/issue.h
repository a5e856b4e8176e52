/* Building certificates: what issue.c and ca.c share. */
#ifndef SIGNER_ISSUE_H
#define SIGNER_ISSUE_H

#include "pki/tbs.h"
#include "signer/work.h"

/* issue_serial makes a serial that the CA `ca` has not given out. */
RC issue_serial(struct ctx *ctx, const struct signer *s, const char *ca, struct bytes *out);
/* issue_validity states the time from a little before now (clocks differ) for `validity_s` seconds, within that of `issuer` (NULL:
 * none).  Both ends are part of it (RFC 5280 section 4.1.2.5).  E_CONFLICT where less than a minute would be left. */
RC issue_validity(struct ctx *ctx, int64_t now, int64_t validity_s, const struct cert *issuer, int64_t *not_before,
                  int64_t *not_after);
/* issue_weak refuses keys that are weak or known to others. */
RC issue_weak(struct ctx *ctx, const struct signer *s, struct bytes spki);

#endif
