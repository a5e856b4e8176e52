#include "core/late.h"

#include "core/audit.h"
#include "core/job.h"
#include "store/queries.h"

#define PART 10 /* of its life */

static int64_t late_at(int64_t not_before, int64_t not_after)
{
    return not_after - (not_after - not_before) / PART;
}

RC late_arm(struct ctx *ctx, struct txn *txn, const char *managed, int64_t not_before, int64_t not_after)
{
    return timer_arm(ctx, txn, "late", managed, late_at(not_before, not_after));
}

RC late_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed)
{
    struct q_managed_by_id_row m;
    struct q_version_get_row v;
    struct buf ends;
    bool found = false;
    (void)core;
    TRY(q_managed_by_id(ctx, txn, managed, &m));
    if (m.removed_at || !m.version)
        return RC_OK;
    TRY(q_version_get(ctx, txn, managed, m.version, &v, &found));
    if (!found)
        return RC_OK;
    if (late_at(v.not_before, v.not_after) > ctx_now_s(ctx))
        return late_arm(ctx, txn, managed, v.not_before, v.not_after);
    buf_init_arena(&ends, &ctx->arena, 64);
    time_put_rfc3339(&ends, v.not_after);
    return audit_write(ctx, txn, "certificate.late", "managed-certificate", managed, m.team_id,
                       audit_facts(ctx, "version:", audit_number(ctx, v.number), "why",
                                   arena_printf(&ctx->arena, "its certificate ends at %s", buf_z(&ends)), NULL));
}
