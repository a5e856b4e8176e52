#include "core/managed.h"

#include "base/encode.h"
#include "base/log.h"
#include "base/random.h"
#include "core/access.h"
#include "core/adopt.h"
#include "core/attempt.h"
#include "core/audit.h"
#include "core/campaign.h"
#include "core/deployment.h"
#include "core/issuer.h"
#include "core/job.h"
#include "core/policy_hold.h"
#include "core/rollout.h"

RC managed_find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_managed_get_row *out)
{
    bool found = false;
    TRY(q_managed_get(ctx, txn, ref, access_scope(ctx), out, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no managed certificate is named %s; certwright cert list shows them", ref);
}

/* Whether each target has the current version, and what is on its way is that version. */
static struct rc reconcile_targets(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m,
                                   const char *reason)
{
    struct q_managed_targets_row *targets = NULL;
    size_t n = 0;
    bool waves = false;
    TRY(rollout_reconcile(ctx, core, txn, m, &waves));
    if (waves)
        return RC_OK;
    TRY(q_managed_targets(ctx, txn, m->id, &targets, &n));
    for (size_t i = 0; i < n; i++) {
        struct q_placement_get_row placed;
        bool any = false, on_its_way = false;
        TRY(q_placement_get(ctx, txn, targets[i].target_id, &placed, &any));
        if (any && placed.version == m->version && str_equal(placed.managed_id, m->id))
            continue;
        struct q_deployment_open_of_target_row *open = NULL;
        size_t open_n = 0;
        TRY(q_deployment_open_of_target(ctx, txn, targets[i].target_id, &open, &open_n));
        for (size_t k = 0; k < open_n; k++)
            on_its_way = on_its_way || (open[k].version == m->version && str_equal(open[k].managed_id, m->id));
        if (on_its_way)
            continue;
        struct q_deployment_newest_row last;
        bool before = false;
        TRY(q_deployment_newest(ctx, txn, m->id, targets[i].target_id, &last, &before));
        const int64_t tries = before && last.version == m->version && last.error_code ? last.tries + 1 : 0;
        TRY(deployment_begin(ctx, core, txn, m, m->version, targets[i].target_id, reason, tries));
    }
    return RC_OK;
}

/* Where the current version will do until its time, its timer is there: whatever took it away. */
static struct rc needs_version(struct ctx *ctx, struct txn *txn, const struct q_managed_by_id_row *m, bool *needs)
{
    *needs = true;
    if (!m->version)
        return adoption_holds(ctx, txn, m, needs);
    if (m->version <= m->renew_above)
        return RC_OK;
    struct q_version_get_row v;
    bool found = false;
    TRY(q_version_get(ctx, txn, m->id, m->version, &v, &found));
    /* One that begins in the future was made while the clock was wrong. */
    *needs = !found || v.revoked_at || !bytes_equal(v.wish_hash, m->wish_hash) || v.renew_at <= ctx_now_s(ctx) ||
             v.not_before > ctx_now_s(ctx) + 3600;
    return *needs ? RC_OK : timer_arm(ctx, txn, "renew", m->id, v.renew_at);
}

RC managed_reconcile(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const char *reason, bool renew_now)
{
    struct q_managed_by_id_row m;
    TRY(q_managed_by_id(ctx, txn, id, &m));
    if (renew_now) {
        /* Kept, for an attempt may fail: what was asked for is tried until there is a newer version. */
        TRY(q_managed_renew_above(ctx, txn, id, m.version));
        TRY(q_adoption_hold_clear(ctx, txn, id));
        m.renew_above = m.version;
    }
    if (m.removed_at || m.paused_at)
        return RC_OK;
    struct q_attempt_open_row open;
    bool under_way = false;
    TRY(q_attempt_open(ctx, txn, id, &open, &under_way));
    if (under_way && bytes_equal(open.wish_hash, m.wish_hash))
        return RC_OK; /* what it leads to is what is wished */
    bool needs = false, held = false;
    TRY(needs_version(ctx, txn, &m, &needs));
    if (needs)
        TRY(policy_hold_look(ctx, core, txn, &m, &held));
    if (under_way)
        TRY(attempt_cancel(ctx, core, txn, id, "the wish changed"));
    if (needs && !held)
        return attempt_begin(ctx, core, txn, &m, reason);
    TRY(q_managed_wait_clear(ctx, txn, id));
    if (!needs)
        TRY(q_policy_hold_clear(ctx, txn, id));
    return m.version ? reconcile_targets(ctx, core, txn, &m, reason) : RC_OK;
}

static struct rc has_one_issuer(struct ctx *ctx, struct txn *txn, const char *id, bool *one)
{
    struct q_managed_issuers_row *issuers = NULL;
    size_t n = 0;
    TRY(q_managed_issuers(ctx, txn, id, &issuers, &n));
    *one = n == 1;
    return RC_OK;
}

static struct rc pause_itself(struct ctx *ctx, struct txn *txn, const struct q_managed_by_id_row *m, const char *why)
{
    TRY(q_managed_pause_itself(ctx, txn, m->id, why, ctx_now_s(ctx)));
    return audit_write(ctx, txn, "managed-certificate.pause", "managed-certificate", m->id, m->team_id,
                       audit_field(ctx, "paused", NULL, why));
}

RC managed_note_failure(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, enum err e, const char *why,
                        int64_t retry_after_s)
{
    struct q_managed_by_id_row m;
    TRY(q_managed_by_id(ctx, txn, id, &m));
    const int64_t now = ctx_now_s(ctx);
    const int64_t refusals = err_info(e)->retryable ? m.refusals : m.refusals + 1;
    const struct q_managed_failed_in failed = {
        .id = id, .refusals = refusals, .error_code = err_info(e)->name, .error = why, .now = now};
    TRY(q_managed_failed(ctx, txn, &failed));
    TRY(campaign_note_failed(ctx, core, txn, id, why));
    core_wake_after_commit(ctx, core, txn, "managed:", id);
    TRY(audit_write(ctx, txn, "attempt.failed", "managed-certificate", id, m.team_id,
                    audit_facts(ctx, "error", err_info(e)->name, "why", why, NULL)));
    bool alone = false;
    if (e == E_ACCOUNT)
        TRY(has_one_issuer(ctx, txn, id, &alone));
    if (alone) { /* trying again mends no account, and there is nobody else to ask */
        TRY(step_write(ctx, txn, id, NULL, NULL, "paused", "paused: %s", why));
        return pause_itself(ctx, txn, &m, why);
    }
    if (refusals < MANAGED_REFUSALS_MAX)
        return timer_arm(ctx, txn, "retry", id, now + retry_delay_s(m.failures + 1, retry_after_s));
    TRY(step_write(ctx, txn, id, NULL, NULL, "paused", "paused after %lld refusals; the last: %s", (long long)refusals, why));
    return pause_itself(ctx, txn, &m, arena_printf(&ctx->arena, "refused %lld times; the last: %s", (long long)refusals, why));
}

RC managed_note_success(struct ctx *ctx, struct core *core, struct txn *txn, const char *id)
{
    core_wake_after_commit(ctx, core, txn, "managed:", id);
    struct q_deployment_open_of_managed_row *open = NULL;
    size_t n = 0;
    TRY(q_deployment_open_of_managed(ctx, txn, id, &open, &n));
    if (n)
        return RC_OK;
    struct q_managed_by_id_row m;
    TRY(q_managed_by_id(ctx, txn, id, &m));
    struct q_managed_targets_row *targets = NULL;
    size_t targets_n = 0;
    TRY(q_managed_targets(ctx, txn, id, &targets, &targets_n));
    for (size_t i = 0; i < targets_n; i++) {
        struct q_placement_get_row placed;
        bool any = false;
        TRY(q_placement_get(ctx, txn, targets[i].target_id, &placed, &any));
        if (!any || placed.version != m.version)
            return RC_OK; /* one of them still waits to be tried again */
    }
    if (m.failures)
        TRY(q_managed_succeeded(ctx, txn, id));
    TRY(campaign_note_served(ctx, core, txn, id, m.version));
    TRY(revocation_served(ctx, txn, id));
    return step_write(ctx, txn, id, NULL, NULL, "done", targets_n ? "version %lld is served everywhere" : "version %lld is ready",
                      (long long)m.version);
}
