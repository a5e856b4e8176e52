#include "pki/alpn_cert.h"

#include "pki/der.h"
#include "pki/digest.h"
#include "pki/ext.h"
#include "pki/oid.h"
#include "pki/tbs.h"

#define LIFE_S ((int64_t)7 * 86400)

static void put_extensions(struct buf *b, const struct name *name, const uint8_t hash[SHA256_LEN])
{
    struct name_list names = {(struct name *)(uintptr_t)name, 1, 1};
    size_t tagged = der_begin(b, DER_CONTEXT_CONS(3)), extensions = der_begin(b, DER_SEQUENCE);
    ext_put_san(b, &names, true); /* the subject is empty */
    struct ext e = ext_begin(b, OID_ACME_IDENTIFIER, true);
    der_put_octets(b, bytes_of(hash, SHA256_LEN));
    ext_end(b, e);
    der_end(b, extensions);
    der_end(b, tagged);
}

RC alpn_cert_make(struct ctx *ctx, const struct key *key, const struct name *name, const char *key_authorization,
                  struct bytes *der)
{
    uint8_t hash[SHA256_LEN];
    struct bytes serial;
    struct buf b;
    const int64_t now = ctx_now_s(ctx);
    TRY(digest_sha256(ctx, bytes_z(key_authorization), hash));
    TRY(serial_new(ctx, &serial));
    buf_init_arena(&b, &ctx->arena, 4096);
    size_t outer = der_begin(&b, DER_SEQUENCE), version = der_begin(&b, DER_CONTEXT_CONS(0));
    der_put_int(&b, 2); /* version 3 */
    der_end(&b, version);
    der_put(&b, DER_INTEGER, serial);
    buf_put(&b, key_signature_algorithm(key));
    der_put(&b, DER_SEQUENCE, (struct bytes){0}); /* issuer */
    size_t validity = der_begin(&b, DER_SEQUENCE);
    der_put_time(&b, now - 86400);
    der_put_time(&b, now + LIFE_S);
    der_end(&b, validity);
    der_put(&b, DER_SEQUENCE, (struct bytes){0}); /* subject */
    buf_put(&b, key_spki(key));
    put_extensions(&b, name, hash);
    der_end(&b, outer);
    TRY(buf_status(&b));
    return tbs_sign(ctx, buf_bytes(&b), key, der);
}

const char *alpn_cert_sni(struct arena *a, const struct name *name)
{
    struct buf b;
    if (name->kind == NAME_DNS)
        return name->text;
    buf_init_arena(&b, a, 128);
    for (size_t i = name->ip.n; i-- > 0;)
        if (name->ip.n == 4)
            buf_printf(&b, "%u.", name->ip.p[i]);
        else
            buf_printf(&b, "%x.%x.", name->ip.p[i] & 15U, name->ip.p[i] >> 4U);
    buf_put_z(&b, name->ip.n == 4 ? "in-addr.arpa" : "ip6.arpa");
    return buf_z(&b);
}
