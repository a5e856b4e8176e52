#include "agent/relay/oidc.h"

#include "agent/relay/auth_oauth2.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/str.h"
#include "base/uri.h"
#include "net/http_client.h"

#define WELL_KNOWN   "/.well-known/openid-configuration"
#define CONFIG_MAX   ((size_t)256 << 10)
#define KEYS_MAX     ((size_t)64 << 10)
#define ID_TOKEN_MAX ((size_t)48 << 10)
#define FORM_MAX     ((size_t)16 << 10)
#define CALL_MS      15000
#define HTTPS_PORT   443

struct oidc {
    const struct agent_config *cfg;
    const struct credential_files *files;
    const struct agent_credential *row; /* NULL: a client without a secret */
    const struct wire_relay_oidc *in;
    struct http_client *http;
};

static void client_free(struct http_client **c)
{
    http_client_free(*c);
}

/* --- what the provider says */

/* A URL of the provider: https, and nothing else, for what is said there decides who somebody is. */
static RC get_url(struct ctx *ctx, const json_t *config, const char *name, const char **out)
{
    const char *text = NULL;
    struct uri uri;
    struct rc rc = json_get_str(ctx, config, name, true, &text);
    if (rc_ok(rc))
        rc = uri_parse(ctx, bytes_z(text), &uri);
    if (rc_failed(rc) || !uri.https || strlen(text) > 2000) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_BAD_ANSWER, "the provider's configuration has no %s that is https", name);
    }
    *out = arena_strdup(&ctx->arena, text);
    return RC_OK;
}

static bool has_text(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (str_equal(json_string_value(json_array_get(list, i)), text))
            return true;
    return false;
}

RC relay_oidc_read(struct ctx *ctx, const char *issuer, struct bytes text, struct wire_relay_oidc_done *out)
{
    json_auto_t *config = NULL;
    const char *says = NULL;
    TRY(json_read(ctx, text, &config));
    if (!json_is_object(config))
        return ctx_fail(ctx, E_BAD_ANSWER, "the provider's configuration is no JSON object");
    TRY(json_get_str(ctx, config, "issuer", false, &says));
    if (!says || strcmp(says, issuer) != 0) /* section 4.3: to the byte */
        return ctx_fail(ctx, E_BAD_ANSWER, "the provider calls itself %.300s, not %s: give that as its issuer",
                        says ? says : "nothing", issuer);
    TRY(get_url(ctx, config, "authorization_endpoint", &out->authorization_endpoint));
    TRY(get_url(ctx, config, "token_endpoint", &out->token_endpoint));
    TRY(get_url(ctx, config, "jwks_uri", &out->jwks_uri));
    const json_t *ways = json_object_get(config, "token_endpoint_auth_methods_supported");
    out->basic = !json_is_array(ways) || has_text(ways, "client_secret_basic"); /* the default */
    out->tells_issuer = json_is_true(json_object_get(config, "authorization_response_iss_parameter_supported"));
    return RC_OK;
}

static RC get(struct ctx *ctx, const struct oidc *o, const char *url, size_t most, struct bytes *body)
{
    const struct http_header headers[] = {{"Accept", "application/json"}};
    const struct http_call call = {.url = url, .headers = headers, .headers_n = 1, .total_ms = CALL_MS, .body_max = most};
    struct http_answer a;
    TRY(http_client_call(ctx, o->http, &call, &a));
    if (a.status != 200)
        return ctx_fail(ctx, a.status >= 500 || a.status == 429 ? E_UNREACHABLE : E_BAD_ANSWER, "%s answers %d", url, a.status);
    *body = a.body;
    return RC_OK;
}

static RC get_keys(struct ctx *ctx, const struct oidc *o, const char *url, const char **out)
{
    struct bytes body;
    json_auto_t *set = NULL;
    TRY(get(ctx, o, url, KEYS_MAX, &body));
    TRY(json_read(ctx, body, &set));
    if (json_array_size(json_object_get(set, "keys")) == 0)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s holds no keys", url);
    struct buf plain; /* written anew: a stranger's white space is not ours */
    struct json_out j;
    buf_init_arena(&plain, &ctx->arena, KEYS_MAX);
    json_begin(&j, &plain);
    json_put_value(&j, NULL, set);
    TRY(buf_status(&plain));
    *out = buf_z(&plain);
    return RC_OK;
}

static RC look(struct ctx *ctx, const struct oidc *o, struct wire_relay_oidc_done *out)
{
    struct bytes body;
    const char *issuer = o->in->issuer;
    const size_t n = strlen(issuer);
    const int keep = (int)(n > 0 && issuer[n - 1] == '/' ? n - 1 : n);
    TRY(get(ctx, o, arena_printf(&ctx->arena, "%.*s" WELL_KNOWN, keep, issuer), CONFIG_MAX, &body));
    TRY(relay_oidc_read(ctx, issuer, body, out));
    return get_keys(ctx, o, out->jwks_uri, &out->jwks);
}

/* --- the exchange */

static RC to_whom(struct ctx *ctx, const struct oidc *o)
{
    struct uri uri;
    TRY(uri_parse(ctx, bytes_z(o->in->token_endpoint), &uri));
    if (!uri.https)
        return ctx_fail(ctx, E_INVALID, "%s is not https", o->in->token_endpoint);
    if (o->row && !agent_credential_reaches(o->row, uri.host, uri.port, HTTPS_PORT))
        return ctx_fail(ctx, E_NOT_GRANTED, "the credential %s may not be sent to %s:%u: add it to its hosts in %s", o->row->name,
                        uri.host, uri.port, o->cfg->file);
    return RC_OK;
}

/* RFC 6749 section 2.3.1: name and secret as a form writes them, and that as Basic. */
static RC basic_header(struct ctx *ctx, const char *client, struct bytes secret, const char **out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, FORM_MAX);
    put_percent(&b, bytes_z(client));
    buf_put_u8(&b, ':');
    put_percent(&b, secret);
    TRY(buf_status(&b));
    char *text = base64_str(&ctx->arena, buf_bytes(&b));
    *out = arena_printf(&ctx->arena, "Basic %s", text);
    wipe(text, strlen(text));
    wipe((void *)(uintptr_t)buf_bytes(&b).p, b.n);
    return RC_OK;
}

/* What RFC 6749 section 5.2 lets it say; the rest of the body may hold what we sent. */
static const char *refusal(struct ctx *ctx, struct bytes text)
{
    json_auto_t *root = NULL;
    const char *error = NULL;
    struct trail_entry *trail = ctx->trail;
    if (rc_ok(json_read(ctx, text, &root)) && json_is_object(root))
        error = json_string_value(json_object_get(root, "error"));
    ctx->trail = trail;
    for (const char *p = error; p && *p; p++)
        if ((*p < 'a' || *p > 'z') && *p != '_')
            return "nothing that could be repeated";
    return error ? arena_printf(&ctx->arena, "%.60s", error) : "nothing more";
}

RC relay_oidc_token(struct ctx *ctx, struct bytes text, const char **id_token)
{
    json_auto_t *root = NULL;
    TRY(json_read(ctx, text, &root));
    if (!json_is_object(root))
        return ctx_fail(ctx, E_BAD_ANSWER, "the provider's answer is no JSON object");
    TRY(json_get_str(ctx, root, "id_token", true, id_token));
    if (strlen(*id_token) > ID_TOKEN_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "the provider's token is too large; have it name fewer groups");
    *id_token = arena_strdup(&ctx->arena, *id_token);
    return RC_OK;
}

static RC post(struct ctx *ctx, const struct oidc *o, struct bytes form, const char *authorization, struct http_answer *a)
{
    const struct http_header headers[] = {
        {"Content-Type", "application/x-www-form-urlencoded"}, {"Accept", "application/json"}, {"Authorization", authorization}};
    const struct http_call call = {.method = "POST",
                                   .url = o->in->token_endpoint,
                                   .headers = headers,
                                   .headers_n = authorization ? 3 : 2,
                                   .body = form,
                                   .total_ms = CALL_MS,
                                   .body_max = CONFIG_MAX,
                                   .once = true};
    TRY(http_client_call(ctx, o->http, &call, a));
    if (a->status == 200)
        return RC_OK;
    return ctx_fail(ctx, a->status >= 500 || a->status == 429 ? E_UNREACHABLE : E_UNAUTHENTICATED, "%s gives no token (%d): %s",
                    o->in->token_endpoint, a->status, refusal(ctx, a->body));
}

static RC code_for_token(struct ctx *ctx, const struct oidc *o, struct http_answer *a)
{
    SECRET_CLEANUP struct secret secret = {0};
    const char *authorization = NULL;
    struct buf form;
    buf_init_arena(&form, &ctx->arena, FORM_MAX);
    oauth2_put_member(&form, "grant_type", BYTES_LIT("authorization_code"));
    oauth2_put_member(&form, "code", bytes_z(o->in->code));
    oauth2_put_member(&form, "redirect_uri", bytes_z(o->in->redirect_uri));
    oauth2_put_member(&form, "code_verifier", bytes_z(o->in->verifier));
    if (o->row)
        TRY(credential_read(ctx, o->cfg, o->files, o->row, &secret));
    if (o->row && o->in->basic)
        TRY(basic_header(ctx, o->in->client_id, secret_use(&secret), &authorization));
    else
        oauth2_put_member(&form, "client_id", bytes_z(o->in->client_id));
    if (o->row && !o->in->basic)
        oauth2_put_member(&form, "client_secret", secret_use(&secret));
    struct rc rc = buf_status(&form);
    if (rc_ok(rc))
        rc = post(ctx, o, buf_bytes(&form), authorization, a);
    wipe((void *)(uintptr_t)buf_bytes(&form).p, form.n);
    if (authorization)
        wipe((void *)(uintptr_t)authorization, strlen(authorization));
    return rc;
}

/* Whether the hub has the key that the token names.  What cannot be read is for the hub to refuse. */
static bool key_known(struct ctx *ctx, const struct wire_relay_oidc *in, const char *token)
{
    struct bytes rest = bytes_z(token), part, header;
    json_auto_t *root = NULL;
    struct trail_entry *trail = ctx->trail;
    bool known = !bytes_take_until(&rest, '.', &part) || !get_base64url(&ctx->arena, part, &header) ||
                 rc_failed(json_read(ctx, header, &root));
    ctx->trail = trail;
    const char *kid = known ? NULL : json_string_value(json_object_get(root, "kid"));
    known = known || !kid;
    for (size_t i = 0; i < in->keys.n && !known; i++)
        known = str_equal(in->keys.v[i], kid);
    return known;
}

static RC exchange(struct ctx *ctx, const struct oidc *o, struct wire_relay_oidc_done *out)
{
    struct http_answer a;
    TRY(to_whom(ctx, o));
    TRY(code_for_token(ctx, o, &a));
    TRY(relay_oidc_token(ctx, a.body, &out->id_token));
    if (o->in->refresh && !key_known(ctx, o->in, out->id_token))
        TRY(get_keys(ctx, o, o->in->jwks_uri, &out->jwks));
    return RC_OK;
}

RC relay_oidc_run(struct ctx *ctx, const struct agent_config *cfg, const struct credential_files *files,
                  const struct address_grants *grants, const struct wire_relay_oidc *in, struct wire_relay_oidc_done *out)
{
    __attribute__((cleanup(client_free))) struct http_client *http = NULL;
    struct oidc o = {.cfg = cfg, .files = files, .in = in};
    struct uri uri;
    *out = (struct wire_relay_oidc_done){
        .authorization_endpoint = "", .token_endpoint = "", .jwks_uri = "", .jwks = "", .id_token = ""};
    TRY(uri_parse(ctx, bytes_z(in->issuer), &uri));
    if (!uri.https || uri.query)
        return ctx_fail(ctx, E_INVALID, "%s is no issuer: it begins with https:// and has no query", in->issuer);
    if (*in->credential)
        TRY(agent_config_credential(ctx, cfg, in->credential, &o.row));
    const struct http_client_config config = {.grants = *grants, .ca_file = o.row ? o.row->roots : NULL, .idle_handles = 2};
    TRY(http_client_new(ctx, &config, &http));
    o.http = http;
    return in->verb == WIRE_relay_oidc_verb_look ? look(ctx, &o, out) : exchange(ctx, &o, out);
}
