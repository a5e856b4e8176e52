/* What a rule says: when it opens an alert, when it closes it, whom it tells and what it does.  Read from RuleSpec of the API; pure
 * functions but for the zones of quiet hours (core/window.h). */
#ifndef CORE_RULE_SPEC_H
#define CORE_RULE_SPEC_H

#include "api/types.h"
#include "core/findings.h"
#include "core/permission.h"
#include "core/window.h"

#define RULE_SPEC_MAX    65536 /* bytes of one as JSON */
#define RULE_EVERY_S     3600  /* a condition is looked at so often where it does not say */
#define RULE_SPAN_MAX_S  (366 * 86400)
#define RULE_LIMIT_USUAL 20

enum rule_step_kind { RULE_NOTIFY, RULE_WAIT, RULE_ACT, RULE_RUN };
#define RULE_COMMAND "rule-" /* how names of commands of agent.yaml begin that rules may start */

struct rule_step {
    enum rule_step_kind kind;
    const char *notify; /* "team", "owner", an address (with '@'), or the name of a channel */
    int64_t wait_s;
    const char *action; /* renew, retry, pause, resume, revoke, tag, untag, adopt, request */
    struct str_list tags;
    const char *issuer; /* adopt, request; NULL: as it comes */
    const char *run, *agent; /* a command of that agent's agent.yaml */
    bool although_acknowledged; /* it is done also where somebody has acknowledged the alert */
};

struct rule_spec {
    struct str_list on, closes;
    int64_t times, within_s; /* within_s 0: since it was well last */
    const char *where;       /* NULL: it waits for events */
    int64_t every_s;
    int severity;            /* enum check_severity; -1: that of the event */
    struct rule_step *steps; /* at least one */
    size_t steps_n;
    struct window *quiet;
    size_t quiet_n;
    int64_t digest_s; /* 0: each at once */
    int64_t limit;
};

/* rule_spec_of reads and checks one: E_INVALID at the field below /spec. */
RC rule_spec_of(struct ctx *ctx, const struct api_rule_spec *in, struct rule_spec *out);
/* rule_spec_read is the same of JSON that was kept; rule_spec_json writes what is kept. */
RC rule_spec_read(struct ctx *ctx, const char *json, struct rule_spec *out);
RC rule_spec_json(struct ctx *ctx, const struct api_rule_spec *in, const char **out);
/* rule_spec_api gives one that was kept as the API has it. */
RC rule_spec_api(struct ctx *ctx, const char *json, struct api_rule_spec *out);

bool rule_opens(const struct rule_spec *s, const char *event);
bool rule_closes(const struct rule_spec *s, const char *event);
/* rule_step_writes: it tells an address, whoever reads there. */
bool rule_step_writes(const struct rule_step *step);
/* rule_needs gives what somebody must be allowed who makes such a rule. */
struct permission_set rule_needs(const struct rule_spec *s);

/* rule_tells_at says when something of a severity is told that comes at `now`: now, or after quiet hours, with the next digest. */
int64_t rule_tells_at(const struct rule_spec *s, enum check_severity severity, int64_t now);
/* rule_quiet_until is the end of the quiet hours that `at` lies in; `at` where it lies in none. */
int64_t rule_quiet_until(const struct rule_spec *s, int64_t at);

/* rule_step_words says what a step does, for people. */
const char *rule_step_words(struct ctx *ctx, const struct rule_step *step);

#endif
