/* Backups: asked for, looked at, fetched. */
#include "core/backup.h"
#include "hub/api.h"
#include "hub/backup.h"
#include "store/queries.h"

#define PIECE ((size_t)512 << 10)

static struct api_backup backup_out(const struct q_backup_get_row *row)
{
    return (struct api_backup){.id = row->id,
                               .state = row->state,
                               .scheduled = row->scheduled != 0,
                               .asked_by = row->asked_by,
                               .began_at = row->began_at,
                               .has_ended_at = row->ended_at != NULL,
                               .ended_at = row->ended_at ? *row->ended_at : 0,
                               .has_bytes = row->bytes != NULL,
                               .bytes = row->bytes ? *row->bytes : 0,
                               .file = row->place,
                               .error = row->error};
}

RC api_backup_list(struct api_call *call, struct api_backup_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_backup_list_query *q = call->query;
    struct q_backup_get_row *rows = NULL;
    size_t n = 0;
    TRY(backup_list(ctx, call->core, q->limit, &rows, &n));
    struct api_backup *items = arena_array(&ctx->arena, n + 1, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = backup_out(&rows[i]);
    out->items = (struct api_backup_list){items, n};
    return RC_OK;
}

static struct rc reply(struct api_call *call, const char *id, struct api_backup *out)
{
    struct q_backup_get_row row;
    TRY(backup_show(call->ctx, call->core, id, &row));
    *out = backup_out(&row);
    return RC_OK;
}

RC api_backup_create(struct api_call *call, struct api_backup *out)
{
    const char *id = NULL;
    TRY(backup_ask(call->ctx, call->core, &id));
    TRY(reply(call, id, out));
    hub_backup_wake(call->hub->backup);
    return RC_OK;
}

RC api_backup_get(struct api_call *call, struct api_backup *out)
{
    return reply(call, call->path[0], out);
}

RC api_backup_content(struct api_call *call)
{
    const struct api_backup_content_query *q = call->query;
    struct bytes piece;
    TRY(backup_piece(call->ctx, call->core, call->path[0], q->offset, PIECE, &piece));
    call->resp->status = 200;
    http_response_header(call->resp, "Content-Type", "application/octet-stream");
    http_response_header(call->resp, "Cache-Control", "no-store");
    buf_put(&call->resp->body, piece);
    return buf_status(&call->resp->body);
}
