/* Changes of CAs that two people are needed for (signer/people.h): what the signer keeps as a proposal is asked for as a request of
 * kind "ca", and the signer is told of its approval.  What is changed, and the words for it, are the signer's: the hub adds who.
 *
 * Who may approve: people with ca.approve in the team that holds everything.  The admin socket is nobody here, for root of the
 * hub's host may be who proposed it; and where it is not known which person asked, two others approve instead of one. */
#ifndef CORE_CA_CHANGE_H
#define CORE_CA_CHANGE_H

#include "core/request.h"
#include "core/result.h"
#include "wire/messages.h"

#define CA_CHANGE "ca" /* kind of the request */

/* ca_change_ask has a proposal approved: the request for it, the same each time.  What is not open any more is E_CONFLICT, and its
 * request is ended. */
RC ca_change_ask(struct ctx *ctx, struct core *core, const char *proposal, const char *comment, const char **request);
/* ca_change_perform: core/request_kind.c.  The request waits until the signer has done it. */
RC ca_change_perform(struct ctx *ctx, struct core *core, struct txn *txn, struct request_work *w);
/* ca_change_do tells the signer of the approval, for the job "ca_change"; ca_change_ended ends its request. */
RC ca_change_do(struct ctx *ctx, struct core *core, const struct q_job_get_row *job);
RC ca_change_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r);

#endif
