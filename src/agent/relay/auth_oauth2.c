#include "agent/relay/auth_oauth2.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/str.h"
#include "base/uri.h"

#define FORM_MAX     ((size_t)64 << 10)
#define TOKEN_MAX    ((size_t)15000) /* with "Bearer " it is a header's value */
#define EARLY_S      60              /* so long before its end a token is no longer used */
#define LIFE_USUAL_S 3600            /* where the endpoint does not say (RFC 6749 section 5.1: RECOMMENDED) */
#define LIFE_MOST_S  86400
#define WORDS_MAX    200

void oauth2_put_member(struct buf *form, const char *name, struct bytes value)
{
    if (form->n > 0)
        buf_put_u8(form, '&');
    put_percent(form, bytes_z(name));
    buf_put_u8(form, '=');
    put_percent(form, value);
}

RC oauth2_read(struct ctx *ctx, struct bytes text, const char **token, int64_t *expires_s)
{
    json_auto_t *root = NULL;
    const char *type = NULL;
    *expires_s = 0;
    TRY(json_read(ctx, text, &root));
    if (!json_is_object(root))
        return ctx_fail(ctx, E_BAD_ANSWER, "it is no JSON object");
    TRY(json_get_str(ctx, root, "access_token", true, token));
    TRY(json_get_str(ctx, root, "token_type", true, &type));
    const char *seconds = json_string_value(json_object_get(root, "expires_in")); /* Azure writes it as a text */
    if (seconds == NULL)
        TRY(json_get_int(ctx, root, "expires_in", false, expires_s));
    else if (!str_to_i64(bytes_z(seconds), expires_s))
        return ctx_fail(ctx, E_BAD_ANSWER, "expires_in is no number");
    if (!bytes_equal_nocase(bytes_z(type), BYTES_LIT("bearer")))
        return ctx_fail(ctx, E_BAD_ANSWER, "it gives a token of type %.40s, not Bearer", type);
    size_t n = strlen(*token);
    if (n == 0 || n > TOKEN_MAX || *expires_s < 0)
        return ctx_fail(ctx, E_BAD_ANSWER, "it gives a token of %zu bytes for %lld s", n, (long long)*expires_s);
    return RC_OK;
}

/* What RFC 6749 section 5.2 lets it say.  The body as a whole is not repeated: it may hold what we sent. */
static const char *words(struct ctx *ctx, const struct push_session *s, struct bytes text)
{
    json_auto_t *root = NULL;
    const char *error = NULL, *description = NULL;
    struct trail_entry *trail = ctx->trail;
    if (rc_ok(json_read(ctx, text, &root)) && json_is_object(root)) {
        struct rc rc = json_get_str(ctx, root, "error", false, &error);
        if (rc_ok(rc))
            rc = json_get_str(ctx, root, "error_description", false, &description);
        if (rc_failed(rc))
            description = NULL;
    }
    ctx->trail = trail;
    if (error == NULL)
        return "nothing more";
    if (push_repeats_secret(s, text))
        return "(its answer repeats a secret and is not shown)";
    char *out = arena_printf(&ctx->arena, "%.60s%s%.*s", error, description != NULL ? ": " : "", WORDS_MAX,
                             description != NULL ? description : "");
    for (char *p = out; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    return str_is_utf8(bytes_z(out)) ? out : error;
}

RC oauth2_ask(struct ctx *ctx, struct push_session *s, const char *url, struct bytes form)
{
    struct push_request r = {.method = "POST", .url = url, .body = form, .has_body = true};
    struct push_answer a = {0};
    TRY(push_header(ctx, s, &r, "Content-Type", BYTES_LIT("application/x-www-form-urlencoded")));
    TRY(push_header(ctx, s, &r, "Accept", BYTES_LIT("application/json")));
    struct rc rc = push_send(ctx, s, &r, &a);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "asking %s for a token", url);
    return oauth2_take(ctx, s, url, &a);
}

RC oauth2_take(struct ctx *ctx, struct push_session *s, const char *url, const struct push_answer *a)
{
    const char *token = NULL;
    int64_t life = 0;
    if (a->status == 429 || a->status == 503) {
        ctx->retry_after_s = a->retry_after_s > 0 ? a->retry_after_s : 0;
        return ctx_fail(ctx, E_RATE_LIMITED, "%s has no time for us (%d)", url, a->status);
    }
    if (a->status != 200)
        return ctx_fail(ctx, E_DEPLOY_FAILED, "%s gives no token (%d): %s; check the credential and this host's clock", url,
                        a->status, words(ctx, s, a->body));
    struct rc rc = oauth2_read(ctx, a->body, &token, &life);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "the token endpoint %s", url);
    if (life == 0 || life > LIFE_MOST_S)
        life = life == 0 ? LIFE_USUAL_S : LIFE_MOST_S;
    TRY(push_keep(ctx, s, "token", bytes_z(token)));
    wipe((void *)(uintptr_t)token, strlen(token));
    return push_keep(ctx, s, "expires", bytes_z(arena_printf(&ctx->arena, "%lld", (long long)(push_clock_s(ctx) + life))));
}

bool oauth2_fresh(const struct ctx *ctx, const struct push_session *s)
{
    struct bytes at;
    int64_t end;
    return push_get(s, "auth.expires", &at) && str_to_i64(at, &end) && end - EARLY_S > push_clock_s(ctx);
}

RC oauth2_sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    struct bytes token;
    struct buf *b = push_room(s, PUSH_HEADER_MAX);
    push_get(s, "auth.token", &token);
    buf_put_z(b, "Bearer ");
    buf_put(b, token);
    TRY(buf_status(b));
    return push_header(ctx, s, r, "Authorization", buf_bytes(b));
}

/* --- client credentials (RFC 6749 section 4.4), the secret in the form (section 2.3.1) */

static RC client_ask(struct ctx *ctx, struct push_session *s)
{
    struct buf *form = push_room(s, FORM_MAX);
    oauth2_put_member(form, "grant_type", BYTES_LIT("client_credentials"));
    oauth2_put_member(form, "client_id", push_setting(s, "client_id"));
    oauth2_put_member(form, "client_secret", push_setting(s, "client_secret"));
    oauth2_put_member(form, "scope", push_setting(s, "scope"));
    TRY(buf_status(form));
    return oauth2_ask(ctx, s, arena_str(&ctx->arena, push_setting(s, "token_url")), buf_bytes(form));
}

static RC client_sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    if (!oauth2_fresh(ctx, s))
        TRY(client_ask(ctx, s));
    return oauth2_sign(ctx, s, r);
}

static RC client_refused(struct ctx *ctx, struct push_session *s, const struct push_answer *a, bool *again)
{
    (void)a;
    *again = true;
    return client_ask(ctx, s);
}

const struct push_auth auth_oauth2_client = {
    .name = "oauth2-client", .prepare = client_ask, .sign = client_sign, .refused = client_refused};
