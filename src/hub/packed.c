#include "hub/packed.h"

#include <pthread.h>
#include <string.h>
#include <zlib.h>

#include "os/library.h"

static struct {
    __typeof__(inflate) *inflate_;
    __typeof__(inflateEnd) *inflateEnd_;
    __typeof__(inflateInit2_) *inflateInit2__;
    bool loaded;
} lib;

RC packed_load(struct ctx *ctx)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static const struct library_function functions[] = {{"inflate", (void **)&lib.inflate_},
                                                        {"inflateEnd", (void **)&lib.inflateEnd_},
                                                        {"inflateInit2_", (void **)&lib.inflateInit2__}};
    pthread_mutex_lock(&lock);
    struct rc rc = lib.loaded ? RC_OK : library_load(ctx, "libz.so.1", "zlib1g", functions, sizeof functions / sizeof *functions);
    lib.loaded = rc_ok(rc);
    pthread_mutex_unlock(&lock);
    return rc;
}

RC packed_unpack(struct ctx *ctx, const struct packed *p, struct buf *out)
{
    enum { GZIP = 16 + MAX_WBITS };
    TRY(packed_load(ctx));
    uint8_t *to = arena_array(&ctx->arena, p->size, 1);
    z_stream z = {.next_in = (z_const Bytef *)p->gzip.p, .avail_in = (uInt)p->gzip.n, .next_out = to, .avail_out = (uInt)p->size};
    if (lib.inflateInit2__(&z, GZIP, ZLIB_VERSION, (int)sizeof z) != Z_OK)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory to unpack what the program carries");
    const bool whole = lib.inflate_(&z, Z_FINISH) == Z_STREAM_END && z.total_out == p->size;
    lib.inflateEnd_(&z);
    if (!whole)
        return ctx_fail(ctx, E_BUG, "what the program carries is damaged: install it again");
    buf_put(out, bytes_of(to, p->size));
    return buf_status(out);
}

static bool takes_gzip(const char *accept)
{
    /* "gzip;q=0" is nobody's; one that says so gets what it can read as well. */
    return accept && strstr(accept, "gzip") && !strstr(accept, ";q=0");
}

RC packed_respond(struct ctx *ctx, const struct packed *p, const struct http_request *req, struct http_response *resp)
{
    http_response_header(resp, "Vary", "Accept-Encoding");
    if (!takes_gzip(http_request_header(req, "accept-encoding")))
        return packed_unpack(ctx, p, &resp->body);
    http_response_header(resp, "Content-Encoding", "gzip");
    buf_put(&resp->body, p->gzip);
    return buf_status(&resp->body);
}
