#include "pki/name_text.h"

#include <arpa/inet.h>

#include "base/encode.h"
#include "base/str.h"
#include "pki/cert_read_der.h"
#include "pki/oid.h"

#define ELLIPSIS "…"
#define MS(last) BYTES_LIT("\x2b\x06\x01\x04\x01\x82\x37" last)

/* RFC 4514 section 3, RFC 4519, RFC 2985, ETSI EN 319 412-1, CA/B Forum EV Guidelines 9.2.4 */
static const struct {
    struct bytes oid;
    const char *name;
} attributes[] = {
    {OID_CN, "CN"},
    {OID_ORGANIZATION, "O"},
    {OID_COUNTRY, "C"},
    {OID_UNIT, "OU"},
    {OID_LOCALITY, "L"},
    {OID_STATE, "ST"},
    {OID_STREET, "STREET"},
    {OID_DC, "DC"},
    {OID_UID, "UID"},
    {OID_SERIAL_NUMBER, "serialNumber"},
    {OID_EMAIL, "emailAddress"},
    {BYTES_LIT("\x55\x04\x04"), "SN"},
    {BYTES_LIT("\x55\x04\x0c"), "title"},
    {BYTES_LIT("\x55\x04\x0d"), "description"},
    {BYTES_LIT("\x55\x04\x0f"), "businessCategory"},
    {BYTES_LIT("\x55\x04\x11"), "postalCode"},
    {BYTES_LIT("\x55\x04\x2a"), "GN"},
    {BYTES_LIT("\x55\x04\x2e"), "dnQualifier"},
    {BYTES_LIT("\x55\x04\x41"), "pseudonym"},
    {BYTES_LIT("\x55\x04\x61"), "organizationIdentifier"},
    {BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x02"), "unstructuredName"},
    {MS("\x3c\x02\x01\x01"), "jurisdictionL"},
    {MS("\x3c\x02\x01\x02"), "jurisdictionST"},
    {MS("\x3c\x02\x01\x03"), "jurisdictionC"},
};

static void put_code_point(struct buf *b, uint32_t c)
{
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

static void put_hex_pairs(struct buf *b, struct bytes v)
{
    for (size_t i = 0; i < v.n; i++) {
        buf_put_u8(b, '\\');
        put_hex(b, bytes_of(v.p + i, 1));
    }
}

/* Takes one character of UTF-8; false, with one byte taken, where there is none. */
static bool take_utf8(struct bytes *v, uint32_t *c, struct bytes *raw)
{
    const uint8_t lead = v->p[0];
    const size_t n = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    *raw = bytes_of(v->p, n <= v->n ? n : 1);
    const bool ok = n <= v->n && str_is_utf8(*raw);
    if (!ok)
        raw->n = 1;
    bytes_skip(v, raw->n);
    *c = n == 1 ? lead : lead & (0xffu >> (n + 1));
    for (size_t i = 1; ok && i < n; i++)
        *c = *c << 6 | (raw->p[i] & 0x3f);
    return ok;
}

/* Takes one character of UTF-16, which is what BMPString is in practice, or of UTF-32. */
static bool take_wide(struct bytes *v, size_t width, uint32_t *c, struct bytes *raw)
{
    *c = 0;
    if (!bytes_take(v, width, raw)) {
        *raw = *v;
        *v = (struct bytes){0};
        return false;
    }
    for (size_t i = 0; i < width; i++)
        *c = *c << 8 | raw->p[i];
    if (width == 2 && *c >= 0xd800 && *c < 0xdc00 && v->n >= 2 && (v->p[0] & 0xfc) == 0xdc) {
        *c = 0x10000 + ((*c - 0xd800) << 10) + ((uint32_t)(v->p[0] & 3) << 8 | v->p[1]);
        raw->n = 4;
        bytes_skip(v, 2);
    }
    return *c <= 0x10ffff && (*c < 0xd800 || *c > 0xdfff);
}

/* Control characters, and the marks that turn the direction of text (U+202A-202E, U+2066-2069, U+200E, U+200F, U+061C): a name must
 * not be able to look like another. */
static bool is_hidden(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e ||
           c == 0x200f || c == 0x61c || c == 0x2028 || c == 0x2029;
}

/* What a string type holds: 0 where it is no string, else bytes a character, with UTF-8 as one. */
static size_t string_width(uint8_t tag)
{
    switch (tag) {
    case DER_UTF8_STRING:
    case DER_PRINTABLE_STRING:
    case DER_IA5_STRING:
    case DER_NUMERIC_STRING:
    case DER_VISIBLE_STRING:
    case DER_TELETEX_STRING:
        return 1;
    case DER_BMP_STRING:
        return 2;
    case DER_UNIVERSAL_STRING:
        return 4;
    default:
        return 0;
    }
}

/* `dn`: also escaped is what RFC 4514 section 2.4 wants escaped. */
static void put_string(struct buf *b, uint8_t tag, struct bytes v, bool dn)
{
    const size_t width = string_width(tag);
    const bool latin1 = tag == DER_TELETEX_STRING && !str_is_utf8(v), cut = v.n > NAME_TEXT_VALUE_MAX;
    struct bytes raw, start = cut ? bytes_of(v.p, NAME_TEXT_VALUE_MAX) : v;
    for (struct bytes rest = start; rest.n;) {
        uint32_t c;
        const bool first = rest.n == start.n;
        bool ok;
        if (latin1) {
            raw = bytes_of(rest.p, 1);
            c = rest.p[0];
            ok = bytes_skip(&rest, 1);
        } else {
            ok = width == 1 ? take_utf8(&rest, &c, &raw) : take_wide(&rest, width, &c, &raw);
        }
        if (!ok && cut && rest.n < 4)
            break; /* a character cut in two */
        const bool edge = dn && ((c == ' ' && (first || !rest.n)) || (c == '#' && first));
        if (!ok || is_hidden(c) || c == '\\') {
            put_hex_pairs(b, raw);
            continue;
        }
        if (edge || (dn && c < 0x80 && memchr(",+\"<>;", (int)c, 6)))
            buf_put_u8(b, '\\');
        put_code_point(b, c);
    }
    if (cut)
        buf_put_z(b, ELLIPSIS);
}

static void put_hash(struct buf *b, struct bytes v)
{
    buf_put_u8(b, '#');
    put_hex(b, v.n > NAME_TEXT_VALUE_MAX ? bytes_of(v.p, NAME_TEXT_VALUE_MAX) : v);
    if (v.n > NAME_TEXT_VALUE_MAX)
        buf_put_z(b, ELLIPSIS);
}

void name_text_put_value(struct buf *b, struct cert_text text)
{
    if (string_width(text.tag))
        put_string(b, text.tag, text.value, false);
    else if (text.tag)
        put_hash(b, text.value);
}

static void put_attribute(struct buf *b, const struct cert_attribute *attribute)
{
    const char *name = NULL;
    for (size_t i = 0; !name && i < sizeof attributes / sizeof *attributes; i++)
        if (bytes_equal(attributes[i].oid, attribute->oid))
            name = attributes[i].name;
    if (name)
        buf_put_z(b, name);
    else
        der_oid_text(b, attribute->oid);
    buf_put_u8(b, '=');
    if (name && string_width(attribute->text.tag))
        put_string(b, attribute->text.tag, attribute->text.value, true);
    else
        put_hash(b, attribute->element);
}

/* RDNs come last first, and a cursor only goes forward: so many are found by where they begin. */
#define RDNS_MAX 64

void name_text_put_dn(struct buf *b, const struct cert_name *name)
{
    struct cert_attribute_cursor rdns[RDNS_MAX], at = cert_attributes(name);
    struct cert_attribute attribute;
    const size_t begin = b->n;
    size_t n = 0, all = 0;
    for (struct cert_attribute_cursor before = at; cert_next_attribute(&at, &attribute); before = at)
        if (!attribute.joined)
            rdns[all++ % RDNS_MAX] = before;
    n = all < RDNS_MAX ? all : RDNS_MAX;
    for (size_t i = 0; i < n; i++) {
        at = rdns[(all - 1 - i) % RDNS_MAX];
        for (bool first = true; cert_next_attribute(&at, &attribute) && (first || attribute.joined); first = false) {
            if (b->n - begin > NAME_TEXT_MAX)
                break;
            if (!first || i)
                buf_put_u8(b, first ? ',' : '+');
            put_attribute(b, &attribute);
        }
    }
    if (n < all || b->n - begin > NAME_TEXT_MAX)
        buf_put_z(b, ELLIPSIS);
}

/* More than a name's text can have: what is over NAME_TEXT_MAX is one attribute, each of its bytes escaped. */
#define TEXT_CEILING ((size_t)64 << 10)

const char *name_text_str(struct arena *a, struct cert_text text)
{
    struct buf b;
    if (!text.tag || !text.value.n)
        return "";
    buf_init_arena(&b, a, TEXT_CEILING);
    name_text_put_value(&b, text);
    return buf_z(&b);
}

const char *name_text_dn(struct arena *a, const struct cert_name *name)
{
    struct buf b;
    buf_init_arena(&b, a, TEXT_CEILING);
    name_text_put_dn(&b, name);
    return buf_z(&b);
}

static void put_other(struct buf *b, struct bytes v)
{
    struct bytes oid, wrapped, value;
    uint64_t ignored = 0;
    uint8_t tag;
    if (!ber_take_oid(&v, &oid, &ignored) || !ber_take_tag(&v, DER_CONTEXT_CONS(0), &wrapped, &ignored))
        return;
    der_oid_text(b, oid);
    buf_put_u8(b, '=');
    struct bytes whole = wrapped;
    if (ber_take(&wrapped, &tag, &value, &ignored) && string_width(tag))
        put_string(b, tag, value, false);
    else
        put_hash(b, whole);
}

void name_text_put_general(struct buf *b, const struct cert_general_name *name)
{
    static const char *const words[] = {
        [CERT_GENERAL_OTHER] = "other", [CERT_GENERAL_EMAIL] = "email",  [CERT_GENERAL_DNS] = "dns",
        [CERT_GENERAL_X400] = "x400",   [CERT_GENERAL_DIRECTORY] = "dn", [CERT_GENERAL_EDI] = "edi",
        [CERT_GENERAL_URI] = "uri",     [CERT_GENERAL_IP] = "ip",        [CERT_GENERAL_REGISTERED_ID] = "oid",
    };
    struct cert_name dn;
    char ip[IP_TEXT_MAX];
    buf_put_z(b, words[name->type]);
    buf_put_u8(b, ':');
    switch (name->type) {
    case CERT_GENERAL_EMAIL:
    case CERT_GENERAL_DNS:
    case CERT_GENERAL_URI:
        put_string(b, DER_IA5_STRING, name->value, false);
        return;
    case CERT_GENERAL_IP:
        if ((name->value.n == 4 || name->value.n == 16) &&
            inet_ntop(name->value.n == 4 ? AF_INET : AF_INET6, name->value.p, ip, sizeof ip))
            buf_put_z(b, ip);
        else
            put_hash(b, name->value);
        return;
    case CERT_GENERAL_DIRECTORY:
        (void)cert_read_name(name->value, &dn);
        name_text_put_dn(b, &dn);
        return;
    case CERT_GENERAL_REGISTERED_ID:
        der_oid_text(b, name->value);
        return;
    case CERT_GENERAL_OTHER:
        put_other(b, name->value);
        return;
    default:
        put_hash(b, name->value);
    }
}

void name_text_dns(struct bytes raw, struct name_text_dns *out)
{
    static const char hex[] = "0123456789abcdef";
    if (raw.n > 1 && raw.p[raw.n - 1] == '.')
        raw.n--;
    size_t n = 0;
    out->cut = false;
    out->valid = raw.n && name_dns_valid(raw, true);
    out->wildcard = raw.n > 2 && raw.p[0] == '*' && raw.p[1] == '.';
    for (size_t i = 0; i < raw.n; i++) {
        const uint8_t c = raw.p[i];
        const bool plain = c > 0x20 && c < 0x7f && c != '\\';
        if (n + (plain ? 1 : 3) > NAME_TEXT_DNS_MAX) {
            out->cut = true;
            break;
        }
        if (plain) {
            out->text[n++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
            continue;
        }
        out->text[n++] = '\\';
        out->text[n++] = hex[c >> 4];
        out->text[n++] = hex[c & 15];
    }
    out->text[n] = 0;
    out->n = (uint16_t)n;
}
