/* What the binary carries compressed and hands out to whoever asks: the API's description.  As it is to those who take gzip
 * (RFC 9110, section 8.4.1), else unpacked for them. */
#ifndef HUB_PACKED_H
#define HUB_PACKED_H

#include "net/http.h"

struct packed {
    struct bytes gzip; /* RFC 1952 */
    size_t size;       /* unpacked */
};

/* packed_load loads zlib: before the sandbox is entered.  packed_respond and packed_unpack do it where it was not. */
RC packed_load(struct ctx *ctx);
/* packed_unpack puts all of it to `out`. */
RC packed_unpack(struct ctx *ctx, const struct packed *p, struct buf *out);
/* packed_respond makes it the body of the answer. */
RC packed_respond(struct ctx *ctx, const struct packed *p, const struct http_request *req, struct http_response *resp);

#endif
