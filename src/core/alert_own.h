/* What the files of alerts share. */
#ifndef CORE_ALERT_OWN_H
#define CORE_ALERT_OWN_H

#include "core/alert.h"
#include "core/event.h"
#include "core/rule_spec.h"
#include "pki/cert_read.h"

/* A rule with what it says; `hour` and `sent` change as it tells. */
struct rule_live {
    const char *id, *team, *name;
    struct rule_spec spec;
    int64_t hour, sent;
};
/* rule_live_read finds one that is enabled.  `*found` false also where what it says cannot be read any more (the log tells). */
RC rule_live_read(struct ctx *ctx, struct txn *txn, const char *id, struct rule_live *out, bool *found);

/* alert_events reads entries of the log between two places, with what they are about as alerts know it. */
RC alert_events(struct ctx *ctx, struct core *core, struct txn *txn, int64_t from, int64_t to, struct q_rule_events_row **rows,
                size_t *n);

/* alert_begin opens an alert; its first step is due at once. */
struct alert_new {
    const char *object_kind, *object_id, *object_name, *team;
    const char *event, *words, *why; /* event "": a condition */
    enum check_severity severity;
    int64_t number, count, pass;
    bool counting; /* it did not happen often enough yet */
};
RC alert_begin(struct ctx *ctx, struct txn *txn, const struct rule_live *rule, const struct alert_new *a);
/* alert_end closes one, since what it was about is over, and tells those that were told of it.  `rule` NULL: it is gone. */
RC alert_end(struct ctx *ctx, struct core *core, struct txn *txn, struct rule_live *rule, const struct q_alert_by_id_row *a);

/* Numbers of steps a round, of what is told: more than a rule may have. */
#define ALERT_ROUND 100
/* alert_tell tells what a step says, now or later. */
RC alert_tell(struct ctx *ctx, struct core *core, struct txn *txn, struct rule_live *rule, const struct q_alert_by_id_row *a,
              size_t step, const char *state);

/* alert_why finds the words for what happened in the detail of an entry; "". */
const char *alert_why(struct ctx *ctx, const char *detail);

/* alert_certificate_name is the first name of a certificate, else its subject. */
const char *alert_certificate_name(struct ctx *ctx, const struct cert_fields *cert);
#define ALERT_CONDITION_WORDS "is what the rule looks for"

/* The parts of alert_tick. */
RC alert_walk(struct ctx *ctx, struct core *core, bool *more);      /* steps that are due */
RC alert_tell_held(struct ctx *ctx, struct core *core, bool *more); /* what had to wait */
RC alert_look(struct ctx *ctx, struct core *core, bool *more);      /* conditions */

#endif
