/* Looking at what came, what the clock made due, and what other rules or other knowledge concern: the findings follow.
 *
 * A certificate that is new is due at once: reading it made the checks of WHEN ARRIVAL as far as it tells alone, and the look makes
 * the others (its key, who issued it, whose names, who else has its key), outside of any transaction; a short write follows.  From
 * there on it is due when the clock changes its findings.  An endpoint that was looked at waits in endpoint_look.  Where rules or
 * an issuer's standing changed, a sweep (finding_sweep) goes through what they concern, slice by slice; it goes on after a restart.
 */
#ifndef CORE_LOOK_H
#define CORE_LOOK_H

#include "core/core.h"

#define LOOK_MOST 200 /* certificates, endpoints, of a sweep: in one turn */

/* look_tick takes one turn; `more`: there is more to do now.  Called by inventory_tick(). */
RC look_tick(struct ctx *ctx, struct core *core, bool *more);
/* look_again makes a certificate due now: something is known of it that was not. */
RC look_again(struct ctx *ctx, struct txn *txn, int64_t id);
/* look_sweep has certificates looked at again: those with a term (core/inventory.h), or all where it is ""; `deep`: keys too. */
RC look_sweep(struct ctx *ctx, struct txn *txn, const char *term, bool deep);

/* Between the files of looking. */
RC look_endpoints(struct ctx *ctx, struct core *core, bool *more);

#endif
