/* Inside pki/ only: OpenSSL's algorithms, fetched once for the process, and its errors turned into ours. */
#ifndef PKI_ALG_H
#define PKI_ALG_H

#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "base/ctx.h"

struct alg {
    EVP_MD *sha1, *sha256, *sha384, *sha512;
    EVP_MAC *hmac;
    EVP_KDF *hkdf;
    EVP_CIPHER *aes_256_gcm;
    EVP_PKEY *p256, *p384; /* parameters alone: templates for new keys */
};

/* alg_get never fails: a process without SHA-256 or P-256 ends with a message. */
const struct alg *alg_get(void);

/* alg_fail is ctx_fail with OpenSSL's own words appended; its error queue is empty afterwards. */
RC alg_fail(struct ctx *ctx, enum err e, const char *what);

/* Cleanups for OpenSSL's handles; NULL is fine. */
#define ALG_CLEANUP(type) __attribute__((cleanup(alg_free_##type)))
#define ALG_DEFINE_CLEANUP(type, function)                       \
    static inline void alg_free_##type(type **p) { function(*p); } \
    struct alg_semicolon_##type
ALG_DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free);
ALG_DEFINE_CLEANUP(EVP_PKEY_CTX, EVP_PKEY_CTX_free);
ALG_DEFINE_CLEANUP(EVP_MAC_CTX, EVP_MAC_CTX_free);
ALG_DEFINE_CLEANUP(EVP_KDF_CTX, EVP_KDF_CTX_free);
ALG_DEFINE_CLEANUP(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free);

#endif
