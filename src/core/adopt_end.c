/* Adoptions that are ours: how long the certificate that was there is used, and how they end. */
#include "base/json.h"
#include "core/access.h"
#include "core/adopt_own.h"
#include "core/attempt.h"
#include "core/audit.h"
#include "core/deployment.h"
#include "core/job.h"
#include "core/managed.h"
#include "core/persist.h"
#include "core/rollout.h"
#include "core/target.h"
#include "pki/cert.h"

/* --- holding */

RC adoption_holds(struct ctx *ctx, struct txn *txn, const struct q_managed_by_id_row *m, bool *needs)
{
    struct q_adoption_hold_row hold;
    bool found = false;
    TRY(q_adoption_hold(ctx, txn, m->id, m->wish_hash, &hold, &found));
    if (!found || hold.hold_until <= ctx_now_s(ctx))
        return RC_OK;
    *needs = false;
    return timer_arm(ctx, txn, "renew", m->id, hold.hold_until);
}

RC adoption_words(struct ctx *ctx, struct txn *txn, const char *managed, struct bytes wish_hash, const char **out)
{
    struct q_adoption_hold_row hold;
    bool found = false;
    struct buf b;
    *out = "";
    TRY(q_adoption_hold(ctx, txn, managed, wish_hash, &hold, &found));
    if (!found || hold.hold_until <= ctx_now_s(ctx))
        return RC_OK;
    buf_init_arena(&b, &ctx->arena, 1024);
    buf_printf(&b, "adopted from %s on %s: the certificate that was there is used until ", hold.client, hold.agent);
    time_put_rfc3339(&b, hold.hold_until);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

RC adoption_keeps(struct ctx *ctx, struct txn *txn, const char *managed, const char *name)
{
    struct q_adoption_get_row row;
    struct q_agent_of_row agent;
    bool found = false;
    TRY(q_adoption_of_managed(ctx, txn, managed, &row, &found));
    if (!found || !adoption_open(row.state))
        return RC_OK;
    TRY(q_agent_of(ctx, txn, row.agent_id, &agent));
    /* Nobody is there to give it back, or who is there has said that it keeps nothing of it. */
    if (str_equal(agent.state, "removed") || str_equal(row.error_code, err_info(E_NOT_FOUND)->name))
        return q_adoption_drop(ctx, txn, row.id);
    return ctx_fail(ctx, E_CONFLICT,
                    "%s was adopted from %s, and nothing would renew it any more; give it back: certwright cert release %s", name,
                    row.client, name);
}

RC adoption_settled(struct ctx *ctx, struct txn *txn, const char *managed, const char *name)
{
    struct q_adoption_get_row row;
    bool found = false;
    TRY(q_adoption_of_managed(ctx, txn, managed, &row, &found));
    if (!found || (!str_equal(row.state, "adopting") && !str_equal(row.state, "releasing")))
        return RC_OK;
    return ctx_fail(ctx, E_CONFLICT, "%s is being %s %s: agent %s is asked", name,
                    str_equal(row.state, "adopting") ? "taken over from" : "given back to", row.client, row.agent);
}

/* --- giving back */

/* Nothing is left of what was made for it. */
static struct rc drop(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_adoption_get_row *row)
{
    struct q_managed_by_id_row m;
    struct wish w;
    size_t left = 0;
    if (row->managed_id) {
        TRY(q_managed_by_id(ctx, txn, row->managed_id, &m));
        if (!m.removed_at) {
            TRY(wish_decode(ctx, m.wish, &w));
            TRY(managed_drop(ctx, core, txn, row->managed_id));
            TRY(persist_review(ctx, core, txn, &w.names, &left));
            core_wake_after_commit(ctx, core, txn, "managed:", row->managed_id);
        }
    }
    if (row->target_id)
        TRY(target_leave(ctx, core, txn, row->target_id));
    TRY(q_adoption_managed(ctx, txn, row->id, NULL, NULL));
    return q_endpoint_look_add(ctx, txn, row->endpoint_id);
}

static struct rc release_payload(struct ctx *ctx, struct txn *txn, const struct q_adoption_get_row *row, bool keep_files,
                                 struct bytes *out)
{
    struct q_managed_targets_row *targets = NULL;
    struct json_out j;
    struct buf b;
    size_t n = 0;
    if (row->managed_id)
        TRY(q_managed_targets(ctx, txn, row->managed_id, &targets, &n));
    buf_init_arena(&b, &ctx->arena, ADOPTION_JSON_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "adoption", row->id);
    json_put_bool(&j, "keep_files", keep_files);
    json_open_list(&j, "targets");
    for (size_t i = 0; i < n; i++) {
        struct q_target_by_id_row t;
        TRY(q_target_by_id(ctx, txn, targets[i].target_id, &t));
        if (!str_equal(t.agent_id, row->agent_id))
            continue; /* somebody added another host's: its files stay as they are */
        json_open_obj(&j, NULL);
        json_put_str(&j, "target", targets[i].target_id);
        json_put_str(&j, "connector", t.connector);
        json_put_raw(&j, "parameters", bytes_z(t.parameters));
        json_close(&j);
    }
    json_close(&j);
    json_close(&j);
    *out = buf_bytes(&b);
    return buf_status(&b);
}

struct releasing {
    struct core *core;
    const char *ref, *id;
    bool keep_files;
};

static struct rc release_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct releasing *r = arg;
    struct q_managed_get_row m;
    struct q_adoption_get_row row;
    struct adoption_view v = {0};
    struct bytes payload;
    const char *away = NULL;
    bool found = false;
    TRY(managed_find(ctx, txn, r->ref, &m));
    TRY(decide(ctx, r->core, txn, "adoption.release", m.team_id));
    TRY(q_adoption_of_managed(ctx, txn, m.id, &row, &found));
    if (!found)
        return ctx_fail(ctx, E_CONFLICT, "%s was not adopted from another client; stop managing it with: certwright cert remove %s",
                        m.name, m.name);
    r->id = row.id;
    if (str_equal(row.state, "releasing"))
        return RC_OK;
    if (!str_equal(row.state, "adopted"))
        return ctx_fail(ctx, E_CONFLICT,
                        "%s is being taken over from %s, and agent %s has to answer first; where that is gone for good: "
                        "certwright agent remove %s --force, then certwright cert remove %s",
                        m.name, row.client, row.agent, row.agent, m.name);
    TRY(adoption_away(ctx, r->core, txn, row.agent_id, &away));
    if (away)
        return ctx_fail(ctx, E_UNREACHABLE,
                        "%s; where that host is gone for good: certwright agent remove %s --force, then certwright cert "
                        "remove %s",
                        away, row.agent, m.name);
    TRY(adoption_plan(ctx, row.plan, &v));
    if (m.version && !r->keep_files && v.not_after <= ctx_now_s(ctx))
        return ctx_fail(ctx, E_CONFLICT,
                        "the certificate that %s had for %s has expired; give back its renewal alone: certwright cert release %s "
                        "--keep-files",
                        row.client, m.name, m.name);
    TRY(release_payload(ctx, txn, &row, r->keep_files, &payload));
    TRY(attempt_cancel(ctx, r->core, txn, m.id, "it is given back"));
    TRY(deployment_cancel_all(ctx, r->core, txn, m.id));
    struct q_deployment_open_of_managed_row *open = NULL;
    size_t n = 0;
    TRY(q_deployment_open_of_managed(ctx, txn, m.id, &open, &n));
    if (n) /* its agent is at it, and would write after what is given back */
        return ctx_fail(ctx, E_BUSY, "a deployment of %s to %s is under way: try again in a moment", m.name, open[0].target);
    TRY(rollout_forget(ctx, txn, m.id));
    TRY(q_managed_pause(ctx, txn, m.id, arena_printf(&ctx->arena, "being given back to %s", row.client), ctx_now_s(ctx)));
    TRY(q_adoption_release(ctx, txn, row.id, r->keep_files));
    TRY(adoption_move(ctx, txn, row.id, "adopted", "releasing", E_OK, NULL));
    TRY(adoption_job(ctx, r->core, txn, "release", row.agent_id, row.id, row.path, payload));
    core_wake_after_commit(ctx, r->core, txn, "managed:", m.id);
    return audit_write(ctx, txn, "adoption.release", "managed-certificate", m.id, m.team_id,
                       audit_facts(ctx, "client", row.client, "name", row.name, "agent", row.agent, "keep-files",
                                   r->keep_files ? "yes" : "no", NULL));
}

RC adoption_release(struct ctx *ctx, struct core *core, const char *ref, bool keep_files, const char **id)
{
    struct releasing r = {.core = core, .ref = ref, .keep_files = keep_files};
    TRY(store_write(ctx, core->store, release_write, &r));
    *id = r.id;
    return RC_OK;
}

/* --- how the jobs ended */

static struct rc seen(struct ctx *ctx, struct txn *txn, const struct q_adoption_get_row *row, const struct checked_result *r)
{
    struct json_out j;
    struct buf b;
    if (!r->ok)
        return adoption_move(ctx, txn, row->id, "looking", "failed", r->e, r->why);
    if (!r->raw->adopt)
        return adoption_move(ctx, txn, row->id, "looking", "failed", E_BAD_ANSWER, "the agent said nothing of what it saw");
    buf_init_arena(&b, &ctx->arena, ADOPTION_JSON_MAX);
    json_begin(&j, &b);
    api_job_adopted_encode(&j, NULL, r->raw->adopt);
    TRY(buf_status(&b));
    TRY(q_adoption_seen(ctx, txn, row->id, buf_z(&b)));
    return adoption_move(ctx, txn, row->id, "looking", "seen", E_OK, NULL);
}

/* Whatever the agent may have done by half is undone. */
static struct rc not_adopted(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_adoption_get_row *row,
                             const struct checked_result *r)
{
    struct bytes payload;
    TRY(release_payload(ctx, txn, row, true, &payload));
    TRY(drop(ctx, core, txn, row));
    TRY(adoption_move(ctx, txn, row->id, "adopting", "failed", r->e, r->why));
    return adoption_job(ctx, core, txn, "release", row->agent_id, row->id, row->path, payload);
}

static struct rc adopted(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_adoption_get_row *row)
{
    struct q_managed_by_id_row m;
    struct adoption_view v = {0};
    struct cert leaf;
    struct wish w;
    TRY(adoption_plan(ctx, row->plan, &v));
    TRY(cert_parse(ctx, v.plan.leaf, &leaf));
    TRY(q_managed_by_id(ctx, txn, row->managed_id, &m));
    TRY(wish_decode(ctx, m.wish, &w));
    const int64_t until = row->hold_until ? renewal_time(&w, leaf.not_before, leaf.not_after) : 0;
    TRY(q_adoption_hold_set(ctx, txn, row->id, until, m.wish_hash));
    TRY(adoption_move(ctx, txn, row->id, "adopting", "adopted", E_OK, NULL));
    TRY(q_managed_resume(ctx, txn, m.id, ctx_now_s(ctx)));
    TRY(step_write(ctx, txn, m.id, NULL, NULL, "adopted", "taken over from %s on %s; back: certwright cert release %s", row->client,
                   row->agent, m.name));
    TRY(q_endpoint_look_add(ctx, txn, row->endpoint_id));
    core_wake_after_commit(ctx, core, txn, "managed:", m.id);
    return managed_reconcile(ctx, core, txn, m.id, "new", false);
}

/* The adoption of a job, whoever ended it. */
static struct rc of_job(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r,
                        struct q_adoption_get_row *row, bool *found)
{
    return q_adoption_get(ctx, txn, r->job.ref, core->team_root, row, found);
}

RC adopt_job_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    struct q_adoption_get_row row;
    bool found = false;
    TRY(of_job(ctx, core, txn, r, &row, &found));
    if (!found)
        return RC_OK;
    if (str_equal(row.state, "looking"))
        return seen(ctx, txn, &row, r);
    if (!str_equal(row.state, "adopting"))
        return RC_OK;
    return r->ok ? adopted(ctx, core, txn, &row) : not_adopted(ctx, core, txn, &row, r);
}

static struct rc released(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_adoption_get_row *row,
                          const struct checked_result *r)
{
    struct json_out j;
    struct buf b;
    buf_init_arena(&b, &ctx->arena, ADOPTION_JSON_MAX);
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    for (size_t i = 0; r->raw && r->raw->release && i < r->raw->release->done.n; i++)
        json_put_str(&j, NULL, r->raw->release->done.v[i]);
    json_close(&j);
    TRY(buf_status(&b));
    TRY(q_adoption_done(ctx, txn, row->id, buf_z(&b)));
    TRY(drop(ctx, core, txn, row));
    TRY(adoption_move(ctx, txn, row->id, "releasing", "released", E_OK, NULL));
    return audit_write(ctx, txn, "adoption.released", "adoption", row->id, row->team_id,
                       audit_facts(ctx, "client", row->client, "name", row->name, "agent", row->agent, "done:", buf_z(&b), NULL));
}

RC release_job_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    struct q_adoption_get_row row;
    bool found = false;
    TRY(of_job(ctx, core, txn, r, &row, &found));
    if (!found || !str_equal(row.state, "releasing"))
        return RC_OK;
    if (r->ok)
        return released(ctx, core, txn, &row, r);
    TRY(adoption_move(ctx, txn, row.id, "releasing", "adopted", r->e, r->why));
    TRY(q_managed_resume(ctx, txn, row.managed_id, ctx_now_s(ctx)));
    TRY(step_write(ctx, txn, row.managed_id, NULL, NULL, "adopted", "could not be given back, and stays managed: %s", r->why));
    core_wake_after_commit(ctx, core, txn, "managed:", row.managed_id);
    return managed_reconcile(ctx, core, txn, row.managed_id, "retry", false);
}
