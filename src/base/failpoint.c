#include "base/failpoint.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

static struct {
    char name[64];
    char action[16];
    int64_t argument;
    int64_t at;
    atomic_llong passed;
} armed;

void failpoint_set(const char *text)
{
    armed.name[0] = 0;
    atomic_store(&armed.passed, 0);
    struct bytes rest = bytes_z(text), name, action, count;
    if (!rest.n || !bytes_take_until(&rest, '=', &name) || !bytes_take_until(&rest, ':', &action))
        return;
    armed.argument = 0;
    armed.at = 1;
    (void)!str_to_i64(rest, &armed.argument);
    struct bytes plain = name;
    if (bytes_take_until(&name, '@', &plain) && name.n) {
        count = name;
        (void)!str_to_i64(count, &armed.at);
    }
    snprintf(armed.action, sizeof armed.action, "%.*s", (int)action.n, (const char *)action.p);
    snprintf(armed.name, sizeof armed.name, "%.*s", (int)plain.n, (const char *)plain.p);
}

#ifdef CERTWRIGHT_FAILPOINTS
bool failpoint_hit(const char *name, enum err *e)
{
    if (!armed.name[0] || !str_equal(armed.name, name) || atomic_fetch_add(&armed.passed, 1) + 1 != armed.at)
        return false;
    log_event(LOG_WARN_, "failpoint", "name", name, "action", armed.action, NULL);
    if (str_equal(armed.action, "kill"))
        raise(SIGKILL);
    else if (str_equal(armed.action, "stop"))
        raise(SIGSTOP);
    else if (str_equal(armed.action, "sleep"))
        nanosleep(&(struct timespec){armed.argument / 1000, armed.argument % 1000 * 1000000}, NULL);
    *e = str_equal(armed.action, "disk_full") ? E_DISK_FULL : E_IO;
    return str_equal(armed.action, "error") || str_equal(armed.action, "disk_full");
}
#endif
