/* Signing in at an OpenID provider: authorization code flow (OpenID Connect Core 1.0 section 3.1) with PKCE (RFC 7636, S256) and
 * the issuer in the answer (RFC 9207).
 *
 * What a sign-in needs to know of its beginning is in the browser's cookie alone: state, nonce and PKCE verifier are made from it,
 * so a beginning leaves no row, and somebody else's answer does not fit.  An answer is taken once: its row stays for a day.  The
 * code is exchanged by a job of the hub's own agent, while the browser's request is parked; the hub itself looks at the token. */
#ifndef CORE_PROVIDER_SIGN_IN_H
#define CORE_PROVIDER_SIGN_IN_H

#include "core/sign_in.h"

#define PROVIDER_SIGN_IN_S   600   /* from the way out to the way back */
#define PROVIDER_WAIT_S      40    /* for the exchange */
#define PROVIDER_KEPT_S      86400 /* so long an answer is known to be used */
#define PROVIDER_PER_ADDRESS 600   /* answers from one address in ten minutes */

/* provider_sign_in_begin makes what the browser is to keep, and where it is to go.  `callback`: where it comes back to. */
RC provider_sign_in_begin(struct ctx *ctx, struct core *core, const char *provider, const char *callback, const char **cookie,
                          const char **location);

/* What the browser brings back; NULL where absent. */
struct provider_answer {
    const char *code, *state, *iss, *error, *description;
};
struct provider_step {
    const char *wait_for; /* park on this key and ask again; NULL: it is over */
    struct signed_in done;
};
/* provider_sign_in_return goes on with a sign-in, as often as it is woken; `last`: nobody waits any longer.  E_UNAUTHENTICATED says
 * in words what is wrong. */
RC provider_sign_in_return(struct ctx *ctx, struct core *core, const char *provider, const char *callback,
                           const struct sign_in_from *from, const char *cookie, const struct provider_answer *answer, bool last,
                           struct provider_step *out);

/* --- the job */

struct checked_result;
struct provider_said;
RC provider_exchange_check(struct ctx *ctx, struct core *core, struct checked_result *r);
RC provider_exchange_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r);
RC provider_sign_in_expire(struct ctx *ctx, struct txn *txn);

#endif
