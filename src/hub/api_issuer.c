/* Issuers and profiles. */
#include "core/issuer.h"
#include "hub/api.h"

/* --- issuers */

static void issuer_out(struct ctx *ctx, const struct issuer_view *v, struct api_issuer *out)
{
    const struct issuer_settings *s = &v->settings;
    *out = (struct api_issuer){
        .id = v->id,
        .name = v->name,
        .team_id = v->team_id,
        .kind = s->kind,
        .ca = s->ca,
        .directory_url = s->directory_url,
        .account_url = v->account_url,
        .contacts = api_strings_of(&s->contacts),
        .terms_agreed = s->terms_agreed,
        .ca_roots_pem = s->ca_roots_pem,
        .acme_profile = s->acme_profile,
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
    if (s->challenge_via) {
        const struct api_issuer_challenge c = {
            .method = "http-01", .via = s->challenge_via, .webroot = s->webroot, .agent = s->challenge_agent};
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

RC api_issuer_create(struct api_call *call, const struct api_issuer_new *in, struct api_issuer *out)
{
    struct ctx *ctx = call->ctx;
    const bool acme = str_equal(in->kind, "acme");
    if (acme && !in->directory_url)
        return ctx_fail_field(ctx, "/directory_url", "an issuer of kind acme needs the URL of its directory");
    if (!acme && (in->directory_url || in->contacts.n || in->challenge))
        return ctx_fail_field(ctx, "/kind", "directory_url, contacts and challenge are for issuers of kind acme");
    const struct api_issuer_challenge *c = in->challenge;
    const struct issuer_settings s = {
        .kind = in->kind,
        .ca = acme     ? NULL
              : in->ca ? in->ca
                       : "issuing",
        .directory_url = in->directory_url,
        .ca_roots_pem = in->ca_roots_pem,
        .contacts = api_list_of(ctx, &in->contacts),
        .terms_agreed = in->terms_agreed,
        .acme_profile = in->acme_profile,
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
    TRY(issuer_create(ctx, call->core, in->name, in->team ? in->team : access_scope(ctx), &s, &id));
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
    if (in->has_challenge) {
        s->challenge_via = in->challenge->via;
        s->challenge_agent = in->challenge->agent;
        s->webroot = in->challenge->webroot;
    }
    if (in->has_agent)
        s->agent = in->agent;
    if (in->has_granted_networks)
        s->networks = api_list_of(ctx, &in->granted_networks);
    TRY(issuer_update(ctx, call->core, v.id, call->has_revision ? call->revision : v.revision, s));
    return api_issuer_get(call, out);
}

RC api_issuer_remove(struct api_call *call)
{
    return issuer_remove(call->ctx, call->core, call->path[0]);
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
