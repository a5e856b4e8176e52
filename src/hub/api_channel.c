/* Channels, and what was told over them. */
#include "base/json.h"
#include "core/channel.h"
#include "core/mail_address.h"
#include "core/notify.h"
#include "hub/api.h"

static const char *state_of(const struct channel_view *v)
{
    size_t good = 0;
    for (size_t i = 0; i < v->addresses_n; i++)
        good += v->addresses[i].confirmed_at != NULL;
    if (v->addresses_n && !good)
        return "unconfirmed";
    return v->row.failing_since ? "failing" : v->row.ok_at || v->row.error_code ? (v->row.ok_at ? "good" : "failing") : "untried";
}

static struct rc channel_out(struct ctx *ctx, const struct channel_view *v, struct api_channel *out)
{
    const struct q_channel_get_row *r = &v->row;
    struct api_channel_address *addresses = arena_array(&ctx->arena, v->addresses_n + 1, sizeof *addresses);
    for (size_t i = 0; i < v->addresses_n; i++)
        addresses[i] =
            (struct api_channel_address){.address = v->addresses[i].address, .confirmed = v->addresses[i].confirmed_at != NULL};
    *out = (struct api_channel){.id = r->id,
                                .name = r->name,
                                .team_id = r->team_id,
                                .kind = r->kind,
                                .agent = r->agent,
                                .addresses = {addresses, v->addresses_n},
                                .usual = r->usual,
                                .daily = r->daily,
                                .state = state_of(v),
                                .failures = r->failures,
                                .has_failing_since = r->failing_since != NULL,
                                .failing_since = r->failing_since ? *r->failing_since : 0,
                                .has_ok_at = r->ok_at != NULL,
                                .ok_at = r->ok_at ? *r->ok_at : 0,
                                .last_error = api_error_of(ctx, r->error_code, r->error, r->error_at ? *r->error_at : 0),
                                .revision = r->revision,
                                .created_at = r->created_at,
                                .updated_at = r->updated_at};
    return api_parameters_of_json(ctx, r->parameters, &out->parameters);
}

static struct rc reply(struct api_call *call, const char *ref, struct api_channel *out)
{
    struct channel_view v;
    TRY(channel_show(call->ctx, call->core, ref, &v));
    return channel_out(call->ctx, &v, out);
}

RC api_channel_list(struct api_call *call, struct api_channel_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_channel_list_query *q = call->query;
    struct channel_view *v = NULL;
    const char *after = NULL;
    size_t n = 0;
    TRY(api_cursor_read(ctx, q->cursor, &after));
    TRY(channel_list(ctx, call->core, after, q->limit, &v, &n));
    struct api_channel *items = arena_array(&ctx->arena, n + 1, sizeof *items);
    for (size_t i = 0; i < n; i++)
        TRY(channel_out(ctx, &v[i], &items[i]));
    out->items = (struct api_channel_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(ctx, items[n - 1].id);
    return RC_OK;
}

RC api_channel_get(struct api_call *call, struct api_channel *out)
{
    return reply(call, call->path[0], out);
}

RC api_channel_create(struct api_call *call, const struct api_channel_new *in, struct api_channel *out)
{
    const struct channel_input c = {.name = in->name,
                                    .team = in->team,
                                    .kind = in->kind,
                                    .agent = in->agent,
                                    .parameters = api_parameters_json(call->ctx, &in->parameters),
                                    .addresses = api_list_of(call->ctx, &in->addresses),
                                    .has_addresses = true,
                                    .usual = in->usual,
                                    .daily = in->daily};
    const char *id = NULL;
    TRY(channel_create(call->ctx, call->core, &c, &id));
    return reply(call, id, out);
}

RC api_channel_update(struct api_call *call, const struct api_channel_patch *in, struct api_channel *out)
{
    struct ctx *ctx = call->ctx;
    const struct channel_input c = {.kind = in->has_kind ? in->kind : NULL,
                                    .agent = in->has_agent ? in->agent : NULL,
                                    .parameters = in->has_parameters ? api_parameters_json(ctx, &in->parameters) : NULL,
                                    .addresses = api_list_of(ctx, &in->addresses),
                                    .has_addresses = in->has_addresses,
                                    .usual = in->has_usual ? in->usual : -1,
                                    .daily = in->has_daily ? in->daily : -1};
    TRY(channel_update(ctx, call->core, call->path[0], call->has_revision ? call->revision : 0, &c));
    return reply(call, call->path[0], out);
}

RC api_channel_remove(struct api_call *call)
{
    return channel_remove(call->ctx, call->core, call->path[0]);
}

RC api_channel_confirm(struct api_call *call, const struct api_channel_confirm *in, struct api_channel *out)
{
    TRY(channel_confirm(call->ctx, call->core, call->path[0], in->code && *in->code ? in->code : NULL));
    return reply(call, call->path[0], out);
}

/* --- addresses that no channel names */

RC api_address_list(struct api_call *call, struct api_address_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_address_list_query *q = call->query;
    struct q_mail_address_list_row *rows = NULL;
    size_t n = 0;
    const char *after = NULL;
    TRY(api_cursor_read(ctx, q->cursor, &after));
    TRY(mail_address_list(ctx, call->core, after, q->limit, &rows, &n));
    struct api_address *items = arena_array(&ctx->arena, n + 1, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct api_address){.address = rows[i].address,
                                        .team_id = rows[i].team_id,
                                        .team = rows[i].team,
                                        .asked_by = rows[i].asked_by,
                                        .confirmed = rows[i].confirmed_at != NULL,
                                        .has_confirmed_at = rows[i].confirmed_at != NULL,
                                        .confirmed_at = rows[i].confirmed_at ? *rows[i].confirmed_at : 0,
                                        .created_at = rows[i].created_at};
    out->items = (struct api_address_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(ctx, rows[n - 1].place);
    return RC_OK;
}

RC api_address_forget(struct api_call *call)
{
    return mail_address_forget(call->ctx, call->core, call->path[0]);
}

RC api_address_confirm(struct api_call *call, const struct api_channel_confirm *in)
{
    return mail_address_confirm(call->ctx, call->core, call->path[0], in->code && *in->code ? in->code : NULL);
}

/* --- notifications */

static struct rc notification_out(struct ctx *ctx, const struct q_notification_get_row *r, struct api_notification *out)
{
    json_auto_t *payload = NULL;
    *out = (struct api_notification){.id = r->id,
                                     .team_id = r->team_id,
                                     .channel = r->channel,
                                     .alert = r->alert_id,
                                     .recipient = r->recipient,
                                     .what = r->what,
                                     .state = r->state,
                                     .tries = r->tries,
                                     .has_next_at = r->next_at != NULL,
                                     .next_at = r->next_at ? *r->next_at : 0,
                                     .subject = "",
                                     .last_error = api_error_of(ctx, r->error_code, r->error, 0),
                                     .created_at = r->created_at,
                                     .has_sent_at = r->sent_at != NULL,
                                     .sent_at = r->sent_at ? *r->sent_at : 0};
    TRY(json_read(ctx, bytes_z(r->payload), &payload));
    TRY(json_get_str(ctx, payload, "subject", false, &out->subject));
    return json_get_str(ctx, payload, "text", false, &out->text);
}

static struct rc notification_reply(struct api_call *call, const char *id, struct api_notification *out)
{
    struct q_notification_get_row row;
    TRY(notify_show(call->ctx, call->core, id, &row));
    return notification_out(call->ctx, &row, out);
}

RC api_channel_test(struct api_call *call, struct api_notification *out)
{
    const char *id = NULL;
    TRY(channel_test(call->ctx, call->core, call->path[0], &id));
    return notification_reply(call, id, out);
}

/* A page goes on after the time and id of its last row. */
static struct rc cursor_of(struct ctx *ctx, const char *cursor, int64_t *at, const char **id)
{
    const char *text = NULL;
    struct bytes rest, first;
    *at = INT64_MAX;
    *id = "";
    TRY(api_cursor_read(ctx, cursor, &text));
    if (!*text)
        return RC_OK;
    rest = bytes_z(text);
    if (!bytes_take_until(&rest, ' ', &first) || !str_to_i64(first, at))
        return ctx_fail(ctx, E_INVALID, "the cursor is none of this list");
    *id = arena_str(&ctx->arena, rest);
    return RC_OK;
}

RC api_notification_list(struct api_call *call, struct api_notification_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_notification_list_query *q = call->query;
    struct q_notification_get_row *rows = NULL;
    const char *id = NULL;
    int64_t at = 0;
    size_t n = 0;
    TRY(cursor_of(ctx, q->cursor, &at, &id));
    TRY(notify_list(ctx, call->core, q->state ? q->state : "", q->channel ? q->channel : "", q->alert ? q->alert : "", at, id,
                    q->limit, &rows, &n));
    struct api_notification *items = arena_array(&ctx->arena, n + 1, sizeof *items);
    for (size_t i = 0; i < n; i++)
        TRY(notification_out(ctx, &rows[i], &items[i]));
    out->items = (struct api_notification_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(ctx, arena_printf(&ctx->arena, "%lld %s", (long long)rows[n - 1].created_at, rows[n - 1].id));
    return RC_OK;
}

RC api_notification_get(struct api_call *call, struct api_notification *out)
{
    return notification_reply(call, call->path[0], out);
}

RC api_notification_send(struct api_call *call, struct api_notification *out)
{
    TRY(notify_again(call->ctx, call->core, call->path[0]));
    return notification_reply(call, call->path[0], out);
}
