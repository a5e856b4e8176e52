/* Numbers of the inventory by day. */
#include "base/buf.h"
#include "base/encode.h"
#include "core/days.h"
#include "hub/api.h"

#define DAY_TEXT 10 /* of "2026-11-21" */

static const char *day_text(struct ctx *ctx, int64_t day)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 64);
    time_put_rfc3339(&b, day * 86400);
    return buf_bytes(&b).n > DAY_TEXT ? arena_str(&ctx->arena, bytes_of(buf_bytes(&b).p, DAY_TEXT)) : "";
}

RC api_certificate_days(struct api_call *call, struct api_certificate_days *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_certificate_days_query *q = call->query;
    const struct days_ask ask = {.of = q->of, .key = q->key, .team = q->team, .days = q->days};
    struct days d;
    TRY(days_of(ctx, call->core, &ask, &d));
    struct api_certificate_day *days = arena_array(&ctx->arena, d.n, sizeof *days);
    int64_t left = d.now;
    for (size_t i = d.n; i-- > 0; left -= d.v[i].n)
        days[i] = (struct api_certificate_day){.day = day_text(ctx, d.v[i].day), .change = d.v[i].n, .n = left};
    *out = (struct api_certificate_days){.n = d.now, .days = {days, d.n}};
    return RC_OK;
}
