#include "agent/relay/totp.h"

#include "base/secret.h"
#include "pki/sha1.h"

#define SECRET_MAX 128
#define STEP_S     30

/* The value of a base32 character, -1 where it is none. */
static int value_of(uint8_t ch)
{
    if (ch >= 'a' && ch <= 'z')
        ch = (uint8_t)(ch - 32);
    if (ch >= 'A' && ch <= 'Z')
        return ch - 'A';
    return ch >= '2' && ch <= '7' ? ch - '2' + 26 : -1;
}

static bool decode(struct bytes in, struct buf *out)
{
    uint32_t bits = 0;
    int n = 0;
    while (in.n > 0 && in.p[in.n - 1] == '=')
        in.n--;
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] == ' ' || in.p[i] == '-')
            continue;
        int v = value_of(in.p[i]);
        if (v < 0)
            return false;
        bits = (bits << 5 | (uint32_t)v) & 0xfff;
        n += 5;
        if (n >= 8) {
            n -= 8;
            buf_put_u8(out, (uint8_t)(bits >> n & 0xff));
        }
    }
    return out->n > 0;
}

RC totp_put(struct ctx *ctx, struct bytes secret, int64_t now_s, struct buf *out)
{
    struct buf key BUF_CLEANUP = {0}, counter;
    uint8_t mac[SHA1_LEN];
    buf_init_secret(&key, SECRET_MAX);
    buf_init_arena(&counter, &ctx->arena, 8);
    if (!decode(secret, &key) || rc_failed(buf_status(&key)))
        return ctx_fail(ctx, E_INVALID, "the secret of the second factor is not base32 of at most %d bytes", SECRET_MAX);
    buf_put_u64(&counter, (uint64_t)(now_s / STEP_S));
    TRY(buf_status(&counter));
    TRY(sha1_hmac(ctx, buf_bytes(&key), buf_bytes(&counter), mac));
    const uint8_t *p = mac + (mac[SHA1_LEN - 1] & 0xf); /* dynamic truncation, RFC 4226 section 5.3 */
    uint32_t code = (uint32_t)(p[0] & 0x7f) << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    buf_printf(out, "%06u", code % 1000000);
    wipe(mac, sizeof mac);
    return buf_status(out);
}
