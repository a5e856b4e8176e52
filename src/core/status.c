#include "core/status.h"

#include "base/str.h"
#include "core/access.h"
#include "core/adopt.h"
#include "core/alert.h"
#include "core/audit_log.h"
#include "core/backup.h"
#include "core/counter.h"
#include "core/campaign.h"
#include "core/channel.h"
#include "core/dns_provider.h"
#include "core/finding_policy.h"
#include "core/heard.h"
#include "core/issuer_health.h"
#include "core/outside.h"
#include "core/persist.h"
#include "core/policy_hold.h"
#include "core/rule_author.h"
#include "core/scan.h"
#include "core/watch.h"
#include "store/queries.h"
#include "wire/messages.h"

/* As many of each kind as a person reads; the sentence says where there are more. */
#define EACH_MAX 50
/* An attempt takes seconds; an issuer that takes a person's time is told by its own words. */
#define ATTEMPT_LONG_S 900
/* A signer that does not answer within this is what the status is asked about. */
#define SIGNER_MS 2000

struct looking {
    struct core *core;
    struct status *out;
    size_t cap;
    int64_t alerts;
    int64_t managed, findings; /* findings: errors and worse, in the inventory; `finding` is the check with most */
    const char *finding;
    size_t agents;
};

static void problem_add(struct looking *l, const char *object, const char *text, const char *remedy)
{
    if (l->out->n < l->cap)
        l->out->problems[l->out->n++] = (struct status_problem){object, text, remedy};
}

static void problem_add_any(void *arg, const char *object, const char *text, const char *remedy)
{
    problem_add(arg, object, text, remedy);
}

/* When what is served ends, where that is near: "; its certificate ends in 40 hours". */
static struct rc ending(struct ctx *ctx, struct txn *txn, const char *managed, int64_t version, const char **words)
{
    struct q_version_get_row v;
    bool found = false;
    *words = "";
    if (version)
        TRY(q_version_get(ctx, txn, managed, version, &v, &found));
    const int64_t left = found ? v.not_after - ctx_now_s(ctx) : 0;
    if (found && left < 0)
        *words = "; ITS CERTIFICATE HAS EXPIRED";
    else if (found && left < (v.not_after - v.not_before) / 4)
        *words = left < 2 * 86400 ? arena_printf(&ctx->arena, "; its certificate ends in %lld hours", (long long)left / 3600)
                                  : arena_printf(&ctx->arena, "; its certificate ends in %lld days", (long long)left / 86400);
    return RC_OK;
}

static struct rc look_certificates(struct ctx *ctx, struct txn *txn, struct looking *l)
{
    struct q_managed_paused_row *paused = NULL;
    struct q_managed_failing_row *failing = NULL;
    struct q_target_endpoint_bad_row *bad = NULL;
    size_t n = 0;
    TRY(q_managed_paused(ctx, txn, access_scope(ctx), EACH_MAX, &paused, &n));
    const char *ends = "";
    for (size_t i = 0; i < n; i++) {
        TRY(ending(ctx, txn, paused[i].id, paused[i].version, &ends));
        struct rc settled = adoption_settled(ctx, txn, paused[i].id, paused[i].name);
        if (settled.e == E_CONFLICT) { /* to resume it would be refused */
            problem_add(l, paused[i].name, arena_printf(&ctx->arena, "%s%s", ctx_why(ctx), ends),
                        "see that the agent runs (certwright agent list): it goes on by itself then");
            ctx_forget(ctx);
            continue;
        }
        TRY(settled);
        problem_add(l, paused[i].name,
                    arena_printf(&ctx->arena, "%s is paused: %s%s", paused[i].name, paused[i].paused_reason, ends),
                    arena_printf(&ctx->arena, "certwright cert resume %s", paused[i].name));
    }
    TRY(q_managed_failing(ctx, txn, access_scope(ctx), EACH_MAX, &failing, &n));
    for (size_t i = 0; i < n; i++)
        if (!failing[i].paused_reason) {
            TRY(ending(ctx, txn, failing[i].id, failing[i].version, &ends));
            problem_add(l, failing[i].name,
                        arena_printf(&ctx->arena, "%s failed %lld time%s: %s%s", failing[i].name, (long long)failing[i].failures,
                                     failing[i].failures == 1 ? "" : "s", failing[i].error ? failing[i].error : "?", ends),
                        arena_printf(&ctx->arena, "certwright cert why %s; when mended: certwright cert retry %s", failing[i].name,
                                     failing[i].name));
        }
    struct q_attempt_old_row *old = NULL;
    TRY(q_attempt_old(ctx, txn, ctx_now_s(ctx) - ATTEMPT_LONG_S, access_scope(ctx), EACH_MAX, &old, &n));
    for (size_t i = 0; i < n; i++) {
        TRY(ending(ctx, txn, old[i].managed_id, old[i].version, &ends));
        if (str_equal(old[i].state, "manual")) {
            problem_add(l, old[i].managed,
                        arena_printf(&ctx->arena, "%s waits for a certificate that somebody has to bring%s", old[i].managed, ends),
                        arena_printf(&ctx->arena, "certwright cert csr %s --out FILE, then: certwright cert take %s --chain FILE",
                                     old[i].managed, old[i].managed));
            continue;
        }
        problem_add(l, old[i].managed,
                    arena_printf(&ctx->arena, "%s: attempt %lld has been under way for %lld minutes and is at: %s%s",
                                 old[i].managed, (long long)old[i].number, (long long)(ctx_now_s(ctx) - old[i].created_at) / 60,
                                 old[i].state, ends),
                    arena_printf(&ctx->arena, "certwright cert why %s", old[i].managed));
    }
    struct q_job_trouble_row *again = NULL;
    TRY(q_job_trouble(ctx, txn, access_scope(ctx), EACH_MAX, &again, &n));
    for (size_t i = 0; i < n; i++)
        problem_add(l, again[i].managed,
                    arena_printf(&ctx->arena, "%s: %s did not work yet (%lld tr%s): %s", again[i].managed, again[i].kind,
                                 (long long)again[i].tries, again[i].tries == 1 ? "y" : "ies",
                                 again[i].error ? again[i].error : "?"),
                    arena_printf(&ctx->arena, "certwright cert why %s", again[i].managed));
    TRY(q_target_endpoint_bad(ctx, txn, access_scope(ctx), EACH_MAX, &bad, &n));
    for (size_t i = 0; i < n; i++)
        problem_add(l, bad[i].managed,
                    arena_printf(&ctx->arena, "%s: %s at %s:%lld (%s) is %s%s%s", bad[i].managed, bad[i].target, bad[i].address,
                                 (long long)bad[i].port, bad[i].name, bad[i].verdict, *bad[i].detail ? ": " : "", bad[i].detail),
                    arena_printf(&ctx->arena, "certwright cert show %s", bad[i].managed));
    return RC_OK;
}

/* Those that should call and do not. */
static struct rc look_silent(struct ctx *ctx, struct txn *txn, struct looking *l, struct str_list *told)
{
    const char *const *ids = NULL;
    size_t n = 0;
    TRY(heard_silent(ctx, l->core, &ids, &n));
    for (size_t i = 0; i < n && told->n < EACH_MAX; i++) {
        struct q_agent_get_row a;
        bool found = false;
        TRY(q_agent_get(ctx, txn, ids[i], access_scope(ctx), &a, &found));
        if (!found || (!str_equal(a.state, "active") && !str_equal(a.state, "draining")))
            continue;
        const int64_t silent_s = ctx_now_s(ctx) - heard_at(l->core, a.id, a.seen_at);
        str_list_add(&ctx->arena, told, a.id);
        problem_add(l, a.name,
                    arena_printf(&ctx->arena, "agent %s has been silent for %lld minutes", a.name, (long long)silent_s / 60),
                    arena_printf(&ctx->arena,
                                 "look at the agent's log on %s; where it is gone for good: certwright agent remove %s --force",
                                 a.name, a.name));
    }
    return RC_OK;
}

/* What is wrong with an agent, in the order in which it keeps it from work. */
static void agent_problem(struct ctx *ctx, struct looking *l, const struct q_agent_troubled_row *a)
{
    if (str_equal(a->state, "pending"))
        problem_add(l, a->name, arena_printf(&ctx->arena, "agent %s at %s awaits approval", a->name, a->address),
                    arena_printf(&ctx->arena, "certwright agent approve %s   (or: certwright agent remove %s)", a->name, a->name));
    else if (str_equal(a->state, "suspended"))
        problem_add(l, a->name, a->trouble,
                    arena_printf(&ctx->arena, "stop one of them and let it join anew, then: certwright agent approve %s", a->name));
    else if (*a->trouble)
        problem_add(l, a->name, a->trouble, arena_printf(&ctx->arena, "certwright agent show %s", a->name));
    else
        problem_add(l, a->name,
                    arena_printf(&ctx->arena, "the clock of agent %s is %lld seconds %s", a->name,
                                 (long long)(a->clock_skew_s < 0 ? -a->clock_skew_s : a->clock_skew_s),
                                 a->clock_skew_s < 0 ? "slow" : "fast"),
                    arena_printf(&ctx->arena, "set the clock of its host right"));
}

static struct rc look_agents(struct ctx *ctx, struct txn *txn, struct looking *l)
{
    struct q_agent_troubled_row *agents = NULL;
    struct q_agent_count_row count;
    size_t n = 0;
    struct str_list silent = {0};
    TRY(look_silent(ctx, txn, l, &silent));
    l->out->agents_silent = silent.n;
    TRY(q_agent_troubled(ctx, txn, access_scope(ctx), EACH_MAX, &agents, &n));
    for (size_t i = 0; i < n; i++)
        if (!str_list_has(&silent, agents[i].id))
            agent_problem(ctx, l, &agents[i]);
    struct q_agent_seal_keys_offered_row *offered = NULL;
    TRY(q_agent_seal_keys_offered(ctx, txn, access_scope(ctx), EACH_MAX, &offered, &n));
    for (size_t i = 0; i < n; i++)
        problem_add(
            l, offered[i].name,
            arena_printf(&ctx->arena, "agent %s tells another sealing key than before: shared keys are not sealed to it",
                         offered[i].name),
            arena_printf(&ctx->arena, "where its state was lost or set up anew: certwright agent approve %s", offered[i].name));
    TRY(q_agent_count(ctx, txn, access_scope(ctx), 100001, &count));
    l->agents = (size_t)count.n;
    return RC_OK;
}

/* What is wrong with certificates that we only know of is no trouble of ours: it is a sentence more, and no line. */
static struct rc look_findings(struct ctx *ctx, struct txn *txn, struct looking *l)
{
    struct finding_policy policy;
    struct q_counter_of_row *rows = NULL;
    size_t rows_n = 0, n = 0;
    TRY(finding_policy_read(ctx, txn, &policy));
    TRY(q_counter_of(ctx, txn, COUNTER_FINDING, access_scope(ctx), CHECK_NUMBER_MAX, &rows, &rows_n));
    const struct check_info *checks = findings_checks(&n);
    const int64_t told = finding_policy_at_least(&policy, SEVERITY_ERROR);
    l->findings = 0;
    for (size_t i = 0; i < rows_n; i++) /* largest first */
        for (size_t k = 0; k < n; k++)
            if (str_equal(checks[k].id, rows[i].key) && (told & CHECK_BIT(checks[k].number))) {
                if (!l->findings)
                    l->finding = checks[k].id;
                l->findings += rows[i].n;
            }
    return RC_OK;
}

static struct rc look_around(struct ctx *ctx, struct txn *txn, struct looking *l)
{
    struct q_managed_count_row count;
    TRY(issuer_troubles(ctx, txn, EACH_MAX, l, problem_add_any));
    TRY(look_agents(ctx, txn, l));
    TRY(dns_provider_troubles(ctx, txn, EACH_MAX, l, problem_add_any));
    TRY(channel_troubles(ctx, txn, EACH_MAX, l, problem_add_any));
    TRY(rule_troubles(ctx, txn, EACH_MAX, l, problem_add_any));
    TRY(campaign_troubles(ctx, txn, EACH_MAX, l, problem_add_any));
    TRY(persist_troubles(ctx, txn, EACH_MAX, l, problem_add_any));
    TRY(policy_hold_troubles(ctx, txn, EACH_MAX, l, problem_add_any));
    TRY(scan_troubles(ctx, txn, EACH_MAX, l, problem_add_any));
    TRY(outside_troubles(ctx, txn, l, problem_add_any));
    TRY(look_findings(ctx, txn, l));
    TRY(alert_waiting(ctx, txn, &l->alerts));
    TRY(q_managed_count(ctx, txn, access_scope(ctx), 10001, &count));
    l->managed = count.n;
    return RC_OK;
}

static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct looking *l = arg;
    l->out->n = 0;
    TRY(decide(ctx, l->core, txn, "status.read", NULL));
    TRY(look_certificates(ctx, txn, l));
    return look_around(ctx, txn, l);
}

/* A CA whose root is elsewhere issues nothing until that has answered. */
static struct rc look_own_ca(struct ctx *ctx, struct looking *l)
{
    const struct wire_signer_ca_show ask = {.ca = "issuing"};
    struct wire_signer_ca ca;
    struct rc rc = wire_call_signer_ca_show(ctx, l->core->signer, &ask, &ca);
    if (rc_ok(rc) && !ca.certificate.n)
        problem_add(l, "issuing", "the issuing CA waits for its certificate from your root CA; it issues nothing until then",
                    "certwright ca show issuing (the request), then: certwright ca import issuing --chain FILE");
    ctx_forget(ctx);
    return RC_OK;
}

RC core_status(struct ctx *ctx, struct core *core, struct status *out)
{
    struct looking l = {.core = core, .out = out, .cap = 5 * EACH_MAX + 1000};
    *out = (struct status){.problems = arena_array(&ctx->arena, l.cap, sizeof *out->problems)};
    TRY(store_read(ctx, core->store, look, &l));
    watch_troubles(ctx, core, &l, problem_add_any);
    audit_troubles(ctx, core, &l, problem_add_any);
    TRY(backup_troubles(ctx, core, &l, problem_add_any));
    const struct wire_signer_health ask = {0};
    struct wire_signer_healthy healthy;
    const int64_t deadline_ms = ctx->deadline_ms;
    ctx->deadline_ms = clock_mono_ms() + SIGNER_MS;
    struct rc rc = wire_call_signer_health(ctx, core->signer, &ask, &healthy);
    if (rc_failed(rc)) {
        const char *why = arena_strdup(&ctx->arena, ctx_why(ctx));
        ctx_forget(ctx);
        problem_add(&l, "signer", arena_printf(&ctx->arena, "the signer does not answer: %s", why),
                    "look at the hub's log; nothing is issued meanwhile");
    } else {
        TRY(look_own_ca(ctx, &l));
    }
    ctx->deadline_ms = deadline_ms;
    const char *many = l.managed > 10000 ? "more than 10,000" : arena_printf(&ctx->arena, "%lld", (long long)l.managed);
    if (out->n)
        out->text = arena_printf(&ctx->arena, "%zu thing%s need%s attention; %s managed certificate%s, %zu agent%s.", out->n,
                                 out->n == 1 ? "" : "s", out->n == 1 ? "s" : "", many, l.managed == 1 ? "" : "s", l.agents,
                                 l.agents == 1 ? "" : "s");
    else
        out->text = arena_printf(&ctx->arena, "All is well: %s managed certificate%s, %zu agent%s.", many,
                                 l.managed == 1 ? "" : "s", l.agents, l.agents == 1 ? "" : "s");
    if (l.alerts)
        out->text = arena_printf(&ctx->arena, "%s  %s%lld open alert%s: certwright alert list", out->text,
                                 l.alerts == ALERT_COUNT_MAX ? "more than " : "",
                                 (long long)(l.alerts == ALERT_COUNT_MAX ? l.alerts - 1 : l.alerts), l.alerts == 1 ? "" : "s");
    if (l.findings)
        out->text =
            arena_printf(&ctx->arena, "%s  %lld finding%s of severity error in the inventory, %s%s: certwright finding list",
                         out->text, (long long)l.findings, l.findings == 1 ? "" : "s", l.findings == 1 ? "" : "most ", l.finding);
    return RC_OK;
}
