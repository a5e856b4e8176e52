#include "agent/relay/enroll.h"

#include "agent/enroll_desc.h"
#include "agent/enroll_journal.h"
#include "agent/relay/chain_check.h"
#include "agent/relay/push_session.h"
#include "base/encode.h"
#include "base/failpoint.h"
#include "pki/cert.h"
#include "pki/chain.h"
#include "pki/csr.h"
#include "pki/pem.h"

#define CHAIN_PEM_MAX ((size_t)256 << 10)

struct enroll {
    struct push_session *s;
    const struct enroll_desc *d;
    const struct wire_relay_enroll *in;
    struct enroll_journal journal;
    const char *note;
    bool unanswered; /* a request went out, and its answer did not come */
};

/* --- what templates may name */

static RC set_joined(struct ctx *ctx, const struct enroll *e, const char *name, const char *kind)
{
    struct buf b;
    const size_t n = strlen(kind);
    buf_init_arena(&b, &ctx->arena, 65536);
    for (size_t i = 0; i < e->in->identifiers.n; i++)
        if (strncmp(e->in->identifiers.v[i], kind, n) == 0)
            buf_printf(&b, "%s%s", b.n > 0 ? "," : "", strchr(e->in->identifiers.v[i], ':') + 1);
    TRY(buf_status(&b));
    return push_set(ctx, e->s, name, buf_bytes(&b), false);
}

static RC set_request(struct ctx *ctx, const struct enroll *e)
{
    struct buf pem;
    buf_init_arena(&pem, &ctx->arena, 65536);
    pem_put(&pem, PEM_REQUEST, e->in->csr);
    TRY(buf_status(&pem));
    TRY(push_set(ctx, e->s, "csr", buf_bytes(&pem), false));
    TRY(push_set(ctx, e->s, "csr_der", e->in->csr, false));
    TRY(set_joined(ctx, e, "names", ""));
    TRY(set_joined(ctx, e, "dns_names", "dns:"));
    TRY(set_joined(ctx, e, "ip_names", "ip:"));
    TRY(push_set(ctx, e->s, "first_name", bytes_z(strchr(e->in->identifiers.v[0], ':') + 1), false));
    return push_set(ctx, e->s, "reference", bytes_z(e->in->reference), false);
}

static RC set_revoked(struct ctx *ctx, const struct enroll *e)
{
    struct cert c;
    struct buf pem, colons;
    buf_init_arena(&pem, &ctx->arena, 2 * CERT_MAX);
    buf_init_arena(&colons, &ctx->arena, 256);
    TRY(cert_parse(ctx, e->in->certificate, &c));
    pem_put(&pem, PEM_CERTIFICATE, c.der);
    for (size_t i = 0; i < c.serial.n; i++)
        buf_printf(&colons, "%s%02x", i > 0 ? ":" : "", c.serial.p[i]);
    TRY(buf_status(&pem));
    TRY(buf_status(&colons));
    TRY(push_set(ctx, e->s, "certificate", buf_bytes(&pem), false));
    TRY(push_set(ctx, e->s, "serial", bytes_z(hex_str(&ctx->arena, c.serial)), false));
    TRY(push_set(ctx, e->s, "serial_colons", buf_bytes(&colons), false));
    return push_set(ctx, e->s, "reason", bytes_z(arena_printf(&ctx->arena, "%d", (int)e->in->reason)), false);
}

/* --- what came of it */

/* Certificate and chain in any order, with or without the root: as a server is to show them. */
static RC put_in_order(struct ctx *ctx, struct bytes certificate, struct bytes chain, const char **pem)
{
    struct cert_chain all = {0}, order, one;
    struct buf text;
    buf_init_arena(&text, &ctx->arena, 2 * CHAIN_PEM_MAX);
    buf_put(&text, certificate);
    buf_put_u8(&text, '\n');
    buf_put(&text, chain);
    TRY(buf_status(&text));
    if (rc_failed(cert_chain_parse_pem(ctx, buf_bytes(&text), 2 * CHAIN_CERTIFICATES_MAX, &one)))
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "what the issuer returned are not at most %d certificates",
                        2 * CHAIN_CERTIFICATES_MAX);
    all.v = arena_array(&ctx->arena, one.n, sizeof *all.v);
    for (size_t i = 0; i < one.n; i++) { /* the leaf may be in the chain as well */
        bool there = false;
        for (size_t k = 0; k < all.n; k++)
            there = there || bytes_equal(all.v[k].der, one.v[i].der);
        if (!there)
            all.v[all.n++] = one.v[i];
    }
    struct cert root;
    struct rc rc = chain_order(ctx, &all, &order, &root);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc_of(E_BAD_CERTIFICATE), "the issuer's chain");
    struct buf out;
    buf_init_arena(&out, &ctx->arena, CHAIN_PEM_MAX);
    cert_chain_put_pem(&out, &order);
    TRY(buf_status(&out));
    *pem = buf_z(&out);
    return RC_OK;
}

/* One line of an answer's text, for people. */
static const char *words(struct ctx *ctx, struct bytes in)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1024);
    for (size_t i = 0; i < in.n && i < 300; i++)
        buf_put_u8(&b, in.p[i] < 0x20 || in.p[i] >= 0x7f ? ' ' : in.p[i]);
    return buf_z(&b);
}

static RC take_certificate(struct ctx *ctx, const struct enroll *e, const char *list, struct wire_relay_enroll_done *out)
{
    struct bytes certificate, chain, reference, refused;
    struct cert_chain checked;
    push_get(e->s, arena_printf(&ctx->arena, "%s.certificate", list), &certificate);
    push_get(e->s, arena_printf(&ctx->arena, "%s.chain", list), &chain);
    push_get(e->s, arena_printf(&ctx->arena, "%s.reference", list), &reference);
    push_get(e->s, arena_printf(&ctx->arena, "%s.refused", list), &refused);
    if (certificate.n == 0) {
        if (refused.n > 0 && reference.n == 0)
            return ctx_fail(ctx, E_ISSUER_REFUSED, "it refused: %.300s", words(ctx, refused));
        if (e->d->n_collect == 0)
            return ctx_fail(ctx, E_BAD_ANSWER, "the issuer answered without a certificate");
        out->state = WIRE_relay_enroll_done_state_pending;
        out->reference = reference.n > 0 ? arena_str(&ctx->arena, reference) : e->in->reference;
        out->retry_after_s = e->s->wait_s > 0 ? e->s->wait_s : e->d->wait_s;
        return RC_OK;
    }
    TRY(put_in_order(ctx, certificate, chain, &out->chain_pem));
    return relay_chain_check(ctx, bytes_z(out->chain_pem), e->in->csr, e->in->identifiers.v, e->in->identifiers.n, &checked);
}

/* --- asked once, whatever happens to us */

#define ANSWERED "the issuer had answered already; it is not asked again"
#define LOST     "the issuer was asked before, and what it answered was lost: it may have issued a certificate that nobody has"

static RC known(struct ctx *ctx, void *arg, const char *request, struct push_answer *out, bool *found)
{
    struct enroll *e = arg;
    const struct enroll_said *said = enroll_journal_find(&e->journal, request);
    (void)ctx;
    *found = said != NULL;
    if (said != NULL) {
        e->note = ANSWERED;
        *out = (struct push_answer){said->status, &said->headers, said->body, said->retry_after_s};
    }
    return RC_OK;
}

static RC asking(struct ctx *ctx, void *arg, const char *request)
{
    struct enroll *e = arg;
    if (str_equal(e->journal.asking, request))
        e->note = LOST;
    TRY(enroll_journal_asking(ctx, &e->journal, request));
    FAILPOINT("relay.enroll_asking");
    return RC_OK;
}

static RC said(struct ctx *ctx, void *arg, const char *request, const struct push_answer *a)
{
    struct enroll *e = arg;
    struct enroll_said s = {.request = request, .status = a->status, .retry_after_s = a->retry_after_s, .body = a->body};
    if (a->headers != NULL)
        s.headers = *a->headers;
    FAILPOINT("relay.enroll_lost");
    TRY(enroll_journal_said(ctx, &e->journal, &s));
    FAILPOINT("relay.enroll_said");
    return RC_OK;
}

/* What failed for a reason that passes is taken up where it was; a request that was not answered may have been taken. */
static void give_way(struct ctx *ctx, struct enroll *e, struct rc why)
{
    struct trail_entry *trail = ctx->trail;
    const bool passes = err_info(why.e)->retryable && why.e != E_BAD_ANSWER && why.e != E_BAD_CERTIFICATE;
    if (e->unanswered && *e->journal.asking)
        return;
    struct rc rc = passes && e->journal.n > 0 ? enroll_journal_asking(ctx, &e->journal, "")
                                              : enroll_journal_forget(ctx, &e->journal);
    if (rc_failed(rc))
        ctx->trail = trail;
}

static RC ask_for_it(struct ctx *ctx, struct enroll *e, struct wire_relay_enroll_done *out)
{
    const struct enroll_desc *d = e->d;
    const bool again = e->in->verb == WIRE_relay_enroll_verb_collect;
    const struct push_keeper keeper = {known, asking, said, e};
    e->s->keeper = &keeper;
    FAILPOINT("relay.before_enroll");
    struct rc rc = push_run(ctx, e->s, again ? d->collect : d->enroll, again ? d->n_collect : d->n_enroll,
                            again ? "collect" : "enroll", false);
    e->s->keeper = NULL;
    FAILPOINT("relay.after_enroll");
    return rc_ok(rc) ? take_certificate(ctx, e, again ? "collect" : "enroll", out) : rc;
}

static RC run(struct ctx *ctx, struct enroll *e, struct wire_relay_enroll_done *out)
{
    const struct enroll_desc *d = e->d;
    switch (e->in->verb) {
    case WIRE_relay_enroll_verb_test:
        return push_run(ctx, e->s, d->test, d->n_test, "test", true);
    case WIRE_relay_enroll_verb_revoke:
        TRY(set_revoked(ctx, e));
        if (d->n_revoke == 0)
            return ctx_fail(ctx, E_UNSUPPORTED,
                            "certificates of issuer %s are revoked there by hand: its description does not say how",
                            d->issuer.name);
        return push_run(ctx, e->s, d->revoke, d->n_revoke, "revoke", false);
    default:
        TRY(set_request(ctx, e));
        return ask_for_it(ctx, e, out);
    }
}

/* What agent.yaml grants: the names, and the values of parameters that the hub cannot choose. */
static RC check_granted(struct ctx *ctx, const struct agent_config *cfg, const struct wire_relay_enroll *in)
{
    const struct agent_enroll *row;
    json_auto_t *parameters = NULL;
    TRY(agent_config_enroll(ctx, cfg, in->protocol, &row));
    TRY(json_read(ctx, bytes_z(in->parameters), &parameters));
    for (size_t i = 0; i < in->identifiers.n; i++)
        TRY(agent_enroll_check(ctx, cfg, row, in->identifiers.v[i]));
    for (size_t i = 0; i < row->keys.n; i++)
        if (!str_equal(json_string_value(json_object_get(parameters, row->keys.v[i])), row->values.v[i]))
            return ctx_fail(ctx, E_NOT_GRANTED, "parameter %s of issuer %s must be %s here: %s says so", row->keys.v[i],
                            in->protocol, row->values.v[i], cfg->file);
    return RC_OK;
}

static RC check_request(struct ctx *ctx, const struct wire_relay_enroll *in)
{
    struct name_list wanted = {0};
    struct csr csr;
    TRY(name_list_parse(ctx, in->identifiers.v, in->identifiers.n, &wanted));
    TRY(csr_parse(ctx, in->csr, &csr));
    if (csr.asks_ca || !name_list_same(&csr.names, &wanted))
        return ctx_fail(ctx, E_BAD_CSR, "the request is for other names than those that are asked for");
    return RC_OK;
}

/* The credential is good for what the issuer allows it, which may be users and CAs too: what it is used for is host names. */
static RC check_wish(struct ctx *ctx, const struct wire_relay_enroll *in)
{
    const bool asks = in->verb == WIRE_relay_enroll_verb_enroll || in->verb == WIRE_relay_enroll_verb_collect;
    if (asks && in->identifiers.n == 0)
        return ctx_fail(ctx, E_INVALID, "a request without a name");
    for (size_t i = 0; i < in->identifiers.n; i++)
        if (strncmp(in->identifiers.v[i], "dns:", 4) != 0 && strncmp(in->identifiers.v[i], "ip:", 3) != 0)
            return ctx_fail(ctx, E_INVALID, "%s is no DNS name and no address", in->identifiers.v[i]);
    return asks ? check_request(ctx, in) : RC_OK;
}

/* With the issuer, in one session. */
static RC serve(struct ctx *ctx, const struct push_host *host, struct enroll *e, struct wire_relay_enroll_done *out)
{
    const struct connector *issuer = &e->d->issuer;
    const struct push_wish wish = {
        .description = issuer, .connector = issuer->name, .parameters = e->in->parameters, .target = "", .deployment = ""};
    TRY(push_open(ctx, host, &wish, &e->s));
    struct rc rc = run(ctx, e, out);
    const int status = e->s->refused;
    e->unanswered = e->s->unanswered;
    push_close(ctx, e->s);
    if (rc.e == E_DEPLOY_FAILED) /* the words of errors are those of deployments, which this is not */
        rc = rc_of(status >= 500 ? E_ISSUER_FAILED : E_ISSUER_REFUSED);
    return rc;
}

static RC once(struct ctx *ctx, const struct push_host *host, struct enroll *e, struct wire_relay_enroll_done *out)
{
    TRY(enroll_journal_open(ctx, host->cfg, e->in->job, e->in->csr, &e->journal));
    if (e->journal.answered) {
        *out = e->journal.answer;
        e->note = ANSWERED;
        return RC_OK;
    }
    struct rc rc = serve(ctx, host, e, out);
    if (rc_failed(rc)) {
        give_way(ctx, e, rc);
        return rc;
    }
    TRY(enroll_journal_answered(ctx, &e->journal, out));
    FAILPOINT("relay.enroll_noted");
    return RC_OK;
}

RC relay_enroll_run(struct ctx *ctx, const struct agent_config *cfg, const struct credential_files *files,
                    const struct wire_relay_enroll *in, struct wire_relay_enroll_done *out)
{
    const struct push_host host = {cfg, files};
    struct enroll_desc *d = ARENA_NEW(&ctx->arena, struct enroll_desc);
    struct enroll e = {.d = d, .in = in, .note = ""};
    const bool asks = in->verb == WIRE_relay_enroll_verb_enroll || in->verb == WIRE_relay_enroll_verb_collect;
    ctx->arena.wipe = true; /* answers are in it, and what they hold */
    *out = (struct wire_relay_enroll_done){
        .state = WIRE_relay_enroll_done_state_issued, .reference = "", .chain_pem = "", .note = ""};
    TRY(check_wish(ctx, in));
    TRY(check_granted(ctx, cfg, in));
    TRY(enroll_desc_load(ctx, cfg, in->protocol, d));
    struct rc rc = asks ? once(ctx, &host, &e, out) : serve(ctx, &host, &e, out);
    out->note = e.note;
    return rc_ok(rc) ? rc : ctx_wrap(ctx, rc, "issuer %s%s%s", d->issuer.name, str_equal(e.note, LOST) ? "; " : "",
                                     str_equal(e.note, LOST) ? e.note : "");
}
