#include "core/rollout.h"

#include "base/random.h"
#include "core/attempt.h"
#include "core/audit.h"
#include "core/deployment.h"
#include "core/job.h"
#include "core/managed.h"

/* --- how targets are divided */

bool rollout_sizes(const struct wish *w, int64_t targets, int64_t *canary, int64_t *size)
{
    const int64_t first = w->canary >= 0 ? w->canary : targets > ROLLOUT_CANARY_FROM ? 1 : 0;
    int64_t each = w->wave_percent ? (targets * w->wave_percent + 99) / 100 : w->wave;
    if (each <= 0 || each > targets)
        each = targets;
    *size = each;
    *canary = first > 0 ? first : each;
    return *canary < targets;
}

static size_t place_of(const struct wish *w, const char *name)
{
    for (size_t i = 0; i < w->targets.n; i++)
        if (str_equal(w->targets.v[i], name))
            return i;
    return w->targets.n;
}

RC rollout_order(struct ctx *ctx, struct txn *txn, const char *managed, const struct wish *w, struct q_managed_targets_row **out,
                 size_t *n)
{
    struct q_managed_targets_row *rows = NULL;
    TRY(q_managed_targets(ctx, txn, managed, &rows, n));
    size_t *places = arena_array(&ctx->arena, *n, sizeof *places);
    *out = arena_array(&ctx->arena, *n, sizeof **out);
    for (size_t i = 0; i < *n; i++) { /* sorted into its place; of two that the wish does not name the order stays */
        const size_t place = place_of(w, rows[i].name);
        size_t at = i;
        for (; at > 0 && places[at - 1] > place; at--) {
            places[at] = places[at - 1];
            (*out)[at] = (*out)[at - 1];
        }
        places[at] = place;
        (*out)[at] = rows[i];
    }
    return RC_OK;
}

/* --- waves */

struct rollout {
    struct q_managed_by_id_row m;
    struct q_rollout_get_row r;
    struct q_rollout_deployments_row *rows;
    size_t n;
};

static struct rc rollout_read(struct ctx *ctx, struct txn *txn, const char *managed, struct rollout *x, bool *found)
{
    TRY(q_managed_by_id(ctx, txn, managed, &x->m));
    TRY(q_rollout_get(ctx, txn, managed, &x->r, found));
    return *found ? q_rollout_deployments(ctx, txn, x->r.id, &x->rows, &x->n) : RC_OK;
}

static bool is_proved(const struct q_rollout_deployments_row *row)
{
    return str_equal(row->state, "served") || str_equal(row->state, "untrusted");
}

/* One that made room for something else did not begin. */
static bool has_begun(const struct rollout *x, const char *target)
{
    for (size_t i = 0; i < x->n; i++)
        if (str_equal(x->rows[i].target_id, target) && !str_equal(x->rows[i].state, "superseded") &&
            !str_equal(x->rows[i].state, "cancelled"))
            return true;
    return false;
}

/* Until a target has proved the version the next one is a canary still: the first may have been taken away. */
static int64_t next_size(const struct rollout *x)
{
    for (size_t i = 0; i < x->n; i++)
        if (is_proved(&x->rows[i]))
            return x->r.size;
    return x->r.canary;
}

static struct rc begin_one(struct ctx *ctx, struct core *core, struct txn *txn, const struct rollout *x, int64_t wave,
                           const char *target)
{
    struct q_placement_get_row placed;
    const char *id = NULL;
    bool any = false;
    TRY(q_placement_get(ctx, txn, target, &placed, &any));
    TRY(deployment_begin_as(ctx, core, txn, &x->m, x->r.version, target, x->r.reason, x->r.tries, &id));
    const int64_t before = any && str_equal(placed.managed_id, x->m.id) ? placed.version : 0;
    return q_deployment_wave_set(ctx, txn, id, x->r.id, wave, before);
}

static struct rc ends_well(struct ctx *ctx, struct txn *txn, const struct rollout *x)
{
    TRY(q_rollout_state(
        ctx, txn, &(struct q_rollout_state_in){.managed_id = x->m.id, .id = x->r.id, .from = "running", .to = "done", .why = ""}));
    TRY(timer_clear(ctx, txn, "rollout", x->m.id));
    return step_write(ctx, txn, x->m.id, NULL, NULL, "rollout", "version %lld went out in %lld wave%s", (long long)x->r.version,
                      (long long)x->r.wave, x->r.wave == 1 ? "" : "s");
}

/* Begins the next wave; where no target is left it is done. */
static struct rc next_wave(struct ctx *ctx, struct core *core, struct txn *txn, const struct rollout *x)
{
    struct wish w;
    struct q_managed_targets_row *targets = NULL;
    size_t n = 0;
    TRY(wish_decode(ctx, x->m.wish, &w));
    TRY(rollout_order(ctx, txn, x->m.id, &w, &targets, &n));
    const int64_t wave = x->r.wave + 1, most = next_size(x);
    struct str_list chosen = {0};
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        if (has_begun(x, targets[i].target_id))
            continue;
        left++;
        if ((int64_t)chosen.n < most)
            str_list_add(&ctx->arena, &chosen, targets[i].target_id);
    }
    if (!chosen.n)
        return ends_well(ctx, txn, x);
    TRY(q_rollout_wave(ctx, txn, x->m.id, x->r.id, wave));
    TRY(timer_clear(ctx, txn, "rollout", x->m.id));
    const char *then = left == chosen.n ? "the last"
                                        : arena_printf(&ctx->arena, "%zu more once %s proved", left - chosen.n,
                                                       chosen.n == 1 ? "it is" : "they are");
    TRY(step_write(ctx, txn, x->m.id, NULL, NULL, "wave", "wave %lld of version %lld: %zu target%s, %s", (long long)wave,
                   (long long)x->r.version, chosen.n, chosen.n == 1 ? "" : "s", then));
    for (size_t i = 0; i < chosen.n; i++)
        TRY(begin_one(ctx, core, txn, x, wave, chosen.v[i]));
    return RC_OK;
}

RC rollout_forget(struct ctx *ctx, struct txn *txn, const char *managed)
{
    TRY(timer_clear(ctx, txn, "rollout", managed));
    return q_rollout_drop(ctx, txn, managed);
}

RC rollout_begin(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, int64_t version,
                 const char *reason, int64_t tries, bool *waves)
{
    struct wish w;
    struct q_managed_targets_row *targets = NULL;
    size_t n = 0;
    int64_t canary = 0, size = 0;
    bool found = false;
    TRY(wish_decode(ctx, m->wish, &w));
    TRY(q_managed_targets(ctx, txn, m->id, &targets, &n));
    TRY(rollout_forget(ctx, txn, m->id));
    *waves = rollout_sizes(&w, (int64_t)n, &canary, &size);
    if (!*waves)
        return RC_OK;
    /* What another roll-out still has under way would go to targets whose wave has not come. */
    TRY(deployment_overtake_all(ctx, txn, m->id));
    const struct q_rollout_set_in in = {.managed_id = m->id,
                                        .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                                        .version = version,
                                        .reason = reason,
                                        .canary = canary,
                                        .size = size,
                                        .pause_s = w.wave_pause_s,
                                        .tries = tries,
                                        .now = ctx_now_s(ctx)};
    TRY(q_rollout_set(ctx, txn, &in));
    struct rollout x = {0};
    TRY(rollout_read(ctx, txn, m->id, &x, &found));
    return next_wave(ctx, core, txn, &x);
}

/* Goes on where the wave under way is done: now, or after the pause that the wish asks for. */
static struct rc advance(struct ctx *ctx, struct core *core, struct txn *txn, const struct rollout *x, bool paused)
{
    size_t begun = 0, left = 0;
    struct q_managed_targets_row *targets = NULL;
    size_t n = 0;
    for (size_t i = 0; i < x->n; i++)
        if (!x->rows[i].finished_at)
            return RC_OK;
    if (x->m.removed_at || x->m.paused_at || (x->r.resume_at && !paused))
        return RC_OK;
    TRY(q_managed_targets(ctx, txn, x->m.id, &targets, &n));
    for (size_t i = 0; i < n; i++)
        *(has_begun(x, targets[i].target_id) ? &begun : &left) += 1;
    if (!x->r.pause_s || paused || !left)
        return next_wave(ctx, core, txn, x);
    const int64_t at = ctx_now_s(ctx) + x->r.pause_s;
    TRY(q_rollout_state(
        ctx, txn,
        &(struct q_rollout_state_in){
            .managed_id = x->m.id, .id = x->r.id, .from = "running", .to = "running", .why = "", .resume_at = &at}));
    TRY(step_write(ctx, txn, x->m.id, NULL, NULL, "wave", "wave %lld is proved; the next one in %lld s", (long long)x->r.wave,
                   (long long)x->r.pause_s));
    return timer_arm(ctx, txn, "rollout", x->m.id, at);
}

/* --- going back */

/* Why a target cannot go back to the version it had; NULL where it can. */
static struct rc no_way_back(struct ctx *ctx, struct txn *txn, const struct rollout *x, int64_t before, const char **why)
{
    struct q_version_newest_row newest;
    struct q_version_get_row v;
    bool any = false, found = false;
    *why = NULL;
    if (before <= 0 || before == x->r.version) {
        *why = "there is no version before it";
        return RC_OK;
    }
    TRY(q_version_newest(ctx, txn, x->m.id, &newest, &any));
    TRY(q_version_get(ctx, txn, x->m.id, before, &v, &found));
    if (!found || !any || newest.number - before >= VERSIONS_WITH_KEY)
        *why = arena_printf(&ctx->arena, "the key of version %lld is no longer kept", (long long)before);
    else if (v.revoked_at || v.not_after <= ctx_now_s(ctx))
        *why = arena_printf(&ctx->arena, "version %lld %s", (long long)before, v.revoked_at ? "is revoked" : "has expired");
    return RC_OK;
}

static struct rc go_back(struct ctx *ctx, struct core *core, struct txn *txn, const struct rollout *x,
                         const struct q_rollout_deployments_row *row)
{
    const int64_t before = row->version_before;
    const struct q_deployment_by_id_row at = {.managed_id = x->m.id, .target_id = row->target_id};
    const char *why = NULL;
    bool wanted = false;
    TRY(deployment_wanted(ctx, txn, &at, &wanted));
    if (!wanted) /* taken away meanwhile */
        return RC_OK;
    TRY(no_way_back(ctx, txn, x, before, &why));
    if (why)
        return step_write(ctx, txn, x->m.id, NULL, NULL, "halted", "%s keeps version %lld: %s", row->target,
                          (long long)x->r.version, why);
    return deployment_begin(ctx, core, txn, &x->m, before, row->target_id, "rollout halted", 0);
}

static struct rc halt(struct ctx *ctx, struct core *core, struct txn *txn, const struct rollout *x, const char *why,
                      int64_t retry_after_s, int64_t *retry_at)
{
    *retry_at = ctx_now_s(ctx) + retry_delay_s(x->r.tries + 1, retry_after_s);
    TRY(q_rollout_state(
        ctx, txn,
        &(struct q_rollout_state_in){
            .managed_id = x->m.id, .id = x->r.id, .from = "running", .to = "halted", .why = why, .resume_at = retry_at}));
    TRY(timer_arm(ctx, txn, "rollout", x->m.id, *retry_at));
    size_t changed = 0;
    for (size_t i = 0; i < x->n; i++)
        changed += is_proved(&x->rows[i]);
    TRY(step_write(ctx, txn, x->m.id, NULL, NULL, "halted",
                   "the roll-out of version %lld stops in wave %lld; %zu target%s that had it go%s back: %s",
                   (long long)x->r.version, (long long)x->r.wave, changed, changed == 1 ? "" : "s", changed == 1 ? "es" : "", why));
    for (size_t i = 0; i < x->n; i++) {
        if (!x->rows[i].finished_at)
            TRY(deployment_stop(ctx, txn, x->rows[i].id, x->rows[i].state));
        else if (is_proved(&x->rows[i]))
            TRY(go_back(ctx, core, txn, x, &x->rows[i]));
    }
    return RC_OK;
}

/* --- what deployments tell */

/* The roll-out that a deployment belongs to, where it is still the one that counts. */
static struct rc rollout_of(struct ctx *ctx, struct txn *txn, const struct q_deployment_by_id_row *d, struct rollout *x,
                            bool *found)
{
    struct q_deployment_wave_row wave;
    *found = false;
    TRY(q_deployment_wave(ctx, txn, d->id, &wave));
    if (!wave.rollout_id)
        return RC_OK;
    TRY(rollout_read(ctx, txn, d->managed_id, x, found));
    *found = *found && str_equal(x->r.id, wave.rollout_id);
    return RC_OK;
}

RC rollout_proved(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_deployment_by_id_row *d, bool *of_rollout)
{
    struct rollout x = {0};
    TRY(rollout_of(ctx, txn, d, &x, of_rollout));
    if (!*of_rollout || str_equal(x.r.state, "done"))
        return RC_OK;
    if (str_equal(x.r.state, "running"))
        return advance(ctx, core, txn, &x, false);
    for (size_t i = 0; i < x.n; i++) /* it was in its agent's hands when another one failed */
        if (str_equal(x.rows[i].id, d->id))
            return go_back(ctx, core, txn, &x, &x.rows[i]);
    return RC_OK;
}

RC rollout_failed(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_deployment_by_id_row *d, const char *why,
                  int64_t retry_after_s, int64_t *retry_at, bool *of_rollout)
{
    struct rollout x = {0};
    struct q_target_by_id_row t;
    TRY(rollout_of(ctx, txn, d, &x, of_rollout));
    if (!*of_rollout || str_equal(x.r.state, "done")) {
        *of_rollout = false;
        return RC_OK;
    }
    if (str_equal(x.r.state, "halted")) {
        *retry_at = x.r.resume_at ? *x.r.resume_at : ctx_now_s(ctx);
        return RC_OK;
    }
    TRY(q_target_by_id(ctx, txn, d->target_id, &t));
    return halt(ctx, core, txn, &x, arena_printf(&ctx->arena, "%s: %s", t.name, why), retry_after_s, retry_at);
}

/* --- what timers and people ask for */

RC rollout_active(struct ctx *ctx, struct txn *txn, const char *managed, int64_t version, struct q_rollout_get_row *out,
                  bool *active)
{
    TRY(q_rollout_get(ctx, txn, managed, out, active));
    *active = *active && out->version == version && !str_equal(out->state, "done");
    return RC_OK;
}

/* Deployments beside the waves (a way back, something put right again) that failed are tried again. */
static struct rc others_again(struct ctx *ctx, struct core *core, struct txn *txn, const struct rollout *x)
{
    struct q_managed_targets_row *targets = NULL;
    size_t n = 0;
    TRY(q_managed_targets(ctx, txn, x->m.id, &targets, &n));
    for (size_t i = 0; i < n; i++) {
        struct q_deployment_newest_row last;
        struct q_deployment_wave_row wave;
        bool any = false;
        TRY(q_deployment_newest(ctx, txn, x->m.id, targets[i].target_id, &last, &any));
        if (!any || !last.finished_at || !last.error_code || (last.retry_at && *last.retry_at > ctx_now_s(ctx)))
            continue;
        TRY(q_deployment_wave(ctx, txn, last.id, &wave));
        if (!wave.rollout_id)
            TRY(deployment_begin(ctx, core, txn, &x->m, last.version, targets[i].target_id, "retry", last.tries + 1));
    }
    return RC_OK;
}

RC rollout_reconcile(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, bool *taken)
{
    struct rollout x = {0};
    TRY(rollout_active(ctx, txn, m->id, m->version, &x.r, taken));
    if (!*taken)
        return RC_OK;
    TRY(rollout_read(ctx, txn, m->id, &x, taken));
    TRY(others_again(ctx, core, txn, &x));
    return str_equal(x.r.state, "running") ? advance(ctx, core, txn, &x, false) : RC_OK;
}

RC rollout_retry(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, bool *begun)
{
    struct q_rollout_get_row r;
    struct q_managed_targets_row *targets = NULL;
    size_t n = 0;
    bool waves = false;
    TRY(rollout_active(ctx, txn, m->id, m->version, &r, begun));
    *begun = *begun && str_equal(r.state, "halted");
    if (!*begun)
        return RC_OK;
    TRY(rollout_begin(ctx, core, txn, m, m->version, "retry", r.tries + 1, &waves));
    if (waves)
        return RC_OK;
    TRY(q_managed_targets(ctx, txn, m->id, &targets, &n)); /* the wish asks for no waves any more */
    for (size_t i = 0; i < n; i++)
        TRY(deployment_begin(ctx, core, txn, m, m->version, targets[i].target_id, "retry", r.tries + 1));
    return RC_OK;
}

RC rollout_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed)
{
    struct rollout x = {0};
    bool found = false;
    TRY(rollout_read(ctx, txn, managed, &x, &found));
    if (!found || x.m.removed_at || x.m.paused_at || x.m.version != x.r.version)
        return RC_OK; /* what is paused goes on when it is resumed */
    if (str_equal(x.r.state, "halted"))
        return rollout_retry(ctx, core, txn, &x.m, &found);
    return str_equal(x.r.state, "running") ? advance(ctx, core, txn, &x, true) : RC_OK;
}
