#include "core/scope.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/random.h"
#include "core/job.h"
#include "core/role.h"
#include "pki/digest.h"
#include "store/queries.h"

#define PAGE    500
#define EVERY_S 86400

bool scope_is_several(const char *scope)
{
    return scope[0] == 's' && strlen(scope) == ID_LEN; /* ids of teams are as long, and begin with a digit */
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* sorted gives the teams in order, each once. */
static struct str_list sorted(struct ctx *ctx, const char **teams, size_t n)
{
    struct str_list out = {.v = arena_array(&ctx->arena, n + 1, sizeof *out.v)};
    const char **all = arena_dup(&ctx->arena, teams, n * sizeof *teams);
    qsort(all, n, sizeof *all, by_text);
    for (size_t i = 0; i < n; i++)
        if (!i || !str_equal(all[i], all[i - 1]))
            out.v[out.n++] = all[i];
    return out;
}

RC scope_of_teams(struct ctx *ctx, const char *root, const char **teams, size_t n, const char **out)
{
    struct buf b;
    uint8_t hash[SHA256_LEN];
    bool differ = false;
    *out = n ? teams[0] : NULL;
    for (size_t i = 0; i < n; i++) {
        differ |= !str_equal(teams[i], teams[0]);
        if (str_equal(teams[i], root)) {
            *out = root;
            return RC_OK;
        }
    }
    if (!differ)
        return RC_OK;
    const struct str_list all = sorted(ctx, teams, n);
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    for (size_t i = 0; i < all.n; i++) {
        buf_put_z(&b, all.v[i]);
        buf_put_u8(&b, '\n');
    }
    TRY(buf_status(&b));
    TRY(digest_sha256(ctx, buf_bytes(&b), hash));
    *out = arena_printf(&ctx->arena, "s%.25s", hex_str(&ctx->arena, bytes_of(hash, sizeof hash)));
    return RC_OK;
}

/* --- which scopes somebody's rights need */

/* The teams of the rights of `mask`, as one. */
static struct rc make(struct ctx *ctx, struct core *core, struct txn *txn, const struct access_right *rights, size_t n,
                      uint64_t mask)
{
    const char *teams[ACCESS_RIGHTS_MAX], *id;
    size_t teams_n = 0;
    struct buf b;
    struct json_out j;
    for (size_t i = 0; i < n; i++)
        if (mask >> i & 1)
            teams[teams_n++] = rights[i].team;
    TRY(scope_of_teams(ctx, core->team_root, teams, teams_n, &id));
    if (!scope_is_several(id))
        return RC_OK;
    const struct str_list all = sorted(ctx, teams, teams_n);
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    for (size_t i = 0; i < all.n; i++)
        json_put_str(&j, NULL, all.v[i]);
    json_close(&j);
    TRY(buf_status(&b));
    TRY(q_scope_add(ctx, txn, id, buf_z(&b), ctx_now_s(ctx)));
    for (size_t i = 0; i < all.n; i++)
        TRY(q_scope_fill(ctx, txn, id, all.v[i]));
    return RC_OK;
}

/* Permissions that the same rights give share a scope. */
static struct rc make_all(struct ctx *ctx, struct core *core, struct txn *txn, const struct access_right *rights, size_t n)
{
    uint64_t made[PERMISSIONS_N];
    size_t made_n = 0;
    for (size_t bit = 0; bit < PERMISSIONS_N; bit++) {
        uint64_t mask = 0;
        bool there = false;
        for (size_t i = 0; i < n; i++)
            mask |= (uint64_t)permission_in(&rights[i].may, bit) << i;
        for (size_t i = 0; i < made_n; i++)
            there |= made[i] == mask;
        if (there || !(mask & (mask - 1))) /* none, or one team */
            continue;
        made[made_n++] = mask;
        TRY(make(ctx, core, txn, rights, n, mask));
    }
    return RC_OK;
}

RC scopes_of_user(struct ctx *ctx, struct core *core, struct txn *txn, const char *user_id)
{
    struct access_right *rights = NULL;
    struct q_tokens_of_user_row *tokens = NULL;
    size_t n = 0, tokens_n = 0;
    TRY(access_rights_of(ctx, core, txn, user_id, NULL, NULL, &rights, &n));
    if (n < 2)
        return RC_OK;
    TRY(make_all(ctx, core, txn, rights, n));
    TRY(q_tokens_of_user(ctx, txn, user_id, ctx_now_s(ctx), 1000, &tokens, &tokens_n));
    for (size_t i = 0; i < tokens_n; i++) {
        struct permission_set may, scopes;
        TRY(permission_set_read(ctx, tokens[i].role_permissions, "a token's role", &may));
        if (tokens[i].permissions) {
            TRY(permission_set_read(ctx, tokens[i].permissions, "a token", &scopes));
            may = permission_both(&may, &scopes);
        }
        TRY(access_rights_of(ctx, core, txn, user_id, tokens[i].team_id, &may, &rights, &n));
        TRY(make_all(ctx, core, txn, rights, n));
    }
    return RC_OK;
}

RC scopes_of_all(struct ctx *ctx, struct core *core, struct txn *txn)
{
    const char *after = "";
    for (;;) {
        struct q_users_granted_often_row *users = NULL;
        size_t n = 0;
        TRY(q_users_granted_often(ctx, txn, after, PAGE, &users, &n));
        for (size_t i = 0; i < n; i++)
            TRY(scopes_of_user(ctx, core, txn, users[i].id));
        if (n < PAGE)
            return RC_OK;
        after = users[n - 1].id;
    }
}

RC scopes_start(struct ctx *ctx, struct txn *txn)
{
    struct q_timer_get_row timer;
    bool there = false;
    TRY(q_timer_get(ctx, txn, "scopes", "all", &timer, &there));
    return there ? RC_OK : timer_arm(ctx, txn, "scopes", "all", ctx_now_s(ctx) + EVERY_S);
}

RC scopes_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref)
{
    struct q_scopes_unused_row *rows = NULL;
    size_t n = 0;
    TRY(scopes_of_all(ctx, core, txn)); /* notes that they are used */
    TRY(q_scopes_unused(ctx, txn, ctx_now_s(ctx), PAGE, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        TRY(q_scope_empty(ctx, txn, rows[i].id));
        TRY(q_scope_remove(ctx, txn, rows[i].id));
    }
    return timer_arm(ctx, txn, "scopes", ref, ctx_now_s(ctx) + EVERY_S);
}
