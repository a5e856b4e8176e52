/* Encrypting what is too long for memory: chunks under AES-256-GCM whose nonce holds their number and whether they are the last
 * (the construction STREAM of Hoang, Reyhanitabar, Rogaway and Vizár).  Chunks that are changed, left out, repeated, put in another
 * order or cut off at the end do not open.  A key is for one stream. */
#ifndef PKI_STREAM_H
#define PKI_STREAM_H

#include "base/buf.h"
#include "base/ctx.h"
#include "base/secret.h"
#include "pki/digest.h"

#define STREAM_KEY_LEN   32
#define STREAM_TAG_LEN   16
#define STREAM_CHUNK_MAX ((size_t)1 << 22)

struct stream {
    const struct secret *key;
    uint32_t next; /* number of the next chunk */
    bool ended;    /* the last one has been */
};

/* stream_seal appends the sealed chunk: as long as `plain` and STREAM_TAG_LEN. */
RC stream_seal(struct ctx *ctx, struct stream *s, struct bytes plain, bool last, struct buf *out);
/* stream_open is in the arena.  E_CRYPTO where these are not the bytes that were sealed in this place, `last` included. */
RC stream_open(struct ctx *ctx, struct stream *s, struct bytes sealed, bool last, struct bytes *plain);

/* SHA-256 of what comes in pieces. */
struct hasher;
RC hasher_new(struct ctx *ctx, struct hasher **out);
RC hasher_add(struct ctx *ctx, struct hasher *h, struct bytes data);
/* hasher_end gives the hash; what is added then is of the next one. */
RC hasher_end(struct ctx *ctx, struct hasher *h, uint8_t out[SHA256_LEN]);
void hasher_free(struct hasher *h); /* NULL is fine */

#endif
