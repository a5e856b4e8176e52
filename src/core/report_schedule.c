#include "core/report_schedule.h"

#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/author.h"
#include "core/channel.h"
#include "core/job.h"
#include "core/notify.h"
#include "core/report.h"

struct change {
    struct core *core;
    const char *id, *ref, *after;
    const struct report_schedule_input *in;
    struct q_report_schedule_list_row *row, *rows;
    int64_t limit;
    size_t n;
};

static struct rc find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_report_schedule_list_row *out)
{
    bool found = false;
    TRY(q_report_schedule_get(ctx, txn, ref, access_scope(ctx), out, &found));
    return found ? RC_OK
                 : ctx_fail(ctx, E_NOT_FOUND, "no report that is sent is named %s; certwright report schedules shows them", ref);
}

static struct bytes facts(struct ctx *ctx, const struct q_report_schedule_list_row *s)
{
    return audit_facts(ctx, "name", s->name, "report", s->report, "team", s->team, "channel", s->channel, "to", s->recipient,
                       "every_s:", audit_number(ctx, s->every_s), NULL);
}

static struct rc create(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    const struct report_schedule_input *in = c->in;
    const char *team = NULL, *channel = "", *owner = NULL;
    const int64_t now = ctx_now_s(ctx);
    struct report report;
    struct author author;
    TRY(access_team(ctx, txn, in->team, &team));
    TRY(decide(ctx, c->core, txn, "report.schedule", team));
    TRY(decide(ctx, c->core, txn, "report.read", team));
    TRY(report_make_in(ctx, txn, in->report, in->team, &report)); /* that there is such a one */
    if (in->channel)
        TRY(channel_ref(ctx, txn, in->channel, &channel, &owner));
    TRY(author_of(ctx, txn, &author));
    const struct q_report_schedule_add_in add = {.id = c->id,
                                                 .name = in->name,
                                                 .team_id = team,
                                                 .report = in->report,
                                                 .channel = channel,
                                                 .recipient = in->to ? in->to : "",
                                                 .every_s = in->every_s,
                                                 .next_at = now,
                                                 .author = author.name,
                                                 .author_kind = author.kind,
                                                 .author_id = author.id,
                                                 .now = now};
    struct rc rc = q_report_schedule_add(ctx, txn, &add);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "a report that is sent is named %s already", in->name);
    }
    TRY(rc);
    TRY(timer_arm(ctx, txn, "report", c->id, now));
    TRY(find(ctx, txn, c->id, c->row));
    return audit_write(ctx, txn, "report.schedule", "report", c->id, team,
                       audit_change(ctx, (struct bytes){0}, facts(ctx, c->row)));
}

RC report_schedule_create(struct ctx *ctx, struct core *core, const struct report_schedule_input *in,
                          struct q_report_schedule_list_row *out)
{
    struct change c = {.core = core, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)), .in = in, .row = out};
    if (in->every_s < REPORT_EVERY_MIN_S || in->every_s > REPORT_EVERY_MAX_S)
        return ctx_fail_field(ctx, "/every_s", "a report is sent once an hour at most, and once a year at least");
    return store_write(ctx, core->store, create, &c);
}

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    return q_report_schedule_list(ctx, txn, access_scope(ctx), c->after, c->limit, &c->rows, &c->n);
}

RC report_schedule_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit,
                        struct q_report_schedule_list_row **out, size_t *n)
{
    struct change c = {.core = core, .after = after, .limit = limit};
    TRY(store_read(ctx, core->store, list, &c));
    *out = c.rows;
    *n = c.n;
    return RC_OK;
}

static struct rc take_away(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    struct q_report_schedule_list_row row;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "report.schedule", row.team_id));
    TRY(timer_clear(ctx, txn, "report", row.id));
    TRY(q_report_schedule_remove(ctx, txn, row.id));
    return audit_write(ctx, txn, "report.unschedule", "report", row.id, row.team_id,
                       audit_change(ctx, facts(ctx, &row), (struct bytes){0}));
}

RC report_schedule_remove(struct ctx *ctx, struct core *core, const char *ref)
{
    struct change c = {.core = core, .ref = ref};
    return store_write(ctx, core->store, take_away, &c);
}

/* Whoever scheduled it has to be one who may read it still: else it would go on telling them, or whom they named. */
static struct rc still_may(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_report_schedule_list_row *row,
                           const char **why)
{
    static const char *const permissions[] = {"report.read", "report.schedule"};
    const struct author author = {.kind = (enum principal_kind)row->author_kind, .id = row->author_id, .name = row->author};
    struct permission_set needs = {0};
    size_t bit = 0;
    for (size_t i = 0; i < sizeof permissions / sizeof *permissions; i++)
        if (api_permission_find(permissions[i], &bit))
            permission_add(&needs, bit);
    TRY(author_lacks(ctx, core, txn, &author, &needs, row->team_id, why));
    if (!*why)
        return RC_OK;
    TRY(q_report_schedule_halt(ctx, txn, row->id, *why));
    return audit_write(ctx, txn, "report.halted", "report", row->id, row->team_id,
                       audit_facts(ctx, "name", row->name, "why", *why, NULL));
}

RC report_schedule_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id)
{
    struct q_report_schedule_list_row row;
    struct report r;
    struct buf text;
    bool found = false;
    const char *why = NULL;
    const int64_t now = ctx_now_s(ctx);
    TRY(q_report_schedule_get(ctx, txn, id, access_scope(ctx), &row, &found));
    if (!found || *row.halted)
        return RC_OK;
    TRY(still_may(ctx, core, txn, &row, &why));
    if (why) /* its timer is not armed again */
        return RC_OK;
    TRY(report_make_in(ctx, txn, row.report, row.team, &r));
    buf_init_arena(&text, &ctx->arena, (size_t)1 << 20);
    report_plain(ctx, &text, &r);
    TRY(buf_status(&text));
    const struct notify_what what = {.channel = *row.channel ? row.channel : NULL,
                                     .to = *row.recipient ? row.recipient : NULL,
                                     .subject = arena_printf(&ctx->arena, "%s of team %s", r.title, row.team),
                                     .text = buf_z(&text),
                                     .severity = "info",
                                     .state = "digest",
                                     .object_kind = "report",
                                     .object_id = row.id,
                                     .object_name = row.name,
                                     .team = row.team_id};
    TRY(notify_send(ctx, core, txn, &what));
    /* One that was missed is sent once, not as often as it was missed. */
    const int64_t next = row.next_at + row.every_s > now ? row.next_at + row.every_s : now + row.every_s;
    TRY(q_report_schedule_next(ctx, txn, row.id, next));
    return timer_arm(ctx, txn, "report", row.id, next);
}
