#include "agent/present_alpn.h"

#include "base/failpoint.h"

RC present_alpn_again(struct ctx *ctx, struct hands *h, const char *identifier, const char *token, const char *key_authorization)
{
    struct wire_probe_alpn_put in = {token, key_authorization, identifier};
    struct wire_probe_done done;
    return HANDS_CALL(ctx, h->probe, probe_alpn_put, &in, probe_done, &done);
}

RC present_alpn(struct ctx *ctx, struct hands *h, struct story *story, const char *identifier, const char *token,
                const char *key_authorization)
{
    struct wire_apply_challenge_put record = {.token = token,
                                              .key_authorization = key_authorization,
                                              .identifier = identifier,
                                              .connector = "listener",
                                              .parameters = "{}",
                                              .method = METHOD_TLS_ALPN};
    struct wire_apply_done done;
    if (h->cfg->tls_alpn_port == 0)
        return ctx_fail(ctx, E_NOT_GRANTED, "%s does not let this host answer tls-alpn-01; add: tls_alpn: {port: 443}",
                        h->cfg->file);
    struct rc rc = HANDS_CALL(ctx, h->apply, apply_challenge_put, &record, apply_done, &done);
    if (rc.e == E_EXISTS) /* by an apply that died before it could say so */
        ctx_forget(ctx);
    else
        TRY(rc);
    FAILPOINT("agent.present_recorded");
    TRY(present_alpn_again(ctx, h, identifier, token, key_authorization));
    story_add(ctx, story, "present", "answering %s on port %d", METHOD_TLS_ALPN, h->cfg->tls_alpn_port);
    return RC_OK;
}
