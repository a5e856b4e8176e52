#include "core/alert.h"

#include "base/failpoint.h"
#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/alert_own.h"
#include "core/rule.h"

#define LOOKS     500 /* entries of the log a transaction */
#define OF_OBJECT 100
#define WHY_MAX   500
#define KEPT_S    (90 * 86400)
#define SLICE     1000

/* --- what is shared */

RC rule_live_read(struct ctx *ctx, struct txn *txn, const char *id, struct rule_live *out, bool *found)
{
    struct q_rule_by_id_row row;
    TRY(q_rule_by_id(ctx, txn, id, &row, found));
    if (!*found || !row.enabled) {
        *found = false;
        return RC_OK;
    }
    *out = (struct rule_live){.id = row.id, .team = row.team_id, .name = row.name, .hour = row.hour, .sent = row.sent};
    struct rc rc = rule_spec_read(ctx, row.spec, &out->spec);
    if (rc.e == E_INVALID) { /* an event or zone that this build does not know */
        log_event(LOG_WARN_, "rule_not_understood", "rule", row.name, "why", ctx_why(ctx), NULL);
        ctx_forget(ctx);
        *found = false;
        return RC_OK;
    }
    return rc;
}

const char *alert_why(struct ctx *ctx, const char *detail)
{
    static const char *const keys[] = {"why", "reason", "error"};
    const char *why = "";
    json_auto_t *root = NULL;
    if (rc_failed(json_read(ctx, bytes_z(detail), &root))) {
        ctx_forget(ctx);
        return "";
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !*why; i++) {
        const json_t *value = json_object_get(root, keys[i]);
        if (!value)
            value = json_object_get(json_object_get(root, "after"), keys[i]);
        if (json_is_string(value))
            why = json_string_value(value);
    }
    struct bytes text = bytes_z(why);
    if (text.n > WHY_MAX)
        for (text.n = WHY_MAX; text.n && (text.p[text.n] & 0xc0) == 0x80;) /* not within a character */
            text.n--;
    return arena_str(&ctx->arena, text);
}

RC alert_begin(struct ctx *ctx, struct txn *txn, const struct rule_live *rule, const struct alert_new *a)
{
    const int64_t now = ctx_now_s(ctx);
    const struct q_alert_add_in in = {.id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                                      .rule_id = rule->id,
                                      .rule_name = rule->name,
                                      .team_id = a->team,
                                      .object_kind = a->object_kind,
                                      .object_id = a->object_id,
                                      .object_name = a->object_name,
                                      .severity = a->severity,
                                      .event = a->event,
                                      .words = a->words,
                                      .why = a->why,
                                      .opened_event = a->number,
                                      .count = a->count,
                                      .pass = a->pass,
                                      .state = a->counting ? "counting" : "open",
                                      .due_at = a->counting ? NULL : &now,
                                      .now = a->at ? a->at : now};
    return q_alert_add(ctx, txn, &in);
}

RC alert_end(struct ctx *ctx, struct core *core, struct txn *txn, struct rule_live *rule, const struct q_alert_by_id_row *a)
{
    const int64_t now = ctx_now_s(ctx);
    struct q_alert_held_take_row *held = NULL;
    size_t n = 0;
    if (str_equal(a->state, "counting"))
        return q_alert_drop(ctx, txn, a->id);
    TRY(q_alert_held_take(ctx, txn, a->id, &held, &n));
    const struct q_alert_state_in in = {.id = a->id, .state = "closed", .acted_by = "", .reason = "", .closed_at = &now};
    TRY(q_alert_state(ctx, txn, &in));
    if (!rule)
        return RC_OK;
    /* Those that were told of it are told that it is over; who was not told yet need not be told at all. */
    const size_t done = a->round ? rule->spec.steps_n : (size_t)a->step < rule->spec.steps_n ? (size_t)a->step : rule->spec.steps_n;
    for (size_t i = 0; i < done; i++) {
        bool waits = false;
        for (size_t k = 0; k < n; k++)
            waits = waits || (!a->round && held[k].step == (int64_t)i);
        if (rule->spec.steps[i].kind == RULE_NOTIFY && !waits)
            TRY(alert_tell(ctx, core, txn, rule, a, i, "resolved"));
    }
    return RC_OK;
}

RC alert_events(struct ctx *ctx, struct core *core, struct txn *txn, int64_t from, int64_t to, struct q_rule_events_row **rows,
                size_t *n)
{
    TRY(q_rule_events(ctx, txn, from, to, rows, n));
    for (size_t i = 0; i < *n; i++)
        if (str_equal((*rows)[i].object_kind, "backup")) { /* each is one of the installation, which is what lacks them */
            (*rows)[i].object_kind = "installation";
            (*rows)[i].object_id = (*rows)[i].name = core->name;
        }
    return RC_OK;
}

/* --- events open and close alerts */

struct matching {
    struct core *core;
    struct rule_live *rules;
    size_t rules_n;
    int64_t from, to, place;
    bool more;
};

static struct rc range(struct ctx *ctx, struct txn *txn, struct matching *m)
{
    struct q_alert_place_row place;
    struct q_audit_tree_row tree;
    TRY(q_alert_place(ctx, txn, &place));
    TRY(q_audit_tree(ctx, txn, &tree));
    m->place = place.leaf;
    m->from = place.leaf > tree.kept_from ? place.leaf : tree.kept_from;
    m->to = m->from + LOOKS < tree.size ? m->from + LOOKS : tree.size;
    m->more = m->to < tree.size;
    return RC_OK;
}

static struct rc rules_read(struct ctx *ctx, struct txn *txn, struct matching *m)
{
    struct q_rule_enabled_row *rows = NULL;
    size_t n = 0;
    TRY(q_rule_enabled(ctx, txn, RULES_MAX, &rows, &n));
    m->rules = arena_array(&ctx->arena, n + 1, sizeof *m->rules);
    m->rules_n = 0;
    for (size_t i = 0; i < n; i++) {
        struct rule_live *r = &m->rules[m->rules_n];
        *r = (struct rule_live){
            .id = rows[i].id, .team = rows[i].team_id, .name = rows[i].name, .hour = rows[i].hour, .sent = rows[i].sent};
        struct rc rc = rule_spec_read(ctx, rows[i].spec, &r->spec);
        if (rc.e == E_INVALID) {
            log_event(LOG_WARN_, "rule_not_understood", "rule", rows[i].name, "why", ctx_why(ctx), NULL);
            ctx_forget(ctx);
            continue;
        }
        TRY(rc);
        m->rules_n++;
    }
    return RC_OK;
}

static struct rc is_for(struct ctx *ctx, struct txn *txn, const struct matching *m, const struct rule_live *rule, const char *team,
                        bool *yes)
{
    struct q_team_is_within_row w;
    *yes = str_equal(rule->team, team) || str_equal(rule->team, m->core->team_root);
    return *yes ? RC_OK : q_team_is_within(ctx, txn, team, rule->team, &w, yes);
}

static struct rc again(struct ctx *ctx, struct txn *txn, const struct rule_live *rule, const struct q_rule_events_row *e,
                       const struct event_kind *kind, const struct q_alert_by_id_row *a)
{
    const int64_t now = ctx_now_s(ctx);
    const bool counting = str_equal(a->state, "counting");
    const bool anew = counting && rule->spec.within_s && e->at - a->opened_at > rule->spec.within_s;
    const int64_t count = anew ? 1 : a->count + 1;
    const bool opens = counting && count >= rule->spec.times;
    const int64_t severity = rule->spec.severity >= 0 ? rule->spec.severity : (int64_t)kind->severity;
    const struct q_alert_again_in in = {.id = a->id,
                                        .severity = severity > a->severity ? severity : a->severity,
                                        .event = kind->action,
                                        .words = kind->words,
                                        .why = alert_why(ctx, e->detail),
                                        .last_at = e->at,
                                        .count = count,
                                        .opened_at = anew ? e->at : a->opened_at,
                                        .state = opens ? "open" : a->state,
                                        .due_at = opens ? &now : a->due_at};
    return q_alert_again(ctx, txn, &in);
}

static struct rc happened(struct ctx *ctx, struct txn *txn, const struct rule_live *rule, const struct q_rule_events_row *e,
                          const struct event_kind *kind)
{
    struct q_alert_by_id_row a;
    bool found = false;
    TRY(q_alert_of(ctx, txn, rule->id, e->object_kind, e->object_id, &a, &found));
    if (found)
        return again(ctx, txn, rule, e, kind, &a);
    const struct alert_new in = {.object_kind = e->object_kind,
                                 .object_id = e->object_id,
                                 .object_name = e->name ? e->name : e->object_id,
                                 .team = e->team_id,
                                 .event = kind->action,
                                 .words = kind->words,
                                 .why = alert_why(ctx, e->detail),
                                 .severity = rule->spec.severity >= 0 ? (enum check_severity)rule->spec.severity : kind->severity,
                                 .number = e->leaf + 1,
                                 .at = e->at,
                                 .count = 1,
                                 .counting = rule->spec.times > 1};
    return alert_begin(ctx, txn, rule, &in);
}

static struct rc is_over(struct ctx *ctx, struct core *core, struct txn *txn, struct rule_live *rule,
                         const struct q_rule_events_row *e)
{
    struct q_alert_by_id_row a;
    bool found = false;
    TRY(q_alert_of(ctx, txn, rule->id, e->object_kind, e->object_id, &a, &found));
    return found ? alert_end(ctx, core, txn, rule, &a) : RC_OK;
}

/* "agent.delete" of an agent: nothing is left that could be well again. */
static bool is_gone(const struct q_rule_events_row *e)
{
    const size_t n = strlen(e->object_kind);
    if (str_equal(e->action, "report.unschedule"))
        return true;
    return strncmp(e->action, e->object_kind, n) == 0 && str_equal(e->action + n, ".delete");
}

static struct rc gone(struct ctx *ctx, struct txn *txn, struct matching *m, const struct q_rule_events_row *e)
{
    struct q_alert_of_object_row *ids = NULL;
    size_t n = 0;
    TRY(q_alert_of_object(ctx, txn, e->object_kind, e->object_id, OF_OBJECT, &ids, &n));
    for (size_t i = 0; i < n; i++) {
        struct q_alert_by_id_row a;
        bool found = false;
        TRY(q_alert_by_id(ctx, txn, ids[i].id, &a, &found));
        struct rule_live *rule = NULL;
        for (size_t k = 0; found && k < m->rules_n && !rule; k++)
            rule = str_equal(m->rules[k].id, a.rule_id) ? &m->rules[k] : NULL;
        if (found)
            TRY(alert_end(ctx, m->core, txn, rule, &a));
    }
    return RC_OK;
}

static struct rc match_one(struct ctx *ctx, struct txn *txn, struct matching *m, const struct q_rule_events_row *e)
{
    if (is_gone(e))
        TRY(gone(ctx, txn, m, e));
    const struct event_kind *kind = event_kind_of(e->action);
    if (!kind)
        return RC_OK;
    for (size_t i = 0; i < m->rules_n; i++) {
        struct rule_live *rule = &m->rules[i];
        const bool opens = rule_opens(&rule->spec, e->action);
        bool mine = false;
        if (!opens && !rule_closes(&rule->spec, e->action))
            continue;
        TRY(is_for(ctx, txn, m, rule, e->team_id, &mine));
        if (mine)
            TRY(opens ? happened(ctx, txn, rule, e, kind) : is_over(ctx, m->core, txn, rule, e));
    }
    return RC_OK;
}

static struct rc match(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct matching *m = arg;
    struct q_rule_events_row *rows = NULL;
    size_t n = 0;
    TRY(range(ctx, txn, m));
    if (m->from >= m->to)
        return RC_OK;
    TRY(rules_read(ctx, txn, m));
    TRY(alert_events(ctx, m->core, txn, m->from, m->to, &rows, &n));
    for (size_t i = 0; i < n; i++)
        TRY(match_one(ctx, txn, m, &rows[i]));
    return q_alert_place_move(ctx, txn, m->place, m->to);
}

static struct rc is_new(struct ctx *ctx, struct txn *txn, void *arg)
{
    return range(ctx, txn, arg);
}

static struct rc match_new(struct ctx *ctx, struct core *core, bool *more)
{
    struct matching m = {.core = core};
    TRY(store_read(ctx, core->store, is_new, &m));
    if (m.from >= m.to)
        return RC_OK;
    FAILPOINT("alert.waits");
    struct rc rc = store_write(ctx, core->store, match, &m);
    FAILPOINT("alert.matched");
    if (rc.e == E_CHANGED) { /* another process did it */
        ctx_forget(ctx);
        return RC_OK;
    }
    *more = *more || m.more;
    return rc;
}

RC alert_tick(struct ctx *ctx, struct core *core, bool *more)
{
    static const struct {
        const char *what;
        struct rc (*part)(struct ctx *, struct core *, bool *);
    } parts[] = {{"events", match_new}, {"conditions", alert_look}, {"steps", alert_walk}, {"held", alert_tell_held}};
    *more = false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct rc rc = parts[i].part(ctx, core, more);
        if (rc_ok(rc))
            continue;
        if (err_info(rc.e)->category == CAT_RESOURCE)
            return rc;
        log_event(LOG_WARN_, "alerts_failed", "part", parts[i].what, "why", ctx_why(ctx), NULL);
        ctx_forget(ctx);
    }
    return RC_OK;
}

RC alert_waiting(struct ctx *ctx, struct txn *txn, int64_t *n)
{
    struct q_alert_open_count_row row;
    TRY(q_alert_open_count(ctx, txn, access_scope(ctx), ALERT_COUNT_MAX, &row));
    *n = row.n;
    return RC_OK;
}

RC alert_retention(struct ctx *ctx, struct txn *txn, bool *more)
{
    struct q_alert_expire_row *rows = NULL;
    size_t n = 0;
    TRY(q_alert_expire(ctx, txn, ctx_now_s(ctx) - KEPT_S, SLICE, &rows, &n));
    *more = n == SLICE;
    return RC_OK;
}
