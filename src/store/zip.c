#include "store/zip.h"

#include <pthread.h>
#include <stdlib.h>
#include <zdict.h>
#include <zstd.h>

#include "os/library.h"

/* Level 1 takes half the time of the default, for the same size within 1 %: what a certificate and the dictionary share is found by
 * any level, and the rest, keys and signatures, by none. */
#define LEVEL 1

#define ZIP_FUNCTIONS(X)                                                                                                           \
    X(ZDICT_isError)                                                                                                               \
    X(ZDICT_trainFromBuffer)                                                                                                       \
    X(ZSTD_CCtx_refCDict)                                                                                                          \
    X(ZSTD_CCtx_setParameter)                                                                                                      \
    X(ZSTD_compress2)                                                                                                              \
    X(ZSTD_compressBound)                                                                                                          \
    X(ZSTD_createCCtx)                                                                                                             \
    X(ZSTD_createCDict)                                                                                                            \
    X(ZSTD_createDCtx)                                                                                                             \
    X(ZSTD_createDDict)                                                                                                            \
    X(ZSTD_decompress_usingDDict)                                                                                                  \
    X(ZSTD_freeCCtx)                                                                                                               \
    X(ZSTD_freeCDict)                                                                                                              \
    X(ZSTD_freeDCtx)                                                                                                               \
    X(ZSTD_freeDDict)                                                                                                              \
    X(ZSTD_getErrorName)                                                                                                           \
    X(ZSTD_getFrameContentSize)                                                                                                    \
    X(ZSTD_isError)

static struct {
#define X(f) __typeof__(f) *f##_;
    ZIP_FUNCTIONS(X)
#undef X
    bool loaded;
} lib;

struct zip_dictionary {
    ZSTD_CDict *pack;
    ZSTD_DDict *unpack;
};

/* Contexts that nobody uses now: as many as threads worked at once, kept for the life of the process. */
enum { IDLE_MAX = 8 };
static struct {
    pthread_mutex_t lock;
    void *pack[IDLE_MAX], *unpack[IDLE_MAX];
    unsigned pack_n, unpack_n;
} idle = {.lock = PTHREAD_MUTEX_INITIALIZER};

RC zip_load(struct ctx *ctx)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static const struct library_function functions[] = {
#define X(f) {#f, (void **)&lib.f##_},
        ZIP_FUNCTIONS(X)
#undef X
    };
    pthread_mutex_lock(&lock);
    struct rc rc =
        lib.loaded ? RC_OK : library_load(ctx, "libzstd.so.1", "libzstd1", functions, sizeof functions / sizeof *functions);
    lib.loaded = rc_ok(rc);
    pthread_mutex_unlock(&lock);
    return rc;
}

static void *lend(void **from, unsigned *n)
{
    pthread_mutex_lock(&idle.lock);
    void *c = *n ? from[--*n] : NULL;
    pthread_mutex_unlock(&idle.lock);
    return c;
}

/* False where there are enough: the caller frees it. */
static bool give_back(void **to, unsigned *n, void *c)
{
    pthread_mutex_lock(&idle.lock);
    const bool kept = *n < IDLE_MAX;
    if (kept)
        to[(*n)++] = c;
    pthread_mutex_unlock(&idle.lock);
    return kept;
}

RC zip_dictionary_new(struct ctx *ctx, struct bytes bytes, bool pack, struct zip_dictionary **out)
{
    TRY(zip_load(ctx));
    if (bytes.n > ZIP_DICTIONARY_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "a dictionary of %zu bytes, where %zu is the most", bytes.n, ZIP_DICTIONARY_MAX);
    struct zip_dictionary *d = calloc(1, sizeof *d);
    if (d) {
        d->unpack = lib.ZSTD_createDDict_(bytes.p, bytes.n);
        d->pack = pack ? lib.ZSTD_createCDict_(bytes.p, bytes.n, LEVEL) : NULL;
    }
    if (!d || !d->unpack || (pack && !d->pack)) {
        zip_dictionary_free(d);
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for a dictionary");
    }
    *out = d;
    return RC_OK;
}

void zip_dictionary_free(struct zip_dictionary *d)
{
    if (!d)
        return;
    lib.ZSTD_freeCDict_(d->pack);
    lib.ZSTD_freeDDict_(d->unpack);
    free(d);
}

RC zip_train(struct ctx *ctx, const uint8_t *samples, const size_t *sizes, unsigned n, struct bytes *out)
{
    TRY(zip_load(ctx));
    uint8_t *p = arena_alloc(&ctx->arena, ZIP_DICTIONARY_MAX);
    const size_t size = lib.ZDICT_trainFromBuffer_(p, ZIP_DICTIONARY_MAX, samples, sizes, n);
    if (lib.ZDICT_isError_(size))
        return ctx_fail(ctx, E_INVALID, "no dictionary can be made of %u samples: %s", n, lib.ZSTD_getErrorName_(size));
    *out = bytes_of(p, size);
    return RC_OK;
}

static struct rc packer_new(struct ctx *ctx, ZSTD_CCtx **out)
{
    ZSTD_CCtx *c = lib.ZSTD_createCCtx_();
    if (!c)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory to compress with");
    /* The row says which dictionary it was; a frame that names it too would be four bytes longer. */
    lib.ZSTD_CCtx_setParameter_(c, ZSTD_c_dictIDFlag, 0);
    lib.ZSTD_CCtx_setParameter_(c, ZSTD_c_checksumFlag, 0);
    *out = c;
    return RC_OK;
}

RC zip_pack(struct ctx *ctx, const struct zip_dictionary *d, struct bytes plain, struct bytes *packed)
{
    if (plain.n > ZIP_PLAIN_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "%zu bytes are too many to compress as one", plain.n);
    ZSTD_CCtx *c = lend(idle.pack, &idle.pack_n);
    if (!c)
        TRY(packer_new(ctx, &c));
    uint8_t few[4096]; /* most fit: the arena then holds what they need, not what they might have needed */
    const size_t room = lib.ZSTD_compressBound_(plain.n);
    uint8_t *p = room <= sizeof few ? few : arena_alloc(&ctx->arena, room);
    size_t n = lib.ZSTD_CCtx_refCDict_(c, d->pack);
    if (!lib.ZSTD_isError_(n))
        n = lib.ZSTD_compress2_(c, p, room, plain.p, plain.n);
    if (!give_back(idle.pack, &idle.pack_n, c))
        lib.ZSTD_freeCCtx_(c);
    if (lib.ZSTD_isError_(n))
        return ctx_fail(ctx, E_BUG, "cannot compress: %s", lib.ZSTD_getErrorName_(n));
    *packed = p == few ? arena_bytes(&ctx->arena, bytes_of(few, n)) : bytes_of(p, n);
    return RC_OK;
}

RC zip_unpack(struct ctx *ctx, const struct zip_dictionary *d, struct bytes packed, struct bytes *plain)
{
    const unsigned long long size = lib.ZSTD_getFrameContentSize_(packed.p, packed.n);
    if (size > ZIP_PLAIN_MAX) /* not told, or no frame, are the largest numbers there are */
        return ctx_fail(ctx, E_PARSE, "these %zu bytes were not compressed here", packed.n);
    ZSTD_DCtx *c = lend(idle.unpack, &idle.unpack_n);
    if (!c && !(c = lib.ZSTD_createDCtx_()))
        return ctx_fail(ctx, E_NO_MEMORY, "no memory to uncompress with");
    uint8_t *p = arena_alloc(&ctx->arena, (size_t)size + 1);
    const size_t n = lib.ZSTD_decompress_usingDDict_(c, p, (size_t)size, packed.p, packed.n, d->unpack);
    if (!give_back(idle.unpack, &idle.unpack_n, c))
        lib.ZSTD_freeDCtx_(c);
    if (lib.ZSTD_isError_(n))
        return ctx_fail(ctx, E_PARSE, "cannot be uncompressed: %s", lib.ZSTD_getErrorName_(n));
    *plain = bytes_of(p, n);
    return RC_OK;
}
