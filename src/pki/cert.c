#include "pki/cert.h"

#include "base/encode.h"
#include "pki/der.h"
#include "pki/oid.h"
#include "pki/pem.h"

#define EXTENSIONS_MAX 64
#define URLS_MAX 16
#define URL_MAX 2048

static struct rc malformed(struct ctx *ctx, const char *what)
{
    return ctx_fail(ctx, E_PARSE, "the certificate's %s cannot be read", what);
}

/* --- signature algorithms */

static const struct {
    struct bytes oid;
    const char *name;
} signatures[] = {
    {OID_ECDSA_SHA256, "ecdsa-with-SHA256"},      {OID_ECDSA_SHA384, "ecdsa-with-SHA384"},
    {OID_ECDSA_SHA512, "ecdsa-with-SHA512"},      {OID_RSA_SHA256, "sha256WithRSAEncryption"},
    {OID_RSA_SHA384, "sha384WithRSAEncryption"},  {OID_RSA_SHA512, "sha512WithRSAEncryption"},
    {OID_RSA_PSS, "rsassaPss"},                   {OID_ED25519, "Ed25519"},
};

static const char *signature_name(struct arena *a, struct bytes algorithm)
{
    struct bytes body, oid;
    if (!der_only(algorithm, DER_SEQUENCE, &body) || !der_take_oid(&body, &oid))
        return "?";
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
        if (bytes_equal(signatures[i].oid, oid))
            return signatures[i].name;
    struct buf b;
    buf_init_arena(&b, a, 1024);
    der_oid_text(&b, oid);
    return buf_z(&b);
}

/* --- extensions: one function each, given the content of extnValue */

static bool read_ski(struct ctx *ctx, struct bytes v, struct cert *c)
{
    (void)ctx;
    return der_only(v, DER_OCTET_STRING, &c->ski);
}

static bool read_aki(struct ctx *ctx, struct bytes v, struct cert *c)
{
    struct bytes body;
    bool present;
    (void)ctx;
    return der_only(v, DER_SEQUENCE, &body) && der_take_optional(&body, DER_CONTEXT(0), &c->aki, &present);
}

static bool read_key_usage(struct ctx *ctx, struct bytes v, struct cert *c)
{
    (void)ctx;
    return der_take_flags(&v, &c->key_usage) && !v.n;
}

static bool read_eku(struct ctx *ctx, struct bytes v, struct cert *c)
{
    static const struct {
        struct bytes oid;
        uint32_t flag;
    } known[] = {
        {OID_EKU_SERVER, EKU_SERVER}, {OID_EKU_CLIENT, EKU_CLIENT}, {OID_EKU_CODE, EKU_CODE}, {OID_EKU_EMAIL, EKU_EMAIL},
        {OID_EKU_TIME, EKU_TIME},     {OID_EKU_OCSP, EKU_OCSP},     {OID_EKU_ANY, EKU_ANY},
    };
    struct bytes body, oid;
    (void)ctx;
    if (!der_only(v, DER_SEQUENCE, &body) || !body.n)
        return false;
    while (body.n) {
        uint32_t flag = EKU_UNKNOWN;
        if (!der_take_oid(&body, &oid))
            return false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (bytes_equal(known[i].oid, oid))
                flag = known[i].flag;
        c->eku |= flag;
    }
    return true;
}

static bool read_san(struct ctx *ctx, struct bytes v, struct cert *c)
{
    struct bytes body, value;
    size_t cap = 0;
    uint8_t tag;
    if (!der_only(v, DER_SEQUENCE, &body) || !body.n)
        return false;
    for (struct bytes count = body; count.n; cap++)
        if (!der_take(&count, &tag, &value) || cap == CERT_NAMES_MAX)
            return false;
    c->san = arena_array(&ctx->arena, cap, sizeof *c->san);
    while (der_take(&body, &tag, &value)) {
        enum cert_san_kind kind = tag == DER_CONTEXT(2)   ? SAN_DNS
                                  : tag == DER_CONTEXT(7) ? SAN_IP
                                  : tag == DER_CONTEXT(1) ? SAN_EMAIL
                                  : tag == DER_CONTEXT(6) ? SAN_URI
                                                          : SAN_OTHER;
        if ((tag & 0xc0) != 0x80 || (kind == SAN_IP && value.n != 4 && value.n != 16))
            return false;
        c->san[c->san_n++] = (struct cert_san){kind, value};
    }
    return true;
}

/* A DEFAULT FALSE that is written out is not DER, but old roots have it, and it can mean only one thing. */
static bool take_flag(struct bytes *in, bool *out)
{
    *out = false;
    return der_peek(*in) != DER_BOOLEAN || der_take_bool(in, out);
}

static bool read_basic_constraints(struct ctx *ctx, struct bytes v, struct cert *c)
{
    struct bytes body;
    int64_t length = -1;
    (void)ctx;
    if (!der_only(v, DER_SEQUENCE, &body) || !take_flag(&body, &c->is_ca))
        return false;
    if (body.n && (!der_take_int(&body, &length) || length < 0))
        return false;
    c->path_length = length > INT32_MAX ? INT32_MAX : (int)length;
    return !body.n;
}

static bool read_name_constraints(struct ctx *ctx, struct bytes v, struct cert *c)
{
    struct bytes body;
    (void)ctx;
    c->name_constraints = v;
    return der_only(v, DER_SEQUENCE, &body) && body.n;
}

/* A URL as text; NULL for anything that is not printable ASCII of a sensible length. */
static const char *url_text(struct arena *a, struct bytes v)
{
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] <= 0x20 || v.p[i] >= 0x7f)
            return NULL;
    return v.n && v.n <= URL_MAX ? arena_str(a, v) : NULL;
}

static bool read_crl_points(struct ctx *ctx, struct bytes v, struct cert *c)
{
    struct bytes points, point, name, full, uri;
    bool present;
    if (!der_only(v, DER_SEQUENCE, &points) || !points.n)
        return false;
    c->crl_urls = arena_array(&ctx->arena, URLS_MAX, sizeof *c->crl_urls);
    while (points.n) {
        if (!der_take_tag(&points, DER_SEQUENCE, &point) || !der_take_optional(&point, DER_CONTEXT_CONS(0), &name, &present))
            return false;
        if (!present || !der_take_tag(&name, DER_CONTEXT_CONS(0), &full))
            continue; /* relative to the issuer's name, or by issuer alone */
        while (full.n) {
            uint8_t tag;
            if (!der_take(&full, &tag, &uri))
                return false;
            const char *text = tag == DER_CONTEXT(6) ? url_text(&ctx->arena, uri) : NULL;
            if (text && c->crl_url_n < URLS_MAX)
                c->crl_urls[c->crl_url_n++] = text;
        }
    }
    return true;
}

static bool read_aia(struct ctx *ctx, struct bytes v, struct cert *c)
{
    struct bytes list, access, oid, location;
    uint8_t tag;
    if (!der_only(v, DER_SEQUENCE, &list) || !list.n)
        return false;
    while (list.n) {
        if (!der_take_tag(&list, DER_SEQUENCE, &access) || !der_take_oid(&access, &oid) || !der_take(&access, &tag, &location))
            return false;
        if (tag != DER_CONTEXT(6))
            continue;
        if (!c->ocsp_url && bytes_equal(oid, OID_AIA_OCSP))
            c->ocsp_url = url_text(&ctx->arena, location);
        if (!c->issuer_url && bytes_equal(oid, OID_AIA_ISSUER))
            c->issuer_url = url_text(&ctx->arena, location);
    }
    return true;
}

static bool read_nothing(struct ctx *ctx, struct bytes v, struct cert *c)
{
    (void)ctx;
    (void)v;
    (void)c;
    return true;
}

static const struct {
    struct bytes oid;
    uint32_t flag;
    const char *name;
    bool (*read)(struct ctx *ctx, struct bytes value, struct cert *cert);
} extensions[] = {
    {OID_SKI, EXT_SKI, "subject key identifier", read_ski},
    {OID_AKI, EXT_AKI, "authority key identifier", read_aki},
    {OID_KEY_USAGE, EXT_KEY_USAGE, "key usage", read_key_usage},
    {OID_EKU, EXT_EKU, "extended key usage", read_eku},
    {OID_SAN, EXT_SAN, "subject alternative name", read_san},
    {OID_BASIC_CONSTRAINTS, EXT_BASIC_CONSTRAINTS, "basic constraints", read_basic_constraints},
    {OID_NAME_CONSTRAINTS, EXT_NAME_CONSTRAINTS, "name constraints", read_name_constraints},
    {OID_CRL_POINTS, EXT_CRL_POINTS, "CRL distribution points", read_crl_points},
    {OID_AIA, EXT_AIA, "authority information access", read_aia},
    {OID_POLICIES, EXT_POLICIES, "certificate policies", read_nothing},
    {OID_TLS_FEATURE, EXT_TLS_FEATURE, "TLS feature", read_nothing},
    {OID_SCT_LIST, EXT_SCT_LIST, "SCT list", read_nothing},
};
#define EXTENSIONS_KNOWN (sizeof extensions / sizeof *extensions)

static struct rc read_extension(struct ctx *ctx, struct bytes oid, bool critical, struct bytes value, struct cert *c)
{
    size_t i = 0;
    while (i < EXTENSIONS_KNOWN && !bytes_equal(extensions[i].oid, oid))
        i++;
    uint32_t flag = i < EXTENSIONS_KNOWN ? extensions[i].flag : EXT_OTHER;
    c->extensions |= flag;
    c->critical |= critical ? flag : 0;
    if (flag != EXT_OTHER)
        return extensions[i].read(ctx, value, c) ? RC_OK : malformed(ctx, extensions[i].name);
    if (critical && !c->unknown_critical) {
        struct buf b;
        buf_init_arena(&b, &ctx->arena, 1024);
        der_oid_text(&b, oid);
        c->unknown_critical = buf_z(&b);
    }
    return RC_OK;
}

static struct rc read_extensions(struct ctx *ctx, struct bytes wrapped, struct cert *c)
{
    struct bytes list, extension, oids[EXTENSIONS_MAX], value;
    size_t n = 0;
    if (!der_only(wrapped, DER_SEQUENCE, &list) || !list.n)
        return malformed(ctx, "list of extensions");
    while (list.n) {
        bool critical;
        if (n == EXTENSIONS_MAX)
            return ctx_fail(ctx, E_TOO_LARGE, "the certificate has more than %d extensions", EXTENSIONS_MAX);
        if (!der_take_tag(&list, DER_SEQUENCE, &extension) || !der_take_oid(&extension, &oids[n]) ||
            !take_flag(&extension, &critical) || !der_take_tag(&extension, DER_OCTET_STRING, &value) || extension.n)
            return malformed(ctx, "list of extensions");
        for (size_t i = 0; i < n; i++)
            if (bytes_equal(oids[i], oids[n]))
                return ctx_fail(ctx, E_PARSE, "the certificate has the same extension twice (RFC 5280 section 4.2)");
        TRY(read_extension(ctx, oids[n++], critical, value, c));
    }
    return RC_OK;
}

/* --- the certificate */

static struct rc read_tbs(struct ctx *ctx, struct bytes element, struct cert *c)
{
    struct bytes in, version, issuer, validity, subject, spki, skipped, wrapped;
    bool present;
    int64_t number = 0;
    c->tbs = element;
    if (!der_only(element, DER_SEQUENCE, &in) || !der_take_optional(&in, DER_CONTEXT_CONS(0), &version, &present))
        return malformed(ctx, "outer structure");
    if (present && (!der_take_int(&version, &number) || version.n || number < 0 || number > 2))
        return malformed(ctx, "version");
    c->version = (int)number + 1;
    c->path_length = -1;
    if (!der_take_serial(&in, &c->serial))
        return malformed(ctx, "serial number");
    if (!der_take_raw(&in, DER_SEQUENCE, &c->signature_algorithm))
        return malformed(ctx, "signature algorithm");
    c->signature_name = signature_name(&ctx->arena, c->signature_algorithm);
    if (!der_take_raw(&in, DER_SEQUENCE, &issuer))
        return malformed(ctx, "issuer");
    if (!der_take_tag(&in, DER_SEQUENCE, &validity) || !der_take_time(&validity, &c->not_before) ||
        !der_take_time(&validity, &c->not_after) || validity.n)
        return malformed(ctx, "validity");
    if (!der_take_raw(&in, DER_SEQUENCE, &subject))
        return malformed(ctx, "subject");
    if (!der_take_raw(&in, DER_SEQUENCE, &spki))
        return malformed(ctx, "public key");
    TRY(dn_parse(ctx, issuer, &c->issuer));
    TRY(dn_parse(ctx, subject, &c->subject));
    TRY(spki_parse(ctx, spki, &c->spki));
    if (!der_take_optional(&in, DER_CONTEXT(1), &skipped, &present) ||
        !der_take_optional(&in, DER_CONTEXT(2), &skipped, &present) ||
        !der_take_optional(&in, DER_CONTEXT_CONS(3), &wrapped, &present) || in.n)
        return malformed(ctx, "last part");
    if (present && c->version != 3)
        return ctx_fail(ctx, E_PARSE, "the certificate has extensions but is not of version 3");
    if (present)
        TRY(read_extensions(ctx, wrapped, c));
    return digest_sha256(ctx, c->spki.der, c->spki_sha256);
}

struct rc cert_parse_tbs(struct ctx *ctx, struct bytes tbs, struct cert *out)
{
    *out = (struct cert){0};
    return read_tbs(ctx, tbs, out);
}

struct rc cert_parse(struct ctx *ctx, struct bytes der, struct cert *out)
{
    struct bytes body, tbs, algorithm;
    int unused;
    *out = (struct cert){0};
    if (der.n > CERT_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "a certificate of %zu bytes is larger than %zu", der.n, CERT_MAX);
    if (!der_only(der, DER_SEQUENCE, &body) || !der_take_raw(&body, DER_SEQUENCE, &tbs) ||
        !der_take_raw(&body, DER_SEQUENCE, &algorithm) || !der_take_bits(&body, &out->signature, &unused) || unused || body.n)
        return malformed(ctx, "outer structure");
    TRY(read_tbs(ctx, tbs, out));
    if (!bytes_equal(algorithm, out->signature_algorithm))
        return ctx_fail(ctx, E_PARSE, "the certificate names two different signature algorithms (RFC 5280 section 4.1.1.2)");
    out->der = der;
    return digest_sha256(ctx, der, out->fingerprint);
}

struct rc cert_names(struct ctx *ctx, const struct cert *cert, struct name_list *out)
{
    *out = (struct name_list){0};
    for (size_t i = 0; i < cert->san_n; i++) {
        struct name name;
        const struct cert_san *san = &cert->san[i];
        if (san->kind == SAN_DNS && name_dns_valid(san->value, true))
            TRY(name_parse_dns(ctx, san->value, &name));
        else if (san->kind == SAN_IP)
            TRY(name_parse_ip(ctx, san->value, &name));
        else
            continue;
        name_list_add(&ctx->arena, out, name);
    }
    struct bytes common_name = bytes_z(cert->subject.common_name);
    if (!(cert->extensions & EXT_SAN) && name_dns_valid(common_name, true)) {
        struct name name;
        TRY(name_parse_dns(ctx, common_name, &name));
        name_list_add(&ctx->arena, out, name);
    }
    return RC_OK;
}

bool cert_covers(const struct cert *cert, struct bytes host)
{
    uint8_t ip[16];
    size_t n = 0;
    bool address = ip_parse(host, ip, &n);
    for (size_t i = 0; i < cert->san_n; i++) {
        const struct cert_san *san = &cert->san[i];
        if (address && san->kind == SAN_IP && bytes_equal(san->value, bytes_of(ip, n)))
            return true;
        if (!address && san->kind == SAN_DNS && name_covers(san->value, host))
            return true;
    }
    return false;
}

bool cert_is_self_issued(const struct cert *cert)
{
    return bytes_equal(cert->issuer.der, cert->subject.der);
}

const char *cert_serial_text(struct arena *a, const struct cert *cert)
{
    struct bytes serial = cert->serial;
    if (serial.n > 1 && serial.p[0] == 0)
        bytes_skip(&serial, 1);
    return hex_str(a, serial);
}

/* --- chains */

struct rc cert_chain_parse_der(struct ctx *ctx, const struct bytes *ders, size_t n, struct cert_chain *out)
{
    *out = (struct cert_chain){.v = arena_array(&ctx->arena, n ? n : 1, sizeof *out->v)};
    for (size_t i = 0; i < n; i++, out->n++) {
        struct rc rc = cert_parse(ctx, ders[i], &out->v[i]);
        if (rc_failed(rc))
            return n > 1 ? ctx_wrap(ctx, rc, "certificate %zu of %zu", i + 1, n) : rc;
    }
    return RC_OK;
}

struct rc cert_chain_parse_pem(struct ctx *ctx, struct bytes pem, size_t max, struct cert_chain *out)
{
    struct bytes *ders = arena_array(&ctx->arena, max ? max : 1, sizeof *ders);
    struct pem_block block;
    size_t n = 0;
    bool found;
    *out = (struct cert_chain){0};
    for (;;) {
        TRY(pem_next(ctx, &pem, &block, &found));
        if (!found)
            break;
        if (!bytes_equal_z(block.label, PEM_CERTIFICATE))
            continue;
        if (n == max)
            return ctx_fail(ctx, E_TOO_LARGE, "more than %zu certificates", max);
        ders[n++] = block.der;
    }
    if (!n)
        return ctx_fail(ctx, E_PARSE, "there is no PEM certificate in it");
    return cert_chain_parse_der(ctx, ders, n, out);
}

void cert_chain_put_pem(struct buf *b, const struct cert_chain *chain)
{
    for (size_t i = 0; i < chain->n; i++)
        pem_put(b, PEM_CERTIFICATE, chain->v[i].der);
}
