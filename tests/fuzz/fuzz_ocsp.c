/* Any bytes as an OCSP answer: nobody here signed it, so whatever it says is refused. */
#include "pki/ocsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A root that is in every collection (ISRG Root X2): only its DER is needed. */
static const char pem[] = "-----BEGIN CERTIFICATE-----\n"
                          "MIICGzCCAaGgAwIBAgIQQdKd0XLq7qeAwSxs6S+HUjAKBggqhkjOPQQDAzBPMQsw\n"
                          "CQYDVQQGEwJVUzEpMCcGA1UEChMgSW50ZXJuZXQgU2VjdXJpdHkgUmVzZWFyY2gg\n"
                          "R3JvdXAxFTATBgNVBAMTDElTUkcgUm9vdCBYMjAeFw0yMDA5MDQwMDAwMDBaFw00\n"
                          "MDA5MTcxNjAwMDBaME8xCzAJBgNVBAYTAlVTMSkwJwYDVQQKEyBJbnRlcm5ldCBT\n"
                          "ZWN1cml0eSBSZXNlYXJjaCBHcm91cDEVMBMGA1UEAxMMSVNSRyBSb290IFgyMHYw\n"
                          "EAYHKoZIzj0CAQYFK4EEACIDYgAEzZvVn4CDCuwJSvMWSj5cz3es3mcFDR0HttwW\n"
                          "+1qLFNvicWDEukWVEYmO6gbf9yoWHKS5xcUy4APgHoIYOIvXRdgKam7mAHf7AlF9\n"
                          "ItgKbppbd9/w+kHsOdx1ymgHDB/qo0IwQDAOBgNVHQ8BAf8EBAMCAQYwDwYDVR0T\n"
                          "AQH/BAUwAwEB/zAdBgNVHQ4EFgQUfEKWrt5LSDv6kviejM9ti6lyN5UwCgYIKoZI\n"
                          "zj0EAwMDaAAwZQIwe3lORlCEwkSHRhtFcP9Ymd70/aTSVaYgLXTWNLxBo1BfASdW\n"
                          "tL4ndQavEi51mI38AjEAi/V3bNTIZargCyzuFJ0nN6T5U6VR5CmD1/iQMVtCnwr1\n"
                          "/q4AaOeMSQ+2b1tbFfLn\n"
                          "-----END CERTIFICATE-----\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct cert_chain root;
    struct ocsp_answer answer;
    ctx_init(&ctx, &clock_system);
    if (!rc_ok(cert_chain_parse_pem(&ctx, bytes_z(pem), 1, &root)) ||
        rc_ok(ocsp_read(&ctx, bytes_of(data, n), &root.v[0], &root.v[0], 1800000000, &answer)))
        abort();
    return 0;
}
