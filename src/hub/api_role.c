/* Roles (core/role.h). */
#include "core/role.h"
#include "hub/api.h"

static struct rc role_out(struct ctx *ctx, const struct q_role_get_row *r, struct api_role *out)
{
    *out = (struct api_role){.id = r->id,
                             .name = r->name,
                             .description = r->description,
                             .built_in = r->built_in,
                             .revision = r->revision,
                             .created_at = r->created_at,
                             .updated_at = r->updated_at};
    return api_strings_of_json(ctx, r->permissions, &out->permissions);
}

static struct rc reply(struct api_call *call, const char *ref, struct api_role *out)
{
    struct q_role_get_row row;
    TRY(role_show(call->ctx, call->core, ref, &row));
    return role_out(call->ctx, &row, out);
}

RC api_permission_list(struct api_call *call, struct api_permissions *out)
{
    struct permission_set all = {0};
    (void)permission_set_match("*", &all);
    const struct str_list names = permission_set_names(call->ctx, &all);
    out->items = api_strings_of(&names);
    return RC_OK;
}

RC api_role_list(struct api_call *call, struct api_role_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_role_list_query *q = call->query;
    struct q_role_get_row *rows = NULL;
    size_t n = 0;
    const char *after = NULL;
    TRY(api_cursor_read(ctx, q->cursor, &after));
    TRY(role_list(ctx, call->core, after, q->limit, &rows, &n));
    struct api_role *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        TRY(role_out(ctx, &rows[i], &items[i]));
    out->items = (struct api_role_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(ctx, items[n - 1].id);
    return RC_OK;
}

RC api_role_get(struct api_call *call, struct api_role *out)
{
    return reply(call, call->path[0], out);
}

RC api_role_create(struct api_call *call, const struct api_role_new *in, struct api_role *out)
{
    const struct str_list permissions = api_list_of(call->ctx, &in->permissions);
    const struct role_input r = {.name = in->name, .description = in->description, .permissions = &permissions};
    const char *id = NULL;
    TRY(role_create(call->ctx, call->core, &r, &id));
    return reply(call, id, out);
}

RC api_role_update(struct api_call *call, const struct api_role_patch *in, struct api_role *out)
{
    const struct str_list permissions = api_list_of(call->ctx, &in->permissions);
    const struct role_input r = {.description = in->has_description ? in->description : NULL,
                                 .permissions = in->has_permissions ? &permissions : NULL};
    TRY(role_update(call->ctx, call->core, call->path[0], call->has_revision ? call->revision : 0, &r));
    return reply(call, call->path[0], out);
}

RC api_role_remove(struct api_call *call)
{
    return role_remove(call->ctx, call->core, call->path[0]);
}
