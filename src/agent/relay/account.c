#include "agent/relay/account.h"

#include "base/failpoint.h"

static RC refused(struct ctx *ctx, const struct relay_session *s, const char *words)
{
    return ctx_fail(ctx, E_ACCOUNT, "the CA no longer accepts the account %s: %s", s->account_url, words);
}

RC relay_account_look(struct ctx *ctx, struct relay_session *s, struct acme_account *out)
{
    struct http_answer answer;
    struct rc rc = relay_fetch(ctx, s, s->account_url, "the account", &answer);
    if (rc_failed(rc) && relay_account_refused(s)) {
        ctx_forget(ctx);
        return refused(ctx, s, acme_problem_text(ctx, &s->problem));
    }
    TRY(rc);
    return acme_account_parse(ctx, answer.body, out);
}

RC relay_account_blame(struct ctx *ctx, struct relay_session *s, struct rc rc)
{
    struct acme_account account;
    if (rc_ok(rc) || s->account_url == NULL || !acme_problem_is(&s->problem, "unauthorized"))
        return rc;
    const char *why = ctx_why(ctx);
    ctx_forget(ctx);
    struct rc look = relay_account_look(ctx, s, &account);
    if (look.e == E_ACCOUNT)
        return look;
    if (rc_ok(look) && account.status != ACME_VALID)
        return refused(ctx, s, arena_printf(&ctx->arena, "it is %s", acme_status_text(account.status)));
    ctx_forget(ctx);
    return ctx_fail(ctx, rc.e, "%s", why);
}

/* By its URL; one that is lost, or that the CA does not know, is found by the key. */
static RC find(struct ctx *ctx, struct relay_session *s, struct acme_account *account)
{
    bool found = false;
    if (s->account_url != NULL) {
        struct rc rc = relay_account_look(ctx, s, account);
        if (rc.e != E_ACCOUNT || !acme_problem_is(&s->problem, "accountDoesNotExist"))
            return rc;
        ctx_forget(ctx);
    }
    TRY(relay_account_find(ctx, s, false, &found));
    if (!found)
        return ctx_fail(ctx, E_NOT_FOUND, "the CA knows no account of this key; the first order makes it");
    return relay_account_look(ctx, s, account);
}

/* The CA may have the key already: its answer was lost, or nobody noted it. */
static RC rollover(struct ctx *ctx, struct relay_session *s)
{
    struct wire_relay_sign req = {.operation = WIRE_relay_sign_operation_key_change, .url = s->directory.key_change};
    struct acme_account account;
    struct http_answer answer;
    bool found = false;
    const char *url = s->account_url;
    if (s->directory.key_change == NULL)
        return ctx_fail(ctx, E_UNSUPPORTED, "the CA cannot change the key of an account (its directory has no keyChange)");
    TRY(relay_account_find(ctx, s, true, &found));
    if (!found) {
        s->account_url = url;
        TRY(find(ctx, s, &account));
        TRY(relay_post(ctx, s, &req, "another key for the account", &answer));
        FAILPOINT("relay.after_key_change");
        url = s->account_url;
        TRY(relay_account_find(ctx, s, true, &found));
    }
    if (!found || (url != NULL && strcmp(url, s->account_url) != 0))
        return ctx_fail(ctx, E_BAD_ANSWER, "the CA has taken the new key and does not know its account");
    return RC_OK;
}

static RC renew(struct ctx *ctx, struct relay_session *s, const struct wire_relay_acme_account *in)
{
    struct wire_relay_sign req = {.operation = WIRE_relay_sign_operation_new_account,
                                  .url = s->directory.new_account,
                                  .contacts = in->contacts,
                                  .terms_agreed = in->terms_agreed,
                                  .next_key = true};
    struct http_answer answer;
    TRY(relay_post(ctx, s, &req, "an account", &answer));
    FAILPOINT("relay.after_new_account");
    TRY(relay_check_url(ctx, s, "the account", answer.location));
    s->account_url = answer.location;
    return RC_OK;
}

static RC change(struct ctx *ctx, struct relay_session *s, struct wire_relay_sign *req, const char *what,
                 struct acme_account *account)
{
    struct http_answer answer;
    TRY(find(ctx, s, account));
    req->url = s->account_url;
    TRY(relay_post(ctx, s, req, what, &answer));
    return acme_account_parse(ctx, answer.body, account);
}

/* As the first order would: found, or made (and bound to what the CA knows us by). */
static RC ready(struct ctx *ctx, struct relay_session *s, const struct wire_relay_acme_account *in, struct acme_account *account)
{
    struct rc rc = find(ctx, s, account);
    if (rc.e != E_NOT_FOUND)
        return rc;
    ctx_forget(ctx);
    s->account_url = NULL;
    return relay_account(ctx, s, in->contacts, in->terms_agreed);
}

static RC do_verb(struct ctx *ctx, struct relay_session *s, const struct wire_relay_acme_account *in, struct acme_account *account)
{
    struct wire_relay_sign update = {.operation = WIRE_relay_sign_operation_update_account, .contacts = in->contacts};
    struct wire_relay_sign end = {.operation = WIRE_relay_sign_operation_deactivate_account};
    account->status = ACME_VALID;
    switch (in->verb) {
    case WIRE_relay_acme_account_verb_show: return find(ctx, s, account);
    case WIRE_relay_acme_account_verb_renew: return renew(ctx, s, in);
    case WIRE_relay_acme_account_verb_rollover: return rollover(ctx, s);
    case WIRE_relay_acme_account_verb_update: return change(ctx, s, &update, "other contacts of the account", account);
    case WIRE_relay_acme_account_verb_ready: return ready(ctx, s, in, account);
    case WIRE_relay_acme_account_verb_deactivate: return change(ctx, s, &end, "the end of the account", account);
    }
    return ctx_fail(ctx, E_UNSUPPORTED, "this agent does not know what to do with the account: upgrade it");
}

RC relay_account_run(struct ctx *ctx, struct relay_session *s, const struct wire_relay_acme_account *in,
                     struct wire_relay_acme_account_done *out)
{
    struct acme_account account = {0};
    struct str_list profiles = {0};
    s->account_url = in->account_url[0] == 0 ? NULL : in->account_url;
    TRY(do_verb(ctx, s, in, &account));
    for (size_t i = 0; i < s->directory.n_profiles; i++)
        str_list_add(&ctx->arena, &profiles, s->directory.profiles[i].name);
    *out = (struct wire_relay_acme_account_done){.account_url = s->account_url,
                                                 .status = acme_status_text(account.status),
                                                 .contacts = {account.contacts.v, account.contacts.n},
                                                 .profiles = {profiles.v, profiles.n},
                                                 .terms_of_service = s->directory.terms_of_service};
    return RC_OK;
}
