/* In whose name a rule acts: its own, with the rights that its steps need in its team, as long as whoever edited it last has all of
 * them still.  Where they have not it is halted: its alerts open and close, its team, owners and channels are told, and it does
 * nothing else and writes to no other address, until somebody who may edits or enables it. */
#ifndef CORE_RULE_AUTHOR_H
#define CORE_RULE_AUTHOR_H

#include "core/access.h"

/* rule_acts makes the principal of a rule; `*why` (else NULL) is why it may not act now.  It writes nothing. */
RC rule_acts(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const struct principal **out, const char **why);
/* rule_halt notes that it may not, once, with its event. */
RC rule_halt(struct ctx *ctx, struct txn *txn, const char *id, const char *why);

/* rule_troubles calls `add` for rules and reports that were halted. */
RC rule_troubles(struct ctx *ctx, struct txn *txn, int64_t limit, void *arg,
                 void (*add)(void *arg, const char *object, const char *text, const char *remedy));

#endif
