#include "core/audit_stream.h"

#include "base/failpoint.h"
#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/audit_log.h"
#include "core/channel.h"
#include "core/job.h"
#include "core/result.h"

#define JOB         "audit_stream"
#define BATCH_BYTES ((size_t)512 << 10)
#define ENTRY_LONG  ((size_t)6 << 10) /* of its detail no more is told than this */
#define WAIT_MAX_S  900

static struct rc find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_audit_stream_list_row *out)
{
    bool found = false;
    TRY(q_audit_stream_get(ctx, txn, ref, out, &found));
    return found ? RC_OK
                 : ctx_fail(ctx, E_NOT_FOUND, "no stream of the audit log is named %s: certwright audit stream list", ref);
}

static struct bytes facts(struct ctx *ctx, const struct q_audit_stream_list_row *s)
{
    return audit_facts(ctx, "name", s->name, "channel", s->channel_id, "format", s->format, "place:", audit_number(ctx, s->place),
                       NULL);
}

/* --- people */

struct change {
    struct core *core;
    const struct audit_stream_input *in;
    const char *id, *ref;
    struct audit_stream_view *view, *views;
    size_t n;
};

static struct rc create(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    struct q_audit_tree_row tree;
    struct q_audit_stream_list_row *all = NULL;
    const char *channel = NULL, *team = NULL;
    size_t n = 0;
    TRY(access_everywhere(ctx, c->core, txn, "audit.stream"));
    struct rc rc = channel_ref(ctx, txn, c->in->channel, &channel, &team);
    if (rc.e == E_NOT_FOUND)
        ctx->field = "/channel";
    TRY(rc);
    if (!str_equal(team, c->core->team_root))
        return ctx_fail_field(ctx, "/channel",
                              "channel %s is of another team, and the whole log is not theirs; make one of the team that holds all",
                              c->in->channel);
    TRY(q_audit_tree(ctx, txn, &tree));
    if (c->in->from > tree.size)
        return ctx_fail_field(ctx, "/from", "the audit log has %lld entries", (long long)tree.size);
    TRY(q_audit_stream_list(ctx, txn, AUDIT_STREAMS_MAX, &all, &n));
    if (n == AUDIT_STREAMS_MAX)
        return ctx_fail(ctx, E_CONFLICT, "there are %d streams of the audit log, which is as many as there can be",
                        AUDIT_STREAMS_MAX);
    const struct q_audit_stream_add_in in = {.id = c->id,
                                             .name = c->in->name,
                                             .channel_id = channel,
                                             .format = c->in->format,
                                             .place = c->in->from < 0 ? tree.size : c->in->from,
                                             .now = ctx_now_s(ctx)};
    rc = q_audit_stream_add(ctx, txn, &in);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "a stream of the audit log is named %s already", c->in->name);
    }
    TRY(rc);
    TRY(find(ctx, txn, c->id, &c->view->row));
    c->view->lag = tree.size - in.place;
    return audit_write(ctx, txn, "audit.stream", "audit-stream", c->id, c->core->team_root,
                       audit_change(ctx, (struct bytes){0}, facts(ctx, &c->view->row)));
}

RC audit_stream_create(struct ctx *ctx, struct core *core, const struct audit_stream_input *in, struct audit_stream_view *out)
{
    struct change c = {.core = core, .in = in, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)), .view = out};
    return store_write(ctx, core->store, create, &c);
}

static struct rc views(struct ctx *ctx, struct txn *txn, struct audit_stream_view **out, size_t *n)
{
    struct q_audit_stream_list_row *rows = NULL;
    struct q_audit_tree_row tree;
    TRY(q_audit_tree(ctx, txn, &tree));
    TRY(q_audit_stream_list(ctx, txn, AUDIT_STREAMS_MAX, &rows, n));
    *out = arena_array(&ctx->arena, *n + 1, sizeof **out);
    for (size_t i = 0; i < *n; i++)
        (*out)[i] = (struct audit_stream_view){.row = rows[i], .lag = tree.size > rows[i].place ? tree.size - rows[i].place : 0};
    return RC_OK;
}

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    TRY(access_everywhere(ctx, c->core, txn, "audit.stream"));
    return views(ctx, txn, &c->views, &c->n);
}

RC audit_stream_list(struct ctx *ctx, struct core *core, struct audit_stream_view **out, size_t *n)
{
    struct change c = {.core = core};
    TRY(store_read(ctx, core->store, list, &c));
    *out = c.views;
    *n = c.n;
    return RC_OK;
}

RC audit_stream_lags(struct ctx *ctx, struct core *core, struct txn *txn, struct audit_stream_view **out, size_t *n)
{
    *n = 0;
    return audit_sees_all(ctx, core) ? views(ctx, txn, out, n) : RC_OK;
}

static struct rc take_away(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    struct q_audit_stream_list_row row;
    TRY(access_everywhere(ctx, c->core, txn, "audit.stream"));
    TRY(find(ctx, txn, c->ref, &row));
    TRY(q_job_cancel_ref(ctx, txn, row.id, JOB, ctx_now_s(ctx)));
    TRY(q_audit_stream_remove(ctx, txn, row.id));
    return audit_write(ctx, txn, "audit.unstream", "audit-stream", row.id, c->core->team_root,
                       audit_change(ctx, facts(ctx, &row), (struct bytes){0}));
}

RC audit_stream_remove(struct ctx *ctx, struct core *core, const char *ref)
{
    struct change c = {.core = core, .ref = ref};
    return store_write(ctx, core->store, take_away, &c);
}

RC audit_stream_channel(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, bool gone)
{
    struct q_audit_stream_of_row row;
    bool found = false;
    TRY(q_audit_stream_of(ctx, txn, id, &row, &found));
    if (!found)
        return RC_OK;
    if (gone)
        return ctx_fail(ctx, E_IN_USE, "stream %s of the audit log goes over it: certwright audit stream remove %s", row.name,
                        row.name);
    return access_everywhere(ctx, core, txn, "audit.stream");
}

/* --- batches */

/* What no collector would take whole: the beginning of its detail says what it was. */
static struct rc entry_put(struct ctx *ctx, struct json_out *j, const struct audit_entry *whole, size_t *bytes)
{
    struct audit_entry e = *whole;
    struct buf text;
    if (strlen(e.detail) > ENTRY_LONG) {
        struct buf cut;
        struct json_out d;
        size_t n = ENTRY_LONG / 2; /* each of its quotes takes two bytes now */
        while (n > 0 && ((uint8_t)e.detail[n] & 0xc0) == 0x80)
            n--;
        buf_init_arena(&cut, &ctx->arena, 2 * ENTRY_LONG);
        json_begin(&d, &cut);
        json_open_obj(&d, NULL);
        json_put_str(&d, "cut", arena_printf(&ctx->arena, "%.*s", (int)n, e.detail));
        json_close(&d);
        TRY(buf_status(&cut));
        e.detail = buf_z(&cut);
    }
    buf_init_arena(&text, &ctx->arena, AUDIT_ENTRY_MAX);
    audit_entry_put(&text, &e);
    TRY(buf_status(&text));
    *bytes += text.n;
    json_put_str(j, NULL, buf_z(&text));
    return RC_OK;
}

static struct rc batch(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_audit_stream_list_row *s)
{
    struct q_audit_list_row *rows = NULL;
    struct buf b;
    struct json_out j;
    size_t n = 0, put = 0, bytes = 0;
    TRY(q_audit_stream_entries(ctx, txn, s->place, AUDIT_STREAM_BATCH, &rows, &n));
    if (n == 0)
        return RC_OK;
    buf_init_arena(&b, &ctx->arena, BATCH_BYTES * 4);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "channel", s->kind);
    json_put_raw(&j, "parameters", bytes_z(s->parameters));
    json_put_bool(&j, "cef", str_equal(s->format, "cef"));
    json_put_int(&j, "from", s->place);
    json_open_list(&j, "entries");
    for (; put < n && bytes < BATCH_BYTES; put++) {
        const struct audit_entry e = audit_entry_of(&rows[put]);
        TRY(entry_put(ctx, &j, &e, &bytes));
    }
    json_close(&j);
    json_open_list(&j, "places");
    for (size_t i = 0; i < put; i++)
        json_put_int(&j, NULL, *rows[i].leaf);
    json_close(&j);
    json_put_int(&j, "to", *rows[put - 1].leaf + 1);
    json_close(&j);
    TRY(buf_status(&b));
    return job_add(ctx, core, txn, JOB, s->agent_id, arena_printf(&ctx->arena, "audit-stream:%s", s->id), s->id, buf_bytes(&b), 0);
}

struct ticking {
    struct core *core;
    struct q_audit_stream_list_row *rows;
    const char *id;
    size_t n;
    int64_t size;
};

static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct ticking *t = arg;
    struct q_audit_tree_row tree;
    TRY(q_audit_tree(ctx, txn, &tree));
    t->size = tree.size;
    return q_audit_stream_list(ctx, txn, AUDIT_STREAMS_MAX, &t->rows, &t->n);
}

/* A job that nobody has begun, at an agent that is no longer the channel's. */
static bool is_astray(const struct q_audit_stream_list_row *s)
{
    return s->job_agent && !str_equal(s->job_agent, s->agent_id);
}

static bool is_due(const struct ticking *t, const struct q_audit_stream_list_row *s, int64_t now)
{
    return is_astray(s) || (!s->job_agent && s->place < t->size && s->next_at <= now);
}

static struct rc go_on(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct ticking *t = arg;
    struct q_audit_stream_list_row s;
    struct q_audit_tree_row tree;
    const int64_t now = ctx_now_s(ctx);
    bool found = false;
    TRY(q_audit_stream_get(ctx, txn, t->id, &s, &found));
    if (found && is_astray(&s)) {
        TRY(q_job_cancel_ref(ctx, txn, s.id, JOB, now));
        TRY(q_audit_stream_get(ctx, txn, t->id, &s, &found));
    }
    if (!found || s.job_agent || s.next_at > now)
        return RC_OK;
    TRY(q_audit_tree(ctx, txn, &tree));
    if (s.place < tree.kept_from) {
        TRY(q_audit_stream_skip(ctx, txn, s.id, s.place, tree.kept_from));
        s.place = tree.kept_from;
    }
    return batch(ctx, t->core, txn, &s);
}

RC audit_stream_tick(struct ctx *ctx, struct core *core)
{
    struct ticking t = {.core = core};
    TRY(store_read(ctx, core->store, look, &t));
    for (size_t i = 0; i < t.n; i++) {
        if (!is_due(&t, &t.rows[i], ctx_now_s(ctx)))
            continue;
        t.id = t.rows[i].id;
        struct rc rc = store_write(ctx, core->store, go_on, &t);
        FAILPOINT("audit.stream");
        if (rc_ok(rc))
            continue;
        if (err_info(rc.e)->category == CAT_RESOURCE)
            return rc;
        log_event(LOG_WARN_, "audit_stream_failed", "stream", t.rows[i].name, "why", ctx_why(ctx), NULL);
        ctx_forget(ctx);
    }
    return RC_OK;
}

RC audit_stream_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    const int64_t now = ctx_now_s(ctx);
    struct q_audit_stream_list_row s;
    json_auto_t *asked = NULL;
    int64_t from = 0, to = 0;
    bool found = false;
    TRY(q_audit_stream_get(ctx, txn, r->job.ref, &s, &found));
    if (!found)
        return RC_OK;
    if (!r->ok) {
        int64_t wait = retry_delay_s(s.failures + 1, r->retry_after_s);
        if (wait > WAIT_MAX_S && r->retry_after_s < WAIT_MAX_S)
            wait = WAIT_MAX_S;
        const struct q_audit_stream_failed_in in = {
            .id = s.id, .error_code = err_info(r->e)->name, .error = r->why, .next_at = now + wait, .now = now};
        TRY(q_audit_stream_failed(ctx, txn, &in));
        return channel_failed(ctx, txn, s.channel_id, r->e, r->why, false);
    }
    TRY(json_read(ctx, bytes_z(r->job.payload), &asked));
    TRY(json_get_int(ctx, asked, "from", true, &from));
    TRY(json_get_int(ctx, asked, "to", true, &to));
    TRY(q_audit_stream_sent(ctx, txn, s.id, from, to, now));
    core_wake_after_commit(ctx, core, txn, CORE_SCHEDULE_KEY, ""); /* more may wait */
    return channel_arrived(ctx, txn, s.channel_id);
}
