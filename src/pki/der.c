#include "pki/der.h"

#include "base/clock.h"

uint8_t der_peek(struct bytes in)
{
    return in.n ? in.p[0] : 0;
}

/* Reads tag and length; the value follows in `in`. */
static bool take_header(struct bytes *in, uint8_t *tag, size_t *length)
{
    uint8_t first;
    if (!bytes_take_u8(in, tag) || (*tag & 0x1f) == 0x1f || *tag == 0 || !bytes_take_u8(in, &first))
        return false;
    if (first < 0x80) {
        *length = first;
        return *length <= in->n;
    }
    size_t octets = first & 0x7f;
    if (octets == 0 || octets > 4)
        return false; /* 0x80 is the indefinite form */
    uint64_t value = 0;
    for (size_t i = 0; i < octets; i++) {
        uint8_t b;
        if (!bytes_take_u8(in, &b) || (i == 0 && b == 0))
            return false;
        value = value << 8 | b;
    }
    if (value < 0x80 || value > INT32_MAX || value > in->n)
        return false;
    *length = (size_t)value;
    return true;
}

bool der_take(struct bytes *in, uint8_t *tag, struct bytes *value)
{
    struct bytes cursor = *in;
    size_t length;
    if (!take_header(&cursor, tag, &length) || !bytes_take(&cursor, length, value))
        return false;
    *in = cursor;
    return true;
}

bool der_take_tag(struct bytes *in, uint8_t tag, struct bytes *value)
{
    uint8_t found;
    return der_peek(*in) == tag && der_take(in, &found, value);
}

bool der_take_element(struct bytes *in, struct bytes *element)
{
    struct bytes start = *in, value;
    uint8_t tag;
    if (!der_take(in, &tag, &value))
        return false;
    *element = bytes_of(start.p, start.n - in->n);
    return true;
}

bool der_take_raw(struct bytes *in, uint8_t tag, struct bytes *element)
{
    return der_peek(*in) == tag && der_take_element(in, element);
}

bool der_take_optional(struct bytes *in, uint8_t tag, struct bytes *value, bool *present)
{
    *present = der_peek(*in) == tag;
    return !*present || der_take_tag(in, tag, value);
}

bool der_only(struct bytes in, uint8_t tag, struct bytes *value)
{
    return der_take_tag(&in, tag, value) && in.n == 0;
}

bool der_take_bool(struct bytes *in, bool *out)
{
    struct bytes cursor = *in, v;
    if (!der_take_tag(&cursor, DER_BOOLEAN, &v) || v.n != 1 || (v.p[0] != 0 && v.p[0] != 0xff))
        return false;
    *out = v.p[0] != 0;
    *in = cursor;
    return true;
}

static bool minimal_integer(struct bytes v)
{
    if (!v.n)
        return false;
    return v.n == 1 || !((v.p[0] == 0 && !(v.p[1] & 0x80)) || (v.p[0] == 0xff && (v.p[1] & 0x80)));
}

bool der_take_serial(struct bytes *in, struct bytes *content)
{
    struct bytes cursor = *in, v;
    if (!der_take_tag(&cursor, DER_INTEGER, &v) || !minimal_integer(v))
        return false;
    *content = v;
    *in = cursor;
    return true;
}

bool der_take_int(struct bytes *in, int64_t *out)
{
    struct bytes cursor = *in, v;
    if (!der_take_serial(&cursor, &v) || v.n > 8)
        return false;
    uint64_t value = v.p[0] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = 0; i < v.n; i++)
        value = value << 8 | v.p[i];
    *out = (int64_t)value;
    *in = cursor;
    return true;
}

bool der_take_unsigned(struct bytes *in, struct bytes *magnitude)
{
    struct bytes cursor = *in, v;
    if (!der_take_serial(&cursor, &v) || (v.p[0] & 0x80))
        return false;
    if (v.n > 1 && v.p[0] == 0)
        bytes_skip(&v, 1);
    *magnitude = v;
    *in = cursor;
    return true;
}

/* Each arc: base 128, no leading 0x80, ended by a byte without the high bit. */
static bool valid_oid(struct bytes v)
{
    bool start = true;
    for (size_t i = 0; i < v.n; i++) {
        if (start && v.p[i] == 0x80)
            return false;
        start = !(v.p[i] & 0x80);
    }
    return v.n && start;
}

bool der_take_oid(struct bytes *in, struct bytes *oid)
{
    struct bytes cursor = *in, v;
    if (!der_take_tag(&cursor, DER_OID, &v) || v.n > 128 || !valid_oid(v))
        return false;
    *oid = v;
    *in = cursor;
    return true;
}

bool der_take_null(struct bytes *in)
{
    struct bytes cursor = *in, v;
    if (!der_take_tag(&cursor, DER_NULL, &v) || v.n)
        return false;
    *in = cursor;
    return true;
}

static bool split_bits(struct bytes v, struct bytes *bits, int *unused)
{
    uint8_t pad;
    if (!bytes_take_u8(&v, &pad) || pad > 7 || (pad && !v.n))
        return false;
    if (pad && (v.p[v.n - 1] & ((1u << pad) - 1)))
        return false;
    *bits = v;
    *unused = pad;
    return true;
}

bool der_take_bits(struct bytes *in, struct bytes *bits, int *unused)
{
    struct bytes cursor = *in, v;
    if (!der_take_tag(&cursor, DER_BIT_STRING, &v) || !split_bits(v, bits, unused))
        return false;
    *in = cursor;
    return true;
}

bool der_flags_value(struct bytes value, uint32_t *flags)
{
    struct bytes bits;
    int unused;
    if (!split_bits(value, &bits, &unused) || bits.n > 4)
        return false;
    uint32_t out = 0;
    for (size_t i = 0; i < bits.n * 8; i++)
        if (bits.p[i / 8] & (0x80u >> (i % 8)))
            out |= 1u << i;
    *flags = out;
    return true;
}

bool der_take_flags(struct bytes *in, uint32_t *flags)
{
    struct bytes cursor = *in, v;
    if (!der_take_tag(&cursor, DER_BIT_STRING, &v) || !der_flags_value(v, flags))
        return false;
    *in = cursor;
    return true;
}

static bool take_digits(struct bytes *in, int count, int *out)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        uint8_t c;
        if (!bytes_take_u8(in, &c) || c < '0' || c > '9')
            return false;
        value = value * 10 + (c - '0');
    }
    *out = value;
    return true;
}

bool der_take_time(struct bytes *in, int64_t *unix_s)
{
    struct bytes cursor = *in, v;
    uint8_t tag;
    int year;
    if (!der_take(&cursor, &tag, &v))
        return false;
    if (tag == DER_UTC_TIME && v.n == 13) {
        if (!take_digits(&v, 2, &year))
            return false;
        year += year >= 50 ? 1900 : 2000;
    } else if (tag == DER_GENERALIZED_TIME && v.n == 15) {
        if (!take_digits(&v, 4, &year))
            return false;
    } else {
        return false;
    }
    struct civil c = {.year = year};
    if (!take_digits(&v, 2, &c.month) || !take_digits(&v, 2, &c.day) || !take_digits(&v, 2, &c.hour) ||
        !take_digits(&v, 2, &c.minute) || !take_digits(&v, 2, &c.second) || v.p[0] != 'Z' || !civil_to_unix(&c, unix_s))
        return false;
    *in = cursor;
    return true;
}

static bool well_formed_list(struct bytes in, int depth)
{
    while (in.n) {
        uint8_t tag;
        struct bytes value;
        if (!der_take(&in, &tag, &value))
            return false;
        if ((tag & 0x20) && (depth <= 1 || !well_formed_list(value, depth - 1)))
            return false;
    }
    return true;
}

bool der_well_formed(struct bytes in, int depth)
{
    struct bytes probe = in, element;
    if (!der_take_element(&probe, &element) || probe.n)
        return false;
    return well_formed_list(in, (depth > DER_DEPTH_MAX ? DER_DEPTH_MAX : depth) + 1);
}

/* --- building */

/* One byte of length is set aside; der_end moves the content only where the length needs more. */
size_t der_begin(struct buf *b, uint8_t tag)
{
    buf_put_u8(b, tag);
    buf_put_u8(b, 0);
    return b->n;
}

size_t der_begin_bits(struct buf *b)
{
    size_t mark = der_begin(b, DER_BIT_STRING);
    buf_put_u8(b, 0);
    return mark;
}

static size_t length_octets(size_t n)
{
    return n < 0x80 ? 0 : n < 0x100 ? 1 : n < 0x10000 ? 2 : n < 0x1000000 ? 3 : 4;
}

void der_end(struct buf *b, size_t mark)
{
    if (b->failed != E_OK)
        return;
    size_t n = b->n - mark, extra = length_octets(n);
    if (!extra) {
        b->p[mark - 1] = (uint8_t)n;
        return;
    }
    if (!buf_reserve(b, extra))
        return;
    buf_commit(b, extra);
    memmove(b->p + mark + extra, b->p + mark, n);
    b->p[mark - 1] = (uint8_t)(0x80 | extra);
    for (size_t i = 0; i < extra; i++)
        b->p[mark + i] = (uint8_t)(n >> (8 * (extra - 1 - i)));
}

void der_put(struct buf *b, uint8_t tag, struct bytes value)
{
    size_t extra = length_octets(value.n);
    buf_put_u8(b, tag);
    if (!extra) {
        buf_put_u8(b, (uint8_t)value.n);
    } else {
        buf_put_u8(b, (uint8_t)(0x80 | extra));
        for (size_t i = 0; i < extra; i++)
            buf_put_u8(b, (uint8_t)(value.n >> (8 * (extra - 1 - i))));
    }
    buf_put(b, value);
}

void der_put_bool(struct buf *b, bool v)
{
    der_put(b, DER_BOOLEAN, v ? BYTES_LIT("\xff") : BYTES_LIT("\x00"));
}

void der_put_int(struct buf *b, int64_t v)
{
    uint8_t be[8];
    for (int i = 0; i < 8; i++)
        be[i] = (uint8_t)((uint64_t)v >> (56 - 8 * i));
    struct bytes content = bytes_of(be, sizeof be);
    while (content.n > 1 && !minimal_integer(content))
        bytes_skip(&content, 1);
    der_put(b, DER_INTEGER, content);
}

void der_put_unsigned(struct buf *b, struct bytes magnitude)
{
    while (magnitude.n > 1 && magnitude.p[0] == 0)
        bytes_skip(&magnitude, 1);
    if (magnitude.n && !(magnitude.p[0] & 0x80)) {
        der_put(b, DER_INTEGER, magnitude);
        return;
    }
    size_t mark = der_begin(b, DER_INTEGER);
    buf_put_u8(b, 0);
    buf_put(b, magnitude);
    der_end(b, mark);
}

void der_put_oid(struct buf *b, struct bytes oid)
{
    der_put(b, DER_OID, oid);
}

void der_put_null(struct buf *b)
{
    der_put(b, DER_NULL, (struct bytes){0});
}

void der_put_octets(struct buf *b, struct bytes v)
{
    der_put(b, DER_OCTET_STRING, v);
}

void der_put_bits(struct buf *b, struct bytes v)
{
    size_t mark = der_begin_bits(b);
    buf_put(b, v);
    der_end(b, mark);
}

void der_put_flags(struct buf *b, uint32_t flags)
{
    uint8_t content[5] = {0};
    size_t n = 1;
    for (unsigned i = 0; i < 32; i++) {
        if (flags & (1u << i)) {
            content[1 + i / 8] |= (uint8_t)(0x80u >> (i % 8));
            n = 2 + i / 8;
            content[0] = (uint8_t)(7 - i % 8);
        }
    }
    der_put(b, DER_BIT_STRING, bytes_of(content, n));
}

void der_put_time(struct buf *b, int64_t unix_s)
{
    struct civil c = civil_from_unix(unix_s);
    bool utc = c.year >= 1950 && c.year < 2050;
    const int64_t fields[] = {c.month, c.day, c.hour, c.minute, c.second};
    uint8_t text[15];
    size_t n = 0;
    if (c.year < 0 || c.year > 9999) {
        b->failed = b->failed != E_OK ? b->failed : E_INVALID;
        return;
    }
    if (!utc) {
        text[n++] = (uint8_t)('0' + c.year / 1000);
        text[n++] = (uint8_t)('0' + c.year / 100 % 10);
    }
    text[n++] = (uint8_t)('0' + c.year / 10 % 10);
    text[n++] = (uint8_t)('0' + c.year % 10);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        text[n++] = (uint8_t)('0' + fields[i] / 10);
        text[n++] = (uint8_t)('0' + fields[i] % 10);
    }
    text[n++] = 'Z';
    der_put(b, utc ? DER_UTC_TIME : DER_GENERALIZED_TIME, bytes_of(text, n));
}

void der_oid_text(struct buf *b, struct bytes oid)
{
    if (!valid_oid(oid)) {
        buf_put_z(b, "?");
        return;
    }
    uint64_t arc = 0;
    bool first = true;
    for (size_t i = 0; i < oid.n; i++) {
        if (arc >> 56) { /* a number that large names nothing real */
            buf_put_z(b, ".?");
            return;
        }
        arc = arc << 7 | (oid.p[i] & 0x7f);
        if (oid.p[i] & 0x80)
            continue;
        if (first) {
            uint64_t top = arc < 40 ? 0 : arc < 80 ? 1 : 2;
            buf_printf(b, "%u.%llu", (unsigned)top, (unsigned long long)(arc - 40 * top));
            first = false;
        } else {
            buf_printf(b, ".%llu", (unsigned long long)arc);
        }
        arc = 0;
    }
}
