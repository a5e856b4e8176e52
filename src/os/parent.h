/* The parent: opens listeners and credential files, starts roles, restarts those that die, hands out fresh sockets, and ends them.
 */
#ifndef OS_PARENT_H
#define OS_PARENT_H

#include <sys/types.h>

#include "base/ctx.h"

#define PARENT_NAMES_MAX 8
#define PARENT_DRAIN_MS  10000

/* Who a role runs as.  All of this counts only where the parent is root; else roles keep its user. */
struct parent_user {
    const char *user; /* a user's name and its primary group; wins over uid_base */
    uid_t
        uid_base; /* for demonstrations without such users: uid and gid are uid_base + the role's place in the plan; 0: not used */
    bool keep_root; /* stays root with the capabilities of its row (apply, run) */
};

struct parent_role {
    const char *name;
    struct parent_user user;             /* none of it given, and root: refused */
    struct bytes config;                 /* handed over as it is; at most 16 MiB */
    const char *peers[PARENT_NAMES_MAX]; /* roles it is connected to; naming it on one side is enough */
    const char *listeners[PARENT_NAMES_MAX];
    const char *credentials[PARENT_NAMES_MAX];
    /* Ends by itself where its one peer has asked nothing for so long, nothing is under way and nothing is held
     * (wire_server_holds), and is started again by the next message, which waits meanwhile.  0: never. */
    int rest_ms;
};

struct parent_listener {
    const char *name;
    const char *path;    /* Unix socket; or NULL, and TCP: */
    const char *address; /* "127.0.0.1", "::", "0.0.0.0" */
    uint16_t port;       /* 0: any free one, told by `bound_port` */
    mode_t mode;         /* Unix: of the socket */
    uid_t uid;           /* Unix: owner; (uid_t)-1 as it comes */
    gid_t gid;
    int fd; /* > 0: taken as it is (socket activation); 0: opened by parent_open */
    uint16_t bound_port;
};

struct parent_credential {
    const char *name;
    const char *path; /* a regular file; refused where group or others may read it */
    int fd;           /* > 0: taken as it is; 0: opened by parent_open, once.  Each incarnation of a role gets it rewound */
};

struct parent_plan {
    const char *program;             /* NULL: /proc/self/exe */
    const struct parent_role *roles; /* those who answer before those who ask them: at the end the last is stopped first */
    size_t n_roles;
    struct parent_listener *listeners;
    size_t n_listeners;
    struct parent_credential *credentials;
    size_t n_credentials;
    bool no_sandbox; /* --no-sandbox, reported by every role */
    bool log_json;
    int log_least;          /* enum log_level */
    const char *clock_file; /* for tests: 8 bytes, mapped by roles as the offset of role_clock(); NULL: none */
    /* Called once, when all roles are ready the first time.  May be NULL. */
    void (*on_ready)(void *arg);
    void *arg;
};

/* parent_open opens the listeners and credentials of the plan.  Apart from parent_run so that a port can be told before. */
RC parent_open(struct ctx *ctx, struct parent_plan *plan);
/* parent_run opens what is not open, runs the roles, and returns when all have ended after SIGTERM or SIGINT, or fails where a role
 * could not become ready for the first time (with the role's own words).  Single-threaded; takes over SIGTERM, SIGINT, SIGCHLD,
 * SIGHUP and SIGUSR2 (ignored).  SIGTERM or SIGINT: each role is asked to drain when those after it have ended, all within
 * PARENT_DRAIN_MS, then killed; a second signal kills at once.  A role that rests is started even then where one that drains
 * asks it.  A role that dies is restarted after 100 ms, doubling to 5 s; ten
 * seconds of life bring it back to 100 ms. */
RC parent_run(struct ctx *ctx, struct parent_plan *plan);
/* parent_uid finds the user id a role of the plan would run as. */
RC parent_uid(struct ctx *ctx, const struct parent_plan *plan, const char *role, uid_t *uid, gid_t *gid);

#endif
