/* What is shown of managed certificates: conditions derived, one sentence of why. */
#include "base/encode.h"
#include "core/access.h"
#include "core/adopt.h"
#include "core/bad_name.h"
#include "core/download.h"
#include "core/heard.h"
#include "core/inventory.h"
#include "core/issuer_choice.h"
#include "core/managed.h"
#include "core/policy_hold.h"
#include "core/rollout.h"
#include "pki/pem.h"

/* An agent that is well calls every 25 seconds. */
#define AGENT_QUIET_S 60

static void condition_add(struct managed_view *v, const char *type, bool status, const char *reason)
{
    if (v->conditions_n < sizeof v->conditions / sizeof *v->conditions)
        v->conditions[v->conditions_n++] = (struct condition){type, status, reason};
}

static const struct condition *condition_of(const struct managed_view *v, const char *type)
{
    for (size_t i = 0; i < v->conditions_n; i++)
        if (str_equal(v->conditions[i].type, type))
            return &v->conditions[i];
    return NULL;
}

static const char *when(struct ctx *ctx, int64_t at)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 64);
    time_put_rfc3339(&b, at);
    return buf_z(&b);
}

/* Whether the current version was seen at every endpoint. */
static struct rc condition_served(struct ctx *ctx, struct txn *txn, struct managed_view *v)
{
    struct q_target_endpoint_of_managed_row *seen = NULL;
    struct q_managed_targets_row *targets = NULL;
    size_t n = 0, targets_n = 0, good = 0;
    TRY(q_target_endpoint_of_managed(ctx, txn, v->id, &seen, &n));
    TRY(q_managed_targets(ctx, txn, v->id, &targets, &targets_n));
    const char *bad = NULL, *untrusted = NULL;
    for (size_t i = 0; i < n; i++) {
        const bool ours = seen[i].fingerprint.n && bytes_equal(seen[i].fingerprint, v->fingerprint);
        const bool fine = str_equal(seen[i].verdict, "served") || str_equal(seen[i].verdict, "installed");
        if (fine && ours)
            good++;
        else if (str_equal(seen[i].verdict, "untrusted") && !untrusted)
            untrusted = arena_printf(&ctx->arena, "%s serves it at %s:%lld, but clients do not trust it: %s", seen[i].target,
                                     seen[i].address, (long long)seen[i].port, seen[i].detail);
        else if (!bad)
            bad = seen[i].port
                      ? arena_printf(&ctx->arena, "%s at %s:%lld: %s%s%s", seen[i].target, seen[i].address, (long long)seen[i].port,
                                     fine                                        ? "an earlier version is served"
                                     : str_equal(seen[i].verdict, "unreachable") ? "nothing answers"
                                                                                 : seen[i].verdict,
                                     *seen[i].detail ? ": " : "", seen[i].detail)
                      : arena_printf(&ctx->arena, "%s: the files of an earlier version are there", seen[i].target);
    }
    if (!targets_n)
        return RC_OK;
    if (untrusted)
        condition_add(v, "untrusted", true, untrusted);
    const bool all = n > 0 && good == n;
    condition_add(v, "served", all,
                  bad ? bad
                  : all
                      ? arena_printf(&ctx->arena, "version %lld is served at %zu of %zu endpoints", (long long)v->version, good, n)
                  : untrusted ? untrusted
                  : n         ? "not proved everywhere"
                              : "not installed yet");
    return RC_OK;
}

/* When an agent was last heard, where that is long ago: "last heard 5 minutes ago". */
static const char *silence(struct ctx *ctx, struct core *core, const char *agent_id, int64_t seen_at)
{
    const int64_t silent_s = ctx_now_s(ctx) - heard_at(core, agent_id, seen_at);
    if (silent_s <= AGENT_QUIET_S)
        return "";
    return arena_printf(&ctx->arena, "last heard %lld %s ago", (long long)(silent_s < 120 ? silent_s : silent_s / 60),
                        silent_s < 120 ? "seconds" : "minutes");
}

/* Where the attempt stands, who is waited for, and what went wrong so far. */
static struct rc condition_renewing(struct ctx *ctx, struct core *core, struct txn *txn, struct managed_view *v,
                                    const struct q_attempt_open_row *open)
{
    struct q_job_of_row job;
    bool found = false;
    const char *rest = "";
    TRY(q_job_of(ctx, txn, open->id, &job, &found));
    if (str_equal(open->state, "manual")) {
        struct q_attempt_by_id_row a;
        int64_t until = 0;
        const char *why = NULL;
        TRY(q_attempt_by_id(ctx, txn, open->id, &a));
        TRY(issuer_patience(ctx, txn, &a, &until, &why));
        rest = arena_printf(&ctx->arena,
                            ": somebody has to bring the certificate; certwright cert csr %s, then: certwright cert take %s "
                            "--chain FILE%s%s",
                            v->name, v->name, until ? "; another issuer is asked instead at " : "", until ? when(ctx, until) : "");
    } else if (str_equal(open->state, "enroll") && found && !job.error && job.run_at > ctx_now_s(ctx))
        rest = arena_printf(&ctx->arena, ": the issuer has not decided yet; asked again at %s", when(ctx, job.run_at));
    else if (found && job.error)
        rest = arena_printf(&ctx->arena, "; %lld tr%s so far: %s; again at %s", (long long)job.tries, job.tries == 1 ? "y" : "ies",
                            job.error, when(ctx, job.run_at));
    else if (found && ctx_now_s(ctx) - job.created_at >= 5 && str_equal(job.agent, "hub"))
        rest = arena_printf(&ctx->arena, " since %lld s, waiting for the signer", (long long)(ctx_now_s(ctx) - job.created_at));
    else if (found && ctx_now_s(ctx) - job.created_at >= 5) {
        const char *quiet = silence(ctx, core, job.agent_id, job.agent_seen_at);
        rest = arena_printf(&ctx->arena, " since %lld s, waiting for agent %s%s%s", (long long)(ctx_now_s(ctx) - job.created_at),
                            job.agent, *quiet ? ", " : "", quiet);
    }
    /* Who brings it is waited for by nobody else. */
    condition_add(
        v, str_equal(open->state, "manual") ? "waiting" : "renewing", true,
        arena_printf(&ctx->arena, "attempt %lld (%s) is at: %s%s", (long long)open->number, open->reason, open->state, rest));
    return RC_OK;
}

/* How many targets have the current version, proved. */
static struct rc condition_by_all(struct ctx *ctx, struct txn *txn, struct managed_view *v)
{
    struct q_managed_targets_row *targets = NULL;
    size_t n = 0, have = 0;
    TRY(q_managed_targets(ctx, txn, v->id, &targets, &n));
    for (size_t i = 0; i < n; i++) {
        struct q_placement_get_row placed;
        bool any = false;
        TRY(q_placement_get(ctx, txn, targets[i].target_id, &placed, &any));
        have += any && placed.version == v->version && str_equal(placed.managed_id, v->id);
    }
    if (n > 1 && v->version)
        condition_add(v, "served_by_all", have == n,
                      arena_printf(&ctx->arena, "%zu of %zu targets have version %lld", have, n, (long long)v->version));
    return RC_OK;
}

static struct rc waves_of(struct ctx *ctx, struct txn *txn, struct managed_view *v, const struct q_rollout_get_row *r)
{
    struct q_rollout_deployments_row *rows = NULL;
    struct q_managed_targets_row *targets = NULL;
    size_t n = 0, targets_n = 0, k = 0;
    TRY(q_rollout_deployments(ctx, txn, r->id, &rows, &n));
    TRY(rollout_order(ctx, txn, v->id, &v->wish, &targets, &targets_n));
    const bool more = !str_equal(r->state, "done");
    v->waves = arena_array(&ctx->arena, (size_t)r->wave + targets_n, sizeof *v->waves);
    struct str_list begun = {0};
    for (size_t i = 0; i < n; i++) {
        while (v->waves_n < (size_t)rows[i].wave && v->waves_n < (size_t)r->wave)
            v->waves[v->waves_n] = (struct wave_view){.number = (int64_t)v->waves_n + 1, .version = r->version, .state = "proved"},
            v->waves_n++;
        struct wave_view *w = &v->waves[v->waves_n - 1];
        str_list_add(&ctx->arena, &w->targets, rows[i].target);
        str_list_add(&ctx->arena, &begun, rows[i].target);
        if (more && w->number == r->wave && (!rows[i].finished_at || !str_equal(r->state, "running")))
            w->state = r->state;
    }
    struct wave_view *rest = NULL;
    for (size_t i = 0; more && i < targets_n; i++) {
        if (str_list_has(&begun, targets[i].name))
            continue;
        if (!rest || k == (size_t)r->size) {
            rest = &v->waves[v->waves_n++];
            *rest = (struct wave_view){.number = (int64_t)v->waves_n, .version = r->version, .state = "waiting"};
            k = 0;
        }
        str_list_add(&ctx->arena, &rest->targets, targets[i].name);
        k++;
    }
    return RC_OK;
}

static struct rc condition_rollout(struct ctx *ctx, struct txn *txn, struct managed_view *v)
{
    struct q_rollout_get_row r;
    bool found = false;
    TRY(q_rollout_get(ctx, txn, v->id, &r, &found));
    if (!found)
        return RC_OK;
    TRY(waves_of(ctx, txn, v, &r));
    const char *again = r.resume_at ? when(ctx, *r.resume_at) : "once it is resumed";
    if (str_equal(r.state, "halted"))
        condition_add(
            v, "halted", true,
            arena_printf(&ctx->arena,
                         "the roll-out of version %lld stopped in wave %lld (%s); it begins again with the first wave at %s, or "
                         "now: certwright cert retry %s",
                         (long long)r.version, (long long)r.wave, r.why, again, v->name));
    else if (str_equal(r.state, "running"))
        condition_add(v, "deploying", true,
                      r.resume_at
                          ? arena_printf(&ctx->arena, "wave %lld of %zu of version %lld is proved; the next one begins at %s",
                                         (long long)r.wave, v->waves_n, (long long)r.version, again)
                          : arena_printf(&ctx->arena, "wave %lld of %zu of version %lld is on its way", (long long)r.wave,
                                         v->waves_n, (long long)r.version));
    return RC_OK;
}

/* A key on its way to other hosts: who is waited for. */
static struct rc condition_sealing(struct ctx *ctx, struct txn *txn, struct managed_view *v)
{
    struct q_version_get_row ver;
    struct q_job_of_row job;
    bool found = false, open = false;
    if (v->version)
        TRY(q_version_get(ctx, txn, v->id, v->version, &ver, &found));
    if (found)
        TRY(q_job_of(ctx, txn, ver.attempt_id, &job, &open));
    if (open && str_equal(job.kind, "seal") && ctx_now_s(ctx) - job.created_at >= 5)
        condition_add(v, "sealing", true,
                      arena_printf(&ctx->arena, "since %lld s agent %s has been asked to seal the key to the other hosts%s%s",
                                   (long long)(ctx_now_s(ctx) - job.created_at), job.agent, job.error ? ": " : "",
                                   job.error ? job.error : ""));
    return RC_OK;
}

/* What is downloaded, and not deployed. */
static struct rc condition_download(struct ctx *ctx, struct txn *txn, struct managed_view *v)
{
    struct q_version_get_row ver;
    const char *words = NULL;
    bool found = false, there = true;
    if (v->version)
        TRY(q_version_get(ctx, txn, v->id, v->version, &ver, &found));
    if (!found)
        return RC_OK;
    TRY(download_words(ctx, txn, v->name, v->version, ver.attempt_id, &there, &words));
    if (!words && v->wish.csr.n && !v->wish.targets.n)
        words = arena_printf(&ctx->arena, "version %lld is ready to be downloaded: certwright cert export %s",
                             (long long)v->version, v->name);
    if (words)
        condition_add(v, "downloadable", there, words);
    return RC_OK;
}

/* Why a deployment may not go on: whose host it is, and that it does not answer or shall take nothing new. */
static const char *agent_words(struct ctx *ctx, struct core *core, const struct q_deployment_open_of_managed_row *d)
{
    const char *quiet = silence(ctx, core, d->agent_id, d->agent_seen_at);
    if (!str_equal(d->agent_state, "active"))
        return arena_printf(&ctx->arena, "; agent %s is %s: certwright agent approve %s", d->agent, d->agent_state, d->agent);
    return *quiet ? arena_printf(&ctx->arena, "; agent %s was %s", d->agent, quiet) : "";
}

/* Policy holds a renewal that is due. */
static struct rc condition_held(struct ctx *ctx, struct txn *txn, struct managed_view *v, bool *held)
{
    const char *words = NULL;
    TRY(policy_hold_words(ctx, txn, v->id, &words));
    *held = words && !v->paused_reason;
    if (*held)
        condition_add(v, "waiting", true, words);
    return RC_OK;
}

/* No issuer can be asked now; and names that are left out. */
static struct rc condition_issuers(struct ctx *ctx, struct txn *txn, struct managed_view *v, bool under_way)
{
    struct q_managed_wait_get_row w;
    const char *without = "";
    bool found = false;
    struct q_timer_get_row soon;
    bool armed = false;
    if (!under_way) {
        TRY(q_managed_wait_get(ctx, txn, v->id, &w, &found));
        TRY(q_timer_get(ctx, txn, "retry", v->id, &soon, &armed));
    }
    if (armed && !found && v->failures && !v->paused_reason && soon.due_at <= ctx_now_s(ctx) + 5)
        condition_add(v, "renewing", true, arena_printf(&ctx->arena, "another attempt begins at %s", when(ctx, soon.due_at)));
    if (found)
        condition_add(
            v, "waiting", true,
            arena_printf(&ctx->arena, "%s; not before %s; %s", w.why, when(ctx, w.until), w.remedy));
    TRY(bad_names_words(ctx, txn, v->id, &without));
    if (*without)
        condition_add(v, "incomplete", true, without);
    return RC_OK;
}

static struct rc conditions(struct ctx *ctx, struct core *core, struct txn *txn, struct managed_view *v)
{
    TRY(condition_served(ctx, txn, v));
    TRY(condition_by_all(ctx, txn, v));
    TRY(condition_download(ctx, txn, v));
    TRY(condition_rollout(ctx, txn, v));
    struct q_attempt_open_row open;
    bool under_way = false;
    TRY(q_attempt_open(ctx, txn, v->id, &open, &under_way));
    if (under_way)
        TRY(condition_renewing(ctx, core, txn, v, &open));
    TRY(condition_issuers(ctx, txn, v, under_way));
    bool kept_back = false;
    if (!under_way)
        TRY(condition_held(ctx, txn, v, &kept_back));
    struct q_deployment_open_of_managed_row *deploying = NULL;
    size_t n = 0;
    TRY(q_deployment_open_of_managed(ctx, txn, v->id, &deploying, &n));
    TRY(condition_sealing(ctx, txn, v));
    size_t held = 0, first = n, soonest = n;
    for (size_t i = 0; i < n; i++) {
        const int64_t *until = deploying[i].hold_until;
        if (!until || *until <= ctx_now_s(ctx)) {
            first = first < n ? first : i;
            continue;
        }
        held++;
        if (soonest == n || *until < *deploying[soonest].hold_until)
            soonest = i;
    }
    if (held && held == n)
        condition_add(
            v, "waiting", true,
            arena_printf(&ctx->arena,
                         "version %lld waits for the maintenance window of %s%s, which opens at %s; now: certwright cert retry "
                         "%s --now",
                         (long long)deploying[soonest].version, deploying[soonest].target,
                         held > 1 ? arena_printf(&ctx->arena, " (and of %zu more)", held - 1) : "",
                         when(ctx, *deploying[soonest].hold_until), v->name));
    else if (n && !condition_of(v, "deploying"))
        condition_add(v, "deploying", true,
                      arena_printf(&ctx->arena, "version %lld is on its way to %s%s", (long long)deploying[first].version,
                                   deploying[first].target, agent_words(ctx, core, &deploying[first])));
    if (v->failures)
        condition_add(v, "failing", true, v->error);
    if (!v->version) {
        struct q_managed_by_id_row m;
        const char *adopted = "";
        TRY(q_managed_by_id(ctx, txn, v->id, &m));
        TRY(adoption_words(ctx, txn, v->id, m.wish_hash, &adopted));
        if (*adopted)
            condition_add(v, "adopted", true, adopted);
    }
    if (v->paused_reason)
        condition_add(v, "paused", true, v->paused_reason);
    if (v->version && v->not_before > ctx_now_s(ctx) + 60)
        condition_add(v, "not_yet_valid", true,
                      arena_printf(&ctx->arena, "valid only from %s: is the clock right?", when(ctx, v->not_before)));
    if (v->version && !under_way && !kept_back && v->renew_at + (v->not_after - v->not_before) / 20 < ctx_now_s(ctx))
        condition_add(v, "late", true, arena_printf(&ctx->arena, "should have been renewed at %s", when(ctx, v->renew_at)));
    return RC_OK;
}

/* The earliest time at which something will be done for it. */
static struct rc next_time(struct ctx *ctx, struct txn *txn, struct managed_view *v)
{
    static const char *const kinds[] = {"retry", "renew", "rollout"};
    struct q_timer_get_row t;
    bool found = false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        TRY(q_timer_get(ctx, txn, kinds[i], v->id, &t, &found));
        if (found && (!v->next_at || t.due_at < v->next_at))
            v->next_at = t.due_at;
    }
    struct q_managed_targets_row *targets = NULL;
    size_t n = 0;
    TRY(q_managed_targets(ctx, txn, v->id, &targets, &n));
    for (size_t i = 0; i < n && i < 50; i++) {
        TRY(q_timer_get(ctx, txn, "redeploy", targets[i].target_id, &t, &found));
        if (found && (!v->next_at || t.due_at < v->next_at))
            v->next_at = t.due_at;
    }
    return RC_OK;
}

/* The current version is not of the first of its issuers: why. */
static struct rc condition_instead(struct ctx *ctx, struct txn *txn, struct managed_view *v, const struct q_version_get_row *ver)
{
    struct q_step_failover_row why;
    bool found = false;
    if (!v->wish.issuers.n || str_equal(v->wish.issuers.v[0], ver->issuer))
        return RC_OK;
    TRY(q_step_failover(ctx, txn, v->id, ver->attempt_id, &why, &found));
    if (found)
        condition_add(v, "instead", true, arena_printf(&ctx->arena, "issued by %s (%s)", ver->issuer, why.text));
    return RC_OK;
}

static struct rc fill(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_get_row *r,
                      struct managed_view *v)
{
    *v = (struct managed_view){.id = r->id,
                               .name = r->name,
                               .team_id = r->team_id,
                               .paused_reason = r->paused_reason,
                               .error_code = r->error_code,
                               .error = r->error,
                               .paused_at = r->paused_at ? *r->paused_at : 0,
                               .failures = r->failures,
                               .failed_at = r->failed_at ? *r->failed_at : 0,
                               .revision = r->revision,
                               .created_at = r->created_at,
                               .updated_at = r->updated_at,
                               .version = r->version};
    TRY(wish_decode(ctx, r->wish, &v->wish));
    struct q_team_name_row team;
    TRY(q_team_name(ctx, txn, r->team_id, &team));
    v->team = team.name;
    if (r->version) {
        struct q_version_get_row ver;
        bool found = false;
        TRY(q_version_get(ctx, txn, r->id, r->version, &ver, &found));
        if (found) {
            v->fingerprint = ver.fingerprint;
            v->not_before = ver.not_before;
            v->not_after = ver.not_after;
            v->renew_at = ver.renew_at;
            v->issuer = ver.issuer;
            TRY(condition_instead(ctx, txn, v, &ver));
        }
    }
    TRY(next_time(ctx, txn, v));
    return conditions(ctx, core, txn, v);
}

struct reading {
    struct core *core;
    const char *ref;
    int64_t limit, version;
    struct managed_view *out;
    size_t n;
    const char *text;
};

static struct rc show(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct reading *r = arg;
    TRY(decide(ctx, r->core, txn, "managed-certificate.read", NULL));
    struct q_managed_get_row row;
    TRY(managed_find(ctx, txn, r->ref, &row));
    return fill(ctx, r->core, txn, &row, r->out);
}

RC managed_show(struct ctx *ctx, struct core *core, const char *ref, struct managed_view *out)
{
    struct reading r = {.core = core, .ref = ref, .out = out};
    return store_read(ctx, core->store, show, &r);
}

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct reading *r = arg;
    TRY(decide(ctx, r->core, txn, "managed-certificate.read", NULL));
    struct q_managed_get_row *rows = NULL;
    TRY(q_managed_list(ctx, txn, access_scope(ctx), r->ref, r->limit, &rows, &r->n));
    r->out = arena_array(&ctx->arena, r->n, sizeof *r->out);
    for (size_t i = 0; i < r->n; i++)
        TRY(fill(ctx, r->core, txn, &rows[i], &r->out[i]));
    return RC_OK;
}

RC managed_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct managed_view **out, size_t *n)
{
    struct reading r = {.core = core, .ref = after, .limit = limit};
    TRY(store_read(ctx, core->store, list, &r));
    *out = r.out;
    *n = r.n;
    return RC_OK;
}

RC managed_why(struct ctx *ctx, struct core *core, const char *ref, const char **out)
{
    struct managed_view v;
    TRY(managed_show(ctx, core, ref, &v));
    const struct condition *served = condition_of(&v, "served"), *busy = condition_of(&v, "renewing"),
                           *late = condition_of(&v, "late"), *adopted = condition_of(&v, "adopted"),
                           *download = condition_of(&v, "downloadable");
    if (!busy)
        busy = condition_of(&v, "waiting");
    if (!busy)
        busy = condition_of(&v, "deploying");
    const char *now = adopted                    ? arena_printf(&ctx->arena, "is %s", adopted->reason)
                      : !v.version               ? "has no certificate yet"
                      : served && served->status ? arena_printf(&ctx->arena, "is served (version %lld, until %s)",
                                                                (long long)v.version, when(ctx, v.not_after))
                      : served                   ? arena_printf(&ctx->arena, "is not served as it should be (%s)", served->reason)
                      : download ? arena_printf(&ctx->arena, "is issued (until %s); %s", when(ctx, v.not_after), download->reason)
                               : arena_printf(&ctx->arena, "is issued (version %lld, until %s) and deployed nowhere",
                                              (long long)v.version, when(ctx, v.not_after));
    const char *cause = "", *next = "";
    if (v.paused_reason)
        cause = arena_printf(&ctx->arena, "; paused: %s", v.paused_reason);
    else if (condition_of(&v, "halted"))
        cause = arena_printf(&ctx->arena, "; %s", condition_of(&v, "halted")->reason);
    else if (v.failures && v.error)
        cause = arena_printf(&ctx->arena, "; failed %lld time%s: %s", (long long)v.failures, v.failures == 1 ? "" : "s", v.error);
    else if (condition_of(&v, "incomplete"))
        cause = arena_printf(&ctx->arena, "; %s", condition_of(&v, "incomplete")->reason);
    else if (late)
        cause = arena_printf(&ctx->arena, "; late: %s", late->reason);
    else if (condition_of(&v, "instead"))
        cause = arena_printf(&ctx->arena, "; %s", condition_of(&v, "instead")->reason);
    else if (condition_of(&v, "not_yet_valid"))
        cause = arena_printf(&ctx->arena, "; %s", condition_of(&v, "not_yet_valid")->reason);
    if (busy)
        next = arena_printf(&ctx->arena, "; now: %s", busy->reason);
    else if (v.paused_reason)
        next = arena_printf(&ctx->arena, "; goes on after: certwright cert resume %s", v.name);
    else if (v.next_at)
        next = arena_printf(&ctx->arena, v.failures ? "; next try %s" : "; next renewal %s", when(ctx, v.next_at));
    *out = arena_printf(&ctx->arena, "%s %s%s%s.", v.name, now, cause, next);
    return RC_OK;
}

static struct rc export(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct reading *r = arg;
    TRY(decide(ctx, r->core, txn, "certificate.export", NULL));
    struct q_managed_get_row row;
    TRY(managed_find(ctx, txn, r->ref, &row));
    struct q_version_get_row v;
    bool found = false;
    TRY(q_version_get(ctx, txn, row.id, r->version ? r->version : row.version, &v, &found));
    if (!found)
        return ctx_fail(ctx, E_NOT_FOUND, "%s has no certificate yet", row.name);
    struct q_chain_get_row chain;
    TRY(q_chain_get(ctx, txn, v.chain_sha256, &chain));
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 20);
    struct bytes der;
    TRY(certificate_der(ctx, r->core, v.dictionary, v.packed, &der));
    pem_put(&b, "CERTIFICATE", der);
    buf_put_z(&b, chain.pem);
    TRY(buf_status(&b));
    r->text = buf_z(&b);
    return RC_OK;
}

RC managed_export(struct ctx *ctx, struct core *core, const char *ref, int64_t version, const char **pem)
{
    struct reading r = {.core = core, .ref = ref, .version = version};
    TRY(store_read(ctx, core->store, export, &r));
    *pem = r.text;
    return RC_OK;
}
