#include "pki/pkcs7.h"

#include <openssl/pkcs7.h>
#include <openssl/x509.h>

#include "pki/alg.h"

#define BYTES_OF_ONE ((size_t)26 << 10) /* of the whole, for each certificate that may be in it */

static void free_pkcs7(PKCS7 **p)
{
    PKCS7_free(*p);
}

static struct rc take(struct ctx *ctx, X509 *x, struct bytes *out)
{
    const int n = i2d_X509(x, NULL);
    if (n <= 0 || (size_t)n > CERT_MAX)
        return ctx_fail(ctx, E_PARSE, "a certificate in PKCS #7 is larger than %zu bytes", CERT_MAX);
    uint8_t *der = arena_array(&ctx->arena, (size_t)n, 1), *at = der;
    if (i2d_X509(x, &at) != n)
        return alg_fail(ctx, E_PARSE, "a certificate in PKCS #7 cannot be read");
    *out = bytes_of(der, (size_t)n);
    return RC_OK;
}

struct rc pkcs7_ders(struct ctx *ctx, struct bytes in, size_t most, struct bytes **ders, size_t *n)
{
    const uint8_t *at = in.p;
    *ders = NULL;
    *n = 0;
    if (in.n == 0 || in.n > most * BYTES_OF_ONE)
        return ctx_fail(ctx, E_PARSE, "PKCS #7 of %zu bytes; it must have 1 to %zu", in.n, most * BYTES_OF_ONE);
    PKCS7 *p7 __attribute__((cleanup(free_pkcs7))) = d2i_PKCS7(NULL, &at, (long)in.n);
    if (!p7)
        return alg_fail(ctx, E_PARSE, "not PKCS #7");
    if (at != in.p + in.n || !PKCS7_type_is_signed(p7) || !p7->d.sign)
        return ctx_fail(ctx, E_PARSE, "PKCS #7 of another kind than a set of certificates");
    STACK_OF(X509) *certs = p7->d.sign->cert;
    const int count = sk_X509_num(certs);
    if (count < 1 || (size_t)count > most)
        return ctx_fail(ctx, E_PARSE, "PKCS #7 with %d certificates; it must have 1 to %zu", count < 0 ? 0 : count, most);
    *ders = arena_array(&ctx->arena, (size_t)count, sizeof **ders);
    for (int i = 0; i < count; i++)
        TRY(take(ctx, sk_X509_value(certs, i), &(*ders)[(*n)++]));
    return RC_OK;
}

struct rc pkcs7_certificates(struct ctx *ctx, struct bytes in, struct cert_chain *out)
{
    struct bytes *ders = NULL;
    size_t n = 0;
    *out = (struct cert_chain){0};
    TRY(pkcs7_ders(ctx, in, PKCS7_CERTS_MAX, &ders, &n));
    out->v = arena_array(&ctx->arena, n, sizeof *out->v);
    for (size_t i = 0; i < n; i++)
        TRY(cert_parse(ctx, ders[i], &out->v[out->n++]));
    return RC_OK;
}
