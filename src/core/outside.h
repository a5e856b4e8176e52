/* What others are asked of certificates that were found: an issuer's certificate that is missing, whether one is revoked.  The hub
 * opens no connection: a job of an agent with the hand `relay` does it, within what that agent's own agent.yaml lets it reach.
 *
 * The URLs are in the certificates, and so anybody's.  An issuer is fetched at most once a day and URL, by the certificates that
 * were found up to OUTSIDE_DEPTH_MAX above them; of what comes, that alone is taken which did issue one that is here: Name, key
 * identifier and signature.  After OUTSIDE_FAILURES_MAX failures in a row nobody asks until a certificate that misses it is looked
 * at again.  All that is asked is bounded an hour, for everybody and for each host that is named; what is over that waits, and the
 * status says so.
 *
 * Revocation is asked of what is served: managed, or seen in the network or on a host, while it
 * is valid and its issuer is known; again when the answer says that there will be a new one, at most weekly and no more than
 * hourly. */
#ifndef CORE_OUTSIDE_H
#define CORE_OUTSIDE_H

#include "core/core.h"
#include "core/issuer_trust.h"
#include "core/result.h"
#include "pki/cert_read.h"
#include "store/queries.h"

#define OUTSIDE_AT_ONCE              20  /* jobs a turn of the schedule */
#define OUTSIDE_READ_MAX             60  /* questions that are looked at in one */
#define OUTSIDE_DEPTH_MAX            8
#define OUTSIDE_FAILURES_MAX         5
#define OUTSIDE_ISSUERS_HOUR         600 /* of everybody */
#define OUTSIDE_ISSUERS_HOST_HOUR    60
#define OUTSIDE_REVOCATION_HOUR      14400
#define OUTSIDE_REVOCATION_HOST_HOUR 3600

/* outside_wish notes what is to be asked of a certificate that was looked at, and how far its issuer is believed; within that
 * write. */
RC outside_wish(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_certificate_row_row *row,
                const struct cert_fields *cert, const struct trust *issuer);
/* outside_revocation_ref is what q_outside_ask_get() knows a certificate by. */
const char *outside_revocation_ref(struct ctx *ctx, int64_t certificate_id);
/* outside_troubles tells people which bounds were met within the last two hours. */
RC outside_troubles(struct ctx *ctx, struct txn *txn, void *arg,
                    void (*add)(void *arg, const char *object, const char *text, const char *remedy));
/* outside_tick makes jobs of what is due. */
RC outside_tick(struct ctx *ctx, struct core *core);
/* outside_revoked: we had it revoked ourselves, and need not ask. */
RC outside_revoked(struct ctx *ctx, struct core *core, struct txn *txn, struct bytes fingerprint, int64_t reason);
/* How they ended. */
RC outside_issuer_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r);
RC outside_revocation_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r);

#endif
