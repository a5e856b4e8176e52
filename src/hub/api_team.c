/* Teams (core/team.h). */
#include "core/team.h"
#include "hub/api.h"

static struct api_team team_out(const struct q_team_show_row *r)
{
    return (struct api_team){
        .id = r->id, .name = r->name, .parent = r->parent, .revision = r->revision, .created_at = r->created_at};
}

static struct rc reply(struct api_call *call, const char *ref, struct api_team *out)
{
    struct q_team_show_row row;
    TRY(team_get(call->ctx, call->core, ref, &row));
    *out = team_out(&row);
    return RC_OK;
}

RC api_team_list(struct api_call *call, struct api_team_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_team_list_query *q = call->query;
    struct q_team_show_row *rows = NULL;
    size_t n = 0;
    const char *after = NULL;
    TRY(api_cursor_read(ctx, q->cursor, &after));
    TRY(team_list(ctx, call->core, after, q->limit, &rows, &n));
    struct api_team *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = team_out(&rows[i]);
    out->items = (struct api_team_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(ctx, items[n - 1].id);
    return RC_OK;
}

RC api_team_get(struct api_call *call, struct api_team *out)
{
    return reply(call, call->path[0], out);
}

RC api_team_create(struct api_call *call, const struct api_team_new *in, struct api_team *out)
{
    const char *id = NULL;
    TRY(team_create(call->ctx, call->core, in->name, in->team, &id));
    return reply(call, id, out);
}

RC api_team_update(struct api_call *call, const struct api_team_patch *in, struct api_team *out)
{
    const struct team_input t = {.name = in->has_name ? in->name : NULL, .parent = in->has_parent ? in->parent : NULL};
    struct q_team_show_row before;
    TRY(team_get(call->ctx, call->core, call->path[0], &before));
    TRY(team_update(call->ctx, call->core, before.id, call->has_revision ? call->revision : 0, &t));
    return reply(call, before.id, out);
}

RC api_team_remove(struct api_call *call)
{
    return team_remove(call->ctx, call->core, call->path[0]);
}
