/* Log lines: one line a call to standard error, "2026-11-21T04:25:21Z role level event key=value …", values quoted and escaped.
 * The parent or systemd collects them.  Never a secret. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/rc.h"

enum log_level { LOG_DEBUG_, LOG_INFO_, LOG_WARN_, LOG_ERROR_ };

/* log_init sets the name that every line carries (the role) and the least level printed.  Once, before threads. */
void log_init(const char *role, enum log_level least, bool json);
/* log_event prints `event` (words_with_underscores) and then pairs: key, value, key, value, …, NULL.  A NULL value is left out.
 *     log_event(LOG_WARN_, "role_died", "role", name, "signal", num, NULL); */
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));
/* log_num formats a number for log_event(); up to eight of them in one call. */
const char *log_num(long long v);

#endif
