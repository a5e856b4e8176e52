/* Codes of an authenticator app (TOTP, RFC 6238): HMAC-SHA-1, 6 digits, steps of 30 seconds. */
#ifndef PKI_TOTP_H
#define PKI_TOTP_H

#include "base/ctx.h"
#include "base/secret.h"

#define TOTP_SECRET_LEN 20 /* RFC 4226 section 4: 160 bits */
#define TOTP_STEP_S     30
#define TOTP_DIGITS     6
#define TOTP_DRIFT      1 /* steps that a clock may be off, either way */

/* totp_code gives the number of a step (RFC 4226 section 5.3), of `digits` digits at most 9. */
RC totp_code(struct ctx *ctx, const struct secret *key, int64_t step, int digits, uint32_t *out);
/* totp_check says which step a code is of: `*step` is 0 where it is none of those around `now_s` that come after `last` (a code is
 * good once, RFC 6238 section 5.2).  Every step is computed, whichever fits. */
RC totp_check(struct ctx *ctx, const struct secret *key, struct bytes code, int64_t now_s, int64_t last, int64_t *step);
/* totp_text_new gives the secret as people type it: base32 (RFC 4648 section 6) without padding. */
RC totp_text_new(struct ctx *ctx, const struct secret *key, struct secret *out);

#endif
