/* Warm standby: every day the issuers that are somebody's second choice are looked at, so that the day on which they are needed is
 * not the first on which they are asked.  The agent that would ask reads the CA's directory and finds the account, or makes it as
 * the first order would, bound to what the CA knows us by: a wrong or missing external binding shows then.  New terms of service
 * are told.  CAA records of the certificates that would go there are looked at (core/standby_look.h), and where the CA has a
 * staging environment a whole order is done there for the names of one of them (core/rehearsal.h).  An issuer that is no ACME
 * CA is asked whether it takes the credential.  What is wrong is a line of the status. */
#ifndef CORE_STANDBY_H
#define CORE_STANDBY_H

#include "api/types.h"
#include "core/core.h"

/* standby_wish: the issuer has become a second choice, and is looked at soon. */
RC standby_wish(struct ctx *ctx, struct txn *txn, const char *issuer);
/* standby_again: the settings of an issuer have changed.  One that would not work is looked at again soon, who waits for it looks
 * again, and who paused because of it goes on; `agreed`: to the terms of today;
 * `rehearsals`: what is said about them may have changed. */
RC standby_again(struct ctx *ctx, struct core *core, const char *issuer, bool agreed, bool rehearsals);
/* The timer "standby" of an issuer. */
RC standby_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer);
/* standby_looked takes what a look of it has found (core/preflight.h) that began at `begun_at`. */
RC standby_looked(struct ctx *ctx, struct txn *txn, const char *issuer, int64_t begun_at, const struct api_finding *findings,
                  size_t n);
/* standby_seen takes what a job acme_account of this lane brought; `done` is NULL where it failed, for `why`. */
#define STANDBY_LANE "standby:"
RC standby_seen(struct ctx *ctx, struct txn *txn, const char *issuer, const struct api_job_acme_account_done *done,
                const char *why);

#endif
