#include "agent/relay/chain_check.h"

#include "base/encode.h"
#include "pki/csr.h"
#include "pki/key.h"

#define ROOTS_MAX 100

static RC check_names(struct ctx *ctx, const struct cert *leaf, const char *const *names, size_t n)
{
    struct name_list wanted = {0}, got = {0};
    TRY(name_list_parse(ctx, names, n, &wanted));
    TRY(cert_names(ctx, leaf, &got));
    for (size_t i = 0; i < wanted.n; i++)
        if (!name_list_has(&got, &wanted.v[i]))
            return ctx_fail(ctx, E_BAD_CERTIFICATE, "the CA's certificate lacks the name %s", wanted.v[i].text);
    for (size_t i = 0; i < got.n; i++)
        if (!name_list_has(&wanted, &got.v[i]))
            return ctx_fail(ctx, E_BAD_CERTIFICATE, "the CA's certificate has the name %s, which nobody asked for", got.v[i].text);
    return RC_OK;
}

/* Leaf certificates of many CAs have an empty subject. */
static const char *called(const struct cert *c)
{
    return *c->subject.text ? c->subject.text : "the certificate";
}

static RC check_link(struct ctx *ctx, const struct cert *below, const struct cert *above)
{
    struct key *key KEY_CLEANUP = NULL;
    if (!bytes_equal(below->issuer.der, above->subject.der))
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the CA's chain is broken: %s does not issue %s", called(above), called(below));
    if (!above->is_ca)
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the CA's chain is broken: %s is no CA", above->subject.text);
    struct rc rc = key_from_spki(ctx, above->spki.der, &key);
    if (rc_ok(rc))
        rc = key_verify(ctx, key, below->signature_algorithm, below->tbs, below->signature);
    if (rc.e == E_UNSUPPORTED) { /* a CA's key of another kind: its signature is checked by who believes it */
        ctx_forget(ctx);
        return RC_OK;
    }
    if (rc_failed(rc)) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the CA's chain is broken: the signature of %s by %s is wrong", called(below),
                        called(above));
    }
    return RC_OK;
}

RC relay_chain_check(struct ctx *ctx, struct bytes pem, struct bytes csr_der, const char *const *names, size_t n,
                     struct cert_chain *out)
{
    struct csr csr;
    TRY(csr_read(ctx, csr_der, &csr)); /* only whose key it is: the hub has verified it */
    if (rc_failed(cert_chain_parse_pem(ctx, pem, CHAIN_CERTIFICATES_MAX, out)))
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "what the CA returned is no chain of at most %d certificates",
                        CHAIN_CERTIFICATES_MAX);
    const struct cert *leaf = &out->v[0];
    if (memcmp(leaf->spki_sha256, csr.spki_sha256, sizeof csr.spki_sha256) != 0)
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the CA's certificate is for another key than the one asked for");
    if (leaf->is_ca)
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the CA's certificate is that of a CA");
    if (leaf->not_after < ctx_now_s(ctx))
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the CA's certificate has expired already; is this host's clock right?");
    TRY(check_names(ctx, leaf, names, n));
    for (size_t i = 1; i < out->n; i++)
        TRY(check_link(ctx, &out->v[i - 1], &out->v[i]));
    return RC_OK;
}

static bool has_hash(const struct cert *c, struct bytes hash)
{
    return bytes_equal(bytes_of(c->spki_sha256, sizeof c->spki_sha256), hash);
}

bool relay_chain_is(struct ctx *ctx, const struct cert_chain *chain, const char *preferred, const char *roots_pem)
{
    struct bytes text = bytes_z(preferred), hash;
    struct cert_chain roots = {0};
    bool found = false;
    if (chain->n == 0)
        return false;
    const struct cert *last = &chain->v[chain->n - 1];
    if (!bytes_starts_with(text, BYTES_LIT("sha256:")))
        return last->issuer.common_name != NULL && strcmp(last->issuer.common_name, preferred) == 0;
    bytes_skip(&text, strlen("sha256:"));
    if (!get_hex(&ctx->arena, text, &hash))
        return false;
    for (size_t i = 1; i < chain->n && !found; i++)
        found = has_hash(&chain->v[i], hash);
    if (!found && roots_pem[0] != 0 && rc_failed(cert_chain_parse_pem(ctx, bytes_z(roots_pem), ROOTS_MAX, &roots)))
        roots.n = 0;
    for (size_t i = 0; i < roots.n && !found; i++)
        found = has_hash(&roots.v[i], hash) && rc_ok(check_link(ctx, last, &roots.v[i]));
    ctx_forget(ctx);
    return found;
}
