#include "core/enroll.h"

#include "base/encode.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/issuer_choice.h"
#include "core/issuer_health.h"
#include "core/job.h"
#include "core/managed.h"
#include "pki/cert.h"
#include "pki/chain.h"
#include "pki/pem.h"

#define PAYLOAD_MAX ((size_t)256 << 10)
#define CHAIN_MAX 20

static struct rc payload_begin(struct ctx *ctx, const struct issuer_settings *s, const char *verb, struct buf *b,
                               struct json_out *j)
{
    buf_init_arena(b, &ctx->arena, PAYLOAD_MAX);
    json_begin(j, b);
    json_open_obj(j, NULL);
    json_put_str(j, "verb", verb);
    json_put_str(j, "protocol", s->protocol);
    json_put_raw(j, "parameters", bytes_z(s->parameters ? s->parameters : "{}"));
    return RC_OK;
}

RC enroll_job(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, int64_t after_s)
{
    struct issuer_settings s;
    struct payload_issuer ignored;
    struct wish w;
    struct name_list names = {0};
    struct buf b;
    struct json_out j;
    const char *agent = NULL;
    TRY(issuer_for_job(ctx, txn, a->issuer_id, &s, &ignored));
    TRY(issuer_agent(ctx, txn, &s, &agent));
    TRY(wish_decode(ctx, a->wish, &w));
    TRY(name_list_parse(ctx, w.names.v, w.names.n, &names));
    TRY(payload_begin(ctx, &s, a->order_url ? "collect" : "enroll", &b, &j));
    json_open_list(&j, "identifiers");
    for (size_t i = 0; i < names.n; i++)
        json_put_str(&j, NULL, arena_printf(&ctx->arena, "%s:%s", names.v[i].kind == NAME_IP ? "ip" : "dns", names.v[i].text));
    json_close(&j);
    json_put_base64(&j, "csr", a->csr);
    if (a->order_url)
        json_put_str(&j, "reference", a->order_url);
    json_close(&j);
    TRY(buf_status(&b));
    return job_add(ctx, core, txn, "enroll", agent, arena_printf(&ctx->arena, "attempt:%s", a->id), a->id, buf_bytes(&b),
                   after_s ? ctx_now_s(ctx) + after_s : 0);
}

RC enroll_pending(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a, const char *reference,
                  int64_t retry_after_s)
{
    struct q_attempt_by_id_row now = *a;
    const char *why = NULL;
    now.order_url = reference;
    TRY(issuer_waited_out(ctx, txn, a, ctx_now_s(ctx) + retry_after_s, &why));
    if (why) {
        TRY(attempt_failed(ctx, core, txn, a, E_ISSUER_REFUSED, why, 0));
        return attempt_soon(ctx, txn, a->managed_id);
    }
    if (!str_equal(a->order_url, reference)) {
        TRY(q_attempt_order(ctx, txn, a->id, reference, NULL, NULL));
        TRY(step_write(ctx, txn, a->managed_id, a->id, NULL, "pending",
                       "the issuer has not decided yet%s%s; asked again every %lld s", *reference ? ", request " : "", reference,
                       (long long)retry_after_s));
    }
    TRY(issuer_note_taken(ctx, txn, a));
    return enroll_job(ctx, core, txn, &now, retry_after_s);
}

RC enroll_revoke_payload(struct ctx *ctx, const struct issuer_settings *s, struct bytes der, int64_t reason, struct bytes *out)
{
    struct buf b;
    struct json_out j;
    TRY(payload_begin(ctx, s, "revoke", &b, &j));
    json_put_base64(&j, "certificate", der);
    json_put_int(&j, "reason", reason);
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_bytes(&b);
    return RC_OK;
}

/* --- by hand */

struct waiting {
    struct core *core;
    const char *ref;
    struct q_managed_get_row row;
    struct q_attempt_by_id_row attempt;
    struct q_issuer_by_id_row issuer;
    const struct issued_chain *chain;
};

static struct rc find_waiting(struct ctx *ctx, struct txn *txn, struct waiting *w)
{
    struct q_attempt_open_row open;
    bool found = false;
    TRY(q_managed_get(ctx, txn, w->ref, access_scope(ctx), &w->row, &found));
    if (!found)
        return ctx_fail(ctx, E_NOT_FOUND, "no managed certificate is named %s; certwright cert list shows them", w->ref);
    TRY(q_attempt_open(ctx, txn, w->row.id, &open, &found));
    if (!found || !str_equal(open.state, "manual"))
        return ctx_fail(ctx, E_CONFLICT, "%s does not wait for a certificate that somebody has to bring", w->row.name);
    TRY(q_attempt_by_id(ctx, txn, open.id, &w->attempt));
    return q_issuer_by_id(ctx, txn, w->attempt.issuer_id, &w->issuer);
}

static struct rc read_waiting(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct waiting *w = arg;
    TRY(decide(ctx, w->core, txn, "managed-certificate.read", NULL));
    return find_waiting(ctx, txn, w);
}

RC manual_request(struct ctx *ctx, struct core *core, const char *ref, struct manual_request *out)
{
    struct waiting w = {.core = core, .ref = ref};
    struct wish wish;
    struct buf pem;
    TRY(store_read(ctx, core->store, read_waiting, &w));
    TRY(wish_decode(ctx, w.attempt.wish, &wish));
    buf_init_arena(&pem, &ctx->arena, 65536);
    pem_put(&pem, PEM_REQUEST, w.attempt.csr);
    TRY(buf_status(&pem));
    *out = (struct manual_request){
        .name = w.row.name, .issuer = w.issuer.name, .csr_pem = buf_z(&pem), .names = wish.names, .since = w.attempt.created_at};
    return RC_OK;
}

static struct rc take_it(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct waiting *w = arg;
    const char *attempt = w->attempt.id;
    TRY(find_waiting(ctx, txn, w));
    TRY(decide(ctx, w->core, txn, "managed-certificate.renew", w->row.team_id));
    if (!str_equal(w->attempt.id, attempt))
        return ctx_fail(ctx, E_CHANGED, "%s has begun anew meanwhile: another request waits", w->row.name);
    TRY(audit_write(ctx, txn, "certificate.taken", "managed-certificate", w->row.id, w->row.team_id,
                    audit_facts(ctx, "attempt", w->attempt.id, "fingerprint", hex_str(&ctx->arena, w->chain->fingerprint), NULL)));
    return attempt_issued(ctx, w->core, txn, &w->attempt, w->chain);
}

/* The list of issuers, and what was agreed with this one, may be changed meanwhile. */
#define MANUAL_LOOK_S 3600

RC manual_waits(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a)
{
    const int64_t look = ctx_now_s(ctx) + MANUAL_LOOK_S;
    int64_t until = 0;
    const char *ignored = NULL;
    TRY(issuer_patience(ctx, txn, a, &until, &ignored));
    return timer_arm(ctx, txn, "manual", a->id, until && until < look ? until : look);
}

RC manual_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt)
{
    struct q_attempt_by_id_row a;
    int64_t until = 0;
    const char *why = NULL;
    TRY(q_attempt_by_id(ctx, txn, attempt, &a));
    if (!str_equal(a.state, "manual"))
        return RC_OK;
    TRY(issuer_patience(ctx, txn, &a, &until, &why));
    if (!until || until > ctx_now_s(ctx))
        return manual_waits(ctx, txn, &a);
    TRY(attempt_failed(ctx, core, txn, &a, E_ISSUER_REFUSED, why, 0));
    return attempt_soon(ctx, txn, a.managed_id);
}

static struct rc chain_of(struct ctx *ctx, const char *pem, struct bytes *leaf, const char **above)
{
    struct cert_chain given, order;
    struct cert root;
    struct buf b;
    if (rc_failed(cert_chain_parse_pem(ctx, bytes_z(pem), CHAIN_MAX, &given)))
        return ctx_fail_field(ctx, "/chain_pem", "not 1 to %d certificates in PEM", CHAIN_MAX);
    struct rc rc = chain_order(ctx, &given, &order, &root);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "the chain");
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    for (size_t i = 1; i < order.n; i++)
        pem_put(&b, PEM_CERTIFICATE, order.v[i].der);
    TRY(buf_status(&b));
    *leaf = order.v[0].der;
    *above = buf_z(&b);
    return RC_OK;
}

RC manual_take(struct ctx *ctx, struct core *core, const char *ref, const char *chain_pem)
{
    struct waiting w = {.core = core, .ref = ref};
    struct issued_chain chain;
    struct wish wish;
    struct bytes leaf;
    const char *above = NULL;
    TRY(store_read(ctx, core->store, read_waiting, &w));
    TRY(wish_decode(ctx, w.attempt.wish, &wish));
    TRY(chain_of(ctx, chain_pem, &leaf, &above));
    TRY(issued_chain_check(ctx, &w.attempt, &wish, leaf, above, &chain));
    w.chain = &chain;
    return store_write(ctx, core->store, take_it, &w);
}
