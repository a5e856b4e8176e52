/* Sandboxes: what is common, Landlock, and the mount namespace.  System calls are filtered in sandbox_calls.c. */
#include "os/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/file.h"
#include "os/sandbox_calls.h"

/* Newer than the oldest headers this builds with. */
#define FS_TRUNCATE         (1ULL << 14) /* version 3 */
#define NET_BIND_TCP        (1ULL << 0)  /* version 4 */
#define NET_CONNECT_TCP     (1ULL << 1)  /* version 4 */
#define FS_IOCTL_DEV        (1ULL << 15) /* version 5 */
#define SCOPE_ABSTRACT_UNIX (1ULL << 0)  /* version 6 */
#define SCOPE_SIGNAL        (1ULL << 1)
struct ruleset_attr {
    uint64_t handled_access_fs, handled_access_net, scoped;
};

#define FS_FILE                                                                                                                    \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE                                                                                                                   \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                              \
     LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |     \
     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER |       \
     FS_TRUNCATE | FS_IOCTL_DEV)

/* What any program needs to go on running: libraries loaded late, the user table, OpenSSL's configuration, time zones. */
static const struct sandbox_path system_paths[] = {
    {"/usr/lib", SANDBOX_READ | SANDBOX_EXECUTE | SANDBOX_OPTIONAL},
    {"/usr/lib64", SANDBOX_READ | SANDBOX_EXECUTE | SANDBOX_OPTIONAL},
    {"/usr/local/lib", SANDBOX_READ | SANDBOX_EXECUTE | SANDBOX_OPTIONAL},
    {"/lib", SANDBOX_READ | SANDBOX_EXECUTE | SANDBOX_OPTIONAL},
    {"/lib64", SANDBOX_READ | SANDBOX_EXECUTE | SANDBOX_OPTIONAL},
    {"/opt/certwright/lib", SANDBOX_READ | SANDBOX_EXECUTE | SANDBOX_OPTIONAL}, /* those of the bundle: tools/bundle */
    {"/usr/share/zoneinfo", SANDBOX_READ | SANDBOX_OPTIONAL},
    {"/etc/ld.so.cache", SANDBOX_READ | SANDBOX_OPTIONAL},
    {"/etc/ssl", SANDBOX_READ | SANDBOX_OPTIONAL},
    {"/usr/share/ca-certificates", SANDBOX_READ | SANDBOX_OPTIONAL},
    {"/usr/local/share/ca-certificates", SANDBOX_READ | SANDBOX_OPTIONAL},
    {"/etc/passwd", SANDBOX_READ | SANDBOX_OPTIONAL},
    {"/etc/group", SANDBOX_READ | SANDBOX_OPTIONAL},
    {"/etc/nsswitch.conf", SANDBOX_READ | SANDBOX_OPTIONAL},
    {"/etc/localtime", SANDBOX_READ | SANDBOX_OPTIONAL},
    {"/dev/null", SANDBOX_READ | SANDBOX_WRITE | SANDBOX_OPTIONAL},
    {"/dev/urandom", SANDBOX_READ | SANDBOX_OPTIONAL},
    {"/proc/self", SANDBOX_READ | SANDBOX_OPTIONAL}, /* its own process alone: sizes for health */
};
/* Files of name resolution are replaced, not rewritten, by those who keep them: so the folder, not the files. */
static const struct sandbox_path name_paths[] = {
    {"/etc", SANDBOX_READ | SANDBOX_OPTIONAL},
    {"/run/systemd/resolve", SANDBOX_READ | SANDBOX_OPTIONAL},
    {"/run/resolvconf", SANDBOX_READ | SANDBOX_OPTIONAL},
};

void sandbox_allow(struct sandbox *sb, const char *path, unsigned access)
{
    if (sb->n_paths < SANDBOX_PATHS_MAX)
        sb->paths[sb->n_paths] = (struct sandbox_path){path, access};
    sb->n_paths++; /* one too many is told by sandbox_enter */
}

int sandbox_landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
}

static int usable_abi(const struct sandbox *sb)
{
    return sb->assume_no_landlock ? 0 : sandbox_landlock_abi();
}

static struct rc check(struct ctx *ctx, const struct sandbox *sb)
{
    if (sb->n_paths > SANDBOX_PATHS_MAX)
        return ctx_fail(ctx, E_SANDBOX, "the sandbox has %zu paths, at most %d are possible", sb->n_paths, SANDBOX_PATHS_MAX);
    return RC_OK;
}

/* Calls fn for the sandbox's own paths and those of the system. */
static struct rc each_path(struct ctx *ctx, const struct sandbox *sb,
                           struct rc (*fn)(struct ctx *, const struct sandbox_path *, void *), void *arg)
{
    for (size_t i = 0; i < sb->n_paths; i++)
        TRY(fn(ctx, &sb->paths[i], arg));
    for (size_t i = 0; !sb->no_system && i < sizeof system_paths / sizeof system_paths[0]; i++)
        TRY(fn(ctx, &system_paths[i], arg));
    if (sb->may & (SANDBOX_CONNECT_TCP | SANDBOX_UDP))
        for (size_t i = 0; i < sizeof name_paths / sizeof name_paths[0]; i++)
            TRY(fn(ctx, &name_paths[i], arg));
    return RC_OK;
}

static struct rc path_missing(struct ctx *ctx, const struct sandbox_path *p)
{
    if ((p->access & SANDBOX_OPTIONAL) && (errno == ENOENT || errno == EACCES || errno == ENOTDIR))
        return RC_OK;
    return ctx_fail(ctx, E_SANDBOX, "the sandbox allows %s, which cannot be opened: %s", p->path, strerror(errno));
}

/* --- Landlock */

struct landlock {
    int fd;
    uint64_t handled;
};

static struct rc landlock_allow(struct ctx *ctx, const struct sandbox_path *p, void *arg)
{
    const struct landlock *ll = arg;
    int fd FD_CLEANUP = open(p->path, O_PATH | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st))
        return path_missing(ctx, p);
    uint64_t access = (p->access & SANDBOX_READ ? FS_READ : 0) | (p->access & SANDBOX_WRITE ? FS_WRITE : 0) |
                      (p->access & SANDBOX_EXECUTE ? LANDLOCK_ACCESS_FS_EXECUTE : 0);
    struct landlock_path_beneath_attr rule = {.allowed_access = access & ll->handled & (S_ISDIR(st.st_mode) ? ~0ULL : FS_FILE),
                                              .parent_fd = fd};
    if (syscall(SYS_landlock_add_rule, ll->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
        return ctx_fail(ctx, E_SANDBOX, "Landlock does not take a rule for %s: %s", p->path, strerror(errno));
    return RC_OK;
}

static struct rc landlock_enter(struct ctx *ctx, const struct sandbox *sb, int abi)
{
    struct ruleset_attr attr = {.handled_access_fs = FS_READ | FS_WRITE | LANDLOCK_ACCESS_FS_EXECUTE};
    if (abi < 5)
        attr.handled_access_fs &= ~FS_IOCTL_DEV;
    if (abi < 3)
        attr.handled_access_fs &= ~FS_TRUNCATE;
    if (abi < 2)
        attr.handled_access_fs &= ~LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 4)
        attr.handled_access_net =
            (sb->may & SANDBOX_BIND_TCP ? 0 : NET_BIND_TCP) | (sb->may & SANDBOX_CONNECT_TCP ? 0 : NET_CONNECT_TCP);
    if (abi >= 6) /* programs that the role starts must be able to signal a service: nginx -s reload */
        attr.scoped = sb->may & SANDBOX_EXEC ? 0 : SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
    size_t size = abi >= 6   ? sizeof attr
                  : abi >= 4 ? offsetof(struct ruleset_attr, scoped)
                             : offsetof(struct ruleset_attr, handled_access_net);
    int fd FD_CLEANUP = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (fd < 0)
        return ctx_fail(ctx, E_SANDBOX, "Landlock does not take the rules: %s", strerror(errno));
    struct landlock ll = {fd, attr.handled_access_fs};
    TRY(each_path(ctx, sb, landlock_allow, &ll));
    if (syscall(SYS_landlock_restrict_self, fd, 0))
        return ctx_fail(ctx, E_SANDBOX, "Landlock could not be entered: %s", strerror(errno));
    return RC_OK;
}

/* --- the mount namespace: an empty file system in which nothing but the allowed paths is bound */

#define NEW_ROOT "/tmp"

static struct rc mount_fail(struct ctx *ctx, const char *what, const char *path)
{
    return ctx_fail(ctx, E_SANDBOX, "cannot %s %s in the role's own mount namespace: %s", what, path, strerror(errno));
}

/* A path to bind: opened while the old root can still be seen whole. */
struct bound {
    struct sandbox_path p;
    int fd;
    bool dir;
};
#define BOUND_MAX (SANDBOX_PATHS_MAX + 32)
struct bounds {
    struct bound v[BOUND_MAX];
    size_t n;
};

static void bounds_close(struct bounds *b)
{
    for (size_t i = 0; i < b->n; i++)
        fd_close(&b->v[i].fd);
}

static struct rc collect(struct ctx *ctx, const struct sandbox_path *p, void *arg)
{
    struct bounds *b = arg;
    struct stat st;
    if (strncmp(p->path, "/proc", 5) == 0)
        return RC_OK; /* the old root's processes are nobody's business */
    int fd FD_CLEANUP = open(p->path, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st))
        return path_missing(ctx, p);
    if (b->n == BOUND_MAX)
        return ctx_fail(ctx, E_SANDBOX, "more than %d paths to bind", BOUND_MAX);
    b->v[b->n++] = (struct bound){*p, fd, S_ISDIR(st.st_mode)};
    fd = -1;
    return RC_OK;
}

/* Shorter paths first, so that none covers one below it. */
static int by_length(const void *a, const void *b)
{
    size_t n = strlen(((const struct bound *)a)->p.path), m = strlen(((const struct bound *)b)->p.path);
    return n < m ? -1 : n > m;
}

static struct rc bind_path(struct ctx *ctx, const struct bound *b)
{
    const char *at = arena_printf(&ctx->arena, NEW_ROOT "%s", b->p.path);
    const char *from = arena_printf(&ctx->arena, "/proc/self/fd/%d", b->fd);
    if (b->dir) {
        TRY(file_mkdirs(ctx, at, 0755));
    } else {
        char *dir = arena_strdup(&ctx->arena, at);
        *strrchr(dir, '/') = 0;
        TRY(file_mkdirs(ctx, dir, 0755));
        int fd FD_CLEANUP = open(at, O_RDONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
        if (fd < 0 && access(at, F_OK)) /* a device in a folder that is bound without devices is there and does not open */
            return mount_fail(ctx, "make", at);
    }
    if (mount(from, at, NULL, MS_BIND, NULL))
        return mount_fail(ctx, "bind", b->p.path);
    unsigned long flags = MS_REMOUNT | MS_BIND | MS_NOSUID | (b->dir ? MS_NODEV : 0) |
                          (b->p.access & SANDBOX_WRITE ? 0 : MS_RDONLY) | (b->p.access & SANDBOX_EXECUTE ? 0 : MS_NOEXEC);
    if (mount(NULL, at, NULL, flags, NULL))
        return mount_fail(ctx, "restrict", b->p.path);
    return RC_OK;
}

struct rc sandbox_mounts(struct ctx *ctx, struct sandbox *sb)
{
    TRY(check(ctx, sb));
    if (sb->off || usable_abi(sb) > 0 || geteuid() != 0)
        return RC_OK;
    for (size_t i = 0; i < sb->n_paths; i++)
        if (strcmp(sb->paths[i].path, "/") == 0) { /* everything is allowed: nothing to hide */
            sb->mounted_ = true;
            return RC_OK;
        }
    if (unshare(CLONE_NEWNS))
        return mount_fail(ctx, "unshare", "/");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
        return mount_fail(ctx, "make private", "/");
    struct bounds bounds __attribute__((cleanup(bounds_close))) = {.n = 0};
    TRY(each_path(ctx, sb, collect, &bounds));
    qsort(bounds.v, bounds.n, sizeof bounds.v[0], by_length);
    if (mount("none", NEW_ROOT, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m"))
        return mount_fail(ctx, "mount", NEW_ROOT);
    for (size_t i = 0; i < bounds.n; i++)
        TRY(bind_path(ctx, &bounds.v[i]));
    if (mount(NULL, NEW_ROOT, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) || chdir(NEW_ROOT))
        return mount_fail(ctx, "enter", NEW_ROOT);
    if (syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
        return mount_fail(ctx, "take as root", NEW_ROOT);
    sb->mounted_ = true;
    return RC_OK;
}

/* --- all of it */

static struct rc harden(struct ctx *ctx)
{
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none))
        return ctx_fail(ctx, E_SANDBOX, "cannot forbid core dumps: %s", strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return ctx_fail(ctx, E_SANDBOX, "cannot set no_new_privs: %s", strerror(errno));
    /* The leak checker attaches to its own process. */
    if (!SANDBOX_SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        return ctx_fail(ctx, E_SANDBOX, "cannot make the process non-dumpable: %s", strerror(errno));
    return RC_OK;
}

struct rc sandbox_enter(struct ctx *ctx, struct sandbox *sb, const char **state)
{
    TRY(check(ctx, sb));
    TRY(harden(ctx));
    if (sb->off) {
        *state = "none (--no-sandbox)";
        return RC_OK;
    }
    int abi = usable_abi(sb);
    if (abi > 0)
        TRY(landlock_enter(ctx, sb, abi));
    else if (!sb->mounted_)
        return ctx_fail(ctx, E_SANDBOX,
                        "this kernel has no Landlock, and only root can use a mount namespace instead: "
                        "start as root, boot with lsm=landlock, or accept the risk with --no-sandbox");
    TRY(sandbox_calls_enter(ctx, sb));
    const char *reduced = SANDBOX_SANITIZED ? " (reduced: sanitizer build)" : "";
    *state = abi > 0 ? arena_printf(&ctx->arena, "landlock %d + seccomp%s", abi, reduced)
                     : arena_printf(&ctx->arena, "seccomp + mount namespace%s", reduced);
    return RC_OK;
}
