#include "core/zone.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"

#define FOLDER "/usr/share/zoneinfo/"
#define DAY_S 86400
#define TRANSITIONS_MAX 5000

/* --- the calendar */

int64_t zone_days(int64_t year, int month, int day)
{
    year -= month <= 2;
    const int64_t era = (year >= 0 ? year : year - 399) / 400;
    const int64_t of_era = year - era * 400, of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t year_of(int64_t days)
{
    int64_t year = 1970 + days / 366;
    while (zone_days(year + 1, 1, 1) <= days)
        year++;
    while (zone_days(year, 1, 1) > days)
        year--;
    return year;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static bool is_leap(int64_t year)
{
    return zone_days(year, 3, 1) - zone_days(year, 2, 1) == 29;
}

/* The local time of a change in a year. */
static int64_t change_in(const struct zone_day *d, int64_t year)
{
    int64_t days = zone_days(year, 1, 1);
    if (d->kind == 'J')
        days += d->day - 1 + (d->day >= 60 && is_leap(year));
    else if (d->kind == 'n')
        days += d->day;
    else {
        days = zone_days(year, d->month, 1);
        const int64_t next = d->month == 12 ? zone_days(year + 1, 1, 1) : zone_days(year, d->month + 1, 1);
        const int64_t weekday = ((days + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday; Sunday is 0 */
        days += (d->day - weekday + 7) % 7 + (int64_t)(d->week - 1) * 7;
        while (days >= next)
            days -= 7;
    }
    return days * DAY_S + d->at_s;
}

/* --- the rule after the last transition */

static bool take_number(struct bytes *b, int most, int *out)
{
    int n = 0;
    size_t digits = 0;
    while (b->n > 0 && b->p[0] >= '0' && b->p[0] <= '9' && digits < 4) {
        n = n * 10 + (b->p[0] - '0');
        bytes_skip(b, 1);
        digits++;
    }
    *out = n;
    return digits > 0 && n <= most;
}

static bool take_sign(struct bytes *b, char c)
{
    const bool is = b->n > 0 && b->p[0] == (uint8_t)c;
    if (is)
        bytes_skip(b, 1);
    return is;
}

/* "[+-]hh[:mm[:ss]]" */
static bool take_time(struct bytes *b, int hours_most, int32_t *out)
{
    int h = 0, m = 0, s = 0;
    const bool minus = take_sign(b, '-');
    if (!minus)
        (void)take_sign(b, '+');
    if (!take_number(b, hours_most, &h) || (take_sign(b, ':') && !take_number(b, 59, &m)) ||
        (take_sign(b, ':') && !take_number(b, 59, &s)))
        return false;
    *out = (h * 3600 + m * 60 + s) * (minus ? -1 : 1);
    return true;
}

static bool take_name(struct bytes *b)
{
    size_t n = 0;
    if (take_sign(b, '<')) {
        struct bytes name;
        return bytes_take_until(b, '>', &name) && name.n > 0;
    }
    while (n < b->n && ((b->p[n] | 0x20) >= 'a' && (b->p[n] | 0x20) <= 'z'))
        n++;
    return n >= 3 && bytes_skip(b, n);
}

static bool take_day(struct bytes *b, struct zone_day *out)
{
    *out = (struct zone_day){.kind = 'n', .at_s = 2 * 3600};
    if (take_sign(b, 'M')) {
        out->kind = 'M';
        if (!take_number(b, 12, &out->month) || !take_sign(b, '.') || !take_number(b, 5, &out->week) || !take_sign(b, '.') ||
            !take_number(b, 6, &out->day) || out->month < 1 || out->week < 1)
            return false;
    } else {
        if (take_sign(b, 'J'))
            out->kind = 'J';
        if (!take_number(b, 365, &out->day) || (out->kind == 'J' && out->day < 1))
            return false;
    }
    return !take_sign(b, '/') || take_time(b, 167, &out->at_s);
}

static bool take_rule(struct bytes b, struct zone *z)
{
    int32_t off = 0;
    if (!take_name(&b) || !take_time(&b, 24, &off))
        return false;
    z->standard_s = -off; /* POSIX counts westward */
    z->rule = true;
    if (b.n == 0)
        return true;
    if (!take_name(&b))
        return false;
    z->summer = true;
    z->summer_s = z->standard_s + 3600;
    if (b.n > 0 && b.p[0] != ',') {
        if (!take_time(&b, 24, &off))
            return false;
        z->summer_s = -off;
    }
    return take_sign(&b, ',') && take_day(&b, &z->begins) && take_sign(&b, ',') && take_day(&b, &z->ends) && b.n == 0;
}

/* --- the file */

struct header {
    uint8_t version;
    uint32_t isutc, isstd, leaps, times, types, chars;
};

static bool take_header(struct bytes *b, struct header *h)
{
    struct bytes magic, rest;
    return bytes_take(b, 4, &magic) && bytes_equal_z(magic, "TZif") && bytes_take_u8(b, &h->version) && bytes_take(b, 15, &rest) &&
           bytes_take_u32(b, &h->isutc) && bytes_take_u32(b, &h->isstd) && bytes_take_u32(b, &h->leaps) &&
           bytes_take_u32(b, &h->times) && bytes_take_u32(b, &h->types) && bytes_take_u32(b, &h->chars) &&
           h->times <= TRANSITIONS_MAX && h->types >= 1 && h->types <= 255 && h->chars <= 2048 && h->leaps <= 1000 &&
           h->isutc <= 255 && h->isstd <= 255;
}

static size_t body_size(const struct header *h, size_t time_size)
{
    return (size_t)h->times * (time_size + 1) + (size_t)h->types * 6 + h->chars + (size_t)h->leaps * (time_size + 4) + h->isstd +
           h->isutc;
}

static bool take_body(struct ctx *ctx, struct bytes *b, const struct header *h, struct zone *z)
{
    struct bytes at, index, types, rest, body;
    int32_t offsets[256] = {0};
    if (!bytes_take(b, body_size(h, 8), &body) || !bytes_take(&body, (size_t)h->times * 8, &at) ||
        !bytes_take(&body, h->times, &index) || !bytes_take(&body, (size_t)h->types * 6, &types))
        return false;
    for (uint32_t i = 0; i < h->types; i++) {
        uint32_t off;
        if (!bytes_take_u32(&types, &off) || !bytes_take(&types, 2, &rest))
            return false;
        offsets[i] = (int32_t)off;
        if (offsets[i] <= -DAY_S * 2 || offsets[i] >= DAY_S * 2)
            return false;
    }
    z->first_s = offsets[0];
    z->at = arena_array(&ctx->arena, h->times, sizeof *z->at);
    z->after_s = arena_array(&ctx->arena, h->times, sizeof *z->after_s);
    for (uint32_t i = 0; i < h->times; i++) {
        uint64_t t;
        uint8_t type;
        if (!bytes_take_u64(&at, &t) || !bytes_take_u8(&index, &type) || type >= h->types ||
            (i > 0 && (int64_t)t <= z->at[i - 1]))
            return false;
        z->at[i] = (int64_t)t;
        z->after_s[i] = offsets[type];
    }
    z->n = h->times;
    return true;
}

RC zone_parse(struct ctx *ctx, struct bytes file, struct zone *out)
{
    struct header h;
    struct bytes skipped, footer;
    *out = (struct zone){0};
    /* The first part is for readers that know 32 bits only. */
    bool good = take_header(&file, &h) && h.version >= '2' && bytes_take(&file, body_size(&h, 4), &skipped) &&
                take_header(&file, &h) && take_body(ctx, &file, &h, out) && take_sign(&file, '\n') &&
                bytes_take_line(&file, &footer);
    if (good && footer.n > 0)
        good = take_rule(footer, out);
    return good ? RC_OK : ctx_fail(ctx, E_PARSE, "the description of the time zone is not TZif (RFC 9636)");
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

RC zone_load(struct ctx *ctx, const char *name, struct zone *out)
{
    struct buf text;
    const size_t n = strlen(name);
    if (n == 0 || n > 64 || strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") != n ||
        *name == '/' || strstr(name, "//") != NULL)
        return ctx_fail(ctx, E_NOT_FOUND, "%s is no time zone; one is called Europe/Berlin, for example", name);
    const char *path = arena_printf(&ctx->arena, FOLDER "%s", name);
    __attribute__((cleanup(close_fd))) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? ctx_fail(ctx, E_NOT_FOUND, "no time zone %s is known here; is it spelled so, and is tzdata installed?", name)
                   : ctx_fail_errno(ctx, "%s", path);
    buf_init_arena(&text, &ctx->arena, ZONE_FILE_MAX);
    for (;;) {
        uint8_t *room = buf_reserve(&text, 4096);
        const ssize_t got = room != NULL ? read(fd, room, 4096) : 0;
        if (room == NULL)
            return ctx_fail(ctx, E_TOO_LARGE, "%s is larger than %d bytes", path, ZONE_FILE_MAX);
        if (got < 0 && errno == EISDIR)
            return ctx_fail(ctx, E_NOT_FOUND, "%s is no time zone, but a region of several", name);
        if (got < 0 && errno != EINTR)
            return ctx_fail_errno(ctx, "%s", path);
        if (got == 0)
            break;
        if (got > 0)
            buf_commit(&text, (size_t)got);
    }
    struct rc rc = zone_parse(ctx, buf_bytes(&text), out);
    return rc_ok(rc) ? rc : ctx_wrap(ctx, rc, "%s", path);
}

/* --- asking */

static int32_t by_rule(const struct zone *z, int64_t utc_s)
{
    if (!z->summer)
        return z->standard_s;
    const int64_t year = year_of(floor_div(utc_s + z->standard_s, DAY_S));
    const int64_t begins = change_in(&z->begins, year) - z->standard_s, ends = change_in(&z->ends, year) - z->summer_s;
    const bool summer = begins < ends ? utc_s >= begins && utc_s < ends : !(utc_s >= ends && utc_s < begins);
    return summer ? z->summer_s : z->standard_s;
}

int32_t zone_offset(const struct zone *z, int64_t utc_s)
{
    size_t low = 0, high = z->n;
    while (low < high) { /* the first transition after utc_s */
        const size_t middle = (low + high) / 2;
        if (z->at[middle] <= utc_s)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == z->n && z->rule)
        return by_rule(z, utc_s);
    return low == 0 ? z->first_s : z->after_s[low - 1];
}

int64_t zone_to_utc(const struct zone *z, int64_t local_s, bool last)
{
    int64_t early = local_s - zone_offset(z, local_s - 2 * DAY_S), late = local_s - zone_offset(z, local_s + 2 * DAY_S);
    if (early > late) {
        const int64_t t = early;
        early = late;
        late = t;
    }
    const bool early_fits = early + zone_offset(z, early) == local_s, late_fits = late + zone_offset(z, late) == local_s;
    if (early_fits && late_fits)
        return last ? late : early;
    if (early_fits || late_fits)
        return early_fits ? early : late;
    /* Skipped: the first moment at which the wall shows more. */
    int64_t from = local_s - 2 * DAY_S, to = local_s + 2 * DAY_S;
    while (to - from > 1) {
        const int64_t middle = from + (to - from) / 2;
        if (middle + zone_offset(z, middle) > local_s)
            to = middle;
        else
            from = middle;
    }
    return to;
}
