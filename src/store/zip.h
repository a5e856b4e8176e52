/* Compression of many small things alike, with a dictionary trained on them (zstd).  libzstd is loaded by zip_load(): only the hub
 * needs it.  Safe from any thread: contexts are lent out of a small pool. */
#ifndef STORE_ZIP_H
#define STORE_ZIP_H

#include "base/ctx.h"

#define ZIP_DICTIONARY_MAX ((size_t)64 << 10)
#define ZIP_PLAIN_MAX ((size_t)1 << 20) /* of one thing, unpacked */

RC zip_load(struct ctx *ctx);

/* A dictionary ready for use: to pack, to unpack, or both. */
struct zip_dictionary;
RC zip_dictionary_new(struct ctx *ctx, struct bytes bytes, bool pack, struct zip_dictionary **out);
void zip_dictionary_free(struct zip_dictionary *d); /* NULL is fine */

/* zip_train makes a dictionary of samples that lie behind each other in `samples`; in the arena.  E_INVALID where they are too
 * few or too unlike each other. */
RC zip_train(struct ctx *ctx, const uint8_t *samples, const size_t *sizes, unsigned n, struct bytes *out);

/* zip_pack is in the arena.  zip_unpack fails with E_PARSE where `packed` is not what zip_pack() made with this dictionary. */
RC zip_pack(struct ctx *ctx, const struct zip_dictionary *d, struct bytes plain, struct bytes *packed);
RC zip_unpack(struct ctx *ctx, const struct zip_dictionary *d, struct bytes packed, struct bytes *plain);

#endif
