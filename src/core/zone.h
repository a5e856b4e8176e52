/* Time zones from the system's tzdata, read by us: localtime_r() knows one zone a process.
 *
 * The format is TZif (RFC 9636): transitions, and after the last of them a rule as in POSIX's TZ. */
#ifndef CORE_ZONE_H
#define CORE_ZONE_H

#include "base/ctx.h"

#define ZONE_FILE_MAX 65536

/* When summer time begins or ends: the n-th weekday of a month (POSIX "Mm.w.d"), or a day of the year ("Jn", "n"). */
struct zone_day {
    char kind; /* 'M', 'J' or 'n' */
    int month, week, day;
    int32_t at_s; /* local time of the day; may be negative or over a day */
};

struct zone {
    int64_t *at;      /* of each transition */
    int32_t *after_s; /* what is added to UTC from then on */
    size_t n;
    int32_t first_s; /* before the first */
    bool rule, summer; /* after the last: standard_s, or by turns */
    int32_t standard_s, summer_s;
    struct zone_day begins, ends;
};

/* zone_load reads /usr/share/zoneinfo/NAME; E_NOT_FOUND where there is no such zone. */
RC zone_load(struct ctx *ctx, const char *name, struct zone *out);
/* zone_parse reads the bytes of such a file; E_PARSE. */
RC zone_parse(struct ctx *ctx, struct bytes file, struct zone *out);
/* zone_offset says what is added to UTC at a time, in seconds. */
int32_t zone_offset(const struct zone *z, int64_t utc_s);
/* zone_to_utc turns a local time (seconds since 1970 as a clock on the wall would count them) into UTC.  What the wall shows twice
 * is the first of the two, or with `last` the second; what it skips is the moment at which it skips. */
int64_t zone_to_utc(const struct zone *z, int64_t local_s, bool last);

/* Days since 1970-01-01 of a date in the Gregorian calendar. */
int64_t zone_days(int64_t year, int month, int day);

#endif
