/* Requests: what somebody wants to be done, and what others have to approve before it is.
 *
 * Every way in to a managed certificate asks request_gate() once it knows what would be done, and before anything is written.  What
 * policy allows goes on; what it forbids fails; what it wants approved becomes a request instead of the change, in the same
 * transaction.  With the last approval the same function runs again, in the transaction of that approval, with the rights that
 * whoever asked has then: so there is one way in which a thing is done, and policy is asked each time.
 *
 *     waiting → done | failed | refused | withdrawn | expired
 *
 * Who asks without the permission for the thing itself (request.create alone) always waits for an approval: docs/REQUESTS.md. */
#ifndef CORE_REQUEST_H
#define CORE_REQUEST_H

#include "base/json.h"
#include "core/access.h"
#include "core/managed.h"
#include "core/policy.h"
#include "store/queries.h"

#define REQUEST_LIVES_S     (14 * 86400)
#define REQUEST_LIVES_MIN_S 300
#define REQUEST_LIVES_MAX_S (90 * 86400)

/* --- for the ways in */

/* What would be done. */
struct request_wanted {
    const char *kind;          /* a row of core/request_kind.c */
    struct policy_asked asked; /* its `managed` is what the request is about */
    const char *name;          /* of that, for people */
    struct bytes payload;      /* JSON that says all of it, the same each time: what approvals are for */
    bool renews;               /* it is a renewal as well: policy is asked about that too, and both have to be met */
    bool cannot_wait;          /* on this way in nothing can wait: it fails instead */
    const struct policy_verdict *says; /* what has to be approved, whatever policy says; NULL: policy is asked */
};

/* request_gate returns RC_OK where it is to be done now.  E_POLICY: forbidden, or it cannot wait.  E_PENDING: a request was written
 * instead (or is there already): nothing else is to be written, and the transaction is to commit. */
RC request_gate(struct ctx *ctx, struct core *core, struct txn *txn, const struct request_wanted *w);
/* request_write is store_write() for closures that pass a gate: E_PENDING commits, and ctx->pending names the request then. */
RC request_write(struct ctx *ctx, struct store *store, store_fn *fn, void *arg);
/* request_verdict is what policy says to it, where nobody was asked yet: for dry runs of many. */
RC request_verdict(struct ctx *ctx, struct core *core, struct txn *txn, const struct request_wanted *w, struct policy_verdict *out);
/* request_says asks policy what the gate would, for a dry run; one line for people, NULL where policy says nothing. */
RC request_says(struct ctx *ctx, struct core *core, struct txn *txn, const struct policy_asked *asked, const char **out);

/* --- kinds: a row of the table adds one */

/* What is done for a request.  Exactly one of `in` (now, as it was asked) and `payload` (later) says what. */
struct request_work {
    const char *team;   /* id */
    const char *object; /* id; NULL: there is none yet */
    const void *in;     /* of the kind's own: struct managed_input, struct request_revocation; NULL */
    const json_t *payload;
    const char *result; /* what it led to: the id that is shown.  Filled by perform() where it is not the object */
};
struct request_kind {
    const char *kind;
    const char *permission; /* to do it without asking */
    bool about;             /* it is about a managed certificate that is there */
    const char *approval;   /* permission to approve it; NULL: request.approve.  Where it is stated the admin socket is nobody */
    /* Does it, by way of request_gate(); in a transaction, and possibly twice.  E_PENDING is passed on. */
    struct rc (*perform)(struct ctx *ctx, struct core *core, struct txn *txn, struct request_work *w);
};
const struct request_kind *request_kind_of(const char *kind);

struct request_revocation {
    int64_t version, code; /* version 0: the current one; of "rollback", which takes no more than it: the one before */
    enum revocation_when when;
};

/* --- asking */

struct request_input {
    const char *kind, *object; /* object: id or name */
    const char *team;          /* where there is no object; NULL: the caller's */
    const void *in;            /* as struct request_work has it; NULL where the kind takes nothing */
    const char *comment;
    bool approval;   /* have it approved although policy does not want that */
    int64_t lives_s; /* 0: REQUEST_LIVES_S */
};
/* request_ask does what policy allows at once (the request is done then), and has the rest wait.  The same request by the time it
 * waits is the same row. */
RC request_ask(struct ctx *ctx, struct core *core, const struct request_input *in, const char **id);
/* request_edit replaces what is wanted, by who asked: approvals of what it was are void. */
RC request_edit(struct ctx *ctx, struct core *core, const char *id, const struct request_input *in);
RC request_withdraw(struct ctx *ctx, struct core *core, const char *id, const char *comment);
/* request_drop withdraws one that waits, of what asked for it (a campaign) and needs it no more; `*dropped` is false where it does
 * not wait, or somebody else asked for the same. */
RC request_drop(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const char *words, bool *dropped);

/* --- deciding */

struct request_decision {
    const char *comment;
    struct bytes hash;        /* of what was seen; empty only for a refusal */
    const char *on_behalf_of; /* name of an account; NULL: oneself, else whom one stands for */
};
/* request_approve adds an approval and does what is wanted where it was the last: E_CHANGED when it was edited since, or means
 * something else by now (a profile was changed): then it waits for approvals of what it is now. */
RC request_approve(struct ctx *ctx, struct core *core, const char *id, const struct request_decision *d);
RC request_refuse(struct ctx *ctx, struct core *core, const char *id, const struct request_decision *d);
RC request_comment(struct ctx *ctx, struct core *core, const char *id, const char *comment);
/* request_due is the timer `request`: reminders, and the end of what nobody decided. */
RC request_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id);
/* request_expire forgets what was decided two years ago, in slices. */
RC request_expire(struct ctx *ctx, struct txn *txn, bool *more);

/* --- standing in for each other */
RC request_delegate(struct ctx *ctx, struct core *core, const char *to, int64_t until); /* until 0: no more */
struct request_delegations {
    struct q_delegations_to_row *to, *from; /* who stands for me; whom I stand for */
    size_t to_n, from_n;
};
RC request_delegations(struct ctx *ctx, struct core *core, struct request_delegations *out);

/* --- looking */

struct request_view {
    struct q_request_by_id_row row;
    struct q_request_said_of_row *said;
    size_t said_n;
    int64_t standing;          /* approvals that count now */
    struct str_list approvers; /* names of who may approve still */
    bool mine, my_turn;
};
enum request_whose { REQUESTS_ALL, REQUESTS_MINE, REQUESTS_MY_TURN };
RC request_show(struct ctx *ctx, struct core *core, const char *id, struct request_view *out);
/* request_list gives those before `before` (an id, "" for the first page), the newest first; of my turn there is one page. */
RC request_list(struct ctx *ctx, struct core *core, enum request_whose whose, const char *state, const char *before, int64_t limit,
                struct q_request_by_id_row **rows, size_t *n);

/* --- shared by request.c, request_decide.c and request_show.c */

/* What is done is asked for, or was approved; travels in the principal while it is done. */
enum request_mode { REQUEST_ASKS, REQUEST_EDITS, REQUEST_PERFORMS };
struct request_pass {
    enum request_mode mode;
    const char *id;         /* of the request */
    const char *permission; /* that request.create stands for; NULL: it is held */
    int64_t minimum;        /* approvals at least */
    const char *comment;
    int64_t lives_s;
    const struct once *once;               /* of who asks */
    const char *approved_by;               /* names; NULL: nobody had to */
    const struct q_request_by_id_row *row; /* EDITS, PERFORMS */
    /* What the gate saw. */
    bool asked, changed;
    struct request_wanted wanted;
    struct policy_verdict verdict;
    struct bytes hash;
    int64_t needs;
};

/* request_stands_for gives the permission that is asked for instead of `action`, while something is done that was asked for. */
const char *request_stands_for(const struct principal *p, const char *action);
/* request_noted adds to the detail of an audit entry who approved what it speaks of. */
struct bytes request_noted(struct ctx *ctx, const struct request_pass *pass, struct bytes detail);

/* request_find finds one that the principal may see: of their teams, their own, or of whom they stand for.  E_NOT_FOUND. */
RC request_find(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, struct q_request_by_id_row *out);
/* request_person says which person the principal is: "" for who is none (service accounts, tokens of nobody). */
RC request_person(struct ctx *ctx, struct txn *txn, const char **person, const char **name);
/* request_maker says which person is behind the principal: itself, or who made the token; "" where that is not known. */
RC request_maker(struct ctx *ctx, struct txn *txn, const char **person);
bool request_is_mine(const struct ctx *ctx, const struct q_request_by_id_row *r);
/* request_stands says whether a person may approve a request now: the permission in its team, and the role where one is asked
 * for. */
RC request_stands(struct ctx *ctx, struct core *core, struct txn *txn, const char *person, const struct q_request_by_id_row *r,
                  const char *role, bool *out);
/* request_count counts the approvals of a request whose givers may approve now, for `role`.  With `by` (their names) it decides:
 * the others are void from now on. */
RC request_count(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_request_by_id_row *r, const char *role,
                 int64_t *n, const char **by);
/* request_for finds for whom the principal may approve: E_FORBIDDEN and E_CONFLICT say why for nobody. */
struct request_counts {
    const char *person, *counts_for, *counts_name;
};
RC request_for(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_request_by_id_row *r, const char *on_behalf_of,
               struct request_counts *out);
/* request_run performs a request's kind as `who`. */
RC request_run(struct ctx *ctx, struct core *core, struct txn *txn, const struct principal *who, const struct request_kind *kind,
               struct request_pass *pass, struct request_work *work);
/* request_end_write ends it, with its audit entry and timer, and wakes who waits. */
RC request_end_write(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_request_by_id_row *r, const char *state,
                     const char *action, const char *result, struct rc why, const char *words);

#endif
