#include "core/identity_provider.h"

#include "api/types.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/random.h"
#include "base/uri.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/job.h"
#include "core/live.h"
#include "core/result.h"
#include "core/role.h"
#include "core/scope.h"
#include "core/sign_in_factor.h"
#include "core/user.h"
#include "net/directory.h"
#include "pki/digest.h"

#define LOOK_SPREAD_S 3600
#define LOOK_AGAIN_S  300 /* after one that failed */

struct change {
    struct core *core;
    const char *ref, *id, *after, *user, *subject;
    int64_t revision, limit;
    const struct identity_provider_input *in;
    struct q_identity_provider_get_row row, *rows;
    struct q_identity_group_list_row *groups;
    struct q_identity_list_row *identities;
    size_t n;
};

static struct rc find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_identity_provider_get_row *out)
{
    bool found = false;
    TRY(q_identity_provider_get(ctx, txn, ref, out, &found));
    return found
               ? RC_OK
               : ctx_fail(ctx, E_NOT_FOUND, "no identity provider is named %s; certwright identity-provider list shows them", ref);
}

const char *identity_provider_grant_source(struct ctx *ctx, const char *name)
{
    return arena_printf(&ctx->arena, "identity-provider:%s", name);
}

static bool is_oidc(const struct q_identity_provider_get_row *p)
{
    return str_equal(p->kind, "oidc");
}

/* --- asking it */

RC identity_provider_ask(struct ctx *ctx, struct core *core, struct txn *txn, const char *kind, const char *lane,
                         const char *ref, struct bytes payload)
{
    struct q_agent_first_row agent;
    bool found = false;
    TRY(q_agent_first(ctx, txn, &agent, &found));
    if (!found)
        return ctx_fail(ctx, E_CONFLICT, "the hub has no agent of its own that could ask: certwright agent list");
    return job_add(ctx, core, txn, kind, agent.id, lane, ref, payload, 0);
}

static struct rc ask(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const char *issuer,
                     const char *credential)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 8192);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "issuer", issuer);
    json_put_str(&j, "credential", credential);
    json_close(&j);
    TRY(buf_status(&b));
    TRY(q_job_cancel_ref(ctx, txn, id, "oidc_look", ctx_now_s(ctx)));
    TRY(identity_provider_ask(ctx, core, txn, "oidc_look", arena_printf(&ctx->arena, "oidc:%s", id), id, buf_bytes(&b)));
    return timer_arm(ctx, txn, "oidc-look", id, ctx_now_s(ctx) + IDENTITY_LOOK_S + (int64_t)random_below(LOOK_SPREAD_S));
}

RC identity_provider_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id)
{
    struct q_identity_provider_get_row row;
    bool found = false;
    TRY(q_identity_provider_get(ctx, txn, id, &row, &found));
    return found && is_oidc(&row) ? ask(ctx, core, txn, row.id, row.issuer, row.credential) : RC_OK;
}

static struct rc failed(struct ctx *ctx, struct txn *txn, const struct checked_result *r)
{
    const int64_t now = ctx_now_s(ctx);
    TRY(q_identity_provider_failed(ctx, txn, r->job.ref, r->why ? r->why : "the agent did not say what it found", now));
    return timer_arm(ctx, txn, "oidc-look", r->job.ref, now + LOOK_AGAIN_S);
}

RC identity_provider_looked(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    const struct api_job_oidc_done *done = r->ok ? r->raw->oidc_look : NULL;
    (void)core;
    if (!done || !done->authorization_endpoint || !done->token_endpoint || !done->jwks_uri || !done->jwks)
        return failed(ctx, txn, r);
    const struct q_identity_provider_looked_in in = {.id = r->job.ref,
                                                     .authorization_endpoint = done->authorization_endpoint,
                                                     .token_endpoint = done->token_endpoint,
                                                     .jwks_uri = done->jwks_uri,
                                                     .basic = done->basic,
                                                     .tells_issuer = done->tells_issuer,
                                                     .jwks = done->jwks,
                                                     .now = ctx_now_s(ctx)};
    return q_identity_provider_looked(ctx, txn, &in);
}

/* --- what people set */

static const char *list_json(struct ctx *ctx, const struct str_list *l)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    for (size_t i = 0; l && i < l->n; i++)
        json_put_str(&j, NULL, l->v[i]);
    json_close(&j);
    return buf_z(&b);
}

static struct rc check_issuer(struct ctx *ctx, const char *issuer)
{
    struct uri uri;
    struct rc rc = uri_parse(ctx, bytes_z(issuer), &uri);
    if (rc_failed(rc) || !uri.https || uri.query) {
        ctx_forget(ctx);
        return ctx_fail_field(ctx, "/issuer",
                              "an issuer begins with https:// and has neither query nor fragment, as the provider writes it");
    }
    return RC_OK;
}

/* Texts that go into an address, each one word. */
static struct rc check_words(struct ctx *ctx, const char *field, const struct str_list *l)
{
    for (size_t i = 0; l && i < l->n; i++)
        for (const char *p = l->v[i]; !*l->v[i] || *p; p++)
            if (*p <= ' ' || *p > '~' || *p == '"' || *p == '\\')
                return ctx_fail_field(ctx, arena_printf(&ctx->arena, "%s/%zu", field, i), "one word each, of plain letters");
    return RC_OK;
}

static struct rc check_scopes(struct ctx *ctx, const struct str_list *l)
{
    TRY(check_words(ctx, "/scopes", l));
    return !l || str_list_has(l, "openid") ? RC_OK
                                           : ctx_fail_field(ctx, "/scopes", "openid is one of them: without it nobody is named");
}

/* --- directories */

static const char *or_usual(const char *said, const char *usual)
{
    return said && *said ? said : usual;
}

static void fill_usual(struct api_directory *d)
{
    d->user_filter = or_usual(d->user_filter, "(uid={user})");
    d->login_attribute = or_usual(d->login_attribute, "uid");
    d->name_attribute = or_usual(d->name_attribute, "cn");
    d->mail_attribute = or_usual(d->mail_attribute, "mail");
    d->second_factor = or_usual(d->second_factor, "here");
    const char **rest[] = {&d->ca_pem, &d->bind_name, &d->subject_attribute, &d->group_attribute, &d->group_base, &d->group_filter};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        *rest[i] = or_usual(*rest[i], "");
}

RC identity_provider_directory(struct ctx *ctx, const struct q_identity_provider_get_row *row, struct api_directory *out)
{
    json_auto_t *root = NULL;
    if (!row->directory)
        return ctx_fail(ctx, E_CONFLICT, "%s is an OpenID provider, not a directory", row->name);
    TRY(json_read(ctx, bytes_z(row->directory), &root));
    TRY(api_directory_decode(ctx, root, out));
    fill_usual(out);
    return RC_OK;
}

static const char *directory_json(struct ctx *ctx, const struct api_directory *d)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    json_begin(&j, &b);
    api_directory_encode(&j, NULL, d);
    return rc_ok(buf_status(&b)) ? buf_z(&b) : "{}";
}

static struct rc check_attributes(struct ctx *ctx, const struct api_directory *d)
{
    const char *const v[][2] = {{"subject", d->subject_attribute},
                                {"login", d->login_attribute},
                                {"name", d->name_attribute},
                                {"mail", d->mail_attribute},
                                {"group", d->group_attribute}};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        for (const char *p = v[i][1]; p && *p; p++)
            if (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') && !(*p >= '0' && *p <= '9') && !strchr("-.;", *p))
                return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/directory/%s_attribute", v[i][0]),
                                      "an attribute's name is of letters, digits and hyphens");
    return RC_OK;
}

static struct rc field_of(struct ctx *ctx, struct rc rc, const char *field)
{
    if (rc_failed(rc))
        ctx->field = field;
    return rc;
}

static struct rc check_directory(struct ctx *ctx, const struct api_directory *d)
{
    struct directory_server server;
    struct tls_trust *trust = NULL;
    if (d->urls.n == 0)
        return ctx_fail_field(ctx, "/directory/urls", "where is it? such as ldaps://ldap.example.org");
    for (size_t i = 0; i < d->urls.n; i++)
        TRY(field_of(ctx, directory_server_read(ctx, d->urls.v[i], &server),
                     arena_printf(&ctx->arena, "/directory/urls/%zu", i)));
    if (d->ca_pem && *d->ca_pem)
        TRY(field_of(ctx, tls_trust_new(ctx, false, bytes_z(d->ca_pem), &trust), "/directory/ca_pem"));
    tls_trust_free(trust);
    if (d->user_filter && *d->user_filter && !strstr(d->user_filter, "{user}"))
        return ctx_fail_field(ctx, "/directory/user_filter", "it finds somebody by what they typed: {user} is in it");
    if (d->group_filter && *d->group_filter && !strstr(d->group_filter, "{dn}") && !strstr(d->group_filter, "{user}"))
        return ctx_fail_field(ctx, "/directory/group_filter", "it finds the groups of one person: {dn} or {user} is in it");
    return check_attributes(ctx, d);
}

/* For the audit log: certificates by their hash. */
static struct rc directory_facts(struct ctx *ctx, const char *text, const char **out)
{
    struct api_directory d;
    json_auto_t *root = NULL;
    uint8_t hash[SHA256_LEN];
    *out = "{}";
    if (!text)
        return RC_OK;
    TRY(json_read(ctx, bytes_z(text), &root));
    TRY(api_directory_decode(ctx, root, &d));
    if (d.ca_pem) {
        TRY(digest_sha256(ctx, bytes_z(d.ca_pem), hash));
        d.ca_pem = arena_printf(&ctx->arena, "sha256:%s", hex_str(&ctx->arena, bytes_of(hash, sizeof hash)));
    }
    *out = directory_json(ctx, &d);
    return RC_OK;
}

static struct rc check_kind(struct ctx *ctx, const struct identity_provider_input *in, bool ldap)
{
    if (!ldap && (!in->issuer || !in->client_id))
        return ctx_fail_field(ctx, in->issuer ? "/client_id" : "/issuer",
                              "an OpenID provider has an issuer, and a name for this hub");
    if (!ldap)
        return in->directory ? ctx_fail_field(ctx, "/directory", "only what is of kind ldap has one")
                             : check_issuer(ctx, in->issuer);
    if (in->issuer || in->client_id || (in->group_claim && *in->group_claim) || (in->scopes && in->scopes->n) ||
        (in->acr && in->acr->n) || (in->amr && in->amr->n))
        return ctx_fail_field(ctx, "/kind", "a directory has neither issuer, client, scopes, group claim, acr nor amr");
    if (!in->directory)
        return ctx_fail_field(ctx, "/directory", "where is it, and where in it are people?");
    if (!in->credential || !*in->credential)
        return ctx_fail_field(
            ctx, "/credential",
            "a row of credentials in agent.yaml of the hub's own agent says where passwords may be sent, and holds "
            "that of the bind name");
    return check_directory(ctx, in->directory);
}

static struct rc groups_held(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_identity_group_list_row *v,
                             size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct permission_set may;
        TRY(role_set(ctx, core, v[i].permissions, &may));
        TRY(access_holds(ctx, core, txn, &may, v[i].team_id));
    }
    return RC_OK;
}

static struct rc at(struct ctx *ctx, struct rc rc, size_t i, const char *member)
{
    if (rc_failed(rc))
        ctx->field = arena_printf(&ctx->arena, "/groups/%zu/%s", i, member);
    return rc;
}

static struct rc groups_put(struct ctx *ctx, struct core *core, struct txn *txn, const char *id,
                            const struct identity_provider_input *in)
{
    TRY(q_identity_group_clear(ctx, txn, id));
    for (size_t i = 0; i < in->groups_n; i++) {
        struct q_role_get_row role;
        struct permission_set may;
        const char *team = in->groups[i].team;
        TRY(at(ctx, role_find(ctx, txn, in->groups[i].role, &role), i, "role"));
        TRY(at(ctx, access_team(ctx, txn, team, &team), i, "team"));
        TRY(role_set(ctx, core, role.permissions, &may));
        TRY(access_holds(ctx, core, txn, &may, team));
        TRY(q_identity_group_add(ctx, txn, id, in->groups[i].name, role.id, team));
    }
    return RC_OK;
}

/* All that is set of it, for the audit log. */
static struct rc facts(struct ctx *ctx, struct txn *txn, const char *id, struct bytes *out)
{
    struct q_identity_provider_get_row p;
    struct q_identity_group_list_row *groups = NULL;
    size_t n = 0;
    struct buf b;
    struct json_out j;
    const char *directory = NULL;
    TRY(find(ctx, txn, id, &p));
    TRY(directory_facts(ctx, p.directory, &directory));
    TRY(q_identity_group_list(ctx, txn, id, &groups, &n));
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    for (size_t i = 0; i < n; i++)
        json_put_str(&j, NULL, arena_printf(&ctx->arena, "%s: %s in %s", groups[i].name, groups[i].role, groups[i].team));
    json_close(&j);
    TRY(buf_status(&b));
    *out = audit_facts(ctx, "name", p.name, "kind", p.kind, "directory:", directory, "issuer", p.issuer, "client_id", p.client_id,
                       "credential", p.credential, "scopes:", p.scopes, "group_claim", p.group_claim, "acr:", p.acr, "amr:", p.amr,
                       "create_accounts", p.create_accounts ? "yes" : "no", "team", p.team, "state", p.state, "groups:", buf_z(&b),
                       NULL);
    return RC_OK;
}

static struct rc told(struct ctx *ctx, struct core *core, struct txn *txn, const char *action, const char *id, struct bytes before,
                      struct bytes after)
{
    return audit_write(ctx, txn, action, "identity-provider", id, core->team_root, audit_change(ctx, before, after));
}

/* The agent hears that it shall wait for live questions. */
static struct rc agent_told(struct ctx *ctx, struct core *core, struct txn *txn)
{
    struct q_agent_first_row agent;
    bool found = false;
    TRY(q_agent_first(ctx, txn, &agent, &found));
    if (!found)
        return ctx_fail(ctx, E_CONFLICT, "the hub has no agent of its own that could ask: certwright agent list");
    live_want(core);
    core_wake_after_commit(ctx, core, txn, "agent:", agent.id);
    return RC_OK;
}

static struct rc create(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    const char *team = c->in->team;
    struct bytes now;
    const bool ldap = str_equal(c->in->kind, "ldap");
    TRY(access_everywhere(ctx, c->core, txn, "identity-provider.create"));
    TRY(access_team(ctx, txn, team, &team));
    const struct q_identity_provider_add_in in = {.id = c->id,
                                                  .name = c->in->name,
                                                  .kind = ldap ? "ldap" : "oidc",
                                                  .directory = ldap ? directory_json(ctx, c->in->directory) : NULL,
                                                  .issuer = ldap ? c->in->directory->base : c->in->issuer,
                                                  .client_id = ldap ? "" : c->in->client_id,
                                                  .credential = c->in->credential ? c->in->credential : "",
                                                  .scopes = c->in->scopes ? list_json(ctx, c->in->scopes)
                                                                          : "[\"openid\",\"profile\",\"email\"]",
                                                  .group_claim = c->in->group_claim ? c->in->group_claim : "",
                                                  .acr = list_json(ctx, c->in->acr),
                                                  .amr = list_json(ctx, c->in->amr),
                                                  .create_accounts = c->in->create_accounts && *c->in->create_accounts,
                                                  .team_id = team,
                                                  .state = "active",
                                                  .now = ctx_now_s(ctx)};
    struct rc rc = q_identity_provider_add(ctx, txn, &in);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS,
                        "an identity provider is named %s already; change it with: certwright identity-provider edit %s", in.name,
                        in.name);
    }
    TRY(rc);
    TRY(groups_put(ctx, c->core, txn, c->id, c->in));
    TRY(facts(ctx, txn, c->id, &now));
    TRY(told(ctx, c->core, txn, "identity-provider.create", c->id, (struct bytes){0}, now));
    return ldap ? agent_told(ctx, c->core, txn) : ask(ctx, c->core, txn, c->id, in.issuer, in.credential);
}

RC identity_provider_create(struct ctx *ctx, struct core *core, const struct identity_provider_input *in, const char **id)
{
    struct change c = {.core = core, .in = in, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    TRY(check_kind(ctx, in, str_equal(in->kind, "ldap")));
    TRY(check_scopes(ctx, in->scopes));
    TRY(check_words(ctx, "/acr", in->acr));
    TRY(check_words(ctx, "/amr", in->amr));
    TRY(store_write(ctx, core->store, create, &c));
    *id = c.id;
    return RC_OK;
}

static struct rc update(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    struct q_identity_provider_get_row row;
    struct q_identity_group_list_row *groups = NULL;
    size_t n = 0;
    const char *team = NULL;
    struct bytes before, after;
    const struct identity_provider_input *in = c->in;
    TRY(access_everywhere(ctx, c->core, txn, "identity-provider.update"));
    TRY(find(ctx, txn, c->ref, &row));
    /* Who sets which claim names the groups could give themselves what these give. */
    TRY(q_identity_group_list(ctx, txn, row.id, &groups, &n));
    TRY(groups_held(ctx, c->core, txn, groups, n));
    TRY(facts(ctx, txn, row.id, &before));
    if (is_oidc(&row) && in->directory)
        return ctx_fail_field(ctx, "/directory", "%s is an OpenID provider", row.name);
    if (in->directory)
        TRY(check_directory(ctx, in->directory));
    if (!is_oidc(&row) && in->credential && !*in->credential)
        return ctx_fail_field(ctx, "/credential", "a directory has one: it says where passwords may be sent");
    if (in->team)
        TRY(access_team(ctx, txn, in->team, &team));
    const char *credential = in->credential ? in->credential : row.credential;
    TRY(q_identity_provider_update(
        ctx, txn,
        &(struct q_identity_provider_update_in){.id = row.id,
                                                .revision = c->revision ? c->revision : row.revision,
                                                .directory = in->directory ? directory_json(ctx, in->directory) : row.directory,
                                                .client_id = in->client_id ? in->client_id : row.client_id,
                                                .credential = credential,
                                                .scopes = in->scopes ? list_json(ctx, in->scopes) : row.scopes,
                                                .group_claim = in->group_claim ? in->group_claim : row.group_claim,
                                                .acr = in->acr ? list_json(ctx, in->acr) : row.acr,
                                                .amr = in->amr ? list_json(ctx, in->amr) : row.amr,
                                                .create_accounts = in->create_accounts ? *in->create_accounts : row.create_accounts,
                                                .team_id = team ? team : row.team_id,
                                                .state = in->state ? in->state : row.state,
                                                .now = ctx_now_s(ctx)}));
    if (in->has_groups)
        TRY(groups_put(ctx, c->core, txn, row.id, in));
    TRY(facts(ctx, txn, row.id, &after));
    TRY(told(ctx, c->core, txn, "identity-provider.update", row.id, before, after));
    return is_oidc(&row) ? ask(ctx, c->core, txn, row.id, row.issuer, credential) : RC_OK;
}

RC identity_provider_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision,
                            const struct identity_provider_input *in)
{
    struct change c = {.core = core, .ref = ref, .revision = revision, .in = in};
    TRY(check_scopes(ctx, in->scopes));
    TRY(check_words(ctx, "/acr", in->acr));
    TRY(check_words(ctx, "/amr", in->amr));
    return store_write(ctx, core->store, update, &c);
}

static struct rc grants_end(struct ctx *ctx, struct core *core, struct txn *txn, const char *user, const char *source)
{
    struct q_grants_by_provider_row *grants = NULL;
    size_t n = 0;
    TRY(q_grants_by_provider(ctx, txn, user, source, &grants, &n));
    for (size_t i = 0; i < n; i++)
        TRY(q_grant_remove(ctx, txn, grants[i].id));
    return n ? scopes_of_user(ctx, core, txn, user) : RC_OK;
}

static struct rc drop(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    struct q_identity_provider_get_row row;
    struct q_identity_users_row *users = NULL;
    size_t n = 0;
    struct q_administrators_row was, now;
    struct bytes before;
    TRY(access_everywhere(ctx, c->core, txn, "identity-provider.delete"));
    TRY(find(ctx, txn, c->ref, &row));
    TRY(facts(ctx, txn, row.id, &before));
    TRY(q_administrators(ctx, txn, c->core->team_root, ROLE_ADMINISTRATOR, &was));
    TRY(q_identity_users(ctx, txn, row.id, "", 10000, &users, &n));
    for (size_t i = 0; i < n; i++)
        TRY(grants_end(ctx, c->core, txn, users[i].user_id, identity_provider_grant_source(ctx, row.name)));
    TRY(q_administrators(ctx, txn, c->core->team_root, ROLE_ADMINISTRATOR, &now));
    if (was.n && !now.n)
        return ctx_fail(ctx, E_CONFLICT,
                        "nobody would be administrator of everything any more; make somebody one by hand first: "
                        "certwright user grant NAME --role administrator");
    TRY(q_identity_end_provider(ctx, txn, row.id));
    TRY(q_provider_sign_in_end(ctx, txn, row.id));
    TRY(q_identity_group_clear(ctx, txn, row.id));
    TRY(q_job_cancel_ref(ctx, txn, row.id, "oidc_look", ctx_now_s(ctx)));
    TRY(timer_clear(ctx, txn, "oidc-look", row.id));
    TRY(q_identity_provider_remove(ctx, txn, row.id));
    return told(ctx, c->core, txn, "identity-provider.delete", row.id, before, (struct bytes){0});
}

RC identity_provider_remove(struct ctx *ctx, struct core *core, const char *ref)
{
    struct change c = {.core = core, .ref = ref};
    return store_write(ctx, core->store, drop, &c);
}

static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    struct q_identity_provider_get_row row;
    TRY(access_everywhere(ctx, c->core, txn, "identity-provider.update"));
    TRY(find(ctx, txn, c->ref, &row));
    if (!is_oidc(&row))
        return ctx_fail(ctx, E_CONFLICT,
                        "a directory has no configuration to be looked at; certwright identity-provider test %s asks it", row.name);
    return ask(ctx, c->core, txn, row.id, row.issuer, row.credential);
}

RC identity_provider_look(struct ctx *ctx, struct core *core, const char *ref)
{
    struct change c = {.core = core, .ref = ref};
    return store_write(ctx, core->store, look, &c);
}

static struct rc show(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    TRY(access_everywhere(ctx, c->core, txn, "identity-provider.read"));
    TRY(find(ctx, txn, c->ref, &c->row));
    return q_identity_group_list(ctx, txn, c->row.id, &c->groups, &c->n);
}

RC identity_provider_show(struct ctx *ctx, struct core *core, const char *ref, struct q_identity_provider_get_row *out,
                          struct q_identity_group_list_row **groups, size_t *n)
{
    struct change c = {.core = core, .ref = ref};
    TRY(store_read(ctx, core->store, show, &c));
    *out = c.row;
    *groups = c.groups;
    *n = c.n;
    return RC_OK;
}

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    TRY(access_everywhere(ctx, c->core, txn, "identity-provider.read"));
    return q_identity_provider_list(ctx, txn, c->after, c->limit, &c->rows, &c->n);
}

RC identity_provider_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit,
                          struct q_identity_provider_get_row **rows, size_t *n)
{
    struct change c = {.core = core, .after = after, .limit = limit};
    TRY(store_read(ctx, core->store, list, &c));
    *rows = c.rows;
    *n = c.n;
    return RC_OK;
}

struct open {
    struct q_identity_provider_open_row *rows;
    size_t n;
};

static struct rc open_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct open *o = arg;
    return q_identity_provider_open(ctx, txn, &o->rows, &o->n);
}

RC identity_provider_open(struct ctx *ctx, struct core *core, struct q_identity_provider_open_row **rows, size_t *n)
{
    struct open o = {0};
    TRY(store_read(ctx, core->store, open_read, &o));
    *rows = o.rows;
    *n = o.n;
    return RC_OK;
}

/* --- accounts */

static struct rc all_held(struct ctx *ctx, struct core *core, struct txn *txn, const char *user)
{
    struct access_right *rights = NULL;
    size_t n = 0;
    TRY(access_rights_of(ctx, core, txn, user, NULL, NULL, &rights, &n));
    for (size_t i = 0; i < n; i++)
        TRY(access_holds(ctx, core, txn, &rights[i].may, rights[i].team));
    return RC_OK;
}

/* Whoever binds an account to a subject can sign in as it: so one that somebody can sign in with already is bound by root alone,
 * and no other by who may do less than it. */
static struct rc may_bind(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_user_get_row *user)
{
    struct sign_in_account account;
    struct q_identity_count_row bound;
    bool found = false;
    if (!str_equal(user->kind, "person"))
        return ctx_fail(ctx, E_CONFLICT, "%s is a service account: it has tokens, and does not sign in", user->name);
    TRY(sign_in_account_get(ctx, txn, user->id, &account, &found));
    TRY(q_identity_count(ctx, txn, user->id, &bound));
    if (ctx->principal->kind == PRINCIPAL_OWNER)
        return RC_OK;
    if (account.password || account.passkey || bound.n)
        return ctx_fail(ctx, E_FORBIDDEN, "%s signs in already; as root on the hub's host: certwright user bind %s …", user->name,
                        user->name);
    return all_held(ctx, core, txn, user->id);
}

static struct rc bind_to(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    struct q_identity_provider_get_row row;
    struct q_user_get_row user;
    struct q_identity_find_row taken;
    bool found = false;
    TRY(user_find(ctx, txn, c->user, &user));
    TRY(access_everywhere(ctx, c->core, txn, "user.bind"));
    TRY(q_identity_provider_get(ctx, txn, c->ref, &row, &found));
    if (!found)
        return ctx_fail_field(ctx, "/provider", "no identity provider is named %s; certwright identity-provider list shows them",
                              c->ref);
    TRY(may_bind(ctx, c->core, txn, &user));
    TRY(q_identity_find(ctx, txn, row.id, c->subject, &taken, &found));
    if (found)
        return ctx_fail(ctx, E_EXISTS, "an account is bound to this subject of %s already", row.name);
    const struct q_identity_add_in in = {.id = c->id,
                                         .user_id = user.id,
                                         .provider_id = row.id,
                                         .subject = c->subject,
                                         .created_by = ctx->principal->name,
                                         .now = ctx_now_s(ctx)};
    TRY(q_identity_add(ctx, txn, &in));
    TRY(q_invitation_remove(ctx, txn, user.id)); /* there is a way in now, and one is enough */
    return audit_write(ctx, txn, "user.bind", "user", user.id, user.team_id,
                       audit_facts(ctx, "provider", row.name, "subject", c->subject, NULL));
}

RC identity_bind(struct ctx *ctx, struct core *core, const char *user, const char *provider, const char *subject)
{
    struct change c = {
        .core = core, .user = user, .ref = provider, .subject = subject, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    return store_write(ctx, core->store, bind_to, &c);
}

static struct rc of_user(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    struct q_user_get_row user;
    TRY(user_find(ctx, txn, c->user, &user));
    return q_identity_list(ctx, txn, user.id, &c->identities, &c->n);
}

RC identity_of_user(struct ctx *ctx, struct core *core, const char *user, struct q_identity_list_row **rows, size_t *n)
{
    struct change c = {.core = core, .user = user};
    TRY(store_read(ctx, core->store, of_user, &c));
    *rows = c.identities;
    *n = c.n;
    return RC_OK;
}

static struct rc unbind(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    struct q_user_get_row user;
    struct q_administrators_row was, now;
    size_t n = 0;
    const struct q_identity_list_row *one = NULL;
    TRY(user_find(ctx, txn, c->user, &user));
    TRY(access_everywhere(ctx, c->core, txn, "user.bind"));
    TRY(q_identity_list(ctx, txn, user.id, &c->identities, &n));
    for (size_t i = 0; i < n; i++)
        if (str_equal(c->identities[i].id, c->id))
            one = &c->identities[i];
    if (!one)
        return ctx_fail(ctx, E_NOT_FOUND, "%s is not bound so; certwright user show %s shows what it is bound to", user.name,
                        user.name);
    TRY(all_held(ctx, c->core, txn, user.id));
    TRY(q_administrators(ctx, txn, c->core->team_root, ROLE_ADMINISTRATOR, &was));
    TRY(q_identity_remove(ctx, txn, one->id, user.id));
    TRY(grants_end(ctx, c->core, txn, user.id, identity_provider_grant_source(ctx, one->provider)));
    TRY(q_administrators(ctx, txn, c->core->team_root, ROLE_ADMINISTRATOR, &now));
    if (was.n && !now.n)
        return ctx_fail(ctx, E_CONFLICT, "%s is the last administrator of everything; make another one first", user.name);
    TRY(session_end_all(ctx, txn, user.id, NULL));
    return audit_write(ctx, txn, "user.unbind", "user", user.id, user.team_id,
                       audit_facts(ctx, "provider", one->provider, "subject", one->subject, NULL));
}

RC identity_unbind(struct ctx *ctx, struct core *core, const char *user, const char *id)
{
    struct change c = {.core = core, .user = user, .id = id};
    return store_write(ctx, core->store, unbind, &c);
}
