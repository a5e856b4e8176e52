/* Taking endpoints out of the inventory. */
#include "core/forget.h"
#include "hub/api.h"

RC api_endpoint_forget(struct api_call *call, const struct api_endpoint_forget *in, struct api_endpoints_forgotten *out)
{
    struct forgotten f;
    int64_t after = in->after;
    TRY(forget_places(call->ctx, call->core, in->at, in->dry_run, &after, &f));
    *out = (struct api_endpoints_forgotten){
        .endpoints = f.endpoints, .certificates = f.certificates, .has_next = f.more, .next = after};
    return RC_OK;
}
