#include "signer/record.h"

void record_put_text(struct buf *b, const char *s)
{
    record_put_blob(b, bytes_z(s));
}

void record_put_blob(struct buf *b, struct bytes data)
{
    buf_put_u32(b, (uint32_t)data.n);
    buf_put(b, data);
}

void record_put_list(struct buf *b, const struct str_list *l)
{
    buf_put_u32(b, (uint32_t)l->n);
    for (size_t i = 0; i < l->n; i++)
        record_put_text(b, l->v[i]);
}

bool record_take_text(struct arena *a, struct bytes *in, const char **out)
{
    uint32_t n = 0;
    struct bytes text;
    if (!bytes_take_u32(in, &n) || !bytes_take(in, n, &text))
        return false;
    *out = str_z(a, text);
    return *out != NULL;
}

bool record_take_blob(struct arena *a, struct bytes *in, struct bytes *out)
{
    uint32_t n = 0;
    struct bytes data;
    if (!bytes_take_u32(in, &n) || !bytes_take(in, n, &data))
        return false;
    *out = bytes_of(arena_dup(a, data.n == 0 ? (const uint8_t *)"" : data.p, data.n), data.n);
    return true;
}

bool record_take_list(struct arena *a, struct bytes *in, struct str_list *out)
{
    uint32_t n = 0;
    if (!bytes_take_u32(in, &n) || n > in->n / 4)
        return false;
    *out = (struct str_list){0};
    for (uint32_t i = 0; i < n; i++) {
        const char *s = NULL;
        if (!record_take_text(a, in, &s))
            return false;
        str_list_add(a, out, s);
    }
    return true;
}

bool record_take_i64(struct bytes *in, int64_t *out)
{
    uint64_t v = 0;
    if (!bytes_take_u64(in, &v))
        return false;
    *out = (int64_t)v;
    return true;
}

bool record_take_digest(struct bytes *in, uint8_t out[32])
{
    struct bytes d;
    if (!bytes_take(in, 32, &d))
        return false;
    memcpy(out, d.p, 32);
    return true;
}
