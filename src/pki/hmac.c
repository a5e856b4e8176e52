#include "pki/hmac.h"

#include <openssl/core_names.h>

#include "pki/alg.h"

struct rc hmac_make(struct ctx *ctx, const char *hash, struct bytes key, struct bytes data, uint8_t out[HMAC_MAX], size_t *n)
{
    char *name = arena_strdup(&ctx->arena, hash);
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *c ALG_CLEANUP(EVP_MAC_CTX) = EVP_MAC_CTX_new(alg_get()->hmac);
    const uint8_t empty[1] = {0}; /* a NULL key would mean "the one set before" */
    *n = 0;
    if (!c || EVP_MAC_init(c, key.p ? key.p : empty, key.n, params) != 1 || EVP_MAC_update(c, data.p, data.n) != 1 ||
        EVP_MAC_final(c, out, n, HMAC_MAX) != 1)
        return alg_fail(ctx, E_CRYPTO, "HMAC failed");
    return RC_OK;
}
