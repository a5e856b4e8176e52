#include "acme/ari.h"
#include "agent/hands.h"
#include "agent/relay/account.h"
#include "agent/relay/order.h"
#include "agent/relay/relay.h"
#include "pki/cert.h"

RC relay_do_order(struct ctx *ctx, const struct relay_job *job, const struct wire_relay_order *in,
                  struct wire_relay_order_done *out)
{
    struct relay_session s = {.http = job->http,
                              .agent = job->agent,
                              .memory = job->memory,
                              .job = in->job,
                              .fence = in->fence,
                              .directory_url = in->directory_url};
    struct rc rc = relay_open(ctx, &s);
    if (rc_ok(rc))
        rc = relay_order_run(ctx, &s, in, out);
    relay_close(&s, rc);
    return rc;
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

RC relay_do_account(struct ctx *ctx, const struct relay_job *job, const struct wire_relay_acme_account *in,
                    struct wire_relay_acme_account_done *out)
{
    struct relay_session s = {
        .http = job->http, .agent = job->agent, .job = in->job, .fence = in->fence, .directory_url = in->directory_url};
    TRY(relay_open(ctx, &s));
    return relay_account_run(ctx, &s, in, out);
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
                                              .profiles = {profiles.v, profiles.n},
                                              .caa_identities = {s.directory.caa_identities.v, s.directory.caa_identities.n}};
    return RC_OK;
}

/* What the CA says of one certificate; where that cannot be used, why. */
static RC ask_renewal(struct ctx *ctx, struct relay_session *s, struct bytes der, struct acme_ari *ari, int64_t *retry_after_s)
{
    struct cert cert;
    struct http_answer answer;
    TRY(cert_parse(ctx, der, &cert));
    if (cert.aki.n == 0)
        return ctx_fail(ctx, E_UNSUPPORTED, "the certificate names no key of its issuer, so the CA cannot be asked about it");
    const char *id = acme_ari_id(&ctx->arena, cert.aki, cert.serial);
    TRY(relay_get(ctx, s, acme_ari_url(&ctx->arena, s->directory.renewal_info, id), "renewal information", &answer));
    *retry_after_s = answer.retry_after_s;
    return acme_ari_parse(ctx, answer.body, ari);
}

RC relay_do_renewal_info(struct ctx *ctx, const struct relay_job *job, const struct wire_relay_renewal_info *in,
                         struct wire_relay_renewal_info_done *out)
{
    struct relay_session s = {.http = job->http, .agent = job->agent, .directory_url = in->directory_url};
    const size_t n = in->certificates.n;
    int64_t *starts = arena_array(&ctx->arena, n + 1, sizeof *starts), *ends = arena_array(&ctx->arena, n + 1, sizeof *ends);
    struct str_list words = {0};
    int64_t longest = -1;
    TRY(relay_open(ctx, &s));
    if (s.directory.renewal_info == NULL)
        return ctx_fail(ctx, E_UNSUPPORTED, "the CA says nothing about renewal (RFC 9773)");
    TRY(relay_check_url(ctx, &s, "renewal information", s.directory.renewal_info));
    for (size_t i = 0; i < n; i++) {
        struct acme_ari ari = {0};
        int64_t retry_after_s = -1;
        const char *text = "";
        struct rc rc = ask_renewal(ctx, &s, in->certificates.v[i], &ari, &retry_after_s);
        /* Of one certificate the others do not suffer; a CA that has no time, or does not answer, is left alone. */
        const bool of_one = rc.e == E_BAD_ANSWER || rc.e == E_ISSUER_REFUSED || rc.e == E_UNSUPPORTED;
        if (rc_failed(rc) && !of_one) {
            if (i == 0)
                return rc;
            longest = ctx->retry_after_s > longest ? ctx->retry_after_s : longest;
            ctx_forget(ctx);
            break;
        }
        if (rc_failed(rc))
            text = words_of(ctx, bytes_z(ctx_why(ctx)), 1000);
        else if (ari.explanation_url != NULL)
            text = ari.explanation_url;
        ctx_forget(ctx);
        starts[i] = ari.start;
        ends[i] = rc_failed(rc) ? 0 : ari.end;
        str_list_add(&ctx->arena, &words, text);
        longest = retry_after_s > longest ? retry_after_s : longest;
    }
    *out = (struct wire_relay_renewal_info_done){.starts = {starts, words.n},
                                                 .ends = {ends, words.n},
                                                 .explanations = {words.v, words.n},
                                                 .retry_after_s = acme_ari_retry(longest)};
    return RC_OK;
}
