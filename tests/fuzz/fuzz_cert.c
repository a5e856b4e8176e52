/* Any bytes to the certificate reader.  Where OpenSSL reads the same certificate, both agree on what matters. */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "pki/cert.h"
#include "pki/constraints.h"
#include "pki/lint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void agree_with_openssl(const struct cert *c)
{
    const uint8_t *p = c->der.p;
    X509 *x = d2i_X509(NULL, &p, (long)c->der.n);
    if (x) {
        const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(x);
        uint32_t flags = X509_get_extension_flags(x);
        check(p == c->der.p + c->der.n);
        check(X509_get_version(x) + 1 == c->version);
        if (!(flags & EXFLAG_INVALID)) {
            check(((flags & EXFLAG_CA) != 0) == c->is_ca || !(c->extensions & EXT_BASIC_CONSTRAINTS));
            check(!ski || bytes_equal(c->ski, bytes_of(ski->data, (size_t)ski->length)));
        }
        X509_free(x);
    }
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct cert c;
    struct name_list names;
    const char *which;
    ctx_init(&ctx, &clock_system);
    if (rc_ok(cert_parse(&ctx, bytes_of(data, n), &c))) {
        check(c.subject.text && c.issuer.text && c.signature_name);
        check(rc_ok(cert_names(&ctx, &c, &names)));
        for (size_t i = 0; i < names.n; i++)
            if (names.v[i].kind == NAME_DNS && !name_is_wildcard(&names.v[i]) && (c.extensions & EXT_SAN))
                check(cert_covers(&c, bytes_z(names.v[i].text)));
        (void)constraints_permit(&ctx.arena, c.name_constraints, &c, &which);
        for (int profile = PROFILE_NONE; profile < PROFILE_COUNT; profile++)
            (void)rc_ok(lint_certificate(&ctx, &c, (enum cert_profile)profile, NULL, c.not_before, NULL));
        agree_with_openssl(&c);
    }
    return 0;
}
