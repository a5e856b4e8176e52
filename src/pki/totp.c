#include "pki/totp.h"

#include "pki/sha1.h"

RC totp_code(struct ctx *ctx, const struct secret *key, int64_t step, int digits, uint32_t *out)
{
    uint8_t counter[8], mac[SHA1_LEN];
    uint32_t modulus = 1;
    for (int i = 0; i < 8; i++)
        counter[i] = (uint8_t)((uint64_t)step >> (56 - 8 * i));
    TRY(sha1_hmac(ctx, secret_use(key), bytes_of(counter, sizeof counter), mac));
    const uint8_t *p = mac + (mac[SHA1_LEN - 1] & 0x0f);
    for (int i = 0; i < digits && i < 9; i++)
        modulus *= 10;
    *out = ((uint32_t)(p[0] & 0x7f) << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]) % modulus;
    wipe(mac, sizeof mac);
    return RC_OK;
}

RC totp_check(struct ctx *ctx, const struct secret *key, struct bytes code, int64_t now_s, int64_t last, int64_t *step)
{
    const int64_t at = now_s / TOTP_STEP_S;
    *step = 0;
    uint32_t given = 0, want = 0;
    bool digits = code.n == TOTP_DIGITS;
    for (size_t i = 0; i < code.n && digits; i++) {
        digits = code.p[i] >= '0' && code.p[i] <= '9';
        given = given * 10 + (uint32_t)(code.p[i] - '0');
    }
    if (!digits)
        return RC_OK;
    for (int64_t s = at - TOTP_DRIFT; s <= at + TOTP_DRIFT; s++) {
        TRY(totp_code(ctx, key, s, TOTP_DIGITS, &want));
        if (want == given && s > last && *step == 0)
            *step = s;
    }
    return RC_OK;
}

RC totp_text_new(struct ctx *ctx, const struct secret *key, struct secret *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    const struct bytes in = secret_use(key);
    uint32_t held = 0;
    unsigned bits = 0;
    size_t n = 0;
    TRY(secret_new(ctx, out, (in.n * 8 + 4) / 5));
    uint8_t *text = secret_fill(out);
    for (size_t i = 0; i < in.n; i++) {
        held = (held << 8 | in.p[i]) & 0xfff;
        for (bits += 8; bits >= 5; bits -= 5)
            text[n++] = (uint8_t)alphabet[held >> (bits - 5) & 0x1f];
    }
    if (bits)
        text[n++] = (uint8_t)alphabet[held << (5 - bits) & 0x1f];
    return RC_OK;
}
