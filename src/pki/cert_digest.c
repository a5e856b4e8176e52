#include "pki/alg.h"
#include "pki/cert_read.h"

struct cert_hasher {
    EVP_MD_CTX *sha256, *sha1;
};

struct rc cert_hasher_new(struct ctx *ctx, struct cert_hasher **out)
{
    struct cert_hasher *h = calloc(1, sizeof *h);
    *out = h;
    if (h) {
        h->sha256 = EVP_MD_CTX_new();
        h->sha1 = EVP_MD_CTX_new();
    }
    if (h && h->sha256 && h->sha1)
        return RC_OK;
    cert_hasher_free(out);
    return ctx_fail(ctx, E_NO_MEMORY, "no memory for hashing");
}

void cert_hasher_free(struct cert_hasher **hasher)
{
    struct cert_hasher *h = *hasher;
    if (!h)
        return;
    EVP_MD_CTX_free(h->sha256);
    EVP_MD_CTX_free(h->sha1);
    free(h);
    *hasher = NULL;
}

/* A context that has hashed with the same algorithm before allocates nothing. */
static bool hash(EVP_MD_CTX *c, const EVP_MD *md, struct bytes data, uint8_t *out)
{
    return EVP_DigestInit_ex2(c, md, NULL) == 1 && EVP_DigestUpdate(c, data.p, data.n) == 1 &&
           EVP_DigestFinal_ex(c, out, NULL) == 1;
}

struct rc cert_digest(struct ctx *ctx, struct cert_hasher *hasher, const struct cert_fields *cert, struct cert_digests *out)
{
    const struct alg *alg = alg_get();
    *out = (struct cert_digests){0};
    if (!hash(hasher->sha256, alg->sha256, cert->der, out->sha256) || !hash(hasher->sha1, alg->sha1, cert->der, out->sha1) ||
        (!(cert->defects & CERT_DEFECT_BIT(KEY)) && !hash(hasher->sha256, alg->sha256, cert->key.der, out->spki_sha256)))
        return alg_fail(ctx, E_CRYPTO, "hashing failed");
    return RC_OK;
}
