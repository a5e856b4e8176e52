/* Targets. */
#include "core/target.h"
#include "hub/api.h"
#include "net/starttls.h"

static struct rc target_out(struct ctx *ctx, const struct target_view *v, struct api_target *out)
{
    const struct q_target_get_row *r = &v->row;
    struct api_named *by = arena_array(&ctx->arena, v->managed_by_n, sizeof *by);
    for (size_t i = 0; i < v->managed_by_n; i++)
        by[i] = (struct api_named){.id = v->managed_by[i].id, .name = v->managed_by[i].name};
    *out = (struct api_target){
        .id = r->id,
        .name = r->name,
        .team_id = r->team_id,
        .agent = r->agent,
        .connector = r->connector,
        .description = r->description,
        .found = r->found != 0,
        .managed_by = {by, v->managed_by_n},
        .revision = r->revision,
        .created_at = r->created_at,
        .updated_at = r->updated_at,
    };
    TRY(api_parameters_of_json(ctx, r->parameters, &out->parameters));
    TRY(api_endpoints_of_json(ctx, r->endpoints, &out->endpoints));
    TRY(api_strings_of_json(ctx, r->windows, &out->windows));
    return api_strings_of_json(ctx, r->names, &out->names);
}

RC api_target_list(struct api_call *call, struct api_target_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_target_list_query *q = call->query;
    struct target_view *v = NULL;
    size_t n = 0;
    const char *after = NULL;
    TRY(api_cursor_read(ctx, q->cursor, &after));
    TRY(target_list(ctx, call->core, after, q->limit, &v, &n));
    struct api_target *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        TRY(target_out(ctx, &v[i], &items[i]));
    out->items = (struct api_target_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(ctx, items[n - 1].id);
    return RC_OK;
}

static struct rc reply(struct api_call *call, const char *ref, struct api_target *out)
{
    struct target_view v;
    TRY(target_show(call->ctx, call->core, ref, &v));
    return target_out(call->ctx, &v, out);
}

RC api_target_get(struct api_call *call, struct api_target *out)
{
    return reply(call, call->path[0], out);
}

static struct rc endpoints_check(struct ctx *ctx, const struct api_job_endpoint_list *endpoints)
{
    for (size_t i = 0; i < endpoints->n; i++) {
        const char *word = endpoints->v[i].starttls;
        if (word && (!*word || starttls_by_name(word) == STARTTLS_PROTOCOLS))
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/endpoints/%zu/starttls", i),
                                  "\"%s\" is none of %s; leave it out where TLS begins at once", word, starttls_words(ctx));
    }
    return RC_OK;
}

RC api_target_create(struct api_call *call, const struct api_target_new *in, struct api_target *out)
{
    struct ctx *ctx = call->ctx;
    const struct target_input t = {
        .name = in->name,
        .team = in->team,
        .agent = in->agent,
        .connector = in->connector,
        .parameters = api_parameters_json(ctx, &in->parameters),
        .endpoints = api_endpoints_json(ctx, &in->endpoints),
        .names = api_strings_json(ctx, &in->names),
        .description = in->description,
        .windows = api_strings_json(ctx, &in->windows),
    };
    const char *id = NULL;
    TRY(endpoints_check(ctx, &in->endpoints));
    TRY(target_create(ctx, call->core, &t, &id));
    return reply(call, id, out);
}

RC api_target_update(struct api_call *call, const struct api_target_patch *in, struct api_target *out)
{
    struct ctx *ctx = call->ctx;
    struct target_view v;
    TRY(endpoints_check(ctx, &in->endpoints));
    TRY(target_show(ctx, call->core, call->path[0], &v));
    const struct target_input t = {
        .name = v.row.name,
        .connector = v.row.connector,
        .parameters = in->has_parameters ? api_parameters_json(ctx, &in->parameters) : v.row.parameters,
        .endpoints = in->has_endpoints ? api_endpoints_json(ctx, &in->endpoints) : v.row.endpoints,
        .names = in->has_names ? api_strings_json(ctx, &in->names) : v.row.names,
        .description = in->has_description ? in->description : v.row.description,
        .windows = in->has_windows ? api_strings_json(ctx, &in->windows) : v.row.windows,
    };
    TRY(target_update(ctx, call->core, v.row.id, call->has_revision ? call->revision : v.row.revision, &t));
    return reply(call, v.row.id, out);
}

RC api_target_remove(struct api_call *call)
{
    return target_remove(call->ctx, call->core, call->path[0]);
}

RC api_target_discover(struct api_call *call, const struct api_discover *in, struct api_discovering *out)
{
    size_t asked = 0;
    TRY(target_discover(call->ctx, call->core, in->agent, &asked));
    out->asked = (int64_t)asked;
    return RC_OK;
}
