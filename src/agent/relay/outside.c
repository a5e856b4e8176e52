#include "agent/relay/outside.h"

#include "base/log.h"
#include "pki/cert_read.h"
#include "pki/crl.h"
#include "pki/key.h"
#include "pki/ocsp.h"
#include "pki/pkcs7.h"

#define REDIRECTS_MAX  3
#define CRL_POINTS_MAX 4

/* A URL of a certificate: bytes that anybody may have put there. */
static RC url_of(struct ctx *ctx, struct bytes raw, const char **url)
{
    for (size_t i = 0; i < raw.n; i++)
        if (raw.p[i] <= ' ' || raw.p[i] >= 127)
            return ctx_fail(ctx, E_BAD_ANSWER, "the certificate names a place that is no URL");
    *url = arena_str(&ctx->arena, raw);
    if (!raw.n || raw.n > 2047 || (strncmp(*url, "http://", 7) != 0 && strncmp(*url, "https://", 8) != 0))
        return ctx_fail(ctx, E_UNSUPPORTED, "the certificate names a place that is not reached by HTTP: %.200s", *url);
    return RC_OK;
}

/* What goes to the hub of a failure: nothing that the server said, or of what its network looks like.  This host's log has the
 * rest. */
static RC failed(struct ctx *ctx, struct rc rc, const char *what, const char *url)
{
    static const struct {
        enum err e;
        const char *text;
    } reasons[] = {
        {E_ADDRESS_REFUSED, "it leads to an address that is not public, or another port than 80 and 443 (networks: outside of "
                            "agent.yaml may grant it)"},
        {E_DNS, "its name leads nowhere"},
        {E_TIMEOUT, "no answer in time"},
        {E_TLS, "no TLS that is trusted"},
        {E_BAD_ANSWER, "the answer is malformed, too large or leads too far"},
    };
    const char *text = "the server is not reached, or has no answer";
    enum err e = E_UNREACHABLE;
    if (rc_ok(rc) || rc.e == E_SHUTTING_DOWN || rc.e == E_NO_MEMORY)
        return rc;
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (rc.e == reasons[i].e) {
            e = rc.e;
            text = reasons[i].text;
        }
    log_event(LOG_INFO_, "outside_failed", "what", what, "url", url, "why", ctx_why(ctx), NULL);
    ctx_forget(ctx);
    return ctx_fail(ctx, e, "%s: %s: %s", what, url, text);
}

static RC call(struct ctx *ctx, struct http_client *http, const struct http_call *in, const char *what, struct bytes *body)
{
    struct http_answer answer;
    struct rc rc = http_client_call(ctx, http, in, &answer);
    if (rc_ok(rc) && answer.status != 200)
        rc = ctx_fail(ctx, E_UNREACHABLE, "status %d", answer.status);
    TRY(failed(ctx, rc, what, in->url));
    *body = answer.body;
    return RC_OK;
}

/* --- the issuer's certificate */

static bool take(struct bytes *list, size_t *n, size_t most, struct bytes der)
{
    if (*n == most || !der.n || der.n > CERT_MAX)
        return false;
    list[(*n)++] = der;
    return true;
}

RC outside_issuers(struct ctx *ctx, struct bytes body, struct wire_blobs *out)
{
    struct cert_chain chain = {0};
    struct cert_fields one;
    struct bytes *list = arena_array(&ctx->arena, PKCS7_CERTS_MAX, sizeof *list);
    size_t n = 0;
    if (rc_ok(cert_read(ctx, body, &one))) {
        take(list, &n, PKCS7_CERTS_MAX, body);
    } else {
        ctx_forget(ctx);
        const bool pem = bytes_find(body, BYTES_LIT("-----BEGIN")) != SIZE_MAX;
        struct rc rc = pem ? cert_chain_parse_pem(ctx, body, PKCS7_CERTS_MAX, &chain) : pkcs7_certificates(ctx, body, &chain);
        if (rc_failed(rc))
            return ctx_fail(ctx, E_BAD_ANSWER, "what was given for the issuer is no certificate: %s", ctx_why(ctx));
        for (size_t i = 0; i < chain.n; i++)
            take(list, &n, PKCS7_CERTS_MAX, chain.v[i].der);
    }
    if (!n)
        return ctx_fail(ctx, E_BAD_ANSWER, "what was given for the issuer is larger than a certificate may be");
    *out = (struct wire_blobs){list, n};
    return RC_OK;
}

RC outside_fetch_issuer(struct ctx *ctx, const struct outside *o, const struct wire_relay_fetch_issuer *in,
                        struct wire_relay_fetch_issuer_done *out)
{
    struct http_call get = {.total_ms = OUTSIDE_TOTAL_MS, .body_max = OUTSIDE_ISSUER_MAX, .redirects = REDIRECTS_MAX};
    struct bytes body;
    TRY(url_of(ctx, bytes_z(in->url), &get.url));
    TRY(call(ctx, o->http, &get, "the issuer's certificate", &body));
    return outside_issuers(ctx, body, &out->certificates);
}

/* --- revocation */

static RC ask_ocsp(struct ctx *ctx, struct http_client *http, struct bytes uri, const struct cert *cert, const struct cert *issuer,
                   struct wire_relay_revocation_done *out)
{
    static const struct http_header headers[] = {{"Content-Type", "application/ocsp-request"}};
    struct http_call post = {
        .method = "POST", .headers = headers, .headers_n = 1, .total_ms = OUTSIDE_TOTAL_MS, .body_max = OCSP_MAX};
    struct ocsp_answer a;
    struct bytes body;
    TRY(url_of(ctx, uri, &post.url));
    TRY(ocsp_request(ctx, cert, issuer, &post.body));
    TRY(call(ctx, http, &post, "OCSP", &body));
    TRY(ctx_wrap(ctx, ocsp_read(ctx, body, cert, issuer, ctx_now_s(ctx), &a), "%s", post.url));
    static const enum wire_relay_revocation_done_status statuses[] = {
        [OCSP_IS_GOOD] = WIRE_relay_revocation_done_status_good,
        [OCSP_IS_REVOKED] = WIRE_relay_revocation_done_status_revoked,
        [OCSP_IS_UNKNOWN] = WIRE_relay_revocation_done_status_unknown,
    };
    *out = (struct wire_relay_revocation_done){.status = statuses[a.status],
                                               .source = post.url,
                                               .this_update = a.this_update,
                                               .next_update = a.next_update,
                                               .revoked_at = a.revoked_at,
                                               .reason = a.reason};
    return RC_OK;
}

RC outside_crl(struct ctx *ctx, struct bytes der, struct bytes url, const struct cert *cert, const struct cert *issuer, int64_t now,
               struct wire_relay_revocation_done *out)
{
    struct crl crl;
    struct crl_entry entry;
    KEY_CLEANUP struct key *key = NULL;
    if (rc_failed(crl_parse(ctx, der, &crl)))
        return ctx_fail(ctx, E_BAD_ANSWER, "the list of revoked certificates cannot be read: %s", ctx_why(ctx));
    if (!bytes_equal(crl.issuer.der, issuer->subject.der))
        return ctx_fail(ctx, E_BAD_ANSWER, "the list of revoked certificates is another issuer's");
    TRY(key_from_spki(ctx, issuer->spki.der, &key));
    if (rc_failed(crl_verify(ctx, &crl, key)))
        return ctx_fail(ctx, E_PEER_IDENTITY, "the list of revoked certificates is not signed by the issuer");
    if (!crl_is_for(&crl, cert->is_ca, url))
        return ctx_fail(ctx, E_BAD_ANSWER, "the list of revoked certificates is for other certificates of the issuer");
    if (crl.this_update > now + 300 || (crl.next_update && crl.next_update < now))
        return ctx_fail(ctx, E_BAD_ANSWER, "the list of revoked certificates is out of its time");
    *out = (struct wire_relay_revocation_done){.status = WIRE_relay_revocation_done_status_good,
                                               .source = "",
                                               .this_update = crl.this_update,
                                               .next_update = crl.next_update};
    for (struct bytes rest = crl.rest; crl_next(&rest, &entry);)
        if (bytes_equal(entry.serial, cert->serial)) {
            out->status = WIRE_relay_revocation_done_status_revoked;
            out->revoked_at = entry.revoked_at > 0 ? entry.revoked_at : 0;
            out->reason = entry.reason >= 0 && entry.reason <= 10 ? entry.reason : 0;
        }
    return RC_OK;
}

static struct rc fetch_crl(struct ctx *ctx, void *http, const char *url, struct bytes *body)
{
    struct http_call get = {.url = url, .total_ms = OUTSIDE_TOTAL_MS, .body_max = CRL_MAX, .redirects = REDIRECTS_MAX};
    return call(ctx, http, &get, "CRL", body);
}

static RC read_crl(struct ctx *ctx, const struct outside *o, struct bytes uri, const struct cert *cert, const struct cert *issuer,
                   struct wire_relay_revocation_done *out)
{
    struct crl_kept *kept = NULL;
    struct bytes body;
    const char *url;
    TRY(url_of(ctx, uri, &url));
    TRY(crl_memory_take(ctx, o->crls, url, (struct crl_source){fetch_crl, o->http}, &kept, &body));
    struct rc rc = outside_crl(ctx, body, uri, cert, issuer, ctx_now_s(ctx), out);
    crl_memory_give(ctx, o->crls, kept, rc_ok(rc), out->next_update);
    TRY(ctx_wrap(ctx, rc, "%s", url));
    out->source = url;
    return RC_OK;
}

RC outside_revocation(struct ctx *ctx, const struct outside *o, const struct wire_relay_revocation *in,
                      struct wire_relay_revocation_done *out)
{
    struct cert cert, issuer;
    struct cert_fields fields;
    struct bytes uri, point = {0};
    TRY(cert_parse(ctx, in->certificate, &cert));
    TRY(cert_parse(ctx, in->issuer, &issuer));
    TRY(cert_read(ctx, in->certificate, &fields));
    if (!bytes_equal(cert.issuer.der, issuer.subject.der))
        return ctx_fail(ctx, E_INVALID, "the certificate is not of that issuer");
    struct rc rc = ctx_fail(ctx, E_UNSUPPORTED, "the certificate does not say where its revocation is told");
    if (fields.ocsp_uri.n) {
        ctx_forget(ctx);
        rc = ask_ocsp(ctx, o->http, fields.ocsp_uri, &cert, &issuer, out);
        if (rc_ok(rc) && out->status != WIRE_relay_revocation_done_status_unknown)
            return rc;
    }
    struct bytes rest = fields.crl_points.der;
    for (size_t i = 0; i < CRL_POINTS_MAX && cert_next_crl_uri(&rest, &point, &uri); i++) {
        const struct rc before = rc;
        ctx_forget(ctx);
        rc = read_crl(ctx, o, uri, &cert, &issuer, out);
        if (rc_ok(rc))
            return rc;
        if (rc_ok(before)) { /* the responder did answer, that it does not know it */
            ctx_forget(ctx);
            *out = (struct wire_relay_revocation_done){.status = WIRE_relay_revocation_done_status_unknown, .source = ""};
            rc = before;
        }
    }
    return rc;
}
