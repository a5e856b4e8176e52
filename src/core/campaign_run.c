/* Working campaigns off, turn by turn. */
#include "base/log.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/campaign.h"
#include "core/managed.h"
#include "core/rehearsal.h"
#include "core/request.h"

#define AT_ONCE 20 /* campaigns a turn */
/* Of its time this much is spent on looking; what is served wakes the schedule, and would have it look all the time. */
#define LOOK_PART  20
#define TROUBLE_S  60
#define NAMES_MAX  64
#define SUPERSEDED 4

struct turn {
    struct core *core;
    const char *id;
    struct q_campaign_get_row row;
    struct campaign_params params;
    const struct campaign_act *act;
    struct campaign_counts sum, wave;
    struct q_campaign_waiting_row *waiting;
    struct q_campaign_lost_row *lost;
    size_t n, lost_n;
    const char *barred;   /* who asked may do it no longer: why */
    const char *to, *why; /* what it becomes */
    size_t from, count;   /* of `waiting`: what is written now */
    const char *failed;   /* why the one did */
};

static void add_up(struct campaign_counts *c, const char *state, int64_t n)
{
    if (str_equal(state, "waiting"))
        c->waiting += n;
    else if (str_equal(state, "running"))
        c->running += n;
    else if (str_equal(state, "done"))
        c->done += n;
    else
        c->failed += n;
}

/* In the name of who asked, with what they may do now. */
static struct rc act_as(struct ctx *ctx, struct core *core, struct txn *txn, const struct turn *t)
{
    const struct principal *as = NULL;
    TRY(access_again(ctx, core, txn, (enum principal_kind)t->row.asker_kind, t->row.asker_id, &as));
    ctx->principal = as;
    return access_enter(ctx, core, t->act->permission);
}

static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct turn *t = arg;
    struct q_campaign_counts_row *rows = NULL;
    size_t n = 0;
    bool found = false;
    TRY(q_campaign_by_id(ctx, txn, t->id, &t->row, &found));
    if (!found)
        return ctx_fail(ctx, E_NOT_FOUND, "the campaign is gone");
    t->act = campaign_act_named(t->row.act);
    if (!t->act)
        return ctx_fail(ctx, E_BUG, "%s does what is not known: %s", t->row.name, t->row.act);
    TRY(campaign_params_read(ctx, t->row.params, &t->params));
    TRY(q_campaign_counts(ctx, txn, t->id, &rows, &n));
    t->sum = t->wave = (struct campaign_counts){0};
    for (size_t i = 0; i < n; i++) {
        add_up(&t->sum, rows[i].state, rows[i].n);
        if (rows[i].wave == t->row.wave)
            add_up(&t->wave, rows[i].state, rows[i].n);
    }
    const struct principal *hub = ctx->principal;
    struct rc rc = act_as(ctx, t->core, txn, t);
    ctx->principal = hub;
    if (rc_failed(rc) && err_info(rc.e)->category != CAT_ACCESS)
        return rc;
    t->barred = rc_failed(rc)
                    ? arena_printf(&ctx->arena, "%s asked for it, and may not do it any more: %s", t->row.asker, ctx_why(ctx))
                    : NULL;
    if (rc_failed(rc))
        ctx_forget(ctx);
    int64_t room = CAMPAIGN_SLICE;
    if (t->row.pace && t->row.pace / 3600 < room)
        room = t->row.pace / 3600 > 1 ? t->row.pace / 3600 : 1;
    if (t->act->waits && CAMPAIGN_UNDER_WAY - t->sum.running < room)
        room = CAMPAIGN_UNDER_WAY - t->sum.running;
    TRY(q_campaign_lost(ctx, txn, t->id, CAMPAIGN_SLICE, &t->lost, &t->lost_n));
    t->n = 0;
    return room > 0 ? q_campaign_waiting(ctx, txn, t->id, t->row.wave, room, &t->waiting, &t->n) : RC_OK;
}

/* --- steps of its life */

static struct rc become(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct turn *t = arg;
    const struct q_campaign_move_in in = {.id = t->id, .from = t->row.state, .to = t->to, .why = t->why, .now = ctx_now_s(ctx)};
    TRY(q_campaign_move(ctx, txn, &in));
    if (str_equal(t->to, "done")) /* of those that were renewed otherwise meanwhile */
        TRY(campaign_asks_no_more(ctx, t->core, txn, &t->row, arena_printf(&ctx->arena, "%s is done without it", t->row.name)));
    return audit_write(ctx, txn, arena_printf(&ctx->arena, "%s.%s", t->row.kind, t->to), t->row.kind, t->id, t->row.team_id,
                       audit_facts(ctx, "name", t->row.name, "why", *t->why ? t->why : NULL,
                                   "done:", audit_number(ctx, t->sum.done), "failed:", audit_number(ctx, t->sum.failed),
                                   "left:", audit_number(ctx, t->sum.waiting + t->sum.running), NULL));
}

static struct rc becomes(struct ctx *ctx, struct turn *t, const char *to, const char *why)
{
    t->to = to;
    t->why = why;
    struct rc rc = store_write(ctx, t->core->store, become, t);
    if (rc.e != E_CHANGED)
        return rc;
    ctx_forget(ctx); /* somebody said something else meanwhile, or another hub was first */
    return RC_OK;
}

static struct rc next_wave(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct turn *t = arg;
    return q_campaign_wave(ctx, txn, t->id, t->row.wave, ctx_now_s(ctx));
}

static struct rc later(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct turn *t = arg;
    const int64_t rest = (int64_t)t->n * 3600 / t->row.pace;
    return q_campaign_next(ctx, txn, t->id, ctx_now_s(ctx) + (rest < 1 ? 1 : rest));
}

static struct rc trouble(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct turn *t = arg;
    return q_campaign_next(ctx, txn, t->id, ctx_now_s(ctx) + TROUBLE_S);
}

/* Why it goes on no more; NULL: it does. */
static const char *stops(struct ctx *ctx, const struct turn *t)
{
    const int64_t failed = t->sum.failed, tried = failed + t->sum.done + t->sum.running;
    if (t->barred)
        return t->barred;
    if (!failed)
        return NULL;
    if (str_equal(t->row.kind, "campaign") && t->row.wave == 1 && t->row.waves > 1)
        return arena_printf(&ctx->arena, "%lld of the first wave failed", (long long)failed);
    if (t->row.stop_failures && failed >= t->row.stop_failures)
        return arena_printf(&ctx->arena, "%lld failed", (long long)failed);
    if (t->row.stop_percent && failed * 100 >= t->row.stop_percent * tried)
        return arena_printf(&ctx->arena, "%lld of %lld failed", (long long)failed, (long long)tried);
    return NULL;
}

/* --- members */

static struct rc member_step(struct ctx *ctx, struct txn *txn, const struct turn *t, int64_t number, const char *from,
                             const char *to, const char *why, int64_t above)
{
    const struct q_campaign_member_set_in in = {
        .campaign_id = t->id, .number = number, .from = from, .to = to, .why = why, .above = above, .at = ctx_now_s(ctx)};
    return q_campaign_member_set(ctx, txn, &in);
}

/* The step comes first: what is done may already lead to a version that is served. */
static struct rc member_do(struct ctx *ctx, struct txn *txn, const struct turn *t, const struct q_campaign_waiting_row *w)
{
    struct q_managed_by_id_row m = {0};
    if (w->managed_id)
        TRY(q_managed_by_id(ctx, txn, w->managed_id, &m));
    /* One that was begun before and has its new version needs that deployed, and no other. */
    const bool again = w->above > 0 && t->act->waits, issued = again && m.version > w->above;
    const int64_t above = again ? w->above : str_equal(t->act->word, "retry") && m.version > 0 ? m.version - 1 : m.version;
    struct rc rc = member_step(ctx, txn, t, w->number, "waiting", "running", "", above);
    if (rc.e == E_CHANGED) { /* another hub has done it */
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(rc);
    rc = issued ? managed_act_in(ctx, t->core, txn, MANAGED_FINISH, w->object, NULL, 0, REVOCATION_USUAL)
                : t->act->act(ctx, t->core, txn, &t->params, w->object);
    if (rc.e == E_PENDING) { /* policy wants it approved: it is done once it is (core/request.h) */
        const char *why = arena_strdup(&ctx->arena, ctx_why(ctx)), *request = ctx->pending;
        ctx_forget(ctx);
        return q_campaign_member_asked(ctx, txn, t->id, w->number, request, why);
    }
    TRY(rc);
    if (t->act->waits && !m.paused_at)
        return RC_OK;
    return member_step(ctx, txn, t, w->number, "running", "done", "", above);
}

static struct rc slice_do(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct turn *t = arg;
    struct q_campaign_get_row now;
    bool found = false;
    TRY(q_campaign_by_id(ctx, txn, t->id, &now, &found));
    if (!found || !str_equal(now.state, "running"))
        return RC_OK;
    TRY(act_as(ctx, t->core, txn, t));
    for (size_t i = t->from; i < t->from + t->count; i++)
        TRY(member_do(ctx, txn, t, &t->waiting[i]));
    return RC_OK;
}

static struct rc member_failed(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct turn *t = arg;
    const struct q_campaign_waiting_row *w = &t->waiting[t->from];
    struct rc rc = member_step(ctx, txn, t, w->number, "waiting", "failed", t->failed, w->above);
    if (rc.e != E_CHANGED)
        return rc;
    ctx_forget(ctx);
    return RC_OK;
}

static struct rc write_as(struct ctx *ctx, struct turn *t, size_t from, size_t n)
{
    const struct principal *hub = ctx->principal;
    t->from = from;
    t->count = n;
    struct rc rc = store_write(ctx, t->core->store, slice_do, t);
    ctx->principal = hub;
    return rc;
}

/* All in one write; where one of them cannot be done, each in its own. */
static struct rc slice(struct ctx *ctx, struct turn *t)
{
    struct rc rc = write_as(ctx, t, 0, t->n);
    if (rc_ok(rc) || err_info(rc.e)->category == CAT_RESOURCE)
        return rc;
    for (size_t i = 0; i < t->n; i++) {
        ctx_forget(ctx);
        rc = write_as(ctx, t, i, 1);
        if (rc_ok(rc))
            continue;
        if (err_info(rc.e)->category == CAT_RESOURCE)
            return rc;
        t->failed = arena_strdup(&ctx->arena, ctx_why(ctx));
        ctx_forget(ctx);
        TRY(store_write(ctx, t->core->store, member_failed, t));
    }
    return RC_OK;
}

/* What is waited for and will not come: nobody renews what is paused or managed no longer. */
static struct rc lose(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct turn *t = arg;
    for (size_t i = 0; i < t->lost_n; i++) {
        const struct q_campaign_lost_row *l = &t->lost[i];
        const char *why = l->removed_at ? "it is managed no longer"
                          : l->paused_reason
                              ? arena_printf(&ctx->arena, "paused: %s", l->paused_reason)
                              : arena_printf(&ctx->arena, "the request for it was not approved: it is %s", l->request);
        bool dropped = false;
        struct rc rc = member_step(ctx, txn, t, l->number, "running", "failed", why, l->above);
        if (rc.e == E_CHANGED)
            ctx_forget(ctx);
        else
            TRY(rc);
        if (l->request_id)
            TRY(request_drop(ctx, t->core, txn, l->request_id, why, &dropped));
    }
    return RC_OK;
}

/* --- rehearsals */

static const char *rehearsal_name(struct ctx *ctx, const struct turn *t)
{
    const char *end = "-rehearsal";
    return arena_printf(&ctx->arena, "%.*s%s", (int)(NAMES_MAX - strlen(end)), t->row.name, end);
}

/* As the first member would be done whose key is made here. */
static struct rc rehearsal_begin(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct turn *t = arg;
    TRY(act_as(ctx, t->core, txn, t));
    for (size_t i = 0; i < t->n; i++) {
        struct q_managed_by_id_row m;
        struct wish w;
        const char *id = NULL;
        TRY(q_managed_by_id(ctx, txn, t->waiting[i].managed_id, &m));
        TRY(wish_decode(ctx, m.wish, &w));
        if (w.csr.n || m.removed_at)
            continue;
        campaign_wish(ctx, &t->params, &w);
        TRY(rehearsal_of(ctx, t->core, txn, m.id, rehearsal_name(ctx, t), &w, &id));
        return q_campaign_rehearsal(ctx, txn, t->id, id, NULL, NULL);
    }
    return ctx_fail(ctx, E_CONFLICT, "the keys of its first members are elsewhere: nothing can be rehearsed with them");
}

/* It has its certificate, or did not get it: either way it goes, and with it what was issued. */
static struct rc rehearsal_end(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct turn *t = arg;
    struct q_managed_by_id_row m;
    const int64_t now = ctx_now_s(ctx);
    bool done = false;
    TRY(q_campaign_rehearsal(ctx, txn, t->id, NULL, &now, t->failed));
    if (t->row.rehearsal_id) {
        TRY(q_managed_by_id(ctx, txn, t->row.rehearsal_id, &m));
        if (m.version)
            TRY(revocation_do(ctx, t->core, txn, m.id, m.name, m.version, SUPERSEDED, &done));
        if (!m.removed_at)
            TRY(managed_drop(ctx, t->core, txn, m.id));
    }
    const struct q_campaign_move_in in = {.id = t->id, .from = "rehearsing", .to = "draft", .why = "", .now = now};
    TRY(q_campaign_move(ctx, txn, &in));
    return audit_write(ctx, txn, "campaign.rehearsed", t->row.kind, t->id, t->row.team_id,
                       audit_facts(ctx, "name", t->row.name, "error", t->failed, NULL));
}

struct rehearsal_look {
    const char *id, *error;
    bool issued, failed;
};

static struct rc rehearsal_look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct rehearsal_look *r = arg;
    struct q_managed_by_id_row m;
    struct q_managed_get_row shown;
    bool found = false;
    TRY(q_managed_by_id(ctx, txn, r->id, &m));
    TRY(q_managed_get(ctx, txn, r->id, access_scope(ctx), &shown, &found));
    r->issued = m.version > 0;
    r->failed = m.removed_at || m.failures > 0 || m.paused_at;
    r->error = found && shown.error ? shown.error : "it was taken away";
    return RC_OK;
}

static struct rc rehearse(struct ctx *ctx, struct turn *t)
{
    t->failed = NULL;
    if (!t->row.rehearsal_id) {
        const struct principal *hub = ctx->principal;
        struct rc rc =
            t->barred ? ctx_fail(ctx, E_FORBIDDEN, "%s", t->barred) : store_write(ctx, t->core->store, rehearsal_begin, t);
        ctx->principal = hub;
        if (rc_ok(rc) || err_info(rc.e)->category == CAT_RESOURCE)
            return rc;
        t->failed = arena_strdup(&ctx->arena, ctx_why(ctx));
        ctx_forget(ctx);
        return store_write(ctx, t->core->store, rehearsal_end, t);
    }
    struct rehearsal_look r = {.id = t->row.rehearsal_id};
    TRY(store_read(ctx, t->core->store, rehearsal_look, &r));
    if (!r.issued && !r.failed)
        return RC_OK;
    t->failed = r.issued ? NULL : r.error;
    return store_write(ctx, t->core->store, rehearsal_end, t);
}

/* --- turns */

static struct rc turn(struct ctx *ctx, struct turn *t, bool *more)
{
    TRY(store_read(ctx, t->core->store, look, t));
    if (str_equal(t->row.state, "rehearsing"))
        return rehearse(ctx, t);
    if (!str_equal(t->row.state, "running"))
        return RC_OK;
    if (t->lost_n) {
        *more = true;
        return store_write(ctx, t->core->store, lose, t);
    }
    const char *why = stops(ctx, t);
    if (why)
        return becomes(ctx, t, "halted", why);
    if (!t->wave.waiting && !t->sum.running) {
        *more = true;
        if (t->row.wave >= t->row.waves)
            return becomes(ctx, t, "done", "");
        struct rc rc = store_write(ctx, t->core->store, next_wave, t);
        if (rc.e != E_CHANGED)
            return rc;
        ctx_forget(ctx);
        return RC_OK;
    }
    if (t->n) {
        TRY(slice(ctx, t));
        *more |= !t->row.pace;
        return t->row.pace ? store_write(ctx, t->core->store, later, t) : RC_OK;
    }
    return RC_OK;
}

struct due {
    struct q_campaign_due_row *rows;
    size_t n;
};

static struct rc due(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct due *d = arg;
    return q_campaign_due(ctx, txn, ctx_now_s(ctx), AT_ONCE, &d->rows, &d->n);
}

RC campaign_tick(struct ctx *ctx, struct core *core, bool *more)
{
    struct due d = {0};
    const struct principal *hub = ctx->principal;
    const int64_t began = clock_mono_ms();
    if (began < core->campaign_rest_until_ms)
        return RC_OK;
    TRY(store_read(ctx, core->store, due, &d));
    for (size_t i = 0; i < d.n; i++) {
        struct turn t = {.core = core, .id = d.rows[i].id};
        struct rc rc = turn(ctx, &t, more);
        ctx->principal = hub;
        if (rc_ok(rc))
            continue;
        log_event(LOG_WARN_, "campaign_failed", "campaign", t.id, "why", ctx_why(ctx), NULL);
        ctx_forget(ctx);
        if (err_info(rc.e)->category == CAT_RESOURCE)
            return RC_OK; /* it is tried again in a moment, as all else is */
        TRY(store_write(ctx, core->store, trouble, &t));
    }
    const int64_t now = clock_mono_ms();
    core->campaign_rest_until_ms = *more ? now : now + (now - began) * LOOK_PART;
    return RC_OK;
}
