/* Signing in and out.  These routes are public: the session's cookie is all that they ask for, and most of them make it another
 * one. */
#include "base/encode.h"
#include "core/ldap_sign_in.h"
#include "core/sign_in_factor.h"
#include "hub/api.h"
#include "hub/session.h"

#define PASSKEY_TIMEOUT_MS (SIGN_IN_CHALLENGE_S * 1000)

static struct rc session_out(struct api_call *call, const struct session *s, const char *cookie, const struct signed_in *can,
                             struct api_session *out)
{
    struct ctx *ctx = call->ctx;
    struct str_list methods = {0};
    if (can->totp)
        str_list_add(&ctx->arena, &methods, "totp");
    if (can->passkey)
        str_list_add(&ctx->arena, &methods, "passkey");
    if (can->recovery)
        str_list_add(&ctx->arena, &methods, "recovery-code");
    *out = (struct api_session){.id = s->id,
                                .user = s->user,
                                .name = s->name,
                                .state = session_stage_word(s->stage),
                                .methods = api_strings_of(&methods),
                                .created_at = s->created_at,
                                .confirmed_at = s->confirmed_at,
                                .has_confirmed_at = true,
                                .ends_at = s->ends_at};
    return session_csrf(ctx, cookie, &out->csrf);
}

RC api_session_step(struct api_call *call, const struct signed_in *in, struct api_session *out)
{
    session_set(call->ctx, call->resp, in);
    return session_out(call, &in->session, in->cookie, in, out);
}

/* What every request here begins with: no page of another site has sent it. */
static struct rc begin(struct api_call *call, struct sign_in_from *from)
{
    session_from(call->ctx, call->req, from);
    return session_same_site(call->ctx, call->hub, call->req, false);
}

/* The session of the request; `must` says that it has to have one. */
static struct rc current(struct api_call *call, bool must, const struct session **out, const char **cookie)
{
    *out = NULL;
    *cookie = session_cookie(call->ctx, call->req);
    if (!*cookie)
        return must ? ctx_fail(call->ctx, E_UNAUTHENTICATED, "sign in first: POST /api/v1/session") : RC_OK;
    return session_of(call->ctx, call->hub, call->req, *cookie, out);
}

struct can_read {
    const char *user;
    struct sign_in_account account;
    bool found;
};

static struct rc can_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct can_read *c = arg;
    return sign_in_account_get(ctx, txn, c->user, &c->account, &c->found);
}

RC api_session_get(struct api_call *call, struct api_session *out)
{
    struct sign_in_from from;
    const struct session *s;
    const char *cookie;
    TRY(begin(call, &from));
    TRY(current(call, true, &s, &cookie));
    struct can_read c = {.user = s->user};
    TRY(store_read(call->ctx, call->core->store, can_read, &c));
    const struct signed_in can = {.totp = c.account.totp, .passkey = c.account.passkey, .recovery = c.account.recovery};
    return session_out(call, s, cookie, &can, out);
}

RC api_session_create(struct api_call *call, const struct api_session_new *in, struct api_session *out)
{
    struct sign_in_from from;
    struct signed_in done;
    TRY(begin(call, &from));
    TRY(sign_in_password(call->ctx, call->core, &from, in->name, in->password, &done));
    return api_session_step(call, &done, out);
}

RC api_session_directory(struct api_call *call, const struct api_session_directory *in, struct api_session *out)
{
    struct sign_in_from from;
    struct ldap_step step;
    const struct http_request *req = call->req;
    TRY(begin(call, &from));
    TRY(ldap_sign_in(call->ctx, call->core, &from, in->provider, in->name, in->password, req->park_key, req->expired, &step));
    return step.wait_for ? api_park(call, step.wait_for, step.wait_ms) : api_session_step(call, &step.done, out);
}

RC api_session_remove(struct api_call *call)
{
    struct sign_in_from from;
    const struct session *s;
    const char *cookie;
    TRY(begin(call, &from));
    struct rc rc = current(call, false, &s, &cookie);
    if (rc.e == E_UNAUTHENTICATED) /* it has ended already */
        ctx_forget(call->ctx);
    else
        TRY(rc);
    if (s) {
        sign_in_act_as(call->ctx, call->core, s->user, s->name, s->team);
        TRY(sign_in_out(call->ctx, call->core, s));
    }
    session_unset(call->resp);
    return RC_OK;
}

typedef struct rc code_step(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const struct session *s,
                            const char *code, struct signed_in *out);

static struct rc with_code(struct api_call *call, code_step *step, const char *code, struct api_session *out)
{
    struct sign_in_from from;
    struct signed_in done;
    const struct session *s;
    const char *cookie;
    TRY(begin(call, &from));
    TRY(current(call, true, &s, &cookie));
    TRY(step(call->ctx, call->core, &from, s, code, &done));
    return api_session_step(call, &done, out);
}

RC api_session_totp(struct api_call *call, const struct api_session_code *in, struct api_session *out)
{
    return with_code(call, sign_in_totp, in->code, out);
}

RC api_session_recovery(struct api_call *call, const struct api_session_code *in, struct api_session *out)
{
    return with_code(call, sign_in_recovery, in->code, out);
}

RC api_session_confirm(struct api_call *call, const struct api_session_confirm *in, struct api_session *out)
{
    struct sign_in_from from;
    struct signed_in done;
    TRY(begin(call, &from));
    if (call->session->stage != SESSION_DONE)
        return ctx_fail(call->ctx, E_UNAUTHENTICATED, "sign in to the end first: a second factor is missing");
    TRY(sign_in_confirm(call->ctx, call->core, &from, call->session, in->password, &done));
    return api_session_step(call, &done, out);
}

RC api_session_passkey_begin(struct api_call *call, struct api_passkey_question *out)
{
    struct ctx *ctx = call->ctx;
    struct sign_in_from from;
    struct sign_in_site site;
    const struct session *s;
    const char *cookie;
    struct bytes challenge;
    struct passkey *keys = NULL;
    size_t n = 0;
    TRY(begin(call, &from));
    TRY(session_site(ctx, call->hub, call->req, &site));
    if (!site.rp_id)
        return ctx_fail(ctx, E_UNSUPPORTED, "passkeys need the hub to be used by a name, not by an address");
    TRY(current(call, false, &s, &cookie));
    if (s)
        TRY(factor_passkeys(ctx, call->core, s->user, &keys, &n));
    TRY(sign_in_challenge(ctx, call->core, &from, s, "use", &challenge));
    *out = (struct api_passkey_question){.challenge = base64url_str(&ctx->arena, challenge),
                                         .rp_id = site.rp_id,
                                         .user_verification = s ? "preferred" : "required",
                                         .timeout_ms = PASSKEY_TIMEOUT_MS};
    return api_passkey_descriptors(call, keys, n, site.rp_id, &out->credentials);
}

RC api_session_passkey(struct api_call *call, const struct api_passkey_answer *in, struct api_session *out)
{
    struct ctx *ctx = call->ctx;
    struct sign_in_from from;
    struct sign_in_site site;
    struct signed_in done;
    const struct session *s;
    const char *cookie;
    struct passkey_answer a;
    TRY(begin(call, &from));
    TRY(session_site(ctx, call->hub, call->req, &site));
    TRY(current(call, false, &s, &cookie));
    TRY(api_base64url(ctx, "/credential", in->credential, &a.credential));
    TRY(api_base64url(ctx, "/client_data", in->client_data, &a.client_data));
    TRY(api_base64url(ctx, "/authenticator_data", in->authenticator_data, &a.authenticator_data));
    TRY(api_base64url(ctx, "/signature", in->signature, &a.signature));
    TRY(sign_in_passkey(ctx, call->core, &from, s, &site, &a, &done));
    return api_session_step(call, &done, out);
}

RC api_invitation_accept(struct api_call *call, const struct api_invitation_accept *in, struct api_session *out)
{
    struct sign_in_from from;
    struct signed_in done;
    TRY(begin(call, &from));
    TRY(invitation_accept(call->ctx, call->core, &from, in->code, in->name, in->password, &done));
    return api_session_step(call, &done, out);
}
