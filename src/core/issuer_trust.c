#include "core/issuer_trust.h"

#include "base/encode.h"
#include "core/inventory.h"
#include "pki/name_text.h"
#include "pki/signed_by.h"
#include "store/queries.h"

#define POOL_MAX        CHAIN_BUILD_MAX
#define ISSUER_READ_MAX 1024 /* CA certificates of one Name */

const char *certificate_term_quoted(struct ctx *ctx, struct core *core, const char *term)
{
    return arena_printf(&ctx->arena, store_engine_of(core->store) == STORE_SQLITE ? "\"%s\"" : "{\"%s\"}", term);
}

RC certificate_row_read(struct ctx *ctx, struct core *core, int64_t dictionary, struct bytes packed, struct cert_fields *out,
                        bool *read)
{
    struct bytes der = {0};
    struct rc rc = certificate_der(ctx, core, dictionary, packed, &der);
    const bool unpacked = rc_ok(rc);
    if (unpacked)
        rc = cert_read(ctx, der, out);
    *read = rc_ok(rc);
    if (*read || (unpacked ? rc.e != E_PARSE : rc.e != E_DATABASE))
        return rc;
    ctx_forget(ctx);
    return RC_OK;
}

/* --- who issued it */

RC issuer_trust_of(struct ctx *ctx, struct core *core, struct txn *txn, const struct finding_policy *policy,
                   const struct cert_fields *cert, struct trust *out)
{
    uint8_t name[SHA256_LEN];
    struct q_issuer_trust_get_row row;
    struct q_issuer_trust_any_row any;
    bool found = false;
    *out = (struct trust){.root = ""};
    TRY(digest_sha256(ctx, cert->issuer.der, name));
    if (cert->aki.n) {
        TRY(q_issuer_trust_get(ctx, txn, bytes_of(name, SHA256_LEN), cert->aki, &row, &found));
        if (!found)
            TRY(q_issuer_trust_get(ctx, txn, bytes_of(name, SHA256_LEN), (struct bytes){0}, &row, &found));
    } else {
        TRY(q_issuer_trust_any(ctx, txn, bytes_of(name, SHA256_LEN), &any, &found));
        if (found)
            row = (struct q_issuer_trust_get_row){any.trust, any.certificate_id, any.distrusted_from, any.root};
    }
    if (found) {
        out->known = true;
        out->how = row.trust >= ISSUER_NOT_KNOWN && row.trust <= ISSUER_PUBLIC ? (enum issuer_trust)row.trust : ISSUER_NOT_KNOWN;
        out->root = row.root;
        out->distrusted = row.distrusted_from != NULL;
        out->distrusted_from = row.distrusted_from ? *row.distrusted_from : 0;
    }
    const struct known_root *root = finding_rules_root(core->rules, name, cert->aki);
    if (root && root->trust > out->how) {
        out->known = true;
        out->how = root->trust;
        out->root = root->subject;
    }
    if (!out->distrusted)
        out->distrusted = finding_policy_distrusts(ctx, policy, &cert->issuer, &out->distrusted_from);
    return RC_OK;
}

/* --- ways up */

bool issuer_may_be(const struct cert_fields *issuer, const struct cert_fields *cert)
{
    if (!bytes_equal(issuer->subject.der, cert->issuer.der))
        return false;
    return !cert->aki.n || !issuer->ski.n || bytes_equal(cert->aki, issuer->ski);
}

struct candidate {
    int64_t id;
    struct cert_fields cert;
};

/* Those whose key made the signature come first; more than that are left out. */
static void signers_first(struct candidate *v, size_t n, const struct cert_fields *cert)
{
    size_t signers = 0;
    for (size_t i = 0; i < n && signers < ISSUER_SAME_MAX; i++)
        if (cert_signed_by(cert->der, v[i].cert.der)) {
            const struct candidate c = v[i];
            v[i] = v[signers];
            v[signers++] = c;
        }
}

/* CA certificates that may have issued `cert`, without itself.  Where somebody has made many of one Name and key identifier, they
 * do not keep the true one out. */
static struct rc candidates_of(struct ctx *ctx, struct core *core, struct txn *txn, const struct cert_fields *cert,
                               struct candidate **out, size_t *n)
{
    struct q_certificate_by_term_row *rows = NULL;
    size_t rows_n = 0;
    const char *term = inventory_term_hash(ctx, "n:", cert->issuer.der);
    *out = NULL;
    *n = 0;
    if (!term)
        return RC_OK;
    TRY(q_certificate_by_term(ctx, txn, certificate_term_quoted(ctx, core, term), ISSUER_READ_MAX, &rows, &rows_n));
    *out = arena_array(&ctx->arena, rows_n, sizeof **out);
    for (size_t i = 0; i < rows_n; i++) {
        struct candidate *c = &(*out)[*n];
        bool read = false;
        TRY(certificate_row_read(ctx, core, rows[i].dictionary, rows[i].packed, &c->cert, &read));
        c->id = rows[i].id;
        if (read && c->cert.is_ca && issuer_may_be(&c->cert, cert) && !bytes_equal(c->cert.der, cert->der))
            ++*n;
    }
    if (*n > ISSUER_SAME_MAX) {
        signers_first(*out, *n, cert);
        *n = ISSUER_SAME_MAX;
    }
    return RC_OK;
}

RC issuer_known(struct ctx *ctx, struct core *core, struct txn *txn, const struct cert_fields *cert, bool *known, bool *root)
{
    struct candidate *c = NULL;
    size_t n = 0;
    TRY(candidates_of(ctx, core, txn, cert, &c, &n));
    *known = n > 0;
    *root = false;
    for (size_t i = 0; i < n; i++)
        *root |= c[i].cert.self_issued;
    return RC_OK;
}

RC issuer_signer_known(struct ctx *ctx, struct core *core, struct txn *txn, const struct cert_fields *cert, bool *known)
{
    struct candidate *c = NULL;
    size_t n = 0;
    *known = false;
    TRY(candidates_of(ctx, core, txn, cert, &c, &n));
    for (size_t i = 0; i < n && !*known; i++)
        *known = cert_signed_by(cert->der, c[i].cert.der);
    return RC_OK;
}

struct pool {
    struct candidate v[POOL_MAX];
    size_t n;
};

static bool pool_has(const struct pool *p, struct bytes der)
{
    for (size_t i = 0; i < p->n; i++)
        if (bytes_equal(p->v[i].cert.der, der))
            return true;
    return false;
}

/* All that is above it, whichever way: level by level, each once. */
static struct rc pool_fill(struct ctx *ctx, struct core *core, struct txn *txn, const struct cert_fields *cert, struct pool *p)
{
    p->n = 0;
    p->v[p->n++] = (struct candidate){0, *cert};
    for (size_t at = 0; at < p->n; at++) {
        struct candidate *c = NULL;
        size_t n = 0;
        if (p->v[at].cert.self_issued)
            continue;
        TRY(candidates_of(ctx, core, txn, &p->v[at].cert, &c, &n));
        for (size_t i = 0; i < n && p->n < POOL_MAX; i++)
            if (!pool_has(p, c[i].cert.der))
                p->v[p->n++] = c[i];
    }
    return RC_OK;
}

/* As OpenSSL's side wants it; those that our strict reader does not take are left out. */
static struct rc to_chain(struct ctx *ctx, const struct pool *p, struct cert_chain *out)
{
    *out = (struct cert_chain){.v = arena_array(&ctx->arena, p->n, sizeof *out->v)};
    for (size_t i = 0; i < p->n; i++) {
        if (rc_ok(cert_parse(ctx, p->v[i].cert.der, &out->v[out->n]))) {
            out->n++;
            continue;
        }
        ctx_forget(ctx);
        if (i == 0)
            return RC_OK; /* the first: none */
    }
    return RC_OK;
}

/* At a time when it was valid: what ended is judged by what it was. */
static int64_t time_of(const struct ctx *ctx, const struct cert_fields *cert)
{
    const int64_t now = ctx_now_s(ctx);
    if (now > cert->not_after)
        return cert->not_after;
    return now < cert->not_before ? cert->not_before : now;
}

static struct rc built_names(struct ctx *ctx, const struct finding_policy *policy, const struct bytes *built, size_t n,
                             struct trust *out)
{
    for (size_t i = 0; i < n; i++) {
        struct cert_fields c;
        int64_t from = 0;
        TRY(cert_read(ctx, built[i], &c));
        if (i + 1 == n)
            out->root = name_text_dn(&ctx->arena, &c.subject);
        if (!finding_policy_distrusts(ctx, policy, &c.subject, &from))
            continue;
        out->distrusted_from = out->distrusted && out->distrusted_from < from ? out->distrusted_from : from;
        out->distrusted = true;
    }
    return RC_OK;
}

static struct rc build(struct ctx *ctx, const struct chain_roots *roots, const struct cert_chain *chain, int64_t at, bool *trusted,
                       struct bytes **built, size_t *n, struct chain_result *result)
{
    *trusted = false;
    *n = 0;
    *result = (struct chain_result){.text = "", .at = -1};
    if (!roots || !chain->n)
        return RC_OK;
    TRY(chain_build(ctx, roots, chain, at, CHAIN_FOR_ANY, built, n, result));
    *trusted = result->verdict == CHAIN_TRUSTED;
    return RC_OK;
}

RC issuer_trust_work_out(struct ctx *ctx, struct core *core, struct txn *txn, const struct finding_policy *policy,
                         const struct cert_fields *ca, struct trust *out)
{
    const struct finding_rules *rules = core->rules;
    struct pool *p = ARENA_NEW(&ctx->arena, struct pool);
    struct cert_chain chain;
    struct chain_result result;
    struct bytes *built = NULL;
    size_t n = 0;
    bool trusted = false;
    *out = (struct trust){.root = "", .known = true};
    if (!rules)
        return RC_OK;
    TRY(pool_fill(ctx, core, txn, ca, p));
    TRY(to_chain(ctx, p, &chain));
    const struct {
        const struct chain_roots *roots;
        enum issuer_trust how;
    } ways[] = {{rules->public_roots, ISSUER_PUBLIC}, {rules->own_roots, ISSUER_PRIVATE}};
    for (size_t i = 0; i < 2 && !trusted; i++) {
        TRY(build(ctx, ways[i].roots, &chain, time_of(ctx, ca), &trusted, &built, &n, &result));
        if (trusted)
            out->how = ways[i].how;
    }
    if (trusted)
        return built_names(ctx, policy, built, n, out);
    /* A root that was put out is on no list any more: its name still tells. */
    for (size_t i = 0; i < p->n && !out->distrusted; i++)
        out->distrusted = finding_policy_distrusts(ctx, policy, &p->v[i].cert.subject, &out->distrusted_from) ||
                          finding_policy_distrusts(ctx, policy, &p->v[i].cert.issuer, &out->distrusted_from);
    return RC_OK;
}

RC issuer_trust_note(struct ctx *ctx, struct txn *txn, int64_t certificate_id, const struct cert_fields *ca,
                     const struct trust *trust)
{
    uint8_t name[SHA256_LEN];
    struct q_issuer_trust_get_row row;
    bool found = false;
    TRY(digest_sha256(ctx, ca->subject.der, name));
    TRY(q_issuer_trust_get(ctx, txn, bytes_of(name, SHA256_LEN), ca->ski, &row, &found));
    if (found && row.certificate_id != certificate_id && row.trust >= (int64_t)trust->how)
        return RC_OK;
    const bool same = found ? row.trust == (int64_t)trust->how && !row.distrusted_from == !trust->distrusted &&
                                  (!row.distrusted_from || *row.distrusted_from == trust->distrusted_from)
                            : trust->how == ISSUER_NOT_KNOWN && !trust->distrusted;
    if (found && same && str_equal(row.root, trust->root))
        return RC_OK;
    const struct q_issuer_trust_put_in in = {.name_sha256 = bytes_of(name, SHA256_LEN),
                                             .key_id = ca->ski,
                                             .trust = trust->how,
                                             .certificate_id = certificate_id,
                                             .distrusted_from = trust->distrusted ? &trust->distrusted_from : NULL,
                                             .root = trust->root};
    TRY(q_issuer_trust_put(ctx, txn, &in));
    if (same)
        return RC_OK;
    const char *hash = hex_str(&ctx->arena, bytes_of(name, 8));
    if (found && row.trust > (int64_t)trust->how) /* another certificate of it may be better now */
        TRY(q_finding_sweep_put(ctx, txn, arena_printf(&ctx->arena, "n:%s", hash), false));
    return q_finding_sweep_put(ctx, txn, arena_printf(&ctx->arena, "i:%s", hash), false);
}

/* --- chains, for people */

struct walking {
    struct ctx *ctx;
    struct core *core;
    struct txn *txn;
    struct issuer_chains *out;
};

static struct rc judge(const struct walking *w, struct issuer_chain *c)
{
    struct ctx *ctx = w->ctx;
    const struct finding_rules *rules = w->core->rules;
    const struct cert_fields *last = &c->cert[c->n - 1];
    struct pool *p = ARENA_NEW(&ctx->arena, struct pool);
    struct cert_chain chain;
    struct bytes *built = NULL;
    size_t n = 0;
    bool trusted = false;
    struct chain_result result = {.text = ""};
    for (size_t i = 0; i < c->n; i++)
        p->v[p->n++] = (struct candidate){c->id[i], c->cert[i]};
    c->whole = last->self_issued;
    c->root = last->self_issued ? name_text_dn(&ctx->arena, &last->subject) : "";
    c->verdict = c->text = "";
    TRY(to_chain(ctx, p, &chain));
    if (!rules)
        return RC_OK;
    const struct {
        const struct chain_roots *roots;
        enum issuer_trust how;
    } ways[] = {{rules->public_roots, ISSUER_PUBLIC}, {rules->own_roots, ISSUER_PRIVATE}};
    for (size_t i = 0; i < 2 && !trusted; i++) {
        if (!ways[i].roots)
            continue;
        TRY(build(ctx, ways[i].roots, &chain, ctx_now_s(ctx), &trusted, &built, &n, &result));
        if (trusted || !*c->verdict || result.verdict != CHAIN_UNKNOWN_ISSUER) {
            c->verdict = chain_verdict_name(result.verdict);
            c->text = result.text;
        }
        if (trusted) {
            struct trust t = {.root = ""};
            c->trust = ways[i].how;
            c->whole = true;
            TRY(built_names(ctx, NULL, built, n, &t));
            c->root = t.root;
        }
    }
    return RC_OK;
}

static struct rc walk(struct walking *w, const struct issuer_chain *so_far)
{
    struct ctx *ctx = w->ctx;
    const struct cert_fields *last = &so_far->cert[so_far->n - 1];
    struct candidate *c = NULL;
    size_t n = 0;
    if (w->out->n == ISSUER_CHAINS_MAX) {
        w->out->capped = true;
        return RC_OK;
    }
    if (!last->self_issued && so_far->n <= ISSUER_DEPTH_MAX)
        TRY(candidates_of(ctx, w->core, w->txn, last, &c, &n));
    bool went = false;
    for (size_t i = 0; i < n; i++) {
        bool circle = false;
        for (size_t k = 0; k < so_far->n; k++)
            circle |= bytes_equal(so_far->cert[k].der, c[i].cert.der);
        if (circle)
            continue;
        struct issuer_chain *next = ARENA_NEW(&ctx->arena, struct issuer_chain);
        *next = *so_far;
        next->cert[next->n] = c[i].cert;
        next->id[next->n++] = c[i].id;
        went = true;
        TRY(walk(w, next));
    }
    if (went || w->out->n == ISSUER_CHAINS_MAX)
        return RC_OK;
    w->out->v[w->out->n] = *so_far;
    return judge(w, &w->out->v[w->out->n++]);
}

static int better(const void *a, const void *b)
{
    const struct issuer_chain *x = a, *y = b;
    if (x->trust != y->trust)
        return x->trust > y->trust ? -1 : 1;
    if (x->whole != y->whole)
        return x->whole ? -1 : 1;
    return x->n < y->n ? -1 : x->n > y->n;
}

RC issuer_chains_of(struct ctx *ctx, struct core *core, struct txn *txn, struct bytes der, struct issuer_chains *out)
{
    struct issuer_chain *first = ARENA_NEW(&ctx->arena, struct issuer_chain);
    struct walking w = {ctx, core, txn, out};
    *out = (struct issuer_chains){.v = arena_array(&ctx->arena, ISSUER_CHAINS_MAX, sizeof *out->v)};
    TRY(cert_read(ctx, der, &first->cert[0]));
    first->n = 1;
    TRY(walk(&w, first));
    qsort(out->v, out->n, sizeof *out->v, better);
    return RC_OK;
}
