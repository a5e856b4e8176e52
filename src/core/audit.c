#include "core/audit.h"

#include "base/str.h"
#include "core/access.h"
#include "store/queries.h"

/* What the request of an Idempotency-Key changes is its object; a second request with the key, at the same time, changes another.
 */
static struct rc claim(struct ctx *ctx, struct txn *txn, const char *object_id)
{
    const struct principal *p = ctx->principal;
    struct q_idempotency_get_row row;
    bool found = false;
    TRY(q_idempotency_get(ctx, txn, p->name, p->once->key, &row, &found));
    if (found && row.status == 0 && str_equal(row.body, object_id))
        return RC_OK;
    if (found)
        return ctx_fail(ctx, E_CONFLICT,
                        "a request with this Idempotency-Key was carried out meanwhile; send it again for its answer");
    const struct q_idempotency_claim_in in = {.principal = p->name,
                                              .key = p->once->key,
                                              .request_hash = p->once->request_hash,
                                              .object_id = object_id,
                                              .now = ctx_now_s(ctx)};
    return q_idempotency_claim(ctx, txn, &in);
}

RC audit_write(struct ctx *ctx, struct txn *txn, const char *action, const char *object_kind, const char *object_id,
               const char *team, struct bytes detail)
{
    const struct q_audit_add_in in = {
        .at = ctx_now_s(ctx),
        .principal = ctx->principal ? ctx->principal->name : "nobody",
        .action = action,
        .object_kind = object_kind,
        .object_id = object_id,
        .team_id = team,
        .request_id = ctx->request_id,
        .detail = detail.n ? arena_str(&ctx->arena, detail) : "{}",
    };
    TRY(q_audit_add(ctx, txn, &in));
    return ctx->principal && ctx->principal->once ? claim(ctx, txn, object_id) : RC_OK;
}

RC step_write_at(struct ctx *ctx, struct txn *txn, const char *managed, const char *attempt, const char *deployment, int64_t at_ms,
                 const char *name, const char *text)
{
    const struct q_step_add_in in = {
        .managed_id = managed, .attempt_id = attempt, .deployment_id = deployment, .at_ms = at_ms, .name = name, .text = text};
    return q_step_add(ctx, txn, &in);
}

RC step_write(struct ctx *ctx, struct txn *txn, const char *managed, const char *attempt, const char *deployment, const char *name,
              const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(&ctx->arena, fmt, ap);
    va_end(ap);
    return step_write_at(ctx, txn, managed, attempt, deployment, clock_unix_ms(ctx->clock), name, text);
}
