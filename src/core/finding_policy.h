/* What people set of the checks: which are on, how severe they are, by which numbers they judge; whose names and issuers are ours,
 * and whom we do not believe.
 *
 * It is kept in the database.  hub.yaml (`findings`) gives the first state, and is taken over again where somebody has changed what
 * it says: whoever spoke last counts.  Each change has a revision and an audit entry.  Where certificates would be judged otherwise
 * by it, everything is looked at again, slice by slice (finding_sweep).  A check that is off is not told of: its findings are kept,
 * and there again when it is on. */
#ifndef CORE_FINDING_POLICY_H
#define CORE_FINDING_POLICY_H

#include "api/types.h"
#include "base/str.h"
#include "core/core.h"
#include "core/findings.h"

struct finding_policy {
    struct str_list domains;     /* ours, with what is below them */
    struct str_list issuers;     /* who may issue for them: O or CN of an issuer's Name, as people write it */
    struct str_list inner_names; /* ends of names that exist only inside, besides those that nobody has */
    struct str_list distrusted;  /* whom we do not believe, besides core/distrust.def: O or CN of a CA */
    int64_t off;                 /* CHECK_BIT()s of checks that are off */
    enum check_severity severity[CHECK_NUMBER_MAX + 1];
    struct finding_limits limits;
    int64_t revision, changed_at; /* 0: nobody has set anything */
    const char *changed_by;       /* NULL: nobody */
};

RC finding_policy_read(struct ctx *ctx, struct txn *txn, struct finding_policy *out);
/* finding_policy_at_least is the bits of all checks that are on, of this severity and above. */
int64_t finding_policy_at_least(const struct finding_policy *policy, enum check_severity severity);
/* finding_policy_words says what a check means, with its numbers. */
const char *finding_policy_words(struct ctx *ctx, const struct finding_policy *policy, const struct check_info *check);
bool finding_policy_is_on(const struct finding_policy *policy, const struct check_info *check);
/* finding_policy_clock_limits: as findings are made by; a check of the clock that is off leaves the time to the one before it. */
struct finding_limits finding_policy_clock_limits(const struct finding_policy *policy);

/* finding_policy_distrusts: the name is of somebody whom we or browsers do not believe, for what was issued from `*from` on. */
bool finding_policy_distrusts(struct ctx *ctx, const struct finding_policy *policy, const struct cert_name *name, int64_t *from);

RC finding_policy_show(struct ctx *ctx, struct core *core, struct finding_policy *out);
/* finding_policy_change: what is not named stays.  `revision` 0: whichever there is. */
RC finding_policy_change(struct ctx *ctx, struct core *core, int64_t revision, const struct api_finding_rules_patch *in);
/* finding_policy_take takes over what hub.yaml says, where that is something new. */
struct finding_settings;
RC finding_policy_take(struct ctx *ctx, struct core *core, struct txn *txn, const struct finding_settings *settings);

#endif
