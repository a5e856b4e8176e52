#include "core/issuer_health.h"

#include "base/encode.h"
#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/issuer.h"
#include "core/job.h"
#include "core/standby_look.h"

/* How long an issuer is left alone: the first time, and at most unless it asks for more. */
#define ALONE_S     60
#define ALONE_MAX_S 3600
/* A trial that takes longer than this keeps nobody waiting any more: while the issuer has it in hand, and while it waits for
 * something of ours (its agent, a look at DNS, an answer to a challenge); and how often the others look meanwhile. */
#define TRIAL_MAX_S  900
#define TRIAL_OURS_S 120
#define TRIAL_LOOK_S 20

#define AT_ORDER "order"
#define AT_ISSUE "issue"

bool issuer_is_fault(enum err e)
{
    static const enum err faults[] = {E_ISSUER_FAILED, E_UNREACHABLE, E_TLS, E_DNS, E_TIMEOUT, E_BAD_ANSWER, E_BAD_CERTIFICATE};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (faults[i] == e)
            return true;
    return false;
}

static const char *when(struct ctx *ctx, int64_t at)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 64);
    time_put_rfc3339(&b, at);
    return buf_z(&b);
}

static const char *failing_words(struct ctx *ctx, const struct q_issuer_health_row *h)
{
    return arena_printf(&ctx->arena, "%s is failing since %s (%lld time%s): %s", h->name,
                        h->failing_since ? when(ctx, *h->failing_since) : "?", (long long)h->failures, h->failures == 1 ? "" : "s",
                        h->last_error ? h->last_error : "?");
}

RC issuer_verdict_of(struct ctx *ctx, const struct q_issuer_health_row *h, const struct issuer_policy *p,
                     struct issuer_verdict *out)
{
    const int64_t now = ctx_now_s(ctx);
    *out = (struct issuer_verdict){.why = h->failures ? failing_words(ctx, h) : ""};
    if (!h->retry_at && h->failures < issuer_policy_after(p))
        return RC_OK;
    if (h->retry_at && *h->retry_at > now)
        out->until = *h->retry_at;
    else if (h->trial_open && h->trial_at && now - *h->trial_at < (h->trial_asks ? TRIAL_MAX_S : TRIAL_OURS_S))
        out->until = now + TRIAL_LOOK_S;
    else
        out->trial = true;
    return RC_OK;
}

/* 1 minute doubling to an hour, ± a fifth; never less than the issuer asked for, and then not all at the same second. */
static int64_t alone_s(int64_t trips, int64_t retry_after_s)
{
    int64_t s = ALONE_S;
    for (int64_t i = 0; i < trips && s < ALONE_MAX_S; i++)
        s *= 2;
    if (s > ALONE_MAX_S)
        s = ALONE_MAX_S;
    s += (int64_t)random_below((uint64_t)s / 5 * 2 + 1) - s / 5;
    return s < retry_after_s ? retry_after_s + (int64_t)random_below(30) : s;
}

static struct bytes error_detail(struct ctx *ctx, const char *why)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    struct json_out j;
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "error", why);
    json_close(&j);
    return rc_ok(buf_status(&b)) ? buf_bytes(&b) : (struct bytes){0};
}

RC issuer_note_failure(struct ctx *ctx, struct txn *txn, const char *issuer, bool ordered, const char *why, int64_t retry_after_s)
{
    struct q_issuer_health_row h;
    struct issuer_settings s;
    const int64_t now = ctx_now_s(ctx);
    TRY(q_issuer_health(ctx, txn, issuer, &h));
    TRY(issuer_settings_decode(ctx, h.kind, h.settings, &s));
    /* Others that were under way when it was left alone say nothing new, unless it asks for more time. */
    if (h.trips && h.retry_at && *h.retry_at > now) {
        const int64_t longer = now + retry_after_s > *h.retry_at ? now + retry_after_s : *h.retry_at;
        return q_issuer_error_set(ctx, txn, issuer, why, &longer);
    }
    const bool opens = retry_after_s > 0 || h.failures + 1 >= issuer_policy_after(&s.policy);
    const int64_t until = now + alone_s(h.trips, retry_after_s);
    const struct q_issuer_health_set_in in = {.id = issuer,
                                              .failures = h.failures + 1,
                                              .failing_since = h.failing_since ? *h.failing_since : now,
                                              .failing_step = ordered || str_equal(h.failing_step, AT_ISSUE) ? AT_ISSUE : AT_ORDER,
                                              .trips = opens ? h.trips + 1 : h.trips,
                                              .error = why,
                                              .retry_at = opens ? &until : NULL};
    TRY(q_issuer_health_set(ctx, txn, &in));
    return opens && !h.trips ? audit_write(ctx, txn, "issuer.failing", "issuer", issuer, h.team_id, error_detail(ctx, why)) : RC_OK;
}

RC issuer_try_again(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, int64_t *alone_s)
{
    struct q_issuer_health_row h;
    *alone_s = 0;
    TRY(q_issuer_health(ctx, txn, a->issuer_id, &h));
    if (!h.retry_at || *h.retry_at <= ctx_now_s(ctx))
        return RC_OK;
    *alone_s = *h.retry_at - ctx_now_s(ctx);
    return q_issuer_trial(ctx, txn, a->issuer_id, a->id, *h.retry_at);
}

static struct rc waiters_wake(struct ctx *ctx, struct txn *txn, const char *issuer)
{
    struct q_managed_waiting_for_row *waiting = NULL;
    size_t n = 0;
    TRY(q_managed_waiting_for(ctx, txn, issuer, &waiting, &n));
    for (size_t i = 0; i < n; i++) /* ten a second */
        TRY(timer_arm(ctx, txn, "retry", waiting[i].managed_id, ctx_now_s(ctx) + (int64_t)random_below(1 + n / 10)));
    return RC_OK;
}

RC issuer_changed(struct ctx *ctx, struct txn *txn, const char *issuer)
{
    TRY(q_issuer_ask_again(ctx, txn, issuer));
    return waiters_wake(ctx, txn, issuer);
}

RC issuer_note_answer(struct ctx *ctx, struct txn *txn, const char *issuer)
{
    struct q_issuer_health_row h;
    TRY(q_issuer_health(ctx, txn, issuer, &h));
    if (!h.failures && !h.retry_at && !h.trial_id)
        return RC_OK;
    TRY(q_issuer_healthy(ctx, txn, issuer));
    if (!h.trips)
        return RC_OK;
    TRY(waiters_wake(ctx, txn, issuer));
    return audit_write(ctx, txn, "issuer.healthy", "issuer", issuer, h.team_id, audit_field(ctx, "state", "failing", "healthy"));
}

RC issuer_note_taken(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a)
{
    struct q_issuer_health_row h;
    TRY(q_issuer_health(ctx, txn, a->issuer_id, &h));
    if (!h.failures && !h.retry_at)
        return RC_OK;
    if (!str_equal(h.failing_step, AT_ISSUE))
        return issuer_note_answer(ctx, txn, a->issuer_id);
    return str_equal(h.trial_id, a->id) ? q_issuer_trial_over(ctx, txn, a->issuer_id, ctx_now_s(ctx) + ALONE_S) : RC_OK;
}

RC issuer_troubles(struct ctx *ctx, struct txn *txn, int64_t most, void *arg,
                   void (*add)(void *arg, const char *object, const char *text, const char *remedy))
{
    struct q_issuer_failing_row *failing = NULL;
    struct q_issuer_standby_bad_row *standby = NULL;
    struct q_bad_name_status_row *names = NULL;
    size_t n = 0;
    struct arena *a = &ctx->arena;
    TRY(q_issuer_failing(ctx, txn, access_scope(ctx), most, &failing, &n));
    for (size_t i = 0; i < n; i++)
        add(arg, failing[i].name,
            arena_printf(a, "issuer %s failed %lld time%s: %s%s%s", failing[i].name, (long long)failing[i].failures,
                         failing[i].failures == 1 ? "" : "s", failing[i].last_error ? failing[i].last_error : "?",
                         failing[i].retry_at ? "; asked again at " : "",
                         failing[i].retry_at ? when(ctx, *failing[i].retry_at) : ""),
            arena_printf(a, "certwright issuer show %s", failing[i].name));
    TRY(q_issuer_standby_bad(ctx, txn, access_scope(ctx), most, &standby, &n));
    for (size_t i = 0; i < n; i++)
        add(arg, standby[i].name,
            arena_printf(a, "issuer %s stands by for another one and would not work now: %s", standby[i].name,
                         standby[i].standby_error),
            arena_printf(a, "certwright issuer show %s", standby[i].name));
    TRY(standby_look_troubles(ctx, txn, most, arg, add));
    struct q_managed_waiting_row *waiting = NULL;
    TRY(q_managed_waiting(ctx, txn, access_scope(ctx), most, &waiting, &n));
    for (size_t i = 0; i < n; i++)
        add(arg, waiting[i].managed,
            arena_printf(a, "%s%s for issuer %s, the first until %s: %s",
                         waiting[i].n == 1 ? waiting[i].managed
                                           : arena_printf(a, "%s and %lld more", waiting[i].managed, (long long)waiting[i].n - 1),
                         waiting[i].n == 1 ? " waits" : " wait", waiting[i].issuer, when(ctx, waiting[i].until), waiting[i].why),
            waiting[i].remedy);
    TRY(q_bad_name_status(ctx, txn, access_scope(ctx), most, &names, &n));
    for (size_t i = 0; i < n; i++)
        add(arg, names[i].managed,
            arena_printf(a, "%s goes without %lld of its names (%s): %s", names[i].managed, (long long)names[i].n, names[i].first,
                         names[i].why),
            arena_printf(a, "when mended: certwright cert renew %s", names[i].managed));
    return RC_OK;
}

RC issuer_let_through(struct ctx *ctx, struct txn *txn, const char *managed)
{
    TRY(q_issuer_let_through(ctx, txn, managed));
    return q_issuer_hold_clear(ctx, txn, managed);
}

RC issuer_note_result(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, enum err e, const char *why,
                      int64_t retry_after_s)
{
    /* One that is not reached takes no orders either, whatever the attempt was at. */
    const bool ordered =
        str_equal(a->state, "finalize") && (e == E_ISSUER_FAILED || e == E_BAD_ANSWER || e == E_BAD_CERTIFICATE);
    if (issuer_is_fault(e))
        return issuer_note_failure(ctx, txn, a->issuer_id, ordered, why, retry_after_s);
    if (e == E_RATE_LIMITED) { /* this one's names or the account: what others ask for may be free */
        const int64_t until = ctx_now_s(ctx) + (retry_after_s ? retry_after_s : 3600);
        TRY(q_issuer_hold_set(ctx, txn, a->issuer_id, a->managed_id, until, why));
    }
    return e == E_RATE_LIMITED || e == E_CHALLENGE_FAILED || e == E_ISSUER_REFUSED ? issuer_note_answer(ctx, txn, a->issuer_id)
                                                                                   : RC_OK;
}
