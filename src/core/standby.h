/* Warm standby: every day the issuers that are somebody's second choice are looked at, so that the day on which they are needed is
 * not the first on which they are asked.  The agent that would ask reads the CA's directory and finds the account, or makes it as
 * the first order would, bound to what the CA knows us by: a wrong or missing external binding shows then.  New terms of service
 * are told. What is wrong is a line of the status.
 *
 * What it does not prove is that the CA would issue for a name: its CAA records, its validation. */
#ifndef CORE_STANDBY_H
#define CORE_STANDBY_H

#include "api/types.h"
#include "core/core.h"

/* standby_wish: the issuer has become a second choice, and is looked at soon. */
RC standby_wish(struct ctx *ctx, struct txn *txn, const char *issuer);
/* standby_again: the settings of an issuer have changed.  One that would not work is looked at again soon, and who waits for it
 * looks again; `agreed`: to the terms of today. */
RC standby_again(struct ctx *ctx, struct core *core, const char *issuer, bool agreed);
/* The timer "standby" of an issuer. */
RC standby_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer);
/* standby_seen takes what a job acme_account of this lane brought; `done` is NULL where it failed, for `why`. */
#define STANDBY_LANE "standby:"
RC standby_seen(struct ctx *ctx, struct txn *txn, const char *issuer, const struct api_job_acme_account_done *done,
                const char *why);

#endif
