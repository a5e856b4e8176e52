#include "pki/key_der.h"

#include "pki/der.h"
#include "pki/oid.h"

bool key_kind_is_ec(enum key_kind kind)
{
    return kind == KEY_EC_P256 || kind == KEY_EC_P384;
}

static struct bytes curve_oid(enum key_kind kind)
{
    return kind == KEY_EC_P256 ? OID_P256 : OID_P384;
}

static size_t scalar_len(enum key_kind kind)
{
    return kind == KEY_EC_P256 ? 32 : 48;
}

static enum key_kind curve_kind(struct bytes oid)
{
    return bytes_equal(oid, OID_P256) ? KEY_EC_P256 : bytes_equal(oid, OID_P384) ? KEY_EC_P384 : KEY_OTHER;
}

/* ECPrivateKey (RFC 5915); `kind` is KEY_OTHER where the curve must stand inside. */
static bool read_ec(struct bytes der, struct key_numbers *out)
{
    struct bytes body, parameters, oid, bits;
    int64_t version;
    bool present;
    int unused;
    if (!der_only(der, DER_SEQUENCE, &body) || !der_take_int(&body, &version) || version != 1 ||
        !der_take_tag(&body, DER_OCTET_STRING, &out->scalar) ||
        !der_take_optional(&body, DER_CONTEXT_CONS(0), &parameters, &present))
        return false;
    if (present) {
        if (!der_take_oid(&parameters, &oid) || parameters.n || (out->kind != KEY_OTHER && out->kind != curve_kind(oid)))
            return false;
        out->kind = curve_kind(oid);
    }
    if (!der_take_optional(&body, DER_CONTEXT_CONS(1), &bits, &present) || body.n)
        return false;
    if (present && (!der_take_bits(&bits, &out->point, &unused) || unused || bits.n))
        return false;
    return out->kind == KEY_OTHER || out->scalar.n == scalar_len(out->kind);
}

/* RSAPrivateKey (RFC 8017 appendix A.1.2), two primes. */
static bool read_rsa(struct bytes der, struct key_numbers *out)
{
    struct bytes body;
    int64_t version;
    if (!der_only(der, DER_SEQUENCE, &body) || !der_take_int(&body, &version) || version != 0)
        return false;
    for (size_t i = 0; i < RSA_NUMBERS; i++)
        if (!der_take_unsigned(&body, &out->rsa[i]) || out->rsa[i].n > 1024)
            return false;
    if (body.n)
        return false;
    switch (out->rsa[0].n) {
    case 256: out->kind = KEY_RSA_2048; break;
    case 384: out->kind = KEY_RSA_3072; break;
    case 512: out->kind = KEY_RSA_4096; break;
    default: out->kind = KEY_OTHER;
    }
    return true;
}

static bool read_pkcs8(struct bytes body, struct key_numbers *out)
{
    struct bytes algorithm, oid, curve, inner;
    if (!der_take_tag(&body, DER_SEQUENCE, &algorithm) || !der_take_oid(&algorithm, &oid) ||
        !der_take_tag(&body, DER_OCTET_STRING, &inner))
        return false; /* attributes may follow */
    if (bytes_equal(oid, OID_RSA))
        return read_rsa(inner, out);
    if (!bytes_equal(oid, OID_EC))
        return true;
    if (!der_take_oid(&algorithm, &curve) || algorithm.n)
        return false;
    out->kind = curve_kind(curve);
    return out->kind == KEY_OTHER || read_ec(inner, out);
}

struct rc key_der_read(struct ctx *ctx, struct bytes der, struct key_numbers *out)
{
    struct bytes body, probe;
    int64_t version;
    bool ok;
    *out = (struct key_numbers){0};
    if (!der_only(der, DER_SEQUENCE, &body) || !der_take_int(&body, &version))
        return ctx_fail(ctx, E_PARSE, "the private key is not PKCS #8, ECPrivateKey or RSAPrivateKey");
    probe = body;
    if (der_peek(probe) == DER_SEQUENCE)
        ok = (version == 0 || version == 1) && read_pkcs8(probe, out);
    else if (der_peek(probe) == DER_OCTET_STRING)
        ok = read_ec(der, out);
    else
        ok = read_rsa(der, out);
    if (!ok)
        return ctx_fail(ctx, E_PARSE, "the private key is malformed");
    if (out->kind == KEY_OTHER)
        return ctx_fail(ctx, E_UNSUPPORTED, "the private key is not ec-p256, ec-p384, rsa-2048, rsa-3072 or rsa-4096");
    return RC_OK;
}

static void put_ec_algorithm(struct buf *b, enum key_kind kind)
{
    size_t algorithm = der_begin(b, DER_SEQUENCE);
    der_put_oid(b, OID_EC);
    der_put_oid(b, curve_oid(kind));
    der_end(b, algorithm);
}

static void put_rsa_algorithm(struct buf *b)
{
    size_t algorithm = der_begin(b, DER_SEQUENCE);
    der_put_oid(b, OID_RSA);
    der_put_null(b);
    der_end(b, algorithm);
}

void key_der_put_private(const struct key_numbers *key, struct buf *out)
{
    size_t outer = der_begin(out, DER_SEQUENCE);
    der_put_int(out, 0);
    if (key_kind_is_ec(key->kind))
        put_ec_algorithm(out, key->kind);
    else
        put_rsa_algorithm(out);
    size_t string = der_begin(out, DER_OCTET_STRING), inner = der_begin(out, DER_SEQUENCE);
    if (key_kind_is_ec(key->kind)) {
        der_put_int(out, 1);
        der_put_octets(out, key->scalar);
        size_t public = der_begin(out, DER_CONTEXT_CONS(1));
        der_put_bits(out, key->point);
        der_end(out, public);
    } else {
        der_put_int(out, 0);
        for (size_t i = 0; i < RSA_NUMBERS; i++)
            der_put_unsigned(out, key->rsa[i]);
    }
    der_end(out, inner);
    der_end(out, string);
    der_end(out, outer);
}

struct rc key_der_put_ec_spki(struct ctx *ctx, enum key_kind kind, struct bytes point, struct bytes *out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 256);
    size_t outer = der_begin(&b, DER_SEQUENCE);
    put_ec_algorithm(&b, kind);
    der_put_bits(&b, point);
    der_end(&b, outer);
    *out = buf_bytes(&b);
    return buf_status(&b);
}

struct rc key_der_put_rsa_spki(struct ctx *ctx, struct bytes modulus, struct bytes exponent, struct bytes *out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 4096);
    size_t outer = der_begin(&b, DER_SEQUENCE);
    put_rsa_algorithm(&b);
    size_t bits = der_begin_bits(&b), inner = der_begin(&b, DER_SEQUENCE);
    der_put_unsigned(&b, modulus);
    der_put_unsigned(&b, exponent);
    der_end(&b, inner);
    der_end(&b, bits);
    der_end(&b, outer);
    *out = buf_bytes(&b);
    return buf_status(&b);
}
