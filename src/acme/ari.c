#include "acme/ari.h"

#include "acme/objects.h"
#include "base/encode.h"

const char *acme_ari_id(struct arena *a, struct bytes aki, struct bytes serial)
{
    return arena_printf(a, "%s.%s", base64url_str(a, aki), base64url_str(a, serial));
}

const char *acme_ari_url(struct arena *a, const char *renewal_info, const char *id)
{
    size_t n = strlen(renewal_info);
    return arena_printf(a, "%s%s%s", renewal_info, n > 0 && renewal_info[n - 1] == '/' ? "" : "/", id);
}

static RC window(struct ctx *ctx, const json_t *root, struct acme_ari *out)
{
    if (!json_is_object(root))
        return ctx_fail(ctx, E_BAD_ANSWER, "not a JSON object");
    const json_t *w = NULL;
    const char *start = NULL, *end = NULL, *url = NULL;
    TRY(json_get_obj(ctx, root, "suggestedWindow", true, &w));
    TRY(json_get_str(ctx, w, "start", true, &start));
    TRY(json_get_str(ctx, w, "end", true, &end));
    if (!time_parse_rfc3339(bytes_z(start), &out->start) || !time_parse_rfc3339(bytes_z(end), &out->end))
        return ctx_fail(ctx, E_BAD_ANSWER, "its window has a date that is none (RFC 3339)");
    if (out->end <= out->start)
        return ctx_fail(ctx, E_BAD_ANSWER, "its window ends before it starts");
    if (rc_failed(json_get_str(ctx, root, "explanationURL", false, &url)))
        ctx_forget(ctx);
    out->explanation_url = url != NULL && acme_url_valid(url) ? url : NULL;
    return RC_OK;
}

RC acme_ari_parse(struct ctx *ctx, struct bytes body, struct acme_ari *out)
{
    *out = (struct acme_ari){0};
    json_auto_t *root = NULL;
    struct rc rc = json_read(ctx, body, &root);
    if (rc_ok(rc))
        rc = window(ctx, root, out);
    if (rc_ok(rc))
        return rc;
    rc = ctx_wrap(ctx, rc, "the CA's renewal information cannot be used");
    (void)rc;
    return rc_of(E_BAD_ANSWER);
}

int64_t acme_ari_retry(int64_t retry_after_s)
{
    if (retry_after_s < 0)
        return (int64_t)6 * 3600;
    return retry_after_s < 60 ? 60 : retry_after_s > 86400 ? 86400 : retry_after_s;
}
