#include "hub/sign_in.h"

#include "base/encode.h"
#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/sign_in_factor.h"
#include "os/file.h"
#include "pki/digest.h"
#include "store/queries.h"

#define LINK_FILE "sign-in"
#define LINK_LIFE_S 86400
#define TOKEN_LIFE_S (12 * 3600)

struct link {
    struct core *core;
    struct bytes hash, token_hash;
    const char *token;
};

static struct rc link_keep(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct link *l = arg;
    const struct q_token_add_in in = {.id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                                      .team_id = l->core->team_root,
                                      .name = "sign-in link",
                                      .role = SIGN_IN_LINK_ROLE,
                                      .hash = l->hash,
                                      .now = ctx_now_s(ctx),
                                      .expires_at = ctx_now_s(ctx) + LINK_LIFE_S};
    struct rc rc = q_token_add(ctx, txn, &in);
    if (rc.e != E_EXISTS) /* kept by a start that died before it removed the file */
        return rc;
    ctx_forget(ctx);
    return rc_of(E_EXISTS);
}

RC sign_in_take(struct ctx *ctx, struct core *core, const char *folder)
{
    FD_CLEANUP int dir = -1;
    TRY(file_open_dir(ctx, folder, &dir));
    struct bytes text;
    struct link l = {.core = core};
    struct rc rc = file_read_at(ctx, dir, LINK_FILE, 128, &text);
    if (rc.e == E_NOT_FOUND) {
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(rc);
    if (!get_hex(&ctx->arena, text, &l.hash) || l.hash.n != SHA256_LEN)
        return ctx_fail(ctx, E_INVALID, "%s/" LINK_FILE " is not what certwright init wrote; remove it", folder);
    ctx->principal = access_hub(ctx, core);
    rc = store_write(ctx, core->store, link_keep, &l);
    if (rc.e != E_EXISTS)
        TRY(rc);
    return file_remove(ctx, dir, LINK_FILE);
}

static struct rc redeem(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct link *l = arg;
    struct q_token_by_hash_row row;
    bool found = false;
    const int64_t now = ctx_now_s(ctx);
    struct q_invitation_by_hash_row invitation;
    TRY(q_invitation_by_hash(ctx, txn, l->hash, now, &invitation, &found));
    if (found)
        return ctx_fail(ctx, E_CONFLICT, "with this link a password is set: POST /api/v1/invitation; nothing was used up");
    TRY(q_token_by_hash(ctx, txn, l->hash, now, &row, &found));
    if (!found || !str_equal(row.role, SIGN_IN_LINK_ROLE))
        return ctx_fail(ctx, E_UNAUTHENTICATED,
                        "the link was used, or is older than a day; as root on the hub's host: certwright token add NAME");
    TRY(q_token_revoke(ctx, txn, row.id, now));
    const char *id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    const struct q_token_add_in in = {.id = id,
                                      .team_id = row.team_id,
                                      .name = arena_printf(&ctx->arena, "signed-in-%.6s", id + 20),
                                      .role = "administrator",
                                      .hash = l->token_hash,
                                      .now = now,
                                      .expires_at = now + TOKEN_LIFE_S};
    TRY(q_token_add(ctx, txn, &in));
    return audit_write(ctx, txn, "sign-in", "token", id, row.team_id,
                       audit_change(ctx, (struct bytes){0}, audit_facts(ctx, "name", in.name, "role", in.role, NULL)));
}

static void page(struct http_response *resp, const char *body_before, const char *value, const char *body_after)
{
    resp->status = 200;
    http_response_header(resp, "Content-Type", "text/html; charset=utf-8");
    http_response_header(resp, "Content-Security-Policy",
                         "default-src 'none'; style-src 'none'; form-action 'self'; frame-ancestors 'none'");
    http_response_header(resp, "Cache-Control", "no-store");
    http_response_header(resp, "Referrer-Policy", "no-referrer");
    buf_put_z(&resp->body, "<!doctype html><html lang=\"en\"><title>Certwright</title><h1>Certwright</h1>");
    buf_put_z(&resp->body, body_before);
    buf_put_z(&resp->body, value); /* base64url or a token: nothing that HTML would read */
    buf_put_z(&resp->body, body_after);
}

static bool code_valid(struct bytes code)
{
    for (size_t i = 0; i < code.n; i++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", code.p[i]) || !code.p[i])
            return false;
    return code.n > 0 && code.n <= 64;
}

static struct rc code_of(struct ctx *ctx, struct bytes query, const char **out)
{
    struct bytes code = query;
    if (!bytes_starts_with(query, BYTES_LIT("code=")) || !bytes_skip(&code, 5) || !code_valid(code))
        return ctx_fail(ctx, E_INVALID, "the link has no code in it; copy all of it");
    *out = arena_str(&ctx->arena, code);
    return RC_OK;
}

RC sign_in_handle(struct ctx *ctx, struct hub *hub, const struct http_request *req, struct http_response *resp)
{
    const char *code = NULL;
    if (str_equal(req->method, "GET")) {
        TRY(code_of(ctx, req->query, &code));
        page(resp,
             "<p>Sign in once as administrator.<form method=\"post\" action=\"/sign-in\"><input type=\"hidden\" name=\"code\" "
             "value=\"",
             code, "\"><button>Sign in</button></form>");
        return buf_status(&resp->body);
    }
    if (!str_equal(req->method, "POST"))
        return ctx_fail(ctx, E_METHOD, "GET or POST");
    TRY(code_of(ctx, req->body, &code));
    struct link l = {.core = hub->core};
    TRY(digest_sha256_new(ctx, bytes_z(code), &l.hash));
    TRY(token_text_new(ctx, &l.token, &l.token_hash));
    ctx->principal = access_hub(ctx, hub->core);
    TRY(store_write(ctx, hub->core->store, redeem, &l));
    page(resp, "<p>Your token, good for twelve hours and shown this once:<pre>", l.token,
         "</pre><p>Use it as <code>Authorization: Bearer …</code>, or put it in a file for <code>certwright --token-file</code>.");
    return buf_status(&resp->body);
}
