/* What certificates tell alone: each check where it holds and where it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "core/findings.h"

#define DAY INT64_C(86400)
#define BEGIN INT64_C(1790000000) /* 2026-09-21 */

/* A good certificate of a public CA: 90 days, EC P-256, one name. */
static const uint8_t one_name[] = "\x82\x0bwww.test.de";
static struct cert_fields good(void)
{
    return (struct cert_fields){
        .version = 3,
        .not_before = BEGIN,
        .not_after = BEGIN + 90 * DAY - 1,
        .signature_hash = CERT_HASH_SHA256,
        .key = {.type = CERT_KEY_EC, .bits = 256},
        .path_length = -1,
        .eku = EKU_SERVER,
        .san = {.der = bytes_of(one_name, 13), .n = 1},
        .san_dns_n = 1,
    };
}

static int64_t look(const struct cert_fields *cert, enum issuer_trust trust, int64_t now)
{
    const struct finding_context context = {.now = now, .trust = trust};
    struct findings out;
    findings_of(cert, &context, &out);
    assert_int_equal(out.mask & ~findings_own(), 0);
    return out.mask;
}

static int64_t public_one(const struct cert_fields *cert)
{
    return look(cert, ISSUER_PUBLIC, cert->not_before + 1);
}

static void set_san(struct cert_fields *cert, const char *san, uint32_t dns, uint32_t ip)
{
    cert->san = (struct cert_list){.der = bytes_z(san), .n = dns + ip};
    cert->san_dns_n = dns;
    cert->san_ip_n = ip;
}

static void a_good_one_has_none(void **state)
{
    struct cert_fields cert = good();
    (void)state;
    assert_int_equal(public_one(&cert), 0);
}

static void the_clock_is_foreseen(void **state)
{
    const int64_t end = BEGIN + 100 * DAY, soon = CHECK_BIT(CHECK_EXPIRING_SOON);
    /* What holds from when on, and when to ask again. */
    const struct {
        int64_t now, mask, due;
    } rows[] = {
        {BEGIN - 1, CHECK_BIT(CHECK_NOT_YET_VALID), BEGIN},
        {BEGIN, 0, end - 20 * DAY},
        {end - 20 * DAY - 1, 0, end - 20 * DAY},
        {end - 20 * DAY, CHECK_BIT(CHECK_EXPIRING), end - 5 * DAY},
        {end - 5 * DAY, soon, end + 1},
        {end, soon, end + 1},
        {end + 1, CHECK_BIT(CHECK_EXPIRED), 0},
    };
    struct findings out;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        findings_by_clock(BEGIN, end, rows[i].now, NULL, &out);
        assert_int_equal(out.mask, rows[i].mask);
        assert_int_equal(out.due_at, rows[i].due);
    }
    findings_by_clock(BEGIN, BEGIN + 1000 * DAY, BEGIN, NULL, &out); /* a long life: days count */
    assert_int_equal(out.due_at, BEGIN + 940 * DAY);
    findings_by_clock(BEGIN, CERT_NO_EXPIRY, BEGIN, NULL, &out);
    assert_int_equal(out.mask, 0);
    assert_int_equal(out.due_at, 0);
    struct finding_limits limits = findings_limits;
    limits.v[LIMIT_EXPIRING_SOON_DAYS] = 40; /* 5 percent of a thousand days and more than the other's: that one holds never */
    limits.v[LIMIT_EXPIRING_DAYS] = 30;
    findings_by_clock(BEGIN, BEGIN + 1000 * DAY, BEGIN, &limits, &out);
    assert_int_equal(out.due_at, BEGIN + 960 * DAY);
    findings_by_clock(BEGIN, BEGIN + 1000 * DAY, BEGIN + 960 * DAY, &limits, &out);
    assert_int_equal(out.mask, CHECK_BIT(CHECK_EXPIRING_SOON));
    findings_by_clock(BEGIN, BEGIN - 5, BEGIN, NULL, &out); /* ends before it begins */
    assert_int_equal(out.mask, CHECK_BIT(CHECK_EXPIRED));
}

static void lifetimes_are_of_their_date(void **state)
{
    static const struct {
        int64_t from, days;
    } rows[] = {{1519862400, 825}, {1598918400, 398}, {1773532800, 200}, {1805068800, 100}, {1868227200, 47}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cert_fields cert = good();
        cert.not_before = rows[i].from;
        cert.not_after = rows[i].from + rows[i].days * DAY - 1;
        assert_int_equal(public_one(&cert), 0);
        cert.not_after++;
        assert_int_equal(public_one(&cert), CHECK_BIT(CHECK_LIFETIME));
        assert_int_equal(look(&cert, ISSUER_PRIVATE, cert.not_before + 1), 0);
        if (i == 0)
            continue;
        cert.not_before--; /* a second before: the limit of the time before */
        cert.not_after = cert.not_before + rows[i - 1].days * DAY - 1;
        assert_int_equal(public_one(&cert), 0);
    }
}

static void weak_ones_are_told(void **state)
{
    struct cert_fields cert = good();
    static const uint8_t three[] = {3}, four[] = {4};
    (void)state;
    cert.signature_hash = CERT_HASH_SHA1;
    assert_int_equal(public_one(&cert), CHECK_BIT(CHECK_WEAK_HASH));
    cert = good();
    cert.key = (struct cert_key){.type = CERT_KEY_RSA, .bits = 2048, .exponent = bytes_of(three, 1)};
    assert_int_equal(public_one(&cert), 0);
    cert.key.bits = 1024;
    assert_int_equal(public_one(&cert), CHECK_BIT(CHECK_SHORT_KEY));
    cert.key.bits = 2048;
    cert.key.exponent = bytes_of(four, 1);
    assert_int_equal(public_one(&cert), CHECK_BIT(CHECK_WEAK_EXPONENT));
    cert = good();
    cert.key.bits = 192;
    assert_int_equal(public_one(&cert), CHECK_BIT(CHECK_SHORT_KEY));
    cert = good();
    cert.defects = CERT_DEFECT_BIT(SERIAL_NEGATIVE);
    assert_int_equal(public_one(&cert), CHECK_BIT(CHECK_MALFORMED));
}

static void names_are_looked_at(void **state)
{
    struct cert_fields cert = good();
    (void)state;
    cert.subject.common_name.value = bytes_z("WWW.Test.de");
    assert_int_equal(public_one(&cert), 0);
    cert.subject.common_name.value = bytes_z("other.test.de");
    assert_int_equal(public_one(&cert), CHECK_BIT(CHECK_CN_NOT_IN_SAN));
    cert.subject.common_name.value = bytes_z("A server of ours");
    assert_int_equal(public_one(&cert), 0);
    cert = good();
    set_san(&cert, "\x82\x09*.test.de", 1, 0);
    assert_int_equal(public_one(&cert), CHECK_BIT(CHECK_WILDCARD));
    static const struct {
        const char *san;
        bool ip, inner;
    } rows[] = {
        {"\x82\x09intranet1", false, true},  {"\x82\x08pc.LOCAL", false, true}, {"\x82\x0alocal.test", false, true},
        {"\x82\x0alocal.tesx", false, false}, {"\x87\x04\x0a\x01\x02\x03", true, true}, {"\x87\x04\x64\x40\x02\x03", true, true},
        {"\x87\x04\x08\x08\x08\x08", true, false}, {"\x87\x04\xc0\xa8\x01\x01", true, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cert = good();
        set_san(&cert, rows[i].san, !rows[i].ip, rows[i].ip);
        assert_int_equal(public_one(&cert), rows[i].inner ? CHECK_BIT(CHECK_INTERNAL_NAME) : 0);
        assert_int_equal(look(&cert, ISSUER_PRIVATE, BEGIN), 0); /* what private CAs are for */
    }
}

static void inner_names_are_also_those_of_the_settings(void **state)
{
    static const char *const inner[] = {"inside.de"};
    struct cert_fields cert = good();
    struct findings out;
    struct finding_context context = {.now = BEGIN, .trust = ISSUER_PUBLIC, .inner = inner, .inner_n = 1};
    static const struct {
        const char *san;
        bool holds;
    } rows[] = {{"\x82\x0c" "db.inside.de", true}, {"\x82\x09" "INSIDE.de", true}, {"\x82\x0c" "notinside.de", false}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        set_san(&cert, rows[i].san, 1, 0);
        findings_of(&cert, &context, &out);
        assert_int_equal(out.mask, rows[i].holds ? CHECK_BIT(CHECK_INTERNAL_NAME) : 0);
    }
}

static void names_cover_what_clients_ask_for(void **state)
{
    struct cert_fields cert = good(), other = good();
    (void)state;
    set_san(&cert, "\x82\x09*.test.de\x82\x07" "test.de\x87\x04\x0a\x01\x02\x03", 2, 1);
    static const struct {
        const char *name;
        bool covered;
    } rows[] = {{"www.test.de", true}, {"WWW.Test.DE.", true}, {"test.de", true},    {"a.www.test.de", false}, {".test.de", false},
                {"test.dex", false},   {"10.1.2.3", true},     {"10.1.2.4", false},  {"", false},              {"xtest.de", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (finding_name_covered(&cert, bytes_z(rows[i].name)) != rows[i].covered)
            fail_msg("%s", rows[i].name);
    set_san(&other, "\x82\x07" "TEST.de", 1, 0);
    assert_false(finding_names_differ(&cert, &other)); /* one has all of the other */
    set_san(&other, "\x82\x07" "test.fr", 1, 0);
    assert_true(finding_names_differ(&cert, &other));
    assert_true(finding_names_differ(&other, &cert));
}

static void issuers_are_looked_at(void **state)
{
    struct cert_fields cert = good();
    (void)state;
    cert.eku = EKU_SERVER | EKU_CLIENT;
    assert_int_equal(public_one(&cert), CHECK_BIT(CHECK_CLIENT_AUTH));
    assert_int_equal(look(&cert, ISSUER_NOT_KNOWN, BEGIN), 0);
    cert = good();
    cert.self_issued = true;
    cert.is_ca = true; /* as 'openssl req -x509' makes servers' own */
    assert_int_equal(look(&cert, ISSUER_NOT_KNOWN, BEGIN), CHECK_BIT(CHECK_SELF_SIGNED));
    set_san(&cert, "", 0, 0); /* a root */
    cert.signature_hash = CERT_HASH_SHA1;
    assert_int_equal(look(&cert, ISSUER_NOT_KNOWN, BEGIN), 0);
}

static void the_table_is_whole(void **state)
{
    size_t n;
    const struct check_info *all = findings_checks(&n);
    (void)state;
    assert_true(n >= 30 && n <= CHECK_NUMBER_MAX);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(all[i].number, i + 1); /* in order, each once */
        assert_true(*all[i].id && *all[i].words && *all[i].remedy && *all[i].source);
        assert_ptr_equal(findings_check_named(all[i].id), &all[i]);
        assert_ptr_equal(findings_check(all[i].number), &all[i]);
    }
    assert_null(findings_check(0));
    assert_null(findings_check_named("no such check"));
    for (unsigned k = 0; k < CHECK_LIMITS; k++) {
        char in_words[40];
        const struct check_limit_info *l = findings_limit((enum check_limit)k);
        assert_true(findings_check(l->check) && l->least <= l->usual && l->usual <= l->most && findings_limits.v[k] == l->usual);
        snprintf(in_words, sizeof in_words, "{%s}", l->id);
        assert_non_null(strstr(findings_check(l->check)->words, in_words));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_one_has_none), cmocka_unit_test(the_clock_is_foreseen),
        cmocka_unit_test(lifetimes_are_of_their_date), cmocka_unit_test(weak_ones_are_told),
        cmocka_unit_test(names_are_looked_at), cmocka_unit_test(inner_names_are_also_those_of_the_settings),
        cmocka_unit_test(names_cover_what_clients_ask_for), cmocka_unit_test(issuers_are_looked_at), cmocka_unit_test(the_table_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
