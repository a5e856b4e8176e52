/* CAA records on any bytes: each says yes, no or unclear, in words; what is malformed allows nothing. */
#include <stdint.h>

#include "net/caa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Records of up to 255 bytes, each with its length before it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct bytes rest = bytes_of(data, n), records[CAA_RECORDS_MAX];
    struct str_list identities = {0}, none = {0};
    size_t count = 0;
    uint8_t length;
    const char *why;
    ctx_init(&ctx, &clock_system);
    str_list_add(&ctx.arena, &identities, "ca1.example.net");
    while (count < CAA_RECORDS_MAX && bytes_take_u8(&rest, &length) && bytes_take(&rest, length, &records[count]))
        count++;
    for (int i = 0; i < 4; i++) {
        const struct caa_ask ask = {i & 1 ? &identities : &none, i & 1 ? "https://ca1.example.net/1" : "", "dns-01", (i & 2) != 0};
        const enum caa_verdict v = caa_judge(&ctx, records, count, &ask, &why);
        if (why == NULL || (v == CAA_ALLOWS) != (*why == '\0') || strlen(why) > 16384)
            abort();
    }
    return 0;
}
