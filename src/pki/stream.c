#include "pki/stream.h"

#include "pki/alg.h"

#define NONCE_LEN 12

/* Zeros, the chunk's number, and whether it is the last: the key is of one stream alone. */
static void nonce_of(const struct stream *s, bool last, uint8_t nonce[NONCE_LEN])
{
    memset(nonce, 0, NONCE_LEN);
    for (int i = 0; i < 4; i++)
        nonce[7 + i] = (uint8_t)(s->next >> (24 - 8 * i));
    nonce[11] = last ? 1 : 0;
}

static struct rc may_go_on(struct ctx *ctx, const struct stream *s, size_t n)
{
    if (s->ended || s->next == UINT32_MAX || s->key->n != STREAM_KEY_LEN)
        return ctx_fail(ctx, E_BUG, "a stream that has ended, or has no key");
    return n <= STREAM_CHUNK_MAX ? RC_OK : ctx_fail(ctx, E_TOO_LARGE, "a chunk of %zu bytes", n);
}

RC stream_seal(struct ctx *ctx, struct stream *s, struct bytes plain, bool last, struct buf *out)
{
    uint8_t nonce[NONCE_LEN];
    int n = 0;
    TRY(may_go_on(ctx, s, plain.n));
    nonce_of(s, last, nonce);
    uint8_t *p = buf_reserve(out, plain.n + STREAM_TAG_LEN);
    if (!p)
        return buf_status(out);
    EVP_CIPHER_CTX *c ALG_CLEANUP(EVP_CIPHER_CTX) = EVP_CIPHER_CTX_new();
    if (!c || EVP_EncryptInit_ex2(c, alg_get()->aes_256_gcm, secret_use(s->key).p, nonce, NULL) != 1 ||
        (plain.n && EVP_EncryptUpdate(c, p, &n, plain.p, (int)plain.n) != 1) || EVP_EncryptFinal_ex(c, p + plain.n, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, STREAM_TAG_LEN, p + plain.n) != 1)
        return alg_fail(ctx, E_CRYPTO, "a chunk cannot be encrypted");
    buf_commit(out, plain.n + STREAM_TAG_LEN);
    s->next++;
    s->ended = last;
    return buf_status(out);
}

RC stream_open(struct ctx *ctx, struct stream *s, struct bytes sealed, bool last, struct bytes *plain)
{
    uint8_t nonce[NONCE_LEN], tag[STREAM_TAG_LEN], end[16];
    int n = 0;
    TRY(may_go_on(ctx, s, sealed.n));
    if (sealed.n < STREAM_TAG_LEN)
        return ctx_fail(ctx, E_CRYPTO, "chunk %u is too short", s->next);
    const size_t length = sealed.n - STREAM_TAG_LEN;
    uint8_t *p = arena_alloc(&ctx->arena, length + 1);
    nonce_of(s, last, nonce);
    memcpy(tag, sealed.p + length, sizeof tag);
    EVP_CIPHER_CTX *c ALG_CLEANUP(EVP_CIPHER_CTX) = EVP_CIPHER_CTX_new();
    if (!c || EVP_DecryptInit_ex2(c, alg_get()->aes_256_gcm, secret_use(s->key).p, nonce, NULL) != 1 ||
        (length && EVP_DecryptUpdate(c, p, &n, sealed.p, (int)length) != 1) ||
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, STREAM_TAG_LEN, tag) != 1 || EVP_DecryptFinal_ex(c, end, &n) != 1)
        return ctx_fail(ctx, E_CRYPTO, "chunk %u is damaged, or not in its place", s->next);
    s->next++;
    s->ended = last;
    *plain = bytes_of(p, length);
    return RC_OK;
}

/* --- hashing */

struct hasher {
    EVP_MD_CTX *c;
};

RC hasher_new(struct ctx *ctx, struct hasher **out)
{
    struct hasher *h = calloc(1, sizeof *h);
    if (h)
        h->c = EVP_MD_CTX_new();
    if (!h || !h->c || EVP_DigestInit_ex2(h->c, alg_get()->sha256, NULL) != 1) {
        hasher_free(h);
        return alg_fail(ctx, E_NO_MEMORY, "no memory to hash with");
    }
    *out = h;
    return RC_OK;
}

RC hasher_add(struct ctx *ctx, struct hasher *h, struct bytes data)
{
    return !data.n || EVP_DigestUpdate(h->c, data.p, data.n) == 1 ? RC_OK : alg_fail(ctx, E_CRYPTO, "hashing failed");
}

RC hasher_end(struct ctx *ctx, struct hasher *h, uint8_t out[SHA256_LEN])
{
    unsigned n = 0;
    if (EVP_DigestFinal_ex(h->c, out, &n) != 1 || EVP_DigestInit_ex2(h->c, alg_get()->sha256, NULL) != 1)
        return alg_fail(ctx, E_CRYPTO, "hashing failed");
    return RC_OK;
}

void hasher_free(struct hasher *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->c);
    free(h);
}
