/* Any certificate that can be read gives terms: as few, as short and of such bytes as both engines take, each once. */
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "core/inventory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "wrong: %s\n", what);
        abort();
    }
}

static bool may_stand(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80 || (c && strchr(".-_:=*@", c));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ctx CTX_CLEANUP ctx;
    struct cert_fields cert;
    const struct cert_digests digests = {.sha1 = {1}};
    const uint8_t issuer[SHA256_LEN] = {2};
    struct inventory_terms terms;
    ctx_init(&ctx, &clock_system);
    if (rc_failed(cert_read(&ctx, bytes_of(data, n), &cert)))
        return 0;
    check(rc_ok(inventory_terms(&ctx, &cert, &digests, issuer, &terms)), "terms are made of whatever was read");
    check(str_is_utf8(bytes_z(terms.text)), "UTF-8");
    struct bytes rest = bytes_z(terms.text), term, seen[INVENTORY_TERMS_MAX];
    unsigned found = 0;
    while (bytes_take_until(&rest, ' ', &term)) {
        check(found < INVENTORY_TERMS_MAX, "the ceiling");
        check(term.n > 0 && term.n <= INVENTORY_TERM_MAX, "the length of a term");
        for (size_t i = 0; i < term.n; i++)
            check(may_stand(term.p[i]), "a byte of a term");
        for (unsigned i = 0; i < found; i++)
            check(!bytes_equal(seen[i], term), "each once");
        seen[found++] = term;
    }
    check(found == terms.n, "their number");
    return 0;
}
