/* What a decision costs: decide() with the team of an object, within one read of the store, for somebody with one grant and for
 * somebody with eight; beside it, of the same run, a point query of the same table.  And what it takes to find out who a token is.
 *
 *     decide engine=sqlite grants=8 us=… query_us=… */
#include "on_engines.h"

#include "base/random.h"
#include "core/access.h"
#include "core/role.h"
#include "core/scope.h"
#include "pki/digest.h"
#include "store/queries.h"

#define TEAMS  100
#define ROUNDS 20000

struct bench {
    struct core core;
    const char *team[TEAMS], *user, *text;
    struct bytes hash;
    size_t grants;
    double decide_us, query_us;
};

static struct rc make(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct bench *b = arg;
    struct q_role_get_row role;
    bool found = false;
    for (size_t i = 0; i < TEAMS; i++) {
        TRY(q_team_add(ctx, txn, b->team[i], i ? b->team[0] : NULL, b->team[i], 1));
        TRY(q_team_within_add(ctx, txn, b->team[i], b->team[i]));
        if (i)
            TRY(q_team_within_add(ctx, txn, b->team[i], b->team[0]));
        if (i >= TEAMS / 2) /* below those of the grants */
            TRY(q_team_within_add(ctx, txn, b->team[i], b->team[1 + i % b->grants]));
    }
    TRY(role_start(ctx, txn));
    TRY(q_role_get(ctx, txn, "operator", &role, &found));
    TRY(q_user_add(
        ctx, txn,
        &(struct q_user_add_in){
            .id = b->user, .team_id = b->team[0], .kind = "service", .name = "bench", .display_name = "", .email = "", .now = 1}));
    for (size_t i = 0; i < b->grants; i++)
        TRY(q_grant_add(ctx, txn,
                        &(struct q_grant_add_in){.id = id_new(&ctx->arena, 1),
                                                 .user_id = b->user,
                                                 .role_id = role.id,
                                                 .team_id = b->team[1 + i],
                                                 .source = "local",
                                                 .created_by = "bench",
                                                 .now = 1}));
    TRY(q_token_add(ctx, txn,
                    &(struct q_token_add_in){.id = id_new(&ctx->arena, 1),
                                             .team_id = b->team[0],
                                             .name = "bench",
                                             .role = "administrator",
                                             .user_id = b->user,
                                             .hash = b->hash,
                                             .now = 1,
                                             .expires_at = INT64_MAX}));
    return scopes_of_user(ctx, &b->core, txn, b->user);
}

static double per_round_us(int64_t began_us)
{
    return (double)(clock_mono_us() - began_us) / ROUNDS;
}

static struct rc decide_often(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct bench *b = arg;
    struct q_team_is_within_row row;
    bool found = false;
    int64_t began = clock_mono_us();
    for (size_t i = 0; i < ROUNDS; i++)
        TRY(decide(ctx, &b->core, txn, "target.update", b->team[TEAMS / 2 + i % (TEAMS / 2)]));
    b->decide_us = per_round_us(began);
    began = clock_mono_us();
    for (size_t i = 0; i < ROUNDS; i++)
        TRY(q_team_is_within(ctx, txn, b->team[TEAMS / 2 + i % (TEAMS / 2)], b->team[0], &row, &found));
    b->query_us = per_round_us(began);
    return RC_OK;
}

static struct rc run(struct ctx *ctx, const struct store_config *config, size_t grants)
{
    struct bench b = {.core = {.clock = &clock_system, .roles = role_cache_new()}, .grants = grants};
    for (size_t i = 0; i < TEAMS; i++)
        b.team[i] = id_new(&ctx->arena, clock_unix_ms(&clock_system));
    b.core.team_root = b.team[0];
    b.user = id_new(&ctx->arena, 1);
    TRY(token_text_new(ctx, &b.text, &b.hash));
    TRY(store_open(ctx, config, &b.core.store));
    TRY(store_write(ctx, b.core.store, make, &b));
    TRY(access_token(ctx, &b.core, bytes_z(b.text), &ctx->principal));
    int64_t began = clock_mono_us();
    for (size_t i = 0; i < ROUNDS / 10; i++)
        TRY(access_token(ctx, &b.core, bytes_z(b.text), &ctx->principal));
    const double token_us = per_round_us(began) * 10;
    TRY(store_read(ctx, b.core.store, decide_often, &b));
    printf("decide engine=%s grants=%zu us=%.1f query_us=%.1f token_us=%.1f\n",
           config->engine == STORE_SQLITE ? "sqlite" : "postgres", grants, b.decide_us, b.query_us, token_us);
    store_close(b.core.store);
    role_cache_free(b.core.roles);
    return RC_OK;
}

int main(void)
{
    static const size_t grants[] = {1, 8};
    return on_engines("bench_access", run, grants, 2);
}
