/* Renewals that are due by themselves and that policy holds back. */
#ifndef CORE_POLICY_HOLD_H
#define CORE_POLICY_HOLD_H

#include "core/core.h"
#include "store/queries.h"

/* policy_hold_look says whether a version that is needed is one that policy holds back: a renewal that is due, and nothing more.
 * Then it is noted, and the timer "renew" looks again when it may go on. */
RC policy_hold_look(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, bool *held);
/* policy_hold_words says why it is held back and until when; NULL where it is not. */
RC policy_hold_words(struct ctx *ctx, struct txn *txn, const char *managed, const char **words);
/* policy_hold_troubles adds the certificates that end because a rule forbids their renewal, as core/status.h shows them. */
RC policy_hold_troubles(struct ctx *ctx, struct txn *txn, int64_t most, void *arg,
                        void (*add)(void *arg, const char *object, const char *text, const char *remedy));

#endif
