#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

void random_fill(void *p, size_t n)
{
    for (uint8_t *at = p; n;) {
        const ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        at += got;
        n -= (size_t)got;
    }
}

uint64_t random_u64(void)
{
    uint64_t v;
    random_fill(&v, sizeof v);
    return v;
}

uint64_t random_below(uint64_t bound)
{
    /* Values of the last, incomplete round are drawn again. */
    const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    uint64_t v;
    do
        v = random_u64();
    while (v >= limit);
    return v % bound;
}

static const char crockford[] = "0123456789abcdefghjkmnpqrstvwxyz";

char *id_new(struct arena *a, int64_t unix_ms)
{
    uint8_t raw[10];
    random_fill(raw, sizeof raw);
    char *id = arena_alloc(a, ID_LEN + 1);
    uint64_t t = (uint64_t)unix_ms;
    for (int i = 9; i >= 0; i--, t >>= 5)
        id[i] = crockford[t & 31];
    for (int i = 0; i < 16; i++) {
        const int bit = i * 5, byte = bit / 8, shift = bit % 8;
        const unsigned two = (unsigned)raw[byte] << 8 | (byte + 1 < 10 ? raw[byte + 1] : 0);
        id[10 + i] = crockford[two >> (11 - shift) & 31];
    }
    return id;
}

bool id_valid(struct bytes b)
{
    if (b.n != ID_LEN)
        return false;
    for (size_t i = 0; i < b.n; i++)
        if (!memchr(crockford, b.p[i], 32))
            return false;
    return true;
}
