#include "pki/tbs.h"

#include "base/random.h"
#include "pki/der.h"
#include "pki/ext.h"

#define TBS_MAX ((size_t)60 << 10)

struct rc serial_new(struct ctx *ctx, struct bytes *out)
{
    uint8_t *p = arena_alloc(&ctx->arena, 20);
    random_fill(p, 20);
    /* The top bit would make it negative; the one below keeps all serials the same length, without a zero in front. */
    p[0] = (uint8_t)((p[0] & 0x3f) | 0x40);
    *out = bytes_of(p, 20);
    return RC_OK;
}

static bool stated(const char *text)
{
    return text && *text;
}

static struct rc put_extensions(struct ctx *ctx, struct buf *b, const struct cert_intent *intent, const struct spki *spki)
{
    const struct profile_info *profile = profile_info(intent->profile);
    bool subject_empty = !stated(intent->common_name) && !stated(intent->organization);
    uint8_t id[SPKI_ID_LEN];
    TRY(spki_id(ctx, spki, id));
    ext_put_basic_constraints(b, profile->is_ca, intent->path_length);
    ext_put_key_usage(b, spki->kind == SPKI_RSA ? profile->key_usage_rsa : profile->key_usage_ec);
    if (profile->eku)
        ext_put_eku(b, profile->eku);
    ext_put_ski(b, bytes_of(id, sizeof id));
    if (intent->issuer && intent->issuer->ski.n)
        ext_put_aki(b, intent->issuer->ski);
    if (intent->names.n)
        ext_put_san(b, &intent->names, subject_empty);
    if (intent->permitted_dns.n)
        ext_put_name_constraints(b, &intent->permitted_dns);
    if (stated(intent->crl_url))
        ext_put_crl_point(b, intent->crl_url);
    if (stated(intent->issuer_url))
        ext_put_issuer_url(b, intent->issuer_url);
    return RC_OK;
}

struct rc tbs_build(struct ctx *ctx, const struct cert_intent *intent, const struct key *signer, struct bytes *tbs)
{
    struct bytes subject;
    struct spki spki;
    struct buf b;
    if (intent->profile == PROFILE_NONE)
        return ctx_fail(ctx, E_INVALID, "a certificate needs a profile");
    if (intent->permitted_dns.n && !profile_info(intent->profile)->is_ca)
        return ctx_fail(ctx, E_INVALID, "only a CA has name constraints");
    TRY(spki_parse(ctx, intent->spki, &spki));
    TRY(dn_build(ctx, intent->organization, intent->common_name, &subject));

    buf_init_arena(&b, &ctx->arena, TBS_MAX);
    size_t outer = der_begin(&b, DER_SEQUENCE), version = der_begin(&b, DER_CONTEXT_CONS(0));
    der_put_int(&b, 2); /* version 3 */
    der_end(&b, version);
    der_put(&b, DER_INTEGER, intent->serial);
    buf_put(&b, key_signature_algorithm(signer));
    buf_put(&b, intent->issuer ? intent->issuer->subject.der : subject);
    size_t validity = der_begin(&b, DER_SEQUENCE);
    der_put_time(&b, intent->not_before);
    der_put_time(&b, intent->not_after);
    der_end(&b, validity);
    buf_put(&b, subject);
    buf_put(&b, intent->spki);
    size_t tagged = der_begin(&b, DER_CONTEXT_CONS(3)), extensions = der_begin(&b, DER_SEQUENCE);
    TRY(put_extensions(ctx, &b, intent, &spki));
    der_end(&b, extensions);
    der_end(&b, tagged);
    der_end(&b, outer);
    *tbs = buf_bytes(&b);
    struct rc rc = buf_status(&b);
    return rc_failed(rc)
               ? ctx_fail(ctx, rc.e, "the certificate would be larger than %zu bytes, or end after the year 9999", TBS_MAX)
               : RC_OK;
}

struct rc tbs_sign(struct ctx *ctx, struct bytes tbs, const struct key *signer, struct bytes *der)
{
    struct bytes signature;
    struct buf b;
    TRY(key_sign(ctx, signer, tbs, &signature));
    buf_init_arena(&b, &ctx->arena, tbs.n + 2048);
    size_t outer = der_begin(&b, DER_SEQUENCE);
    buf_put(&b, tbs);
    buf_put(&b, key_signature_algorithm(signer));
    der_put_bits(&b, signature);
    der_end(&b, outer);
    *der = buf_bytes(&b);
    return buf_status(&b);
}
