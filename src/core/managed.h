/* Managed certificates: the wish that names always have a valid certificate. */
#ifndef CORE_MANAGED_H
#define CORE_MANAGED_H

#include "api/types.h"
#include "core/core.h"
#include "core/revocation.h"
#include "core/wish.h"
#include "store/queries.h"

/* After this many refusals in a row (errors that trying again does not mend) it is paused with the reason. */
#define MANAGED_REFUSALS_MAX 5

/* managed_reconcile does what the wish needs and nothing else: an attempt where there is no version for it or renewal is due,
 * deployments where a target does not have the current version.  Called after every change and by the timers. */
RC managed_reconcile(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const char *reason, bool renew_now);

/* managed_note_failure counts a failed attempt and sets when the next one is due, or pauses. */
RC managed_note_failure(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, enum err e, const char *why,
                        int64_t retry_after_s);
/* managed_note_success forgets failures once nothing is under way and everything is where it should be. */
RC managed_note_success(struct ctx *ctx, struct core *core, struct txn *txn, const char *id);

/* --- what the API offers.  Each decides, changes, audits; `ref` is an id or a name.  Where policy wants it approved first, what is
 * new, changed, renewed or revoked becomes a request (core/request.h): E_PENDING. */

/* A new managed certificate.  Targets are named by id, name, or connector ("nginx": the one target of that connector that answers
 * to the first name).  E_EXISTS names the one that is there. */
struct managed_input {
    const char *name;        /* NULL: the first of the names */
    const char *team;        /* NULL: the caller's */
    struct wish wish;        /* usage and validity are filled from the profile */
    bool has_revision;       /* update: If-Match */
    int64_t revision;
};
RC managed_create(struct ctx *ctx, struct core *core, const struct managed_input *in, const char **id);
/* managed_add is the same in a transaction; with `paused` (a reason) nothing begins before it is resumed. */
RC managed_add(struct ctx *ctx, struct core *core, struct txn *txn, const struct managed_input *in, const char *paused,
               const char **id);
/* managed_update replaces the wish.  E_CHANGED when the revision is no longer the one seen. */
RC managed_update(struct ctx *ctx, struct core *core, const char *ref, const struct managed_input *in);
RC managed_remove(struct ctx *ctx, struct core *core, const char *ref);
/* managed_drop is what managed_remove does, of the hub's own accord and in a transaction. */
RC managed_drop(struct ctx *ctx, struct core *core, struct txn *txn, const char *id);
RC managed_renew(struct ctx *ctx, struct core *core, const char *ref);     /* now, whatever the schedule */
RC managed_retry(struct ctx *ctx, struct core *core, const char *ref);     /* now, without waiting for the backoff */
RC managed_now(struct ctx *ctx, struct core *core, const char *ref);       /* what waits for a maintenance window */
RC managed_pause(struct ctx *ctx, struct core *core, const char *ref, const char *reason);
RC managed_resume(struct ctx *ctx, struct core *core, const char *ref);
/* managed_rollback makes an earlier version the current one again; 0: the one before. */
RC managed_rollback(struct ctx *ctx, struct core *core, const char *ref, int64_t version);
/* managed_revoke revokes a version (0: the current one) for an RFC 5280 reason; the current one is replaced, first or at once. */
RC managed_revoke(struct ctx *ctx, struct core *core, const char *ref, int64_t version, int64_t reason, enum revocation_when when);

/* The same in a transaction, for what is done to many (core/campaign.h): decided, policed and audited as if done singly.  `reason`:
 * of a pause, never NULL; `code` and `when`: of a revocation. */
enum managed_act {
    MANAGED_RENEW,
    MANAGED_RETRY,
    MANAGED_NOW,
    MANAGED_FINISH, /* as RETRY, of what policy was asked about when it began */
    MANAGED_PAUSE,
    MANAGED_RESUME,
    MANAGED_REVOKE,
    MANAGED_REMOVE
};
RC managed_act_in(struct ctx *ctx, struct core *core, struct txn *txn, enum managed_act what, const char *ref, const char *reason,
                  int64_t code, enum revocation_when when);
RC managed_update_in(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref, const struct managed_input *in);
RC managed_rollback_in(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref, int64_t version);
RC managed_revoke_in(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref, int64_t version, int64_t reason,
                     enum revocation_when when);

/* A condition, derived, never stored. */
struct condition {
    const char *type;    /* served, served_by_all, untrusted, renewing, deploying, halted, failing, late, paused, instead */
    bool status;
    const char *reason;  /* a sentence */
};

/* A wave of the newest roll-out in waves. */
struct wave_view {
    int64_t number, version;
    const char *state;       /* proved, running, halted, waiting */
    struct str_list targets; /* names */
};

/* Everything that is shown of one. */
struct managed_view {
    const char *id, *name, *team, *team_id;
    struct wish wish;
    const char *paused_reason, *error_code, *error;
    int64_t paused_at, failures, failed_at, revision, created_at, updated_at;
    int64_t version, not_before, not_after, renew_at, next_at; /* 0: none */
    const char *issuer;
    struct bytes fingerprint;
    struct condition conditions[12];
    size_t conditions_n;
    struct wave_view *waves;
    size_t waves_n;
};
RC managed_show(struct ctx *ctx, struct core *core, const char *ref, struct managed_view *out);
/* managed_list gives those after `after` (an id, "" for the first page), at most `limit`. */
RC managed_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct managed_view **out, size_t *n);
/* managed_why answers in one sentence how it stands and what comes next, with the time. */
RC managed_why(struct ctx *ctx, struct core *core, const char *ref, const char **out);
/* managed_plan says what managed_create would do, step by step, and changes nothing. */
struct plan_step {
    const char *what, *detail;
};
RC managed_plan(struct ctx *ctx, struct core *core, const struct managed_input *in, struct plan_step **steps, size_t *n);
/* managed_export gives the PEM of a version (0: the current one): leaf first, then the chain. */
RC managed_export(struct ctx *ctx, struct core *core, const char *ref, int64_t version, const char **pem);

/* --- shared by managed_change.c and plan.c: wish_resolve fills in what a wish takes from its profile and finds what it names;
 * targets_free refuses targets that serve another managed certificate. */
RC wish_resolve(struct ctx *ctx, struct core *core, struct txn *txn, struct wish *w, struct str_list *issuer_ids,
                struct str_list *target_ids);
RC targets_free(struct ctx *ctx, struct txn *txn, const char *managed, const struct str_list *ids);

/* --- for reading in one transaction (used by the above and by status.c) */
RC managed_find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_managed_get_row *out);

#endif
