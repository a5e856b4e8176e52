/* Bulk operations, campaigns, and what is revoked. */
#include "core/campaign.h"
#include "hub/api.h"

static enum revocation_when when_of(const char *word)
{
    return str_equal(word, "first") ? REVOCATION_FIRST : str_equal(word, "now") ? REVOCATION_NOW : REVOCATION_USUAL;
}

/* --- out */

static struct api_campaign_counts counts_out(const struct campaign_counts *c)
{
    return (struct api_campaign_counts){.waiting = c->waiting, .running = c->running, .done = c->done, .failed = c->failed};
}

static void impact_out(struct ctx *ctx, const struct campaign_impact *in, struct api_campaign_impact *out)
{
    struct api_campaign_team *teams = arena_array(&ctx->arena, in->teams_n, sizeof *teams);
    struct api_campaign_issuer *issuers = arena_array(&ctx->arena, in->issuers_n, sizeof *issuers);
    struct api_campaign_verdict *policy = arena_array(&ctx->arena, in->verdicts_n, sizeof *policy);
    struct str_list examples = {0};
    for (size_t i = 0; i < in->verdicts_n; i++) {
        const struct campaign_verdict *v = &in->verdicts[i];
        policy[i] = (struct api_campaign_verdict){.verdict = v->verdict,
                                                  .rule = v->rule,
                                                  .words = v->words,
                                                  .role = v->role,
                                                  .approvals = v->approvals,
                                                  .has_approvals = v->approvals != 0,
                                                  .until = v->until,
                                                  .has_until = v->until != 0,
                                                  .certificates = v->certificates,
                                                  .examples = api_strings_of(&v->examples)};
    }
    for (size_t i = 0; i < in->teams_n; i++)
        teams[i] = (struct api_campaign_team){.team = in->teams[i].team, .certificates = in->teams[i].n};
    for (size_t i = 0; i < in->issuers_n; i++)
        issuers[i] = (struct api_campaign_issuer){.issuer = in->issuers[i].name,
                                                  .certificates = in->issuers[i].certificates,
                                                  .limits = api_strings_of(&in->issuers[i].limits)};
    for (size_t i = 0; i < in->examples_n; i++)
        str_list_add(&ctx->arena, &examples, in->examples[i].name);
    *out = (struct api_campaign_impact){.certificates = in->certificates,
                                        .targets = in->targets,
                                        .endpoints = in->endpoints,
                                        .lasts_s = in->lasts_s,
                                        .has_lasts_s = in->lasts_s != 0,
                                        .teams = {teams, in->teams_n},
                                        .issuers = {issuers, in->issuers_n},
                                        .examples = api_strings_of(&examples),
                                        .judged = in->judged,
                                        .has_judged = in->judged != 0,
                                        .policy = {policy, in->verdicts_n}};
}

static void campaign_out(struct ctx *ctx, const struct campaign_view *v, const struct campaign_impact *impact,
                         struct api_campaign *out)
{
    const struct q_campaign_get_row *r = &v->row;
    struct api_campaign_counts *waves = arena_array(&ctx->arena, v->waves_n, sizeof *waves);
    for (size_t i = 0; i < v->waves_n; i++)
        waves[i] = counts_out(&v->waves[i]);
    *out = (struct api_campaign){.id = r->id,
                                 .kind = r->kind,
                                 .name = r->name,
                                 .team = r->team,
                                 .team_id = r->team_id,
                                 .act = r->act,
                                 .where = r->filter,
                                 .state = r->state,
                                 .why = *r->why ? r->why : NULL,
                                 .asked_by = r->asker,
                                 .issuer = v->params.issuer,
                                 .key_kind = v->params.key_kind,
                                 .profile = v->params.profile,
                                 .waves = r->waves,
                                 .wave = r->wave,
                                 .total = r->total,
                                 .counts = counts_out(&v->sum),
                                 .by_wave = {waves, v->waves_n},
                                 .pace = r->pace,
                                 .stop_failures = r->stop_failures,
                                 .stop_percent = r->stop_percent,
                                 .ends_at = v->ends_at,
                                 .has_ends_at = v->ends_at != 0,
                                 .rehearsed_at = r->rehearsed_at ? *r->rehearsed_at : 0,
                                 .has_rehearsed_at = r->rehearsed_at != NULL,
                                 .rehearsal_error = r->rehearsal_error,
                                 .revision = r->revision,
                                 .created_at = r->created_at,
                                 .updated_at = r->updated_at,
                                 .started_at = r->started_at ? *r->started_at : 0,
                                 .has_started_at = r->started_at != NULL,
                                 .finished_at = r->finished_at ? *r->finished_at : 0,
                                 .has_finished_at = r->finished_at != NULL};
    if (!impact)
        return;
    struct api_campaign_impact *i = ARENA_NEW(&ctx->arena, struct api_campaign_impact);
    impact_out(ctx, impact, i);
    out->impact = i;
}

static struct rc reply(struct api_call *call, const char *kind, const char *ref, struct api_campaign *out)
{
    struct campaign_view v;
    struct campaign_impact impact;
    TRY(campaign_show(call->ctx, call->core, kind, ref, &v, &impact));
    campaign_out(call->ctx, &v, impact.certificates ? &impact : NULL, out);
    return RC_OK;
}

static struct rc list(struct api_call *call, const char *kind, const char *cursor, int64_t limit, struct api_campaign_page *out)
{
    struct campaign_view *v = NULL;
    const char *before = NULL;
    size_t n = 0;
    TRY(api_cursor_read(call->ctx, cursor, &before));
    TRY(campaign_list(call->ctx, call->core, kind, before, limit, &v, &n));
    struct api_campaign *items = arena_array(&call->ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        campaign_out(call->ctx, &v[i], NULL, &items[i]);
    out->items = (struct api_campaign_list){items, n};
    if ((int64_t)n == limit)
        out->next = api_cursor_make(call->ctx, items[n - 1].id);
    return RC_OK;
}

static struct rc members(struct api_call *call, const char *kind, const char *state, const char *cursor, int64_t limit,
                         struct api_campaign_member_page *out)
{
    struct q_campaign_members_row *rows = NULL;
    int64_t after = 0;
    size_t n = 0;
    TRY(api_cursor_read_number(call->ctx, cursor, 0, &after));
    TRY(campaign_members(call->ctx, call->core, kind, call->path[0], state ? state : "", after, limit, &rows, &n));
    struct api_campaign_member *items = arena_array(&call->ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct api_campaign_member){.number = rows[i].number,
                                                .managed_id = rows[i].managed_id,
                                                .fingerprint = rows[i].managed_id ? NULL : rows[i].object,
                                                .name = rows[i].name,
                                                .team = rows[i].team,
                                                .wave = rows[i].wave,
                                                .state = rows[i].state,
                                                .why = rows[i].why,
                                                .at = rows[i].at};
    out->items = (struct api_campaign_member_list){items, n};
    if ((int64_t)n == limit)
        out->next = api_cursor_make_number(call->ctx, items[n - 1].number);
    return RC_OK;
}

static struct rc made(struct api_call *call, const struct campaign_input *in, struct api_campaign *out)
{
    struct campaign_view v;
    struct campaign_impact impact;
    const char *id = NULL;
    TRY(campaign_make(call->ctx, call->core, in, false, &id, &impact));
    TRY(campaign_show(call->ctx, call->core, in->kind, id, &v, NULL));
    campaign_out(call->ctx, &v, &impact, out);
    http_response_header(call->resp, "Location",
                         arena_printf(&call->ctx->arena, "/api/v1/%s/%s", str_equal(in->kind, "bulk") ? "bulk" : "campaigns", id));
    return RC_OK;
}

static struct rc planned(struct api_call *call, const struct campaign_input *in, struct api_campaign_impact *out)
{
    struct campaign_impact impact;
    const char *id = NULL;
    TRY(campaign_make(call->ctx, call->core, in, true, &id, &impact));
    impact_out(call->ctx, &impact, out);
    return RC_OK;
}

static struct rc said(struct api_call *call, const char *kind, enum campaign_verb verb, struct api_campaign *out)
{
    TRY(campaign_say(call->ctx, call->core, kind, call->path[0], verb));
    return reply(call, kind, call->path[0], out);
}

/* --- bulk operations */

static struct rc bulk_in(struct ctx *ctx, const struct api_bulk_new *in, struct campaign_input *out)
{
    const bool revokes = str_equal(in->act, "revoke");
    *out = (struct campaign_input){.kind = "bulk",
                                   .name = in->name,
                                   .team = in->team,
                                   .act = in->act,
                                   .where = in->where,
                                   .objects = api_list_of(ctx, &in->certificates),
                                   .pace = in->pace,
                                   .params = {.reason = revokes ? NULL : in->reason,
                                              .when = when_of(in->replace),
                                              .to_team = in->to_team,
                                              .owner = in->owner,
                                              .add = api_list_of(ctx, &in->add_tags),
                                              .remove = api_list_of(ctx, &in->remove_tags)}};
    return revokes && in->reason ? revocation_reason(ctx, in->reason, &out->params.code) : RC_OK;
}

RC api_bulk_list(struct api_call *call, struct api_campaign_page *out)
{
    const struct api_bulk_list_query *q = call->query;
    return list(call, "bulk", q->cursor, q->limit, out);
}

RC api_bulk_create(struct api_call *call, const struct api_bulk_new *in, struct api_campaign *out)
{
    struct campaign_input c;
    TRY(bulk_in(call->ctx, in, &c));
    return made(call, &c, out);
}

RC api_bulk_plan(struct api_call *call, const struct api_bulk_new *in, struct api_campaign_impact *out)
{
    struct campaign_input c;
    TRY(bulk_in(call->ctx, in, &c));
    return planned(call, &c, out);
}

RC api_bulk_get(struct api_call *call, struct api_campaign *out)
{
    return reply(call, "bulk", call->path[0], out);
}

RC api_bulk_members(struct api_call *call, struct api_campaign_member_page *out)
{
    const struct api_bulk_members_query *q = call->query;
    return members(call, "bulk", q->state, q->cursor, q->limit, out);
}

RC api_bulk_pause(struct api_call *call, struct api_campaign *out)
{
    return said(call, "bulk", CAMPAIGN_PAUSE, out);
}

RC api_bulk_resume(struct api_call *call, struct api_campaign *out)
{
    return said(call, "bulk", CAMPAIGN_RESUME, out);
}

RC api_bulk_cancel(struct api_call *call, struct api_campaign *out)
{
    return said(call, "bulk", CAMPAIGN_CANCEL, out);
}

/* --- campaigns */

static struct campaign_input campaign_in(struct ctx *ctx, const struct api_campaign_new *in)
{
    return (struct campaign_input){.kind = "campaign",
                                   .name = in->name,
                                   .team = in->team,
                                   .act = "replace",
                                   .where = in->where,
                                   .objects = api_list_of(ctx, &in->certificates),
                                   .pace = in->pace,
                                   .stop_failures = in->stop_failures,
                                   .stop_percent = in->stop_percent,
                                   .params = {.issuer = in->issuer,
                                              .key_kind = in->key_kind,
                                              .profile = in->profile,
                                              .canary = in->canary,
                                              .wave = in->wave,
                                              .wave_percent = in->wave_percent}};
}

RC api_campaign_list(struct api_call *call, struct api_campaign_page *out)
{
    const struct api_campaign_list_query *q = call->query;
    return list(call, "campaign", q->cursor, q->limit, out);
}

RC api_campaign_create(struct api_call *call, const struct api_campaign_new *in, struct api_campaign *out)
{
    const struct campaign_input c = campaign_in(call->ctx, in);
    return made(call, &c, out);
}

RC api_campaign_plan(struct api_call *call, const struct api_campaign_new *in, struct api_campaign_impact *out)
{
    const struct campaign_input c = campaign_in(call->ctx, in);
    return planned(call, &c, out);
}

RC api_campaign_get(struct api_call *call, struct api_campaign *out)
{
    return reply(call, "campaign", call->path[0], out);
}

RC api_campaign_members(struct api_call *call, struct api_campaign_member_page *out)
{
    const struct api_campaign_members_query *q = call->query;
    return members(call, "campaign", q->state, q->cursor, q->limit, out);
}

RC api_campaign_rehearse(struct api_call *call, struct api_campaign *out)
{
    return said(call, "campaign", CAMPAIGN_REHEARSE, out);
}

RC api_campaign_start(struct api_call *call, struct api_campaign *out)
{
    return said(call, "campaign", CAMPAIGN_START, out);
}

RC api_campaign_pause(struct api_call *call, struct api_campaign *out)
{
    return said(call, "campaign", CAMPAIGN_PAUSE, out);
}

RC api_campaign_resume(struct api_call *call, struct api_campaign *out)
{
    return said(call, "campaign", CAMPAIGN_RESUME, out);
}

RC api_campaign_cancel(struct api_call *call, struct api_campaign *out)
{
    return said(call, "campaign", CAMPAIGN_CANCEL, out);
}

/* --- revocations */

RC api_revocation_create(struct api_call *call, const struct api_revocation_new *in, struct api_revocation *out)
{
    struct ctx *ctx = call->ctx;
    struct revocation_input r = {
        .ref = in->certificate, .version = in->version, .when = when_of(in->replace), .dry_run = in->dry_run};
    struct revocation_item *items = NULL;
    size_t n = 0;
    TRY(revocation_reason(ctx, in->reason, &r.code));
    r.key = in->same_key || str_equal(in->reason, "keyCompromise");
    TRY(revocation_ask(ctx, call->core, &r, &items, &n));
    struct api_revocation_item *list_of = arena_array(&ctx->arena, n, sizeof *list_of);
    for (size_t i = 0; i < n; i++)
        list_of[i] = (struct api_revocation_item){.fingerprint = items[i].fingerprint,
                                                  .name = items[i].name,
                                                  .issuer = items[i].issuer,
                                                  .managed_id = items[i].managed,
                                                  .version = items[i].version,
                                                  .has_version = items[i].managed != NULL,
                                                  .not_after = items[i].not_after,
                                                  .act = items[i].act,
                                                  .why = items[i].why,
                                                  .done = items[i].done};
    out->items = (struct api_revocation_item_list){list_of, n};
    return RC_OK;
}
