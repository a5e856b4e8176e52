#include "core/result.h"

#include "base/encode.h"
#include "base/log.h"
#include "acme/dns_proof.h"
#include "acme/objects.h"
#include "core/adopt.h"
#include "core/alert.h"
#include "core/ari.h"
#include "core/audit.h"
#include "core/audit_stream.h"
#include "core/issuer_account.h"
#include "pki/digest.h"
#include "core/enroll.h"
#include "core/dns_challenge.h"
#include "core/dns_provider.h"
#include "core/bad_name.h"
#include "core/ca_change.h"
#include "core/identity_provider.h"
#include "core/issuer.h"
#include "core/issuer_choice.h"
#include "core/issuer_health.h"
#include "core/job.h"
#include "core/managed.h"
#include "core/notify.h"
#include "core/outside.h"
#include "core/payload.h"
#include "core/preflight.h"
#include "core/persist.h"
#include "core/provider_sign_in.h"
#include "core/scan.h"
#include "core/sharing.h"
#include "core/standby.h"
#include "core/solver.h"
#include "core/target.h"
#include "pki/cert.h"
#include "pki/csr.h"
#include "pki/hpke.h"
#include "pki/pem.h"
#include "pki/weak.h"

/* An order that fails in a way that may pass is tried again within its attempt this often. */
#define ORDER_TRIES 5
/* A CA that asks to wait longer than this ends the attempt; the next one comes after the wait. */
#define ORDER_WAIT_MAX_S 600

/* An attempt's steps; what an agent tells beyond is not kept. */
#define STEPS_MAX 2000

/* --- checking, outside the transaction */

RC result_key_check(struct ctx *ctx, struct checked_result *r, struct bytes request)
{
    struct csr csr;
    TRY(csr_parse(ctx, request, &csr));
    struct wish w;
    TRY(wish_decode(ctx, r->attempt.wish, &w));
    struct name_list asked = {0};
    TRY(name_list_parse(ctx, w.names.v, w.names.n, &asked));
    if (!name_list_same(&asked, &csr.names))
        return ctx_fail(ctx, E_BAD_CSR, "the agent's request is for other names than those of the attempt");
    if (!str_equal(key_kind_name(csr.spki.key_kind), w.key_kind))
        return ctx_fail(ctx, E_BAD_CSR, "the agent's key is %s, not %s", key_kind_name(csr.spki.key_kind), w.key_kind);
    r->csr = request;
    r->spki_sha256 = arena_bytes(&ctx->arena, bytes_of(csr.spki_sha256, SHA256_LEN));
    return RC_OK;
}

static struct rc check_key(struct ctx *ctx, struct core *core, struct checked_result *r)
{
    (void)core;
    const struct api_job_key_done *done = r->raw->key;
    return done ? result_key_check(ctx, r, done->csr) : ctx_fail(ctx, E_BAD_ANSWER, "the agent made no request for the key");
}

static struct rc check_chain_pem(struct ctx *ctx, struct checked_result *r, const char *pem)
{
    struct cert_chain chain;
    TRY(cert_chain_parse_pem(ctx, bytes_z(pem), 10, &chain));
    struct wish w;
    TRY(wish_decode(ctx, r->attempt.wish, &w));
    struct buf above;
    buf_init_arena(&above, &ctx->arena, 1 << 18);
    for (size_t i = 1; i < chain.n; i++)
        pem_put(&above, "CERTIFICATE", chain.v[i].der);
    TRY(buf_status(&above));
    return issued_chain_check(ctx, &r->attempt, &w, chain.v[0].der, buf_z(&above), &r->issued);
}

static struct rc thumbprint_of(struct ctx *ctx, struct core *core, const char *issuer, const char **out);
static struct rc check_identifier(struct ctx *ctx, const struct wish *w, const struct api_job_challenge *c);

static struct rc check_order(struct ctx *ctx, struct core *core, struct checked_result *r)
{
    const struct api_job_order_done *done = r->raw->order;
    if (!done)
        return ctx_fail(ctx, E_BAD_ANSWER, "the agent did not say how the order stands");
    if (str_equal(r->attempt.state, "finalize")) {
        if (!done->chain_pem)
            return ctx_fail(ctx, E_BAD_ANSWER, "the agent brought no certificate");
        return check_chain_pem(ctx, r, done->chain_pem);
    }
    const char *thumbprint = NULL;
    if (done->challenges.n)
        TRY(thumbprint_of(ctx, core, r->attempt.issuer_id, &thumbprint));
    struct wish w;
    TRY(wish_decode(ctx, r->attempt.wish, &w));
    r->challenges = arena_array(&ctx->arena, done->challenges.n, sizeof *r->challenges);
    for (size_t i = 0; i < done->challenges.n; i++) {
        const struct api_job_challenge *c = &done->challenges.v[i];
        struct bytes ignored;
        TRY(check_identifier(ctx, &w, c));
        TRY(solver_was_asked(ctx, r->job.payload, c->identifier, c->type && *c->type ? c->type : "http-01"));
        if (str_equal(c->type, ACME_DNS_PERSIST)) {
            struct order_challenge *o = &r->challenges[r->challenges_n++];
            *o = (struct order_challenge){.url = c->url,
                                          .authorization_url = c->authorization_url,
                                          .identifier = c->identifier,
                                          .type = c->type};
            TRY(persist_prove(ctx, core, &r->attempt, &w, c->identifier, done->account_url, c->token ? c->token : "", o));
            continue;
        }
        if (!c->token || !*c->token || !get_base64url(&ctx->arena, bytes_z(c->token), &ignored))
            return ctx_fail(ctx, E_BAD_ANSWER, "the CA's challenge for %s has a token that is not base64url", c->identifier);
        r->challenges[r->challenges_n++] =
            (struct order_challenge){.url = c->url,
                                     .authorization_url = c->authorization_url,
                                     .identifier = c->identifier,
                                     .token = c->token,
                                     .type = c->type && *c->type ? c->type : "http-01",
                                     .key_authorization = arena_printf(&ctx->arena, "%s.%s", c->token, thumbprint)};
    }
    return RC_OK;
}

/* A host's word is not enough for another name: only those of the attempt are proved. */
static struct rc check_identifier(struct ctx *ctx, const struct wish *w, const struct api_job_challenge *c)
{
    struct name asked;
    TRY(name_parse(ctx, bytes_z(c->identifier), &asked));
    for (size_t i = 0; i < w->names.n; i++) {
        struct name own;
        const char *name = w->names.v[i];
        TRY(name_parse(ctx, bytes_z(strncmp(name, "*.", 2) == 0 ? name + 2 : name), &own));
        if (name_equal(&asked, &own))
            return RC_OK;
    }
    return ctx_fail(ctx, E_BAD_ANSWER, "a challenge for %s, which is no name of the certificate", c->identifier);
}

/* Which challenge of the attempt a present or clean job was for. */
static struct rc check_challenge(struct ctx *ctx, struct core *core, struct checked_result *r)
{
    (void)core;
    json_auto_t *root = NULL;
    TRY(json_read(ctx, bytes_z(r->job.payload), &root));
    return json_get_str(ctx, root, "url", true, &r->challenge_url);
}

/* Only what was asked about is believed: an endpoint of the job; or, where it had none, the files. */
static bool was_asked(const json_t *endpoints, const struct api_job_served *v)
{
    if (!json_array_size(endpoints))
        return !*v->address;
    for (size_t i = 0; i < json_array_size(endpoints); i++) {
        const json_t *e = json_array_get(endpoints, i);
        const char *name = json_string_value(json_object_get(e, "name"));
        if (str_equal(json_string_value(json_object_get(e, "address")), v->address) &&
            json_integer_value(json_object_get(e, "port")) == v->port && str_equal(name ? name : "", v->name ? v->name : ""))
            return true;
    }
    return false;
}

static struct rc check_served(struct ctx *ctx, const struct api_job_served *v, size_t n, struct checked_result *r)
{
    json_auto_t *asked = NULL;
    TRY(json_read(ctx, bytes_z(r->job.payload), &asked));
    const json_t *endpoints = json_object_get(asked, "endpoints");
    const size_t most = json_array_size(endpoints) ? json_array_size(endpoints) : 1;
    r->seen = arena_array(&ctx->arena, most, sizeof *r->seen);
    for (size_t i = 0; i < n && r->seen_n < most; i++)
        if (was_asked(endpoints, &v[i]))
            r->seen[r->seen_n++] = (struct seen){.address = v[i].address,
                                             .port = v[i].port,
                                             .name = v[i].name,
                                             .verdict = v[i].verdict,
                                             .detail = v[i].detail,
                                             .fingerprint = v[i].fingerprint};
    return RC_OK;
}

static struct rc check_deploy(struct ctx *ctx, struct core *core, struct checked_result *r)
{
    (void)core;
    const struct api_job_deploy_done *done = r->raw->deploy;
    return done ? check_served(ctx, done->served.v, done->served.n, r) : RC_OK;
}

static struct rc check_verify(struct ctx *ctx, struct core *core, struct checked_result *r)
{
    (void)core;
    const struct api_job_verify_done *done = r->raw->verify;
    return done ? check_served(ctx, done->served.v, done->served.n, r) : RC_OK;
}

/* Each must be for an agent that was asked for, once. */
static struct rc check_seal(struct ctx *ctx, struct core *core, struct checked_result *r)
{
    const struct api_job_seal_done *done = r->raw->seal;
    json_auto_t *asked = NULL;
    struct str_list agents = {0};
    (void)core;
    TRY(json_read(ctx, bytes_z(r->job.payload), &asked));
    const json_t *list = json_object_get(asked, "receivers");
    for (size_t i = 0; i < json_array_size(list); i++)
        str_list_add(&ctx->arena, &agents, json_string_value(json_object_get(json_array_get(list, i), "agent")));
    if (!done || done->sealed.n != agents.n)
        return ctx_fail(ctx, E_BAD_ANSWER, "the agent sealed the key to %zu of %zu agents", done ? done->sealed.n : 0, agents.n);
    r->sealed = arena_array(&ctx->arena, agents.n, sizeof *r->sealed);
    for (size_t i = 0; i < agents.n; i++) {
        const struct api_job_sealed *s = &done->sealed.v[i];
        if (!str_equal(s->agent, agents.v[i]) || s->sealed.n < HPKE_OVERHEAD || s->sealed.n > SEALED_KEY_MAX)
            return ctx_fail(ctx, E_BAD_ANSWER, "the agent's sealed key for %s is not acceptable", agents.v[i]);
        r->sealed[r->sealed_n++] = (struct sealed_for){s->agent, s->sealed};
    }
    return RC_OK;
}

/* --- applying, inside the transaction */

/* Whose words they are is clear on one host only; `host` is NULL there. */
static const char *on_host(struct ctx *ctx, const char *text, const char *host)
{
    static const char here[] = "this host";
    struct buf b;
    if (!host || !text || !strstr(text, here))
        return text;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    for (const char *at; (at = strstr(text, here)); text = at + strlen(here)) {
        buf_put_mem(&b, text, (size_t)(at - text));
        buf_put_z(&b, host);
    }
    buf_put_z(&b, text);
    return rc_ok(buf_status(&b)) ? buf_z(&b) : text;
}

static struct rc steps_keep(struct ctx *ctx, struct txn *txn, const char *managed, const char *attempt, const char *deployment,
                            const struct checked_result *r)
{
    const struct api_job_result *raw = r->raw;
    for (size_t i = 0; raw && i < raw->steps.n; i++) {
        const struct api_job_step *s = &raw->steps.v[i];
        const char *text = on_host(ctx, s->text ? s->text : "", r->host);
        struct q_step_there_row there;
        bool told = false;
        if (raw->order || !raw->ok) /* orders tell their progress while they run */
            TRY(q_step_there(ctx, txn, managed, s->at_ms, s->step, text, &there, &told));
        if (!told)
            TRY(step_write_at(ctx, txn, managed, attempt, deployment, s->at_ms, s->step, text));
    }
    return RC_OK;
}

static struct rc apply_key(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    TRY(steps_keep(ctx, txn, r->attempt.managed_id, r->attempt.id, NULL, r));
    if (!r->ok)
        return attempt_failed(ctx, core, txn, &r->attempt, r->e, r->why, r->retry_after_s);
    return attempt_key_made(ctx, core, txn, &r->attempt, r->csr, r->spki_sha256);
}

static struct rc apply_own(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    if (!r->ok)
        return attempt_failed(ctx, core, txn, &r->attempt, r->e, r->why, r->retry_after_s);
    return str_equal(r->job.kind, "sign") ? attempt_issued(ctx, core, txn, &r->attempt, &r->issued)
                                          : attempt_pinned(ctx, core, txn, &r->attempt);
}

static struct rc order_failed(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    bool others = false;
    TRY(bad_names_note(ctx, core, txn, &r->attempt, r->raw, &others));
    TRY(attempt_failed(ctx, core, txn, &r->attempt, r->e, r->why, r->retry_after_s));
    return others ? attempt_soon(ctx, txn, r->attempt.managed_id) : RC_OK;
}

static struct rc apply_order(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    TRY(steps_keep(ctx, txn, r->attempt.managed_id, r->attempt.id, NULL, r));
    if (!r->ok)
        return order_failed(ctx, core, txn, r);
    const struct api_job_order_done *done = r->raw->order;
    if (str_equal(r->attempt.state, "finalize"))
        return attempt_issued(ctx, core, txn, &r->attempt, &r->issued);
    TRY(issuer_note_taken(ctx, txn, &r->attempt));
    return attempt_ordered(ctx, core, txn, &r->attempt, done->account_url, done->order_url, done->finalize_url, r->challenges,
                           r->challenges_n);
}

/* An answer that could not be put into DNS: is its credential still good? */
static struct rc provider_doubt(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt, const char *url)
{
    struct q_challenge_list_row *c = NULL;
    size_t n = 0;
    TRY(q_challenge_list(ctx, txn, attempt, &c, &n));
    for (size_t i = 0; i < n; i++)
        if (str_equal(c[i].url, url) && c[i].provider_id)
            TRY(dns_test_due(ctx, core, txn, c[i].provider_id));
    return RC_OK;
}

static struct rc apply_present(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    TRY(steps_keep(ctx, txn, r->attempt.managed_id, r->attempt.id, NULL, r));
    if (!str_equal(r->attempt.state, "present")) /* the attempt ended meanwhile; `clean` follows in the lane */
        return RC_OK;
    if (!r->ok) {
        TRY(provider_doubt(ctx, core, txn, r->attempt.id, r->challenge_url));
        return attempt_failed(ctx, core, txn, &r->attempt, r->e, r->why, r->retry_after_s);
    }
    return attempt_presented(ctx, core, txn, &r->attempt, r->challenge_url);
}

static struct rc apply_clean(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    if (!r->ok)
        return attempt_left(ctx, txn, &r->attempt, r->challenge_url, r->why);
    return attempt_cleaned(ctx, core, txn, &r->attempt, r->challenge_url);
}

static struct rc apply_deploy(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    struct q_deployment_by_id_row d;
    TRY(q_deployment_by_id(ctx, txn, r->job.ref, &d));
    TRY(steps_keep(ctx, txn, d.managed_id, NULL, d.id, r));
    const struct deploy_outcome o = {.ok = r->ok,
                                     .rolled_back = r->raw && r->raw->deploy && r->raw->deploy->rolled_back,
                                     .e = r->e,
                                     .why = r->why,
                                     .retry_after_s = r->retry_after_s,
                                     .seen = r->seen,
                                     .seen_n = r->seen_n};
    return deployment_ended(ctx, core, txn, d.id, &o);
}

static struct rc apply_verify(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    if (!r->ok)
        return timer_arm(ctx, txn, "verify", r->job.ref, ctx_now_s(ctx) + retry_delay_s(3, r->retry_after_s));
    return target_verified(ctx, core, txn, r->job.ref, r->seen, r->seen_n);
}

static const char *parameters_json(struct ctx *ctx, const struct api_parameters *p)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    struct json_out j;
    json_begin(&j, &b);
    api_parameters_encode(&j, NULL, p);
    return rc_ok(buf_status(&b)) ? buf_z(&b) : "{}";
}

RC result_targets(struct ctx *ctx, const struct api_job_found *v, size_t n, struct target_input **out)
{
    struct target_input *found = arena_array(&ctx->arena, n + 1, sizeof *found);
    for (size_t i = 0; i < n; i++) {
        const struct api_job_found *f = &v[i];
        struct buf endpoints, names;
        buf_init_arena(&endpoints, &ctx->arena, 1 << 16);
        buf_init_arena(&names, &ctx->arena, 1 << 16);
        struct json_out j;
        json_begin(&j, &endpoints);
        json_open_list(&j, NULL);
        for (size_t k = 0; k < f->endpoints.n; k++)
            api_job_endpoint_encode(&j, NULL, &f->endpoints.v[k]);
        json_close(&j);
        json_begin(&j, &names);
        json_open_list(&j, NULL);
        for (size_t k = 0; k < f->names.n; k++)
            json_put_str(&j, NULL, f->names.v[k]);
        json_close(&j);
        TRY(buf_status(&endpoints));
        TRY(buf_status(&names));
        found[i] = (struct target_input){.name = f->name,
                                         .connector = f->connector,
                                         .parameters = parameters_json(ctx, &f->parameters),
                                         .endpoints = buf_z(&endpoints),
                                         .names = buf_z(&names),
                                         .description = f->description ? f->description : "",
                                         .found = true};
    }
    *out = found;
    return RC_OK;
}

static struct rc apply_discover(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    struct target_input *found = NULL;
    if (!r->ok || !r->raw->discover)
        return RC_OK;
    TRY(result_targets(ctx, r->raw->discover->targets.v, r->raw->discover->targets.n, &found));
    return target_found(ctx, core, txn, r->job.agent_id, found, r->raw->discover->targets.n);
}

/* The windows come in the order of the certificates that were asked about; an agent of an earlier release brings the first
 * alone. */
static struct rc check_renewal_info(struct ctx *ctx, struct core *core, struct checked_result *r)
{
    (void)core;
    const struct api_job_renewal_info_done *done = r->raw->renewal_info;
    json_auto_t *asked = NULL;
    if (!done)
        return ctx_fail(ctx, E_BAD_ANSWER, "the agent brought no renewal information");
    TRY(json_read(ctx, bytes_z(r->job.payload), &asked));
    const json_t *list = json_object_get(asked, "certificates");
    const size_t n = done->windows.n ? done->windows.n : done->has_end;
    if (n > json_array_size(list))
        return ctx_fail(ctx, E_BAD_ANSWER, "the agent brought renewal information of %zu certificates too many",
                        n - json_array_size(list));
    r->said = arena_array(&ctx->arena, n, sizeof *r->said);
    for (size_t i = 0; i < n; i++) {
        const struct api_job_renewal_window *w = i < done->windows.n ? &done->windows.v[i] : NULL;
        struct ari_said *said = &r->said[r->said_n++];
        struct bytes der;
        const char *text = json_string_value(json_array_get(list, i));
        if (!text || !get_base64(&ctx->arena, bytes_z(text), &der))
            return ctx_fail(ctx, E_BUG, "the job's certificate %zu is not base64", i);
        TRY(digest_sha256_new(ctx, der, &said->fingerprint));
        said->start = w ? w->start : done->start;
        said->end = w ? w->end : done->end;
        said->explanation_url = w ? w->explanation_url : done->explanation_url;
        if (said->explanation_url && !acme_url_valid(said->explanation_url))
            said->explanation_url = NULL;
    }
    return RC_OK;
}

static struct rc apply_renewal_info(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    /* Each certificate has the time of its next asking already. */
    if (!r->ok)
        return RC_OK;
    return ari_answered(ctx, core, txn, r->job.ref, r->said, r->said_n, r->raw->renewal_info->retry_after_s);
}

static struct rc check_acme_account(struct ctx *ctx, struct core *core, struct checked_result *r)
{
    json_auto_t *asked = NULL;
    if (!r->raw->acme_account)
        return ctx_fail(ctx, E_BAD_ANSWER, "the agent did not say how the account stands");
    TRY(json_read(ctx, bytes_z(r->job.payload), &asked));
    TRY(json_get_str(ctx, asked, "verb", true, &r->verb));
    return issuer_account_take(ctx, core, r->job.ref, r->verb);
}

static const char *texts_json(struct ctx *ctx, const struct api_strings *s)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    for (size_t i = 0; i < s->n; i++)
        json_put_str(&j, NULL, s->v[i]);
    json_close(&j);
    return rc_ok(buf_status(&b)) ? buf_z(&b) : "[]";
}

static struct rc apply_acme_account(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    const bool standby = strncmp(r->job.lane, STANDBY_LANE, strlen(STANDBY_LANE)) == 0;
    if (!r->ok)
        return standby ? standby_seen(ctx, txn, r->job.ref, NULL, r->why)
                       : issuer_account_failed(ctx, txn, r->job.ref, r->e, r->why);
    const struct api_job_acme_account_done *done = r->raw->acme_account;
    if (standby)
        TRY(standby_seen(ctx, txn, r->job.ref, done, NULL));
    const struct account_said said = {.account_url = done->account_url,
                                      .status = done->status,
                                      .contacts = texts_json(ctx, &done->contacts),
                                      .profiles = texts_json(ctx, &done->profiles),
                                      .terms_of_service = done->terms_of_service};
    return issuer_account_said(ctx, core, txn, r->job.ref, r->verb, &said);
}

static struct rc apply_seal(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    if (!r->ok)
        return sharing_failed(ctx, core, txn, r->job.ref, r->e, r->why, r->retry_after_s);
    return sharing_sealed(ctx, core, txn, r->job.ref, r->sealed, r->sealed_n);
}

static struct rc apply_dns_test(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    (void)core;
    json_auto_t *asked = NULL;
    struct dns_tried tried = {.error_code = r->ok ? NULL : err_info(r->e)->name, .error = r->why};
    TRY(json_read(ctx, bytes_z(r->job.payload), &asked));
    TRY(json_get_str(ctx, asked, "zone", true, &tried.zone));
    if (r->ok && r->raw->dns_test) {
        tried.may = r->raw->dns_test->what;
        tried.expires_at = r->raw->dns_test->has_expires_at ? r->raw->dns_test->expires_at : 0;
    }
    return dns_provider_tried(ctx, txn, r->job.ref, &tried);
}

static struct rc challenge_told(struct ctx *ctx, struct txn *txn, const struct checked_result *r)
{
    struct str_list lines = {0};
    for (size_t i = 0; r->raw && i < r->raw->steps.n; i++)
        if (r->raw->steps.v[i].text)
            str_list_add(&ctx->arena, &lines, on_host(ctx, r->raw->steps.v[i].text, r->host));
    if (!r->ok && r->why)
        str_list_add(&ctx->arena, &lines, r->why);
    return dns_challenge_told(ctx, txn, r->job.ref, &lines);
}

static struct rc apply_dns_present(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    TRY(challenge_told(ctx, txn, r));
    return dns_challenge_presented(ctx, core, txn, r->job.ref, r->ok ? NULL : err_info(r->e)->name, r->why);
}

static struct rc apply_dns_persist(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    (void)core;
    TRY(challenge_told(ctx, txn, r));
    return persist_written(ctx, txn, r->job.ref, r->job.payload, r->ok ? NULL : r->why);
}

static struct rc apply_dns_clean(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    (void)core;
    TRY(challenge_told(ctx, txn, r));
    return dns_challenge_cleaned(ctx, txn, r->job.ref, r->ok ? NULL : err_info(r->e)->name, r->why);
}

static struct rc apply_preflight(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    const struct api_job_preflight_done *done = r->ok ? r->raw->preflight : NULL;
    return preflight_ended(ctx, core, txn, r->job.ref, done, r->ok ? "it told nothing" : r->why);
}

static struct rc apply_nothing(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    (void)core;
    (void)txn;
    if (!r->ok)
        log_event(LOG_WARN_, "job_failed", "kind", r->job.kind, "job", r->job.id, "why", r->why, NULL);
    (void)ctx;
    return RC_OK;
}

static struct rc apply_destroy_key(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    TRY(apply_nothing(ctx, core, txn, r));
    return r->ok ? q_download_key_gone(ctx, txn, r->job.ref) : RC_OK;
}

static struct rc check_enroll(struct ctx *ctx, struct core *core, struct checked_result *r)
{
    const struct api_job_enroll_done *done = r->raw->enroll;
    (void)core;
    if (!done)
        return ctx_fail(ctx, E_BAD_ANSWER, "the agent did not say what the issuer answered");
    if (str_equal(done->state, "pending"))
        return RC_OK;
    return done->chain_pem ? check_chain_pem(ctx, r, done->chain_pem)
                           : ctx_fail(ctx, E_BAD_ANSWER, "the agent brought no certificate");
}

static struct rc apply_enroll(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    TRY(steps_keep(ctx, txn, r->attempt.managed_id, r->attempt.id, NULL, r));
    if (!r->ok)
        return attempt_failed(ctx, core, txn, &r->attempt, r->e, r->why, r->retry_after_s);
    const struct api_job_enroll_done *done = r->raw->enroll;
    if (str_equal(done->state, "issued"))
        return attempt_issued(ctx, core, txn, &r->attempt, &r->issued);
    const int64_t wait = done->retry_after_s < 5 ? 5 : done->retry_after_s;
    return enroll_pending(ctx, core, txn, &r->attempt, done->reference ? done->reference : "", wait);
}

static struct rc check_nothing(struct ctx *ctx, struct core *core, struct checked_result *r)
{
    (void)ctx;
    (void)core;
    (void)r;
    return RC_OK;
}

/* Every kind of job: whether it is an attempt's, how often and after what wait it is tried again where the failure may pass, what
 * its end means. */
static const struct job_kind {
    const char *kind;
    bool of_attempt;
    int tries;
    int wait_s; /* before the second try; three times as long before each further one */
    struct rc (*check)(struct ctx *, struct core *, struct checked_result *);
    struct rc (*apply)(struct ctx *, struct core *, struct txn *, const struct checked_result *);
} kinds[] = {
    {"key", true, 3, 1, check_key, apply_key},
    {"sign", true, ORDER_TRIES, 1, check_nothing, apply_own},
    {"pin", true, ORDER_TRIES, 1, check_nothing, apply_own},
    {"order", true, ORDER_TRIES, 5, check_order, apply_order},
    {"present", true, 2, 3, check_challenge, apply_present},
    {"clean", true, 10, 5, check_challenge, apply_clean},
    {"deploy", false, 1, 1, check_deploy, apply_deploy},
    {"verify", false, 1, 1, check_verify, apply_verify},
    {"discover", false, 1, 1, check_nothing, apply_discover},
    {"renewal_info", false, 1, 1, check_renewal_info, apply_renewal_info},
    {"acme_account", false, ORDER_TRIES, 1, check_acme_account, apply_acme_account},
    {"acme_revoke", false, 10, 60, check_nothing, apply_nothing},
    {"acme_info", false, 1, 1, check_nothing, apply_nothing},
    {"revoke", false, 100, 5, check_nothing, apply_nothing},
    {"destroy_key", false, 100, 5, check_nothing, apply_destroy_key},
    {"ca_change", false, 1000, 1, check_nothing, ca_change_ended},
    {"undeploy", false, 3, 1, check_nothing, apply_nothing},
    {"forget_key", false, 3, 1, check_nothing, apply_nothing},
    {"program", false, 1, 1, check_nothing, alert_program_ended}, /* of a rule: told where it fails, and not begun again */
    {"seal", false, 3, 5, check_seal, apply_seal},
    {"enroll", true, ORDER_TRIES, 5, check_enroll, apply_enroll},
    {"enroll_revoke", false, 10, 60, check_nothing, apply_nothing},
    {"preflight", false, 2, 1, check_nothing, apply_preflight},
    {"dns_test", false, 2, 1, check_nothing, apply_dns_test},
    {"scan", false, 1, 1, check_nothing, scan_job_ended},
    {"inventory", false, 2, 30, check_nothing, apply_nothing},
    {"adopt", false, 3, 5, check_nothing, adopt_job_ended},
    {"release", false, 20, 5, check_nothing, release_job_ended},
    {"fetch_issuer", false, 1, 5, check_nothing, outside_issuer_ended}, /* asked again by its own row */
    {"revocation", false, 2, 5, check_nothing, outside_revocation_ended},
    {"notify", false, 1, 1, check_nothing, notify_ended}, /* tried again by its own row */
    {"audit_stream", false, 1, 1, check_nothing, audit_stream_ended}, /* tried again by its own row */
    {"oidc_look", false, 1, 1, check_nothing, identity_provider_looked}, /* its timer tries again */
    {"oidc_exchange", false, 1, 1, provider_exchange_check, provider_exchange_ended}, /* a code is good once */
    {"dns_present", false, 2, 3, check_nothing, apply_dns_present},
    {"dns_clean", false, 10, 5, check_nothing, apply_dns_clean},
    {"dns_persist", false, 1, 60, check_nothing, apply_dns_persist}, /* its timer tries daily */
};

static const struct job_kind *kind_of(const char *kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (str_equal(kinds[i].kind, kind))
            return &kinds[i];
    return NULL;
}

/* How an agent's host is called in its words where there are several; NULL where there is one. */
static struct rc host_of(struct ctx *ctx, struct core *core, struct txn *txn, const char *agent, const char **out)
{
    struct q_agent_count_row all;
    struct q_agent_of_row of;
    *out = NULL;
    TRY(q_agent_count(ctx, txn, core->team_root, 2, &all));
    if (all.n < 2 || str_equal(agent, core->hub_agent))
        return RC_OK;
    TRY(q_agent_of(ctx, txn, agent, &of));
    *out = of.name;
    return RC_OK;
}

struct lookup {
    struct core *core;
    const char *id;
    struct checked_result *r;
};

static struct rc lookup_job(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct lookup *l = arg;
    TRY(q_job_get(ctx, txn, l->id, &l->r->job, &l->r->known));
    if (!l->r->known)
        return RC_OK;
    TRY(host_of(ctx, l->core, txn, l->r->job.agent_id, &l->r->host));
    const struct job_kind *kind = kind_of(l->r->job.kind);
    return kind && kind->of_attempt ? q_attempt_by_id(ctx, txn, l->r->job.ref, &l->r->attempt) : RC_OK;
}

static struct rc thumbprint_of(struct ctx *ctx, struct core *core, const char *issuer, const char **out)
{
    return issuer_thumbprint(ctx, core, issuer, out);
}

struct lookups {
    struct core *core;
    struct checked_result *v;
    size_t n;
};

static struct rc lookup_jobs(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct lookups *all = arg;
    for (size_t i = 0; i < all->n; i++) {
        struct lookup l = {all->core, all->v[i].id, &all->v[i]};
        TRY(lookup_job(ctx, txn, &l));
    }
    return RC_OK;
}

RC results_check(struct ctx *ctx, struct core *core, const struct api_job_result *results, size_t n, struct checked_result *out)
{
    struct lookups all = {core, out, n};
    for (size_t i = 0; i < n; i++)
        out[i] = (struct checked_result){.id = results[i].id, .fence = results[i].fence, .ok = results[i].ok, .raw = &results[i]};
    if (n)
        TRY(store_read(ctx, core->store, lookup_jobs, &all));
    for (size_t i = 0; i < n; i++) {
        struct checked_result *r = &out[i];
        if (results[i].error) {
            r->e = err_by_name(results[i].error->code);
            r->why = on_host(ctx, results[i].error->text, r->host);
            r->retry_after_s = results[i].error->retry_after_s;
        } else if (!r->ok) {
            r->e = E_BAD_ANSWER;
            r->why = "the agent gave no reason";
        }
        const struct job_kind *kind = r->known ? kind_of(r->job.kind) : NULL;
        if (!kind || (!r->ok && kind->check != check_deploy && kind->check != check_challenge))
            continue;
        struct rc rc = kind->check(ctx, core, r);
        if (rc_failed(rc) && r->ok) {
            r->ok = false;
            r->e = rc.e;
            r->why = ctx_why(ctx);
        }
        ctx_forget(ctx);
    }
    return RC_OK;
}

static struct rc job_again(struct ctx *ctx, struct txn *txn, const char *id, int64_t fence, int64_t run_at, enum err e,
                           const char *why)
{
    const struct q_job_again_in in = {.id = id, .fence = fence, .run_at = run_at, .error_code = err_info(e)->name, .error = why};
    return q_job_again(ctx, txn, &in);
}

/* Whether a failed job is given back to be tried again within its attempt. */
static bool tries_again(const struct job_kind *kind, const struct checked_result *r)
{
    const bool over = kind->of_attempt && r->attempt.finished_at && kind->apply != apply_clean;
    /* An agent that lost its lease before it touched anything may begin again: nothing failed. */
    if (!r->ok && !over && r->e == E_FENCED && r->job.tries < JOB_TRIES_MAX)
        return true;
    return !r->ok && !over && err_info(r->e)->retryable && r->job.tries < kind->tries && r->retry_after_s <= ORDER_WAIT_MAX_S &&
           r->e != E_RATE_LIMITED && r->e != E_CHALLENGE_FAILED;
}

/* Whether the end of a job says something of the issuer.  Our own signer is back in a moment: it is not left alone for that. */
static bool asks_issuer(const struct job_kind *kind, bool again)
{
    return kind->apply == apply_order || kind->apply == apply_enroll || (str_equal(kind->kind, "sign") && !again);
}

/* What a CA (or our own) that failed is known for from now on, and whether another one is there to be asked instead.  A result that
 * nobody waits for any more says nothing. */
static struct rc order_tried(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r, bool *again,
                             int64_t *wait_s)
{
    struct q_job_get_row job;
    bool found = false, other = false;
    int64_t alone_s = 0;
    TRY(q_job_get(ctx, txn, r->id, &job, &found));
    if (!found || job.fence != r->fence || !str_equal(job.state, "leased") || r->attempt.finished_at)
        return RC_OK;
    TRY(issuer_note_result(ctx, txn, &r->attempt, r->e, r->why, r->retry_after_s));
    if (*again)
        TRY(issuer_other_ready(ctx, core, txn, r->attempt.managed_id, r->attempt.issuer_id, &other));
    if (*again && !other)
        TRY(issuer_try_again(ctx, txn, &r->attempt, &alone_s));
    *again = *again && !other && alone_s <= ORDER_WAIT_MAX_S;
    *wait_s = alone_s > *wait_s ? alone_s : *wait_s;
    return RC_OK;
}

RC result_apply(struct ctx *ctx, struct core *core, struct txn *txn, const char *agent, const struct checked_result *r)
{
    const struct job_kind *kind = r->known ? kind_of(r->job.kind) : NULL;
    if (!kind || !str_equal(r->job.agent_id, agent))
        return ctx_fail(ctx, E_FENCED, "job %s is not held by this agent", r->id);
    const int64_t now = ctx_now_s(ctx);
    struct rc rc;
    bool again = tries_again(kind, r);
    int64_t alone_s = r->retry_after_s;
    if (!r->ok && asks_issuer(kind, again) && (r->raw || r->leased_here) && r->e != E_FENCED)
        TRY(order_tried(ctx, core, txn, r, &again, &alone_s));
    if (again) {
        int64_t wait = kind->wait_s;
        for (int64_t i = 1; i < r->job.tries && wait < ORDER_WAIT_MAX_S; i++)
            wait *= 3;
        if (alone_s > wait)
            wait = alone_s;
        rc = job_again(ctx, txn, r->id, r->fence, now + wait, r->e, r->why);
        if (rc.e == E_CHANGED)
            return ctx_fail(ctx, E_FENCED, "job %s is held with a newer fence", r->id);
        TRY(rc);
        core_wake_after_commit(ctx, core, txn, "agent:", r->job.agent_id); /* its wait is now shorter */
        if (kind->of_attempt)
            TRY(step_write(ctx, txn, r->attempt.managed_id, r->attempt.id, NULL, "again", "%s; again in %lld s", r->why,
                           (long long)wait));
        return RC_OK;
    }
    const struct q_job_finish_in in = {.id = r->id,
                                       .fence = r->fence,
                                       .state = r->ok ? "done" : "failed",
                                       .error_code = r->ok ? NULL : err_info(r->e)->name,
                                       .error = r->ok ? NULL : r->why,
                                       .now = now};
    rc = q_job_finish(ctx, txn, &in);
    if (rc.e == E_CHANGED)
        return ctx_fail(ctx, E_FENCED, "job %s is held with a newer fence", r->id);
    TRY(rc);
    /* An attempt that was cancelled while its job ran: the job ends and nothing follows, but for what is to be taken away. */
    if (kind->of_attempt && r->attempt.finished_at && kind->apply != apply_clean && kind->apply != apply_present)
        return RC_OK;
    return kind->apply(ctx, core, txn, r);
}

RC result_progress(struct ctx *ctx, struct core *core, struct txn *txn, const char *agent, const struct api_job_progress *p)
{
    struct q_job_get_row job;
    bool found = false;
    TRY(q_job_get(ctx, txn, p->id, &job, &found));
    if (!found || job.fence != p->fence || !str_equal(job.state, "leased") || !str_equal(job.agent_id, agent) ||
        !str_equal(job.kind, "order"))
        return RC_OK;
    struct q_attempt_by_id_row a;
    TRY(q_attempt_by_id(ctx, txn, job.ref, &a));
    struct q_step_count_row kept;
    const char *host = NULL;
    TRY(q_step_count(ctx, txn, a.managed_id, a.id, STEPS_MAX, &kept));
    TRY(host_of(ctx, core, txn, agent, &host));
    for (size_t i = 0; i < p->steps.n && kept.n + (int64_t)i < STEPS_MAX; i++)
        TRY(step_write_at(ctx, txn, a.managed_id, a.id, NULL, p->steps.v[i].at_ms, p->steps.v[i].step,
                          on_host(ctx, p->steps.v[i].text ? p->steps.v[i].text : "", host)));
    core_wake_after_commit(ctx, core, txn, "managed:", a.managed_id);
    if (!p->order)
        return RC_OK;
    if (p->order->account_url)
        TRY(issuer_account_keep(ctx, txn, a.issuer_id, p->order->account_url));
    TRY(q_attempt_order(ctx, txn, a.id, p->order->order_url, p->order->finalize_url, NULL));
    /* Should the job be leased again, it must go on with this order rather than begin another. */
    struct bytes payload;
    TRY(attempt_order_payload(ctx, core, txn, a.id, str_equal(a.state, "finalize"), &payload));
    return q_job_payload(ctx, txn, job.id, job.fence, arena_str(&ctx->arena, payload));
}

RC result_refused(struct ctx *ctx, struct core *core, struct txn *txn, const char *job, int64_t fence, enum err e, const char *why)
{
    struct checked_result r = {.id = job, .fence = fence, .e = e, .why = why};
    struct lookup l = {core, job, &r};
    TRY(lookup_job(ctx, txn, &l));
    r.job.tries = JOB_TRIES_MAX;
    if (r.known && kind_of(r.job.kind) && kind_of(r.job.kind)->check == check_challenge)
        TRY(check_challenge(ctx, core, &r));
    return result_apply(ctx, core, txn, r.job.agent_id, &r);
}

bool result_kind_is(const char *kind)
{
    return kind_of(kind) != NULL;
}

const char *result_kinds(struct ctx *ctx)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 2048);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        buf_printf(&b, "%s%s", i ? ", " : "", kinds[i].kind);
    return buf_z(&b);
}

RC result_lease_lost(struct ctx *ctx, struct core *core, struct txn *txn, const char *job, int64_t fence, int64_t tries)
{
    if (tries < JOB_TRIES_MAX) {
        struct q_job_get_row row;
        bool found = false;
        TRY(q_job_get(ctx, txn, job, &row, &found));
        TRY(job_again(ctx, txn, job, fence, ctx_now_s(ctx), E_TIMEOUT, "the agent did not answer in time"));
        if (found)
            core_wake_after_commit(ctx, core, txn, "agent:", row.agent_id);
        return RC_OK;
    }
    return result_refused(ctx, core, txn, job, fence, E_TIMEOUT, "the agent did not answer in time, again and again");
}
