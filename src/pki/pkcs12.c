#include "pki/pkcs12.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "pki/alg.h"
#include "pki/der.h"
#include "pki/oid.h"

ALG_DEFINE_CLEANUP(EVP_KDF, EVP_KDF_free);
ALG_DEFINE_CLEANUP(EVP_CIPHER, EVP_CIPHER_free);

#define SALT_LEN 16
#define SALT_MAX 1024
#define BLOCK_MAX 16
#define CIPHER_KEY_MAX 32
#define DIGEST_MAX 64
/* The file stands on the host that holds the password too, so that these make a copied file alone expensive to guess at. */
#define MODERN_ITERATIONS 100000
#define LEGACY_ITERATIONS 10000 /* old readers have ceilings and slow machines */

/* The purposes of what is derived (RFC 7292 appendix B.3). */
enum { FOR_KEY = 1, FOR_IV = 2, FOR_MAC = 3 };

struct cipher_row {
    const char *name;
    struct bytes oid;
    size_t key_len, block;
};
static const struct cipher_row ciphers[] = {
    {"AES-256-CBC", {(const uint8_t *)"\x60\x86\x48\x01\x65\x03\x04\x01\x2a", 9}, 32, 16},
    {"AES-192-CBC", {(const uint8_t *)"\x60\x86\x48\x01\x65\x03\x04\x01\x16", 9}, 24, 16},
    {"AES-128-CBC", {(const uint8_t *)"\x60\x86\x48\x01\x65\x03\x04\x01\x02", 9}, 16, 16},
    {"DES-EDE3-CBC", {(const uint8_t *)"\x2a\x86\x48\x86\xf7\x0d\x03\x07", 8}, 24, 8},
};
#define CIPHER_AES_256 (&ciphers[0])
#define CIPHER_3DES (&ciphers[3])

struct digest_row {
    const char *name;
    struct bytes oid, hmac_oid;
    size_t len;
};
static const struct digest_row digests[] = {
    {"SHA256", {(const uint8_t *)"\x60\x86\x48\x01\x65\x03\x04\x02\x01", 9},
     {(const uint8_t *)"\x2a\x86\x48\x86\xf7\x0d\x02\x09", 8}, 32},
    {"SHA1", {(const uint8_t *)"\x2b\x0e\x03\x02\x1a", 5}, {(const uint8_t *)"\x2a\x86\x48\x86\xf7\x0d\x02\x07", 8}, 20},
    {"SHA384", {(const uint8_t *)"\x60\x86\x48\x01\x65\x03\x04\x02\x02", 9},
     {(const uint8_t *)"\x2a\x86\x48\x86\xf7\x0d\x02\x0a", 8}, 48},
    {"SHA512", {(const uint8_t *)"\x60\x86\x48\x01\x65\x03\x04\x02\x03", 9},
     {(const uint8_t *)"\x2a\x86\x48\x86\xf7\x0d\x02\x0b", 8}, 64},
};
#define DIGEST_SHA256 (&digests[0])
#define DIGEST_SHA1 (&digests[1])
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* How something is encrypted: all that its AlgorithmIdentifier says. */
struct pbe {
    bool modern; /* PBES2 */
    const struct cipher_row *cipher;
    const struct digest_row *prf;
    struct bytes salt, iv; /* iv: of PBES2 alone, else it is derived */
    int64_t iterations;
};

static RC malformed(struct ctx *ctx, const char *what)
{
    return ctx_fail(ctx, E_PARSE, "the PKCS #12 file is malformed: %s", what);
}

/* --- deriving and encrypting */

/* RFC 7292 appendix B.2; the password is UTF-16 with its NUL. */
static RC derive_old(struct ctx *ctx, const struct secret *password, struct bytes salt, int64_t iterations, int purpose,
                     const struct digest_row *digest, uint8_t *out, size_t n)
{
    SECRET_CLEANUP struct secret wide = {0};
    EVP_KDF *kdf ALG_CLEANUP(EVP_KDF) = EVP_KDF_fetch(NULL, "PKCS12KDF", NULL);
    EVP_KDF_CTX *c ALG_CLEANUP(EVP_KDF_CTX) = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    char name[16];
    int rounds = (int)iterations;
    TRY(container_utf16(ctx, password, true, &wide));
    snprintf(name, sizeof name, "%s", digest->name);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)secret_use(&wide).p, wide.n),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt.p, salt.n),
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_ITER, &rounds),
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_PKCS12_ID, &purpose),
        OSSL_PARAM_construct_end(),
    };
    if (c == NULL || EVP_KDF_derive(c, out, n, params) != 1)
        return alg_fail(ctx, E_CRYPTO, "the key derivation of PKCS #12 failed");
    return RC_OK;
}

/* RFC 8018 section 5.2. */
static RC derive_new(struct ctx *ctx, const struct secret *password, const struct pbe *pbe, uint8_t *out, size_t n)
{
    EVP_KDF *kdf ALG_CLEANUP(EVP_KDF) = EVP_KDF_fetch(NULL, "PBKDF2", NULL);
    EVP_KDF_CTX *c ALG_CLEANUP(EVP_KDF_CTX) = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    char name[16];
    int rounds = (int)pbe->iterations;
    snprintf(name, sizeof name, "%s", pbe->prf->name);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)secret_use(password).p, password->n),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)pbe->salt.p, pbe->salt.n),
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_ITER, &rounds),
        OSSL_PARAM_construct_end(),
    };
    if (c == NULL || EVP_KDF_derive(c, out, n, params) != 1)
        return alg_fail(ctx, E_CRYPTO, "PBKDF2 failed");
    return RC_OK;
}

static RC derive(struct ctx *ctx, const struct secret *password, const struct pbe *pbe, uint8_t key[CIPHER_KEY_MAX],
                 uint8_t iv[BLOCK_MAX])
{
    if (pbe->modern) {
        memcpy(iv, pbe->iv.p, pbe->cipher->block);
        return derive_new(ctx, password, pbe, key, pbe->cipher->key_len);
    }
    TRY(derive_old(ctx, password, pbe->salt, pbe->iterations, FOR_KEY, pbe->prf, key, pbe->cipher->key_len));
    return derive_old(ctx, password, pbe->salt, pbe->iterations, FOR_IV, pbe->prf, iv, pbe->cipher->block);
}

/* Encrypts (or decrypts) all of `in`; `out` is one block longer.  E_PARSE where padding is wrong. */
static RC cipher(struct ctx *ctx, const struct secret *password, const struct pbe *pbe, bool encrypt, struct bytes in,
                 struct secret *out, size_t *n)
{
    uint8_t key[CIPHER_KEY_MAX], iv[BLOCK_MAX];
    EVP_CIPHER *how ALG_CLEANUP(EVP_CIPHER) = EVP_CIPHER_fetch(NULL, pbe->cipher->name, NULL);
    EVP_CIPHER_CTX *c ALG_CLEANUP(EVP_CIPHER_CTX) = EVP_CIPHER_CTX_new();
    int done = 0, rest = 0;
    if (how == NULL || c == NULL)
        return alg_fail(ctx, E_CRYPTO, "OpenSSL does not offer the cipher of this PKCS #12 file");
    TRY(secret_new(ctx, out, in.n + BLOCK_MAX));
    TRY(derive(ctx, password, pbe, key, iv));
    bool ready = EVP_CipherInit_ex2(c, how, key, iv, encrypt, NULL) == 1;
    wipe(key, sizeof key);
    if (!ready || EVP_CipherUpdate(c, secret_fill(out), &done, in.p, (int)in.n) != 1 ||
        EVP_CipherFinal_ex(c, secret_fill(out) + done, &rest) != 1)
        return alg_fail(ctx, encrypt ? E_CRYPTO : E_PARSE, "the PKCS #12 file cannot be decrypted");
    *n = (size_t)(done + rest);
    return RC_OK;
}

static RC mac_of(struct ctx *ctx, const struct secret *password, const struct digest_row *digest, struct bytes salt,
                 int64_t iterations, struct bytes data, uint8_t out[DIGEST_MAX])
{
    uint8_t key[DIGEST_MAX];
    char name[16];
    size_t n = 0;
    EVP_MAC_CTX *c ALG_CLEANUP(EVP_MAC_CTX) = EVP_MAC_CTX_new(alg_get()->hmac);
    snprintf(name, sizeof name, "%s", digest->name);
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_construct_end()};
    TRY(derive_old(ctx, password, salt, iterations, FOR_MAC, digest, key, digest->len));
    bool ok = c != NULL && EVP_MAC_init(c, key, digest->len, params) == 1 && EVP_MAC_update(c, data.p, data.n) == 1 &&
              EVP_MAC_final(c, out, &n, DIGEST_MAX) == 1 && n == digest->len;
    wipe(key, sizeof key);
    return ok ? RC_OK : alg_fail(ctx, E_CRYPTO, "the MAC of PKCS #12 failed");
}

/* --- writing */

static void put_algorithm(struct buf *b, struct bytes oid, bool null)
{
    size_t m = der_begin(b, DER_SEQUENCE);
    der_put_oid(b, oid);
    if (null)
        der_put_null(b);
    der_end(b, m);
}

static void put_pbe(struct buf *b, const struct pbe *pbe)
{
    size_t outer = der_begin(b, DER_SEQUENCE);
    der_put_oid(b, pbe->modern ? OID_PBES2 : OID_PBE_SHA1_3DES);
    size_t params = der_begin(b, DER_SEQUENCE);
    if (pbe->modern) {
        size_t kdf = der_begin(b, DER_SEQUENCE);
        der_put_oid(b, OID_PBKDF2);
        size_t inner = der_begin(b, DER_SEQUENCE);
        der_put_octets(b, pbe->salt);
        der_put_int(b, pbe->iterations);
        der_put_int(b, (int64_t)pbe->cipher->key_len);
        put_algorithm(b, pbe->prf->hmac_oid, true);
        der_end(b, inner);
        der_end(b, kdf);
        size_t scheme = der_begin(b, DER_SEQUENCE);
        der_put_oid(b, pbe->cipher->oid);
        der_put_octets(b, pbe->iv);
        der_end(b, scheme);
    } else {
        der_put_octets(b, pbe->salt);
        der_put_int(b, pbe->iterations);
    }
    der_end(b, params);
    der_end(b, outer);
}

/* All that building needs. */
struct building {
    const struct container *what;
    enum pkcs12_kind kind;
    struct bytes pkcs8;
};

/* AlgorithmIdentifier, then `plain` encrypted under `tag`. */
static RC put_encrypted(struct ctx *ctx, const struct building *d, const char *label, struct bytes plain, uint8_t tag,
                        struct buf *b)
{
    SECRET_CLEANUP struct secret text = {0};
    uint8_t salt[SALT_LEN + BLOCK_MAX];
    size_t n = 0;
    bool modern = d->kind == PKCS12_MODERN;
    TRY(container_salt(ctx, d->pkcs8, label, plain, d->what->password, salt, sizeof salt));
    const struct pbe pbe = {
        .modern = modern,
        .cipher = modern ? CIPHER_AES_256 : CIPHER_3DES,
        .prf = modern ? DIGEST_SHA256 : DIGEST_SHA1,
        .salt = bytes_of(salt, modern ? SALT_LEN : 8),
        .iv = bytes_of(salt + SALT_LEN, BLOCK_MAX),
        .iterations = modern ? MODERN_ITERATIONS : LEGACY_ITERATIONS,
    };
    TRY(cipher(ctx, d->what->password, &pbe, true, plain, &text, &n));
    put_pbe(b, &pbe);
    der_put(b, tag, bytes_of(secret_use(&text).p, n));
    return buf_status(b);
}

/* friendlyName and localKeyID of the key and of its certificate, in the order of a SET OF: by their encoding. */
static RC put_attributes(struct ctx *ctx, const struct container *what, struct buf *b)
{
    struct buf name, id, wide;
    buf_init_arena(&name, &ctx->arena, 512);
    buf_init_arena(&id, &ctx->arena, 512);
    buf_init_arena(&wide, &ctx->arena, 256);
    for (const char *p = what->alias; *p != '\0'; p++)
        buf_put_u16(&wide, (uint16_t)(unsigned char)*p);
    size_t m = der_begin(&name, DER_SEQUENCE);
    der_put_oid(&name, OID_FRIENDLY_NAME);
    size_t set = der_begin(&name, DER_SET);
    der_put(&name, DER_BMP_STRING, buf_bytes(&wide));
    der_end(&name, set);
    der_end(&name, m);
    m = der_begin(&id, DER_SEQUENCE);
    der_put_oid(&id, OID_LOCAL_KEY_ID);
    set = der_begin(&id, DER_SET);
    der_put_octets(&id, bytes_of(what->chain->v[0].fingerprint, 20));
    der_end(&id, set);
    der_end(&id, m);
    bool name_first = bytes_compare(buf_bytes(&name), buf_bytes(&id)) < 0;
    size_t all = der_begin(b, DER_SET);
    buf_put(b, buf_bytes(name_first ? &name : &id));
    buf_put(b, buf_bytes(name_first ? &id : &name));
    der_end(b, all);
    TRY(buf_status(&name));
    return buf_status(&id);
}

static RC put_cert_bags(struct ctx *ctx, const struct container *what, struct buf *b)
{
    size_t all = der_begin(b, DER_SEQUENCE);
    for (size_t i = 0; i < what->chain->n; i++) {
        size_t bag = der_begin(b, DER_SEQUENCE);
        der_put_oid(b, OID_BAG_CERT);
        size_t value = der_begin(b, DER_CONTEXT_CONS(0)), cert = der_begin(b, DER_SEQUENCE);
        der_put_oid(b, OID_X509_CERTIFICATE);
        size_t inner = der_begin(b, DER_CONTEXT_CONS(0));
        der_put_octets(b, what->chain->v[i].der);
        der_end(b, inner);
        der_end(b, cert);
        der_end(b, value);
        if (i == 0)
            TRY(put_attributes(ctx, what, b));
        der_end(b, bag);
    }
    der_end(b, all);
    return buf_status(b);
}

static RC put_key_bag(struct ctx *ctx, const struct building *d, struct buf *b)
{
    size_t all = der_begin(b, DER_SEQUENCE), bag = der_begin(b, DER_SEQUENCE);
    der_put_oid(b, OID_BAG_SHROUDED_KEY);
    size_t value = der_begin(b, DER_CONTEXT_CONS(0)), info = der_begin(b, DER_SEQUENCE);
    TRY(put_encrypted(ctx, d, "pkcs12 key", d->pkcs8, DER_OCTET_STRING, b));
    der_end(b, info);
    der_end(b, value);
    TRY(put_attributes(ctx, d->what, b));
    der_end(b, bag);
    der_end(b, all);
    return buf_status(b);
}

/* ContentInfo with what is encrypted (RFC 5652 section 8). */
static RC put_certs(struct ctx *ctx, const struct building *d, struct buf *b)
{
    struct buf bags;
    buf_init_arena(&bags, &ctx->arena, CONTAINER_MAX);
    TRY(put_cert_bags(ctx, d->what, &bags));
    size_t info = der_begin(b, DER_SEQUENCE);
    der_put_oid(b, OID_ENCRYPTED_DATA);
    size_t wrap = der_begin(b, DER_CONTEXT_CONS(0)), data = der_begin(b, DER_SEQUENCE);
    der_put_int(b, 0);
    size_t content = der_begin(b, DER_SEQUENCE);
    der_put_oid(b, OID_DATA);
    TRY(put_encrypted(ctx, d, "pkcs12 certificates", buf_bytes(&bags), DER_CONTEXT(0), b));
    der_end(b, content);
    der_end(b, data);
    der_end(b, wrap);
    der_end(b, info);
    return buf_status(b);
}

static void put_data(struct buf *b, struct bytes content)
{
    size_t info = der_begin(b, DER_SEQUENCE);
    der_put_oid(b, OID_DATA);
    size_t wrap = der_begin(b, DER_CONTEXT_CONS(0));
    der_put_octets(b, content);
    der_end(b, wrap);
    der_end(b, info);
}

static RC put_mac(struct ctx *ctx, const struct building *d, struct bytes safe, struct buf *b)
{
    const struct digest_row *digest = d->kind == PKCS12_MODERN ? DIGEST_SHA256 : DIGEST_SHA1;
    int64_t iterations = d->kind == PKCS12_MODERN ? MODERN_ITERATIONS : LEGACY_ITERATIONS;
    uint8_t salt[SALT_LEN], mac[DIGEST_MAX];
    TRY(container_salt(ctx, d->pkcs8, "pkcs12 mac", safe, d->what->password, salt, sizeof salt));
    const struct bytes s = bytes_of(salt, d->kind == PKCS12_MODERN ? SALT_LEN : 8);
    TRY(mac_of(ctx, d->what->password, digest, s, iterations, safe, mac));
    size_t data = der_begin(b, DER_SEQUENCE), info = der_begin(b, DER_SEQUENCE);
    put_algorithm(b, digest->oid, true);
    der_put_octets(b, bytes_of(mac, digest->len));
    der_end(b, info);
    der_put_octets(b, s);
    der_put_int(b, iterations);
    der_end(b, data);
    return buf_status(b);
}

RC pkcs12_build(struct ctx *ctx, enum pkcs12_kind kind, const struct container *what, struct buf *out)
{
    SECRET_CLEANUP struct secret pkcs8 = {0};
    struct buf bags, safe;
    TRY(container_check(ctx, what));
    TRY(key_to_pkcs8(ctx, what->key, &pkcs8));
    const struct building d = {what, kind, secret_use(&pkcs8)};
    buf_init_arena(&bags, &ctx->arena, CONTAINER_MAX);
    buf_init_arena(&safe, &ctx->arena, CONTAINER_MAX);
    TRY(put_key_bag(ctx, &d, &bags));
    size_t m = der_begin(&safe, DER_SEQUENCE);
    TRY(put_certs(ctx, &d, &safe));
    put_data(&safe, buf_bytes(&bags));
    der_end(&safe, m);
    TRY(buf_status(&safe));
    m = der_begin(out, DER_SEQUENCE);
    der_put_int(out, 3);
    put_data(out, buf_bytes(&safe));
    TRY(put_mac(ctx, &d, buf_bytes(&safe), out));
    der_end(out, m);
    return buf_status(out);
}

/* --- reading */

static const struct digest_row *digest_by(struct bytes oid, bool hmac)
{
    for (size_t i = 0; i < COUNT(digests); i++)
        if (bytes_equal(oid, hmac ? digests[i].hmac_oid : digests[i].oid))
            return &digests[i];
    return NULL;
}

static RC too_many(struct ctx *ctx, int64_t iterations)
{
    return ctx_fail(ctx, E_UNSUPPORTED, "the PKCS #12 file wants %lld rounds of its hash, more than %d", (long long)iterations,
                    PKCS12_ITERATIONS_MAX);
}

static RC read_pbkdf2(struct ctx *ctx, struct bytes kdf, struct pbe *out)
{
    struct bytes oid, params, prf;
    int64_t length;
    bool present = false;
    if (!der_take_oid(&kdf, &oid) || !der_take_tag(&kdf, DER_SEQUENCE, &params) || kdf.n != 0)
        return malformed(ctx, "PBES2");
    if (!bytes_equal(oid, OID_PBKDF2))
        return ctx_fail(ctx, E_UNSUPPORTED, "the PKCS #12 file is encrypted otherwise than with PBKDF2");
    if (!der_take_tag(&params, DER_OCTET_STRING, &out->salt) || !der_take_int(&params, &out->iterations) ||
        (der_peek(params) == DER_INTEGER && !der_take_int(&params, &length)) ||
        !der_take_optional(&params, DER_SEQUENCE, &prf, &present) || params.n != 0 || (present && !der_take_oid(&prf, &oid)))
        return malformed(ctx, "PBKDF2");
    out->prf = present ? digest_by(oid, true) : DIGEST_SHA1; /* its default (RFC 8018 appendix A.2) */
    return out->prf != NULL ? RC_OK : ctx_fail(ctx, E_UNSUPPORTED, "the PKCS #12 file uses a hash that is not known here");
}

static RC read_pbes2(struct ctx *ctx, struct bytes params, struct pbe *out)
{
    struct bytes kdf, scheme, oid;
    if (!der_take_tag(&params, DER_SEQUENCE, &kdf) || !der_take_tag(&params, DER_SEQUENCE, &scheme) || params.n != 0)
        return malformed(ctx, "PBES2");
    out->modern = true;
    TRY(read_pbkdf2(ctx, kdf, out));
    if (!der_take_oid(&scheme, &oid))
        return malformed(ctx, "PBES2");
    for (size_t i = 0; i < COUNT(ciphers); i++)
        if (bytes_equal(oid, ciphers[i].oid))
            out->cipher = &ciphers[i];
    if (out->cipher == NULL)
        return ctx_fail(ctx, E_UNSUPPORTED, "the PKCS #12 file uses a cipher other than AES-CBC or 3DES");
    if (!der_take_tag(&scheme, DER_OCTET_STRING, &out->iv) || scheme.n != 0 || out->iv.n != out->cipher->block)
        return malformed(ctx, "initialization vector");
    return RC_OK;
}

static RC read_pbe(struct ctx *ctx, struct bytes algorithm, struct pbe *out)
{
    struct bytes oid, params;
    *out = (struct pbe){0};
    if (!der_take_oid(&algorithm, &oid) || !der_take_tag(&algorithm, DER_SEQUENCE, &params) || algorithm.n != 0)
        return malformed(ctx, "algorithm");
    if (bytes_equal(oid, OID_PBES2)) {
        TRY(read_pbes2(ctx, params, out));
    } else if (bytes_equal(oid, OID_PBE_SHA1_3DES)) {
        out->cipher = CIPHER_3DES;
        out->prf = DIGEST_SHA1;
        if (!der_take_tag(&params, DER_OCTET_STRING, &out->salt) || !der_take_int(&params, &out->iterations) || params.n != 0)
            return malformed(ctx, "algorithm");
    } else {
        return ctx_fail(ctx, E_UNSUPPORTED, "the PKCS #12 file is encrypted with neither PBES2 nor 3DES");
    }
    if (out->iterations < 1 || out->iterations > PKCS12_ITERATIONS_MAX)
        return too_many(ctx, out->iterations);
    return out->salt.n > 0 && out->salt.n <= SALT_MAX ? RC_OK : malformed(ctx, "salt");
}

static RC check_mac(struct ctx *ctx, struct bytes data, const struct secret *password, struct bytes safe)
{
    struct bytes info, algorithm, oid, mac, salt;
    int64_t iterations = 1;
    uint8_t ours[DIGEST_MAX];
    if (!der_take_tag(&data, DER_SEQUENCE, &info) || !der_take_tag(&info, DER_SEQUENCE, &algorithm) ||
        !der_take_oid(&algorithm, &oid) || !der_take_tag(&info, DER_OCTET_STRING, &mac) || info.n != 0 ||
        !der_take_tag(&data, DER_OCTET_STRING, &salt) || (data.n != 0 && !der_take_int(&data, &iterations)) || data.n != 0 ||
        salt.n == 0 || salt.n > SALT_MAX)
        return malformed(ctx, "MAC");
    const struct digest_row *digest = digest_by(oid, false);
    if (digest == NULL || mac.n != digest->len)
        return ctx_fail(ctx, E_UNSUPPORTED, "the PKCS #12 file uses a MAC that is not known here");
    if (iterations < 1 || iterations > PKCS12_ITERATIONS_MAX)
        return too_many(ctx, iterations);
    TRY(mac_of(ctx, password, digest, salt, iterations, safe, ours));
    if (!bytes_equal_secret(mac, bytes_of(ours, digest->len)))
        return ctx_fail(ctx, E_FORBIDDEN, "the PKCS #12 file has another password, or is damaged");
    return RC_OK;
}

/* What is collected while bags are read. */
struct reading {
    const struct secret *password;
    struct bytes ders[CONTAINER_CERTS_MAX], ids[CONTAINER_CERTS_MAX];
    size_t n;
    struct bytes key_id;
    bool has_key;
    struct secret *key; /* PKCS #8; NULL: not wanted */
};

static bool read_key_id(struct bytes attributes, struct bytes *out)
{
    struct bytes attribute, oid, values;
    while (attributes.n > 0) {
        if (!der_take_tag(&attributes, DER_SEQUENCE, &attribute) || !der_take_oid(&attribute, &oid) ||
            !der_take_tag(&attribute, DER_SET, &values))
            return false;
        if (bytes_equal(oid, OID_LOCAL_KEY_ID) && !der_take_tag(&values, DER_OCTET_STRING, out))
            return false;
    }
    return true;
}

static RC read_cert_bag(struct ctx *ctx, struct bytes value, struct bytes id, struct reading *r)
{
    struct bytes bag, oid, wrap, der;
    if (!der_only(value, DER_SEQUENCE, &bag) || !der_take_oid(&bag, &oid) || !der_take_tag(&bag, DER_CONTEXT_CONS(0), &wrap))
        return malformed(ctx, "certificate bag");
    if (!bytes_equal(oid, OID_X509_CERTIFICATE))
        return RC_OK; /* SDSI: nobody has any */
    if (!der_only(wrap, DER_OCTET_STRING, &der))
        return malformed(ctx, "certificate bag");
    if (r->n == CONTAINER_CERTS_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "the PKCS #12 file holds more than %d certificates", CONTAINER_CERTS_MAX);
    r->ids[r->n] = arena_bytes(&ctx->arena, id);
    r->ders[r->n++] = arena_bytes(&ctx->arena, der); /* what it stands in is wiped */
    return RC_OK;
}

static RC read_key_bag(struct ctx *ctx, struct bytes value, bool shrouded, struct bytes id, struct reading *r)
{
    SECRET_CLEANUP struct secret plain = {0};
    struct bytes info, algorithm, text;
    struct pbe pbe;
    size_t n = 0;
    if (r->has_key)
        return RC_OK; /* the first is the one */
    r->has_key = true;
    r->key_id = arena_bytes(&ctx->arena, id);
    if (r->key == NULL)
        return RC_OK;
    if (!shrouded)
        return secret_from(ctx, r->key, value);
    if (!der_only(value, DER_SEQUENCE, &info) || !der_take_tag(&info, DER_SEQUENCE, &algorithm) ||
        !der_take_tag(&info, DER_OCTET_STRING, &text) || info.n != 0)
        return malformed(ctx, "key bag");
    TRY(read_pbe(ctx, algorithm, &pbe));
    TRY(cipher(ctx, r->password, &pbe, false, text, &plain, &n));
    return secret_from(ctx, r->key, bytes_of(secret_use(&plain).p, n));
}

static RC read_bags(struct ctx *ctx, struct bytes contents, struct reading *r)
{
    struct bytes all, bag, oid, value, attributes = {0};
    bool present;
    if (!der_only(contents, DER_SEQUENCE, &all))
        return malformed(ctx, "bags");
    while (all.n > 0) {
        struct bytes id = {0};
        if (!der_take_tag(&all, DER_SEQUENCE, &bag) || !der_take_oid(&bag, &oid) ||
            !der_take_tag(&bag, DER_CONTEXT_CONS(0), &value) || !der_take_optional(&bag, DER_SET, &attributes, &present) ||
            bag.n != 0 || (present && !read_key_id(attributes, &id)))
            return malformed(ctx, "bag");
        if (bytes_equal(oid, OID_BAG_CERT))
            TRY(read_cert_bag(ctx, value, id, r));
        else if (bytes_equal(oid, OID_BAG_SHROUDED_KEY) || bytes_equal(oid, OID_BAG_KEY))
            TRY(read_key_bag(ctx, value, bytes_equal(oid, OID_BAG_SHROUDED_KEY), id, r));
    }
    return RC_OK;
}

static RC read_encrypted(struct ctx *ctx, struct bytes wrap, struct reading *r)
{
    SECRET_CLEANUP struct secret plain = {0};
    struct bytes data, content, oid, algorithm, text;
    struct pbe pbe;
    int64_t version;
    size_t n = 0;
    if (!der_only(wrap, DER_SEQUENCE, &data) || !der_take_int(&data, &version) || !der_take_tag(&data, DER_SEQUENCE, &content) ||
        !der_take_oid(&content, &oid) || !bytes_equal(oid, OID_DATA) || !der_take_tag(&content, DER_SEQUENCE, &algorithm) ||
        !der_take_tag(&content, DER_CONTEXT(0), &text) || content.n != 0)
        return malformed(ctx, "encrypted content");
    TRY(read_pbe(ctx, algorithm, &pbe));
    TRY(cipher(ctx, r->password, &pbe, false, text, &plain, &n));
    return read_bags(ctx, bytes_of(secret_use(&plain).p, n), r);
}

static RC read_safe(struct ctx *ctx, struct bytes safe, struct reading *r)
{
    struct bytes infos, info, oid, wrap, contents;
    if (!der_only(safe, DER_SEQUENCE, &infos))
        return malformed(ctx, "contents");
    while (infos.n > 0) {
        if (!der_take_tag(&infos, DER_SEQUENCE, &info) || !der_take_oid(&info, &oid) ||
            !der_take_tag(&info, DER_CONTEXT_CONS(0), &wrap) || info.n != 0)
            return malformed(ctx, "contents");
        if (bytes_equal(oid, OID_ENCRYPTED_DATA)) {
            TRY(read_encrypted(ctx, wrap, r));
        } else if (bytes_equal(oid, OID_DATA)) {
            if (!der_only(wrap, DER_OCTET_STRING, &contents))
                return malformed(ctx, "contents");
            TRY(read_bags(ctx, contents, r));
        } else {
            return ctx_fail(ctx, E_UNSUPPORTED, "the PKCS #12 file is encrypted to a certificate, not under a password");
        }
    }
    return RC_OK;
}

static RC finish(struct ctx *ctx, const struct reading *r, struct pkcs12 *out)
{
    out->leaf = 0;
    if (r->n == 0)
        return ctx_fail(ctx, E_NOT_FOUND, "the PKCS #12 file holds no certificate");
    for (size_t i = r->n; i-- > 0;)
        if (r->key_id.n > 0 && bytes_equal(r->ids[i], r->key_id))
            out->leaf = i;
    return cert_chain_parse_der(ctx, r->ders, r->n, &out->certs);
}

RC pkcs12_read(struct ctx *ctx, struct bytes file, const struct secret *password, struct pkcs12 *out, struct key **key)
{
    SECRET_CLEANUP struct secret pkcs8 = {0};
    struct reading *r = ARENA_NEW(&ctx->arena, struct reading);
    struct bytes pfx, info, oid, wrap, safe, mac;
    int64_t version;
    *out = (struct pkcs12){0};
    if (file.n > CONTAINER_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "the PKCS #12 file is larger than %zu bytes", CONTAINER_MAX);
    if (!der_only(file, DER_SEQUENCE, &pfx) || !der_take_int(&pfx, &version) || version != 3 ||
        !der_take_tag(&pfx, DER_SEQUENCE, &info) || !der_take_oid(&info, &oid) || !der_take_tag(&info, DER_CONTEXT_CONS(0), &wrap))
        return malformed(ctx, "it is not a PFX of version 3 in DER");
    if (!bytes_equal(oid, OID_DATA))
        return ctx_fail(ctx, E_UNSUPPORTED, "the PKCS #12 file is signed, not under a password");
    if (!der_only(wrap, DER_OCTET_STRING, &safe) || !der_take_tag(&pfx, DER_SEQUENCE, &mac) || pfx.n != 0)
        return malformed(ctx, "contents or MAC are not there");
    TRY(check_mac(ctx, mac, password, safe));
    r->password = password;
    r->key = key != NULL ? &pkcs8 : NULL;
    TRY(read_safe(ctx, safe, r));
    TRY(finish(ctx, r, out));
    if (key == NULL)
        return RC_OK;
    return r->has_key ? key_from_pkcs8(ctx, &pkcs8, key) : ctx_fail(ctx, E_NOT_FOUND, "the PKCS #12 file holds no private key");
}
