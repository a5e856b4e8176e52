#include "pki/crl.h"

#include "base/str.h"
#include "pki/der.h"
#include "pki/ext.h"
#include "pki/oid.h"

static const char *const reasons[] = {"unspecified",   "keyCompromise",        "cACompromise",    "affiliationChanged",
                                      "superseded",    "cessationOfOperation", "certificateHold", NULL,
                                      "removeFromCRL", "privilegeWithdrawn",   "aACompromise"};
#define REASONS (sizeof reasons / sizeof *reasons)

const char *crl_reason_name(int reason)
{
    return reason >= 0 && (size_t)reason < REASONS && reasons[reason] ? reasons[reason] : "unknown";
}

static void put_entry(struct buf *b, const struct crl_entry *entry)
{
    size_t outer = der_begin(b, DER_SEQUENCE);
    der_put(b, DER_INTEGER, entry->serial);
    der_put_time(b, entry->revoked_at);
    if (entry->reason) {
        size_t list = der_begin(b, DER_SEQUENCE);
        struct ext e = ext_begin(b, OID_CRL_REASON, false);
        uint8_t reason = (uint8_t)entry->reason;
        der_put(b, DER_ENUMERATED, bytes_of(&reason, 1));
        ext_end(b, e);
        der_end(b, list);
    }
    der_end(b, outer);
}

static void put_tbs(struct buf *b, const struct crl_intent *intent, const struct key *signer)
{
    size_t outer = der_begin(b, DER_SEQUENCE);
    der_put_int(b, 1); /* version 2 */
    buf_put(b, key_signature_algorithm(signer));
    buf_put(b, intent->issuer->subject.der);
    der_put_time(b, intent->this_update);
    der_put_time(b, intent->next_update);
    if (intent->n) { /* RFC 5280 section 5.1.2.6: the list must be absent where it is empty */
        size_t list = der_begin(b, DER_SEQUENCE);
        for (size_t i = 0; i < intent->n; i++)
            put_entry(b, &intent->entries[i]);
        der_end(b, list);
    }
    size_t tagged = der_begin(b, DER_CONTEXT_CONS(0)), extensions = der_begin(b, DER_SEQUENCE);
    ext_put_aki(b, intent->issuer->ski);
    struct ext number = ext_begin(b, OID_CRL_NUMBER, false);
    der_put_int(b, intent->number);
    ext_end(b, number);
    der_end(b, extensions);
    der_end(b, tagged);
    der_end(b, outer);
}

struct rc crl_build(struct ctx *ctx, const struct crl_intent *intent, const struct key *signer, struct bytes *der)
{
    struct bytes signature;
    struct buf tbs, out;
    if (!intent->issuer->ski.n)
        return ctx_fail(ctx, E_INVALID, "the issuer's certificate has no key identifier");
    if (intent->next_update <= intent->this_update || intent->number < 0)
        return ctx_fail(ctx, E_INVALID, "a CRL's next update must be after this update, and its number not negative");
    for (size_t i = 0; i < intent->n; i++) {
        const struct crl_entry *entry = &intent->entries[i];
        if (!entry->serial.n || entry->serial.n > 20 || entry->reason == 8 || str_equal(crl_reason_name(entry->reason), "unknown"))
            return ctx_fail(ctx, E_INVALID, "entry %zu of the CRL has no serial or an unknown reason", i + 1);
    }
    buf_init_arena(&tbs, &ctx->arena, CRL_MAX);
    put_tbs(&tbs, intent, signer);
    TRY(buf_status(&tbs));
    TRY(key_sign(ctx, signer, buf_bytes(&tbs), &signature));
    buf_init_arena(&out, &ctx->arena, CRL_MAX);
    size_t outer = der_begin(&out, DER_SEQUENCE);
    buf_put(&out, buf_bytes(&tbs));
    buf_put(&out, key_signature_algorithm(signer));
    der_put_bits(&out, signature);
    der_end(&out, outer);
    *der = buf_bytes(&out);
    return buf_status(&out);
}

static struct rc malformed(struct ctx *ctx, const char *what)
{
    return ctx_fail(ctx, E_PARSE, "the CRL's %s cannot be read", what);
}

/* IssuingDistributionPoint (section 5.2.5).  Lists of some reasons alone, of attributes or of other issuers are none that tell who
 * is good; `usable` is false for them. */
static bool read_scope(struct bytes value, struct crl *out, bool *usable)
{
    struct bytes list, point, names, ignored;
    bool has_point, flag;
    *usable = true;
    if (!der_only(value, DER_SEQUENCE, &list) || !der_take_optional(&list, DER_CONTEXT_CONS(0), &point, &has_point))
        return false;
    if (has_point && der_peek(point) == DER_CONTEXT_CONS(0)) {
        if (!der_only(point, DER_CONTEXT_CONS(0), &names) || !names.n)
            return false;
        out->points = names;
    } else if (has_point) {
        *usable = false;
    }
    for (uint8_t tag = 1; tag <= 5; tag++) {
        if (!der_take_optional(&list, DER_CONTEXT(tag), &ignored, &flag))
            return false;
        if (flag && tag != 3 && (ignored.n != 1 || !ignored.p[0]))
            flag = false; /* FALSE, written out */
        out->only_leaves |= flag && tag == 1;
        out->only_cas |= flag && tag == 2;
        *usable &= !flag || tag < 3;
    }
    return !list.n;
}

static bool read_extension(struct bytes oid, struct bytes value, struct crl *out)
{
    struct bytes list;
    bool present;
    if (bytes_equal(oid, OID_CRL_NUMBER))
        return der_take_unsigned(&value, &out->number) && !value.n && out->number.n <= 20;
    if (bytes_equal(oid, OID_AKI))
        return der_only(value, DER_SEQUENCE, &list) && der_take_optional(&list, DER_CONTEXT(0), &out->aki, &present);
    return true;
}

static struct rc read_extensions(struct ctx *ctx, struct bytes wrapped, struct crl *out)
{
    struct bytes list, extension, oid, value;
    if (!der_only(wrapped, DER_SEQUENCE, &list))
        return malformed(ctx, "extensions");
    while (list.n) {
        bool critical = false;
        if (!der_take_tag(&list, DER_SEQUENCE, &extension) || !der_take_oid(&extension, &oid) ||
            (der_peek(extension) == DER_BOOLEAN && !der_take_bool(&extension, &critical)) ||
            !der_take_tag(&extension, DER_OCTET_STRING, &value) || extension.n || !read_extension(oid, value, out))
            return malformed(ctx, "extensions");
        bool usable = false;
        if (bytes_equal(oid, OID_CRL_SCOPE) && !read_scope(value, out, &usable))
            return malformed(ctx, "scope");
        if (bytes_equal(oid, OID_CRL_SCOPE) ? !usable : critical) /* delta and indirect lists mark themselves so */
            return ctx_fail(ctx, E_UNSUPPORTED,
                            "the CRL has a critical extension; only lists of all reasons, by their issuer, are read");
    }
    return RC_OK;
}

bool crl_next(struct bytes *rest, struct crl_entry *out)
{
    struct bytes entry, list, extension, oid, value, reason;
    *out = (struct crl_entry){0};
    if (!der_take_tag(rest, DER_SEQUENCE, &entry) || !der_take_serial(&entry, &out->serial) ||
        !der_take_time(&entry, &out->revoked_at))
        return false;
    if (!der_take_tag(&entry, DER_SEQUENCE, &list))
        return !entry.n;
    while (der_take_tag(&list, DER_SEQUENCE, &extension)) {
        bool critical;
        if (!der_take_oid(&extension, &oid) || (der_peek(extension) == DER_BOOLEAN && !der_take_bool(&extension, &critical)) ||
            !der_take_tag(&extension, DER_OCTET_STRING, &value))
            return false;
        if (bytes_equal(oid, OID_CRL_REASON) && der_only(value, DER_ENUMERATED, &reason) && reason.n == 1)
            out->reason = reason.p[0];
    }
    return !list.n && !entry.n;
}

struct rc crl_parse(struct ctx *ctx, struct bytes der, struct crl *out)
{
    struct bytes body, in, algorithm, issuer, wrapped;
    struct crl_entry entry;
    int64_t version = 0;
    int unused;
    bool present;
    *out = (struct crl){.der = der};
    if (!der_only(der, DER_SEQUENCE, &body) || !der_take_raw(&body, DER_SEQUENCE, &out->tbs) ||
        !der_take_raw(&body, DER_SEQUENCE, &out->signature_algorithm) || !der_take_bits(&body, &out->signature, &unused) ||
        unused || body.n || !der_only(out->tbs, DER_SEQUENCE, &in))
        return malformed(ctx, "outer structure");
    if (der_peek(in) == DER_INTEGER && (!der_take_int(&in, &version) || version != 1))
        return malformed(ctx, "version");
    if (!der_take_raw(&in, DER_SEQUENCE, &algorithm) || !bytes_equal(algorithm, out->signature_algorithm) ||
        !der_take_raw(&in, DER_SEQUENCE, &issuer) || !der_take_time(&in, &out->this_update))
        return malformed(ctx, "header");
    if ((der_peek(in) == DER_UTC_TIME || der_peek(in) == DER_GENERALIZED_TIME) && !der_take_time(&in, &out->next_update))
        return malformed(ctx, "next update");
    TRY(dn_parse(ctx, issuer, &out->issuer));
    if (!der_take_optional(&in, DER_SEQUENCE, &out->rest, &present))
        return malformed(ctx, "list of entries");
    for (struct bytes rest = out->rest; rest.n; out->n++)
        if (!crl_next(&rest, &entry))
            return malformed(ctx, "list of entries");
    if (!der_take_optional(&in, DER_CONTEXT_CONS(0), &wrapped, &present) || in.n)
        return malformed(ctx, "extensions");
    return present ? read_extensions(ctx, wrapped, out) : RC_OK;
}

struct rc crl_verify(struct ctx *ctx, const struct crl *crl, const struct key *issuer)
{
    return key_verify(ctx, issuer, crl->signature_algorithm, crl->tbs, crl->signature);
}

bool crl_is_for(const struct crl *crl, bool ca, struct bytes url)
{
    struct bytes rest = crl->points, value;
    uint8_t tag;
    if (ca ? crl->only_leaves : crl->only_cas)
        return false;
    if (!crl->points.n)
        return true;
    while (rest.n && der_take(&rest, &tag, &value))
        if (tag == DER_CONTEXT(6) && bytes_equal(value, url))
            return true;
    return false;
}

bool crl_has(const struct crl *crl, struct bytes serial)
{
    struct bytes rest = crl->rest;
    struct crl_entry entry;
    while (crl_next(&rest, &entry))
        if (bytes_equal(entry.serial, serial))
            return true;
    return false;
}
