/* Inside pki/ only: reading BER as it is met in the wild.  der.h refuses what is not DER; these take it, and say so in `defects`.
 *
 * Each takes one element from the front of `in`; false where there is none, or it is cut off.  Values point into the input. */
#ifndef PKI_CERT_READ_DER_H
#define PKI_CERT_READ_DER_H

#include "pki/cert_read.h"
#include "pki/der.h"

#define BER_DEPTH_MAX 32 /* elements of indefinite length in one another */

/* ber_take_long is ber_take for headers of more than two bytes: long lengths, long tags (the tag given is the first byte), and
 * the indefinite form, whose end is looked for. */
bool ber_take_long(struct bytes *in, uint8_t *tag, struct bytes *value, uint64_t *defects);

static inline bool ber_take(struct bytes *in, uint8_t *tag, struct bytes *value, uint64_t *defects)
{
    if (in->n < 2)
        return false;
    const uint8_t t = in->p[0], length = in->p[1];
    if (length >= 0x80 || (t & 0x1f) == 0x1f)
        return ber_take_long(in, tag, value, defects);
    if ((size_t)length > in->n - 2 || !t)
        return false;
    *tag = t;
    *value = (struct bytes){in->p + 2, length};
    in->p += (size_t)length + 2;
    in->n -= (size_t)length + 2;
    return true;
}

static inline bool ber_take_tag(struct bytes *in, uint8_t tag, struct bytes *value, uint64_t *defects)
{
    uint8_t found;
    return in->n && in->p[0] == tag && ber_take(in, &found, value, defects);
}

/* ber_only is ber_take_tag that notes what follows as a defect. */
static inline bool ber_only(struct bytes in, uint8_t tag, struct bytes *value, uint64_t *defects)
{
    if (!ber_take_tag(&in, tag, value, defects))
        return false;
    if (in.n)
        *defects |= CERT_DEFECT_BIT(TRAILING);
    return true;
}

/* ber_take_oid takes an OBJECT IDENTIFIER; a malformed one is taken too, and noted. */
static inline bool ber_take_oid(struct bytes *in, struct bytes *oid, uint64_t *defects)
{
    if (!ber_take_tag(in, DER_OID, oid, defects) || !oid->n)
        return false;
    bool start = true;
    for (size_t i = 0; i < oid->n; i++) {
        if (start && oid->p[i] == 0x80)
            *defects |= CERT_DEFECT_BIT(OID);
        start = !(oid->p[i] & 0x80);
    }
    if (!start)
        *defects |= CERT_DEFECT_BIT(OID);
    return true;
}

/* ber_take_integer takes the content of an INTEGER, sign included, never empty. */
bool ber_take_integer(struct bytes *in, struct bytes *content, uint64_t *defects);
/* ber_take_magnitude takes a number that is not negative, without its leading zeros. */
bool ber_take_magnitude(struct bytes *in, struct bytes *magnitude, uint64_t *defects);
/* ber_take_small takes an INTEGER, brought into the range of int. */
bool ber_take_small(struct bytes *in, int *out, uint64_t *defects);
/* ber_take_flag takes an optional BOOLEAN whose default is false. */
bool ber_take_flag(struct bytes *in, bool *out, uint64_t *defects);
/* ber_split_bits reads the content of a BIT STRING. */
bool ber_split_bits(struct bytes content, struct bytes *bits, int *unused, uint64_t *defects);
static inline uint32_t ber_bit_length(struct bytes magnitude)
{
    return magnitude.n ? (uint32_t)(magnitude.n * 8) - (uint32_t)(__builtin_clz(magnitude.p[0] | 1u) - 24) - !magnitude.p[0] : 0;
}

/* cert_algs.c: what an OID stands for. */
enum cert_key_type cert_key_by_oid(struct bytes oid, uint32_t *bits);
enum cert_curve cert_curve_by_oid(struct bytes oid, uint32_t *bits);
enum cert_signature cert_signature_by_oid(struct bytes oid, enum cert_hash *hash);
enum cert_hash cert_hash_by_oid(struct bytes oid);

/* What all bytes of a text have in common. */
enum { TEXT_NO_NUL = 1, TEXT_ASCII = 2, TEXT_PRINTABLE = 4, TEXT_NUMERIC = 8, TEXT_VISIBLE = 16, TEXT_GRAPHIC = 32 };
uint8_t cert_text_class(struct bytes text);

/* cert_read_ext.c: the content of the field `extensions`, tag [3]. */
void cert_read_extensions(struct bytes wrapped, struct cert_fields *out);

#endif
