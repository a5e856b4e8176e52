/* DER (ITU-T X.690): a reader that copies nothing, and a builder on struct buf.
 *
 * The readers take one element from the front of `in`, as bytes_take_* do: on false nothing has moved.  Only DER is accepted:
 * definite and minimal lengths, one-byte tags (numbers up to 30), minimal integers, booleans 00 or FF.  Lengths up to 2^31. */
#ifndef PKI_DER_H
#define PKI_DER_H

#include "base/buf.h"
#include "base/bytes.h"

enum der_tag {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_NULL = 0x05,
    DER_OID = 0x06,
    DER_ENUMERATED = 0x0a,
    DER_UTF8_STRING = 0x0c,
    DER_NUMERIC_STRING = 0x12,
    DER_PRINTABLE_STRING = 0x13,
    DER_TELETEX_STRING = 0x14,
    DER_IA5_STRING = 0x16,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
    DER_VISIBLE_STRING = 0x1a,
    DER_UNIVERSAL_STRING = 0x1c,
    DER_BMP_STRING = 0x1e,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
};
/* Context-specific tags: [n] of a primitive, [n] of something constructed. */
#define DER_CONTEXT(n) ((uint8_t)(0x80 | (n)))
#define DER_CONTEXT_CONS(n) ((uint8_t)(0xa0 | (n)))

/* --- reading */

/* der_peek returns the tag of the next element, 0 where there is none. */
uint8_t der_peek(struct bytes in);
/* der_take takes any element: its tag and its content.  der_take_tag wants the tag given. */
bool der_take(struct bytes *in, uint8_t *tag, struct bytes *value);
bool der_take_tag(struct bytes *in, uint8_t tag, struct bytes *value);
/* der_take_element takes a whole element with its header; der_take_raw wants the tag given. */
bool der_take_element(struct bytes *in, struct bytes *element);
bool der_take_raw(struct bytes *in, uint8_t tag, struct bytes *element);
/* der_take_optional takes the element where the tag fits; `present` says whether.  False only for broken DER. */
bool der_take_optional(struct bytes *in, uint8_t tag, struct bytes *value, bool *present);
/* der_only is der_take_tag() where nothing may follow. */
bool der_only(struct bytes in, uint8_t tag, struct bytes *value);

bool der_take_bool(struct bytes *in, bool *out);
/* der_take_int wants an INTEGER that fits; der_take_unsigned a non-negative one of any size: big-endian, no leading zeros
 * (zero itself is one 00).  der_take_serial gives the content as it is, sign included. */
bool der_take_int(struct bytes *in, int64_t *out);
bool der_take_unsigned(struct bytes *in, struct bytes *magnitude);
bool der_take_serial(struct bytes *in, struct bytes *content);
bool der_take_oid(struct bytes *in, struct bytes *oid);
bool der_take_null(struct bytes *in);
/* der_take_bits takes a BIT STRING; `unused` is the number of bits not used in the last byte (they are zero). */
bool der_take_bits(struct bytes *in, struct bytes *bits, int *unused);
/* der_take_flags takes a BIT STRING of named bits as a number: bit 0 of the type is bit 0 of the number.  At most 32. */
bool der_take_flags(struct bytes *in, uint32_t *flags);
/* der_flags_value is the same from the content alone. */
bool der_flags_value(struct bytes value, uint32_t *flags);
/* der_take_time takes a Time (RFC 5280 section 4.1.2.5): UTCTime or GeneralizedTime with seconds and Z, no fraction. */
bool der_take_time(struct bytes *in, int64_t *unix_s);
/* der_well_formed says whether `in` is exactly one element and everything constructed in it is well formed, `depth` levels deep
 * at most (never more than DER_DEPTH_MAX). */
#define DER_DEPTH_MAX 32
bool der_well_formed(struct bytes in, int depth);

/* --- building.  Errors stick in the buffer. */

/* der_begin opens a constructed element (or a string that holds DER) and returns where; der_end closes it and sets its length.
 * Elements nest like brackets. */
size_t der_begin(struct buf *b, uint8_t tag);
void der_end(struct buf *b, size_t mark);
/* der_begin_bits opens a BIT STRING without unused bits, to be closed by der_end. */
size_t der_begin_bits(struct buf *b);

void der_put(struct buf *b, uint8_t tag, struct bytes value);
void der_put_bool(struct buf *b, bool v);
void der_put_int(struct buf *b, int64_t v);
void der_put_unsigned(struct buf *b, struct bytes magnitude); /* big-endian; leading zeros are dropped */
void der_put_oid(struct buf *b, struct bytes oid);            /* its content */
void der_put_null(struct buf *b);
void der_put_octets(struct buf *b, struct bytes v);
void der_put_bits(struct buf *b, struct bytes v);
/* der_put_flags writes named bits without trailing zeros (X.690 section 11.2.2). */
void der_put_flags(struct buf *b, uint32_t flags);
/* der_put_time writes UTCTime through 2049 and GeneralizedTime from 2050 on (RFC 5280 section 4.1.2.5). */
void der_put_time(struct buf *b, int64_t unix_s);

/* der_oid_text appends an OID as "1.2.840.…", "?" where it is malformed. */
void der_oid_text(struct buf *b, struct bytes oid);

#endif
