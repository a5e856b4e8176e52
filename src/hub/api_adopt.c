/* Lineages of other ACME clients. */
#include "base/json.h"
#include "core/adopt.h"
#include "hub/api.h"

static struct rc adoption_out(struct ctx *ctx, const struct adoption_view *v, struct api_adoption *out)
{
    const struct q_adoption_get_row *row = &v->row;
    *out = (struct api_adoption){.id = row->id,
                                 .state = row->state,
                                 .agent = row->agent,
                                 .team = row->team,
                                 .client = row->client,
                                 .name = row->name,
                                 .path = row->path,
                                 .names = api_strings_of(&v->names),
                                 .fingerprint = v->fingerprint,
                                 .has_not_after = v->seen,
                                 .not_after = v->not_after,
                                 .issuers = api_strings_of(&v->issuers),
                                 .managed = row->managed,
                                 .has_renew_at = row->managed && row->hold_until > 1,
                                 .renew_at = row->hold_until,
                                 .error = api_error_of(ctx, row->error_code, row->error, row->updated_at),
                                 .created_by = row->created_by,
                                 .has_created_at = true,
                                 .created_at = row->created_at};
    if (v->seen)
        out->plan = arena_dup(&ctx->arena, &v->plan, sizeof v->plan);
    return api_strings_of_json(ctx, row->done, &out->done);
}

static struct rc reply(struct api_call *call, const char *id, struct api_adoption *out)
{
    struct adoption_view v;
    TRY(adoption_show(call->ctx, call->core, id, &v));
    return adoption_out(call->ctx, &v, out);
}

RC api_adoption_list(struct api_call *call, struct api_adoption_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_adoption_list_query *q = call->query;
    struct adoption_view *v = NULL;
    const char *before = "";
    size_t n = 0;
    TRY(api_cursor_read(ctx, q->cursor, &before));
    TRY(adoption_list(ctx, call->core, before, q->limit, &v, &n));
    struct api_adoption *items = arena_array(&ctx->arena, n + 1, sizeof *items);
    for (size_t i = 0; i < n; i++)
        TRY(adoption_out(ctx, &v[i], &items[i]));
    out->items = (struct api_adoption_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(ctx, v[n - 1].row.id);
    return RC_OK;
}

RC api_adoption_look(struct api_call *call, const struct api_adoption_new *in, struct api_adoption_page *out)
{
    struct ctx *ctx = call->ctx;
    struct str_list ids = {0};
    TRY(adoption_look(ctx, call->core, in, &ids));
    struct api_adoption *items = arena_array(&ctx->arena, ids.n + 1, sizeof *items);
    for (size_t i = 0; i < ids.n; i++)
        TRY(reply(call, ids.v[i], &items[i]));
    out->items = (struct api_adoption_list){items, ids.n};
    return RC_OK;
}

RC api_adoption_get(struct api_call *call, struct api_adoption *out)
{
    return reply(call, call->path[0], out);
}

RC api_adoption_adopt(struct api_call *call, const struct api_adoption_wish *in, struct api_adoption *out)
{
    TRY(adoption_adopt(call->ctx, call->core, call->path[0], in));
    return reply(call, call->path[0], out);
}

RC api_managed_release(struct api_call *call, const struct api_adoption_release *in, struct api_adoption *out)
{
    const char *id = NULL;
    TRY(adoption_release(call->ctx, call->core, call->path[0], in->keep_files, &id));
    return reply(call, id, out);
}
