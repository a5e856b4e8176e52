#include "core/access.h"

#include "base/encode.h"
#include "base/random.h"
#include "base/str.h"
#include "core/request.h"
#include "core/role.h"
#include "core/rule_author.h"
#include "core/scope.h"
#include "pki/digest.h"
#include "store/queries.h"

#define TEAMS_NAMED 20 /* in a message */

static const struct principal *principal_new(struct ctx *ctx, struct principal p)
{
    return arena_dup(&ctx->arena, &p, sizeof p);
}

const struct principal *access_owner(struct ctx *ctx, const struct core *core, int64_t uid)
{
    const char *name = arena_printf(&ctx->arena, "uid:%lld", (long long)uid);
    return principal_new(
        ctx,
        (struct principal){.kind = PRINCIPAL_OWNER, .id = name, .name = name, .team = core->team_root, .role = "administrator"});
}

const struct principal *access_hub(struct ctx *ctx, const struct core *core)
{
    return principal_new(
        ctx, (struct principal){.kind = PRINCIPAL_HUB, .id = "hub", .name = "hub", .team = core->team_root, .role = "hub"});
}

const struct principal *access_agent(struct ctx *ctx, const struct core *core, const char *agent_id, const char *name)
{
    return principal_new(ctx, (struct principal){.kind = PRINCIPAL_AGENT,
                                                 .id = arena_strdup(&ctx->arena, agent_id),
                                                 .name = arena_printf(&ctx->arena, "agent:%s", name),
                                                 .team = core->team_root,
                                                 .role = "agent"});
}

RC token_text_new(struct ctx *ctx, const char **text, struct bytes *hash)
{
    uint8_t raw[32];
    random_fill(raw, sizeof raw);
    *text = arena_printf(&ctx->arena, TOKEN_PREFIX "%s", base64url_str(&ctx->arena, bytes_of(raw, sizeof raw)));
    uint8_t *digest = arena_alloc(&ctx->arena, 32);
    TRY(digest_sha256(ctx, bytes_z(*text), digest));
    *hash = bytes_of(digest, 32);
    return RC_OK;
}

/* --- rights, as they are now */

RC access_rights_of(struct ctx *ctx, struct core *core, struct txn *txn, const char *user_id, const char *team,
                    const struct permission_set *most, struct access_right **out, size_t *n)
{
    struct q_grants_of_user_row *rows = NULL;
    size_t rows_n = 0;
    TRY(team ? q_grants_of_user_in(ctx, txn, user_id, team, ACCESS_RIGHTS_MAX, &rows, &rows_n)
             : q_grants_of_user(ctx, txn, user_id, ACCESS_RIGHTS_MAX, &rows, &rows_n));
    struct access_right *v = arena_array(&ctx->arena, rows_n, sizeof *v);
    for (size_t i = 0; i < rows_n; i++) {
        v[i] = (struct access_right){.team = rows[i].team_id, .role = rows[i].role};
        TRY(role_set(ctx, core, rows[i].permissions, &v[i].may));
        if (most)
            v[i].may = permission_both(&v[i].may, most);
    }
    *out = v;
    *n = rows_n;
    return RC_OK;
}

RC access_user(struct ctx *ctx, struct core *core, struct txn *txn, const char *user_id, const struct principal **out)
{
    struct q_user_by_id_row user;
    struct access_right *rights = NULL;
    size_t n = 0;
    bool found = false;
    TRY(q_user_by_id(ctx, txn, user_id, &user, &found));
    if (!found || !str_equal(user.state, "active") || !str_equal(user.kind, "person"))
        return ctx_fail(ctx, E_UNAUTHENTICATED, "sign in again");
    TRY(access_rights_of(ctx, core, txn, user_id, NULL, NULL, &rights, &n));
    *out = principal_new(ctx, (struct principal){.kind = PRINCIPAL_USER,
                                                 .id = user.id,
                                                 .name = arena_printf(&ctx->arena, "user:%s", user.name),
                                                 .team = "",
                                                 .user = user.id,
                                                 .rights = rights,
                                                 .rights_n = n});
    return RC_OK;
}

struct token_lookup {
    struct core *core;
    struct bytes hash;
    struct q_token_by_hash_row row;
    struct access_right *rights;
    size_t rights_n;
    const struct permission_set *most;
    bool found;
};

/* A token may do what its role may, less what its scopes leave out; one of somebody only what they may do themselves now. */
static struct rc token_rights(struct ctx *ctx, struct txn *txn, struct token_lookup *l)
{
    const struct q_token_by_hash_row *row = &l->row;
    struct access_right *own = ARENA_NEW(&ctx->arena, struct access_right);
    struct permission_set scopes;
    *own = (struct access_right){.team = row->team_id, .role = row->role};
    if (row->role_permissions) /* else its role is none: a token that may do nothing */
        TRY(role_set(ctx, l->core, row->role_permissions, &own->may));
    if (row->permissions) {
        TRY(permission_set_read(ctx, row->permissions, "a token", &scopes));
        own->may = permission_both(&own->may, &scopes);
    }
    l->most = &own->may;
    if (row->user_id)
        return access_rights_of(ctx, l->core, txn, row->user_id, row->team_id, &own->may, &l->rights, &l->rights_n);
    l->rights = own;
    l->rights_n = 1;
    return RC_OK;
}

static const struct principal *token_principal(struct ctx *ctx, const struct token_lookup *l)
{
    return principal_new(ctx, (struct principal){.kind = PRINCIPAL_TOKEN,
                                                 .id = l->row.id,
                                                 .name = arena_printf(&ctx->arena, "token:%s", l->row.name),
                                                 .team = l->row.team_id,
                                                 .role = l->row.role,
                                                 .agent = l->row.agent_id,
                                                 .user = l->row.user_id,
                                                 .rights = l->rights,
                                                 .rights_n = l->rights_n,
                                                 .most = l->most,
                                                 .most_team = l->row.team_id});
}

static struct rc token_lookup(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct token_lookup *l = arg;
    TRY(q_token_by_hash(ctx, txn, l->hash, ctx_now_s(ctx), &l->row, &l->found));
    return l->found ? token_rights(ctx, txn, l) : RC_OK;
}

static struct rc token_again(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const struct principal **out)
{
    struct token_lookup l = {.core = core};
    TRY(q_token_by_id(ctx, txn, id, ctx_now_s(ctx), &l.row, &l.found));
    if (!l.found)
        return ctx_fail(ctx, E_UNAUTHENTICATED, "the token that asked was revoked or has expired");
    TRY(token_rights(ctx, txn, &l));
    *out = token_principal(ctx, &l);
    return RC_OK;
}

RC access_again(struct ctx *ctx, struct core *core, struct txn *txn, enum principal_kind kind, const char *id,
                const struct principal **out)
{
    const char *why = NULL;
    int64_t uid = 0;
    switch (kind) {
    case PRINCIPAL_USER:
        return access_user(ctx, core, txn, id, out);
    case PRINCIPAL_TOKEN:
        return token_again(ctx, core, txn, id, out);
    case PRINCIPAL_HUB:
        *out = access_hub(ctx, core);
        return RC_OK;
    case PRINCIPAL_RULE:
        TRY(rule_acts(ctx, core, txn, id, out, &why));
        return why ? ctx_fail(ctx, E_UNAUTHENTICATED, "%s", why) : RC_OK;
    case PRINCIPAL_OWNER:
        if (strncmp(id, "uid:", 4) == 0 && str_to_i64(bytes_z(id + 4), &uid)) {
            *out = access_owner(ctx, core, uid);
            return RC_OK;
        }
        break;
    default:
        break;
    }
    return ctx_fail(ctx, E_UNAUTHENTICATED, "who asked is not there any more");
}

static struct rc token_note_use(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct token_lookup *l = arg;
    return q_token_used(ctx, txn, l->row.id, ctx_now_s(ctx));
}

RC access_token(struct ctx *ctx, struct core *core, struct bytes token, const struct principal **out)
{
    uint8_t digest[32];
    TRY(digest_sha256(ctx, token, digest));
    struct token_lookup l = {.core = core, .hash = bytes_of(digest, sizeof digest)};
    TRY(store_read(ctx, core->store, token_lookup, &l));
    if (!l.found)
        return ctx_fail(ctx, E_UNAUTHENTICATED,
                        "the token is unknown, revoked or expired; make one with: certwright token add NAME");
    /* When it was last used is kept to the hour, so that using a token does not cost a write each time. */
    if (!l.row.used_at || *l.row.used_at < ctx_now_s(ctx) - 3600)
        TRY(store_write(ctx, core->store, token_note_use, &l));
    *out = token_principal(ctx, &l);
    return RC_OK;
}

static struct rc client_key_lookup(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct token_lookup *l = arg;
    TRY(q_token_by_spki(ctx, txn, l->hash, ctx_now_s(ctx), &l->row, &l->found));
    return l->found ? token_rights(ctx, txn, l) : RC_OK;
}

RC access_client_key(struct ctx *ctx, struct core *core, struct bytes spki_sha256, const struct principal **out)
{
    struct token_lookup l = {.core = core, .hash = spki_sha256};
    TRY(store_read(ctx, core->store, client_key_lookup, &l));
    if (!l.found)
        return ctx_fail(ctx, E_UNAUTHENTICATED,
                        "the key of this certificate is not enrolled, or its time is over: certwright client-key add USER");
    if (!l.row.used_at || *l.row.used_at < ctx_now_s(ctx) - 3600)
        TRY(store_write(ctx, core->store, token_note_use, &l));
    *out = token_principal(ctx, &l);
    return RC_OK;
}

struct agent_lookup {
    const char *identity;
    struct q_agent_by_identity_row row;
    bool found;
};

static struct rc agent_lookup(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct agent_lookup *l = arg;
    return q_agent_by_identity(ctx, txn, l->identity, &l->row, &l->found);
}

RC access_agent_by_identity(struct ctx *ctx, struct core *core, const char *identity, const struct principal **out)
{
    struct agent_lookup l = {.identity = identity};
    TRY(store_read(ctx, core->store, agent_lookup, &l));
    if (!l.found || str_equal(l.row.state, "removed"))
        return ctx_fail(ctx, E_UNAUTHENTICATED, "no agent is known as %s", identity);
    *out = access_agent(ctx, core, l.row.id, l.row.name);
    return RC_OK;
}

const char *access_scope(const struct ctx *ctx)
{
    return ctx->principal && ctx->principal->team ? ctx->principal->team : "";
}

static struct rc say_which(struct ctx *ctx, struct txn *txn, const char *scope)
{
    struct q_team_show_row *rows = NULL;
    size_t n = 0;
    const char *names = "";
    TRY(q_team_list(ctx, txn, scope, "", TEAMS_NAMED, &rows, &n));
    for (size_t i = 0; i < n; i++)
        names = arena_printf(&ctx->arena, "%s%s%s", names, i ? ", " : "", rows[i].name);
    return ctx_fail_field(ctx, "/team", "you may do this in several teams; say in which: %s%s", names,
                          n == TEAMS_NAMED ? ", …" : "");
}

struct rc access_team(struct ctx *ctx, struct txn *txn, const char *name, const char **team)
{
    struct q_team_get_row row;
    bool found = false;
    *team = access_scope(ctx);
    if (!name || str_equal(name, *team))
        return scope_is_several(*team) ? say_which(ctx, txn, *team) : RC_OK;
    TRY(q_team_get(ctx, txn, name, *team, &row, &found));
    if (!found)
        return ctx_fail_field(ctx, "/team", "no team is named %s", name);
    *team = row.id;
    return RC_OK;
}

const char *access_agent_of(const struct ctx *ctx)
{
    return ctx->principal && ctx->principal->agent ? ctx->principal->agent : "";
}

/* --- what somebody may do, and where */

/* Whose rights are a list of grants. */
static bool has_rights(const struct principal *p)
{
    return p->kind == PRINCIPAL_TOKEN || p->kind == PRINCIPAL_USER || p->kind == PRINCIPAL_RULE;
}

/* where_may gives the scope of a permission: NULL where the principal has it nowhere. */
static struct rc where_may(struct ctx *ctx, const struct core *core, const char *action, const char **scope)
{
    const struct principal *p = ctx->principal;
    const char *teams[ACCESS_RIGHTS_MAX];
    size_t n = 0, bit = 0;
    *scope = NULL;
    if (p->kind == PRINCIPAL_HUB || (p->kind == PRINCIPAL_AGENT && str_equal(action, "agent.work")) ||
        (p->kind == PRINCIPAL_OWNER && !str_equal(action, "agent.work"))) { /* what agents do, only agents do */
        *scope = p->team;
        return RC_OK;
    }
    if (!has_rights(p) || !api_permission_find(action, &bit))
        return RC_OK;
    for (size_t i = 0; i < p->rights_n && n < ACCESS_RIGHTS_MAX; i++)
        if (permission_in(&p->rights[i].may, bit))
            teams[n++] = p->rights[i].team;
    return scope_of_teams(ctx, core->team_root, teams, n, scope);
}

static struct rc may(struct ctx *ctx, const struct core *core, const char *action, const char **scope)
{
    *scope = NULL;
    if (!ctx->principal)
        return ctx_fail(ctx, E_UNAUTHENTICATED, "say who you are: a bearer token, or root on the admin socket");
    TRY(where_may(ctx, core, request_stands_for(ctx->principal, action), scope));
    return *scope ? RC_OK : ctx_fail(ctx, E_FORBIDDEN, "%s may not do %s", ctx->principal->name, action);
}

RC access_enter(struct ctx *ctx, struct core *core, const char *action)
{
    const char *scope;
    TRY(may(ctx, core, action, &scope));
    if (str_equal(scope, ctx->principal->team))
        return RC_OK;
    struct principal p = *ctx->principal;
    p.team = scope;
    ctx->principal = principal_new(ctx, p);
    return RC_OK;
}

static struct rc within(struct ctx *ctx, struct txn *txn, const char *team, const char *scope, bool *out)
{
    struct q_team_is_within_row row;
    *out = str_equal(team, scope);
    return *out ? RC_OK : q_team_is_within(ctx, txn, team, scope, &row, out);
}

RC decide(struct ctx *ctx, struct core *core, struct txn *txn, const char *action, const char *team)
{
    const char *scope;
    bool there = true;
    TRY(may(ctx, core, action, &scope));
    if (team)
        TRY(within(ctx, txn, team, scope, &there));
    /* Outside one's teams a thing is not there: whether it exists is not for the caller to know. */
    return there ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "not there");
}

RC access_has(struct ctx *ctx, struct core *core, struct txn *txn, const char *action, const char *team, bool *out)
{
    const char *scope;
    *out = false;
    TRY(where_may(ctx, core, action, &scope));
    return scope ? within(ctx, txn, team, scope, out) : RC_OK;
}

RC access_everywhere(struct ctx *ctx, struct core *core, struct txn *txn, const char *action)
{
    const char *scope;
    bool there = false;
    TRY(may(ctx, core, action, &scope));
    TRY(within(ctx, txn, core->team_root, scope, &there));
    return there ? RC_OK
                 : ctx_fail(ctx, E_FORBIDDEN, "%s may do %s in some teams only; this is of all of them", ctx->principal->name,
                            action);
}

RC access_holds(struct ctx *ctx, struct core *core, struct txn *txn, const struct permission_set *want, const char *team)
{
    const struct principal *p = ctx->principal;
    struct permission_set held = {0};
    (void)core;
    if (p && (p->kind == PRINCIPAL_OWNER || p->kind == PRINCIPAL_HUB))
        return RC_OK;
    for (size_t i = 0; p && has_rights(p) && i < p->rights_n; i++) {
        bool there = false;
        TRY(within(ctx, txn, team, p->rights[i].team, &there));
        if (there)
            permission_join(&held, &p->rights[i].may);
    }
    const char *lacks = permission_beyond(want, &held);
    return lacks ? ctx_fail(ctx, E_FORBIDDEN, "nobody gives what they do not hold: %s may not do %s there", p ? p->name : "nobody",
                            lacks)
                 : RC_OK;
}

bool access_has_role(const struct ctx *ctx, const char *role)
{
    const struct principal *p = ctx->principal;
    for (size_t i = 0; p && has_rights(p) && i < p->rights_n; i++)
        if (str_equal(p->rights[i].role, role))
            return true;
    return p && p->kind == PRINCIPAL_TOKEN && str_equal(p->role, role);
}
