/* The audit log: its entries, their proofs, and its signed heads. */
#include "base/encode.h"
#include "core/audit_log.h"
#include "core/ledger.h"
#include "hub/api.h"

static const char *text_or_none(const char *s)
{
    return s ? s : "";
}

struct reading {
    struct audit_filter filter;
    int64_t before, limit;
    struct q_audit_list_row *rows;
    size_t n;
};

static struct rc list_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct reading *r = arg;
    return audit_list(ctx, txn, &r->filter, r->before, r->limit, &r->rows, &r->n);
}

RC api_audit_list(struct api_call *call, struct api_audit_entry_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_audit_list_query *q = call->query;
    struct reading r = {.limit = q->limit,
                        .filter = {.principal = text_or_none(q->principal),
                                   .action = text_or_none(q->action),
                                   .object = text_or_none(q->object),
                                   .since = q->has_since ? q->since : 0,
                                   .until = q->has_until ? q->until : INT64_MAX}};
    TRY(api_cursor_read_number(ctx, q->cursor, INT64_MAX, &r.before));
    TRY(store_read(ctx, call->core->store, list_read, &r));
    struct api_audit_entry *items = arena_array(&ctx->arena, r.n, sizeof *items);
    for (size_t i = 0; i < r.n; i++) {
        const struct q_audit_list_row *row = &r.rows[i];
        items[i] = (struct api_audit_entry){
            .seq = row->seq,
            .has_place = row->leaf != NULL,
            .place = row->leaf ? *row->leaf : 0,
            .at = row->at,
            .principal = row->principal,
            .peer = row->peer,
            .action = row->action,
            .object_kind = row->object_kind,
            .object_id = row->object_id,
            .request_id = row->request_id,
            .detail = row->detail,
        };
    }
    out->items = (struct api_audit_entry_list){items, r.n};
    if ((int64_t)r.n == q->limit)
        out->next = api_cursor_make_number(ctx, items[r.n - 1].seq);
    return RC_OK;
}

static const struct api_audit_head *head_out(struct ctx *ctx, const struct audit_signed *s)
{
    const struct api_audit_head head = {.log = s->head.log,
                                        .size = (int64_t)s->head.size,
                                        .root = arena_bytes(&ctx->arena, bytes_of(s->head.root, MERKLE_LEN)),
                                        .at = s->head.at,
                                        .signature = s->signature,
                                        .key = s->key};
    return arena_dup(&ctx->arena, &head, sizeof head);
}

static struct api_strings hashes_out(struct ctx *ctx, struct bytes path)
{
    struct api_strings out = {0};
    const char **v = arena_array(&ctx->arena, path.n / MERKLE_LEN + 1, sizeof *v);
    for (struct bytes one; bytes_take(&path, MERKLE_LEN, &one);)
        v[out.n++] = base64_str(&ctx->arena, one);
    out.v = v;
    return out;
}

static void trouble_take(void *arg, const char *object, const char *text, const char *remedy)
{
    const char **to = arg;
    (void)object;
    (void)remedy;
    *to = text;
}

RC api_audit_head(struct api_call *call, struct api_audit_head_now *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_audit_head_query *q = call->query;
    struct audit_state state;
    struct merkle_path path = {0};
    TRY(audit_head(ctx, call->core, q->size, &state));
    const int64_t size = state.some ? (int64_t)state.last.head.size : state.tree;
    if (q->old)
        TRY(audit_consistency(ctx, call->core, q->old, size, &path));
    *out = (struct api_audit_head_now){.entries = state.tree, .kept_from = state.kept_from};
    TRY(audit_root(ctx, call->core, state.tree, &out->root));
    if (state.some)
        out->head = head_out(ctx, &state.last);
    out->consistency = hashes_out(ctx, bytes_of(path.hash, path.n * MERKLE_LEN));
    audit_troubles(ctx, call->core, &out->trouble, trouble_take);
    return RC_OK;
}

RC api_audit_export(struct api_call *call, struct api_audit_export *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_audit_export_query *q = call->query;
    struct audit_filter filter = {.principal = text_or_none(q->principal),
                                  .action = text_or_none(q->action),
                                  .object = text_or_none(q->object),
                                  .since = q->has_since ? q->since : 0,
                                  .until = q->has_until ? q->until : INT64_MAX};
    struct audit_state state;
    struct audit_line *lines = NULL;
    size_t n = 0;
    bool more = false;
    if (q->certificate)
        TRY(ledger_find(ctx, call->core, q->certificate, &filter.certificate));
    TRY(audit_head(ctx, call->core, q->size, &state));
    if (!state.some)
        return ctx_fail(ctx, E_CONFLICT, "no head of the audit log is signed yet; try again: certwright audit head");
    TRY(audit_export(ctx, call->core, &filter, (int64_t)state.last.head.size, q->from, q->limit, &lines, &n, &more));
    struct api_audit_line *items = arena_array(&ctx->arena, n + 1, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct api_audit_line){.n = lines[i].n, .proof = hashes_out(ctx, lines[i].path), .entry = lines[i].entry};
    *out = (struct api_audit_export){.head = *head_out(ctx, &state.last),
                                     .kept_from = state.kept_from,
                                     .all = audit_sees_all(ctx, call->core) && !q->principal && !q->action &&
                                            !q->object && !q->certificate && !q->has_since && !q->has_until,
                                     .items = {items, n}};
    if (more) {
        out->has_next = true;
        out->next = lines[n - 1].n + 1;
    }
    return RC_OK;
}
