/* Keys that people download: from the signer to whoever asked, and to nobody else.  The answer is in memory that is wiped, is not
 * kept for a repetition (no Idempotency-Key), and leaves over TLS or the admin's Unix socket: no other listener knows the route. */
#include "core/download.h"
#include "core/session.h"
#include "hub/api.h"

RC api_managed_export_key(struct api_call *call, const struct api_key_export *in, struct api_exported_key *out)
{
    struct ctx *ctx = call->ctx;
    struct downloaded d DOWNLOADED_CLEANUP = {0};
    ctx->arena.wipe = true;
    if (call->session && rc_failed(session_fresh(ctx, call->session))) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_FORBIDDEN,
                        "show your password or a passkey again before a private key is handed out: POST /api/v1/session/confirm");
    }
    TRY(download_take(ctx, call->core, call->path[0], in->version, in->format, &d));
    /* Copies, in the arena: the answer is written after this returns. */
    *out = (struct api_exported_key){.version = d.version,
                                     .format = in->format,
                                     .file = d.file,
                                     .content = arena_bytes(&ctx->arena, secret_use(&d.content))};
    if (d.passphrase.n)
        out->passphrase = arena_str(&ctx->arena, secret_use(&d.passphrase));
    return RC_OK;
}
