#include "pki/constraints.h"

#include "pki/der.h"

/* Whether an address (4 or 16 bytes) lies in a subtree of address and mask. */
static bool ip_within(struct bytes ip, struct bytes subtree)
{
    if (subtree.n != 2 * ip.n)
        return false;
    for (size_t i = 0; i < ip.n; i++)
        if ((ip.p[i] & subtree.p[ip.n + i]) != (subtree.p[i] & subtree.p[ip.n + i]))
            return false;
    return true;
}

/* Goes through a list of subtrees: whether one is of the name's kind, and whether one holds it.  False for broken DER. */
static bool search(struct bytes subtrees, const struct cert_san *name, bool *of_kind, bool *holds)
{
    uint8_t want = name->kind == SAN_DNS ? DER_CONTEXT(2) : DER_CONTEXT(7), tag;
    struct bytes subtree, base;
    *of_kind = *holds = false;
    while (subtrees.n) {
        if (!der_take_tag(&subtrees, DER_SEQUENCE, &subtree) || !der_take(&subtree, &tag, &base))
            return false;
        if (tag != want)
            continue;
        *of_kind = true;
        if (name->kind == SAN_DNS ? name_within(name->value, base) : ip_within(name->value, base))
            *holds = true;
    }
    return true;
}

static bool permits(struct bytes permitted, struct bytes excluded, const struct cert_san *name)
{
    bool of_kind, holds;
    if (name->kind != SAN_DNS && name->kind != SAN_IP)
        return true;
    if (!search(permitted, name, &of_kind, &holds) || (of_kind && !holds))
        return false;
    return search(excluded, name, &of_kind, &holds) && !holds;
}

bool constraints_permit(struct arena *a, struct bytes constraints, const struct cert *cert, const char **which)
{
    struct bytes body, permitted = {0}, excluded = {0};
    bool present;
    *which = "any";
    if (!constraints.n)
        return true;
    if (!der_only(constraints, DER_SEQUENCE, &body) || !der_take_optional(&body, DER_CONTEXT_CONS(0), &permitted, &present) ||
        !der_take_optional(&body, DER_CONTEXT_CONS(1), &excluded, &present) || body.n)
        return false;
    for (size_t i = 0; i < cert->san_n; i++) {
        const struct cert_san *san = &cert->san[i];
        if (!permits(permitted, excluded, san)) {
            *which = san->kind == SAN_IP                ? ip_text(a, san->value)
                     : name_dns_valid(san->value, true) ? arena_str(a, san->value)
                                                        : "?";
            return false;
        }
    }
    return true;
}
