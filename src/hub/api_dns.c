/* DNS providers, their grants, and challenges of other clients. */
#include "core/dns_challenge.h"
#include "core/dns_provider.h"
#include "hub/api.h"

static const char *zone_state(const struct q_dns_zone_list_row *z)
{
    return z->trying ? "trying" : z->error_code ? "failing" : z->tried_at ? "good" : "untried";
}

/* The worst of them. */
static const char *state_of(const struct dns_provider_view *v)
{
    static const char *const worst[] = {"trying", "failing", "untried"};
    for (size_t k = 0; k < sizeof worst / sizeof *worst; k++)
        for (size_t i = 0; i < v->zones_n; i++)
            if (str_equal(zone_state(&v->zones[i]), worst[k]))
                return worst[k];
    return "good";
}

static struct rc provider_out(struct ctx *ctx, const struct dns_provider_view *v, struct api_dns_provider *out)
{
    struct api_dns_zone *zones = arena_array(&ctx->arena, v->zones_n, sizeof *zones);
    struct api_dns_grant *grants = arena_array(&ctx->arena, v->grants_n, sizeof *grants);
    for (size_t i = 0; i < v->zones_n; i++) {
        const struct q_dns_zone_list_row *z = &v->zones[i];
        zones[i] = (struct api_dns_zone){.zone = z->zone,
                                         .state = zone_state(z),
                                         .has_tried_at = z->tried_at != NULL,
                                         .tried_at = z->tried_at ? *z->tried_at : 0,
                                         .failures = z->failures,
                                         .last_error = api_error_of(ctx, z->error_code, z->error, z->tried_at ? *z->tried_at : 0),
                                         .may = z->may,
                                         .has_expires_at = z->expires_at != NULL,
                                         .expires_at = z->expires_at ? *z->expires_at : 0};
    }
    for (size_t i = 0; i < v->grants_n; i++)
        grants[i] = (struct api_dns_grant){.id = v->grants[i].id,
                                           .team_id = v->grants[i].team_id,
                                           .team = v->grants[i].team,
                                           .agent = v->grants[i].agent,
                                           .under = v->grants[i].under,
                                           .created_at = v->grants[i].created_at};
    *out = (struct api_dns_provider){.id = v->row.id,
                                     .name = v->row.name,
                                     .team_id = v->row.team_id,
                                     .provider = v->row.provider,
                                     .agent = v->row.agent,
                                     .zones = {zones, v->zones_n},
                                     .grants = {grants, v->grants_n},
                                     .state = state_of(v),
                                     .revision = v->row.revision,
                                     .created_at = v->row.created_at,
                                     .updated_at = v->row.updated_at};
    return api_parameters_of_json(ctx, v->row.parameters, &out->parameters);
}

static struct rc reply(struct api_call *call, const char *ref, struct api_dns_provider *out)
{
    struct dns_provider_view v;
    TRY(dns_provider_show(call->ctx, call->core, ref, &v));
    return provider_out(call->ctx, &v, out);
}

RC api_dns_provider_list(struct api_call *call, struct api_dns_provider_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_dns_provider_list_query *q = call->query;
    struct dns_provider_view *v = NULL;
    const char *after = NULL;
    size_t n = 0;
    TRY(api_cursor_read(ctx, q->cursor, &after));
    TRY(dns_provider_list(ctx, call->core, after, q->limit, &v, &n));
    struct api_dns_provider *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        TRY(provider_out(ctx, &v[i], &items[i]));
    out->items = (struct api_dns_provider_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(ctx, items[n - 1].id);
    return RC_OK;
}

RC api_dns_provider_get(struct api_call *call, struct api_dns_provider *out)
{
    return reply(call, call->path[0], out);
}

RC api_dns_provider_create(struct api_call *call, const struct api_dns_provider_new *in, struct api_dns_provider *out)
{
    const struct dns_provider_input p = {.name = in->name,
                                         .team = in->team,
                                         .provider = in->provider,
                                         .agent = in->agent,
                                         .parameters = api_parameters_json(call->ctx, &in->parameters),
                                         .zones = api_list_of(call->ctx, &in->zones),
                                         .no_test = in->no_test};
    const char *id = NULL;
    TRY(dns_provider_create(call->ctx, call->core, &p, &id));
    return reply(call, id, out);
}

RC api_dns_provider_update(struct api_call *call, const struct api_dns_provider_patch *in, struct api_dns_provider *out)
{
    struct ctx *ctx = call->ctx;
    const struct dns_provider_input p = {.provider = in->has_provider ? in->provider : NULL,
                                         .agent = in->has_agent ? in->agent : NULL,
                                         .parameters = in->has_parameters ? api_parameters_json(ctx, &in->parameters) : NULL,
                                         .zones = api_list_of(ctx, &in->zones),
                                         .no_test = in->has_no_test && in->no_test};
    if (in->has_zones && !in->zones.n)
        return ctx_fail_field(ctx, "/zones", "a provider without zones answers for nothing; remove it instead");
    TRY(dns_provider_update(ctx, call->core, call->path[0], call->has_revision ? call->revision : 0, &p));
    return reply(call, call->path[0], out);
}

RC api_dns_provider_remove(struct api_call *call)
{
    const struct api_dns_provider_remove_query *q = call->query;
    return dns_provider_remove(call->ctx, call->core, call->path[0], q->force);
}

RC api_dns_provider_test(struct api_call *call, struct api_dns_provider *out)
{
    TRY(dns_provider_test(call->ctx, call->core, call->path[0]));
    return reply(call, call->path[0], out);
}

RC api_dns_provider_sweep(struct api_call *call, struct api_dns_sweeping *out)
{
    size_t n = 0;
    TRY(dns_provider_sweep(call->ctx, call->core, call->path[0], &n));
    out->records = (int64_t)n;
    return RC_OK;
}

RC api_dns_grant_create(struct api_call *call, const struct api_dns_grant_new *in, struct api_dns_provider *out)
{
    const char *id = NULL;
    TRY(dns_grant_add(call->ctx, call->core, call->path[0], in->team, in->agent, in->under, &id));
    return reply(call, call->path[0], out);
}

RC api_dns_grant_remove(struct api_call *call, struct api_dns_sweeping *out)
{
    size_t n = 0;
    TRY(dns_grant_remove(call->ctx, call->core, call->path[0], call->path[1], &n));
    out->records = (int64_t)n;
    return RC_OK;
}

/* --- challenges of other clients */

static struct rc story_out(struct ctx *ctx, const char *text, struct api_strings *out)
{
    json_auto_t *list = NULL;
    const json_t *v;
    size_t i;
    TRY(json_read(ctx, bytes_z(text), &list));
    const char **lines = arena_array(&ctx->arena, json_array_size(list) + 1, sizeof *lines);
    out->n = 0;
    json_array_foreach(list, i, v)
    {
        if (json_is_string(v))
            lines[out->n++] = arena_strdup(&ctx->arena, json_string_value(v));
    }
    out->v = lines;
    return RC_OK;
}

static struct rc challenge_out(struct ctx *ctx, const struct q_managed_challenge_get_row *r, struct api_challenge *out)
{
    *out = (struct api_challenge){.id = r->id,
                                  .team_id = r->team_id,
                                  .name = r->name,
                                  .value = r->value,
                                  .state = r->state,
                                  .last_error = api_error_of(ctx, r->error_code, r->error, 0),
                                  .created_at = r->created_at,
                                  .ends_at = r->ends_at};
    return story_out(ctx, r->story, &out->story);
}

RC api_challenge_list(struct api_call *call, struct api_challenge_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_challenge_list_query *q = call->query;
    struct q_managed_challenge_get_row *rows = NULL;
    const char *after = NULL;
    size_t n = 0;
    TRY(api_cursor_read(ctx, q->cursor, &after));
    TRY(dns_challenge_list(ctx, call->core, after, q->limit, &rows, &n));
    struct api_challenge *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        TRY(challenge_out(ctx, &rows[i], &items[i]));
    out->items = (struct api_challenge_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(ctx, items[n - 1].id);
    return RC_OK;
}

static struct rc challenge_reply(struct api_call *call, const char *id, struct api_challenge *out)
{
    struct q_managed_challenge_get_row row;
    TRY(dns_challenge_show(call->ctx, call->core, id, &row));
    return challenge_out(call->ctx, &row, out);
}

RC api_challenge_get(struct api_call *call, struct api_challenge *out)
{
    return challenge_reply(call, call->path[0], out);
}

RC api_challenge_create(struct api_call *call, const struct api_challenge_new *in, struct api_challenge *out)
{
    const char *id = NULL;
    TRY(dns_challenge_create(call->ctx, call->core, in->name, in->value, in->team, &id));
    return challenge_reply(call, id, out);
}

RC api_challenge_remove(struct api_call *call)
{
    return dns_challenge_remove(call->ctx, call->core, call->path[0]);
}
