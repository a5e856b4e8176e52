/* What people do with alerts. */
#include "base/str.h"
#include "core/access.h"
#include "core/alert_own.h"
#include "core/audit.h"

/* By their place in enum alert_verb. */
static const struct {
    const char *action, *state;
} verbs[] = {
    [ALERT_ACKNOWLEDGE] = {"alert.acknowledge", "acknowledged"},
    [ALERT_SNOOZE] = {"alert.snooze", "snoozed"},
    [ALERT_CLOSE] = {"alert.close", "closed"},
    [ALERT_REOPEN] = {"alert.reopen", "open"},
};

struct change {
    struct core *core;
    const char *id;
    const struct alert_act *act;
    struct q_alert_list_row *row;
};

static struct rc find(struct ctx *ctx, struct txn *txn, const char *id, struct q_alert_list_row *out)
{
    bool found = false;
    TRY(q_alert_get(ctx, txn, id, access_scope(ctx), out, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "there is no alert %s; certwright alert list shows them", id);
}

/* Another one of the rule and the object may be there since. */
static struct rc is_alone(struct ctx *ctx, struct txn *txn, const struct q_alert_list_row *row)
{
    struct q_alert_by_id_row other;
    bool found = false;
    TRY(q_alert_of(ctx, txn, row->rule_id, row->object_kind, row->object_id, &other, &found));
    return found && !str_equal(other.id, row->id)
               ? ctx_fail(ctx, E_CONFLICT, "it happened again since: %s is about the same", other.id)
               : RC_OK;
}

static struct rc change(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct change *c = arg;
    const struct alert_act *act = c->act;
    const char *reason = act->reason ? act->reason : "";
    struct q_alert_list_row row;
    const int64_t now = ctx_now_s(ctx), until = now + act->for_s;
    TRY(find(ctx, txn, c->id, &row));
    TRY(decide(ctx, c->core, txn, "alert.update", row.team_id));
    const bool closed = str_equal(row.state, "closed");
    if (closed && act->verb != ALERT_REOPEN)
        return ctx_fail(ctx, E_CONFLICT, "it is closed");
    if (act->verb == ALERT_REOPEN && str_equal(row.state, "open"))
        return ctx_fail(ctx, E_CONFLICT, "it is open");
    if (closed)
        TRY(is_alone(ctx, txn, &row));
    struct q_alert_state_in in = {
        .id = row.id, .state = verbs[act->verb].state, .acted_by = ctx->principal->name, .reason = reason};
    switch (act->verb) {
    case ALERT_ACKNOWLEDGE: /* steps that wait look at the state when they are due */
        in.due_at = row.due_at;
        break;
    case ALERT_SNOOZE:
        in.due_at = in.until_at = &until;
        break;
    case ALERT_CLOSE:
        in.closed_at = &now;
        break;
    case ALERT_REOPEN: /* goes on where it stood */
        in.due_at = &now;
        break;
    }
    if (act->verb != ALERT_REOPEN) { /* who acts knows of it */
        struct q_alert_held_take_row *held = NULL;
        size_t n = 0;
        TRY(q_alert_held_take(ctx, txn, row.id, &held, &n));
    }
    TRY(q_alert_state(ctx, txn, &in));
    return audit_write(ctx, txn, verbs[act->verb].action, "alert", row.id, row.team_id,
                       audit_facts(ctx, "rule", row.rule_name, "object_kind", row.object_kind, "object", row.object_name, "before",
                                   row.state, "after", in.state, "reason", act->reason, "for_s:",
                                   act->verb == ALERT_SNOOZE ? audit_number(ctx, act->for_s) : NULL, NULL));
}

RC alert_do(struct ctx *ctx, struct core *core, const char *id, const struct alert_act *act)
{
    struct change c = {.core = core, .id = id, .act = act};
    return store_write(ctx, core->store, change, &c);
}

static struct rc get(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct change *c = arg;
    return find(ctx, txn, c->id, c->row);
}

RC alert_get(struct ctx *ctx, struct core *core, const char *id, struct q_alert_list_row *out)
{
    struct change c = {.core = core, .id = id, .row = out};
    return store_read(ctx, core->store, get, &c);
}

struct listing {
    const char *before, *state, *object;
    int64_t limit;
    struct q_alert_list_row *rows;
    size_t n;
};

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct listing *l = arg;
    const char *before = *l->before ? l->before : "~"; /* behind every id */
    if (str_equal(l->state, ALERT_NOT_CLOSED))
        return q_alert_list_open(ctx, txn, access_scope(ctx), before, l->object, l->limit, &l->rows, &l->n);
    const struct q_alert_list_in in = {.scope = access_scope(ctx),
                                       .before = before,
                                       .state = str_equal(l->state, ALERT_ALL) ? "" : l->state,
                                       .object = l->object,
                                       .limit = l->limit};
    return q_alert_list(ctx, txn, &in, &l->rows, &l->n);
}

RC alert_list(struct ctx *ctx, struct core *core, const char *before, const char *state, const char *object, int64_t limit,
              struct q_alert_list_row **rows, size_t *n)
{
    struct listing l = {.before = before ? before : "", .state = state, .object = object ? object : "", .limit = limit};
    TRY(store_read(ctx, core->store, list, &l));
    *rows = l.rows;
    *n = l.n;
    return RC_OK;
}
