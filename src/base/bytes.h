/* Bytes that somebody else owns, and a cursor over them that cannot run past the end.
 *
 * struct bytes never owns memory and is not NUL-terminated.  The readers take the bytes from the front and leave the rest;
 * on false nothing has moved.  All-zero is valid: empty. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    const uint8_t *p;
    size_t n;
};

#define BYTES_LIT(s) ((struct bytes){(const uint8_t *)(s), sizeof(s) - 1})

/* bytes_of wraps memory; bytes_z wraps a NUL-terminated string without its NUL (NULL yields empty). */
static inline struct bytes bytes_of(const void *p, size_t n) { return (struct bytes){(const uint8_t *)p, n}; }
struct bytes bytes_z(const char *s);

bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_equal_z(struct bytes a, const char *s);
bool bytes_equal_nocase(struct bytes a, struct bytes b); /* ASCII only */
/* bytes_compare orders as memcmp does, a prefix before what it is a prefix of. */
int bytes_compare(struct bytes a, struct bytes b);
bool bytes_starts_with(struct bytes a, struct bytes prefix);
bool bytes_ends_with(struct bytes a, struct bytes suffix);
/* bytes_find returns the offset of `needle` in `a`, or SIZE_MAX. */
size_t bytes_find(struct bytes a, struct bytes needle);
/* bytes_equal_secret compares in time that depends on the lengths alone. */
bool bytes_equal_secret(struct bytes a, struct bytes b);

/* bytes_skip drops `n` bytes; bytes_take_* read from the front, big-endian. */
bool bytes_skip(struct bytes *b, size_t n);
bool bytes_take(struct bytes *b, size_t n, struct bytes *out);
bool bytes_take_u8(struct bytes *b, uint8_t *out);
bool bytes_take_u16(struct bytes *b, uint16_t *out);
bool bytes_take_u24(struct bytes *b, uint32_t *out);
bool bytes_take_u32(struct bytes *b, uint32_t *out);
bool bytes_take_u64(struct bytes *b, uint64_t *out);
/* bytes_take_line takes up to and without the next '\n' (and a '\r' before it); false where there is no '\n'. */
bool bytes_take_line(struct bytes *b, struct bytes *out);
/* bytes_take_until takes up to `sep` and drops `sep`; where there is none, takes all and leaves `b` empty.  False when empty. */
bool bytes_take_until(struct bytes *b, uint8_t sep, struct bytes *out);
struct bytes bytes_trim(struct bytes b); /* spaces and tabs at both ends */

#endif
