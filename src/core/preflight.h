/* Looking before ordering: what stands between names and a certificate of an ACME CA, found out by agents (job "preflight") without
 * sending an order.
 *
 * Before the first order of a managed certificate at an issuer, or with other names than before, an attempt waits for it (state
 * preflight).  What is found becomes steps of the attempt; where something fails no order is sent, unless the policy says "warn".
 * A check that fails itself ("unknown") never holds an order up, nor does an agent that cannot do the job.
 *
 * A renewal of names that the issuer has issued for is not looked at: its order tells best.  After one that failed there is a look,
 * to say why; but nothing that it finds keeps from ordering again, for what is seen from here may be wrong where the CA was right
 * before.  Names that the CA refuses for a week pause their certificate (core/bad_name.h).
 *
 * The same is done for `cert add --dry-run` and `issuer test`, where nobody waits but the caller. */
#ifndef CORE_PREFLIGHT_H
#define CORE_PREFLIGHT_H

#include "api/types.h"
#include "core/core.h"
#include "core/managed.h"
#include "core/wish.h"
#include "store/queries.h"

/* Of a certificate (wish), else its issuer (settings), else the installation (hub.yaml). */
bool preflight_policy_is(const char *policy); /* fail, warn, off */

/* preflight_begin has agents look for an attempt whose order is due; `*begun` is false where there is nothing to look at. */
RC preflight_begin(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, bool *begun);
/* preflight_ended takes the end of one of its jobs; `done` is NULL where it failed, for `why`. */
RC preflight_ended(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref, const struct api_job_preflight_done *done,
                   const char *why);

/* preflight_wished looks for a certificate that is not made yet, at each issuer of its list; preflight_issuer at an issuer, and at
 * names that would be proved to it; of one that is no ACME CA, whether it answers its agent, takes the credential, and may be
 * asked for these names.  They return at once; see preflight_show. */
RC preflight_wished(struct ctx *ctx, struct core *core, const struct managed_input *in, const char **id);
RC preflight_issuer(struct ctx *ctx, struct core *core, const char *ref, const struct str_list *names, const char **id);

/* preflight_try asks whether an issuer that is no ACME CA answers its agent, takes the credential, and may be asked for these
 * names, for a team (NULL: the issuer's); `standby`: as the daily look at a second choice. */
RC preflight_try(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const char *team, const char *issuer,
                 const struct str_list *names, bool standby);

struct preflight_view {
    const char *id;
    bool working;
    struct api_finding *findings;
    size_t n;
    struct api_preflight_issuer *issuers; /* in the order of the list: which would be asked, and why */
    size_t issuers_n;
};
RC preflight_show(struct ctx *ctx, struct core *core, const char *id, struct preflight_view *out);

#endif
