/* What strangers answer about certificates: an issuer's ('i'), or a list of revoked ones ('c'). */
#include "agent/relay/outside.h"
#include "pki/crl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void list(struct ctx *ctx, struct bytes der)
{
    struct crl crl;
    struct crl_entry entry;
    size_t entries = 0;
    if (rc_failed(crl_parse(ctx, der, &crl)))
        return;
    for (struct bytes rest = crl.rest; crl_next(&rest, &entry); entries++)
        if (!crl_has(&crl, entry.serial))
            abort();
    if (entries != crl.n || (crl_is_for(&crl, true, (struct bytes){0}) && crl.only_leaves))
        abort();
    (void)crl_is_for(&crl, false, BYTES_LIT("http://ca.example.org/1.crl"));
}

static void issuers(struct ctx *ctx, struct bytes body)
{
    struct wire_blobs out;
    if (rc_failed(outside_issuers(ctx, body, &out)))
        return;
    if (!out.n || out.n > 20)
        abort();
    for (size_t i = 0; i < out.n; i++)
        if (!out.v[i].n || out.v[i].n > CERT_MAX)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CTX_CLEANUP struct ctx ctx = {0};
    if (!n)
        return 0;
    ctx_init(&ctx, &clock_system);
    if (data[0] == 'c')
        list(&ctx, bytes_of(data + 1, n - 1));
    else
        issuers(&ctx, bytes_of(data + 1, n - 1));
    return 0;
}
