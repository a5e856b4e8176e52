/* Rules and alerts (core/rule.h, core/alert.h). */
#include "core/access.h"
#include "core/alert.h"
#include "core/rule.h"
#include "hub/api.h"

#define TRY_S (7 * 86400)

/* --- rules */

static struct rc rule_out(struct ctx *ctx, const struct q_rule_list_row *r, struct api_rule *out)
{
    *out = (struct api_rule){.id = r->id,
                             .name = r->name,
                             .team_id = r->team_id,
                             .team = r->team,
                             .enabled = r->enabled,
                             .built_in = r->built_in,
                             .edited = r->edited,
                             .edited_by = *r->edited_by ? r->edited_by : NULL,
                             .halted = *r->halted ? r->halted : NULL,
                             .alerts = r->alerts,
                             .looks_at = r->looks_at ? *r->looks_at : 0,
                             .has_looks_at = r->looks_at && r->enabled,
                             .trouble = *r->trouble ? r->trouble : NULL,
                             .revision = r->revision,
                             .created_at = r->created_at,
                             .updated_at = r->updated_at};
    return rule_spec_api(ctx, r->spec, &out->spec);
}

static struct rc rule_reply(struct api_call *call, const char *ref, struct api_rule *out)
{
    struct q_rule_list_row row;
    TRY(rule_get(call->ctx, call->core, ref, &row));
    return rule_out(call->ctx, &row, out);
}

RC api_rule_list(struct api_call *call, struct api_rule_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_rule_list_query *q = call->query;
    struct q_rule_list_row *rows = NULL;
    size_t n = 0;
    const char *after = NULL;
    TRY(api_cursor_read(ctx, q->cursor, &after));
    TRY(rule_list(ctx, call->core, after, q->limit, &rows, &n));
    struct api_rule *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        TRY(rule_out(ctx, &rows[i], &items[i]));
    out->items = (struct api_rule_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(ctx, items[n - 1].id);
    return RC_OK;
}

RC api_rule_get(struct api_call *call, struct api_rule *out)
{
    return rule_reply(call, call->path[0], out);
}

RC api_rule_create(struct api_call *call, const struct api_rule_new *in, struct api_rule *out)
{
    const struct rule_input r = {
        .name = in->name, .team = in->team, .spec = &in->spec, .has_enabled = true, .enabled = in->enabled};
    const char *id = NULL;
    TRY(rule_create(call->ctx, call->core, &r, &id));
    return rule_reply(call, id, out);
}

RC api_rule_update(struct api_call *call, const struct api_rule_patch *in, struct api_rule *out)
{
    const struct rule_input r = {.name = in->has_name ? in->name : NULL,
                                 .spec = in->has_spec ? in->spec : NULL,
                                 .has_enabled = in->has_enabled,
                                 .enabled = in->enabled};
    struct q_rule_list_row before;
    TRY(rule_get(call->ctx, call->core, call->path[0], &before));
    TRY(rule_update(call->ctx, call->core, before.id, call->has_revision ? call->revision : 0, &r));
    return rule_reply(call, before.id, out);
}

RC api_rule_remove(struct api_call *call)
{
    return rule_remove(call->ctx, call->core, call->path[0]);
}

RC api_rule_try(struct api_call *call, const struct api_rule_try *in, struct api_rule_tried *out)
{
    struct ctx *ctx = call->ctx;
    struct rule_tried tried;
    TRY(rule_try(ctx, call->core, call->path[0], in->spec, in->has_since ? in->since : ctx_now_s(ctx) - TRY_S, in->after, &tried));
    struct api_rule_tried_alert *items = arena_array(&ctx->arena, tried.n + 1, sizeof *items);
    for (size_t i = 0; i < tried.n; i++) {
        const struct rule_tried_alert *a = &tried.v[i];
        struct api_rule_tried_step *steps = arena_array(&ctx->arena, a->steps_n + 1, sizeof *steps);
        for (size_t k = 0; k < a->steps_n; k++)
            steps[k] = (struct api_rule_tried_step){.at = a->steps[k].at, .what = a->steps[k].what};
        items[i] = (struct api_rule_tried_alert){.object_kind = a->object_kind,
                                                 .object_id = a->object_id,
                                                 .object = a->object_name,
                                                 .severity = check_severity_word(a->severity),
                                                 .words = a->words,
                                                 .why = *a->why ? a->why : NULL,
                                                 .opened_at = a->opened_at,
                                                 .closed_at = a->closed_at,
                                                 .has_closed_at = a->closed_at > 0,
                                                 .count = a->count,
                                                 .steps = {steps, a->steps_n}};
    }
    *out = (struct api_rule_tried){
        .items = {items, tried.n}, .events = tried.events, .last = tried.last, .more = tried.more};
    return RC_OK;
}

/* --- alerts */

static struct api_alert alert_out(const struct q_alert_list_row *r)
{
    return (struct api_alert){.id = r->id,
                              .rule = r->rule_name,
                              .team_id = r->team_id,
                              .team = r->team,
                              .object_kind = r->object_kind,
                              .object_id = r->object_id,
                              .object = r->object_name,
                              .severity = check_severity_word((enum check_severity)r->severity),
                              .event = *r->event ? r->event : NULL,
                              .words = r->words,
                              .why = *r->why ? r->why : NULL,
                              .note = *r->note ? r->note : NULL,
                              .opened_at = r->opened_at,
                              .last_at = r->last_at,
                              .count = r->count,
                              .state = r->state,
                              .next_at = r->due_at ? *r->due_at : 0,
                              .has_next_at = r->due_at != NULL,
                              .by = *r->acted_by ? r->acted_by : NULL,
                              .reason = *r->reason ? r->reason : NULL,
                              .until = r->until_at ? *r->until_at : 0,
                              .has_until = r->until_at != NULL,
                              .closed_at = r->closed_at ? *r->closed_at : 0,
                              .has_closed_at = r->closed_at != NULL,
                              .revision = r->revision};
}

RC api_alert_list(struct api_call *call, struct api_alert_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_alert_list_query *q = call->query;
    struct q_alert_list_row *rows = NULL;
    size_t n = 0;
    const char *before = NULL;
    TRY(api_cursor_read(ctx, q->cursor, &before));
    TRY(alert_list(ctx, call->core, before, q->state, q->object, q->limit, &rows, &n));
    struct api_alert *items = arena_array(&ctx->arena, n + 1, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = alert_out(&rows[i]);
    out->items = (struct api_alert_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(ctx, items[n - 1].id);
    return RC_OK;
}

RC api_alert_get(struct api_call *call, struct api_alert *out)
{
    struct q_alert_list_row row;
    TRY(alert_get(call->ctx, call->core, call->path[0], &row));
    *out = alert_out(&row);
    return RC_OK;
}

static struct rc act(struct api_call *call, struct alert_act a, struct api_alert *out)
{
    TRY(alert_do(call->ctx, call->core, call->path[0], &a));
    return api_alert_get(call, out);
}

RC api_alert_acknowledge(struct api_call *call, const struct api_alert_reason *in, struct api_alert *out)
{
    return act(call, (struct alert_act){.verb = ALERT_ACKNOWLEDGE, .reason = in->reason}, out);
}

RC api_alert_snooze(struct api_call *call, const struct api_alert_snooze *in, struct api_alert *out)
{
    return act(call, (struct alert_act){.verb = ALERT_SNOOZE, .reason = in->reason, .for_s = in->for_s}, out);
}

RC api_alert_close(struct api_call *call, const struct api_alert_reason *in, struct api_alert *out)
{
    return act(call, (struct alert_act){.verb = ALERT_CLOSE, .reason = in->reason}, out);
}

RC api_alert_reopen(struct api_call *call, const struct api_alert_reason *in, struct api_alert *out)
{
    return act(call, (struct alert_act){.verb = ALERT_REOPEN, .reason = in->reason}, out);
}
