/* A growing buffer with a ceiling given at birth, to build bytes and text.
 *
 * Errors stick: once a write failed (ceiling or memory) every later one does nothing, and buf_status() says so; a caller
 * checks once at the end.  What is built is always followed by a NUL that is not counted.  buf_free() is safe on all-zero. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>

#include "base/bytes.h"
#include "base/rc.h"

struct arena;

struct buf {
    uint8_t *p;
    size_t n;
    size_t cap;
    size_t max;
    struct arena *arena; /* owner of the memory, NULL for the heap */
    enum err failed;
    bool wipe; /* overwrite memory before it is given back */
};

/* buf_init prepares an empty buffer that never grows over `max` bytes; on the heap, freed by buf_free(). */
void buf_init(struct buf *b, size_t max);
/* buf_init_arena does the same in an arena: freed with it. */
void buf_init_arena(struct buf *b, struct arena *arena, size_t max);
/* buf_init_secret is buf_init() for secrets: memory is wiped whenever it is given back. */
void buf_init_secret(struct buf *b, size_t max);
void buf_free(struct buf *b);
void buf_reset(struct buf *b); /* empty again, memory kept, error forgotten */
#define BUF_CLEANUP __attribute__((cleanup(buf_free)))

RC buf_status(const struct buf *b);
struct bytes buf_bytes(const struct buf *b);
/* buf_z returns the content as a string; "" when nothing was written.  Valid until the next write. */
const char *buf_z(const struct buf *b);

void buf_put(struct buf *b, struct bytes data);
void buf_put_mem(struct buf *b, const void *p, size_t n);
void buf_put_z(struct buf *b, const char *s);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v); /* big-endian, as all of these */
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
/* buf_reserve makes room for `n` bytes and returns where to write them, or NULL; buf_commit says how many were written. */
uint8_t *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);
/* buf_printf is for text that has no syntax of its own (logs, messages to people); never for JSON, HTML, SQL, DER, headers. */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* buf_drop_front removes the first `n` bytes. */
void buf_drop_front(struct buf *b, size_t n);

#endif
