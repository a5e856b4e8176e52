#include "pki/cert.h"
#include "pki/der.h"
#include "pki/oid.h"

#define DN_ATTRIBUTES_MAX 64
#define DN_TEXT_MAX ((size_t)64 << 10)

static const struct {
    struct bytes oid;
    const char *name; /* RFC 4514 section 3, and the two more that everybody writes */
} attributes[] = {
    {OID_CN, "CN"},    {OID_ORGANIZATION, "O"}, {OID_UNIT, "OU"}, {OID_COUNTRY, "C"},
    {OID_LOCALITY, "L"}, {OID_STATE, "ST"},     {OID_STREET, "STREET"}, {OID_DC, "DC"},
    {OID_UID, "UID"},  {OID_SERIAL_NUMBER, "serialNumber"}, {OID_EMAIL, "emailAddress"},
};

static const char *attribute_name(struct bytes oid)
{
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        if (bytes_equal(attributes[i].oid, oid))
            return attributes[i].name;
    return NULL;
}

static void put_code_point(struct buf *b, uint32_t c)
{
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        c = 0xfffd;
    if (c < 0x80) {
        buf_put_u8(b, (uint8_t)c);
    } else if (c < 0x800) {
        buf_put_u8(b, (uint8_t)(0xc0 | c >> 6));
        buf_put_u8(b, (uint8_t)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_put_u8(b, (uint8_t)(0xe0 | c >> 12));
        buf_put_u8(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_put_u8(b, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        buf_put_u8(b, (uint8_t)(0xf0 | c >> 18));
        buf_put_u8(b, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
        buf_put_u8(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_put_u8(b, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

/* The value of an attribute as UTF-8; false where its type is no string. */
static bool to_utf8(struct arena *a, uint8_t tag, struct bytes value, struct bytes *out)
{
    size_t width = tag == DER_BMP_STRING ? 2 : tag == DER_UNIVERSAL_STRING ? 4 : 1;
    switch (tag) {
    case DER_UTF8_STRING:
    case DER_PRINTABLE_STRING:
    case DER_IA5_STRING:
    case DER_NUMERIC_STRING:
    case DER_VISIBLE_STRING:
    case DER_TELETEX_STRING:
        if (str_is_utf8(value)) {
            *out = value;
            return true;
        }
        break; /* in practice Latin-1 */
    case DER_BMP_STRING:
    case DER_UNIVERSAL_STRING:
        if (value.n % width)
            return false;
        break;
    default:
        return false;
    }
    struct buf b;
    buf_init_arena(&b, a, DN_TEXT_MAX);
    while (value.n) {
        uint32_t c = 0;
        for (size_t i = 0; i < width; i++)
            c = c << 8 | value.p[i];
        bytes_skip(&value, width);
        put_code_point(&b, c);
    }
    *out = buf_bytes(&b);
    return b.failed == E_OK;
}

/* Bytes at `p` that turn the direction of text around (U+202A-202E, U+2066-2069): shown escaped, so that no name can pretend to be
 * another. */
static bool is_direction_mark(const uint8_t *p, size_t n)
{
    return n >= 3 && p[0] == 0xe2 &&
           ((p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae) || (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

/* Escapes control characters; with `dn` also what RFC 4514 section 2.4 wants escaped. */
static void put_escaped(struct buf *b, struct bytes v, bool dn)
{
    static const char hex[] = "0123456789abcdef";
    size_t mark = 0; /* bytes of a direction mark still to be escaped */
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];
        if (!mark && is_direction_mark(v.p + i, v.n - i))
            mark = 3;
        bool c1 = c == 0xc2 && i + 1 < v.n && v.p[i + 1] < 0xa0;
        bool after_c1 = i && v.p[i - 1] == 0xc2 && c < 0xa0 && c >= 0x80;
        if (c < 0x20 || c == 0x7f || mark || c1 || after_c1) {
            buf_put_u8(b, '\\');
            buf_put_u8(b, (uint8_t)hex[c >> 4]);
            buf_put_u8(b, (uint8_t)hex[c & 15]);
            mark -= mark ? 1 : 0;
            continue;
        }
        bool edge = (c == ' ' && (i == 0 || i + 1 == v.n)) || (c == '#' && i == 0);
        if (dn && (edge || memchr(",+\"\\<>;", c, 7)))
            buf_put_u8(b, '\\');
        buf_put_u8(b, c);
    }
}

static void put_attribute(struct buf *b, struct arena *a, struct bytes oid, uint8_t tag, struct bytes value, struct bytes element)
{
    static const char hex[] = "0123456789abcdef";
    const char *name = attribute_name(oid);
    struct bytes utf8;
    if (name)
        buf_put_z(b, name);
    else
        der_oid_text(b, oid);
    buf_put_u8(b, '=');
    if (name && to_utf8(a, tag, value, &utf8)) {
        put_escaped(b, utf8, true);
        return;
    }
    buf_put_u8(b, '#');
    for (size_t i = 0; i < element.n; i++) {
        buf_put_u8(b, (uint8_t)hex[element.p[i] >> 4]);
        buf_put_u8(b, (uint8_t)hex[element.p[i] & 15]);
    }
}

static const char *plain_text(struct arena *a, struct bytes utf8)
{
    struct buf b;
    buf_init_arena(&b, a, DN_TEXT_MAX);
    put_escaped(&b, utf8, false);
    return buf_z(&b);
}

/* Keeps the first of the attributes that have a field of their own. */
static void keep_attribute(struct arena *a, struct bytes oid, uint8_t tag, struct bytes value, struct cert_dn *out)
{
    const char **field = bytes_equal(oid, OID_CN)             ? &out->common_name
                         : bytes_equal(oid, OID_ORGANIZATION) ? &out->organization
                         : bytes_equal(oid, OID_UNIT)         ? &out->unit
                         : bytes_equal(oid, OID_COUNTRY)      ? &out->country
                                                              : NULL;
    struct bytes utf8;
    if (field && !*field && to_utf8(a, tag, value, &utf8))
        *field = plain_text(a, utf8);
}

struct rc dn_parse(struct ctx *ctx, struct bytes der, struct cert_dn *out)
{
    struct bytes rdns, sets[DN_ATTRIBUTES_MAX];
    size_t n = 0, attributes_n = 0;
    *out = (struct cert_dn){.der = der, .text = ""};
    if (!der_only(der, DER_SEQUENCE, &rdns))
        return ctx_fail(ctx, E_PARSE, "a name is malformed");
    if (!rdns.n)
        return RC_OK;
    while (rdns.n) {
        if (n == DN_ATTRIBUTES_MAX)
            return ctx_fail(ctx, E_TOO_LARGE, "a name has more than %d parts", DN_ATTRIBUTES_MAX);
        if (!der_take_tag(&rdns, DER_SET, &sets[n]) || !sets[n].n)
            return ctx_fail(ctx, E_PARSE, "a name is malformed");
        struct bytes set = sets[n++], attribute, oid, value;
        uint8_t tag;
        while (set.n) {
            if (!der_take_tag(&set, DER_SEQUENCE, &attribute) || !der_take_oid(&attribute, &oid) ||
                !der_take(&attribute, &tag, &value) || attribute.n || ++attributes_n > DN_ATTRIBUTES_MAX)
                return ctx_fail(ctx, E_PARSE, "an attribute of a name is malformed");
            keep_attribute(&ctx->arena, oid, tag, value, out);
        }
    }
    struct buf b;
    buf_init_arena(&b, &ctx->arena, DN_TEXT_MAX);
    for (size_t i = n; i-- > 0;) {
        struct bytes set = sets[i], attribute, oid, value;
        bool first = true;
        uint8_t tag;
        if (i != n - 1)
            buf_put_u8(&b, ',');
        while (der_take_tag(&set, DER_SEQUENCE, &attribute) && der_take_oid(&attribute, &oid)) {
            struct bytes element = attribute;
            if (!der_take(&attribute, &tag, &value))
                break;
            if (!first)
                buf_put_u8(&b, '+');
            first = false;
            put_attribute(&b, &ctx->arena, oid, tag, value, element);
        }
    }
    TRY(buf_status(&b));
    out->text = buf_z(&b);
    return RC_OK;
}

static void put_rdn(struct buf *b, struct bytes oid, const char *text)
{
    size_t set = der_begin(b, DER_SET), attribute = der_begin(b, DER_SEQUENCE);
    der_put_oid(b, oid);
    der_put(b, DER_UTF8_STRING, bytes_z(text));
    der_end(b, attribute);
    der_end(b, set);
}

struct rc dn_build(struct ctx *ctx, const char *organization, const char *common_name, struct bytes *out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 4096);
    /* RFC 5280 appendix A.1: ub-common-name and ub-organization-name are 64 characters; bytes are the safer reading. */
    if (bytes_z(common_name).n > 64)
        return ctx_fail(ctx, E_INVALID, "the common name \"%s\" is longer than 64 bytes", common_name);
    if (bytes_z(organization).n > 64)
        return ctx_fail(ctx, E_INVALID, "the organization \"%s\" is longer than 64 bytes", organization);
    if (!str_is_utf8(bytes_z(common_name)) || !str_is_utf8(bytes_z(organization)))
        return ctx_fail(ctx, E_INVALID, "the subject is not UTF-8");
    size_t name = der_begin(&b, DER_SEQUENCE);
    if (organization && *organization)
        put_rdn(&b, OID_ORGANIZATION, organization);
    if (common_name && *common_name)
        put_rdn(&b, OID_CN, common_name);
    der_end(&b, name);
    TRY(buf_status(&b));
    *out = buf_bytes(&b);
    return RC_OK;
}
