#include "base/clock.h"
#include "base/encode.h"
#include "base/str.h"
#include "pki/cert_read_der.h"
#include "pki/oid.h"

#define BIT CERT_DEFECT_BIT

/* --- BER */

/* Where the end mark of an element of indefinite length stands whose content begins at `in`. */
static bool find_end(struct bytes in, size_t *content_n)
{
    const uint8_t *start = in.p;
    for (int depth = 1;;) {
        uint64_t ignored = 0;
        struct bytes value;
        uint8_t tag;
        if (in.n < 2)
            return false;
        if (in.p[0] == 0 && in.p[1] == 0) {
            if (--depth == 0) {
                *content_n = (size_t)(in.p - start);
                return true;
            }
            bytes_skip(&in, 2);
        } else if (in.p[1] == 0x80 && (in.p[0] & 0x20) && (in.p[0] & 0x1f) != 0x1f) {
            if (++depth > BER_DEPTH_MAX)
                return false;
            bytes_skip(&in, 2);
        } else if ((in.p[0] & 0x1f) == 0x1f && in.p[0] & 0x20) {
            return false; /* a long tag inside: no certificate has one there */
        } else if (!ber_take(&in, &tag, &value, &ignored)) {
            return false;
        }
    }
}

static bool skip_long_tag(struct bytes *in)
{
    uint8_t b = 0x80;
    for (int i = 0; i < 5 && (b & 0x80); i++)
        if (!bytes_take_u8(in, &b))
            return false;
    return !(b & 0x80);
}

bool ber_take_long(struct bytes *in, uint8_t *tag, struct bytes *value, uint64_t *defects)
{
    struct bytes cursor = *in;
    uint8_t t, first, b;
    uint64_t length = 0;
    if (!bytes_take_u8(&cursor, &t) || !t || ((t & 0x1f) == 0x1f && !skip_long_tag(&cursor)) || !bytes_take_u8(&cursor, &first))
        return false;
    if (first == 0x80) {
        size_t content_n;
        if (!(t & 0x20) || !find_end(cursor, &content_n))
            return false;
        *defects |= BIT(INDEFINITE);
        *value = bytes_of(cursor.p, content_n);
        *tag = t;
        *in = bytes_of(cursor.p + content_n + 2, cursor.n - content_n - 2);
        return true;
    }
    if (first < 0x80)
        length = first;
    for (int i = 0; first > 0x80 && i < (first & 0x7f); i++) {
        if (!bytes_take_u8(&cursor, &b) || length > UINT32_MAX)
            return false;
        length = length << 8 | b;
    }
    if (length > cursor.n)
        return false;
    if (first > 0x80 && (length < 0x80 || length >> (8 * ((first & 0x7f) - 1)) == 0))
        *defects |= BIT(LENGTH);
    *tag = t;
    *value = bytes_of(cursor.p, (size_t)length);
    *in = bytes_of(cursor.p + length, cursor.n - (size_t)length);
    return true;
}

bool ber_take_integer(struct bytes *in, struct bytes *content, uint64_t *defects)
{
    struct bytes v;
    if (!ber_take_tag(in, DER_INTEGER, &v, defects) || !v.n)
        return false;
    if (v.n > 1 && ((v.p[0] == 0 && !(v.p[1] & 0x80)) || (v.p[0] == 0xff && (v.p[1] & 0x80))))
        *defects |= BIT(INTEGER);
    *content = v;
    return true;
}

bool ber_take_magnitude(struct bytes *in, struct bytes *magnitude, uint64_t *defects)
{
    if (!ber_take_integer(in, magnitude, defects) || (magnitude->p[0] & 0x80))
        return false;
    while (magnitude->n > 1 && magnitude->p[0] == 0)
        bytes_skip(magnitude, 1);
    return true;
}

bool ber_take_small(struct bytes *in, int *out, uint64_t *defects)
{
    struct bytes v;
    if (!ber_take_integer(in, &v, defects))
        return false;
    const bool negative = v.p[0] & 0x80;
    const uint8_t fill = negative ? 0xff : 0;
    while (v.n > 1 && v.p[0] == fill && ((v.p[1] & 0x80) != 0) == negative)
        bytes_skip(&v, 1);
    if (v.n > 4) {
        *out = negative ? INT32_MIN : INT32_MAX;
        return true;
    }
    uint32_t value = negative ? UINT32_MAX : 0;
    for (size_t i = 0; i < v.n; i++)
        value = value << 8 | v.p[i];
    *out = (int)value;
    return true;
}

bool ber_take_flag(struct bytes *in, bool *out, uint64_t *defects)
{
    struct bytes v;
    *out = false;
    if (!in->n || in->p[0] != DER_BOOLEAN)
        return true;
    if (!ber_take_tag(in, DER_BOOLEAN, &v, defects) || v.n != 1)
        return false;
    *out = v.p[0] != 0;
    if (!*out)
        *defects |= BIT(DEFAULT);
    else if (v.p[0] != 0xff)
        *defects |= BIT(BOOLEAN);
    return true;
}

bool ber_split_bits(struct bytes v, struct bytes *bits, int *unused, uint64_t *defects)
{
    if (!v.n || v.p[0] > 7)
        return false;
    *unused = v.p[0];
    *bits = bytes_of(v.p + 1, v.n - 1);
    if (*unused && (!bits->n || (bits->p[bits->n - 1] & ((1u << *unused) - 1))))
        *defects |= BIT(BITS);
    return bits->n || !*unused;
}

/* --- names */

#define CLASS_OF(c)                                                                                                                \
    (uint8_t)(((c) ? TEXT_NO_NUL : 0) | ((c) < 0x80 ? TEXT_ASCII : 0) |                                                            \
              ((((c) >= 'A' && (c) <= 'Z') || ((c) >= 'a' && (c) <= 'z') || ((c) >= '0' && (c) <= '9') || (c) == ' ' ||            \
                (c) == '\'' || (c) == '(' || (c) == ')' || ((c) >= '+' && (c) <= '/') || (c) == ':' || (c) == '=' || (c) == '?')   \
                   ? TEXT_PRINTABLE                                                                                                \
                   : 0) |                                                                                                          \
              (((c) >= '0' && (c) <= '9') || (c) == ' ' ? TEXT_NUMERIC : 0) | ((c) >= 0x20 && (c) < 0x7f ? TEXT_VISIBLE : 0) |     \
              ((c) > 0x20 && (c) < 0x7f ? TEXT_GRAPHIC : 0))
#define ROW4(c)  CLASS_OF(c), CLASS_OF((c) + 1), CLASS_OF((c) + 2), CLASS_OF((c) + 3)
#define ROW16(c) ROW4(c), ROW4((c) + 4), ROW4((c) + 8), ROW4((c) + 12)
#define ROW64(c) ROW16(c), ROW16((c) + 16), ROW16((c) + 32), ROW16((c) + 48)
static const uint8_t classes[256] = {ROW64(0), ROW64(64), ROW64(128), ROW64(192)};

uint8_t cert_text_class(struct bytes text)
{
    uint8_t common = 0xff;
    for (size_t i = 0; i < text.n; i++)
        common &= classes[text.p[i]];
    return common;
}

/* BMPString and UniversalString: units of 2 and 4 bytes.  Pairs of surrogates are met in BMPStrings, and are let pass. */
static uint64_t wide_defects(size_t width, struct bytes v)
{
    uint64_t out = v.n % width ? BIT(NAME_TEXT) : 0;
    for (size_t i = 0; i + width <= v.n; i += width) {
        uint32_t unit = 0;
        for (size_t k = 0; k < width; k++)
            unit = unit << 8 | v.p[i + k];
        if (!unit)
            out |= BIT(NAME_NUL);
        if (unit > 0x10ffff || (width == 4 && unit >= 0xd800 && unit <= 0xdfff))
            out |= BIT(NAME_TEXT);
    }
    return out;
}

static uint64_t text_defects(uint8_t tag, struct bytes v)
{
    if (tag == DER_BMP_STRING || tag == DER_UNIVERSAL_STRING)
        return wide_defects(tag == DER_BMP_STRING ? 2 : 4, v);
    if (tag == DER_BIT_STRING) {
        uint64_t found = 0;
        struct bytes bits;
        int unused;
        return ber_split_bits(v, &bits, &unused, &found) && !found ? 0 : BIT(NAME_TEXT);
    }
    const uint8_t want = tag == DER_PRINTABLE_STRING ? TEXT_PRINTABLE
                         : tag == DER_NUMERIC_STRING ? TEXT_NUMERIC
                         : tag == DER_VISIBLE_STRING ? TEXT_VISIBLE
                         : tag == DER_IA5_STRING     ? TEXT_ASCII
                         : tag == DER_UTF8_STRING    ? TEXT_ASCII
                                                     : 0;
    if (!want && tag != DER_TELETEX_STRING)
        return 0; /* no string: a bit string, a time */
    const uint8_t common = cert_text_class(v);
    uint64_t out = common & TEXT_NO_NUL ? 0 : BIT(NAME_NUL);
    if ((common & want) != want && !(tag == DER_UTF8_STRING && str_is_utf8(v)))
        out |= BIT(NAME_TEXT);
    return out;
}

/* Characters of a string, as its type counts them. */
static size_t text_length(uint8_t tag, struct bytes v)
{
    if (tag == DER_BMP_STRING || tag == DER_UNIVERSAL_STRING)
        return v.n / (tag == DER_BMP_STRING ? 2 : 4);
    size_t n = 0;
    for (size_t i = 0; i < v.n; i++)
        n += tag != DER_UTF8_STRING || (v.p[i] & 0xc0) != 0x80;
    return n;
}

static enum cert_attribute_type attribute_type(struct bytes oid)
{
    static const uint8_t x520[] = {
        [3] = CERT_ATTRIBUTE_CN, [5] = CERT_ATTRIBUTE_SERIAL, [6] = CERT_ATTRIBUTE_C,  [7] = CERT_ATTRIBUTE_L,
        [8] = CERT_ATTRIBUTE_ST, [9] = CERT_ATTRIBUTE_STREET, [10] = CERT_ATTRIBUTE_O, [11] = CERT_ATTRIBUTE_OU,
    };
    if (oid.n == 3 && oid.p[0] == 0x55 && oid.p[1] == 4 && oid.p[2] < sizeof x520)
        return (enum cert_attribute_type)x520[oid.p[2]];
    return bytes_equal(oid, OID_EMAIL) ? CERT_ATTRIBUTE_EMAIL
           : bytes_equal(oid, OID_DC)  ? CERT_ATTRIBUTE_DC
           : bytes_equal(oid, OID_UID) ? CERT_ATTRIBUTE_UID
                                       : CERT_ATTRIBUTE_OTHER;
}

/* Takes one AttributeTypeAndValue. */
static inline bool take_attribute(struct bytes *set, struct bytes *oid, struct cert_text *text, struct bytes *element,
                                  uint64_t *defects)
{
    struct bytes attribute;
    if (!ber_take_tag(set, DER_SEQUENCE, &attribute, defects) || !ber_take_oid(&attribute, oid, defects))
        return false;
    *element = attribute;
    if (!ber_take(&attribute, &text->tag, &text->value, defects))
        return false;
    element->n -= attribute.n;
    if (attribute.n)
        *defects |= BIT(TRAILING);
    return true;
}

/* The kinds of string that an attribute has (RFC 5280 appendix A.1). */
static bool kind_fits(enum cert_attribute_type type, uint8_t tag)
{
    switch (type) {
    case CERT_ATTRIBUTE_C:
    case CERT_ATTRIBUTE_SERIAL:
        return tag == DER_PRINTABLE_STRING;
    case CERT_ATTRIBUTE_DC:
    case CERT_ATTRIBUTE_EMAIL:
        return tag == DER_IA5_STRING;
    case CERT_ATTRIBUTE_OTHER:
        return true;
    default:
        return tag == DER_UTF8_STRING || tag == DER_PRINTABLE_STRING || tag == DER_TELETEX_STRING || tag == DER_BMP_STRING ||
               tag == DER_UNIVERSAL_STRING;
    }
}

static void note_attribute(struct cert_name *name, struct bytes oid, struct cert_text text, uint64_t *defects)
{
    enum cert_attribute_type type = attribute_type(oid);
    struct cert_text *field = type == CERT_ATTRIBUTE_CN   ? &name->common_name
                              : type == CERT_ATTRIBUTE_O  ? &name->organization
                              : type == CERT_ATTRIBUTE_OU ? &name->unit
                              : type == CERT_ATTRIBUTE_C  ? &name->country
                                                          : NULL;
    *defects |= text_defects(text.tag, text.value) | (kind_fits(type, text.tag) ? 0 : BIT(NAME_KIND));
    if (!field)
        return;
    if (!field->tag)
        *field = text;
    if (type == CERT_ATTRIBUTE_C ? text_length(text.tag, text.value) != 2
                                 : text.value.n > 64 && text_length(text.tag, text.value) > 64)
        *defects |= BIT(NAME_LONG);
}

/* Reads the RDNs of name->rdns; false where one is unreadable, with the length of those before it. */
static bool read_rdns(struct cert_name *name, uint64_t *defects, size_t *good)
{
    struct bytes rest = name->rdns, set, oid, element;
    struct cert_text text;
    *good = 0;
    while (rest.n) {
        if (!ber_take_tag(&rest, DER_SET, &set, defects) || !set.n)
            return false;
        while (set.n) {
            if (name->n == CERT_READ_LIST_MAX || !take_attribute(&set, &oid, &text, &element, defects))
                return false;
            name->n++;
            note_attribute(name, oid, text, defects);
        }
        *good = name->rdns.n - rest.n;
    }
    return true;
}

static void read_name(struct bytes element, struct cert_name *out, uint64_t unreadable, uint64_t *defects)
{
    struct bytes rdns;
    size_t good;
    uint64_t found = *defects;
    out->der = element;
    if (!ber_only(element, DER_SEQUENCE, &rdns, defects)) {
        *defects |= unreadable;
        return;
    }
    out->rdns = rdns;
    if (read_rdns(out, defects, &good))
        return;
    *out = (struct cert_name){.der = element, .rdns = bytes_of(rdns.p, good)};
    *defects = found | unreadable;
    (void)read_rdns(out, defects, &good); /* what stands before the break is read again, and nothing of what is broken stays */
}

uint64_t cert_read_name(struct bytes der, struct cert_name *out)
{
    uint64_t defects = 0;
    *out = (struct cert_name){0};
    read_name(der, out, BIT(ISSUER), &defects);
    return defects;
}

struct cert_attribute_cursor cert_attributes(const struct cert_name *name)
{
    return (struct cert_attribute_cursor){.rdns = name->rdns};
}

bool cert_next_attribute(struct cert_attribute_cursor *at, struct cert_attribute *out)
{
    uint64_t ignored = 0;
    out->joined = at->set.n != 0;
    if (!at->set.n && !ber_take_tag(&at->rdns, DER_SET, &at->set, &ignored))
        return false;
    if (!take_attribute(&at->set, &out->oid, &out->text, &out->element, &ignored))
        return false;
    out->type = attribute_type(out->oid);
    return true;
}

/* --- times */

static bool digits(const uint8_t *p, int *out)
{
    const uint8_t a = (uint8_t)(p[0] - '0'), b = (uint8_t)(p[1] - '0');
    *out = a * 10 + b;
    return a < 10 && b < 10;
}

/* What some software writes against RFC 5280: no seconds, a fraction of them, a zone.  `rest` begins behind the minutes. */
static bool loose_end(struct bytes rest, bool fraction, int *second, int64_t *offset_s)
{
    int hours, minutes;
    *second = 0;
    *offset_s = 0;
    if (rest.n >= 2 && rest.p[0] >= '0' && rest.p[0] <= '9') {
        if (!digits(rest.p, second))
            return false;
        bytes_skip(&rest, 2);
        if (fraction && rest.n >= 2 && rest.p[0] == '.' && rest.p[1] >= '0' && rest.p[1] <= '9')
            for (bytes_skip(&rest, 1); rest.n && rest.p[0] >= '0' && rest.p[0] <= '9';)
                bytes_skip(&rest, 1);
    }
    if (rest.n == 1 && rest.p[0] == 'Z')
        return true;
    if (rest.n != 5 || (rest.p[0] != '+' && rest.p[0] != '-') || !digits(rest.p + 1, &hours) || !digits(rest.p + 3, &minutes) ||
        hours > 23 || minutes > 59)
        return false;
    *offset_s = (rest.p[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

static bool read_time(uint8_t tag, struct bytes v, int64_t *unix_s, uint64_t *defects)
{
    struct civil c = {0};
    int64_t offset_s = 0;
    int century = 0, year;
    const bool utc = tag == DER_UTC_TIME;
    if ((!utc && tag != DER_GENERALIZED_TIME) || v.n < (utc ? 11 : 13) || (!utc && !digits(v.p, &century)))
        return false;
    if (!utc)
        bytes_skip(&v, 2);
    if (!digits(v.p, &year) || !digits(v.p + 2, &c.month) || !digits(v.p + 4, &c.day) || !digits(v.p + 6, &c.hour) ||
        !digits(v.p + 8, &c.minute))
        return false;
    c.year = utc ? year + (year >= 50 ? 1900 : 2000) : century * 100 + year;
    if (v.n != 13 || v.p[12] != 'Z' || !digits(v.p + 10, &c.second)) {
        *defects |= BIT(TIME_FORM);
        if (!loose_end(bytes_of(v.p + 10, v.n - 10), !utc, &c.second, &offset_s))
            return false;
    }
    if (!utc && c.year < 2050)
        *defects |= BIT(TIME_KIND);
    if (!civil_to_unix(&c, unix_s))
        return false;
    *unix_s -= offset_s;
    return true;
}

static void read_validity(struct bytes element, struct cert_fields *out)
{
    struct bytes in, v;
    uint8_t tag;
    bool both = ber_only(element, DER_SEQUENCE, &in, &out->defects);
    bool begin = both && ber_take(&in, &tag, &v, &out->defects);
    if (!begin || !read_time(tag, v, &out->not_before, &out->defects))
        out->defects |= BIT(NOT_BEFORE);
    if (!begin || !ber_take(&in, &tag, &v, &out->defects) || !read_time(tag, v, &out->not_after, &out->defects))
        out->defects |= BIT(NOT_AFTER);
    else if (in.n)
        out->defects |= BIT(TRAILING);
    if (!(out->defects & (BIT(NOT_BEFORE) | BIT(NOT_AFTER))) && out->not_after < out->not_before)
        out->defects |= BIT(VALIDITY_ORDER);
}

/* --- algorithms and keys */

static bool take_algorithm(struct bytes element, struct bytes *oid, struct bytes *parameters, uint64_t *defects)
{
    struct bytes in, value;
    uint8_t tag;
    if (!ber_only(element, DER_SEQUENCE, &in, defects) || !ber_take_oid(&in, oid, defects))
        return false;
    *parameters = in;
    if (in.n && !ber_take(&in, &tag, &value, defects))
        return false;
    parameters->n -= in.n;
    if (in.n)
        *defects |= BIT(TRAILING);
    return true;
}

/* RFC 4055 section 3.1: without a hash it is SHA-1. */
static enum cert_hash pss_hash(struct bytes parameters, uint64_t *defects)
{
    struct bytes in, wrapped, algorithm, oid;
    if (!parameters.n)
        return CERT_HASH_NONE;
    if (!ber_only(parameters, DER_SEQUENCE, &in, defects))
        return CERT_HASH_NONE;
    if (!ber_take_tag(&in, DER_CONTEXT_CONS(0), &wrapped, defects))
        return CERT_HASH_SHA1;
    return ber_only(wrapped, DER_SEQUENCE, &algorithm, defects) && ber_take_oid(&algorithm, &oid, defects) ? cert_hash_by_oid(oid)
                                                                                                           : CERT_HASH_NONE;
}

static void read_algorithm(struct cert_fields *out)
{
    struct bytes parameters;
    if (!take_algorithm(out->signature_algorithm, &out->signature_oid, &parameters, &out->defects)) {
        out->defects |= BIT(ALGORITHM);
        out->signature_oid = (struct bytes){0};
        return;
    }
    out->signature_type = cert_signature_by_oid(out->signature_oid, &out->signature_hash);
    if (out->signature_type == CERT_SIGNATURE_RSA_PSS)
        out->signature_hash = pss_hash(parameters, &out->defects);
}

static bool read_rsa(struct cert_key *key, uint64_t *defects)
{
    struct bytes in;
    if (!ber_only(key->bits_value, DER_SEQUENCE, &in, defects) || !ber_take_magnitude(&in, &key->modulus, defects) ||
        !ber_take_magnitude(&in, &key->exponent, defects))
        return false;
    if (in.n)
        *defects |= BIT(TRAILING);
    key->bits = ber_bit_length(key->modulus);
    return true;
}

/* ECParameters (X9.62): version, field, curve, base point, order. */
static bool explicit_order(struct bytes parameters, uint32_t *bits, uint64_t *defects)
{
    struct bytes in, value;
    int version;
    if (!ber_only(parameters, DER_SEQUENCE, &in, defects) || !ber_take_small(&in, &version, defects) ||
        !ber_take_tag(&in, DER_SEQUENCE, &value, defects) || !ber_take_tag(&in, DER_SEQUENCE, &value, defects) ||
        !ber_take_tag(&in, DER_OCTET_STRING, &value, defects) || !ber_take_magnitude(&in, &value, defects))
        return false;
    *bits = ber_bit_length(value);
    return true;
}

static bool read_ec(struct cert_key *key, uint64_t *defects)
{
    struct bytes in = key->parameters;
    if (der_peek(in) == DER_SEQUENCE) {
        key->curve = CERT_CURVE_EXPLICIT;
        return explicit_order(in, &key->bits, defects) && key->bits_value.n;
    }
    if (!ber_take_oid(&in, &key->curve_oid, defects)) {
        key->curve = CERT_CURVE_OTHER;
        return false;
    }
    key->curve = cert_curve_by_oid(key->curve_oid, &key->bits);
    return key->bits_value.n;
}

/* The prime of DSA and Diffie-Hellman; DSA's may be inherited from the issuer, and is then absent. */
static bool read_prime(struct cert_key *key, uint64_t *defects)
{
    struct bytes in, prime;
    if (!key->parameters.n || key->parameters.p[0] == DER_NULL)
        return key->type == CERT_KEY_DSA;
    if (!ber_only(key->parameters, DER_SEQUENCE, &in, defects) || !ber_take_magnitude(&in, &prime, defects))
        return false;
    key->bits = ber_bit_length(prime);
    return true;
}

static bool read_key_content(struct cert_key *key, uint64_t *defects)
{
    switch (key->type) {
    case CERT_KEY_RSA:
    case CERT_KEY_RSA_PSS:
    case CERT_KEY_RSA_OAEP:
        return read_rsa(key, defects);
    case CERT_KEY_EC:
        return read_ec(key, defects);
    case CERT_KEY_DSA:
    case CERT_KEY_DH:
    case CERT_KEY_DHX:
        return read_prime(key, defects);
    case CERT_KEY_GOST_2001:
    case CERT_KEY_GOST_2012_256:
    case CERT_KEY_GOST_2012_512:
        return true; /* an octet string inside */
    default:
        return !key->bits || key->bits_value.n == (key->bits + 7) / 8;
    }
}

static void read_key(struct bytes element, struct cert_fields *out)
{
    struct bytes in, algorithm, bits, rest;
    struct cert_key *key = &out->key;
    int unused;
    key->der = element;
    bool ok = ber_only(element, DER_SEQUENCE, &in, &out->defects);
    rest = in;
    ok = ok && ber_take_tag(&in, DER_SEQUENCE, &algorithm, &out->defects) &&
         take_algorithm(bytes_of(rest.p, rest.n - in.n), &key->oid, &key->parameters, &out->defects) &&
         ber_take_tag(&in, DER_BIT_STRING, &bits, &out->defects) && ber_split_bits(bits, &key->bits_value, &unused, &out->defects);
    if (ok && in.n)
        out->defects |= BIT(TRAILING);
    if (ok) {
        key->type = cert_key_by_oid(key->oid, &key->bits);
        ok = !unused && read_key_content(key, &out->defects);
    }
    if (!ok)
        out->defects |= BIT(KEY);
}

/* --- the certificate */

/* Takes the next field of TBSCertificate, whole. */
static bool take_field(struct bytes *in, struct bytes *element, uint64_t *defects)
{
    struct bytes start = *in, value;
    uint8_t tag;
    if (!ber_take(in, &tag, &value, defects)) {
        *in = (struct bytes){0}; /* nothing behind it can be found */
        *element = (struct bytes){0};
        return false;
    }
    *element = bytes_of(start.p, start.n - in->n);
    return true;
}

static void read_version(struct bytes *in, struct cert_fields *out)
{
    struct bytes wrapped;
    int number = 0;
    out->version = 1;
    if (der_peek(*in) != DER_CONTEXT_CONS(0))
        return;
    if (!ber_take_tag(in, DER_CONTEXT_CONS(0), &wrapped, &out->defects))
        return; /* nor is there a serial number then */
    if (!ber_take_small(&wrapped, &number, &out->defects)) {
        out->version = 0;
        out->defects |= BIT(VERSION);
        return;
    }
    if (wrapped.n)
        out->defects |= BIT(TRAILING);
    if (number < 0 || number > 2)
        out->defects |= BIT(VERSION);
    if (number == 0)
        out->defects |= BIT(DEFAULT);
    out->version = number == INT32_MAX ? INT32_MAX : number + 1;
}

static void check_serial(struct cert_fields *out)
{
    struct bytes serial = out->serial;
    bool zero = true;
    for (size_t i = 0; zero && i < serial.n; i++)
        zero = !serial.p[i];
    if (zero)
        out->defects |= BIT(SERIAL_ZERO);
    if (serial.p[0] & 0x80)
        out->defects |= BIT(SERIAL_NEGATIVE);
    if (serial.n > 20)
        out->defects |= BIT(SERIAL_LONG);
}

/* What follows the key: unique identifiers, extensions. */
static void read_last(struct bytes in, struct cert_fields *out)
{
    struct bytes value;
    uint8_t tag, last = 0;
    while (in.n) {
        if (!ber_take(&in, &tag, &value, &out->defects)) {
            out->defects |= BIT(TRAILING);
            return;
        }
        const uint8_t number = tag & 0x1f;
        if ((tag & 0xc0) != 0x80 || number < 1 || number > 3 || number <= last) {
            out->defects |= BIT(TRAILING);
            continue;
        }
        last = number;
        if (number < 3)
            out->defects |= BIT(UNIQUE_ID) | (out->version < 2 ? BIT(VERSION_FIELDS) : 0);
        else if (tag == DER_CONTEXT_CONS(3))
            cert_read_extensions(value, out);
        else
            out->defects |= BIT(EXTENSIONS);
        if (number == 3 && out->version != 3)
            out->defects |= BIT(VERSION_FIELDS);
    }
}

/* What is wrong only when fields are seen together. */
static void check_whole(struct cert_fields *out)
{
    const bool ca = out->is_ca && (out->key_usage & USAGE_CERT_SIGN || !(out->extensions & EXT_KEY_USAGE));
    out->self_issued = out->issuer.der.n && bytes_equal(out->issuer.der, out->subject.der);
    if (!out->issuer.n && !(out->defects & BIT(ISSUER)))
        out->defects |= BIT(ISSUER_EMPTY);
    if (!out->subject.n && !(out->defects & BIT(SUBJECT)) && !(out->critical & EXT_SAN))
        out->defects |= BIT(SUBJECT_EMPTY);
    if (out->path_length >= 0 && !ca)
        out->defects |= BIT(PATH_LENGTH);
    if (ca && out->key_usage & USAGE_CERT_SIGN && !(out->critical & EXT_BASIC_CONSTRAINTS))
        out->defects |= BIT(CRITICAL);
}

static void read_tbs(struct bytes in, struct cert_fields *out)
{
    struct bytes algorithm, element;
    if (take_field(&in, &algorithm, &out->defects) && !bytes_equal(algorithm, out->signature_algorithm))
        out->defects |= BIT(ALGORITHM_DIFFERS);
    (void)take_field(&in, &element, &out->defects);
    read_name(element, &out->issuer, BIT(ISSUER), &out->defects);
    (void)take_field(&in, &element, &out->defects);
    read_validity(element, out);
    (void)take_field(&in, &element, &out->defects);
    read_name(element, &out->subject, BIT(SUBJECT), &out->defects);
    (void)take_field(&in, &element, &out->defects);
    read_key(element, out);
    read_last(in, out);
    check_whole(out);
}

struct rc cert_read(struct ctx *ctx, struct bytes der, struct cert_fields *out)
{
    struct bytes in = der, certificate, tbs, bits;
    int unused;
    uint8_t tag;
    *out = (struct cert_fields){.der = der, .path_length = -1};
    if (der.n > CERT_READ_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "a certificate of %zu bytes is larger than %zu", der.n, CERT_READ_MAX);
    if (!ber_take_tag(&in, DER_SEQUENCE, &certificate, &out->defects))
        return ctx_fail(ctx, E_PARSE, "this is no certificate: it is not one DER SEQUENCE, or it is cut off");
    if (in.n)
        return ctx_fail(ctx, E_PARSE, "the certificate is followed by %zu bytes that do not belong to it; give each one alone",
                        in.n);
    out->tbs = certificate;
    if (!ber_take_tag(&certificate, DER_SEQUENCE, &tbs, &out->defects))
        return ctx_fail(ctx, E_PARSE, "this is no certificate: it does not begin with a part that was signed");
    out->tbs.n -= certificate.n;
    struct bytes algorithm = certificate, value;
    if (!ber_take(&certificate, &tag, &value, &out->defects))
        return ctx_fail(ctx, E_PARSE, "this is no certificate: it names no signature algorithm");
    out->signature_algorithm = bytes_of(algorithm.p, algorithm.n - certificate.n);
    if (!ber_take(&certificate, &tag, &bits, &out->defects))
        return ctx_fail(ctx, E_PARSE, "this is no certificate: it has no signature");
    if (certificate.n)
        out->defects |= BIT(TRAILING);
    if (tag != DER_BIT_STRING || !ber_split_bits(bits, &out->signature, &unused, &out->defects) || unused)
        out->defects |= BIT(SIGNATURE);
    read_version(&tbs, out);
    if (!ber_take_integer(&tbs, &out->serial, &out->defects))
        return ctx_fail(ctx, E_PARSE, "this is no certificate: its serial number cannot be read");
    check_serial(out);
    read_algorithm(out);
    read_tbs(tbs, out);
    return RC_OK;
}

const char *cert_read_serial(struct arena *a, const struct cert_fields *cert)
{
    struct bytes serial = cert->serial;
    if (serial.n > 1 && serial.p[0] == 0)
        bytes_skip(&serial, 1);
    return hex_str(a, serial);
}
