#include "base/bytes.h"

#include <string.h>

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

struct bytes bytes_z(const char *s)
{
    return s ? (struct bytes){(const uint8_t *)s, strlen(s)} : (struct bytes){0};
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n));
}

bool bytes_equal_z(struct bytes a, const char *s)
{
    return bytes_equal(a, bytes_z(s));
}

bool bytes_equal_nocase(struct bytes a, struct bytes b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

int bytes_compare(struct bytes a, struct bytes b)
{
    const size_t n = a.n < b.n ? a.n : b.n;
    const int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

bool bytes_starts_with(struct bytes a, struct bytes prefix)
{
    return a.n >= prefix.n && bytes_equal(bytes_of(a.p, prefix.n), prefix);
}

bool bytes_ends_with(struct bytes a, struct bytes suffix)
{
    return a.n >= suffix.n && (!suffix.n || bytes_equal(bytes_of(a.p + a.n - suffix.n, suffix.n), suffix));
}

size_t bytes_find(struct bytes a, struct bytes needle)
{
    if (!needle.n)
        return 0;
    if (!a.n)
        return SIZE_MAX;
    const uint8_t *at = memmem(a.p, a.n, needle.p, needle.n);
    return at ? (size_t)(at - a.p) : SIZE_MAX;
}

bool bytes_equal_secret(struct bytes a, struct bytes b)
{
    if (a.n != b.n)
        return false;
    volatile uint8_t diff = 0;
    for (size_t i = 0; i < a.n; i++)
        diff = (uint8_t)(diff | (a.p[i] ^ b.p[i]));
    return diff == 0;
}

bool bytes_skip(struct bytes *b, size_t n)
{
    if (b->n < n)
        return false;
    if (n) {
        b->p += n;
        b->n -= n;
    }
    return true;
}

bool bytes_take(struct bytes *b, size_t n, struct bytes *out)
{
    if (b->n < n)
        return false;
    *out = bytes_of(b->p, n);
    return bytes_skip(b, n);
}

static bool take_number(struct bytes *b, size_t n, uint64_t *out)
{
    if (b->n < n)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | b->p[i];
    *out = v;
    return bytes_skip(b, n);
}

bool bytes_take_u8(struct bytes *b, uint8_t *out)
{
    uint64_t v;
    if (!take_number(b, 1, &v))
        return false;
    *out = (uint8_t)v;
    return true;
}

bool bytes_take_u16(struct bytes *b, uint16_t *out)
{
    uint64_t v;
    if (!take_number(b, 2, &v))
        return false;
    *out = (uint16_t)v;
    return true;
}

bool bytes_take_u24(struct bytes *b, uint32_t *out)
{
    uint64_t v;
    if (!take_number(b, 3, &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

bool bytes_take_u32(struct bytes *b, uint32_t *out)
{
    uint64_t v;
    if (!take_number(b, 4, &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

bool bytes_take_u64(struct bytes *b, uint64_t *out)
{
    return take_number(b, 8, out);
}

bool bytes_take_line(struct bytes *b, struct bytes *out)
{
    const uint8_t *end = b->n ? memchr(b->p, '\n', b->n) : NULL;
    if (!end)
        return false;
    const size_t n = (size_t)(end - b->p);
    *out = bytes_of(b->p, n && b->p[n - 1] == '\r' ? n - 1 : n);
    return bytes_skip(b, n + 1);
}

bool bytes_take_until(struct bytes *b, uint8_t sep, struct bytes *out)
{
    if (!b->n || b->n > PTRDIFF_MAX) /* nothing is larger; the compiler does not know */
        return false;
    const uint8_t *end = memchr(b->p, sep, b->n);
    const size_t n = end ? (size_t)(end - b->p) : b->n;
    *out = bytes_of(b->p, n);
    return bytes_skip(b, end ? n + 1 : n);
}

struct bytes bytes_trim(struct bytes b)
{
    while (b.n && (b.p[0] == ' ' || b.p[0] == '\t'))
        b = bytes_of(b.p + 1, b.n - 1);
    while (b.n && (b.p[b.n - 1] == ' ' || b.p[b.n - 1] == '\t'))
        b.n--;
    return b;
}
