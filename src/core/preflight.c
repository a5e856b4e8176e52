#include "core/preflight.h"

#include "base/random.h"
#include "core/access.h"
#include "core/agent.h"
#include "core/attempt.h"
#include "core/audit.h"
#include "core/bad_name.h"
#include "core/issuer.h"
#include "core/issuer_budget.h"
#include "core/issuer_health.h"
#include "core/job.h"
#include "core/solver.h"
#include "core/standby.h"
#include "pki/name.h"

#define FINDINGS_MAX 2000
#define STEPS_MAX    400 /* findings that become steps */
#define WORDS_NAMES  3   /* of those that fail, in the error of an attempt */
#define ROW_MAX      ((size_t)2 << 20)

bool preflight_policy_is(const char *policy)
{
    return str_equal(policy, "fail") || str_equal(policy, "warn") || str_equal(policy, "off");
}

/* --- findings as they are kept */

struct findings {
    struct api_finding *v;
    size_t n;
};

static struct rc findings_read(struct ctx *ctx, const char *text, struct findings *out)
{
    json_auto_t *list = NULL;
    out->v = arena_array(&ctx->arena, FINDINGS_MAX, sizeof *out->v);
    out->n = 0;
    TRY(json_read(ctx, bytes_z(text), &list));
    for (size_t i = 0; i < json_array_size(list) && out->n < FINDINGS_MAX; i++)
        TRY(api_finding_decode(ctx, json_array_get(list, i), &out->v[out->n++]));
    return RC_OK;
}

static struct rc findings_text(struct ctx *ctx, const struct findings *f, const char **out)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, ROW_MAX);
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    for (size_t i = 0; i < f->n; i++)
        api_finding_encode(&j, NULL, &f->v[i]);
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

/* Two agents may see the same. */
static void add(struct findings *f, const struct api_finding *one)
{
    for (size_t i = 0; i < f->n; i++)
        if (str_equal(f->v[i].name, one->name) && str_equal(f->v[i].check, one->check) &&
            str_equal(f->v[i].verdict, one->verdict) && str_equal(f->v[i].text, one->text))
            return;
    if (f->n < FINDINGS_MAX)
        f->v[f->n++] = *one;
}

static void add_own(struct findings *f, const char *check, const char *verdict, const char *text)
{
    add(f, &(struct api_finding){.name = "", .check = check, .verdict = verdict, .text = text});
}

/* --- what the CA's directory says */

static const char *joined(struct ctx *ctx, const struct api_strings *s)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 800);
    for (size_t i = 0; i < s->n && b.n < 600; i++)
        buf_printf(&b, "%s%.128s", i ? ", " : "", s->v[i]);
    return buf_z(&b);
}

static bool lists(const struct api_strings *s, const char *text)
{
    for (size_t i = 0; i < s->n; i++)
        if (str_equal(s->v[i], text))
            return true;
    return false;
}

static struct rc judge_directory(struct ctx *ctx, struct txn *txn, const char *issuer, const struct api_job_preflight_directory *d,
                                 struct findings *f)
{
    struct q_issuer_health_row h;
    struct issuer_settings s;
    struct payload_issuer i;
    TRY(q_issuer_health(ctx, txn, issuer, &h));
    TRY(issuer_for_job(ctx, txn, issuer, &s, &i));
    add_own(f, "directory", "ok",
            d->caa_identities.n
                ? arena_printf(&ctx->arena, "%s answers; CAA records call it %s", s.directory_url, joined(ctx, &d->caa_identities))
                : arena_printf(&ctx->arena, "%s answers", s.directory_url));
    if (d->external_account_required && !i.account_url && !s.eab_kid)
        add_own(f, "account", "fail",
                arena_printf(&ctx->arena,
                             "it makes accounts for its customers alone: enter the key id and HMAC key that it gave you: "
                             "certwright issuer edit %s --eab-kid KID --eab-key-file FILE",
                             h.name));
    if (h.terms_url && d->terms_of_service && !str_equal(h.terms_url, d->terms_of_service))
        add_own(f, "terms", "warn",
                arena_printf(&ctx->arena,
                             "it has new terms of service (%.512s); once they are read: certwright issuer edit %s --agree",
                             d->terms_of_service, h.name));
    else if (d->terms_of_service)
        add_own(f, "terms", "ok", arena_printf(&ctx->arena, "%.900s", d->terms_of_service));
    if (s.acme_profile && !lists(&d->profiles, s.acme_profile))
        add_own(f, "profile", "fail",
                d->profiles.n
                    ? arena_printf(&ctx->arena, "it has no profile %s; there are: %s", s.acme_profile, joined(ctx, &d->profiles))
                    : arena_printf(&ctx->arena, "it offers no profiles, so %s cannot be asked for", s.acme_profile));
    else if (d->profiles.n)
        add_own(f, "profile", "ok", arena_printf(&ctx->arena, "it offers %s", joined(ctx, &d->profiles)));
    return RC_OK;
}

/* --- beginning */

/* One look: names, how each is proved, and who answers how (NULL: nobody is asked to). */
struct look {
    const char *id, *team, *issuer;
    bool attempt;
    const struct issuer_settings *settings;
    const struct payload_issuer *ca;
    const struct str_list *names;
    const char **methods, **agents, **vias;
    struct findings findings;
};

static struct look look_of(struct ctx *ctx, const char *id, const char *team, const char *issuer, const struct str_list *names)
{
    return (struct look){.id = id,
                         .team = team,
                         .issuer = issuer,
                         .names = names,
                         .methods = arena_array(&ctx->arena, names->n + 1, sizeof(char *)),
                         .agents = arena_array(&ctx->arena, names->n + 1, sizeof(char *)),
                         .vias = arena_array(&ctx->arena, names->n + 1, sizeof(char *)),
                         .findings.v = arena_array(&ctx->arena, FINDINGS_MAX, sizeof(struct api_finding))};
}

static void put_name(struct ctx *ctx, struct json_out *j, const struct look *l, size_t i, bool answer)
{
    json_open_obj(j, NULL);
    json_put_str(j, "name", l->names->v[i]);
    json_put_str(j, "method", l->methods[i]);
    if (answer) {
        json_put_str(j, "token", arena_printf(&ctx->arena, "preflight-%s-%zu", l->id, i));
        json_put_raw(j, "via", bytes_z(l->vias[i]));
    }
    json_close(j);
}

/* One job an agent; the one that talks to the CA looks at all names. */
static struct rc job_begin(struct ctx *ctx, struct core *core, struct txn *txn, const struct look *l, const char *agent, bool ca)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, (size_t)1 << 20);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    if (ca) {
        json_put_str(&j, "directory_url", l->ca->directory_url);
        if (l->ca->ca_roots_pem)
            json_put_str(&j, "ca_roots_pem", l->ca->ca_roots_pem);
        json_open_list(&j, "granted_networks");
        for (size_t i = 0; i < l->ca->networks.n; i++)
            json_put_str(&j, NULL, l->ca->networks.v[i]);
        json_close(&j);
        if (l->ca->account_url)
            json_put_str(&j, "account_url", l->ca->account_url);
    }
    json_open_list(&j, "names");
    for (size_t i = 0; i < l->names->n; i++) {
        const bool answer = l->vias[i] && str_equal(l->agents[i], agent);
        if (answer || ca)
            put_name(ctx, &j, l, i, answer);
    }
    json_close(&j);
    json_close(&j);
    TRY(buf_status(&b));
    return job_add(ctx, core, txn, "preflight", agent, arena_printf(&ctx->arena, "preflight:%s:%s", l->id, agent), l->id,
                   buf_bytes(&b), 0);
}

static struct rc begin(struct ctx *ctx, struct core *core, struct txn *txn, struct look *l)
{
    struct str_list agents = {0};
    const char *ca_agent = NULL, *text = NULL;
    TRY(issuer_agent(ctx, txn, l->settings, &ca_agent));
    str_list_add(&ctx->arena, &agents, ca_agent);
    for (size_t i = 0; i < l->names->n; i++)
        if (l->vias[i] && !str_list_has(&agents, l->agents[i]))
            str_list_add(&ctx->arena, &agents, l->agents[i]);
    TRY(findings_text(ctx, &l->findings, &text));
    const struct q_preflight_add_in in = {.id = l->id,
                                          .team_id = l->team,
                                          .issuer_id = l->issuer,
                                          .attempt = l->attempt,
                                          .open = (int64_t)agents.n,
                                          .findings = text,
                                          .now = ctx_now_s(ctx)};
    TRY(q_preflight_add(ctx, txn, &in));
    for (size_t i = 0; i < agents.n; i++)
        TRY(job_begin(ctx, core, txn, l, agents.v[i], i == 0));
    return RC_OK;
}

/* "room in its limits; the most used: 12 of 50 (domain example.org)" */
static struct rc budget_words(struct ctx *ctx, struct txn *txn, const struct look *l, const char **out)
{
    struct budget_view *v = NULL;
    const struct budget_view *most = NULL;
    size_t n = 0;
    TRY(budget_show(ctx, txn, &l->settings->policy, l->issuer, &v, &n));
    for (size_t i = 0; i < n; i++)
        if (v[i].used && (!most || v[i].used * most->limit->count > most->used * v[i].limit->count))
            most = &v[i];
    *out = "nothing of its limits is used";
    if (most)
        *out = arena_printf(&ctx->arena, "room in its limits; the most used: %lld of %lld (%s%s%.253s)", (long long)most->used,
                            (long long)most->limit->count, most->limit->kind, str_equal(most->limit->kind, "domain") ? " " : "",
                            str_equal(most->limit->kind, "domain") ? most->what : "");
    return RC_OK;
}

/* --- of an attempt */

static const char *policy_of(const struct core *core, const struct wish *w, const struct issuer_settings *s)
{
    return w->preflight ? w->preflight : s->preflight ? s->preflight : core->preflight ? core->preflight : "fail";
}

/* As it is wished now, not when the attempt began. */
static struct rc policy_now(struct ctx *ctx, const struct core *core, const struct q_managed_by_id_row *m,
                            const struct issuer_settings *s, const char **out)
{
    struct wish w;
    TRY(wish_decode(ctx, m->wish, &w));
    *out = policy_of(core, &w, s);
    return RC_OK;
}

/* Whether the same issuer has issued for all of these names before: it is asked again whatever is found. */
static struct rc issued_before(struct ctx *ctx, struct txn *txn, const struct q_managed_by_id_row *m,
                               const struct q_attempt_by_id_row *a, const struct wish *w, bool *yes)
{
    struct q_version_get_row v;
    struct q_attempt_by_id_row made;
    struct wish was;
    bool found = false;
    *yes = false;
    if (m->version == 0)
        return RC_OK;
    TRY(q_version_get(ctx, txn, m->id, m->version, &v, &found));
    if (!found || !str_equal(v.issuer_id, a->issuer_id))
        return RC_OK;
    TRY(q_attempt_by_id(ctx, txn, v.attempt_id, &made));
    TRY(wish_decode(ctx, made.wish, &was));
    *yes = true;
    for (size_t i = 0; i < w->names.n; i++)
        *yes = *yes && str_list_has(&was.names, w->names.v[i]);
    return RC_OK;
}

RC preflight_begin(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, bool *begun)
{
    struct q_managed_by_id_row m;
    struct q_issuer_by_id_row row;
    struct issuer_settings s;
    struct payload_issuer ca;
    struct solver_owner owner;
    struct str_list methods = {0};
    struct wish w;
    const char *policy = NULL;
    bool before = false;
    *begun = false;
    TRY(q_managed_by_id(ctx, txn, a->managed_id, &m));
    TRY(q_issuer_by_id(ctx, txn, a->issuer_id, &row));
    TRY(issuer_for_job(ctx, txn, a->issuer_id, &s, &ca));
    TRY(wish_decode(ctx, a->wish, &w));
    TRY(policy_now(ctx, core, &m, &s, &policy));
    TRY(issued_before(ctx, txn, &m, a, &w, &before));
    if (!str_equal(s.kind, "acme") || str_equal(policy, "off") || (before && !m.failures))
        return RC_OK;
    TRY(solver_owner_of(ctx, txn, a, &owner));
    TRY(solver_methods(ctx, txn, &owner, row.name, &s, &w.names, &methods));
    struct look l = look_of(ctx, a->id, m.team_id, a->issuer_id, &w.names);
    l.attempt = true;
    l.settings = &s;
    l.ca = &ca;
    for (size_t i = 0; i < w.names.n; i++) {
        struct solver_choice by;
        l.methods[i] = methods.n ? methods.v[i] : "http-01";
        if (solver_is_dns(l.methods[i]))
            continue;
        TRY(solver_choose(ctx, txn, &owner, &s, a, l.methods[i], w.names.v[i], &by));
        l.agents[i] = by.agent;
        l.vias[i] = by.via;
    }
    if (s.policy.limits_n) { /* or the attempt would not have begun (core/issuer_choice.h) */
        const char *words = NULL;
        TRY(budget_words(ctx, txn, &l, &words));
        add_own(&l.findings, "budget", "ok", words);
    }
    TRY(begin(ctx, core, txn, &l));
    *begun = true;
    return RC_OK;
}

static struct rc told(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, const char *issuer,
                      const struct findings *f)
{
    size_t n = 0;
    for (int good = 0; good < 2; good++)
        for (size_t i = 0; i < f->n && n < STEPS_MAX; i++) {
            const struct api_finding *one = &f->v[i];
            if (str_equal(one->verdict, "ok") != (good == 1))
                continue;
            TRY(step_write(ctx, txn, a->managed_id, a->id, NULL, "preflight", "%s: %s: %s: %s", one->verdict,
                           *one->name ? one->name : issuer, one->check, one->text));
            n++;
        }
    return RC_OK;
}

/* Names that fail are dealt with as those that the CA refuses (core/bad_name.h): it would have. */
static struct rc failing(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a,
                         const struct findings *f, bool *others)
{
    struct api_job_step *steps = arena_array(&ctx->arena, f->n, sizeof *steps);
    static const struct api_job_preflight_done by_preflight;
    struct api_job_result raw = {.preflight = &by_preflight};
    bool ours = false; /* something else is wrong, that no name less mends */
    for (size_t i = 0; i < f->n; i++) {
        if (!str_equal(f->v[i].verdict, "fail"))
            continue;
        ours = ours || !*f->v[i].name;
        steps[raw.steps.n++] = (struct api_job_step){.step = BAD_NAME_STEP,
                                                     .text = arena_printf(&ctx->arena, "dns:%s: %s", f->v[i].name, f->v[i].text)};
    }
    raw.steps.v = steps;
    *others = false;
    return ours ? RC_OK : bad_names_note(ctx, core, txn, a, &raw, others);
}

/* "www.example.org: has no address …; and 3 more findings" */
static const char *failures(struct ctx *ctx, const struct findings *f, size_t *n)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 8192);
    *n = 0;
    for (size_t i = 0; i < f->n; i++) {
        if (!str_equal(f->v[i].verdict, "fail") || (*n)++ >= WORDS_NAMES)
            continue;
        buf_printf(&b, "%s%s%s%s", b.n ? "; " : "", f->v[i].name, *f->v[i].name ? ": " : "", f->v[i].text);
    }
    if (*n > WORDS_NAMES)
        buf_printf(&b, "; and %zu more", *n - WORDS_NAMES);
    return buf_z(&b);
}

static struct rc decide_order(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt, const struct findings *f)
{
    struct q_attempt_by_id_row a;
    struct q_managed_by_id_row m;
    struct q_issuer_by_id_row row;
    struct issuer_settings s;
    struct wish w;
    const char *policy = NULL;
    bool others = false, before = false;
    size_t n = 0;
    TRY(q_attempt_by_id(ctx, txn, attempt, &a));
    if (!str_equal(a.state, "preflight"))
        return RC_OK;
    TRY(q_managed_by_id(ctx, txn, a.managed_id, &m));
    TRY(q_issuer_by_id(ctx, txn, a.issuer_id, &row));
    TRY(issuer_settings_decode(ctx, row.kind, row.settings, &s));
    TRY(policy_now(ctx, core, &m, &s, &policy));
    TRY(told(ctx, txn, &a, row.name, f));
    TRY(wish_decode(ctx, a.wish, &w));
    TRY(issued_before(ctx, txn, &m, &a, &w, &before));
    const char *why = failures(ctx, f, &n);
    if (!n || !str_equal(policy, "fail") || before) {
        if (n && before)
            TRY(step_write(ctx, txn, a.managed_id, a.id, NULL, "preflight",
                           "%s is asked anyhow, for it has issued for these names before", row.name));
        else if (n)
            TRY(step_write(ctx, txn, a.managed_id, a.id, NULL, "preflight",
                           "%s is asked anyhow, as the policy says (preflight: %s)", row.name, policy));
        return attempt_looked(ctx, core, txn, &a);
    }
    TRY(failing(ctx, core, txn, &a, f, &others));
    TRY(attempt_failed(ctx, core, txn, &a, E_PREFLIGHT,
                       arena_printf(&ctx->arena,
                                    "no order was sent, for it would fail: %s   (to have %s asked anyhow: certwright cert edit "
                                    "%s --preflight warn)",
                                    why, row.name, m.name),
                       0));
    return others ? attempt_soon(ctx, txn, a.managed_id) : RC_OK;
}

RC preflight_ended(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref, const struct api_job_preflight_done *done,
                   const char *why)
{
    struct q_preflight_by_id_row row;
    struct findings f;
    const char *text = NULL;
    bool found = false;
    TRY(q_preflight_by_id(ctx, txn, ref, &row, &found));
    if (!found)
        return RC_OK;
    TRY(findings_read(ctx, row.findings, &f));
    if (!done)
        add_own(&f, "preflight", "unknown", arena_printf(&ctx->arena, "an agent could not look: %.800s", why));
    else if (done->directory)
        TRY(judge_directory(ctx, txn, row.issuer_id, done->directory, &f));
    for (size_t i = 0; done && i < done->findings.n; i++)
        add(&f, &done->findings.v[i]);
    TRY(findings_text(ctx, &f, &text));
    TRY(q_preflight_set(ctx, txn, ref, row.open - 1, text));
    if (row.standby)
        return standby_looked(ctx, txn, row.issuer_id, row.created_at, f.v, f.n);
    return row.attempt && row.open == 1 ? decide_order(ctx, core, txn, ref, &f) : RC_OK;
}

/* --- for people who ask */

/* Who would answer for a name that no certificate has yet; nobody, where that is left to a target and there is none. */
static struct rc answers(struct ctx *ctx, struct txn *txn, const struct issuer_settings *s, const char *method,
                         const struct str_list *targets, const char *usual, const char **agent, const char **via)
{
    const bool alpn = str_equal(method, "tls-alpn-01");
    const char *how = alpn ? "listener" : s->challenge_via ? s->challenge_via : "target";
    struct q_target_by_id_row target;
    *agent = usual;
    if (s->challenge_agent)
        TRY(agent_named(ctx, txn, s->challenge_agent, agent));
    else if (s->agent)
        TRY(issuer_agent(ctx, txn, s, agent));
    if (solver_is_dns(method) || (str_equal(how, "target") && !targets->n))
        return RC_OK;
    if (!str_equal(how, "target"))
        return issuer_via(ctx, s, how, NULL, via);
    TRY(q_target_by_id(ctx, txn, targets->v[0], &target));
    *agent = target.agent_id;
    return issuer_via(ctx, s, how, &target, via);
}

struct asking {
    struct core *core;
    const struct managed_input *in; /* a certificate; or … */
    const char *ref;                /* … an issuer */
    const struct str_list *names;
    const char *id;
};

/* A certificate that serves nothing yet waits for the first of its list, but not for long. */
static void later(struct ctx *ctx, const struct look *l, const char *check, int64_t until, const char *why, struct findings *f)
{
    const int64_t wait_s = until - ctx_now_s(ctx);
    struct buf at;
    if (wait_s <= 0)
        return;
    buf_init_arena(&at, &ctx->arena, 64);
    time_put_rfc3339(&at, until);
    add_own(f, check, wait_s < issuer_policy_new_s(&l->settings->policy) ? "warn" : "fail",
            arena_printf(&ctx->arena, "%.800s; it cannot be asked before %s", why, buf_z(&at)));
}

/* Whether it is left alone, for it fails. */
static struct rc health(struct ctx *ctx, struct txn *txn, const struct look *l, struct findings *f)
{
    struct q_issuer_health_row row;
    struct issuer_verdict v;
    TRY(q_issuer_health(ctx, txn, l->issuer, &row));
    TRY(issuer_verdict_of(ctx, &row, &l->settings->policy, &v));
    later(ctx, l, "health", v.until, v.why, f);
    return RC_OK;
}

/* Room in the CA's limits, for exactly these names. */
static struct rc budget(struct ctx *ctx, struct txn *txn, const struct look *l, struct findings *f)
{
    const struct budget_ask ask = {.issuer = l->issuer, .names = l->names};
    int64_t until = 0;
    const char *why = "";
    if (!l->settings->policy.limits_n || !l->names->n)
        return RC_OK;
    TRY(budget_look(ctx, txn, &l->settings->policy, &ask, &until, &why));
    if (until > ctx_now_s(ctx)) {
        later(ctx, l, "budget", until, arena_printf(&ctx->arena, "a limit of the issuer is reached: %.700s", why), f);
        return RC_OK;
    }
    TRY(budget_words(ctx, txn, l, &why));
    add_own(f, "budget", "ok", why);
    return RC_OK;
}

/* What was found would keep nobody from asking it: the policy says so. */
#define ANYHOW "it is asked whatever is found (preflight: warn)"

static struct rc ask(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const char *team, const char *issuer,
                     const struct wish *w, const struct str_list *targets, bool anyhow)
{
    struct solver_owner owner;
    struct issuer_settings s;
    struct payload_issuer ca;
    struct q_issuer_by_id_row row;
    struct str_list methods = {0};
    const char *usual = NULL;
    TRY(q_issuer_by_id(ctx, txn, issuer, &row));
    TRY(issuer_for_job(ctx, txn, issuer, &s, &ca));
    TRY(solver_owner_wished(ctx, txn, team, w, targets, &owner));
    struct look l = look_of(ctx, id, team, issuer, &w->names);
    l.settings = &s;
    l.ca = &ca;
    if (targets->n || s.challenge_via) /* else whoever tests an issuer has named no target yet */
        TRY(solver_methods(ctx, txn, &owner, row.name, &s, &w->names, &methods));
    usual = owner.agents.n ? owner.agents.v[0] : NULL;
    if (!usual)
        TRY(issuer_agent(ctx, txn, &s, &usual));
    for (size_t i = 0; i < w->names.n; i++) {
        const bool wildcard = strncmp(w->names.v[i], "*.", 2) == 0;
        l.methods[i] = methods.n ? methods.v[i] : wildcard ? "dns-01" : "http-01";
        TRY(answers(ctx, txn, &s, l.methods[i], targets, usual, &l.agents[i], &l.vias[i]));
    }
    TRY(health(ctx, txn, &l, &l.findings));
    TRY(budget(ctx, txn, &l, &l.findings));
    if (anyhow)
        add_own(&l.findings, "policy", "ok", ANYHOW);
    return begin(ctx, core, txn, &l);
}

RC preflight_try(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const char *team, const char *issuer,
                 const struct str_list *names, bool standby)
{
    struct q_issuer_health_row row;
    struct issuer_settings s;
    struct buf b;
    struct json_out j;
    const char *agent = NULL;
    TRY(q_issuer_health(ctx, txn, issuer, &row));
    TRY(issuer_settings_decode(ctx, row.kind, row.settings, &s));
    TRY(issuer_agent(ctx, txn, &s, &agent));
    const struct q_preflight_add_in in = {.id = id,
                                          .team_id = team ? team : row.team_id,
                                          .issuer_id = issuer,
                                          .standby = standby,
                                          .open = 1,
                                          .findings = "[]",
                                          .now = ctx_now_s(ctx)};
    TRY(q_preflight_add(ctx, txn, &in));
    buf_init_arena(&b, &ctx->arena, (size_t)1 << 20);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "protocol", s.protocol);
    json_put_raw(&j, "parameters", bytes_z(s.parameters ? s.parameters : "{}"));
    json_open_list(&j, "names");
    for (size_t i = 0; i < names->n; i++) {
        json_open_obj(&j, NULL);
        json_put_str(&j, "name", names->v[i]);
        json_put_str(&j, "method", "");
        json_close(&j);
    }
    json_close(&j);
    json_close(&j);
    TRY(buf_status(&b));
    return job_add(ctx, core, txn, "preflight", agent, arena_printf(&ctx->arena, "preflight:%s:%s", id, agent), id, buf_bytes(&b),
                   0);
}

/* Nobody has to look: what there is to say is said by us. */
static struct rc none(struct ctx *ctx, struct txn *txn, const char *id, const char *team, const char *issuer, const char *check,
                      const char *said)
{
    struct findings f = {.v = arena_array(&ctx->arena, FINDINGS_MAX, sizeof *f.v)};
    struct q_preflight_add_in in = {.id = id, .team_id = team, .issuer_id = issuer, .now = ctx_now_s(ctx)};
    if (said)
        add_own(&f, check, "ok", said);
    TRY(findings_text(ctx, &f, &in.findings));
    return q_preflight_add(ctx, txn, &in);
}

/* Each issuer of the list has a look of its own; the first is known by the id that was given out. */
static const char *look_id(struct ctx *ctx, const char *first, size_t place)
{
    return place ? arena_printf(&ctx->arena, "%s-%zu", first, place) : first;
}

static struct rc wished_of(struct ctx *ctx, struct txn *txn, const struct asking *a, size_t place, const char *team,
                           const struct wish *w, const struct str_list *issuers, const struct str_list *targets)
{
    struct q_issuer_by_id_row row;
    struct issuer_settings s;
    const char *id = look_id(ctx, a->id, place), *issuer = issuers->v[place];
    TRY(q_issuer_by_id(ctx, txn, issuer, &row));
    TRY(issuer_settings_decode(ctx, row.kind, row.settings, &s));
    const char *policy = policy_of(a->core, w, &s);
    const bool several = issuers->n > 1;
    if (str_equal(row.kind, "ca"))
        return none(ctx, txn, id, team, issuer, "issuer", several ? "it is our own CA, and is asked here" : NULL);
    if (str_equal(row.kind, "manual"))
        return none(ctx, txn, id, team, issuer, "issuer", several ? "somebody has to bring the certificate" : NULL);
    if (str_equal(policy, "off"))
        return none(ctx, txn, id, team, issuer, "policy", several ? "nobody looks before an order (preflight: off)" : NULL);
    if (str_equal(row.kind, "enroll"))
        return preflight_try(ctx, a->core, txn, id, team, issuer, &w->names, false);
    return ask(ctx, a->core, txn, id, team, issuer, w, targets, str_equal(policy, "warn"));
}

static struct rc wished(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asking *a = arg;
    struct wish w = a->in->wish;
    struct str_list issuers = {0}, targets = {0};
    const char *team = NULL;
    TRY(access_team(ctx, txn, a->in->team, &team));
    TRY(decide(ctx, a->core, txn, "managed-certificate.create", team));
    TRY(wish_resolve(ctx, a->core, txn, &w, &issuers, &targets));
    for (size_t i = 0; i < issuers.n; i++)
        TRY(wished_of(ctx, txn, a, i, team, &w, &issuers, &targets));
    return RC_OK;
}

static struct rc tested(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asking *a = arg;
    struct q_issuer_get_row row;
    struct str_list no_targets = {0};
    struct wish w = {.names = *a->names, .key_kind = "ec-p256"};
    bool found = false;
    TRY(q_issuer_get(ctx, txn, a->ref, access_scope(ctx), &row, &found));
    if (!found)
        return ctx_fail(ctx, E_NOT_FOUND, "no issuer is named %s; certwright issuer list shows them", a->ref);
    TRY(decide(ctx, a->core, txn, "issuer.update", row.team_id));
    if (str_equal(row.kind, "enroll"))
        return preflight_try(ctx, a->core, txn, a->id, NULL, row.id, a->names, false);
    if (!str_equal(row.kind, "acme"))
        return ctx_fail(ctx, E_UNSUPPORTED, "%s is of kind %s: there is nothing to look at before it is asked", row.name, row.kind);
    return ask(ctx, a->core, txn, a->id, row.team_id, row.id, &w, &no_targets, false);
}

RC preflight_wished(struct ctx *ctx, struct core *core, const struct managed_input *in, const char **id)
{
    struct asking a = {.core = core, .in = in, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    TRY(store_write(ctx, core->store, wished, &a));
    *id = a.id;
    return RC_OK;
}

RC preflight_issuer(struct ctx *ctx, struct core *core, const char *ref, const struct str_list *names, const char **id)
{
    struct name_list read = {0};
    struct str_list own = {0};
    TRY(name_list_parse(ctx, names->v, names->n, &read));
    for (size_t i = 0; i < read.n; i++)
        str_list_add(&ctx->arena, &own, read.v[i].text);
    struct asking a = {.core = core, .ref = ref, .names = &own, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    TRY(store_write(ctx, core->store, tested, &a));
    *id = a.id;
    return RC_OK;
}

struct showing {
    const char *id;
    struct preflight_view *out;
};

#define ISSUERS_MAX 16 /* of one certificate */

/* What keeps an issuer from being asked; NULL: nothing that is known.  Limits and breakers do whatever the policy says. */
static const char *in_the_way(struct ctx *ctx, const struct findings *f)
{
    bool anyhow = false;
    for (size_t i = 0; i < f->n; i++)
        anyhow = anyhow || (str_equal(f->v[i].check, "policy") && str_equal(f->v[i].text, ANYHOW));
    for (size_t i = 0; i < f->n; i++) {
        const struct api_finding *one = &f->v[i];
        const bool ours = str_equal(one->check, "budget") || str_equal(one->check, "health");
        if (str_equal(one->verdict, "fail") && (ours || !anyhow))
            return arena_printf(&ctx->arena, "%s%s%.800s", one->name, *one->name ? ": " : "", one->text);
    }
    return NULL;
}

/* One issuer of the list more: the first that could be asked is. */
static struct rc show_one(struct ctx *ctx, const struct q_preflight_get_row *row, const char *issuer, struct preflight_view *out)
{
    struct findings f;
    TRY(findings_read(ctx, row->findings, &f));
    for (size_t i = 0; i < f.n && out->n < FINDINGS_MAX; i++) {
        f.v[i].issuer = issuer;
        out->findings[out->n++] = f.v[i];
    }
    out->working = out->working || row->open > 0;
    const char *why = in_the_way(ctx, &f);
    bool asked = false;
    for (size_t i = 0; i < out->issuers_n; i++)
        asked = asked || str_equal(out->issuers[i].role, "asked");
    struct api_preflight_issuer *is = &out->issuers[out->issuers_n++];
    *is = (struct api_preflight_issuer){.issuer = issuer, .role = why ? "unfit" : asked ? "waits" : "asked", .why = why ? why : ""};
    if (!why && !asked && out->issuers_n > 1)
        is->why = arena_printf(&ctx->arena, "%s would not issue: %.800s", out->issuers[0].issuer, out->issuers[0].why);
    return RC_OK;
}

static struct rc show(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct showing *s = arg;
    struct preflight_view *out = s->out;
    struct q_preflight_get_row row;
    struct q_issuer_by_id_row issuer;
    bool found = false;
    *out = (struct preflight_view){.findings = arena_array(&ctx->arena, FINDINGS_MAX, sizeof *out->findings),
                                   .issuers = arena_array(&ctx->arena, ISSUERS_MAX, sizeof *out->issuers)};
    for (size_t i = 0; i < ISSUERS_MAX; i++) {
        TRY(q_preflight_get(ctx, txn, look_id(ctx, s->id, i), access_scope(ctx), &row, &found));
        if (!found && i == 0)
            return ctx_fail(ctx, E_NOT_FOUND, "no look before an order has the id %s; they are kept for a day", s->id);
        if (!found)
            break;
        if (i == 0)
            out->id = row.id;
        TRY(q_issuer_by_id(ctx, txn, row.issuer_id, &issuer));
        TRY(show_one(ctx, &row, issuer.name, out));
    }
    return RC_OK;
}

RC preflight_show(struct ctx *ctx, struct core *core, const char *id, struct preflight_view *out)
{
    struct showing s = {id, out};
    return store_read(ctx, core->store, show, &s);
}
