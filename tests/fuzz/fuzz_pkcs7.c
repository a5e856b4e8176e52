/* Any bytes to the PKCS #7 reader, and any text to the reader of issuers' descriptions: certificates or an error, nothing else. */
#include "agent/enroll_desc.h"
#include "pki/pkcs7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct cert_chain chain;
    ctx_init(&ctx, &clock_system);
    if (n > 65536)
        return 0;
    if (n > 0 && data[0] != 0x30) {
        struct enroll_desc d;
        (void)rc_ok(enroll_desc_parse(&ctx, "fuzz.yaml", bytes_of(data, n), &d));
        return 0;
    }
    if (rc_ok(pkcs7_certificates(&ctx, bytes_of(data, n), &chain)) && (chain.n == 0 || chain.n > PKCS7_CERTS_MAX))
        abort();
    return 0;
}
