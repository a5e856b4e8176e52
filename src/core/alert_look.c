/* Conditions: an alert for each certificate that passes a filter.  A look goes by pages, one a tick, each of bounded cost
 * (core/ask.h); its place is in the rule's row, so that another process goes on.  What a whole look has not found is over. */
#include "base/encode.h"
#include "base/log.h"
#include "base/str.h"
#include "core/access.h"
#include "core/alert_own.h"
#include "core/ask.h"
#include "pki/name_text.h"

#define AT_ONCE 2   /* rules a tick */
#define PAGE    200 /* certificates a page */
#define MOST    1000 /* alerts of one rule: who has more has to say more closely what is meant */
#define NAME_MAX_SHOWN 300
#define ENDING  "end" /* the place behind the last page: what was not found is closed */

struct found {
    const char *id, *name, *team;
};
struct looking {
    struct core *core;
    const char *id;
    struct q_rule_looks_due_row *due;
    size_t due_n;
    struct q_rule_by_id_row row;
    struct rule_live rule;
    struct found *v;
    size_t n;
    const char *next, *trouble;
    bool there, live, full, more; /* full: there are as many alerts as there may be */
};

static struct rc due_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct looking *l = arg;
    return q_rule_looks_due(ctx, txn, ctx_now_s(ctx), AT_ONCE, &l->due, &l->due_n);
}

const char *alert_certificate_name(struct ctx *ctx, const struct cert_fields *cert)
{
    struct bytes rest = cert->san.der;
    struct cert_general_name name;
    struct buf b;
    buf_init_arena(&b, &ctx->arena, NAME_MAX_SHOWN);
    if (cert_next_general_name(&rest, &name))
        name_text_put_general(&b, &name);
    if (!buf_bytes(&b).n || rc_failed(buf_status(&b)))
        return arena_strdup(&ctx->arena, name_text_dn(&ctx->arena, &cert->subject));
    const char *colon = strchr(buf_z(&b), ':'); /* without "dns:" */
    return colon ? colon + 1 : buf_z(&b);
}

static struct rc page_read(struct ctx *ctx, struct txn *txn, struct looking *l)
{
    const struct ask ask = {.where = l->rule.spec.where, .after = l->row.place, .limit = PAGE};
    struct ask_page page;
    TRY(ask_page(ctx, l->core, txn, &ask, &page));
    l->v = arena_array(&ctx->arena, page.n + 1, sizeof *l->v);
    for (size_t i = 0; i < page.n; i++) {
        struct q_team_by_name_row team;
        bool found = false;
        TRY(q_team_by_name(ctx, txn, page.rows[i].row->team, &team, &found));
        l->v[i] = (struct found){.id = hex_str(&ctx->arena, page.rows[i].row->fingerprint),
                                 .name = alert_certificate_name(ctx, &page.rows[i].cert),
                                 .team = found ? team.id : l->rule.team};
    }
    l->n = page.n;
    l->next = page.next;
    return RC_OK;
}

static struct rc look_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct looking *l = arg;
    l->live = false;
    TRY(q_rule_by_id(ctx, txn, l->id, &l->row, &l->there));
    if (!l->there)
        return RC_OK;
    TRY(rule_live_read(ctx, txn, l->id, &l->rule, &l->live));
    l->live = l->live && l->rule.spec.where;
    if (!l->live)
        l->trouble = "this release does not understand it";
    if (!l->live || str_equal(l->row.place, ENDING))
        return RC_OK;
    /* It sees what its team sees. */
    const struct principal *was = ctx->principal;
    const struct principal seer = {.kind = PRINCIPAL_HUB, .id = "hub", .name = "hub", .team = l->rule.team, .role = "hub"};
    ctx->principal = &seer;
    struct rc rc = page_read(ctx, txn, l);
    ctx->principal = was;
    if (rc.e != E_INVALID)
        return rc;
    l->trouble = arena_strdup(&ctx->arena, ctx_why(ctx));
    ctx_forget(ctx);
    return RC_OK;
}

static struct rc holds(struct ctx *ctx, struct txn *txn, struct looking *l, const struct found *f, int64_t *room)
{
    struct q_alert_by_id_row a;
    bool found = false;
    TRY(q_alert_of(ctx, txn, l->id, "certificate", f->id, &a, &found));
    if (found)
        return q_alert_holds(ctx, txn, a.id, l->row.pass, ctx_now_s(ctx));
    if (--*room < 0) {
        l->full = true;
        l->trouble = arena_printf(&ctx->arena, "more than %d certificates pass its filter: only of these there are alerts", MOST);
        return RC_OK;
    }
    const struct alert_new in = {.object_kind = "certificate",
                                 .object_id = f->id,
                                 .object_name = f->name,
                                 .team = f->team,
                                 .event = "",
                                 .words = ALERT_CONDITION_WORDS,
                                 .why = l->rule.spec.where,
                                 .severity = (enum check_severity)l->rule.spec.severity,
                                 .count = 1,
                                 .pass = l->row.pass};
    return alert_begin(ctx, txn, &l->rule, &in);
}

/* Those that this look has not found; `*all` where there are no more. */
static struct rc end_others(struct ctx *ctx, struct txn *txn, struct looking *l, bool *all)
{
    struct q_alert_held_no_more_row *ids = NULL;
    size_t n = 0;
    TRY(q_alert_held_no_more(ctx, txn, l->id, l->row.pass, PAGE, &ids, &n));
    for (size_t i = 0; i < n; i++) {
        struct q_alert_by_id_row a;
        bool found = false;
        TRY(q_alert_by_id(ctx, txn, ids[i].id, &a, &found));
        if (found)
            TRY(alert_end(ctx, l->core, txn, &l->rule, &a));
    }
    *all = n < PAGE;
    return RC_OK;
}

static struct rc look_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct looking *l = arg;
    const int64_t now = ctx_now_s(ctx);
    struct q_alert_count_of_rule_row count;
    struct q_rule_looked_in in = {
        .id = l->id, .was_place = l->row.place, .was_pass = l->row.pass, .pass = l->row.pass, .looks_at = now};
    bool all = false;
    if (!l->trouble || l->n) {
        TRY(q_alert_count_of_rule(ctx, txn, l->id, &count));
        int64_t room = MOST - count.n;
        for (size_t i = 0; i < l->n; i++)
            TRY(holds(ctx, txn, l, &l->v[i], &room));
        if (!l->next && !l->full)
            TRY(end_others(ctx, txn, l, &all));
    }
    in.place = l->next ? l->next : all ? "" : ENDING;
    if (all || l->full || l->trouble) { /* to the end, or no further: the next look */
        in.place = "";
        in.pass += all;
        in.looks_at = now + (l->live ? l->rule.spec.every_s : RULE_EVERY_S);
    }
    in.trouble = l->trouble ? l->trouble : "";
    l->more = in.looks_at == now;
    return q_rule_looked(ctx, txn, &in);
}

static struct rc look_one(struct ctx *ctx, struct core *core, const char *id, bool *more)
{
    struct looking l = {.core = core, .id = id};
    TRY(store_read(ctx, core->store, look_read, &l));
    if (!l.there || !l.row.enabled)
        return RC_OK;
    struct rc rc = store_write(ctx, core->store, look_write, &l);
    if (rc.e == E_CHANGED) { /* somebody edited it, or another process looked */
        ctx_forget(ctx);
        return RC_OK;
    }
    *more = *more || l.more;
    return rc;
}

RC alert_look(struct ctx *ctx, struct core *core, bool *more)
{
    struct looking l = {.core = core};
    TRY(store_read(ctx, core->store, due_read, &l));
    for (size_t i = 0; i < l.due_n; i++)
        TRY(look_one(ctx, core, l.due[i].id, more));
    return RC_OK;
}
