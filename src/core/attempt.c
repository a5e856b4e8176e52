#include "core/attempt.h"

#include "acme/dns_proof.h"
#include "base/encode.h"
#include "base/random.h"
#include "core/agent.h"
#include "core/ari.h"
#include "core/audit.h"
#include "core/bad_name.h"
#include "core/counter.h"
#include "core/deployment.h"
#include "core/download.h"
#include "core/enroll.h"
#include "core/inventory.h"
#include "core/issuer.h"
#include "core/issuer_choice.h"
#include "core/issuer_health.h"
#include "core/job.h"
#include "core/late.h"
#include "core/managed.h"
#include "core/payload.h"
#include "core/preflight.h"
#include "core/persist.h"
#include "core/revocation.h"
#include "core/shared_answer.h"
#include "core/sharing.h"
#include "core/solver.h"
#include "pki/cert.h"
#include "pki/csr.h"
#include "pki/digest.h"
#include "pki/name.h"
#include "pki/spki.h"

/* An agent that was not heard for so long makes no key that others need, where there is another. */
#define MAKER_SILENT_S 900

/* What could not be taken away is tried again after this. */
#define LEFTOVER_AGAIN_S 86400

enum attempt_event {
    KEY_FOR_CA, KEY_FOR_ACME, KEY_FOR_ENROLL, KEY_FOR_PEOPLE, SIGNED, PINNED, LOOKING, CHALLENGED, READY, PRESENTED, ISSUED, FAILED,
    CANCELLED
};

/* The life of an attempt.  What is not here cannot happen: SQL refuses it. */
static const struct attempt_transition {
    const char *from;
    enum attempt_event event;
    const char *to;
    bool ends;
} transitions[] = {
    {"key", KEY_FOR_CA, "sign", false},
    {"key", KEY_FOR_ACME, "pin", false},
    {"key", KEY_FOR_ENROLL, "enroll", false},
    {"key", KEY_FOR_PEOPLE, "manual", false},
    {"enroll", ISSUED, "issued", true},
    {"manual", ISSUED, "issued", true},
    {"sign", SIGNED, "issued", true},
    {"pin", PINNED, "order", false},
    {"pin", LOOKING, "preflight", false},
    {"preflight", PINNED, "order", false},
    {"preflight", FAILED, "failed", true},
    {"preflight", CANCELLED, "cancelled", true},
    {"order", CHALLENGED, "present", false},
    {"order", READY, "finalize", false},
    {"present", PRESENTED, "finalize", false},
    {"finalize", ISSUED, "issued", true},
    {"key", FAILED, "failed", true},
    {"sign", FAILED, "failed", true},
    {"pin", FAILED, "failed", true},
    {"order", FAILED, "failed", true},
    {"present", FAILED, "failed", true},
    {"finalize", FAILED, "failed", true},
    {"enroll", FAILED, "failed", true},
    {"manual", FAILED, "failed", true},
    {"key", CANCELLED, "cancelled", true},
    {"sign", CANCELLED, "cancelled", true},
    {"pin", CANCELLED, "cancelled", true},
    {"order", CANCELLED, "cancelled", true},
    {"present", CANCELLED, "cancelled", true},
    {"finalize", CANCELLED, "cancelled", true},
    {"enroll", CANCELLED, "cancelled", true},
    {"manual", CANCELLED, "cancelled", true},
};

static struct rc attempt_move(struct ctx *ctx, struct txn *txn, const char *id, const char *from, enum attempt_event event)
{
    for (size_t i = 0; i < sizeof transitions / sizeof *transitions; i++) {
        const struct attempt_transition *t = &transitions[i];
        if (t->event != event || !str_equal(t->from, from))
            continue;
        const int64_t now = ctx_now_s(ctx);
        return q_attempt_state(ctx, txn, id, from, t->to, t->ends ? &now : NULL);
    }
    return ctx_fail(ctx, E_CONFLICT, "attempt %s is %s: that step does not follow", id, from);
}

static struct rc wish_text(struct ctx *ctx, const struct wish *w, const char **out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    wish_encode(&b, w);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

static const char *lane_of(struct ctx *ctx, const char *kind, const char *id)
{
    return arena_printf(&ctx->arena, "%s:%s", kind, id);
}

/* The agent that makes the key: the one that was named, else one where it will be served: of several the first that answers, for
 * the others wait for it. */
static struct rc agent_for(struct ctx *ctx, struct txn *txn, const char *managed, const struct wish *w, const char **agent)
{
    if (w->key_agent)
        return agent_named(ctx, txn, w->key_agent, agent);
    struct q_managed_makers_row *makers = NULL;
    size_t n = 0;
    TRY(q_managed_makers(ctx, txn, managed, ctx_now_s(ctx) - MAKER_SILENT_S, 1000, &makers, &n));
    *agent = n ? makers[0].agent_id : NULL;
    for (size_t i = 0; i < n; i++) { /* where it is given to none it would only be sealed to others */
        struct q_target_by_id_row t;
        struct taken_key taken;
        TRY(q_target_by_id(ctx, txn, makers[i].target_id, &t));
        TRY(sharing_taken(ctx, txn, &t, &taken));
        if (!taken.never) {
            *agent = makers[i].agent_id;
            break;
        }
    }
    if (n)
        return RC_OK;
    struct q_agent_first_row first;
    bool found = false;
    TRY(q_agent_first(ctx, txn, &first, &found));
    if (!found)
        return ctx_fail(ctx, E_CONFLICT, "no agent is there to make the key; start one with: certwright run agent");
    *agent = first.id;
    return RC_OK;
}

/* Whose key the next version may have, and the agent that has it; NULL: a new one.  The key of a certificate that was revoked is
 * not used again. */
static struct rc reusable_key(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m,
                              const struct wish *w, const char **attempt, const char **agent)
{
    struct q_attempt_by_id_row made;
    struct q_agent_of_row maker;
    struct q_version_get_row v;
    bool found = false;
    if (!w->reuse_key || w->csr.n || m->version == 0)
        return RC_OK;
    TRY(q_version_get(ctx, txn, m->id, m->version, &v, &found));
    if (!found || v.revoked_at)
        return RC_OK;
    TRY(q_attempt_by_id(ctx, txn, v.attempt_id, &made));
    TRY(revocation_key_is_known(ctx, txn, made.spki_sha256, &found));
    if (found) /* somebody else may have it */
        return RC_OK;
    if (str_equal(made.agent_id, core->hub_agent) != w->download) /* the signer gives none to agents, nor they to it */
        return RC_OK;
    *attempt = v.attempt_id;
    TRY(q_agent_of(ctx, txn, made.agent_id, &maker));
    if (str_equal(maker.state, "active")) /* else another one that has it, sealed, may be asked */
        *agent = made.agent_id;
    return RC_OK;
}

static struct rc key_job(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, const char *attempt,
                         const char *agent, const struct wish *w, const char *reuse)
{
    struct bytes payload;
    TRY(payload_key(ctx, managed, attempt, w, reuse, &payload));
    return job_add(ctx, core, txn, "key", agent, lane_of(ctx, "attempt", attempt), attempt, payload, 0);
}

/* The request is there already. */
static struct rc csr_take(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt, const struct wish *w)
{
    struct q_attempt_by_id_row a;
    struct csr csr;
    TRY(q_attempt_by_id(ctx, txn, attempt, &a));
    TRY(csr_parse(ctx, w->csr, &csr));
    return attempt_key_made(ctx, core, txn, &a, w->csr, arena_bytes(&ctx->arena, bytes_of(csr.spki_sha256, SHA256_LEN)));
}

RC attempt_begin(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, const char *reason)
{
    if (m->paused_at)
        return ctx_fail(ctx, E_PAUSED, "%s is paused; resume it with: certwright cert resume %s", m->name, m->name);
    struct q_attempt_open_row open;
    bool under_way = false;
    TRY(q_attempt_open(ctx, txn, m->id, &open, &under_way));
    if (under_way)
        return ctx_fail(ctx, E_CONFLICT, "attempt %lld for %s is under way", (long long)open.number, m->name);
    struct wish w;
    struct issuer_choice issuer;
    const char *agent = NULL, *reuse = NULL, *wished = m->wish;
    bool fewer = false;
    TRY(wish_decode(ctx, m->wish, &w));
    TRY(bad_names_leave_out(ctx, txn, m, reason, &w, &fewer));
    if (fewer)
        TRY(wish_text(ctx, &w, &wished));
    TRY(issuer_choose(ctx, core, txn, m, &w, &issuer));
    if (issuer.wait_until)
        return issuer_wait(ctx, core, txn, m, &issuer);
    if (w.csr.n || w.download) /* the key is with whoever made the request, or with the signer */
        agent = core->hub_agent;
    else
        TRY(agent_for(ctx, txn, m->id, &w, &agent));
    TRY(reusable_key(ctx, core, txn, m, &w, &reuse, &agent));

    const char *id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    const int64_t number = m->attempts + 1;
    TRY(q_managed_attempt_begun(ctx, txn, m->id, number));
    const struct q_attempt_add_in in = {.id = id,
                                        .managed_id = m->id,
                                        .number = number,
                                        .state = "key",
                                        .reason = reason,
                                        .issuer_id = issuer.id,
                                        .agent_id = agent,
                                        .wish = wished,
                                        .wish_hash = m->wish_hash,
                                        .now = ctx_now_s(ctx)};
    TRY(q_attempt_add(ctx, txn, &in));
    if (w.download)
        TRY(download_begins(ctx, txn, m->id, id));
    TRY(timer_clear(ctx, txn, "retry", m->id));
    TRY(issuer_chosen(ctx, txn, m, &issuer, id));
    TRY(w.csr.n ? csr_take(ctx, core, txn, id, &w) : key_job(ctx, core, txn, m->id, id, agent, &w, reuse));
    TRY(step_write(ctx, txn, m->id, id, NULL, "attempt", "attempt %lld begins (%s) with issuer %s", (long long)number, reason,
                   issuer.name));
    core_wake_after_commit(ctx, core, txn, "managed:", m->id);
    return RC_OK;
}

/* What another attempt, or another client, has in place too goes with the last of them. */
static struct rc stays(struct ctx *ctx, struct txn *txn, const char *attempt, const struct q_challenge_list_row *c, bool *needed)
{
    const struct shared_answer a = {.owner = attempt,
                                    .identifier = c->identifier,
                                    .method = c->method,
                                    .agent = c->agent_id,
                                    .via = c->via,
                                    .provider = c->provider_id,
                                    .token = c->token,
                                    .key_authorization = c->key_authorization};
    struct q_attempt_by_id_row of;
    TRY(shared_answer_needed(ctx, txn, &a, needed));
    if (!*needed)
        return RC_OK;
    TRY(q_challenge_state(ctx, txn, attempt, c->url, "cleaned"));
    TRY(q_attempt_by_id(ctx, txn, attempt, &of));
    TRY(step_write(ctx, txn, of.managed_id, attempt, NULL, "clean", "the answer for %s stays: somebody else needs the same",
                   c->identifier));
    return q_challenge_cleaned(ctx, txn, attempt);
}

static struct rc challenge_clean(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt, const char *account_url,
                                 const struct q_challenge_list_row *c)
{
    struct bytes payload;
    if (str_equal(c->method, "dns-persist-01")) { /* the record stays: it is good for the next order too */
        TRY(q_challenge_state(ctx, txn, attempt, c->url, "cleaned"));
        return q_challenge_cleaned(ctx, txn, attempt);
    }
    struct q_challenge_list_row now = *c;
    bool needed = false;
    TRY(stays(ctx, txn, attempt, c, &needed));
    if (needed)
        return RC_OK;
    TRY(solver_via_now(ctx, txn, c->provider_id, c->agent_id, c->via, &now.via));
    TRY(payload_challenge(ctx, attempt, &now, account_url, NULL, &payload));
    TRY(q_challenge_state(ctx, txn, attempt, c->url, "cleaning"));
    return job_add(ctx, core, txn, "clean", c->agent_id, solver_lane(ctx, c->provider_id, c->identifier, attempt), attempt, payload,
                   0);
}

static struct rc account_of(struct ctx *ctx, struct txn *txn, const char *attempt, const char **url)
{
    struct q_attempt_by_id_row a;
    struct issuer_settings settings;
    struct payload_issuer issuer;
    TRY(q_attempt_by_id(ctx, txn, attempt, &a));
    TRY(issuer_for_job(ctx, txn, a.issuer_id, &settings, &issuer));
    *url = issuer.account_url;
    return RC_OK;
}

/* Whatever answers challenges is taken away again, however the attempt ended. */
static struct rc challenges_clean(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt)
{
    struct q_challenge_list_row *c = NULL;
    const char *account_url = NULL;
    size_t n = 0;
    TRY(q_challenge_list(ctx, txn, attempt, &c, &n));
    if (n)
        TRY(account_of(ctx, txn, attempt, &account_url));
    for (size_t i = 0; i < n; i++)
        if (str_equal(c[i].state, "presenting") || str_equal(c[i].state, "presented"))
            TRY(challenge_clean(ctx, core, txn, attempt, account_url, &c[i]));
    return RC_OK;
}

RC attempt_leftover_clean(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_challenge_leftover_of_row *c)
{
    const char *account_url = NULL;
    const struct q_challenge_list_row row = {.url = c->url,
                                             .authorization_url = c->authorization_url,
                                             .identifier = c->identifier,
                                             .token = c->token,
                                             .key_authorization = c->key_authorization,
                                             .agent_id = c->agent_id,
                                             .via = c->via,
                                             .state = c->state,
                                             .method = c->method,
                                             .provider_id = c->provider_id};
    TRY(account_of(ctx, txn, c->attempt_id, &account_url));
    return challenge_clean(ctx, core, txn, c->attempt_id, account_url, &row);
}

RC attempt_left(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, const char *url, const char *why)
{
    TRY(q_challenge_left(ctx, txn, a->id, url, why));
    TRY(timer_arm(ctx, txn, "leftover", a->id, ctx_now_s(ctx) + LEFTOVER_AGAIN_S));
    return step_write(ctx, txn, a->managed_id, a->id, NULL, "leftover", "a challenge answer could not be taken away: %s", why);
}

RC leftovers_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt)
{
    struct q_challenge_leftover_of_row *c = NULL;
    size_t n = 0;
    TRY(q_challenge_leftover_of(ctx, txn, attempt, "", &c, &n));
    for (size_t i = 0; i < n; i++)
        TRY(attempt_leftover_clean(ctx, core, txn, &c[i]));
    return RC_OK;
}

static struct rc jobs_cancel(struct ctx *ctx, struct txn *txn, const char *attempt)
{
    static const char *const kinds[] = {"key", "sign", "pin", "preflight", "order", "enroll", "present"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        TRY(q_job_cancel_ref(ctx, txn, attempt, kinds[i], ctx_now_s(ctx)));
    return RC_OK;
}

/* The key of an attempt that led nowhere, or of a version nobody will go back to, is not kept on its host. */
static struct rc key_forget(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt)
{
    struct q_attempt_by_id_row a;
    TRY(q_attempt_by_id(ctx, txn, attempt, &a));
    struct wish w;
    struct q_sealed_key_agents_row *shared = NULL;
    size_t n = 0;
    TRY(wish_decode(ctx, a.wish, &w));
    TRY(q_sealed_key_agents(ctx, txn, attempt, &shared, &n));
    TRY(q_sealed_key_drop(ctx, txn, attempt));
    if (w.download) /* where a version was made of it, its time is set there */
        return a.version ? RC_OK : download_drop(ctx, core, txn, attempt, "its attempt led to no certificate");
    if (w.reuse_key || w.csr.n)
        return RC_OK;
    struct bytes payload;
    TRY(payload_ref(ctx, "attempt", attempt, &payload));
    /* A lane an agent: none waits for another one's, and whoever ends a job wakes its own agent alone. */
    for (size_t i = 0; i < n; i++)
        TRY(job_add(ctx, core, txn, "forget_key", shared[i].agent_id,
                    arena_printf(&ctx->arena, "attempt:%s:%s", attempt, shared[i].agent_id), attempt, payload, 0));
    return job_add(ctx, core, txn, "forget_key", a.agent_id, lane_of(ctx, "attempt", attempt), attempt, payload, 0);
}

RC attempt_cancel(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, const char *why)
{
    struct q_attempt_open_row open;
    bool under_way = false;
    TRY(q_attempt_open(ctx, txn, managed, &open, &under_way));
    if (!under_way)
        return RC_OK;
    TRY(attempt_move(ctx, txn, open.id, open.state, CANCELLED));
    TRY(budget_give_back(ctx, txn, open.id, str_equal(open.state, "present") || str_equal(open.state, "finalize")));
    TRY(jobs_cancel(ctx, txn, open.id));
    TRY(key_forget(ctx, core, txn, open.id));
    TRY(challenges_clean(ctx, core, txn, open.id));
    return step_write(ctx, txn, managed, open.id, NULL, "cancelled", "attempt %lld ends: %s", (long long)open.number, why);
}

RC attempt_key_made(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, struct bytes csr,
                    struct bytes spki_sha256)
{
    struct q_issuer_by_id_row issuer;
    TRY(q_issuer_by_id(ctx, txn, a->issuer_id, &issuer));
    const bool acme = str_equal(issuer.kind, "acme"), asked = str_equal(issuer.kind, "enroll");
    struct q_attempt_by_id_row now = *a;
    bool known = false;
    TRY(revocation_key_is_known(ctx, txn, spki_sha256, &known));
    if (known)
        return attempt_failed(ctx, core, txn, a, E_POLICY,
                              "this key was said to be with somebody else (keyCompromise): bring a request with another key", 0);
    now.csr = csr;
    TRY(q_attempt_key(ctx, txn, a->id, csr, spki_sha256));
    if (str_equal(issuer.kind, "manual")) {
        TRY(attempt_move(ctx, txn, a->id, a->state, KEY_FOR_PEOPLE));
        TRY(manual_waits(ctx, txn, a));
        core_wake_after_commit(ctx, core, txn, "managed:", a->managed_id);
        return step_write(ctx, txn, a->managed_id, a->id, NULL, "manual",
                          "waits for a certificate that somebody has to bring: certwright cert csr, then cert take");
    }
    TRY(attempt_move(ctx, txn, a->id, a->state, acme ? KEY_FOR_ACME : asked ? KEY_FOR_ENROLL : KEY_FOR_CA));
    if (asked)
        return enroll_job(ctx, core, txn, &now, 0);
    return job_add(ctx, core, txn, acme ? "pin" : "sign", core->hub_agent, lane_of(ctx, "attempt", a->id), a->id, BYTES_LIT("{}"),
                   0);
}

/* How names were proved in fact, whatever is set by now.  Of the two challenges that an apex and its wildcard may have, that in DNS
 * is the wildcard's. */
static struct str_list methods_shown(struct ctx *ctx, const struct str_list *names, const struct q_challenge_list_row *c, size_t n)
{
    struct str_list out = {0};
    bool usual = true;
    for (size_t i = 0; i < names->n; i++) {
        const bool wildcard = strncmp(names->v[i], "*.", 2) == 0;
        const char *name = wildcard ? names->v[i] + 2 : names->v[i], *method = wildcard ? "dns-01" : "http-01";
        bool found = false;
        for (size_t k = 0; k < n; k++) {
            const char *shown = c[k].identifier;
            shown += strncmp(shown, "dns:", 4) == 0 ? 4 : strncmp(shown, "ip:", 3) == 0 ? 3 : 0;
            if (!str_equal(shown, name) || (found && solver_is_dns(c[k].method) != wildcard))
                continue;
            method = c[k].method;
            found = true;
        }
        usual = usual && str_equal(method, "http-01");
        str_list_add(&ctx->arena, &out, method);
    }
    return usual ? (struct str_list){0} : out;
}

RC attempt_order_payload(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt, bool finish, struct bytes *out)
{
    struct q_attempt_by_id_row a;
    TRY(q_attempt_by_id(ctx, txn, attempt, &a));
    struct wish w;
    TRY(wish_decode(ctx, a.wish, &w));
    struct issuer_settings settings;
    struct payload_issuer issuer;
    TRY(issuer_for_job(ctx, txn, a.issuer_id, &settings, &issuer));
    struct q_challenge_list_row *c = NULL;
    size_t n = 0;
    struct str_list methods = {0};
    struct solver_owner owner;
    struct q_issuer_by_id_row row;
    TRY(q_challenge_list(ctx, txn, attempt, &c, &n));
    if (finish)
        methods = methods_shown(ctx, &w.names, c, n);
    TRY(solver_owner_of(ctx, txn, &a, &owner));
    TRY(q_issuer_by_id(ctx, txn, a.issuer_id, &row));
    TRY(ari_replaces(ctx, core, txn, &a, &w, &issuer.replaces));
    if (!finish)
        TRY(solver_methods(ctx, txn, &owner, row.name, &settings, &w.names, &methods));
    return payload_order(ctx, &a, &w, &issuer, finish, c, n, &methods, out);
}

static struct rc order_job_with(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a,
                                struct bytes payload)
{
    struct issuer_settings settings;
    struct payload_issuer issuer;
    TRY(issuer_for_job(ctx, txn, a->issuer_id, &settings, &issuer));
    const char *agent = NULL;
    TRY(issuer_agent(ctx, txn, &settings, &agent));
    return job_add(ctx, core, txn, "order", agent, lane_of(ctx, "attempt", a->id), a->id, payload, 0);
}

static struct rc order_job(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, bool finish)
{
    struct bytes payload;
    TRY(attempt_order_payload(ctx, core, txn, a->id, finish, &payload));
    return order_job_with(ctx, core, txn, a, payload);
}

/* What people have changed since it began may leave it without a way to go on: it ends with that word rather than being stuck. */
static struct rc ended_by(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, struct rc rc)
{
    if (rc.e != E_CONFLICT && rc.e != E_NOT_FOUND)
        return rc;
    const char *why = arena_strdup(&ctx->arena, ctx_why(ctx));
    ctx_forget(ctx);
    return attempt_failed(ctx, core, txn, a, rc.e, why, 0);
}

RC attempt_pinned(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a)
{
    struct bytes payload;
    bool looking = false;
    struct rc rc = attempt_order_payload(ctx, core, txn, a->id, false, &payload);
    if (rc_ok(rc))
        rc = preflight_begin(ctx, core, txn, a, &looking);
    if (rc_failed(rc))
        return ended_by(ctx, core, txn, a, rc);
    if (looking)
        return attempt_move(ctx, txn, a->id, a->state, LOOKING);
    TRY(attempt_move(ctx, txn, a->id, a->state, PINNED));
    return order_job_with(ctx, core, txn, a, payload);
}

RC attempt_looked(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a)
{
    struct bytes payload;
    struct rc rc = attempt_order_payload(ctx, core, txn, a->id, false, &payload);
    if (rc_failed(rc))
        return ended_by(ctx, core, txn, a, rc);
    TRY(attempt_move(ctx, txn, a->id, a->state, PINNED));
    return order_job_with(ctx, core, txn, a, payload);
}

/* Who answers each challenge, and how. */
static struct rc solvers(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a,
                         const struct order_challenge *challenges, size_t n, struct solver_choice *out)
{
    struct issuer_settings settings;
    struct payload_issuer issuer;
    struct solver_owner owner;
    TRY(issuer_for_job(ctx, txn, a->issuer_id, &settings, &issuer));
    TRY(solver_owner_of(ctx, txn, a, &owner));
    for (size_t i = 0; i < n; i++)
        TRY(solver_choose(ctx, txn, &owner, &settings, a, challenges[i].type, challenges[i].identifier, &out[i]));
    return RC_OK;
}

RC attempt_ordered(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a,
                   const char *account_url, const char *order_url, const char *finalize_url,
                   const struct order_challenge *challenges, size_t n)
{
    if (account_url)
        TRY(issuer_account_keep(ctx, txn, a->issuer_id, account_url));
    TRY(q_attempt_order(ctx, txn, a->id, order_url, finalize_url, NULL));
    TRY(step_write(ctx, txn, a->managed_id, a->id, NULL, "ordered", "order %s: %zu challenge%s to answer", order_url, n,
                   n == 1 ? "" : "s"));
    if (!n) {
        TRY(attempt_move(ctx, txn, a->id, a->state, READY));
        return order_job(ctx, core, txn, a, true);
    }
    struct solver_choice *by = arena_array(&ctx->arena, n, sizeof *by);
    struct rc rc = solvers(ctx, txn, a, challenges, n, by);
    if (rc_failed(rc))
        return ended_by(ctx, core, txn, a, rc);
    TRY(attempt_move(ctx, txn, a->id, a->state, CHALLENGED));
    TRY(account_of(ctx, txn, a->id, &account_url));
    for (size_t i = 0; i < n; i++) {
        const struct q_challenge_add_in in = {.attempt_id = a->id,
                                              .url = challenges[i].url,
                                              .authorization_url = challenges[i].authorization_url,
                                              .identifier = challenges[i].identifier,
                                              .token = challenges[i].token,
                                              .key_authorization = challenges[i].key_authorization,
                                              .agent_id = by[i].agent,
                                              .via = by[i].via,
                                              .method = challenges[i].type,
                                              .provider_id = by[i].provider};
        TRY(q_challenge_add(ctx, txn, &in));
        const struct q_challenge_list_row c = {.url = in.url,
                                               .authorization_url = in.authorization_url,
                                               .identifier = in.identifier,
                                               .token = in.token,
                                               .key_authorization = in.key_authorization,
                                               .agent_id = in.agent_id,
                                               .via = in.via,
                                               .method = in.method,
                                               .provider_id = in.provider_id};
        struct bytes payload;
        TRY(payload_challenge(ctx, a->id, &c, account_url, NULL, &payload));
        TRY(job_add(ctx, core, txn, "present", in.agent_id, solver_lane(ctx, in.provider_id, in.identifier, a->id), a->id, payload,
                    0));
    }
    return RC_OK;
}

RC attempt_presented(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, const char *url)
{
    TRY(q_challenge_state(ctx, txn, a->id, url, "presented"));
    struct q_challenge_list_row *c = NULL;
    size_t n = 0;
    TRY(q_challenge_list(ctx, txn, a->id, &c, &n));
    for (size_t i = 0; i < n; i++)
        if (str_equal(c[i].url, url) && str_equal(c[i].method, ACME_DNS_PERSIST))
            TRY(persist_keep(ctx, core, txn, a->issuer_id, &c[i]));
    for (size_t i = 0; i < n; i++)
        if (str_equal(c[i].state, "presenting"))
            return RC_OK;
    TRY(step_write(ctx, txn, a->managed_id, a->id, NULL, "presented", "%zu challenge answer%s in place", n,
                   n == 1 ? " is" : "s are"));
    TRY(attempt_move(ctx, txn, a->id, a->state, PRESENTED));
    return order_job(ctx, core, txn, a, true);
}

RC attempt_cleaned(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, const char *url)
{
    (void)core;
    TRY(q_challenge_state(ctx, txn, a->id, url, "cleaned"));
    return q_challenge_cleaned(ctx, txn, a->id);
}

int64_t renewal_time(const struct wish *w, int64_t not_before, int64_t not_after)
{
    const int64_t life = not_after - not_before;
    int64_t at;
    if (w->renew_before_s > 0 && w->renew_before_s < life)
        at = not_after - w->renew_before_s;
    else if (w->renew_percent)
        at = not_before + life * w->renew_percent / 100;
    else
        at = not_before + (life < 10 * 86400 ? life / 2 : life / 3 * 2);
    const int64_t spread = life / 50;
    return spread > 0 ? at - (int64_t)random_below((uint64_t)spread) : at;
}

/* What was issued is in the inventory like any other certificate. */
static struct rc inventory_add(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m,
                               const struct issued_chain *chain, int64_t *id)
{
    const struct inventory_item item = {.der = chain->leaf, .flags = CERTIFICATE_MANAGED | CERTIFICATE_OURS};
    const struct inventory_from from = {.source = INVENTORY_ISSUED, .team_id = m->team_id};
    struct inventory_batch batch;
    TRY(inventory_prepare(ctx, core, &item, 1, &batch));
    if (batch.bad_n)
        return ctx_fail(ctx, E_PARSE, "the certificate cannot be read: %s", batch.bad[0].why);
    TRY(inventory_put(ctx, core, txn, &from, &batch));
    *id = batch.ready[0].id;
    return RC_OK;
}

static struct rc version_make(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a,
                              const struct q_managed_by_id_row *m, const struct wish *w, const struct issued_chain *chain,
                              int64_t *number)
{
    const int64_t now = ctx_now_s(ctx);
    struct q_version_newest_row newest;
    bool any = false;
    TRY(q_version_newest(ctx, txn, a->managed_id, &newest, &any));
    *number = any ? newest.number + 1 : 1;
    int64_t certificate = 0;
    TRY(inventory_add(ctx, core, txn, m, chain, &certificate));
    TRY(q_chain_add(ctx, txn, chain->chain_sha256, chain->chain_pem));
    const struct q_version_add_in in = {.managed_id = a->managed_id,
                                        .number = *number,
                                        .attempt_id = a->id,
                                        .issuer_id = a->issuer_id,
                                        .certificate_id = certificate,
                                        .fingerprint = chain->fingerprint,
                                        .serial = chain->serial,
                                        .names = chain->names_json,
                                        .chain_sha256 = chain->chain_sha256,
                                        .wish_hash = a->wish_hash,
                                        .not_before = chain->not_before,
                                        .not_after = chain->not_after,
                                        .renew_at = renewal_time(w, chain->not_before, chain->not_after),
                                        .now = now};
    TRY(q_version_add(ctx, txn, &in));
    TRY(q_attempt_version(ctx, txn, a->id, *number));
    TRY(inventory_version(ctx, core, txn, a->managed_id, m->version, VERSION_SUPERSEDED));
    TRY(inventory_version(ctx, core, txn, a->managed_id, *number, VERSION_CURRENT)); /* the same certificate may come twice */
    TRY(q_managed_version_set(ctx, txn, a->managed_id, *number, now));
    TRY(late_arm(ctx, txn, a->managed_id, chain->not_before, chain->not_after));
    return timer_arm(ctx, txn, "renew", a->managed_id, in.renew_at);
}

RC attempt_issued(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a,
                  const struct issued_chain *chain)
{
    struct wish w;
    TRY(wish_decode(ctx, a->wish, &w));
    TRY(attempt_move(ctx, txn, a->id, a->state, str_equal(a->state, "sign") ? SIGNED : ISSUED));
    TRY(counter_attempt(ctx, txn, a->id, "issued"));
    int64_t number = 0;
    struct q_managed_by_id_row m;
    TRY(q_managed_by_id(ctx, txn, a->managed_id, &m));
    TRY(version_make(ctx, core, txn, a, &m, &w, chain, &number));
    TRY(q_managed_by_id(ctx, txn, a->managed_id, &m)); /* as it is now */
    TRY(issuer_note_answer(ctx, txn, a->issuer_id));
    TRY(bad_names_issued(ctx, txn, a));
    TRY(ari_issued(ctx, txn, a, number));
    TRY(challenges_clean(ctx, core, txn, a->id));
    const char *print = hex_str(&ctx->arena, chain->fingerprint);
    TRY(step_write(ctx, txn, a->managed_id, a->id, NULL, "issued", "version %lld issued by %s, SHA-256 %.16s", (long long)number,
                   chain->issuer, print));
    struct buf detail;
    buf_init_arena(&detail, &ctx->arena, 4096);
    struct json_out j;
    json_begin(&j, &detail);
    json_open_obj(&j, NULL);
    json_put_int(&j, "version", number);
    json_put_str(&j, "fingerprint", print);
    json_put_str(&j, "issuer", chain->issuer);
    json_put_hex(&j, "serial", chain->serial);
    json_put_time(&j, "not_before", chain->not_before);
    json_put_time(&j, "not_after", chain->not_after);
    json_close(&j);
    TRY(audit_write(ctx, txn, "certificate.issued", "managed-certificate", a->managed_id, m.team_id, buf_bytes(&detail)));
    struct q_version_get_row old;
    bool any = false;
    TRY(q_version_get(ctx, txn, a->managed_id, number - VERSIONS_WITH_KEY, &old, &any));
    if (any)
        TRY(key_forget(ctx, core, txn, old.attempt_id));
    TRY(download_superseded(ctx, txn, a->managed_id, a->id));
    TRY(deployments_begin(ctx, core, txn, &m, number, a->reason));
    core_wake_after_commit(ctx, core, txn, "managed:", a->managed_id);
    return RC_OK;
}

RC attempt_soon(struct ctx *ctx, struct txn *txn, const char *managed)
{
    return timer_arm(ctx, txn, "retry", managed, ctx_now_s(ctx) + 1 + (int64_t)random_below(3));
}

static struct rc account_remedy(struct ctx *ctx, struct txn *txn, const char *issuer, const char **why)
{
    struct q_issuer_by_id_row i;
    TRY(q_issuer_by_id(ctx, txn, issuer, &i));
    if (strstr(*why, "external account binding"))
        *why = arena_printf(&ctx->arena,
                            "%s; enter what the CA gave you: certwright issuer edit %s --eab-kid KID --eab-key-file FILE", *why,
                            i.name);
    else if (!strstr(*why, "certwright issuer "))
        *why = arena_printf(&ctx->arena, "%s; make another one with: certwright issuer account %s renew", *why, i.name);
    return RC_OK;
}

RC attempt_failed(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, enum err e,
                  const char *why, int64_t retry_after_s)
{
    TRY(attempt_move(ctx, txn, a->id, a->state, FAILED));
    if (e == E_ACCOUNT)
        TRY(account_remedy(ctx, txn, a->issuer_id, &why));
    TRY(q_attempt_error(ctx, txn, a->id, err_info(e)->name, why));
    TRY(counter_attempt(ctx, txn, a->id, err_info(e)->name));
    TRY(jobs_cancel(ctx, txn, a->id));
    TRY(key_forget(ctx, core, txn, a->id));
    TRY(challenges_clean(ctx, core, txn, a->id));
    TRY(budget_give_back(ctx, txn, a->id, a->order_url != NULL));
    TRY(step_write(ctx, txn, a->managed_id, a->id, NULL, "failed", "attempt %lld failed: %s", (long long)a->number, why));
    TRY(managed_note_failure(ctx, core, txn, a->managed_id, e, why, retry_after_s));
    /* Another CA need not wait for what this one said. */
    bool other = false;
    TRY(issuer_other_ready(ctx, core, txn, a->managed_id, a->issuer_id, &other));
    return other ? attempt_soon(ctx, txn, a->managed_id) : RC_OK;
}

static const char *names_json(struct ctx *ctx, const struct name_list *names)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    struct json_out j;
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    for (size_t i = 0; i < names->n; i++)
        json_put_str(&j, NULL, names->v[i].text);
    json_close(&j);
    return buf_z(&b);
}

static struct rc names_check(struct ctx *ctx, const struct wish *w, const struct name_list *got)
{
    struct name_list asked = {0};
    TRY(name_list_parse(ctx, w->names.v, w->names.n, &asked));
    for (size_t i = 0; i < asked.n; i++)
        if (!name_list_has(got, &asked.v[i]))
            return ctx_fail(ctx, E_BAD_CERTIFICATE, "the issuer's certificate lacks the name %s", asked.v[i].text);
    for (size_t i = 0; i < got->n; i++)
        if (!name_list_has(&asked, &got->v[i]))
            return ctx_fail(ctx, E_BAD_CERTIFICATE, "the issuer's certificate holds the name %s, which nobody asked for",
                            got->v[i].text);
    return RC_OK;
}

RC issued_chain_check(struct ctx *ctx, const struct q_attempt_by_id_row *a, const struct wish *w, struct bytes leaf,
                      const char *chain_pem, struct issued_chain *out)
{
    struct cert c;
    TRY(cert_parse(ctx, arena_bytes(&ctx->arena, leaf), &c));
    if (!bytes_equal(bytes_of(c.spki_sha256, SHA256_LEN), a->spki_sha256))
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the issuer's certificate holds another key than the one asked for");
    struct name_list names = {0};
    TRY(cert_names(ctx, &c, &names));
    TRY(names_check(ctx, w, &names));
    if (c.not_after <= ctx_now_s(ctx))
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the issuer's certificate has expired already; is this host's clock right?");
    *out = (struct issued_chain){
        .leaf = c.der,
        .fingerprint = arena_bytes(&ctx->arena, bytes_of(c.fingerprint, SHA256_LEN)),
        .serial = c.serial,
        .spki_sha256 = arena_bytes(&ctx->arena, bytes_of(c.spki_sha256, SHA256_LEN)),
        .subject = c.subject.text,
        .issuer = c.issuer.text,
        .names_json = names_json(ctx, &names),
        .key_kind = key_kind_name(c.spki.key_kind),
        .not_before = c.not_before,
        .not_after = c.not_after,
        .chain_pem = chain_pem,
    };
    return digest_sha256_new(ctx, bytes_z(chain_pem), &out->chain_sha256);
}
