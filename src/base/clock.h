/* Time: one injected clock.  Seconds since 1970-01-01 UTC are int64_t, without leap seconds; nothing here knows local time. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct buf;

struct clock {
    /* offset_s is added to the system's time: tests move the clock with it.  Shared memory may hold it. */
    const volatile int64_t *offset_s;
};

extern const struct clock clock_system;

int64_t clock_unix_s(const struct clock *c);
int64_t clock_unix_ms(const struct clock *c);
/* clock_mono_ms never goes back and does not follow the wall clock: for deadlines and measures. */
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);

/* A date of the proleptic Gregorian calendar, UTC. */
struct civil {
    int64_t year;
    int month, day, hour, minute, second; /* 1-12, 1-31, 0-23, 0-59, 0-59 */
};
/* civil_from_unix and civil_to_unix convert exactly; civil_to_unix returns false where the fields name no date. */
struct civil civil_from_unix(int64_t unix_s);
bool civil_to_unix(const struct civil *c, int64_t *unix_s);

/* time_put_rfc3339 appends "2026-11-21T04:25:21Z". time_parse_rfc3339 reads that form (offsets accepted, fractions dropped). */
void time_put_rfc3339(struct buf *b, int64_t unix_s);
bool time_parse_rfc3339(struct bytes text, int64_t *unix_s);
/* time_parse_http reads an HTTP date (RFC 9110 section 5.6.7, all three forms); time_put_http appends IMF-fixdate. */
bool time_parse_http(struct bytes text, int64_t *unix_s);
void time_put_http(struct buf *b, int64_t unix_s);
/* time_put_span appends a duration for people: "84 ms", "2.4 s", "3 min", "61 days". */
void time_put_span_ms(struct buf *b, int64_t ms);

#endif
