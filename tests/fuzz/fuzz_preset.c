/* Whatever a description of a CA says: it is refused, or what is taken keeps to the ceilings. */
#include "core/preset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct issuer_preset p;
    if (size > 65536)
        return 0;
    ctx_init(&ctx, &clock_system);
    if (rc_failed(preset_parse(&ctx, "x", bytes_of(data, size), &p)))
        return 0;
    if (p.limits_n > ISSUER_LIMITS_MAX || p.profiles.n > 32 || p.chains.n > 16 || strncmp(p.directory_url, "https://", 8) != 0)
        abort();
    for (size_t i = 0; i < p.limits_n; i++)
        if (p.limits[i].count < 1 || p.limits[i].window_s < 1 || p.limits[i].window_s > ISSUER_WINDOW_MAX_S)
            abort();
    return 0;
}
