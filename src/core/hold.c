#include "core/hold.h"

#include "base/encode.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/job.h"
#include "core/window.h"
#include "store/queries.h"

static const char *when(struct ctx *ctx, int64_t at)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 64);
    time_put_rfc3339(&b, at);
    return buf_z(&b);
}

RC hold_windows_check(struct ctx *ctx, const char *windows)
{
    struct window *w = arena_array(&ctx->arena, WINDOWS_MAX, sizeof *w);
    size_t n = 0;
    ctx->field = "/windows";
    TRY(windows_parse(ctx, windows, w, &n));
    ctx->field = NULL;
    return RC_OK;
}

/* What is there now, if it ends before `at`. */
static struct rc expires_before(struct ctx *ctx, struct txn *txn, const char *target, int64_t at, const char **why)
{
    struct q_placement_get_row placed;
    struct q_version_get_row v;
    bool any = false, found = false;
    TRY(q_placement_get(ctx, txn, target, &placed, &any));
    if (any)
        TRY(q_version_get(ctx, txn, placed.managed_id, placed.version, &v, &found));
    if (found && v.not_after <= at)
        *why = arena_printf(&ctx->arena, "outside its maintenance window: what is there ends at %s, before the next one opens at "
                            "%s",
                            when(ctx, v.not_after), when(ctx, at));
    return RC_OK;
}

RC hold_look(struct ctx *ctx, struct txn *txn, const char *target, const char *windows, const char *reason, int64_t *until,
             int64_t *closes, const char **why)
{
    const int64_t now = ctx_now_s(ctx);
    struct window *w = arena_array(&ctx->arena, WINDOWS_MAX, sizeof *w);
    int64_t opens = 0;
    size_t n = 0;
    *until = *closes = 0;
    *why = NULL;
    if (str_equal(reason, "rollback") || str_equal(reason, "rollout halted") || str_equal(windows, "[]"))
        return RC_OK;
    /* The system's zones are read here; a closure that is run again reads the same. */
    TRY(windows_parse(ctx, windows, w, &n));
    if (!windows_next(w, n, now, &opens, closes)) {
        *closes = 0;
        return RC_OK;
    }
    if (opens <= now)
        return RC_OK;
    *closes = 0;
    TRY(expires_before(ctx, txn, target, opens, why));
    *until = *why ? 0 : opens;
    return RC_OK;
}

RC hold_set(struct ctx *ctx, struct core *core, struct txn *txn, const char *deployment)
{
    struct q_deployment_by_id_row d;
    struct q_target_by_id_row t;
    struct q_job_open_ref_row job;
    struct q_deployment_held_row held;
    int64_t until = 0, closes = 0;
    const char *why = NULL;
    bool found = false;
    TRY(q_deployment_by_id(ctx, txn, deployment, &d));
    TRY(q_job_open_ref(ctx, txn, deployment, "deploy", &job, &found));
    if (d.finished_at || !found || !str_equal(job.state, "ready"))
        return RC_OK;
    TRY(q_target_by_id(ctx, txn, d.target_id, &t));
    TRY(q_deployment_held(ctx, txn, deployment, &held));
    TRY(hold_look(ctx, txn, d.target_id, t.windows, held.reason, &until, &closes, &why));
    const int64_t before = held.hold_until ? *held.hold_until : 0;
    if (why)
        TRY(step_write(ctx, txn, d.managed_id, NULL, deployment, "window", "%s: %s", t.name, why));
    else if (until && until != before)
        TRY(step_write(ctx, txn, d.managed_id, NULL, deployment, "window", "%s is changed in its maintenance window, from %s on",
                       t.name, when(ctx, until)));
    if (until || before) {
        TRY(q_deployment_hold(ctx, txn, deployment, until ? &until : NULL));
        TRY(q_job_put_off(ctx, txn, deployment, "deploy", until ? until : ctx_now_s(ctx)));
        core_wake_after_commit(ctx, core, txn, "managed:", d.managed_id);
        core_wake_after_commit(ctx, core, txn, "agent:", t.agent_id);
    }
    /* When it opens, what waits is no longer held; when it closes, what nobody has taken waits for the next. */
    return until || closes ? timer_arm(ctx, txn, "window", deployment, until ? until : closes)
                           : timer_clear(ctx, txn, "window", deployment);
}

RC hold_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *deployment)
{
    struct q_deployment_by_id_row d;
    struct q_target_by_id_row t;
    TRY(q_deployment_by_id(ctx, txn, deployment, &d));
    TRY(q_target_by_id(ctx, txn, d.target_id, &t));
    TRY(hold_set(ctx, core, txn, deployment));
    core_wake_after_commit(ctx, core, txn, "agent:", t.agent_id); /* the timer that was due kept the job from it */
    return RC_OK;
}

RC hold_target(struct ctx *ctx, struct core *core, struct txn *txn, const char *target)
{
    struct q_deployment_open_of_target_row *open = NULL;
    size_t n = 0;
    TRY(q_deployment_open_of_target(ctx, txn, target, &open, &n));
    for (size_t i = 0; i < n; i++)
        TRY(hold_set(ctx, core, txn, open[i].id));
    return RC_OK;
}

RC hold_override(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, size_t *out)
{
    struct q_deployment_open_of_managed_row *open = NULL;
    const char *who = ctx->principal ? ctx->principal->name : "somebody";
    size_t n = 0;
    *out = 0;
    TRY(q_deployment_open_of_managed(ctx, txn, managed, &open, &n));
    for (size_t i = 0; i < n; i++) {
        struct q_target_by_id_row t;
        if (!open[i].hold_until)
            continue;
        TRY(q_target_by_id(ctx, txn, open[i].target_id, &t));
        TRY(q_deployment_hold(ctx, txn, open[i].id, NULL));
        TRY(q_job_put_off(ctx, txn, open[i].id, "deploy", ctx_now_s(ctx)));
        TRY(timer_clear(ctx, txn, "window", open[i].id));
        TRY(step_write(ctx, txn, managed, NULL, open[i].id, "window", 
                       "%s is changed now, outside its maintenance window, as %s says", t.name, who));
        core_wake_after_commit(ctx, core, txn, "agent:", t.agent_id);
        ++*out;
    }
    return RC_OK;
}
