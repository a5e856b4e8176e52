#include "pki/cbor.h"

/* The first byte and the number that follows it. */
static bool take_head(struct bytes *in, enum cbor_kind *kind, uint64_t *n)
{
    uint8_t first, u8;
    uint16_t u16;
    uint32_t u32;
    if (!bytes_take_u8(in, &first))
        return false;
    *kind = (enum cbor_kind)(first >> 5);
    switch (first & 0x1f) {
    case 24:
        if (!bytes_take_u8(in, &u8))
            return false;
        *n = u8;
        return true;
    case 25:
        if (!bytes_take_u16(in, &u16))
            return false;
        *n = u16;
        return true;
    case 26:
        if (!bytes_take_u32(in, &u32))
            return false;
        *n = u32;
        return true;
    case 27:
        return bytes_take_u64(in, n);
    case 28:
    case 29:
    case 30:
    case 31: /* reserved, and lengths that are told later */
        return false;
    default:
        *n = first & 0x1f;
        return true;
    }
}

static bool take(struct bytes *in, int depth, struct cbor *out)
{
    struct bytes rest = *in;
    struct cbor inner;
    if (depth > CBOR_DEPTH_MAX || !take_head(&rest, &out->kind, &out->n))
        return false;
    out->data = (struct bytes){0};
    if (out->kind == CBOR_BYTES || out->kind == CBOR_TEXT) {
        if (out->n > rest.n || !bytes_take(&rest, (size_t)out->n, &out->data))
            return false;
    } else if (out->kind == CBOR_ARRAY || out->kind == CBOR_MAP || out->kind == CBOR_TAG) {
        const uint8_t *start = rest.p;
        const uint64_t each = out->kind == CBOR_MAP ? 2 : 1;
        if (out->kind != CBOR_TAG && out->n > rest.n / each) /* an item has a byte at least */
            return false;
        const uint64_t items = out->kind == CBOR_TAG ? 1 : out->n * each;
        for (uint64_t i = 0; i < items; i++)
            if (!take(&rest, depth + 1, &inner))
                return false;
        out->data = bytes_of(start, (size_t)(rest.p - start));
    }
    *in = rest;
    return true;
}

bool cbor_take(struct bytes *in, struct cbor *out)
{
    return take(in, 1, out);
}

bool cbor_only(struct bytes in, struct cbor *out)
{
    return cbor_take(&in, out) && in.n == 0;
}

bool cbor_int(const struct cbor *item, int64_t *out)
{
    if ((item->kind != CBOR_UNSIGNED && item->kind != CBOR_NEGATIVE) || item->n > INT64_MAX)
        return false;
    *out = item->kind == CBOR_UNSIGNED ? (int64_t)item->n : -1 - (int64_t)item->n;
    return true;
}

static bool find(const struct cbor *map, const char *text, int64_t number, struct cbor *out)
{
    struct bytes rest = map->data;
    struct cbor key, value;
    int found = 0;
    if (map->kind != CBOR_MAP)
        return false;
    while (rest.n && cbor_take(&rest, &key) && cbor_take(&rest, &value)) {
        int64_t n;
        if (text ? key.kind != CBOR_TEXT || !bytes_equal_z(key.data, text) : !cbor_int(&key, &n) || n != number)
            continue;
        found++;
        *out = value;
    }
    return found == 1;
}

bool cbor_find_text(const struct cbor *map, const char *key, struct cbor *out)
{
    return find(map, key, 0, out);
}

bool cbor_find_int(const struct cbor *map, int64_t key, struct cbor *out)
{
    return find(map, NULL, key, out);
}
