/* One-time passwords of a second factor (TOTP, RFC 6238: HMAC-SHA-1, 30 seconds, 6 digits): what authenticator apps show. */
#ifndef AGENT_RELAY_TOTP_H
#define AGENT_RELAY_TOTP_H

#include "base/buf.h"
#include "base/ctx.h"

/* totp_put appends the six digits of this moment.  `secret` as providers show it: base32 (RFC 4648 section 6) in any case, with
 * spaces or hyphens between and '=' at the end allowed; 128 bytes at most.  E_INVALID for anything else. */
RC totp_put(struct ctx *ctx, struct bytes secret, int64_t now_s, struct buf *out);

#endif
