/* The managed identity of a virtual machine of Azure: its token comes from the metadata service of the host itself (IMDS).
 *
 * The credential holds no secret, but which identity: "system", or the client id of one that was assigned.  It is there so that its
 * `hosts` say that the service may be asked and where the token may go: whoever has the token is this machine to Azure.  The
 * service has one address, which no description, parameter or answer changes; and the relay reaches it for this alone, whatever
 * else is granted. */
#include "agent/relay/auth_oauth2.h"
#include "base/uri.h"

#define SERVICE_HOST "169.254.169.254"
#define SERVICE_PORT 80
#define SERVICE_URL  "http://" SERVICE_HOST "/metadata/identity/oauth2/token?api-version=2018-02-01"
#define ID_MAX       64
#define ASK_MS       10000
#define ANSWER_MAX   ((size_t)64 << 10)

static RC put_identity(struct ctx *ctx, struct bytes identity, struct buf *url)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    if (bytes_equal_z(identity, "system"))
        return RC_OK;
    bool good = identity.n > 0 && identity.n <= ID_MAX;
    for (size_t i = 0; good && i < identity.n; i++)
        good = identity.p[i] != 0 && strchr(letters, identity.p[i]) != NULL;
    if (!good)
        return ctx_fail(ctx, E_INVALID, "the credential of a managed identity holds the word system, or the client id of one");
    buf_put_z(url, "&client_id=");
    put_percent(url, identity);
    return RC_OK;
}

static RC ask_service(struct ctx *ctx, const char *url, struct push_answer *out)
{
    struct cidr service;
    struct http_client *client = NULL;
    struct http_header header = {.name = "Metadata", .value = "true"};
    struct http_answer *a = ARENA_NEW(&ctx->arena, struct http_answer);
    if (!cidr_parse(BYTES_LIT(SERVICE_HOST "/32"), &service))
        return rc_of(E_BUG);
    const struct http_client_config config = {.grants = {&service, 1}, .idle_handles = 1};
    const struct http_call call = {
        .method = "GET", .url = url, .headers = &header, .headers_n = 1, .total_ms = ASK_MS, .body_max = ANSWER_MAX};
    TRY(http_client_new(ctx, &config, &client));
    struct rc rc = http_client_call(ctx, client, &call, a);
    http_client_free(client);
    *out = (struct push_answer){a->status, &a->headers, a->body, a->retry_after_s};
    return rc;
}

static RC identity_ask(struct ctx *ctx, struct push_session *s)
{
    struct buf url;
    struct uri resource;
    struct push_answer a = {0};
    buf_init_arena(&url, &ctx->arena, 4096);
    TRY(uri_parse(ctx, push_setting(s, "resource"), &resource));
    TRY(push_check_host(ctx, s, resource.host, resource.port)); /* no token is made for where it may not go */
    TRY(push_check_host(ctx, s, SERVICE_HOST, SERVICE_PORT));
    buf_put_z(&url, SERVICE_URL "&resource=");
    put_percent(&url, push_setting(s, "resource"));
    TRY(put_identity(ctx, push_setting(s, "identity"), &url));
    TRY(buf_status(&url));
    struct rc rc = ask_service(ctx, buf_z(&url), &a);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc,
                        "asking this host's metadata service for a token; is it a virtual machine of Azure with a managed "
                        "identity?");
    return oauth2_take(ctx, s, "the metadata service of this host", &a);
}

static RC identity_sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    if (!oauth2_fresh(ctx, s))
        TRY(identity_ask(ctx, s));
    return oauth2_sign(ctx, s, r);
}

static RC identity_refused(struct ctx *ctx, struct push_session *s, const struct push_answer *a, bool *again)
{
    (void)a;
    *again = true;
    return identity_ask(ctx, s);
}

const struct push_auth auth_azure_identity = {
    .name = "azure-identity", .prepare = identity_ask, .sign = identity_sign, .refused = identity_refused};
