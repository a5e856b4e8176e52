/* Any text to the PEM reader: what comes out, written again, reads as the same. */
#include "pki/cert.h"
#include "pki/key.h"
#include "pki/pem.h"
#include "pki/weak.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct bytes text = bytes_of(data, n);
    struct pem_block block, again;
    struct cert_chain chain;
    struct weak_list *list = NULL;
    bool found;
    ctx_init(&ctx, &clock_system);
    while (rc_ok(pem_next(&ctx, &text, &block, &found)) && found) {
        struct buf b;
        buf_init_arena(&b, &ctx.arena, 4 << 20);
        pem_put(&b, "X", block.der);
        struct bytes written = buf_bytes(&b);
        if (rc_failed(pem_next(&ctx, &written, &again, &found)) || !found || !bytes_equal(again.der, block.der))
            abort();
    }
    (void)rc_ok(cert_chain_parse_pem(&ctx, bytes_of(data, n), 8, &chain));
    SECRET_CLEANUP struct secret secret = {0};
    KEY_CLEANUP struct key *key = NULL;
    if (n < 65536 && rc_ok(secret_from(&ctx, &secret, bytes_of(data, n))))
        (void)rc_ok(key_from_pem(&ctx, &secret, &key));
    if (rc_ok(weak_list_parse(&ctx, bytes_of(data, n), &list)))
        weak_list_free(list);
    return 0;
}
