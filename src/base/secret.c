#include "base/secret.h"

#include <malloc.h>
#include <sys/mman.h>

#define SECRET_MAX ((size_t)1 << 20)

void wipe(void *p, size_t n)
{
    explicit_bzero(p, n);
}

void wipe_free(void *p)
{
    if (p != NULL)
        wipe(p, malloc_usable_size(p));
    free(p);
}

void *wipe_realloc(void *p, size_t n)
{
    size_t had = p != NULL ? malloc_usable_size(p) : 0;
    void *q = malloc(n);
    if (q == NULL || p == NULL)
        return q;
    memcpy(q, p, had < n ? had : n);
    wipe_free(p);
    return q;
}

static size_t whole_pages(size_t n)
{
    return (n + 4095) & ~(size_t)4095;
}

RC secret_new(struct ctx *ctx, struct secret *s, size_t n)
{
    *s = (struct secret){0};
    if (n > SECRET_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "a secret of %zu bytes is over the limit of %zu", n, SECRET_MAX);
    void *p = mmap(NULL, whole_pages(n ? n : 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for a secret");
    /* Where the limit of locked memory is reached the secret is still kept out of core dumps; swap is the host's to encrypt. */
    (void)!mlock(p, whole_pages(n ? n : 1));
    (void)!madvise(p, whole_pages(n ? n : 1), MADV_DONTDUMP);
    *s = (struct secret){p, n};
    return RC_OK;
}

RC secret_from(struct ctx *ctx, struct secret *s, struct bytes data)
{
    TRY(secret_new(ctx, s, data.n));
    if (data.n)
        memcpy(s->locked_, data.p, data.n);
    return RC_OK;
}

void secret_free(struct secret *s)
{
    if (s->locked_) {
        wipe(s->locked_, s->n);
        munmap(s->locked_, whole_pages(s->n ? s->n : 1));
    }
    *s = (struct secret){0};
}

struct bytes secret_use(const struct secret *s)
{
    return bytes_of(s->locked_, s->n);
}

uint8_t *secret_fill(struct secret *s)
{
    return s->locked_;
}
