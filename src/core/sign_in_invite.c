#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/role.h"
#include "core/sign_in_factor.h"
#include "core/user.h"
#include "pki/digest.h"
#include "store/queries.h"

struct invitation {
    struct core *core;
    const struct sign_in_from *from;
    const char *ref, *code, *name, *kept;
    struct bytes hash;
    struct q_user_get_row row;
    struct sign_in_account account;
    bool first; /* the code of init: there is no account yet */
    struct signed_in *out;
};

/* --- giving one */

static struct rc keep(struct ctx *ctx, struct txn *txn, struct invitation *v, const char *action)
{
    const struct q_invitation_set_in in = {.user_id = v->row.id,
                                           .hash = v->hash,
                                           .created_by = ctx->principal->name,
                                           .now = ctx_now_s(ctx),
                                           .expires_at = ctx_now_s(ctx) + INVITATION_S};
    TRY(q_invitation_set(ctx, txn, &in));
    return audit_write(ctx, txn, action, "user", v->row.id, v->row.team_id, (struct bytes){0});
}

static struct rc find_person(struct ctx *ctx, struct txn *txn, struct invitation *v)
{
    bool found = false;
    TRY(user_find(ctx, txn, v->ref, &v->row));
    if (!str_equal(v->row.kind, "person"))
        return ctx_fail(ctx, E_CONFLICT, "%s is a service account: it has tokens, and does not sign in", v->row.name);
    if (!str_equal(v->row.state, "active"))
        return ctx_fail(ctx, E_CONFLICT, "%s is disabled; enable it first: certwright user enable %s", v->row.name, v->row.name);
    return sign_in_account_get(ctx, txn, v->row.id, &v->account, &found);
}

static struct rc invite(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct invitation *v = arg;
    struct access_right *rights = NULL;
    struct q_identity_count_row bound;
    size_t n = 0;
    TRY(find_person(ctx, txn, v));
    TRY(decide(ctx, v->core, txn, "user.create", v->row.team_id));
    TRY(q_identity_count(ctx, txn, v->row.id, &bound));
    if (bound.n)
        return ctx_fail(ctx, E_CONFLICT, "%s signs in by an identity provider already; certwright user identities %s shows which",
                        v->row.name, v->row.name);
    if (v->account.password || v->account.passkey)
        return ctx_fail(ctx, E_CONFLICT, "%s has set a password already; as root on the hub's host: certwright user reset %s",
                        v->row.name, v->row.name);
    /* Whoever holds the link can become its person: that must not be more than they are. */
    TRY(access_rights_of(ctx, v->core, txn, v->row.id, NULL, NULL, &rights, &n));
    for (size_t i = 0; i < n; i++)
        TRY(access_holds(ctx, v->core, txn, &rights[i].may, rights[i].team));
    return keep(ctx, txn, v, "user.invite");
}

static struct rc reset(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct invitation *v = arg;
    TRY(find_person(ctx, txn, v));
    TRY(decide(ctx, v->core, txn, "user.reset", v->row.team_id));
    if (ctx->principal->kind != PRINCIPAL_OWNER)
        return ctx_fail(ctx, E_FORBIDDEN, "only root on the hub's host takes away what somebody signs in with");
    TRY(factor_reset(ctx, txn, v->row.id));
    return keep(ctx, txn, v, "user.reset");
}

static struct rc make(struct ctx *ctx, struct core *core, const char *ref, store_fn *fn, struct invitation_made *out)
{
    struct invitation v = {.core = core, .ref = ref};
    TRY(session_text_new(ctx, &v.code, &v.hash));
    TRY(store_write(ctx, core->store, fn, &v));
    *out = (struct invitation_made){.name = v.row.name, .code = v.code, .expires_at = ctx_now_s(ctx) + INVITATION_S};
    return RC_OK;
}

RC invitation_create(struct ctx *ctx, struct core *core, const char *ref, struct invitation_made *out)
{
    return make(ctx, core, ref, invite, out);
}

RC user_reset(struct ctx *ctx, struct core *core, const char *ref, struct invitation_made *out)
{
    return make(ctx, core, ref, reset, out);
}

RC invitation_narrow(struct ctx *ctx, struct txn *txn, const char *user)
{
    return q_invitation_remove_of_others(ctx, txn, user, ctx->principal->name);
}

RC invitation_narrow_role(struct ctx *ctx, struct txn *txn, const char *role_id)
{
    return q_invitation_remove_of_role(ctx, txn, role_id, ctx->principal->name);
}

/* --- taking it */

#define LINK_GONE "the link was used, or is too old; ask for another: certwright user reset NAME, as root on the hub's host"

static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct invitation *v = arg;
    struct q_invitation_by_hash_row row;
    struct q_token_by_hash_row link;
    bool found = false;
    v->first = false;
    TRY(q_invitation_by_hash(ctx, txn, v->hash, ctx_now_s(ctx), &row, &found));
    if (found) {
        TRY(sign_in_account_get(ctx, txn, row.user_id, &v->account, &found));
        return found && v->account.active ? RC_OK : ctx_fail(ctx, E_UNAUTHENTICATED, LINK_GONE);
    }
    TRY(q_token_by_hash(ctx, txn, v->hash, ctx_now_s(ctx), &link, &found));
    if (!found || !str_equal(link.role, SIGN_IN_LINK_ROLE))
        return ctx_fail(ctx, E_UNAUTHENTICATED, LINK_GONE);
    v->first = true;
    v->account = (struct sign_in_account){.name = v->name, .team = link.team_id};
    return RC_OK;
}

/* The first administrator: of the team that holds everything. */
static struct rc first_administrator(struct ctx *ctx, struct txn *txn, struct invitation *v)
{
    struct q_token_by_hash_row link;
    struct q_role_get_row role;
    bool found = false;
    const int64_t now = ctx_now_s(ctx);
    TRY(q_token_by_hash(ctx, txn, v->hash, now, &link, &found));
    if (!found || !str_equal(link.role, SIGN_IN_LINK_ROLE))
        return ctx_fail(ctx, E_UNAUTHENTICATED, LINK_GONE);
    TRY(q_token_revoke(ctx, txn, link.id, now));
    v->account.id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    const struct q_user_add_in user = {.id = v->account.id,
                                       .team_id = v->core->team_root,
                                       .kind = "person",
                                       .name = v->name,
                                       .display_name = "",
                                       .email = "",
                                       .now = now};
    struct rc rc = q_user_add(ctx, txn, &user);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail_field(ctx, "/name", "the name %s is taken", v->name);
    }
    TRY(rc);
    TRY(role_find(ctx, txn, ROLE_ADMINISTRATOR, &role));
    const struct q_grant_add_in grant = {.id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                                         .user_id = v->account.id,
                                         .role_id = role.id,
                                         .team_id = v->core->team_root,
                                         .source = "local",
                                         .created_by = "hub",
                                         .now = now};
    TRY(q_grant_add(ctx, txn, &grant));
    sign_in_act_as(ctx, v->core, v->account.id, v->name, v->core->team_root);
    return audit_write(ctx, txn, "user.create", "user", v->account.id, v->core->team_root,
                       audit_facts(ctx, "name", v->name, "role", ROLE_ADMINISTRATOR, NULL));
}

static struct rc accept(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct invitation *v = arg;
    if (v->first) {
        TRY(first_administrator(ctx, txn, v));
    } else {
        struct rc rc = q_invitation_take(ctx, txn, v->hash);
        if (rc.e == E_CHANGED) {
            ctx_forget(ctx);
            return ctx_fail(ctx, E_UNAUTHENTICATED, LINK_GONE);
        }
        TRY(rc);
    }
    TRY(q_password_set(ctx, txn, v->account.id, v->kept, ctx_now_s(ctx)));
    TRY(session_end_all(ctx, txn, v->account.id, NULL));
    sign_in_act_as(ctx, v->core, v->account.id, v->account.name, v->account.team);
    TRY(audit_write(ctx, txn, "password.create", "user", v->account.id, v->account.team, (struct bytes){0}));
    bool found = false;
    TRY(sign_in_account_get(ctx, txn, v->account.id, &v->account, &found));
    return sign_in_step(ctx, txn, v->from, NULL, v->account.totp || v->account.passkey ? SESSION_SECOND : SESSION_ENROL,
                        v->account.id, "invitation", v->out);
}

RC invitation_accept(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const char *code, const char *name,
                     const char *password, struct signed_in *out)
{
    struct invitation v = {.core = core, .from = from, .name = name, .out = out};
    TRY(digest_sha256_new(ctx, bytes_z(code), &v.hash));
    TRY(store_read(ctx, core->store, look, &v));
    if (v.first && !name)
        return ctx_fail_field(ctx, "/name", "choose the name that you will sign in with");
    TRY(sign_in_password_fits(ctx, v.account.name, password));
    TRY(sign_in_hash(ctx, core, password, &v.kept));
    return store_write(ctx, core->store, accept, &v);
}
