/* Agents, the tokens they join with, and their jobs, as people see them. */
#include "core/agent.h"
#include "core/audit.h"
#include "core/heard.h"
#include "core/host_inventory.h"
#include "hub/api.h"
#include "store/queries.h"

struct reading {
    struct core *core;
    const char *ref, *after;
    int64_t limit;
    bool found;
    struct q_agent_get_row agent;
    struct q_agent_get_row *agents;
    struct q_job_show_row job;
    struct q_job_show_row *jobs;
    struct q_agent_targets_row *targets;
    struct q_join_token_get_row token;
    struct q_join_token_get_row *tokens;
    size_t n;
};

static struct rc agent_out(struct ctx *ctx, struct core *core, const struct q_agent_get_row *r, struct api_agent *out)
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
        .address = r->address,
        .trouble = *r->trouble ? r->trouble : NULL,
        .has_certificate_ends_at = r->certificate_ends_at != 0,
        .certificate_ends_at = r->certificate_ends_at,
        .created_at = r->created_at,
        .last_seen = heard_at(core, r->id, r->seen_at),
    };
    TRY(api_strings_of_json(ctx, r->granted, &out->granted));
    TRY(api_strings_of_json(ctx, r->networks, &out->networks));
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
        TRY(agent_out(ctx, call->core, &r.agents[i], &items[i]));
    out->items = (struct api_agent_list){items, r.n};
    if ((int64_t)r.n == q->limit)
        out->next = api_cursor_make(ctx, items[r.n - 1].id);
    return RC_OK;
}

#define SERVICES_MAX 1000

static struct rc agent_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct reading *r = arg;
    TRY(q_agent_get(ctx, txn, r->ref, access_scope(ctx), &r->agent, &r->found));
    return r->found ? q_agent_targets(ctx, txn, r->agent.id, SERVICES_MAX, &r->targets, &r->n) : RC_OK;
}

RC api_agent_get(struct api_call *call, struct api_agent *out)
{
    struct ctx *ctx = call->ctx;
    struct reading r = {.ref = call->path[0]};
    TRY(store_read(ctx, call->core->store, agent_read, &r));
    if (!r.found)
        return ctx_fail(ctx, E_NOT_FOUND, "no agent is named %s; certwright agent list shows them", r.ref);
    TRY(agent_out(ctx, call->core, &r.agent, out));
    struct api_agent_service *services = arena_array(&ctx->arena, r.n, sizeof *services);
    for (size_t i = 0; i < r.n; i++)
        services[i] = (struct api_agent_service){.target = r.targets[i].name, .connector = r.targets[i].connector};
    out->services = (struct api_agent_service_list){services, r.n};
    return RC_OK;
}

RC api_agent_approve(struct api_call *call, struct api_agent *out)
{
    struct q_agent_get_row row;
    TRY(agent_approve(call->ctx, call->core, call->path[0], &row));
    return agent_out(call->ctx, call->core, &row, out);
}

RC api_agent_drain(struct api_call *call, struct api_agent *out)
{
    struct q_agent_get_row row;
    TRY(agent_drain(call->ctx, call->core, call->path[0], &row));
    return agent_out(call->ctx, call->core, &row, out);
}

RC api_agent_inventory(struct api_call *call, struct api_job_asked *out)
{
    return host_inventory_ask(call->ctx, call->core, call->path[0], &out->id);
}

RC api_agent_remove(struct api_call *call)
{
    const struct api_agent_remove_query *q = call->query;
    return agent_remove(call->ctx, call->core, call->path[0], q->force);
}

/* --- join tokens */

static struct rc join_token_out(struct ctx *ctx, const struct q_join_token_get_row *r, struct api_join_token *out)
{
    *out = (struct api_join_token){.id = r->id,
                                   .name = r->name,
                                   .team_id = r->team_id,
                                   .uses = r->uses,
                                   .used = r->used,
                                   .name_pattern = r->name_pattern,
                                   .approval = r->approval != 0,
                                   .created_at = r->created_at,
                                   .expires_at = r->expires_at,
                                   .has_revoked_at = r->revoked_at != NULL,
                                   .revoked_at = r->revoked_at ? *r->revoked_at : 0};
    TRY(api_strings_of_json(ctx, r->networks, &out->networks));
    return api_strings_of_json(ctx, r->granted, &out->granted);
}

static struct rc join_tokens_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct reading *r = arg;
    return q_join_token_list(ctx, txn, access_scope(ctx), r->after, r->limit, &r->tokens, &r->n);
}

RC api_join_token_list(struct api_call *call, struct api_join_token_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_join_token_list_query *q = call->query;
    struct reading r = {.limit = q->limit};
    TRY(api_cursor_read(ctx, q->cursor, &r.after));
    TRY(store_read(ctx, call->core->store, join_tokens_read, &r));
    struct api_join_token *items = arena_array(&ctx->arena, r.n, sizeof *items);
    for (size_t i = 0; i < r.n; i++)
        TRY(join_token_out(ctx, &r.tokens[i], &items[i]));
    out->items = (struct api_join_token_list){items, r.n};
    if ((int64_t)r.n == q->limit)
        out->next = api_cursor_make(ctx, items[r.n - 1].id);
    return RC_OK;
}

static struct rc join_token_find(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct reading *r = arg;
    TRY(q_join_token_get(ctx, txn, r->ref, access_scope(ctx), &r->token, &r->found));
    return r->found ? RC_OK
                    : ctx_fail(ctx, E_NOT_FOUND, "no join token is named %s; certwright join-token list shows them", r->ref);
}

RC api_join_token_get(struct api_call *call, struct api_join_token *out)
{
    struct reading r = {.ref = call->path[0]};
    TRY(store_read(call->ctx, call->core->store, join_token_find, &r));
    return join_token_out(call->ctx, &r.token, out);
}

RC api_join_token_create(struct api_call *call, const struct api_join_token_new *in, struct api_join_token_made *out)
{
    return join_token_add(call->ctx, call->core, in, out);
}

static struct rc join_token_end(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct reading *r = arg;
    TRY(join_token_find(ctx, txn, r));
    TRY(decide(ctx, r->core, txn, "join-token.delete", r->token.team_id));
    if (r->token.revoked_at)
        return RC_OK;
    TRY(q_join_token_revoke(ctx, txn, r->token.id, ctx_now_s(ctx)));
    return audit_write(ctx, txn, "join-token.delete", "join-token", r->token.id, r->token.team_id,
                       audit_change(ctx, audit_facts(ctx, "name", r->token.name, "networks:", r->token.networks, NULL),
                                    (struct bytes){0}));
}

RC api_join_token_remove(struct api_call *call)
{
    struct reading r = {.core = call->core, .ref = call->path[0]};
    return store_write(call->ctx, call->core->store, join_token_end, &r);
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
