/* Any bytes to the reader of certificate signing requests: what it accepts, OpenSSL verifies too. */
#include <openssl/err.h>
#include <openssl/x509.h>

#include "pki/csr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct csr csr;
    ctx_init(&ctx, &clock_system);
    if (rc_ok(csr_parse(&ctx, bytes_of(data, n), &csr))) {
        const uint8_t *p = data;
        X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)n);
        EVP_PKEY *key = req ? X509_REQ_get0_pubkey(req) : NULL;
        if (!key || X509_REQ_verify(req, key) != 1 || csr.names.n > CSR_NAMES_MAX)
            abort();
        X509_REQ_free(req);
    }
    ERR_clear_error();
    return 0;
}
