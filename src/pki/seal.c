#include "pki/seal.h"

#include "base/buf.h"
#include "base/encode.h"
#include "base/random.h"
#include "base/str.h"
#include "pki/alg.h"
#include "pki/digest.h"
#include "pki/hpke.h"

#define NONCE_LEN 12
#define TAG_LEN 16
#define MAGIC BYTES_LIT("CWSEAL\x01")
#define RECOVERY_MAGIC BYTES_LIT("CWRECV\x01")
#define SEAL_MAX ((size_t)(1 << 20) + 512)

/* --- AES-256-GCM */

/* Appends nonce, ciphertext and tag.  The nonce is random: a data key seals once, and a key-encryption key wraps far fewer than the
 * 2^32 data keys that NIST SP 800-38D section 8.3 allows with random nonces. */
static struct rc gcm_put(struct ctx *ctx, struct bytes key, struct bytes ad, struct bytes plain, struct buf *out)
{
    uint8_t nonce[NONCE_LEN];
    int n = 0;
    random_fill(nonce, sizeof nonce);
    buf_put_mem(out, nonce, sizeof nonce);
    uint8_t *p = buf_reserve(out, plain.n + TAG_LEN);
    if (!p)
        return ctx_fail(ctx, E_TOO_LARGE, "a secret of %zu bytes is too large to be sealed", plain.n);
    EVP_CIPHER_CTX *c ALG_CLEANUP(EVP_CIPHER_CTX) = EVP_CIPHER_CTX_new();
    if (!c || EVP_EncryptInit_ex2(c, alg_get()->aes_256_gcm, key.p, nonce, NULL) != 1 ||
        EVP_EncryptUpdate(c, NULL, &n, ad.p, (int)ad.n) != 1 ||
        (plain.n && EVP_EncryptUpdate(c, p, &n, plain.p, (int)plain.n) != 1) || EVP_EncryptFinal_ex(c, p + plain.n, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, p + plain.n) != 1)
        return alg_fail(ctx, E_CRYPTO, "sealing failed");
    buf_commit(out, plain.n + TAG_LEN);
    return buf_status(out);
}

/* Opens nonce, ciphertext and tag into `out`, which holds as many bytes as the ciphertext.  False where they are not genuine. */
static bool gcm_open(struct bytes key, struct bytes ad, struct bytes box, uint8_t *out)
{
    struct bytes nonce, text;
    uint8_t tag[TAG_LEN], last[16];
    int n = 0;
    if (box.n < NONCE_LEN + TAG_LEN || !bytes_take(&box, NONCE_LEN, &nonce) || !bytes_take(&box, box.n - TAG_LEN, &text))
        return false;
    memcpy(tag, box.p, TAG_LEN);
    EVP_CIPHER_CTX *c ALG_CLEANUP(EVP_CIPHER_CTX) = EVP_CIPHER_CTX_new();
    return c && EVP_DecryptInit_ex2(c, alg_get()->aes_256_gcm, key.p, nonce.p, NULL) == 1 &&
           EVP_DecryptUpdate(c, NULL, &n, ad.p, (int)ad.n) == 1 &&
           (!text.n || EVP_DecryptUpdate(c, out, &n, text.p, (int)text.n) == 1) &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1 && EVP_DecryptFinal_ex(c, last, &n) == 1;
}

/* --- keys */

struct rc seal_key_new(struct ctx *ctx, struct secret *kek)
{
    TRY(secret_new(ctx, kek, SEAL_KEK_LEN));
    random_fill(secret_fill(kek), SEAL_KEK_LEN);
    return RC_OK;
}

static struct rc check_kek(struct ctx *ctx, const struct secret *kek)
{
    return kek->n == SEAL_KEK_LEN ? RC_OK
                                  : ctx_fail(ctx, E_INVALID, "a key-encryption key has %d bytes, not %zu", SEAL_KEK_LEN, kek->n);
}

struct rc seal_key_id(struct ctx *ctx, const struct secret *kek, const char **out)
{
    uint8_t mac[SHA256_LEN];
    TRY(check_kek(ctx, kek));
    TRY(digest_hmac_sha256(ctx, secret_use(kek), BYTES_LIT("certwright key id"), mac));
    *out = hex_str(&ctx->arena, bytes_of(mac, 8));
    return RC_OK;
}

/* --- sealing */

static void put_counted(struct buf *b, const char *text)
{
    struct bytes v = bytes_z(text);
    buf_put_u32(b, (uint32_t)v.n);
    buf_put(b, v);
}

/* Each part with its length in front, so that no two different sets of parts give the same bytes. */
static struct rc associated_data(struct ctx *ctx, const struct seal_ad *ad, const char *purpose, struct bytes *out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 4096);
    buf_put(&b, MAGIC);
    put_counted(&b, purpose);
    put_counted(&b, ad->class_);
    put_counted(&b, ad->object);
    buf_put_u64(&b, (uint64_t)ad->version);
    put_counted(&b, ad->key_id);
    TRY(buf_status(&b));
    *out = buf_bytes(&b);
    return RC_OK;
}

static struct rc check_ad(struct ctx *ctx, const struct seal_ad *ad)
{
    size_t n = bytes_z(ad->key_id).n;
    if (!ad->class_ || !*ad->class_ || !ad->object || !*ad->object || !n || n > SEAL_KEY_ID_MAX)
        return ctx_fail(ctx, E_BUG, "a secret is sealed for a class, an object and a key id");
    return RC_OK;
}

struct rc seal(struct ctx *ctx, const struct secret *kek, const struct seal_ad *ad, const struct secret *plain, struct bytes *out)
{
    struct bytes key_ad, data_ad, id = bytes_z(ad->key_id);
    SECRET_CLEANUP struct secret data_key = {0};
    struct buf b;
    TRY(check_kek(ctx, kek));
    TRY(check_ad(ctx, ad));
    TRY(associated_data(ctx, ad, "key", &key_ad));
    TRY(associated_data(ctx, ad, "data", &data_ad));
    TRY(seal_key_new(ctx, &data_key));
    buf_init_arena(&b, &ctx->arena, SEAL_MAX);
    buf_put(&b, MAGIC);
    buf_put_u8(&b, (uint8_t)id.n);
    buf_put(&b, id);
    TRY(gcm_put(ctx, secret_use(kek), key_ad, secret_use(&data_key), &b));
    TRY(gcm_put(ctx, secret_use(&data_key), data_ad, secret_use(plain), &b));
    *out = buf_bytes(&b);
    return RC_OK;
}

static bool split(struct bytes sealed, struct bytes *id, struct bytes *wrapped, struct bytes *box)
{
    uint8_t n;
    if (!bytes_starts_with(sealed, MAGIC) || !bytes_skip(&sealed, MAGIC.n) || !bytes_take_u8(&sealed, &n) || n > SEAL_KEY_ID_MAX ||
        !bytes_take(&sealed, n, id) || !bytes_take(&sealed, NONCE_LEN + SEAL_KEK_LEN + TAG_LEN, wrapped) ||
        sealed.n < NONCE_LEN + TAG_LEN)
        return false;
    *box = sealed;
    return true;
}

struct rc seal_sealed_by(struct ctx *ctx, struct bytes sealed, const char **key_id)
{
    struct bytes id, wrapped, box;
    if (!split(sealed, &id, &wrapped, &box) || !str_is_name(id))
        return ctx_fail(ctx, E_PARSE, "these bytes are not a sealed secret");
    *key_id = arena_str(&ctx->arena, id);
    return RC_OK;
}

struct rc unseal(struct ctx *ctx, const struct secret *kek, const struct seal_ad *ad, struct bytes sealed, struct secret *out)
{
    struct bytes id, wrapped, box, key_ad, data_ad;
    SECRET_CLEANUP struct secret data_key = {0};
    *out = (struct secret){0};
    TRY(check_kek(ctx, kek));
    TRY(check_ad(ctx, ad));
    if (!split(sealed, &id, &wrapped, &box))
        return ctx_fail(ctx, E_PARSE, "the secret of %s %s is not a sealed secret", ad->class_, ad->object);
    if (!bytes_equal_z(id, ad->key_id))
        return ctx_fail(ctx, E_CRYPTO,
                        "the secret of %s %s was sealed with key %s; this is %s: put the kek of this installation back, or make it "
                        "anew from the recovery key with: certwright init --recover",
                        ad->class_, ad->object, str_is_name(id) ? arena_str(&ctx->arena, id) : "?", ad->key_id);
    TRY(associated_data(ctx, ad, "key", &key_ad));
    TRY(associated_data(ctx, ad, "data", &data_ad));
    TRY(secret_new(ctx, &data_key, SEAL_KEK_LEN));
    if (!gcm_open(secret_use(kek), key_ad, wrapped, secret_fill(&data_key)))
        return ctx_fail(ctx, E_CRYPTO, "the secret of %s %s does not open: another key, another object, or damaged bytes",
                        ad->class_, ad->object);
    TRY(secret_new(ctx, out, box.n - NONCE_LEN - TAG_LEN));
    if (!gcm_open(secret_use(&data_key), data_ad, box, secret_fill(out))) {
        secret_free(out);
        *out = (struct secret){0};
        return ctx_fail(ctx, E_CRYPTO, "the secret of %s %s is damaged", ad->class_, ad->object);
    }
    return RC_OK;
}

/* --- the recovery key: 32 characters of key, 4 of checksum, in groups of 4 */

#define RECOVERY_RAW 20
#define RECOVERY_KEY_CHARS 32
#define RECOVERY_CHARS 36

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* The value of a typed character, -1 where it has none. */
static int character_value(uint8_t c)
{
    if (c >= 'a' && c <= 'z')
        c = (uint8_t)(c - 32);
    if (c == 'O')
        c = '0';
    if (c == 'I' || c == 'L')
        c = '1';
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

/* Writes `count` characters of 5 bits each. */
static void put_characters(const uint8_t *raw, size_t count, uint8_t *out)
{
    for (size_t i = 0; i < count; i++) {
        size_t bit = i * 5;
        unsigned two = (unsigned)raw[bit / 8] << 8 | (bit % 8 > 3 ? raw[bit / 8 + 1] : 0u);
        out[i] = (uint8_t)alphabet[two >> (11 - bit % 8) & 31];
    }
}

/* A key or a part of one: its bytes, then a checksum of four characters under a label of its own. */
#define CHECK_CHARS    4
#define PART_HEAD      5 /* version, number and count, mark */
#define PART_RAW       (PART_HEAD + RECOVERY_RAW)
#define PART_KEY_CHARS 40
#define PART_CHARS     (PART_KEY_CHARS + CHECK_CHARS)
#define PART_VERSION   1

#define KEY_LABEL  BYTES_LIT("certwright recovery key")
#define PART_LABEL BYTES_LIT("certwright part of a recovery key")

static struct rc checksum_of(struct ctx *ctx, struct bytes label, struct bytes raw, uint8_t out[CHECK_CHARS])
{
    uint8_t mac[SHA256_LEN];
    TRY(digest_hmac_sha256(ctx, label, raw, mac));
    put_characters(mac, CHECK_CHARS, out);
    wipe(mac, sizeof mac);
    return RC_OK;
}

/* "7Q2M-…": `raw` is 5 bits times `chars` long. */
static struct rc text_of(struct ctx *ctx, struct bytes label, struct bytes raw, size_t chars, struct secret *text)
{
    SECRET_CLEANUP struct secret work = {0};
    const size_t all = chars + CHECK_CHARS;
    TRY(secret_new(ctx, &work, all));
    uint8_t *plain = secret_fill(&work);
    put_characters(raw.p, chars, plain);
    TRY(checksum_of(ctx, label, raw, plain + chars));
    TRY(secret_new(ctx, text, all + all / 4 - 1));
    uint8_t *out = secret_fill(text);
    for (size_t i = 0; i < all; i++) {
        if (i && i % 4 == 0)
            *out++ = '-';
        *out++ = plain[i];
    }
    return RC_OK;
}

struct rc recovery_key_new(struct ctx *ctx, struct secret *text)
{
    SECRET_CLEANUP struct secret raw = {0};
    TRY(secret_new(ctx, &raw, RECOVERY_RAW));
    random_fill(secret_fill(&raw), RECOVERY_RAW);
    return text_of(ctx, KEY_LABEL, secret_use(&raw), RECOVERY_KEY_CHARS, text);
}

/* Characters that were typed, as values; what nobody means is left out. */
static struct rc values_of(struct ctx *ctx, const struct secret *text, uint8_t values[PART_CHARS], size_t *n)
{
    struct bytes typed = secret_use(text);
    *n = 0;
    for (size_t i = 0; i < typed.n; i++) {
        uint8_t c = typed.p[i];
        if (c == '-' || c == ' ' || c == '\n' || c == '\r' || c == '\t')
            continue;
        if (character_value(c) < 0 || *n == PART_CHARS)
            return ctx_fail(ctx, E_INVALID,
                            "the recovery key has %s; it is nine groups of four letters and digits, and a part of one is eleven",
                            *n == PART_CHARS ? "too many characters" : "a character that is none of its alphabet");
        values[(*n)++] = (uint8_t)character_value(c);
    }
    return RC_OK;
}

static struct rc raw_of(struct ctx *ctx, struct bytes label, const uint8_t *values, size_t chars, const char *what,
                        struct secret *raw)
{
    uint8_t sum[CHECK_CHARS];
    TRY(secret_new(ctx, raw, chars * 5 / 8));
    uint8_t *r = secret_fill(raw);
    for (size_t i = 0; i < chars; i++)
        for (size_t bit = 0; bit < 5; bit++)
            if (values[i] & (16u >> bit))
                r[(i * 5 + bit) / 8] |= (uint8_t)(0x80u >> ((i * 5 + bit) % 8));
    TRY(checksum_of(ctx, label, secret_use(raw), sum));
    for (size_t i = 0; i < CHECK_CHARS; i++)
        if (alphabet[values[chars + i]] != sum[i])
            return ctx_fail(ctx, E_INVALID, "the %s has a typing error: its checksum does not fit", what);
    return RC_OK;
}

/* Reads what a person typed into the raw key. */
static struct rc read_recovery(struct ctx *ctx, const struct secret *text, struct secret *raw)
{
    SECRET_CLEANUP struct secret values = {0};
    size_t n = 0;
    TRY(secret_new(ctx, &values, PART_CHARS));
    TRY(values_of(ctx, text, secret_fill(&values), &n));
    if (n != RECOVERY_CHARS)
        return ctx_fail(ctx, E_INVALID, "the recovery key has %zu characters instead of %d", n, RECOVERY_CHARS);
    return raw_of(ctx, KEY_LABEL, secret_use(&values).p, RECOVERY_KEY_CHARS, "recovery key", raw);
}

/* --- in parts */

struct rc recovery_split(struct ctx *ctx, const struct secret *text, size_t n, struct secret parts[])
{
    SECRET_CLEANUP struct secret raw = {0}, part = {0};
    uint8_t mark[3];
    if (n < 2 || n > RECOVERY_PARTS_MAX)
        return ctx_fail(ctx, E_INVALID, "a recovery key has 2 to %d parts", RECOVERY_PARTS_MAX);
    TRY(read_recovery(ctx, text, &raw));
    TRY(secret_new(ctx, &part, PART_RAW));
    random_fill(mark, sizeof mark);
    uint8_t *rest = secret_fill(&raw), *p = secret_fill(&part);
    for (size_t i = 0; i < n; i++) {
        p[0] = PART_VERSION;
        p[1] = (uint8_t)((i + 1) << 4 | n);
        memcpy(p + 2, mark, sizeof mark);
        if (i + 1 < n)
            random_fill(p + PART_HEAD, RECOVERY_RAW);
        else
            memcpy(p + PART_HEAD, rest, RECOVERY_RAW);
        for (size_t k = 0; k < RECOVERY_RAW; k++)
            rest[k] ^= p[PART_HEAD + k];
        TRY(text_of(ctx, PART_LABEL, secret_use(&part), PART_KEY_CHARS, &parts[i]));
    }
    return RC_OK;
}

const char *recovery_missing(struct ctx *ctx, const struct recovery_join *j)
{
    const char *list = "";
    unsigned missing = 0, said = 0;
    for (unsigned i = 1; i <= j->count; i++)
        missing += !(j->have >> i & 1);
    for (unsigned i = 1; i <= j->count; i++)
        if (!(j->have >> i & 1)) {
            list = arena_printf(&ctx->arena, "%s%s%u", list, !said ? "" : said + 1 == missing ? " and " : ", ", i);
            said++;
        }
    return arena_printf(&ctx->arena, "part%s %s of %u", missing == 1 ? "" : "s", list, j->count);
}

static struct rc part_take(struct ctx *ctx, struct recovery_join *j, struct bytes part)
{
    const unsigned number = part.p[1] >> 4, count = part.p[1] & 15;
    if (part.p[0] != PART_VERSION || count < 2 || count > RECOVERY_PARTS_MAX || number < 1 || number > count)
        return ctx_fail(ctx, E_UNSUPPORTED, "a part of a recovery key that another release made");
    if (j->count && (count != j->count || memcmp(part.p + 2, j->mark, sizeof j->mark)))
        return ctx_fail(ctx, E_CONFLICT, "this is part %u of another split; %s of the first one is missing", number,
                        recovery_missing(ctx, j));
    if (j->have >> number & 1)
        return ctx_fail(ctx, E_CONFLICT, "part %u was there already; %s is missing", number, recovery_missing(ctx, j));
    if (!j->count)
        TRY(secret_new(ctx, &j->raw, RECOVERY_RAW));
    uint8_t *raw = secret_fill(&j->raw);
    for (size_t i = 0; i < RECOVERY_RAW; i++)
        raw[i] ^= part.p[PART_HEAD + i];
    memcpy(j->mark, part.p + 2, sizeof j->mark);
    j->count = count;
    j->have |= 1u << number;
    return RC_OK;
}

struct rc recovery_join(struct ctx *ctx, struct recovery_join *j, const struct secret *typed, bool *whole, struct secret *text)
{
    SECRET_CLEANUP struct secret values = {0}, raw = {0};
    size_t n = 0;
    *whole = false;
    TRY(secret_new(ctx, &values, PART_CHARS));
    TRY(values_of(ctx, typed, secret_fill(&values), &n));
    if (n == RECOVERY_CHARS && !j->count) {
        TRY(raw_of(ctx, KEY_LABEL, secret_use(&values).p, RECOVERY_KEY_CHARS, "recovery key", &raw));
        *whole = true;
        return text_of(ctx, KEY_LABEL, secret_use(&raw), RECOVERY_KEY_CHARS, text);
    }
    if (n != PART_CHARS)
        return ctx_fail(ctx, E_INVALID, "that has %zu characters; a recovery key has %d, and a part of one %d", n, RECOVERY_CHARS,
                        PART_CHARS);
    TRY(raw_of(ctx, PART_LABEL, secret_use(&values).p, PART_KEY_CHARS, "part of the recovery key", &raw));
    TRY(part_take(ctx, j, secret_use(&raw)));
    if (j->have != (2u << j->count) - 2)
        return RC_OK;
    *whole = true;
    return text_of(ctx, KEY_LABEL, secret_use(&j->raw), RECOVERY_KEY_CHARS, text);
}

void recovery_join_end(struct recovery_join *j)
{
    secret_free(&j->raw);
    *j = (struct recovery_join){0};
}

/* The wrapping key comes from the recovery key and a salt of this copy (RFC 5869). */
static struct rc wrapping_key(struct ctx *ctx, const struct secret *text, struct bytes salt, struct secret *out)
{
    SECRET_CLEANUP struct secret raw = {0};
    TRY(read_recovery(ctx, text, &raw));
    TRY(secret_new(ctx, out, SEAL_KEK_LEN));
    return digest_hkdf_sha256(ctx, secret_use(&raw), salt, BYTES_LIT("certwright recovery"), secret_fill(out), SEAL_KEK_LEN);
}

#define SALT_LEN 16

struct rc recovery_wrap(struct ctx *ctx, const struct secret *kek, const struct secret *text, struct bytes *out)
{
    SECRET_CLEANUP struct secret wrapping = {0};
    uint8_t salt[SALT_LEN];
    struct buf b;
    TRY(check_kek(ctx, kek));
    random_fill(salt, sizeof salt);
    TRY(wrapping_key(ctx, text, bytes_of(salt, sizeof salt), &wrapping));
    buf_init_arena(&b, &ctx->arena, 256);
    buf_put(&b, RECOVERY_MAGIC);
    buf_put_mem(&b, salt, sizeof salt);
    TRY(gcm_put(ctx, secret_use(&wrapping), RECOVERY_MAGIC, secret_use(kek), &b));
    *out = buf_bytes(&b);
    return RC_OK;
}

struct rc recovery_unwrap(struct ctx *ctx, struct bytes wrapped, const struct secret *text, struct secret *kek)
{
    SECRET_CLEANUP struct secret wrapping = {0};
    struct bytes salt;
    *kek = (struct secret){0};
    if (!bytes_starts_with(wrapped, RECOVERY_MAGIC) || !bytes_skip(&wrapped, RECOVERY_MAGIC.n) ||
        !bytes_take(&wrapped, SALT_LEN, &salt) || wrapped.n != NONCE_LEN + SEAL_KEK_LEN + TAG_LEN)
        return ctx_fail(ctx, E_PARSE, "these bytes are not a key-encryption key wrapped for recovery");
    TRY(wrapping_key(ctx, text, salt, &wrapping));
    TRY(secret_new(ctx, kek, SEAL_KEK_LEN));
    if (!gcm_open(secret_use(&wrapping), RECOVERY_MAGIC, wrapped, secret_fill(kek))) {
        secret_free(kek);
        *kek = (struct secret){0};
        return ctx_fail(ctx, E_CRYPTO, "this recovery key is not the one that the key was wrapped with");
    }
    return RC_OK;
}

struct rc recovery_hpke(struct ctx *ctx, const struct secret *text, struct hpke_key **out)
{
    SECRET_CLEANUP struct secret raw = {0}, private = {0};
    TRY(read_recovery(ctx, text, &raw));
    TRY(secret_new(ctx, &private, HPKE_SECRET_LEN));
    TRY(digest_hkdf_sha256(ctx, secret_use(&raw), (struct bytes){0}, BYTES_LIT("certwright backup"), secret_fill(&private),
                           HPKE_SECRET_LEN));
    return hpke_key_from(ctx, HPKE_X25519, &private, out);
}
