#include "base/clock.h"

#include "base/buf.h"
#include "base/str.h"

const struct clock clock_system = {0};

static int64_t offset_of(const struct clock *c)
{
    return c && c->offset_s ? *c->offset_s : 0;
}

int64_t clock_unix_s(const struct clock *c)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec + offset_of(c);
}

int64_t clock_unix_ms(const struct clock *c)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (t.tv_sec + offset_of(c)) * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_mono_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000000 + t.tv_nsec / 1000;
}

int64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

static bool leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int month_days(int64_t y, int m)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return m == 2 && leap(y) ? 29 : days[m - 1];
}

/* Days from 1970-01-01: years are counted from March, in eras of 400 years. */
static int64_t days_from_civil(int64_t y, int m, int d)
{
    y -= m <= 2;
    const int64_t era = (y >= 0 ? y : y - 399) / 400;
    const int64_t yoe = y - era * 400;
    const int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    const int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

struct civil civil_from_unix(int64_t unix_s)
{
    int64_t days = unix_s / 86400, rest = unix_s % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    const int64_t z = days + 719468;
    const int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    const int64_t doe = z - era * 146097;
    const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    const int64_t mp = (5 * doy + 2) / 153;
    const int month = (int)(mp < 10 ? mp + 3 : mp - 9);
    return (struct civil){.year = yoe + era * 400 + (month <= 2),
                          .month = month,
                          .day = (int)(doy - (153 * mp + 2) / 5 + 1),
                          .hour = (int)(rest / 3600),
                          .minute = (int)(rest / 60 % 60),
                          .second = (int)(rest % 60)};
}

bool civil_to_unix(const struct civil *c, int64_t *unix_s)
{
    if (c->month < 1 || c->month > 12 || c->day < 1 || c->day > month_days(c->year, c->month) || c->hour < 0 || c->hour > 23 ||
        c->minute < 0 || c->minute > 59 || c->second < 0 || c->second > 59 || c->year < -9999 || c->year > 99999)
        return false;
    *unix_s = days_from_civil(c->year, c->month, c->day) * 86400 + c->hour * 3600 + c->minute * 60 + c->second;
    return true;
}

void time_put_rfc3339(struct buf *b, int64_t unix_s)
{
    const struct civil c = civil_from_unix(unix_s);
    buf_printf(b, "%04lld-%02d-%02dT%02d:%02d:%02dZ", (long long)c.year, c.month, c.day, c.hour, c.minute, c.second);
}

/* Reads exactly `n` digits. */
static bool take_digits(struct bytes *t, size_t n, int *out)
{
    struct bytes d;
    int64_t v;
    if (!bytes_take(t, n, &d) || !str_to_i64(d, &v) || d.p[0] == '-')
        return false;
    *out = (int)v;
    return true;
}

static bool take_char(struct bytes *t, char c)
{
    return t->n && t->p[0] == (uint8_t)c && bytes_skip(t, 1);
}

bool time_parse_rfc3339(struct bytes t, int64_t *unix_s)
{
    struct civil c = {0};
    int year;
    if (!take_digits(&t, 4, &year) || !take_char(&t, '-') || !take_digits(&t, 2, &c.month) || !take_char(&t, '-') ||
        !take_digits(&t, 2, &c.day) || !(take_char(&t, 'T') || take_char(&t, 't') || take_char(&t, ' ')) ||
        !take_digits(&t, 2, &c.hour) || !take_char(&t, ':') || !take_digits(&t, 2, &c.minute) || !take_char(&t, ':') ||
        !take_digits(&t, 2, &c.second))
        return false;
    c.year = year;
    if (take_char(&t, '.')) {
        size_t digits = 0;
        for (; t.n && t.p[0] >= '0' && t.p[0] <= '9'; digits++)
            if (!bytes_skip(&t, 1))
                return false;
        if (!digits)
            return false;
    }
    int64_t offset = 0;
    if (!take_char(&t, 'Z') && !take_char(&t, 'z')) {
        const bool minus = t.n && t.p[0] == '-';
        int h, m;
        if (!(take_char(&t, '+') || take_char(&t, '-')) || !take_digits(&t, 2, &h) || !take_char(&t, ':') ||
            !take_digits(&t, 2, &m) || h > 23 || m > 59)
            return false;
        offset = (minus ? -1 : 1) * (h * 3600 + m * 60);
    }
    int64_t v;
    if (t.n || !civil_to_unix(&c, &v))
        return false;
    *unix_s = v - offset;
    return true;
}

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static bool take_month(struct bytes *t, int *out)
{
    struct bytes m;
    if (!bytes_take(t, 3, &m))
        return false;
    for (int i = 0; i < 12; i++)
        if (!memcmp(m.p, months + 3 * i, 3)) {
            *out = i + 1;
            return true;
        }
    return false;
}

static bool take_hms(struct bytes *t, struct civil *c)
{
    return take_digits(t, 2, &c->hour) && take_char(t, ':') && take_digits(t, 2, &c->minute) && take_char(t, ':') &&
           take_digits(t, 2, &c->second);
}

static bool http_imf(struct bytes t, struct civil *c)
{
    int year;
    if (!take_digits(&t, 2, &c->day) || !take_char(&t, ' ') || !take_month(&t, &c->month) || !take_char(&t, ' ') ||
        !take_digits(&t, 4, &year) || !take_char(&t, ' ') || !take_hms(&t, c))
        return false;
    c->year = year;
    return bytes_equal_z(t, " GMT");
}

static bool http_rfc850(struct bytes t, struct civil *c)
{
    int year;
    if (!take_digits(&t, 2, &c->day) || !take_char(&t, '-') || !take_month(&t, &c->month) || !take_char(&t, '-') ||
        !take_digits(&t, 2, &year) || !take_char(&t, ' ') || !take_hms(&t, c))
        return false;
    c->year = year + (year < 70 ? 2000 : 1900);
    return bytes_equal_z(t, " GMT");
}

static bool http_asctime(struct bytes t, struct civil *c)
{
    int year;
    if (!take_month(&t, &c->month) || !take_char(&t, ' '))
        return false;
    if (take_char(&t, ' ') ? !take_digits(&t, 1, &c->day) : !take_digits(&t, 2, &c->day))
        return false;
    if (!take_char(&t, ' ') || !take_hms(&t, c) || !take_char(&t, ' ') || !take_digits(&t, 4, &year) || t.n)
        return false;
    c->year = year;
    return true;
}

bool time_parse_http(struct bytes text, int64_t *unix_s)
{
    struct bytes t = text, day;
    struct civil c = {0};
    if (bytes_take_until(&t, ',', &day) && t.n)
        return take_char(&t, ' ') && (http_imf(t, &c) || http_rfc850(t, (c = (struct civil){0}, &c))) && civil_to_unix(&c, unix_s);
    t = text;
    return bytes_skip(&t, 3) && take_char(&t, ' ') && http_asctime(t, &c) && civil_to_unix(&c, unix_s);
}

void time_put_http(struct buf *b, int64_t unix_s)
{
    static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
    const struct civil c = civil_from_unix(unix_s);
    int64_t day = (unix_s - (c.hour * 3600 + c.minute * 60 + c.second)) / 86400 % 7;
    if (day < 0)
        day += 7;
    buf_printf(b, "%.3s, %02d %.3s %04lld %02d:%02d:%02d GMT", days + 3 * day, c.day, months + 3 * (c.month - 1), (long long)c.year,
               c.hour, c.minute, c.second);
}

void time_put_span_ms(struct buf *b, int64_t ms)
{
    if (ms < 1000)
        buf_printf(b, "%lld ms", (long long)ms);
    else if (ms < 60000)
        buf_printf(b, "%lld.%lld s", (long long)(ms / 1000), (long long)(ms % 1000 / 100));
    else if (ms < 2 * 3600000)
        buf_printf(b, "%lld min", (long long)(ms / 60000));
    else if (ms < 2 * 86400000LL)
        buf_printf(b, "%lld h", (long long)(ms / 3600000));
    else
        buf_printf(b, "%lld days", (long long)(ms / 86400000));
}
