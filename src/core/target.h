/* Targets: where certificates are served (agent, connector, parameters), and agents, tokens and jobs as they are shown. */
#ifndef CORE_TARGET_H
#define CORE_TARGET_H

#include "base/str.h"
#include "core/core.h"
#include "store/queries.h"

/* Lists are kept and shown as JSON text, checked when they come in. */
struct target_input {
    const char *name, *team, *agent;   /* agent by name or id; NULL: the default one.  name NULL: connector and first name */
    const char *connector;
    const char *parameters;            /* JSON object of strings */
    const char *endpoints;             /* JSON list of {address, port, name} */
    const char *names;                 /* JSON list */
    const char *description;
    const char *windows;               /* JSON list (core/window.h); NULL: as it is, or none */
    bool found;
};
struct target_view {
    struct q_target_get_row row;
    struct q_target_managed_by_row *managed_by;
    size_t managed_by_n;
};
RC target_create(struct ctx *ctx, struct core *core, const struct target_input *in, const char **id);
RC target_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct target_input *in);
RC target_remove(struct ctx *ctx, struct core *core, const char *ref);
/* target_leave is target_remove of the hub's own accord and in a transaction; what it serves was dropped before. */
RC target_leave(struct ctx *ctx, struct core *core, struct txn *txn, const char *id);
/* target_forget ends a target without a word to its agent; certificates that it served are served there no more. */
RC target_forget(struct ctx *ctx, struct txn *txn, const char *id);
/* target_settle forgets the failures of a managed certificate where they were of targets that it no longer has: those that are
 * left have the current version, and its newest attempt ended well. */
RC target_settle(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed);
RC target_show(struct ctx *ctx, struct core *core, const char *ref, struct target_view *out);
RC target_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct target_view **out, size_t *n);
/* target_discover asks agents (one by name, or all) to look for what can be served; returns how many were asked. */
RC target_discover(struct ctx *ctx, struct core *core, const char *agent, size_t *asked);
/* target_found takes what an agent found: new ones are offered, known ones brought up to date; nothing is deployed by it. */
RC target_found(struct ctx *ctx, struct core *core, struct txn *txn, const char *agent, const struct target_input *found, size_t n);
/* target_put is target_create in a transaction, without asking whether the caller may; target_at finds what is at a place. */
RC target_put(struct ctx *ctx, struct core *core, struct txn *txn, const struct target_input *in, const char *agent,
              const char *agent_name, const char *team, const char **id);
RC target_at(struct ctx *ctx, struct txn *txn, const char *agent, const char *connector, const char *parameters, const char **id,
             const char **name);
/* target_resolve finds the target that `ref` means for a certificate for `names`: an id, a name, or a connector. */
RC target_resolve(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref, const struct str_list *names,
                  const char **id, const char **name);

#endif
