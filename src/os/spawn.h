/* Starts a program from an argv array, never through a shell, and waits for it. */
#ifndef OS_SPAWN_H
#define OS_SPAWN_H

#include <sys/types.h>

#include "base/ctx.h"

struct spawn {
    const char *const *argv; /* NULL-terminated; argv[0] an absolute path */
    const char *const *env;  /* NULL-terminated "K=V"; NULL: PATH=/usr/sbin:/usr/bin:/sbin:/bin and LANG=C.UTF-8 */
    const char *cwd;         /* NULL: "/" */
    bool switch_user;        /* take uid and gid, drop all other groups */
    uid_t uid;
    gid_t gid;
    struct bytes in;  /* standard input; empty: /dev/null */
    size_t max_out;   /* ceiling of what is kept; 0: 64 KiB.  Where it says more, the start or the end is kept and the rest read and
                         dropped */
    bool keep_end;    /* keep the end rather than the start */
    bool only_stdout; /* standard error goes to /dev/null; else both come in one stream */
    int err_fd;       /* above 0: standard error goes there instead */
    int64_t timeout_ms; /* 0: 60 s; the deadline of ctx also counts */
};

struct spawn_result {
    int exit_code;    /* -1 where a signal ended it */
    int signal;       /* 0 where it exited */
    bool timed_out;   /* killed, with its whole process group */
    bool cut;         /* said more than max_out */
    struct bytes out; /* in ctx->arena */
    int64_t took_ms;
};

/* spawn_run starts it in a process group of its own, with default signals, umask 022 and no descriptor but 0-2, and waits.  It
 * fails only where the program could not be started (E_NOT_FOUND, E_FORBIDDEN, …); what it did is in `out`. */
RC spawn_run(struct ctx *ctx, const struct spawn *s, struct spawn_result *out);

/* spawn_as lets it run as the user of that name, NULL or our own: as we are.  `what` is who asks, for the error: E_NOT_FOUND where
 * this host has no such user. */
RC spawn_as(struct ctx *ctx, struct spawn *s, const char *user, const char *what);

#endif
