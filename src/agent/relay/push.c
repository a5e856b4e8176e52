#include "agent/relay/push_session.h"

#include <errno.h>
#include <time.h>

#include "base/encode.h"

#define TRIES_MAX        4
#define WAIT_MOST_S      30
#define SETTLE_TRIES     4
#define DEADLINE_MOST_MS (10 * 60 * 1000)
#define OVER_MAX         100
#define PAGES_MAX        100
#define CURSOR_MAX       4096

RC push_pause(struct ctx *ctx, int64_t ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    if (ctx_left_ms(ctx, DEADLINE_MOST_MS) <= ms)
        return ctx_fail(ctx, E_TIMEOUT, "no time is left to wait for the other side");
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
    return RC_OK;
}

/* --- one request */

static bool changes(const struct push_request *r)
{
    return strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0 && strcmp(r->method, "READ") != 0;
}

RC push_send(struct ctx *ctx, struct push_session *s, const struct push_request *r, struct push_answer *out)
{
    return s->transport->send(ctx, s, r, out);
}

/* Signs and sends, once more where the family thinks that a refused login is worth it. */
static RC send_signed(struct ctx *ctx, struct push_session *s, const struct push_request *r, struct push_answer *out)
{
    for (unsigned round = 0;; round++) {
        struct push_request mine = *r;
        bool again = false;
        if (s->auth->sign != NULL && s->list != PUSH_LOGIN)
            TRY(s->auth->sign(ctx, s, &mine));
        TRY(push_send(ctx, s, &mine, out));
        if (out->status != 401 || round > 0 || s->auth->refused == NULL || s->list == PUSH_LOGIN)
            return RC_OK;
        TRY(s->auth->refused(ctx, s, out, &again));
        if (!again)
            return RC_OK;
    }
}

/* A look that was lost is repeated; a change is not: see tells afterwards what came of it. */
static RC send_patiently(struct ctx *ctx, struct push_session *s, const struct push_request *r, struct push_answer *out)
{
    for (unsigned tries = 1;; tries++) {
        struct trail_entry *trail = ctx->trail;
        if (changes(r) && s->list != PUSH_SEE)
            s->touched = true;
        struct rc rc = send_signed(ctx, s, r, out);
        bool lost = rc.e == E_UNREACHABLE || rc.e == E_DNS;
        if (rc_failed(rc) && (!lost || changes(r) || tries >= 3 || ctx_left_ms(ctx, DEADLINE_MOST_MS) < 3000))
            return rc;
        if (rc_failed(rc)) {
            ctx->trail = trail;
            TRY(push_pause(ctx, 300 * tries));
            continue;
        }
        if ((out->status != 429 && out->status != 503) || s->transport != &push_https)
            return RC_OK;
        if (s->now_only && changes(r)) {
            ctx->retry_after_s = out->retry_after_s > 0 ? out->retry_after_s : 0;
            return RC_OK;
        }
        int64_t wait = out->retry_after_s >= 0 ? out->retry_after_s * 1000 : 500 << tries;
        if (tries >= TRIES_MAX || wait > WAIT_MOST_S * 1000 || ctx_left_ms(ctx, DEADLINE_MOST_MS) <= wait + 1000) {
            ctx->retry_after_s = out->retry_after_s > 0 ? out->retry_after_s : 0;
            return RC_OK;
        }
        TRY(push_pause(ctx, wait > 100 ? wait : 100));
    }
}

/* --- what an answer means */

static bool has_status(const struct push_statuses *l, int status)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i] == status)
            return true;
    return false;
}

/* Many APIs take the key in the query, and a redirect repeats the query. */
static const char *redirected_to(struct ctx *ctx, const struct push_session *s, const struct push_answer *a)
{
    const char *to = a->headers != NULL ? http_headers_get(a->headers, "location") : NULL;
    if (to == NULL)
        return "nowhere";
    const size_t n = strcspn(to, "?#");
    char *words = arena_str(&ctx->arena, bytes_of(to, n < 200 ? n : 200));
    for (char *c = words; *c != '\0'; c++)
        *c = (uint8_t)*c > 0x20 && (uint8_t)*c < 0x7f ? *c : '?';
    return push_repeats_secret(s, bytes_z(words)) ? "an address that repeats a secret" : words;
}

static RC refused(struct ctx *ctx, struct push_session *s, const struct push_step *step, const struct push_answer *a)
{
    const char *words = push_words(ctx, s, step, a);
    s->refused = a->status;
    if (s->transport != &push_https)
        return ctx_fail(ctx, E_DEPLOY_FAILED, "exit code %d: %s", a->status, words);
    if (a->status >= 300 && a->status < 400)
        return ctx_fail(ctx, E_BAD_ANSWER,
                        "a redirect (%d) to %s, which is not followed: name the right address in the "
                        "target's parameters",
                        a->status, redirected_to(ctx, s, a));
    if (a->status == 401 || a->status == 403)
        return ctx_fail(ctx, E_DEPLOY_FAILED, "the credential %s was refused (%d): %s", s->credentials[0]->name, a->status, words);
    if (a->status == 429 || a->status == 503)
        return ctx_fail(ctx, E_RATE_LIMITED, "it has no time for us (%d): %s", a->status, words);
    return ctx_fail(ctx, E_DEPLOY_FAILED, "status %d: %s", a->status, words);
}

static bool in_texts(const struct push_texts *l, struct bytes value)
{
    for (size_t i = 0; i < l->n; i++)
        if (bytes_equal_z(value, l->v[i]))
            return true;
    return false;
}

/* What became of a step. */
enum outcome { GOOD, NOTHING_THERE, ALREADY };

static RC judge(struct ctx *ctx, struct push_session *s, const struct push_step *step, const struct push_answer *a,
                bool was_touched, enum outcome *out)
{
    struct bytes value;
    bool found, conflict = false, https = s->transport == &push_https;
    *out = GOOD;
    if (has_status(&step->absent, a->status)) {
        *out = NOTHING_THERE;
        return RC_OK;
    }
    if (has_status(&step->done, a->status)) {
        *out = ALREADY;
        return RC_OK;
    }
    if (step->has_conflict_if && https && a->status >= 400)
        TRY(push_find(ctx, s, &step->conflict_if, a, false, &value, &conflict));
    conflict = conflict && bytes_find(value, bytes_z(step->conflict_has)) != SIZE_MAX;
    if (conflict || has_status(&step->conflict, a->status)) {
        if (!was_touched) /* the refused request itself changed nothing */
            s->touched = false;
        return ctx_fail(ctx, E_CHANGED, "somebody changed it meanwhile (%d): %s", a->status, push_words(ctx, s, step, a));
    }
    bool good = step->expect.n > 0 ? has_status(&step->expect, a->status)
                : https            ? a->status >= 200 && a->status < 300
                                   : a->status == 0;
    if (!good)
        return refused(ctx, s, step, a);
    if (!step->has_fail_if)
        return RC_OK;
    TRY(push_find(ctx, s, &step->fail_if, a, false, &value, &found));
    bool bad = step->fail_is.n > 0  ? found && in_texts(&step->fail_is, value)
               : step->fail_there ? found && !in_texts(&step->fail_unless, value)
                                  : !found || !in_texts(&step->fail_not, value);
    return bad ? ctx_fail(ctx, E_DEPLOY_FAILED, "it says: %s", push_words(ctx, s, step, a)) : RC_OK;
}

/* Asks until the answer says that it is done. */
static RC poll_until(struct ctx *ctx, struct push_session *s, const struct push_step *step, const struct push_request *r,
                     struct push_answer *a)
{
    int64_t until = clock_mono_ms() + step->poll_most_s * 1000LL;
    for (;;) {
        struct bytes value;
        enum outcome outcome;
        bool found;
        TRY(push_find(ctx, s, &step->poll, a, false, &value, &found));
        if (found && in_texts(&step->poll_done, value))
            return RC_OK;
        if (found && in_texts(&step->poll_failed, value))
            return ctx_fail(ctx, E_DEPLOY_FAILED, "it says: %s", push_words(ctx, s, step, a));
        if (clock_mono_ms() >= until)
            return ctx_fail(ctx, E_TIMEOUT, "it was not done within %d s", step->poll_most_s);
        TRY(push_pause(ctx, step->poll_every_s * 1000LL));
        TRY(send_patiently(ctx, s, r, a));
        TRY(judge(ctx, s, step, a, s->touched, &outcome));
    }
}

/* --- steps */

static bool is_set(const struct push_session *s, const char *name)
{
    struct bytes value;
    push_get(s, name, &value);
    return value.n > 0;
}

static bool nothing(const struct push_identity *i)
{
    return *i->fingerprint == '\0' && *i->serial == '\0' && *i->other == '\0';
}

static bool applies(const struct push_session *s, const struct push_step *step)
{
    if (step->before != PUSH_WAS_ANY && (step->before == PUSH_WAS_ABSENT) != nothing(&s->before))
        return false;
    if (step->now != NULL && (s->now == NULL || strcmp(step->now, s->now) != 0))
        return false;
    return (step->set == NULL || is_set(s, step->set)) && (step->unset == NULL || !is_set(s, step->unset));
}

/* A request that must not be sent twice is sent once, whatever becomes of this process. */
static RC send_once(struct ctx *ctx, struct push_session *s, const struct push_request *r, struct push_answer *out)
{
    const struct push_keeper *k = s->keeper;
    bool found = false;
    if (k == NULL || s->list == PUSH_LOGIN || !changes(r))
        return send_patiently(ctx, s, r, out);
    const char *request = arena_printf(&ctx->arena, "%u %s %s", ++s->kept, r->method, r->url);
    TRY(k->known(ctx, k->arg, request, out, &found));
    if (found)
        return RC_OK;
    TRY(k->asking(ctx, k->arg, request));
    TRY(send_patiently(ctx, s, r, out));
    return out->status < 400 ? k->said(ctx, k->arg, request, out) : RC_OK;
}

static RC run_request(struct ctx *ctx, struct push_session *s, const struct push_step *step, struct push_request *request,
                       const char *prefix, struct push_answer *answer, bool *absent)
{
    bool was_touched = s->touched;
    enum outcome outcome;
    TRY(send_once(ctx, s, request, answer));
    TRY(judge(ctx, s, step, answer, was_touched, &outcome));
    s->wait_s = answer->retry_after_s > 0 ? answer->retry_after_s : 0;
    if (outcome == GOOD && step->has_poll)
        TRY(poll_until(ctx, s, step, request, answer));
    *absent |= outcome == NOTHING_THERE;
    if (outcome == ALREADY)
        return RC_OK;
    return push_read(ctx, s, step, prefix, answer, outcome == NOTHING_THERE);
}

static RC run_once(struct ctx *ctx, struct push_session *s, const struct push_step *step, const char *prefix, bool *absent)
{
    struct push_request request;
    struct push_answer answer = {0};
    TRY(push_build(ctx, s, step, &request));
    return run_request(ctx, s, step, &request, prefix, &answer, absent);
}

/* Whether the step's first read has found something. */
static bool has_found(struct ctx *ctx, const struct push_session *s, const struct push_step *step, const char *prefix)
{
    const char *owner = prefix != NULL ? prefix : step->name;
    return owner != NULL && is_set(s, arena_printf(&ctx->arena, "%s.%s", owner, step->reads[0].name));
}

static RC run_over(struct ctx *ctx, struct push_session *s, const struct push_step *step, const char *prefix, bool *absent)
{
    json_auto_t *list = NULL;
    struct bytes text;
    json_t *v;
    size_t i;
    if (!push_get(s, step->over, &text) || text.n == 0)
        return RC_OK;
    TRY(json_read(ctx, text, &list));
    if (!json_is_array(list) || json_array_size(list) > OVER_MAX)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s should be a list of at most %d", step->over, OVER_MAX);
    json_array_foreach(list, i, v)
    {
        const char *number = json_is_integer(v) ? arena_printf(&ctx->arena, "%lld", (long long)json_integer_value(v)) : NULL;
        if (number == NULL && !json_is_string(v))
            return ctx_fail(ctx, E_BAD_ANSWER, "%s should be a list of texts or numbers", step->over);
        TRY(push_set(ctx, s, "member", bytes_z(number != NULL ? number : json_string_value(v)), true));
        TRY(run_once(ctx, s, step, prefix, absent));
        if (*absent || has_found(ctx, s, step, prefix))
            return RC_OK;
    }
    return RC_OK;
}

/* A cursor is not ours: braces in it are characters. */
static const char *template_of(struct ctx *ctx, struct bytes value)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, CURSOR_MAX);
    for (size_t i = 0; i < value.n && b.n + 2 < CURSOR_MAX; i++) {
        if (value.p[i] == '{' || value.p[i] == '}')
            buf_put_u8(&b, value.p[i]);
        buf_put_u8(&b, value.p[i]);
    }
    return buf_z(&b);
}

static RC run_pages(struct ctx *ctx, struct push_session *s, const struct push_step *step, const char *prefix, bool *absent)
{
    const char *mark = NULL;
    for (int64_t page = 2, pages = 0;; page++) {
        struct push_answer answer = {0};
        struct push_request request;
        struct bytes value;
        bool found;
        TRY(push_build(ctx, s, step, &request));
        if (mark != NULL) {
            const struct push_pairs query = {{{step->more_query, mark}}, 1};
            TRY(push_add_query(ctx, s, &query, &request));
        }
        TRY(run_request(ctx, s, step, &request, prefix, &answer, absent));
        if (*absent || has_found(ctx, s, step, prefix))
            return RC_OK;
        TRY(push_find(ctx, s, &step->more, &answer, false, &value, &found));
        if (!found || value.n == 0)
            return RC_OK;
        if (step->more_counts && (!str_to_i64(value, &pages) || pages < page))
            return RC_OK;
        if (page > PAGES_MAX)
            return ctx_fail(ctx, E_TOO_LARGE, "the answer has more than %d pages", PAGES_MAX);
        mark = step->more_counts ? arena_printf(&ctx->arena, "%lld", (long long)page) : template_of(ctx, value);
    }
}

static RC run_step(struct ctx *ctx, struct push_session *s, const struct push_step *step, const char *prefix, bool *absent)
{
    return step->over != NULL         ? run_over(ctx, s, step, prefix, absent)
           : step->more_query != NULL ? run_pages(ctx, s, step, prefix, absent)
                                      : run_once(ctx, s, step, prefix, absent);
}

static RC run_steps(struct ctx *ctx, struct push_session *s, const struct push_step *steps, size_t n, const char *prefix)
{
    bool absent = false;
    for (size_t i = 0; i < n && !absent; i++) {
        if (!applies(s, &steps[i]))
            continue;
        struct rc rc = run_step(ctx, s, &steps[i], prefix, &absent);
        if (rc_failed(rc))
            return ctx_wrap(ctx, rc, "%s, step %s (%s, line %d)", s->connector.name,
                            steps[i].name != NULL   ? steps[i].name
                            : steps[i].path == NULL ? steps[i].url
                            : *steps[i].path != '\0' ? steps[i].path
                                                     : "/",
                            steps[i].method, steps[i].line);
    }
    return RC_OK;
}

RC push_steps(struct ctx *ctx, struct push_session *s, const struct push_step *steps, size_t n, const char *prefix)
{
    enum push_list list = s->list;
    bool touched = s->touched;
    s->list = PUSH_LOGIN; /* not signed */
    struct rc rc = run_steps(ctx, s, steps, n, prefix);
    s->list = list;
    s->touched = touched; /* a login changes nothing at the target */
    return rc;
}

/* --- see, install, undo */

static bool same(const struct push_identity *a, const struct push_identity *b)
{
    if (*a->fingerprint != '\0' && *b->fingerprint != '\0')
        return strcmp(a->fingerprint, b->fingerprint) == 0;
    if (*a->serial != '\0' && *b->serial != '\0')
        return strcmp(a->serial, b->serial) == 0;
    return strcmp(a->fingerprint, b->fingerprint) == 0 && strcmp(a->serial, b->serial) == 0 && strcmp(a->other, b->other) == 0;
}

static struct push_identity wanted(const struct push_session *s)
{
    struct bytes fingerprint, serial;
    push_get(s, "fingerprint", &fingerprint);
    push_get(s, "serial", &serial);
    /* Values are copies with a NUL after them. */
    return (struct push_identity){fingerprint.n > 0 ? (const char *)fingerprint.p : "", serial.n > 0 ? (const char *)serial.p : "",
                                  ""};
}

static void tell(struct ctx *ctx, struct push_session *s, struct push_seen *out)
{
    struct push_identity new = wanted(s);
    const struct push_identity *is = &s->seen;
    bool known = *new.fingerprint != '\0';
    *out = (struct push_seen){.state = PUSH_OTHER};
    if (known && !nothing(is) && same(is, &new))
        out->state = PUSH_NEW;
    else if (s->loaded && same(is, &s->before))
        out->state = nothing(is) ? PUSH_ABSENT : PUSH_PREVIOUS;
    else if (nothing(is))
        out->state = PUSH_ABSENT;
    if (*is->fingerprint != '\0') {
        get_hex(&ctx->arena, bytes_z(is->fingerprint), &out->fingerprint);
        out->what = arena_printf(&ctx->arena, "the certificate with SHA-256 %.16s…", is->fingerprint);
    } else if (*is->serial != '\0') {
        out->what = arena_printf(&ctx->arena, "the certificate with serial number %.64s", is->serial);
    } else {
        out->what = *is->other != '\0' ? "something that is no certificate" : "no certificate";
    }
    /* What only a serial number identifies has the fingerprint that we know. */
    if (out->state == PUSH_NEW && out->fingerprint.n == 0)
        get_hex(&ctx->arena, bytes_z(new.fingerprint), &out->fingerprint);
}

static RC set_seen(struct ctx *ctx, struct push_session *s)
{
    const char *id = arena_str(&ctx->arena, bytes_of(s->seen.fingerprint, strnlen(s->seen.fingerprint, 16)));
    TRY(push_set(ctx, s, "see.id", bytes_z(id), false));
    TRY(push_set(ctx, s, "see.fingerprint", bytes_z(s->seen.fingerprint), false));
    return push_set(ctx, s, "see.serial", bytes_z(s->seen.serial), false);
}

void push_forget(struct push_session *s, const char *prefix)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n_values; i++)
        if (strncmp(s->values[i].name, prefix, strlen(prefix)) != 0)
            s->values[kept++] = s->values[i];
    s->n_values = kept;
}

RC push_run(struct ctx *ctx, struct push_session *s, const struct push_step *steps, size_t n, const char *prefix, bool look)
{
    s->list = look ? PUSH_SEE : PUSH_INSTALL;
    s->touched = false;
    return run_steps(ctx, s, steps, n, prefix);
}

RC push_see(struct ctx *ctx, struct push_session *s, struct push_seen *out)
{
    push_forget(s, "see."); /* a value that is no longer there must not stay */
    s->list = PUSH_SEE;
    TRY(run_steps(ctx, s, s->desc->see, s->desc->n_see, "see"));
    TRY(push_identify(ctx, s, &s->seen));
    TRY(set_seen(ctx, s));
    tell(ctx, s, out);
    return RC_OK;
}

RC push_install(struct ctx *ctx, struct push_session *s)
{
    struct push_seen now;
    TRY(push_see(ctx, s, &now));
    if (s->loaded && now.state != PUSH_NEW && !same(&s->seen, &s->before))
        return ctx_fail(ctx, E_CHANGED, "%s is there now, which was not there when this deployment began", now.what);
    s->list = PUSH_INSTALL;
    s->touched = false;
    struct rc rc = run_steps(ctx, s, s->desc->install, s->desc->n_install, NULL);
    if (rc.e == E_CHANGED && s->touched) /* begun: not to be begun again from what is there now */
        return ctx_wrap(ctx, rc_of(E_DEPLOY_FAILED), "after a step that changed something");
    return rc;
}

RC push_undo(struct ctx *ctx, struct push_session *s, const struct push_seen *now)
{
    struct push_seen after;
    static const char *const names[] = {[PUSH_ABSENT] = "absent", [PUSH_NEW] = "new", [PUSH_PREVIOUS] = "previous"};
    if (now->state == PUSH_OTHER)
        return ctx_fail(ctx, E_CHANGED, "%s is there: it is somebody else's and stays", now->what);
    s->now = names[now->state];
    s->list = PUSH_UNDO;
    TRY(run_steps(ctx, s, s->desc->undo, s->desc->n_undo, NULL));
    for (unsigned tries = 1;; tries++) {
        TRY(push_see(ctx, s, &after));
        if (same(&s->seen, &s->before))
            return RC_OK;
        if (tries == SETTLE_TRIES)
            return ctx_fail(ctx, E_ROLLBACK_FAILED, "the steps of undo are done, but %s is there", after.what);
        TRY(push_pause(ctx, 250 << tries));
    }
}
