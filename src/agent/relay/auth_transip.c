/* TransIP: https://api.transip.nl/rest/docs.html#header-authentication.  A login whose body is signed gives a token for a while. */
#include "agent/relay/auth_rsa.h"

#include "agent/relay/auth_oauth2.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/random.h"

#define LIFE_S    1800
#define TOKEN_MAX ((size_t)15000)

RC transip_sign(struct ctx *ctx, struct bytes body, const struct key *key, struct buf *out)
{
    struct bytes signature;
    TRY(key_sign_sha512(ctx, key, body, &signature));
    put_base64(out, signature);
    return buf_status(out);
}

RC transip_read(struct ctx *ctx, struct bytes text, const char **token)
{
    json_auto_t *root = NULL;
    TRY(json_read(ctx, text, &root));
    if (!json_is_object(root))
        return ctx_fail(ctx, E_BAD_ANSWER, "it is no JSON object");
    TRY(json_get_str(ctx, root, "token", true, token));
    size_t n = strlen(*token);
    return n > 0 && n <= TOKEN_MAX ? RC_OK : ctx_fail(ctx, E_BAD_ANSWER, "it gives a token of %zu bytes", n);
}

static RC put_login(struct ctx *ctx, struct push_session *s, struct buf *out)
{
    const char *nonce = id_new(&ctx->arena, push_clock_s(ctx) * 1000);
    struct json_out j;
    json_begin(&j, out);
    json_open_obj(&j, NULL);
    json_put_bytes_str(&j, "login", push_setting(s, "login"));
    json_put_str(&j, "nonce", nonce);
    json_put_bool(&j, "read_only", false);
    json_put_str(&j, "expiration_time", "30 minutes");
    json_put_str(&j, "label", arena_printf(&ctx->arena, "certwright %s", nonce)); /* no two tokens may have the same */
    json_put_bool(&j, "global_key", bytes_equal_z(push_setting(s, "global_key"), "true"));
    json_close(&j);
    return buf_status(out);
}

/* What it says in words, without what we sent. */
static const char *words(struct ctx *ctx, struct bytes text)
{
    json_auto_t *root = NULL;
    const char *error = NULL;
    struct trail_entry *trail = ctx->trail;
    if (rc_failed(json_read(ctx, text, &root)) || !json_is_object(root) ||
        rc_failed(json_get_str(ctx, root, "error", true, &error)))
        error = "nothing more";
    ctx->trail = trail;
    char *out = arena_printf(&ctx->arena, "%.200s", error);
    for (char *p = out; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
            *p = ' ';
    return out;
}

static RC ask(struct ctx *ctx, struct push_session *s)
{
    SECRET_CLEANUP struct secret pem = {0};
    KEY_CLEANUP struct key *key = NULL;
    struct push_request r = {.method = "POST", .url = arena_str(&ctx->arena, push_setting(s, "url")), .has_body = true};
    struct push_answer a = {0};
    struct buf *body = push_room(s, 4096), *signature = push_room(s, 2048);
    const char *token = NULL;
    TRY(secret_from(ctx, &pem, push_setting(s, "key")));
    struct rc rc = key_from_pem(ctx, &pem, &key);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "the credential must be the private key of TransIP's API as PEM");
    TRY(put_login(ctx, s, body));
    r.body = buf_bytes(body);
    TRY(transip_sign(ctx, r.body, key, signature));
    TRY(push_header(ctx, s, &r, "Content-Type", BYTES_LIT("application/json")));
    TRY(push_header(ctx, s, &r, "Signature", buf_bytes(signature)));
    rc = push_send(ctx, s, &r, &a);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "asking %s for a token", r.url);
    if (a.status == 429 || a.status == 503) {
        ctx->retry_after_s = a.retry_after_s > 0 ? a.retry_after_s : 0;
        return ctx_fail(ctx, E_RATE_LIMITED, "%s has no time for us (%d)", r.url, a.status);
    }
    if (a.status != 200 && a.status != 201)
        return ctx_fail(ctx, E_DEPLOY_FAILED,
                        "%s gives no token (%d): %s; check the login's name, the key, and whether this address "
                        "is on its list",
                        r.url, a.status, words(ctx, a.body));
    rc = transip_read(ctx, a.body, &token);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "the token of %s", r.url);
    rc = push_keep(ctx, s, "token", bytes_z(token));
    wipe((void *)(uintptr_t)token, strlen(token));
    TRY(rc);
    return push_keep(ctx, s, "expires", bytes_z(arena_printf(&ctx->arena, "%lld", (long long)(push_clock_s(ctx) + LIFE_S))));
}

static RC sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    if (!oauth2_fresh(ctx, s))
        TRY(ask(ctx, s));
    return oauth2_sign(ctx, s, r);
}

static RC refused(struct ctx *ctx, struct push_session *s, const struct push_answer *a, bool *again)
{
    (void)a;
    *again = true;
    return ask(ctx, s);
}

const struct push_auth auth_transip = {.name = "transip", .prepare = ask, .sign = sign, .refused = refused};
