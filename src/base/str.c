#include "base/str.h"

bool str_equal(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

bool str_to_u64(struct bytes text, uint64_t *out)
{
    uint64_t v = 0;
    if (!text.n)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9' || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(text.p[i] - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

bool str_to_i64(struct bytes text, int64_t *out)
{
    const bool minus = text.n && text.p[0] == '-';
    uint64_t v;
    if (minus)
        text = bytes_of(text.p + 1, text.n - 1);
    if (!str_to_u64(text, &v) || v > (uint64_t)INT64_MAX + minus)
        return false;
    *out = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

char *str_z(struct arena *a, struct bytes b)
{
    return b.n && memchr(b.p, 0, b.n) ? NULL : arena_str(a, b);
}

/* How many continuation bytes follow a lead byte, and the least and most the first of them may be (RFC 3629 section 4). */
static int utf8_more(uint8_t c, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (c < 0x80)
        return 0;
    if (c >= 0xc2 && c <= 0xdf)
        return 1;
    if (c >= 0xe0 && c <= 0xef) {
        *low = c == 0xe0 ? 0xa0 : 0x80;
        *high = c == 0xed ? 0x9f : 0xbf;
        return 2;
    }
    if (c >= 0xf0 && c <= 0xf4) {
        *low = c == 0xf0 ? 0x90 : 0x80;
        *high = c == 0xf4 ? 0x8f : 0xbf;
        return 3;
    }
    return -1;
}

bool str_is_utf8(struct bytes b)
{
    for (size_t i = 0; i < b.n;) {
        uint8_t low, high;
        const int more = utf8_more(b.p[i++], &low, &high);
        if (more < 0 || b.n - i < (size_t)more)
            return false;
        for (int k = 0; k < more; k++, i++, low = 0x80, high = 0xbf)
            if (b.p[i] < low || b.p[i] > high)
                return false;
    }
    return true;
}

static bool is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool str_is_name(struct bytes b)
{
    if (!b.n || b.n > 64 || !(is_alnum(b.p[0]) || b.p[0] == '*'))
        return false;
    for (size_t i = 0; i < b.n; i++)
        if (!is_alnum(b.p[i]) && !memchr("._*-:", b.p[i], 5))
            return false;
    return true;
}

bool str_parse_span(struct bytes text, int64_t *seconds)
{
    static const struct {
        char letter;
        int64_t s;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}, {'y', 365 * 86400}};
    int64_t unit = 1, v;
    for (size_t i = 0; text.n && i < sizeof units / sizeof *units; i++)
        if (text.p[text.n - 1] == (uint8_t)units[i].letter) {
            unit = units[i].s;
            text.n--;
            break;
        }
    return str_to_i64(text, &v) && v >= 0 && !__builtin_mul_overflow(v, unit, seconds);
}

void str_list_add(struct arena *a, struct str_list *l, const char *s)
{
    if (l->n == l->cap) {
        const size_t cap = l->cap ? l->cap * 2 : 8;
        const char **v = arena_array(a, cap, sizeof *v);
        if (l->n)
            memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = s;
}

bool str_list_has(const struct str_list *l, const char *s)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_equal(l->v[i], s))
            return true;
    return false;
}
