#include "agent/relay/session.h"

#include "base/random.h"

#define WAIT_STEP_MS     200
#define WAIT_MOST_S      60 /* longer waits are the hub's to plan */
#define POLL_FIRST_MS    300
#define POLL_MOST_MS     5000
#define DEADLINE_MOST_MS (15 * 60 * 1000)

RC relay_wait(struct ctx *ctx, int64_t ms)
{
    if (ctx_left_ms(ctx, DEADLINE_MOST_MS) <= ms)
        return ctx_fail(ctx, E_TIMEOUT, "the CA needs longer than this job may take: it is taken up again where it stands");
    const int64_t until = clock_mono_ms() + ms;
    for (int64_t left = ms; left > 0; left = until - clock_mono_ms()) {
        if (http_client_stopped()) /* waiting must not hold up the end of the role either */
            return ctx_fail(ctx, E_SHUTTING_DOWN, "the order is taken up again where it stands");
        const int64_t step = left < WAIT_STEP_MS ? left : WAIT_STEP_MS;
        nanosleep(&(struct timespec){.tv_nsec = step * 1000000}, NULL);
    }
    return RC_OK;
}

/* Half again each time, and jitter so that many jobs do not ask at once. */
static int64_t backoff_ms(int64_t first, int64_t most, unsigned round)
{
    int64_t ms = first;
    for (unsigned i = 0; i < round && ms < most; i++)
        ms += ms / 2;
    if (ms > most)
        ms = most;
    return ms - ms / 8 + (int64_t)random_below((uint64_t)(ms / 4 + 1));
}

int64_t relay_poll_ms(const struct http_answer *last, unsigned round)
{
    if (last->retry_after_s < 0)
        return backoff_ms(POLL_FIRST_MS, POLL_MOST_MS, round);
    return last->retry_after_s > 0 ? last->retry_after_s * 1000 : POLL_FIRST_MS;
}

RC relay_poll_wait(struct ctx *ctx, const struct http_answer *last, unsigned round)
{
    if (last->retry_after_s >= 0 && last->retry_after_s * 1000 >= ctx_left_ms(ctx, DEADLINE_MOST_MS))
        ctx->retry_after_s = last->retry_after_s;
    return relay_wait(ctx, relay_poll_ms(last, round));
}

void relay_tell(struct ctx *ctx, struct relay_session *s, const char *step, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(&ctx->arena, fmt, ap);
    va_end(ap);
    if (strlen(text) > 1000)
        text = arena_str(&ctx->arena, bytes_of(text, 1000));
    struct wire_relay_progress p = {.job = s->job,
                                    .fence = s->fence,
                                    .step = step,
                                    .text = text,
                                    .account_url = s->account_url,
                                    .order_url = s->order_url,
                                    .finalize_url = s->finalize_url};
    s->agent->progress(ctx, s->agent->arg, &p);
}

RC relay_check_url(struct ctx *ctx, const struct relay_session *s, const char *what, const char *url)
{
    struct uri uri;
    if (url == NULL || !acme_url_valid(url))
        return ctx_fail(ctx, E_BAD_ANSWER, "the CA gave no URL for %s that can be used", what);
    struct rc rc = uri_parse(ctx, bytes_z(url), &uri);
    if (rc_failed(rc))
        return ctx_fail(ctx, E_BAD_ANSWER, "the CA's URL for %s cannot be used", what);
    if (!uri_same_origin(&uri, &s->origin))
        return ctx_fail(ctx, E_BAD_ANSWER, "the CA's URL for %s, %s, is not at the host of its directory", what, url);
    return RC_OK;
}

/* --- one exchange, and when it is tried again */

static bool lost(enum err e)
{
    return e == E_UNREACHABLE || e == E_DNS || e == E_TIMEOUT || e == E_BAD_ANSWER;
}

/* An answer that is too long or cut short is mostly so the second time too. */
static unsigned tries_max(enum err e)
{
    return e == E_BAD_ANSWER ? 2 : SESSION_TRIES_MAX;
}

/* What waits at most so long is waited for; else the job ends and says how long. */
static RC wait_as_asked(struct ctx *ctx, const struct http_answer *a, unsigned tries)
{
    if (a->retry_after_s < 0)
        return relay_wait(ctx, backoff_ms(500, 8000, tries * 2));
    if (a->retry_after_s > WAIT_MOST_S || a->retry_after_s * 1000 >= ctx_left_ms(ctx, DEADLINE_MOST_MS)) {
        ctx->retry_after_s = a->retry_after_s;
        return rc_of(E_TIMEOUT);
    }
    return relay_wait(ctx, a->retry_after_s > 0 ? a->retry_after_s * 1000 : 100);
}

/* The answer was a failure: its words are kept, and become the error. */
static RC refused(struct ctx *ctx, struct relay_session *s, const char *what, const struct http_answer *a)
{
    if (s->problem.type == NULL)
        acme_problem_parse(ctx, a->body, &s->problem);
    if (a->retry_after_s > 0)
        ctx->retry_after_s = a->retry_after_s;
    const char *terms = acme_problem_is(&s->problem, "userActionRequired") ? http_answer_link(a, "terms-of-service") : NULL;
    return ctx_fail(ctx, acme_problem_err(&s->problem, a->status), "the CA refused %s (%d): %s%s%s", what, a->status,
                    acme_problem_text(ctx, &s->problem), terms != NULL ? "; agree to " : "", terms != NULL ? terms : "");
}

static bool worth_another_try(int status)
{
    return status >= 500 || status == 408 || status == 429;
}

RC relay_get(struct ctx *ctx, struct relay_session *s, const char *url, const char *what, struct http_answer *out)
{
    struct http_call call = {.url = url, .total_ms = 30000, .body_max = SESSION_BODY_MAX};
    for (unsigned tries = 1;; tries++) {
        s->problem = (struct acme_problem){0};
        struct rc rc = http_client_call(ctx, s->http, &call, out);
        if (rc_failed(rc)) {
            if (!lost(rc.e) || tries >= tries_max(rc.e) || ctx_left_ms(ctx, DEADLINE_MOST_MS) < 2000)
                return ctx_wrap(ctx, rc, "asking the CA for %s", what);
            ctx_forget(ctx);
            TRY(relay_wait(ctx, backoff_ms(500, 8000, tries * 2)));
            continue;
        }
        s->status = out->status;
        if (out->status == 200)
            return RC_OK;
        if (!worth_another_try(out->status) || tries >= SESSION_TRIES_MAX || rc_failed(wait_as_asked(ctx, out, tries))) {
            ctx_forget(ctx);
            return refused(ctx, s, what, out);
        }
    }
}

static struct relay_ca ca_of(const struct relay_session *s)
{
    return (struct relay_ca){s->http, s->directory_url};
}

RC relay_open(struct ctx *ctx, struct relay_session *s)
{
    struct http_answer answer;
    bool known = false;
    TRY(uri_parse(ctx, bytes_z(s->directory_url), &s->origin));
    if (!s->origin.https)
        return ctx_fail(ctx, E_INVALID, "%s: the directory of an ACME CA has an https:// URL (RFC 8555 section 6.1)",
                        s->directory_url);
    if (s->memory != NULL)
        relay_memory_directory(ctx, s->memory, ca_of(s), &answer.body, &known);
    if (!known)
        TRY(relay_get(ctx, s, s->directory_url, "its directory", &answer));
    TRY(acme_directory_parse(ctx, answer.body, &s->directory));
    if (s->memory != NULL && !known)
        relay_memory_keep_directory(s->memory, ca_of(s), answer.body);
    return RC_OK;
}

void relay_close(struct relay_session *s, struct rc how)
{
    if (s->memory == NULL)
        return;
    if (rc_failed(how))
        relay_memory_forget_ca(s->memory, ca_of(s));
    else if (s->nonce != NULL)
        relay_memory_keep_nonce(s->memory, ca_of(s), s->nonce);
    s->nonce = NULL;
}

/* --- signed requests */

static RC take_nonce(struct ctx *ctx, struct relay_session *s, const char **out)
{
    if (s->nonce == NULL && s->memory != NULL)
        s->nonce = relay_memory_nonce(ctx, s->memory, ca_of(s));
    if (s->nonce == NULL) {
        struct http_answer answer;
        struct http_call call = {.method = "HEAD", .url = s->directory.new_nonce, .total_ms = 30000, .body_max = 4096};
        TRY(relay_check_url(ctx, s, "new nonces", s->directory.new_nonce));
        struct rc rc = http_client_call(ctx, s->http, &call, &answer);
        if (rc_failed(rc))
            return ctx_wrap(ctx, rc, "asking the CA for a nonce");
        s->nonce = answer.replay_nonce;
        if (s->nonce == NULL)
            return ctx_fail(ctx, answer.status >= 500 ? E_UNREACHABLE : E_BAD_ANSWER, "the CA gave no nonce (status %d)",
                            answer.status);
    }
    *out = s->nonce;
    s->nonce = NULL; /* good for one request */
    return RC_OK;
}

/* `*sent`: the CA may have got it. */
static RC exchange(struct ctx *ctx, struct relay_session *s, struct wire_relay_sign *req, struct http_answer *out, bool *sent)
{
    static const struct http_header headers[] = {
        {"Content-Type", "application/jose+json"},
        {"Accept", "application/json, application/problem+json, application/pem-certificate-chain"}};
    const char *body = NULL;
    *sent = false;
    TRY(take_nonce(ctx, s, &req->nonce));
    req->job = s->job;
    req->fence = s->fence;
    req->kid = req->operation == WIRE_relay_sign_operation_new_account ? "" : s->account_url;
    if (http_client_stopped()) /* the agent, which has it signed, may be gone already */
        return ctx_fail(ctx, E_SHUTTING_DOWN, "the order is taken up again where it stands");
    struct rc rc = s->agent->sign(ctx, s->agent->arg, req, &body);
    if (rc_failed(rc)) {
        s->nonce = req->nonce;
        return rc;
    }
    struct http_call call = {.method = "POST",
                             .url = req->url,
                             .headers = headers,
                             .headers_n = 2,
                             .body = bytes_z(body),
                             .total_ms = 60000,
                             .body_max = SESSION_BODY_MAX};
    *sent = true;
    TRY(http_client_call(ctx, s->http, &call, out));
    s->nonce = out->replay_nonce;
    s->status = out->status;
    return RC_OK;
}

RC relay_post(struct ctx *ctx, struct relay_session *s, struct wire_relay_sign *req, const char *what, struct http_answer *out)
{
    unsigned nonces = 0, tries = 0;
    TRY(relay_check_url(ctx, s, what, req->url));
    for (;;) {
        bool sent = false;
        s->problem = (struct acme_problem){0};
        struct rc rc = exchange(ctx, s, req, out, &sent);
        if (rc_failed(rc)) {
            /* A signature refused by hub or signer stays refused; the agent's own troubles are dealt with there. */
            bool again = lost(rc.e) && (!sent || req->operation != WIRE_relay_sign_operation_finalize);
            if (!again || ++tries >= tries_max(rc.e) || ctx_left_ms(ctx, DEADLINE_MOST_MS) < 2000)
                return ctx_wrap(ctx, rc, "asking the CA for %s", what);
            ctx_forget(ctx);
            TRY(relay_wait(ctx, backoff_ms(500, 8000, tries * 2)));
            continue;
        }
        if (out->status >= 200 && out->status < 300)
            return RC_OK;
        acme_problem_parse(ctx, out->body, &s->problem);
        if (acme_problem_is(&s->problem, "badNonce") && ++nonces < SESSION_NONCES_MAX) {
            if (s->memory != NULL) /* a CA that was started anew knows none of them */
                relay_memory_forget_nonces(s->memory, ca_of(s));
            continue;
        }
        if (!worth_another_try(out->status) || ++tries >= SESSION_TRIES_MAX || rc_failed(wait_as_asked(ctx, out, tries))) {
            ctx_forget(ctx);
            return refused(ctx, s, what, out);
        }
    }
}

RC relay_fetch(struct ctx *ctx, struct relay_session *s, const char *url, const char *what, struct http_answer *out)
{
    struct wire_relay_sign req = {.operation = WIRE_relay_sign_operation_get, .url = url};
    return relay_post(ctx, s, &req, what, out);
}

RC relay_account_find(struct ctx *ctx, struct relay_session *s, bool next_key, bool *found)
{
    struct wire_relay_sign req = {.operation = WIRE_relay_sign_operation_new_account,
                                  .url = s->directory.new_account,
                                  .next_key = next_key,
                                  .only_existing = true};
    struct http_answer answer;
    *found = false;
    struct rc rc = relay_post(ctx, s, &req, "the account of the key", &answer);
    if (rc_failed(rc) && acme_problem_is(&s->problem, "accountDoesNotExist")) {
        ctx_forget(ctx);
        return RC_OK;
    }
    if (rc_failed(rc) && acme_problem_is(&s->problem, "unauthorized"))
        return ctx_wrap(ctx, rc_of(E_ACCOUNT), "the CA no longer accepts the account");
    TRY(rc);
    TRY(relay_check_url(ctx, s, "the account", answer.location));
    s->account_url = answer.location;
    *found = true;
    return RC_OK;
}

bool relay_account_refused(const struct relay_session *s)
{
    return acme_problem_is(&s->problem, "unauthorized") || acme_problem_is(&s->problem, "accountDoesNotExist");
}

/* Found by its key first: a binding (section 7.3.4) is good for one account only. */
RC relay_account(struct ctx *ctx, struct relay_session *s, struct wire_texts contacts, bool terms_agreed)
{
    if (s->account_url != NULL && s->account_url[0] != 0)
        return relay_check_url(ctx, s, "the account", s->account_url);
    struct wire_relay_sign req = {.operation = WIRE_relay_sign_operation_new_account,
                                  .url = s->directory.new_account,
                                  .contacts = contacts,
                                  .terms_agreed = terms_agreed};
    struct http_answer answer;
    bool found = false;
    TRY(relay_account_find(ctx, s, false, &found));
    if (found) {
        relay_tell(ctx, s, "account", "account found at the CA");
        return RC_OK;
    }
    struct rc rc = relay_post(ctx, s, &req, "an account", &answer);
    if (rc_failed(rc) && acme_problem_is(&s->problem, "externalAccountRequired"))
        return ctx_wrap(ctx, rc_of(E_ACCOUNT),
                        "the CA makes accounts for its customers alone and wants an external account binding");
    if (rc_failed(rc) && s->directory.external_account_required &&
        (acme_problem_is(&s->problem, "unauthorized") || acme_problem_is(&s->problem, "malformed")))
        return ctx_wrap(ctx, rc_of(E_ACCOUNT), "the CA does not take the external account binding (key id or key)");
    if (rc_failed(rc) && s->directory.terms_of_service != NULL && !terms_agreed)
        return ctx_wrap(ctx, rc, "the CA's terms (%s) have not been agreed to", s->directory.terms_of_service);
    TRY(rc);
    TRY(relay_check_url(ctx, s, "the account", answer.location));
    s->account_url = answer.location;
    relay_tell(ctx, s, "account", "account made at the CA");
    return RC_OK;
}
