#include "core/rehearsal.h"

#include "base/encode.h"
#include "base/random.h"
#include "core/audit.h"
#include "core/issuer.h"
#include "core/job.h"
#include "core/managed.h"
#include "core/policy.h"

#define REST_S     (20 * 3600) /* a look that comes earlier than a day rehearses nothing */
#define NAMES_MAX  10          /* of one certificate */
#define LOOKED_MAX 100
#define NAME_MAX_  64

static const char *name_of(struct ctx *ctx, const char *issuer, const char *what)
{
    return arena_printf(&ctx->arena, "%s-%s", issuer, what);
}

static struct rc find(struct ctx *ctx, struct txn *txn, const char *issuer, struct q_rehearsal_get_row *out, bool *found)
{
    return q_rehearsal_get(ctx, txn, name_of(ctx, issuer, "rehearsal"), name_of(ctx, issuer, "staging"), out, found);
}

/* The issuer with the CA's staging directory, made where there is none; `*id` is NULL where it cannot be, or its
 * name means something else. */
static struct rc staging(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_issuer_health_row *h,
                         const struct issuer_settings *of, const char **id)
{
    const char *name = name_of(ctx, h->name, "staging");
    struct issuer_settings s = *of;
    struct q_issuer_get_row row;
    struct buf text;
    bool found = false;
    *id = NULL;
    TRY(q_issuer_get(ctx, txn, name, core->team_root, &row, &found));
    if (found) {
        TRY(issuer_settings_decode(ctx, row.kind, row.settings, &s));
        *id = str_equal(s.directory_url, of->policy.staging_url) ? row.id : NULL;
        return RC_OK;
    }
    if (of->eab_kid) /* its keys are others */
        return RC_OK;
    s.directory_url = of->policy.staging_url;
    s.preferred_chain = NULL; /* and its roots */
    s.policy = (struct issuer_policy){0};
    *id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    buf_init_arena(&text, &ctx->arena, 1 << 18);
    issuer_settings_encode(&text, &s);
    TRY(buf_status(&text));
    const struct q_issuer_add_in in = {
        .id = *id, .team_id = h->team_id, .name = name, .kind = s.kind, .settings = buf_z(&text), .now = ctx_now_s(ctx)};
    TRY(q_issuer_add(ctx, txn, &in));
    return audit_write(ctx, txn, "issuer.create", "issuer", *id, h->team_id,
                       audit_change(ctx, (struct bytes){0}, buf_bytes(&text)));
}

/* Whose turn it is: not one whose key is elsewhere, for its request names what it names. */
static struct rc next(struct ctx *ctx, struct txn *txn, const char *issuer, struct q_standby_next_row *out, struct wish *w,
                      bool *found)
{
    struct q_standby_next_row *rows = NULL;
    size_t n = 0;
    *found = false;
    TRY(q_rehearsal_next(ctx, txn, issuer, LOOKED_MAX, &rows, &n));
    for (size_t i = 0; i < n && !*found; i++) {
        TRY(wish_decode(ctx, rows[i].wish, w));
        *found = !w->csr.n;
        *out = rows[i];
    }
    return RC_OK;
}

/* The agent that would make the key: who may answer in DNS depends on it. */
static struct rc maker(struct ctx *ctx, struct txn *txn, const char *managed, const char **name)
{
    struct q_managed_targets_row *t = NULL;
    struct q_target_by_id_row target;
    struct q_agent_of_row agent;
    size_t n = 0;
    *name = NULL;
    TRY(q_managed_targets(ctx, txn, managed, &t, &n));
    if (!n)
        return RC_OK;
    TRY(q_target_by_id(ctx, txn, t[0].target_id, &target));
    TRY(q_agent_of(ctx, txn, target.agent_id, &agent));
    *name = agent.name;
    return RC_OK;
}

static struct rc wish_of(struct ctx *ctx, struct txn *txn, const char *managed, const char *staging_name, struct wish *w)
{
    struct str_list names = {0};
    for (size_t i = 0; i < w->names.n && i < NAMES_MAX; i++)
        str_list_add(&ctx->arena, &names, w->names.v[i]);
    w->names = names;
    w->common_name = w->bad_name = w->preferred_chain = NULL;
    w->issuers = w->targets = (struct str_list){0};
    str_list_add(&ctx->arena, &w->issuers, staging_name);
    w->reuse_key = w->download = false;
    return w->key_agent ? RC_OK : maker(ctx, txn, managed, &w->key_agent);
}

static struct rc begin(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer, const struct q_issuer_health_row *h,
                       const struct issuer_settings *s, const struct q_rehearsal_get_row *before)
{
    struct q_standby_next_row of;
    struct wish w;
    struct buf text;
    struct bytes hash;
    const char *by = NULL, *id = before ? before->id : id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    bool found = false;
    TRY(next(ctx, txn, issuer, &of, &w, &found));
    if (found)
        TRY(staging(ctx, core, txn, h, s, &by));
    if (!by)
        return RC_OK;
    TRY(wish_of(ctx, txn, of.id, name_of(ctx, h->name, "staging"), &w));
    TRY(wish_hash(ctx, &w, &hash));
    buf_init_arena(&text, &ctx->arena, 1 << 18);
    wish_encode(&text, &w);
    TRY(buf_status(&text));
    if (before) {
        const struct q_managed_update_in in = {.id = id,
                                               .wish = buf_z(&text),
                                               .wish_hash = hash,
                                               .first_name = w.names.v[0],
                                               .revision = before->revision,
                                               .now = ctx_now_s(ctx)};
        TRY(q_managed_update(ctx, txn, &in));
        if (before->paused_at)
            TRY(q_managed_resume(ctx, txn, id, ctx_now_s(ctx)));
    } else {
        const struct q_managed_add_in in = {.id = id,
                                            .team_id = of.team_id,
                                            .name = name_of(ctx, h->name, "rehearsal"),
                                            .wish = buf_z(&text),
                                            .wish_hash = hash,
                                            .first_name = w.names.v[0],
                                            .now = ctx_now_s(ctx)};
        TRY(q_managed_add(ctx, txn, &in));
        TRY(q_managed_issuer_add(ctx, txn, id, 0, by));
        TRY(audit_write(ctx, txn, "managed-certificate.create", "managed-certificate", id, of.team_id,
                        audit_change(ctx, (struct bytes){0}, buf_bytes(&text))));
        TRY(step_write(ctx, txn, id, NULL, NULL, "added",
                       "%s is rehearsed every day from now on; no more of it: certwright issuer "
                       "edit %s --rehearsal off",
                       h->name, h->name));
    }
    TRY(q_rehearsal_set(ctx, txn, id, of.id, of.team_id));
    TRY(q_standby_look_rehearsed(ctx, txn, issuer, of.id, ctx_now_s(ctx)));
    return managed_reconcile(ctx, core, txn, id, "rehearsal", true);
}

/* Where a first issuer is rehearsed with: our own CA is its own place. */
static struct rc place_of(struct ctx *ctx, struct core *core, struct txn *txn, const struct wish *w, const char **name)
{
    struct q_issuer_get_row row;
    struct q_issuer_health_row h;
    struct issuer_settings s;
    const char *by = NULL, *issuer = w->issuers.n ? w->issuers.v[0] : "ca";
    bool found = false;
    TRY(q_issuer_get(ctx, txn, issuer, core->team_root, &row, &found));
    if (!found)
        return ctx_fail(ctx, E_NOT_FOUND, "no issuer is named %s", issuer);
    *name = row.name;
    if (str_equal(row.kind, "ca"))
        return RC_OK;
    TRY(issuer_settings_decode(ctx, row.kind, row.settings, &s));
    TRY(q_issuer_health(ctx, txn, row.id, &h));
    if (str_equal(row.kind, "acme") && s.policy.staging_url)
        TRY(staging(ctx, core, txn, &h, &s, &by));
    *name = name_of(ctx, row.name, "staging");
    return by ? RC_OK : ctx_fail(ctx, E_CONFLICT, "%s cannot be rehearsed with: no staging environment of it is known, or it wants "
                                                  "keys of its own (certwright issuer rehearse %s)", row.name, row.name);
}

/* What our own CA issues for a rehearsal is good, until it is revoked: so it is nothing that policy forbids. */
static struct rc may_issue(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *of,
                           const char *place, const char *wanted, const struct wish *w)
{
    const struct policy_asked asked = {.act = POLICY_CHANGE, .team = of->team_id, .managed = of->id, .wish = w};
    struct policy_verdict v;
    if (!str_equal(place, wanted)) /* a staging environment's is trusted by nobody */
        return RC_OK;
    TRY(policy_decide(ctx, core, txn, &asked, &v));
    return v.says != POLICY_FORBIDS
               ? RC_OK
               : ctx_fail(ctx, E_POLICY, "policy forbids it (%s%s%s); certwright policy show", v.rule ? v.rule : "",
                          v.rule && v.words ? ": " : "", v.words ? v.words : "");
}

RC rehearsal_of(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, const char *name, struct wish *w,
                const char **id)
{
    struct q_managed_by_id_row of;
    struct str_list issuers = {0}, targets = {0};
    struct buf text;
    struct bytes hash;
    const char *place = NULL;
    TRY(q_managed_by_id(ctx, txn, managed, &of));
    const char *wanted = w->issuers.n ? w->issuers.v[0] : "ca";
    TRY(place_of(ctx, core, txn, w, &place));
    TRY(wish_of(ctx, txn, managed, place, w));
    TRY(wish_resolve(ctx, core, txn, w, &issuers, &targets));
    TRY(may_issue(ctx, core, txn, &of, place, wanted, w));
    TRY(wish_hash(ctx, w, &hash));
    buf_init_arena(&text, &ctx->arena, 1 << 18);
    wish_encode(&text, w);
    TRY(buf_status(&text));
    *id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    const struct q_managed_add_in in = {.id = *id,
                                        .team_id = of.team_id,
                                        .name = name,
                                        .wish = buf_z(&text),
                                        .wish_hash = hash,
                                        .first_name = w->names.v[0],
                                        .now = ctx_now_s(ctx)};
    TRY(q_managed_add(ctx, txn, &in));
    TRY(q_managed_issuer_add(ctx, txn, *id, 0, issuers.v[0]));
    TRY(audit_write(ctx, txn, "managed-certificate.create", "managed-certificate", *id, of.team_id,
                    audit_change(ctx, (struct bytes){0}, buf_bytes(&text))));
    TRY(q_rehearsal_set(ctx, txn, *id, managed, of.team_id));
    return managed_reconcile(ctx, core, txn, *id, "rehearsal", true);
}

RC rehearsal_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer)
{
    struct q_issuer_health_row h;
    struct q_issuer_is_standby_row used;
    struct issuer_settings s;
    struct q_rehearsal_get_row before;
    bool found = false, taken = false;
    TRY(q_issuer_health(ctx, txn, issuer, &h));
    TRY(q_issuer_is_standby(ctx, txn, issuer, &used));
    TRY(issuer_settings_decode(ctx, h.kind, h.settings, &s));
    if (!str_equal(h.kind, "acme") || strlen(h.name) + strlen("-rehearsal") > NAME_MAX_)
        return RC_OK;
    TRY(find(ctx, txn, h.name, &before, &found));
    const bool wanted = !h.removed_at && used.n && s.policy.staging_url && !s.policy.no_rehearsal;
    if (!wanted)
        return found && before.rehearses ? managed_drop(ctx, core, txn, before.id) : RC_OK;
    if (found && (before.under_way || before.begun_at > ctx_now_s(ctx) - REST_S || (before.paused_at && !before.paused_itself)))
        return RC_OK;
    if (found && !before.rehearses)
        return managed_reconcile(ctx, core, txn, before.id, "rehearsal", true);
    if (!found) { /* a certificate of that name that is something else */
        struct q_managed_get_row other;
        TRY(q_managed_get(ctx, txn, name_of(ctx, h.name, "rehearsal"), core->team_root, &other, &taken));
    }
    return taken ? RC_OK : begin(ctx, core, txn, issuer, &h, &s, found ? &before : NULL);
}

/* What keeps an issuer that stands by from being rehearsed; NULL: nothing. */
static struct rc blocked(struct ctx *ctx, struct txn *txn, const char *issuer, const char *name, const struct issuer_settings *s,
                         const char **why)
{
    struct q_issuer_is_standby_row used;
    *why = NULL;
    TRY(q_issuer_is_standby(ctx, txn, issuer, &used));
    if (used.n && s->eab_kid && s->policy.staging_url && !s->policy.no_rehearsal)
        *why = arena_printf(&ctx->arena,
                            "its staging environment binds accounts with keys of its own: certwright issuer rehearse %s DOMAIN "
                            "--eab-kid KID --eab-key-file FILE",
                            name);
    return RC_OK;
}

RC rehearsal_show(struct ctx *ctx, struct txn *txn, const char *issuer, const struct issuer_settings *s, struct rehearsal_view *out)
{
    struct q_issuer_health_row h;
    struct q_rehearsal_get_row r;
    struct q_version_get_row v;
    struct wish w;
    const char *why = NULL;
    bool found = false;
    *out = (struct rehearsal_view){0};
    TRY(q_issuer_health(ctx, txn, issuer, &h));
    TRY(find(ctx, txn, h.name, &r, &found));
    if (!found) {
        TRY(blocked(ctx, txn, issuer, h.name, s, &why));
        if (why)
            *out = (struct rehearsal_view){.certificate = name_of(ctx, h.name, "rehearsal"), .state = "blocked", .error = why};
        return RC_OK;
    }
    TRY(wish_decode(ctx, r.wish, &w));
    *out = (struct rehearsal_view){.certificate = r.name, .names = w.names, .state = "passed"};
    if (r.version) {
        TRY(q_version_get(ctx, txn, r.id, r.version, &v, &found));
        out->at = found ? v.created_at : 0;
    }
    if (r.failures && r.failed_at) {
        out->at = *r.failed_at;
        out->error = r.error;
        out->state = "failed";
    } else if (r.under_way || !r.version) {
        out->state = "working";
    }
    return RC_OK;
}
