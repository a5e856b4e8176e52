/* What an OpenID provider answers: its configuration ('c'), or a token ('t'). */
#include "agent/relay/oidc.h"
#include "base/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void configuration(struct ctx *ctx, struct bytes text)
{
    struct wire_relay_oidc_done out = {0};
    struct uri uri;
    if (rc_failed(relay_oidc_read(ctx, "https://idp.example.org", text, &out)))
        return;
    const char *const urls[] = {out.authorization_endpoint, out.token_endpoint, out.jwks_uri};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
        if (!urls[i] || rc_failed(uri_parse(ctx, bytes_z(urls[i]), &uri)) || !uri.https)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CTX_CLEANUP struct ctx ctx = {0};
    const char *token = NULL;
    if (!n)
        return 0;
    ctx_init(&ctx, &clock_system);
    if (data[0] == 'c')
        configuration(&ctx, bytes_of(data + 1, n - 1));
    else if (rc_ok(relay_oidc_token(&ctx, bytes_of(data + 1, n - 1), &token)) && (!token || strlen(token) > 49152))
        abort();
    return 0;
}
