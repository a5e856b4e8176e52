#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

/* The first block fits most requests; later ones double up to a megabyte. */
#define BLOCK_FIRST ((size_t)4096)
#define BLOCK_MOST ((size_t)1 << 20)

struct arena_block {
    struct arena_block *next;
    size_t size, used;
    alignas(max_align_t) uint8_t data[];
};

static void die(const char *why)
{
    static const char head[] = "certwright: arena: ";
    if (write(STDERR_FILENO, head, sizeof head - 1) < 0 || write(STDERR_FILENO, why, strlen(why)) < 0)
        abort();
    abort();
}

static void block_free(const struct arena *a, struct arena_block *b)
{
    if (a->wipe)
        explicit_bzero(b->data, b->used);
    free(b);
}

void arena_free(struct arena *a)
{
    for (struct arena_block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        block_free(a, b);
    }
    a->blocks = NULL;
    a->used = 0;
}

void arena_reset(struct arena *a)
{
    if (!a->blocks)
        return;
    while (a->blocks->next) {
        struct arena_block *b = a->blocks;
        a->blocks = b->next;
        block_free(a, b);
    }
    if (a->wipe)
        explicit_bzero(a->blocks->data, a->blocks->used);
    a->blocks->used = 0;
    a->used = 0;
}

static struct arena_block *block_add(struct arena *a, size_t need)
{
    size_t size = a->blocks ? a->blocks->size * 2 : BLOCK_FIRST - sizeof(struct arena_block);
    if (size > BLOCK_MOST)
        size = BLOCK_MOST;
    if (size < need)
        size = need;
    struct arena_block *b = malloc(sizeof *b + size);
    if (!b)
        die("out of memory\n");
    *b = (struct arena_block){.next = a->blocks, .size = size};
    a->blocks = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
    const size_t align = alignof(max_align_t), most = a->max ? a->max : ARENA_MAX_DEFAULT;
    if (n > most || most - n < align || a->used > most - align - n)
        die("over its ceiling\n");
    n = n ? (n + align - 1) & ~(align - 1) : align;
    struct arena_block *b = a->blocks;
    if (!b || b->size - b->used < n)
        b = block_add(a, n);
    void *p = b->data + b->used;
    b->used += n;
    a->used += n;
    memset(p, 0, n);
    return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n))
        die("array too large\n");
    return arena_alloc(a, n);
}

void *arena_dup(struct arena *a, const void *p, size_t n)
{
    void *copy = arena_alloc(a, n);
    if (n)
        memcpy(copy, p, n);
    return copy;
}

char *arena_str(struct arena *a, struct bytes b)
{
    char *s = arena_alloc(a, b.n + 1);
    if (b.n)
        memcpy(s, b.p, b.n);
    return s;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return s ? arena_str(a, bytes_z(s)) : NULL;
}

struct bytes arena_bytes(struct arena *a, struct bytes b)
{
    return bytes_of(arena_str(a, b), b.n);
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    char small[256];
    va_list again;
    va_copy(again, ap);
    const int n = vsnprintf(small, sizeof small, fmt, ap);
    char *s;
    if (n >= 0 && (size_t)n < sizeof small) {
        s = arena_str(a, bytes_of(small, (size_t)n));
    } else {
        const size_t need = n < 0 ? 1 : (size_t)n + 1;
        s = arena_alloc(a, need);
        vsnprintf(s, need, fmt, again);
    }
    va_end(again);
    return s;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}
