/* A rule against the past: the same log, the same matching, and nothing is written. */
#include "base/encode.h"
#include "base/str.h"
#include "core/access.h"
#include "core/alert_own.h"
#include "core/ask.h"
#include "core/rule.h"

#define CHUNK     500
#define LOOKS     10000 /* entries of the log a page */
#define STEPS_MAX 40

struct trying {
    struct core *core;
    const char *ref;
    const struct api_rule_spec *given;
    struct rule_spec spec;
    int64_t since, after;
    struct rule_tried *out;
    const char *team;
    size_t all;                  /* in out->v, also those that happened too seldom yet */
    int64_t *first_at;           /* of each: when counting began */
};

/* The log is in the order of time, but for moments: the first entry that is not older. */
static struct rc place_of(struct ctx *ctx, struct txn *txn, int64_t from, int64_t to, int64_t since, int64_t *out)
{
    while (from < to) {
        const int64_t middle = from + (to - from) / 2;
        struct q_rule_event_at_row row;
        bool found = false;
        TRY(q_rule_event_at(ctx, txn, middle, &row, &found));
        if (found && row.at >= since)
            to = middle;
        else
            from = middle + 1;
    }
    *out = from;
    return RC_OK;
}

static struct rule_tried_alert *open_of(struct trying *t, const struct q_rule_events_row *e, size_t *at)
{
    for (size_t i = t->all; i-- > 0;) {
        struct rule_tried_alert *a = &t->out->v[i];
        if (!a->closed_at && str_equal(a->object_id, e->object_id) && str_equal(a->object_kind, e->object_kind)) {
            *at = i;
            return a;
        }
    }
    return NULL;
}

static void happened(struct ctx *ctx, struct trying *t, const struct q_rule_events_row *e, const struct event_kind *kind)
{
    size_t at = 0;
    struct rule_tried_alert *a = open_of(t, e, &at);
    if (a && t->spec.within_s && a->count < t->spec.times && e->at - t->first_at[at] > t->spec.within_s) {
        a->count = 0;
        t->first_at[at] = e->at;
    }
    if (!a) {
        a = &t->out->v[t->all];
        t->first_at[t->all++] = e->at;
        *a = (struct rule_tried_alert){.object_kind = e->object_kind,
                                       .object_id = e->object_id,
                                       .object_name = e->name ? e->name : e->object_id};
    }
    const enum check_severity severity = t->spec.severity >= 0 ? (enum check_severity)t->spec.severity : kind->severity;
    a->severity = severity > a->severity ? severity : a->severity;
    a->words = kind->words;
    a->why = alert_why(ctx, e->detail);
    if (++a->count == t->spec.times)
        a->opened_at = e->at;
}

static struct rc take(struct ctx *ctx, struct txn *txn, struct trying *t, const struct q_rule_events_row *e)
{
    const struct event_kind *kind = event_kind_of(e->action);
    struct q_team_is_within_row w;
    bool mine = str_equal(e->team_id, t->team);
    size_t at = 0;
    t->out->events += kind != NULL;
    if (!kind || (!rule_opens(&t->spec, e->action) && !rule_closes(&t->spec, e->action)))
        return RC_OK;
    if (!mine)
        TRY(q_team_is_within(ctx, txn, e->team_id, t->team, &w, &mine));
    if (!mine)
        return RC_OK;
    if (rule_opens(&t->spec, e->action)) {
        happened(ctx, t, e, kind);
        return RC_OK;
    }
    struct rule_tried_alert *a = open_of(t, e, &at);
    if (a)
        a->closed_at = e->at;
    return RC_OK;
}

static struct rc log_read(struct ctx *ctx, struct txn *txn, struct trying *t)
{
    struct q_audit_tree_row tree;
    TRY(q_audit_tree(ctx, txn, &tree));
    int64_t at = t->after;
    if (!at)
        TRY(place_of(ctx, txn, tree.kept_from, tree.size, t->since, &at));
    if (at < tree.kept_from)
        at = tree.kept_from;
    const int64_t end = at + LOOKS < tree.size ? at + LOOKS : tree.size;
    while (at < end && t->all < RULE_TRIED_MAX) {
        struct q_rule_events_row *rows = NULL;
        size_t n = 0;
        const int64_t to = at + CHUNK < end ? at + CHUNK : end;
        TRY(alert_events(ctx, t->core, txn, at, to, &rows, &n));
        at = to;
        for (size_t i = 0; i < n; i++) {
            TRY(take(ctx, txn, t, &rows[i]));
            if (t->all == RULE_TRIED_MAX) {
                at = rows[i].leaf + 1;
                break;
            }
        }
    }
    t->out->last = at;
    t->out->more = at < tree.size;
    return RC_OK;
}

/* A condition has no past: what passes it now. */
static struct rc condition_read(struct ctx *ctx, struct txn *txn, struct trying *t)
{
    const struct principal *was = ctx->principal;
    struct principal seer = *was;
    const struct ask ask = {.where = t->spec.where, .limit = RULE_TRIED_MAX};
    struct ask_page page;
    seer.team = t->team;
    ctx->principal = &seer;
    struct rc rc = ask_page(ctx, t->core, txn, &ask, &page);
    ctx->principal = was;
    TRY(rc);
    for (size_t i = 0; i < page.n; i++)
        t->out->v[t->all++] = (struct rule_tried_alert){.object_kind = "certificate",
                                                        .object_id = hex_str(&ctx->arena, page.rows[i].row->fingerprint),
                                                        .object_name = alert_certificate_name(ctx, &page.rows[i].cert),
                                                        .words = ALERT_CONDITION_WORDS,
                                                        .why = t->spec.where,
                                                        .severity = (enum check_severity)t->spec.severity,
                                                        .opened_at = ctx_now_s(ctx),
                                                        .count = 1};
    t->out->more = page.next != NULL;
    return RC_OK;
}

static void step_add(struct rule_tried_alert *a, int64_t at, const char *what)
{
    if (a->steps_n < STEPS_MAX)
        a->steps[a->steps_n++] = (struct rule_tried_step){at, what};
}

/* What would have been done where nobody had acted. */
static void steps_of(struct ctx *ctx, const struct rule_spec *s, struct rule_tried_alert *a)
{
    int64_t at = a->opened_at;
    a->steps = arena_array(&ctx->arena, STEPS_MAX, sizeof *a->steps);
    for (size_t i = 0; i < s->steps_n && (!a->closed_at || at <= a->closed_at); i++) {
        const struct rule_step *step = &s->steps[i];
        if (step->kind == RULE_WAIT) {
            at += step->wait_s;
            continue;
        }
        const int64_t tells = step->kind == RULE_NOTIFY ? rule_tells_at(s, a->severity, at) : at;
        if (a->closed_at && tells > a->closed_at) /* it was over before */
            continue;
        step_add(a, tells, rule_step_words(ctx, step));
        if (a->closed_at && step->kind == RULE_NOTIFY)
            step_add(a, rule_tells_at(s, a->severity, a->closed_at),
                     arena_printf(&ctx->arena, "%s that it is over", rule_step_words(ctx, step)));
    }
}

static struct rc read_all(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct trying *t = arg;
    struct q_rule_list_row row;
    bool found = false;
    TRY(q_rule_get(ctx, txn, t->ref, access_scope(ctx), &row, &found));
    if (!found)
        return ctx_fail(ctx, E_NOT_FOUND, "no rule is named %s; certwright rule list shows them", t->ref);
    if (!t->given)
        TRY(rule_spec_read(ctx, row.spec, &t->spec));
    t->team = row.team_id;
    t->all = 0;
    *t->out = (struct rule_tried){.v = arena_array(&ctx->arena, RULE_TRIED_MAX, sizeof *t->out->v)};
    t->first_at = arena_array(&ctx->arena, RULE_TRIED_MAX, sizeof *t->first_at);
    TRY(decide(ctx, t->core, txn, t->spec.where ? "certificate.read" : "event.read", t->team));
    TRY(t->spec.where ? condition_read(ctx, txn, t) : log_read(ctx, txn, t));
    for (size_t i = 0; i < t->all; i++)
        if (t->out->v[i].opened_at) {
            steps_of(ctx, &t->spec, &t->out->v[i]);
            t->out->v[t->out->n++] = t->out->v[i];
        }
    return RC_OK;
}

RC rule_try(struct ctx *ctx, struct core *core, const char *ref, const struct api_rule_spec *spec, int64_t since, int64_t after,
            struct rule_tried *out)
{
    struct trying t = {.core = core, .ref = ref, .given = spec, .since = since, .after = after, .out = out};
    if (spec)
        TRY(rule_spec_of(ctx, spec, &t.spec));
    return store_read(ctx, core->store, read_all, &t);
}
