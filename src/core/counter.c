#include "core/counter.h"

#include <time.h>

#include "base/str.h"
#include "pki/cert_read.h"
#include "store/queries.h"

#define FOLD_MAX 50000

static uint64_t hash_of(int64_t team, const char *dimension, const char *key)
{
    uint64_t h = 0xcbf29ce484222325 ^ (uint64_t)team;
    for (const char *s = dimension; *s; s++)
        h = (h ^ (uint8_t)*s) * 0x100000001b3;
    h = (h ^ 0xff) * 0x100000001b3;
    for (const char *s = key; *s; s++)
        h = (h ^ (uint8_t)*s) * 0x100000001b3;
    return h ^ h >> 29;
}

static bool is(const struct counter_change *c, int64_t team, const char *dimension, const char *key)
{
    return c->team == team && str_equal(c->dimension, dimension) && str_equal(c->key, key);
}

/* Where the change is, or would be. */
static uint32_t *slot_of(const struct counter_sum *sum, int64_t team, const char *dimension, const char *key)
{
    size_t i = hash_of(team, dimension, key) & (sum->slots_n - 1);
    while (sum->slots[i] && !is(&sum->v[sum->slots[i] - 1], team, dimension, key))
        i = (i + 1) & (sum->slots_n - 1);
    return &sum->slots[i];
}

static void grow(struct ctx *ctx, struct counter_sum *sum)
{
    const struct counter_sum old = *sum;
    sum->cap = old.cap ? old.cap * 4 : 32;
    sum->slots_n = sum->cap * 2;
    sum->v = arena_array(&ctx->arena, sum->cap, sizeof *sum->v);
    sum->slots = arena_array(&ctx->arena, sum->slots_n, sizeof *sum->slots);
    for (size_t i = 0; i < old.n; i++) {
        sum->v[i] = old.v[i];
        *slot_of(sum, old.v[i].team, old.v[i].dimension, old.v[i].key) = (uint32_t)i + 1;
    }
}

void counter_add(struct ctx *ctx, struct counter_sum *sum, int64_t team, const char *dimension, const char *key, int64_t n)
{
    if (sum->n == sum->cap)
        grow(ctx, sum);
    uint32_t *slot = slot_of(sum, team, dimension, key);
    if (!*slot) {
        sum->v[sum->n] = (struct counter_change){.dimension = dimension, .key = key, .team = team};
        *slot = (uint32_t)++sum->n;
    }
    sum->v[*slot - 1].n += n;
}

void counter_merge(struct ctx *ctx, struct counter_sum *into, const struct counter_sum *from)
{
    for (size_t i = 0; i < from->n; i++) {
        const struct counter_change *c = &from->v[i];
        const size_t n = into->n;
        counter_add(ctx, into, c->team, c->dimension, c->key, c->n);
        if (into->n == n)
            continue;
        into->v[n].dimension = arena_strdup(&ctx->arena, c->dimension);
        into->v[n].key = arena_strdup(&ctx->arena, c->key);
    }
}

RC counter_write(struct ctx *ctx, struct txn *txn, const struct counter_sum *sum)
{
    const int64_t day = ctx_now_s(ctx) / 86400;
    for (size_t i = 0; i < sum->n; i++) {
        const struct counter_change *c = &sum->v[i];
        const struct q_counter_delta_add_in in = {
            .day = day, .team = c->team, .dimension = c->dimension, .key = c->key, .change = c->n};
        if (c->n)
            TRY(q_counter_delta_add(ctx, txn, &in, 1));
    }
    return RC_OK;
}

RC counter_attempt(struct ctx *ctx, struct txn *txn, const char *attempt, const char *key)
{
    return q_counter_attempt(ctx, txn, ctx_now_s(ctx) / 86400, attempt, COUNTER_ATTEMPT, key);
}

RC counter_deployment(struct ctx *ctx, struct txn *txn, const char *deployment, const char *key)
{
    return q_counter_deployment(ctx, txn, ctx_now_s(ctx) / 86400, deployment, COUNTER_DEPLOYMENT, key);
}

int64_t counter_lifetime(int64_t not_before, int64_t not_after)
{
    static const int64_t steps[] = {47, 100, 200, 398};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (not_after - not_before < steps[i] * 86400) /* both of its ends belong to it */
            return steps[i];
    return 0;
}

const char *counter_month(struct ctx *ctx, int64_t at)
{
    struct tm tm;
    const time_t t = (time_t)at;
    if (at == CERT_NO_EXPIRY || !gmtime_r(&t, &tm))
        return "never";
    return arena_printf(&ctx->arena, "%04d-%02d", tm.tm_year + 1900, tm.tm_mon + 1);
}

RC counter_fold(struct ctx *ctx, struct txn *txn, bool *more)
{
    struct q_counter_delta_last_row last;
    *more = false;
    TRY(q_counter_delta_last(ctx, txn, FOLD_MAX, &last));
    if (!last.seq)
        return RC_OK;
    TRY(q_counter_fold(ctx, txn, last.seq));
    TRY(q_counter_fold_days(ctx, txn, last.seq));
    TRY(q_counter_delta_drop(ctx, txn, last.seq));
    TRY(q_counter_delta_last(ctx, txn, 1, &last));
    *more = last.seq != 0;
    return RC_OK;
}

RC counter_expire(struct ctx *ctx, struct txn *txn)
{
    const int64_t before = ctx_now_s(ctx) / 86400 - COUNTER_DAYS_KEPT;
    TRY(q_counter_carry(ctx, txn, before));
    return q_counter_expire(ctx, txn, before);
}
