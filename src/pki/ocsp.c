#include "pki/ocsp.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include "pki/alg.h"

ALG_DEFINE_CLEANUP(X509, X509_free);
ALG_DEFINE_CLEANUP(X509_STORE, X509_STORE_free);
ALG_DEFINE_CLEANUP(OCSP_CERTID, OCSP_CERTID_free);
ALG_DEFINE_CLEANUP(OCSP_REQUEST, OCSP_REQUEST_free);
ALG_DEFINE_CLEANUP(OCSP_RESPONSE, OCSP_RESPONSE_free);
ALG_DEFINE_CLEANUP(OCSP_BASICRESP, OCSP_BASICRESP_free);

/* What clocks may differ by. */
#define SKEW_S 300

static X509 *to_x509(const struct cert *c)
{
    const uint8_t *p = c->der.p;
    return d2i_X509(NULL, &p, (long)c->der.n);
}

static OCSP_CERTID *make_id(const struct cert *cert, X509 *issuer)
{
    X509 *x ALG_CLEANUP(X509) = to_x509(cert);
    return x ? OCSP_cert_to_id(EVP_sha1(), x, issuer) : NULL;
}

struct rc ocsp_request(struct ctx *ctx, const struct cert *cert, const struct cert *issuer, struct bytes *der)
{
    X509 *above ALG_CLEANUP(X509) = to_x509(issuer);
    OCSP_REQUEST *request ALG_CLEANUP(OCSP_REQUEST) = OCSP_REQUEST_new();
    OCSP_CERTID *id ALG_CLEANUP(OCSP_CERTID) = above ? make_id(cert, above) : NULL;
    if (!request || !id || !OCSP_request_add0_id(request, id))
        return alg_fail(ctx, E_PARSE, "no OCSP request can be made for the certificate");
    id = NULL; /* the request's now */
    int n = i2d_OCSP_REQUEST(request, NULL);
    if (n <= 0)
        return alg_fail(ctx, E_CRYPTO, "an OCSP request could not be encoded");
    uint8_t *p = arena_alloc(&ctx->arena, (size_t)n), *end = p;
    i2d_OCSP_REQUEST(request, &end);
    *der = bytes_of(p, (size_t)n);
    return RC_OK;
}

/* Signed by the issuer, or by a certificate of its with OCSPSigning: the issuer is the one root that counts here. */
static struct rc check_signer(struct ctx *ctx, OCSP_BASICRESP *basic, X509 *issuer, int64_t now)
{
    X509_STORE *store ALG_CLEANUP(X509_STORE) = X509_STORE_new();
    STACK_OF(X509) *others = sk_X509_new_null();
    int good = 0;
    if (store && others && X509_STORE_add_cert(store, issuer) == 1 && sk_X509_push(others, issuer) > 0 &&
        X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1) {
        X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), (time_t)now);
        good = OCSP_basic_verify(basic, others, store, OCSP_TRUSTOTHER);
    }
    sk_X509_free(others);
    return good == 1 ? RC_OK : alg_fail(ctx, E_PEER_IDENTITY, "the OCSP answer is not signed by the certificate's issuer");
}

static bool to_time(const ASN1_GENERALIZEDTIME *t, int64_t *out)
{
    struct tm tm;
    *out = 0;
    if (!t)
        return true;
    if (ASN1_TIME_to_tm(t, &tm) != 1)
        return false;
    *out = (int64_t)timegm(&tm);
    return true;
}

static struct rc read_single(struct ctx *ctx, OCSP_BASICRESP *basic, OCSP_CERTID *id, int64_t now, struct ocsp_answer *out)
{
    int status = -1, reason = 0;
    ASN1_GENERALIZEDTIME *revoked = NULL, *from = NULL, *until = NULL;
    if (!OCSP_resp_find_status(basic, id, &status, &reason, &revoked, &from, &until))
        return alg_fail(ctx, E_BAD_ANSWER, "the OCSP answer is about another certificate");
    *out = (struct ocsp_answer){.status = status == V_OCSP_CERTSTATUS_GOOD      ? OCSP_IS_GOOD
                                          : status == V_OCSP_CERTSTATUS_REVOKED ? OCSP_IS_REVOKED
                                                                                : OCSP_IS_UNKNOWN,
                                .reason = reason > 0 ? reason : 0};
    if (!from || !to_time(from, &out->this_update) || !to_time(until, &out->next_update) || !to_time(revoked, &out->revoked_at))
        return ctx_fail(ctx, E_BAD_ANSWER, "the OCSP answer has a time that is none");
    if (out->this_update > now + SKEW_S)
        return ctx_fail(ctx, E_BAD_ANSWER, "the OCSP answer is from the future; is this host's clock right?");
    if (out->next_update && out->next_update < now - SKEW_S)
        return ctx_fail(ctx, E_BAD_ANSWER, "the OCSP answer is out of date");
    return RC_OK;
}

static struct rc read_status(struct ctx *ctx, OCSP_RESPONSE *response)
{
    switch (OCSP_response_status(response)) {
    case OCSP_RESPONSE_STATUS_SUCCESSFUL:
        return RC_OK;
    case OCSP_RESPONSE_STATUS_INTERNALERROR:
    case OCSP_RESPONSE_STATUS_TRYLATER:
        return ctx_fail(ctx, E_UNREACHABLE, "the OCSP responder has no answer now");
    case OCSP_RESPONSE_STATUS_MALFORMEDREQUEST:
    case OCSP_RESPONSE_STATUS_SIGREQUIRED:
    case OCSP_RESPONSE_STATUS_UNAUTHORIZED:
        return ctx_fail(ctx, E_NOT_FOUND, "the OCSP responder does not answer for this certificate");
    default:
        return ctx_fail(ctx, E_BAD_ANSWER, "the OCSP answer has a status that is none");
    }
}

struct rc ocsp_read(struct ctx *ctx, struct bytes der, const struct cert *cert, const struct cert *issuer, int64_t now,
                    struct ocsp_answer *out)
{
    const uint8_t *p = der.p;
    *out = (struct ocsp_answer){.status = OCSP_IS_UNKNOWN};
    if (der.n > OCSP_MAX)
        return ctx_fail(ctx, E_BAD_ANSWER, "an OCSP answer of %zu bytes; %zu are read at most", der.n, OCSP_MAX);
    OCSP_RESPONSE *response ALG_CLEANUP(OCSP_RESPONSE) = d2i_OCSP_RESPONSE(NULL, &p, (long)der.n);
    if (!response || p != der.p + der.n)
        return alg_fail(ctx, E_BAD_ANSWER, "this is no OCSP answer");
    TRY(read_status(ctx, response));
    OCSP_BASICRESP *basic ALG_CLEANUP(OCSP_BASICRESP) = OCSP_response_get1_basic(response);
    X509 *above ALG_CLEANUP(X509) = to_x509(issuer);
    OCSP_CERTID *id ALG_CLEANUP(OCSP_CERTID) = above ? make_id(cert, above) : NULL;
    if (!basic || !id)
        return alg_fail(ctx, E_BAD_ANSWER, "the OCSP answer cannot be read");
    TRY(check_signer(ctx, basic, above, now));
    return read_single(ctx, basic, id, now, out);
}
