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
#define PROVIDER_UNDER_WAY   64    /* answers that are looked at, in all and */
#define PROVIDER_OWN         16    /* from one address: at the ceiling the address's oldest goes */
#define PROVIDER_LANES       4     /* exchanges of one provider at a time: the agent's other work goes on */
#define PROVIDER_ROWS_MAX    20000 /* that are known to be used */

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

/* provider_account finds or makes the account that a provider means by `who`, and has its grants follow their groups: of those that
 * are in `who`.  *why says in words why there is none. */
struct id_token;
struct q_identity_provider_get_row;
RC provider_account(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_identity_provider_get_row *provider,
                    const struct id_token *who, const char **user, const char **why);

/* --- the job */

struct checked_result;
struct provider_said;
RC provider_exchange_check(struct ctx *ctx, struct core *core, struct checked_result *r);
RC provider_exchange_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r);
RC provider_sign_in_expire(struct ctx *ctx, struct txn *txn);

#endif
