#include "pki/csr.h"

#include "pki/der.h"
#include "pki/ext.h"
#include "pki/oid.h"

/* --- building */

/* Everything around the extensions: opens up to their list, and closes and signs. */
struct request {
    struct buf b;
    size_t info, attributes, attribute, set, extensions;
};

static void request_begin(struct ctx *ctx, struct request *r, const struct key *key, struct bytes subject)
{
    buf_init_arena(&r->b, &ctx->arena, CSR_MAX);
    r->info = der_begin(&r->b, DER_SEQUENCE);
    der_put_int(&r->b, 0);
    buf_put(&r->b, subject);
    buf_put(&r->b, key_spki(key));
    r->attributes = der_begin(&r->b, DER_CONTEXT_CONS(0));
    r->attribute = der_begin(&r->b, DER_SEQUENCE);
    der_put_oid(&r->b, OID_EXTENSION_REQUEST);
    r->set = der_begin(&r->b, DER_SET);
    r->extensions = der_begin(&r->b, DER_SEQUENCE);
}

static struct rc request_sign(struct ctx *ctx, struct request *r, const struct key *key, struct bytes *der)
{
    struct bytes signature;
    struct buf out;
    der_end(&r->b, r->extensions);
    der_end(&r->b, r->set);
    der_end(&r->b, r->attribute);
    der_end(&r->b, r->attributes);
    der_end(&r->b, r->info);
    TRY(buf_status(&r->b));
    TRY(key_sign(ctx, key, buf_bytes(&r->b), &signature));
    buf_init_arena(&out, &ctx->arena, CSR_MAX);
    size_t outer = der_begin(&out, DER_SEQUENCE);
    buf_put(&out, buf_bytes(&r->b));
    buf_put(&out, key_signature_algorithm(key));
    der_put_bits(&out, signature);
    der_end(&out, outer);
    *der = buf_bytes(&out);
    return buf_status(&out);
}

struct rc csr_build(struct ctx *ctx, const struct key *key, const struct name_list *names, const char *common_name,
                    struct bytes *der)
{
    struct request r;
    struct bytes subject;
    if (!names->n)
        return ctx_fail(ctx, E_INVALID, "a certificate signing request needs at least one name");
    TRY(dn_build(ctx, NULL, common_name, &subject));
    request_begin(ctx, &r, key, subject);
    ext_put_san(&r.b, names, !common_name || !*common_name);
    return request_sign(ctx, &r, key, der);
}

struct rc csr_build_ca(struct ctx *ctx, const struct key *key, const char *organization, const char *common_name, int path_length,
                       struct bytes *der)
{
    struct request r;
    struct bytes subject;
    TRY(dn_build(ctx, organization, common_name, &subject));
    request_begin(ctx, &r, key, subject);
    ext_put_basic_constraints(&r.b, true, path_length);
    ext_put_key_usage(&r.b, USAGE_CERT_SIGN | USAGE_CRL_SIGN);
    return request_sign(ctx, &r, key, der);
}

/* --- reading */

static struct rc malformed(struct ctx *ctx, const char *what)
{
    return ctx_fail(ctx, E_BAD_CSR, "the %s of the certificate signing request cannot be read", what);
}

/* Turns a failure below into E_BAD_CSR; its words stay in the trail. */
static struct rc bad(struct ctx *ctx, struct rc rc, const char *what)
{
    return rc_failed(rc) ? ctx_fail(ctx, E_BAD_CSR, "the %s of the certificate signing request is not acceptable", what) : rc;
}

static struct rc read_names(struct ctx *ctx, struct bytes value, struct csr *out)
{
    struct bytes list, text;
    size_t count = 0;
    if (!der_only(value, DER_SEQUENCE, &list) || !list.n)
        return malformed(ctx, "subject alternative name");
    while (list.n) {
        struct name name;
        uint8_t tag;
        if (!der_take(&list, &tag, &text))
            return malformed(ctx, "subject alternative name");
        if (++count > CSR_NAMES_MAX)
            return ctx_fail(ctx, E_BAD_CSR, "the certificate signing request has more than %d names", CSR_NAMES_MAX);
        if (tag == DER_CONTEXT(2))
            TRY(bad(ctx, name_parse_dns(ctx, text, &name), "name"));
        else if (tag == DER_CONTEXT(7))
            TRY(bad(ctx, name_parse_ip(ctx, text, &name), "name"));
        else
            return ctx_fail(ctx, E_BAD_CSR,
                            "the certificate signing request has a name that is neither a DNS name nor an IP address");
        name_list_add(&ctx->arena, &out->names, name);
    }
    return RC_OK;
}

static bool asks_ca(struct bytes value)
{
    struct bytes list;
    bool ca = false;
    return !der_only(value, DER_SEQUENCE, &list) || (der_take_bool(&list, &ca) && ca);
}

static struct rc read_extensions(struct ctx *ctx, struct bytes list, struct csr *out)
{
    struct bytes extension, oid, value;
    bool seen_san = false, critical;
    while (list.n) {
        if (!der_take_tag(&list, DER_SEQUENCE, &extension) || !der_take_oid(&extension, &oid) ||
            (der_peek(extension) == DER_BOOLEAN && !der_take_bool(&extension, &critical)) ||
            !der_take_tag(&extension, DER_OCTET_STRING, &value) || extension.n)
            return malformed(ctx, "extensions");
        if (bytes_equal(oid, OID_SAN)) {
            if (seen_san)
                return ctx_fail(ctx, E_BAD_CSR, "the certificate signing request has two lists of names");
            seen_san = true;
            TRY(read_names(ctx, value, out));
        } else if (bytes_equal(oid, OID_BASIC_CONSTRAINTS)) {
            out->asks_ca = out->asks_ca || asks_ca(value);
        }
    }
    return RC_OK;
}

/* Attributes other than the extension request (challenge passwords, requests of Windows) say nothing that we would follow. */
static struct rc read_attributes(struct ctx *ctx, struct bytes list, struct csr *out)
{
    struct bytes attribute, oid, set, extensions;
    bool seen = false;
    while (list.n) {
        if (!der_take_tag(&list, DER_SEQUENCE, &attribute) || !der_take_oid(&attribute, &oid) ||
            !der_take_tag(&attribute, DER_SET, &set) || attribute.n)
            return malformed(ctx, "attributes");
        if (!bytes_equal(oid, OID_EXTENSION_REQUEST))
            continue;
        if (seen || !der_only(set, DER_SEQUENCE, &extensions))
            return malformed(ctx, "extension request");
        seen = true;
        TRY(read_extensions(ctx, extensions, out));
    }
    return RC_OK;
}

static struct rc add_common_name(struct ctx *ctx, struct csr *out)
{
    struct name name;
    if (!out->subject.common_name || !name_dns_valid(bytes_z(out->subject.common_name), true))
        return RC_OK;
    TRY(name_parse_dns(ctx, bytes_z(out->subject.common_name), &name));
    name_list_add(&ctx->arena, &out->names, name);
    return RC_OK;
}

static struct rc csr_take(struct ctx *ctx, struct bytes der, bool verify, struct csr *out)
{
    struct bytes body, info, in, subject, spki, attributes, algorithm, signature;
    int64_t version;
    int unused;
    bool present;
    KEY_CLEANUP struct key *key = NULL;
    *out = (struct csr){.der = der};
    if (der.n > CSR_MAX)
        return ctx_fail(ctx, E_BAD_CSR, "a certificate signing request of %zu bytes is larger than %zu", der.n, CSR_MAX);
    if (!der_only(der, DER_SEQUENCE, &body) || !der_take_raw(&body, DER_SEQUENCE, &info) ||
        !der_take_raw(&body, DER_SEQUENCE, &algorithm) || !der_take_bits(&body, &signature, &unused) || unused || body.n ||
        !der_only(info, DER_SEQUENCE, &in) || !der_take_int(&in, &version) || version != 0)
        return malformed(ctx, "outer structure");
    if (!der_take_raw(&in, DER_SEQUENCE, &subject) || !der_take_raw(&in, DER_SEQUENCE, &spki) ||
        !der_take_optional(&in, DER_CONTEXT_CONS(0), &attributes, &present) || in.n)
        return malformed(ctx, "content");
    TRY(bad(ctx, dn_parse(ctx, subject, &out->subject), "subject"));
    TRY(bad(ctx, spki_parse(ctx, spki, &out->spki), "public key"));
    if (out->spki.key_kind == KEY_OTHER)
        return ctx_fail(ctx, E_BAD_CSR, "the request's key is not ec-p256, ec-p384, rsa-2048, rsa-3072 or rsa-4096");
    if (verify) {
        TRY(bad(ctx, key_from_spki(ctx, spki, &key), "public key"));
        TRY(bad(ctx, key_verify(ctx, key, algorithm, info, signature), "signature"));
    }
    if (present)
        TRY(read_attributes(ctx, attributes, out));
    TRY(add_common_name(ctx, out));
    if (out->names.n > CSR_NAMES_MAX)
        return ctx_fail(ctx, E_BAD_CSR, "the certificate signing request has more than %d names", CSR_NAMES_MAX);
    return digest_sha256(ctx, spki, out->spki_sha256);
}

struct rc csr_parse(struct ctx *ctx, struct bytes der, struct csr *out) { return csr_take(ctx, der, true, out); }

struct rc csr_read(struct ctx *ctx, struct bytes der, struct csr *out) { return csr_take(ctx, der, false, out); }
