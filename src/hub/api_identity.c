/* OpenID providers and directories, and which accounts are bound to what they say (core/identity_provider.h). */
#include "core/identity_provider.h"
#include "core/ldap_sign_in.h"
#include "hub/api.h"
#include "hub/sign_in_provider.h"

#define SIGN_IN_DIRECTORY "/api/v1/session/directory"

/* Where people find the hub; empty where it is on no port of theirs. */
static const char *origin_of(struct api_call *call)
{
    const struct hub_tls_settings *tls = call->hub->tls;
    if (!tls || !tls->dns_names_n || !call->hub->https_port)
        return "";
    return call->hub->https_port == 443
               ? arena_printf(&call->ctx->arena, "https://%s", tls->dns_names[0])
               : arena_printf(&call->ctx->arena, "https://%s:%lld", tls->dns_names[0], (long long)call->hub->https_port);
}

static struct rc provider_out(struct api_call *call, const struct q_identity_provider_get_row *r,
                              const struct q_identity_group_list_row *groups, size_t n, struct api_identity_provider *out)
{
    struct ctx *ctx = call->ctx;
    struct api_identity_group *list = arena_array(&ctx->arena, n, sizeof *list);
    for (size_t i = 0; i < n; i++)
        list[i] = (struct api_identity_group){.name = groups[i].name, .role = groups[i].role, .team = groups[i].team};
    const bool ldap = str_equal(r->kind, "ldap");
    const char *sign_in = arena_printf(&ctx->arena, "%s%s%s", origin_of(call), ldap ? SIGN_IN_DIRECTORY : SIGN_IN_PROVIDER,
                                       ldap ? "" : r->name);
    *out = (struct api_identity_provider){.id = r->id,
                                          .name = r->name,
                                          .kind = r->kind,
                                          .issuer = r->issuer,
                                          .client_id = r->client_id,
                                          .credential = r->credential,
                                          .group_claim = r->group_claim,
                                          .groups = {list, n},
                                          .create_accounts = r->create_accounts,
                                          .team = r->team,
                                          .state = r->state,
                                          .sign_in = sign_in,
                                          .callback = ldap ? "" : arena_printf(&ctx->arena, "%s/callback", sign_in),
                                          .has_looked_at = r->looked_at != NULL,
                                          .looked_at = r->looked_at ? *r->looked_at : 0,
                                          .error = r->error,
                                          .revision = r->revision,
                                          .created_at = r->created_at,
                                          .updated_at = r->updated_at};
    if (ldap) {
        struct api_directory *d = ARENA_NEW(&ctx->arena, struct api_directory);
        TRY(identity_provider_directory(ctx, r, d));
        out->directory = d;
    }
    TRY(api_strings_of_json(ctx, r->scopes, &out->scopes));
    TRY(api_strings_of_json(ctx, r->acr, &out->acr));
    return api_strings_of_json(ctx, r->amr, &out->amr);
}

static struct rc reply(struct api_call *call, const char *ref, struct api_identity_provider *out)
{
    struct q_identity_provider_get_row row;
    struct q_identity_group_list_row *groups = NULL;
    size_t n = 0;
    TRY(identity_provider_show(call->ctx, call->core, ref, &row, &groups, &n));
    return provider_out(call, &row, groups, n, out);
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

RC api_identity_provider_list(struct api_call *call, struct api_identity_provider_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_identity_provider_list_query *q = call->query;
    struct q_identity_provider_get_row *rows = NULL;
    size_t n = 0;
    const char *after = NULL;
    TRY(api_cursor_read(ctx, q->cursor, &after));
    TRY(identity_provider_list(ctx, call->core, after, q->limit, &rows, &n));
    struct api_identity_provider *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        TRY(reply(call, rows[i].id, &items[i]));
    out->items = (struct api_identity_provider_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(ctx, items[n - 1].id);
    return RC_OK;
}

RC api_identity_provider_get(struct api_call *call, struct api_identity_provider *out)
{
    return reply(call, call->path[0], out);
}

static const struct identity_group *groups_of(struct ctx *ctx, const struct api_identity_group_list *l)
{
    struct identity_group *v = arena_array(&ctx->arena, l->n, sizeof *v);
    for (size_t i = 0; i < l->n; i++)
        v[i] = (struct identity_group){.name = l->v[i].name, .role = l->v[i].role, .team = l->v[i].team};
    return v;
}

RC api_identity_provider_create(struct api_call *call, const struct api_identity_provider_new *in,
                                struct api_identity_provider *out)
{
    struct ctx *ctx = call->ctx;
    const struct str_list scopes = api_list_of(ctx, &in->scopes), acr = api_list_of(ctx, &in->acr),
                          amr = api_list_of(ctx, &in->amr);
    const struct identity_provider_input p = {.name = in->name,
                                              .kind = in->kind,
                                              .directory = in->directory,
                                              .issuer = in->issuer,
                                              .client_id = in->client_id,
                                              .credential = in->credential,
                                              .scopes = scopes.n ? &scopes : NULL,
                                              .group_claim = in->group_claim,
                                              .groups = groups_of(ctx, &in->groups),
                                              .groups_n = in->groups.n,
                                              .has_groups = true,
                                              .acr = &acr,
                                              .amr = &amr,
                                              .create_accounts = &in->create_accounts,
                                              .team = in->team};
    const char *id = NULL;
    TRY(identity_provider_create(ctx, call->core, &p, &id));
    return reply(call, id, out);
}

RC api_identity_provider_update(struct api_call *call, const struct api_identity_provider_patch *in,
                                struct api_identity_provider *out)
{
    struct ctx *ctx = call->ctx;
    const struct str_list scopes = api_list_of(ctx, &in->scopes), acr = api_list_of(ctx, &in->acr),
                          amr = api_list_of(ctx, &in->amr);
    const struct identity_provider_input p = {.directory = in->directory,
                                              .client_id = in->has_client_id ? in->client_id : NULL,
                                              .credential = in->has_credential ? in->credential : NULL,
                                              .scopes = in->has_scopes ? &scopes : NULL,
                                              .group_claim = in->has_group_claim ? in->group_claim : NULL,
                                              .groups = groups_of(ctx, &in->groups),
                                              .groups_n = in->groups.n,
                                              .has_groups = in->has_groups,
                                              .acr = in->has_acr ? &acr : NULL,
                                              .amr = in->has_amr ? &amr : NULL,
                                              .create_accounts = in->has_create_accounts ? &in->create_accounts : NULL,
                                              .team = in->has_team ? in->team : NULL,
                                              .state = in->has_state ? in->state : NULL};
    TRY(identity_provider_update(ctx, call->core, call->path[0], call->has_revision ? call->revision : 0, &p));
    return reply(call, call->path[0], out);
}

RC api_identity_provider_remove(struct api_call *call)
{
    return identity_provider_remove(call->ctx, call->core, call->path[0]);
}

RC api_identity_provider_look(struct api_call *call, struct api_identity_provider *out)
{
    TRY(identity_provider_look(call->ctx, call->core, call->path[0]));
    return reply(call, call->path[0], out);
}

RC api_identity_provider_test(struct api_call *call, const struct api_identity_provider_test *in,
                              struct api_identity_provider_tested *out)
{
    struct ctx *ctx = call->ctx;
    const struct http_request *req = call->req;
    struct ldap_tested t;
    TRY(ldap_test(ctx, call->core, call->path[0], req->peer.address, in->user, req->park_key, req->expired, &t));
    if (t.wait_for)
        return api_park(call, t.wait_for, t.wait_ms);
    const struct api_live_answer *a = t.answer;
    struct api_identity_group *grants = arena_array(&ctx->arena, t.grants_n + 1, sizeof *grants);
    for (size_t i = 0; i < t.grants_n; i++)
        grants[i] = (struct api_identity_group){.name = t.grants[i].name, .role = t.grants[i].role, .team = t.grants[i].team};
    *out = (struct api_identity_provider_tested){.server = or_empty(a->server),
                                                 .state = or_empty(a->state),
                                                 .dn = or_empty(a->dn),
                                                 .subject = or_empty(a->subject),
                                                 .login = or_empty(a->login),
                                                 .name = or_empty(a->name),
                                                 .mail = or_empty(a->mail),
                                                 .groups = a->groups,
                                                 .grants = {grants, t.grants_n}};
    return RC_OK;
}

RC api_session_providers(struct api_call *call, struct api_session_providers *out)
{
    struct ctx *ctx = call->ctx;
    struct q_identity_provider_open_row *rows = NULL;
    size_t n = 0;
    TRY(identity_provider_open(ctx, call->core, &rows, &n));
    struct api_session_provider *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct api_session_provider){.name = rows[i].name,
                                                 .kind = rows[i].kind,
                                                 .sign_in = str_equal(rows[i].kind, "ldap")
                                                                ? SIGN_IN_DIRECTORY
                                                                : arena_printf(&ctx->arena, SIGN_IN_PROVIDER "%s", rows[i].name)};
    out->items = (struct api_session_provider_list){items, n};
    return RC_OK;
}

/* --- accounts */

static struct rc identities_out(struct api_call *call, struct api_identities *out)
{
    struct q_identity_list_row *rows = NULL;
    size_t n = 0;
    TRY(identity_of_user(call->ctx, call->core, call->path[0], &rows, &n));
    struct api_identity *items = arena_array(&call->ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct api_identity){.id = rows[i].id,
                                         .provider = rows[i].provider,
                                         .issuer = rows[i].issuer,
                                         .subject = rows[i].subject,
                                         .created_by = rows[i].created_by,
                                         .created_at = rows[i].created_at,
                                         .has_used_at = rows[i].used_at != NULL,
                                         .used_at = rows[i].used_at ? *rows[i].used_at : 0};
    out->items = (struct api_identity_list){items, n};
    return RC_OK;
}

RC api_user_identities(struct api_call *call, struct api_identities *out)
{
    return identities_out(call, out);
}

RC api_user_bind(struct api_call *call, const struct api_identity_new *in, struct api_identities *out)
{
    TRY(identity_bind(call->ctx, call->core, call->path[0], in->provider, in->subject));
    return identities_out(call, out);
}

RC api_user_unbind(struct api_call *call)
{
    return identity_unbind(call->ctx, call->core, call->path[0], call->path[1]);
}
