#include "core/access.h"

#include "base/encode.h"
#include "base/random.h"
#include "base/str.h"
#include "pki/digest.h"
#include "store/queries.h"

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

struct token_lookup {
    struct core *core;
    struct bytes hash;
    struct q_token_by_hash_row row;
    bool found;
};

static struct rc token_lookup(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct token_lookup *l = arg;
    return q_token_by_hash(ctx, txn, l->hash, ctx_now_s(ctx), &l->row, &l->found);
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
    *out = principal_new(ctx, (struct principal){.kind = PRINCIPAL_TOKEN,
                                                 .id = l.row.id,
                                                 .name = arena_printf(&ctx->arena, "token:%s", l.row.name),
                                                 .team = l.row.team_id,
                                                 .role = l.row.role,
                                                 .agent = l.row.agent_id});
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

struct rc access_team(struct ctx *ctx, struct txn *txn, const char *name, const char **team)
{
    struct q_team_get_row row;
    bool found = false;
    *team = access_scope(ctx);
    if (!name)
        return RC_OK;
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

/* The built-in roles: what each may do, by the prefix of the permission. */
static const struct role_row {
    enum principal_kind kind;
    const char *role;
    const char *prefix;
} roles[] = {
    {PRINCIPAL_OWNER, "administrator", ""},
    {PRINCIPAL_TOKEN, "administrator", ""},
    {PRINCIPAL_TOKEN, "challenges", "challenge."},
    {PRINCIPAL_HUB, "hub", ""},
    {PRINCIPAL_AGENT, "agent", "agent.work"},
};

RC decide(struct ctx *ctx, struct core *core, struct txn *txn, const char *action, const char *team)
{
    const struct principal *p = ctx->principal;
    if (!p)
        return ctx_fail(ctx, E_UNAUTHENTICATED, "say who you are: a bearer token, or root on the admin socket");
    bool may = false;
    for (size_t i = 0; i < sizeof roles / sizeof *roles && !may; i++)
        may = roles[i].kind == p->kind && str_equal(roles[i].role, p->role) &&
              bytes_starts_with(bytes_z(action), bytes_z(roles[i].prefix)) &&
              /* What agents do, only agents do. */
              (p->kind == PRINCIPAL_AGENT || p->kind == PRINCIPAL_HUB || !str_equal(action, "agent.work"));
    if (!may)
        return ctx_fail(ctx, E_FORBIDDEN, "%s may not do %s", p->name, action);
    if (!team || str_equal(team, p->team))
        return RC_OK;
    (void)core;
    struct q_team_is_within_row row;
    bool within = false;
    TRY(q_team_is_within(ctx, txn, team, p->team, &row, &within));
    /* Outside one's teams a thing is not there: whether it exists is not for the caller to know. */
    return within ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "not there");
}
