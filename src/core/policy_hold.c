#include "core/policy_hold.h"

#include "base/encode.h"
#include "base/random.h"
#include "core/access.h"
#include "core/attempt.h"
#include "core/audit.h"
#include "core/job.h"
#include "core/policy.h"

#define AGAIN_S  86400 /* what no freeze holds, but a rule: until the policy is another, or the rule fits no more */
#define SPREAD_S 300   /* what a freeze held does not come at the same second */

static const char *when(struct ctx *ctx, int64_t at)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 32);
    time_put_rfc3339(&b, at);
    return buf_z(&b);
}

/* Due by its own time, and by nothing else: not one that was asked for, revoked or changed, nor one that its CA wants back early.
 */
static bool just_due(struct ctx *ctx, const struct q_managed_by_id_row *m, const struct q_version_get_row *v, const struct wish *w)
{
    const int64_t now = ctx_now_s(ctx), part = (v->not_after - v->not_before) / 50;
    return m->version > m->renew_above && !v->revoked_at && bytes_equal(v->wish_hash, m->wish_hash) && v->renew_at <= now &&
           v->not_before <= now + 3600 && v->not_after > now &&
           v->renew_at >= renewal_time(w, v->not_before, v->not_after) - part - 60;
}

static struct rc note(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m,
                      const struct policy_verdict *v, const struct q_policy_hold_get_row *had)
{
    const int64_t now = ctx_now_s(ctx);
    const struct q_policy_hold_set_in in = {
        .managed_id = m->id,
        .rule = v->rule,
        .until = v->until ? v->until : now + AGAIN_S,
        .ends = v->until != 0,
        .why = v->until ? v->words : arena_printf(&ctx->arena, "rule %s of the policy forbids it (%s)", v->rule, v->words),
        .now = now};
    TRY(q_policy_hold_set(ctx, txn, &in));
    TRY(timer_arm(ctx, txn, "renew", m->id, in.until + (int64_t)random_below(SPREAD_S)));
    core_wake_after_commit(ctx, core, txn, "managed:", m->id);
    return had && str_equal(had->why, in.why) ? RC_OK
                                              : step_write(ctx, txn, m->id, NULL, NULL, "held", "its renewal waits: %s", in.why);
}

RC policy_hold_look(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, bool *held)
{
    struct q_version_get_row v;
    struct q_policy_hold_get_row had;
    struct policy_verdict verdict = {.says = POLICY_ALLOWS};
    struct wish w;
    bool found = false, before = false;
    *held = false;
    TRY(q_policy_hold_get(ctx, txn, m->id, &had, &before));
    if (m->version)
        TRY(q_version_get(ctx, txn, m->id, m->version, &v, &found));
    if (found) {
        TRY(wish_decode(ctx, m->wish, &w));
        const struct policy_asked asked = {.act = POLICY_RENEW,
                                           .team = m->team_id,
                                           .managed = m->id,
                                           .wish = &w,
                                           .by_itself = true,
                                           .not_before = v.not_before,
                                           .not_after = v.not_after};
        if (just_due(ctx, m, &v, &w))
            TRY(policy_decide(ctx, core, txn, &asked, &verdict));
    }
    *held = verdict.says == POLICY_FORBIDS;
    if (*held)
        return note(ctx, core, txn, m, &verdict, before ? &had : NULL);
    return before ? q_policy_hold_clear(ctx, txn, m->id) : RC_OK;
}

RC policy_hold_words(struct ctx *ctx, struct txn *txn, const char *managed, const char **words)
{
    struct q_policy_hold_get_row row;
    bool found = false;
    *words = NULL;
    TRY(q_policy_hold_get(ctx, txn, managed, &row, &found));
    if (found)
        *words =
            arena_printf(&ctx->arena, "its renewal is due and waits: %s; looked at again at %s", row.why, when(ctx, row.until));
    return RC_OK;
}

RC policy_hold_troubles(struct ctx *ctx, struct txn *txn, int64_t most, void *arg,
                        void (*add)(void *arg, const char *object, const char *text, const char *remedy))
{
    struct q_policy_hold_ending_row *rows = NULL;
    size_t n = 0;
    TRY(q_policy_hold_ending(ctx, txn, access_scope(ctx), most, &rows, &n));
    for (size_t i = 0; i < n; i++)
        add(arg, rows[i].managed,
            arena_printf(&ctx->arena, "is due and is not renewed: %s; its certificate ends at %s", rows[i].why,
                         when(ctx, rows[i].not_after)),
            "have the rule changed (certwright policy show), or take the certificate out of service");
    return RC_OK;
}
