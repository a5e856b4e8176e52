/* Any bytes to the DER reader: nothing is read past the end, what is read stays inside, and what is well formed reads the same as
 * with OpenSSL. */
#include <openssl/asn1.h>
#include <openssl/err.h>

#include "base/arena.h"
#include "base/buf.h"
#include "pki/der.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void every_reader(struct bytes in)
{
    struct bytes c, v;
    bool flag, present;
    int64_t number;
    uint32_t flags;
    int unused;
    c = in;
    if (der_take_int(&c, &number)) {
        uint8_t memory[32];
        struct buf b;
        struct arena a = {0};
        buf_init_arena(&b, &a, sizeof memory);
        der_put_int(&b, number);
        check(rc_ok(buf_status(&b)) && bytes_equal(buf_bytes(&b), bytes_of(in.p, in.n - c.n))); /* one encoding for each value */
        arena_free(&a);
    }
    c = in;
    if (der_take_time(&c, &number)) {
        struct buf b;
        struct arena a = {0};
        buf_init_arena(&b, &a, 64);
        der_put_time(&b, number);
        check(rc_ok(buf_status(&b)));
        struct bytes again = buf_bytes(&b);
        int64_t same;
        check(der_take_time(&again, &same) && same == number);
        arena_free(&a);
    }
    c = in;
    (void)der_take_unsigned(&c, &v);
    c = in;
    (void)der_take_bool(&c, &flag);
    c = in;
    (void)der_take_bits(&c, &v, &unused);
    c = in;
    (void)der_take_flags(&c, &flags);
    c = in;
    (void)der_take_optional(&c, DER_SEQUENCE, &v, &present);
    c = in;
    if (der_take_oid(&c, &v)) {
        struct buf b;
        struct arena a = {0};
        buf_init_arena(&b, &a, 4096);
        der_oid_text(&b, v);
        arena_free(&a);
    }
}

static void walk(struct bytes in, int depth)
{
    while (in.n && depth < 16) {
        struct bytes before = in, value;
        uint8_t tag;
        every_reader(in);
        if (!der_take(&in, &tag, &value)) {
            check(in.p == before.p && in.n == before.n);
            return;
        }
        check(value.p >= before.p && value.p + value.n <= before.p + before.n && in.n < before.n);
        if (tag & 0x20)
            walk(value, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct bytes in = bytes_of(data, n), value;
    walk(in, 0);
    if (n && n < 65536 && der_well_formed(in, 16)) {
        const uint8_t *p = data;
        long length;
        int tag, class;
        struct bytes c = in;
        uint8_t own;
        check(!(ASN1_get_object(&p, &length, &tag, &class, (long)n) & 0x81));
        check(der_take(&c, &own, &value) && value.p == p && value.n == (size_t)length && (own & 0x1f) == tag);
        ERR_clear_error();
    }
    return 0;
}
