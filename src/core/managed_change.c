/* What people change: create, update, renew, retry, pause, roll back, revoke, remove. */
#include "base/encode.h"
#include "base/random.h"
#include "core/agent.h"
#include "core/access.h"
#include "core/adopt.h"
#include "core/attempt.h"
#include "core/audit.h"
#include "core/deployment.h"
#include "core/download.h"
#include "core/hold.h"
#include "core/inventory.h"
#include "core/issuer.h"
#include "core/issuer_account.h"
#include "core/issuer_health.h"
#include "core/job.h"
#include "core/late.h"
#include "core/managed.h"
#include "core/persist.h"
#include "core/request.h"
#include "core/revocation.h"
#include "core/rollout.h"
#include "core/sharing.h"
#include "core/standby.h"
#include "core/solver.h"
#include "core/target.h"
#include "pki/csr.h"
#include "pki/spki.h"

struct change {
    struct core *core;
    const char *ref, *id, *reason;
    const struct managed_input *in;
    struct wish wish;
    int64_t number, code;
};

/* A request that somebody brings along must be for these names; its key says what kind of key it is. */
static struct rc csr_resolve(struct ctx *ctx, struct wish *w)
{
    struct csr csr;
    struct name_list names = {0};
    if (!w->csr.n)
        return RC_OK;
    struct rc rc = csr_parse(ctx, w->csr, &csr);
    if (rc_failed(rc)) {
        ctx->field = "/csr";
        return rc;
    }
    TRY(name_list_parse(ctx, w->names.v, w->names.n, &names));
    if (!name_list_same(&names, &csr.names))
        return ctx_fail_field(ctx, "/csr", "the request is for other names than those given");
    if (csr.asks_ca)
        return ctx_fail_field(ctx, "/csr", "the request is for a CA");
    const char *kind = key_kind_name(csr.spki.key_kind);
    if (w->key_kind && !str_equal(w->key_kind, kind))
        return ctx_fail_field(ctx, "/key_kind", "the request's key is %s, not %s", kind, w->key_kind);
    w->key_kind = kind;
    return RC_OK;
}

/* Where the key is elsewhere a target can only be one that is given none, as far as its agent has told; the agent refuses it too.
 */
static struct rc target_keyless(struct ctx *ctx, struct txn *txn, const struct wish *w, const char *id, const char *name)
{
    struct q_target_by_id_row t;
    struct taken_key taken;
    TRY(q_target_by_id(ctx, txn, id, &t));
    TRY(sharing_taken(ctx, txn, &t, &taken));
    return taken.parameter ? ctx_fail(ctx, E_CONFLICT, "target %s is given the key (%s), which is %s", name, taken.parameter,
                                      w->download ? "for download alone" : "with whoever made the request")
                           : RC_OK;
}

/* Fills what the wish takes from its profile, and checks that the names it gives are there. */
RC wish_resolve(struct ctx *ctx, struct core *core, struct txn *txn, struct wish *w, struct str_list *issuer_ids,
                              struct str_list *target_ids)
{
    TRY(wish_check(ctx, w));
    TRY(csr_resolve(ctx, w));
    if (w->preferred_chain)
        TRY(preferred_chain_check(ctx, w->preferred_chain));
    if (!w->profile)
        w->profile = "tls-server";
    struct q_profile_get_row p;
    bool found = false;
    TRY(q_profile_get(ctx, txn, w->profile, access_scope(ctx), &p, &found));
    if (!found)
        return ctx_fail_field(ctx, "/profile", "no profile is named %s; certwright profile list shows them", w->profile);
    const char *maker = NULL;
    if (w->key_agent && rc_failed(agent_named(ctx, txn, w->key_agent, &maker)))
        return ctx_fail_field(ctx, "/key_agent", "no agent is named %s, which shall make the key", w->key_agent);
    struct profile_settings ps;
    TRY(profile_settings_decode(ctx, p.settings, &ps));
    w->profile = p.name;
    w->usage = ps.usage;
    w->validity_s = ps.validity_s;
    if (!w->key_kind)
        w->key_kind = ps.key_kinds.n ? ps.key_kinds.v[0] : "ec-p256";
    if (key_kind_by_name(w->key_kind) == KEY_OTHER)
        return ctx_fail_field(ctx, "/key_kind", "%s is no kind of key; ec-p256, ec-p384, rsa-2048, rsa-3072 and rsa-4096 are",
                              w->key_kind);
    if (ps.key_kinds.n && !str_list_has(&ps.key_kinds, w->key_kind))
        return ctx_fail(ctx, E_POLICY, "profile %s does not allow %s keys", p.name, w->key_kind);
    if (!w->common_name && ps.common_name && strlen(w->names.v[0]) <= 64)
        w->common_name = w->names.v[0];
    if (!w->issuers.n)
        str_list_add(&ctx->arena, &w->issuers, "ca");
    struct str_list issuer_names = {0}, target_names = {0};
    for (size_t i = 0; i < w->issuers.n; i++) {
        struct q_issuer_get_row row;
        TRY(q_issuer_get(ctx, txn, w->issuers.v[i], access_scope(ctx), &row, &found));
        if (!found)
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/issuers/%zu", i),
                                  "no issuer is named %s; certwright issuer list shows them", w->issuers.v[i]);
        if (w->acme_profile)
            TRY(issuer_offers(ctx, txn, row.id, row.name, w->acme_profile));
        str_list_add(&ctx->arena, issuer_ids, row.id);
        str_list_add(&ctx->arena, &issuer_names, row.name);
    }
    w->issuers = issuer_names;
    for (size_t i = 0; i < w->targets.n; i++) {
        const char *id = NULL, *name = NULL;
        struct rc rc = target_resolve(ctx, core, txn, w->targets.v[i], &w->names, &id, &name);
        if (rc_failed(rc)) {
            ctx->field = arena_printf(&ctx->arena, "/targets/%zu", i);
            return rc;
        }
        if (w->csr.n || w->download)
            TRY(target_keyless(ctx, txn, w, id, name));
        if (!str_list_has(target_ids, id)) {
            str_list_add(&ctx->arena, target_ids, id);
            str_list_add(&ctx->arena, &target_names, name);
        }
    }
    w->targets = target_names;
    return RC_OK;
}

/* A target serves one managed certificate at a time. */
RC targets_free(struct ctx *ctx, struct txn *txn, const char *managed, const struct str_list *ids)
{
    for (size_t i = 0; i < ids->n; i++) {
        struct q_target_managed_by_row *by = NULL;
        size_t n = 0;
        TRY(q_target_managed_by(ctx, txn, ids->v[i], 10, &by, &n));
        for (size_t k = 0; k < n; k++)
            if (!str_equal(by[k].id, managed))
                return ctx_fail(ctx, E_IN_USE,
                                "target %s serves %s already; take it away there first, or add the name to that certificate: "
                                "certwright cert edit %s --names … (all of them)",
                                by[k].target, by[k].name, by[k].name);
    }
    return RC_OK;
}

/* What is on its way to a target that was taken away and in no agent's hands: nobody waits for it any more. */
static struct rc open_stop(struct ctx *ctx, struct txn *txn, const char *managed, const char *target)
{
    struct q_deployment_open_of_target_row *open = NULL;
    size_t n = 0;
    TRY(q_deployment_open_of_target(ctx, txn, target, &open, &n));
    for (size_t i = 0; i < n; i++)
        if (str_equal(open[i].managed_id, managed))
            TRY(deployment_stop(ctx, txn, open[i].id, open[i].state));
    return RC_OK;
}

static struct rc lists_keep(struct ctx *ctx, struct txn *txn, const char *id, const struct str_list *issuers,
                            const struct str_list *targets)
{
    TRY(q_managed_issuers_clear(ctx, txn, id));
    for (size_t i = 0; i < issuers->n; i++)
        TRY(q_managed_issuer_add(ctx, txn, id, (int64_t)i, issuers->v[i]));
    for (size_t i = 1; i < issuers->n; i++)
        TRY(standby_wish(ctx, txn, issuers->v[i]));
    struct q_managed_targets_row *have = NULL;
    size_t n = 0;
    TRY(q_managed_targets(ctx, txn, id, &have, &n));
    for (size_t i = 0; i < n; i++)
        if (!str_list_has(targets, have[i].target_id)) {
            TRY(q_managed_target_drop(ctx, txn, id, have[i].target_id));
            TRY(q_placement_drop(ctx, txn, have[i].target_id));
            TRY(q_target_endpoint_clear(ctx, txn, have[i].target_id));
            TRY(timer_clear(ctx, txn, "verify", have[i].target_id));
            TRY(timer_clear(ctx, txn, "redeploy", have[i].target_id));
            TRY(open_stop(ctx, txn, id, have[i].target_id));
        }
    for (size_t i = 0; i < targets->n; i++)
        TRY(q_managed_target_add(ctx, txn, id, targets->v[i]));
    return RC_OK;
}

static const char *wish_text(struct ctx *ctx, const struct wish *w)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    wish_encode(&b, w);
    return buf_z(&b);
}

/* What policy and approvals are asked about: {"name": …, "before": "…", "wish": {…}}. */
static struct bytes wish_payload(struct ctx *ctx, const char *name, const char *before, const char *wish)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 20);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    if (name)
        json_put_str(&j, "name", name);
    if (before)
        json_put_str(&j, "before", before);
    json_put_raw(&j, "wish", bytes_z(wish));
    json_close(&j);
    return buf_bytes(&b);
}

static struct rc gate(struct ctx *ctx, struct core *core, struct txn *txn, const char *kind, struct policy_asked asked,
                      const char *name, struct bytes payload, bool cannot_wait)
{
    const struct request_wanted w = {.kind = kind, .asked = asked, .name = name, .payload = payload, .cannot_wait = cannot_wait};
    return request_gate(ctx, core, txn, &w);
}

static struct rc add(struct ctx *ctx, struct core *core, struct txn *txn, const struct change *c, const char *paused)
{
    const char *team = NULL;
    TRY(access_team(ctx, txn, c->in->team, &team));
    TRY(decide(ctx, core, txn, "managed-certificate.create", team));
    struct wish w = c->wish;
    struct str_list issuers = {0}, targets = {0};
    TRY(wish_resolve(ctx, core, txn, &w, &issuers, &targets));
    TRY(solver_check(ctx, txn, team, &w, &issuers, &targets));
    const char *name = c->in->name ? c->in->name : w.names.v[0];
    struct bytes hash;
    TRY(wish_hash(ctx, &w, &hash));
    TRY(gate(ctx, core, txn, "create", (struct policy_asked){.act = POLICY_CREATE, .team = team, .wish = &w}, name,
             wish_payload(ctx, name, NULL, wish_text(ctx, &w)), paused != NULL));
    const struct q_managed_add_in in = {.id = c->id,
                                        .team_id = team,
                                        .name = name,
                                        .wish = wish_text(ctx, &w),
                                        .wish_hash = hash,
                                        .first_name = w.names.v[0],
                                        .now = ctx_now_s(ctx)};
    struct rc rc = q_managed_add(ctx, txn, &in);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "%s is managed already; see: certwright cert show %s", name, name);
    }
    TRY(rc);
    TRY(targets_free(ctx, txn, c->id, &targets)); /* after the name: who adds the same once more is told that */
    TRY(lists_keep(ctx, txn, c->id, &issuers, &targets));
    TRY(audit_write(ctx, txn, "managed-certificate.create", "managed-certificate", c->id, team,
                    audit_change(ctx, (struct bytes){0}, bytes_z(in.wish))));
    TRY(step_write(ctx, txn, c->id, NULL, NULL, "added", "%s is managed from now on", name));
    return paused ? q_managed_pause(ctx, txn, c->id, paused, ctx_now_s(ctx))
                  : managed_reconcile(ctx, core, txn, c->id, "new", false);
}

static struct rc create(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct change *c = arg;
    return add(ctx, c->core, txn, c, NULL);
}

static struct rc name_check(struct ctx *ctx, const struct managed_input *in)
{
    if (in->name && !str_is_name(bytes_z(in->name)))
        return ctx_fail_field(ctx, "/name", "a name is 1 to 64 letters, digits, dots, hyphens and underscores");
    return RC_OK;
}

RC managed_add(struct ctx *ctx, struct core *core, struct txn *txn, const struct managed_input *in, const char *paused,
               const char **id)
{
    const struct change c = {.core = core, .in = in, .wish = in->wish, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    TRY(name_check(ctx, in));
    *id = c.id;
    return add(ctx, core, txn, &c, paused);
}

RC managed_create(struct ctx *ctx, struct core *core, const struct managed_input *in, const char **id)
{
    TRY(name_check(ctx, in));
    struct change c = {.core = core, .in = in, .wish = in->wish, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    TRY(request_write(ctx, core->store, create, &c));
    *id = c.id;
    return RC_OK;
}

static struct rc update(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    struct q_managed_get_row row;
    TRY(managed_find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "managed-certificate.update", row.team_id));
    struct wish w = c->wish;
    struct str_list issuers = {0}, targets = {0};
    TRY(wish_resolve(ctx, c->core, txn, &w, &issuers, &targets));
    TRY(targets_free(ctx, txn, row.id, &targets));
    const char *text = wish_text(ctx, &w);
    struct bytes hash;
    TRY(wish_hash(ctx, &w, &hash));
    if (c->in->has_revision && c->in->revision != row.revision)
        return ctx_fail(ctx, E_CHANGED, "%s was changed meanwhile (revision %lld, not %lld); look at it again", row.name,
                        (long long)row.revision, (long long)c->in->revision);
    if (str_equal(text, row.wish))
        return RC_OK; /* nothing changed does nothing */
    TRY(solver_check(ctx, txn, row.team_id, &w, &issuers, &targets));
    const struct policy_asked asked = {.act = POLICY_CHANGE, .team = row.team_id, .managed = row.id, .wish = &w};
    TRY(gate(ctx, c->core, txn, "change", asked, row.name, wish_payload(ctx, NULL, row.wish, text), false));
    const struct q_managed_update_in in = {.id = row.id,
                                           .wish = text,
                                           .wish_hash = hash,
                                           .first_name = w.names.v[0],
                                           .revision = row.revision,
                                           .now = ctx_now_s(ctx)};
    TRY(q_managed_update(ctx, txn, &in));
    TRY(lists_keep(ctx, txn, row.id, &issuers, &targets));
    TRY(audit_write(ctx, txn, "managed-certificate.update", "managed-certificate", row.id, row.team_id,
                    audit_change(ctx, bytes_z(row.wish), bytes_z(text))));
    return managed_reconcile(ctx, c->core, txn, row.id, "change", false);
}

RC managed_update(struct ctx *ctx, struct core *core, const char *ref, const struct managed_input *in)
{
    struct change c = {.core = core, .ref = ref, .in = in, .wish = in->wish};
    return request_write(ctx, core->store, update, &c);
}

/* The frame of what is done to one managed certificate: find, decide, do, audit. */
struct act {
    struct core *core;
    const char *ref, *action, *reason;
    const char *noted; /* in the audit log, where that is more than the action; NULL: the action */
    int64_t number, code;
    enum revocation_when when; /* of a revocation */
    const char *asks;          /* the kind of request it is where policy wants it approved; NULL: policy is not asked */
    struct rc (*act)(struct ctx *, struct txn *, struct act *, const struct q_managed_get_row *);
};

/* What the audit log says of it: what was wished where it goes, else why or which. */
static struct bytes act_told(struct ctx *ctx, const struct act *a, const struct q_managed_get_row *row)
{
    if (str_equal(a->action, "managed-certificate.delete"))
        return audit_change(ctx, bytes_z(row->wish), (struct bytes){0});
    if (a->reason)
        return audit_change(ctx, audit_facts(ctx, "paused", row->paused_reason, NULL), audit_facts(ctx, "paused", a->reason, NULL));
    if (str_equal(a->noted, "managed-certificate.resume"))
        return audit_field(ctx, "paused", row->paused_reason, NULL);
    return a->number ? audit_facts(ctx, "version:", audit_number(ctx, a->number), NULL) : (struct bytes){0};
}

static struct rc now_it(struct ctx *ctx, struct txn *txn, struct act *a, const struct q_managed_get_row *row);
static struct rc rollback_to(struct ctx *ctx, struct txn *txn, const struct act *a, const struct q_managed_get_row *row,
                             int64_t *number, struct q_version_get_row *v);

static struct rc act_gate(struct ctx *ctx, struct txn *txn, const struct act *a, const struct q_managed_get_row *row)
{
    struct wish w;
    struct buf b;
    struct json_out j;
    const bool revokes = str_equal(a->asks, "revoke"), back = str_equal(a->asks, "rollback");
    struct q_version_get_row v;
    int64_t to = a->number ? a->number : row->version;
    if (!a->asks)
        return RC_OK;
    if (back) /* nobody is asked for what cannot be */
        TRY(rollback_to(ctx, txn, a, row, &to, &v));
    TRY(wish_decode(ctx, row->wish, &w));
    buf_init_arena(&b, &ctx->arena, 256);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    if (revokes || back)
        json_put_int(&j, "version", to);
    if (back)
        json_put_int(&j, "from", row->version);
    if (revokes) {
        json_put_int(&j, "reason", a->code);
        json_put_int(&j, "when", a->when);
    }
    if (a->act == now_it)
        json_put_bool(&j, "now", true);
    json_close(&j);
    const struct request_wanted wanted = {.kind = a->asks,
                                          .asked = {.act = revokes ? POLICY_REVOKE
                                                           : back  ? POLICY_ROLLBACK
                                                                   : POLICY_RENEW,
                                                    .team = row->team_id,
                                                    .managed = row->id,
                                                    .wish = &w},
                                          .name = row->name,
                                          .payload = buf_bytes(&b),
                                          .renews = revokes && to == row->version && revocation_renews(a->code, a->when)};
    return request_gate(ctx, a->core, txn, &wanted);
}

static struct rc act_run(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct act *a = arg;
    struct q_managed_get_row row;
    TRY(managed_find(ctx, txn, a->ref, &row));
    TRY(decide(ctx, a->core, txn, a->action, row.team_id));
    TRY(act_gate(ctx, txn, a, &row));
    TRY(a->act(ctx, txn, a, &row));
    core_wake_after_commit(ctx, a->core, txn, "managed:", row.id);
    return audit_write(ctx, txn, a->noted ? a->noted : a->action, "managed-certificate", row.id, row.team_id,
                       act_told(ctx, a, &row));
}

static struct rc act_do(struct ctx *ctx, struct core *core, struct act a)
{
    a.core = core;
    return request_write(ctx, core->store, act_run, &a);
}

#define PLACED_MOST 1000 /* versions of one, at its targets */
/* Where a deployment failed an older version is served, and nobody renews that one either. */
static struct rc placed_left(struct ctx *ctx, struct core *core, struct txn *txn, const char *id)
{
    struct q_placement_versions_row *placed = NULL;
    size_t n = 0;
    TRY(q_placement_versions(ctx, txn, id, PLACED_MOST, &placed, &n));
    for (size_t i = 0; i < n; i++)
        TRY(inventory_version(ctx, core, txn, id, placed[i].version, VERSION_LEFT));
    return RC_OK;
}

RC managed_drop(struct ctx *ctx, struct core *core, struct txn *txn, const char *id)
{
    struct q_managed_by_id_row m;
    struct wish w;
    struct q_managed_out_row out;
    bool was_out = false;
    TRY(q_managed_by_id(ctx, txn, id, &m));
    TRY(wish_decode(ctx, m.wish, &w));
    TRY(q_managed_out(ctx, txn, id, &out, &was_out));
    /* A rehearsal.  What was placed or downloaded once may be served all the same, whatever its wish says since. */
    const bool nowhere = !was_out && !w.csr.n && !w.download;
    TRY(inventory_version(ctx, core, txn, id, m.version, nowhere ? VERSION_SUPERSEDED : VERSION_LEFT));
    TRY(placed_left(ctx, core, txn, id));
    TRY(attempt_cancel(ctx, core, txn, id, "the managed certificate was removed"));
    TRY(deployment_cancel_all(ctx, core, txn, id));
    TRY(rollout_forget(ctx, txn, id));
    TRY(q_sealed_key_drop_managed(ctx, txn, id));
    TRY(download_drop_all(ctx, core, txn, id, "its managed certificate was removed"));
    struct str_list none = {0};
    TRY(lists_keep(ctx, txn, id, &none, &none));
    static const char *const kinds[] = {"renew", "retry"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        TRY(timer_clear(ctx, txn, kinds[i], id));
    return q_managed_remove(ctx, txn, id, ctx_now_s(ctx));
}

static struct rc remove_it(struct ctx *ctx, struct txn *txn, struct act *a, const struct q_managed_get_row *row)
{
    struct wish w;
    size_t left = 0;
    TRY(adoption_keeps(ctx, txn, row->id, row->name));
    TRY(wish_decode(ctx, row->wish, &w));
    TRY(managed_drop(ctx, a->core, txn, row->id));
    return persist_review(ctx, a->core, txn, &w.names, &left);
}

RC managed_remove(struct ctx *ctx, struct core *core, const char *ref)
{
    return act_do(ctx, core, (struct act){.ref = ref, .action = "managed-certificate.delete", .act = remove_it});
}

static struct rc renew_it(struct ctx *ctx, struct txn *txn, struct act *a, const struct q_managed_get_row *row)
{
    if (row->paused_at)
        return ctx_fail(ctx, E_PAUSED, "%s is paused (%s); resume it with: certwright cert resume %s", row->name,
                        row->paused_reason, row->name);
    TRY(issuer_let_through(ctx, txn, row->id));
    return managed_reconcile(ctx, a->core, txn, row->id, "request", true);
}

RC managed_renew(struct ctx *ctx, struct core *core, const char *ref)
{
    return act_do(ctx, core, (struct act){.ref = ref, .action = "managed-certificate.renew", .asks = "renew", .act = renew_it});
}

static struct rc retry_it(struct ctx *ctx, struct txn *txn, struct act *a, const struct q_managed_get_row *row)
{
    TRY(adoption_settled(ctx, txn, row->id, row->name));
    if (row->paused_at)
        TRY(q_managed_resume(ctx, txn, row->id, ctx_now_s(ctx)));
    TRY(issuer_let_through(ctx, txn, row->id));
    TRY(managed_reconcile(ctx, a->core, txn, row->id, "retry", false));
    /* Where nothing had failed: what is there is looked at, and put there again where it is not. */
    struct q_attempt_open_row open;
    struct q_managed_by_id_row m;
    bool under_way = false;
    TRY(q_attempt_open(ctx, txn, row->id, &open, &under_way));
    TRY(q_managed_by_id(ctx, txn, row->id, &m));
    bool begun = false;
    if (!under_way)
        TRY(rollout_retry(ctx, a->core, txn, &m, &begun));
    if (begun)
        return RC_OK;
    return row->failures || under_way || !m.version ? RC_OK : deployments_begin(ctx, a->core, txn, &m, m.version, "retry");
}

RC managed_retry(struct ctx *ctx, struct core *core, const char *ref)
{
    return act_do(ctx, core, (struct act){.ref = ref, .action = "managed-certificate.renew", .asks = "retry", .act = retry_it});
}

static struct rc now_it(struct ctx *ctx, struct txn *txn, struct act *a, const struct q_managed_get_row *row)
{
    size_t n = 0;
    TRY(hold_override(ctx, a->core, txn, row->id, &n));
    return n ? RC_OK : ctx_fail(ctx, E_CONFLICT, "nothing of %s waits for a maintenance window", row->name);
}

RC managed_now(struct ctx *ctx, struct core *core, const char *ref)
{
    return act_do(ctx, core, (struct act){.ref = ref, .action = "managed-certificate.renew", .asks = "retry",
                                          .noted = "deployment.now", .act = now_it});
}

static struct rc pause_it(struct ctx *ctx, struct txn *txn, struct act *a, const struct q_managed_get_row *row)
{
    TRY(attempt_cancel(ctx, a->core, txn, row->id, "paused"));
    TRY(step_write(ctx, txn, row->id, NULL, NULL, "paused", "%s", a->reason));
    return q_managed_pause(ctx, txn, row->id, a->reason, ctx_now_s(ctx));
}

RC managed_pause(struct ctx *ctx, struct core *core, const char *ref, const char *reason)
{
    const char *who = ctx->principal ? ctx->principal->name : "somebody";
    return act_do(ctx, core,
                  (struct act){.ref = ref,
                               .action = "managed-certificate.pause",
                               .reason = reason && *reason ? reason : arena_printf(&ctx->arena, "paused by %s", who),
                               .act = pause_it});
}

static struct rc resume_it(struct ctx *ctx, struct txn *txn, struct act *a, const struct q_managed_get_row *row)
{
    if (!row->paused_at)
        return RC_OK;
    TRY(adoption_settled(ctx, txn, row->id, row->name));
    TRY(q_managed_resume(ctx, txn, row->id, ctx_now_s(ctx)));
    TRY(step_write(ctx, txn, row->id, NULL, NULL, "resumed", "goes on"));
    TRY(managed_reconcile(ctx, a->core, txn, row->id, "retry", false));
    struct q_managed_by_id_row m;
    struct q_attempt_open_row open;
    bool begun = false, under_way = false;
    TRY(q_managed_by_id(ctx, txn, row->id, &m));
    TRY(q_attempt_open(ctx, txn, row->id, &open, &under_way));
    return under_way ? RC_OK : rollout_retry(ctx, a->core, txn, &m, &begun);
}

RC managed_resume(struct ctx *ctx, struct core *core, const char *ref)
{
    return act_do(ctx, core,
                  (struct act){.ref = ref,
                               .action = "managed-certificate.pause",
                               .noted = "managed-certificate.resume",
                               .act = resume_it});
}

/* Which version it goes back to, and that it can. */
static struct rc rollback_to(struct ctx *ctx, struct txn *txn, const struct act *a, const struct q_managed_get_row *row,
                             int64_t *number, struct q_version_get_row *v)
{
    const int64_t to = *number = a->number ? a->number : row->version - 1;
    bool found = false;
    if (to > 0)
        TRY(q_version_get(ctx, txn, row->id, to, v, &found));
    if (!found)
        return row->version <= 1 ? ctx_fail(ctx, E_NOT_FOUND, "%s has %s to go back to", row->name,
                                            row->version ? "only version 1: there is nothing" : "no version yet")
                                 : ctx_fail(ctx, E_NOT_FOUND, "%s has no version %lld to go back to", row->name, (long long)to);
    if (v->revoked_at)
        return ctx_fail(ctx, E_CONFLICT, "version %lld of %s is revoked", (long long)to, row->name);
    if (row->version - to >= VERSIONS_WITH_KEY)
        return ctx_fail(ctx, E_CONFLICT, "the key of version %lld is no longer kept; the last %d versions can be gone back to",
                        (long long)to, VERSIONS_WITH_KEY);
    return v->not_after > ctx_now_s(ctx)
               ? RC_OK
               : ctx_fail(ctx, E_CONFLICT, "version %lld of %s has expired", (long long)to, row->name);
}

static struct rc rollback_it(struct ctx *ctx, struct txn *txn, struct act *a, const struct q_managed_get_row *row)
{
    struct q_version_get_row v;
    const int64_t now = ctx_now_s(ctx);
    int64_t to = 0;
    TRY(rollback_to(ctx, txn, a, row, &to, &v));
    TRY(attempt_cancel(ctx, a->core, txn, row->id, "rolled back by hand"));
    TRY(inventory_version(ctx, a->core, txn, row->id, row->version, VERSION_SUPERSEDED));
    TRY(inventory_version(ctx, a->core, txn, row->id, to, VERSION_CURRENT));
    TRY(q_managed_version_set(ctx, txn, row->id, to, now));
    TRY(q_managed_renew_above(ctx, txn, row->id, 0));
    TRY(timer_arm(ctx, txn, "renew", row->id, v.renew_at));
    TRY(late_arm(ctx, txn, row->id, v.not_before, v.not_after));
    TRY(step_write(ctx, txn, row->id, NULL, NULL, "rollback", "back to version %lld", (long long)to));
    struct q_managed_by_id_row m;
    TRY(q_managed_by_id(ctx, txn, row->id, &m));
    TRY(deployments_begin(ctx, a->core, txn, &m, to, "rollback"));
    /* A renewal that is due at once, or a wish that the old version does not meet, would undo what was just asked for. */
    if (v.renew_at <= now || !bytes_equal(v.wish_hash, row->wish_hash))
        TRY(q_managed_pause(ctx, txn, row->id, arena_printf(&ctx->arena, "rolled back to version %lld by hand", (long long)to),
                            now));
    return RC_OK;
}

static struct act rollback_act(struct core *core, const char *ref, int64_t version)
{
    return (struct act){.core = core,
                        .ref = ref,
                        .action = "managed-certificate.rollback",
                        .number = version,
                        .asks = "rollback",
                        .act = rollback_it};
}

RC managed_rollback(struct ctx *ctx, struct core *core, const char *ref, int64_t version)
{
    return act_do(ctx, core, rollback_act(core, ref, version));
}

RC managed_rollback_in(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref, int64_t version)
{
    struct act a = rollback_act(core, ref, version);
    return act_run(ctx, txn, &a);
}

/* What is served is replaced first, or at once; what is not, is only revoked. */
static struct rc revoke_it(struct ctx *ctx, struct txn *txn, struct act *a, const struct q_managed_get_row *row)
{
    const int64_t number = a->number ? a->number : row->version;
    const bool current = number == row->version;
    if (current && revocation_waits(a->code, a->when))
        return revocation_wait(ctx, a->core, txn, row, a->code);
    bool done = false;
    TRY(revocation_do(ctx, a->core, txn, row->id, row->name, number, a->code, &done));
    return done && current && !row->paused_at ? managed_reconcile(ctx, a->core, txn, row->id, "revoked", true) : RC_OK;
}

static struct rc revoke_act(struct ctx *ctx, struct core *core, const char *ref, int64_t version, int64_t reason,
                            enum revocation_when when, struct act *out)
{
    if (reason < 0 || reason > 10 || reason == 7 || reason == 8)
        return ctx_fail_field(ctx, "/reason", "reasons of revocation are 0 to 6, 9 and 10 (RFC 5280 section 5.3.1)");
    *out = (struct act){.core = core,
                        .ref = ref,
                        .action = "certificate.revoke",
                        .number = version,
                        .code = reason,
                        .when = when,
                        .asks = "revoke",
                        .act = revoke_it};
    return RC_OK;
}

RC managed_revoke(struct ctx *ctx, struct core *core, const char *ref, int64_t version, int64_t reason, enum revocation_when when)
{
    struct act a;
    TRY(revoke_act(ctx, core, ref, version, reason, when, &a));
    return act_do(ctx, core, a);
}

RC managed_revoke_in(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref, int64_t version, int64_t reason,
                     enum revocation_when when)
{
    struct act a;
    TRY(revoke_act(ctx, core, ref, version, reason, when, &a));
    return act_run(ctx, txn, &a);
}

/* --- the same, in a transaction of many */

RC managed_update_in(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref, const struct managed_input *in)
{
    struct change c = {.core = core, .ref = ref, .in = in, .wish = in->wish};
    return update(ctx, txn, &c);
}

RC managed_act_in(struct ctx *ctx, struct core *core, struct txn *txn, enum managed_act what, const char *ref, const char *reason,
                  int64_t code, enum revocation_when when)
{
    static const struct act acts[] = {
        [MANAGED_RENEW] = {.action = "managed-certificate.renew", .asks = "renew", .act = renew_it},
        [MANAGED_RETRY] = {.action = "managed-certificate.renew", .asks = "retry", .act = retry_it},
        [MANAGED_NOW] = {.action = "managed-certificate.renew", .asks = "retry", .noted = "deployment.now", .act = now_it},
        [MANAGED_FINISH] = {.action = "managed-certificate.renew", .act = retry_it},
        [MANAGED_PAUSE] = {.action = "managed-certificate.pause", .act = pause_it},
        [MANAGED_RESUME] = {.action = "managed-certificate.pause", .noted = "managed-certificate.resume", .act = resume_it},
        [MANAGED_REVOKE] = {.action = "certificate.revoke", .asks = "revoke", .act = revoke_it},
        [MANAGED_REMOVE] = {.action = "managed-certificate.delete", .act = remove_it},
    };
    struct act a = acts[what];
    a.core = core;
    a.ref = ref;
    a.reason = what == MANAGED_PAUSE ? reason : NULL;
    a.code = code;
    a.when = when;
    return act_run(ctx, txn, &a);
}
