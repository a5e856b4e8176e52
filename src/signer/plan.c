/* What the signer may touch: its state folder, and nothing else.  No network, no programs, no other files. */
#include "base/json.h"
#include "signer/signer.h"

RC signer_settings_read(struct ctx *ctx, struct bytes json, struct signer_settings *out)
{
    json_auto_t *root = NULL;
    int64_t uid = 0;
    *out = (struct signer_settings){0};
    TRY(json_read(ctx, json, &root));
    TRY(json_get_str(ctx, root, "state", true, &out->state));
    TRY(json_get_str(ctx, root, "blocklists", false, &out->blocklists));
    TRY(json_get_int(ctx, root, "officer_uid", false, &uid));
    if (out->state[0] != '/')
        return ctx_fail(ctx, E_INVALID, "the signer's state folder needs an absolute path, not \"%s\"", out->state);
    if (uid < 0 || uid >= UINT32_MAX)
        return ctx_fail(ctx, E_INVALID, "officer_uid is no user id");
    out->officer = (uid_t)uid;
    return RC_OK;
}

RC signer_confine(struct ctx *ctx, struct role_env *env, struct sandbox *sb)
{
    struct signer_settings settings;
    TRY(signer_settings_read(ctx, role_config(env), &settings));
    sandbox_allow(sb, settings.state, SANDBOX_READ | SANDBOX_WRITE);
    if (settings.blocklists != NULL)
        sandbox_allow(sb, settings.blocklists, SANDBOX_READ | SANDBOX_OPTIONAL);
    /* /dev/urandom is not among them: random bytes come from getrandom(2). */
    return RC_OK;
}
