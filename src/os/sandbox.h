/* Sandboxes: what a role may touch, as a table, enforced by Landlock and seccomp; fails closed.
 *
 * Where the kernel lacks Landlock, a privileged role gets a mount namespace that holds nothing but its allowed paths instead; an
 * unprivileged one fails with E_SANDBOX unless `off`.  Order for a role: sandbox_mounts() as root, then the user switch, then
 * sandbox_enter(), all before the first thread. */
#ifndef OS_SANDBOX_H
#define OS_SANDBOX_H

#include "base/ctx.h"

enum sandbox_access {
    SANDBOX_READ = 1,  /* read files and list folders below */
    SANDBOX_WRITE = 2, /* write, make, rename, remove below */
    SANDBOX_EXECUTE = 4,
    SANDBOX_OPTIONAL = 8, /* skipped where it is not there; else a missing path is an error */
};

struct sandbox_path {
    const char *path;
    unsigned access;
};

enum sandbox_may {
    SANDBOX_CONNECT_TCP = 1, /* also may read /etc, for name resolution */
    SANDBOX_UDP = 2,
    SANDBOX_BIND_TCP = 4,
    SANDBOX_UNIX = 8, /* make, bind and connect Unix sockets */
    SANDBOX_EXEC =
        16, /* start programs: system calls are then filtered by a list of refused ones, for they hold for the programs too */
    SANDBOX_CHOWN = 32, /* change owner and mode */
};

#define SANDBOX_PATHS_MAX 256
struct sandbox {
    struct sandbox_path paths[SANDBOX_PATHS_MAX];
    size_t n_paths;
    unsigned may;            /* enum sandbox_may */
    bool no_system;          /* do not add the system's libraries, user table and OpenSSL's configuration as readable */
    bool off;                /* --no-sandbox: nothing is set but no_new_privs and no core dumps; reported */
    bool assume_no_landlock; /* tests: take the other way */
    bool mounted_;
};

/* sandbox_allow adds a path (the string is kept, not copied).  More than SANDBOX_PATHS_MAX is E_SANDBOX, told by sandbox_enter. */
void sandbox_allow(struct sandbox *sb, const char *path, unsigned access);
/* sandbox_mounts makes the mount namespace where it is needed and possible; else does nothing. */
RC sandbox_mounts(struct ctx *ctx, struct sandbox *sb);
/* sandbox_enter sets everything up for the calling thread and those it starts later.  `*state` (in ctx->arena) says what holds, for
 * health and logs: "landlock 7 + seccomp", "seccomp + mount namespace", "none (--no-sandbox)". */
RC sandbox_enter(struct ctx *ctx, struct sandbox *sb, const char **state);
/* sandbox_landlock_abi returns the kernel's Landlock version, 0 where there is none. */
int sandbox_landlock_abi(void);

#endif
