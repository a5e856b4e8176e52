/* What the steps of rules do, in the rule's name (core/rule_author.h): to managed certificates, to what was found, and by asking
 * people. */
#include "base/encode.h"
#include "base/json.h"
#include "base/str.h"
#include "core/adopt.h"
#include "core/alert_own.h"
#include "core/inventory.h"
#include "core/managed.h"
#include "core/remark.h"
#include "core/request.h"
#include "core/rule_author.h"
#include "pki/cert.h"

#define LINEAGES_MAX  100
#define LINEAGE_AGE_S (3 * 86400) /* as core/adopt.c has it */
#define LOOK_AGAIN_S  2
#define LOOK_FOR_S    900 /* an agent that has not looked by then does not call */

/* --- taking over: its agent looks first, and what it has seen is taken over then */

struct taking {
    struct core *core;
    struct alert_deed *deed;
    const char *as; /* who looked: the rule */
    struct str_list ready;
    size_t lineages, waits, unseen;
};

static struct rc lineage(struct ctx *ctx, struct txn *txn, struct taking *t, const struct q_lineage_list_row *e)
{
    struct alert_deed *d = t->deed;
    struct q_adoption_at_row at;
    struct q_adoption_get_row row;
    json_auto_t *options = NULL;
    const char *path = strstr(e->place, ":/");
    bool found = false;
    TRY(json_read(ctx, bytes_z(e->options), &options));
    if (!path || !json_object_get(options, "renewal"))
        return RC_OK;
    t->lineages++;
    TRY(q_adoption_at(ctx, txn, e->agent_id, path + 1, &at, &found));
    if (found)
        TRY(q_adoption_get(ctx, txn, at.id, t->deed->rule->team, &row, &found));
    const bool ours = found && str_equal(row.created_by, t->as) && row.created_at >= d->alert->opened_at;
    if (!found)
        t->unseen++;
    else if (str_equal(row.state, "adopting") || str_equal(row.state, "adopted"))
        return RC_OK;
    else if (str_equal(row.state, "releasing") || str_equal(row.state, "released")) /* somebody wanted it back */
        d->trouble =
            arena_printf(&ctx->arena, "%s of %s was given back to it; who wants it taken over again does that: certwright adopt",
                         row.name, row.client);
    else if (str_equal(row.state, "looking") && row.created_at + LOOK_FOR_S < ctx_now_s(ctx))
        d->trouble = arena_printf(&ctx->arena, "agent %s has not looked at %s of %s", row.agent, row.name, row.client);
    else if (str_equal(row.state, "looking"))
        t->waits++;
    else if (!ours)
        t->unseen++;
    else if (str_equal(row.state, "seen"))
        str_list_add(&ctx->arena, &t->ready, row.id);
    else
        d->trouble = arena_printf(&ctx->arena, "%s of %s: %s", row.name, row.client, row.error ? row.error : row.state);
    return RC_OK;
}

static struct rc lineages_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct taking *t = arg;
    struct q_lineage_list_row *rows = NULL;
    struct bytes print;
    int64_t id = 0;
    size_t n = 0;
    bool found = false;
    t->ready = (struct str_list){0};
    t->lineages = t->waits = t->unseen = 0;
    if (!get_hex(&ctx->arena, bytes_z(t->deed->print), &print))
        return ctx_fail(ctx, E_BUG, "a fingerprint is none");
    TRY(inventory_find(ctx, txn, print, &id, &found));
    const struct q_lineage_of_certificate_in ask = {.scope = t->deed->rule->team,
                                                    .certificate_id = id,
                                                    .agent = "",
                                                    .since = ctx_now_s(ctx) - LINEAGE_AGE_S,
                                                    .limit = LINEAGES_MAX};
    if (found)
        TRY(q_lineage_of_certificate(ctx, txn, &ask, &rows, &n));
    for (size_t i = 0; i < n; i++)
        TRY(lineage(ctx, txn, t, &rows[i]));
    return RC_OK;
}

static struct rc adopt(struct ctx *ctx, struct core *core, struct alert_deed *d)
{
    struct taking t = {.core = core, .deed = d, .as = ctx->principal->name};
    const struct api_adoption_new look = {.certificate = d->print};
    const char *issuers[] = {d->step->issuer};
    const struct api_adoption_wish wish = {.issuers = {issuers, d->step->issuer != NULL}};
    struct str_list ids;
    if (!d->print)
        return ctx_fail(ctx, E_INVALID, "%s is no certificate", d->alert->object_kind);
    TRY(access_enter(ctx, core, "adoption.create"));
    TRY(store_read(ctx, core->store, lineages_read, &t));
    if (!t.lineages)
        return ctx_fail(ctx, E_NOT_FOUND,
                        "no agent that knows how has found it with another ACME client on its host: certwright adopt --help");
    for (size_t i = 0; i < t.ready.n; i++)
        TRY(adoption_adopt(ctx, core, t.ready.v[i], &wish));
    if (d->trouble)
        return RC_OK;
    if (t.unseen)
        TRY(adoption_look(ctx, core, &look, &ids));
    d->later_s = t.unseen || t.waits ? LOOK_AGAIN_S : 0;
    return RC_OK;
}

/* --- asking for what was found */

struct found {
    struct core *core;
    struct bytes print;
    struct q_alert_names_row row;
    bool there;
};

static struct rc found_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct found *f = arg;
    return q_alert_names(ctx, txn, f->print, &f->row, &f->there);
}

static struct rc request(struct ctx *ctx, struct core *core, struct alert_deed *d)
{
    struct found f = {.core = core};
    struct name_list names = {0};
    struct managed_input wanted = {0};
    struct bytes der;
    struct cert leaf;
    const char *id = NULL;
    if (!d->print || !get_hex(&ctx->arena, bytes_z(d->print), &f.print))
        return ctx_fail(ctx, E_INVALID, "%s is no certificate", d->alert->object_kind);
    if (d->managed)
        return ctx_fail(ctx, E_CONFLICT, "%s is managed already", d->alert->object_name);
    TRY(access_enter(ctx, core, "request.create"));
    TRY(store_read(ctx, core->store, found_read, &f));
    if (!f.there)
        return ctx_fail(ctx, E_NOT_FOUND, "the certificate is not there any more");
    TRY(certificate_der(ctx, core, f.row.dictionary, f.row.packed, &der));
    TRY(cert_parse(ctx, der, &leaf));
    TRY(cert_names(ctx, &leaf, &names));
    for (size_t i = 0; i < names.n; i++)
        str_list_add(&ctx->arena, &wanted.wish.names, names.v[i].text);
    if (d->step->issuer)
        str_list_add(&ctx->arena, &wanted.wish.issuers, d->step->issuer);
    if (!names.n)
        return ctx_fail(ctx, E_UNSUPPORTED, "the certificate has no name that can be asked for");
    const struct request_input in = {.kind = "create",
                                     .team = f.row.team,
                                     .in = &wanted,
                                     .comment = arena_printf(&ctx->arena, "rule %s, alert %s: the names of certificate %s",
                                                             d->rule->name, d->alert->id, d->print),
                                     .approval = true};
    TRY(request_ask(ctx, core, &in, &id));
    d->note = arena_printf(&ctx->arena, "people decide: certwright request show %s", id);
    return RC_OK;
}

/* --- the others */

static struct rc tag(struct ctx *ctx, struct core *core, struct alert_deed *d)
{
    struct remark_input in = {0};
    if (!d->print)
        return ctx_fail(ctx, E_INVALID, "%s is no certificate", d->alert->object_kind);
    *(str_equal(d->step->action, "tag") ? &in.add : &in.remove) = d->step->tags;
    TRY(access_enter(ctx, core, "certificate.update"));
    return remark_put(ctx, core, d->print, &in);
}

static struct rc renew(struct ctx *ctx, struct core *core, struct alert_deed *d)
{
    TRY(access_enter(ctx, core, "managed-certificate.renew"));
    return str_equal(d->step->action, "renew") ? managed_renew(ctx, core, d->managed) : managed_retry(ctx, core, d->managed);
}

static struct rc pause_it(struct ctx *ctx, struct core *core, struct alert_deed *d)
{
    TRY(access_enter(ctx, core, "managed-certificate.pause"));
    return str_equal(d->step->action, "pause")
               ? managed_pause(ctx, core, d->managed, arena_printf(&ctx->arena, "by rule %s", d->rule->name))
               : managed_resume(ctx, core, d->managed);
}

static struct rc revoke(struct ctx *ctx, struct core *core, struct alert_deed *d)
{
    TRY(access_enter(ctx, core, "certificate.revoke"));
    return managed_revoke(ctx, core, d->managed, 0, 0, REVOCATION_USUAL);
}

/* What there is to do, and whether it is done to a managed certificate. */
static const struct {
    const char *action;
    bool managed;
    struct rc (*act)(struct ctx *ctx, struct core *core, struct alert_deed *d);
} acts[] = {
    {"renew", true, renew},     {"retry", true, renew},   {"pause", true, pause_it},
    {"resume", true, pause_it}, {"revoke", true, revoke}, {"tag", false, tag},
    {"untag", false, tag},      {"adopt", false, adopt},  {"request", false, request},
};

static struct rc act(struct ctx *ctx, struct core *core, struct alert_deed *d)
{
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (!str_equal(acts[i].action, d->step->action))
            continue;
        if (acts[i].managed && !d->managed)
            return ctx_fail(ctx, E_INVALID, "%s %s is not managed here", d->alert->object_kind, d->alert->object_name);
        return acts[i].act(ctx, core, d);
    }
    return ctx_fail(ctx, E_UNSUPPORTED, "this release does not know %s", d->step->action);
}

struct acting {
    struct core *core;
    const char *rule, *why;
    const struct principal *as;
};

static struct rc as_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct acting *a = arg;
    return rule_acts(ctx, a->core, txn, a->rule, &a->as, &a->why);
}

bool alert_act(struct ctx *ctx, struct core *core, struct alert_deed *d)
{
    const struct principal *hub = ctx->principal;
    struct acting a = {.core = core, .rule = d->rule->id};
    struct rc rc = store_read(ctx, core->store, as_read, &a);
    if (rc_ok(rc) && a.why) {
        d->trouble = d->halts = a.why;
        return true;
    }
    /* The key of the request is that of the step: a crash behind it does not make it happen twice.  Taking over is several
     * requests, each of which sees what was done already. */
    const struct once once = {
        .key = arena_printf(&ctx->arena, "alert:%s:%lld", d->alert->id, (long long)d->alert->step),
        .request_hash = BYTES_LIT("rule")};
    if (rc_ok(rc)) {
        struct principal rule = *a.as;
        rule.once = str_equal(d->step->action, "adopt") ? NULL : &once;
        ctx->principal = &rule;
        rc = act(ctx, core, d);
        ctx->principal = hub;
    }
    if (rc.e == E_PENDING)
        d->note = arena_printf(&ctx->arena, "it waits for approval: certwright request show %s", ctx->pending ? ctx->pending : "");
    else if (rc_failed(rc))
        d->trouble = arena_strdup(&ctx->arena, ctx_why(ctx));
    if (d->trouble)
        d->later_s = 0;
    ctx_forget(ctx);
    return rc_ok(rc) || err_info(rc.e)->category != CAT_RESOURCE;
}
