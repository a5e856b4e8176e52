/* Accounts and their grants (core/user.h). */
#include "core/user.h"
#include "hub/api.h"

static struct rc user_out(struct api_call *call, const struct q_user_get_row *r, struct api_user *out)
{
    struct q_grant_list_row *rows = NULL;
    size_t n = 0;
    TRY(user_grants(call->ctx, call->core, r->id, &rows, &n));
    struct api_grant *grants = arena_array(&call->ctx->arena, n, sizeof *grants);
    for (size_t i = 0; i < n; i++)
        grants[i] = (struct api_grant){.id = rows[i].id,
                                       .role = rows[i].role,
                                       .team = rows[i].team,
                                       .source = rows[i].source,
                                       .created_by = rows[i].created_by,
                                       .created_at = rows[i].created_at};
    *out = (struct api_user){.id = r->id,
                             .name = r->name,
                             .kind = r->kind,
                             .display_name = r->display_name,
                             .email = r->email,
                             .state = r->state,
                             .team = r->team,
                             .grants = {grants, n},
                             .revision = r->revision,
                             .created_at = r->created_at,
                             .updated_at = r->updated_at};
    return RC_OK;
}

static struct rc reply(struct api_call *call, const char *ref, struct api_user *out)
{
    struct q_user_get_row row;
    TRY(user_get(call->ctx, call->core, ref, &row));
    return user_out(call, &row, out);
}

RC api_user_list(struct api_call *call, struct api_user_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_user_list_query *q = call->query;
    struct q_user_get_row *rows = NULL;
    size_t n = 0;
    const char *after = NULL;
    TRY(api_cursor_read(ctx, q->cursor, &after));
    TRY(user_list(ctx, call->core, after, q->limit, &rows, &n));
    struct api_user *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        TRY(user_out(call, &rows[i], &items[i]));
    out->items = (struct api_user_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(ctx, items[n - 1].id);
    return RC_OK;
}

RC api_user_get(struct api_call *call, struct api_user *out)
{
    return reply(call, call->path[0], out);
}

RC api_user_create(struct api_call *call, const struct api_user_new *in, struct api_user *out)
{
    const struct user_input u = {
        .kind = in->kind, .name = in->name, .display_name = in->display_name, .email = in->email, .team = in->team};
    const char *id = NULL;
    TRY(user_create(call->ctx, call->core, &u, &id));
    return reply(call, id, out);
}

RC api_user_update(struct api_call *call, const struct api_user_patch *in, struct api_user *out)
{
    const struct user_input u = {.display_name = in->has_display_name ? in->display_name : NULL,
                                 .email = in->has_email ? in->email : NULL,
                                 .state = in->has_state ? in->state : NULL};
    TRY(user_update(call->ctx, call->core, call->path[0], call->has_revision ? call->revision : 0, &u));
    return reply(call, call->path[0], out);
}

RC api_user_remove(struct api_call *call)
{
    return user_remove(call->ctx, call->core, call->path[0]);
}

RC api_user_grant(struct api_call *call, const struct api_grant_new *in, struct api_user *out)
{
    TRY(user_grant(call->ctx, call->core, call->path[0], in->role, in->team));
    return reply(call, call->path[0], out);
}

RC api_user_revoke(struct api_call *call)
{
    return user_revoke(call->ctx, call->core, call->path[0], call->path[1]);
}
