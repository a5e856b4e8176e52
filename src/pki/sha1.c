#include "pki/sha1.h"

#include <openssl/core_names.h>

#include "pki/alg.h"

struct rc sha1_digest(struct ctx *ctx, struct bytes data, uint8_t out[SHA1_LEN])
{
    if (EVP_Digest(data.p ? (const void *)data.p : "", data.n, out, NULL, alg_get()->sha1, NULL) != 1)
        return alg_fail(ctx, E_CRYPTO, "hashing failed");
    return RC_OK;
}

struct rc sha1_hmac(struct ctx *ctx, struct bytes key, struct bytes data, uint8_t out[SHA1_LEN])
{
    char name[] = "SHA1";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *c ALG_CLEANUP(EVP_MAC_CTX) = EVP_MAC_CTX_new(alg_get()->hmac);
    size_t n = 0;
    const uint8_t empty[1] = {0}; /* NULL would mean the key set before */
    if (!c || EVP_MAC_init(c, key.p ? key.p : empty, key.n, params) != 1 || EVP_MAC_update(c, data.p, data.n) != 1 ||
        EVP_MAC_final(c, out, &n, SHA1_LEN) != 1 || n != SHA1_LEN)
        return alg_fail(ctx, E_CRYPTO, "HMAC failed");
    return RC_OK;
}
