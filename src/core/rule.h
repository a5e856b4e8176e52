/* Rules: of what there is to be an alert, and whom it is told.  A rule looks at what belongs to its team and the teams within it;
 * it does no more than whoever edited it last may do there (rule_needs in core/rule_spec.h). */
#ifndef CORE_RULE_H
#define CORE_RULE_H

#include "core/core.h"
#include "core/rule_spec.h"
#include "store/queries.h"

#define RULES_MAX      2000 /* of an installation */
#define RULES_TEAM_MAX 200  /* of one team */

/* rule_start makes the built-in rules (core/rules.def) where they are missing, and brings those up to date that nobody
 * edited; they are of `team`. */
RC rule_start(struct ctx *ctx, struct txn *txn, const char *team);

struct rule_input { /* NULL: as it is */
    const char *name, *team;
    const struct api_rule_spec *spec;
    bool has_enabled, enabled;
};
RC rule_create(struct ctx *ctx, struct core *core, const struct rule_input *in, const char **id);
/* rule_update: `revision` 0 is whichever there is. */
RC rule_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct rule_input *in);
/* rule_remove takes it away and closes its alerts; E_CONFLICT for one that is built in. */
RC rule_remove(struct ctx *ctx, struct core *core, const char *ref);
RC rule_get(struct ctx *ctx, struct core *core, const char *ref, struct q_rule_list_row *out);
RC rule_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct q_rule_list_row **rows, size_t *n);

/* --- against the past (core/rule_try.c) */
struct rule_tried_step {
    int64_t at;
    const char *what;
};
struct rule_tried_alert {
    const char *object_kind, *object_id, *object_name, *words, *why;
    enum check_severity severity;
    int64_t opened_at, closed_at, count; /* closed_at 0: it would be open still */
    struct rule_tried_step *steps;
    size_t steps_n;
};
#define RULE_TRIED_MAX 500 /* alerts of a page */
struct rule_tried {
    struct rule_tried_alert *v;
    size_t n;
    int64_t events, last; /* looked at; ask after `last` for the rest */
    bool more;
};
/* rule_try says what a rule, or `spec` in its place, would have opened since a time, and writes nothing.  `after`: `last` of the
 * page before, 0 for the first. */
RC rule_try(struct ctx *ctx, struct core *core, const char *ref, const struct api_rule_spec *spec, int64_t since, int64_t after,
            struct rule_tried *out);

#endif
