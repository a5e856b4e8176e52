/* The ledger of one managed certificate. */
#include "core/ledger.h"
#include "hub/api.h"

RC api_managed_ledger(struct api_call *call, struct api_ledger_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_managed_ledger_query *q = call->query;
    struct ledger_line *lines = NULL;
    const char *managed = NULL;
    int64_t before = 0, last = 0;
    size_t n = 0;
    TRY(api_cursor_read_number(ctx, q->cursor, INT64_MAX, &before));
    TRY(ledger_find(ctx, call->core, call->path[0], &managed));
    TRY(ledger_list(ctx, call->core, managed, before, q->limit, &lines, &n, &last));
    struct api_ledger_line *items = arena_array(&ctx->arena, n + 1, sizeof *items);
    for (size_t i = 0; i < n; i++) {
        const struct q_audit_list_row *e = lines[i].entry;
        items[i] = (struct api_ledger_line){.at = e->at,
                                            .step = lines[i].step,
                                            .text = lines[i].words,
                                            .has_version = lines[i].version != 0,
                                            .version = lines[i].version,
                                            .principal = e->principal,
                                            .peer = e->peer,
                                            .action = e->action,
                                            .object_kind = e->object_kind,
                                            .object_id = e->object_id,
                                            .detail = e->detail,
                                            .seq = e->seq,
                                            .has_place = e->leaf != NULL,
                                            .place = e->leaf ? *e->leaf : 0};
    }
    out->items = (struct api_ledger_line_list){items, n};
    if (last)
        out->next = api_cursor_make_number(ctx, last);
    return RC_OK;
}
