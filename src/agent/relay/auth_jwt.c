#include "agent/relay/auth_jwt.h"

#include "agent/relay/auth_oauth2.h"
#include "base/encode.h"
#include "base/json.h"
#include "pki/jose.h"

#define JWT_MAX  ((size_t)8 << 10)
#define JWT_LIFE 3600 /* what Google takes at most */

RC jwt_sign(struct ctx *ctx, const struct key *key, struct bytes header, struct bytes claims, struct buf *out)
{
    size_t start = out->n;
    struct bytes signature;
    if (strcmp(jose_alg(key), "RS256") != 0)
        return ctx_fail(ctx, E_UNSUPPORTED, "the account's key is not RSA");
    put_base64url(out, header);
    buf_put_u8(out, '.');
    put_base64url(out, claims);
    TRY(buf_status(out));
    TRY(key_sign(ctx, key, bytes_of(out->p + start, out->n - start), &signature));
    buf_put_u8(out, '.');
    put_base64url(out, signature);
    return buf_status(out);
}

/* --- Google: https://developers.google.com/identity/protocols/oauth2/service-account */

struct account {
    const char *email, *key, *key_id, *token_url;
};

/* The account's file as Google gives it. */
static RC read_account(struct ctx *ctx, struct bytes text, struct account *out)
{
    json_auto_t *root = NULL;
    const char *type = NULL;
    *out = (struct account){0};
    struct rc rc = json_read(ctx, text, &root);
    if (rc_ok(rc) && !json_is_object(root))
        rc = ctx_fail(ctx, E_INVALID, "it is no JSON object");
    if (rc_ok(rc))
        rc = json_get_str(ctx, root, "type", true, &type);
    if (rc_ok(rc) && strcmp(type, "service_account") != 0)
        rc = ctx_fail(ctx, E_INVALID, "its type is %.40s", type);
    if (rc_ok(rc))
        rc = json_get_str(ctx, root, "client_email", true, &out->email);
    if (rc_ok(rc))
        rc = json_get_str(ctx, root, "private_key", true, &out->key);
    if (rc_ok(rc))
        rc = json_get_str(ctx, root, "private_key_id", false, &out->key_id);
    if (rc_ok(rc))
        rc = json_get_str(ctx, root, "token_uri", true, &out->token_url);
    return rc_ok(rc) ? rc : ctx_wrap(ctx, rc, "the credential is not the JSON file of a service account");
}

static RC put_assertion(struct ctx *ctx, struct push_session *s, const struct account *account, struct buf *out)
{
    SECRET_CLEANUP struct secret pem = {0};
    KEY_CLEANUP struct key *key = NULL;
    struct buf header, claims;
    struct json_out j;
    int64_t now = push_clock_s(ctx);
    TRY(secret_from(ctx, &pem, bytes_z(account->key)));
    struct rc rc = key_from_pem(ctx, &pem, &key);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "private_key of the service account");
    buf_init_arena(&header, &ctx->arena, 1024);
    json_begin(&j, &header);
    json_open_obj(&j, NULL);
    json_put_str(&j, "alg", "RS256");
    json_put_str(&j, "typ", "JWT");
    if (account->key_id != NULL)
        json_put_str(&j, "kid", account->key_id);
    json_close(&j);
    buf_init_arena(&claims, &ctx->arena, 4096);
    json_begin(&j, &claims);
    json_open_obj(&j, NULL);
    json_put_str(&j, "iss", account->email);
    json_put_bytes_str(&j, "scope", push_setting(s, "scope"));
    json_put_str(&j, "aud", account->token_url);
    json_put_int(&j, "iat", now);
    json_put_int(&j, "exp", now + JWT_LIFE);
    json_close(&j);
    TRY(buf_status(&header));
    TRY(buf_status(&claims));
    return jwt_sign(ctx, key, buf_bytes(&header), buf_bytes(&claims), out);
}

static RC google_ask(struct ctx *ctx, struct push_session *s)
{
    struct account account = {0};
    struct buf *jwt = push_room(s, JWT_MAX), *form = push_room(s, JWT_MAX * 2);
    struct rc rc = read_account(ctx, push_setting(s, "account"), &account);
    if (rc_ok(rc))
        rc = put_assertion(ctx, s, &account, jwt);
    if (account.key != NULL)
        wipe((void *)(uintptr_t)account.key, strlen(account.key));
    TRY(rc);
    oauth2_put_member(form, "grant_type", BYTES_LIT("urn:ietf:params:oauth:grant-type:jwt-bearer"));
    oauth2_put_member(form, "assertion", buf_bytes(jwt));
    TRY(buf_status(form));
    return oauth2_ask(ctx, s, account.token_url, buf_bytes(form));
}

static RC google_sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    if (!oauth2_fresh(ctx, s))
        TRY(google_ask(ctx, s));
    return oauth2_sign(ctx, s, r);
}

static RC google_refused(struct ctx *ctx, struct push_session *s, const struct push_answer *a, bool *again)
{
    (void)a;
    *again = true;
    return google_ask(ctx, s);
}

const struct push_auth auth_google_jwt = {
    .name = "google-jwt", .prepare = google_ask, .sign = google_sign, .refused = google_refused};
