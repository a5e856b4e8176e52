/* A table in memory from 16-byte keys to two numbers: where a request's records are, which serials were given out. */
#ifndef SIGNER_INDEX_H
#define SIGNER_INDEX_H

#include "base/buf.h"
#include "base/ctx.h"

#define INDEX_KEY_LEN 16

struct index_entry {
    uint8_t key[INDEX_KEY_LEN]; /* all zero: the place is free */
    uint64_t a, b;
};
/* All-zero is an empty table. */
struct index {
    struct index_entry *v;
    size_t n, cap; /* cap is a power of two */
};

/* index_key hashes a kind and two texts to a key. */
RC index_key(struct ctx *ctx, char kind, struct bytes first, struct bytes second, uint8_t key[INDEX_KEY_LEN]);
/* index_find returns the entry, valid until the next index_put(); NULL where there is none. */
struct index_entry *index_find(const struct index *t, const uint8_t key[INDEX_KEY_LEN]);
/* index_put returns the entry of the key, made with zeros where there was none.  Ends the process where there is no memory. */
struct index_entry *index_put(struct index *t, const uint8_t key[INDEX_KEY_LEN]);
void index_free(struct index *t);

#endif
