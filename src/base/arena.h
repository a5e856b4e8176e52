/* An arena: memory of one request or job, given back all at once.  Not shared between threads. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "base/bytes.h"

struct arena_block;
struct arena {
    struct arena_block *blocks;
    size_t used; /* bytes handed out */
    size_t max;  /* ceiling; 0 means ARENA_MAX_DEFAULT */
    bool wipe;   /* secrets pass through it: overwrite memory before it is given back */
};
#define ARENA_MAX_DEFAULT ((size_t)256 << 20)

/* All-zero is an empty arena. */
void arena_free(struct arena *a);  /* gives everything back; usable again */
void arena_reset(struct arena *a); /* the same, but keeps the first block */
#define ARENA_CLEANUP __attribute__((cleanup(arena_free)))

/* arena_alloc returns zeroed memory, aligned for any type.  It never returns NULL: over the ceiling or out of memory the process
 * ends with a message (a role that dies is restarted by its parent, and nothing acknowledged is lost). */
void *arena_alloc(struct arena *a, size_t n);
void *arena_array(struct arena *a, size_t count, size_t size); /* overflow-checked */
void *arena_dup(struct arena *a, const void *p, size_t n);
char *arena_strdup(struct arena *a, const char *s);            /* NULL stays NULL */
char *arena_str(struct arena *a, struct bytes b);              /* copy with a NUL added; embedded NULs stay */
struct bytes arena_bytes(struct arena *a, struct bytes b);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))

#endif
