/* Any bytes to the readers of key stores; the first byte chooses JKS or PKCS #12.  What has no good digest is refused early, so
 * that the target makes a good one for JKS: the last 20 bytes are replaced. */
#include <openssl/evp.h>

#include "pki/jks.h"
#include "pki/pkcs12.h"

#define SHA1_LEN 20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* SHA-1 of the password in UTF-16, the reader's own words, and the file. */
static void mend(struct ctx *ctx, uint8_t *file, size_t n)
{
    static const char head[] = "\0t\0e\0s\0t\0-\0s\0e\0c\0r\0e\0tMighty Aphrodite";
    struct buf b;
    buf_init_arena(&b, &ctx->arena, CONTAINER_MAX + 64);
    buf_put_mem(&b, head, sizeof head - 1);
    buf_put_mem(&b, file, n - SHA1_LEN);
    if (EVP_Digest(b.p, b.n, file + n - SHA1_LEN, NULL, EVP_sha1(), NULL) != 1)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CTX_CLEANUP struct ctx ctx = {0};
    SECRET_CLEANUP struct secret password = {0};
    KEY_CLEANUP struct key *key = NULL;
    struct cert_chain chain;
    struct pkcs12 p;
    ctx_init(&ctx, &clock_system);
    if (n < 2 || n > 65536)
        return 0;
    if (rc_failed(secret_from(&ctx, &password, BYTES_LIT("test-secret"))))
        abort();
    uint8_t *file = arena_dup(&ctx.arena, data + 1, n - 1);
    if (data[0] & 1) {
        if (rc_ok(pkcs12_read(&ctx, bytes_of(file, n - 1), &password, &p, &key)) && p.leaf >= p.certs.n)
            abort();
        return 0;
    }
    struct bytes *ders = NULL;
    size_t ders_n = 0;
    if (rc_ok(jks_certificates(&ctx, bytes_of(file, n - 1), &ders, &ders_n)) && (ders_n == 0 || ders_n > JKS_CERTS_MAX))
        abort();
    if (n - 1 >= SHA1_LEN)
        mend(&ctx, file, n - 1);
    if (rc_ok(jks_read(&ctx, bytes_of(file, n - 1), &password, &chain, &key)) && chain.n == 0)
        abort();
    return 0;
}
