#include "base/encode.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void put_groups(struct buf *b, struct bytes d, const char *letters, bool pad)
{
    uint8_t *out = buf_reserve(b, (d.n + 2) / 3 * 4);
    size_t o = 0;
    if (!out)
        return;
    for (size_t i = 0; i < d.n; i += 3) {
        const size_t left = d.n - i;
        const uint32_t v = (uint32_t)d.p[i] << 16 | (left > 1 ? (uint32_t)d.p[i + 1] << 8 : 0) | (left > 2 ? d.p[i + 2] : 0);
        out[o++] = (uint8_t)letters[v >> 18];
        out[o++] = (uint8_t)letters[v >> 12 & 63];
        if (left > 1)
            out[o++] = (uint8_t)letters[v >> 6 & 63];
        else if (pad)
            out[o++] = '=';
        if (left > 2)
            out[o++] = (uint8_t)letters[v & 63];
        else if (pad)
            out[o++] = '=';
    }
    buf_commit(b, o);
}

void put_base64(struct buf *b, struct bytes data)
{
    put_groups(b, data, alphabet, true);
}

void put_base64url(struct buf *b, struct bytes data)
{
    put_groups(b, data, alphabet_url, false);
}

void put_base64_lines(struct buf *b, struct bytes data)
{
    while (data.n) {
        struct bytes line;
        if (!bytes_take(&data, data.n < 48 ? data.n : 48, &line))
            return;
        put_groups(b, line, alphabet, true);
        buf_put_u8(b, '\n');
    }
}

void put_markup(struct buf *b, struct bytes text)
{
    static const char *const references[256] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\''] = "&#39;"};
    for (size_t i = 0; i < text.n; i++)
        if (references[text.p[i]])
            buf_put_z(b, references[text.p[i]]);
        else
            buf_put_u8(b, text.p[i]);
}

void put_hex(struct buf *b, struct bytes data)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *out = buf_reserve(b, data.n * 2);
    if (!out)
        return;
    for (size_t i = 0; i < data.n; i++) {
        out[2 * i] = (uint8_t)digits[data.p[i] >> 4];
        out[2 * i + 1] = (uint8_t)digits[data.p[i] & 15];
    }
    buf_commit(b, data.n * 2);
}

static int value_of(uint8_t c, bool url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    if (c == (url ? '_' : '/'))
        return 63;
    return -1;
}

static bool get_groups(struct arena *a, struct bytes text, bool url, bool spaces, struct bytes *out)
{
    uint8_t *to = arena_alloc(a, text.n / 4 * 3 + 3);
    size_t n = 0, letters = 0, pads = 0;
    uint32_t v = 0;
    for (size_t i = 0; i < text.n; i++) {
        const uint8_t c = text.p[i];
        if (spaces && (c == ' ' || c == '\n' || c == '\r' || c == '\t'))
            continue;
        if (c == '=' && !url) {
            pads++;
            continue;
        }
        const int x = value_of(c, url);
        if (x < 0 || pads)
            return false;
        v = v << 6 | (uint32_t)x;
        if (++letters % 4 == 0) {
            to[n++] = (uint8_t)(v >> 16);
            to[n++] = (uint8_t)(v >> 8);
            to[n++] = (uint8_t)v;
            v = 0;
        }
    }
    const size_t rest = letters % 4;
    if (rest == 1 || (!url && pads != (4 - rest) % 4))
        return false;
    if (rest == 2) {
        if (v & 15)
            return false;
        to[n++] = (uint8_t)(v >> 4);
    } else if (rest == 3) {
        if (v & 3)
            return false;
        to[n++] = (uint8_t)(v >> 10);
        to[n++] = (uint8_t)(v >> 2);
    }
    *out = bytes_of(to, n);
    return true;
}

bool get_base64(struct arena *a, struct bytes text, struct bytes *out)
{
    return get_groups(a, text, false, false, out);
}

bool get_base64_pem(struct arena *a, struct bytes text, struct bytes *out)
{
    return get_groups(a, text, false, true, out);
}

bool get_base64url(struct arena *a, struct bytes text, struct bytes *out)
{
    return get_groups(a, text, true, false, out);
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool get_hex(struct arena *a, struct bytes text, struct bytes *out)
{
    if (text.n % 2)
        return false;
    uint8_t *to = arena_alloc(a, text.n / 2 + 1);
    for (size_t i = 0; i < text.n; i += 2) {
        const int high = hex_value(text.p[i]), low = hex_value(text.p[i + 1]);
        if (high < 0 || low < 0)
            return false;
        to[i / 2] = (uint8_t)(high << 4 | low);
    }
    *out = bytes_of(to, text.n / 2);
    return true;
}

static char *encoded(struct arena *a, struct bytes data, void (*put)(struct buf *, struct bytes))
{
    struct buf b;
    buf_init_arena(&b, a, data.n * 2 + 8);
    put(&b, data);
    return b.p ? (char *)b.p : arena_str(a, (struct bytes){0});
}

char *hex_str(struct arena *a, struct bytes data)
{
    return encoded(a, data, put_hex);
}

char *base64_str(struct arena *a, struct bytes data)
{
    return encoded(a, data, put_base64);
}

char *base64url_str(struct arena *a, struct bytes data)
{
    return encoded(a, data, put_base64url);
}
