#include "base/base_test.h"

#include "base/buf.h"
#include "base/clock.h"

static const char *shown(struct buf *b, void (*put)(struct buf *, int64_t), int64_t v)
{
    buf_reset(b);
    put(b, v);
    return buf_z(b);
}

static void every_day_of_800_years_converts_there_and_back(void **state)
{
    (void)state;
    struct civil before = civil_from_unix(-86400 * (int64_t)146097);
    for (int64_t day = -146097; day < 146097; day++) {
        const struct civil c = civil_from_unix(day * 86400 + 86399);
        int64_t back;
        assert_true(civil_to_unix(&c, &back));
        assert_true(back == day * 86400 + 86399);
        if (day > -146097) /* days follow one another as in a calendar */
            assert_true(c.day == before.day + 1 ||
                        (c.day == 1 && (c.month == before.month + 1 || (c.month == 1 && before.month == 12))));
        before = c;
    }
}

static void fields_that_name_no_date_are_refused(void **state)
{
    (void)state;
    static const struct civil bad[] = {
        {2023, 2, 29, 0, 0, 0}, {1900, 2, 29, 0, 0, 0}, {2024, 13, 1, 0, 0, 0}, {2024, 0, 1, 0, 0, 0},  {2024, 4, 31, 0, 0, 0},
        {2024, 1, 0, 0, 0, 0},  {2024, 1, 1, 24, 0, 0}, {2024, 1, 1, 0, 60, 0}, {2024, 1, 1, 0, 0, 60}, {2024, 1, 1, -1, 0, 0}};
    int64_t v;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(civil_to_unix(&bad[i], &v));
    assert_true(civil_to_unix(&(struct civil){2000, 2, 29, 0, 0, 0}, &v));
}

static void rfc3339_is_written_and_read(void **state)
{
    (void)state;
    struct buf BUF_CLEANUP b;
    buf_init(&b, 100);
    assert_string_equal(shown(&b, time_put_rfc3339, 0), "1970-01-01T00:00:00Z");
    assert_string_equal(shown(&b, time_put_rfc3339, 1795235121), "2026-11-21T04:25:21Z");
    assert_string_equal(shown(&b, time_put_rfc3339, -1), "1969-12-31T23:59:59Z");
    assert_string_equal(shown(&b, time_put_rfc3339, 253402300799), "9999-12-31T23:59:59Z");
    static const struct {
        const char *text;
        int64_t v;
    } good[] = {{"2026-11-21T04:25:21Z", 1795235121},     {"2026-11-21t04:25:21.999z", 1795235121},
                {"2026-11-21 05:25:21+01:00", 1795235121}, {"2026-11-20T23:55:21-04:30", 1795235121}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t v = 0;
        assert_true(time_parse_rfc3339(bytes_z(good[i].text), &v));
        assert_true(v == good[i].v);
    }
    static const char *const bad[] = {"",
                                      "2026-11-21",
                                      "2026-11-21T04:25:21",
                                      "2026-11-21T04:25:21.Z",
                                      "2026-11-21T04:25:21Zx",
                                      "2026-02-30T00:00:00Z",
                                      "2026-11-21T04:25:21+1:00",
                                      "2026-11-21T-4:25:21Z",
                                      "+026-11-21T04:25:21Z",
                                      "2026-11-21T04:25:21+24:00"};
    int64_t v;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(time_parse_rfc3339(bytes_z(bad[i]), &v));
}

static void the_three_forms_of_http_dates_are_read(void **state)
{
    (void)state;
    struct buf BUF_CLEANUP b;
    buf_init(&b, 100);
    assert_string_equal(shown(&b, time_put_http, 784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_string_equal(shown(&b, time_put_http, -1), "Wed, 31 Dec 1969 23:59:59 GMT");
    static const char *const good[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                       "Sun Nov  6 08:49:37 1994"};
    int64_t v;
    for (size_t i = 0; i < 3; i++) {
        assert_true(time_parse_http(bytes_z(good[i]), &v));
        assert_true(v == 784111777);
    }
    static const char *const bad[] = {"",
                                      "120",
                                      "Sun, 06 Nov 1994 08:49:37 CET",
                                      "Sun, 32 Nov 1994 08:49:37 GMT",
                                      "Sun, 06 nov 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 08:49:37 GMT ",
                                      "Sun Nov  6 08:49:37 1994x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(time_parse_http(bytes_z(bad[i]), &v));
}

static void spans_are_said_as_people_say_them(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {{84, "84 ms"},     {2400, "2.4 s"},  {59999, "59.9 s"},
                {180000, "3 min"}, {7200000, "2 h"}, {61 * 86400000LL, "61 days"}};
    struct buf BUF_CLEANUP b;
    buf_init(&b, 100);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(shown(&b, time_put_span_ms, rows[i].ms), rows[i].text);
}

static void a_moved_clock_moves_wall_time_only(void **state)
{
    (void)state;
    static int64_t offset = 90 * 86400;
    const struct clock moved = {&offset};
    const int64_t mono = clock_mono_ms();
    const int64_t ahead = clock_unix_s(&moved) - clock_unix_s(&clock_system);
    assert_true(ahead >= 90 * 86400 && ahead <= 90 * 86400 + 5);
    assert_true(clock_unix_ms(&moved) / 1000 - clock_unix_s(&moved) <= 1);
    assert_true(clock_mono_ms() - mono < 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_day_of_800_years_converts_there_and_back),
        cmocka_unit_test(fields_that_name_no_date_are_refused),
        cmocka_unit_test(rfc3339_is_written_and_read),
        cmocka_unit_test(the_three_forms_of_http_dates_are_read),
        cmocka_unit_test(spans_are_said_as_people_say_them),
        cmocka_unit_test(a_moved_clock_moves_wall_time_only),
    };
    return cmocka_run_group_tests_name("base/clock", tests, NULL, NULL);
}
