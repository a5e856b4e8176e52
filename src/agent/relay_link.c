#include "agent/relay_link.h"

#include "agent/exchange.h"
#include "base/encode.h"
#include "base/failpoint.h"

#define SERVE_THREADS 4
#define DEAD_TRIES 3
#define ORDER_MOST_MS (15 * 60 * 1000) /* with all its waiting */
#define ORDER_TOLD_MS 20
#define WAIT_LONG_MS 6000 /* longer is what the CA asked for, not our own patience */

/* A relay that died leaves the order at the CA: it is taken up again where its URL is known, so that no second one is made.  What
 * the relay itself answers, "the CA cannot be reached" among it, is the job's result; that this host has no relay says nothing of
 * the CA. */
static RC ask(struct ctx *ctx, struct hands *h, uint16_t type, const void *in, uint16_t reply, void *out, bool *died)
{
    struct rc rc = wire_call(ctx, h->relay, type, in, reply, out);
    *died = rc.e == E_UNREACHABLE && !wire_peer_connected(h->relay);
    return rc;
}

/* --- reading a job */

static RC get_text(struct ctx *ctx, const json_t *body, const char *key, const char **out)
{
    *out = "";
    return json_get_str(ctx, body, key, false, out);
}

static RC get_texts(struct ctx *ctx, const json_t *body, const char *key, struct wire_texts *out)
{
    const json_t *list = NULL, *v;
    struct str_list l = {0};
    size_t i;
    TRY(json_get_list(ctx, body, key, false, &list));
    json_array_foreach(list, i, v)
        if (json_is_string(v))
            str_list_add(&ctx->arena, &l, arena_strdup(&ctx->arena, json_string_value(v)));
    *out = (struct wire_texts){l.v, l.n};
    return RC_OK;
}

static RC read_order(struct ctx *ctx, const struct job *job, struct wire_relay_order *in)
{
    const json_t *b = job->body, *list = NULL, *v;
    const char *phase;
    struct str_list urls = {0};
    size_t i;
    in->job = job->id;
    in->fence = job->fence;
    TRY(json_get_str(ctx, b, "attempt", true, &in->attempt));
    TRY(json_get_str(ctx, b, "account", true, &in->account));
    TRY(json_get_str(ctx, b, "directory_url", true, &in->directory_url));
    TRY(json_get_str(ctx, b, "phase", true, &phase));
    TRY(get_text(ctx, b, "ca_roots_pem", &in->ca_roots_pem));
    TRY(get_texts(ctx, b, "granted_networks", &in->granted_networks));
    TRY(get_text(ctx, b, "account_url", &in->account_url));
    TRY(get_texts(ctx, b, "contacts", &in->contacts));
    TRY(json_get_bool(ctx, b, "terms_agreed", false, &in->terms_agreed));
    TRY(get_texts(ctx, b, "identifiers", &in->identifiers));
    TRY(json_get_base64(ctx, b, "csr", false, &in->csr));
    TRY(get_text(ctx, b, "order_url", &in->order_url));
    TRY(get_text(ctx, b, "finalize_url", &in->finalize_url));
    TRY(get_text(ctx, b, "profile", &in->profile));
    TRY(get_text(ctx, b, "replaces", &in->replaces));
    TRY(get_text(ctx, b, "preferred_chain", &in->preferred_chain));
    TRY(get_texts(ctx, b, "methods", &in->methods));
    TRY(json_get_list(ctx, b, "challenges", false, &list));
    json_array_foreach(list, i, v) {
        const char *url;
        TRY(json_get_str(ctx, v, "url", true, &url));
        str_list_add(&ctx->arena, &urls, url);
    }
    in->challenge_urls = (struct wire_texts){urls.v, urls.n};
    if (strcmp(phase, "start") != 0 && strcmp(phase, "finish") != 0)
        return ctx_fail_field(ctx, "/phase", "%s is no phase of an order", phase);
    in->phase = strcmp(phase, "finish") == 0 ? WIRE_relay_order_phase_finish : WIRE_relay_order_phase_start;
    return RC_OK;
}

/* --- writing a result */

static void put_some(struct json_out *j, const char *key, const char *value)
{
    if (value != NULL && *value != '\0')
        json_put_str(j, key, value);
}

static void put_list(struct json_out *j, const char *key, struct wire_texts t)
{
    if (t.n == 0)
        return;
    json_open_list(j, key);
    for (size_t i = 0; i < t.n; i++)
        json_put_str(j, NULL, t.v[i]);
    json_close(j);
}

static const char *at(struct wire_texts t, size_t i) { return i < t.n ? t.v[i] : ""; }

static void put_order(const struct wire_relay_order_done *out, struct buf *member)
{
    struct json_out j;
    json_begin(&j, member);
    json_open_obj(&j, NULL);
    put_some(&j, "account_url", out->account_url);
    json_put_str(&j, "order_url", out->order_url);
    put_some(&j, "finalize_url", out->finalize_url);
    put_some(&j, "certificate_url", out->certificate_url);
    json_put_str(&j, "state", wire_relay_order_done_state_word(out->state));
    json_open_list(&j, "challenges");
    for (size_t i = 0; i < out->identifiers.n; i++) {
        json_open_obj(&j, NULL);
        json_put_str(&j, "identifier", at(out->identifiers, i));
        json_put_bool(&j, "wildcard", i < out->wildcards.n && out->wildcards.v[i] != 0);
        json_put_str(&j, "url", at(out->urls, i));
        json_put_str(&j, "authorization_url", at(out->authorization_urls, i));
        json_put_str(&j, "type", at(out->types, i));
        json_put_str(&j, "token", at(out->tokens, i));
        json_close(&j);
    }
    json_close(&j);
    put_some(&j, "chain_pem", out->chain_pem);
    json_close(&j);
}

/* --- the kinds */

/* The CA is at it: the job is parked until then (agent/agent.c), within the time that it may take in all. */
static RC wait_for_ca(struct ctx *ctx, struct story *story, const struct wire_relay_order_done *out)
{
    const int64_t now_ms = clock_mono_ms();
    story_order(story, out->account_url, out->order_url, out->finalize_url);
    if (now_ms + out->wait_ms < story->began_ms + ORDER_MOST_MS) {
        story->again_ms = now_ms + (out->wait_ms > 0 ? out->wait_ms : 1);
        return RC_OK;
    }
    if (out->wait_ms > WAIT_LONG_MS)
        ctx->retry_after_s = out->wait_ms / 1000;
    return ctx_fail(ctx, E_TIMEOUT, "the CA needs longer than this job may take: it is taken up again where it stands");
}

static void order_at(struct ctx *ctx, struct story *story, struct wire_relay_order *in)
{
    pthread_mutex_lock(&story->lock);
    in->account_url = story->account_url != NULL ? arena_strdup(&ctx->arena, story->account_url) : in->account_url;
    in->order_url = story->order_url != NULL ? arena_strdup(&ctx->arena, story->order_url) : in->order_url;
    in->finalize_url = story->finalize_url != NULL ? arena_strdup(&ctx->arena, story->finalize_url) : in->finalize_url;
    pthread_mutex_unlock(&story->lock);
}

static RC order(struct ctx *ctx, struct hands *h, struct story *story, const struct job *job, struct buf *member)
{
    struct wire_relay_order in = {0};
    struct wire_relay_order_done out;
    TRY(read_order(ctx, job, &in));
    if (story->began_ms == 0) {
        story->began_ms = clock_mono_ms();
        story_order_known(story, in.account_url, in.order_url, in.finalize_url);
    }
    story->again_ms = 0;
    order_at(ctx, story, &in);
    for (int i = 0;; i++) {
        struct trail_entry *trail = ctx->trail;
        bool died;
        struct rc rc = ask(ctx, h, WIRE_relay_order, &in, WIRE_relay_order_done, &out, &died);
        if (!died || i == DEAD_TRIES) {
            TRY(died ? ctx_wrap(ctx, rc_of(E_SHUTTING_DOWN), "the order is taken up again later") : rc);
            break;
        }
        ctx->trail = trail;
        order_at(ctx, story, &in);
        story_add(ctx, story, "order", "the relay died; the order is taken up again");
    }
    if (out.state == WIRE_relay_order_done_state_waiting)
        return wait_for_ca(ctx, story, &out);
    put_order(&out, member);
    return RC_OK;
}

static RC revoke(struct ctx *ctx, struct hands *h, struct story *story, const struct job *job, struct buf *member)
{
    struct wire_relay_acme_revoke in = {.job = job->id, .fence = job->fence};
    struct wire_relay_done out;
    (void)story;
    (void)member;
    TRY(json_get_str(ctx, job->body, "account", true, &in.account));
    TRY(json_get_str(ctx, job->body, "directory_url", true, &in.directory_url));
    TRY(get_text(ctx, job->body, "account_url", &in.account_url));
    TRY(get_text(ctx, job->body, "ca_roots_pem", &in.ca_roots_pem));
    TRY(get_texts(ctx, job->body, "granted_networks", &in.granted_networks));
    TRY(json_get_base64(ctx, job->body, "certificate", true, &in.certificate));
    TRY(json_get_int(ctx, job->body, "reason", false, &in.reason));
    return wire_call_relay_acme_revoke(ctx, h->relay, &in, &out);
}

static RC info(struct ctx *ctx, struct hands *h, struct story *story, const struct job *job, struct buf *member)
{
    struct wire_relay_acme_info in = {0};
    struct wire_relay_acme_info_done out;
    struct json_out j;
    (void)story;
    TRY(json_get_str(ctx, job->body, "directory_url", true, &in.directory_url));
    TRY(get_text(ctx, job->body, "ca_roots_pem", &in.ca_roots_pem));
    TRY(get_texts(ctx, job->body, "granted_networks", &in.granted_networks));
    TRY(wire_call_relay_acme_info(ctx, h->relay, &in, &out));
    json_begin(&j, member);
    json_open_obj(&j, NULL);
    put_some(&j, "terms_of_service", out.terms_of_service);
    put_some(&j, "website", out.website);
    json_put_bool(&j, "has_ari", out.has_ari);
    json_put_bool(&j, "external_account_required", out.external_account_required);
    put_list(&j, "profiles", out.profiles);
    json_close(&j);
    return RC_OK;
}

static RC fetch_issuer(struct ctx *ctx, struct hands *h, struct story *story, const struct job *job, struct buf *member)
{
    struct wire_relay_fetch_issuer in = {0};
    struct wire_relay_fetch_issuer_done out;
    struct json_out j;
    (void)story;
    TRY(json_get_str(ctx, job->body, "url", true, &in.url));
    TRY(wire_call_relay_fetch_issuer(ctx, h->relay, &in, &out));
    json_begin(&j, member);
    json_open_obj(&j, NULL);
    json_open_list(&j, "certificates");
    for (size_t i = 0; i < out.certificates.n; i++)
        json_put_base64(&j, NULL, out.certificates.v[i]);
    json_close(&j);
    json_close(&j);
    return RC_OK;
}

static RC revocation(struct ctx *ctx, struct hands *h, struct story *story, const struct job *job, struct buf *member)
{
    struct wire_relay_revocation in = {0};
    struct wire_relay_revocation_done out;
    struct json_out j;
    (void)story;
    TRY(json_get_base64(ctx, job->body, "certificate", true, &in.certificate));
    TRY(json_get_base64(ctx, job->body, "issuer", true, &in.issuer));
    TRY(wire_call_relay_revocation(ctx, h->relay, &in, &out));
    json_begin(&j, member);
    json_open_obj(&j, NULL);
    json_put_str(&j, "status", wire_relay_revocation_done_status_word(out.status));
    put_some(&j, "source", out.source);
    json_put_int(&j, "this_update", out.this_update);
    json_put_int(&j, "next_update", out.next_update);
    json_put_int(&j, "revoked_at", out.revoked_at);
    json_put_int(&j, "reason", out.reason);
    json_close(&j);
    return RC_OK;
}

/* A hub of an earlier release asks about one certificate. */
static RC get_certificates(struct ctx *ctx, const json_t *body, struct wire_blobs *out)
{
    const json_t *list = NULL, *v;
    struct bytes one = {0};
    size_t i;
    TRY(json_get_list(ctx, body, "certificates", false, &list));
    out->v = arena_array(&ctx->arena, json_array_size(list) + 1, sizeof *out->v);
    json_array_foreach(list, i, v)
        if (!json_is_string(v) || !get_base64(&ctx->arena, bytes_z(json_string_value(v)), &out->v[out->n++]))
            return ctx_fail_field(ctx, "/certificates", "a certificate is not base64");
    if (out->n > 0)
        return RC_OK;
    TRY(json_get_base64(ctx, body, "certificate", true, &one));
    out->v[out->n++] = one;
    return RC_OK;
}

static RC renewal(struct ctx *ctx, struct hands *h, struct story *story, const struct job *job, struct buf *member)
{
    struct wire_relay_renewal_info in = {0};
    struct wire_relay_renewal_info_done out;
    struct json_out j;
    (void)story;
    TRY(json_get_str(ctx, job->body, "directory_url", true, &in.directory_url));
    TRY(get_text(ctx, job->body, "ca_roots_pem", &in.ca_roots_pem));
    TRY(get_texts(ctx, job->body, "granted_networks", &in.granted_networks));
    TRY(get_certificates(ctx, job->body, &in.certificates));
    TRY(wire_call_relay_renewal_info(ctx, h->relay, &in, &out));
    if (out.starts.n != out.ends.n || out.starts.n != out.explanations.n || out.starts.n > in.certificates.n)
        return ctx_fail(ctx, E_BUG, "the relay's answer about renewal has lists of different lengths");
    json_begin(&j, member);
    json_open_obj(&j, NULL);
    json_open_list(&j, "windows");
    for (size_t i = 0; i < out.starts.n; i++) {
        const bool known = out.ends.v[i] > 0;
        json_open_obj(&j, NULL);
        if (known)
            json_put_time(&j, "start", out.starts.v[i]);
        if (known)
            json_put_time(&j, "end", out.ends.v[i]);
        put_some(&j, known ? "explanation_url" : "why", out.explanations.v[i]);
        json_close(&j);
    }
    json_close(&j);
    if (out.starts.n > 0 && out.ends.v[0] > 0) { /* what a hub of an earlier release reads */
        json_put_time(&j, "start", out.starts.v[0]);
        json_put_time(&j, "end", out.ends.v[0]);
    }
    json_put_int(&j, "retry_after_s", out.retry_after_s > 0 ? out.retry_after_s : 0);
    json_close(&j);
    return RC_OK;
}

static RC account(struct ctx *ctx, struct hands *h, struct story *story, const struct job *job, struct buf *member)
{
    struct wire_relay_acme_account in = {.job = job->id, .fence = job->fence};
    struct wire_relay_acme_account_done out;
    struct json_out j;
    const char *verb = NULL;
    (void)story;
    TRY(json_get_str(ctx, job->body, "verb", true, &verb));
    TRY(json_get_str(ctx, job->body, "account", true, &in.account));
    TRY(json_get_str(ctx, job->body, "directory_url", true, &in.directory_url));
    TRY(get_text(ctx, job->body, "account_url", &in.account_url));
    TRY(get_text(ctx, job->body, "ca_roots_pem", &in.ca_roots_pem));
    TRY(get_texts(ctx, job->body, "granted_networks", &in.granted_networks));
    TRY(get_texts(ctx, job->body, "contacts", &in.contacts));
    TRY(json_get_bool(ctx, job->body, "terms_agreed", false, &in.terms_agreed));
    in.verb = WIRE_relay_acme_account_verb_show;
    while (strcmp(wire_relay_acme_account_verb_word(in.verb), verb) != 0)
        if (in.verb++ == WIRE_relay_acme_account_verb_ready)
            return ctx_fail_field(ctx, "/verb", "this agent cannot %s an account: upgrade it", verb);
    TRY(wire_call_relay_acme_account(ctx, h->relay, &in, &out));
    json_begin(&j, member);
    json_open_obj(&j, NULL);
    json_put_str(&j, "account_url", out.account_url);
    json_put_str(&j, "status", out.status);
    put_some(&j, "terms_of_service", out.terms_of_service);
    put_list(&j, "contacts", out.contacts);
    put_list(&j, "profiles", out.profiles);
    json_close(&j);
    return RC_OK;
}

static RC enroll(struct ctx *ctx, struct hands *h, struct story *story, const struct job *job, struct buf *member)
{
    struct wire_relay_enroll in = {.job = job->id, .reference = ""};
    struct wire_relay_enroll_done out;
    const char *verb;
    struct json_out j;
    TRY(json_get_str(ctx, job->body, "verb", true, &verb));
    TRY(json_get_str(ctx, job->body, "protocol", true, &in.protocol));
    TRY(json_get_obj_text(ctx, job->body, "parameters", true, &in.parameters));
    TRY(get_texts(ctx, job->body, "identifiers", &in.identifiers));
    TRY(json_get_base64(ctx, job->body, "csr", false, &in.csr));
    TRY(get_text(ctx, job->body, "reference", &in.reference));
    TRY(json_get_base64(ctx, job->body, "certificate", false, &in.certificate));
    TRY(json_get_int(ctx, job->body, "reason", false, &in.reason));
    while (strcmp(wire_relay_enroll_verb_word(in.verb), verb) != 0)
        if (in.verb++ == WIRE_relay_enroll_verb_revoke)
            return ctx_fail_field(ctx, "/verb", "%s is nothing that can be asked of an issuer", verb);
    TRY(wire_call_relay_enroll(ctx, h->relay, &in, &out));
    FAILPOINT("agent.enroll_told");
    if (*out.note)
        story_add(ctx, story, "enroll", "%s", out.note);
    if (in.verb == WIRE_relay_enroll_verb_enroll || in.verb == WIRE_relay_enroll_verb_collect)
        story_add(ctx, story, "enroll", "the issuer has %s",
                  out.state == WIRE_relay_enroll_done_state_pending ? "the request and has not decided yet"
                                                                    : "given the certificate");
    json_begin(&j, member);
    json_open_obj(&j, NULL);
    json_put_str(&j, "state", wire_relay_enroll_done_state_word(out.state));
    put_some(&j, "chain_pem", out.chain_pem);
    put_some(&j, "reference", out.reference);
    json_put_int(&j, "retry_after_s", out.retry_after_s > 0 ? out.retry_after_s : 0);
    json_close(&j);
    return RC_OK;
}

static RC oidc(struct ctx *ctx, struct hands *h, struct story *story, const struct job *job, struct buf *member)
{
    struct wire_relay_oidc in = {0};
    struct wire_relay_oidc_done out;
    struct json_out j;
    (void)story;
    in.verb = strcmp(job->kind, "oidc_look") == 0 ? WIRE_relay_oidc_verb_look : WIRE_relay_oidc_verb_exchange;
    TRY(json_get_str(ctx, job->body, "issuer", true, &in.issuer));
    TRY(get_text(ctx, job->body, "credential", &in.credential));
    TRY(get_text(ctx, job->body, "client_id", &in.client_id));
    TRY(get_text(ctx, job->body, "token_endpoint", &in.token_endpoint));
    TRY(get_text(ctx, job->body, "jwks_uri", &in.jwks_uri));
    TRY(json_get_bool(ctx, job->body, "basic", false, &in.basic));
    TRY(get_text(ctx, job->body, "code", &in.code));
    TRY(get_text(ctx, job->body, "redirect_uri", &in.redirect_uri));
    TRY(get_text(ctx, job->body, "verifier", &in.verifier));
    TRY(get_texts(ctx, job->body, "keys", &in.keys));
    TRY(json_get_bool(ctx, job->body, "refresh", false, &in.refresh));
    TRY(wire_call_relay_oidc(ctx, h->relay, &in, &out));
    json_begin(&j, member);
    json_open_obj(&j, NULL);
    put_some(&j, "authorization_endpoint", out.authorization_endpoint);
    put_some(&j, "token_endpoint", out.token_endpoint);
    put_some(&j, "jwks_uri", out.jwks_uri);
    json_put_bool(&j, "basic", out.basic);
    json_put_bool(&j, "tells_issuer", out.tells_issuer);
    put_some(&j, "jwks", out.jwks);
    put_some(&j, "id_token", out.id_token);
    json_close(&j);
    return RC_OK;
}

static RC notify(struct ctx *ctx, struct hands *h, struct story *story, const struct job *job, struct buf *member)
{
    struct wire_relay_notify in = {0};
    struct wire_relay_notified out;
    (void)member;
    TRY(json_get_str(ctx, job->body, "channel", true, &in.channel));
    TRY(json_get_obj_text(ctx, job->body, "parameters", false, &in.parameters));
    TRY(json_get_str(ctx, job->body, "id", true, &in.id));
    TRY(json_get_str(ctx, job->body, "key", true, &in.key));
    TRY(json_get_int(ctx, job->body, "at", true, &in.at));
    TRY(json_get_str(ctx, job->body, "subject", true, &in.subject));
    TRY(get_text(ctx, job->body, "text", &in.text));
    TRY(get_text(ctx, job->body, "url", &in.url));
    TRY(get_text(ctx, job->body, "severity", &in.severity));
    TRY(get_text(ctx, job->body, "state", &in.state));
    TRY(get_text(ctx, job->body, "object_kind", &in.object_kind));
    TRY(get_text(ctx, job->body, "object_id", &in.object_id));
    TRY(get_text(ctx, job->body, "object_name", &in.object_name));
    TRY(get_text(ctx, job->body, "team", &in.team));
    TRY(get_texts(ctx, job->body, "to", &in.to));
    TRY(wire_call_relay_notify(ctx, h->relay, &in, &out));
    FAILPOINT("agent.notify_told");
    story_add(ctx, story, "notify", "%s: %s", in.channel, out.what);
    return RC_OK;
}

static RC audit_stream(struct ctx *ctx, struct hands *h, struct story *story, const struct job *job, struct buf *member)
{
    struct wire_relay_stream in = {0};
    struct wire_relay_streamed out;
    const json_t *list = json_object_get(job->body, "places");
    const size_t n = json_array_size(list);
    int64_t *places = arena_array(&ctx->arena, n + 1, sizeof *places);
    (void)member;
    for (size_t i = 0; i < n; i++)
        places[i] = json_integer_value(json_array_get(list, i));
    in.places.v = places;
    in.places.n = n;
    TRY(json_get_str(ctx, job->body, "channel", true, &in.channel));
    TRY(json_get_obj_text(ctx, job->body, "parameters", false, &in.parameters));
    TRY(json_get_bool(ctx, job->body, "cef", false, &in.cef));
    TRY(get_texts(ctx, job->body, "entries", &in.entries));
    TRY(wire_call_relay_stream(ctx, h->relay, &in, &out));
    FAILPOINT("agent.streamed");
    story_add(ctx, story, "audit_stream", "%s: %s", in.channel, out.what);
    return RC_OK;
}

RC relay_job(struct ctx *ctx, struct hands *h, struct story *story, const struct job *job, struct buf *member)
{
    static const struct {
        const char *kind;
        RC (*run)(struct ctx *, struct hands *, struct story *, const struct job *, struct buf *);
    } kinds[] = {{"order", order}, {"acme_revoke", revoke}, {"acme_info", info}, {"renewal_info", renewal},
                 {"acme_account", account}, {"enroll", enroll}, {"enroll_revoke", enroll},
                 {"fetch_issuer", fetch_issuer}, {"revocation", revocation}, {"notify", notify},
                 {"audit_stream", audit_stream},
                 {"oidc_look", oidc}, {"oidc_exchange", oidc}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].kind, job->kind) == 0)
            return kinds[i].run(ctx, h, story, job, member);
    return ctx_fail(ctx, E_BUG, "the relay has no jobs of kind %s", job->kind);
}

/* --- what the relay asks */

/* The job must be one that is being done here: the relay, which reads hostile answers, cannot have others signed. */
static RC lease_of(struct ctx *ctx, struct agent *a, const char *job, int64_t *fence)
{
    bool found = false;
    pthread_mutex_lock(&a->lock);
    for (const struct running *r = a->running; r != NULL && !found; r = r->next)
        if (strcmp(r->id, job) == 0) {
            found = true;
            *fence = r->fence;
        }
    pthread_mutex_unlock(&a->lock);
    return found ? RC_OK : ctx_fail(ctx, E_FENCED, "job %s is not held here", job);
}

static void put_sign(const struct wire_relay_sign *m, int64_t fence, struct buf *b)
{
    struct json_out j;
    json_begin(&j, b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "job", m->job);
    json_put_int(&j, "fence", fence);
    json_put_str(&j, "operation", wire_relay_sign_operation_word(m->operation));
    json_put_str(&j, "nonce", m->nonce);
    json_put_str(&j, "url", m->url);
    put_some(&j, "kid", m->kid);
    put_list(&j, "contacts", m->contacts);
    json_put_bool(&j, "terms_agreed", m->terms_agreed);
    put_list(&j, "identifiers", m->identifiers);
    if (m->csr.n > 0)
        json_put_base64(&j, "csr", m->csr);
    if (m->certificate.n > 0)
        json_put_base64(&j, "certificate", m->certificate);
    json_put_int(&j, "reason", m->reason);
    put_some(&j, "replaces", m->replaces);
    put_some(&j, "profile", m->profile);
    if (m->next_key)
        json_put_bool(&j, "next_key", true);
    if (m->only_existing)
        json_put_bool(&j, "only_existing", true);
    json_close(&j);
}

static RC on_sign(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct agent *a = arg;
    const struct wire_relay_sign *m = in;
    struct wire_relay_signed *o = out;
    struct bytes answer;
    struct buf b;
    json_t *reply = NULL;
    int64_t fence = 0;
    TRY(lease_of(ctx, a, m->job, &fence));
    buf_init_arena(&b, &ctx->arena, (size_t)1 << 20);
    put_sign(m, fence, &b);
    TRY(buf_status(&b));
    FAILPOINT("agent.sign_before");
    TRY(exchange_post(ctx, a->http, a->hub, "/agent/v1/acme/sign", buf_bytes(&b), &answer));
    TRY(json_read(ctx, answer, &reply));
    struct rc rc = json_get_str(ctx, reply, "body", true, &o->body);
    json_decref(reply);
    return rc;
}

static RC on_progress(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct agent *a = arg;
    const struct wire_relay_progress *m = in;
    (void)out;
    pthread_mutex_lock(&a->lock);
    struct running *r = a->running;
    while (r != NULL && strcmp(r->id, m->job) != 0)
        r = r->next;
    if (r != NULL) {
        /* Under the lock, for the job may end meanwhile; so the sender is woken here and not by the story. */
        story_order(&r->story, m->account_url, m->order_url, m->finalize_url);
        story_add_quietly(ctx, &r->story, m->step, words_of(ctx, bytes_z(m->text), 1000));
        /* An order that only we know of would be lost with us: it is told soon, mostly by the result that comes before that. */
        const int64_t due_ms = clock_mono_ms() + (story_order_is_fresh(&r->story) ? ORDER_TOLD_MS : AGENT_STEPS_MS);
        if (a->steps_due_ms == 0 || due_ms < a->steps_due_ms)
            a->steps_due_ms = due_ms;
        pthread_cond_signal(&a->wake);
    }
    pthread_mutex_unlock(&a->lock);
    return RC_OK;
}

RC relay_serve_agent(struct ctx *ctx, struct wire_server *server, struct agent *a)
{
    static const struct wire_route routes[] = {{WIRE_relay_sign, on_sign}, {WIRE_relay_progress, on_progress}};
    return wire_serve(ctx, server, routes, sizeof routes / sizeof *routes, SERVE_THREADS, a);
}
