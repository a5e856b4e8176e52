/* CBOR (RFC 8949), as far as WebAuthn sends it: a reader that copies nothing.
 *
 * Definite lengths alone (CTAP2 canonical form, WebAuthn section 2), at most CBOR_DEPTH_MAX deep.  cbor_take takes one item with
 * all that is in it from the front of `in`; on false nothing has moved. */
#ifndef PKI_CBOR_H
#define PKI_CBOR_H

#include "base/bytes.h"

#define CBOR_DEPTH_MAX 8

enum cbor_kind { CBOR_UNSIGNED, CBOR_NEGATIVE, CBOR_BYTES, CBOR_TEXT, CBOR_ARRAY, CBOR_MAP, CBOR_TAG, CBOR_SIMPLE };

struct cbor {
    enum cbor_kind kind;
    uint64_t n;        /* the number (of CBOR_NEGATIVE: -1 - n), the length, or how many items (pairs of a map) */
    struct bytes data; /* content of bytes and text; of arrays and maps the items, encoded */
};

bool cbor_take(struct bytes *in, struct cbor *out);
/* cbor_only is cbor_take where nothing may follow. */
bool cbor_only(struct bytes in, struct cbor *out);
/* cbor_find_text and cbor_find_int find the value of a key of a map; false where it is not there, or there twice. */
bool cbor_find_text(const struct cbor *map, const char *key, struct cbor *out);
bool cbor_find_int(const struct cbor *map, int64_t key, struct cbor *out);
/* cbor_int gives a whole number as int64_t; false where it is none, or does not fit. */
bool cbor_int(const struct cbor *item, int64_t *out);

#endif
