#include "pki/cert_read_der.h"
#include "pki/oid.h"

#define BIT CERT_DEFECT_BIT

/* --- walking through lists.  The same functions read a list for the first time, with defects noted. */

static bool text_is_graphic(struct bytes v)
{
    return v.n && cert_text_class(v) & TEXT_GRAPHIC;
}

/* Takes one GeneralName (RFC 5280 section 4.2.1.6). */
static inline bool take_general_name(struct bytes *in, struct cert_general_name *out, uint64_t *defects)
{
    struct bytes oid, inner, rest;
    uint8_t tag;
    if (!ber_take(in, &tag, &out->value, defects))
        return false;
    switch (tag) {
    case DER_CONTEXT(1):
    case DER_CONTEXT(2):
    case DER_CONTEXT(6):
        out->type = (enum cert_general_name_type)(tag & 0x1f);
        if (!text_is_graphic(out->value))
            *defects |= BIT(SAN_TEXT);
        return true;
    case DER_CONTEXT(7):
        out->type = CERT_GENERAL_IP;
        if (out->value.n != 4 && out->value.n != 16)
            *defects |= BIT(SAN_ADDRESS);
        return true;
    case DER_CONTEXT_CONS(0):
        out->type = CERT_GENERAL_OTHER;
        rest = out->value;
        return ber_take_oid(&rest, &oid, defects) && ber_take_tag(&rest, DER_CONTEXT_CONS(0), &inner, defects) && !rest.n;
    case DER_CONTEXT_CONS(4):
        out->type = CERT_GENERAL_DIRECTORY;
        rest = out->value;
        return ber_take_tag(&rest, DER_SEQUENCE, &inner, defects) && !rest.n;
    case DER_CONTEXT_CONS(3):
    case DER_CONTEXT_CONS(5):
        out->type = (enum cert_general_name_type)(tag & 0x1f);
        return true;
    case DER_CONTEXT(8):
        out->type = CERT_GENERAL_REGISTERED_ID;
        return out->value.n > 0;
    default:
        return false;
    }
}

static inline bool take_policy(struct bytes *in, struct bytes *oid, uint64_t *defects)
{
    struct bytes policy, qualifiers;
    if (!ber_take_tag(in, DER_SEQUENCE, &policy, defects) || !ber_take_oid(&policy, oid, defects) ||
        (policy.n && !ber_take_tag(&policy, DER_SEQUENCE, &qualifiers, defects)))
        return false;
    return !policy.n;
}

static inline bool take_access(struct bytes *in, struct cert_access *out, uint64_t *defects)
{
    struct bytes access;
    return ber_take_tag(in, DER_SEQUENCE, &access, defects) && ber_take_oid(&access, &out->method, defects) &&
           take_general_name(&access, &out->location, defects) && !access.n;
}

static inline bool take_sct(struct bytes *in, struct cert_sct *out)
{
    struct bytes cursor = *in, sct;
    uint16_t n;
    *out = (struct cert_sct){0};
    if (!bytes_take_u16(&cursor, &n) || !bytes_take(&cursor, n, &sct) || !bytes_take_u8(&sct, &out->version))
        return false;
    if (out->version == 0 &&
        (!bytes_take(&sct, 32, &out->log_id) || !bytes_take_u64(&sct, &out->unix_ms) || !bytes_take_u16(&sct, &n) ||
         !bytes_take(&sct, n, &out->extensions) || !bytes_take_u8(&sct, &out->hash) || !bytes_take_u8(&sct, &out->signature_type) ||
         !bytes_take_u16(&sct, &n) || !bytes_take(&sct, n, &out->signature) || sct.n))
        return false;
    *in = cursor;
    return true;
}

/* DistributionPoint (RFC 5280 section 4.2.1.13): its full names, where it has some. */
static inline bool take_crl_point(struct bytes *in, struct bytes *names, uint64_t *defects)
{
    struct bytes point, name, value;
    *names = (struct bytes){0};
    if (!ber_take_tag(in, DER_SEQUENCE, &point, defects))
        return false;
    if (der_peek(point) == DER_CONTEXT_CONS(0)) {
        if (!ber_take_tag(&point, DER_CONTEXT_CONS(0), &name, defects))
            return false;
        const bool relative = der_peek(name) == DER_CONTEXT_CONS(1); /* to the name of its issuer */
        if (!ber_take_tag(&name, DER_CONTEXT_CONS(relative), relative ? &value : names, defects) || name.n)
            return false;
    }
    if (der_peek(point) == DER_CONTEXT(1) && !ber_take_tag(&point, DER_CONTEXT(1), &value, defects))
        return false;
    if (der_peek(point) == DER_CONTEXT_CONS(2) && !ber_take_tag(&point, DER_CONTEXT_CONS(2), &value, defects))
        return false;
    return !point.n;
}

/* Takes names up to and with the next URI; `uri` is empty where there was none. */
static inline bool take_uri(struct bytes *names, struct bytes *uri, uint64_t *defects)
{
    struct cert_general_name name;
    *uri = (struct bytes){0};
    while (names->n && !uri->n) {
        if (!take_general_name(names, &name, defects))
            return false;
        if (name.type == CERT_GENERAL_URI)
            *uri = name.value;
    }
    return true;
}

bool cert_next_general_name(struct bytes *rest, struct cert_general_name *out)
{
    uint64_t ignored = 0;
    return take_general_name(rest, out, &ignored);
}

bool cert_next_oid(struct bytes *rest, struct bytes *oid)
{
    uint64_t ignored = 0;
    return ber_take_oid(rest, oid, &ignored);
}

bool cert_next_policy(struct bytes *rest, struct bytes *oid)
{
    uint64_t ignored = 0;
    return take_policy(rest, oid, &ignored);
}

bool cert_next_access(struct bytes *rest, struct cert_access *out)
{
    uint64_t ignored = 0;
    return take_access(rest, out, &ignored);
}

bool cert_next_sct(struct bytes *rest, struct cert_sct *out)
{
    return take_sct(rest, out);
}

bool cert_next_crl_uri(struct bytes *rest, struct bytes *point, struct bytes *uri)
{
    uint64_t ignored = 0;
    for (;;) {
        if (point->n && take_uri(point, uri, &ignored) && uri->n)
            return true;
        if (!rest->n || !take_crl_point(rest, point, &ignored))
            return false;
    }
}

/* --- extensions: one function each, given the content of extnValue.  False: unreadable, or not to its end. */

/* Says whether one more element may be read. */
static bool room(struct cert_list *list, uint64_t *defects)
{
    if (list->n < CERT_READ_LIST_MAX)
        return true;
    *defects |= BIT(EXTENSIONS_MANY);
    return false;
}

/* Notes that the elements up to where `rest` begins were read. */
static void keep(struct cert_list *list, struct bytes rest)
{
    list->der.n = (size_t)(rest.p - list->der.p);
    list->n++;
}

/* Opens the SEQUENCE OF that an extension is; the list is empty. */
static bool open_list(struct bytes v, struct bytes *rest, struct cert_list *list, uint64_t *defects)
{
    if (!ber_only(v, DER_SEQUENCE, rest, defects))
        return false;
    *list = (struct cert_list){.der = bytes_of(rest->p, 0)};
    return true;
}

static bool read_ski(struct bytes v, struct cert_fields *c)
{
    return ber_only(v, DER_OCTET_STRING, &c->ski, &c->defects);
}

static bool read_aki(struct bytes v, struct cert_fields *c)
{
    struct bytes in;
    if (!ber_only(v, DER_SEQUENCE, &in, &c->defects))
        return false;
    if (der_peek(in) == DER_CONTEXT(0) && !ber_take_tag(&in, DER_CONTEXT(0), &c->aki, &c->defects))
        return false;
    if (der_peek(in) == DER_CONTEXT_CONS(1) && !ber_take_tag(&in, DER_CONTEXT_CONS(1), &c->aki_issuer, &c->defects))
        return false;
    if (der_peek(in) == DER_CONTEXT(2) && !ber_take_tag(&in, DER_CONTEXT(2), &c->aki_serial, &c->defects))
        return false;
    return !in.n;
}

static bool read_key_usage(struct bytes v, struct cert_fields *c)
{
    struct bytes value, bits;
    int unused;
    if (!ber_only(v, DER_BIT_STRING, &value, &c->defects) || !ber_split_bits(value, &bits, &unused, &c->defects))
        return false;
    for (size_t i = 0; i < bits.n * 8 - (size_t)unused && i < 32; i++)
        c->key_usage |= bits.p[i / 8] & (0x80u >> (i % 8)) ? 1u << i : 0;
    if (!c->key_usage)
        c->defects |= BIT(KEY_USAGE_EMPTY);
    return true;
}

static uint32_t eku_flag(struct bytes oid)
{
    static const uint32_t pkix[] = {
        [1] = EKU_SERVER, [2] = EKU_CLIENT, [3] = EKU_CODE, [4] = EKU_EMAIL, [8] = EKU_TIME, [9] = EKU_OCSP};
    struct bytes arc = OID_EKU_SERVER;
    const uint8_t last = oid.p[oid.n - 1];
    if (oid.n == arc.n && !memcmp(oid.p, arc.p, arc.n - 1) && last < sizeof pkix / sizeof *pkix && pkix[last])
        return pkix[last];
    return bytes_equal(oid, OID_EKU_ANY) ? EKU_ANY : EKU_UNKNOWN;
}

static bool read_eku(struct bytes v, struct cert_fields *c)
{
    struct bytes rest, oid;
    if (!open_list(v, &rest, &c->eku_oids, &c->defects))
        return false;
    while (rest.n && room(&c->eku_oids, &c->defects)) {
        if (!ber_take_oid(&rest, &oid, &c->defects))
            return false;
        c->eku |= eku_flag(oid);
        keep(&c->eku_oids, rest);
    }
    return c->eku_oids.n > 0;
}

static bool read_san(struct bytes v, struct cert_fields *c)
{
    struct cert_general_name name;
    struct bytes rest;
    if (!open_list(v, &rest, &c->san, &c->defects))
        return false;
    if (!rest.n)
        c->defects |= BIT(SAN_EMPTY);
    while (rest.n && room(&c->san, &c->defects)) {
        if (!take_general_name(&rest, &name, &c->defects))
            return false;
        c->san_dns_n += name.type == CERT_GENERAL_DNS;
        c->san_ip_n += name.type == CERT_GENERAL_IP;
        keep(&c->san, rest);
    }
    return true;
}

static bool read_basic_constraints(struct bytes v, struct cert_fields *c)
{
    struct bytes in;
    bool ca;
    int length = -1;
    if (!ber_only(v, DER_SEQUENCE, &in, &c->defects) || !ber_take_flag(&in, &ca, &c->defects))
        return false;
    if (in.n && (!ber_take_small(&in, &length, &c->defects) || length < 0 || in.n))
        return false;
    c->is_ca = ca;
    c->path_length = length;
    return true;
}

/* GeneralSubtrees (RFC 5280 section 4.2.1.10): what its names may be is another matter than for alternative names. */
static bool read_subtrees(struct bytes rest, uint64_t *defects)
{
    struct cert_general_name base;
    struct bytes subtree, value;
    uint64_t of_names = 0;
    while (rest.n) {
        if (!ber_take_tag(&rest, DER_SEQUENCE, &subtree, defects) || !take_general_name(&subtree, &base, &of_names))
            return false;
        for (uint8_t bound = 0; bound < 2; bound++)
            if (der_peek(subtree) == DER_CONTEXT(bound) && !ber_take_tag(&subtree, DER_CONTEXT(bound), &value, defects))
                return false;
        if (subtree.n)
            return false;
    }
    *defects |= of_names & ~(BIT(SAN_TEXT) | BIT(SAN_ADDRESS));
    return true;
}

static bool read_name_constraints(struct bytes v, struct cert_fields *c)
{
    struct bytes in, subtrees;
    c->name_constraints = v;
    if (!ber_only(v, DER_SEQUENCE, &in, &c->defects) || !in.n)
        return false;
    for (uint8_t kind = 0; kind < 2; kind++)
        if (der_peek(in) == DER_CONTEXT_CONS(kind) &&
            (!ber_take_tag(&in, DER_CONTEXT_CONS(kind), &subtrees, &c->defects) || !read_subtrees(subtrees, &c->defects)))
            return false;
    return !in.n;
}

static bool read_policies(struct bytes v, struct cert_fields *c)
{
    static const struct {
        struct bytes oid;
        uint32_t flag;
    } known[] = {
        {BYTES_LIT("\x67\x81\x0c\x01\x02\x01"), POLICY_DOMAIN},
        {BYTES_LIT("\x67\x81\x0c\x01\x02\x02"), POLICY_ORGANIZATION},
        {BYTES_LIT("\x67\x81\x0c\x01\x02\x03"), POLICY_INDIVIDUAL},
        {BYTES_LIT("\x67\x81\x0c\x01\x01"), POLICY_EXTENDED},
        {BYTES_LIT("\x55\x1d\x20\x00"), POLICY_ANY},
    };
    struct bytes rest, oid;
    if (!open_list(v, &rest, &c->policies, &c->defects))
        return false;
    while (rest.n && room(&c->policies, &c->defects)) {
        if (!take_policy(&rest, &oid, &c->defects))
            return false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            c->policy_flags |= bytes_equal(known[i].oid, oid) ? known[i].flag : 0;
        keep(&c->policies, rest);
    }
    return c->policies.n > 0;
}

static bool read_access(struct bytes v, struct cert_fields *c)
{
    struct cert_access access;
    struct bytes rest;
    uint64_t of_names = 0; /* what is odd in a name here is no defect of the alternative names */
    if (!open_list(v, &rest, &c->access, &c->defects))
        return false;
    while (rest.n && room(&c->access, &c->defects)) {
        if (!take_access(&rest, &access, &of_names))
            return false;
        keep(&c->access, rest);
        if (access.location.type != CERT_GENERAL_URI)
            continue;
        if (!c->ocsp_uri.n && bytes_equal(access.method, OID_AIA_OCSP))
            c->ocsp_uri = access.location.value;
        if (!c->issuer_uri.n && bytes_equal(access.method, OID_AIA_ISSUER))
            c->issuer_uri = access.location.value;
    }
    c->defects |= of_names & ~(BIT(SAN_TEXT) | BIT(SAN_ADDRESS));
    return c->access.n > 0;
}

static bool read_crl_points(struct bytes v, struct cert_fields *c)
{
    struct bytes rest, names, uri;
    uint64_t of_names = 0;
    if (!open_list(v, &rest, &c->crl_points, &c->defects))
        return false;
    while (rest.n && room(&c->crl_points, &c->defects)) {
        if (!take_crl_point(&rest, &names, &of_names))
            return false;
        while (names.n) {
            if (!take_uri(&names, &uri, &of_names))
                return false;
            if (!c->crl_uri.n)
                c->crl_uri = uri;
        }
        keep(&c->crl_points, rest);
    }
    c->defects |= of_names & ~(BIT(SAN_TEXT) | BIT(SAN_ADDRESS));
    return c->crl_points.n > 0;
}

static bool read_scts(struct bytes v, struct cert_fields *c)
{
    struct bytes rest;
    struct cert_sct sct;
    uint16_t n;
    if (!ber_only(v, DER_OCTET_STRING, &rest, &c->defects) || !bytes_take_u16(&rest, &n) || n != rest.n)
        return false;
    c->scts = (struct cert_list){.der = bytes_of(rest.p, 0)};
    while (rest.n && room(&c->scts, &c->defects)) {
        if (!take_sct(&rest, &sct))
            return false;
        keep(&c->scts, rest);
    }
    return c->scts.n > 0;
}

static bool read_tls_feature(struct bytes v, struct cert_fields *c)
{
    struct bytes rest;
    int feature;
    if (!ber_only(v, DER_SEQUENCE, &rest, &c->defects))
        return false;
    while (rest.n) {
        if (!ber_take_small(&rest, &feature, &c->defects))
            return false;
        c->must_staple = c->must_staple || feature == 5 || feature == 17;
    }
    return true;
}

static bool read_nothing(struct bytes v, struct cert_fields *c)
{
    (void)v;
    (void)c;
    return true;
}

enum { MAY_BE, NOT_CRITICAL, MUST_BE };
#define ARC(last) BYTES_LIT("\x55\x1d" last)
static const struct known {
    struct bytes oid;
    uint32_t flag;
    uint64_t unreadable;
    int critical;
    bool (*read)(struct bytes value, struct cert_fields *c);
} extensions[] = {
    {OID_SKI, EXT_SKI, BIT(SKI), NOT_CRITICAL, read_ski},
    {OID_AKI, EXT_AKI, BIT(AKI), NOT_CRITICAL, read_aki},
    {OID_KEY_USAGE, EXT_KEY_USAGE, BIT(KEY_USAGE), MAY_BE, read_key_usage},
    {OID_EKU, EXT_EKU, BIT(EKU), MAY_BE, read_eku},
    {OID_SAN, EXT_SAN, BIT(SAN), MAY_BE, read_san},
    {OID_BASIC_CONSTRAINTS, EXT_BASIC_CONSTRAINTS, BIT(BASIC_CONSTRAINTS), MAY_BE, read_basic_constraints},
    {OID_POLICIES, EXT_POLICIES, BIT(POLICIES), MAY_BE, read_policies},
    {OID_AIA, EXT_AIA, BIT(ACCESS), NOT_CRITICAL, read_access},
    {OID_SCT_LIST, EXT_SCT_LIST, BIT(SCTS), MAY_BE, read_scts},
    {OID_CRL_POINTS, EXT_CRL_POINTS, BIT(CRL_POINTS), MAY_BE, read_crl_points},
    {OID_NAME_CONSTRAINTS, EXT_NAME_CONSTRAINTS, BIT(NAME_CONSTRAINTS), MUST_BE, read_name_constraints},
    {OID_TLS_FEATURE, EXT_TLS_FEATURE, BIT(TLS_FEATURE), MAY_BE, read_tls_feature},
    {BYTES_LIT("\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x03"), EXT_POISON, 0, MUST_BE, read_nothing},
    {ARC("\x12"), EXT_ISSUER_NAMES, 0, MAY_BE, read_nothing},
    {ARC("\x21"), EXT_POLICY_MAPPINGS, 0, MAY_BE, read_nothing},
    {ARC("\x24"), EXT_POLICY_CONSTRAINTS, 0, MUST_BE, read_nothing},
    {ARC("\x36"), EXT_INHIBIT_ANY_POLICY, 0, MUST_BE, read_nothing},
    {ARC("\x2e"), EXT_FRESHEST_CRL, 0, NOT_CRITICAL, read_nothing},
    {BYTES_LIT("\x2b\x06\x01\x05\x05\x07\x01\x0b"), EXT_SUBJECT_INFO, 0, NOT_CRITICAL, read_nothing},
};

static const struct known *find_known(struct bytes oid)
{
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        if (extensions[i].oid.n == oid.n && extensions[i].oid.p[oid.n - 1] == oid.p[oid.n - 1] &&
            bytes_equal(extensions[i].oid, oid))
            return &extensions[i];
    return NULL;
}

static void read_unknown(struct bytes oid, bool critical, struct cert_fields *out)
{
    out->extensions |= EXT_OTHER;
    if (!critical)
        return;
    out->critical |= EXT_OTHER;
    if (!out->unknown_critical_n++)
        out->unknown_critical = oid;
}

/* The unknown ones seen so far, to find those that come twice. */
struct seen {
    struct bytes oids[CERT_READ_EXTENSIONS_MAX];
    size_t n;
};

static bool seen_before(struct seen *seen, struct bytes oid)
{
    for (size_t i = 0; i < seen->n; i++)
        if (bytes_equal(seen->oids[i], oid))
            return true;
    seen->oids[seen->n++] = oid;
    return false;
}

static void read_extension(struct bytes oid, bool critical, struct bytes value, struct seen *seen, struct cert_fields *out)
{
    const struct known *known = find_known(oid);
    if (known ? (out->extensions & known->flag) != 0 : seen_before(seen, oid)) {
        out->defects |= BIT(EXTENSION_TWICE);
        return;
    }
    if (!known) {
        read_unknown(oid, critical, out);
        return;
    }
    out->extensions |= known->flag;
    out->critical |= critical ? known->flag : 0;
    if ((critical && known->critical == NOT_CRITICAL) || (!critical && known->critical == MUST_BE))
        out->defects |= BIT(CRITICAL);
    if (!known->read(value, out))
        out->defects |= known->unreadable;
}

void cert_read_extensions(struct bytes wrapped, struct cert_fields *out)
{
    struct bytes list, extension, oid, value;
    struct seen seen;
    bool critical;
    seen.n = 0;
    if (!ber_only(wrapped, DER_SEQUENCE, &list, &out->defects)) {
        out->defects |= BIT(EXTENSIONS);
        return;
    }
    if (!list.n)
        out->defects |= BIT(EXTENSIONS_EMPTY);
    while (list.n) {
        if (out->extension_n == CERT_READ_EXTENSIONS_MAX) {
            out->defects |= BIT(EXTENSIONS_MANY);
            return;
        }
        if (!ber_take_tag(&list, DER_SEQUENCE, &extension, &out->defects)) {
            out->defects |= BIT(EXTENSIONS);
            return;
        }
        out->extension_n++;
        if (!ber_take_oid(&extension, &oid, &out->defects) || !ber_take_flag(&extension, &critical, &out->defects) ||
            !ber_take_tag(&extension, DER_OCTET_STRING, &value, &out->defects)) {
            out->defects |= BIT(EXTENSIONS);
            continue;
        }
        if (extension.n)
            out->defects |= BIT(TRAILING);
        read_extension(oid, critical, value, &seen, out);
    }
}
