#include "pki/id_token.h"

#include "base/json.h"
#include "pki/jose.h"

#define SUBJECT_MAX 255 /* section 2: ASCII of at most so many */
#define TEXT_MAX    512

static struct rc refused(struct ctx *ctx, const char *why)
{
    return ctx_fail(ctx, E_UNAUTHENTICATED, "the identity provider's token %s", why);
}

static bool is_text(const json_t *v, const char *text)
{
    return json_is_string(v) && str_equal(json_string_value(v), text);
}

/* "aud" is one text or a list; where there are others, "azp" says whom it was made for. */
static struct rc check_audience(struct ctx *ctx, const json_t *claims, const char *client_id)
{
    const json_t *aud = json_object_get(claims, "aud"), *azp = json_object_get(claims, "azp");
    bool ours = is_text(aud, client_id);
    for (size_t i = 0; i < json_array_size(aud); i++)
        ours = ours || is_text(json_array_get(aud, i), client_id);
    if (!ours || (json_array_size(aud) > 1 && !azp) || (azp && !is_text(azp, client_id)))
        return refused(ctx, "was made for another application");
    return RC_OK;
}

static struct rc check_times(struct ctx *ctx, const json_t *claims, struct id_token *out)
{
    const int64_t now = ctx_now_s(ctx);
    int64_t not_before = 0;
    TRY(json_get_int(ctx, claims, "exp", true, &out->expires_at));
    TRY(json_get_int(ctx, claims, "iat", true, &out->issued_at));
    TRY(json_get_int(ctx, claims, "nbf", false, &not_before));
    if (out->expires_at < now - ID_TOKEN_SKEW_S)
        return refused(ctx, "has expired");
    if (out->issued_at > now + ID_TOKEN_SKEW_S || not_before > now + ID_TOKEN_SKEW_S)
        return refused(ctx, "is of the future: look at the clocks of provider and hub");
    if (out->issued_at < now - ID_TOKEN_AGE_S)
        return refused(ctx, "is too old for a sign-in that was just begun");
    return RC_OK;
}

/* A claim that is no short text is as none. */
static const char *text_claim(struct ctx *ctx, const json_t *claims, const char *name)
{
    const json_t *v = json_object_get(claims, name);
    if (!json_is_string(v) || json_string_length(v) == 0 || json_string_length(v) > TEXT_MAX)
        return NULL;
    return arena_strdup(&ctx->arena, json_string_value(v));
}

static struct rc read_groups(struct ctx *ctx, const json_t *claims, const char *name, struct str_list *out)
{
    const json_t *v = name ? json_object_get(claims, name) : NULL;
    if (json_is_string(v))
        str_list_add(&ctx->arena, out, arena_strdup(&ctx->arena, json_string_value(v)));
    if (json_array_size(v) > ID_TOKEN_GROUPS)
        return ctx_fail(ctx, E_TOO_LARGE,
                        "the identity provider's token names more than %d groups; have it name those of this application alone",
                        ID_TOKEN_GROUPS);
    for (size_t i = 0; i < json_array_size(v); i++)
        if (json_is_string(json_array_get(v, i)))
            str_list_add(&ctx->arena, out, arena_strdup(&ctx->arena, json_string_value(json_array_get(v, i))));
    return RC_OK;
}

static struct rc read_claims(struct ctx *ctx, const json_t *claims, const struct id_token_expect *expect, struct id_token *out)
{
    const char *issuer = NULL, *nonce = NULL;
    TRY(json_get_str(ctx, claims, "iss", true, &issuer));
    if (!str_equal(issuer, expect->issuer))
        return refused(ctx, "is of another provider");
    TRY(check_audience(ctx, claims, expect->client_id));
    TRY(check_times(ctx, claims, out));
    TRY(json_get_str(ctx, claims, "nonce", false, &nonce));
    if (!nonce || !bytes_equal_secret(bytes_z(nonce), bytes_z(expect->nonce)))
        return refused(ctx, "is not of this sign-in");
    TRY(json_get_str(ctx, claims, "sub", true, &out->subject));
    if (!out->subject[0] || strlen(out->subject) > SUBJECT_MAX)
        return refused(ctx, "has no subject that could be kept");
    out->name = text_claim(ctx, claims, "name");
    out->username = text_claim(ctx, claims, "preferred_username");
    if (json_is_true(json_object_get(claims, "email_verified")))
        out->email = text_claim(ctx, claims, "email");
    out->acr = text_claim(ctx, claims, "acr");
    TRY(read_groups(ctx, claims, "amr", &out->amr));
    return read_groups(ctx, claims, expect->groups, &out->groups);
}

RC id_token_verify(struct ctx *ctx, struct bytes token, struct bytes jwks, const struct id_token_expect *expect,
                   struct id_token *out)
{
    json_auto_t *claims = NULL;
    struct jose_message message;
    *out = (struct id_token){0};
    TRY(jose_verify_compact(ctx, token, jwks, &message));
    TRY(json_read(ctx, message.payload, &claims));
    if (!json_is_object(claims))
        return ctx_fail(ctx, E_PARSE, "the identity provider's token holds no claims");
    struct rc rc = read_claims(ctx, claims, expect, out);
    /* A claim that is missing or of another type is a token that we cannot believe. */
    return rc_failed(rc) && rc.e != E_TOO_LARGE ? rc_of(E_UNAUTHENTICATED) : rc;
}
