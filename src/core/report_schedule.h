/* Reports that are sent by themselves: over a channel (core/notify.h), every so often. */
#ifndef CORE_REPORT_SCHEDULE_H
#define CORE_REPORT_SCHEDULE_H

#include "core/core.h"
#include "store/queries.h"

#define REPORT_EVERY_MIN_S 3600
#define REPORT_EVERY_MAX_S (366 * 86400)

struct report_schedule_input {
    const char *name, *report;
    const char *team;    /* whose numbers; NULL: the caller's */
    const char *channel; /* name or id; NULL: the team's usual ones */
    const char *to;      /* a mail address; NULL: whom the channel writes to */
    int64_t every_s;     /* the first one is sent at once */
};
RC report_schedule_create(struct ctx *ctx, struct core *core, const struct report_schedule_input *in,
                          struct q_report_schedule_list_row *out);
RC report_schedule_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit,
                        struct q_report_schedule_list_row **out, size_t *n);
RC report_schedule_remove(struct ctx *ctx, struct core *core, const char *ref);

/* report_schedule_due sends one: timer "report". */
RC report_schedule_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id);

#endif
