#include "core/window.h"

#include <string.h>

#include "base/json.h"
#include "base/str.h"

#define DAY_S 86400
#define AHEAD_DAYS 35

static const char *const day_names[7] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

static int day_of(struct bytes word)
{
    for (int i = 0; i < 7; i++)
        if (bytes_equal_nocase(word, bytes_z(day_names[i])))
            return i;
    return -1;
}

/* "Sat,Sun" or "Mon-Fri,Sun" */
static bool read_days(struct bytes text, unsigned *out)
{
    struct bytes part;
    *out = 0;
    while (bytes_take_until(&text, ',', &part)) {
        struct bytes rest = part, first = {0};
        bytes_take_until(&rest, '-', &first);
        const int from = day_of(first), to = first.n < part.n ? day_of(rest) : from;
        if (from < 0 || to < 0)
            return false;
        for (int i = from;; i = (i + 1) % 7) {
            *out |= 1U << i;
            if (i == to)
                break;
        }
    }
    return *out != 0;
}

static bool read_clock(struct bytes text, int *minutes)
{
    struct bytes rest = text, hours;
    uint64_t h, m;
    if (text.n != 5 || text.p[2] != ':' || !bytes_take_until(&rest, ':', &hours) || !str_to_u64(hours, &h) || !str_to_u64(rest, &m))
        return false;
    *minutes = (int)(h * 60 + m);
    return m < 60 && *minutes <= 24 * 60;
}

RC window_parse(struct ctx *ctx, const char *text, struct window *out)
{
    struct bytes rest = bytes_z(text), word = {0}, from = {0};
    const char *zone = "UTC";
    *out = (struct window){.days = 0x7f};
    if (strlen(text) > WINDOW_TEXT_MAX)
        return ctx_fail(ctx, E_INVALID, "a window is at most %d bytes", WINDOW_TEXT_MAX);
    const bool any = bytes_take_until(&rest, ' ', &word);
    if (any && word.n > 0 && (word.p[0] < '0' || word.p[0] > '9')) {
        if (!read_days(word, &out->days))
            return ctx_fail(ctx, E_INVALID,
                            "%s: the days of a window are Mon, Tue, Wed, Thu, Fri, Sat and Sun: \"Sat,Sun\", \"Mon-Fri\"", text);
        rest = bytes_trim(rest);
        word = (struct bytes){0};
        bytes_take_until(&rest, ' ', &word);
    }
    bytes_take_until(&word, '-', &from);
    if (!any || !read_clock(from, &out->from_min) || !read_clock(word, &out->to_min) || out->from_min == 24 * 60)
        return ctx_fail(ctx, E_INVALID, "%s: a window is written like \"Sat,Sun 02:00-04:00 Europe/Berlin\"", text);
    if (out->from_min == out->to_min)
        return ctx_fail(ctx, E_INVALID, "%s: the window ends when it begins; a whole day is 00:00-24:00", text);
    rest = bytes_trim(rest);
    if (rest.n > 0)
        zone = arena_str(&ctx->arena, rest);
    const struct rc rc = zone_load(ctx, zone, &out->zone);
    if (rc.e != E_NOT_FOUND)
        return rc;
    const char *why = ctx_why(ctx);
    ctx_forget(ctx);
    return ctx_fail(ctx, E_INVALID, "%s: %s", text, why);
}

RC windows_parse(struct ctx *ctx, const char *json, struct window *out, size_t *n)
{
    json_auto_t *list = NULL;
    *n = 0;
    TRY(json_read(ctx, bytes_z(json), &list));
    if (!json_is_array(list) || json_array_size(list) > WINDOWS_MAX)
        return ctx_fail(ctx, E_INVALID, "windows must be a list of at most %d", WINDOWS_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        TRY(window_parse(ctx, text != NULL ? text : "", &out[(*n)++]));
    }
    return RC_OK;
}

static int64_t floor_day(int64_t local_s)
{
    return local_s / DAY_S - (local_s % DAY_S < 0);
}

static bool one_next(const struct window *w, int64_t now, int64_t *opens, int64_t *closes)
{
    const int64_t today = floor_day(now + zone_offset(&w->zone, now));
    for (int64_t day = today - 2; day <= today + AHEAD_DAYS; day++) {
        const int weekday = (int)(((day + 3) % 7 + 7) % 7); /* 1970-01-01 was a Thursday; Monday is 0 */
        if ((w->days & (1U << weekday)) == 0)
            continue;
        const int64_t end_day = day + (w->to_min <= w->from_min);
        *opens = zone_to_utc(&w->zone, day * DAY_S + w->from_min * 60, false);
        *closes = zone_to_utc(&w->zone, end_day * DAY_S + w->to_min * 60, true);
        if (*closes > now && *closes > *opens)
            return true;
    }
    return false;
}

bool windows_next(const struct window *w, size_t n, int64_t now, int64_t *opens, int64_t *closes)
{
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        int64_t from, to;
        if (!one_next(&w[i], now, &from, &to))
            continue;
        const bool open = from <= now, have = any && *opens <= now;
        if (!any || (open && (!have || to > *closes)) || (!open && !have && from < *opens)) {
            *opens = from;
            *closes = to;
        }
        any = true;
    }
    return any;
}
