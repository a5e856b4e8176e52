#include "core/outside.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/log.h"
#include "core/findings.h"
#include "core/inventory.h"
#include "core/issuer.h"
#include "core/issuer_trust.h"
#include "core/job.h"
#include "pki/crl.h"

#define ASKED_S    86400      /* a job that nobody ended is made again after this */
#define NO_AGENT_S 3600       /* nobody may ask: look again */
#define FAILED_S   (6 * 3600) /* doubling */
#define SOONEST_S  3600
#define LATEST_S   (7 * 86400)
#define URL_MAX    2047

static bool is_http(struct bytes url)
{
    return url.n && url.n <= URL_MAX && !memchr(url.p, 0, url.n) &&
           (bytes_starts_with(url, BYTES_LIT("http://")) || bytes_starts_with(url, BYTES_LIT("https://")));
}

const char *outside_revocation_ref(struct ctx *ctx, int64_t id)
{
    return arena_printf(&ctx->arena, "revocation:%lld", (long long)id);
}

static struct rc wish_issuer(struct ctx *ctx, struct txn *txn, struct bytes url, int64_t now)
{
    struct bytes hash;
    if (!is_http(url) || !str_is_utf8(url))
        return RC_OK;
    TRY(digest_sha256_new(ctx, url, &hash));
    const char *ref = arena_printf(&ctx->arena, "issuer:%s", hex_str(&ctx->arena, bytes_of(hash.p, 16)));
    return q_outside_ask_add(ctx, txn, ref, 0, arena_str(&ctx->arena, url), now);
}

RC outside_wish(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_certificate_row_row *row,
                const struct cert_fields *cert, bool issuer_known)
{
    const int64_t now = ctx_now_s(ctx);
    if (cert->self_issued || (cert->extensions & EXT_POISON) || cert->not_after < now)
        return RC_OK;
    if (!issuer_known)
        TRY(wish_issuer(ctx, txn, cert->issuer_uri, now));
    uint8_t issuer[SHA256_LEN];
    TRY(digest_sha256(ctx, cert->issuer.der, issuer));
    if (finding_rules_own_ca(core->rules, issuer, cert->aki)) /* what it revoked is known here */
        return RC_OK;
    const bool served = (row->flags & CERTIFICATE_MANAGED) || row->source == INVENTORY_SCAN || row->source == INVENTORY_HOST;
    const bool tells = is_http(cert->ocsp_uri) || is_http(cert->crl_uri);
    if (!issuer_known || !served || !tells || !finding_is_leaf(cert))
        return RC_OK;
    return q_outside_ask_add(ctx, txn, outside_revocation_ref(ctx, row->id), row->id, "", now);
}

/* --- asking */

struct asking {
    struct core *core;
    struct q_outside_ask_due_row *rows;
    size_t n;
};

static struct rc der_of(struct ctx *ctx, struct core *core, struct txn *txn, int64_t id, struct bytes *der)
{
    struct q_certificate_der_get_row row;
    bool found = false;
    TRY(q_certificate_der_get(ctx, txn, id, &row, &found));
    return found ? certificate_der(ctx, core, row.dictionary, row.der, der)
                 : ctx_fail(ctx, E_NOT_FOUND, "the inventory has no certificate %lld", (long long)id);
}

/* The certificate and the one that issued it; *any is false where there is nothing to ask any more. */
static struct rc revocation_payload(struct ctx *ctx, struct core *core, struct txn *txn, int64_t id, struct bytes *out, bool *any)
{
    struct issuer_chains chains;
    struct bytes der;
    struct buf b;
    struct json_out j;
    *any = false;
    TRY(der_of(ctx, core, txn, id, &der));
    TRY(issuer_chains_of(ctx, core, txn, der, &chains));
    if (!chains.n || chains.v[0].n < 2 || chains.v[0].cert[0].not_after < ctx_now_s(ctx) || der.n > CERT_MAX ||
        chains.v[0].cert[1].der.n > CERT_MAX)
        return RC_OK;
    buf_init_arena(&b, &ctx->arena, (size_t)1 << 18);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_base64(&j, "certificate", der);
    json_put_base64(&j, "issuer", chains.v[0].cert[1].der);
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_bytes(&b);
    *any = true;
    return RC_OK;
}

static struct rc issuer_payload(struct ctx *ctx, const char *url, struct bytes *out)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 14);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "url", url);
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_bytes(&b);
    return RC_OK;
}

static struct rc ask(struct ctx *ctx, struct core *core, struct txn *txn, const char *agent,
                     const struct q_outside_ask_due_row *row)
{
    struct bytes payload;
    const char *kind = "fetch_issuer";
    if (row->certificate_id) {
        bool any = false;
        kind = "revocation";
        struct rc rc = revocation_payload(ctx, core, txn, row->certificate_id, &payload, &any);
        if (rc.e == E_NOT_FOUND)
            ctx_forget(ctx);
        else
            TRY(rc);
        if (!any) /* it is looked at again when its issuer comes, and is asked about then */
            return q_outside_ask_drop(ctx, txn, row->ref);
    } else {
        TRY(issuer_payload(ctx, row->url, &payload));
    }
    TRY(q_outside_ask_next(ctx, txn, row->ref, ctx_now_s(ctx) + ASKED_S, row->failures, NULL));
    return job_add(ctx, core, txn, kind, agent, row->ref, row->ref, payload, 0);
}

static struct rc ask_all(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asking *a = arg;
    const char *agent = NULL;
    const struct issuer_settings any = {0};
    TRY(q_outside_ask_due(ctx, txn, ctx_now_s(ctx), OUTSIDE_AT_ONCE, &a->rows, &a->n));
    struct rc rc = issuer_agent(ctx, txn, &any, &agent);
    const char *why = rc_failed(rc) ? ctx_why(ctx) : NULL;
    if (rc_failed(rc) && err_info(rc.e)->category == CAT_RESOURCE)
        return rc;
    ctx_forget(ctx);
    for (size_t i = 0; i < a->n; i++)
        if (agent)
            TRY(ask(ctx, a->core, txn, agent, &a->rows[i]));
        else
            TRY(q_outside_ask_next(ctx, txn, a->rows[i].ref, ctx_now_s(ctx) + NO_AGENT_S, a->rows[i].failures, why));
    return RC_OK;
}

RC outside_tick(struct ctx *ctx, struct core *core)
{
    struct asking a = {.core = core};
    return store_write(ctx, core->store, ask_all, &a);
}

/* --- answers */

static struct rc failed(struct ctx *ctx, struct txn *txn, const struct checked_result *r, int64_t failures)
{
    int64_t wait = FAILED_S;
    for (int64_t i = 0; i < failures && wait < LATEST_S; i++)
        wait *= 2;
    return q_outside_ask_next(ctx, txn, r->job.ref, ctx_now_s(ctx) + (wait < LATEST_S ? wait : LATEST_S), failures + 1,
                              r->why ? r->why : "no answer");
}

RC outside_issuer_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    struct q_outside_ask_get_row row;
    bool found = false;
    TRY(q_outside_ask_get(ctx, txn, r->job.ref, &row, &found));
    if (!found)
        return RC_OK;
    const struct api_job_fetch_issuer_done *done = r->ok ? r->raw->fetch_issuer : NULL;
    if (!done || !done->certificates.n)
        return failed(ctx, txn, r, row.failures);
    const struct inventory_from from = {.source = INVENTORY_FETCHED};
    struct inventory_item *items = arena_array(&ctx->arena, done->certificates.n, sizeof *items);
    struct inventory_batch batch;
    for (size_t i = 0; i < done->certificates.n; i++)
        items[i].der = done->certificates.v[i];
    TRY(inventory_prepare(ctx, core, items, done->certificates.n, &batch));
    TRY(inventory_put(ctx, core, txn, &from, &batch));
    /* Where it was not what was missing, it may be another time. */
    return q_outside_ask_next(ctx, txn, r->job.ref, ctx_now_s(ctx) + 30 * (int64_t)86400, 0, NULL);
}

static int64_t next_time(int64_t now, int64_t next_update)
{
    const int64_t next = next_update > now + SOONEST_S ? next_update : now + SOONEST_S;
    return next < now + LATEST_S ? next : now + LATEST_S;
}

RC outside_revocation_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    struct q_outside_ask_get_row row;
    struct q_certificate_row_row certificate;
    bool found = false;
    const int64_t now = ctx_now_s(ctx);
    TRY(q_outside_ask_get(ctx, txn, r->job.ref, &row, &found));
    if (found)
        TRY(q_certificate_row(ctx, txn, row.certificate_id, &certificate, &found));
    if (!found)
        return RC_OK;
    const struct api_job_revocation_done *done = r->ok ? r->raw->revocation : NULL;
    if (!done)
        return failed(ctx, txn, r, row.failures);
    const bool revoked = str_equal(done->status, "revoked"), good = str_equal(done->status, "good");
    const int64_t when = done->revoked_at, reason = done->reason;
    const struct q_outside_ask_said_in in = {.ref = r->job.ref,
                                             .url = done->source ? done->source : "",
                                             .due_at = next_time(now, done->next_update),
                                             .status = done->status,
                                             .said_at = now,
                                             .revoked_at = revoked ? &when : NULL,
                                             .reason = revoked ? &reason : NULL};
    TRY(q_outside_ask_said(ctx, txn, &in));
    if (!revoked && !good)
        return RC_OK; /* who does not know it says nothing of it */
    const char *detail = revoked ? crl_reason_name((int)reason) : "";
    TRY(inventory_flag(ctx, core, txn, row.certificate_id, revoked ? CERTIFICATE_REVOKED : 0, revoked ? 0 : CERTIFICATE_REVOKED));
    return inventory_finding(ctx, core, txn, row.certificate_id, 0, CHECK_REVOKED, revoked, detail);
}
