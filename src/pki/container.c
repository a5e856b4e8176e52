#include "pki/container.h"

#include "base/str.h"
#include "pki/digest.h"

static bool has_control(struct bytes b)
{
    for (size_t i = 0; i < b.n; i++)
        if (b.p[i] < 0x20 || b.p[i] == 0x7f)
            return true;
    return false;
}

RC container_check(struct ctx *ctx, const struct container *c)
{
    struct bytes password = secret_use(c->password), alias = bytes_z(c->alias);
    if (c->chain->n == 0 || c->chain->n > CONTAINER_CERTS_MAX)
        return ctx_fail(ctx, E_INVALID, "a key store holds 1 to %d certificates, not %zu", CONTAINER_CERTS_MAX, c->chain->n);
    if (!key_is_private(c->key) || !bytes_equal(key_spki(c->key), c->chain->v[0].spki.der))
        return ctx_fail(ctx, E_INVALID, "the private key is not that of the first certificate");
    if (password.n == 0 || password.n > CONTAINER_PASSWORD_MAX || has_control(password) || !str_is_utf8(password))
        return ctx_fail(ctx, E_INVALID, "the password of a key store must be 1 to %d bytes of UTF-8 without control characters",
                        CONTAINER_PASSWORD_MAX);
    for (size_t i = 0; i < alias.n; i++)
        if (alias.p[i] < 0x20 || alias.p[i] > 0x7e)
            return ctx_fail(ctx, E_INVALID, "the name of an entry must be printable ASCII");
    if (alias.n == 0 || alias.n > 64)
        return ctx_fail(ctx, E_INVALID, "the name of an entry must have 1 to 64 characters");
    return RC_OK;
}

/* One character of text that is known to be UTF-8. */
static uint32_t take_char(struct bytes *in)
{
    uint8_t c = 0, next = 0;
    bytes_take_u8(in, &c);
    int more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    uint32_t v = more == 0 ? c : c & (0x3fU >> more);
    while (more-- > 0 && bytes_take_u8(in, &next))
        v = v << 6 | (next & 0x3f);
    return v;
}

RC container_utf16(struct ctx *ctx, const struct secret *password, bool nul, struct secret *out)
{
    BUF_CLEANUP struct buf b = {0};
    struct bytes in = secret_use(password);
    if (!str_is_utf8(in))
        return ctx_fail(ctx, E_INVALID, "the password is not UTF-8");
    buf_init_secret(&b, 2 * in.n + 2);
    while (in.n > 0) {
        uint32_t v = take_char(&in);
        if (v > 0xffff) {
            buf_put_u16(&b, (uint16_t)(0xd800 + ((v - 0x10000) >> 10)));
            buf_put_u16(&b, (uint16_t)(0xdc00 + ((v - 0x10000) & 0x3ff)));
        } else {
            buf_put_u16(&b, (uint16_t)v);
        }
    }
    if (nul)
        buf_put_u16(&b, 0);
    TRY(buf_status(&b));
    return secret_from(ctx, out, buf_bytes(&b));
}

RC container_salt(struct ctx *ctx, struct bytes pkcs8, const char *label, struct bytes plain, const struct secret *password,
                  uint8_t *out, size_t n)
{
    uint8_t info[2 * SHA256_LEN + 64];
    struct buf b;
    TRY(digest_sha256(ctx, plain, info));
    TRY(digest_hmac_sha256(ctx, pkcs8, secret_use(password), info + SHA256_LEN)); /* a password has little to guess: not its hash */
    buf_init_arena(&b, &ctx->arena, sizeof info);
    buf_put_mem(&b, info, (size_t)2 * SHA256_LEN);
    buf_put_z(&b, label);
    TRY(buf_status(&b));
    return digest_hkdf_sha256(ctx, pkcs8, BYTES_LIT("certwright container"), buf_bytes(&b), out, n);
}
