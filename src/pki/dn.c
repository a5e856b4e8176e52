#include "base/str.h"
#include "pki/cert.h"
#include "pki/der.h"
#include "pki/name_text.h"
#include "pki/oid.h"

#define DN_ATTRIBUTES_MAX 64

/* NULL where the attribute is absent. */
static const char *text_of(struct arena *a, struct cert_text text)
{
    return text.tag ? name_text_str(a, text) : NULL;
}

struct rc dn_parse(struct ctx *ctx, struct bytes der, struct cert_dn *out)
{
    struct bytes rdns, set, attribute, oid, value;
    struct cert_name name;
    size_t n = 0;
    uint8_t tag;
    *out = (struct cert_dn){.der = der, .text = ""};
    if (!der_only(der, DER_SEQUENCE, &rdns))
        return ctx_fail(ctx, E_PARSE, "a name is malformed");
    while (rdns.n) {
        if (!der_take_tag(&rdns, DER_SET, &set) || !set.n)
            return ctx_fail(ctx, E_PARSE, "a name is malformed");
        while (set.n) {
            if (n++ == DN_ATTRIBUTES_MAX)
                return ctx_fail(ctx, E_TOO_LARGE, "a name has more than %d parts", DN_ATTRIBUTES_MAX);
            if (!der_take_tag(&set, DER_SEQUENCE, &attribute) || !der_take_oid(&attribute, &oid) ||
                !der_take(&attribute, &tag, &value) || attribute.n)
                return ctx_fail(ctx, E_PARSE, "an attribute of a name is malformed");
        }
    }
    (void)cert_read_name(der, &name); /* reads more than was accepted above */
    out->text = name_text_dn(&ctx->arena, &name);
    out->common_name = text_of(&ctx->arena, name.common_name);
    out->organization = text_of(&ctx->arena, name.organization);
    out->unit = text_of(&ctx->arena, name.unit);
    out->country = text_of(&ctx->arena, name.country);
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
