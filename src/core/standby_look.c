#include "core/standby_look.h"

#include "base/random.h"
#include "core/access.h"
#include "core/issuer.h"
#include "core/job.h"
#include "core/solver.h"
#include "pki/name.h"

#define NAMES_MAX 100 /* of one look: as many as an agent takes */
#define AGAIN_S   3600
#define WORDS_MAX 10

/* The names of one look, and how each would be proved. */
struct asked {
    struct str_list names, methods;
};

static bool is_address(const char *name)
{
    uint8_t ip[16];
    size_t n = 0;
    return ip_parse(bytes_z(name), ip, &n);
}

/* How the names of a certificate would be proved to the issuer; `why` where they cannot be. */
static struct rc methods_of(struct ctx *ctx, struct txn *txn, const struct q_standby_next_row *m, const struct wish *w,
                            const char *issuer, const struct issuer_settings *s, struct str_list *out, const char **why)
{
    struct q_managed_targets_row *t = NULL;
    struct solver_owner owner;
    struct str_list targets = {0};
    size_t n = 0;
    *why = NULL;
    TRY(q_managed_targets(ctx, txn, m->id, &t, &n));
    for (size_t i = 0; i < n; i++)
        str_list_add(&ctx->arena, &targets, t[i].target_id);
    struct rc rc = solver_owner_wished(ctx, txn, m->team_id, w, &targets, &owner);
    if (rc_ok(rc))
        rc = solver_methods(ctx, txn, &owner, issuer, s, &w->names, out);
    if (rc.e != E_CONFLICT && rc.e != E_NOT_FOUND)
        return rc;
    *why = arena_strdup(&ctx->arena, ctx_why(ctx));
    ctx_forget(ctx);
    return RC_OK;
}

/* Takes whole certificates, as long as there is room. */
static struct rc gather(struct ctx *ctx, struct txn *txn, const char *issuer, const char *name, const struct issuer_settings *s,
                        int64_t now, struct asked *out)
{
    struct q_standby_next_row *rows = NULL;
    size_t n = 0;
    TRY(q_standby_next(ctx, txn, issuer, NAMES_MAX, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        struct str_list methods = {0};
        struct wish w;
        const char *why = NULL;
        TRY(wish_decode(ctx, rows[i].wish, &w));
        if (out->names.n && out->names.n + w.names.n > NAMES_MAX)
            break;
        TRY(methods_of(ctx, txn, &rows[i], &w, name, s, &methods, &why));
        /* The time is what standby_look_ended knows its certificates by: one that cannot be proved is none of them. */
        TRY(q_standby_look_begun(ctx, txn, issuer, rows[i].id, why ? now - 1 : now));
        if (why) {
            TRY(q_standby_look_error(ctx, txn, issuer, rows[i].id, why));
            continue;
        }
        for (size_t k = 0; k < w.names.n && out->names.n < NAMES_MAX; k++) {
            if (is_address(w.names.v[k]) || str_list_has(&out->names, w.names.v[k]))
                continue;
            str_list_add(&ctx->arena, &out->names, w.names.v[k]);
            str_list_add(&ctx->arena, &out->methods, methods.n ? methods.v[k] : "http-01");
        }
    }
    return RC_OK;
}

static struct rc payload(struct ctx *ctx, const struct payload_issuer *ca, const struct asked *a, struct bytes *out)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, (size_t)1 << 20);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "directory_url", ca->directory_url);
    if (ca->ca_roots_pem)
        json_put_str(&j, "ca_roots_pem", ca->ca_roots_pem);
    json_open_list(&j, "granted_networks");
    for (size_t i = 0; i < ca->networks.n; i++)
        json_put_str(&j, NULL, ca->networks.v[i]);
    json_close(&j);
    if (ca->account_url)
        json_put_str(&j, "account_url", ca->account_url);
    json_put_bool(&j, "caa_alone", true);
    json_open_list(&j, "names");
    for (size_t i = 0; i < a->names.n; i++) {
        json_open_obj(&j, NULL);
        json_put_str(&j, "name", a->names.v[i]);
        json_put_str(&j, "method", a->methods.v[i]);
        json_close(&j);
    }
    json_close(&j);
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_bytes(&b);
    return RC_OK;
}

RC standby_look_begin(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer)
{
    struct q_issuer_health_row h;
    struct issuer_settings s;
    struct payload_issuer ca;
    struct asked a = {0};
    struct bytes body;
    const int64_t now = ctx_now_s(ctx);
    const char *agent = NULL, *id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    TRY(q_issuer_health(ctx, txn, issuer, &h));
    TRY(issuer_for_job(ctx, txn, issuer, &s, &ca));
    TRY(q_standby_look_tidy(ctx, txn, issuer));
    TRY(gather(ctx, txn, issuer, h.name, &s, now, &a));
    if (!a.names.n)
        return RC_OK;
    TRY(issuer_agent(ctx, txn, &s, &agent));
    TRY(payload(ctx, &ca, &a, &body));
    const struct q_preflight_add_in in = {
        .id = id, .team_id = h.team_id, .issuer_id = issuer, .standby = true, .open = 1, .findings = "[]", .now = now};
    TRY(q_preflight_add(ctx, txn, &in));
    return job_add(ctx, core, txn, "preflight", agent, arena_printf(&ctx->arena, "preflight:%s:%s", id, agent), id, body, 0);
}

/* Of one name: what forbids it (NULL: nothing), and whether that is known at all. */
static const char *forbids(const struct api_finding *f, size_t n, const char *name, bool *known)
{
    *known = is_address(name);
    for (size_t i = 0; i < n; i++) {
        if (!str_equal(f[i].name, name) || !str_equal(f[i].check, "caa"))
            continue;
        *known = !str_equal(f[i].verdict, "unknown");
        return str_equal(f[i].verdict, "fail") ? f[i].text : NULL;
    }
    return NULL;
}

RC standby_look_ended(struct ctx *ctx, struct txn *txn, const char *issuer, int64_t begun_at, const struct api_finding *findings,
                      size_t n)
{
    struct q_standby_looked_row *rows = NULL;
    size_t rows_n = 0;
    bool bad = false;
    TRY(q_standby_looked(ctx, txn, issuer, begun_at, &rows, &rows_n));
    for (size_t i = 0; i < rows_n; i++) {
        struct wish w;
        const char *error = NULL;
        bool all = true;
        TRY(wish_decode(ctx, rows[i].wish, &w));
        for (size_t k = 0; k < w.names.n && !error; k++) {
            bool known = false;
            const char *why = forbids(findings, n, w.names.v[k], &known);
            all = all && known;
            if (why)
                error = arena_printf(&ctx->arena, "%s: %s", w.names.v[k], why);
        }
        bad = bad || error;
        if (error || all) /* else what was known before is all that is known */
            TRY(q_standby_look_error(ctx, txn, issuer, rows[i].managed_id, error));
    }
    return bad ? timer_arm(ctx, txn, "standby", issuer, ctx_now_s(ctx) + AGAIN_S) : RC_OK;
}

RC standby_look_troubles(struct ctx *ctx, struct txn *txn, int64_t most, void *arg,
                         void (*add)(void *arg, const char *object, const char *text, const char *remedy))
{
    struct q_standby_look_bad_row *bad = NULL;
    struct arena *a = &ctx->arena;
    size_t n = 0;
    TRY(q_standby_look_bad(ctx, txn, access_scope(ctx), most, &bad, &n));
    for (size_t i = 0; i < n; i++)
        add(arg, bad[i].issuer,
            arena_printf(a, "issuer %s stands by for %s%s and could not issue for %s: %s", bad[i].issuer, bad[i].managed,
                         bad[i].n == 1 ? "" : arena_printf(a, " and %lld more", (long long)bad[i].n - 1),
                         bad[i].n == 1 ? "it" : "them", bad[i].error),
            arena_printf(a, "certwright issuer show %s", bad[i].issuer));
    return RC_OK;
}

RC standby_look_words(struct ctx *ctx, struct txn *txn, const char *issuer, struct str_list *out)
{
    struct q_standby_look_of_row *bad = NULL;
    size_t n = 0;
    *out = (struct str_list){0};
    TRY(q_standby_look_of(ctx, txn, issuer, access_scope(ctx), WORDS_MAX, &bad, &n));
    for (size_t i = 0; i < n; i++)
        str_list_add(&ctx->arena, out, arena_printf(&ctx->arena, "%s: %.900s", bad[i].managed, bad[i].error));
    return RC_OK;
}
