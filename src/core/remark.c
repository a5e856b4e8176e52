#include "core/remark.h"

#include "base/encode.h"
#include "base/json.h"
#include "core/access.h"
#include "core/ask.h"
#include "core/audit.h"
#include "store/queries.h"

struct remark {
    struct core *core;
    const char *digits;
    const struct remark_input *in;
    const struct remark_acceptance *acceptance; /* NULL: it is about something else */
};

/* find gives the certificate, and the id of its team, which the caller has to be allowed to change. */
static struct rc find(struct ctx *ctx, struct txn *txn, const struct remark *r, const char *action, struct ask_row *out,
                      const char **team_id)
{
    struct q_team_get_row t;
    bool found = false;
    TRY(ask_one(ctx, r->core, txn, r->digits, out));
    TRY(q_team_get(ctx, txn, out->row->team, access_scope(ctx), &t, &found));
    *team_id = found ? t.id : access_scope(ctx);
    return decide(ctx, r->core, txn, action, *team_id);
}

static struct rc told(struct ctx *ctx, struct txn *txn, const char *action, const struct ask_row *row, const char *team,
                      const struct remark *r)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    if (r->acceptance)
        json_put_str(&j, "check", r->acceptance->check);
    if (r->acceptance && r->acceptance->why)
        json_put_str(&j, "reason", r->acceptance->why);
    if (r->in && r->in->team)
        json_put_str(&j, "team", r->in->team);
    if (r->in && r->in->owner)
        json_put_str(&j, "owner", r->in->owner);
    if (r->in && r->in->note)
        json_put_str(&j, "note", r->in->note);
    for (size_t k = 0; r->in && k < 2; k++) {
        const struct str_list *tags = k ? &r->in->remove : &r->in->add;
        if (!tags->n)
            continue;
        json_open_list(&j, k ? "remove_tags" : "add_tags");
        for (size_t i = 0; i < tags->n; i++)
            json_put_str(&j, NULL, tags->v[i]);
        json_close(&j);
    }
    json_close(&j);
    TRY(buf_status(&b));
    return audit_write(ctx, txn, action, "certificate", hex_str(&ctx->arena, row->row->fingerprint), team, buf_bytes(&b));
}

static struct rc tags_put(struct ctx *ctx, struct txn *txn, int64_t id, const struct remark_input *in)
{
    struct q_certificate_tags_row *have = NULL;
    size_t n = 0;
    for (size_t i = 0; i < in->remove.n; i++)
        TRY(q_certificate_tag_drop(ctx, txn, in->remove.v[i], id));
    for (size_t i = 0; i < in->add.n; i++)
        TRY(q_certificate_tag_add(ctx, txn, in->add.v[i], id));
    TRY(q_certificate_tags(ctx, txn, id, &have, &n));
    return n > REMARK_TAGS_MAX ? ctx_fail_field(ctx, "/add_tags", "a certificate has %d tags at most", REMARK_TAGS_MAX) : RC_OK;
}

static struct rc note_put(struct ctx *ctx, struct txn *txn, int64_t id, const struct remark_input *in)
{
    struct q_certificate_note_get_row had = {0};
    bool found = false;
    TRY(q_certificate_note_get(ctx, txn, id, &had, &found));
    const char *owner = in->owner ? in->owner : had.owner, *note = in->note ? in->note : had.note;
    return q_certificate_note_put(ctx, txn,
                                  &(struct q_certificate_note_put_in){.certificate_id = id,
                                                                      .owner = owner && *owner ? owner : NULL,
                                                                      .note = note && *note ? note : NULL,
                                                                      .changed_by = ctx->principal->name,
                                                                      .now = ctx_now_s(ctx)});
}

static struct rc put(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct remark *r = arg;
    struct ask_row row;
    const char *team = NULL;
    TRY(find(ctx, txn, r, "certificate.update", &row, &team));
    if (r->in->team) {
        const char *to;
        TRY(access_team(ctx, txn, r->in->team, &to));
        if (row.row->flags & (CERTIFICATE_MANAGED | CERTIFICATE_SUPERSEDED))
            return ctx_fail_field(ctx, "/team", "it is managed, and of the team of what it is managed as");
        TRY(inventory_assign(ctx, r->core, txn, row.row->id, to));
    }
    if (r->in->owner || r->in->note)
        TRY(note_put(ctx, txn, row.row->id, r->in));
    TRY(tags_put(ctx, txn, row.row->id, r->in));
    return told(ctx, txn, "certificate.update", &row, team, r);
}

static struct rc tags_check(struct ctx *ctx, const struct remark_input *in)
{
    for (size_t i = 0; i < in->add.n; i++)
        if (!str_is_name(bytes_z(in->add.v[i])))
            return ctx_fail_field(ctx, "/add_tags", "a tag is up to 64 letters, digits, '-', '_', '.' and ':', not %s",
                                  in->add.v[i]);
    return RC_OK;
}

RC remark_put(struct ctx *ctx, struct core *core, const char *digits, const struct remark_input *in)
{
    struct remark r = {.core = core, .digits = digits, .in = in};
    TRY(tags_check(ctx, in));
    return store_write(ctx, core->store, put, &r);
}

RC remark_put_in(struct ctx *ctx, struct core *core, struct txn *txn, const char *digits, const struct remark_input *in)
{
    struct remark r = {.core = core, .digits = digits, .in = in};
    TRY(tags_check(ctx, in));
    return put(ctx, txn, &r);
}

static struct rc accept_put(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct remark *r = arg;
    struct ask_row row;
    const char *team = NULL;
    const int64_t now = ctx_now_s(ctx);
    struct q_finding_of_row *open = NULL;
    size_t open_n = 0;
    TRY(find(ctx, txn, r, "finding.accept", &row, &team));
    const struct remark_acceptance *a = r->acceptance;
    const struct check_info *check = findings_check_named(a->check);
    if (!check)
        return ctx_fail_field(ctx, "/check", "there is no check %s; certwright finding list shows them", a->check);
    if (!(row.row->findings & CHECK_BIT(check->number)))
        return ctx_fail(ctx, E_NOT_FOUND, "%s does not hold for this certificate", check->id);
    TRY(q_finding_of(ctx, txn, check->number, row.row->id, access_scope(ctx), now, &open, &open_n));
    if (!open_n)
        return ctx_fail(ctx, E_NOT_FOUND, "%s holds for this certificate only at endpoints of other teams", check->id);
    TRY(q_finding_accept(ctx, txn,
                         &(struct q_finding_accept_in){.check_number = check->number,
                                                       .certificate_id = row.row->id,
                                                       .scope = access_scope(ctx),
                                                       .state = a->accept,
                                                       .accepted_by = a->accept ? ctx->principal->name : NULL,
                                                       .accepted_at = a->accept ? &now : NULL,
                                                       .accepted_why = a->accept ? a->why : NULL,
                                                       .accepted_until = a->accept && a->until ? &a->until : NULL}));
    return told(ctx, txn, a->accept ? "finding.accept" : "finding.reopen", &row, team, r);
}

RC remark_accept(struct ctx *ctx, struct core *core, const char *digits, const struct remark_acceptance *in)
{
    struct remark r = {.core = core, .digits = digits, .acceptance = in};
    return store_write(ctx, core->store, accept_put, &r);
}
