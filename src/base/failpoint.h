/* Named points at which tests make a process die, stop, wait or fail.  Release builds have none: FAILPOINT() is nothing there. */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#include "base/ctx.h"

/* failpoint_set arms one point, "name=action": kill (SIGKILL), stop (SIGSTOP), sleep:MS, error, disk_full; an optional "@N" after
 * the name fires at its Nth passing.  NULL or "" arms none.  Once, before threads. */
void failpoint_set(const char *text);

#ifdef CERTWRIGHT_FAILPOINTS
/* failpoint_hit acts where `name` is the armed point; true where it asks for a failure. */
bool failpoint_hit(const char *name, enum err *e);
#define FAILPOINT(name)                       \
    do {                                      \
        enum err failpoint_e_;                \
        (void)failpoint_hit(name, &failpoint_e_); \
    } while (0)
/* FAILPOINT_ERROR also leaves the function with a failure where the armed action is one. */
#define FAILPOINT_ERROR(ctx, name)                                             \
    do {                                                                       \
        enum err failpoint_e_;                                                 \
        if (failpoint_hit(name, &failpoint_e_))                                \
            return ctx_fail(ctx, failpoint_e_, "failpoint %s", name);          \
    } while (0)
#else
#define FAILPOINT(name) ((void)0)
#define FAILPOINT_ERROR(ctx, name) ((void)0)
#endif

#endif
