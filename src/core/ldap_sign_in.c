#include "core/ldap_sign_in.h"

#include "api/types.h"
#include "base/log.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/identity_provider.h"
#include "core/live.h"
#include "core/provider_sign_in.h"
#include "pki/id_token.h"
#include "pki/password.h"
#include "store/queries.h"

#define WRONG      "this is not how anybody signs in here: look at name and password"
#define READY_MS   5000
#define REACHED_S  300 /* how exactly it is noted that a directory answers */
#define LIVE_START "live:"

struct step {
    struct core *core;
    const struct sign_in_from *from;
    const char *provider, *name, *login;
    struct q_identity_provider_get_row row;
    struct q_identity_group_list_row *groups;
    size_t groups_n;
    struct throttle throttle;
    const struct api_live_answer *answer;
    const char *user, *why;
    struct ldap_step *out;
};

/* --- before anything is asked */

static struct rc any_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    return q_identity_ldap_any(ctx, txn, arg);
}

RC ldap_start(struct ctx *ctx, struct core *core)
{
    struct q_identity_ldap_any_row row;
    TRY(store_read(ctx, core->store, any_read, &row));
    if (row.n)
        live_want(core);
    return RC_OK;
}

static struct rc provider_of(struct ctx *ctx, struct txn *txn, const char *name, struct q_identity_provider_get_row *out)
{
    bool found = false;
    TRY(q_identity_provider_get(ctx, txn, name, out, &found));
    if (!found || !str_equal(out->name, name) || !str_equal(out->state, "active") || !str_equal(out->kind, "ldap"))
        return ctx_fail(ctx, E_NOT_FOUND, "nobody signs in by %.64s here", name);
    return RC_OK;
}

/* As it is counted: a directory takes names in any case. */
static struct rc login_of(struct ctx *ctx, const char *name, const char **out)
{
    char *text = arena_strdup(&ctx->arena, name);
    for (char *p = text; *p; p++) {
        if ((uint8_t)*p < 0x20 || *p == 0x7f)
            return ctx_fail(ctx, E_UNAUTHENTICATED, WRONG);
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    }
    *out = text;
    return *text ? RC_OK : ctx_fail(ctx, E_UNAUTHENTICATED, WRONG);
}

/* Counts the try, as of whoever typed this name there last. */
static struct rc step_begin(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct step *st = arg;
    struct q_identity_by_login_row known;
    struct sign_in_account account = {0};
    bool found = false;
    TRY(provider_of(ctx, txn, st->provider, &st->row));
    TRY(q_identity_group_list(ctx, txn, st->row.id, &st->groups, &st->groups_n));
    TRY(q_identity_by_login(ctx, txn, st->row.id, st->login, &known, &found));
    if (found)
        TRY(sign_in_account_get(ctx, txn, known.user_id, &account, &found));
    const char *counted = arena_printf(&ctx->arena, "%s/%s", st->row.name, st->login);
    TRY(throttle_begin(ctx, txn, st->from, counted, found ? account.id : NULL, false, &st->throttle));
    if (!st->throttle.first_wait || !found)
        return RC_OK;
    sign_in_act_as(ctx, st->core, account.id, account.name, account.team);
    return audit_write(ctx, txn, "session.throttle", "user", account.id, account.team, (struct bytes){0});
}

/* What goes with the question and comes back with its answer: how the try was counted. */
static const char *note_put(struct ctx *ctx, const struct throttle *t)
{
    return arena_printf(&ctx->arena, "%d\n%s\n%s", t->known, t->own, t->address ? t->address : "");
}

static void note_read(struct ctx *ctx, const char *note, struct throttle *out)
{
    struct bytes rest = bytes_z(note), known = {0}, own = {0};
    (void)bytes_take_until(&rest, '\n', &known);
    (void)bytes_take_until(&rest, '\n', &own);
    *out = (struct throttle){.known = bytes_equal_z(known, "1"),
                             .own = arena_str(&ctx->arena, own),
                             .address = rest.n ? arena_str(&ctx->arena, rest) : NULL};
}

static struct rc question_of(struct ctx *ctx, const struct q_identity_provider_get_row *row,
                             const struct q_identity_group_list_row *groups, size_t n, const char *user,
                             struct api_live_question *out)
{
    struct str_list names = {0};
    *out = (struct api_live_question){.id = "", .user = user, .credential = row->credential};
    TRY(identity_provider_directory(ctx, row, &out->directory));
    for (size_t i = 0; i < n; i++)
        if (!str_list_has(&names, groups[i].name))
            str_list_add(&ctx->arena, &names, groups[i].name);
    out->groups = (struct api_strings){names.v, names.n};
    return RC_OK;
}

/* --- a try that was not looked at counts for nothing */

struct undo {
    const struct throttle *throttle;
    const char *provider, *why; /* NULL: it is not the directory's fault */
};

static struct rc undo_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct undo *u = arg;
    struct q_identity_provider_get_row row;
    bool found = false;
    TRY(q_failure_less(ctx, txn, u->throttle->own));
    if (u->throttle->address)
        TRY(q_failure_less(ctx, txn, u->throttle->address));
    if (!u->why)
        return RC_OK;
    TRY(q_identity_provider_get(ctx, txn, u->provider, &row, &found));
    return found ? q_identity_provider_failed(ctx, txn, row.id, u->why, ctx_now_s(ctx)) : RC_OK;
}

/* What is wrong with a directory is told to administrators, and who signs in that it is not them. */
static struct rc undo(struct ctx *ctx, const struct step *st, struct rc why)
{
    const bool busy = why.e == E_BUSY || why.e == E_NO_MEMORY;
    struct undo u = {.throttle = &st->throttle, .provider = st->provider, .why = arena_strdup(&ctx->arena, ctx_why(ctx))};
    log_event(LOG_WARN_, "directory_not_asked", "provider", st->provider, "error", err_info(why.e)->name, "why", u.why, NULL);
    ctx_forget(ctx);
    const char *words = u.why;
    if (busy)
        u.why = NULL;
    TRY(store_write(ctx, st->core->store, undo_write, &u));
    if (busy)
        return ctx_fail(ctx, why.e, "%s", words);
    ctx->retry_after_s = 30;
    return ctx_fail(ctx, why.e == E_TIMEOUT ? E_TIMEOUT : E_UNREACHABLE,
                    "%s cannot say now whether it is you; an administrator sees why with: certwright identity-provider test %s",
                    st->provider, st->provider);
}

/* --- asking */

static struct rc ask(struct ctx *ctx, struct step *st, const struct secret *password)
{
    struct api_live_question q;
    const char *id = NULL;
    TRY(store_write(ctx, st->core->store, step_begin, st));
    struct rc rc = question_of(ctx, &st->row, st->groups, st->groups_n, st->name, &q);
    if (rc_ok(rc))
        rc = live_ask(ctx, st->core, st->from->address, password, &q, note_put(ctx, &st->throttle), &id);
    if (rc_failed(rc))
        return undo(ctx, st, rc);
    st->out->wait_for = live_key(ctx, id);
    st->out->wait_ms = LIVE_MS;
    return RC_OK;
}

struct open {
    const char *name;
    struct q_identity_provider_get_row row;
};

static struct rc open_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct open *o = arg;
    return provider_of(ctx, txn, o->name, &o->row);
}

/* An agent that has just started is waited for a moment. */
static struct rc agent_ready(struct ctx *ctx, struct core *core, bool last, const char **wait_for, int64_t *wait_ms)
{
    if (live_ready(core))
        return RC_OK;
    if (last)
        return ctx_fail(ctx, E_BUSY, "the hub's own agent does not answer: it starts, or does not run");
    *wait_for = LIVE_READY;
    *wait_ms = READY_MS;
    return RC_OK;
}

static struct rc begin(struct ctx *ctx, struct step *st, const struct secret *password, bool last)
{
    struct open o = {.name = st->provider};
    TRY(store_read(ctx, st->core->store, open_read, &o));
    TRY(agent_ready(ctx, st->core, last, &st->out->wait_for, &st->out->wait_ms));
    return st->out->wait_for ? RC_OK : ask(ctx, st, password);
}

/* --- taking the answer */

static struct rc person_of(struct ctx *ctx, const struct step *st, struct id_token *out)
{
    const struct api_live_answer *a = st->answer;
    *out = (struct id_token){.subject = a->subject,
                             .name = a->name,
                             .username = a->login && *a->login ? a->login : st->name,
                             .email = a->mail && *a->mail ? a->mail : NULL};
    for (size_t i = 0; i < a->groups.n; i++)
        str_list_add(&ctx->arena, &out->groups, a->groups.v[i]);
    if (!a->subject || !*a->subject)
        return ctx_fail(ctx, E_BAD_ANSWER, "the agent does not say who was found");
    for (const char *p = a->subject; *p; p++)
        if ((uint8_t)*p < 0x20 || *p == 0x7f)
            return ctx_fail(ctx, E_BAD_ANSWER, "what the directory says of who somebody is has control characters");
    return RC_OK;
}

/* Who was found, however they were typed. */
static const char *person_key(struct ctx *ctx, const struct step *st)
{
    const struct api_live_answer *a = st->answer;
    return arena_printf(&ctx->arena, "%s/%s", st->provider, a->subject && *a->subject ? a->subject : a->dn ? a->dn : "");
}

/* Counted before it is told whether the password was right. */
static struct rc person_counts(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct step *st = arg;
    return throttle_person(ctx, txn, &st->throttle, person_key(ctx, st));
}

static struct rc take(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct step *st = arg;
    struct id_token who;
    struct api_directory d;
    struct sign_in_account account;
    bool found = false;
    const int64_t now = ctx_now_s(ctx);
    ctx->principal = access_hub(ctx, st->core); /* the closure may run again */
    TRY(provider_of(ctx, txn, st->provider, &st->row));
    TRY(identity_provider_directory(ctx, &st->row, &d));
    TRY(person_of(ctx, st, &who));
    st->row.group_claim = *d.group_attribute || *d.group_filter ? "groups" : "";
    TRY(throttle_passed(ctx, txn, &st->throttle));
    TRY(throttle_person_passed(ctx, txn, &st->throttle, person_key(ctx, st)));
    TRY(q_identity_provider_reached(ctx, txn, st->row.id, now, now - REACHED_S));
    TRY(provider_account(ctx, st->core, txn, &st->row, &who, &st->user, &st->why));
    const char *by = identity_provider_grant_source(ctx, st->row.name);
    if (st->why)
        return audit_write(ctx, txn, "session.refused", "identity-provider", st->row.id, st->core->team_root,
                           audit_facts(ctx, "by", by, "why", st->why, "subject", who.subject, NULL));
    TRY(q_identity_login(ctx, txn, st->row.id, who.subject, st->login));
    TRY(sign_in_account_get(ctx, txn, st->user, &account, &found));
    const enum session_stage own = account.totp || account.passkey ? SESSION_SECOND : SESSION_ENROL;
    return sign_in_step(ctx, txn, st->from, NULL, str_equal(d.second_factor, "directory") ? SESSION_DONE : own, st->user, by,
                        &st->out->done);
}

/* It is counted as failed already; what the directory said is for the log alone. */
static struct rc refused(struct ctx *ctx, const struct step *st)
{
    const struct api_live_answer *a = st->answer;
    const char *why = str_equal(a->state, "several")  ? "more than one entry fits what was typed: the user filter is too wide"
                      : str_equal(a->state, "absent") ? "nobody of that name is there"
                      : a->why && *a->why             ? a->why
                                                      : "the directory does not let them in";
    log_event(LOG_INFO_, "directory_refused", "provider", st->provider, "dn", a->dn, "peer", st->from->address, "why", why, NULL);
    return ctx_fail(ctx, E_UNAUTHENTICATED, WRONG);
}

static struct rc end(struct ctx *ctx, struct step *st, const char *id, bool last)
{
    const char *note = NULL;
    struct rc rc = live_look(ctx, st->core, id, last, &st->answer, &note);
    if (note)
        note_read(ctx, note, &st->throttle);
    if (rc_failed(rc))
        return note ? undo(ctx, st, rc) : rc;
    if (!st->answer) {
        st->out->wait_for = live_key(ctx, id);
        return RC_OK;
    }
    const bool good = str_equal(st->answer->state, "good");
    if (good || str_equal(st->answer->state, "wrong"))
        TRY(store_write(ctx, st->core->store, person_counts, st));
    if (!good)
        return refused(ctx, st);
    rc = store_write(ctx, st->core->store, take, st);
    if (rc_failed(rc) || st->why)
        ctx->principal = NULL; /* nobody is signed in */
    TRY(rc);
    return st->why ? ctx_fail(ctx, E_UNAUTHENTICATED, "%s", st->why) : RC_OK;
}

RC ldap_sign_in(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const char *provider, const char *name,
                const char *password, const char *parked, bool last, struct ldap_step *out)
{
    SECRET_CLEANUP struct secret s = {0};
    struct step st = {.core = core, .from = from, .provider = provider, .name = name, .out = out};
    const size_t n = strlen(password);
    *out = (struct ldap_step){0};
    struct rc rc = n <= PASSWORD_BYTES_MAX ? secret_from(ctx, &s, bytes_of(password, n)) : ctx_fail(ctx, E_UNAUTHENTICATED, WRONG);
    wipe((void *)(uintptr_t)password, n);
    TRY(rc);
    TRY(login_of(ctx, name, &st.login));
    if (parked && !str_equal(parked, LIVE_READY))
        return end(ctx, &st, parked + strlen(LIVE_START), last);
    if (n == 0) /* to a directory it would be no try at all, and go well (RFC 4513 section 5.1.2) */
        return ctx_fail(ctx, E_UNAUTHENTICATED, WRONG);
    return begin(ctx, &st, &s, last);
}

/* --- administrators ask */

static struct rc test_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct step *st = arg;
    bool found = false;
    TRY(access_everywhere(ctx, st->core, txn, "identity-provider.update"));
    TRY(q_identity_provider_get(ctx, txn, st->provider, &st->row, &found));
    if (!found)
        return ctx_fail(ctx, E_NOT_FOUND, "no identity provider is named %s; certwright identity-provider list shows them",
                        st->provider);
    return q_identity_group_list(ctx, txn, st->row.id, &st->groups, &st->groups_n);
}

static void grants_pick(struct ctx *ctx, const struct step *st, struct ldap_tested *out)
{
    out->grants = arena_array(&ctx->arena, st->groups_n + 1, sizeof *out->grants);
    for (size_t i = 0; i < st->groups_n; i++)
        for (size_t k = 0; k < out->answer->groups.n; k++)
            if (str_equal(st->groups[i].name, out->answer->groups.v[k])) {
                out->grants[out->grants_n++] = st->groups[i];
                break;
            }
}

RC ldap_test(struct ctx *ctx, struct core *core, const char *ref, const char *address, const char *user, const char *parked,
             bool last, struct ldap_tested *out)
{
    struct step st = {.core = core, .provider = ref};
    struct api_live_question q;
    const char *id = NULL, *note = NULL;
    *out = (struct ldap_tested){0};
    TRY(store_read(ctx, core->store, test_read, &st));
    TRY(question_of(ctx, &st.row, st.groups, st.groups_n, user ? user : "", &q));
    if (!parked || str_equal(parked, LIVE_READY)) {
        TRY(agent_ready(ctx, core, last, &out->wait_for, &out->wait_ms));
        if (out->wait_for)
            return RC_OK;
        TRY(live_ask(ctx, core, address, NULL, &q, "", &id));
        out->wait_for = live_key(ctx, id);
        out->wait_ms = LIVE_MS;
        return RC_OK;
    }
    TRY(live_look(ctx, core, parked + strlen(LIVE_START), last, &out->answer, &note));
    if (!out->answer)
        out->wait_for = parked;
    else
        grants_pick(ctx, &st, out);
    return RC_OK;
}
