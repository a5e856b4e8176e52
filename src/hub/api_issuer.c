/* Issuers and profiles. */
#include "core/issuer.h"
#include "core/issuer_proof.h"
#include "core/preset.h"
#include "core/standby.h"
#include "hub/api.h"

/* --- issuers */

static struct api_issuer_limit_list limits_out(struct ctx *ctx, const struct issuer_limit *l, size_t n)
{
    struct api_issuer_limit *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct api_issuer_limit){
            .kind = l[i].kind, .count = l[i].count, .window_s = l[i].window_s, .exempt = l[i].exempt};
    return (struct api_issuer_limit_list){items, n};
}

static void limits_in(struct ctx *ctx, const struct api_issuer_limit_list *in, struct issuer_policy *p)
{
    p->limits = arena_array(&ctx->arena, in->n, sizeof *p->limits);
    p->limits_n = in->n;
    for (size_t i = 0; i < in->n; i++)
        p->limits[i] = (struct issuer_limit){in->v[i].kind, in->v[i].count, in->v[i].window_s, in->v[i].exempt};
}

static void failover_in(const struct api_issuer_failover *f, struct issuer_policy *p)
{
    p->after = f ? f->after : 0;
    p->within_s = f ? f->within_s : 0;
    p->new_within_s = f ? f->new_within_s : 0;
}

/* What is agreed with it, and how much of that is used. */
static void policy_out(struct ctx *ctx, const struct issuer_view *v, struct api_issuer *out)
{
    const struct issuer_policy *p = &v->settings.policy;
    struct api_issuer_budget *budget = arena_array(&ctx->arena, v->budget_n, sizeof *budget);
    for (size_t i = 0; i < v->budget_n; i++)
        budget[i] = (struct api_issuer_budget){.kind = v->budget[i].limit->kind,
                                               .count = v->budget[i].limit->count,
                                               .window_s = v->budget[i].limit->window_s,
                                               .what = v->budget[i].what,
                                               .used = v->budget[i].used,
                                               .frees_at = v->budget[i].frees_at,
                                               .has_frees_at = v->budget[i].frees_at != 0};
    struct api_issuer_failover f = {.after = issuer_policy_after(p), .has_within_s = true, .has_new_within_s = true};
    f.within_s = issuer_policy_within_s(p);
    f.new_within_s = issuer_policy_new_s(p);
    if (str_equal(v->settings.kind, "manual")) { /* people are waited for as long as was said, else for good */
        f.within_s = p->within_s;
        f.new_within_s = p->new_within_s;
        f.has_within_s = p->within_s != 0;
        f.has_new_within_s = p->new_within_s != 0;
    }
    out->preset = p->preset;
    out->staging_url = p->staging_url;
    out->rehearsal = !p->no_rehearsal;
    out->limits = limits_out(ctx, p->limits, p->limits_n);
    out->failover = arena_dup(&ctx->arena, &f, sizeof f);
    out->budget = (struct api_issuer_budget_list){budget, v->budget_n};
    out->failing_since = v->failing_since;
    out->has_failing_since = v->failing_since != 0;
    out->standby_at = v->standby_at;
    out->has_standby_at = v->standby_at != 0;
    out->standby_error = v->standby_error;
    out->standby_names = api_strings_of(&v->standby_names);
    const struct rehearsal_view *r = &v->rehearsal;
    const struct api_issuer_rehearsal rehearsed = {.certificate = r->certificate,
                                                   .names = api_strings_of(&r->names),
                                                   .state = r->state,
                                                   .at = r->at,
                                                   .has_at = r->at != 0,
                                                   .error = r->error};
    if (r->certificate)
        out->rehearsed = arena_dup(&ctx->arena, &rehearsed, sizeof rehearsed);
}

static void issuer_out(struct ctx *ctx, const struct issuer_view *v, struct api_issuer *out)
{
    const struct issuer_settings *s = &v->settings;
    *out = (struct api_issuer){
        .id = v->id,
        .name = v->name,
        .team_id = v->team_id,
        .kind = s->kind,
        .ca = s->ca,
        .protocol = s->protocol,
        .directory_url = s->directory_url,
        .account_url = v->account_url,
        .contacts = api_strings_of(&s->contacts),
        .terms_agreed = s->terms_agreed,
        .ca_roots_pem = s->ca_roots_pem,
        .acme_profile = s->acme_profile,
        .preferred_chain = s->preferred_chain,
        .eab_kid = s->eab_kid,
        .drafts = s->drafts,
        .preflight = s->preflight,
        .agent = s->agent,
        .granted_networks = api_strings_of(&s->networks),
        .state = !v->failures                   ? "ready"
                 : v->retry_at > ctx_now_s(ctx) ? "waiting"
                                                : "failing",
        .failures = v->failures,
        .last_error = v->last_error,
        .retry_at = v->retry_at,
        .has_retry_at = v->retry_at != 0,
        .revision = v->revision,
        .created_at = v->created_at,
        .updated_at = v->updated_at,
    };
    policy_out(ctx, v, out);
    if (s->parameters && rc_failed(api_parameters_of_json(ctx, s->parameters, &out->parameters)))
        ctx_forget(ctx);
    if (s->challenge_via) {
        const struct api_issuer_challenge c = {.method = s->challenge_method ? s->challenge_method : "auto",
                                               .via = s->challenge_via,
                                               .webroot = s->webroot,
                                               .agent = s->challenge_agent};
        out->challenge = arena_dup(&ctx->arena, &c, sizeof c);
    }
}

RC api_issuer_list(struct api_call *call, struct api_issuer_page *out)
{
    const struct api_issuer_list_query *q = call->query;
    struct issuer_view *v = NULL;
    size_t n = 0;
    const char *after = NULL;
    TRY(api_cursor_read(call->ctx, q->cursor, &after));
    TRY(issuer_list(call->ctx, call->core, after, q->limit, &v, &n));
    struct api_issuer *items = arena_array(&call->ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        issuer_out(call->ctx, &v[i], &items[i]);
    out->items = (struct api_issuer_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(call->ctx, items[n - 1].id);
    return RC_OK;
}

RC api_issuer_get(struct api_call *call, struct api_issuer *out)
{
    struct issuer_view v;
    TRY(issuer_show(call->ctx, call->core, call->path[0], &v));
    issuer_out(call->ctx, &v, out);
    return RC_OK;
}

/* What is agreed with a new issuer, in its own words or its preset's. */
static struct rc policy_in(struct api_call *call, const struct api_issuer_new *in, struct issuer_policy *p, const char **directory)
{
    struct issuer_preset preset = {0};
    *p = (struct issuer_policy){.preset = in->preset, .staging_url = in->staging_url, .no_rehearsal = !in->rehearsal};
    *directory = in->directory_url;
    failover_in(in->failover, p);
    limits_in(call->ctx, &in->limits, p);
    if (!in->preset)
        return RC_OK;
    TRY(preset_read(call->ctx, call->core, in->preset, &preset));
    if (str_equal(preset.eab, "required") && !in->eab && !in->account_key)
        return ctx_fail_field(call->ctx, "/eab",
                              "%s makes accounts for its customers alone. %s Then add --eab-kid KID --eab-key-file FILE",
                              preset.title, preset.eab_how ? preset.eab_how : "");
    if (!in->directory_url)
        *directory = preset.directory_url;
    if (!in->staging_url)
        p->staging_url = preset.staging_url;
    if (!in->limits.n) {
        p->limits = preset.limits;
        p->limits_n = preset.limits_n;
    }
    return RC_OK;
}

RC api_issuer_preset_list(struct api_call *call, struct api_issuer_presets *out)
{
    struct issuer_preset *p = NULL;
    size_t n = 0;
    TRY(presets_list(call->ctx, call->core, &p, &n));
    struct api_issuer_preset *items = arena_array(&call->ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct api_issuer_preset){.name = p[i].name,
                                              .title = p[i].title,
                                              .directory_url = p[i].directory_url,
                                              .staging_url = p[i].staging_url,
                                              .terms_url = p[i].terms_url,
                                              .eab = p[i].eab,
                                              .eab_how = p[i].eab_how,
                                              .limits = limits_out(call->ctx, p[i].limits, p[i].limits_n),
                                              .profiles = api_strings_of(&p[i].profiles),
                                              .chains = api_strings_of(&p[i].chains),
                                              .notes = p[i].notes,
                                              .as_of = p[i].as_of};
    out->items = (__typeof__(out->items)){items, n};
    return RC_OK;
}

RC api_issuer_create(struct api_call *call, const struct api_issuer_new *in, struct api_issuer *out)
{
    struct ctx *ctx = call->ctx;
    const bool acme = str_equal(in->kind, "acme");
    struct issuer_policy policy;
    const char *directory_url = NULL;
    TRY(policy_in(call, in, &policy, &directory_url));
    if (acme && !directory_url)
        return ctx_fail_field(ctx, "/directory_url", "an issuer of kind acme needs the URL of its directory");
    if (!acme && (in->eab || in->account_key))
        return ctx_fail_field(ctx, "/kind", "eab and account_key are for issuers of kind acme");
    if (!acme && (directory_url || in->contacts.n || in->challenge))
        return ctx_fail_field(ctx, "/kind", "directory_url, contacts and challenge are for issuers of kind acme");
    const struct api_issuer_challenge *c = in->challenge;
    const struct issuer_settings s = {
        .kind = in->kind,
        .ca = !str_equal(in->kind, "ca") ? NULL
              : in->ca                   ? in->ca
                                         : "issuing",
        .protocol = in->protocol,
        .parameters = api_parameters_json(ctx, &in->parameters),
        .directory_url = directory_url,
        .policy = policy,
        .ca_roots_pem = in->ca_roots_pem,
        .contacts = api_list_of(ctx, &in->contacts),
        .terms_agreed = in->terms_agreed,
        .acme_profile = in->acme_profile,
        .preferred_chain = in->preferred_chain,
        .eab_kid = in->eab ? in->eab->kid : NULL,
        .drafts = in->drafts,
        .preflight = in->preflight,
        .challenge_method = c ? c->method : NULL,
        .challenge_via = !acme ? NULL
                         : c   ? c->via
                               : "target",
        .challenge_agent = c ? c->agent : NULL,
        .webroot = c ? c->webroot : NULL,
        .agent = in->agent,
        .networks = api_list_of(ctx, &in->granted_networks),
    };
    if (str_equal(s.challenge_via, "webroot") && !s.webroot)
        return ctx_fail_field(ctx, "/challenge/webroot", "challenges answered through a webroot need its folder");
    const char *id = NULL;
    TRY(issuer_create(ctx, call->core, in->name, in->team ? in->team : access_scope(ctx), &s,
                      &(struct issuer_secrets){in->eab ? in->eab->key : NULL, in->account_key}, &id));
    struct issuer_view v;
    TRY(issuer_show(ctx, call->core, id, &v));
    issuer_out(ctx, &v, out);
    return RC_OK;
}

RC api_issuer_update(struct api_call *call, const struct api_issuer_patch *in, struct api_issuer *out)
{
    struct ctx *ctx = call->ctx;
    struct issuer_view v;
    TRY(issuer_show(ctx, call->core, call->path[0], &v));
    struct issuer_settings *s = &v.settings;
    const struct issuer_settings was = *s;
    if (in->has_directory_url)
        s->directory_url = in->directory_url;
    if (in->has_contacts)
        s->contacts = api_list_of(ctx, &in->contacts);
    if (in->has_terms_agreed)
        s->terms_agreed = in->terms_agreed;
    if (in->has_ca_roots_pem)
        s->ca_roots_pem = in->ca_roots_pem;
    if (in->has_acme_profile)
        s->acme_profile = in->acme_profile;
    if (in->has_preferred_chain)
        s->preferred_chain = in->preferred_chain;
    if (in->has_eab)
        s->eab_kid = in->eab ? in->eab->kid : NULL;
    if (in->has_preflight)
        s->preflight = in->preflight;
    if (in->has_drafts)
        s->drafts = in->drafts;
    if (in->has_challenge) {
        s->challenge_method = in->challenge->method;
        s->challenge_via = in->challenge->via;
        s->challenge_agent = in->challenge->agent;
        s->webroot = in->challenge->webroot;
    }
    if (in->has_parameters)
        s->parameters = api_parameters_json(ctx, &in->parameters);
    if (in->has_agent)
        s->agent = in->agent;
    if (in->has_limits)
        limits_in(ctx, &in->limits, &s->policy);
    if (in->has_failover)
        failover_in(in->failover, &s->policy);
    if (in->has_staging_url)
        s->policy.staging_url = in->staging_url;
    if (in->has_rehearsal)
        s->policy.no_rehearsal = !in->rehearsal;
    if (in->has_granted_networks)
        s->networks = api_list_of(ctx, &in->granted_networks);
    struct str_list warnings = {0};
    if (in->has_challenge || in->has_drafts)
        TRY(issuer_unproved(ctx, call->core, v.id, v.name, &was, s, &warnings));
    if (in->has_dry_run && in->dry_run) {
        TRY(issuer_check(ctx, call->core, v.id, s));
        issuer_out(ctx, &v, out);
        out->warnings = api_strings_of(&warnings);
        return RC_OK;
    }
    TRY(issuer_update(ctx, call->core, v.id, call->has_revision ? call->revision : v.revision, s,
                      &(struct issuer_secrets){.eab_key = in->has_eab && in->eab ? in->eab->key : NULL}));
    TRY(standby_again(ctx, call->core, v.id, in->has_terms_agreed && in->terms_agreed,
                      in->has_rehearsal || in->has_staging_url));
    TRY(api_issuer_get(call, out));
    out->warnings = api_strings_of(&warnings);
    return RC_OK;
}

RC api_issuer_remove(struct api_call *call, struct api_dns_sweeping *out)
{
    size_t records = 0;
    TRY(issuer_remove(call->ctx, call->core, call->path[0], &records));
    out->records = (int64_t)records;
    return RC_OK;
}

/* --- profiles */

static void profile_out(const struct profile_view *v, struct api_profile *out)
{
    *out = (struct api_profile){
        .id = v->id,
        .name = v->name,
        .team_id = v->team_id,
        .usage = v->settings.usage,
        .key_kinds = api_strings_of(&v->settings.key_kinds),
        .validity_s = v->settings.validity_s,
        .common_name = v->settings.common_name,
        .revision = v->revision,
        .created_at = v->created_at,
        .updated_at = v->updated_at,
    };
}

RC api_profile_list(struct api_call *call, struct api_profile_page *out)
{
    const struct api_profile_list_query *q = call->query;
    struct profile_view *v = NULL;
    size_t n = 0;
    const char *after = NULL;
    TRY(api_cursor_read(call->ctx, q->cursor, &after));
    TRY(profile_list(call->ctx, call->core, after, q->limit, &v, &n));
    struct api_profile *items = arena_array(&call->ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        profile_out(&v[i], &items[i]);
    out->items = (struct api_profile_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(call->ctx, items[n - 1].id);
    return RC_OK;
}

RC api_profile_get(struct api_call *call, struct api_profile *out)
{
    struct profile_view v;
    TRY(profile_show(call->ctx, call->core, call->path[0], &v));
    profile_out(&v, out);
    return RC_OK;
}

RC api_profile_create(struct api_call *call, const struct api_profile_new *in, struct api_profile *out)
{
    struct ctx *ctx = call->ctx;
    struct profile_settings s = {.usage = in->usage,
                                 .key_kinds = api_list_of(ctx, &in->key_kinds),
                                 .validity_s = in->validity_s,
                                 .common_name = in->common_name};
    if (!s.key_kinds.n)
        str_list_add(&ctx->arena, &s.key_kinds, "ec-p256");
    const char *id = NULL;
    TRY(profile_create(ctx, call->core, in->name, in->team ? in->team : access_scope(ctx), &s, &id));
    struct profile_view v;
    TRY(profile_show(ctx, call->core, id, &v));
    profile_out(&v, out);
    return RC_OK;
}

RC api_profile_update(struct api_call *call, const struct api_profile_patch *in, struct api_profile *out)
{
    struct ctx *ctx = call->ctx;
    struct profile_view v;
    TRY(profile_show(ctx, call->core, call->path[0], &v));
    if (in->has_key_kinds)
        v.settings.key_kinds = api_list_of(ctx, &in->key_kinds);
    if (in->has_validity_s)
        v.settings.validity_s = in->validity_s;
    if (in->has_common_name)
        v.settings.common_name = in->common_name;
    TRY(profile_update(ctx, call->core, v.id, call->has_revision ? call->revision : v.revision, &v.settings));
    return api_profile_get(call, out);
}

RC api_profile_remove(struct api_call *call)
{
    return profile_remove(call->ctx, call->core, call->path[0]);
}
