#include "base/buf.h"

#include "base/arena.h"
#include "base/secret.h"

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_init_arena(struct buf *b, struct arena *arena, size_t max)
{
    *b = (struct buf){.max = max, .arena = arena};
}

void buf_init_secret(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max, .wipe = true};
}

static void memory_drop(struct buf *b)
{
    if (b->p && b->wipe)
        wipe(b->p, b->cap);
    if (!b->arena)
        free(b->p);
}

void buf_free(struct buf *b)
{
    memory_drop(b);
    b->p = NULL;
    b->n = b->cap = 0;
}

void buf_reset(struct buf *b)
{
    if (b->p && b->wipe)
        wipe(b->p, b->cap);
    if (b->p)
        b->p[0] = 0;
    b->n = 0;
    b->failed = E_OK;
}

RC buf_status(const struct buf *b)
{
    return rc_of(b->failed);
}

struct bytes buf_bytes(const struct buf *b)
{
    return bytes_of(b->p, b->n);
}

const char *buf_z(const struct buf *b)
{
    return b->p ? (const char *)b->p : "";
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
    if (b->failed)
        return NULL;
    if (n > b->max || b->n > b->max - n) {
        b->failed = E_TOO_LARGE;
        return NULL;
    }
    const size_t need = b->n + n + 1;
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 128;
        if (cap < need)
            cap = need;
        if (cap - 1 > b->max)
            cap = b->max + 1;
        /* Not realloc: what moves must be wiped, and arenas do not give back. */
        uint8_t *p = b->arena ? arena_alloc(b->arena, cap) : malloc(cap);
        if (!p) {
            b->failed = E_NO_MEMORY;
            return NULL;
        }
        if (b->n)
            memcpy(p, b->p, b->n);
        memory_drop(b);
        b->p = p;
        b->cap = cap;
        b->p[b->n] = 0;
    }
    return b->p + b->n;
}

void buf_commit(struct buf *b, size_t n)
{
    if (b->failed)
        return;
    if (n >= b->cap - b->n) { /* more than was reserved: nothing sensible can go on */
        b->failed = E_BUG;
        return;
    }
    b->n += n;
    b->p[b->n] = 0;
}

void buf_put_mem(struct buf *b, const void *p, size_t n)
{
    uint8_t *to = buf_reserve(b, n);
    if (!to)
        return;
    if (n)
        memcpy(to, p, n);
    buf_commit(b, n);
}

void buf_put(struct buf *b, struct bytes data)
{
    buf_put_mem(b, data.p, data.n);
}

void buf_put_z(struct buf *b, const char *s)
{
    buf_put(b, bytes_z(s));
}

static void put_number(struct buf *b, uint64_t v, size_t n)
{
    uint8_t raw[8];
    for (size_t i = 0; i < n; i++)
        raw[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    buf_put_mem(b, raw, n);
}

void buf_put_u8(struct buf *b, uint8_t v)
{
    put_number(b, v, 1);
}

void buf_put_u16(struct buf *b, uint16_t v)
{
    put_number(b, v, 2);
}

void buf_put_u32(struct buf *b, uint32_t v)
{
    put_number(b, v, 4);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    put_number(b, v, 8);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    char small[512];
    va_list again;
    va_copy(again, ap);
    const int n = vsnprintf(small, sizeof small, fmt, ap);
    if (n >= 0 && (size_t)n < sizeof small) {
        buf_put_mem(b, small, (size_t)n);
    } else if (n > 0) {
        uint8_t *to = buf_reserve(b, (size_t)n);
        if (to) {
            vsnprintf((char *)to, (size_t)n + 1, fmt, again);
            buf_commit(b, (size_t)n);
        }
    }
    va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_drop_front(struct buf *b, size_t n)
{
    if (n >= b->n) {
        b->n = 0;
    } else if (n) {
        memmove(b->p, b->p + n, b->n - n);
        b->n -= n;
    }
    if (b->p)
        b->p[b->n] = 0;
}
