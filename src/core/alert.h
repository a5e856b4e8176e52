/* Alerts: what a rule has to say of an object now.  There is one of a rule and an object at a time, with a count, however often it
 * happens; it closes by itself when what it is about is over.
 *
 * alert_tick, of the scheduler's thread, takes what is new in the log (core/audit_log.h) in its order and moves on in the same
 * transaction: after a crash nothing was left out, and nothing is done twice.  What is said goes out by core/notify.h. */
#ifndef CORE_ALERT_H
#define CORE_ALERT_H

#include "core/core.h"
#include "store/queries.h"

/* alert_tick opens and closes alerts, does steps that are due, and tells what had to wait; `more` where there is more to do at
 * once.  What is wrong with one rule keeps nothing else from being done. */
RC alert_tick(struct ctx *ctx, struct core *core, bool *more);

/* alert_program_ended takes how a program ended that a step started: one that failed is noted. */
struct checked_result;
RC alert_program_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r);

#define ALERT_NOT_CLOSED "not_closed"
#define ALERT_ALL        "all"
/* alert_list gives a page, newest first, of alerts within the caller's teams, before an id ("" for the first page).  `state`: open,
 * acknowledged, snoozed, closed, or the two above; `object`: id or name, "" for any. */
RC alert_list(struct ctx *ctx, struct core *core, const char *before, const char *state, const char *object, int64_t limit,
              struct q_alert_list_row **rows, size_t *n);
RC alert_get(struct ctx *ctx, struct core *core, const char *id, struct q_alert_list_row *out);

/* What somebody does with one; each is audited.  E_CONFLICT where its state does not allow it. */
enum alert_verb { ALERT_ACKNOWLEDGE, ALERT_SNOOZE, ALERT_CLOSE, ALERT_REOPEN };
struct alert_act {
    enum alert_verb verb;
    const char *reason; /* NULL: not told */
    int64_t for_s;      /* SNOOZE */
};
RC alert_do(struct ctx *ctx, struct core *core, const char *id, const struct alert_act *act);

/* alert_waiting counts alerts that nobody has taken up, within the caller's teams: at most ALERT_COUNT_MAX. */
#define ALERT_COUNT_MAX 1001
RC alert_waiting(struct ctx *ctx, struct txn *txn, int64_t *n);

/* Retention: of closed ones. */
RC alert_retention(struct ctx *ctx, struct txn *txn, bool *more);

#endif
