#include "core/standby.h"

#include "base/random.h"
#include "core/audit.h"
#include "core/issuer.h"
#include "core/issuer_health.h"
#include "core/job.h"
#include "core/preflight.h"
#include "core/standby_look.h"

#define EVERY_S   86400
#define SOON_S    2
#define NAMES_MAX 100 /* as many as an agent takes at once */
/* One that is not reached is looked at again before anybody is told for a whole day. */
#define AGAIN_S 3600

RC standby_wish(struct ctx *ctx, struct txn *txn, const char *issuer)
{
    struct q_timer_get_row armed;
    bool found = false;
    TRY(q_timer_get(ctx, txn, "standby", issuer, &armed, &found));
    return found ? RC_OK : timer_arm(ctx, txn, "standby", issuer, ctx_now_s(ctx) + SOON_S);
}

static void put_list(struct json_out *j, const char *key, const struct str_list *l)
{
    json_open_list(j, key);
    for (size_t i = 0; i < l->n; i++)
        json_put_str(j, NULL, l->v[i]);
    json_close(j);
}

static struct rc ready_payload(struct ctx *ctx, const struct payload_issuer *i, struct bytes *out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    struct json_out j;
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "verb", "ready");
    json_put_str(&j, "account", i->account);
    json_put_str(&j, "directory_url", i->directory_url);
    if (i->account_url)
        json_put_str(&j, "account_url", i->account_url);
    if (i->ca_roots_pem)
        json_put_str(&j, "ca_roots_pem", i->ca_roots_pem);
    put_list(&j, "granted_networks", &i->networks);
    put_list(&j, "contacts", &i->contacts);
    json_put_bool(&j, "terms_agreed", i->terms_agreed);
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_bytes(&b);
    return RC_OK;
}

/* One that is no ACME CA: whether it takes the credential, and may be asked for what would go to it. */
static struct rc try_other(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer)
{
    struct q_standby_next_row *rows = NULL;
    struct str_list names = {0};
    size_t n = 0;
    TRY(q_standby_next(ctx, txn, issuer, NAMES_MAX, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        struct wish w;
        TRY(wish_decode(ctx, rows[i].wish, &w));
        if (names.n + w.names.n > NAMES_MAX)
            break;
        for (size_t k = 0; k < w.names.n; k++)
            if (!str_list_has(&names, w.names.v[k]))
                str_list_add(&ctx->arena, &names, w.names.v[k]);
        TRY(q_standby_look_begun(ctx, txn, issuer, rows[i].id, ctx_now_s(ctx)));
    }
    return preflight_try(ctx, core, txn, id_new(&ctx->arena, clock_unix_ms(ctx->clock)), NULL, issuer, &names, true);
}

RC standby_looked(struct ctx *ctx, struct txn *txn, const char *issuer, int64_t begun_at, const struct api_finding *findings,
                  size_t n)
{
    struct q_issuer_health_row h;
    const char *wrong = "its agent has not looked: upgrade it";
    TRY(q_issuer_health(ctx, txn, issuer, &h));
    if (h.removed_at)
        return RC_OK;
    if (str_equal(h.kind, "acme"))
        return standby_look_ended(ctx, txn, issuer, begun_at, findings, n);
    for (size_t i = 0; i < n; i++)
        if (!*findings[i].name)
            wrong = str_equal(findings[i].verdict, "ok") ? NULL : findings[i].text;
    if (wrong)
        TRY(timer_arm(ctx, txn, "standby", issuer, ctx_now_s(ctx) + AGAIN_S));
    return q_issuer_standby_set(ctx, txn, issuer, wrong, NULL, ctx_now_s(ctx));
}

RC standby_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer)
{
    struct q_issuer_health_row h;
    struct q_issuer_is_standby_row used;
    struct issuer_settings s;
    struct payload_issuer i;
    struct bytes payload;
    const char *agent = NULL;
    TRY(q_issuer_health(ctx, txn, issuer, &h));
    TRY(q_issuer_is_standby(ctx, txn, issuer, &used));
    const bool other = str_equal(h.kind, "enroll");
    const bool stands_by = !h.removed_at && used.n && (other || str_equal(h.kind, "acme"));
    if (!other) /* by itself: where it cannot begin, the rest goes on */
        TRY(timer_arm(ctx, txn, "rehearsal", issuer, ctx_now_s(ctx)));
    if (!stands_by) {
        TRY(q_standby_look_tidy(ctx, txn, issuer));
        return q_issuer_standby_clear(ctx, txn, issuer); /* wished again by the next certificate that lists it second */
    }
    TRY(timer_arm(ctx, txn, "standby", issuer, ctx_now_s(ctx) + EVERY_S - (int64_t)random_below(EVERY_S / 10)));
    if (other)
        return try_other(ctx, core, txn, issuer);
    TRY(issuer_for_job(ctx, txn, issuer, &s, &i));
    TRY(ready_payload(ctx, &i, &payload));
    TRY(issuer_agent(ctx, txn, &s, &agent));
    return job_add(ctx, core, txn, "acme_account", agent, arena_printf(&ctx->arena, STANDBY_LANE "%s", issuer), issuer, payload, 0);
}

RC standby_seen(struct ctx *ctx, struct txn *txn, const char *issuer, const struct api_job_acme_account_done *done, const char *why)
{
    struct q_issuer_health_row h;
    TRY(q_issuer_health(ctx, txn, issuer, &h));
    if (h.removed_at)
        return RC_OK;
    if (!done) {
        TRY(timer_arm(ctx, txn, "standby", issuer, ctx_now_s(ctx) + AGAIN_S));
        return q_issuer_standby_set(ctx, txn, issuer, why, NULL, ctx_now_s(ctx));
    }
    const char *terms = done->terms_of_service && *done->terms_of_service ? done->terms_of_service : NULL, *wrong = NULL;
    if (!str_equal(done->status, "valid"))
        wrong = arena_printf(&ctx->arena, "its account is %s; make another one with: certwright issuer account %s renew",
                             done->status, h.name);
    else if (h.terms_url && terms && !str_equal(h.terms_url, terms))
        wrong = arena_printf(&ctx->arena, "it has new terms of service (%s); once they are read: certwright issuer edit %s --agree",
                             terms, h.name);
    /* The terms that were agreed to are those of the first look. */
    TRY(q_issuer_standby_set(ctx, txn, issuer, wrong, h.terms_url ? NULL : terms, ctx_now_s(ctx)));
    return timer_arm(ctx, txn, "caa", issuer, ctx_now_s(ctx));
}

struct again {
    struct core *core;
    const char *issuer;
    bool agreed, rehearsals;
};

/* Who paused because of it: its new settings are worth a try. */
static struct rc resume(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer, const char *name)
{
    struct q_managed_paused_by_issuer_row *m = NULL;
    size_t n = 0;
    TRY(q_managed_paused_by_issuer(ctx, txn, issuer, &m, &n));
    for (size_t i = 0; i < n; i++) {
        TRY(q_managed_resume(ctx, txn, m[i].id, ctx_now_s(ctx)));
        TRY(step_write(ctx, txn, m[i].id, NULL, NULL, "resumed", "issuer %s was changed: goes on", name));
        TRY(timer_arm(ctx, txn, "retry", m[i].id, ctx_now_s(ctx) + (int64_t)random_below(1 + n / 10)));
        core_wake_after_commit(ctx, core, txn, "managed:", m[i].id);
    }
    return RC_OK;
}

static struct rc look_again(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct again *a = arg;
    struct q_issuer_health_row h;
    TRY(q_issuer_health(ctx, txn, a->issuer, &h));
    if (a->agreed)
        TRY(q_issuer_terms_forget(ctx, txn, a->issuer));
    TRY(issuer_changed(ctx, txn, a->issuer));
    TRY(resume(ctx, a->core, txn, a->issuer, h.name));
    struct str_list bad;
    TRY(standby_look_words(ctx, txn, a->issuer, &bad));
    return h.standby_error || bad.n || a->rehearsals ? timer_arm(ctx, txn, "standby", a->issuer, ctx_now_s(ctx) + SOON_S) : RC_OK;
}

RC standby_again(struct ctx *ctx, struct core *core, const char *issuer, bool agreed, bool rehearsals)
{
    struct again a = {core, issuer, agreed, rehearsals};
    return store_write(ctx, core->store, look_again, &a);
}
