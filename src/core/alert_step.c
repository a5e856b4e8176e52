/* The steps of alerts: who is told when, and what is done. */
#include "base/encode.h"
#include "base/failpoint.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "core/access.h"
#include "core/alert_own.h"
#include "core/audit.h"
#include "core/job.h"
#include "core/notify.h"
#include "core/result.h"
#include "core/rule_author.h"
#include "core/target.h"

#define AT_ONCE    100 /* alerts a transaction */
#define GROUPS     20
#define LINES_MOST 50 /* of what is told at once */
#define TEXT_MAX   16384
#define HOUR_S     3600

/* --- words */

static const char *when(struct ctx *ctx, int64_t at)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 64);
    time_put_rfc3339(&b, at);
    return buf_z(&b);
}

/* "issuer letsencrypt does not issue" */
static const char *line_of(struct ctx *ctx, const struct q_alert_by_id_row *a, const char *state)
{
    const char *over = str_equal(state, "resolved") ? "over: " : "";
    return arena_printf(&ctx->arena, "%s%s %s %s", over, a->object_kind, a->object_name, a->words);
}

static const char *text_of(struct ctx *ctx, const struct rule_live *rule, const struct q_alert_by_id_row *a, const char *state)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, TEXT_MAX);
    buf_printf(&b, "%s\n", line_of(ctx, a, state));
    if (*a->why)
        buf_printf(&b, "\n%s\n", a->why);
    buf_printf(&b, "\nSince: %s\n", when(ctx, a->opened_at));
    if (a->count > 1)
        buf_printf(&b, "How often: %lld times, the last at %s\n", (long long)a->count, when(ctx, a->last_at));
    buf_printf(&b, "Rule: %s\n", rule->name);
    if (!str_equal(state, "resolved"))
        buf_printf(&b, "\nWho looks after it says so with: certwright alert ack %s\n", a->id);
    return rc_ok(buf_status(&b)) ? buf_z(&b) : line_of(ctx, a, state);
}

/* --- who */

static struct rc print_of(struct ctx *ctx, struct txn *txn, const struct q_alert_by_id_row *a, struct bytes *out)
{
    struct q_alert_served_row served;
    bool found = false;
    const char *managed = a->object_id;
    *out = (struct bytes){0};
    if (str_equal(a->object_kind, "certificate"))
        return get_hex(&ctx->arena, bytes_z(a->object_id), out)
                   ? RC_OK
                   : ctx_fail(ctx, E_BUG, "the fingerprint of alert %s is none", a->id);
    if (str_equal(a->object_kind, "target")) {
        struct q_target_managed_by_row *by = NULL;
        size_t n = 0;
        TRY(q_target_managed_by(ctx, txn, a->object_id, 1, &by, &n));
        managed = n ? by[0].id : "";
    } else if (!str_equal(a->object_kind, "managed-certificate")) {
        return RC_OK;
    }
    TRY(q_alert_served(ctx, txn, managed, &served, &found));
    if (found)
        *out = served.fingerprint;
    return RC_OK;
}

/* An owner is an address, or an account that has one; where there is none the team's channel is told. */
static struct rc owner_address(struct ctx *ctx, struct txn *txn, const struct q_alert_by_id_row *a, const char **out)
{
    struct bytes print;
    struct q_alert_owner_row owner;
    struct q_alert_owner_address_row account;
    bool found = false;
    *out = "";
    TRY(print_of(ctx, txn, a, &print));
    if (!print.n)
        return RC_OK;
    TRY(q_alert_owner(ctx, txn, print, &owner, &found));
    if (!found)
        return RC_OK;
    if (strchr(owner.owner, '@')) {
        *out = owner.owner;
        return RC_OK;
    }
    TRY(q_alert_owner_address(ctx, txn, owner.owner, &account, &found));
    if (found)
        *out = account.email;
    return RC_OK;
}

struct to {
    const char *channel, *address; /* "": the team's, none */
};
static struct rc whom(struct ctx *ctx, struct txn *txn, const struct rule_live *rule, const struct rule_step *step,
                      const struct q_alert_by_id_row *a, struct to *out)
{
    struct q_channel_get_row channel;
    bool found = false;
    *out = (struct to){"", ""};
    if (str_equal(step->notify, "owner"))
        return owner_address(ctx, txn, a, &out->address);
    if (strchr(step->notify, '@')) {
        out->address = step->notify;
        return RC_OK;
    }
    if (str_equal(step->notify, "team"))
        return RC_OK;
    TRY(q_channel_get(ctx, txn, step->notify, rule->team, &channel, &found));
    if (found) /* else it was removed: the team's is told */
        out->channel = channel.id;
    return RC_OK;
}

/* --- telling */

/* So many an hour are told each for itself; what is beyond waits for the next hour. */
static struct rc count_one(struct ctx *ctx, struct txn *txn, struct rule_live *rule, int64_t *at)
{
    const int64_t hour = *at / HOUR_S;
    if (rule->hour != hour) {
        rule->hour = hour;
        rule->sent = 0;
    }
    if (rule->sent >= rule->spec.limit) {
        *at = (hour + 1) * HOUR_S;
        return RC_OK;
    }
    rule->sent++;
    return q_rule_sent(ctx, txn, rule->id, rule->hour, rule->sent);
}

static struct rc noted(struct ctx *ctx, struct txn *txn, const struct q_alert_by_id_row *a, const char *note)
{
    return note ? q_alert_note(ctx, txn, a->id, note) : RC_OK;
}

static struct rc send(struct ctx *ctx, struct core *core, struct txn *txn, const struct rule_live *rule,
                      const struct q_alert_by_id_row *a, const struct to *to, int64_t step, const char *state)
{
    const char *note = NULL;
    const char *severity = check_severity_word((enum check_severity)a->severity);
    const struct notify_what what = {.alert = a->id,
                                     .channel = *to->channel ? to->channel : NULL,
                                     .to = *to->address ? to->address : NULL,
                                     .asks = arena_printf(&ctx->arena, "rule %s", rule->name),
                                     .asks_team = rule->team,
                                     .note = &note,
                                     .subject = arena_printf(&ctx->arena, "%s: %s", severity, line_of(ctx, a, state)),
                                     .text = text_of(ctx, rule, a, state),
                                     .url_path = arena_printf(&ctx->arena, "/alerts/%s", a->id),
                                     .severity = severity,
                                     .state = state,
                                     .object_kind = a->object_kind,
                                     .object_id = a->object_id,
                                     .object_name = a->object_name,
                                     .team = a->team_id,
                                     .step = step};
    TRY(notify_send(ctx, core, txn, &what));
    return noted(ctx, txn, a, note);
}

/* An address is whoever reads there: it is told only as long as who wrote the rule may know of it themselves. */
static struct rc may_write(struct ctx *ctx, struct core *core, struct txn *txn, const struct rule_live *rule,
                           const struct q_alert_by_id_row *a, struct to *to)
{
    const struct principal *as = NULL;
    const char *why = NULL;
    TRY(rule_acts(ctx, core, txn, rule->id, &as, &why));
    if (!why)
        return RC_OK;
    TRY(rule_halt(ctx, txn, rule->id, why));
    TRY(noted(ctx, txn, a, arena_printf(&ctx->arena, "%s was not told: %s", to->address, why)));
    to->address = "";
    return RC_OK;
}

RC alert_tell(struct ctx *ctx, struct core *core, struct txn *txn, struct rule_live *rule, const struct q_alert_by_id_row *a,
              size_t step, const char *state)
{
    struct to to;
    const int64_t now = ctx_now_s(ctx), number = a->round * ALERT_ROUND + (int64_t)step;
    int64_t at = rule_tells_at(&rule->spec, (enum check_severity)a->severity, now);
    TRY(whom(ctx, txn, rule, &rule->spec.steps[step], a, &to));
    if (rule_step_writes(&rule->spec.steps[step]))
        TRY(may_write(ctx, core, txn, rule, a, &to));
    if (at <= now)
        TRY(count_one(ctx, txn, rule, &at));
    if (at <= now)
        return send(ctx, core, txn, rule, a, &to, number, state);
    const struct q_alert_held_add_in in = {.alert_id = a->id,
                                           .step = number,
                                           .state = state,
                                           .rule_id = rule->id,
                                           .team_id = a->team_id,
                                           .channel = to.channel,
                                           .address = to.address,
                                           .severity = a->severity,
                                           .line = line_of(ctx, a, state),
                                           .due_at = at};
    return q_alert_held_add(ctx, txn, &in);
}

/* --- what had to wait */

struct telling {
    struct core *core;
    bool any, more;
};

static struct rc held_any(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct telling *t = arg;
    struct q_alert_held_due_row *groups = NULL;
    size_t n = 0;
    TRY(q_alert_held_due(ctx, txn, ctx_now_s(ctx), 1, &groups, &n));
    t->any = n > 0;
    return RC_OK;
}

/* One that waited alone is told as it is. */
static struct rc tell_single(struct ctx *ctx, struct core *core, struct txn *txn, const struct rule_live *rule,
                             const struct q_alert_held_lines_row *line, const struct to *to)
{
    struct q_alert_by_id_row a;
    bool found = false;
    TRY(q_alert_by_id(ctx, txn, line->alert_id, &a, &found));
    return found ? send(ctx, core, txn, rule, &a, to, line->step, line->state) : RC_OK;
}

static struct rc tell_group(struct ctx *ctx, struct core *core, struct txn *txn, const struct rule_live *rule,
                            const struct q_alert_held_due_row *g, int64_t number)
{
    const int64_t now = ctx_now_s(ctx);
    const struct to to = {g->channel, g->address};
    struct q_alert_held_lines_row *lines = NULL;
    size_t n = 0;
    const struct q_alert_held_lines_in ask = {.rule_id = g->rule_id,
                                              .team_id = g->team_id,
                                              .channel = g->channel,
                                              .address = g->address,
                                              .now = now,
                                              .limit = LINES_MOST};
    TRY(q_alert_held_lines(ctx, txn, &ask, &lines, &n));
    if (g->n == 1 && n == 1)
        return tell_single(ctx, core, txn, rule, &lines[0], &to);
    struct buf b;
    buf_init_arena(&b, &ctx->arena, LINES_MOST * 1024);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "- %s\n", lines[i].line);
    if (g->n > (int64_t)n)
        buf_printf(&b, "and %lld more\n", (long long)g->n - (long long)n);
    buf_printf(&b, "\nRule: %s\nAll of them: certwright alert list\n", rule->name);
    TRY(buf_status(&b));
    const char *severity = check_severity_word((enum check_severity)g->severity);
    const struct notify_what what = {.alert = rule->id,
                                     .channel = *to.channel ? to.channel : NULL,
                                     .to = *to.address ? to.address : NULL,
                                     .asks = arena_printf(&ctx->arena, "rule %s", rule->name),
                                     .asks_team = rule->team,
                                     .subject = arena_printf(&ctx->arena, "%s: %lld alerts of rule %s", severity, (long long)g->n,
                                                             rule->name),
                                     .text = buf_z(&b),
                                     .url_path = "/alerts",
                                     .severity = severity,
                                     .state = "digest",
                                     .team = g->team_id,
                                     .step = number};
    return notify_send(ctx, core, txn, &what);
}

static struct rc tell_held(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct telling *t = arg;
    const int64_t now = ctx_now_s(ctx);
    struct q_alert_held_due_row *groups = NULL;
    size_t n = 0;
    TRY(q_alert_held_due(ctx, txn, now, GROUPS, &groups, &n));
    for (size_t i = 0; i < n; i++) {
        const struct q_alert_held_due_row *g = &groups[i];
        const struct q_alert_held_told_in told = {
            .rule_id = g->rule_id, .team_id = g->team_id, .channel = g->channel, .address = g->address, .now = now};
        struct rule_live rule;
        bool found = false;
        TRY(rule_live_read(ctx, txn, g->rule_id, &rule, &found));
        const int64_t until = found && g->severity != SEVERITY_CRITICAL ? rule_quiet_until(&rule.spec, now) : now;
        if (until > now) {
            const struct q_alert_held_later_in later = {.rule_id = g->rule_id,
                                                        .team_id = g->team_id,
                                                        .channel = g->channel,
                                                        .address = g->address,
                                                        .now = now,
                                                        .due_at = until};
            TRY(q_alert_held_later(ctx, txn, &later));
            continue;
        }
        if (found)
            TRY(tell_group(ctx, t->core, txn, &rule, g, now * GROUPS + (int64_t)i));
        TRY(q_alert_held_told(ctx, txn, &told));
    }
    t->more = n == GROUPS;
    return RC_OK;
}

RC alert_tell_held(struct ctx *ctx, struct core *core, bool *more)
{
    struct telling t = {.core = core};
    TRY(store_read(ctx, core->store, held_any, &t));
    if (!t.any)
        return RC_OK;
    TRY(store_write(ctx, core->store, tell_held, &t));
    *more = *more || t.more;
    return RC_OK;
}

/* --- what is done */

struct one {
    const char *id;
    struct q_alert_by_id_row a;
    struct rule_live rule;
    bool acts, acted; /* its next step does something; that was tried */
    const char *managed, *print;
    struct alert_deed deed;
};
struct walking {
    struct core *core;
    struct one *v;
    size_t n;
    bool more;
};

static bool is_held_back(const struct q_alert_by_id_row *a, const struct rule_live *rule)
{
    return str_equal(a->state, "acknowledged") && !rule->spec.steps[a->step].although_acknowledged;
}

static bool acts_next(const struct q_alert_by_id_row *a, const struct rule_live *rule)
{
    return !str_equal(a->state, "snoozed") && a->round == 0 && (size_t)a->step < rule->spec.steps_n &&
           rule->spec.steps[a->step].kind == RULE_ACT && !is_held_back(a, rule);
}

static struct rc due_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct walking *w = arg;
    struct q_alert_due_row *ids = NULL;
    TRY(q_alert_due(ctx, txn, ctx_now_s(ctx), AT_ONCE, &ids, &w->n));
    w->v = arena_array(&ctx->arena, w->n + 1, sizeof *w->v);
    for (size_t i = 0; i < w->n; i++) {
        struct one *o = &w->v[i];
        struct bytes print;
        bool found = false, live = false;
        *o = (struct one){.id = ids[i].id};
        TRY(q_alert_by_id(ctx, txn, o->id, &o->a, &found));
        if (found)
            TRY(rule_live_read(ctx, txn, o->a.rule_id, &o->rule, &live));
        o->acts = live && acts_next(&o->a, &o->rule);
        if (!o->acts)
            continue;
        TRY(print_of(ctx, txn, &o->a, &print));
        o->print = print.n ? hex_str(&ctx->arena, print) : NULL;
        o->managed = str_equal(o->a.object_kind, "managed-certificate") ? o->a.object_id : NULL;
        if (str_equal(o->a.object_kind, "target")) {
            struct q_target_managed_by_row *by = NULL;
            size_t n = 0;
            TRY(q_target_managed_by(ctx, txn, o->a.object_id, 1, &by, &n));
            o->managed = n ? by[0].id : NULL;
        } else if (str_equal(o->a.object_kind, "certificate") && print.n) {
            struct q_alert_managed_row m;
            bool some = false;
            TRY(q_alert_managed(ctx, txn, print, &m, &some));
            o->managed = some ? m.id : NULL;
        }
    }
    w->more = w->n == AT_ONCE;
    return RC_OK;
}

struct claimed {
    const struct one *o;
    bool found;
};
static struct rc claimed_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct claimed *c = arg;
    struct q_idempotency_get_row row;
    return q_idempotency_get(ctx, txn, c->o->rule.id,
                             arena_printf(&ctx->arena, "alert:%s:%lld", c->o->id, (long long)c->o->a.step), &row, &c->found);
}

static struct rc do_actions(struct ctx *ctx, struct walking *w)
{
    for (size_t i = 0; i < w->n; i++) {
        struct claimed c = {.o = &w->v[i]};
        if (!w->v[i].acts)
            continue;
        TRY(store_read(ctx, w->core->store, claimed_read, &c));
        struct one *o = &w->v[i];
        o->deed = (struct alert_deed){.alert = &o->a,
                                      .rule = &o->rule,
                                      .step = &o->rule.spec.steps[o->a.step],
                                      .managed = o->managed,
                                      .print = o->print};
        o->acted = c.found || alert_act(ctx, w->core, &o->deed);
        FAILPOINT("alert.acted");
    }
    return RC_OK;
}

/* --- steps, one after the other */

static struct rc acted(struct ctx *ctx, struct txn *txn, const struct one *o, const struct q_alert_by_id_row *a,
                       const struct rule_step *step)
{
    const struct alert_deed *d = &o->deed;
    if (d->halts)
        TRY(rule_halt(ctx, txn, a->rule_id, d->halts));
    TRY(noted(ctx, txn, a, d->trouble ? arena_printf(&ctx->arena, "%s did not work: %s", step->action, d->trouble) : d->note));
    return audit_write(ctx, txn, d->trouble ? "alert.action-failed" : "alert.action", "alert", a->id, a->team_id,
                       audit_facts(ctx, "rule", a->rule_name, "action", step->action, "why", d->trouble, NULL));
}

/* Who is told first is told that it is open, the others are reminded of it. */
static const char *state_of(const struct rule_live *rule, const struct q_alert_by_id_row *a)
{
    bool before = a->round > 0;
    for (int64_t i = 0; i < a->step; i++)
        before = before || rule->spec.steps[i].kind == RULE_NOTIFY;
    return before ? "reminded" : "opened";
}

/* begin_program has a command of an agent started, in the transaction that goes on to the next step. */
static struct rc begin_program(struct ctx *ctx, struct core *core, struct txn *txn, const struct rule_live *rule,
                               const struct q_alert_by_id_row *a, const struct rule_step *step)
{
    struct q_agent_get_row agent;
    struct buf b;
    struct json_out j;
    bool found = false;
    const char *why = NULL;
    const struct principal *as = NULL;
    TRY(q_agent_get(ctx, txn, step->agent, rule->team, &agent, &found));
    TRY(rule_acts(ctx, core, txn, rule->id, &as, &why));
    if (why) {
        TRY(rule_halt(ctx, txn, rule->id, why));
        TRY(noted(ctx, txn, a, arena_printf(&ctx->arena, "%s was not run: %s", step->run, why)));
    } else if (!found || !str_equal(agent.state, "active"))
        why = arena_printf(&ctx->arena, "agent %s is not there", step->agent);
    TRY(audit_write(ctx, txn, why ? "alert.action-failed" : "alert.action", "alert", a->id, a->team_id,
                    audit_facts(ctx, "rule", a->rule_name, "run", step->run, "agent", step->agent, "why", why, NULL)));
    if (why)
        return RC_OK;
    buf_init_arena(&b, &ctx->arena, 512);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "name", step->run);
    json_close(&j);
    TRY(buf_status(&b));
    return job_add(ctx, core, txn, "program", agent.id, arena_printf(&ctx->arena, "alert:%s", a->id), a->id, buf_bytes(&b), 0);
}

RC alert_program_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    struct q_alert_by_id_row a;
    bool found = false;
    (void)core;
    TRY(q_alert_by_id(ctx, txn, r->job.ref, &a, &found));
    if (!found || r->ok)
        return RC_OK;
    return audit_write(ctx, txn, "alert.action-failed", "alert", a.id, a.team_id,
                       audit_facts(ctx, "rule", a.rule_name, "why", r->why, NULL));
}

/* walk_steps goes as far as it can now; `*due` is when it goes on, 0: never. */
static struct rc walk_steps(struct ctx *ctx, struct core *core, struct txn *txn, const struct one *o, struct rule_live *rule,
                            struct q_alert_by_id_row *a, int64_t *due)
{
    const int64_t first = a->step;
    *due = 0;
    while ((size_t)a->step < rule->spec.steps_n) {
        const struct rule_step *step = &rule->spec.steps[a->step];
        if (is_held_back(a, rule))
            return RC_OK;
        switch (step->kind) {
        case RULE_NOTIFY:
            TRY(alert_tell(ctx, core, txn, rule, a, (size_t)a->step, state_of(rule, a)));
            break;
        case RULE_WAIT:
            a->step++;
            *due = ctx_now_s(ctx) + step->wait_s;
            return RC_OK;
        case RULE_RUN:
            if (!a->round)
                TRY(begin_program(ctx, core, txn, rule, a, step));
            break;
        case RULE_ACT:
            if (a->round) /* once is enough */
                break;
            if (!o->acted || o->deed.later_s || a->step != first || a->step != o->a.step) {
                *due = ctx_now_s(ctx) + (a->step == first ? o->deed.later_s : 0); /* it is tried outside of a transaction */
                return RC_OK;
            }
            TRY(acted(ctx, txn, o, a, step));
            break;
        }
        a->step++;
    }
    return RC_OK;
}

static struct rc walk_one(struct ctx *ctx, struct core *core, struct txn *txn, const struct one *o)
{
    struct q_alert_by_id_row a;
    struct rule_live rule;
    bool found = false, live = false;
    int64_t due = 0;
    const int64_t now = ctx_now_s(ctx);
    TRY(q_alert_by_id(ctx, txn, o->id, &a, &found));
    if (!found || !a.due_at || *a.due_at > now)
        return RC_OK;
    const int64_t was = *a.due_at;
    TRY(rule_live_read(ctx, txn, a.rule_id, &rule, &live));
    const bool asleep = str_equal(a.state, "snoozed") && a.until_at && *a.until_at > now;
    if (asleep) {
        due = *a.until_at;
    } else {
        if (str_equal(a.state, "snoozed")) {
            a.state = "open";
            a.step = 0;
            a.round++;
            a.until_at = NULL;
        }
        if (live)
            TRY(walk_steps(ctx, core, txn, o, &rule, &a, &due));
    }
    const struct q_alert_step_in in = {.id = a.id,
                                       .was_due = was,
                                       .state = a.state,
                                       .step = a.step,
                                       .round = a.round,
                                       .due_at = due ? &due : NULL,
                                       .until_at = a.until_at};
    return q_alert_step(ctx, txn, &in);
}

static struct rc walk(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct walking *w = arg;
    for (size_t i = 0; i < w->n; i++)
        TRY(walk_one(ctx, w->core, txn, &w->v[i]));
    return RC_OK;
}

RC alert_walk(struct ctx *ctx, struct core *core, bool *more)
{
    struct walking w = {.core = core};
    TRY(store_read(ctx, core->store, due_read, &w));
    if (!w.n)
        return RC_OK;
    TRY(do_actions(ctx, &w));
    struct rc rc = store_write(ctx, core->store, walk, &w);
    FAILPOINT("alert.walked");
    if (rc.e == E_CHANGED) {
        ctx_forget(ctx);
        return RC_OK;
    }
    *more = *more || w.more;
    return rc;
}
