/* Retention of what hangs on no certificate: endpoints, days of counters, names of issuers of which nothing is here. */
#include "core/counter.h"
#include "core/inventory_own.h"

#define WALK_MOST  1000  /* endpoints of a turn */
#define NAMES_MOST 200   /* names of issuers of a turn */
#define AGAIN_S    86400 /* between two walks through all of them */
#define NAMES_KEPT_DAYS 365

RC inventory_endpoint_drop(struct ctx *ctx, struct core *core, struct txn *txn, int64_t id)
{
    struct q_endpoint_findings_row *had = NULL;
    size_t n = 0;
    TRY(q_endpoint_findings(ctx, txn, id, &had, &n));
    for (size_t i = 0; i < n; i++)
        TRY(inventory_finding(ctx, core, txn, had[i].certificate_id, id, (unsigned)had[i].check_number, false, ""));
    return q_endpoint_drop(ctx, txn, id);
}

static struct rc expire_endpoints(struct ctx *ctx, struct core *core, struct txn *txn, bool *more)
{
    struct inventory *k = core->inventory;
    struct q_endpoint_after_row *rows = NULL;
    size_t n = 0;
    const int64_t now = ctx_now_s(ctx), before = now - INVENTORY_KEPT_S;
    if (!k->walked && now < k->walk_at)
        return RC_OK;
    TRY(q_endpoint_after(ctx, txn, k->walked, WALK_MOST, &rows, &n));
    if (n) {
        TRY(q_observation_expire(ctx, txn, rows[0].id, rows[n - 1].id, before));
        TRY(q_observation_before_expire(ctx, txn, rows[0].id, rows[n - 1].id, before));
    }
    for (size_t i = 0; i < n; i++)
        if (rows[i].last_seen < before)
            TRY(inventory_endpoint_drop(ctx, core, txn, rows[i].id));
    k->walked = n == WALK_MOST ? rows[n - 1].id : 0;
    k->walk_at = now + AGAIN_S;
    *more |= n == WALK_MOST;
    return RC_OK;
}

/* A name has no time of its own: the counter of what it issued says when that changed last. */
static struct rc expire_names(struct ctx *ctx, struct core *core, struct txn *txn, bool *more)
{
    struct inventory *k = core->inventory;
    struct q_issuer_name_after_row *rows = NULL;
    struct q_inventory_waits_row waits;
    size_t n = 0;
    const int64_t now = ctx_now_s(ctx);
    if (!k->named && now < k->names_at)
        return RC_OK;
    TRY(q_inventory_waits(ctx, txn, now, &waits));
    if (waits.folds) /* the counters are behind */
        return RC_OK;
    TRY(q_issuer_name_after(ctx, txn, now / 86400 - NAMES_KEPT_DAYS, k->named, NAMES_MOST, &rows, &n));
    for (size_t i = 0; i < n; i++)
        if (!rows[i].used) {
            TRY(q_counter_empty_drop(ctx, txn, rows[i].id));
            TRY(q_issuer_name_drop(ctx, txn, rows[i].id));
        }
    k->named = n == NAMES_MOST ? rows[n - 1].id : 0;
    k->names_at = now + AGAIN_S;
    *more |= n == NAMES_MOST;
    return n == NAMES_MOST ? RC_OK : q_issuer_trust_expire(ctx, txn);
}

RC inventory_expire(struct ctx *ctx, struct core *core, struct txn *txn, bool *more)
{
    TRY(expire_endpoints(ctx, core, txn, more));
    TRY(expire_names(ctx, core, txn, more));
    return counter_expire(ctx, txn);
}
