/* The parent: what it opens for its roles before it starts them. */
#include <arpa/inet.h>
#include <errno.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "os/file.h"
#include "os/parent.h"

static struct rc open_unix(struct ctx *ctx, struct parent_listener *l)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t n = strlen(l->path);
    if (n >= sizeof a.sun_path)
        return ctx_fail(ctx, E_INVALID, "the socket's path is longer than %zu bytes: %s", sizeof a.sun_path - 1, l->path);
    memcpy(a.sun_path, l->path, n + 1);
    int fd FD_CLEANUP = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return ctx_fail_errno(ctx, "cannot make a socket");
    struct stat st;
    if (lstat(l->path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode))
            return ctx_fail(ctx, E_EXISTS, "%s is there and is not a socket; move it away", l->path);
        int probe FD_CLEANUP = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (probe >= 0 && connect(probe, (struct sockaddr *)&a, sizeof a) == 0)
            return ctx_fail(ctx, E_IN_USE, "somebody listens at %s already: is another certwright running?", l->path);
        if (unlink(l->path))
            return ctx_fail_errno(ctx, "cannot remove the old socket %s", l->path);
    }
    /* Nobody gets in before owner and mode are set: the mode at birth is for nobody, and it does not listen yet. */
    mode_t before = umask(0777);
    int bound = bind(fd, (struct sockaddr *)&a, sizeof a);
    umask(before);
    if (bound)
        return ctx_fail_errno(ctx, "cannot bind %s", l->path);
    if (((l->uid != FILE_KEEP_UID || l->gid != FILE_KEEP_GID) && lchown(l->path, l->uid, l->gid)) || chmod(l->path, l->mode) ||
        listen(fd, 512))
        return ctx_fail_errno(ctx, "cannot set up %s", l->path);
    l->fd = fd;
    fd = -1;
    return RC_OK;
}

static struct rc open_tcp(struct ctx *ctx, struct parent_listener *l)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = {.any = {0}};
    socklen_t n = sizeof a.v4;
    if (inet_pton(AF_INET, l->address, &a.v4.sin_addr) == 1) {
        a.v4.sin_family = AF_INET;
        a.v4.sin_port = htons(l->port);
    } else if (inet_pton(AF_INET6, l->address, &a.v6.sin6_addr) == 1) {
        a.v6.sin6_family = AF_INET6;
        a.v6.sin6_port = htons(l->port);
        n = sizeof a.v6;
    } else {
        return ctx_fail(ctx, E_INVALID, "%s is not an IP address to listen on", l->address);
    }
    int one = 1, fd FD_CLEANUP = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one))
        return ctx_fail_errno(ctx, "cannot make a socket for %s", l->name);
    if (a.any.sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one))
        return ctx_fail_errno(ctx, "cannot make a socket for %s", l->name);
    if (bind(fd, &a.any, n) || listen(fd, 1024)) {
        if (errno == EADDRINUSE)
            return ctx_fail(ctx, E_IN_USE, "port %u of %s is in use: is another certwright running?", l->port, l->address);
        return ctx_fail_errno(ctx, "cannot listen on port %u of %s", l->port, l->address);
    }
    if (getsockname(fd, &a.any, &n))
        return ctx_fail_errno(ctx, "cannot see the port of %s", l->name);
    l->bound_port = ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
    l->fd = fd;
    fd = -1;
    return RC_OK;
}

static struct rc open_credential(struct ctx *ctx, struct parent_credential *c)
{
    int fd FD_CLEANUP = open(c->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st))
        return ctx_fail_errno(ctx, "cannot open the credential %s; where it is lost: certwright init --recover", c->path);
    if (!S_ISREG(st.st_mode))
        return ctx_fail(ctx, E_INVALID, "the credential %s is not a regular file", c->path);
    if (st.st_mode & 077)
        return ctx_fail(ctx, E_FORBIDDEN, "the credential %s can be read by others; run: chmod 0600 %s", c->path, c->path);
    c->fd = fd;
    fd = -1;
    return RC_OK;
}

struct rc parent_open(struct ctx *ctx, struct parent_plan *plan)
{
    for (size_t i = 0; i < plan->n_listeners; i++) {
        struct parent_listener *l = &plan->listeners[i];
        if (l->fd <= 0)
            TRY(l->path ? open_unix(ctx, l) : open_tcp(ctx, l));
    }
    for (size_t i = 0; i < plan->n_credentials; i++)
        if (plan->credentials[i].fd <= 0)
            TRY(open_credential(ctx, &plan->credentials[i]));
    return RC_OK;
}

struct rc parent_uid(struct ctx *ctx, const struct parent_plan *plan, const char *role, uid_t *uid, gid_t *gid)
{
    *uid = geteuid();
    *gid = getegid();
    for (size_t i = 0; i < plan->n_roles; i++) {
        const struct parent_user *u = &plan->roles[i].user;
        if (!str_equal(plan->roles[i].name, role))
            continue;
        if (geteuid() != 0 || u->keep_root)
            return RC_OK;
        if (u->user) {
            struct passwd pw, *found = NULL;
            char *space = arena_alloc(&ctx->arena, 16384);
            if (getpwnam_r(u->user, &pw, space, 16384, &found) || !found)
                return ctx_fail(ctx, E_NOT_FOUND, "role %s runs as user %s, who is not there; run: useradd --system %s", role,
                                u->user, u->user);
            *uid = pw.pw_uid;
            *gid = pw.pw_gid;
        } else if (u->uid_base) {
            *uid = u->uid_base + (uid_t)i;
            *gid = (gid_t)*uid;
        }
        if (*uid == 0)
            return ctx_fail(ctx, E_INVALID, "role %s may not run as root; name a user for it", role);
        return RC_OK;
    }
    return ctx_fail(ctx, E_BUG, "no role is named %s", role);
}
