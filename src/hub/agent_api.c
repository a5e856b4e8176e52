/* The agent API: joining, jobs out, results in, and signatures for ACME requests (the relay has no account key). */
#include "base/str.h"
#include "core/agent.h"
#include "core/issuer.h"
#include "core/job.h"
#include "core/live.h"
#include "hub/api.h"
#include "pki/cert.h"
#include "pki/pem.h"
#include "store/queries.h"
#include "wire/messages.h"

/* --- joining the fleet, and staying in it */

RC api_agent_fleet(struct api_call *call, struct api_agent_fleet *out)
{
    struct bytes root;
    call->resp->close = true; /* who has not joined keeps no connection */
    out->root_pem = call->hub->fleet_root_pem; /* strangers do not keep the signer busy */
    if (out->root_pem)
        return RC_OK;
    TRY(fleet_root(call->ctx, call->core, &root));
    return api_pem(call->ctx, "CERTIFICATE", root, &out->root_pem);
}

static struct rc joined_out(struct ctx *ctx, const struct agent_joined *j, struct api_agent_joined *out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 65536);
    pem_put(&b, PEM_CERTIFICATE, j->certificate);
    for (size_t i = 0; i < j->chain_n; i++)
        pem_put(&b, PEM_CERTIFICATE, j->chain[i]);
    TRY(buf_status(&b));
    *out = (struct api_agent_joined){
        .agent_id = j->id, .name = j->name, .state = j->state, .certificate_pem = buf_z(&b), .not_after = j->not_after};
    return RC_OK;
}

RC api_agent_join(struct api_call *call, const struct api_agent_join *in, struct api_agent_joined *out)
{
    struct agent_joined joined;
    call->resp->close = true;
    TRY(agent_join(call->ctx, call->core, in, call->req->peer.address, &joined));
    return joined_out(call->ctx, &joined, out);
}

RC api_agent_certificate(struct api_call *call, struct api_agent_joined *out)
{
    struct ctx *ctx = call->ctx;
    struct cert cert;
    struct agent_joined joined;
    const char *identity = NULL;
    if (call->req->peer.is_unix)
        return ctx_fail(ctx, E_CONFLICT, "the hub's own agent needs no certificate");
    TRY(api_agent_identity(ctx, call->req, true, &identity));
    TRY(cert_parse(ctx, call->req->peer.certificate, &cert));
    TRY(agent_certificate_renew(ctx, call->core, identity, call->req->peer.address, cert.spki.der, &joined));
    return joined_out(ctx, &joined, out);
}

/* --- exchange */

static void put_job(struct json_out *j, const struct leased_job *job, int64_t now)
{
    json_open_obj(j, NULL);
    json_put_str(j, "id", job->id);
    json_put_str(j, "kind", job->kind);
    json_put_str(j, "lane", job->lane);
    json_put_int(j, "fence", job->fence);
    json_put_int(j, "lease_s", job->lease_until - now);
    json_put_raw(j, job->kind, job->payload);
    json_close(j);
}

/* Live questions are for the agent on the hub's own host. */
static bool live_here(const struct api_call *call)
{
    return call->req->peer.is_unix && live_wanted(call->core);
}

/* The reply is written here rather than by its schema: payloads are JSON already. */
static struct rc exchange_answer(struct api_call *call, const struct leased_job *jobs, size_t n, const struct str_list *dropped)
{
    struct ctx *ctx = call->ctx;
    struct json_out j;
    http_response_json(call->resp, 200);
    json_begin(&j, &call->resp->body);
    json_open_obj(&j, NULL);
    json_put_str(&j, "agent_id", ctx->principal->id);
    json_put_int(&j, "epoch", call->core->epoch);
    if (live_here(call))
        json_put_bool(&j, "live", true);
    json_open_list(&j, "jobs");
    for (size_t i = 0; i < n; i++)
        put_job(&j, &jobs[i], ctx_now_s(ctx));
    json_close(&j);
    json_open_list(&j, "dropped");
    for (size_t i = 0; i < dropped->n; i++) {
        json_open_obj(&j, NULL);
        json_put_str(&j, "id", dropped->v[i]);
        json_close(&j);
    }
    json_close(&j);
    json_close(&j);
    return buf_status(&call->resp->body);
}

struct due {
    const char *agent;
    int64_t now;
    struct q_job_next_due_row row;
    bool found;
};

static struct rc due_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct due *d = arg;
    return q_job_next_due(ctx, txn, d->agent, d->now, &d->row, &d->found);
}

/* park waits for a job; no longer than until the next one that waits for its time is due. */
static struct rc park(struct api_call *call, int64_t wait_s)
{
    struct ctx *ctx = call->ctx;
    const char *key = arena_printf(&ctx->arena, "agent:%s", ctx->principal->id);
    struct due d = {.agent = ctx->principal->id, .now = ctx_now_s(ctx)};
    TRY(store_read(ctx, call->core->store, due_read, &d));
    const int64_t now_ms = clock_mono_ms();
    int64_t until_ms = call->req->park_deadline_ms ? call->req->park_deadline_ms : now_ms + wait_s * 1000;
    if (d.found && now_ms + (d.row.run_at - d.now) * 1000 < until_ms)
        until_ms = now_ms + (d.row.run_at - d.now) * 1000;
    return http_park(call->resp, key, until_ms > now_ms + 100 ? until_ms : now_ms + 100);
}

RC api_agent_exchange(struct api_call *call, const struct api_agent_exchange *in)
{
    struct ctx *ctx = call->ctx;
    const char *agent = ctx->principal->id;
    const bool first = call->req->park_deadline_ms == 0;
    struct str_list dropped = {0};
    struct leased_job *jobs = NULL;
    size_t n = 0;
    const int64_t most = atomic_load(&call->hub->draining) ? 0 : in->capacity;
    const char *identity = NULL;
    bool current = true;
    TRY(api_agent_identity(ctx, call->req, false, &identity));
    if (first) {
        TRY(agent_greet(ctx, call->core, identity, call->req->peer.address, &in->agent));
        TRY(job_exchange(ctx, call->core, agent, in, most, &jobs, &n, &dropped));
    } else {
        TRY(agent_is_current(ctx, call->core, identity, in->agent.boot_id, &current));
        if (!current)
            return exchange_answer(call, NULL, 0, &dropped);
        TRY(job_lease(ctx, call->core, agent, most, &jobs, &n));
    }
    /* What was reported is acknowledged at once: the agent keeps it on disk until then. */
    const bool news = n || dropped.n || (live_here(call) && live_news(call->core, in->agent.boot_id)) ||
                      (first && (in->results.n || in->progress.n));
    if (!news && atomic_load(&call->hub->draining))
        return ctx_fail(ctx, E_SHUTTING_DOWN, "the hub is shutting down");
    /* Who had no room when they asked has it before anything comes that would wake this request: they ask again then. */
    if (news || !in->wait_s || !in->capacity || call->req->expired)
        return exchange_answer(call, jobs, n, &dropped);
    return park(call, in->wait_s);
}

/* --- what somebody waits for */

RC api_agent_live(struct api_call *call, const struct api_agent_live *in, struct api_agent_live_reply *out)
{
    struct ctx *ctx = call->ctx;
    struct api_live_question *questions = NULL;
    size_t n = 0;
    if (!call->req->peer.is_unix)
        return ctx_fail(ctx, E_FORBIDDEN, "live questions are for the agent on the hub's own host");
    if (call->req->park_deadline_ms == 0 && in->answer)
        TRY(live_answered(ctx, call->core, in->boot_id, in->seal_key, in->answer));
    if (in->wait_s && atomic_load(&call->hub->draining))
        return ctx_fail(ctx, E_SHUTTING_DOWN, "the hub is shutting down");
    if (in->wait_s)
        TRY(live_take(ctx, call->core, in->boot_id, in->seal_key, &questions, &n));
    if (!n && in->wait_s && !call->req->expired)
        return api_park(call, LIVE_AGENT, in->wait_s * 1000);
    out->questions = (struct api_live_question_list){questions, n};
    return RC_OK;
}

/* --- signatures */

struct held {
    const char *id, *identity, *address;
    struct q_job_get_row row;
    bool found;
};

static struct rc held_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct held *h = arg;
    TRY(agent_may_call(ctx, txn, h->identity, h->address));
    return q_job_get(ctx, txn, h->id, &h->row, &h->found);
}

/* What the kinds of job that speak ACME have in common. */
struct acme_job {
    const char *account, *attempt, *directory_url;
    const char *profile, *replaces;
    struct wire_texts contacts;
    bool terms_agreed;
    const char *verb;         /* of acme_account */
    struct bytes certificate; /* to be revoked */
    int64_t reason;
};

static struct rc acme_job_of(struct ctx *ctx, const struct q_job_get_row *row, struct acme_job *out)
{
    json_auto_t *payload = NULL;
    TRY(json_read(ctx, bytes_z(row->payload), &payload));
    TRY(json_get_str(ctx, payload, "account", false, &out->account));
    TRY(json_get_str(ctx, payload, "attempt", false, &out->attempt));
    TRY(json_get_str(ctx, payload, "directory_url", false, &out->directory_url));
    TRY(json_get_base64(ctx, payload, "certificate", false, &out->certificate));
    TRY(json_get_int(ctx, payload, "reason", false, &out->reason));
    TRY(json_get_str(ctx, payload, "verb", false, &out->verb));
    TRY(json_get_str(ctx, payload, "profile", false, &out->profile));
    TRY(json_get_str(ctx, payload, "replaces", false, &out->replaces));
    TRY(json_get_bool(ctx, payload, "terms_agreed", false, &out->terms_agreed));
    const json_t *contacts = NULL, *v;
    size_t i;
    TRY(json_get_list(ctx, payload, "contacts", false, &contacts));
    out->contacts.v = arena_array(&ctx->arena, json_array_size(contacts), sizeof *out->contacts.v);
    json_array_foreach((json_t *)(uintptr_t)contacts, i, v)
        if (json_is_string(v))
            out->contacts.v[out->contacts.n++] = arena_strdup(&ctx->arena, json_string_value(v));
    if (!out->account)
        return ctx_fail(ctx, E_FORBIDDEN, "jobs of kind %s sign nothing", row->kind);
    return RC_OK;
}

/* What each kind of job may have signed: nothing else, whatever the relay asks for. */
static struct rc operation_of(struct ctx *ctx, const char *kind, const char *word, enum wire_signer_acme_sign_operation *out)
{
    static const struct {
        const char *kind, *word;
        enum wire_signer_acme_sign_operation op;
    } rows[] = {
        {"order", "new_account", WIRE_signer_acme_sign_operation_new_account},
        {"order", "new_order", WIRE_signer_acme_sign_operation_new_order},
        {"order", "get", WIRE_signer_acme_sign_operation_get},
        {"order", "challenge", WIRE_signer_acme_sign_operation_challenge},
        {"order", "finalize", WIRE_signer_acme_sign_operation_finalize},
        {"acme_revoke", "new_account", WIRE_signer_acme_sign_operation_new_account},
        {"acme_account", "get", WIRE_signer_acme_sign_operation_get},
        {"acme_account", "new_account", WIRE_signer_acme_sign_operation_new_account},
        {"acme_account", "update_account", WIRE_signer_acme_sign_operation_update_account},
        {"acme_account", "deactivate_account", WIRE_signer_acme_sign_operation_deactivate_account},
        {"acme_account", "key_change", WIRE_signer_acme_sign_operation_key_change},
        {"acme_revoke", "revoke", WIRE_signer_acme_sign_operation_revoke},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (str_equal(rows[i].kind, kind) && str_equal(rows[i].word, word)) {
            *out = rows[i].op;
            return RC_OK;
        }
    return ctx_fail(ctx, E_FORBIDDEN, "a job of kind %s has nothing signed for %s", kind, word);
}

/* What a job about the account may have signed depends on what was asked for: a relay in other hands ends no account, and makes
 * none for a key that nobody asked for. */
static struct rc account_may(struct ctx *ctx, const struct acme_job *job, const char *kind, struct wire_signer_acme_sign *ask,
                             const struct api_agent_acme_sign *in)
{
    const bool of_account = str_equal(kind, "acme_account");
    const bool renews = of_account && str_equal(job->verb, "renew"), rolls = of_account && str_equal(job->verb, "rollover");
    const bool makes = !of_account || str_equal(job->verb, "ready");
    bool may = true;
    ask->only_existing = in->only_existing;
    ask->next_key = in->next_key;
    switch (ask->operation) {
    case WIRE_signer_acme_sign_operation_key_change: may = rolls; break;
    case WIRE_signer_acme_sign_operation_deactivate_account: may = of_account && str_equal(job->verb, "deactivate"); break;
    case WIRE_signer_acme_sign_operation_update_account: may = of_account && str_equal(job->verb, "update"); break;
    case WIRE_signer_acme_sign_operation_new_account:
        may = in->only_existing ? !in->next_key || renews || rolls : in->next_key ? renews : makes;
        break;
    default: break;
    }
    return may ? RC_OK : ctx_fail(ctx, E_FORBIDDEN, "this job has nothing signed for %s", in->operation);
}

struct binding {
    const char *issuer;
    struct bytes *sealed;
    const char **kid;
};

static struct rc binding_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct binding *b = arg;
    struct q_issuer_eab_row row;
    struct issuer_settings s;
    struct payload_issuer ignored;
    TRY(issuer_for_job(ctx, txn, b->issuer, &s, &ignored));
    TRY(q_issuer_eab(ctx, txn, b->issuer, &row));
    if (s.eab_kid && row.eab_sealed.n) {
        *b->kid = s.eab_kid;
        *b->sealed = row.eab_sealed;
    }
    return RC_OK;
}

/* A new account is bound to the one that the CA knows us by, where it gave us a key for that (RFC 8555 section 7.3.4). */
static struct rc bind_account(struct ctx *ctx, struct core *core, struct wire_signer_acme_sign *ask)
{
    struct binding b = {ask->account, &ask->eab_key, &ask->eab_kid};
    if (ask->operation != WIRE_signer_acme_sign_operation_new_account || ask->only_existing)
        return RC_OK;
    return store_read(ctx, core->store, binding_read, &b);
}

RC api_agent_acme_sign(struct api_call *call, const struct api_agent_acme_sign *in, struct api_agent_acme_signed *out)
{
    struct ctx *ctx = call->ctx;
    struct held h = {.id = in->job, .address = call->req->peer.address};
    TRY(api_agent_identity(ctx, call->req, false, &h.identity));
    TRY(store_read(ctx, call->core->store, held_read, &h));
    if (!h.found || !str_equal(h.row.agent_id, ctx->principal->id) || !str_equal(h.row.state, "leased") || h.row.fence != in->fence)
        return ctx_fail(ctx, E_FENCED, "the lease of job %s is no longer held", in->job);
    struct acme_job job = {0};
    TRY(acme_job_of(ctx, &h.row, &job));
    struct wire_signer_acme_sign ask = {
        .account = job.account,
        .attempt = job.attempt,
        .job = in->job,
        .fence = in->fence,
        .nonce = in->nonce,
        .url = in->url,
        .kid = in->kid,
        .contacts = job.contacts, /* what the job says is not asked of the agent */
        .terms_agreed = job.terms_agreed,
        .identifiers = {(const char **)(uintptr_t)in->identifiers.v, in->identifiers.n},
        .csr = in->csr,
        .certificate = job.certificate,
        .reason = job.reason,
        .replaces = job.replaces && str_equal(in->replaces, job.replaces) ? job.replaces : "", /* an order may do without */
        .profile = job.profile ? job.profile : "",
    };
    TRY(operation_of(ctx, h.row.kind, in->operation, &ask.operation));
    TRY(account_may(ctx, &job, h.row.kind, &ask, in));
    TRY(bind_account(ctx, call->core, &ask));
    if (job.verb && str_equal(job.verb, "ready")) { /* nobody has asked this issuer for anything yet */
        const char *thumbprint = NULL;
        TRY(issuer_thumbprint(ctx, call->core, job.account, &thumbprint));
    }
    struct wire_signer_acme_signed signed_;
    TRY(wire_call_signer_acme_sign(ctx, call->core->signer, &ask, &signed_));
    out->body = signed_.body;
    return RC_OK;
}
