#include "core/campaign.h"

#include "core/access.h"
#include "core/audit.h"
#include "core/managed.h"
#include "core/request.h"

#define ASKED_MAX 2000 /* one who asks has fewer that wait: core/request.c */

RC campaign_note_served(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, int64_t version)
{
    struct q_campaign_served_row *rows = NULL;
    size_t n = 0;
    TRY(q_campaign_served(ctx, txn, managed, version, ctx_now_s(ctx), &rows, &n));
    if (n)
        core_wake_after_commit(ctx, core, txn, CORE_SCHEDULE_KEY, "");
    return RC_OK;
}

RC campaign_note_failed(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, const char *why)
{
    struct q_campaign_failed_row *rows = NULL;
    size_t n = 0;
    TRY(q_campaign_failed(ctx, txn, managed, why ? why : "", ctx_now_s(ctx), &rows, &n));
    if (n)
        core_wake_after_commit(ctx, core, txn, CORE_SCHEDULE_KEY, "");
    return RC_OK;
}

/* --- showing */

static void count(struct campaign_counts *c, const char *state, int64_t n)
{
    int64_t *const to = str_equal(state, "waiting")   ? &c->waiting
                        : str_equal(state, "running") ? &c->running
                        : str_equal(state, "done")    ? &c->done
                                                      : &c->failed;
    *to += n;
}

static struct rc view_of(struct ctx *ctx, struct txn *txn, const struct q_campaign_get_row *row, bool waves,
                         struct campaign_view *v)
{
    *v = (struct campaign_view){.row = *row};
    TRY(campaign_params_read(ctx, row->params, &v->params));
    if (waves) {
        struct q_campaign_counts_row *rows = NULL;
        size_t n = 0;
        TRY(q_campaign_counts(ctx, txn, row->id, &rows, &n));
        v->waves_n = (size_t)row->waves;
        v->waves = arena_array(&ctx->arena, v->waves_n, sizeof *v->waves);
        memset(v->waves, 0, v->waves_n * sizeof *v->waves);
        for (size_t i = 0; i < n; i++) {
            count(&v->sum, rows[i].state, rows[i].n);
            if (rows[i].wave >= 1 && rows[i].wave <= row->waves)
                count(&v->waves[rows[i].wave - 1], rows[i].state, rows[i].n);
        }
    } else {
        struct q_campaign_sum_row *rows = NULL;
        size_t n = 0;
        TRY(q_campaign_sum(ctx, txn, row->id, &rows, &n));
        for (size_t i = 0; i < n; i++)
            count(&v->sum, rows[i].state, rows[i].n);
    }
    const int64_t now = ctx_now_s(ctx), left = v->sum.waiting + v->sum.running;
    if (!str_equal(row->state, "running") || !row->started_at)
        return RC_OK;
    if (row->pace)
        v->ends_at = now + left * 3600 / row->pace;
    else if (v->sum.done)
        v->ends_at = now + left * (now - *row->started_at) / v->sum.done;
    return RC_OK;
}

static struct rc find(struct ctx *ctx, struct txn *txn, const char *kind, const char *ref, struct q_campaign_get_row *out)
{
    bool found = false;
    TRY(q_campaign_get(ctx, txn, ref, kind, access_scope(ctx), out, &found));
    return found ? RC_OK
                 : ctx_fail(ctx, E_NOT_FOUND, "no %s is named %s; certwright %s list shows them",
                            str_equal(kind, "bulk") ? "bulk operation" : kind, ref, kind);
}

struct showing {
    struct core *core;
    const char *kind, *ref, *state;
    struct campaign_view *v;
    struct campaign_impact *impact;
    int64_t after, limit;
    struct q_campaign_members_row *members;
    size_t n;
};

static struct rc show(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct showing *s = arg;
    struct q_campaign_get_row row;
    TRY(find(ctx, txn, s->kind, s->ref, &row));
    TRY(view_of(ctx, txn, &row, true, s->v));
    if (!s->impact)
        return RC_OK;
    *s->impact = (struct campaign_impact){0};
    const bool ahead = str_equal(row.state, "draft") || str_equal(row.state, "rehearsing");
    return ahead ? campaign_impact(ctx, txn, &row, &s->v->params, s->impact) : RC_OK;
}

RC campaign_show(struct ctx *ctx, struct core *core, const char *kind, const char *ref, struct campaign_view *out,
                 struct campaign_impact *impact)
{
    struct showing s = {.kind = kind, .ref = ref, .v = out, .impact = impact};
    return store_read(ctx, core->store, show, &s);
}

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct showing *s = arg;
    struct q_campaign_get_row *rows = NULL;
    TRY(q_campaign_list(ctx, txn, s->kind, access_scope(ctx), s->ref, s->limit, &rows, &s->n));
    s->v = arena_array(&ctx->arena, s->n, sizeof *s->v);
    for (size_t i = 0; i < s->n; i++)
        TRY(view_of(ctx, txn, &rows[i], false, &s->v[i]));
    return RC_OK;
}

RC campaign_list(struct ctx *ctx, struct core *core, const char *kind, const char *before, int64_t limit,
                 struct campaign_view **out, size_t *n)
{
    struct showing s = {.kind = kind, .ref = *before ? before : "~", .limit = limit}; /* "~" is behind every id */
    TRY(store_read(ctx, core->store, list, &s));
    *out = s.v;
    *n = s.n;
    return RC_OK;
}

static struct rc members(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct showing *s = arg;
    struct q_campaign_get_row row;
    TRY(find(ctx, txn, s->kind, s->ref, &row));
    const struct q_campaign_members_in in = {
        .id = row.id, .state = s->state, .after = s->after, .scope = access_scope(ctx), .limit = s->limit};
    return q_campaign_members(ctx, txn, &in, &s->members, &s->n);
}

RC campaign_members(struct ctx *ctx, struct core *core, const char *kind, const char *ref, const char *state, int64_t after,
                    int64_t limit, struct q_campaign_members_row **rows, size_t *n)
{
    struct showing s = {.kind = kind, .ref = ref, .state = state, .after = after, .limit = limit};
    TRY(store_read(ctx, core->store, members, &s));
    *rows = s.members;
    *n = s.n;
    return RC_OK;
}

/* --- what people say */

/* The life of a campaign, as far as people decide it; the rest is in campaign_run.c. */
static const struct {
    enum campaign_verb verb;
    const char *from, *to, *word;
} moves[] = {
    {CAMPAIGN_REHEARSE, "draft", "rehearsing", "rehearse"}, {CAMPAIGN_START, "draft", "running", "start"},
    {CAMPAIGN_PAUSE, "running", "paused", "pause"},         {CAMPAIGN_RESUME, "paused", "running", "resume"},
    {CAMPAIGN_RESUME, "halted", "running", "resume"},       {CAMPAIGN_CANCEL, "draft", "cancelled", "cancel"},
    {CAMPAIGN_CANCEL, "rehearsing", "cancelled", "cancel"}, {CAMPAIGN_CANCEL, "running", "cancelled", "cancel"},
    {CAMPAIGN_CANCEL, "paused", "cancelled", "cancel"},     {CAMPAIGN_CANCEL, "halted", "cancelled", "cancel"},
};

struct saying {
    struct core *core;
    const char *kind, *ref;
    enum campaign_verb verb;
};

/* What was begun for a rehearsal is not needed any more. */
static struct rc rehearsal_drop(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_campaign_get_row *row)
{
    struct q_managed_by_id_row m;
    if (!row->rehearsal_id)
        return RC_OK;
    TRY(q_managed_by_id(ctx, txn, row->rehearsal_id, &m));
    TRY(q_campaign_rehearsal(ctx, txn, row->id, NULL, row->rehearsed_at, row->rehearsal_error));
    return m.removed_at ? RC_OK : managed_drop(ctx, core, txn, m.id);
}

RC campaign_asks_no_more(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_campaign_get_row *row,
                         const char *why)
{
    struct q_campaign_asked_row *asked = NULL;
    size_t n = 0;
    TRY(q_campaign_asked(ctx, txn, row->id, ASKED_MAX, &asked, &n));
    for (size_t i = 0; i < n; i++) {
        bool dropped = false;
        TRY(request_drop(ctx, core, txn, asked[i].request_id, why, &dropped));
        if (!dropped || !str_equal(asked[i].state, "running"))
            continue;
        const struct q_campaign_member_set_in in = {.campaign_id = row->id,
                                                    .number = asked[i].number,
                                                    .from = "running",
                                                    .to = "failed",
                                                    .why = why,
                                                    .above = asked[i].above,
                                                    .at = ctx_now_s(ctx)};
        TRY(q_campaign_member_set(ctx, txn, &in));
    }
    return RC_OK;
}

static struct rc say(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct saying *s = arg;
    struct q_campaign_get_row row;
    TRY(find(ctx, txn, s->kind, s->ref, &row));
    const char *what = str_equal(s->kind, "bulk") ? "bulk" : "campaign";
    TRY(decide(ctx, s->core, txn, arena_printf(&ctx->arena, "%s.update", what), row.team_id));
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) {
        if (moves[i].verb != s->verb || !str_equal(moves[i].from, row.state))
            continue;
        const struct campaign_act *act = campaign_act_named(row.act);
        /* It goes on with the rights of who asked: nobody sets going what they may not do themselves. */
        if (act && s->verb != CAMPAIGN_PAUSE && s->verb != CAMPAIGN_CANCEL)
            TRY(decide(ctx, s->core, txn, act->permission, row.team_id));
        if (s->verb == CAMPAIGN_REHEARSE && (!act || !act->waits || str_equal(row.act, "revoke")))
            return ctx_fail(ctx, E_CONFLICT, "nothing is issued by %s: there is nothing to rehearse", row.name);
        if (s->verb == CAMPAIGN_RESUME)
            TRY(q_campaign_again(ctx, txn, row.id, ctx_now_s(ctx)));
        if (s->verb == CAMPAIGN_CANCEL) {
            TRY(rehearsal_drop(ctx, s->core, txn, &row));
            TRY(campaign_asks_no_more(ctx, s->core, txn, &row, arena_printf(&ctx->arena, "%s was cancelled", row.name)));
        }
        const struct q_campaign_move_in in = {.id = row.id, .from = row.state, .to = moves[i].to, .why = "", .now = ctx_now_s(ctx)};
        TRY(q_campaign_move(ctx, txn, &in));
        core_wake_after_commit(ctx, s->core, txn, CORE_SCHEDULE_KEY, "");
        return audit_write(ctx, txn, arena_printf(&ctx->arena, "%s.%s", what, moves[i].word), what, row.id, row.team_id,
                           audit_facts(ctx, "name", row.name, "was", row.state, NULL));
    }
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 256);
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
        if (str_equal(moves[i].from, row.state) && (!str_equal(what, "bulk") || moves[i].verb >= CAMPAIGN_PAUSE))
            buf_printf(&b, "%s%s", buf_bytes(&b).n ? ", " : "", moves[i].word);
    return ctx_fail(ctx, E_CONFLICT, "%s is %s; what can be said to it now: %s", row.name, row.state,
                    buf_bytes(&b).n ? buf_z(&b) : "nothing");
}

RC campaign_troubles(struct ctx *ctx, struct txn *txn, int64_t limit, void *arg,
                     void (*add)(void *arg, const char *object, const char *text, const char *remedy))
{
    struct q_campaign_halted_row *rows = NULL;
    size_t n = 0;
    TRY(q_campaign_halted(ctx, txn, access_scope(ctx), limit, &rows, &n));
    for (size_t i = 0; i < n; i++)
        add(arg, rows[i].name,
            arena_printf(&ctx->arena, "%s %s stopped: %s", str_equal(rows[i].kind, "bulk") ? "bulk operation" : "campaign",
                         rows[i].name, rows[i].why),
            arena_printf(&ctx->arena, "certwright %s show %s says what failed; then: resume, or cancel", rows[i].kind,
                         rows[i].name));
    return RC_OK;
}

RC campaign_say(struct ctx *ctx, struct core *core, const char *kind, const char *ref, enum campaign_verb verb)
{
    struct saying s = {.core = core, .kind = kind, .ref = ref, .verb = verb};
    return store_write(ctx, core->store, say, &s);
}

RC campaign_expire(struct ctx *ctx, struct txn *txn)
{
    struct q_campaign_old_row *rows = NULL;
    size_t n = 0;
    TRY(q_campaign_old(ctx, txn, ctx_now_s(ctx) - CAMPAIGNS_KEPT_S, 10, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        TRY(q_campaign_members_drop(ctx, txn, rows[i].id));
        TRY(q_campaign_drop(ctx, txn, rows[i].id));
    }
    return RC_OK;
}
