#include "core/ari.h"

#include "acme/ari.h"
#include "base/random.h"
#include "core/audit.h"
#include "core/inventory.h"
#include "core/issuer.h"
#include "core/job.h"
#include "core/payload.h"
#include "pki/cert.h"

#define FIRST_S   3600        /* after it was issued */
#define SILENT_S  (6 * 3600)  /* until somebody is asked again who has not answered */
#define BYTES_MAX ((size_t)200 << 10) /* of certificates in a job */
#define BETWEEN_S 60          /* between two batches of one issuer */

static const char *time_of(struct ctx *ctx, int64_t at)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 32);
    time_put_rfc3339(&b, at);
    return buf_z(&b);
}

/* The earliest that is asked for stays. */
static struct rc timer_sooner(struct ctx *ctx, struct txn *txn, const char *issuer, int64_t at)
{
    struct q_timer_get_row there;
    bool found = false;
    TRY(q_timer_get(ctx, txn, "ari", issuer, &there, &found));
    return found && there.due_at <= at ? RC_OK : timer_arm(ctx, txn, "ari", issuer, at);
}

RC ari_issued(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, int64_t number)
{
    struct q_issuer_by_id_row issuer;
    const int64_t now = ctx_now_s(ctx);
    TRY(q_issuer_by_id(ctx, txn, a->issuer_id, &issuer));
    if (!str_equal(issuer.kind, "acme"))
        return RC_OK;
    if (number > 1) {
        struct q_version_predecessor_row before;
        bool found = false;
        TRY(q_version_predecessor(ctx, txn, a->managed_id, number - 1, a->issuer_id, &before, &found));
        if (found)
            TRY(q_version_replaced(ctx, txn, a->managed_id, before.number, now));
    }
    TRY(q_version_account(ctx, txn, a->managed_id, number, issuer.account_url, now + FIRST_S));
    return timer_sooner(ctx, txn, a->issuer_id, now + FIRST_S);
}

RC ari_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer)
{
    struct q_issuer_get_row there;
    struct q_ari_due_row *due = NULL;
    struct q_ari_next_row next;
    struct q_ari_open_row open;
    size_t n = 0;
    bool found = false, any = false, under_way = false;
    const int64_t now = ctx_now_s(ctx);
    TRY(q_issuer_get(ctx, txn, issuer, core->team_root, &there, &found));
    if (!found || !str_equal(there.kind, "acme"))
        return RC_OK;
    TRY(q_ari_open(ctx, txn, issuer, &open, &under_way));
    if (under_way) /* one at a time: they do not pile up before an agent that is away */
        return timer_arm(ctx, txn, "ari", issuer, now + BETWEEN_S);
    TRY(q_ari_due(ctx, txn, issuer, now, ARI_BATCH, &due, &n));
    if (n > 0) {
        struct issuer_settings s;
        struct payload_issuer i;
        struct bytes payload, *ders = arena_array(&ctx->arena, n, sizeof *ders);
        const char *agent = NULL;
        size_t bytes = 0;
        for (size_t k = 0; k < n; k++) {
            struct bytes der;
            TRY(certificate_der(ctx, core, due[k].dictionary, due[k].packed, &der));
            bytes += der.n;
            if (k > 0 && bytes > BYTES_MAX)
                n = k; /* the others are due still */
            if (k == n)
                break;
            ders[k] = der;
            TRY(q_ari_asked(ctx, txn, due[k].managed_id, due[k].number, now + SILENT_S));
        }
        TRY(issuer_for_job(ctx, txn, issuer, &s, &i));
        TRY(payload_renewal_info(ctx, &i, ders, n, &payload));
        TRY(issuer_agent(ctx, txn, &s, &agent));
        TRY(job_add(ctx, core, txn, "renewal_info", agent, arena_printf(&ctx->arena, "ari:%s", issuer), issuer, payload, 0));
    }
    TRY(q_ari_next(ctx, txn, issuer, now, &next, &any));
    return any ? timer_arm(ctx, txn, "ari", issuer, next.at > now + BETWEEN_S ? next.at : now + BETWEEN_S) : RC_OK;
}

RC ari_answered(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer, const struct ari_said *said, size_t n,
                int64_t retry_after_s)
{
    const int64_t now = ctx_now_s(ctx), wait = acme_ari_retry(retry_after_s > 0 ? retry_after_s : -1);
    int64_t soonest = now + wait + wait / 8;
    (void)core;
    for (size_t i = 0; i < n; i++) {
        struct q_ari_versions_row *v = NULL;
        size_t versions = 0;
        TRY(q_ari_versions(ctx, txn, said[i].fingerprint, issuer, &v, &versions));
        for (size_t k = 0; k < versions; k++) {
            /* Spread, so that a batch does not stay one for ever. */
            const int64_t at = now + wait + (int64_t)random_below((uint64_t)(wait / 8 + 1));
            soonest = at < soonest ? at : soonest;
            TRY(q_ari_asked(ctx, txn, v[k].managed_id, v[k].number, at));
            if (said[i].end > said[i].start)
                TRY(ari_window(ctx, txn, v[k].managed_id, v[k].number, said[i].start, said[i].end, said[i].explanation_url));
        }
    }
    return timer_sooner(ctx, txn, issuer, soonest);
}

RC ari_window(struct ctx *ctx, struct txn *txn, const char *managed, int64_t number, int64_t start, int64_t end, const char *url)
{
    struct q_managed_by_id_row m;
    struct q_version_get_row v;
    bool found = false;
    const int64_t now = ctx_now_s(ctx);
    TRY(q_managed_by_id(ctx, txn, managed, &m));
    if (m.removed_at || m.version != number || end <= start)
        return RC_OK;
    TRY(q_version_get(ctx, txn, managed, number, &v, &found));
    if (!found || (v.renew_at >= start && v.renew_at <= end))
        return RC_OK;
    int64_t at = start + (int64_t)random_below((uint64_t)(end - start));
    /* Not a window that would never come in time, nor one that is over for each new certificate as soon as it is there. */
    if (at > v.not_after - (v.not_after - v.not_before) / 10)
        return RC_OK;
    const int64_t soonest = v.created_at + (v.not_after - v.not_before) / 20;
    if (at < soonest)
        at = soonest;
    if (at < now)
        at = now;
    TRY(q_version_renew_at(ctx, txn, managed, number, at));
    TRY(q_ari_explained(ctx, txn, managed, number, url));
    TRY(step_write(ctx, txn, managed, NULL, NULL, "window", "%s suggests to renew version %lld between %s and %s%s%s", v.issuer,
                   (long long)number, time_of(ctx, start), time_of(ctx, end), url ? "; see " : "",
                   url ? url : ""));
    return timer_arm(ctx, txn, "renew", managed, at);
}

RC ari_replaces(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, const struct wish *w,
                const char **out)
{
    struct q_managed_by_id_row m;
    struct q_version_predecessor_row before;
    struct cert cert;
    struct name_list had = {0}, wished = {0};
    bool found = false, shared = false;
    *out = NULL;
    TRY(q_managed_by_id(ctx, txn, a->managed_id, &m));
    if (m.version == 0)
        return RC_OK;
    TRY(q_version_predecessor(ctx, txn, m.id, m.version, a->issuer_id, &before, &found));
    if (!found)
        return RC_OK;
    struct bytes der;
    TRY(certificate_der(ctx, core, before.dictionary, before.packed, &der));
    TRY(cert_parse(ctx, der, &cert));
    TRY(cert_names(ctx, &cert, &had));
    TRY(name_list_parse(ctx, w->names.v, w->names.n, &wished));
    for (size_t i = 0; i < wished.n && !shared; i++)
        shared = name_list_has(&had, &wished.v[i]);
    if (shared && cert.aki.n > 0)
        *out = acme_ari_id(&ctx->arena, cert.aki, cert.serial);
    return RC_OK;
}
