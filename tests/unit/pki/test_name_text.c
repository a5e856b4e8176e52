#include "pki_test.h"

#include "cert_corpus.h"
#include "pki/name_text.h"

#define L(s) BYTES_LIT(s)

static const char *dn_of(struct bytes der)
{
    struct cert_name name;
    assert_int_equal(cert_read_name(der, &name) & CERT_DEFECT_BIT(ISSUER), 0);
    return name_text_dn(&test_ctx.arena, &name);
}

static const char *value_of(uint8_t tag, struct bytes value)
{
    return name_text_str(&test_ctx.arena, (struct cert_text){value, tag});
}

static void a_name_is_written_last_attribute_first(void **state)
{
    (void)state;
    struct arena *a = &test_ctx.arena;
    assert_string_equal(
        dn_of(SEQ(a, rdn_el(a, OID_COUNTRY, DER_PRINTABLE_STRING, L("DE")),
                  rdn_el(a, OID_ORGANIZATION, DER_UTF8_STRING, L("Müller")),
                  el(a, DER_SET,
                     CAT(a, attribute_el(a, OID_CN, DER_UTF8_STRING, L("a")), attribute_el(a, OID_UID, DER_UTF8_STRING, L("b")))))),
        "CN=a+UID=b,O=Müller,C=DE");
    assert_string_equal(dn_of(L("\x30\x00")), "");
    assert_string_equal(
        dn_of(SEQ(a, rdn_el(a, L("\x2a\x03\x04"), DER_UTF8_STRING, L("x")), rdn_el(a, OID_CN, DER_INTEGER, L("\x05")))),
        "CN=#020105,1.2.3.4=#0c0178");
    assert_string_equal(dn_of(SEQ(a, rdn_el(a, L("\x2b\x06\x01\x04\x01\x82\x37\x3c\x02\x01\x03"), DER_PRINTABLE_STRING, L("US")))),
                        "jurisdictionC=US");
}

static void what_has_a_meaning_in_a_name_is_escaped(void **state)
{
    (void)state;
    struct arena *a = &test_ctx.arena;
    static const struct {
        struct bytes value;
        const char *text;
    } rows[] = {
        {L("Sue, Grabbit and Runn"), "CN=Sue\\, Grabbit and Runn"},
        {L(" a "), "CN=\\ a\\ "},
        {L(" "), "CN=\\ "},
        {L("#1 a#"), "CN=\\#1 a#"},
        {L("a+b\"c<d>e;f\\"), "CN=a\\+b\\\"c\\<d\\>e\\;f\\5c"},
        {L("a\0.example"), "CN=a\\00.example"},
        {L("a\nb\x7f"), "CN=a\\0ab\\7f"},
        {L("a\xff\xc3(\xe2\x82"), "CN=a\\ff\\c3(\\e2\\82"},
        {L("\xe2\x80\xaegro"), "CN=\\e2\\80\\aegro"},
        {L("a\xe2\x80\x8e\xd8\x9c"), "CN=a\\e2\\80\\8e\\d8\\9c"},
        {L("\xf0\x9f\x98\x80"), "CN=\xf0\x9f\x98\x80"},
        {L("\xed\xa0\x80"), "CN=\\ed\\a0\\80"},
        {L("\xc2\x85"), "CN=\\c2\\85"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(dn_of(SEQ(a, rdn_el(a, OID_CN, DER_UTF8_STRING, rows[i].value))), rows[i].text);
}

static void every_string_type_becomes_utf8(void **state)
{
    (void)state;
    assert_string_equal(value_of(DER_PRINTABLE_STRING, L("Example")), "Example");
    assert_string_equal(value_of(DER_TELETEX_STRING, L("M\xfcller")), "Müller"); /* Latin-1 in practice */
    assert_string_equal(value_of(DER_TELETEX_STRING, L("M\xc3\xbcller")), "Müller");
    assert_string_equal(value_of(DER_PRINTABLE_STRING, L("M\xfcller")), "M\\fcller");
    assert_string_equal(value_of(DER_BMP_STRING, L("\0M\0\xfc")), "Mü");
    assert_string_equal(value_of(DER_BMP_STRING, L("\xd8\x3d\xde\x00")), "\xf0\x9f\x98\x80"); /* UTF-16 in practice */
    assert_string_equal(value_of(DER_BMP_STRING, L("\xd8\x3d\0a\0")), "\\d8\\3da\\00");
    assert_string_equal(value_of(DER_UNIVERSAL_STRING, L("\0\0\0M\0\x11\0\0")), "M\\00\\11\\00\\00");
    assert_string_equal(value_of(DER_BIT_STRING, L("\0\x05")), "#0005");
    assert_string_equal(value_of(0, L("")), "");
    assert_string_equal(value_of(DER_UTF8_STRING, L("a, \\ b")), "a, \\5c b");
}

static void long_names_are_cut_between_characters(void **state)
{
    (void)state;
    struct arena *a = &test_ctx.arena;
    struct bytes cut = CAT(a, filled(a, 'x', NAME_TEXT_VALUE_MAX - 1), L("üü"));
    assert_string_equal(value_of(DER_UTF8_STRING, cut) + NAME_TEXT_VALUE_MAX - 1, "…");
    struct buf many;
    buf_init_arena(&many, a, 1 << 20);
    for (int i = 0; i < 100; i++)
        buf_put(&many, rdn_el(a, OID_UNIT, DER_UTF8_STRING, bytes_z(arena_printf(a, "%d", i))));
    const char *text = dn_of(el(a, DER_SEQUENCE, buf_bytes(&many)));
    assert_true(bytes_starts_with(bytes_z(text), L("OU=99,OU=98,")) && bytes_ends_with(bytes_z(text), L(",OU=36…")));
    for (int i = 0; i < 100; i++)
        buf_put(&many, rdn_el(a, OID_UNIT, DER_UTF8_STRING, filled(a, 1, 2000)));
    text = dn_of(el(a, DER_SEQUENCE, buf_bytes(&many)));
    assert_true(strlen(text) > NAME_TEXT_MAX && strlen(text) < 4 * NAME_TEXT_MAX && bytes_ends_with(bytes_z(text), L("…")));
}

static void dns_names_come_in_one_form(void **state)
{
    (void)state;
    static const struct {
        struct bytes raw;
        const char *text;
        bool wildcard, valid;
    } rows[] = {
        {L("www.Example.ORG"), "www.example.org", false, true},
        {L("www.example.org."), "www.example.org", false, true},
        {L("*.Example.org"), "*.example.org", true, true},
        {L("*.org"), "*.org", true, false},
        {L("f*.example.org"), "f*.example.org", false, false},
        {L("*"), "*", false, false},
        {L("."), ".", false, false},
        {L(""), "", false, false},
        {L("_dmarc.example.org"), "_dmarc.example.org", false, false},
        {L("a b.example"), "a\\20b.example", false, false},
        {L("good.example\0.evil.example"), "good.example\\00.evil.example", false, false},
        {L("m\xc3\xbcnchen.example"), "m\\c3\\bcnchen.example", false, false},
        {L("a\\00"), "a\\5c00", false, false},
        {L("xn--MNCHEN-3ya.example"), "xn--mnchen-3ya.example", false, true},
        {L("192.0.2.1"), "192.0.2.1", false, false},
    };
    struct name_text_dns dns;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        name_text_dns(rows[i].raw, &dns);
        assert_string_equal(dns.text, rows[i].text);
        assert_int_equal(dns.n, strlen(dns.text));
        assert_int_equal(dns.wildcard, rows[i].wildcard);
        assert_int_equal(dns.valid, rows[i].valid);
        assert_false(dns.cut);
    }
    name_text_dns(filled(&test_ctx.arena, 0, 300), &dns);
    assert_true(dns.cut && dns.n == NAME_TEXT_DNS_MAX / 3 * 3);
    name_text_dns(filled(&test_ctx.arena, 'a', NAME_TEXT_DNS_MAX), &dns);
    assert_true(!dns.cut && dns.n == NAME_TEXT_DNS_MAX && !dns.valid);
}

static void alternative_names_of_every_kind_have_a_text(void **state)
{
    (void)state;
    struct arena *a = &test_ctx.arena;
    struct bytes name = SEQ(a, rdn_el(a, OID_CN, DER_UTF8_STRING, L("d")));
    struct bytes upn = CAT(a, el(a, DER_OID, L("\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03")),
                           el(a, DER_CONTEXT_CONS(0), el(a, DER_UTF8_STRING, L("user@example.org"))));
    const struct {
        struct cert_general_name name;
        const char *text;
    } rows[] = {
        {{CERT_GENERAL_DNS, L("www.example.org")}, "dns:www.example.org"},
        {{CERT_GENERAL_DNS, L("a\0b")}, "dns:a\\00b"},
        {{CERT_GENERAL_IP, L("\x7f\0\0\x01")}, "ip:127.0.0.1"},
        {{CERT_GENERAL_IP, L("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01")}, "ip:2001:db8::1"},
        {{CERT_GENERAL_IP, L("\x7f")}, "ip:#7f"},
        {{CERT_GENERAL_EMAIL, L("a@example.org")}, "email:a@example.org"},
        {{CERT_GENERAL_URI, L("https://example.org/")}, "uri:https://example.org/"},
        {{CERT_GENERAL_REGISTERED_ID, L("\x2a\x03\x04")}, "oid:1.2.3.4"},
        {{CERT_GENERAL_DIRECTORY, name}, "dn:CN=d"},
        {{CERT_GENERAL_OTHER, upn}, "other:1.3.6.1.4.1.311.20.2.3=user@example.org"},
        {{CERT_GENERAL_X400, L("\x30\0")}, "x400:#3000"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b;
        buf_init_arena(&b, a, 1024);
        name_text_put_general(&b, &rows[i].name);
        assert_string_equal(buf_z(&b), rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(a_name_is_written_last_attribute_first),
        PKI_TEST(what_has_a_meaning_in_a_name_is_escaped),
        PKI_TEST(every_string_type_becomes_utf8),
        PKI_TEST(long_names_are_cut_between_characters),
        PKI_TEST(dns_names_come_in_one_form),
        PKI_TEST(alternative_names_of_every_kind_have_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
