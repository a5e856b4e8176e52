#include "pki/alg.h"

#include <pthread.h>

#include <openssl/err.h>

/* The one exception to "no globals": read-only after the first use. */
static struct alg table;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static EVP_PKEY *ec_template(const char *group)
{
    EVP_PKEY *out = NULL;
    EVP_PKEY_CTX *c ALG_CLEANUP(EVP_PKEY_CTX) = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (!c || EVP_PKEY_paramgen_init(c) != 1 || EVP_PKEY_CTX_set_group_name(c, group) != 1 || EVP_PKEY_paramgen(c, &out) != 1)
        return NULL;
    return out;
}

static void fetch(void)
{
    table.sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    table.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    table.sha384 = EVP_MD_fetch(NULL, "SHA384", NULL);
    table.sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
    table.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    table.hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    table.aes_256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    table.p256 = ec_template("P-256");
    table.p384 = ec_template("P-384");
    if (!table.sha1 || !table.sha256 || !table.sha384 || !table.sha512 || !table.hmac || !table.hkdf || !table.aes_256_gcm ||
        !table.p256 || !table.p384) {
        fputs("certwright: OpenSSL offers no SHA-2, HMAC, HKDF, AES-256-GCM or P-256; is its default provider switched off?\n",
              stderr);
        abort();
    }
}

const struct alg *alg_get(void)
{
    pthread_once(&once, fetch);
    return &table;
}

struct rc alg_fail(struct ctx *ctx, enum err e, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    struct rc rc = reason ? ctx_fail(ctx, e, "%s: %s", what, reason) : ctx_fail(ctx, e, "%s", what);
    ERR_clear_error();
    return rc;
}
