#include "pki/hpke.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>

#include "base/buf.h"
#include "pki/alg.h"
#include "pki/digest.h"

#define KDF_HKDF_SHA256 1
#define MODE_BASE       0
#define NONCE_LEN       12
#define DH_LEN          32 /* Ndh of both KEMs */
#define VERSION         BYTES_LIT("HPKE-v1")

ALG_DEFINE_CLEANUP(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free);
ALG_DEFINE_CLEANUP(OSSL_PARAM, OSSL_PARAM_free);
ALG_DEFINE_CLEANUP(BIGNUM, BN_clear_free);
ALG_DEFINE_CLEANUP(EC_GROUP, EC_GROUP_free);
ALG_DEFINE_CLEANUP(EC_POINT, EC_POINT_clear_free);
ALG_DEFINE_CLEANUP(EVP_CIPHER, EVP_CIPHER_free);

struct hpke_key {
    EVP_PKEY *pkey;
    enum hpke_kem kem;
    size_t public_len;
    uint8_t public[HPKE_PUBLIC_MAX];
};

static const struct kem {
    enum hpke_kem kem;
    const char *name;
    size_t public_len;
} kems[] = {
    {HPKE_X25519, "X25519", HPKE_X25519_LEN},
    {HPKE_P256, "P-256", 65},
};

static const struct aead {
    enum hpke_aead aead;
    const char *name; /* OpenSSL's */
    size_t key_len;
} aeads[] = {
    {HPKE_AES_128_GCM, "AES-128-GCM", 16},
    {HPKE_AES_256_GCM, "AES-256-GCM", 32},
    {HPKE_CHACHA20_POLY1305, "ChaCha20-Poly1305", 32},
};

static struct rc find_kem(struct ctx *ctx, enum hpke_kem kem, const struct kem **out)
{
    for (size_t i = 0; i < sizeof kems / sizeof *kems; i++)
        if (kems[i].kem == kem) {
            *out = &kems[i];
            return RC_OK;
        }
    return ctx_fail(ctx, E_UNSUPPORTED, "HPKE with key encapsulation %#x is not supported", (unsigned)kem);
}

static struct rc find_aead(struct ctx *ctx, enum hpke_aead aead, const struct aead **out)
{
    for (size_t i = 0; i < sizeof aeads / sizeof *aeads; i++)
        if (aeads[i].aead == aead) {
            *out = &aeads[i];
            return RC_OK;
        }
    return ctx_fail(ctx, E_UNSUPPORTED, "HPKE with AEAD %#x is not supported", (unsigned)aead);
}

/* --- keys */

void hpke_key_free(struct hpke_key *key)
{
    if (key) {
        EVP_PKEY_free(key->pkey);
        free(key);
    }
}

void hpke_key_freep(struct hpke_key **key)
{
    hpke_key_free(*key);
}

struct bytes hpke_key_public(const struct hpke_key *key)
{
    return bytes_of(key->public, key->public_len);
}

/* Takes `pkey` over, whether it succeeds or not. */
static struct rc wrap_key(struct ctx *ctx, const struct kem *kem, EVP_PKEY *pkey, struct hpke_key **out)
{
    HPKE_KEY_CLEANUP struct hpke_key *key = calloc(1, sizeof *key);
    if (!key) {
        EVP_PKEY_free(pkey);
        return rc_of(E_NO_MEMORY);
    }
    key->pkey = pkey;
    key->kem = kem->kem;
    if (EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, key->public, sizeof key->public,
                                        &key->public_len) != 1 ||
        key->public_len != kem->public_len)
        return alg_fail(ctx, E_CRYPTO, "the public half of an HPKE key cannot be had");
    *out = key;
    key = NULL;
    return RC_OK;
}

struct rc hpke_key_new(struct ctx *ctx, enum hpke_kem which, struct hpke_key **out)
{
    const struct kem *kem;
    EVP_PKEY *pkey = NULL;
    TRY(find_kem(ctx, which, &kem));
    EVP_PKEY_CTX *c ALG_CLEANUP(EVP_PKEY_CTX) = which == HPKE_P256 ? EVP_PKEY_CTX_new_from_pkey(NULL, alg_get()->p256, NULL)
                                                                   : EVP_PKEY_CTX_new_from_name(NULL, kem->name, NULL);
    if (!c || EVP_PKEY_keygen_init(c) != 1 || EVP_PKEY_generate(c, &pkey) != 1)
        return alg_fail(ctx, E_CRYPTO, "an HPKE key could not be made");
    return wrap_key(ctx, kem, pkey, out);
}

/* A key of P-256 from its point and, where there is one, its number: OpenSSL looks whether the point is on the curve. */
static EVP_PKEY *p256_from(struct bytes point, const BIGNUM *number)
{
    EVP_PKEY *out = NULL;
    OSSL_PARAM_BLD *bld ALG_CLEANUP(OSSL_PARAM_BLD) = OSSL_PARAM_BLD_new();
    if (!bld || OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point.p, point.n) != 1 ||
        (number && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, number) != 1))
        return NULL;
    OSSL_PARAM *params ALG_CLEANUP(OSSL_PARAM) = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *c ALG_CLEANUP(EVP_PKEY_CTX) = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (!params || !c || EVP_PKEY_fromdata_init(c) != 1 ||
        EVP_PKEY_fromdata(c, &out, number ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) != 1)
        return NULL;
    return out;
}

static EVP_PKEY *p256_from_private(struct bytes raw)
{
    uint8_t point[HPKE_PUBLIC_MAX];
    BIGNUM *number ALG_CLEANUP(BIGNUM) = BN_secure_new();
    EC_GROUP *group ALG_CLEANUP(EC_GROUP) = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *p ALG_CLEANUP(EC_POINT) = group ? EC_POINT_new(group) : NULL;
    if (!number || !p || !BN_bin2bn(raw.p, (int)raw.n, number))
        return NULL;
    BN_set_flags(number, BN_FLG_CONSTTIME);
    /* section 7.1.2: a number from 1 to the order of the group less one */
    if (BN_is_zero(number) || BN_cmp(number, EC_GROUP_get0_order(group)) >= 0 ||
        EC_POINT_mul(group, p, number, NULL, NULL, NULL) != 1 ||
        EC_POINT_point2oct(group, p, POINT_CONVERSION_UNCOMPRESSED, point, sizeof point, NULL) != sizeof point)
        return NULL;
    return p256_from(bytes_of(point, sizeof point), number);
}

struct rc hpke_key_from(struct ctx *ctx, enum hpke_kem which, const struct secret *raw, struct hpke_key **out)
{
    const struct kem *kem;
    struct bytes b = secret_use(raw);
    TRY(find_kem(ctx, which, &kem));
    if (b.n != HPKE_SECRET_LEN)
        return ctx_fail(ctx, E_PARSE, "a private HPKE key has %d bytes, not %zu", HPKE_SECRET_LEN, b.n);
    EVP_PKEY *pkey = which == HPKE_P256 ? p256_from_private(b) : EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, b.p, b.n);
    if (!pkey)
        return alg_fail(ctx, E_PARSE, "these bytes are not a private HPKE key");
    return wrap_key(ctx, kem, pkey, out);
}

struct rc hpke_key_to(struct ctx *ctx, const struct hpke_key *key, struct secret *raw)
{
    SECRET_CLEANUP struct secret s = {0};
    size_t n = HPKE_SECRET_LEN;
    bool ok;
    TRY(secret_new(ctx, &s, HPKE_SECRET_LEN));
    if (key->kem == HPKE_P256) {
        BIGNUM *number ALG_CLEANUP(BIGNUM) = BN_secure_new();
        ok = number && EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_PRIV_KEY, &number) == 1 &&
             BN_bn2binpad(number, secret_fill(&s), HPKE_SECRET_LEN) == HPKE_SECRET_LEN;
    } else {
        ok = EVP_PKEY_get_raw_private_key(key->pkey, secret_fill(&s), &n) == 1 && n == HPKE_SECRET_LEN;
    }
    if (!ok)
        return alg_fail(ctx, E_CRYPTO, "the private half of an HPKE key cannot be had");
    *raw = s;
    s = (struct secret){0};
    return RC_OK;
}

static struct rc public_key(struct ctx *ctx, const struct kem *kem, struct bytes public, EVP_PKEY **out)
{
    if (public.n != kem->public_len)
        return ctx_fail(ctx, E_PARSE, "a public %s key has %zu bytes, not %zu", kem->name, kem->public_len, public.n);
    *out = kem->kem == HPKE_P256 ? p256_from(public, NULL) : EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, public.p, public.n);
    return *out ? RC_OK : alg_fail(ctx, E_PARSE, "these bytes are not a public key");
}

/* --- the key encapsulation (section 4.1) */

/* The Diffie-Hellman value; all zero where the peer's key is one of the weak points of X25519, and refused (section 7.1.4). */
static struct rc shared(struct ctx *ctx, EVP_PKEY *own, EVP_PKEY *peer, struct secret *out)
{
    uint8_t any = 0;
    size_t n = DH_LEN;
    TRY(secret_new(ctx, out, DH_LEN));
    EVP_PKEY_CTX *c ALG_CLEANUP(EVP_PKEY_CTX) = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
    if (!c || EVP_PKEY_derive_init(c) != 1 || EVP_PKEY_derive_set_peer(c, peer) != 1 ||
        EVP_PKEY_derive(c, secret_fill(out), &n) != 1 || n != DH_LEN)
        return alg_fail(ctx, E_CRYPTO, "no secret can be shared with this public key");
    for (size_t i = 0; i < n; i++)
        any |= secret_use(out).p[i];
    return any ? RC_OK : ctx_fail(ctx, E_CRYPTO, "this public key is one of the weak ones: the shared secret would be zero");
}

struct rc hpke_public_check(struct ctx *ctx, enum hpke_kem which, struct bytes public)
{
    SECRET_CLEANUP struct secret dh = {0};
    HPKE_KEY_CLEANUP struct hpke_key *own = NULL;
    EVP_PKEY *peer ALG_CLEANUP(EVP_PKEY) = NULL;
    const struct kem *kem;
    TRY(find_kem(ctx, which, &kem));
    TRY(public_key(ctx, kem, public, &peer));
    TRY(hpke_key_new(ctx, which, &own));
    return shared(ctx, own->pkey, peer, &dh);
}

struct suite_id {
    uint8_t b[10];
    size_t n;
};

static struct suite_id kem_suite(enum hpke_kem kem)
{
    return (struct suite_id){{'K', 'E', 'M', (uint8_t)((unsigned)kem >> 8), (uint8_t)kem}, 5};
}

static struct suite_id full_suite(struct hpke_suite s)
{
    return (struct suite_id){
        {'H', 'P', 'K', 'E', (uint8_t)((unsigned)s.kem >> 8), (uint8_t)s.kem, 0, KDF_HKDF_SHA256, 0, (uint8_t)s.aead}, 10};
}

#define LABELED_MAX (HPKE_INFO_MAX + 256)

/* LabeledExtract (section 4). */
static struct rc extract(struct ctx *ctx, struct suite_id id, struct bytes salt, const char *label, struct bytes ikm,
                         uint8_t out[SHA256_LEN])
{
    BUF_CLEANUP struct buf b;
    buf_init_secret(&b, LABELED_MAX);
    buf_put(&b, VERSION);
    buf_put_mem(&b, id.b, id.n);
    buf_put_z(&b, label);
    buf_put(&b, ikm);
    TRY(buf_status(&b));
    return digest_hmac_sha256(ctx, salt, buf_bytes(&b), out);
}

/* LabeledExpand (section 4) for at most one block of HKDF-Expand (RFC 5869 section 2.3): nothing here is longer. */
static struct rc expand(struct ctx *ctx, struct suite_id id, struct bytes prk, const char *label, struct bytes info, uint8_t *out,
                        size_t n)
{
    uint8_t block[SHA256_LEN];
    BUF_CLEANUP struct buf b;
    buf_init_secret(&b, LABELED_MAX);
    buf_put_u16(&b, (uint16_t)n);
    buf_put(&b, VERSION);
    buf_put_mem(&b, id.b, id.n);
    buf_put_z(&b, label);
    buf_put(&b, info);
    buf_put_u8(&b, 1);
    TRY(buf_status(&b));
    TRY(digest_hmac_sha256(ctx, prk, buf_bytes(&b), block));
    memcpy(out, block, n);
    wipe(block, sizeof block);
    return RC_OK;
}

/* What is derived: all of it wiped together. */
struct keys {
    uint8_t prk[SHA256_LEN], shared[SHA256_LEN], secret[SHA256_LEN], key[32], nonce[NONCE_LEN];
};

/* ExtractAndExpand (section 4.1) and KeySchedule for the base mode (section 5.1), into a secret that holds a struct keys. */
static struct rc schedule(struct ctx *ctx, struct hpke_suite suite, const struct aead *aead, struct bytes dh, struct bytes enc,
                          struct bytes public, struct bytes info, struct secret *out)
{
    struct suite_id kem = kem_suite(suite.kem), all = full_suite(suite);
    uint8_t context[1 + 2 * SHA256_LEN] = {MODE_BASE};
    uint8_t both[2 * HPKE_PUBLIC_MAX];
    struct bytes none = {0};
    TRY(secret_new(ctx, out, sizeof(struct keys)));
    struct keys *k = (struct keys *)secret_fill(out);
    memcpy(both, enc.p, enc.n);
    memcpy(both + enc.n, public.p, public.n);
    TRY(extract(ctx, kem, none, "eae_prk", dh, k->prk));
    TRY(expand(ctx, kem, bytes_of(k->prk, sizeof k->prk), "shared_secret", bytes_of(both, enc.n + public.n), k->shared,
               sizeof k->shared));
    TRY(extract(ctx, all, none, "psk_id_hash", none, context + 1));
    TRY(extract(ctx, all, none, "info_hash", info, context + 1 + SHA256_LEN));
    TRY(extract(ctx, all, bytes_of(k->shared, sizeof k->shared), "secret", none, k->secret));
    struct bytes secret = bytes_of(k->secret, sizeof k->secret), c = bytes_of(context, sizeof context);
    TRY(expand(ctx, all, secret, "key", c, k->key, aead->key_len));
    return expand(ctx, all, secret, "base_nonce", c, k->nonce, NONCE_LEN);
}

static struct rc check_lengths(struct ctx *ctx, struct bytes info, struct bytes aad, size_t plain)
{
    if (info.n > HPKE_INFO_MAX || aad.n > HPKE_INFO_MAX || plain > HPKE_PLAIN_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "what is sealed has at most %d bytes, and its info and associated data at most %d",
                        HPKE_PLAIN_MAX, HPKE_INFO_MAX);
    return RC_OK;
}

/* --- seal and open (section 6.1) */

struct rc hpke_seal_with(struct ctx *ctx, struct hpke_suite suite, const struct hpke_key *ephemeral, struct bytes public,
                         struct bytes info, struct bytes aad, const struct secret *plain, struct bytes *out)
{
    SECRET_CLEANUP struct secret dh = {0}, derived = {0};
    HPKE_KEY_CLEANUP struct hpke_key *made = NULL;
    EVP_PKEY *peer ALG_CLEANUP(EVP_PKEY) = NULL;
    const struct kem *kem;
    const struct aead *aead;
    struct bytes text = secret_use(plain);
    struct buf b;
    int n = 0;
    TRY(find_kem(ctx, suite.kem, &kem));
    TRY(find_aead(ctx, suite.aead, &aead));
    TRY(check_lengths(ctx, info, aad, text.n));
    TRY(public_key(ctx, kem, public, &peer));
    if (!ephemeral) {
        TRY(hpke_key_new(ctx, suite.kem, &made));
        ephemeral = made;
    }
    if (ephemeral->kem != suite.kem)
        return ctx_fail(ctx, E_BUG, "the sender's HPKE key is of another kind than the suite");
    TRY(shared(ctx, ephemeral->pkey, peer, &dh));
    TRY(schedule(ctx, suite, aead, secret_use(&dh), hpke_key_public(ephemeral), public, info, &derived));
    const struct keys *k = (const struct keys *)secret_use(&derived).p;
    buf_init_arena(&b, &ctx->arena, HPKE_PUBLIC_MAX + HPKE_PLAIN_MAX + HPKE_TAG_LEN);
    buf_put(&b, hpke_key_public(ephemeral));
    uint8_t *p = buf_reserve(&b, text.n + HPKE_TAG_LEN), last[HPKE_TAG_LEN];
    TRY(buf_status(&b));
    EVP_CIPHER *cipher ALG_CLEANUP(EVP_CIPHER) = EVP_CIPHER_fetch(NULL, aead->name, NULL);
    EVP_CIPHER_CTX *c ALG_CLEANUP(EVP_CIPHER_CTX) = EVP_CIPHER_CTX_new();
    if (!cipher || !c || EVP_EncryptInit_ex2(c, cipher, k->key, k->nonce, NULL) != 1 ||
        (aad.n && EVP_EncryptUpdate(c, NULL, &n, aad.p, (int)aad.n) != 1) ||
        (text.n && EVP_EncryptUpdate(c, p, &n, text.p, (int)text.n) != 1) || EVP_EncryptFinal_ex(c, last, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, HPKE_TAG_LEN, p + text.n) != 1)
        return alg_fail(ctx, E_CRYPTO, "sealing to a public key failed");
    buf_commit(&b, text.n + HPKE_TAG_LEN);
    *out = buf_bytes(&b);
    return RC_OK;
}

struct rc hpke_open_with(struct ctx *ctx, struct hpke_suite suite, const struct hpke_key *key, struct bytes info, struct bytes aad,
                         struct bytes sealed, struct secret *out)
{
    SECRET_CLEANUP struct secret dh = {0}, derived = {0}, plain = {0};
    EVP_PKEY *peer ALG_CLEANUP(EVP_PKEY) = NULL;
    const struct kem *kem;
    const struct aead *aead;
    struct bytes enc, text;
    uint8_t tag[HPKE_TAG_LEN], last[HPKE_TAG_LEN];
    int n = 0;
    *out = (struct secret){0};
    TRY(find_kem(ctx, suite.kem, &kem));
    TRY(find_aead(ctx, suite.aead, &aead));
    if (key->kem != suite.kem)
        return ctx_fail(ctx, E_CRYPTO, "the HPKE key is of another kind than the suite");
    if (sealed.n < kem->public_len + HPKE_TAG_LEN || !bytes_take(&sealed, kem->public_len, &enc) ||
        !bytes_take(&sealed, sealed.n - HPKE_TAG_LEN, &text))
        return ctx_fail(ctx, E_PARSE, "%zu bytes are too few for a sealed message", sealed.n);
    TRY(check_lengths(ctx, info, aad, text.n));
    memcpy(tag, sealed.p, HPKE_TAG_LEN);
    TRY(public_key(ctx, kem, enc, &peer));
    TRY(shared(ctx, key->pkey, peer, &dh));
    TRY(schedule(ctx, suite, aead, secret_use(&dh), enc, hpke_key_public(key), info, &derived));
    const struct keys *k = (const struct keys *)secret_use(&derived).p;
    TRY(secret_new(ctx, &plain, text.n));
    EVP_CIPHER *cipher ALG_CLEANUP(EVP_CIPHER) = EVP_CIPHER_fetch(NULL, aead->name, NULL);
    EVP_CIPHER_CTX *c ALG_CLEANUP(EVP_CIPHER_CTX) = EVP_CIPHER_CTX_new();
    if (!cipher || !c || EVP_DecryptInit_ex2(c, cipher, k->key, k->nonce, NULL) != 1)
        return alg_fail(ctx, E_CRYPTO, "opening a sealed message failed");
    if ((aad.n && EVP_DecryptUpdate(c, NULL, &n, aad.p, (int)aad.n) != 1) ||
        (text.n && EVP_DecryptUpdate(c, secret_fill(&plain), &n, text.p, (int)text.n) != 1) ||
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, HPKE_TAG_LEN, tag) != 1 || EVP_DecryptFinal_ex(c, last, &n) != 1) {
        ERR_clear_error();
        return ctx_fail(ctx, E_CRYPTO, "a sealed message does not open: sealed to another key, for another purpose, or damaged");
    }
    *out = plain;
    plain = (struct secret){0};
    return RC_OK;
}

struct rc hpke_seal(struct ctx *ctx, struct bytes public, struct bytes info, struct bytes aad, const struct secret *plain,
                    struct bytes *out)
{
    return hpke_seal_with(ctx, HPKE_OURS, NULL, public, info, aad, plain, out);
}

struct rc hpke_open(struct ctx *ctx, const struct hpke_key *key, struct bytes info, struct bytes aad, struct bytes sealed,
                    struct secret *out)
{
    return hpke_open_with(ctx, HPKE_OURS, key, info, aad, sealed, out);
}
