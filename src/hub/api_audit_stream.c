/* Streams of the audit log. */
#include "base/str.h"
#include "core/audit_stream.h"
#include "hub/api.h"

static const char *state_of(const struct audit_stream_view *v)
{
    return v->row.error_code ? "failing" : v->lag ? "behind" : "good";
}

static struct api_audit_stream stream_out(struct ctx *ctx, const struct audit_stream_view *v)
{
    const struct q_audit_stream_list_row *r = &v->row;
    return (struct api_audit_stream){.id = r->id,
                                     .name = r->name,
                                     .channel = r->channel,
                                     .format = r->format,
                                     .state = state_of(v),
                                     .place = r->place,
                                     .lag = v->lag,
                                     .lost = r->lost,
                                     .failures = r->failures,
                                     .has_sent_at = r->sent_at != NULL,
                                     .sent_at = r->sent_at ? *r->sent_at : 0,
                                     .last_error = api_error_of(ctx, r->error_code, r->error, r->error_at ? *r->error_at : 0),
                                     .created_at = r->created_at};
}

RC api_audit_stream_create(struct api_call *call, const struct api_audit_stream_new *in, struct api_audit_stream *out)
{
    const struct audit_stream_input input = {
        .name = in->name, .channel = in->channel, .format = in->format, .from = in->has_from ? in->from : -1};
    struct audit_stream_view v;
    TRY(audit_stream_create(call->ctx, call->core, &input, &v));
    *out = stream_out(call->ctx, &v);
    return RC_OK;
}

RC api_audit_stream_list(struct api_call *call, struct api_audit_stream_page *out)
{
    struct audit_stream_view *v = NULL;
    size_t n = 0;
    TRY(audit_stream_list(call->ctx, call->core, &v, &n));
    struct api_audit_stream *items = arena_array(&call->ctx->arena, n + 1, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = stream_out(call->ctx, &v[i]);
    out->items = (struct api_audit_stream_list){items, n};
    return RC_OK;
}

RC api_audit_stream_remove(struct api_call *call)
{
    return audit_stream_remove(call->ctx, call->core, call->path[0]);
}
