/* What others are asked of certificates that were found: an issuer's certificate that is missing, whether one is revoked.  The hub
 * opens no connection: a job of an agent with the hand `relay` does it, within what that agent's own agent.yaml lets it reach.
 *
 * An issuer is asked for once a URL.  Revocation is asked of what is served: managed, or seen in the network or on a host, while it
 * is valid and its issuer is known; again when the answer says that there will be a new one, at most weekly and no more than
 * hourly. */
#ifndef CORE_OUTSIDE_H
#define CORE_OUTSIDE_H

#include "core/core.h"
#include "core/result.h"
#include "pki/cert_read.h"
#include "store/queries.h"

#define OUTSIDE_AT_ONCE 20 /* jobs a turn of the schedule */

/* outside_wish notes what is to be asked of a certificate that was looked at; within that write. */
RC outside_wish(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_certificate_row_row *row,
                const struct cert_fields *cert, bool issuer_known);
/* outside_revocation_ref is what q_outside_ask_get() knows a certificate by. */
const char *outside_revocation_ref(struct ctx *ctx, int64_t certificate_id);
/* outside_tick makes jobs of what is due. */
RC outside_tick(struct ctx *ctx, struct core *core);
/* How they ended. */
RC outside_issuer_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r);
RC outside_revocation_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r);

#endif
