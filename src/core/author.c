#include "core/author.h"

#include "base/str.h"
#include "core/request.h"
#include "store/queries.h"

RC author_of(struct ctx *ctx, struct txn *txn, struct author *out)
{
    const struct principal *p = ctx->principal;
    *out = (struct author){.kind = p->user ? PRINCIPAL_USER : p->kind, .id = p->user ? p->user : p->id, .name = p->name};
    return request_maker(ctx, txn, &out->person);
}

/* A person or a service account, with the rights it has now. */
static struct rc account(struct ctx *ctx, struct core *core, struct txn *txn, const struct author *author,
                         const struct principal **out, const char **name)
{
    struct q_user_by_id_row user;
    struct access_right *rights = NULL;
    size_t n = 0;
    bool found = false;
    TRY(q_user_by_id(ctx, txn, author->id, &user, &found));
    if (found)
        *name = arena_printf(&ctx->arena, "user:%s", user.name);
    if (!found || !str_equal(user.state, "active"))
        return ctx_fail(ctx, E_UNAUTHENTICATED, "the account is disabled");
    TRY(access_rights_of(ctx, core, txn, user.id, NULL, NULL, &rights, &n));
    const struct principal p = {.kind = PRINCIPAL_USER,
                                .id = user.id,
                                .name = *name,
                                .team = "",
                                .user = user.id,
                                .rights = rights,
                                .rights_n = n};
    *out = arena_dup(&ctx->arena, &p, sizeof p);
    return RC_OK;
}

RC author_lacks(struct ctx *ctx, struct core *core, struct txn *txn, const struct author *author,
                const struct permission_set *needs, const char *team, const char **why)
{
    const struct principal *was = ctx->principal, *who = NULL;
    const char *name = author->name && *author->name ? author->name : "who made it";
    *why = NULL;
    struct rc rc = author->kind == PRINCIPAL_USER ? account(ctx, core, txn, author, &who, &name)
                                                  : access_again(ctx, core, txn, author->kind, author->id, &who);
    if (rc.e == E_UNAUTHENTICATED) {
        ctx_forget(ctx);
        *why = arena_printf(&ctx->arena, "%s has left, was disabled, or its token has ended", name);
        return RC_OK;
    }
    TRY(rc);
    ctx->principal = who;
    rc = access_holds(ctx, core, txn, needs, team);
    ctx->principal = was;
    if (rc.e != E_FORBIDDEN)
        return rc;
    const char *said = strstr(ctx_why(ctx), ": ");
    *why = arena_printf(&ctx->arena, "%s has lost a right that it needs: %s", name, said ? said + 2 : ctx_why(ctx));
    ctx_forget(ctx);
    return RC_OK;
}
