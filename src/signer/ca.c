/* CAs of our own: made here, or certified by somebody else's root. */
#include "base/encode.h"
#include "base/failpoint.h"
#include "pki/csr.h"
#include "pki/digest.h"
#include "pki/lint.h"
#include "signer/ceilings.h"
#include "signer/issue.h"
#include "signer/people.h"

static const char *text_or_null(const char *s)
{
    return s == NULL || s[0] == 0 ? NULL : s;
}

/* --- showing */

static RC ca_answer(struct signer *s, struct work *w)
{
    const char *name = w->state;
    struct ca *ca = NULL;
    TRY(state_ca(w->ctx, s, name, &ca));
    struct wire_signer_ca *out = w->out;
    *out = (struct wire_signer_ca){.ca = ca->f.name, .certificate = ca->f.certificate, .root = ca->f.root, .issued = ca->f.issued};
    out->chain = (struct wire_blobs){ca->f.chain, ca->f.chain_n};
    if (ca->f.certificate.n == 0)
        out->csr = ca->f.csr;
    return RC_OK;
}

RC ca_show_begin(struct signer *s, struct work *w)
{
    (void)s;
    w->state = (void *)(uintptr_t)((const struct wire_signer_ca_show *)w->in)->ca;
    w->answer = ca_answer;
    return RC_OK;
}

RC ca_list_begin(struct signer *s, struct work *w)
{
    struct wire_signer_cas *out = w->out;
    struct str_list names = {0};
    for (const struct ca *ca = s->cas; ca != NULL && names.n < 1000; ca = ca->next)
        str_list_add(&w->ctx->arena, &names, ca->f.name);
    out->names = (struct wire_texts){names.v, names.n};
    return RC_OK;
}

/* --- making */

struct making {
    const struct wire_signer_ca_create *in;
    struct ca_facts f;
    struct ca *parent;
    struct key *key;
    struct bytes serial;
    int64_t not_before, not_after;
};

static RC digest_of(struct ctx *ctx, const struct wire_signer_ca_create *in, uint8_t out[32])
{
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, (size_t)1 << 20);
    const char *const texts[] = {in->ca,      in->parent,     in->key_kind,    in->common_name,   in->organization,
                                 in->crl_url, in->issuer_url, in->own_crl_url, in->own_issuer_url};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        record_put_text(&b, texts[i]);
    buf_put_u8(&b, in->external ? 1 : 0);
    buf_put_u64(&b, (uint64_t)in->validity_s);
    buf_put_u64(&b, (uint64_t)in->path_length);
    for (size_t i = 0; i < in->permitted_dns.n; i++)
        record_put_text(&b, in->permitted_dns.v[i]);
    TRY(buf_status(&b));
    return digest_sha256(ctx, buf_bytes(&b), out);
}

static bool url_fine(const char *url)
{
    if (url[0] == 0)
        return true;
    for (const char *p = url; *p != 0; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
            return false;
    return strncmp(url, "http://", 7) == 0;
}

static RC check_parent(struct ctx *ctx, struct signer *s, struct making *m)
{
    const struct wire_signer_ca_create *in = m->in;
    if (in->parent[0] == 0)
        return RC_OK;
    if (in->external)
        return ctx_fail(ctx, E_INVALID, "a CA has either a parent here or an external root");
    if (strcmp(in->parent, CA_NAME_FLEET) == 0)
        return ctx_fail(ctx, E_CEILING, "no CA stands below the fleet CA");
    TRY(state_ca_ready(ctx, s, in->parent, &m->parent));
    /* A second one would have ceilings of its own, and so get around what an officer set for the first. */
    for (const struct ca *c = s->cas; c != NULL; c = c->next)
        if (strcmp(c->f.parent, in->parent) == 0 && strcmp(c->f.name, in->ca) != 0)
            return ctx_fail(ctx, E_CEILING, "%s stands below %s already; the hub has no second CA made there", c->f.name,
                            in->parent);
    int limit = m->parent->cert.path_length;
    if (limit == 0)
        return ctx_fail(ctx, E_CEILING, "the path length of %s permits no CA below it", in->parent);
    if (limit > 0 && (m->f.path_length < 0 || m->f.path_length > limit - 1))
        return ctx_fail(ctx, E_CEILING, "a CA below %s has a path length of at most %d", in->parent, limit - 1);
    for (size_t i = 0; i < in->permitted_dns.n; i++) {
        struct name_list one = {0};
        TRY(name_list_parse(ctx, &in->permitted_dns.v[i], 1, &one));
        TRY(ceilings_check_names(ctx, m->parent, &one));
    }
    return RC_OK;
}

static RC check(struct ctx *ctx, struct signer *s, struct making *m)
{
    const struct wire_signer_ca_create *in = m->in;
    m->f = (struct ca_facts){.name = in->ca,
                             .parent = in->parent,
                             .organization = in->organization,
                             .common_name = in->common_name,
                             .own_crl_url = in->own_crl_url,
                             .own_issuer_url = in->own_issuer_url,
                             .key_kind = key_kind_by_name(in->key_kind),
                             .path_length = (int)in->path_length,
                             .external = in->external};
    if (!str_is_name(bytes_z(in->ca)))
        return ctx_fail(ctx, E_INVALID, "\"%s\" cannot name a CA", in->ca);
    if (m->f.key_kind != KEY_EC_P256 && m->f.key_kind != KEY_EC_P384)
        return ctx_fail(ctx, E_INVALID, "the key of a CA is ec-p256 or ec-p384, not \"%s\"", in->key_kind);
    if (in->common_name[0] == 0)
        return ctx_fail(ctx, E_INVALID, "a CA needs a common name");
    if (!url_fine(in->crl_url) || !url_fine(in->issuer_url) || !url_fine(in->own_crl_url) || !url_fine(in->own_issuer_url))
        return ctx_fail(ctx, E_INVALID, "CRLs and CA certificates are published at http:// URLs (RFC 5280 section 8)");
    return check_parent(ctx, s, m);
}

static RC self_sign(struct ctx *ctx, struct signer *s, struct making *m, struct bytes *der)
{
    const struct wire_signer_ca_create *in = m->in;
    const struct key *signer = m->key;
    struct cert_intent intent = {
        .profile = m->parent == NULL ? PROFILE_CA_ROOT : PROFILE_CA_INTERMEDIATE,
        .serial = m->serial,
        .issuer = m->parent == NULL ? NULL : &m->parent->cert,
        .organization = text_or_null(in->organization),
        .common_name = in->common_name,
        .spki = key_spki(m->key),
        .not_before = m->not_before,
        .not_after = m->not_after,
        .path_length = m->f.path_length,
        .permitted_dns = {.v = in->permitted_dns.v, .n = in->permitted_dns.n},
        .crl_url = in->crl_url,
        .issuer_url = in->issuer_url,
    };
    if (m->parent != NULL)
        TRY(state_ca_key(ctx, s, m->parent, &signer));
    struct bytes tbs;
    TRY(tbs_build(ctx, &intent, signer, &tbs));
    TRY(lint_tbs(ctx, tbs, intent.profile, intent.issuer, clock_unix_s(s->clock)));
    return tbs_sign(ctx, tbs, signer, der);
}

static RC put_ca(struct signer *s, struct work *w, const struct ca_facts *f)
{
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, (size_t)1 << 20);
    ca_facts_put(&b, f);
    return work_journal(s, w, RECORD_CA, &b);
}

/* Ceilings start as the request states them; from then on only an officer changes them. */
static RC put_ceilings(struct signer *s, struct work *w, const struct making *m)
{
    static const char *const profiles[] = {"tls-server", "tls-client", "tls-mutual"};
    struct ceilings c = {.max_validity_s = (int64_t)398 * 86400, .per_hour = 100000};
    for (size_t i = 0; i < m->in->permitted_dns.n; i++)
        str_list_add(&w->ctx->arena, &c.permitted_dns, m->in->permitted_dns.v[i]);
    if (strcmp(m->f.name, CA_NAME_FLEET) != 0 && m->f.path_length <= 0)
        for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++)
            str_list_add(&w->ctx->arena, &c.profiles, profiles[i]);
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, (size_t)1 << 20);
    ceilings_put(&b, m->f.name, &c);
    return work_journal(s, w, RECORD_CEILINGS, &b);
}

static RC make_sign(struct signer *s, struct work *w)
{
    struct making *m = w->state;
    struct rc rc = RC_OK;
    if (m->f.external) {
        rc = csr_build_ca(w->ctx, m->key, text_or_null(m->f.organization), m->f.common_name, m->f.path_length, &m->f.csr);
    } else {
        rc = self_sign(w->ctx, s, m, &m->f.certificate);
        if (rc_ok(rc) && m->parent == NULL)
            m->f.root = m->f.certificate;
    }
    key_free(m->key);
    m->key = NULL;
    TRY(rc);
    if (m->parent != NULL) {
        const struct ca_facts *p = &m->parent->f;
        bool above_is_root = bytes_equal(p->root, p->certificate);
        m->f.root = p->root;
        if (!above_is_root) {
            if (p->chain_n + 1 > CA_CHAIN_MAX)
                return ctx_fail(w->ctx, E_CEILING, "more than %d CAs above each other", CA_CHAIN_MAX);
            m->f.chain[m->f.chain_n++] = p->certificate;
            for (size_t i = 0; i < p->chain_n; i++)
                m->f.chain[m->f.chain_n++] = p->chain[i];
        }
    }
    FAILPOINT("signer.ca_signed");
    TRY(put_ca(s, w, &m->f));
    TRY(put_ceilings(s, w, m));
    w->state = (void *)(uintptr_t)m->in->ca;
    return RC_OK;
}

static RC journal_ca_intent(struct signer *s, struct work *w, struct making *m)
{
    uint8_t key[INDEX_KEY_LEN];
    int64_t now = clock_unix_s(s->clock);
    const char *issuer = m->parent == NULL ? m->in->ca : m->parent->f.name;
    TRY(index_key(w->ctx, 'c', bytes_z(m->in->ca), (struct bytes){0}, key));
    TRY(issue_validity(w->ctx, now, m->in->validity_s, m->parent == NULL ? NULL : &m->parent->cert, &m->not_before, &m->not_after));
    TRY(issue_serial(w->ctx, s, issuer, &m->serial));
    struct intent t = {.key = bytes_of(key, sizeof key),
                       .request_id = m->in->request_id,
                       .ca = issuer,
                       .subject = m->in->common_name,
                       .profile = profile_name(m->parent == NULL ? PROFILE_CA_ROOT : PROFILE_CA_INTERMEDIATE),
                       .serial = m->serial,
                       .not_before = m->not_before,
                       .not_after = m->not_after};
    memcpy(t.digest, m->f.digest, sizeof t.digest);
    if (m->parent != NULL)
        TRY(ceilings_count(w->ctx, m->parent, now));
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, 65536);
    intent_put(&b, &t);
    return work_journal(s, w, RECORD_INTENT, &b);
}

RC ca_create_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_ca_create *in = w->in;
    struct making *m = ARENA_NEW(&w->ctx->arena, struct making);
    m->in = in;
    TRY(check(w->ctx, s, m));
    TRY(digest_of(w->ctx, in, m->f.digest));
    w->answer = ca_answer;
    const struct ca *there = state_find_ca(s, in->ca);
    if (there != NULL) {
        if (memcmp(there->f.digest, m->f.digest, sizeof m->f.digest) != 0)
            return ctx_fail(w->ctx, E_EXISTS, "a CA named %s is there already, made otherwise", in->ca);
        w->state = (void *)(uintptr_t)in->ca;
        return RC_OK;
    }
    if (s->protect_on)
        return ctx_fail(w->ctx, E_FORBIDDEN, "no CA is made while changes of CAs need two people: certwright ca protect off");
    TRY(keyring_make(w->ctx, &s->keys, KEY_CLASS_CA, in->ca, m->f.key_kind, &m->key));
    w->state = m;
    w->sign = make_sign;
    struct rc rc = in->external ? RC_OK : journal_ca_intent(s, w, m);
    if (rc_failed(rc))
        key_free(m->key);
    return rc;
}

/* --- the answer of an external root */

static RC check_link(struct ctx *ctx, const struct cert *below, const struct cert *above, size_t depth, int64_t now)
{
    struct key *key KEY_CLEANUP = NULL;
    if (!bytes_equal(below->issuer.der, above->subject.der))
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "%s was not issued by %s, which follows it", below->subject.text,
                        above->subject.text);
    if (!above->is_ca || ((above->extensions & EXT_KEY_USAGE) != 0 && (above->key_usage & USAGE_CERT_SIGN) == 0))
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "%s is not the certificate of a CA", above->subject.text);
    if (above->path_length >= 0 && (size_t)above->path_length < depth)
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the path length of %s permits %d CAs below it, and there are %zu",
                        above->subject.text, above->path_length, depth);
    if (now > above->not_after)
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "%s has expired", above->subject.text);
    TRY(key_from_spki(ctx, above->spki.der, &key));
    struct rc rc = key_verify(ctx, key, below->signature_algorithm, below->tbs, below->signature);
    return rc_ok(rc) ? rc : ctx_wrap(ctx, rc, "the signature of %s by %s is wrong", below->subject.text, above->subject.text);
}

static RC check_import(struct ctx *ctx, const struct ca *ca, const struct key *key, const struct cert_chain *chain, int64_t now)
{
    const struct cert *cert = &chain->v[0];
    if (!bytes_equal(cert->spki.der, key_spki(key)))
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the certificate is for another key than that of the CA %s", ca->f.name);
    if (!cert->is_ca || (cert->key_usage & USAGE_CERT_SIGN) == 0 || (cert->key_usage & USAGE_CRL_SIGN) == 0)
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the certificate is not one of a CA that may sign certificates and CRLs");
    if (ca->f.path_length >= 0 && cert->path_length >= 0 && cert->path_length < ca->f.path_length)
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the certificate's path length is %d, and %d was asked for", cert->path_length,
                        ca->f.path_length);
    if (now > cert->not_after || now < cert->not_before)
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the certificate is not valid now");
    if (cert->unknown_critical != NULL)
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the certificate has a critical extension that is not known here: %s",
                        cert->unknown_critical);
    for (size_t i = 1; i < chain->n; i++)
        TRY(check_link(ctx, &chain->v[i - 1], &chain->v[i], i - 1, now));
    return RC_OK;
}

RC ca_import_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_ca_import *in = w->in;
    struct ca *ca = NULL;
    const struct key *key = NULL;
    struct cert_chain chain = {0};
    TRY(state_ca(w->ctx, s, in->ca, &ca));
    w->state = (void *)(uintptr_t)in->ca;
    w->answer = ca_answer;
    if (in->chain.n == 0)
        return ctx_fail(w->ctx, E_INVALID, "no certificate to import");
    if (ca->f.certificate.n > 0 && bytes_equal(ca->f.certificate, in->chain.v[0]))
        return RC_OK;
    if (!ca->f.external || ca->f.certificate.n > 0)
        return ctx_fail(w->ctx, E_CONFLICT, "the CA %s does not wait for a certificate", in->ca);
    TRY(state_ca_key(w->ctx, s, ca, &key));
    TRY(cert_chain_parse_der(w->ctx, in->chain.v, in->chain.n, &chain));
    TRY(check_import(w->ctx, ca, key, &chain, clock_unix_s(s->clock)));
    struct ca_facts f = ca->f;
    size_t above = chain.n - 1;
    const struct cert *top = &chain.v[chain.n - 1];
    if (above > 0 && cert_is_self_issued(top)) {
        TRY(check_link(w->ctx, top, top, 0, clock_unix_s(s->clock)));
        f.root = top->der;
        above--;
    }
    if (above > CA_CHAIN_MAX)
        return ctx_fail(w->ctx, E_TOO_LARGE, "more than %d CAs above each other", CA_CHAIN_MAX);
    f.certificate = chain.v[0].der;
    f.path_length = chain.v[0].path_length;
    for (f.chain_n = 0; f.chain_n < above; f.chain_n++)
        f.chain[f.chain_n] = chain.v[f.chain_n + 1].der;
    return put_ca(s, w, &f);
}

RC ca_import_words(struct signer *s, struct work *w, struct buf *out)
{
    const struct wire_signer_ca_import *in = w->in;
    struct cert_chain chain = {0};
    (void)s;
    TRY(cert_chain_parse_der(w->ctx, in->chain.v, in->chain.n, &chain));
    buf_printf(out, "CA %s gets its certificate\n", in->ca);
    for (size_t i = 0; i < chain.n; i++) {
        const struct cert *c = &chain.v[i];
        buf_printf(out, "%s %s\nissued by %s, until ", i == 0 ? "certificate" : "above it", c->subject.text, c->issuer.text);
        time_put_rfc3339(out, c->not_after);
        buf_put_z(out, "\nSHA-256 ");
        put_hex(out, bytes_of(c->fingerprint, sizeof c->fingerprint));
        buf_put_z(out, "\n");
    }
    return RC_OK;
}
