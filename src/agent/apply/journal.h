/* The journal of a target: state_dir/targets/TARGET/journal, one JSON line a step, each synced before the step is acknowledged.
 * The last line is where the target stands; a line that a kill has torn was never acknowledged and does not count. */
#ifndef AGENT_APPLY_JOURNAL_H
#define AGENT_APPLY_JOURNAL_H

#include "agent/agent_config.h"

/* The life of a generation:
 *     staged → saved → installed → committed
 *                 └────────┴→ undoing → undone → failed
 * A rollback of what is only staged goes straight to undone.  closed: no longer managed. */
enum target_step { TARGET_NEW, TARGET_STAGED, TARGET_SAVED, TARGET_INSTALLED, TARGET_COMMITTED, TARGET_UNDOING, TARGET_UNDONE,
                   TARGET_FAILED, TARGET_CLOSED, TARGET_STEPS };

struct journal_entry {
    enum target_step step;
    const char *deployment; /* "" in a new journal */
    int64_t fence;          /* the highest seen */
    int64_t generation;     /* 0: none yet */
};

const char *target_step_name(enum target_step step); /* "" for TARGET_NEW */
enum target_step target_step_by_name(const char *name); /* TARGET_STEPS where it is none */
/* Whether a deployment stands in the middle and must be finished or undone. */
bool target_step_unfinished(enum target_step step);

/* journal_read returns the last entry; TARGET_NEW where there is no journal. */
RC journal_read(struct ctx *ctx, const char *path, struct journal_entry *out);
RC journal_append(struct ctx *ctx, const char *path, const struct journal_entry *e);

#endif
