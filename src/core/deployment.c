#include "core/deployment.h"

#include "base/encode.h"
#include "base/random.h"
#include "core/audit.h"
#include "core/campaign.h"
#include "core/counter.h"
#include "core/hold.h"
#include "core/inventory.h"
#include "core/issuer.h"
#include "core/job.h"
#include "core/managed.h"
#include "core/payload.h"
#include "core/rollout.h"
#include "core/sharing.h"

/* How often what is placed is looked at again: a quarter of a day, spread. */
#define VERIFY_EVERY_S (6 * 3600)

enum deployment_event { PROVED, PROVED_UNTRUSTED, UNDONE, BROKE, OVERTAKEN, STOPPED };

static const struct deployment_transition {
    const char *from;
    enum deployment_event event;
    const char *to;
} transitions[] = {
    {"waiting", PROVED, "served"},        {"waiting", PROVED_UNTRUSTED, "untrusted"}, {"waiting", UNDONE, "rolled_back"},
    {"waiting", BROKE, "failed"},         {"waiting", OVERTAKEN, "superseded"},       {"waiting", STOPPED, "cancelled"},
};

static struct rc deployment_move(struct ctx *ctx, struct txn *txn, const char *id, const char *from, enum deployment_event event)
{
    const int64_t now = ctx_now_s(ctx);
    for (size_t i = 0; i < sizeof transitions / sizeof *transitions; i++)
        if (transitions[i].event == event && str_equal(transitions[i].from, from)) {
            TRY(q_deployment_state(ctx, txn, id, from, transitions[i].to, &now));
            return counter_deployment(ctx, txn, id, transitions[i].to);
        }
    return ctx_fail(ctx, E_CONFLICT, "deployment %s is %s: that step does not follow", id, from);
}

/* Ends a deployment that is not yet in an agent's hands; what is leased already ends as its agent says. */
static struct rc deployment_drop(struct ctx *ctx, struct txn *txn, const char *id, const char *state, enum deployment_event event)
{
    struct q_job_open_ref_row job;
    bool found = false;
    TRY(q_job_open_ref(ctx, txn, id, "deploy", &job, &found));
    if (found && str_equal(job.state, "leased"))
        return RC_OK;
    TRY(q_job_cancel_ref(ctx, txn, id, "deploy", ctx_now_s(ctx)));
    return deployment_move(ctx, txn, id, state, event);
}

/* What is on its way to a target and not yet in an agent's hands makes room; what is leased already ends as its agent says, and the
 * new one follows it in the target's lane. */
static struct rc make_room(struct ctx *ctx, struct txn *txn, const char *target)
{
    struct q_deployment_open_of_target_row *open = NULL;
    size_t n = 0;
    TRY(q_deployment_open_of_target(ctx, txn, target, &open, &n));
    for (size_t i = 0; i < n; i++)
        TRY(deployment_drop(ctx, txn, open[i].id, open[i].state, OVERTAKEN));
    return RC_OK;
}

RC deployment_stop(struct ctx *ctx, struct txn *txn, const char *id, const char *state)
{
    return deployment_drop(ctx, txn, id, state, STOPPED);
}

RC deployment_overtake_all(struct ctx *ctx, struct txn *txn, const char *managed)
{
    struct q_deployment_open_of_managed_row *open = NULL;
    size_t n = 0;
    TRY(q_deployment_open_of_managed(ctx, txn, managed, &open, &n));
    for (size_t i = 0; i < n; i++)
        TRY(deployment_drop(ctx, txn, open[i].id, open[i].state, OVERTAKEN));
    return RC_OK;
}

static struct rc deploy_job(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m,
                            const char *id, const struct q_target_by_id_row *t, const struct q_version_get_row *v,
                            const struct shared_key *key)
{
    struct q_chain_get_row chain;
    TRY(q_chain_get(ctx, txn, v->chain_sha256, &chain));
    const char *roots = NULL;
    TRY(issuer_roots(ctx, core, txn, v->issuer_id, &roots));
    struct q_placement_get_row placed;
    bool any = false;
    TRY(q_placement_get(ctx, txn, t->id, &placed, &any));
    struct wish w;
    TRY(wish_decode(ctx, m->wish, &w));
    struct bytes payload, der;
    TRY(certificate_der(ctx, core, v->dictionary, v->packed, &der));
    TRY(payload_deploy(ctx, id, t, v->attempt_id, v->number, der, chain.pem, roots, &w,
                       any ? placed.fingerprint : (struct bytes){0}, key, &payload));
    TRY(job_add(ctx, core, txn, "deploy", t->agent_id, arena_printf(&ctx->arena, "target:%s", t->id), id, payload, 0));
    return hold_set(ctx, core, txn, id);
}

RC deployment_release(struct ctx *ctx, struct core *core, struct txn *txn, const char *deployment)
{
    struct q_deployment_by_id_row d;
    struct q_managed_by_id_row m;
    struct q_target_by_id_row t;
    struct q_version_get_row v;
    struct shared_key key;
    bool found = false;
    TRY(q_deployment_by_id(ctx, txn, deployment, &d));
    TRY(q_managed_by_id(ctx, txn, d.managed_id, &m));
    TRY(q_target_by_id(ctx, txn, d.target_id, &t));
    TRY(q_version_get(ctx, txn, d.managed_id, d.version, &v, &found));
    if (!found || d.finished_at)
        return RC_OK;
    TRY(sharing_look(ctx, core, txn, v.attempt_id, &t, &key));
    return key.missing ? RC_OK : deploy_job(ctx, core, txn, &m, d.id, &t, &v, &key);
}

RC deployment_begin_as(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, int64_t version,
                       const char *target, const char *reason, int64_t tries, const char **out)
{
    TRY(make_room(ctx, txn, target));
    struct q_target_by_id_row t;
    TRY(q_target_by_id(ctx, txn, target, &t));
    struct q_version_get_row v;
    bool found = false;
    TRY(q_version_get(ctx, txn, m->id, version, &v, &found));
    if (!found)
        return ctx_fail(ctx, E_NOT_FOUND, "%s has no version %lld", m->name, (long long)version);
    const char *id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    *out = id;
    const struct q_deployment_add_in in = {.id = id,
                                           .managed_id = m->id,
                                           .version = version,
                                           .target_id = target,
                                           .reason = reason,
                                           .tries = tries,
                                           .now = ctx_now_s(ctx)};
    TRY(q_deployment_add(ctx, txn, &in));
    TRY(timer_clear(ctx, txn, "redeploy", target));
    struct shared_key key;
    TRY(sharing_look(ctx, core, txn, v.attempt_id, &t, &key));
    TRY(key.missing ? sharing_ask(ctx, core, txn, v.attempt_id) : deploy_job(ctx, core, txn, m, id, &t, &v, &key));
    return step_write(ctx, txn, m->id, NULL, id, "deploy", "version %lld on its way to %s", (long long)version, t.name);
}

RC deployment_begin(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, int64_t version,
                    const char *target, const char *reason, int64_t tries)
{
    const char *id = NULL;
    return deployment_begin_as(ctx, core, txn, m, version, target, reason, tries, &id);
}

RC deployments_begin(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, int64_t version,
                     const char *reason)
{
    struct q_managed_targets_row *targets = NULL;
    size_t n = 0;
    bool waves = false;
    TRY(str_equal(reason, "rollback") ? rollout_forget(ctx, txn, m->id)
                                      : rollout_begin(ctx, core, txn, m, version, reason, 0, &waves));
    if (waves)
        return RC_OK;
    TRY(q_managed_targets(ctx, txn, m->id, &targets, &n));
    for (size_t i = 0; i < n; i++)
        TRY(deployment_begin(ctx, core, txn, m, version, targets[i].target_id, reason, 0));
    return n ? RC_OK : managed_note_success(ctx, core, txn, m->id);
}

RC deployment_cancel_all(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed)
{
    (void)core;
    struct q_deployment_open_of_managed_row *open = NULL;
    size_t n = 0;
    TRY(q_deployment_open_of_managed(ctx, txn, managed, &open, &n));
    for (size_t i = 0; i < n; i++)
        TRY(deployment_drop(ctx, txn, open[i].id, open[i].state, STOPPED));
    return RC_OK;
}

static struct rc observe(struct ctx *ctx, struct txn *txn, const char *target, const struct seen *seen, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct q_target_endpoint_set_in in = {.target_id = target,
                                                .address = seen[i].address,
                                                .port = seen[i].port,
                                                .name = seen[i].name,
                                                .verdict = seen[i].verdict,
                                                .fingerprint = seen[i].fingerprint,
                                                .detail = seen[i].detail ? seen[i].detail : "",
                                                .now = ctx_now_s(ctx)};
        TRY(q_target_endpoint_set(ctx, txn, &in));
    }
    return RC_OK;
}

static const char *seen_json(struct ctx *ctx, const struct seen *seen, size_t n)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 20);
    struct json_out j;
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    for (size_t i = 0; i < n; i++) {
        json_open_obj(&j, NULL);
        json_put_str(&j, "address", seen[i].address);
        json_put_int(&j, "port", seen[i].port);
        json_put_str(&j, "name", seen[i].name);
        json_put_str(&j, "verdict", seen[i].verdict);
        if (seen[i].fingerprint.n)
            json_put_hex(&j, "fingerprint", seen[i].fingerprint);
        if (seen[i].detail)
            json_put_str(&j, "detail", seen[i].detail);
        json_close(&j);
    }
    json_close(&j);
    return rc_ok(buf_status(&b)) ? buf_z(&b) : "[]";
}

static bool any_verdict(const struct deploy_outcome *o, const char *verdict)
{
    for (size_t i = 0; i < o->seen_n; i++)
        if (str_equal(o->seen[i].verdict, verdict))
            return true;
    return false;
}

static int64_t verify_time(struct ctx *ctx)
{
    return ctx_now_s(ctx) + VERIFY_EVERY_S - (int64_t)random_below(VERIFY_EVERY_S / 5);
}

/* Whether the target still belongs to the managed certificate: it may have been removed while the deployment ran. */
RC deployment_wanted(struct ctx *ctx, struct txn *txn, const struct q_deployment_by_id_row *d, bool *wanted)
{
    struct q_target_managed_by_row *by = NULL;
    size_t n = 0;
    TRY(q_target_managed_by(ctx, txn, d->target_id, 100, &by, &n));
    *wanted = false;
    for (size_t i = 0; i < n; i++)
        *wanted = *wanted || str_equal(by[i].id, d->managed_id);
    return RC_OK;
}

/* Whether clients trusted what was seen at a target before. */
static struct rc was_trusted(struct ctx *ctx, struct txn *txn, const char *target, bool *trusted)
{
    struct q_target_endpoint_of_target_row *seen = NULL;
    size_t n = 0;
    TRY(q_target_endpoint_of_target(ctx, txn, target, &seen, &n));
    *trusted = n > 0;
    for (size_t i = 0; i < n; i++)
        *trusted = *trusted && str_equal(seen[i].verdict, "served");
    return RC_OK;
}

static const char *first_untrusted(struct ctx *ctx, const struct deploy_outcome *o)
{
    for (size_t i = 0; i < o->seen_n; i++)
        if (str_equal(o->seen[i].verdict, "untrusted"))
            return arena_printf(&ctx->arena, "served at %s:%lld, but clients do not trust it: %s", o->seen[i].address,
                                (long long)o->seen[i].port, o->seen[i].detail ? o->seen[i].detail : "?");
    return NULL;
}

static struct rc note_failed(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_deployment_by_id_row *d,
                             enum err e, const char *why)
{
    struct q_managed_by_id_row m;
    TRY(q_managed_by_id(ctx, txn, d->managed_id, &m));
    const struct q_managed_failed_in failed = {
        .id = d->managed_id, .refusals = m.refusals, .error_code = err_info(e)->name, .error = why, .now = ctx_now_s(ctx)};
    TRY(campaign_note_failed(ctx, core, txn, d->managed_id, why));
    return q_managed_failed(ctx, txn, &failed);
}

static struct rc ended_well(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_deployment_by_id_row *d,
                            const struct deploy_outcome *o)
{
    struct q_version_get_row v;
    bool found = false;
    TRY(q_version_get(ctx, txn, d->managed_id, d->version, &v, &found));
    if (!found)
        return ctx_fail(ctx, E_BUG, "deployment %s is of a version that is gone", d->id);
    TRY(deployment_move(ctx, txn, d->id, d->state, any_verdict(o, "untrusted") ? PROVED_UNTRUSTED : PROVED));
    const struct q_deployment_proof_in proof = {.id = d->id, .served = seen_json(ctx, o->seen, o->seen_n)};
    TRY(q_deployment_proof(ctx, txn, &proof));
    bool wanted = false, trusted = false, of_rollout = false;
    TRY(deployment_wanted(ctx, txn, d, &wanted));
    if (!wanted)
        return rollout_proved(ctx, core, txn, d, &of_rollout);
    TRY(was_trusted(ctx, txn, d->target_id, &trusted));
    const struct q_placement_set_in place = {.target_id = d->target_id,
                                             .managed_id = d->managed_id,
                                             .version = d->version,
                                             .fingerprint = v.fingerprint,
                                             .now = ctx_now_s(ctx)};
    TRY(q_placement_set(ctx, txn, &place));
    TRY(q_target_endpoint_clear(ctx, txn, d->target_id));
    TRY(observe(ctx, txn, d->target_id, o->seen, o->seen_n));
    TRY(timer_arm(ctx, txn, "verify", d->target_id, verify_time(ctx)));
    /* A wave that clients trust less than what was there before is not proved. */
    const char *why = trusted ? first_untrusted(ctx, o) : NULL;
    int64_t retry_at = 0;
    if (why)
        TRY(rollout_failed(ctx, core, txn, d, why, 0, &retry_at, &of_rollout));
    if (of_rollout)
        return note_failed(ctx, core, txn, d, E_NOT_SERVED, why);
    TRY(rollout_proved(ctx, core, txn, d, &of_rollout));
    return managed_note_success(ctx, core, txn, d->managed_id);
}

static struct rc ended_badly(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_deployment_by_id_row *d,
                             const struct deploy_outcome *o)
{
    int64_t retry_at = ctx_now_s(ctx) + retry_delay_s(d->tries + 1, o->retry_after_s);
    bool of_rollout = false;
    bool wanted = false;
    TRY(deployment_move(ctx, txn, d->id, d->state, o->rolled_back ? UNDONE : BROKE));
    TRY(deployment_wanted(ctx, txn, d, &wanted));
    TRY(wanted ? rollout_failed(ctx, core, txn, d, o->why, o->retry_after_s, &retry_at, &of_rollout)
               : rollout_proved(ctx, core, txn, d, &of_rollout)); /* nobody waits for it any more: the wave is done without it */
    const struct q_deployment_proof_in proof = {.id = d->id,
                                                .served = seen_json(ctx, o->seen, o->seen_n),
                                                .rolled_back = o->rolled_back,
                                                .error_code = err_info(o->e)->name,
                                                .error = o->why,
                                                .retry_at = &retry_at};
    TRY(q_deployment_proof(ctx, txn, &proof));
    if (wanted) {
        if (!of_rollout) /* else the whole of it begins again */
            TRY(timer_arm(ctx, txn, "redeploy", d->target_id, retry_at));
        TRY(observe(ctx, txn, d->target_id, o->seen, o->seen_n)); /* what is served now, or that nothing answers */
        TRY(note_failed(ctx, core, txn, d, o->e, o->why));
    }
    TRY(step_write(ctx, txn, d->managed_id, NULL, d->id, o->rolled_back ? "rolled_back" : "failed", "%s", o->why));
    core_wake_after_commit(ctx, core, txn, "managed:", d->managed_id);
    return RC_OK;
}

RC deployment_ended(struct ctx *ctx, struct core *core, struct txn *txn, const char *deployment, const struct deploy_outcome *o)
{
    struct q_deployment_by_id_row d;
    TRY(q_deployment_by_id(ctx, txn, deployment, &d));
    if (d.finished_at) /* cancelled meanwhile: what is served is seen by the next verification */
        return RC_OK;
    TRY(o->ok ? ended_well(ctx, core, txn, &d, o) : ended_badly(ctx, core, txn, &d, o));
    struct q_managed_by_id_row m;
    TRY(q_managed_by_id(ctx, txn, d.managed_id, &m));
    return audit_write(ctx, txn, o->ok ? "certificate.deployed" : "deployment.failed", "target", d.target_id, m.team_id,
                       audit_facts(ctx, "managed_certificate", d.managed_id, "version:", audit_number(ctx, d.version), "deployment",
                                   d.id, "served:", o->ok ? seen_json(ctx, o->seen, o->seen_n) : NULL, "why",
                                   o->ok ? NULL : o->why, NULL));
}

RC target_verify_begin(struct ctx *ctx, struct core *core, struct txn *txn, const char *target)
{
    struct q_placement_get_row placed;
    bool any = false;
    TRY(q_placement_get(ctx, txn, target, &placed, &any));
    struct q_target_by_id_row t;
    TRY(q_target_by_id(ctx, txn, target, &t));
    struct q_job_open_ref_row job;
    bool running = false;
    TRY(q_job_open_ref(ctx, txn, target, "verify", &job, &running));
    if (!any || t.removed_at || running)
        return RC_OK;
    struct q_managed_by_id_row m;
    TRY(q_managed_by_id(ctx, txn, placed.managed_id, &m));
    struct q_version_get_row v;
    bool found = false;
    TRY(q_version_get(ctx, txn, placed.managed_id, placed.version, &v, &found));
    if (!found || m.removed_at)
        return RC_OK;
    struct wish w;
    TRY(wish_decode(ctx, m.wish, &w));
    const char *roots = NULL;
    TRY(issuer_roots(ctx, core, txn, v.issuer_id, &roots));
    struct bytes payload;
    TRY(payload_verify(ctx, &t, &w, placed.fingerprint, roots, &payload));
    return job_add(ctx, core, txn, "verify", t.agent_id, arena_printf(&ctx->arena, "target:%s", target), target, payload, 0);
}

RC target_verified(struct ctx *ctx, struct core *core, struct txn *txn, const char *target, const struct seen *seen, size_t n)
{
    TRY(observe(ctx, txn, target, seen, n));
    struct q_placement_get_row placed;
    bool any = false;
    TRY(q_placement_get(ctx, txn, target, &placed, &any));
    bool other = false;
    for (size_t i = 0; i < n; i++)
        other = other || str_equal(seen[i].verdict, "other");
    TRY(timer_arm(ctx, txn, "verify", target, verify_time(ctx)));
    if (!other || !any)
        return RC_OK;
    /* Somebody else changed it, or the service took an old file back: what should be there is put there again. */
    TRY(step_write(ctx, txn, placed.managed_id, NULL, NULL, "drifted",
                   "another certificate is served than the one placed; deploying again"));
    struct q_managed_by_id_row m;
    struct q_rollout_get_row r;
    bool waves = false;
    TRY(q_managed_by_id(ctx, txn, placed.managed_id, &m));
    TRY(audit_write(ctx, txn, "target.drift", "target", target, m.team_id, audit_facts(ctx, "managed_certificate", m.id, NULL)));
    TRY(rollout_active(ctx, txn, m.id, m.version, &r, &waves));
    struct q_deployment_open_of_target_row *open = NULL;
    size_t open_n = 0;
    TRY(q_deployment_open_of_target(ctx, txn, target, &open, &open_n));
    if (waves && open_n) /* something is on its way there already */
        return RC_OK;
    if (waves && !m.removed_at && !m.paused_at) /* its wave may not have come, or it went back: what it has stays its own */
        return deployment_begin(ctx, core, txn, &m, placed.version, target, "drift", 0);
    TRY(q_placement_drop(ctx, txn, target));
    return managed_reconcile(ctx, core, txn, placed.managed_id, "drift", false);
}
