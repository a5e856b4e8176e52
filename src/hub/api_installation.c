/* The installation itself: its CAs, and the description of the API. */
#include "hub/api.h"
#include "pki/cert.h"
#include "pki/pem.h"
#include "wire/messages.h"

/* --- CAs: the signer keeps them */

static struct rc ca_pems(struct ctx *ctx, const struct wire_signer_ca *ca, struct api_ca *out)
{
    TRY(api_pem(ctx, PEM_CERTIFICATE, ca->certificate, &out->certificate_pem));
    if (ca->root.n)
        TRY(api_pem(ctx, PEM_CERTIFICATE, ca->root, &out->root_pem));
    if (ca->csr.n)
        TRY(api_pem(ctx, PEM_REQUEST, ca->csr, &out->csr_pem));
    struct buf chain;
    buf_init_arena(&chain, &ctx->arena, 1 << 20);
    for (size_t i = 0; i < ca->chain.n; i++)
        pem_put(&chain, PEM_CERTIFICATE, ca->chain.v[i]);
    TRY(buf_status(&chain));
    out->chain_pem = buf_z(&chain);
    if (!ca->certificate.n)
        return RC_OK;
    struct cert c;
    TRY(cert_parse(ctx, ca->certificate, &c));
    out->subject = c.subject.text;
    out->fingerprint = arena_bytes(&ctx->arena, bytes_of(c.fingerprint, sizeof c.fingerprint));
    out->not_before = c.not_before;
    out->not_after = c.not_after;
    out->has_not_before = out->has_not_after = true;
    return RC_OK;
}

static struct rc ca_out(struct api_call *call, const char *name, bool whole, struct api_ca *out)
{
    struct ctx *ctx = call->ctx;
    const struct wire_signer_ca_show show = {.ca = name};
    struct wire_signer_ca ca;
    TRY(wire_call_signer_ca_show(ctx, call->core->signer, &show, &ca));
    *out = (struct api_ca){
        .name = arena_strdup(&ctx->arena, name), .state = ca.certificate.n ? "ready" : "waiting", .issued = ca.issued};
    TRY(ca_pems(ctx, &ca, out));
    if (!whole)
        return RC_OK;
    const struct wire_signer_ceilings_get get = {.ca = name};
    struct wire_signer_ceilings c;
    TRY(wire_call_signer_ceilings_get(ctx, call->core->signer, &get, &c));
    const struct api_ceilings ceilings = {
        .max_validity_s = c.max_validity_s,
        .per_hour = c.per_hour,
        .permitted_dns = {c.permitted_dns.v, c.permitted_dns.n},
        .permitted_ip = {c.permitted_ip.v, c.permitted_ip.n},
        .profiles = {c.profiles.v, c.profiles.n},
        .path_length = c.path_length,
        .issued_last_hour = c.issued_last_hour,
    };
    out->ceilings = arena_dup(&ctx->arena, &ceilings, sizeof ceilings);
    return RC_OK;
}

RC api_ca_list(struct api_call *call, struct api_ca_page *out)
{
    const struct wire_signer_ca_list in = {0};
    struct wire_signer_cas cas;
    TRY(wire_call_signer_ca_list(call->ctx, call->core->signer, &in, &cas));
    struct api_ca *items = arena_array(&call->ctx->arena, cas.names.n, sizeof *items);
    for (size_t i = 0; i < cas.names.n; i++)
        TRY(ca_out(call, cas.names.v[i], false, &items[i]));
    out->items = (struct api_ca_list){items, cas.names.n};
    return RC_OK;
}

RC api_ca_get(struct api_call *call, struct api_ca *out)
{
    if (strlen(call->path[0]) > 64)
        return ctx_fail(call->ctx, E_NOT_FOUND, "no CA has this name");
    return ca_out(call, call->path[0], true, out);
}

/* --- the description */

RC api_openapi_get(struct api_call *call)
{
    http_response_header(call->resp, "Content-Type", "application/json");
    http_response_header(call->resp, "Cache-Control", "max-age=300");
    const struct packed document = api_openapi_json();
    return packed_respond(call->ctx, &document, call->req, call->resp);
}
