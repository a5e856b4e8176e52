#include "pki/digest.h"

#include <openssl/core_names.h>

#include "pki/alg.h"

static struct rc digest(struct ctx *ctx, const EVP_MD *md, struct bytes data, uint8_t *out)
{
    if (EVP_Digest(data.p ? (const void *)data.p : "", data.n, out, NULL, md, NULL) != 1)
        return alg_fail(ctx, E_CRYPTO, "hashing failed");
    return RC_OK;
}

struct rc digest_sha256(struct ctx *ctx, struct bytes data, uint8_t out[SHA256_LEN])
{
    return digest(ctx, alg_get()->sha256, data, out);
}

struct rc digest_sha384(struct ctx *ctx, struct bytes data, uint8_t out[SHA384_LEN])
{
    return digest(ctx, alg_get()->sha384, data, out);
}

struct rc digest_sha256_new(struct ctx *ctx, struct bytes data, struct bytes *out)
{
    uint8_t *p = arena_alloc(&ctx->arena, SHA256_LEN);
    TRY(digest_sha256(ctx, data, p));
    *out = bytes_of(p, SHA256_LEN);
    return RC_OK;
}

struct rc digest_hmac_sha256(struct ctx *ctx, struct bytes key, struct bytes data, uint8_t out[SHA256_LEN])
{
    char name[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *c ALG_CLEANUP(EVP_MAC_CTX) = EVP_MAC_CTX_new(alg_get()->hmac);
    size_t n = 0;
    /* EVP_MAC_init takes a NULL key for "keep the one set before", so that an empty one still needs an address. */
    const uint8_t empty[1] = {0};
    if (!c || EVP_MAC_init(c, key.p ? key.p : empty, key.n, params) != 1 || EVP_MAC_update(c, data.p, data.n) != 1 ||
        EVP_MAC_final(c, out, &n, SHA256_LEN) != 1 || n != SHA256_LEN)
        return alg_fail(ctx, E_CRYPTO, "HMAC failed");
    return RC_OK;
}

struct rc digest_hkdf_sha256(struct ctx *ctx, struct bytes secret, struct bytes salt, struct bytes info, uint8_t *out, size_t n)
{
    char name[] = "SHA256";
    OSSL_PARAM params[5];
    size_t i = 0;
    params[i++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, name, 0);
    params[i++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret.p, secret.n);
    if (salt.n)
        params[i++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt.p, salt.n);
    if (info.n)
        params[i++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info.p, info.n);
    params[i] = OSSL_PARAM_construct_end();
    EVP_KDF_CTX *c ALG_CLEANUP(EVP_KDF_CTX) = EVP_KDF_CTX_new(alg_get()->hkdf);
    if (!c || EVP_KDF_derive(c, out, n, params) != 1)
        return alg_fail(ctx, E_CRYPTO, "HKDF failed");
    return RC_OK;
}
