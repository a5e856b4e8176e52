/* Maintenance windows: when something may be changed at a target.
 *
 *     [DAYS ]HH:MM-HH:MM[ ZONE]      "Sat,Sun 02:00-04:00 Europe/Berlin", "Mon-Fri 22:00-02:00", "03:00-05:00 UTC"
 *
 * Days are those on which a window opens; none: every day.  One that ends no later than it begins ends on the next day; "24:00" is
 * the end of a day.  No zone: UTC.  Times are those of a clock on the wall: where it skips an hour, a window that begins in it
 * opens when it has skipped, and one that lies in it whole is left out that day; where an hour comes twice, a window is as long as
 * that makes it. */
#ifndef CORE_WINDOW_H
#define CORE_WINDOW_H

#include "core/zone.h"

#define WINDOWS_MAX 16
#define WINDOW_TEXT_MAX 100

struct window {
    unsigned days; /* bit 0: Monday … bit 6: Sunday */
    int from_min, to_min;
    struct zone zone;
};

/* window_parse reads one; E_INVALID with what is wrong with it. */
RC window_parse(struct ctx *ctx, const char *text, struct window *out);
/* windows_parse reads a JSON list of them. */
RC windows_parse(struct ctx *ctx, const char *json, struct window *out, size_t *n);
/* windows_next finds the window that is open at `now` (*opens <= now < *closes), else the next one.  False where there is none
 * within five weeks. */
bool windows_next(const struct window *w, size_t n, int64_t now, int64_t *opens, int64_t *closes);

#endif
