/* Agents and their jobs, as people see them. */
#include "hub/api.h"
#include "store/queries.h"

struct reading {
    const char *ref, *after;
    int64_t limit;
    bool found;
    struct q_agent_get_row agent;
    struct q_agent_get_row *agents;
    struct q_job_show_row job;
    struct q_job_show_row *jobs;
    size_t n;
};

static struct rc agent_out(struct ctx *ctx, const struct q_agent_get_row *r, struct api_agent *out)
{
    *out = (struct api_agent){
        .id = r->id,
        .name = r->name,
        .team_id = r->team_id,
        .state = r->state,
        .version = r->version,
        .platform = r->platform,
        .sandbox = r->sandbox,
        .clock_skew_s = r->clock_skew_s,
        .created_at = r->created_at,
        .last_seen = r->seen_at,
    };
    return api_strings_of_json(ctx, r->capabilities, &out->capabilities);
}

static struct rc agents_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct reading *r = arg;
    return q_agent_list(ctx, txn, access_scope(ctx), r->after, r->limit, &r->agents, &r->n);
}

RC api_agent_list(struct api_call *call, struct api_agent_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_agent_list_query *q = call->query;
    struct reading r = {.limit = q->limit};
    TRY(api_cursor_read(ctx, q->cursor, &r.after));
    TRY(store_read(ctx, call->core->store, agents_read, &r));
    struct api_agent *items = arena_array(&ctx->arena, r.n, sizeof *items);
    for (size_t i = 0; i < r.n; i++)
        TRY(agent_out(ctx, &r.agents[i], &items[i]));
    out->items = (struct api_agent_list){items, r.n};
    if ((int64_t)r.n == q->limit)
        out->next = api_cursor_make(ctx, items[r.n - 1].id);
    return RC_OK;
}

static struct rc agent_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct reading *r = arg;
    return q_agent_get(ctx, txn, r->ref, access_scope(ctx), &r->agent, &r->found);
}

RC api_agent_get(struct api_call *call, struct api_agent *out)
{
    struct reading r = {.ref = call->path[0]};
    TRY(store_read(call->ctx, call->core->store, agent_read, &r));
    if (!r.found)
        return ctx_fail(call->ctx, E_NOT_FOUND, "no agent is named %s; certwright agent list shows them", r.ref);
    return agent_out(call->ctx, &r.agent, out);
}

static void job_out(struct ctx *ctx, const struct q_job_show_row *r, struct api_job_view *out)
{
    *out = (struct api_job_view){
        .id = r->id,
        .kind = r->kind,
        .agent = r->agent,
        .lane = r->lane,
        .ref = r->ref,
        .state = r->state,
        .fence = r->fence,
        .tries = r->tries,
        .run_at = r->run_at,
        .error = api_error_of(ctx, r->error_code, r->error, r->finished_at ? *r->finished_at : 0),
        .created_at = r->created_at,
        .has_finished_at = r->finished_at != NULL,
        .finished_at = r->finished_at ? *r->finished_at : 0,
    };
}

static struct rc jobs_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct reading *r = arg;
    return q_job_list(ctx, txn, access_scope(ctx), r->after, r->limit, &r->jobs, &r->n);
}

RC api_job_list(struct api_call *call, struct api_job_view_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_job_list_query *q = call->query;
    struct reading r = {.limit = q->limit};
    TRY(api_cursor_read(ctx, q->cursor, &r.after));
    if (!*r.after)
        r.after = "~"; /* after every id: the newest come first */
    TRY(store_read(ctx, call->core->store, jobs_read, &r));
    struct api_job_view *items = arena_array(&ctx->arena, r.n, sizeof *items);
    for (size_t i = 0; i < r.n; i++)
        job_out(ctx, &r.jobs[i], &items[i]);
    out->items = (struct api_job_view_list){items, r.n};
    if ((int64_t)r.n == q->limit)
        out->next = api_cursor_make(ctx, items[r.n - 1].id);
    return RC_OK;
}

static struct rc job_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct reading *r = arg;
    return q_job_show(ctx, txn, r->ref, access_scope(ctx), &r->job, &r->found);
}

RC api_job_get(struct api_call *call, struct api_job_view *out)
{
    struct reading r = {.ref = call->path[0]};
    TRY(store_read(call->ctx, call->core->store, job_read, &r));
    if (!r.found)
        return ctx_fail(call->ctx, E_NOT_FOUND, "no job has the id %s", r.ref);
    job_out(call->ctx, &r.job, out);
    return RC_OK;
}
