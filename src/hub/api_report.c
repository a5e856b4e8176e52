/* Reports. */
#include "base/str.h"
#include "core/report.h"
#include "core/report_schedule.h"
#include "hub/api.h"

RC api_report_list(struct api_call *call, struct api_report_page *out)
{
    size_t n = 0;
    const struct report_kind *kinds = report_kinds(&n);
    struct api_report_kind *items = arena_array(&call->ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct api_report_kind){.name = kinds[i].name, .title = kinds[i].title, .text = kinds[i].text};
    out->items = (struct api_report_kind_list){items, n};
    return RC_OK;
}

RC api_report_get(struct api_call *call)
{
    static const struct {
        const char *format, *type;
        void (*put)(struct ctx *, struct buf *, const struct report *);
    } formats[] = {{"json", "application/json", report_json},
                   {"csv", "text/csv; charset=utf-8; header=present", report_csv},
                   {"html", "text/html; charset=utf-8", report_html},
                   {"text", "text/plain; charset=utf-8", report_plain}};
    struct ctx *ctx = call->ctx;
    const struct api_report_get_query *q = call->query;
    struct report r;
    TRY(report_make(ctx, call->core, call->path[0], q->team, &r));
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (!str_equal(formats[i].format, q->format))
            continue;
        http_response_header(call->resp, "Content-Type", formats[i].type);
        if (!str_equal(q->format, "json"))
            http_response_header(call->resp, "Content-Disposition",
                                 arena_printf(&ctx->arena, "attachment; filename=\"certwright-%s.%s\"", r.name,
                                              str_equal(q->format, "text") ? "txt" : q->format));
        formats[i].put(ctx, &call->resp->body, &r);
    }
    return buf_status(&call->resp->body);
}

static struct api_report_schedule schedule_out(const struct q_report_schedule_list_row *r)
{
    return (struct api_report_schedule){.id = r->id,
                                        .name = r->name,
                                        .team_id = r->team_id,
                                        .team = r->team,
                                        .report = r->report,
                                        .channel = *r->channel ? r->channel : NULL,
                                        .to = *r->recipient ? r->recipient : NULL,
                                        .every_s = r->every_s,
                                        .next_at = r->next_at,
                                        .author = *r->author ? r->author : NULL,
                                        .halted = *r->halted ? r->halted : NULL,
                                        .created_at = r->created_at};
}

RC api_report_schedule_create(struct api_call *call, const struct api_report_schedule_new *in, struct api_report_schedule *out)
{
    const struct report_schedule_input input = {
        .name = in->name, .report = in->report, .team = in->team, .channel = in->channel, .to = in->to, .every_s = in->every_s};
    struct q_report_schedule_list_row row;
    TRY(report_schedule_create(call->ctx, call->core, &input, &row));
    *out = schedule_out(&row);
    return RC_OK;
}

RC api_report_schedule_list(struct api_call *call, struct api_report_schedule_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_report_schedule_list_query *q = call->query;
    struct q_report_schedule_list_row *rows = NULL;
    const char *after = NULL;
    size_t n = 0;
    TRY(api_cursor_read(ctx, q->cursor, &after));
    TRY(report_schedule_list(ctx, call->core, after, q->limit, &rows, &n));
    struct api_report_schedule *items = arena_array(&ctx->arena, n + 1, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = schedule_out(&rows[i]);
    out->items = (struct api_report_schedule_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(ctx, rows[n - 1].id);
    return RC_OK;
}

RC api_report_schedule_delete(struct api_call *call)
{
    return report_schedule_remove(call->ctx, call->core, call->path[0]);
}
