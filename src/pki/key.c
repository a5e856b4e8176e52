#include "pki/key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "base/encode.h"
#include "pki/alg.h"
#include "pki/der.h"
#include "pki/digest.h"
#include "pki/key_der.h"
#include "pki/oid.h"
#include "pki/pem.h"

ALG_DEFINE_CLEANUP(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free);
ALG_DEFINE_CLEANUP(OSSL_PARAM, OSSL_PARAM_free);
ALG_DEFINE_CLEANUP(BIGNUM, BN_clear_free);
ALG_DEFINE_CLEANUP(EC_GROUP, EC_GROUP_free);
ALG_DEFINE_CLEANUP(EC_POINT, EC_POINT_free);

struct key {
    EVP_PKEY *pkey;
    bool private;
    struct spki spki; /* points into der */
    uint8_t der[];
};

void key_free(struct key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

void key_freep(struct key **key)
{
    key_free(*key);
    *key = NULL;
}

/* Takes over `pkey`, whose public part is `spki`. */
static struct rc key_new(struct ctx *ctx, EVP_PKEY *pkey, bool private, struct bytes spki, struct key **out)
{
    struct key *key = calloc(1, sizeof *key + spki.n);
    if (!key) {
        EVP_PKEY_free(pkey);
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for a key");
    }
    key->pkey = pkey;
    key->private = private;
    memcpy(key->der, spki.p, spki.n);
    struct rc rc = spki_parse(ctx, bytes_of(key->der, spki.n), &key->spki);
    if (rc_failed(rc)) {
        key_free(key);
        return rc;
    }
    *out = key;
    return RC_OK;
}

/* --- generating */

static struct rc bn_bytes(struct ctx *ctx, const EVP_PKEY *pkey, const char *name, struct bytes *out)
{
    BIGNUM *n ALG_CLEANUP(BIGNUM) = NULL;
    if (EVP_PKEY_get_bn_param(pkey, name, &n) != 1)
        return alg_fail(ctx, E_CRYPTO, "a key has a part missing");
    uint8_t *p = arena_alloc(&ctx->arena, (size_t)BN_num_bytes(n) + 1);
    *out = bytes_of(p, (size_t)BN_bn2bin(n, p));
    return RC_OK;
}

static struct rc ec_spki(struct ctx *ctx, enum key_kind kind, const EVP_PKEY *pkey, struct bytes *out)
{
    uint8_t point[EC_POINT_MAX];
    size_t n = 0;
    if (EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n) != 1)
        return alg_fail(ctx, E_CRYPTO, "a key has no public part");
    return key_der_put_ec_spki(ctx, kind, bytes_of(point, n), out);
}

static struct rc rsa_spki(struct ctx *ctx, const EVP_PKEY *pkey, struct bytes *out)
{
    struct bytes n, e;
    TRY(bn_bytes(ctx, pkey, OSSL_PKEY_PARAM_RSA_N, &n));
    TRY(bn_bytes(ctx, pkey, OSSL_PKEY_PARAM_RSA_E, &e));
    return key_der_put_rsa_spki(ctx, n, e, out);
}

static struct rc generate(struct ctx *ctx, enum key_kind kind, EVP_PKEY **out)
{
    bool ec = key_kind_is_ec(kind);
    int bits = kind == KEY_RSA_2048 ? 2048 : kind == KEY_RSA_3072 ? 3072 : 4096;
    EVP_PKEY *template = kind == KEY_EC_P256 ? alg_get()->p256 : alg_get()->p384;
    EVP_PKEY_CTX *c ALG_CLEANUP(EVP_PKEY_CTX) =
        ec ? EVP_PKEY_CTX_new_from_pkey(NULL, template, NULL) : EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (!c || EVP_PKEY_keygen_init(c) != 1 || (!ec && EVP_PKEY_CTX_set_rsa_keygen_bits(c, bits) != 1) ||
        EVP_PKEY_generate(c, out) != 1)
        return alg_fail(ctx, E_CRYPTO, "making a key failed");
    return RC_OK;
}

struct rc key_generate(struct ctx *ctx, enum key_kind kind, struct key **out)
{
    EVP_PKEY *pkey = NULL;
    struct bytes spki = {0};
    *out = NULL;
    if (kind == KEY_OTHER)
        return ctx_fail(ctx, E_INVALID, "no such kind of key; there are ec-p256, ec-p384, rsa-2048, rsa-3072 and rsa-4096");
    TRY(generate(ctx, kind, &pkey));
    struct rc rc = key_kind_is_ec(kind) ? ec_spki(ctx, kind, pkey, &spki) : rsa_spki(ctx, pkey, &spki);
    if (rc_failed(rc)) {
        EVP_PKEY_free(pkey);
        return rc;
    }
    return key_new(ctx, pkey, true, spki, out);
}

/* --- from numbers to OpenSSL's object */

static struct rc from_params(struct ctx *ctx, const char *type, int selection, OSSL_PARAM_BLD *bld, EVP_PKEY **out)
{
    OSSL_PARAM *params ALG_CLEANUP(OSSL_PARAM) = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *c ALG_CLEANUP(EVP_PKEY_CTX) = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (!params || !c || EVP_PKEY_fromdata_init(c) != 1 || EVP_PKEY_fromdata(c, out, selection, params) != 1)
        return alg_fail(ctx, E_WEAK_KEY, "the key is not valid");
    return RC_OK;
}

static const char *group_name(enum key_kind kind)
{
    return kind == KEY_EC_P256 ? "P-256" : "P-384";
}

static struct rc ec_public(struct ctx *ctx, const struct spki *s, EVP_PKEY **out)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)group_name(s->key_kind), 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)s->key.p, s->key.n),
        OSSL_PARAM_construct_end(),
    };
    if (s->key.n != (size_t)s->bits / 4 + 1 || s->key.p[0] != 4)
        return ctx_fail(ctx, E_UNSUPPORTED, "an EC public key must be an uncompressed point");
    EVP_PKEY_CTX *c ALG_CLEANUP(EVP_PKEY_CTX) = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (!c || EVP_PKEY_fromdata_init(c) != 1 || EVP_PKEY_fromdata(c, out, EVP_PKEY_PUBLIC_KEY, params) != 1)
        return alg_fail(ctx, E_WEAK_KEY, "the EC public key is not a point of its curve");
    return RC_OK;
}

static struct rc rsa_public(struct ctx *ctx, const struct spki *s, EVP_PKEY **out)
{
    OSSL_PARAM_BLD *bld ALG_CLEANUP(OSSL_PARAM_BLD) = OSSL_PARAM_BLD_new();
    BIGNUM *n ALG_CLEANUP(BIGNUM) = BN_bin2bn(s->modulus.p, (int)s->modulus.n, NULL);
    BIGNUM *e ALG_CLEANUP(BIGNUM) = BN_bin2bn(s->exponent.p, (int)s->exponent.n, NULL);
    if (!bld || !n || !e || OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) != 1)
        return alg_fail(ctx, E_CRYPTO, "the RSA public key cannot be used");
    return from_params(ctx, "RSA", EVP_PKEY_PUBLIC_KEY, bld, out);
}

struct rc key_from_spki(struct ctx *ctx, struct bytes der, struct key **out)
{
    struct spki s;
    EVP_PKEY *pkey = NULL;
    *out = NULL;
    TRY(spki_parse(ctx, der, &s));
    if (s.kind == SPKI_RSA && s.bits >= 512 && s.bits <= 16384 && s.exponent.n <= 64)
        TRY(rsa_public(ctx, &s, &pkey));
    else if (key_kind_is_ec(s.key_kind))
        TRY(ec_public(ctx, &s, &pkey));
    else
        return ctx_fail(ctx, E_UNSUPPORTED, "the public key is of a kind that is not used here; EC P-256, P-384 and RSA are");
    return key_new(ctx, pkey, false, der, out);
}

/* The point that belongs to a private number: files may leave it out, and one that is there may not be believed. */
static struct rc ec_point_of(struct ctx *ctx, enum key_kind kind, const BIGNUM *d, uint8_t point[EC_POINT_MAX], size_t *n)
{
    EC_GROUP *group ALG_CLEANUP(EC_GROUP) = EC_GROUP_new_by_curve_name(kind == KEY_EC_P256 ? NID_X9_62_prime256v1 : NID_secp384r1);
    EC_POINT *q ALG_CLEANUP(EC_POINT) = group ? EC_POINT_new(group) : NULL;
    if (!q || BN_is_zero(d) || BN_cmp(d, EC_GROUP_get0_order(group)) >= 0 || EC_POINT_mul(group, q, d, NULL, NULL, NULL) != 1)
        return alg_fail(ctx, E_PARSE, "the private number of an EC key is out of range");
    *n = EC_POINT_point2oct(group, q, POINT_CONVERSION_UNCOMPRESSED, point, EC_POINT_MAX, NULL);
    return *n ? RC_OK : alg_fail(ctx, E_CRYPTO, "the public part of an EC key cannot be worked out");
}

static struct rc ec_private(struct ctx *ctx, const struct key_numbers *k, struct key **out)
{
    uint8_t point[EC_POINT_MAX];
    size_t n = 0;
    EVP_PKEY *pkey = NULL;
    struct bytes spki;
    OSSL_PARAM_BLD *bld ALG_CLEANUP(OSSL_PARAM_BLD) = OSSL_PARAM_BLD_new();
    BIGNUM *d ALG_CLEANUP(BIGNUM) = BN_secure_new();
    if (!bld || !d || !BN_bin2bn(k->scalar.p, (int)k->scalar.n, d))
        return alg_fail(ctx, E_CRYPTO, "the EC key cannot be used");
    BN_set_flags(d, BN_FLG_CONSTTIME);
    TRY(ec_point_of(ctx, k->kind, d, point, &n));
    if (k->point.n && !bytes_equal(k->point, bytes_of(point, n)))
        return ctx_fail(ctx, E_PARSE, "the private and the public part of the key do not belong together");
    TRY(key_der_put_ec_spki(ctx, k->kind, bytes_of(point, n), &spki));
    if (OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, group_name(k->kind), 0) != 1 ||
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, d) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, n) != 1)
        return alg_fail(ctx, E_CRYPTO, "the EC key cannot be used");
    TRY(from_params(ctx, "EC", EVP_PKEY_KEYPAIR, bld, &pkey));
    return key_new(ctx, pkey, true, spki, out);
}

/* RSAPrivateKey's numbers in their order (RFC 8017 appendix A.1.2), and what OpenSSL calls them. */
static const char *const rsa_params[RSA_NUMBERS] = {
    OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,         OSSL_PKEY_PARAM_RSA_D,
    OSSL_PKEY_PARAM_RSA_FACTOR1,   OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
    OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

static struct rc rsa_private(struct ctx *ctx, const struct key_numbers *k, struct key **out)
{
    OSSL_PARAM_BLD *bld ALG_CLEANUP(OSSL_PARAM_BLD) = OSSL_PARAM_BLD_new();
    BIGNUM *numbers[RSA_NUMBERS] = {0};
    EVP_PKEY *pkey = NULL;
    bool ok = bld != NULL;
    for (size_t i = 0; i < RSA_NUMBERS; i++) {
        numbers[i] = i < 2 ? BN_new() : BN_secure_new();
        ok = ok && numbers[i] && BN_bin2bn(k->rsa[i].p, (int)k->rsa[i].n, numbers[i]) &&
             OSSL_PARAM_BLD_push_BN(bld, rsa_params[i], numbers[i]) == 1;
    }
    struct rc rc =
        ok ? from_params(ctx, "RSA", EVP_PKEY_KEYPAIR, bld, &pkey) : alg_fail(ctx, E_CRYPTO, "the RSA key cannot be used");
    for (size_t i = 0; i < RSA_NUMBERS; i++)
        BN_clear_free(numbers[i]);
    TRY(rc);
    struct bytes spki = {0};
    rc = key_der_put_rsa_spki(ctx, k->rsa[0], k->rsa[1], &spki);
    if (rc_failed(rc)) {
        EVP_PKEY_free(pkey);
        return rc;
    }
    return key_new(ctx, pkey, true, spki, out);
}

struct rc key_from_pkcs8(struct ctx *ctx, const struct secret *der, struct key **out)
{
    struct key_numbers k;
    *out = NULL;
    TRY(key_der_read(ctx, secret_use(der), &k));
    return key_kind_is_ec(k.kind) ? ec_private(ctx, &k, out) : rsa_private(ctx, &k, out);
}

struct rc key_from_pem(struct ctx *ctx, const struct secret *pem, struct key **out)
{
    struct bytes text = secret_use(pem);
    struct pem_block block;
    bool found;
    *out = NULL;
    for (;;) {
        TRY(pem_next(ctx, &text, &block, &found));
        if (!found)
            return ctx_fail(ctx, E_PARSE, "there is no private key in PEM in it");
        if (bytes_equal_z(block.label, "ENCRYPTED PRIVATE KEY"))
            return ctx_fail(ctx, E_UNSUPPORTED, "the private key is encrypted; decrypt it with openssl pkcs8");
        if (bytes_ends_with(block.label, BYTES_LIT(PEM_KEY)))
            break;
    }
    SECRET_CLEANUP struct secret der = {0};
    struct rc rc = secret_from(ctx, &der, block.der);
    wipe((void *)block.der.p, block.der.n); /* the arena's copy */
    TRY(rc);
    return key_from_pkcs8(ctx, &der, out);
}

/* --- writing private keys */

/* Reads one number of a private key into `n` bytes of `out` (0: as many as it needs), for key_der_put_private(). */
static bool private_number(const EVP_PKEY *pkey, const char *name, size_t n, struct buf *out, size_t *length)
{
    BIGNUM *v ALG_CLEANUP(BIGNUM) = NULL;
    if (EVP_PKEY_get_bn_param(pkey, name, &v) != 1)
        return false;
    size_t want = n ? n : (size_t)BN_num_bytes(v);
    uint8_t *p = buf_reserve(out, want);
    if (!p || BN_bn2binpad(v, p, (int)want) < 0)
        return false;
    buf_commit(out, want);
    *length = want;
    return true;
}

/* PKCS #8 in a buffer of buf_init_secret(). */
static struct rc put_pkcs8(struct ctx *ctx, const struct key *key, struct buf *out)
{
    BUF_CLEANUP struct buf numbers = {0};
    size_t lengths[RSA_NUMBERS] = {0};
    struct key_numbers k = {.kind = key->spki.key_kind};
    bool ec = key->spki.kind == SPKI_EC, ok = true;
    if (!key->private)
        return ctx_fail(ctx, E_BUG, "a public key has no private part to write");
    buf_init_secret(&numbers, 16384);
    if (ec)
        ok = private_number(key->pkey, OSSL_PKEY_PARAM_PRIV_KEY, (size_t)key->spki.bits / 8, &numbers, &lengths[0]);
    for (size_t i = 0; !ec && i < RSA_NUMBERS; i++)
        ok = ok && private_number(key->pkey, rsa_params[i], 0, &numbers, &lengths[i]);
    if (!ok)
        return alg_fail(ctx, E_CRYPTO, "a private key cannot be written");
    struct bytes all = buf_bytes(&numbers);
    k.point = key->spki.key;
    if (ec)
        k.scalar = all;
    for (size_t i = 0; !ec && i < RSA_NUMBERS; i++)
        if (!bytes_take(&all, lengths[i], &k.rsa[i]))
            return ctx_fail(ctx, E_BUG, "a private key cannot be written");
    key_der_put_private(&k, out);
    return buf_status(out);
}

struct rc key_to_pkcs8(struct ctx *ctx, const struct key *key, struct secret *out)
{
    BUF_CLEANUP struct buf b = {0};
    buf_init_secret(&b, 16384);
    TRY(put_pkcs8(ctx, key, &b));
    return secret_from(ctx, out, buf_bytes(&b));
}

struct rc key_to_pem(struct ctx *ctx, const struct key *key, struct buf *out)
{
    BUF_CLEANUP struct buf b = {0};
    buf_init_secret(&b, 16384);
    TRY(put_pkcs8(ctx, key, &b));
    pem_put(out, PEM_KEY, buf_bytes(&b));
    return buf_status(out);
}

/* --- what a key is */

enum key_kind key_kind_of(const struct key *key)
{
    return key->spki.key_kind;
}

bool key_is_private(const struct key *key)
{
    return key->private;
}

struct bytes key_spki(const struct key *key)
{
    return key->spki.der;
}

const struct spki *key_public(const struct key *key)
{
    return &key->spki;
}

bool key_same(const struct key *a, const struct key *b)
{
    return bytes_equal(a->spki.der, b->spki.der);
}

struct evp_pkey_st *key_evp(const struct key *key)
{
    return key->pkey;
}

/* --- signing */

/* AlgorithmIdentifier, and the hash that belongs to it. */
#define ALGORITHM_ECDSA_SHA256 "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
#define ALGORITHM_ECDSA_SHA384 "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"
#define ALGORITHM_ECDSA_SHA512 "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04"
#define ALGORITHM_RSA_SHA256 "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"
#define ALGORITHM_RSA_SHA384 "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00"
#define ALGORITHM_RSA_SHA512 "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00"

static const struct {
    struct bytes der;
    enum spki_kind key;
    int hash_bits;
} algorithms[] = {
    {BYTES_LIT(ALGORITHM_ECDSA_SHA256), SPKI_EC, 256},  {BYTES_LIT(ALGORITHM_ECDSA_SHA384), SPKI_EC, 384},
    {BYTES_LIT(ALGORITHM_ECDSA_SHA512), SPKI_EC, 512},  {BYTES_LIT(ALGORITHM_RSA_SHA256), SPKI_RSA, 256},
    {BYTES_LIT(ALGORITHM_RSA_SHA384), SPKI_RSA, 384}, {BYTES_LIT(ALGORITHM_RSA_SHA512), SPKI_RSA, 512},
};

static int own_hash_bits(const struct key *key)
{
    return key->spki.key_kind == KEY_EC_P384 ? 384 : 256;
}

static const EVP_MD *hash_of(int bits)
{
    const struct alg *a = alg_get();
    return bits == 256 ? a->sha256 : bits == 384 ? a->sha384 : a->sha512;
}

struct bytes key_signature_algorithm(const struct key *key)
{
    if (key->spki.kind == SPKI_RSA)
        return BYTES_LIT(ALGORITHM_RSA_SHA256);
    return own_hash_bits(key) == 384 ? BYTES_LIT(ALGORITHM_ECDSA_SHA384) : BYTES_LIT(ALGORITHM_ECDSA_SHA256);
}

/* Hashes `data` and prepares a context for a signature over the hash: cheaper than EVP_DigestSign, which looks algorithms up. */
static struct rc prepare(struct ctx *ctx, const struct key *key, int hash_bits, struct bytes data, bool sign, EVP_PKEY_CTX **out,
                         uint8_t hash[EVP_MAX_MD_SIZE])
{
    const EVP_MD *md = hash_of(hash_bits);
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    *out = c;
    if (!c || EVP_Digest(data.p ? (const void *)data.p : "", data.n, hash, NULL, md, NULL) != 1 ||
        (sign ? EVP_PKEY_sign_init(c) : EVP_PKEY_verify_init(c)) != 1)
        return alg_fail(ctx, E_CRYPTO, "a signature could not be started");
    if (key->spki.kind == SPKI_RSA &&
        (EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) != 1 || EVP_PKEY_CTX_set_signature_md(c, md) != 1))
        return alg_fail(ctx, E_CRYPTO, "an RSA signature could not be started");
    return RC_OK;
}

static struct rc sign_with(struct ctx *ctx, const struct key *key, int bits, struct bytes data, struct bytes *signature)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    size_t n = key->spki.kind == SPKI_RSA ? key->spki.modulus.n : 144;
    uint8_t *p = arena_alloc(&ctx->arena, n);
    EVP_PKEY_CTX *c ALG_CLEANUP(EVP_PKEY_CTX) = NULL;
    if (!key->private)
        return ctx_fail(ctx, E_BUG, "a public key cannot sign");
    TRY(prepare(ctx, key, bits, data, true, &c, hash));
    if (EVP_PKEY_sign(c, p, &n, hash, (size_t)bits / 8) != 1)
        return alg_fail(ctx, E_CRYPTO, "signing failed");
    *signature = bytes_of(p, n);
    return RC_OK;
}

struct rc key_sign(struct ctx *ctx, const struct key *key, struct bytes data, struct bytes *signature)
{
    return sign_with(ctx, key, own_hash_bits(key), data, signature);
}

struct rc key_sign_sha512(struct ctx *ctx, const struct key *key, struct bytes data, struct bytes *signature)
{
    if (key->spki.kind != SPKI_RSA)
        return ctx_fail(ctx, E_UNSUPPORTED, "the key is not RSA");
    return sign_with(ctx, key, 512, data, signature);
}

struct rc key_verify(struct ctx *ctx, const struct key *key, struct bytes algorithm, struct bytes data, struct bytes signature)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    size_t i = 0;
    EVP_PKEY_CTX *c ALG_CLEANUP(EVP_PKEY_CTX) = NULL;
    while (i < sizeof algorithms / sizeof *algorithms && !bytes_equal(algorithms[i].der, algorithm))
        i++;
    if (i == sizeof algorithms / sizeof *algorithms || algorithms[i].key != key->spki.kind)
        return ctx_fail(ctx, E_UNSUPPORTED, "the signature algorithm is not one that is checked here, or not one of the key");
    TRY(prepare(ctx, key, algorithms[i].hash_bits, data, false, &c, hash));
    /* Anything but 1 is a wrong signature: 0 and -1 alike (CVE-2008-5077). */
    if (EVP_PKEY_verify(c, signature.p, signature.n, hash, (size_t)algorithms[i].hash_bits / 8) != 1)
        return alg_fail(ctx, E_INVALID, "the signature is wrong");
    return RC_OK;
}

struct rc key_verify_own(struct ctx *ctx, const struct key *key, struct bytes data, struct bytes signature)
{
    return key_verify(ctx, key, key_signature_algorithm(key), data, signature);
}
