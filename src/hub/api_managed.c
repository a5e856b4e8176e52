/* Managed certificates: show, change, and what is done to them. */
#include "core/download.h"
#include "core/enroll.h"
#include "core/managed.h"
#include "core/preflight.h"
#include "hub/api.h"

#define PATCH_TRIES 5

static void renewal_out(struct ctx *ctx, const struct wish *w, struct api_managed_certificate *out)
{
    if (!w->renew_percent && !w->renew_before_s)
        return;
    const struct api_renewal r = {.at_percent = w->renew_percent,
                                  .has_at_percent = w->renew_percent != 0,
                                  .before_s = w->renew_before_s,
                                  .has_before_s = w->renew_before_s != 0};
    out->renewal = arena_dup(&ctx->arena, &r, sizeof r);
}

static void rollout_out(struct ctx *ctx, const struct managed_view *v, struct api_managed_certificate *out)
{
    const struct wish *w = &v->wish;
    struct api_wave *waves = arena_array(&ctx->arena, v->waves_n, sizeof *waves);
    for (size_t i = 0; i < v->waves_n; i++)
        waves[i] = (struct api_wave){.number = v->waves[i].number,
                                     .version = v->waves[i].version,
                                     .state = v->waves[i].state,
                                     .targets = api_strings_of(&v->waves[i].targets)};
    out->waves = (__typeof__(out->waves)){waves, v->waves_n};
    if (w->canary < 0 && !w->wave && !w->wave_percent && !w->wave_pause_s)
        return;
    const struct api_rollout r = {.canary = w->canary,
                                  .has_canary = w->canary >= 0,
                                  .wave = w->wave,
                                  .has_wave = w->wave != 0,
                                  .wave_percent = w->wave_percent,
                                  .has_wave_percent = w->wave_percent != 0,
                                  .pause_s = w->wave_pause_s,
                                  .has_pause_s = w->wave_pause_s != 0};
    out->rollout = arena_dup(&ctx->arena, &r, sizeof r);
}

static void version_out(struct ctx *ctx, const struct managed_view *v, struct api_managed_certificate *out)
{
    if (!v->version)
        return;
    const struct api_current_version c = {.number = v->version,
                                          .fingerprint = v->fingerprint,
                                          .not_before = v->not_before,
                                          .not_after = v->not_after,
                                          .issuer = v->issuer};
    out->current_version = arena_dup(&ctx->arena, &c, sizeof c);
}

static void managed_out(struct ctx *ctx, const struct managed_view *v, struct api_managed_certificate *out)
{
    const struct wish *w = &v->wish;
    struct api_condition *conditions = arena_array(&ctx->arena, v->conditions_n, sizeof *conditions);
    for (size_t i = 0; i < v->conditions_n; i++)
        conditions[i] = (struct api_condition){.type = v->conditions[i].type,
                                               .status = v->conditions[i].status,
                                               .reason = v->conditions[i].reason ? v->conditions[i].reason : ""};
    *out = (struct api_managed_certificate){
        .id = v->id,
        .name = v->name,
        .team = v->team,
        .team_id = v->team_id,
        .names = api_strings_of(&w->names),
        .common_name = w->common_name,
        .profile = w->profile,
        .issuers = api_strings_of(&w->issuers),
        .key_kind = w->key_kind,
        .reuse_key = w->reuse_key,
        .key_elsewhere = w->csr.n != 0,
        .download = w->download,
        .key_agent = w->key_agent,
        .acme_profile = w->acme_profile,
        .preferred_chain = w->preferred_chain,
        .bad_name = w->bad_name ? w->bad_name : "fail",
        .preflight = w->preflight,
        .targets = api_strings_of(&w->targets),
        .paused = v->paused_reason != NULL,
        .pause_reason = v->paused_reason,
        .paused_at = v->paused_at,
        .has_paused_at = v->paused_at != 0,
        .conditions = {conditions, v->conditions_n},
        .renew_at = v->renew_at,
        .has_renew_at = v->renew_at != 0,
        .next_attempt_at = v->next_at,
        .has_next_attempt_at = v->next_at != 0,
        .failures = v->failures,
        .last_error = api_error_of(ctx, v->error_code, v->error, v->failed_at),
        .revision = v->revision,
        .created_at = v->created_at,
        .updated_at = v->updated_at,
    };
    renewal_out(ctx, w, out);
    rollout_out(ctx, v, out);
    version_out(ctx, v, out);
}

static struct rc reply(struct api_call *call, const char *ref, struct api_managed_certificate *out)
{
    struct managed_view v;
    TRY(managed_show(call->ctx, call->core, ref, &v));
    managed_out(call->ctx, &v, out);
    return RC_OK;
}

RC api_managed_list(struct api_call *call, struct api_managed_certificate_page *out)
{
    const struct api_managed_list_query *q = call->query;
    struct managed_view *v = NULL;
    size_t n = 0;
    const char *after = NULL;
    TRY(api_cursor_read(call->ctx, q->cursor, &after));
    TRY(managed_list(call->ctx, call->core, after, q->limit, &v, &n));
    struct api_managed_certificate *items = arena_array(&call->ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        managed_out(call->ctx, &v[i], &items[i]);
    out->items = (struct api_managed_certificate_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(call->ctx, items[n - 1].id);
    return RC_OK;
}

RC api_managed_get(struct api_call *call, struct api_managed_certificate *out)
{
    return reply(call, call->path[0], out);
}

static void renewal_in(const struct api_renewal *r, struct wish *w)
{
    w->renew_percent = r && r->has_at_percent ? r->at_percent : 0;
    w->renew_before_s = r && r->has_before_s ? r->before_s : 0;
}

static void rollout_in(const struct api_rollout *r, struct wish *w)
{
    w->canary = r && r->has_canary ? r->canary : -1;
    w->wave = r && r->has_wave ? r->wave : 0;
    w->wave_percent = r && r->has_wave_percent ? r->wave_percent : 0;
    w->wave_pause_s = r && r->has_pause_s ? r->pause_s : 0;
}

/* What is not named stays (RFC 7396); null is back to how it is without. */
static void rollout_merge(const struct api_rollout *r, struct wish *w)
{
    if (!r) {
        rollout_in(NULL, w);
        return;
    }
    if (r->has_canary)
        w->canary = r->canary;
    if (r->has_wave || r->has_wave_percent) {
        w->wave = r->has_wave ? r->wave : 0;
        w->wave_percent = r->has_wave_percent ? r->wave_percent : 0;
    }
    if (r->has_pause_s)
        w->wave_pause_s = r->pause_s;
}

struct managed_input api_managed_input(struct ctx *ctx, const struct api_managed_certificate_new *in)
{
    struct managed_input m = {
        .name = in->name,
        .team = in->team,
        .wish = {.names = api_list_of(ctx, &in->names),
                 .common_name = in->common_name,
                 .profile = in->profile,
                 .key_kind = in->key_kind,
                 .reuse_key = in->reuse_key,
                 .bad_name = str_equal(in->bad_name, "fail") ? NULL : in->bad_name,
                 .preflight = in->preflight,
                 .csr = in->csr,
                 .download = in->download,
                 .key_agent = in->key_agent,
                 .acme_profile = in->acme_profile,
                 .preferred_chain = in->preferred_chain,
                 .issuers = api_list_of(ctx, &in->issuers),
                 .targets = api_list_of(ctx, &in->targets)},
    };
    renewal_in(in->renewal, &m.wish);
    rollout_in(in->rollout, &m.wish);
    return m;
}

RC api_managed_create(struct api_call *call, const struct api_managed_certificate_new *in, struct api_managed_certificate *out)
{
    const struct managed_input m = api_managed_input(call->ctx, in);
    const char *id = NULL;
    TRY(managed_create(call->ctx, call->core, &m, &id));
    http_response_header(call->resp, "Location", arena_printf(&call->ctx->arena, "/api/v1/managed-certificates/%s", id));
    return reply(call, id, out);
}

RC api_managed_plan(struct api_call *call, const struct api_managed_certificate_new *in, struct api_plan *out)
{
    const struct managed_input m = api_managed_input(call->ctx, in);
    struct plan_step *steps = NULL;
    size_t n = 0;
    TRY(managed_plan(call->ctx, call->core, &m, &steps, &n));
    struct arena *a = &call->ctx->arena;
    struct api_plan_step *items = arena_array(a, n, sizeof *items);
    struct str_list files = {0}, commands = {0};
    for (size_t i = 0; i < n; i++) {
        items[i] = (struct api_plan_step){.what = steps[i].what, .detail = steps[i].detail ? steps[i].detail : ""};
        if (str_equal(items[i].what, "file"))
            str_list_add(a, &files, items[i].detail);
        else if (str_equal(items[i].what, "command"))
            str_list_add(a, &commands, items[i].detail);
    }
    *out = (struct api_plan){.steps = {items, n}, .files = api_strings_of(&files), .commands = api_strings_of(&commands)};
    return RC_OK;
}

static struct rc preflight_reply(struct api_call *call, const char *id, struct api_preflight *out)
{
    struct preflight_view v;
    TRY(preflight_show(call->ctx, call->core, id, &v));
    *out = (struct api_preflight){.id = v.id, .state = v.working ? "working" : "done", .findings = {v.findings, v.n}};
    if (!v.working)
        out->issuers = (struct api_preflight_issuer_list){v.issuers, v.issuers_n};
    return RC_OK;
}

RC api_managed_preflight(struct api_call *call, const struct api_managed_certificate_new *in, struct api_preflight *out)
{
    const struct managed_input m = api_managed_input(call->ctx, in);
    const char *id = NULL;
    TRY(preflight_wished(call->ctx, call->core, &m, &id));
    return preflight_reply(call, id, out);
}

RC api_issuer_preflight(struct api_call *call, const struct api_preflight_new *in, struct api_preflight *out)
{
    const struct str_list names = api_list_of(call->ctx, &in->names);
    const char *id = NULL;
    TRY(preflight_issuer(call->ctx, call->core, call->path[0], &names, &id));
    return preflight_reply(call, id, out);
}

RC api_preflight_get(struct api_call *call, struct api_preflight *out)
{
    return preflight_reply(call, call->path[0], out);
}

RC api_managed_merge(struct api_call *call, const char *ref, const struct api_managed_certificate_patch *in, const char **id,
                     struct managed_input *m)
{
    struct ctx *ctx = call->ctx;
    struct managed_view v;
    TRY(managed_show(ctx, call->core, ref, &v));
    *id = v.id;
    *m = (struct managed_input){.wish = v.wish, .has_revision = true, .revision = call->has_revision ? call->revision : v.revision};
    struct wish *w = &m->wish;
    if (in->has_names)
        w->names = api_list_of(ctx, &in->names);
    if (in->has_common_name)
        w->common_name = in->common_name;
    if (in->has_profile)
        w->profile = in->profile;
    if (in->has_issuers)
        w->issuers = api_list_of(ctx, &in->issuers);
    if (in->has_key_kind)
        w->key_kind = in->key_kind;
    if (in->has_reuse_key)
        w->reuse_key = in->reuse_key;
    if (in->has_key_agent)
        w->key_agent = in->key_agent;
    if (in->has_acme_profile)
        w->acme_profile = in->acme_profile;
    if (in->has_preferred_chain)
        w->preferred_chain = in->preferred_chain;
    if (in->has_bad_name)
        w->bad_name = str_equal(in->bad_name, "fail") ? NULL : in->bad_name;
    if (in->has_preflight)
        w->preflight = in->preflight;
    if (in->has_csr) {
        w->csr = in->csr;
        w->key_kind = in->has_key_kind ? in->key_kind : NULL; /* the request's */
    }
    if (in->has_download)
        w->download = in->download;
    if (in->has_targets)
        w->targets = api_list_of(ctx, &in->targets);
    if (in->has_renewal)
        renewal_in(in->renewal, w);
    if (in->has_rollout)
        rollout_merge(in->rollout, w);
    return RC_OK;
}

static struct rc update_once(struct api_call *call, const struct api_managed_certificate_patch *in, const char **id)
{
    struct managed_input m;
    TRY(api_managed_merge(call, call->path[0], in, id, &m));
    return managed_update(call->ctx, call->core, *id, &m);
}

RC api_managed_update(struct api_call *call, const struct api_managed_certificate_patch *in, struct api_managed_certificate *out)
{
    const char *id = NULL;
    struct rc rc = update_once(call, in, &id);
    /* Its own renewal counts as a change too: who named no ETag asks for the fields sent to be so, whatever the others are. */
    for (int tries = 1; rc.e == E_CHANGED && !call->has_revision && tries < PATCH_TRIES; tries++) {
        ctx_forget(call->ctx);
        rc = update_once(call, in, &id);
    }
    TRY(rc);
    return reply(call, id, out);
}

RC api_managed_remove(struct api_call *call)
{
    return managed_remove(call->ctx, call->core, call->path[0]);
}

RC api_managed_renew(struct api_call *call, struct api_managed_certificate *out)
{
    TRY(managed_renew(call->ctx, call->core, call->path[0]));
    return reply(call, call->path[0], out);
}

RC api_managed_retry(struct api_call *call, struct api_managed_certificate *out)
{
    TRY(managed_retry(call->ctx, call->core, call->path[0]));
    return reply(call, call->path[0], out);
}

RC api_managed_now(struct api_call *call, struct api_managed_certificate *out)
{
    TRY(managed_now(call->ctx, call->core, call->path[0]));
    return reply(call, call->path[0], out);
}

RC api_managed_request(struct api_call *call, struct api_manual_request *out)
{
    struct manual_request r;
    TRY(manual_request(call->ctx, call->core, call->path[0], &r));
    *out = (struct api_manual_request){
        .name = r.name, .issuer = r.issuer, .names = api_strings_of(&r.names), .csr_pem = r.csr_pem, .since = r.since};
    return RC_OK;
}

RC api_managed_take(struct api_call *call, const struct api_manual_certificate *in, struct api_managed_certificate *out)
{
    TRY(manual_take(call->ctx, call->core, call->path[0], in->chain_pem));
    return reply(call, call->path[0], out);
}

RC api_managed_pause(struct api_call *call, const struct api_pause *in, struct api_managed_certificate *out)
{
    TRY(managed_pause(call->ctx, call->core, call->path[0], in->reason));
    return reply(call, call->path[0], out);
}

RC api_managed_resume(struct api_call *call, struct api_managed_certificate *out)
{
    TRY(managed_resume(call->ctx, call->core, call->path[0]));
    return reply(call, call->path[0], out);
}

RC api_managed_rollback(struct api_call *call, const struct api_rollback *in, struct api_managed_certificate *out)
{
    TRY(managed_rollback(call->ctx, call->core, call->path[0], in->version));
    return reply(call, call->path[0], out);
}

RC api_managed_revoke(struct api_call *call, const struct api_revoke *in, struct api_managed_certificate *out)
{
    const enum revocation_when when = str_equal(in->replace, "first") ? REVOCATION_FIRST
                                      : str_equal(in->replace, "now") ? REVOCATION_NOW
                                                                      : REVOCATION_USUAL;
    TRY(managed_revoke(call->ctx, call->core, call->path[0], in->version, in->reason, when));
    return reply(call, call->path[0], out);
}

RC api_managed_why(struct api_call *call, struct api_why *out)
{
    return managed_why(call->ctx, call->core, call->path[0], &out->text);
}

RC api_managed_export(struct api_call *call)
{
    const struct api_managed_export_query *q = call->query;
    const char *pem = NULL;
    TRY(managed_export(call->ctx, call->core, call->path[0], q->version, &pem));
    call->resp->status = 200;
    http_response_header(call->resp, "Content-Type", "application/pem-certificate-chain");
    buf_put_z(&call->resp->body, pem);
    return buf_status(&call->resp->body);
}

RC api_managed_forget_key(struct api_call *call, const struct api_key_forget *in, struct api_managed_certificate *out)
{
    TRY(download_forget(call->ctx, call->core, call->path[0], in->version));
    return reply(call, call->path[0], out);
}
