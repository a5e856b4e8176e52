/* Maintenance windows and the time zones below them: what a clock on the wall shows, also when it is put forward or back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "base/encode.h"
#include "core/window.h"

/* "2026-03-29T01:00:00Z" */
static int64_t at(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm));
    return (int64_t)timegm(&tm);
}

static const char *shown(struct ctx *ctx, int64_t t)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 64);
    time_put_rfc3339(&b, t);
    return buf_z(&b);
}

static void a_window_opens_when_the_wall_clock_says_so(void **state)
{
    static const struct {
        const char *windows, *now, *opens, *closes;
    } rows[] = {
        {"[\"02:00-04:00\"]", "2026-11-21T12:00:00Z", "2026-11-22T02:00:00Z", "2026-11-22T04:00:00Z"},
        {"[\"02:00-04:00\"]", "2026-11-22T03:59:59Z", "2026-11-22T02:00:00Z", "2026-11-22T04:00:00Z"},
        {"[\"02:00-04:00\"]", "2026-11-22T04:00:00Z", "2026-11-23T02:00:00Z", "2026-11-23T04:00:00Z"},
        {"[\"00:00-24:00\"]", "2026-11-22T23:59:59Z", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"},
        /* 2026-11-21 is a Saturday; in Berlin it is an hour later than in UTC. */
        {"[\"Sat,Sun 02:00-04:00 Europe/Berlin\"]", "2026-11-21T00:59:59Z", "2026-11-21T01:00:00Z", "2026-11-21T03:00:00Z"},
        {"[\"Sat,Sun 02:00-04:00 Europe/Berlin\"]", "2026-11-22T03:00:00Z", "2026-11-28T01:00:00Z", "2026-11-28T03:00:00Z"},
        {"[\"mon-fri 02:00-04:00\"]", "2026-11-21T00:00:00Z", "2026-11-23T02:00:00Z", "2026-11-23T04:00:00Z"},
        {"[\"Fri-Mon 02:00-04:00\"]", "2026-11-24T00:00:00Z", "2026-11-27T02:00:00Z", "2026-11-27T04:00:00Z"},
        /* Over midnight: it belongs to the day on which it opens. */
        {"[\"Sat 22:00-02:00 UTC\"]", "2026-11-22T01:00:00Z", "2026-11-21T22:00:00Z", "2026-11-22T02:00:00Z"},
        {"[\"Sun 22:00-02:00 UTC\"]", "2026-11-22T01:00:00Z", "2026-11-22T22:00:00Z", "2026-11-23T02:00:00Z"},
        /* The other side of the date line: Sunday there while it is Saturday here. */
        {"[\"Sun 01:00-02:00 Pacific/Kiritimati\"]", "2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z", "2026-11-21T12:00:00Z"},
        /* Half an hour. */
        {"[\"12:00-13:00 Asia/Kolkata\"]", "2026-11-21T00:00:00Z", "2026-11-21T06:30:00Z", "2026-11-21T07:30:00Z"},
        /* Put forward: 2026-03-29 in Berlin has no 02:00 to 03:00. */
        {"[\"02:00-03:00 Europe/Berlin\"]", "2026-03-28T12:00:00Z", "2026-03-30T00:00:00Z", "2026-03-30T01:00:00Z"},
        {"[\"02:30-04:00 Europe/Berlin\"]", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"},
        {"[\"01:30-02:30 Europe/Berlin\"]", "2026-03-28T12:00:00Z", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"},
        {"[\"01:00-05:00 Europe/Berlin\"]", "2026-03-28T12:00:00Z", "2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z"},
        /* Put back: 2026-10-25 has 02:00 to 03:00 twice. */
        {"[\"02:00-03:00 Europe/Berlin\"]", "2026-10-24T12:00:00Z", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"},
        {"[\"02:30-02:45 Europe/Berlin\"]", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:45:00Z"},
        {"[\"03:00-04:00 Europe/Berlin\"]", "2026-10-24T12:00:00Z", "2026-10-25T02:00:00Z", "2026-10-25T03:00:00Z"},
        /* By the rule after the last transition that is listed, north and south. */
        {"[\"02:00-04:00 Europe/Berlin\"]", "2090-07-01T12:00:00Z", "2090-07-02T00:00:00Z", "2090-07-02T02:00:00Z"},
        {"[\"02:00-04:00 America/New_York\"]", "2090-01-01T12:00:00Z", "2090-01-02T07:00:00Z", "2090-01-02T09:00:00Z"},
        {"[\"02:00-04:00 Australia/Sydney\"]", "2090-01-01T12:00:00Z", "2090-01-01T15:00:00Z", "2090-01-01T17:00:00Z"},
        /* Several: the one that is open, else the next; the longer of two that are open. */
        {"[\"Sun 02:00-04:00\",\"Sat 20:00-21:00\"]", "2026-11-21T12:00:00Z", "2026-11-21T20:00:00Z", "2026-11-21T21:00:00Z"},
        {"[\"11:00-13:00\",\"10:00-14:00\"]", "2026-11-21T12:00:00Z", "2026-11-21T10:00:00Z", "2026-11-21T14:00:00Z"},
        {"[\"13:00-14:00\",\"11:00-12:30\"]", "2026-11-21T12:00:00Z", "2026-11-21T11:00:00Z", "2026-11-21T12:30:00Z"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx;
        struct window w[WINDOWS_MAX];
        size_t n;
        int64_t opens = 0, closes = 0;
        ctx_init(&ctx, &clock_system);
        if (rc_failed(windows_parse(&ctx, rows[i].windows, w, &n)))
            fail_msg("%s", ctx_why(&ctx));
        assert_true(windows_next(w, n, at(rows[i].now), &opens, &closes));
        if (opens != at(rows[i].opens) || closes != at(rows[i].closes))
            fail_msg("%s at %s: %s to %s, should be %s to %s", rows[i].windows, rows[i].now, shown(&ctx, opens), shown(&ctx, closes),
                     rows[i].opens, rows[i].closes);
    }
}

static void what_is_no_window_is_refused_with_its_reason(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "is written like"},
        {"Sat", "is written like"},
        {"2:00-4:00", "is written like"},
        {"02:00", "is written like"},
        {"02:00-04:60", "is written like"},
        {"02:00-25:00", "is written like"},
        {"24:00-02:00", "is written like"},
        {"02-00:04-00", "is written like"},
        {"02:00-02:00", "ends when it begins"},
        {"Sut 02:00-04:00", "the days of a window"},
        {"Sat, 02:00-04:00x", "is written like"},
        {"Sat,,Sun 02:00-04:00", "the days of a window"},
        {"Sat- 02:00-04:00", "the days of a window"},
        {"02:00-04:00 Europe/Entenhausen", "no time zone Europe/Entenhausen"},
        {"02:00-04:00 Europe", "a region"},
        {"02:00-04:00 ../../../etc/passwd", "is no time zone"},
        {"02:00-04:00 /etc/passwd", "is no time zone"},
        {"02:00-04:00 zone.tab", "is no time zone"},
        {"02:00-04:00 Europe/Berlin Europe/Paris", "is no time zone"},
        {"02:00-04:00 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "at most"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx;
        struct window w;
        ctx_init(&ctx, &clock_system);
        if (window_parse(&ctx, rows[i].text, &w).e != E_INVALID)
            fail_msg("%s is taken", rows[i].text);
        if (strstr(ctx_why(&ctx), rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].text, ctx_why(&ctx));
    }
}

/* Held against the C library, one zone after the other, every eleven hours over 90 years. */
static void a_zone_says_what_the_c_library_says(void **state)
{
    static const char *const names[] = {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu",
                                        "America/Sao_Paulo", "UTC", "Europe/Dublin", "Pacific/Apia", "Antarctica/Troll"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CTX_CLEANUP struct ctx ctx;
        struct zone z;
        ctx_init(&ctx, &clock_system);
        if (rc_failed(zone_load(&ctx, names[i], &z)))
            fail_msg("%s", ctx_why(&ctx));
        setenv("TZ", names[i], 1);
        tzset();
        for (int64_t t = at("1970-01-02T00:00:00Z"); t < at("2060-01-01T00:00:00Z"); t += 11 * 3600 - 1) {
            struct tm tm;
            const time_t tt = (time_t)t;
            localtime_r(&tt, &tm);
            if (zone_offset(&z, t) != tm.tm_gmtoff)
                fail_msg("%s at %s: %d, should be %ld", names[i], shown(&ctx, t), (int)zone_offset(&z, t), tm.tm_gmtoff);
            /* And back: one of the two moments at which the wall shows it. */
            const int64_t local = t + tm.tm_gmtoff, first = zone_to_utc(&z, local, false), last = zone_to_utc(&z, local, true);
            if ((first != t && last != t) || first > last)
                fail_msg("%s at %s does not come back", names[i], shown(&ctx, t));
        }
    }
    unsetenv("TZ");
    tzset();
}

static void a_file_that_is_cut_or_changed_is_refused_or_harmless(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    uint8_t file[ZONE_FILE_MAX];
    struct zone z;
    (void)state;
    ctx_init(&ctx, &clock_system);
    FILE *f = fopen("/usr/share/zoneinfo/Europe/Berlin", "rb");
    assert_non_null(f);
    const size_t n = fread(file, 1, sizeof file, f);
    fclose(f);
    assert_true(rc_ok(zone_parse(&ctx, bytes_of(file, n), &z)));
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(zone_parse(&ctx, bytes_of(file, cut), &z).e, E_PARSE);
    for (size_t i = 0; i < n; i++) {
        const uint8_t was = file[i];
        file[i] = (uint8_t)~was;
        if (rc_ok(zone_parse(&ctx, bytes_of(file, n), &z)))
            (void)zone_to_utc(&z, at("2026-11-21T12:00:00Z"), true);
        file[i] = was;
        arena_reset(&ctx.arena);
        ctx.trail = NULL;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_opens_when_the_wall_clock_says_so),
        cmocka_unit_test(what_is_no_window_is_refused_with_its_reason),
        cmocka_unit_test(a_zone_says_what_the_c_library_says),
        cmocka_unit_test(a_file_that_is_cut_or_changed_is_refused_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
