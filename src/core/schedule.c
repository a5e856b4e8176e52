#include "core/watch.h"
#include "core/schedule.h"

#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/alert.h"
#include "core/ari.h"
#include "core/attempt.h"
#include "core/audit_log.h"
#include "core/audit_stream.h"
#include "core/backup.h"
#include "core/campaign.h"
#include "core/deployment.h"
#include "core/channel.h"
#include "core/dns_challenge.h"
#include "core/download.h"
#include "core/dns_provider.h"
#include "core/enroll.h"
#include "core/hold.h"
#include "core/host_inventory.h"
#include "core/identity_provider.h"
#include "core/inventory.h"
#include "core/issuer.h"
#include "core/job.h"
#include "core/late.h"
#include "core/mail_address.h"
#include "core/managed.h"
#include "core/notify.h"
#include "core/persist.h"
#include "core/rehearsal.h"
#include "core/request.h"
#include "core/report_schedule.h"
#include "core/rollout.h"
#include "core/scan.h"
#include "core/scope.h"
#include "core/sharing.h"
#include "core/silent.h"
#include "core/sign_in.h"
#include "core/standby.h"
#include "core/standby_look.h"

/* Retention. */
#define STEPS_KEPT_S (90 * 86400)
#define JOBS_KEPT_S (7 * 86400)
#define ANSWERS_KEPT_S 86400
#define JOIN_TOKENS_KEPT_S (365 * 86400) /* after their end */
#define SCANS_KEPT_S (365 * 86400)       /* those that run no more, after their end */
#define SLICE 1000

static struct rc fire_renew(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref)
{
    return managed_reconcile(ctx, core, txn, ref, "renew", false);
}

static struct rc fire_retry(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref)
{
    return managed_reconcile(ctx, core, txn, ref, "retry", false);
}

/* A target whose deployment failed: the managed certificate it belongs to knows what should be there. */
static struct rc fire_redeploy(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref)
{
    struct q_target_managed_by_row *by = NULL;
    size_t n = 0;
    TRY(q_target_managed_by(ctx, txn, ref, 10, &by, &n));
    for (size_t i = 0; i < n; i++)
        TRY(managed_reconcile(ctx, core, txn, by[i].id, "retry", false));
    return RC_OK;
}

static struct rc fire_verify(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref)
{
    return target_verify_begin(ctx, core, txn, ref);
}

static struct rc fire_ari(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref)
{
    return ari_due(ctx, core, txn, ref);
}

/* Each in slices: none holds a write up.  Where one was full, the next follows at once. */
static struct rc fire_retention(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref)
{
    const int64_t now = ctx_now_s(ctx);
    struct q_step_expire_row *steps = NULL;
    struct q_job_expire_row *jobs = NULL;
    struct q_join_token_expire_row *tokens = NULL;
    struct q_managed_challenge_expire_row *challenges = NULL;
    struct q_scan_old_row *scans = NULL;
    struct q_notification_expire_row *told = NULL;
    size_t steps_n = 0, jobs_n = 0, tokens_n = 0, challenges_n = 0, scans_n = 0, told_n = 0;
    bool more = false, alerts = false;
    TRY(q_step_expire(ctx, txn, (now - STEPS_KEPT_S) * 1000, SLICE, &steps, &steps_n));
    TRY(q_job_expire(ctx, txn, now - JOBS_KEPT_S, SLICE, &jobs, &jobs_n));
    TRY(q_idempotency_expire(ctx, txn, now - ANSWERS_KEPT_S));
    TRY(q_join_token_expire(ctx, txn, now - JOIN_TOKENS_KEPT_S, SLICE, &tokens, &tokens_n));
    TRY(q_issuer_use_expire(ctx, txn, now - ISSUER_WINDOW_MAX_S));
    TRY(q_preflight_expire(ctx, txn, now - ANSWERS_KEPT_S));
    TRY(q_managed_challenge_expire(ctx, txn, now - JOBS_KEPT_S, SLICE, &challenges, &challenges_n));
    TRY(q_scan_old(ctx, txn, now - SCANS_KEPT_S, SLICE, &scans, &scans_n));
    TRY(q_notification_expire(ctx, txn, now - NOTIFY_KEPT_S, SLICE, &told, &told_n));
    for (size_t i = 0; i < scans_n; i++) {
        TRY(q_scan_parts_drop(ctx, txn, scans[i].id));
        TRY(q_scan_remove(ctx, txn, scans[i].id));
    }
    TRY(request_expire(ctx, txn, &more));
    TRY(sign_in_expire(ctx, txn));
    TRY(campaign_expire(ctx, txn));
    TRY(inventory_expire(ctx, core, txn, &more));
    TRY(audit_expire(ctx, core, txn));
    TRY(alert_retention(ctx, txn, &alerts));
    TRY(mail_address_expire(ctx, txn, &alerts));
    more |= alerts;
    more |=
        steps_n == SLICE || jobs_n == SLICE || tokens_n == SLICE || challenges_n == SLICE || scans_n == SLICE || told_n == SLICE;
    return timer_arm(ctx, txn, "retention", ref, now + (more ? 1 : 600));
}

/* Every kind of timer. */
static const struct timer_kind {
    const char *kind;
    struct rc (*fire)(struct ctx *, struct core *, struct txn *, const char *ref);
} timer_kinds[] = {
    {"renew", fire_renew},
    {"retry", fire_retry},
    {"redeploy", fire_redeploy},
    {"verify", fire_verify},
    {"ari", fire_ari},
    {"persist", persist_due},
    {"retention", fire_retention},
    {"standby", standby_due},
    {"caa", standby_look_begin},
    {"rehearsal", rehearsal_due},
    {"rollout", rollout_due},
    {"window", hold_due},
    {"seal", sharing_due},
    {"leftover", leftovers_due},
    {"dns-test", dns_test_due},
    {"challenge", dns_challenge_due},
    {"scan", scan_due},
    {"scan-part", scan_part_due},
    {"inventory", host_inventory_due},
    {"manual", manual_due},
    {"backup", backup_due},
    {"scopes", scopes_due},
    {"report", report_schedule_due},
    {"late", late_due},
    {"notification", notify_due},
    {"channel-life", channel_life_due},
    {"request", request_due},
    {"revoke", revocation_due},
    {"download", download_due},
    {"oidc-look", identity_provider_due},
};

struct firing {
    struct core *core;
    struct q_timer_due_row *due;
    size_t n;
    const struct q_timer_due_row *one;
    int64_t next;
    bool any;
};

static struct rc due_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct firing *f = arg;
    TRY(q_timer_due(ctx, txn, ctx_now_s(ctx), 100, &f->due, &f->n));
    struct q_timer_next_row next;
    TRY(q_timer_next(ctx, txn, &next, &f->any));
    f->next = f->any ? next.due_at : 0;
    return RC_OK;
}

static struct rc fire_one(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct firing *f = arg;
    TRY(q_timer_take(ctx, txn, f->one->kind, f->one->ref, f->one->due_at));
    for (size_t i = 0; i < sizeof timer_kinds / sizeof *timer_kinds; i++)
        if (str_equal(timer_kinds[i].kind, f->one->kind))
            return timer_kinds[i].fire(ctx, f->core, txn, f->one->ref);
    return RC_OK;
}

static struct rc put_off(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct firing *f = arg;
    return timer_arm(ctx, txn, f->one->kind, f->one->ref, ctx_now_s(ctx) + 60 + (int64_t)random_below(60));
}

RC schedule_tick(struct ctx *ctx, struct core *core, int64_t *next_ms)
{
    ctx->principal = access_hub(ctx, core);
    struct firing f = {.core = core};
    TRY(store_read(ctx, core->store, due_read, &f));
    for (size_t i = 0; i < f.n; i++) {
        f.one = &f.due[i];
        struct rc rc = store_write(ctx, core->store, fire_one, &f);
        if (rc_ok(rc))
            continue;
        log_event(LOG_WARN_, "timer_failed", "kind", f.one->kind, "ref", f.one->ref, "why", ctx_why(ctx), NULL);
        ctx_forget(ctx);
        /* One that cannot be done must not keep the others from being done. */
        if (err_info(rc.e)->category != CAT_RESOURCE)
            rc = store_write(ctx, core->store, put_off, &f);
        TRY(rc);
    }
    bool inventory_more = false, audit_more = false, campaign_more = false, alert_more = false;
    audit_tick(ctx, core, &audit_more);
    TRY(audit_stream_tick(ctx, core));
    TRY(campaign_tick(ctx, core, &campaign_more));
    TRY(alert_tick(ctx, core, &alert_more));
    TRY(inventory_tick(ctx, core, &inventory_more));
    TRY(job_reap(ctx, core));
    TRY(silent_tick(ctx, core));
    if (clock_mono_ms() >= core->watch.next_ms) {
        core->watch.next_ms = clock_mono_ms() + WATCH_MS;
        TRY(watch_tick(ctx, core));
    }
    *next_ms = f.n == 100 || inventory_more || audit_more || campaign_more || alert_more ? 0 : 1000;
    return RC_OK;
}
