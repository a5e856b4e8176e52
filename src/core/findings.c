#include "core/findings.h"

#include <string.h>

#include "base/address.h"
#include "core/inventory.h"
#include "pki/name.h"
#include "pki/name_text.h"
#include "pki/weak.h"

#define DAY_S ((int64_t)86400)

static const struct check_info checks[] = {
#define CHECK(number, name, id, severity, words, remedy, source, when)                                                             \
    {number, id, SEVERITY_##severity, words, remedy, source, WHEN_##when},
#include "core/checks.def"
#undef CHECK
};
enum { CHECKS_N = sizeof checks / sizeof *checks };

static const struct check_limit_info limits_of[] = {
#define LIMIT(name, check, id, usual, least, most, words) {CHECK_##check, id, usual, least, most, words},
#include "core/check_limits.def"
#undef LIMIT
};

const struct check_limit_info *findings_limit(enum check_limit limit)
{
    return &limits_of[limit];
}

const struct finding_limits findings_limits = {{
#define LIMIT(name, check, id, usual, least, most, words) usual,
#include "core/check_limits.def"
#undef LIMIT
}};

const struct check_info *findings_checks(size_t *n)
{
    *n = CHECKS_N;
    return checks;
}

const struct check_info *findings_check(unsigned number)
{
    for (size_t i = 0; i < CHECKS_N; i++)
        if (checks[i].number == number)
            return &checks[i];
    return NULL;
}

const struct check_info *findings_check_named(const char *id)
{
    for (size_t i = 0; i < CHECKS_N; i++)
        if (!strcmp(checks[i].id, id))
            return &checks[i];
    return NULL;
}

const char *check_severity_word(enum check_severity severity)
{
    static const char *const words[] = {"info", "warning", "error", "critical"};
    return words[severity];
}

static int64_t bits_of(enum check_when when)
{
    int64_t bits = 0;
    for (size_t i = 0; i < CHECKS_N; i++)
        if (checks[i].when == when)
            bits |= CHECK_BIT(checks[i].number);
    return bits;
}

int64_t findings_clock(void)
{
    return bits_of(WHEN_CLOCK);
}

int64_t findings_of_keys(void)
{
    return bits_of(WHEN_DEEP);
}

int64_t findings_own(void)
{
    return bits_of(WHEN_CLOCK) | bits_of(WHEN_ARRIVAL);
}

/* --- the clock */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* From when on less than both is left of its life. */
static int64_t ends_from(int64_t not_after, int64_t life, int64_t percent, int64_t days)
{
    return not_after - least(life / 100 * percent + life % 100 * percent / 100, days * DAY_S);
}

void findings_by_clock(int64_t not_before, int64_t not_after, int64_t now, const struct finding_limits *limits,
                       struct findings *out)
{
    const int64_t life = not_after > not_before ? not_after - not_before : 0, *of = (limits ? limits : &findings_limits)->v;
    const int64_t soon = ends_from(not_after, life, of[LIMIT_EXPIRING_SOON_PERCENT], of[LIMIT_EXPIRING_SOON_DAYS]);
    /* Each state with the moment from which on it holds. */
    const struct {
        int64_t from, bits;
    } states[] = {
        {INT64_MIN, CHECK_BIT(CHECK_NOT_YET_VALID)},
        {not_before, 0},
        {least(ends_from(not_after, life, of[LIMIT_EXPIRING_PERCENT], of[LIMIT_EXPIRING_DAYS]), soon), CHECK_BIT(CHECK_EXPIRING)},
        {soon, CHECK_BIT(CHECK_EXPIRING_SOON)},
        {not_after + 1, CHECK_BIT(CHECK_EXPIRED)}};
    *out = (struct findings){0};
    if (not_after == CERT_NO_EXPIRY && now >= not_before)
        return;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (states[i].from > now) {
            out->due_at = states[i].from;
            return;
        }
        out->mask = states[i].bits;
    }
}

/* --- what it tells alone */

/* Many servers' own self-signed certificates say that they are a CA: one with names of hosts is a leaf. */
bool finding_is_leaf(const struct cert_fields *cert)
{
    return !cert->is_ca || cert->san_dns_n + cert->san_ip_n > 0;
}

static bool lifetime_too_long(const struct cert_fields *cert)
{
    /* From when on, and how many days (CA/Browser Forum ballots 193 and SC-081v3; root programmes for 398). */
    static const struct {
        int64_t from, days;
    } limits[] = {
        {INT64_C(1868227200), 47},  /* 2029-03-15 */
        {INT64_C(1805068800), 100}, /* 2027-03-15 */
        {INT64_C(1773532800), 200}, /* 2026-03-15 */
        {INT64_C(1598918400), 398}, /* 2020-09-01 */
        {INT64_C(1519862400), 825}, /* 2018-03-01 */
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (cert->not_before >= limits[i].from)
            return cert->not_after - cert->not_before + 1 > limits[i].days * DAY_S;
    return false;
}

static bool weak_hash(const struct cert_fields *cert)
{
    switch (cert->signature_hash) {
    case CERT_HASH_MD2:
    case CERT_HASH_MD4:
    case CERT_HASH_MD5:
    case CERT_HASH_SHA1:
        return finding_is_leaf(cert) || !cert->self_issued; /* nobody checks a root's own signature */
    default:
        return false;
    }
}

static bool short_key(const struct cert_fields *cert, const struct finding_limits *limits)
{
    const int64_t bits = cert->key.bits;
    switch (cert->key.type) {
    case CERT_KEY_RSA:
    case CERT_KEY_RSA_PSS:
    case CERT_KEY_DSA:
        return bits && bits < limits->v[LIMIT_SHORT_KEY_RSA];
    case CERT_KEY_EC:
        return bits && bits < limits->v[LIMIT_SHORT_KEY_EC];
    default:
        return false;
    }
}

static bool weak_exponent(const struct cert_fields *cert)
{
    const struct bytes e = cert->key.exponent;
    return e.n && (!(e.p[e.n - 1] & 1) || (e.n == 1 && e.p[0] == 1));
}

static bool cn_not_in_san(const struct cert_fields *cert)
{
    const struct bytes cn = cert->subject.common_name.value;
    struct bytes rest = cert->san.der;
    struct cert_general_name name;
    if (!cn.n || !memchr(cn.p, '.', cn.n) || !name_dns_valid(cn, true))
        return false;
    while (cert_next_general_name(&rest, &name))
        if (name.type == CERT_GENERAL_DNS && bytes_equal_nocase(name.value, cn))
            return false;
    return true;
}

static bool self_signed(const struct cert_fields *cert)
{
    return cert->self_issued;
}

static bool client_auth(const struct cert_fields *cert)
{
    return (cert->eku & EKU_CLIENT) != 0;
}

static bool malformed(const struct cert_fields *cert)
{
    return cert->defects != 0;
}

static bool wildcard(const struct cert_fields *cert)
{
    struct bytes rest = cert->san.der;
    struct cert_general_name name;
    while (cert_next_general_name(&rest, &name))
        if (name.type == CERT_GENERAL_DNS && name.value.n > 2 && name.value.p[0] == '*' && name.value.p[1] == '.')
            return true;
    return false;
}

/* Ends of names that the public DNS does not have (RFC 6761, 6762, 8375; ICANN's reserved strings), and names of one label. */
static bool ends_in(struct bytes dns, struct bytes end)
{
    return dns.n > end.n && bytes_equal_nocase(bytes_of(dns.p + dns.n - end.n, end.n), end);
}

static bool inner_name(struct bytes dns)
{
    static const char *const ends[] = {".local", ".localhost", ".localdomain", ".internal", ".intranet", ".lan",  ".corp",
                                       ".home",  ".home.arpa", ".private",     ".test",     ".invalid",  ".mail", ".example"};
    if (!memchr(dns.p, '.', dns.n))
        return true;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_in(dns, bytes_z(ends[i])))
            return true;
    return false;
}

/* Ends that the settings name: "corp.example" is itself inside, and what is below it. */
static bool inner_by_settings(struct bytes dns, const struct finding_context *context)
{
    for (size_t i = 0; i < context->inner_n; i++) {
        const struct bytes end = bytes_z(context->inner[i]);
        if (bytes_equal_nocase(dns, end) || (ends_in(dns, end) && (end.p[0] == '.' || dns.p[dns.n - end.n - 1] == '.')))
            return true;
    }
    return false;
}

static bool inner_address(struct bytes ip)
{
    const uint8_t *p = ip.p;
    if (ip.n == 4)
        return p[0] == 10 || p[0] == 127 || (p[0] == 172 && p[1] >= 16 && p[1] < 32) || (p[0] == 192 && p[1] == 168) ||
               (p[0] == 169 && p[1] == 254) || (p[0] == 100 && p[1] >= 64 && p[1] < 128);
    return ip.n == 16 && ((p[0] & 0xfe) == 0xfc || (p[0] == 0xfe && (p[1] & 0xc0) == 0x80));
}

static bool internal_name(const struct cert_fields *cert, const struct finding_context *context)
{
    struct bytes rest = cert->san.der;
    struct cert_general_name name;
    while (cert_next_general_name(&rest, &name)) {
        if (name.type == CERT_GENERAL_DNS && name.value.n && (inner_name(name.value) || inner_by_settings(name.value, context)))
            return true;
        if (name.type == CERT_GENERAL_IP && inner_address(name.value))
            return true;
    }
    return false;
}

enum { OF_LEAVES = 1, OF_PUBLIC = 2 };
static const struct {
    unsigned check;
    unsigned of; /* all of these */
    bool (*holds)(const struct cert_fields *cert);
} rules[] = {
    {CHECK_LIFETIME, OF_LEAVES | OF_PUBLIC, lifetime_too_long},
    {CHECK_WEAK_HASH, 0, weak_hash},
    {CHECK_WEAK_EXPONENT, 0, weak_exponent},
    {CHECK_CN_NOT_IN_SAN, OF_LEAVES, cn_not_in_san},
    {CHECK_SELF_SIGNED, OF_LEAVES, self_signed},
    {CHECK_CLIENT_AUTH, OF_LEAVES | OF_PUBLIC, client_auth},
    {CHECK_WILDCARD, OF_LEAVES, wildcard},
    {CHECK_MALFORMED, 0, malformed},
};

void findings_of(const struct cert_fields *cert, const struct finding_context *context, struct findings *out)
{
    const unsigned are = (finding_is_leaf(cert) ? OF_LEAVES : 0) | (context->trust == ISSUER_PUBLIC ? OF_PUBLIC : 0);
    *out = (struct findings){0};
    if (!(cert->defects & (CERT_DEFECT_BIT(NOT_BEFORE) | CERT_DEFECT_BIT(NOT_AFTER))) && !(context->flags & CERTIFICATE_SUPERSEDED))
        findings_by_clock(cert->not_before, cert->not_after, context->now, context->limits, out);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if ((rules[i].of & are) == rules[i].of && rules[i].holds(cert))
            out->mask |= CHECK_BIT(rules[i].check);
    if (short_key(cert, context->limits ? context->limits : &findings_limits))
        out->mask |= CHECK_BIT(CHECK_SHORT_KEY);
    if (are == (OF_LEAVES | OF_PUBLIC) && internal_name(cert, context))
        out->mask |= CHECK_BIT(CHECK_INTERNAL_NAME);
}

/* --- names */

static bool dns_matches(struct bytes name, struct bytes pattern)
{
    struct name_text_dns a, b;
    name_text_dns(name, &a);
    name_text_dns(pattern, &b);
    const struct bytes asked = bytes_of(a.text, a.n), has = bytes_of(b.text, b.n);
    if (!has.n || a.cut || b.cut)
        return false;
    if (!b.wildcard)
        return bytes_equal(asked, has);
    const uint8_t *dot = asked.n ? memchr(asked.p, '.', asked.n) : NULL;
    return dot && dot > asked.p && bytes_equal(bytes_of(dot, asked.n - (size_t)(dot - asked.p)), bytes_of(has.p + 1, has.n - 1));
}

bool finding_name_covered(const struct cert_fields *cert, struct bytes name)
{
    struct bytes rest = cert->san.der;
    struct cert_general_name g;
    struct address a;
    const bool address = address_parse(name, &a);
    while (cert_next_general_name(&rest, &g)) {
        if (address && g.type == CERT_GENERAL_IP && bytes_equal(g.value, bytes_of(a.ip, a.len)))
            return true;
        if (!address && g.type == CERT_GENERAL_DNS && dns_matches(name, g.value))
            return true;
    }
    return false;
}

#define NAMES_COMPARED 100

static bool has_name(const struct cert_fields *cert, const struct cert_general_name *name)
{
    struct bytes rest = cert->san.der;
    struct cert_general_name g;
    for (size_t i = 0; i < NAMES_COMPARED && cert_next_general_name(&rest, &g); i++)
        if (g.type == name->type && bytes_equal_nocase(g.value, name->value))
            return true;
    return false;
}

static bool has_more(const struct cert_fields *a, const struct cert_fields *b)
{
    struct bytes rest = a->san.der;
    struct cert_general_name g;
    if (!a->san.n && !b->san.n)
        return !bytes_equal(a->subject.der, b->subject.der);
    for (size_t i = 0; i < NAMES_COMPARED && cert_next_general_name(&rest, &g); i++)
        if (!has_name(b, &g))
            return true;
    return false;
}

bool finding_names_differ(const struct cert_fields *a, const struct cert_fields *b)
{
    return has_more(a, b) && has_more(b, a);
}

/* --- the key */

struct rc findings_deep(struct ctx *ctx, const struct cert_fields *cert, const struct weak_list *const *lists, size_t n,
                        int64_t *mask)
{
    static const struct {
        uint32_t weak;
        unsigned check;
    } rows[] = {{WEAK_FACTOR, CHECK_FACTOR}, {WEAK_ROCA, CHECK_ROCA}, {WEAK_FERMAT, CHECK_FERMAT}, {WEAK_LISTED, CHECK_KNOWN_KEY}};
    uint32_t weak = 0;
    *mask = 0;
    if ((cert->key.type != CERT_KEY_RSA && cert->key.type != CERT_KEY_EC) || cert->defects & CERT_DEFECT_BIT(KEY))
        return RC_OK;
    TRY(weak_look(ctx, cert->key.der, lists, n, &weak));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (weak & rows[i].weak)
            *mask |= CHECK_BIT(rows[i].check);
    return RC_OK;
}
