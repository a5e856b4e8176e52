#include "pki/ext.h"

#include "pki/cert.h"
#include "pki/der.h"
#include "pki/oid.h"

struct ext ext_begin(struct buf *b, struct bytes oid, bool critical)
{
    struct ext e;
    e.outer = der_begin(b, DER_SEQUENCE);
    der_put_oid(b, oid);
    if (critical)
        der_put_bool(b, true);
    e.value = der_begin(b, DER_OCTET_STRING);
    return e;
}

void ext_end(struct buf *b, struct ext e)
{
    der_end(b, e.value);
    der_end(b, e.outer);
}

void ext_put_basic_constraints(struct buf *b, bool is_ca, int path_length)
{
    struct ext e = ext_begin(b, OID_BASIC_CONSTRAINTS, true);
    size_t list = der_begin(b, DER_SEQUENCE);
    if (is_ca)
        der_put_bool(b, true);
    if (is_ca && path_length >= 0)
        der_put_int(b, path_length);
    der_end(b, list);
    ext_end(b, e);
}

void ext_put_key_usage(struct buf *b, uint32_t flags)
{
    struct ext e = ext_begin(b, OID_KEY_USAGE, true);
    der_put_flags(b, flags);
    ext_end(b, e);
}

void ext_put_eku(struct buf *b, uint32_t flags)
{
    struct ext e = ext_begin(b, OID_EKU, false);
    size_t list = der_begin(b, DER_SEQUENCE);
    if (flags & EKU_SERVER)
        der_put_oid(b, OID_EKU_SERVER);
    if (flags & EKU_CLIENT)
        der_put_oid(b, OID_EKU_CLIENT);
    if (flags & EKU_OCSP)
        der_put_oid(b, OID_EKU_OCSP);
    der_end(b, list);
    ext_end(b, e);
}

void ext_put_san(struct buf *b, const struct name_list *names, bool critical)
{
    struct ext e = ext_begin(b, OID_SAN, critical);
    size_t list = der_begin(b, DER_SEQUENCE);
    for (size_t i = 0; i < names->n; i++) {
        const struct name *name = &names->v[i];
        if (name->kind == NAME_DNS)
            der_put(b, DER_CONTEXT(2), bytes_z(name->text));
        else
            der_put(b, DER_CONTEXT(7), name->ip);
    }
    der_end(b, list);
    ext_end(b, e);
}

void ext_put_ski(struct buf *b, struct bytes id)
{
    struct ext e = ext_begin(b, OID_SKI, false);
    der_put_octets(b, id);
    ext_end(b, e);
}

void ext_put_aki(struct buf *b, struct bytes id)
{
    struct ext e = ext_begin(b, OID_AKI, false);
    size_t list = der_begin(b, DER_SEQUENCE);
    der_put(b, DER_CONTEXT(0), id);
    der_end(b, list);
    ext_end(b, e);
}

static void put_subtree(struct buf *b, uint8_t tag, struct bytes base)
{
    size_t subtree = der_begin(b, DER_SEQUENCE);
    der_put(b, tag, base);
    der_end(b, subtree);
}

void ext_put_name_constraints(struct buf *b, const struct str_list *permitted_dns)
{
    static const uint8_t everything[32] = {0}; /* address and mask */
    struct ext e = ext_begin(b, OID_NAME_CONSTRAINTS, true);
    size_t list = der_begin(b, DER_SEQUENCE), permitted = der_begin(b, DER_CONTEXT_CONS(0));
    for (size_t i = 0; i < permitted_dns->n; i++)
        put_subtree(b, DER_CONTEXT(2), bytes_z(permitted_dns->v[i]));
    der_end(b, permitted);
    size_t excluded = der_begin(b, DER_CONTEXT_CONS(1));
    put_subtree(b, DER_CONTEXT(7), bytes_of(everything, 8));
    put_subtree(b, DER_CONTEXT(7), bytes_of(everything, 32));
    der_end(b, excluded);
    der_end(b, list);
    ext_end(b, e);
}

void ext_put_crl_point(struct buf *b, const char *url)
{
    struct ext e = ext_begin(b, OID_CRL_POINTS, false);
    size_t points = der_begin(b, DER_SEQUENCE), point = der_begin(b, DER_SEQUENCE);
    size_t name = der_begin(b, DER_CONTEXT_CONS(0)), full = der_begin(b, DER_CONTEXT_CONS(0));
    der_put(b, DER_CONTEXT(6), bytes_z(url));
    der_end(b, full);
    der_end(b, name);
    der_end(b, point);
    der_end(b, points);
    ext_end(b, e);
}

void ext_put_issuer_url(struct buf *b, const char *url)
{
    struct ext e = ext_begin(b, OID_AIA, false);
    size_t list = der_begin(b, DER_SEQUENCE), access = der_begin(b, DER_SEQUENCE);
    der_put_oid(b, OID_AIA_ISSUER);
    der_put(b, DER_CONTEXT(6), bytes_z(url));
    der_end(b, access);
    der_end(b, list);
    ext_end(b, e);
}
