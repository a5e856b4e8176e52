#include "core/notify.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/channel.h"
#include "core/job.h"
#include "core/mail_address.h"
#include "core/result.h"
#include "pki/digest.h"

#define PAYLOAD_MAX ((size_t)64 << 10)
#define NAME_MAX_   300
#define CODE_MARK   "{code}"
#define DROP_MAX    10000
#define JOB         "notify"
#define TIMER       "notification"

/* --- the row */

/* The same alert, step, channel and state is the same notification, whoever says it again. */
static struct rc id_of(struct ctx *ctx, const struct notify_what *w, const char *channel, const char *recipient, const char **out)
{
    struct buf b;
    uint8_t hash[SHA256_LEN];
    if (!w->alert) {
        *out = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
        return RC_OK;
    }
    buf_init_arena(&b, &ctx->arena, 4096);
    const char *const parts[] = {w->alert, audit_number(ctx, w->step), channel, w->state, recipient ? recipient : ""};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        buf_put_z(&b, parts[i]);
        buf_put_u8(&b, 0);
    }
    TRY(buf_status(&b));
    TRY(digest_sha256(ctx, buf_bytes(&b), hash));
    *out = hex_str(&ctx->arena, bytes_of(hash, 16));
    return RC_OK;
}

/* Whole characters, and "…" where something is left out. */
static const char *cut(struct ctx *ctx, const char *text, size_t max)
{
    size_t n = strlen(text);
    if (n <= max)
        return text;
    for (n = max - 3; n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80;)
        n--;
    return arena_printf(&ctx->arena, "%.*s…", (int)n, text);
}

static void put(struct json_out *j, const char *key, const char *value)
{
    if (value && *value)
        json_put_str(j, key, value);
}

static struct rc payload_of(struct ctx *ctx, const struct core *core, struct txn *txn, const struct notify_what *w, const char *id,
                            struct bytes *out)
{
    struct q_team_name_row team;
    struct buf b;
    struct json_out j;
    TRY(q_team_name(ctx, txn, w->team, &team));
    buf_init_arena(&b, &ctx->arena, PAYLOAD_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "key", w->alert ? w->alert : id);
    json_put_int(&j, "at", ctx_now_s(ctx));
    json_put_str(&j, "subject", cut(ctx, w->subject, NOTIFY_SUBJECT_MAX));
    put(&j, "text", cut(ctx, w->text ? w->text : "", NOTIFY_TEXT_MAX));
    if (w->url_path && core->url)
        put(&j, "url", arena_printf(&ctx->arena, "%s%s", core->url, w->url_path));
    put(&j, "severity", w->severity);
    put(&j, "state", w->state);
    put(&j, "object_kind", w->object_kind);
    put(&j, "object_id", w->object_id);
    put(&j, "object_name", w->object_name ? cut(ctx, w->object_name, NAME_MAX_) : NULL);
    put(&j, "team", team.name);
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_bytes(&b);
    return RC_OK;
}

/* --- the job */

/* Whom it goes to: this one, or those of the channel that have confirmed.  *none: the channel is of e-mail, and nobody has (any
 * more); a code goes there before. */
static struct rc put_recipients(struct ctx *ctx, struct txn *txn, const char *team, const char *channel, const char *recipient,
                                bool code, struct json_out *j, bool *none)
{
    bool hears = true;
    struct q_channel_address_list_row *to = NULL;
    size_t n = 0, put_n = 0;
    TRY(q_channel_address_list(ctx, txn, channel, &to, &n));
    if (recipient && !code)
        TRY(mail_address_hears(ctx, txn, team, recipient, &hears));
    json_open_list(j, "to");
    for (size_t i = 0; i < n && !recipient; i++)
        if (to[i].confirmed_at) {
            json_put_str(j, NULL, to[i].address);
            put_n++;
        }
    if (recipient)
        json_put_str(j, NULL, recipient);
    json_close(j);
    *none = (n && !put_n && !recipient) || !hears;
    return RC_OK;
}

static const char *with_code(struct ctx *ctx, const char *text, const char *code)
{
    const char *at = strstr(text, CODE_MARK);
    return at && code ? arena_printf(&ctx->arena, "%.*s%s%s", (int)(at - text), text, code, at + strlen(CODE_MARK)) : text;
}

static struct rc job_of(struct ctx *ctx, struct txn *txn, const struct q_channel_by_id_row *c, const char *team, const char *id,
                        const char *recipient, const char *payload, const char *code, struct bytes *out, bool *none)
{
    json_auto_t *what = NULL;
    const char *key;
    json_t *v;
    struct buf b;
    struct json_out j;
    TRY(json_read(ctx, bytes_z(payload), &what));
    buf_init_arena(&b, &ctx->arena, PAYLOAD_MAX * 2);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "channel", c->kind);
    json_put_raw(&j, "parameters", bytes_z(c->parameters));
    json_put_str(&j, "id", id);
    json_object_foreach(what, key, v)
    {
        if (str_equal(key, "text") && json_is_string(v))
            json_put_str(&j, key, with_code(ctx, json_string_value(v), code));
        else
            json_put_value(&j, key, v);
    }
    TRY(put_recipients(ctx, txn, team, c->id, recipient, code != NULL, &j, none));
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_bytes(&b);
    return RC_OK;
}

static struct rc job_begin(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_channel_by_id_row *c, const char *id,
                           struct bytes payload, int64_t run_at)
{
    return job_add(ctx, core, txn, JOB, c->agent_id, arena_printf(&ctx->arena, "channel:%s", c->id), id, payload, run_at);
}

RC notify_row(struct ctx *ctx, struct core *core, struct txn *txn, const struct notify_row *n)
{
    const int64_t now = ctx_now_s(ctx);
    struct q_channel_by_id_row c;
    struct q_notification_by_id_row there;
    struct bytes payload, job;
    const char *id = n->id;
    bool found = false, none = false;
    TRY(q_channel_by_id(ctx, txn, n->channel, &c, &found));
    if (!found || c.removed_at)
        return RC_OK;
    if (!id)
        TRY(id_of(ctx, n->what, n->channel, n->recipient, &id));
    TRY(q_notification_by_id(ctx, txn, id, &there, &found));
    if (found)
        return RC_OK;
    TRY(payload_of(ctx, core, txn, n->what, id, &payload));
    TRY(job_of(ctx, txn, &c, n->what->team, id, n->recipient, arena_str(&ctx->arena, payload), n->code, &job, &none));
    if (none)
        return RC_OK;
    const struct q_notification_add_in in = {.id = id,
                                             .team_id = n->what->team,
                                             .channel_id = c.id,
                                             .alert_id = n->what->alert,
                                             .recipient = n->recipient,
                                             .what = n->what->state,
                                             .payload = arena_str(&ctx->arena, payload),
                                             .ends_at = n->only_once ? now : now + NOTIFY_FOR_S,
                                             .now = now};
    TRY(q_notification_add(ctx, txn, &in));
    TRY(timer_arm(ctx, txn, TIMER, id, n->only_once ? now + 300 : in.ends_at));
    return job_begin(ctx, core, txn, &c, id, job, 0);
}

/* --- who is told */

static struct rc one(struct ctx *ctx, struct core *core, struct txn *txn, const struct notify_what *w, const char *channel,
                     const char *recipient)
{
    const struct notify_row row = {.what = w, .channel = channel, .recipient = recipient};
    return notify_row(ctx, core, txn, &row);
}

static struct rc others(struct ctx *ctx, struct core *core, struct txn *txn, const struct notify_what *w)
{
    struct q_channel_others_row *rows = NULL;
    size_t n = 0;
    TRY(q_channel_others(ctx, txn, w->team, w->object_id ? w->object_id : "", &rows, &n));
    for (size_t i = 0; i < n; i++)
        TRY(one(ctx, core, txn, w, rows[i].id, NULL));
    return RC_OK;
}

static struct rc usual(struct ctx *ctx, struct core *core, struct txn *txn, const struct notify_what *w)
{
    struct q_channel_usual_row *rows = NULL;
    size_t n = 0;
    TRY(q_channel_usual(ctx, txn, w->team, &rows, &n));
    for (size_t i = 0; i < n; i++)
        TRY(one(ctx, core, txn, w, rows[i].id, NULL));
    return RC_OK;
}

RC notify_send(struct ctx *ctx, struct core *core, struct txn *txn, const struct notify_what *w)
{
    bool found = false;
    if (w->to) {
        const char *channel = NULL, *words = NULL;
        TRY(mail_address_channel(ctx, core, txn, w, &channel, &words));
        if (channel)
            return one(ctx, core, txn, w, channel, mail_address_plain(ctx, w->to));
        if (w->note)
            *w->note = words;
    }
    if (w->channel) {
        struct q_channel_hears_row row;
        TRY(q_channel_hears(ctx, txn, w->channel, w->team, &row, &found));
        return found ? one(ctx, core, txn, w, row.id, NULL) : RC_OK;
    }
    return str_equal(w->object_kind, "channel") ? others(ctx, core, txn, w) : usual(ctx, core, txn, w);
}

/* --- what came of it */

static struct rc give_up(struct ctx *ctx, struct txn *txn, const struct q_notification_by_id_row *n, enum err e, const char *why)
{
    const struct q_notification_failed_in in = {
        .id = n->id, .state = "dead", .next_at = NULL, .error_code = err_info(e)->name, .error = why};
    TRY(timer_clear(ctx, txn, TIMER, n->id));
    return q_notification_failed(ctx, txn, &in);
}

static struct rc try_again(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_notification_by_id_row *n,
                           const struct q_channel_by_id_row *c, const struct checked_result *r)
{
    const int64_t next = ctx_now_s(ctx) + retry_delay_s(n->tries + 1, r->retry_after_s);
    const struct q_notification_failed_in in = {
        .id = n->id, .state = "waiting", .next_at = &next, .error_code = err_info(r->e)->name, .error = r->why};
    struct bytes job = bytes_z(r->job.payload); /* a code is in it alone */
    bool none = false;
    if (!str_equal(n->what, "confirm"))
        TRY(job_of(ctx, txn, c, n->team_id, n->id, n->recipient, n->payload, NULL, &job, &none));
    if (none)
        return give_up(ctx, txn, n, r->e, r->why);
    TRY(q_notification_failed(ctx, txn, &in));
    return job_begin(ctx, core, txn, c, n->id, job, next);
}

RC notify_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    struct q_notification_by_id_row n;
    struct q_channel_by_id_row c;
    bool found = false;
    TRY(q_notification_by_id(ctx, txn, r->job.ref, &n, &found));
    if (!found)
        return RC_OK;
    TRY(q_channel_by_id(ctx, txn, n.channel_id, &c, &found));
    if (r->ok) {
        TRY(timer_clear(ctx, txn, TIMER, n.id));
        TRY(q_notification_sent(ctx, txn, n.id, ctx_now_s(ctx)));
        return channel_arrived(ctx, txn, c.id);
    }
    if (!str_equal(n.state, "waiting") || c.removed_at)
        return RC_OK;
    const bool over = n.ends_at <= ctx_now_s(ctx);
    TRY(channel_failed(ctx, txn, c.id, r->e, r->why, over && !str_equal(n.what, "test")));
    return over ? give_up(ctx, txn, &n, r->e, r->why) : try_again(ctx, core, txn, &n, &c, r);
}

RC notify_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id)
{
    struct q_notification_get_row full;
    struct q_notification_by_id_row n;
    bool found = false;
    TRY(q_notification_by_id(ctx, txn, id, &n, &found));
    if (!found || !str_equal(n.state, "waiting"))
        return RC_OK;
    TRY(q_notification_get(ctx, txn, id, core->team_root, &full, &found));
    const char *why = found && full.error ? full.error : "its agent has not taken it: it does not call";
    const enum err e = found && full.error_code ? err_by_name(full.error_code) : E_TIMEOUT;
    TRY(q_job_cancel_ref(ctx, txn, id, JOB, ctx_now_s(ctx)));
    TRY(channel_failed(ctx, txn, n.channel_id, e, why, !str_equal(n.what, "test")));
    return give_up(ctx, txn, &n, e, why);
}

RC notify_drop(struct ctx *ctx, struct txn *txn, const char *channel)
{
    struct q_notification_waiting_of_row *rows = NULL;
    size_t n = 0;
    TRY(q_notification_waiting_of(ctx, txn, channel, DROP_MAX, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        const struct q_notification_by_id_row gone = {.id = rows[i].id};
        TRY(q_job_cancel_ref(ctx, txn, rows[i].id, JOB, ctx_now_s(ctx)));
        TRY(give_up(ctx, txn, &gone, E_NOT_FOUND, "the channel was removed"));
    }
    return RC_OK;
}

/* --- for people */

struct looking {
    struct core *core;
    const char *state, *channel, *alert, *before_id, *id;
    int64_t before_at, limit;
    struct q_notification_get_row *rows, *row;
    size_t n;
};

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct looking *l = arg;
    const struct q_notification_list_in in = {.scope = access_scope(ctx),
                                              .state = l->state,
                                              .channel = l->channel,
                                              .alert = l->alert,
                                              .before_at = l->before_at,
                                              .before_id = l->before_id,
                                              .limit = l->limit};
    TRY(decide(ctx, l->core, txn, "channel.read", NULL));
    return q_notification_list(ctx, txn, &in, &l->rows, &l->n);
}

RC notify_list(struct ctx *ctx, struct core *core, const char *state, const char *channel, const char *alert, int64_t before_at,
               const char *before_id, int64_t limit, struct q_notification_get_row **out, size_t *n)
{
    struct looking l = {.core = core,
                        .state = state,
                        .channel = channel,
                        .alert = alert,
                        .before_at = before_at,
                        .before_id = before_id,
                        .limit = limit};
    TRY(store_read(ctx, core->store, list, &l));
    *out = l.rows;
    *n = l.n;
    return RC_OK;
}

static struct rc get(struct ctx *ctx, struct txn *txn, const char *id, struct q_notification_get_row *out)
{
    bool found = false;
    TRY(q_notification_get(ctx, txn, id, access_scope(ctx), out, &found));
    return found ? RC_OK
                 : ctx_fail(ctx, E_NOT_FOUND, "there is no notification %s; certwright channel notifications lists them", id);
}

static struct rc show(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct looking *l = arg;
    TRY(get(ctx, txn, l->id, l->row));
    return decide(ctx, l->core, txn, "channel.read", l->row->team_id);
}

RC notify_show(struct ctx *ctx, struct core *core, const char *id, struct q_notification_get_row *out)
{
    struct looking l = {.core = core, .id = id, .row = out};
    return store_read(ctx, core->store, show, &l);
}

static struct rc again(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct looking *l = arg;
    const int64_t now = ctx_now_s(ctx);
    struct q_notification_get_row n;
    struct q_channel_by_id_row c;
    struct bytes job;
    bool found = false, none = false;
    TRY(get(ctx, txn, l->id, &n));
    TRY(decide(ctx, l->core, txn, "channel.test", n.team_id));
    TRY(q_channel_by_id(ctx, txn, n.channel_id, &c, &found));
    if (!found || c.removed_at)
        return ctx_fail(ctx, E_NOT_FOUND, "channel %s was removed: nothing is told over it any more", n.channel);
    if (str_equal(n.what, "confirm"))
        return ctx_fail(ctx, E_INVALID, "a code is not sent again; new ones: certwright channel confirm %s", n.channel);
    TRY(q_job_cancel_ref(ctx, txn, n.id, JOB, now));
    TRY(job_of(ctx, txn, &c, n.team_id, n.id, n.recipient, n.payload, NULL, &job, &none));
    if (none)
        return ctx_fail(ctx, E_INVALID, "no address of channel %s is confirmed: certwright channel confirm %s CODE", n.channel,
                        n.channel);
    TRY(q_notification_again(ctx, txn, n.id, now + NOTIFY_FOR_S, now));
    TRY(timer_arm(ctx, txn, TIMER, n.id, now + NOTIFY_FOR_S));
    TRY(job_begin(ctx, l->core, txn, &c, n.id, job, 0));
    return audit_write(ctx, txn, "notification.send", "notification", n.id, n.team_id,
                       audit_facts(ctx, "channel", n.channel, NULL));
}

RC notify_again(struct ctx *ctx, struct core *core, const char *id)
{
    struct looking l = {.core = core, .id = id};
    return store_write(ctx, core->store, again, &l);
}
