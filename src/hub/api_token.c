/* Bearer tokens (core/token.h). */
#include "core/token.h"
#include "hub/api.h"

RC api_token_out(struct ctx *ctx, const struct q_token_get_row *r, struct api_token *out)
{
    *out = (struct api_token){
        .id = r->id,
        .name = r->name,
        .team_id = r->team_id,
        .role = r->role,
        .agent = r->agent,
        .user = r->of_user,
        .created_at = r->created_at,
        .expires_at = r->expires_at,
        .has_used_at = r->used_at != NULL,
        .used_at = r->used_at ? *r->used_at : 0,
        .has_revoked_at = r->revoked_at != NULL,
        .revoked_at = r->revoked_at ? *r->revoked_at : 0,
    };
    return r->permissions ? api_strings_of_json(ctx, r->permissions, &out->scopes) : RC_OK;
}

RC api_token_list(struct api_call *call, struct api_token_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_token_list_query *q = call->query;
    struct q_token_get_row *rows = NULL;
    size_t n = 0;
    const char *after = NULL;
    TRY(api_cursor_read(ctx, q->cursor, &after));
    TRY(token_list(ctx, call->core, after, q->limit, &rows, &n));
    struct api_token *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        TRY(api_token_out(ctx, &rows[i], &items[i]));
    out->items = (struct api_token_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(ctx, items[n - 1].id);
    return RC_OK;
}

RC api_token_get(struct api_call *call, struct api_token *out)
{
    struct q_token_get_row row;
    TRY(token_get(call->ctx, call->core, call->path[0], &row));
    return api_token_out(call->ctx, &row, out);
}

RC api_token_create(struct api_call *call, const struct api_token_new *in, struct api_token_made *out)
{
    const struct str_list scopes = api_list_of(call->ctx, &in->scopes);
    const struct token_input t = {.name = in->name,
                                  .role = in->role,
                                  .team = in->team,
                                  .agent = in->agent,
                                  .user = in->user,
                                  .scopes = &scopes,
                                  .lifetime_s = in->lifetime_s};
    struct token_made made;
    TRY(token_create(call->ctx, call->core, &t, &made));
    *out = (struct api_token_made){
        .id = made.id, .name = in->name, .role = made.role, .expires_at = made.expires_at, .token = made.text};
    return RC_OK;
}

RC api_token_remove(struct api_call *call)
{
    return token_revoke(call->ctx, call->core, call->path[0]);
}
