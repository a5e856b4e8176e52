#include "pki/spki.h"

#include "base/str.h"
#include "pki/der.h"
#include "pki/digest.h"
#include "pki/oid.h"

static const struct {
    enum key_kind kind;
    const char *name;
} kinds[] = {
    {KEY_EC_P256, "ec-p256"}, {KEY_EC_P384, "ec-p384"},   {KEY_RSA_2048, "rsa-2048"},
    {KEY_RSA_3072, "rsa-3072"}, {KEY_RSA_4096, "rsa-4096"},
};

const char *key_kind_name(enum key_kind kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].kind == kind)
            return kinds[i].name;
    return "other";
}

enum key_kind key_kind_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (str_equal(kinds[i].name, name))
            return kinds[i].kind;
    return KEY_OTHER;
}

static int bit_length(struct bytes magnitude)
{
    int top = 0;
    while (magnitude.n && magnitude.p[0] >> top)
        top++;
    return magnitude.n ? (int)(magnitude.n - 1) * 8 + top : 0;
}

static bool parse_rsa(struct bytes parameters, struct spki *s)
{
    struct bytes body;
    if (!der_take_null(&parameters) || parameters.n || !der_only(s->key, DER_SEQUENCE, &body) ||
        !der_take_unsigned(&body, &s->modulus) || !der_take_unsigned(&body, &s->exponent) || body.n)
        return false;
    s->kind = SPKI_RSA;
    s->bits = bit_length(s->modulus);
    s->key_kind = s->bits == 2048 ? KEY_RSA_2048 : s->bits == 3072 ? KEY_RSA_3072 : s->bits == 4096 ? KEY_RSA_4096 : KEY_OTHER;
    return true;
}

static bool parse_ec(struct bytes parameters, struct spki *s)
{
    s->kind = SPKI_EC;
    s->curve = "?";
    if (der_peek(parameters) != DER_OID)
        return der_peek(parameters) != 0; /* explicit parameters: readable, never accepted */
    if (!der_take_oid(&parameters, &s->curve_oid) || parameters.n)
        return false;
    if (bytes_equal(s->curve_oid, OID_P256)) {
        s->curve = "P-256";
        s->bits = 256;
        s->key_kind = KEY_EC_P256;
    } else if (bytes_equal(s->curve_oid, OID_P384)) {
        s->curve = "P-384";
        s->bits = 384;
        s->key_kind = KEY_EC_P384;
    } else if (bytes_equal(s->curve_oid, OID_P521)) {
        s->curve = "P-521";
        s->bits = 521;
    }
    return s->key.n > 0;
}

struct rc spki_parse(struct ctx *ctx, struct bytes der, struct spki *out)
{
    struct bytes body, algorithm;
    int unused;
    *out = (struct spki){.der = der};
    if (!der_only(der, DER_SEQUENCE, &body) || !der_take_tag(&body, DER_SEQUENCE, &algorithm) ||
        !der_take_oid(&algorithm, &out->algorithm) || !der_take_bits(&body, &out->key, &unused) || unused || body.n)
        return ctx_fail(ctx, E_PARSE, "the public key is not a SubjectPublicKeyInfo");
    if (bytes_equal(out->algorithm, OID_RSA)) {
        if (!parse_rsa(algorithm, out))
            return ctx_fail(ctx, E_PARSE, "the RSA public key is malformed");
    } else if (bytes_equal(out->algorithm, OID_EC)) {
        if (!parse_ec(algorithm, out))
            return ctx_fail(ctx, E_PARSE, "the EC public key is malformed");
    } else if (bytes_equal(out->algorithm, OID_ED25519)) {
        out->kind = SPKI_ED25519;
        out->bits = 256;
    }
    return RC_OK;
}

struct rc spki_id(struct ctx *ctx, const struct spki *spki, uint8_t out[SPKI_ID_LEN])
{
    uint8_t full[SHA256_LEN];
    TRY(digest_sha256(ctx, spki->key, full));
    memcpy(out, full, SPKI_ID_LEN);
    return RC_OK;
}
