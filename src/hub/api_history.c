/* What happened to managed certificates: steps as they come, versions, attempts, deployments. */
#include "core/managed.h"
#include "hub/api.h"

#define STEPS_MAX 500

/* --- the story, with a long poll */

static struct api_event event_out(const struct q_step_list_row *r)
{
    return (struct api_event){.seq = r->seq,
                              .at_ms = r->at_ms,
                              .step = r->name,
                              .text = r->text,
                              .attempt = r->attempt_id,
                              .deployment = r->deployment_id};
}

static const struct condition *condition_of(const struct managed_view *v, const char *type)
{
    for (size_t i = 0; i < v->conditions_n; i++)
        if (str_equal(v->conditions[i].type, type) && v->conditions[i].status)
            return &v->conditions[i];
    return NULL;
}

/* story_state says where things stand for somebody who waits for the end. */
static void story_state(const struct managed_view *v, struct api_events *out)
{
    const struct condition *busy = condition_of(v, "renewing"), *failing = condition_of(v, "failing");
    const struct condition *waiting = condition_of(v, "waiting");
    if (!busy && waiting) {
        out->state = "waiting";
        out->text = waiting->reason;
        return;
    }
    if (!busy)
        busy = condition_of(v, "deploying");
    out->state = busy ? "working" : failing || v->paused_reason ? "failed" : "done";
    if (busy)
        out->text = busy->reason;
    else if (v->paused_reason)
        out->text = v->paused_reason;
    else if (failing)
        out->text = v->error;
    if (failing && !busy)
        out->code = v->error_code;
    else if (v->paused_reason && !busy)
        out->code = v->error_code ? v->error_code : "paused";
}

struct story {
    const char *managed, *attempt;
    int64_t after;
    struct q_step_list_row *rows;
    size_t n;
    struct q_step_last_row last;
};

static struct rc story_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct story *s = arg;
    if (s->after < 0)
        return q_step_last(ctx, txn, s->managed, &s->last);
    return q_step_list(ctx, txn, s->managed, s->after, STEPS_MAX, &s->rows, &s->n);
}

RC api_managed_events(struct api_call *call, struct api_events *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_managed_events_query *q = call->query;
    struct managed_view v;
    TRY(managed_show(ctx, call->core, call->path[0], &v));
    struct story s = {.managed = v.id, .after = q->after};
    TRY(store_read(ctx, call->core->store, story_read, &s));
    story_state(&v, out);
    if (q->after < 0) {
        out->last = s.last.seq;
        return RC_OK;
    }
    if (!s.n && q->wait && !call->req->expired && str_equal(out->state, "working")) {
        const int64_t deadline = call->req->park_deadline_ms ? call->req->park_deadline_ms : clock_mono_ms() + q->wait * 1000;
        return http_park(call->resp, arena_printf(&ctx->arena, "managed:%s", v.id), deadline);
    }
    struct api_event *items = arena_array(&ctx->arena, s.n, sizeof *items);
    for (size_t i = 0; i < s.n; i++)
        items[i] = event_out(&s.rows[i]);
    out->items = (struct api_event_list){items, s.n};
    out->last = s.n ? items[s.n - 1].seq : q->after;
    return RC_OK;
}

/* --- versions, attempts, deployments */

/* A page of rows that belong to one managed certificate (or to none in particular). */
struct page {
    const char *ref, *managed, *managed_name, *after;
    int64_t before, limit;
    struct q_version_list_row *versions;
    struct q_attempt_list_row *attempts;
    struct q_deployment_show_row *deployments;
    size_t n;
};

static struct rc page_find(struct ctx *ctx, struct txn *txn, struct page *p)
{
    struct q_managed_get_row row;
    TRY(managed_find(ctx, txn, p->ref, &row));
    p->managed = row.id;
    p->managed_name = row.name;
    return RC_OK;
}

static struct rc versions_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct page *p = arg;
    TRY(page_find(ctx, txn, p));
    return q_version_list(ctx, txn, p->managed, p->before, p->limit, &p->versions, &p->n);
}

RC api_version_list(struct api_call *call, struct api_version_page *out)
{
    const struct api_version_list_query *q = call->query;
    struct page p = {.ref = call->path[0], .limit = q->limit};
    TRY(api_cursor_read_number(call->ctx, q->cursor, INT64_MAX, &p.before));
    TRY(store_read(call->ctx, call->core->store, versions_read, &p));
    struct api_version *items = arena_array(&call->ctx->arena, p.n, sizeof *items);
    for (size_t i = 0; i < p.n; i++) {
        const struct q_version_list_row *r = &p.versions[i];
        items[i] = (struct api_version){
            .number = r->number,
            .attempt = r->attempt_id,
            .issuer = r->issuer,
            .fingerprint = r->fingerprint,
            .serial = r->serial,
            .not_before = r->not_before,
            .not_after = r->not_after,
            .renew_at = r->renew_at,
            .has_revoked_at = r->revoked_at != NULL,
            .revoked_at = r->revoked_at ? *r->revoked_at : 0,
            .has_revoke_reason = r->revoke_reason != NULL,
            .revoke_reason = r->revoke_reason ? *r->revoke_reason : 0,
            .created_at = r->created_at,
        };
    }
    out->items = (struct api_version_list){items, p.n};
    if ((int64_t)p.n == q->limit)
        out->next = api_cursor_make_number(call->ctx, items[p.n - 1].number);
    return RC_OK;
}

static struct rc attempts_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct page *p = arg;
    TRY(page_find(ctx, txn, p));
    return q_attempt_list(ctx, txn, p->managed, p->before, p->limit, &p->attempts, &p->n);
}

RC api_attempt_list(struct api_call *call, struct api_attempt_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_attempt_list_query *q = call->query;
    struct page p = {.ref = call->path[0], .limit = q->limit};
    TRY(api_cursor_read_number(ctx, q->cursor, INT64_MAX, &p.before));
    TRY(store_read(ctx, call->core->store, attempts_read, &p));
    struct api_attempt *items = arena_array(&ctx->arena, p.n, sizeof *items);
    for (size_t i = 0; i < p.n; i++) {
        const struct q_attempt_list_row *r = &p.attempts[i];
        items[i] = (struct api_attempt){
            .id = r->id,
            .managed_certificate = p.managed_name,
            .number = r->number,
            .state = r->state,
            .reason = r->reason,
            .issuer = r->issuer,
            .order_url = r->order_url,
            .has_version = r->version != NULL,
            .version = r->version ? *r->version : 0,
            .error = api_error_of(ctx, r->error_code, r->error, r->finished_at ? *r->finished_at : 0),
            .created_at = r->created_at,
            .has_finished_at = r->finished_at != NULL,
            .finished_at = r->finished_at ? *r->finished_at : 0,
        };
    }
    out->items = (struct api_attempt_list){items, p.n};
    if ((int64_t)p.n == q->limit)
        out->next = api_cursor_make_number(ctx, items[p.n - 1].number);
    return RC_OK;
}

struct one {
    const char *id;
    struct q_attempt_show_row attempt;
    struct q_deployment_show_row deployment;
    struct q_step_list_row *steps;
    size_t n;
    bool found;
};

static struct rc attempt_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct one *o = arg;
    TRY(q_attempt_show(ctx, txn, o->id, access_scope(ctx), &o->attempt, &o->found));
    return o->found ? q_step_list(ctx, txn, o->attempt.managed_id, 0, 10000, &o->steps, &o->n) : RC_OK;
}

RC api_attempt_get(struct api_call *call, struct api_attempt *out)
{
    struct ctx *ctx = call->ctx;
    struct one o = {.id = call->path[0]};
    TRY(store_read(ctx, call->core->store, attempt_read, &o));
    if (!o.found)
        return ctx_fail(ctx, E_NOT_FOUND, "no attempt has the id %s", o.id);
    const struct q_attempt_show_row *r = &o.attempt;
    struct api_event *steps = arena_array(&ctx->arena, o.n, sizeof *steps);
    size_t n = 0;
    for (size_t i = 0; i < o.n; i++)
        if (str_equal(o.steps[i].attempt_id, r->id) && n < 1000)
            steps[n++] = event_out(&o.steps[i]);
    *out = (struct api_attempt){
        .id = r->id,
        .managed_certificate = r->managed,
        .number = r->number,
        .state = r->state,
        .reason = r->reason,
        .issuer = r->issuer,
        .order_url = r->order_url,
        .has_version = r->version != NULL,
        .version = r->version ? *r->version : 0,
        .error = api_error_of(ctx, r->error_code, r->error, r->finished_at ? *r->finished_at : 0),
        .steps = {steps, n},
        .created_at = r->created_at,
        .has_finished_at = r->finished_at != NULL,
        .finished_at = r->finished_at ? *r->finished_at : 0,
    };
    return RC_OK;
}

static struct rc deployments_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct page *p = arg;
    if (p->ref)
        TRY(page_find(ctx, txn, p));
    return p->managed ? q_deployment_list_of(ctx, txn, p->managed, p->after, p->limit, &p->deployments, &p->n)
                      : q_deployment_list(ctx, txn, access_scope(ctx), p->after, p->limit, &p->deployments, &p->n);
}

static struct rc deployment_out(struct ctx *ctx, const struct q_deployment_show_row *r, struct api_deployment *out)
{
    *out = (struct api_deployment){
        .id = r->id,
        .managed_certificate = r->managed,
        .managed_certificate_id = r->managed_id,
        .version = r->version,
        .target = r->target,
        .state = r->state,
        .reason = r->reason,
        .tries = r->tries,
        .rolled_back = r->rolled_back != 0,
        .error = api_error_of(ctx, r->error_code, r->error, r->finished_at ? *r->finished_at : 0),
        .has_retry_at = r->retry_at != NULL,
        .retry_at = r->retry_at ? *r->retry_at : 0,
        .created_at = r->created_at,
        .has_finished_at = r->finished_at != NULL,
        .finished_at = r->finished_at ? *r->finished_at : 0,
    };
    return api_served_of_json(ctx, r->served, &out->served);
}

RC api_deployment_list(struct api_call *call, struct api_deployment_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_deployment_list_query *q = call->query;
    struct page p = {.ref = q->managed_certificate, .limit = q->limit};
    TRY(api_cursor_read(ctx, q->cursor, &p.after));
    if (!*p.after)
        p.after = "~"; /* after every id: the newest come first */
    TRY(store_read(ctx, call->core->store, deployments_read, &p));
    struct api_deployment *items = arena_array(&ctx->arena, p.n, sizeof *items);
    for (size_t i = 0; i < p.n; i++)
        TRY(deployment_out(ctx, &p.deployments[i], &items[i]));
    out->items = (struct api_deployment_list){items, p.n};
    if ((int64_t)p.n == q->limit)
        out->next = api_cursor_make(ctx, items[p.n - 1].id);
    return RC_OK;
}

static struct rc deployment_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct one *o = arg;
    return q_deployment_show(ctx, txn, o->id, access_scope(ctx), &o->deployment, &o->found);
}

RC api_deployment_get(struct api_call *call, struct api_deployment *out)
{
    struct one o = {.id = call->path[0]};
    TRY(store_read(call->ctx, call->core->store, deployment_read, &o));
    if (!o.found)
        return ctx_fail(call->ctx, E_NOT_FOUND, "no deployment has the id %s", o.id);
    return deployment_out(call->ctx, &o.deployment, out);
}
