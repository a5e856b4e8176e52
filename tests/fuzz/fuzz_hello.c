/* What a server may answer to our ClientHello, on any bytes: the first says how much is wanted and in which pieces it comes.  In one
 * piece or in many it is the same answer, and what it points at lies within what was read. */
#include <stdint.h>
#include <string.h>

#include "net/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static enum hello_state read_by(struct hello_reader *r, struct bytes in, size_t step)
{
    enum hello_state s = HELLO_MORE;
    struct bytes part;
    while (in.n > 0 && s == HELLO_MORE) {
        if (!bytes_take(&in, in.n < step ? in.n : step, &part))
            abort();
        s = hello_read(r, part);
    }
    return s;
}

static void check(const struct hello_reader *r, enum hello_state s)
{
    const struct hello_span spans[] = {r->certificates, r->alpn, r->ocsp};
    struct bytes chain[HELLO_CHAIN_MAX];
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
        if (spans[i].n > 0 && (size_t)spans[i].at + spans[i].n > r->messages.n)
            abort();
    if ((s == HELLO_BAD) != (r->why != NULL) || (s == HELLO_DONE && r->until != HELLO_UNTIL_HELLO && r->certificates.n == 0))
        abort();
    const size_t count = hello_chain(r, chain);
    for (size_t i = 0; i < count; i++)
        if (chain[i].n == 0 || chain[i].p < r->messages.p || chain[i].p + chain[i].n > r->messages.p + r->messages.n)
            abort();
    if (r->certificates.n > 0 && count == 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    const enum hello_until until = (enum hello_until)(data[0] % 3);
    const struct bytes said = bytes_of(data + 1, n - 1);
    struct hello_reader whole = {.until = until}, pieces = {.until = until};
    const enum hello_state s = read_by(&whole, said, SIZE_MAX), t = read_by(&pieces, said, 1 + data[0] / 3u);
    check(&whole, s);
    check(&pieces, t);
    if (n <= HELLO_BYTES_MAX && (s != t || whole.version != pieces.version || whole.suite != pieces.suite ||
                                 whole.certificates.n != pieces.certificates.n || whole.ocsp.n != pieces.ocsp.n))
        abort();
    hello_free(&whole);
    hello_free(&pieces);
    return 0;
}
