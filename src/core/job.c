#include "core/job.h"

#include "base/log.h"
#include "base/random.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/result.h"
#include "store/queries.h"

RC job_add(struct ctx *ctx, struct core *core, struct txn *txn, const char *kind, const char *agent, const char *lane, const char *ref,
           struct bytes payload, int64_t run_at)
{
    const int64_t now = ctx_now_s(ctx);
    const struct q_job_add_in in = {.id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                                    .kind = kind,
                                    .agent_id = agent,
                                    .lane = lane,
                                    .ref = ref,
                                    .payload = arena_str(&ctx->arena, payload),
                                    .run_at = run_at ? run_at : now,
                                    .now = now};
    TRY(q_job_add(ctx, txn, &in));
    core_wake_after_commit(ctx, core, txn, "agent:", agent);
    return RC_OK;
}

struct lease {
    struct core *core;
    const char *agent;
    int64_t most;
    struct leased_job *out;
    size_t n;
};

static struct rc lease_look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct lease *l = arg;
    struct q_job_ready_row *rows = NULL;
    return q_job_ready(ctx, txn, l->agent, ctx_now_s(ctx), 1, &rows, &l->n);
}

static struct rc lease_take(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct lease *l = arg;
    struct q_job_ready_row *rows = NULL;
    size_t n = 0;
    const int64_t now = ctx_now_s(ctx);
    TRY(q_job_ready(ctx, txn, l->agent, now, l->most, &rows, &n));
    l->out = arena_array(&ctx->arena, n, sizeof *l->out);
    l->n = 0;
    struct str_list lanes = {0};
    for (size_t i = 0; i < n; i++) {
        /* Two that are ready in one lane: the second waits for the first. */
        if (str_list_has(&lanes, rows[i].lane))
            continue;
        str_list_add(&ctx->arena, &lanes, rows[i].lane);
        struct q_job_lane_fence_row last;
        TRY(q_job_lane_fence(ctx, txn, rows[i].lane, &last));
        const int64_t base = fence_make(l->core->epoch, 0);
        struct leased_job *j = &l->out[l->n++];
        *j = (struct leased_job){.id = rows[i].id,
                                 .kind = rows[i].kind,
                                 .lane = rows[i].lane,
                                 .ref = rows[i].ref,
                                 .payload = bytes_z(rows[i].payload),
                                 .fence = (last.fence > base ? last.fence : base) + 1,
                                 .lease_until = now + JOB_LEASE_S,
                                 .tries = rows[i].tries + 1};
        TRY(q_job_lease(ctx, txn, j->id, j->fence, j->lease_until));
    }
    return RC_OK;
}

RC job_lease(struct ctx *ctx, struct core *core, const char *agent, int64_t most, struct leased_job **out, size_t *n)
{
    struct lease l = {.core = core, .agent = agent, .most = most};
    *n = 0;
    if (most <= 0)
        return RC_OK;
    /* Most polls find nothing: a look costs no write. */
    TRY(store_read(ctx, core->store, lease_look, &l));
    if (!l.n)
        return RC_OK;
    TRY(store_write(ctx, core->store, lease_take, &l));
    *out = l.out;
    *n = l.n;
    return RC_OK;
}

struct report {
    struct core *core;
    const char *agent;
    struct checked_result *results;
    size_t n;
    struct str_list dropped;
};

static struct rc report_apply(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct report *r = arg;
    r->dropped = (struct str_list){0};
    for (size_t i = 0; i < r->n; i++) {
        struct rc rc = result_apply(ctx, r->core, txn, r->agent, &r->results[i]);
        if (rc.e == E_FENCED) {
            ctx_forget(ctx);
            str_list_add(&ctx->arena, &r->dropped, r->results[i].id);
            continue;
        }
        TRY(rc);
    }
    return RC_OK;
}

RC job_apply(struct ctx *ctx, struct core *core, const char *agent, struct checked_result *results, size_t n, struct str_list *dropped)
{
    struct report all = {.core = core, .agent = agent, .results = results, .n = n};
    struct rc rc = store_write(ctx, core->store, report_apply, &all);
    if (rc_ok(rc)) {
        for (size_t i = 0; i < all.dropped.n; i++)
            str_list_add(&ctx->arena, dropped, all.dropped.v[i]);
        return RC_OK;
    }
    if (err_info(rc.e)->category == CAT_RESOURCE)
        return rc;
    /* One of them cannot be applied: the others must not wait for it. */
    log_event(LOG_WARN_, "results_apart", "why", ctx_why(ctx), NULL);
    ctx_forget(ctx);
    for (size_t i = 0; i < n; i++) {
        struct report one = {.core = core, .agent = agent, .results = &results[i], .n = 1};
        rc = store_write(ctx, core->store, report_apply, &one);
        if (rc_failed(rc) && err_info(rc.e)->category == CAT_RESOURCE)
            return rc;
        if (rc_failed(rc)) {
            log_event(LOG_ERROR_, "result_refused", "job", results[i].id, "why", ctx_why(ctx), NULL);
            ctx_forget(ctx);
        }
        if (rc_failed(rc) || one.dropped.n)
            str_list_add(&ctx->arena, dropped, results[i].id);
    }
    return RC_OK;
}

RC job_results(struct ctx *ctx, struct core *core, const char *agent, const struct api_job_result *results, size_t n,
               struct str_list *dropped)
{
    if (!n)
        return RC_OK;
    struct checked_result *checked = arena_array(&ctx->arena, n, sizeof *checked);
    TRY(results_check(ctx, core, results, n, checked));
    return job_apply(ctx, core, agent, checked, n, dropped);
}

struct progress {
    struct core *core;
    const char *agent;
    const struct api_job_progress *v;
    size_t n;
};

static struct rc progress_apply(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct progress *p = arg;
    for (size_t i = 0; i < p->n; i++)
        TRY(result_progress(ctx, p->core, txn, p->agent, &p->v[i]));
    return RC_OK;
}

RC job_progress(struct ctx *ctx, struct core *core, const char *agent, const struct api_job_progress *progress, size_t n)
{
    struct progress p = {.core = core, .agent = agent, .v = progress, .n = n};
    return n ? store_write(ctx, core->store, progress_apply, &p) : RC_OK;
}

struct holding {
    struct core *core;
    const char *agent;
    const struct api_job_ref *held;
    size_t n;
    struct str_list dropped, extend;
};

static struct rc holding_look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct holding *h = arg;
    for (size_t i = 0; i < h->n; i++) {
        struct q_job_get_row row;
        bool found = false;
        TRY(q_job_get(ctx, txn, h->held[i].id, &row, &found));
        if (!found || row.fence != h->held[i].fence || !str_equal(row.state, "leased") || !str_equal(row.agent_id, h->agent))
            str_list_add(&ctx->arena, &h->dropped, h->held[i].id);
        else if (*row.lease_until - ctx_now_s(ctx) < JOB_LEASE_S / 2)
            str_list_add(&ctx->arena, &h->extend, h->held[i].id);
    }
    return RC_OK;
}

static struct rc holding_extend(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct holding *h = arg;
    for (size_t i = 0; i < h->n; i++)
        if (str_list_has(&h->extend, h->held[i].id))
            TRY(q_job_extend(ctx, txn, h->held[i].id, h->held[i].fence, ctx_now_s(ctx) + JOB_LEASE_S));
    return RC_OK;
}

RC job_holding(struct ctx *ctx, struct core *core, const char *agent, const struct api_job_ref *held, size_t n, struct str_list *dropped)
{
    struct holding h = {.core = core, .agent = agent, .held = held, .n = n};
    if (!n)
        return RC_OK;
    TRY(store_read(ctx, core->store, holding_look, &h));
    if (h.extend.n)
        TRY(store_write(ctx, core->store, holding_extend, &h));
    for (size_t i = 0; i < h.dropped.n; i++)
        str_list_add(&ctx->arena, dropped, h.dropped.v[i]);
    return RC_OK;
}

static struct rc reap(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct core *core = arg;
    struct q_job_expired_row *rows = NULL;
    size_t n = 0;
    TRY(q_job_expired(ctx, txn, ctx_now_s(ctx), 100, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        log_event(LOG_WARN_, "lease_ran_out", "job", rows[i].id, "kind", rows[i].kind, "tries", log_num(rows[i].tries), NULL);
        TRY(result_lease_lost(ctx, core, txn, rows[i].id, rows[i].fence, rows[i].tries));
    }
    return RC_OK;
}

static struct rc reap_look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct q_job_expired_row *rows = NULL;
    return q_job_expired(ctx, txn, ctx_now_s(ctx), 1, &rows, arg);
}

RC job_reap(struct ctx *ctx, struct core *core)
{
    size_t n = 0;
    TRY(store_read(ctx, core->store, reap_look, &n));
    return n ? store_write(ctx, core->store, reap, core) : RC_OK;
}

RC timer_arm(struct ctx *ctx, struct txn *txn, const char *kind, const char *ref, int64_t due_at)
{
    return q_timer_set(ctx, txn, kind, ref, due_at);
}

RC timer_clear(struct ctx *ctx, struct txn *txn, const char *kind, const char *ref)
{
    return q_timer_clear(ctx, txn, kind, ref);
}

int64_t retry_delay_s(int64_t failures, int64_t retry_after_s)
{
    int64_t delay = 60;
    for (int64_t i = 1; i < failures && delay < 12 * 3600; i++)
        delay *= 2;
    if (delay > 12 * 3600)
        delay = 12 * 3600;
    delay += (int64_t)random_below((uint64_t)delay / 5 * 2 + 1) - delay / 5;
    return delay < retry_after_s ? retry_after_s + (int64_t)random_below(30) : delay;
}
