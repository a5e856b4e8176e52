#include "hub/api_usage.h"

#include "base/encode.h"
#include "pki/cert_read.h"
#include "pki/der.h"

#define SHOWN_MAX 64 /* of each list */
#define OID_MAX   48 /* bytes: 192 digits and dots at most */
#define KEYID_MAX 64

static const struct {
    uint32_t bit;
    const char *word; /* RFC 5280 4.2.1.3 */
} usages[] = {{USAGE_DIGITAL_SIGNATURE, "digitalSignature"}, {USAGE_NON_REPUDIATION, "nonRepudiation"},
              {USAGE_KEY_ENCIPHERMENT, "keyEncipherment"},   {USAGE_DATA_ENCIPHERMENT, "dataEncipherment"},
              {USAGE_KEY_AGREEMENT, "keyAgreement"},         {USAGE_CERT_SIGN, "keyCertSign"},
              {USAGE_CRL_SIGN, "cRLSign"},                   {USAGE_ENCIPHER_ONLY, "encipherOnly"},
              {USAGE_DECIPHER_ONLY, "decipherOnly"}};

static const struct {
    const char *oid, *word; /* RFC 5280 4.2.1.12 */
} purposes[] = {{"1.3.6.1.5.5.7.3.1", "serverAuth"},      {"1.3.6.1.5.5.7.3.2", "clientAuth"},
                {"1.3.6.1.5.5.7.3.3", "codeSigning"},     {"1.3.6.1.5.5.7.3.4", "emailProtection"},
                {"1.3.6.1.5.5.7.3.8", "timeStamping"},    {"1.3.6.1.5.5.7.3.9", "OCSPSigning"},
                {"2.5.29.37.0", "anyExtendedKeyUsage"}};

static const char *oid_text(struct ctx *ctx, struct bytes oid)
{
    struct buf b;
    if (oid.n > OID_MAX)
        return arena_printf(&ctx->arena, "an OID of %zu bytes", oid.n);
    buf_init_arena(&b, &ctx->arena, 4096);
    der_oid_text(&b, oid);
    return buf_z(&b);
}

static const char *purpose_text(struct ctx *ctx, struct bytes oid)
{
    const char *text = oid_text(ctx, oid);
    for (size_t i = 0; i < sizeof purposes / sizeof *purposes; i++)
        if (str_equal(purposes[i].oid, text))
            return purposes[i].word;
    return text;
}

static struct api_strings list_of(struct ctx *ctx, const struct cert_list *list, bool next(struct bytes *rest, struct bytes *oid),
                                  const char *text(struct ctx *ctx, struct bytes oid))
{
    const char **v = arena_array(&ctx->arena, SHOWN_MAX, sizeof *v);
    struct bytes rest = list->der, oid;
    size_t n = 0;
    while (n < SHOWN_MAX && next(&rest, &oid))
        v[n++] = text(ctx, oid);
    return (struct api_strings){.v = v, .n = n};
}

static const char *key_id(struct ctx *ctx, struct bytes id)
{
    return id.n && id.n <= KEYID_MAX ? hex_str(&ctx->arena, id) : NULL;
}

RC api_usage_put(struct ctx *ctx, struct bytes der, struct api_certificate_shown *out)
{
    struct cert_fields c;
    const char **v = arena_array(&ctx->arena, sizeof usages / sizeof *usages, sizeof *v);
    size_t n = 0;
    TRY(cert_read(ctx, der, &c));
    for (size_t i = 0; i < sizeof usages / sizeof *usages; i++)
        if (c.key_usage & usages[i].bit)
            v[n++] = usages[i].word;
    out->key_usage = (struct api_strings){.v = v, .n = n};
    out->extended_key_usage = list_of(ctx, &c.eku_oids, cert_next_oid, purpose_text);
    out->policies = list_of(ctx, &c.policies, cert_next_policy, oid_text);
    out->path_length = c.path_length;
    out->has_path_length = c.path_length >= 0;
    out->subject_key_id = key_id(ctx, c.ski);
    out->authority_key_id = key_id(ctx, c.aki);
    return RC_OK;
}
