/* Scans of networks. */
#include "base/json.h"
#include "core/scan.h"
#include "hub/api.h"

#define HEARD_S 30 /* a rate older than this says nothing any more */

static struct rc spec_out(struct ctx *ctx, const char *text, struct api_scan_spec *out)
{
    json_auto_t *root = NULL;
    TRY(json_read(ctx, bytes_z(text), &root));
    return api_scan_spec_decode(ctx, root, out);
}

static struct rc part_out(struct ctx *ctx, const struct q_scan_part_list_row *p, struct api_scan_part *out)
{
    struct api_strings targets;
    TRY(api_strings_of_json(ctx, p->targets, &targets));
    *out = (struct api_scan_part){.agent = p->agent,
                                  .state = p->state,
                                  .targets = (int64_t)targets.n,
                                  .has_targets = true,
                                  .done = p->position,
                                  .has_done = true,
                                  .total = p->total,
                                  .has_total = true,
                                  .found = p->found,
                                  .has_found = true,
                                  .has_heard_at = p->heard_at != NULL,
                                  .heard_at = p->heard_at ? *p->heard_at : 0,
                                  .last_error = api_error_of(ctx, p->error_code, p->error, p->heard_at ? *p->heard_at : 0)};
    return api_strings_of_json(ctx, p->remarks, &out->remarks);
}

/* The parts go on side by side: the slowest says how long. */
static void sum(const struct scan_view *v, int64_t now, struct api_scan *out)
{
    bool known = v->parts_n > 0;
    for (size_t i = 0; i < v->parts_n; i++) {
        const struct q_scan_part_list_row *p = &v->parts[i];
        const int64_t rate = p->heard_at && *p->heard_at > now - HEARD_S ? p->rate : 0;
        out->done += p->position;
        out->total += p->total;
        out->found += p->found;
        out->silent += p->silent;
        out->refused += p->refused;
        out->failed += p->failed;
        out->skipped += p->skipped;
        out->new_certificates += p->fresh;
        if (!str_equal(p->state, "running"))
            continue;
        known = known && rate && p->total;
        out->rate += rate;
        if (known && (p->total - p->position) / rate > out->left_s)
            out->left_s = (p->total - p->position) / rate;
    }
    out->has_done = out->has_total = out->has_found = out->has_silent = out->has_refused = out->has_failed = out->has_skipped =
        true;
    out->has_new_certificates = out->has_rate = true;
    out->has_left_s = known && str_equal(v->row.state, "running");
}

static struct rc scan_out(struct ctx *ctx, const struct scan_view *v, struct api_scan *out)
{
    struct api_scan_part *parts = arena_array(&ctx->arena, v->parts_n, sizeof *parts);
    *out = (struct api_scan){.id = v->row.id,
                             .name = v->row.name,
                             .state = v->row.state,
                             .team_id = v->row.team_id,
                             .team = v->row.team,
                             .every_s = v->row.every_s,
                             .has_every_s = true,
                             .run = v->row.run,
                             .parts = {parts, v->parts_n},
                             .started_at = v->row.started_at,
                             .has_finished_at = v->row.finished_at != NULL,
                             .finished_at = v->row.finished_at ? *v->row.finished_at : 0,
                             .has_next_at = v->row.next_at != NULL,
                             .next_at = v->row.next_at ? *v->row.next_at : 0,
                             .error = v->row.error,
                             .created_by = v->row.created_by,
                             .created_at = v->row.created_at};
    for (size_t i = 0; i < v->parts_n; i++)
        TRY(part_out(ctx, &v->parts[i], &parts[i]));
    sum(v, ctx_now_s(ctx), out);
    return spec_out(ctx, v->row.spec, &out->spec);
}

static struct rc reply(struct api_call *call, const char *ref, struct api_scan *out)
{
    struct scan_view v;
    TRY(scan_show(call->ctx, call->core, ref, &v));
    return scan_out(call->ctx, &v, out);
}

RC api_scan_list(struct api_call *call, struct api_scan_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_scan_list_query *q = call->query;
    struct scan_view *v = NULL;
    int64_t before = 0;
    size_t n = 0;
    TRY(api_cursor_read_number(ctx, q->cursor, INT64_MAX, &before));
    TRY(scan_list(ctx, call->core, before, q->limit, &v, &n));
    struct api_scan *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        TRY(scan_out(ctx, &v[i], &items[i]));
    out->items = (struct api_scan_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make_number(ctx, v[n - 1].row.number);
    return RC_OK;
}

RC api_scan_get(struct api_call *call, struct api_scan *out)
{
    return reply(call, call->path[0], out);
}

RC api_scan_create(struct api_call *call, const struct api_scan_new *in, struct api_scan *out)
{
    const char *id = NULL;
    TRY(scan_create(call->ctx, call->core, in, &id));
    return reply(call, id, out);
}

RC api_scan_change(struct api_call *call, struct api_scan *out)
{
    TRY(scan_change(call->ctx, call->core, call->path[0], call->path[1]));
    return reply(call, call->path[0], out);
}

RC api_scan_update(struct api_call *call, const struct api_scan_patch *in, struct api_scan *out)
{
    TRY(scan_edit(call->ctx, call->core, call->path[0], in));
    return reply(call, call->path[0], out);
}

RC api_scan_remove(struct api_call *call)
{
    return scan_remove(call->ctx, call->core, call->path[0]);
}
