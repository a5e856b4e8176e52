#include "core/outside.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/log.h"
#include "base/uri.h"
#include "core/findings.h"
#include "core/inventory.h"
#include "core/issuer.h"
#include "core/issuer_trust.h"
#include "core/job.h"
#include "pki/crl.h"
#include "pki/signed_by.h"

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

/* How far it is above what was found. */
static int64_t depth_of(const struct q_certificate_row_row *row)
{
    const int64_t depth = (row->flags & CERTIFICATE_DEPTH) >> CERTIFICATE_DEPTH_SHIFT;
    if (row->source != INVENTORY_FETCHED)
        return 0;
    return depth ? depth : OUTSIDE_DEPTH_MAX;
}

static struct rc wish_issuer(struct ctx *ctx, struct txn *txn, const struct q_certificate_row_row *row, struct bytes url,
                             int64_t now)
{
    struct bytes hash;
    if (!is_http(url) || !str_is_utf8(url) || depth_of(row) >= OUTSIDE_DEPTH_MAX)
        return RC_OK;
    TRY(digest_sha256_new(ctx, url, &hash));
    const char *ref = arena_printf(&ctx->arena, "issuer:%s", hex_str(&ctx->arena, bytes_of(hash.p, 16)));
    return q_outside_ask_want(ctx, txn, ref, row->id, arena_str(&ctx->arena, url), now);
}

RC outside_wish(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_certificate_row_row *row,
                const struct cert_fields *cert, const struct trust *issuer)
{
    const int64_t now = ctx_now_s(ctx);
    if (cert->self_issued || (cert->extensions & EXT_POISON) || cert->not_after < now)
        return RC_OK;
    if (!issuer->known || issuer->how == ISSUER_NOT_KNOWN) /* one that is there may have its name only */
        TRY(wish_issuer(ctx, txn, row, cert->issuer_uri, now));
    uint8_t name[SHA256_LEN];
    TRY(digest_sha256(ctx, cert->issuer.der, name));
    if (finding_rules_own_ca(core->rules, name, cert->aki)) /* what it revoked is known here */
        return RC_OK;
    const bool served = (row->flags & CERTIFICATE_MANAGED) || row->source == INVENTORY_SCAN || row->source == INVENTORY_HOST;
    const bool tells = is_http(cert->ocsp_uri) || is_http(cert->crl_uri);
    if (!issuer->known || !served || !tells || !finding_is_leaf(cert))
        return RC_OK;
    return q_outside_ask_add(ctx, txn, outside_revocation_ref(ctx, row->id), row->id, "", now);
}

/* --- bounds */

struct bound {
    const char *kind;
    int64_t all, each; /* an hour */
};
static const struct bound bounds[] = {{"issuer", OUTSIDE_ISSUERS_HOUR, OUTSIDE_ISSUERS_HOST_HOUR},
                                      {"revocation", OUTSIDE_REVOCATION_HOUR, OUTSIDE_REVOCATION_HOST_HOUR}};

#define HOSTS_MAX 5 /* of one question: a responder, and the lists that the relay would read */

struct places {
    const char *key[HOSTS_MAX]; /* "issuer host" */
    size_t n;
};

static void place_add(struct ctx *ctx, struct places *p, const char *kind, struct bytes url)
{
    struct uri uri;
    if (p->n == HOSTS_MAX || !is_http(url))
        return;
    if (rc_failed(uri_parse(ctx, url, &uri))) {
        ctx_forget(ctx); /* nor will the relay take it */
        return;
    }
    const char *key = arena_printf(&ctx->arena, "%s %s", kind, uri.host);
    for (size_t i = 0; i < p->n; i++)
        if (str_equal(p->key[i], key))
            return;
    p->key[p->n++] = key;
}

static struct rc asked_of(struct ctx *ctx, struct txn *txn, const char *key, int64_t hour, int64_t *n)
{
    struct q_outside_hour_get_row row;
    bool found = false;
    TRY(q_outside_hour_get(ctx, txn, key, &row, &found));
    *n = found && row.hour == hour ? row.n : 0;
    return RC_OK;
}

/* Counts one question; *why where it has to wait. */
static struct rc count(struct ctx *ctx, struct txn *txn, const struct bound *bound, const struct places *p, const char **why)
{
    const int64_t hour = ctx_now_s(ctx) / 3600;
    int64_t n[HOSTS_MAX + 1];
    *why = NULL;
    for (size_t i = 0; i <= p->n; i++) {
        const char *key = i ? p->key[i - 1] : bound->kind;
        const int64_t most = i ? bound->each : bound->all;
        TRY(asked_of(ctx, txn, key, hour, &n[i]));
        if (n[i] < most)
            continue;
        if (n[i] == most) /* outside_troubles() tells it */
            TRY(q_outside_hour_put(ctx, txn, key, hour, most + 1));
        *why = arena_printf(&ctx->arena, "waits: %lld questions an hour %s%s at most", (long long)most, i ? "to " : "in all",
                            i ? key + strlen(bound->kind) + 1 : "");
        return RC_OK;
    }
    if (!n[0])
        TRY(q_outside_hour_drop(ctx, txn, hour - 1));
    for (size_t i = 0; i <= p->n; i++)
        TRY(q_outside_hour_put(ctx, txn, i ? p->key[i - 1] : bound->kind, hour, n[i] + 1));
    return RC_OK;
}

RC outside_troubles(struct ctx *ctx, struct txn *txn, void *arg,
                    void (*add)(void *arg, const char *object, const char *text, const char *remedy))
{
    struct q_outside_hour_full_row *rows = NULL;
    size_t n = 0;
    TRY(q_outside_hour_full(ctx, txn,
                            &(struct q_outside_hour_full_in){.hour = ctx_now_s(ctx) / 3600,
                                                             .issuers_host = bounds[0].each,
                                                             .issuers = bounds[0].all,
                                                             .revocation_host = bounds[1].each,
                                                             .revocation = bounds[1].all,
                                                             .limit = 20},
                            &rows, &n));
    for (size_t i = 0; i < n; i++) {
        const char *host = strchr(rows[i].host, ' ');
        const bool issuer = bytes_starts_with(bytes_z(rows[i].host), BYTES_LIT("issuer"));
        add(arg, arena_printf(&ctx->arena, "asking others%s%s", host ? " at" : "", host ? host : ""),
            arena_printf(&ctx->arena, "%s: %lld questions within an hour, the rest waits",
                         issuer ? "issuers that certificates name" : "revocation", (long long)rows[i].n - 1),
            "nothing where it ends by itself; else look which certificates name it: somebody may have made them");
    }
    return RC_OK;
}

/* --- asking */

struct asking {
    struct core *core;
    struct q_outside_ask_due_row *rows;
    size_t n, made;
};

static struct rc der_of(struct ctx *ctx, struct core *core, struct txn *txn, int64_t id, struct bytes *der)
{
    struct q_certificate_der_get_row row;
    bool found = false;
    TRY(q_certificate_der_get(ctx, txn, id, &row, &found));
    return found ? certificate_der(ctx, core, row.dictionary, row.packed, der)
                 : ctx_fail(ctx, E_NOT_FOUND, "the inventory has no certificate %lld", (long long)id);
}

/* A question that may be asked; without a payload there is nothing to ask any more. */
struct question {
    const char *kind;
    const struct bound *bound;
    struct bytes payload;
    struct places places;
};

static void places_of(struct ctx *ctx, const struct cert_fields *cert, struct places *p)
{
    struct bytes rest = cert->crl_points.der, point = {0}, uri;
    place_add(ctx, p, "revocation", cert->ocsp_uri);
    for (size_t i = 0; i + 1 < HOSTS_MAX && cert_next_crl_uri(&rest, &point, &uri); i++)
        place_add(ctx, p, "revocation", uri);
}

/* The certificate and the one that issued it. */
static struct rc revocation_question(struct ctx *ctx, struct core *core, struct txn *txn, int64_t id, struct question *q)
{
    struct issuer_chains chains;
    struct bytes der;
    struct buf b;
    struct json_out j;
    TRY(der_of(ctx, core, txn, id, &der));
    TRY(issuer_chains_of(ctx, core, txn, der, &chains));
    const struct cert_fields *cert = NULL, *issuer = NULL;
    for (size_t i = 0; i < chains.n && !issuer; i++) { /* not whoever has its name only */
        cert = &chains.v[i].cert[0];
        issuer = chains.v[i].n > 1 && cert_signed_by(der, cert[1].der) ? &cert[1] : NULL;
    }
    if (!issuer || cert->not_after < ctx_now_s(ctx))
        return RC_OK;
    buf_init_arena(&b, &ctx->arena, (size_t)1 << 18);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_base64(&j, "certificate", der);
    json_put_base64(&j, "issuer", issuer->der);
    json_close(&j);
    TRY(buf_status(&b));
    q->payload = buf_bytes(&b);
    places_of(ctx, cert, &q->places);
    return RC_OK;
}

/* Where it still misses its issuer. */
static struct rc issuer_question(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_outside_ask_due_row *row,
                                 struct question *q)
{
    struct cert_fields cert;
    struct bytes der;
    struct buf b;
    struct json_out j;
    bool known = false;
    if (row->failures >= OUTSIDE_FAILURES_MAX)
        return RC_OK;
    TRY(der_of(ctx, core, txn, row->for_id, &der));
    TRY(cert_read(ctx, der, &cert));
    TRY(issuer_signer_known(ctx, core, txn, &cert, &known));
    if (known || cert.not_after < ctx_now_s(ctx))
        return RC_OK;
    buf_init_arena(&b, &ctx->arena, 1 << 14);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "url", row->url);
    json_close(&j);
    TRY(buf_status(&b));
    q->payload = buf_bytes(&b);
    place_add(ctx, &q->places, "issuer", bytes_z(row->url));
    return RC_OK;
}

static struct rc ask(struct ctx *ctx, struct asking *a, struct txn *txn, const char *agent, const struct q_outside_ask_due_row *row)
{
    const bool issuer = !row->certificate_id;
    struct question q = {.kind = issuer ? "fetch_issuer" : "revocation", .bound = &bounds[!issuer]};
    const int64_t now = ctx_now_s(ctx);
    const char *why = NULL;
    int64_t asked = 0;
    TRY(asked_of(ctx, txn, q.bound->kind, now / 3600, &asked));
    if (asked >= q.bound->all) { /* without looking for chains */
        TRY(count(ctx, txn, q.bound, &q.places, &why));
        return q_outside_ask_wait(ctx, txn, row->ref, (now / 3600 + 1) * 3600, why);
    }
    struct rc rc = issuer ? issuer_question(ctx, a->core, txn, row, &q)
                          : revocation_question(ctx, a->core, txn, row->certificate_id, &q);
    if (rc.e == E_NOT_FOUND || rc.e == E_PARSE) /* gone, or damaged: certwright check says so */
        ctx_forget(ctx);
    else
        TRY(rc);
    if (!q.payload.n) /* it is looked at again when its issuer comes, and is asked about then */
        return q_outside_ask_drop(ctx, txn, row->ref);
    TRY(count(ctx, txn, q.bound, &q.places, &why));
    if (why)
        return q_outside_ask_wait(ctx, txn, row->ref, (now / 3600 + 1) * 3600, why);
    TRY(q_outside_ask_made(ctx, txn, row->ref, now + ASKED_S, now));
    a->made++;
    return job_add(ctx, a->core, txn, q.kind, agent, row->ref, row->ref, q.payload, 0);
}

static struct rc ask_all(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asking *a = arg;
    const char *agent = NULL;
    const struct issuer_settings any = {0};
    a->made = 0;
    TRY(q_outside_ask_due(ctx, txn, ctx_now_s(ctx), OUTSIDE_READ_MAX, &a->rows, &a->n));
    struct rc rc = issuer_agent(ctx, txn, &any, &agent);
    const char *why = rc_failed(rc) ? ctx_why(ctx) : NULL;
    if (rc_failed(rc) && err_info(rc.e)->category == CAT_RESOURCE)
        return rc;
    ctx_forget(ctx);
    for (size_t i = 0; i < a->n && a->made < OUTSIDE_AT_ONCE; i++)
        if (agent)
            TRY(ask(ctx, a, txn, agent, &a->rows[i]));
        else
            TRY(q_outside_ask_wait(ctx, txn, a->rows[i].ref, ctx_now_s(ctx) + NO_AGENT_S, why));
    return RC_OK;
}

RC outside_tick(struct ctx *ctx, struct core *core)
{
    struct asking a = {.core = core};
    return store_write(ctx, core->store, ask_all, &a);
}

/* --- answers */

static struct rc failed(struct ctx *ctx, struct txn *txn, const struct checked_result *r, const struct q_outside_ask_get_row *row)
{
    int64_t wait = row->certificate_id ? FAILED_S : ASKED_S; /* a URL of an issuer: once a day at most */
    for (int64_t i = 0; i < row->failures && wait < LATEST_S; i++)
        wait *= 2;
    return q_outside_ask_next(ctx, txn, r->job.ref, ctx_now_s(ctx) + (wait < LATEST_S ? wait : LATEST_S), row->failures + 1,
                              r->why ? r->why : "no answer");
}

#define CHILDREN_MAX 16 /* certificates of one issuer's Name that are tried */

struct fetched {
    struct cert_fields cert;
    int64_t depth; /* 0: it issued nothing that is here */
};

/* Whether `id` is issued by it, and so is what brings it here. */
static struct rc fetched_for(struct ctx *ctx, struct core *core, struct txn *txn, int64_t id, struct fetched *f)
{
    struct q_certificate_row_row row;
    struct cert_fields child;
    struct bytes der;
    bool found = false;
    TRY(q_certificate_row(ctx, txn, id, &row, &found));
    if (!found || depth_of(&row) >= OUTSIDE_DEPTH_MAX)
        return RC_OK;
    TRY(der_of(ctx, core, txn, id, &der));
    TRY(cert_read(ctx, der, &child));
    const int64_t depth = depth_of(&row) + 1;
    if ((!f->depth || depth < f->depth) && issuer_may_be(&f->cert, &child) && cert_signed_by(der, f->cert.der))
        f->depth = depth;
    return RC_OK;
}

/* The one that was asked for, or others: anybody may have named the URL first. */
static struct rc fetched_place(struct ctx *ctx, struct core *core, struct txn *txn, int64_t for_id, struct fetched *f)
{
    struct q_certificate_by_term_row *rows = NULL;
    size_t n = 0;
    const char *term = inventory_term_hash(ctx, "i:", f->cert.subject.der);
    struct rc rc = fetched_for(ctx, core, txn, for_id, f);
    if (rc.e != E_NOT_FOUND)
        TRY(rc);
    else
        ctx_forget(ctx); /* it went meanwhile */
    if (f->depth || !term)
        return RC_OK;
    TRY(q_certificate_by_term(ctx, txn, certificate_term_quoted(ctx, core, term), CHILDREN_MAX, &rows, &n));
    for (size_t i = 0; i < n && !f->depth; i++)
        TRY(fetched_for(ctx, core, txn, rows[i].id, f));
    return RC_OK;
}

static struct rc fetched_take(struct ctx *ctx, struct core *core, struct txn *txn, int64_t for_id, struct bytes der)
{
    const struct inventory_from from = {.source = INVENTORY_FETCHED};
    struct fetched f = {.depth = 0};
    struct inventory_item item = {.der = der};
    struct inventory_batch batch;
    struct bytes fingerprint;
    int64_t id = 0;
    bool found = false;
    if (rc_failed(cert_read(ctx, der, &f.cert))) {
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(digest_sha256_new(ctx, der, &fingerprint));
    TRY(inventory_find(ctx, txn, fingerprint, &id, &found));
    if (found || !f.cert.is_ca)
        return RC_OK;
    TRY(fetched_place(ctx, core, txn, for_id, &f));
    if (!f.depth)
        return RC_OK;
    item.flags = (uint32_t)f.depth << CERTIFICATE_DEPTH_SHIFT;
    TRY(inventory_prepare(ctx, core, &item, 1, &batch));
    return inventory_put(ctx, core, txn, &from, &batch);
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
        return failed(ctx, txn, r, &row);
    for (size_t i = 0; i < done->certificates.n; i++)
        TRY(fetched_take(ctx, core, txn, row.for_id, done->certificates.v[i]));
    /* Where it was not what was missing, it may be another time. */
    return q_outside_ask_next(ctx, txn, r->job.ref, ctx_now_s(ctx) + 30 * (int64_t)86400, 0, NULL);
}

static int64_t next_time(int64_t now, int64_t next_update)
{
    const int64_t next = next_update > now + SOONEST_S ? next_update : now + SOONEST_S;
    return next < now + LATEST_S ? next : now + LATEST_S;
}

static struct rc revoked_set(struct ctx *ctx, struct core *core, struct txn *txn, int64_t id, bool revoked, int64_t reason)
{
    struct q_certificate_row_row row;
    bool found = false;
    TRY(inventory_flag(ctx, core, txn, id, revoked ? CERTIFICATE_REVOKED : 0, revoked ? 0 : CERTIFICATE_REVOKED));
    TRY(q_certificate_row(ctx, txn, id, &row, &found));
    return inventory_finding(ctx, core, txn, id, 0, CHECK_REVOKED, revoked && !(row.flags & CERTIFICATE_SUPERSEDED),
                             revoked ? crl_reason_name((int)reason) : "");
}

RC outside_revoked(struct ctx *ctx, struct core *core, struct txn *txn, struct bytes fingerprint, int64_t reason)
{
    int64_t id = 0;
    bool found = false;
    TRY(inventory_find(ctx, txn, fingerprint, &id, &found));
    return found ? revoked_set(ctx, core, txn, id, true, reason) : RC_OK;
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
        return failed(ctx, txn, r, &row);
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
    if (good && (certificate.flags & CERTIFICATE_REVOKED) && (certificate.flags & CERTIFICATE_OURS))
        return RC_OK; /* we had it revoked: that is not told everywhere yet */
    return revoked_set(ctx, core, txn, row.certificate_id, revoked, reason);
}
