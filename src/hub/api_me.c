/* What people do about themselves: their sessions, and what they sign in with; and the links that others give them. */
#include "base/encode.h"
#include "base/json.h"
#include "core/sign_in_factor.h"
#include "hub/api.h"
#include "hub/session.h"
#include "pki/webauthn.h"
#include "store/queries.h"

RC api_base64url(struct ctx *ctx, const char *pointer, const char *text, struct bytes *out)
{
    return get_base64url(&ctx->arena, bytes_z(text), out) ? RC_OK
                                                          : ctx_fail_field(ctx, pointer, "%s is not base64url", pointer + 1);
}

RC api_passkey_descriptors(struct api_call *call, const struct passkey *keys, size_t n, const char *rp_id,
                           struct api_passkey_descriptor_list *out)
{
    struct ctx *ctx = call->ctx;
    struct api_passkey_descriptor *all = arena_array(&ctx->arena, n, sizeof *all);
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (!str_equal(keys[i].rp_id, rp_id))
            continue;
        all[used].id = base64url_str(&ctx->arena, keys[i].credential);
        TRY(api_strings_of_json(ctx, keys[i].transports, &all[used].transports));
        used++;
    }
    *out = (struct api_passkey_descriptor_list){all, used};
    return RC_OK;
}

static struct rc signed_in(struct api_call *call)
{
    if (call->session->stage == SESSION_DONE)
        return RC_OK;
    return ctx_fail(call->ctx, E_UNAUTHENTICATED, "sign in to the end first: a second factor is missing");
}

struct me {
    const char *user;
    struct sign_in_account account;
    struct q_sign_in_label_row label;
    struct q_sign_in_account_row row;
    bool found;
};

static struct rc me_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct me *m = arg;
    TRY(q_sign_in_account_id(ctx, txn, m->user, &m->row, &m->found));
    return m->found ? q_sign_in_label(ctx, txn, m->user, &m->label) : ctx_fail(ctx, E_UNAUTHENTICATED, "the account is gone");
}

RC api_me_get(struct api_call *call, struct api_me *out)
{
    struct me m = {.user = call->session->user};
    TRY(store_read(call->ctx, call->core->store, me_read, &m));
    *out = (struct api_me){.id = m.row.id,
                           .name = m.row.name,
                           .display_name = m.label.display_name,
                           .email = m.label.email,
                           .password = m.row.password != NULL,
                           .totp = m.row.totp > 0,
                           .passkeys = m.row.passkeys,
                           .recovery_codes = m.row.codes};
    return RC_OK;
}

/* --- sessions */

RC api_me_session_list(struct api_call *call, struct api_session_page *out)
{
    struct session *all = NULL;
    size_t n = 0;
    TRY(signed_in(call));
    TRY(session_list(call->ctx, call->core, call->session->user, &all, &n));
    struct api_session_view *items = arena_array(&call->ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct api_session_view){.id = all[i].id,
                                             .state = session_stage_word(all[i].stage),
                                             .current = str_equal(all[i].id, call->session->id),
                                             .address = all[i].address,
                                             .client = all[i].client,
                                             .created_at = all[i].created_at,
                                             .used_at = all[i].used_at,
                                             .ends_at = all[i].ends_at};
    out->items = (struct api_session_view_list){items, n};
    return RC_OK;
}

RC api_me_session_remove(struct api_call *call)
{
    TRY(signed_in(call));
    return session_end(call->ctx, call->core, call->session, call->path[0]);
}

RC api_me_session_remove_others(struct api_call *call)
{
    TRY(signed_in(call));
    return session_end_others(call->ctx, call->core, call->session);
}

/* --- password, authenticator app, recovery codes */

RC api_me_password(struct api_call *call, const struct api_password_change *in, struct api_session *out)
{
    struct sign_in_from from;
    struct signed_in done;
    session_from(call->ctx, call->req, &from);
    TRY(factor_password(call->ctx, call->core, &from, call->session, in->old, in->password, &done));
    return api_session_step(call, &done, out);
}

RC api_me_totp_begin(struct api_call *call, struct api_totp_secret *out)
{
    return factor_totp_begin(call->ctx, call->core, call->session, &out->secret, &out->uri);
}

RC api_me_totp_confirm(struct api_call *call, const struct api_session_code *in, struct api_session *out)
{
    struct sign_in_from from;
    struct signed_in done;
    session_from(call->ctx, call->req, &from);
    TRY(factor_totp_confirm(call->ctx, call->core, &from, call->session, in->code, &done));
    return api_session_step(call, &done, out);
}

RC api_me_totp_remove(struct api_call *call)
{
    return factor_totp_remove(call->ctx, call->core, call->session);
}

RC api_me_recovery(struct api_call *call, struct api_recovery_codes *out)
{
    const char **codes = arena_array(&call->ctx->arena, RECOVERY_CODES, sizeof *codes);
    TRY(factor_recovery(call->ctx, call->core, call->session, codes));
    out->codes = (struct api_strings){codes, RECOVERY_CODES};
    return RC_OK;
}

/* --- passkeys */

RC api_me_passkey_list(struct api_call *call, struct api_passkey_page *out)
{
    struct passkey *keys = NULL;
    size_t n = 0;
    TRY(signed_in(call));
    TRY(factor_passkeys(call->ctx, call->core, call->session->user, &keys, &n));
    struct api_passkey *items = arena_array(&call->ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct api_passkey){.id = keys[i].id,
                                        .name = keys[i].name,
                                        .rp_id = keys[i].rp_id,
                                        .created_at = keys[i].created_at,
                                        .used_at = keys[i].used_at,
                                        .has_used_at = keys[i].used_at != 0};
    out->items = (struct api_passkey_list){items, n};
    return RC_OK;
}

RC api_me_passkey_begin(struct api_call *call, struct api_passkey_wish *out)
{
    static const int64_t algorithms[] = {WEBAUTHN_ES256, WEBAUTHN_RS256};
    struct ctx *ctx = call->ctx;
    struct sign_in_from from;
    struct sign_in_site site;
    struct bytes challenge;
    struct passkey *keys = NULL;
    size_t n = 0;
    struct me m = {.user = call->session->user};
    session_from(ctx, call->req, &from);
    TRY(session_site(ctx, call->hub, call->req, &site));
    if (!site.rp_id)
        return ctx_fail(ctx, E_UNSUPPORTED, "passkeys need the hub to be used by a name, not by an address");
    TRY(store_read(ctx, call->core->store, me_read, &m));
    TRY(factor_passkeys(ctx, call->core, m.user, &keys, &n));
    TRY(sign_in_challenge(ctx, call->core, &from, call->session, "make", &challenge));
    *out = (struct api_passkey_wish){.challenge = base64url_str(&ctx->arena, challenge),
                                     .rp_id = site.rp_id,
                                     .rp_name = arena_printf(&ctx->arena, "Certwright %.64s", call->core->name),
                                     .user_id = base64url_str(&ctx->arena, bytes_z(m.user)),
                                     .user_name = m.row.name,
                                     .display_name = m.label.display_name[0] ? m.label.display_name : m.row.name,
                                     .algorithms = {algorithms, sizeof algorithms / sizeof *algorithms},
                                     .timeout_ms = SIGN_IN_CHALLENGE_S * 1000};
    return api_passkey_descriptors(call, keys, n, site.rp_id, &out->exclude);
}

RC api_me_passkey_add(struct api_call *call, const struct api_passkey_new *in, struct api_passkey_made *out)
{
    struct ctx *ctx = call->ctx;
    struct sign_in_from from;
    struct sign_in_site site;
    struct signed_in done;
    struct passkey_new new = {.name = in->name, .transports = api_strings_json(ctx, &in->transports)};
    session_from(ctx, call->req, &from);
    TRY(session_site(ctx, call->hub, call->req, &site));
    TRY(api_base64url(ctx, "/client_data", in->client_data, &new.client_data));
    TRY(api_base64url(ctx, "/attestation", in->attestation, &new.attestation));
    TRY(factor_passkey_add(ctx, call->core, &from, call->session, &site, &new, &out->id, &done));
    out->name = in->name;
    return api_session_step(call, &done, &out->session);
}

RC api_me_passkey_remove(struct api_call *call)
{
    return factor_passkey_remove(call->ctx, call->core, call->session, call->path[0]);
}

/* --- links for others */

static void invitation_out(struct api_call *call, const struct invitation_made *made, struct api_invitation *out)
{
    const struct hub_tls_settings *tls = call->hub->tls;
    *out = (struct api_invitation){.name = made->name, .code = made->code, .expires_at = made->expires_at};
    if (tls && tls->dns_names_n && call->hub->https_port)
        out->link = arena_printf(&call->ctx->arena, "https://%s:%lld/sign-in?code=%s", tls->dns_names[0],
                                 (long long)call->hub->https_port, made->code);
}

RC api_user_invite(struct api_call *call, struct api_invitation *out)
{
    struct invitation_made made;
    TRY(invitation_create(call->ctx, call->core, call->path[0], &made));
    invitation_out(call, &made, out);
    return RC_OK;
}

RC api_user_reset(struct api_call *call, struct api_invitation *out)
{
    struct invitation_made made;
    TRY(user_reset(call->ctx, call->core, call->path[0], &made));
    invitation_out(call, &made, out);
    return RC_OK;
}
