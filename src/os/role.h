/* Roles: what runs in one child process of the parent (os/parent.h).
 *
 * The parent re-executes the binary as `certwright --role NAME` with the control channel on descriptor 3 and hands over, by name:
 * config text, peers, listeners, credential descriptors.  Then the role fills in its sandbox, switches user, becomes non-dumpable,
 * enters the sandbox, and only then starts threads and its own work.  A role whose parent dies ends at once. */
#ifndef OS_ROLE_H
#define OS_ROLE_H

#include "base/ctx.h"
#include "os/sandbox.h"
#include "wire/wire.h"

struct role_env;

/* One row of the program's table of roles. */
struct role {
    const char *name;
    /* Fills in what the role may touch, from its config; runs before the user switch and opens nothing it keeps.  NULL: nothing is
     * allowed but the system's libraries. */
    RC (*confine)(struct ctx *ctx, struct role_env *env, struct sandbox *sb);
    /* The role's work, inside the sandbox: prepares, calls role_ready(), returns RC_OK after role_stopping() became true.  A
     * failure before role_ready() is told to the parent with its trail. */
    RC (*enter)(struct ctx *ctx, struct role_env *env);
    /* Capabilities (bits of CAP_*) kept by a role that starts as root; the others are dropped for good. */
    uint64_t capabilities;
};
#define ROLE_CAP_ALL UINT64_MAX

/* role_main is main() of a role: argv is {program, "--role", NAME}.  Returns the exit code. */
int role_main(const struct role *table, size_t n, int argc, char **argv);
/* role_asked says whether argv asks for a role. */
bool role_asked(int argc, char **argv);

const char *role_name(const struct role_env *env);
/* role_config is what the parent was given for this role; lives as long as the process. */
struct bytes role_config(const struct role_env *env);
const struct clock *role_clock(const struct role_env *env);
/* role_peer returns the peer that survives replacements, or NULL where the plan has none of that name. */
struct wire_peer *role_peer(struct role_env *env, const char *name);
/* role_server is where all peers' requests arrive; it is stopped at STOP by the control thread.  Serve it with wire_serve() or
 * wire_receive_batch(). */
struct wire_server *role_server(struct role_env *env);
/* role_listener and role_credential return a descriptor that the role may keep or close, -1 where the plan has none of that name.
 */
int role_listener(const struct role_env *env, const char *name);
int role_credential(const struct role_env *env, const char *name);
/* role_keep_credential is for `confine`, which may read what the role later may not: role_credential() then returns `fd`, which is
 * the role's from here on. */
RC role_keep_credential(struct ctx *ctx, struct role_env *env, const char *name, int fd);
/* role_sandbox_state: what holds ("landlock 7 + seccomp"). */
const char *role_sandbox_state(const struct role_env *env);

/* role_stopping is true once the parent asked the role to drain; role_stop_fd becomes readable then (do not read it); role_on_stop
 * sets a function that the control thread calls once (at once where it has happened already); NULL takes it back and waits while it
 * runs, so it must not call role_on_stop itself. */
bool role_stopping(struct role_env *env);
int role_stop_fd(const struct role_env *env);
void role_on_stop(struct role_env *env, void (*fn)(void *arg), void *arg);
/* role_leave_threads: threads of the role still run when its `enter` returns, and end with the process: what they use stays. */
void role_leave_threads(struct role_env *env);
/* role_wait_stop blocks until the role is asked to stop. */
void role_wait_stop(struct role_env *env);
/* role_ready tells the parent that the role works; `text` is for its log. */
void role_ready(struct role_env *env, const char *text);

#endif
