/* Accounts at ACME CAs. */
#include "core/issuer_account.h"
#include "hub/api.h"

static struct rc account_out(struct ctx *ctx, const struct account_view *v, struct api_issuer_account *out)
{
    *out = (struct api_issuer_account){.verb = v->verb,
                                       .state = v->state,
                                       .asked_at = v->asked_at,
                                       .has_asked_at = v->asked_at != 0,
                                       .answered_at = v->answered_at,
                                       .has_answered_at = v->answered_at != 0,
                                       .account_url = v->account_url,
                                       .status = v->status,
                                       .terms_of_service = v->terms_of_service,
                                       .last_error = api_error_of(ctx, v->error_code, v->error, v->answered_at)};
    TRY(api_strings_of_json(ctx, v->contacts ? v->contacts : "[]", &out->contacts));
    return api_strings_of_json(ctx, v->profiles ? v->profiles : "[]", &out->profiles);
}

RC api_issuer_account_get(struct api_call *call, struct api_issuer_account *out)
{
    struct account_view v;
    TRY(issuer_account_show(call->ctx, call->core, call->path[0], &v));
    return account_out(call->ctx, &v, out);
}

RC api_issuer_account_ask(struct api_call *call, const struct api_issuer_account_ask *in, struct api_issuer_account *out)
{
    TRY(issuer_account_ask(call->ctx, call->core, call->path[0], in->verb));
    return api_issuer_account_get(call, out);
}
