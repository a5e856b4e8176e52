#include "pki/jks.h"

#include <openssl/evp.h>

#include "pki/alg.h"
#include "pki/der.h"
#include "pki/oid.h"

#define MAGIC 0xfeedfeedU
#define VERSION 2
#define SHA1_LEN 20
#define ENTRIES_MAX 1000
#define WHITENER BYTES_LIT("Mighty Aphrodite")
#define CERT_TYPE BYTES_LIT("X.509")

enum { ENTRY_KEY = 1, ENTRY_TRUSTED = 2 };

static RC malformed(struct ctx *ctx, const char *what)
{
    return ctx_fail(ctx, E_PARSE, "the JKS file is malformed: %s", what);
}

static RC sha1_of(struct ctx *ctx, struct bytes a, struct bytes b, struct bytes c, uint8_t out[SHA1_LEN])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md != NULL && EVP_DigestInit_ex2(md, alg_get()->sha1, NULL) == 1 && EVP_DigestUpdate(md, a.p, a.n) == 1 &&
              EVP_DigestUpdate(md, b.p, b.n) == 1 && EVP_DigestUpdate(md, c.p, c.n) == 1 && EVP_DigestFinal_ex(md, out, NULL) == 1;
    EVP_MD_CTX_free(md);
    return ok ? RC_OK : alg_fail(ctx, E_CRYPTO, "SHA-1 failed");
}

/* The stream begins with the salt: each 20 bytes are the hash of the password and the 20 before.  XOR: the same both ways. */
static RC apply_stream(struct ctx *ctx, struct bytes password, struct bytes salt, struct bytes in, uint8_t *out)
{
    uint8_t block[SHA1_LEN];
    memcpy(block, salt.p, SHA1_LEN);
    for (size_t i = 0; i < in.n; i++) {
        if (i % SHA1_LEN == 0)
            TRY(sha1_of(ctx, password, bytes_of(block, SHA1_LEN), (struct bytes){0}, block));
        out[i] = in.p[i] ^ block[i % SHA1_LEN];
    }
    wipe(block, sizeof block);
    return RC_OK;
}

/* --- writing */

static void put_utf(struct buf *b, struct bytes ascii)
{
    buf_put_u16(b, (uint16_t)ascii.n);
    buf_put(b, ascii);
}

/* EncryptedPrivateKeyInfo: salt, the key under the stream, and the hash of password and key. */
static RC put_key(struct ctx *ctx, const struct container *what, struct bytes password, struct buf *b)
{
    SECRET_CLEANUP struct secret pkcs8 = {0}, text = {0};
    struct buf info;
    TRY(key_to_pkcs8(ctx, what->key, &pkcs8));
    size_t n = pkcs8.n;
    TRY(secret_new(ctx, &text, SHA1_LEN + n + SHA1_LEN));
    uint8_t *p = secret_fill(&text);
    TRY(container_salt(ctx, secret_use(&pkcs8), "jks key", (struct bytes){0}, what->password, p, SHA1_LEN));
    TRY(apply_stream(ctx, password, bytes_of(p, SHA1_LEN), secret_use(&pkcs8), p + SHA1_LEN));
    TRY(sha1_of(ctx, password, secret_use(&pkcs8), (struct bytes){0}, p + SHA1_LEN + n));
    buf_init_arena(&info, &ctx->arena, 32768);
    size_t m = der_begin(&info, DER_SEQUENCE), algorithm = der_begin(&info, DER_SEQUENCE);
    der_put_oid(&info, OID_JKS_KEY);
    der_put_null(&info);
    der_end(&info, algorithm);
    der_put_octets(&info, secret_use(&text));
    der_end(&info, m);
    TRY(buf_status(&info));
    buf_put_u32(b, (uint32_t)info.n);
    buf_put(b, buf_bytes(&info));
    return RC_OK;
}

static struct bytes lower(struct arena *a, const char *text)
{
    char *copy = arena_strdup(a, text);
    for (char *p = copy; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + ('a' - 'A'));
    return bytes_z(copy);
}

RC jks_build(struct ctx *ctx, const struct container *what, struct buf *out)
{
    SECRET_CLEANUP struct secret wide = {0};
    uint8_t hash[SHA1_LEN];
    size_t begin = out->n;
    TRY(container_check(ctx, what));
    TRY(container_utf16(ctx, what->password, false, &wide));
    int64_t made = what->chain->v[0].not_before;
    buf_put_u32(out, MAGIC);
    buf_put_u32(out, VERSION);
    buf_put_u32(out, 1);
    buf_put_u32(out, ENTRY_KEY);
    put_utf(out, lower(&ctx->arena, what->alias));
    buf_put_u64(out, made > 0 ? (uint64_t)made * 1000 : 0);
    TRY(put_key(ctx, what, secret_use(&wide), out));
    buf_put_u32(out, (uint32_t)what->chain->n);
    for (size_t i = 0; i < what->chain->n; i++) {
        put_utf(out, CERT_TYPE);
        buf_put_u32(out, (uint32_t)what->chain->v[i].der.n);
        buf_put(out, what->chain->v[i].der);
    }
    TRY(buf_status(out));
    TRY(sha1_of(ctx, secret_use(&wide), WHITENER, bytes_of(out->p + begin, out->n - begin), hash));
    buf_put_mem(out, hash, sizeof hash);
    return buf_status(out);
}

/* --- reading */

static bool take_utf(struct bytes *in, struct bytes *out)
{
    uint16_t n;
    return bytes_take_u16(in, &n) && bytes_take(in, n, out);
}

static bool take_long(struct bytes *in, struct bytes *out)
{
    uint32_t n;
    return bytes_take_u32(in, &n) && bytes_take(in, n, out);
}

/* One certificate; `der` is empty where it is of another type than X.509. */
static bool take_cert(struct bytes *in, uint32_t version, struct bytes *der)
{
    struct bytes type = CERT_TYPE;
    if ((version == 2 && !take_utf(in, &type)) || !take_long(in, der))
        return false;
    if (!bytes_equal(type, CERT_TYPE) && !bytes_equal_z(type, "X509"))
        *der = (struct bytes){0};
    return true;
}

static RC read_key(struct ctx *ctx, struct bytes info, struct bytes password, struct key **key)
{
    SECRET_CLEANUP struct secret plain = {0};
    struct bytes body, algorithm, oid, text, salt, cover;
    uint8_t hash[SHA1_LEN];
    if (!der_only(info, DER_SEQUENCE, &body) || !der_take_tag(&body, DER_SEQUENCE, &algorithm) || !der_take_oid(&algorithm, &oid) ||
        !der_take_tag(&body, DER_OCTET_STRING, &text) || body.n != 0)
        return malformed(ctx, "key");
    if (!bytes_equal(oid, OID_JKS_KEY))
        return ctx_fail(ctx, E_UNSUPPORTED, "the key of the JKS file is protected otherwise than JKS does (is it JCEKS?)");
    if (text.n <= (size_t)2 * SHA1_LEN || !bytes_take(&text, SHA1_LEN, &salt) || !bytes_take(&text, text.n - SHA1_LEN, &cover))
        return malformed(ctx, "key");
    TRY(secret_new(ctx, &plain, cover.n));
    TRY(apply_stream(ctx, password, salt, cover, secret_fill(&plain)));
    TRY(sha1_of(ctx, password, secret_use(&plain), (struct bytes){0}, hash));
    if (!bytes_equal_secret(text, bytes_of(hash, SHA1_LEN)))
        return ctx_fail(ctx, E_FORBIDDEN, "the key in the JKS file has another password than the file");
    return key_from_pkcs8(ctx, &plain, key);
}

/* What the first key's entry holds, and all others where they are wanted. */
struct reading {
    struct bytes info, ders[CONTAINER_CERTS_MAX];
    size_t n;
    bool found;
    struct bytes *all; /* JKS_CERTS_MAX; NULL: not wanted */
    size_t all_n;
};

static RC keep(struct ctx *ctx, struct reading *r, struct bytes der)
{
    if (!r->all || !der.n)
        return RC_OK;
    if (r->all_n == JKS_CERTS_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "the JKS file has more than %d certificates", JKS_CERTS_MAX);
    r->all[r->all_n++] = der;
    return RC_OK;
}

static RC read_key_entry(struct ctx *ctx, struct bytes *in, uint32_t version, struct reading *r)
{
    struct bytes info, der;
    uint32_t n;
    if (!take_long(in, &info) || !bytes_take_u32(in, &n))
        return malformed(ctx, "key entry");
    if (n > CONTAINER_CERTS_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "a chain in the JKS file has more than %d certificates", CONTAINER_CERTS_MAX);
    bool first = !r->found;
    r->found = true;
    if (first)
        r->info = info;
    for (uint32_t i = 0; i < n; i++) {
        if (!take_cert(in, version, &der))
            return malformed(ctx, "chain");
        if (first && der.n > 0)
            r->ders[r->n++] = der;
        TRY(keep(ctx, r, der));
    }
    return RC_OK;
}

static RC read_entries(struct ctx *ctx, struct bytes in, struct reading *r)
{
    struct bytes alias, der;
    uint32_t magic, version, count, tag;
    uint64_t date;
    if (!bytes_take_u32(&in, &magic) || magic != MAGIC || !bytes_take_u32(&in, &version) || version < 1 || version > 2 ||
        !bytes_take_u32(&in, &count))
        return malformed(ctx, "it does not begin as JKS of version 1 or 2 does");
    if (count > ENTRIES_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "the JKS file has more than %d entries", ENTRIES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (!bytes_take_u32(&in, &tag) || !take_utf(&in, &alias) || !bytes_take_u64(&in, &date))
            return malformed(ctx, "entry");
        if (tag == ENTRY_KEY)
            TRY(read_key_entry(ctx, &in, version, r));
        else if (tag != ENTRY_TRUSTED || !take_cert(&in, version, &der))
            return malformed(ctx, "entry");
        else
            TRY(keep(ctx, r, der));
    }
    return in.n == 0 ? RC_OK : malformed(ctx, "something follows the last entry");
}

/* Without the digest at the end. */
static RC body_of(struct ctx *ctx, struct bytes *in, struct bytes *body)
{
    if (in->n > CONTAINER_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "the JKS file is larger than %zu bytes", CONTAINER_MAX);
    if (in->n < SHA1_LEN || !bytes_take(in, in->n - SHA1_LEN, body))
        return malformed(ctx, "it is too short");
    return RC_OK;
}

bool jks_is(struct bytes file)
{
    uint32_t magic;
    return bytes_take_u32(&file, &magic) && magic == MAGIC;
}

RC jks_certificates(struct ctx *ctx, struct bytes file, struct bytes **ders, size_t *n)
{
    struct reading *r = ARENA_NEW(&ctx->arena, struct reading);
    struct bytes body;
    *n = 0;
    *ders = r->all = arena_array(&ctx->arena, JKS_CERTS_MAX, sizeof *r->all);
    TRY(body_of(ctx, &file, &body));
    TRY(read_entries(ctx, body, r));
    *n = r->all_n;
    return *n ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "the JKS file holds no certificate");
}

RC jks_read(struct ctx *ctx, struct bytes file, const struct secret *password, struct cert_chain *out, struct key **key)
{
    SECRET_CLEANUP struct secret wide = {0};
    struct reading *r = ARENA_NEW(&ctx->arena, struct reading);
    struct bytes body, in = file;
    uint8_t hash[SHA1_LEN];
    *out = (struct cert_chain){0};
    TRY(body_of(ctx, &in, &body));
    TRY(read_entries(ctx, body, r)); /* before the digest: a file that is no JKS has no wrong password */
    TRY(container_utf16(ctx, password, false, &wide));
    TRY(sha1_of(ctx, secret_use(&wide), WHITENER, body, hash));
    if (!bytes_equal_secret(in, bytes_of(hash, SHA1_LEN)))
        return ctx_fail(ctx, E_FORBIDDEN, "the JKS file has another password, or is damaged");
    if (!r->found || r->n == 0)
        return ctx_fail(ctx, E_NOT_FOUND, "the JKS file holds no key with its certificate");
    TRY(cert_chain_parse_der(ctx, r->ders, r->n, out));
    return key != NULL ? read_key(ctx, r->info, secret_use(&wide), key) : RC_OK;
}
