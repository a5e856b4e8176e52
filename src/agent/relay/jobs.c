#include "acme/ari.h"
#include "agent/relay/order.h"
#include "agent/relay/relay.h"
#include "pki/cert.h"

RC relay_do_order(struct ctx *ctx, const struct relay_job *job, const struct wire_relay_order *in,
                  struct wire_relay_order_done *out)
{
    struct relay_session s = {
        .http = job->http, .agent = job->agent, .job = in->job, .fence = in->fence, .directory_url = in->directory_url};
    TRY(relay_open(ctx, &s));
    return relay_order_run(ctx, &s, in, out);
}

RC relay_do_revoke(struct ctx *ctx, const struct relay_job *job, const struct wire_relay_acme_revoke *in)
{
    struct relay_session s = {
        .http = job->http, .agent = job->agent, .job = in->job, .fence = in->fence, .directory_url = in->directory_url};
    struct http_answer answer;
    s.account_url = in->account_url[0] == 0 ? NULL : in->account_url;
    TRY(relay_open(ctx, &s));
    TRY(relay_account(ctx, &s, (struct wire_texts){0}, false));
    struct wire_relay_sign req = {.operation = WIRE_relay_sign_operation_revoke,
                                  .url = s.directory.revoke_cert,
                                  .certificate = in->certificate,
                                  .reason = in->reason};
    struct rc rc = relay_post(ctx, &s, &req, "the revocation", &answer);
    if (rc_failed(rc) && acme_problem_is(&s.problem, "alreadyRevoked")) {
        ctx_forget(ctx); /* what was wanted holds */
        return RC_OK;
    }
    return rc;
}

RC relay_do_info(struct ctx *ctx, const struct relay_job *job, const struct wire_relay_acme_info *in,
                 struct wire_relay_acme_info_done *out)
{
    struct relay_session s = {.http = job->http, .agent = job->agent, .directory_url = in->directory_url};
    struct str_list profiles = {0};
    TRY(relay_open(ctx, &s));
    for (size_t i = 0; i < s.directory.n_profiles; i++)
        str_list_add(&ctx->arena, &profiles, s.directory.profiles[i].name);
    *out = (struct wire_relay_acme_info_done){.terms_of_service = s.directory.terms_of_service,
                                              .website = s.directory.website,
                                              .has_ari = s.directory.renewal_info != NULL,
                                              .external_account_required = s.directory.external_account_required,
                                              .profiles = {profiles.v, profiles.n}};
    return RC_OK;
}

RC relay_do_renewal_info(struct ctx *ctx, const struct relay_job *job, const struct wire_relay_renewal_info *in,
                         struct wire_relay_renewal_info_done *out)
{
    struct relay_session s = {.http = job->http, .agent = job->agent, .directory_url = in->directory_url};
    struct cert cert;
    struct http_answer answer;
    struct acme_ari ari;
    TRY(cert_parse(ctx, in->certificate, &cert));
    TRY(relay_open(ctx, &s));
    if (s.directory.renewal_info == NULL)
        return ctx_fail(ctx, E_UNSUPPORTED, "the CA says nothing about renewal (RFC 9773)");
    if (cert.aki.n == 0)
        return ctx_fail(ctx, E_UNSUPPORTED, "the certificate names no key of its issuer, so the CA cannot be asked about it");
    TRY(relay_check_url(ctx, &s, "renewal information", s.directory.renewal_info));
    const char *id = acme_ari_id(&ctx->arena, cert.aki, cert.serial);
    TRY(relay_get(ctx, &s, acme_ari_url(&ctx->arena, s.directory.renewal_info, id), "renewal information", &answer));
    TRY(acme_ari_parse(ctx, answer.body, &ari));
    *out = (struct wire_relay_renewal_info_done){.start = ari.start,
                                                 .end = ari.end,
                                                 .explanation_url = ari.explanation_url,
                                                 .retry_after_s = acme_ari_retry(answer.retry_after_s)};
    return RC_OK;
}
