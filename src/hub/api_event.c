/* What happens, as it happens: pages with a long poll, and server-sent events (HTML section 9.2). */
#include "base/json.h"
#include "core/event.h"
#include "hub/api.h"

#define STREAM_MS  25000
#define STREAM_MAX 200
/* After each answer the browser comes again, with the number of the last event that it saw. */
#define RETRY_MS 100

struct reading {
    int64_t after, limit;
    struct event_page page;
};

static struct rc read_page(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct reading *r = arg;
    return event_page(ctx, txn, r->after, r->limit, &r->page);
}

/* wait_for parks a request that has nothing to tell yet; `*parked` where it did. */
static struct rc wait_for(struct api_call *call, int64_t wait_ms, bool *parked)
{
    *parked = wait_ms > 0 && !call->req->expired;
    if (!*parked)
        return RC_OK;
    const int64_t deadline = call->req->park_deadline_ms ? call->req->park_deadline_ms : clock_mono_ms() + wait_ms;
    return http_park(call->resp, EVENTS_KEY, deadline);
}

static struct api_happening happening_out(const struct event *e)
{
    return (struct api_happening){.number = e->number,
                                  .at = e->row->at,
                                  .event = e->kind->action,
                                  .severity = check_severity_word(e->kind->severity),
                                  .words = e->kind->words,
                                  .object_kind = e->row->object_kind,
                                  .object_id = e->row->object_id,
                                  .object = e->row->name,
                                  .detail = e->row->detail};
}

RC api_event_list(struct api_call *call, struct api_happening_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_event_list_query *q = call->query;
    struct reading r = {.after = q->after, .limit = q->limit};
    bool parked = false;
    TRY(store_read(ctx, call->core->store, read_page, &r));
    if (!r.page.n && !r.page.more && q->after >= 0)
        TRY(wait_for(call, q->wait * 1000, &parked));
    if (parked)
        return RC_OK;
    struct api_happening *items = arena_array(&ctx->arena, r.page.n + 1, sizeof *items);
    for (size_t i = 0; i < r.page.n; i++)
        items[i] = happening_out(&r.page.v[i]);
    *out = (struct api_happening_page){.items = {items, r.page.n}, .last = r.page.last, .more = r.page.more};
    return RC_OK;
}

/* What the browser saw last: its header, which it sends when it comes again; else the query; else it begins now. */
static struct rc stream_after(struct api_call *call, int64_t *after)
{
    const struct api_event_stream_query *q = call->query;
    const char *header = http_request_header(call->req, "last-event-id");
    *after = q->after;
    if (header && (!str_to_i64(bytes_z(header), after) || *after < 0))
        return ctx_fail(call->ctx, E_INVALID, "Last-Event-ID is not one given here");
    return RC_OK;
}

static void put_event(struct buf *b, const struct event *e)
{
    const struct api_happening out = happening_out(e);
    struct json_out j;
    buf_printf(b, "id: %lld\ndata: ", (long long)e->number);
    json_begin(&j, b); /* one line: no line feed is in JSON that is not indented */
    api_encode(&j, NULL, &api_happening_schema, &out);
    buf_put_z(b, "\n\n");
}

RC api_event_stream(struct api_call *call)
{
    struct ctx *ctx = call->ctx;
    struct reading r = {.limit = STREAM_MAX};
    bool parked = false;
    TRY(stream_after(call, &r.after));
    const bool begins = r.after < 0;
    TRY(store_read(ctx, call->core->store, read_page, &r));
    if (!r.page.n && !r.page.more && !begins)
        TRY(wait_for(call, STREAM_MS, &parked));
    if (parked)
        return RC_OK;
    struct buf *b = &call->resp->body;
    call->resp->status = 200;
    http_response_header(call->resp, "Content-Type", "text/event-stream");
    http_response_header(call->resp, "Cache-Control", "no-store");
    buf_printf(b, "retry: %d\n", RETRY_MS);
    for (size_t i = 0; i < r.page.n; i++)
        put_event(b, &r.page.v[i]);
    buf_printf(b, "id: %lld\n\n", (long long)r.page.last); /* no data: moves the number on, and tells nothing */
    return buf_status(b);
}
