/* Any bytes to the reader of the inventory: what it gives lies inside the input, its lists have as many elements as they say, texts
 * are UTF-8; and where OpenSSL accepts the same bytes, both agree on every field. */
#include "../unit/pki/cert_agree.h"

#include "base/str.h"
#include "pki/name_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "wrong: %s\n", what);
        abort();
    }
}

static void inside(struct bytes whole, struct bytes part)
{
    check(!part.n || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n), "a span outside");
}

static void check_name(struct arena *a, struct bytes whole, const struct cert_name *name)
{
    struct cert_attribute_cursor at = cert_attributes(name);
    struct cert_attribute attribute;
    uint32_t n = 0;
    inside(whole, name->der);
    for (; cert_next_attribute(&at, &attribute); n++) {
        inside(whole, attribute.oid);
        inside(whole, attribute.element);
        check(str_is_utf8(bytes_z(name_text_str(a, attribute.text))), "text of a value");
    }
    check(n == name->n, "number of attributes");
    check(str_is_utf8(bytes_z(name_text_dn(a, name))), "text of a name");
}

static void check_san(struct arena *a, const struct cert_fields *c)
{
    struct bytes rest = c->san.der;
    struct cert_general_name name;
    struct name_text_dns dns;
    struct buf b;
    uint32_t n = 0;
    for (; cert_next_general_name(&rest, &name); n++) {
        inside(c->der, name.value);
        buf_init_arena(&b, a, 64 << 10);
        name_text_put_general(&b, &name);
        check(rc_ok(buf_status(&b)) && str_is_utf8(buf_bytes(&b)), "text of an alternative name");
        name_text_dns(name.value, &dns);
        check(strlen(dns.text) == dns.n && dns.n <= NAME_TEXT_DNS_MAX, "length of a DNS name");
    }
    check(n == c->san.n && !rest.n, "number of alternative names");
}

static void check_lists(const struct cert_fields *c)
{
    struct bytes rest = c->eku_oids.der, oid, point = {0};
    struct cert_access access;
    struct cert_sct sct;
    uint32_t n = 0;
    while (cert_next_oid(&rest, &oid))
        n++;
    check(n == c->eku_oids.n, "number of extended key usages");
    rest = c->policies.der;
    for (n = 0; cert_next_policy(&rest, &oid); n++)
        inside(c->der, oid);
    check(n == c->policies.n, "number of policies");
    rest = c->access.der;
    for (n = 0; cert_next_access(&rest, &access); n++)
        inside(c->der, access.location.value);
    check(n == c->access.n, "number of accesses");
    rest = c->scts.der;
    for (n = 0; cert_next_sct(&rest, &sct); n++)
        inside(c->der, sct.signature);
    check(n == c->scts.n, "number of SCTs");
    rest = c->crl_points.der;
    bool any = cert_next_crl_uri(&rest, &point, &oid);
    check(any == (c->crl_uri.n != 0) || CERT_DEFECT_BIT(CRL_POINTS) & c->defects, "URI of a CRL");
    inside(c->der, c->crl_uri);
}

static void check_fields(struct arena *a, const struct cert_fields *c)
{
    inside(c->der, c->tbs);
    inside(c->der, c->serial);
    inside(c->der, c->signature);
    inside(c->der, c->signature_oid);
    inside(c->der, c->key.der);
    inside(c->der, c->key.bits_value);
    inside(c->der, c->key.modulus);
    inside(c->der, c->ski);
    inside(c->der, c->aki);
    inside(c->der, c->unknown_critical);
    check(c->serial.n && c->tbs.n, "outer shape");
    check(*cert_key_word(c->key.type) && *cert_signature_word(c->signature_type), "words");
    check_name(a, c->der, &c->issuer);
    check_name(a, c->der, &c->subject);
    check_san(a, c);
    check_lists(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct cert_fields c;
    const uint8_t *p = data;
    ctx_init(&ctx, &clock_system);
    struct rc rc = cert_read(&ctx, bytes_of(data, n), &c);
    if (rc_ok(rc))
        check_fields(&ctx.arena, &c);
    X509 *x = d2i_X509(NULL, &p, (long)n);
    ERR_clear_error();
    if (x && p == data + n && n <= CERT_READ_MAX) {
        check(rc_ok(rc), ctx_why(&ctx));
        const char *differs = cert_disagrees(&c, x);
        check(!differs, differs);
    }
    X509_free(x);
    return 0;
}
