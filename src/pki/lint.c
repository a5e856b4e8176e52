#include "pki/lint.h"

#include "pki/constraints.h"
#include "pki/der.h"
#include "pki/oid.h"

#define BACKDATE_MAX ((int64_t)48 * 3600)

/* What a check looks at.  `issuer` is the certificate itself where it signs itself. */
struct subject {
    struct ctx *ctx;
    const struct cert *c, *issuer;
    const struct profile_info *profile;
    enum cert_profile kind;
    bool self_signed;
    int64_t now;
    const char *detail; /* set by a check: what it found, NULL where the rule says enough */
};

static bool is_tls(const struct subject *s)
{
    return s->kind == PROFILE_TLS_SERVER || s->kind == PROFILE_TLS_CLIENT || s->kind == PROFILE_TLS_MUTUAL;
}

static bool is_server(const struct subject *s)
{
    return (s->profile->eku & EKU_SERVER) != 0;
}

static bool check_version(struct subject *s)
{
    return s->c->version == 3;
}

static bool check_serial(struct subject *s)
{
    struct bytes serial = s->c->serial;
    return serial.n >= 9 && serial.n <= 20 && !(serial.p[0] & 0x80);
}

static bool check_validity_order(struct subject *s)
{
    return s->c->not_after >= s->c->not_before;
}

static bool check_validity_length(struct subject *s)
{
    int64_t length = s->c->not_after - s->c->not_before + 1; /* both ends count */
    s->detail =
        arena_printf(&s->ctx->arena, "%lld seconds; at most %lld", (long long)length, (long long)s->profile->max_validity_s);
    return length <= s->profile->max_validity_s;
}

static bool check_validity_now(struct subject *s)
{
    return s->c->not_before <= s->now + BACKDATE_MAX && s->c->not_before >= s->now - BACKDATE_MAX && s->c->not_after > s->now;
}

static bool check_validity_issuer(struct subject *s)
{
    return s->c->not_after <= s->issuer->not_after;
}

static bool check_issuer_name(struct subject *s)
{
    return *s->c->issuer.text && bytes_equal(s->c->issuer.der, s->issuer->subject.der);
}

static bool check_issuer_is_ca(struct subject *s)
{
    return s->issuer->is_ca && (s->issuer->key_usage & USAGE_CERT_SIGN);
}

static bool check_issuer_path_length(struct subject *s)
{
    if (s->self_signed || !s->profile->is_ca || s->issuer->path_length < 0)
        return true;
    return s->issuer->path_length > 0 && s->c->path_length >= 0 && s->c->path_length < s->issuer->path_length;
}

static bool check_self_signed(struct subject *s)
{
    return s->self_signed == (s->kind == PROFILE_CA_ROOT);
}

static bool check_ski(struct subject *s)
{
    return s->c->ski.n && !(s->c->critical & EXT_SKI);
}

static bool check_aki(struct subject *s)
{
    if (s->self_signed)
        return !s->c->aki.n || bytes_equal(s->c->aki, s->c->ski);
    return s->c->aki.n && bytes_equal(s->c->aki, s->issuer->ski) && !(s->c->critical & EXT_AKI);
}

static bool check_ca_subject(struct subject *s)
{
    return !s->profile->is_ca || *s->c->subject.text;
}

static bool check_san_critical(struct subject *s)
{
    bool empty = !*s->c->subject.text, critical = (s->c->critical & EXT_SAN) != 0;
    if (empty)
        return critical && s->c->san_n;
    return !critical;
}

static bool check_san_present(struct subject *s)
{
    return !is_server(s) || s->c->san_n;
}

static bool check_san_kinds(struct subject *s)
{
    for (size_t i = 0; i < s->c->san_n; i++)
        if (s->c->san[i].kind != SAN_DNS && s->c->san[i].kind != SAN_IP)
            return false;
    return !s->profile->is_ca || !s->c->san_n;
}

static bool check_names(struct subject *s)
{
    for (size_t i = 0; i < s->c->san_n; i++) {
        struct bytes v = s->c->san[i].value;
        if (s->c->san[i].kind != SAN_DNS)
            continue;
        bool lower_case = true;
        for (size_t k = 0; k < v.n; k++)
            lower_case = lower_case && !(v.p[k] >= 'A' && v.p[k] <= 'Z');
        if (!lower_case || !name_dns_valid(v, true))
            return false;
    }
    return true;
}

static bool check_names_once(struct subject *s)
{
    for (size_t i = 0; i < s->c->san_n; i++)
        for (size_t k = 0; k < i; k++)
            if (s->c->san[i].kind == s->c->san[k].kind && bytes_equal(s->c->san[i].value, s->c->san[k].value))
                return false;
    return true;
}

static bool check_common_name(struct subject *s)
{
    const char *cn = s->c->subject.common_name;
    if (!cn || !is_server(s) || !is_tls(s))
        return true;
    s->detail = cn;
    for (size_t i = 0; i < s->c->san_n; i++) {
        const struct cert_san *san = &s->c->san[i];
        const char *text = san->kind == SAN_IP ? ip_text(&s->ctx->arena, san->value) : arena_str(&s->ctx->arena, san->value);
        if (str_equal(text, cn))
            return true;
    }
    return false;
}

static bool check_basic_constraints(struct subject *s)
{
    bool critical = (s->c->extensions & EXT_BASIC_CONSTRAINTS) && (s->c->critical & EXT_BASIC_CONSTRAINTS);
    return s->profile->is_ca ? s->c->is_ca && critical : !s->c->is_ca && s->c->path_length < 0;
}

static bool check_key_usage(struct subject *s)
{
    uint32_t want = s->c->spki.kind == SPKI_RSA ? s->profile->key_usage_rsa : s->profile->key_usage_ec;
    return s->c->key_usage == want && (s->c->critical & EXT_KEY_USAGE);
}

static bool check_eku(struct subject *s)
{
    return s->c->eku == s->profile->eku && !(s->c->critical & EXT_EKU);
}

static bool check_key_kind(struct subject *s)
{
    return s->c->spki.key_kind != KEY_OTHER;
}

static bool check_signature_algorithm(struct subject *s)
{
    static const struct bytes good[] = {OID_ECDSA_SHA256, OID_ECDSA_SHA384, OID_RSA_SHA256, OID_RSA_SHA384, OID_RSA_SHA512};
    enum spki_kind signer = s->issuer->spki.kind;
    struct bytes body, oid;
    s->detail = s->c->signature_name;
    if (!der_only(s->c->signature_algorithm, DER_SEQUENCE, &body) || !der_take_oid(&body, &oid))
        return false;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (bytes_equal(good[i], oid))
            return (i < 2) == (signer == SPKI_EC) && (i >= 2) == (signer == SPKI_RSA);
    return false;
}

static bool is_http(const char *url)
{
    return url && bytes_starts_with(bytes_z(url), BYTES_LIT("http://"));
}

static bool check_crl_url(struct subject *s)
{
    if (s->self_signed)
        return !s->c->crl_url_n;
    if (!s->c->crl_url_n)
        return !is_tls(s) && s->kind != PROFILE_CA_INTERMEDIATE;
    return is_http(s->c->crl_urls[0]) && !(s->c->critical & EXT_CRL_POINTS);
}

static bool check_issuer_url(struct subject *s)
{
    if (s->self_signed)
        return !(s->c->extensions & EXT_AIA);
    if (!(s->c->extensions & EXT_AIA))
        return !is_tls(s);
    return is_http(s->c->issuer_url) && !(s->c->critical & EXT_AIA);
}

static bool check_constraints_place(struct subject *s)
{
    return !(s->c->extensions & EXT_NAME_CONSTRAINTS) || (s->profile->is_ca && (s->c->critical & EXT_NAME_CONSTRAINTS));
}

static bool check_constraints_kept(struct subject *s)
{
    return s->self_signed || constraints_permit(&s->ctx->arena, s->issuer->name_constraints, s->c, &s->detail);
}

static bool check_extensions_known(struct subject *s)
{
    s->detail = s->c->unknown_critical;
    return !(s->c->extensions & EXT_OTHER);
}

static const struct {
    struct lint_finding finding;
    bool (*check)(struct subject *s); /* whether the rule is kept */
} rules[] = {
    {{"version", "a certificate is of version 3", "RFC 5280 4.1.2.1"}, check_version},
    {{"serial", "the serial is positive, at most 20 bytes, with 64 random bits", "RFC 5280 4.1.2.2, BR 7.1"}, check_serial},
    {{"validity-order", "a certificate ends after it begins", "RFC 5280 4.1.2.5"}, check_validity_order},
    {{"validity-length", "the validity is within the profile's", "BR 6.3.2"}, check_validity_length},
    {{"validity-now", "the validity begins within 48 hours of now and has not ended", "BR 7.1.2.7"}, check_validity_now},
    {{"validity-issuer", "the validity does not end after the issuer's", "RFC 5280 6.1.3"}, check_validity_issuer},
    {{"self-signed", "a root signs itself, nothing else does", "RFC 5280 3.2"}, check_self_signed},
    {{"issuer-name", "the issuer is the issuer's subject, and not empty", "RFC 5280 4.1.2.4"}, check_issuer_name},
    {{"issuer-ca", "the issuer is a CA that may sign certificates", "RFC 5280 4.2.1.9, 4.2.1.3"}, check_issuer_is_ca},
    {{"issuer-path-length", "a CA's path length is below its issuer's", "RFC 5280 4.2.1.9"}, check_issuer_path_length},
    {{"subject-key-id", "a subject key identifier is there, not critical", "RFC 5280 4.2.1.2"}, check_ski},
    {{"authority-key-id", "the authority key identifier is the issuer's, not critical", "RFC 5280 4.2.1.1"}, check_aki},
    {{"ca-subject", "a CA has a subject", "RFC 5280 4.1.2.6"}, check_ca_subject},
    {{"san-critical", "the SAN is critical exactly where the subject is empty", "RFC 5280 4.2.1.6, BR 7.1.2.7.12"},
     check_san_critical},
    {{"san-present", "a server's certificate has a SAN", "RFC 9525 4.1, BR 7.1.2.7.12"}, check_san_present},
    {{"san-kinds", "the SAN of a leaf has DNS names and IP addresses alone; a CA has none", "BR 7.1.2.7.12"}, check_san_kinds},
    {{"names", "DNS names are well-formed, lower case, a wildcard only as the whole leftmost label", "BR 7.1.2.7.12"}, check_names},
    {{"names-once", "no name stands twice", "RFC 5280 4.2.1.6"}, check_names_once},
    {{"common-name", "the common name is one of the names", "BR 7.1.4.3"}, check_common_name},
    {{"basic-constraints", "a CA says so, critical; a leaf does not", "RFC 5280 4.2.1.9"}, check_basic_constraints},
    {{"key-usage", "the key usage is that of profile and key, critical", "RFC 5280 4.2.1.3"}, check_key_usage},
    {{"extended-key-usage", "the extended key usage is the profile's", "RFC 5280 4.2.1.12"}, check_eku},
    {{"key-kind", "the key is EC P-256 or P-384, or RSA 2048, 3072 or 4096", "BR 6.1.5"}, check_key_kind},
    {{"signature", "the signature is ECDSA or RSA with SHA-2, of the issuer's kind of key", "BR 7.1.3.2"},
     check_signature_algorithm},
    {{"crl-url", "where the CRL is published stands in it, by http; not in a root", "RFC 5280 4.2.1.13, BR 7.1.2.11.2"},
     check_crl_url},
    {{"issuer-url", "where the issuer's certificate is published stands in it, by http; not in a root", "RFC 5280 4.2.2.1"},
     check_issuer_url},
    {{"constraints-place", "name constraints are critical and in CAs alone", "RFC 5280 4.2.1.10"}, check_constraints_place},
    {{"constraints-kept", "the issuer's name constraints permit every name", "RFC 5280 4.2.1.10"}, check_constraints_kept},
    {{"extensions-known", "there is no extension that the profile does not name", "BR 7.1.2.11.5"}, check_extensions_known},
};

struct rc lint_certificate(struct ctx *ctx, const struct cert *cert, enum cert_profile profile, const struct cert *issuer,
                           int64_t now, const struct lint_finding **finding)
{
    struct subject s = {
        .ctx = ctx,
        .c = cert,
        .issuer = issuer ? issuer : cert,
        .profile = profile_info(profile),
        .kind = profile,
        .self_signed = !issuer,
        .now = now,
    };
    if (finding)
        *finding = NULL;
    if (profile_info(profile) == profile_info(PROFILE_NONE))
        return ctx_fail(ctx, E_LINT, "a certificate needs a profile");
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const struct lint_finding *f = &rules[i].finding;
        s.detail = NULL;
        if (rules[i].check(&s))
            continue;
        if (finding)
            *finding = f;
        return ctx_fail(ctx, E_LINT, "rule %s of profile %s is broken: %s (%s)%s%s", f->id, profile_name(profile), f->rule,
                        f->source, s.detail ? "; found: " : "", s.detail ? s.detail : "");
    }
    return RC_OK;
}

struct rc lint_tbs(struct ctx *ctx, struct bytes tbs, enum cert_profile profile, const struct cert *issuer, int64_t now)
{
    struct cert cert;
    struct rc rc = cert_parse_tbs(ctx, tbs, &cert);
    if (rc_failed(rc))
        return ctx_fail(ctx, E_LINT, "what was built is not a certificate");
    return lint_certificate(ctx, &cert, profile, issuer, now, NULL);
}
