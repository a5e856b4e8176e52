#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

/* Set once, before threads. */
static struct {
    char role[32];
    enum log_level least;
    bool json;
} settings = {.role = "certwright", .least = LOG_INFO_};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_init(const char *role, enum log_level least, bool json)
{
    snprintf(settings.role, sizeof settings.role, "%s", role);
    settings.least = least;
    settings.json = json;
}

const char *log_num(long long v)
{
    static _Thread_local char texts[8][24];
    static _Thread_local unsigned next;
    char *t = texts[next++ % 8];
    snprintf(t, sizeof texts[0], "%lld", v);
    return t;
}

/* A longer value is cut: a peer's words must not crowd out the line. */
#define LOG_VALUE_MAX ((size_t)2048)
#define LOG_LINE_MAX ((size_t)65536)

static struct bytes cut(const char *v)
{
    return bytes_of(v, strnlen(v, LOG_VALUE_MAX));
}

/* A value with spaces, quotes or control characters is quoted and escaped: one event stays one line. */
static void put_value(struct buf *b, const char *v)
{
    bool plain = *v != 0;
    for (const char *c = v; *c && plain; c++)
        plain = *c > ' ' && *c < 127 && *c != '"' && *c != '=' && *c != '\\';
    if (plain) {
        buf_put(b, cut(v));
        return;
    }
    struct json_out j;
    json_begin(&j, b);
    json_put_bytes_str(&j, NULL, cut(v));
}

static void put_text(struct buf *b, enum log_level level, const char *event, va_list ap)
{
    time_put_rfc3339(b, clock_unix_s(&clock_system));
    buf_printf(b, " %s %s %s", settings.role, level_names[level], event);
    for (const char *key; (key = va_arg(ap, const char *));) {
        const char *value = va_arg(ap, const char *);
        if (!value)
            continue;
        buf_printf(b, " %s=", key);
        put_value(b, value);
    }
}

static void put_json(struct buf *b, enum log_level level, const char *event, va_list ap)
{
    struct json_out j;
    json_begin(&j, b);
    json_open_obj(&j, NULL);
    json_put_time(&j, "time", clock_unix_s(&clock_system));
    json_put_str(&j, "role", settings.role);
    json_put_str(&j, "level", level_names[level]);
    json_put_str(&j, "event", event);
    for (const char *key; (key = va_arg(ap, const char *));) {
        const char *value = va_arg(ap, const char *);
        if (value)
            json_put_bytes_str(&j, key, cut(value));
    }
    json_close(&j);
}

void log_event(enum log_level level, const char *event, ...)
{
    if (level < settings.least)
        return;
    const int saved = errno;
    struct buf BUF_CLEANUP b;
    buf_init(&b, LOG_LINE_MAX);
    va_list ap;
    va_start(ap, event);
    (settings.json ? put_json : put_text)(&b, level, event, ap);
    va_end(ap);
    buf_put_u8(&b, '\n');
    /* A log that cannot be written must not stop what is being logged. */
    if (rc_ok(buf_status(&b)))
        (void)!write(STDERR_FILENO, b.p, b.n);
    errno = saved;
}
