/* When each agent was last heard, to the second, in memory: a row is written every few minutes only, so that a poll costs no write.
 * A hub that has just started knows what the rows say, and gives each the time that a call may take before it calls it silent. */
#ifndef CORE_HEARD_H
#define CORE_HEARD_H

#include "core/core.h"

/* An agent that waits for work calls every 25 seconds, and gives a call that hangs up after 90. */
#define HEARD_SILENT_S 120
#define HEARD_AWAY_S   75 /* three calls did not come: who has work to give gives it to another */

/* heard_start knows the agents of the database; core->heard is made at the first call.  heard_free frees it; NULL is fine. */
RC heard_start(struct ctx *ctx, struct core *core);
void heard_free(struct heard *heard);

/* heard_note says that an agent called just now.  Without core->heard these do nothing. */
void heard_note(struct ctx *ctx, struct core *core, const char *agent);
void heard_forget(struct core *core, const char *agent);
/* heard_at returns when the agent was last heard: not before `row`, when its row says it was. */
int64_t heard_at(struct core *core, const char *agent, int64_t row);
/* heard_away: it was not heard for HEARD_AWAY_S, so nobody should wait for it; a hub that has just started does not know yet.  Its
 * row says `row`. */
bool heard_away(struct ctx *ctx, struct core *core, const char *agent, int64_t row);
/* heard_silent returns the ids of those not heard for HEARD_SILENT_S, the longest silent first; none soon after a start. */
RC heard_silent(struct ctx *ctx, struct core *core, const char *const **ids, size_t *n);

#endif
