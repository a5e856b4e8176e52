/* What policy costs: policy_decide() within one read of the store, under a document as a large organisation has it (100 teams with
 * names of their own, 50 rules), for a certificate of three names whose team is named last and that no rule fits; beside it, of the
 * same run, the one query that it makes.
 *
 *     policy engine=sqlite us=… query_us=… bytes=… */
#include "on_engines.h"

#include "base/random.h"
#include "core/access.h"
#include "core/policy.h"
#include "core/wish.h"
#include "store/queries.h"

#define TEAMS  100
#define RULES  50
#define ROUNDS 20000

struct bench {
    struct core core;
    const char *team[TEAMS];
    double decide_us, query_us;
};

static const char *team_name(struct ctx *ctx, size_t i)
{
    return arena_printf(&ctx->arena, "team%zu", i);
}

static struct rc make(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct bench *b = arg;
    for (size_t i = 0; i < TEAMS; i++) {
        TRY(q_team_add(ctx, txn, b->team[i], i ? b->team[0] : NULL, team_name(ctx, i), 1));
        TRY(q_team_within_add(ctx, txn, b->team[i], b->team[i]));
        if (i)
            TRY(q_team_within_add(ctx, txn, b->team[i], b->team[0]));
    }
    return RC_OK;
}

static const char *document(struct ctx *ctx)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    buf_put_z(&b, "version: 1\nkeys: [ec-p256, ec-p384]\nmax_validity: 90d\nwildcards: approve\nowner: required\nnames:\n");
    for (size_t i = 1; i < TEAMS; i++)
        buf_printf(&b, "  team%zu: [t%zu.example.org, t%zu.example.net, t%zu.example.com]\n", i, i, i, i);
    buf_put_z(&b, "freezes:\n  - {name: f, from: 2020-12-18, to: 2021-01-03}\nrules:\n");
    for (size_t i = 0; i < RULES; i++)
        buf_printf(&b, "  - {name: r%zu, when: {names_under: [x%zu.example.org, y%zu.example.org]}, forbid: no}\n", i, i, i);
    return buf_z(&b);
}

static struct rc decide_often(struct ctx *ctx, struct txn *txn, void *arg)
{
    static const char *names[] = {"www.t99.example.org", "shop.t99.example.net", "t99.example.com"}, *issuers[] = {"ca"};
    struct bench *b = arg;
    const struct wish w = {.names = {.v = names, .n = 3},
                           .issuers = {.v = issuers, .n = 1},
                           .profile = "tls-server",
                           .usage = "tls-server",
                           .validity_s = 90 * 86400,
                           .key_kind = "ec-p256"};
    const struct policy_asked asked = {.act = POLICY_CREATE, .team = b->team[TEAMS - 1], .wish = &w};
    struct policy_verdict v;
    struct q_policy_in_force_row *rows = NULL;
    size_t n = 0;
    TRY(policy_decide(ctx, &b->core, txn, &asked, &v)); /* reads the document */
    if (v.says != POLICY_ALLOWS || v.version != 1)
        return ctx_fail(ctx, E_BUG, "it says %s: %s", v.rule, v.words);
    int64_t began = clock_mono_us();
    for (size_t i = 0; i < ROUNDS; i++)
        TRY(policy_decide(ctx, &b->core, txn, &asked, &v));
    b->decide_us = (double)(clock_mono_us() - began) / ROUNDS;
    began = clock_mono_us();
    for (size_t i = 0; i < ROUNDS; i++)
        TRY(q_policy_in_force(ctx, txn, asked.team, &rows, &n));
    b->query_us = (double)(clock_mono_us() - began) / ROUNDS;
    return RC_OK;
}

static struct rc run(struct ctx *ctx, const struct store_config *config, size_t teams)
{
    struct bench b = {.core = {.clock = &clock_system, .policy = policy_cache_new()}};
    for (size_t i = 0; i < teams; i++)
        b.team[i] = id_new(&ctx->arena, clock_unix_ms(&clock_system));
    b.core.team_root = b.team[0];
    ctx->principal = access_hub(ctx, &b.core);
    TRY(store_open(ctx, config, &b.core.store));
    TRY(store_write(ctx, b.core.store, make, &b));
    const char *text = document(ctx);
    TRY(policy_put(ctx, &b.core, NULL, text, NULL));
    TRY(store_read(ctx, b.core.store, decide_often, &b));
    printf("policy engine=%s us=%.1f query_us=%.1f bytes=%zu\n", config->engine == STORE_SQLITE ? "sqlite" : "postgres",
           b.decide_us, b.query_us, strlen(text));
    store_close(b.core.store);
    policy_cache_free(b.core.policy);
    return RC_OK;
}

int main(void)
{
    static const size_t teams[] = {TEAMS};
    return on_engines("bench_policy", run, teams, 1);
}
