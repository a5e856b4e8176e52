/* Secrets: memory that is locked, left out of core dumps, wiped when given back, and that no formatter can print. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/bytes.h"
#include "base/ctx.h"

/* The bytes are reachable only through secret_use(), to make every place that looks at a secret easy to find. */
struct secret {
    void *locked_;
    size_t n;
};

/* secret_new makes an empty secret of `n` bytes, zeroed; secret_from copies.  `n` at most 1 MiB. */
RC secret_new(struct ctx *ctx, struct secret *s, size_t n);
RC secret_from(struct ctx *ctx, struct secret *s, struct bytes data);
void secret_free(struct secret *s); /* wipes */
#define SECRET_CLEANUP __attribute__((cleanup(secret_free)))
/* secret_use shows the bytes; valid until secret_free(). */
struct bytes secret_use(const struct secret *s);
uint8_t *secret_fill(struct secret *s); /* to write them */
/* wipe overwrites memory in a way the compiler keeps. */
void wipe(void *p, size_t n);
/* wipe_free and wipe_realloc are free() and realloc() that wipe what they give back: for libraries through whose memory secrets
 * pass and that let it be chosen (jansson, libcurl). */
void wipe_free(void *p);
void *wipe_realloc(void *p, size_t n);

#endif
