/* Whatever a file of time zones holds, and whatever a window is said to be: read or refused, and asked about without harm. */
#include "core/window.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct window w = {.days = 0x7f, .from_min = 60, .to_min = 30};
    int64_t opens, closes;
    if (size > ZONE_FILE_MAX)
        return 0;
    ctx_init(&ctx, &clock_system);
    if (rc_ok(zone_parse(&ctx, bytes_of(data, size), &w.zone)) && windows_next(&w, 1, 1800000000, &opens, &closes) &&
        (closes <= 1800000000 || closes <= opens))
        abort();
    if (size < 200 && memchr(data, '\0', size) == NULL && rc_ok(window_parse(&ctx, arena_str(&ctx.arena, bytes_of(data, size)), &w)) &&
        (w.days == 0 || w.from_min < 0 || w.from_min >= 1440 || w.to_min < 0 || w.to_min > 1440))
        abort();
    return 0;
}
