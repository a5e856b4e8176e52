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
    int64_t at;    /* when it happened; 0: now */
    bool counting; /* it did not happen often enough yet */
};
RC alert_begin(struct ctx *ctx, struct txn *txn, const struct rule_live *rule, const struct alert_new *a);
/* alert_end closes one, since what it was about is over, and tells those that were told of it.  `rule` NULL: it is gone. */
RC alert_end(struct ctx *ctx, struct core *core, struct txn *txn, struct rule_live *rule, const struct q_alert_by_id_row *a);

/* What an action of a step is done to, and what came of it (core/alert_act.c). */
struct alert_deed {
    const struct q_alert_by_id_row *alert;
    const struct rule_live *rule;
    const struct rule_step *step;
    const char *managed; /* id; NULL: it is of none */
    const char *print;   /* fingerprint; NULL: it is no certificate */
    int64_t later_s;     /* not done yet: it is looked at again then */
    const char *trouble; /* why it did not work */
    const char *halts;   /* why the rule may not act any more */
    const char *note;    /* for people: what waits for them */
};
/* alert_act does it in the rule's name, outside of a transaction; false: it is tried again, for there is no room now. */
bool alert_act(struct ctx *ctx, struct core *core, struct alert_deed *deed);

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
