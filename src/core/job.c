#include "core/job.h"

#include "base/log.h"
#include "base/random.h"
#include "core/access.h"
#include "core/agent.h"
#include "core/audit.h"
#include "core/host_inventory.h"
#include "core/result.h"
#include "core/scan.h"
#include "store/queries.h"

/* Jobs looked at beyond those that are asked for: what an agent shall not do must not hide what it shall. */
#define LOOK_AHEAD 32

RC job_add(struct ctx *ctx, struct core *core, struct txn *txn, const char *kind, const char *agent, const char *lane,
           const char *ref, struct bytes payload, int64_t run_at)
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

/* --- leasing */

/* A fence rises within its lane, also over epochs. */
static struct rc lease_one(struct ctx *ctx, const struct core *core, struct txn *txn, struct leased_job *j)
{
    struct q_job_lane_fence_row last;
    TRY(q_job_lane_fence(ctx, txn, j->lane, &last));
    const int64_t base = fence_make(core->epoch, 0);
    j->fence = (last.fence > base ? last.fence : base) + 1;
    j->lease_until = ctx_now_s(ctx) + JOB_LEASE_S;
    return q_job_lease(ctx, txn, j->id, j->fence, j->lease_until);
}

RC job_refuse(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, enum err e, const char *why)
{
    struct q_job_get_row row;
    bool found = false;
    TRY(q_job_get(ctx, txn, id, &row, &found));
    if (!found)
        return RC_OK;
    struct leased_job j = {
        .id = row.id, .kind = row.kind, .lane = row.lane, .ref = row.ref, .tries = row.tries, .fence = row.fence};
    if (!str_equal(row.state, "leased"))
        TRY(lease_one(ctx, core, txn, &j));
    return result_refused(ctx, core, txn, j.id, j.fence, e, why);
}

/* What `agent` may lease now, one of each lane: of two that are ready in one the second waits for the first. */
static struct rc ready(struct ctx *ctx, struct txn *txn, const char *agent, int64_t most, struct leased_job **out, size_t *n)
{
    struct q_job_ready_row *rows = NULL;
    size_t rows_n = 0;
    struct str_list lanes = {0};
    *n = 0;
    TRY(q_job_ready(ctx, txn, agent, ctx_now_s(ctx), most, &rows, &rows_n));
    *out = arena_array(&ctx->arena, rows_n, sizeof **out);
    for (size_t i = 0; i < rows_n; i++) {
        if (str_list_has(&lanes, rows[i].lane))
            continue;
        str_list_add(&ctx->arena, &lanes, rows[i].lane);
        (*out)[(*n)++] = (struct leased_job){.id = rows[i].id,
                                             .kind = rows[i].kind,
                                             .lane = rows[i].lane,
                                             .ref = rows[i].ref,
                                             .tries = rows[i].tries + 1};
    }
    return RC_OK;
}

struct offer {
    struct core *core;
    const char *agent;
    int64_t most;
    struct leased_job *jobs;
    size_t n;
};

static struct rc offer_look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct offer *o = arg;
    return ready(ctx, txn, o->agent, o->most, &o->jobs, &o->n);
}

/* Leases what is ready to an agent: what it was not granted or does not know ends here, what it shall not begin any more waits. */
static struct rc lease_ready(struct ctx *ctx, struct core *core, struct txn *txn, const char *agent, int64_t most,
                             struct leased_job *jobs, size_t *n)
{
    struct q_agent_of_row a;
    size_t kept = 0;
    if (*n)
        TRY(q_agent_of(ctx, txn, agent, &a));
    for (size_t i = 0; i < *n && (int64_t)kept < most; i++) {
        struct agent_allows allows;
        TRY(agent_may_do(ctx, &a, jobs[i].kind, &allows));
        if (!allows.granted) {
            const char *why = arena_printf(&ctx->arena, "agent %s was not granted jobs of kind %s by the token it joined with",
                                           a.name, jobs[i].kind);
            TRY(job_refuse(ctx, core, txn, jobs[i].id, E_NOT_GRANTED, why));
        } else if (!allows.known) {
            const char *why = arena_printf(&ctx->arena, "agent %s (release %s) does not know jobs of kind %s: upgrade it", a.name,
                                           a.version, jobs[i].kind);
            TRY(job_refuse(ctx, core, txn, jobs[i].id, E_UNSUPPORTED, why));
        } else if (!allows.later) {
            struct q_job_carries_row carries;
            TRY(lease_one(ctx, core, txn, &jobs[i]));
            TRY(q_job_carries(ctx, txn, jobs[i].id, &carries));
            jobs[i].payload = bytes_z(carries.payload);
            jobs[kept++] = jobs[i];
        }
    }
    *n = kept;
    return RC_OK;
}

static struct rc offer_take(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct offer *o = arg;
    TRY(ready(ctx, txn, o->agent, o->most + LOOK_AHEAD, &o->jobs, &o->n));
    return lease_ready(ctx, o->core, txn, o->agent, o->most, o->jobs, &o->n);
}

RC job_ready(struct ctx *ctx, struct core *core, const char *agent, int64_t most, struct leased_job **out, size_t *n)
{
    struct offer o = {.core = core, .agent = agent, .most = most};
    TRY(store_read(ctx, core->store, offer_look, &o));
    *out = o.jobs;
    *n = o.n;
    return RC_OK;
}

RC job_lease(struct ctx *ctx, struct core *core, const char *agent, int64_t most, struct leased_job **out, size_t *n)
{
    struct offer o = {.core = core, .agent = agent, .most = most};
    *n = 0;
    if (most <= 0)
        return RC_OK;
    /* Most polls find nothing: a look costs no write. */
    TRY(job_ready(ctx, core, agent, 1, out, n));
    if (!*n)
        return RC_OK;
    TRY(store_write(ctx, core->store, offer_take, &o));
    *out = o.jobs;
    *n = o.n;
    return RC_OK;
}

/* --- results */

struct report {
    struct core *core;
    const char *agent;
    struct checked_result *results;
    size_t n;
    struct str_list dropped;
};

static struct rc apply_one(struct ctx *ctx, const struct report *r, struct txn *txn, struct checked_result *result)
{
    if (result->leased_here) {
        struct leased_job j = {.id = result->id, .lane = result->job.lane};
        struct rc rc = lease_one(ctx, r->core, txn, &j);
        if (rc.e == E_CHANGED)
            return ctx_fail(ctx, E_FENCED, "job %s is no longer there to be done", result->id);
        TRY(rc);
        result->fence = j.fence;
    }
    return result_apply(ctx, r->core, txn, r->agent, result);
}

static struct rc report_apply(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct report *r = arg;
    r->dropped = (struct str_list){0};
    for (size_t i = 0; i < r->n; i++) {
        struct rc rc = apply_one(ctx, r, txn, &r->results[i]);
        if (rc.e == E_FENCED) {
            ctx_forget(ctx);
            str_list_add(&ctx->arena, &r->dropped, r->results[i].id);
            continue;
        }
        TRY(rc);
    }
    return RC_OK;
}

/* One of several results cannot be applied: the others must not wait for it. */
static struct rc report_apart(struct ctx *ctx, struct report *all)
{
    log_event(LOG_WARN_, "results_apart", "why", ctx_why(ctx), NULL);
    ctx_forget(ctx);
    all->dropped = (struct str_list){0};
    for (size_t i = 0; i < all->n; i++) {
        struct report one = {.core = all->core, .agent = all->agent, .results = &all->results[i], .n = 1};
        struct rc rc = store_write(ctx, all->core->store, report_apply, &one);
        if (rc_failed(rc) && err_info(rc.e)->category == CAT_RESOURCE)
            return rc;
        if (rc_failed(rc)) {
            log_event(LOG_ERROR_, "result_refused", "job", one.results->id, "why", ctx_why(ctx), NULL);
            ctx_forget(ctx);
        }
        if (rc_failed(rc) || one.dropped.n)
            str_list_add(&ctx->arena, &all->dropped, one.results->id);
    }
    return RC_OK;
}

RC job_apply(struct ctx *ctx, struct core *core, const char *agent, struct checked_result *results, size_t n)
{
    struct report all = {.core = core, .agent = agent, .results = results, .n = n};
    struct rc rc = store_write(ctx, core->store, report_apply, &all);
    return rc_ok(rc) || err_info(rc.e)->category == CAT_RESOURCE ? rc : report_apart(ctx, &all);
}

/* --- an exchange with an agent */

struct exchange {
    struct core *core;
    const char *agent;
    const struct api_agent_exchange *in;
    struct report report;
    struct str_list dropped, extend;
    struct offer offer;
    bool looked; /* dropped and extend are known */
};

/* What the agent says it holds, beside what it has leases of. */
static struct rc leases_look(struct ctx *ctx, struct txn *txn, struct exchange *x)
{
    struct q_job_held_row *rows = NULL;
    size_t n = 0;
    if (x->in->holding.n)
        TRY(q_job_held(ctx, txn, x->agent, &rows, &n));
    for (size_t i = 0; i < x->in->holding.n; i++) {
        const struct api_job_ref *held = &x->in->holding.v[i];
        size_t k = 0;
        while (k < n && (rows[k].fence != held->fence || !str_equal(rows[k].id, held->id)))
            k++;
        if (k == n)
            str_list_add(&ctx->arena, &x->dropped, held->id);
        else if (rows[k].lease_until - ctx_now_s(ctx) < JOB_LEASE_S / 2)
            str_list_add(&ctx->arena, &x->extend, held->id);
    }
    return RC_OK;
}

static struct rc exchange_look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct exchange *x = arg;
    TRY(leases_look(ctx, txn, x));
    return x->offer.most > 0 ? ready(ctx, txn, x->agent, 1, &x->offer.jobs, &x->offer.n) : RC_OK;
}

static bool reported(const struct api_agent_exchange *in, const char *job)
{
    for (size_t i = 0; i < in->holding.n; i++)
        if (str_equal(in->holding.v[i].id, job))
            return true;
    for (size_t i = 0; i < in->results.n; i++)
        if (str_equal(in->results.v[i].id, job))
            return true;
    return false;
}

/* A lease that its agent does not know of (its answer was lost, or the agent begins anew) is given again at once. */
static struct rc leases_release(struct ctx *ctx, struct txn *txn, const struct exchange *x)
{
    struct q_job_release_agent_row *rows = NULL;
    size_t n = 0;
    TRY(q_job_release_agent(ctx, txn, x->agent, &rows, &n));
    for (size_t i = 0; i < n; i++)
        if (!reported(x->in, rows[i].id)) {
            const struct q_job_again_in again = {.id = rows[i].id, .fence = rows[i].fence, .run_at = ctx_now_s(ctx)};
            TRY(q_job_again(ctx, txn, &again));
        }
    return RC_OK;
}

static struct rc exchange_rest(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct exchange *x = arg;
    for (size_t i = 0; i < x->in->holding.n; i++)
        if (str_list_has(&x->extend, x->in->holding.v[i].id))
            TRY(q_job_extend(ctx, txn, x->in->holding.v[i].id, x->in->holding.v[i].fence, ctx_now_s(ctx) + JOB_LEASE_S));
    if (x->in->recover)
        TRY(leases_release(ctx, txn, x));
    return x->offer.most > 0 ? offer_take(ctx, txn, &x->offer) : RC_OK;
}

static struct rc exchange_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct exchange *x = arg;
    if (!x->looked) {
        x->dropped = x->extend = (struct str_list){0};
        TRY(leases_look(ctx, txn, x)); /* first: what is reported is held until it is applied */
    }
    for (size_t i = 0; i < x->in->progress.n; i++)
        TRY(result_progress(ctx, x->core, txn, x->agent, &x->in->progress.v[i]));
    TRY(report_apply(ctx, txn, &x->report));
    return exchange_rest(ctx, txn, x);
}

RC job_exchange(struct ctx *ctx, struct core *core, const char *agent, const struct api_agent_exchange *in, int64_t most,
                struct leased_job **jobs, size_t *n, struct str_list *dropped)
{
    struct exchange x = {.core = core,
                         .agent = agent,
                         .in = in,
                         .report = {.core = core, .agent = agent, .n = in->results.n},
                         .offer = {.core = core, .agent = agent, .most = most}};
    x.report.results = arena_array(&ctx->arena, in->results.n, sizeof *x.report.results);
    for (size_t i = 0; i < in->progress.n; i++)
        TRY(scan_took(ctx, core, agent, &in->progress.v[i]));
    for (size_t i = 0; i < in->progress.n; i++)
        TRY(host_inventory_took(ctx, core, agent, &in->progress.v[i]));
    TRY(results_check(ctx, core, in->results.v, in->results.n, x.report.results));
    bool write = in->progress.n || in->results.n || in->recover;
    if (!write) { /* most find nothing: a look costs no write */
        TRY(store_read(ctx, core->store, exchange_look, &x));
        x.looked = true;
        write = x.extend.n || x.offer.n;
    }
    if (write) {
        struct rc rc = store_write(ctx, core->store, exchange_write, &x);
        if (rc_failed(rc) && in->results.n && err_info(rc.e)->category != CAT_RESOURCE) {
            TRY(report_apart(ctx, &x.report));
            rc = store_write(ctx, core->store, exchange_rest, &x);
        }
        TRY(rc);
    }
    *jobs = x.offer.jobs;
    *n = x.offer.n;
    for (size_t i = 0; i < x.dropped.n; i++)
        str_list_add(&ctx->arena, dropped, x.dropped.v[i]);
    for (size_t i = 0; i < x.report.dropped.n; i++)
        str_list_add(&ctx->arena, dropped, x.report.dropped.v[i]);
    return RC_OK;
}

/* --- leases that ran out */

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
