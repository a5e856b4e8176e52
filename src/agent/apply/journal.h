/* The journal of a target: state_dir/targets/TARGET, one JSON line a step.  The last line is where the target stands; a line that
 * a kill has torn was never acknowledged and does not count.
 *
 * Everything a deployment needs to be finished or undone is in it: the line `staged` says what is to be written, and where, with
 * the agent's plan; the line `saved` what was there before.  Both hold private keys, so the file is 0600, and after the line that
 * ends a deployment all before it are overwritten: nothing is left of the keys.  One file a target, written in place, keeps a
 * deployment to a few syncs and makes no work for the file system. */
#ifndef AGENT_APPLY_JOURNAL_H
#define AGENT_APPLY_JOURNAL_H

#include "agent/agent_config.h"
#include "base/json.h"

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

struct journal {
    const char *path;
    struct journal_entry last;
    json_t *stage, *saved; /* what the lines "staged" (or the last of a finished deployment) and "saved" carry; NULL: nothing */
    bool exists;
};

const char *target_step_name(enum target_step step); /* "" for TARGET_NEW */
enum target_step target_step_by_name(const char *name); /* TARGET_STEPS where it is none */
/* Whether a deployment stands in the middle and must be finished or undone. */
bool target_step_unfinished(enum target_step step);

/* journal_read reads all that counts; TARGET_NEW where there is no journal.  journal_free forgets it (NULL members are fine). */
RC journal_read(struct ctx *ctx, const char *path, struct journal *out);
void journal_free(struct journal *j);

/* journal_append adds j->last as a line; `carries` (an object; empty: nothing) is its member of the name `member`.  Durable when
 * it returns, but where `lazy`: what a power failure may take back without harm.  After a line whose step ends a deployment the
 * lines before it are overwritten. */
RC journal_append(struct ctx *ctx, const struct journal *j, const char *member, struct bytes carries, bool lazy);

#endif
