#include "agent/relay/order.h"

#include "acme/dns_proof.h"
#include "agent/relay/account.h"
#include "agent/relay/chain_check.h"
#include "base/failpoint.h"

#define USUAL_METHOD   "http-01"
/* Authorizations of an order that failed are waited for so often, all together. */
#define OTHERS_WAITS   8
#define OTHERS_WAIT_MS 250
#define CHALLENGES_MAX 100
#define FINALIZE_MAX   3
#define ALTERNATES_MAX 8

struct run {
    struct relay_session *s;
    const struct wire_relay_order *in;
    struct wire_relay_order_done *out;
    struct acme_order order;
    struct http_answer answer; /* the last with the order in it, or about it */
    struct relay_known_order known;
    bool waits;                /* the CA is at it: to be asked again after out->wait_ms */
};

static void tell_subproblems(struct ctx *ctx, struct run *r);

/* --- the order itself */

static RC same_identifiers(struct ctx *ctx, const struct run *r)
{
    struct name_list wanted = {0}, got = {0};
    TRY(name_list_parse(ctx, r->in->identifiers.v, r->in->identifiers.n, &wanted));
    if (rc_failed(name_list_parse(ctx, r->order.identifiers.v, r->order.identifiers.n, &got)) || !name_list_same(&wanted, &got))
        return ctx_fail(ctx, E_BAD_ANSWER, "the CA's order is for other names than those asked for");
    return RC_OK;
}

static RC take_order(struct ctx *ctx, struct run *r)
{
    TRY(acme_order_parse(ctx, r->answer.body, &r->order));
    TRY(same_identifiers(ctx, r));
    TRY(relay_check_url(ctx, r->s, "finalizing", r->order.finalize));
    r->s->finalize_url = r->order.finalize;
    return RC_OK;
}

static RC look(struct ctx *ctx, struct run *r)
{
    TRY(relay_fetch(ctx, r->s, r->s->order_url, "the order", &r->answer));
    return take_order(ctx, r);
}

/* A profile that the CA does not have is said with those it has. */
static RC check_profile(struct ctx *ctx, const struct run *r)
{
    const struct acme_directory *d = &r->s->directory;
    struct buf b;
    if (r->in->profile[0] == 0)
        return RC_OK;
    buf_init_arena(&b, &ctx->arena, (size_t)16 << 10);
    for (size_t i = 0; i < d->n_profiles; i++) {
        if (strcmp(d->profiles[i].name, r->in->profile) == 0)
            return RC_OK;
        buf_printf(&b, "%s%s", i > 0 ? ", " : "", d->profiles[i].name);
    }
    return ctx_fail(ctx, E_ISSUER_REFUSED, "the CA offers no profile \"%s\"; it offers %s", r->in->profile,
                    b.n > 0 && rc_ok(buf_status(&b)) ? buf_z(&b) : "none");
}

static RC new_order(struct ctx *ctx, struct run *r)
{
    struct relay_session *s = r->s;
    TRY(check_profile(ctx, r));
    struct wire_relay_sign req = {.operation = WIRE_relay_sign_operation_new_order,
                                  .url = s->directory.new_order,
                                  .identifiers = r->in->identifiers,
                                  .replaces = s->directory.renewal_info != NULL ? r->in->replaces : "",
                                  .profile = r->in->profile};
    struct rc rc = relay_post(ctx, s, &req, "an order", &r->answer);
    if (rc_failed(rc) && req.replaces[0] != 0 && acme_problem_is(&s->problem, "alreadyReplaced")) {
        ctx_forget(ctx); /* RFC 9773 section 5: the order may do without */
        req.replaces = "";
        rc = relay_post(ctx, s, &req, "an order", &r->answer);
    }
    if (rc_failed(rc))
        tell_subproblems(ctx, r);
    TRY(rc);
    FAILPOINT("relay.after_new_order");
    TRY(relay_check_url(ctx, s, "the order", r->answer.location));
    s->order_url = r->answer.location;
    TRY(take_order(ctx, r));
    relay_tell(ctx, s, "order", "order made at the CA");
    return RC_OK;
}

/* An account that the CA has forgotten is made again, once. */
static RC with_account(struct ctx *ctx, struct run *r, RC (*step)(struct ctx *ctx, struct run *r))
{
    TRY(relay_account(ctx, r->s, r->in->contacts, r->in->terms_agreed));
    FAILPOINT("relay.after_new_account");
    struct rc rc = step(ctx, r);
    if (rc_ok(rc) || !acme_problem_is(&r->s->problem, "accountDoesNotExist") || r->in->account_url[0] == 0)
        return relay_account_blame(ctx, r->s, rc);
    ctx_forget(ctx);
    r->s->account_url = NULL;
    TRY(relay_account(ctx, r->s, r->in->contacts, r->in->terms_agreed));
    return step(ctx, r);
}

/* Waits while the CA is at it and looks again; or has that asked of us later, so that it holds no thread. */
static RC wait_and_look(struct ctx *ctx, struct run *r, unsigned round)
{
    if (r->s->memory == NULL) {
        TRY(relay_poll_wait(ctx, &r->answer, round));
        return look(ctx, r);
    }
    r->waits = true;
    r->out->wait_ms = relay_poll_ms(&r->answer, r->known.round++);
    return RC_OK;
}

/* --- authorizations */

static RC take_authorization(struct ctx *ctx, struct run *r, const char *url, struct acme_authorization *out)
{
    struct http_answer answer;
    TRY(relay_fetch(ctx, r->s, url, "an authorization", &answer));
    TRY(acme_authorization_parse(ctx, answer.body, out));
    /* A wildcard's authorization bears the name below it. */
    const char *full = out->wildcard && strncmp(out->identifier, "dns:", 4) == 0
                           ? arena_printf(&ctx->arena, "dns:*.%s", out->identifier + 4)
                           : out->identifier;
    if (!str_list_has(&r->order.identifiers, full) && !str_list_has(&r->order.identifiers, out->identifier))
        return ctx_fail(ctx, E_BAD_ANSWER, "the CA's order has an authorization for %s, which is not in it", full);
    return RC_OK;
}

static void put_challenge_problems(struct buf *b, const struct acme_authorization *a)
{
    for (size_t i = 0; i < a->n_challenges; i++)
        if (a->challenges[i].has_problem) {
            buf_printf(b, "%s%s: ", b->n > 0 ? "; " : "", a->identifier);
            acme_problem_put(b, &a->challenges[i].problem);
        }
}

/* Which names it was, said one by one: the hub may go on without them (core/bad_name.h). */
static void tell_refused(struct ctx *ctx, struct run *r, const struct acme_authorization *a)
{
    const bool wildcard = a->wildcard && strncmp(a->identifier, "dns:", 4) == 0;
    for (size_t i = 0; i < a->n_challenges; i++)
        if (a->challenges[i].has_problem) {
            relay_tell(ctx, r->s, "refused", "%s%s: %s", wildcard ? "dns:*." : "", a->identifier + (wildcard ? 4 : 0),
                       acme_problem_text(ctx, &a->challenges[i].problem));
            return;
        }
}

static void tell_subproblems(struct ctx *ctx, struct run *r)
{
    const struct acme_problem *p = &r->s->problem;
    for (size_t i = 0; i < p->n_sub; i++)
        if (p->sub[i].identifier[0] != 0)
            relay_tell(ctx, r->s, "refused", "%s: %s: %s", p->sub[i].identifier, p->sub[i].type, p->sub[i].detail);
}

/* order_failed gathers the CA's words on an order that is invalid: its own, and those on each challenge. */
static RC order_failed(struct ctx *ctx, struct run *r)
{
    struct buf b;
    enum err e = r->order.has_problem ? acme_problem_err(&r->order.problem, 403) : E_ISSUER_REFUSED;
    unsigned waits = 0;
    buf_init_arena(&b, &ctx->arena, 65536);
    for (size_t i = 0; i < r->order.authorizations.n; i++) {
        struct acme_authorization a;
        struct rc rc = take_authorization(ctx, r, r->order.authorizations.v[i], &a);
        /* The first name that is bad ends the order; what became of the others is known a moment later. */
        for (; rc_ok(rc) && a.status == ACME_PENDING && waits < OTHERS_WAITS; waits++) {
            TRY(relay_wait(ctx, OTHERS_WAIT_MS));
            rc = take_authorization(ctx, r, r->order.authorizations.v[i], &a);
        }
        if (rc_failed(rc)) {
            ctx_forget(ctx);
            continue;
        }
        if (a.status == ACME_INVALID) {
            put_challenge_problems(&b, &a);
            tell_refused(ctx, r, &a);
        }
    }
    if (b.n > 0)
        e = E_CHALLENGE_FAILED;
    if (r->order.has_problem) {
        buf_put_z(&b, b.n > 0 ? "; order: " : "");
        acme_problem_put(&b, &r->order.problem);
    }
    return ctx_fail(ctx, e, "the CA has ended the order: %s", b.n > 0 ? buf_z(&b) : "it gave no reason");
}

/* The type of challenge that the hub chose for what the authorization is about. */
static const char *method_of(struct ctx *ctx, const struct run *r, const struct acme_authorization *a)
{
    struct name wanted, name;
    const bool wildcard = a->wildcard && strncmp(a->identifier, "dns:", 4) == 0;
    const char *text = wildcard ? arena_printf(&ctx->arena, "dns:*.%s", a->identifier + 4) : a->identifier;
    if (rc_failed(name_parse(ctx, bytes_z(text), &wanted))) {
        ctx_forget(ctx);
        return USUAL_METHOD;
    }
    for (size_t i = 0; i < r->in->methods.n && i < r->in->identifiers.n; i++)
        if (rc_ok(name_parse(ctx, bytes_z(r->in->identifiers.v[i]), &name)) && name_equal(&name, &wanted))
            return r->in->methods.v[i];
    return USUAL_METHOD;
}

static const char *offered(struct ctx *ctx, const struct acme_authorization *a)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 4096);
    for (size_t i = 0; i < a->n_challenges; i++)
        buf_printf(&b, "%s%s", i > 0 ? ", " : "", a->challenges[i].type);
    return b.n > 0 && rc_ok(buf_status(&b)) ? buf_z(&b) : "none";
}

static RC challenge_of(struct ctx *ctx, const struct run *r, const struct acme_authorization *a, const struct acme_challenge **out)
{
    const char *method = method_of(ctx, r, a);
    const bool persist = strcmp(method, ACME_DNS_PERSIST) == 0;
    *out = acme_authorization_challenge(a, method);
    if (*out == NULL)
        return ctx_fail(ctx, E_UNSUPPORTED, "the CA offers no %s challenge for %s%s; it offers %s", method,
                        a->wildcard ? "the wildcard of " : "", a->identifier, offered(ctx, a));
    if (persist ? (*out)->issuer_domain == NULL : (*out)->token == NULL)
        return ctx_fail(ctx, E_BAD_ANSWER, "the CA's %s challenge for %s has no %s", method, a->identifier,
                        persist ? "issuer-domain-names" : "token");
    return RC_OK;
}

/* The lists of the answer, one place a challenge. */
struct lists {
    struct str_list identifiers, urls, authorization_urls, types, tokens;
    int64_t wildcards[CHALLENGES_MAX];
};

static RC read_challenges(struct ctx *ctx, struct run *r)
{
    struct lists *l = ARENA_NEW(&ctx->arena, struct lists);
    struct arena *a = &ctx->arena;
    for (size_t i = 0; i < r->order.authorizations.n; i++) {
        const char *url = r->order.authorizations.v[i];
        struct acme_authorization authorization;
        const struct acme_challenge *c = NULL;
        TRY(take_authorization(ctx, r, url, &authorization));
        if (authorization.status == ACME_INVALID)
            return order_failed(ctx, r);
        if (authorization.status != ACME_PENDING)
            continue;
        TRY(challenge_of(ctx, r, &authorization, &c));
        TRY(relay_check_url(ctx, r->s, "a challenge", c->url));
        l->wildcards[l->urls.n] = authorization.wildcard ? 1 : 0;
        str_list_add(a, &l->identifiers, authorization.identifier);
        str_list_add(a, &l->urls, c->url);
        str_list_add(a, &l->authorization_urls, url);
        str_list_add(a, &l->types, c->type);
        str_list_add(a, &l->tokens, c->token != NULL ? c->token : c->issuer_domain);
    }
    r->known = (struct relay_known_order){l->urls, l->authorization_urls, l->identifiers, l->types, false, r->known.round};
    r->out->identifiers = (struct wire_texts){l->identifiers.v, l->identifiers.n};
    r->out->urls = (struct wire_texts){l->urls.v, l->urls.n};
    r->out->authorization_urls = (struct wire_texts){l->authorization_urls.v, l->authorization_urls.n};
    r->out->types = (struct wire_texts){l->types.v, l->types.n};
    r->out->tokens = (struct wire_texts){l->tokens.v, l->tokens.n};
    r->out->wildcards = (struct wire_numbers){l->wildcards, l->urls.n};
    return RC_OK;
}

/* --- finishing */

/* The challenge that was answered, of whatever type; NULL: none of this authorization. */
static const struct acme_challenge *answered(const struct wire_relay_order *in, const struct acme_authorization *a)
{
    for (size_t i = 0; i < in->challenge_urls.n; i++)
        for (size_t k = 0; k < a->n_challenges; k++)
            if (strcmp(in->challenge_urls.v[i], a->challenges[k].url) == 0)
                return &a->challenges[k];
    return NULL;
}

/* A CA that got the answer, and whose own was lost, refuses to hear it again: the authorization tells. */
static RC say_one(struct ctx *ctx, struct run *r, const char *authorization_url, const struct acme_challenge *c)
{
    struct wire_relay_sign req = {.operation = WIRE_relay_sign_operation_challenge, .url = c->url};
    struct acme_authorization now;
    const struct acme_challenge *same = NULL;
    struct rc rc = relay_post(ctx, r->s, &req, "the check of a challenge", &r->answer);
    if (rc.e != E_ISSUER_REFUSED)
        return rc;
    const char *why = ctx_why(ctx);
    ctx_forget(ctx);
    TRY(take_authorization(ctx, r, authorization_url, &now));
    same = acme_authorization_challenge(&now, c->type);
    if (now.status == ACME_PENDING && (same == NULL || same->status == ACME_PENDING))
        return ctx_fail(ctx, rc.e, "%s", why);
    return RC_OK;
}

/* Only challenges that are still pending are answered: a job that was interrupted does not say it twice (section 7.5.1). */
static RC say_answered(struct ctx *ctx, struct run *r)
{
    for (size_t i = 0; i < r->order.authorizations.n; i++) {
        const char *url = r->order.authorizations.v[i];
        struct acme_authorization authorization;
        const struct acme_challenge *c = NULL;
        TRY(take_authorization(ctx, r, url, &authorization));
        if (authorization.status != ACME_PENDING)
            continue;
        if (r->in->challenge_urls.n == 0)
            TRY(challenge_of(ctx, r, &authorization, &c));
        else
            c = answered(r->in, &authorization);
        if (c == NULL || c->status != ACME_PENDING)
            continue;
        TRY(say_one(ctx, r, url, c));
        FAILPOINT("relay.after_challenge");
        relay_tell(ctx, r->s, "challenge", "the CA checks %s", authorization.identifier);
    }
    return RC_OK;
}

/* Waits while the order is in `state`; the answer at hand says how long. */
static RC wait_while(struct ctx *ctx, struct run *r, enum acme_status state)
{
    for (unsigned round = 0; r->order.status == state && !r->waits; round++)
        TRY(wait_and_look(ctx, r, round));
    return RC_OK;
}

static RC finalize(struct ctx *ctx, struct run *r)
{
    struct wire_relay_sign req = {.operation = WIRE_relay_sign_operation_finalize, .url = r->order.finalize, .csr = r->in->csr};
    FAILPOINT("relay.before_finalize");
    struct rc rc = relay_post(ctx, r->s, &req, "the certificate", &r->answer);
    FAILPOINT("relay.after_finalize");
    if (rc_ok(rc)) {
        relay_tell(ctx, r->s, "finalize", "the CA has the request for the certificate");
        return take_order(ctx, r);
    }
    /* The CA was not ready after all, or nobody knows whether it got the request: the order's state tells. */
    bool unsure = acme_problem_is(&r->s->problem, "orderNotReady") || rc.e == E_UNREACHABLE || rc.e == E_TIMEOUT ||
                  rc.e == E_BAD_ANSWER || rc.e == E_DNS || (rc.e == E_ISSUER_FAILED && r->s->status >= 500);
    if (!unsure)
        return rc;
    ctx_forget(ctx);
    TRY(relay_wait(ctx, 500));
    return look(ctx, r);
}

static RC fetch_chain(struct ctx *ctx, struct run *r, const char *url, struct http_answer *answer, struct cert_chain *out)
{
    TRY(relay_fetch(ctx, r->s, url, "the certificate's chain", answer));
    if (answer->content_type[0] != 0 && strcmp(answer->content_type, "application/pem-certificate-chain") != 0)
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the CA returned %s, not a certificate chain", answer->content_type);
    return relay_chain_check(ctx, answer->body, r->in->csr, r->in->identifiers.v, r->in->identifiers.n, out);
}

/* Section 7.4.2: other chains to other roots are named by links. */
static void prefer(struct ctx *ctx, struct run *r, const struct http_answer *first, struct cert_chain *chain)
{
    unsigned fetched = 0;
    if (r->in->preferred_chain[0] == 0 || relay_chain_is(ctx, chain, r->in->preferred_chain, r->in->ca_roots_pem))
        return;
    for (size_t i = 0; i < first->links_n && fetched < ALTERNATES_MAX; i++) {
        struct http_answer answer;
        struct cert_chain other;
        if (strcmp(first->links[i].rel, "alternate") != 0)
            continue;
        fetched++;
        if (rc_failed(fetch_chain(ctx, r, first->links[i].url, &answer, &other))) {
            ctx_forget(ctx); /* the first chain is good */
            continue;
        }
        if (relay_chain_is(ctx, &other, r->in->preferred_chain, r->in->ca_roots_pem)) {
            *chain = other;
            return;
        }
    }
    relay_tell(ctx, r->s, "chain", "the CA has no chain to %s: its usual one is taken", r->in->preferred_chain);
}

static RC download(struct ctx *ctx, struct run *r)
{
    struct cert_chain chain;
    struct http_answer answer;
    struct buf pem;
    TRY(relay_check_url(ctx, r->s, "the certificate", r->order.certificate));
    TRY(fetch_chain(ctx, r, r->order.certificate, &answer, &chain));
    FAILPOINT("relay.after_download");
    prefer(ctx, r, &answer, &chain);
    buf_init_arena(&pem, &ctx->arena, SESSION_BODY_MAX);
    cert_chain_put_pem(&pem, &chain);
    TRY(buf_status(&pem));
    r->out->certificate_url = r->order.certificate;
    r->out->chain_pem = buf_z(&pem);
    relay_tell(ctx, r->s, "download", "chain of %zu certificates from the CA", chain.n);
    return RC_OK;
}

static RC finish(struct ctx *ctx, struct run *r)
{
    unsigned finalized = 0;
    if (r->order.status == ACME_PENDING && !r->known.said)
        TRY(say_answered(ctx, r));
    r->known.said = true;
    while (!r->waits) {
        switch (r->order.status) {
        case ACME_PENDING:
        case ACME_PROCESSING:
            TRY(wait_while(ctx, r, r->order.status));
            break;
        case ACME_READY:
            if (finalized++ == FINALIZE_MAX)
                return ctx_fail(ctx, E_ISSUER_FAILED, "the CA keeps calling the order ready and does not take the request");
            TRY(finalize(ctx, r));
            break;
        case ACME_VALID:
            return download(ctx, r);
        default:
            return order_failed(ctx, r);
        }
    }
    return RC_OK;
}

/* --- the phases */

static RC start(struct ctx *ctx, struct run *r)
{
    /* A CA takes a moment to see that all authorizations are valid from before. */
    for (unsigned round = 0; r->order.status == ACME_PENDING && !r->waits; round++) {
        TRY(read_challenges(ctx, r));
        if (r->out->urls.n > 0)
            return RC_OK;
        TRY(wait_and_look(ctx, r, round));
    }
    if (r->order.status == ACME_INVALID)
        return order_failed(ctx, r);
    return r->order.status == ACME_VALID ? download(ctx, r) : RC_OK;
}

/* Its challenges are known from the phase before: the CA is told at once that they are answered, and looked at after that. */
static RC say_known(struct ctx *ctx, struct run *r)
{
    r->s->order_url = r->in->order_url;
    r->order = (struct acme_order){.status = ACME_PENDING, .finalize = r->in->finalize_url};
    for (size_t i = 0; i < r->in->identifiers.n; i++)
        str_list_add(&ctx->arena, &r->order.identifiers, r->in->identifiers.v[i]);
    for (size_t i = 0; i < r->known.urls.n; i++) {
        const struct acme_challenge c = {.url = r->known.urls.v[i], .type = r->known.types.v[i]};
        TRY(say_one(ctx, r, r->known.authorization_urls.v[i], &c));
        FAILPOINT("relay.after_challenge");
        relay_tell(ctx, r->s, "challenge", "the CA checks %s", r->known.identifiers.v[i]);
    }
    r->known.said = true;
    return RC_OK;
}

/* What the phase before has left to be done without another look: where the hub has all of it answered. */
static bool known_answered(const struct run *r)
{
    for (size_t i = 0; i < r->known.urls.n; i++) {
        bool has = false;
        for (size_t k = 0; k < r->in->challenge_urls.n && !has; k++)
            has = strcmp(r->in->challenge_urls.v[k], r->known.urls.v[i]) == 0;
        if (!has)
            return false;
    }
    return r->known.urls.n > 0 && !r->known.said;
}

static RC take_up(struct ctx *ctx, struct run *r)
{
    if (r->in->order_url[0] == 0)
        return new_order(ctx, r);
    r->s->order_url = r->in->order_url;
    struct rc rc = look(ctx, r);
    bool gone = rc_failed(rc) && r->s->status == 404 && !acme_problem_is(&r->s->problem, "accountDoesNotExist");
    if (gone && r->in->phase == WIRE_relay_order_phase_start) {
        ctx_forget(ctx);
        r->s->order_url = NULL;
        return new_order(ctx, r);
    }
    return gone ? ctx_fail(ctx, E_NOT_FOUND, "the CA does not know the order any more") : rc;
}

static RC run(struct ctx *ctx, struct run *r)
{
    const bool to_finish = r->in->phase == WIRE_relay_order_phase_finish;
    TRY(with_account(ctx, r, to_finish && known_answered(r) ? say_known : take_up));
    return to_finish ? finish(ctx, r) : start(ctx, r);
}

static void remember(const struct run *r, struct rc rc)
{
    const char *url = r->s->order_url;
    if (r->s->memory == NULL || url == NULL)
        return;
    if (rc_ok(rc) && (r->waits || r->known.urls.n > 0) && r->order.status != ACME_VALID)
        relay_memory_keep_order(r->s->memory, url, &r->known);
    else
        relay_memory_forget_order(r->s->memory, url);
}

RC relay_order_run(struct ctx *ctx, struct relay_session *s, const struct wire_relay_order *in, struct wire_relay_order_done *out)
{
    struct run r = {.s = s, .in = in, .out = out};
    if (in->identifiers.n == 0)
        return ctx_fail(ctx, E_INVALID, "an order without a name");
    if (in->phase == WIRE_relay_order_phase_finish && in->order_url[0] == 0)
        return ctx_fail(ctx, E_INVALID, "no order to finish");
    if (s->memory != NULL && in->order_url[0] != 0)
        (void)relay_memory_order(ctx, s->memory, in->order_url, &r.known);
    s->account_url = in->account_url[0] == 0 ? NULL : in->account_url;
    struct rc rc = run(ctx, &r);
    remember(&r, rc);
    TRY(rc);
    out->account_url = s->account_url;
    out->order_url = s->order_url;
    out->finalize_url = r.order.finalize;
    if (r.waits) {
        out->state = WIRE_relay_order_done_state_waiting;
        return RC_OK;
    }
    switch (r.order.status) {
    case ACME_READY:
        out->state = WIRE_relay_order_done_state_ready;
        break;
    case ACME_PROCESSING:
        out->state = WIRE_relay_order_done_state_processing;
        break;
    case ACME_VALID:
        out->state = WIRE_relay_order_done_state_valid;
        break;
    default:
        out->state = WIRE_relay_order_done_state_challenges;
    }
    return RC_OK;
}
