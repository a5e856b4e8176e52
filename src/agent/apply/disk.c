#include "agent/apply/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/apply/xattr.h"
#include "base/buf.h"

#define LOCKS 64

void disk_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define FD_CLEANUP __attribute__((cleanup(disk_close)))

static RC read_all(struct ctx *ctx, int fd, const char *path, size_t max, struct bytes *out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, max + 1);
    for (;;) {
        uint8_t *room = buf_reserve(&b, 4096 < max + 1 - b.n ? 4096 : max + 1 - b.n);
        if (room == NULL || b.n > max)
            return ctx_fail(ctx, E_TOO_LARGE, "%s is larger than %zu bytes", path, max);
        ssize_t n = read(fd, room, 4096 < max + 1 - b.n ? 4096 : max + 1 - b.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ctx_fail_errno(ctx, "reading %s", path);
        if (n == 0)
            break;
        buf_commit(&b, (size_t)n);
    }
    *out = buf_bytes(&b);
    return RC_OK;
}

RC disk_read(struct ctx *ctx, const char *path, size_t max, struct bytes *out, struct stat *st)
{
    struct stat own;
    FD_CLEANUP int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT)
        return rc_of(E_NOT_FOUND);
    if (fd < 0 || fstat(fd, st != NULL ? st : &own) != 0)
        return ctx_fail_errno(ctx, "%s", path);
    if (!S_ISREG((st != NULL ? st : &own)->st_mode))
        return ctx_fail(ctx, E_INVALID, "%s is not a regular file", path);
    return read_all(ctx, fd, path, max, out);
}

RC disk_read_secret(struct ctx *ctx, const char *path, size_t max, struct secret *out)
{
    struct stat st;
    size_t at = 0;
    FD_CLEANUP int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return rc_of(E_NOT_FOUND);
    if (fd < 0 || fstat(fd, &st) != 0)
        return ctx_fail_errno(ctx, "%s", path);
    if (!S_ISREG(st.st_mode) || st.st_size < 1 || (size_t)st.st_size > max)
        return ctx_fail(ctx, E_PARSE, "%s is not a file of 1 to %zu bytes", path, max);
    TRY(secret_new(ctx, out, (size_t)st.st_size));
    while (at < out->n) {
        ssize_t n = read(fd, secret_fill(out) + at, out->n - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ctx_fail_errno(ctx, "reading %s", path);
        at += (size_t)n;
    }
    return RC_OK;
}

RC disk_fsync_parent(struct ctx *ctx, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL || slash == path ? 1 : (size_t)(slash - path);
    const char *folder = slash == NULL ? "." : arena_str(&ctx->arena, bytes_of(path, n));
    FD_CLEANUP int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return ctx_fail_errno(ctx, "folder %s", folder);
    return RC_OK;
}

/* A file within its folder, which is held open: whoever owns a folder above may not lead us elsewhere between two steps. */
struct place {
    int fd;
    char name[NAME_MAX + 1], temp[NAME_MAX + 1]; /* temp is hidden: patterns like sites-enabled/ * do not match it */
};

static void place_close(struct place *p) { disk_close(&p->fd); }
#define PLACE_CLEANUP __attribute__((cleanup(place_close)))

/* The path has no symbolic link in it (disk_resolve); one that is there now was put there since. */
static int open_folder(const char *folder)
{
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
    long fd = syscall(SYS_openat2, AT_FDCWD, folder, &how, sizeof how);
    return fd < 0 && errno == ENOSYS ? open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : (int)fd; /* before Linux 5.6 */
}

static RC place_open(struct ctx *ctx, const char *path, struct place *p)
{
    const char *slash = strrchr(path, '/');
    p->fd = -1;
    if (slash == NULL)
        return ctx_fail(ctx, E_INVALID, "%s is not an absolute path", path);
    int n = snprintf(p->name, sizeof p->name, "%s", slash + 1);
    int m = snprintf(p->temp, sizeof p->temp, ".certwright-%s", slash + 1);
    if (n <= 0 || n >= (int)sizeof p->name || m >= (int)sizeof p->temp)
        return ctx_fail(ctx, E_INVALID, "the name of %s is too long", path);
    const char *folder = slash == path ? "/" : arena_str(&ctx->arena, bytes_of(path, (size_t)(slash - path)));
    p->fd = open_folder(folder);
    if (p->fd < 0 && errno == ELOOP)
        return ctx_fail(ctx, E_INVALID, "%s has become a symbolic link, or one of the folders above it has", folder);
    return p->fd < 0 ? ctx_fail_errno(ctx, "the folder %s", folder) : RC_OK;
}

static RC write_fd(struct ctx *ctx, int fd, const char *path, struct bytes data)
{
    while (data.n > 0) {
        ssize_t n = write(fd, data.p, data.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ctx_fail_errno(ctx, "writing %s", path);
        bytes_skip(&data, (size_t)n);
    }
    return RC_OK;
}

/* The file that will be replaced hands on what it has besides content, owner and mode. */
static RC keep_xattrs(struct ctx *ctx, const struct place *p, const char *path, int to)
{
    FD_CLEANUP int from = openat(p->fd, p->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (from < 0)
        return errno == ENOENT ? RC_OK : ctx_fail_errno(ctx, "%s", path);
    return xattr_keep(ctx, from, to, path);
}

static RC write_temp(struct ctx *ctx, const struct place *p, const char *path, struct bytes data, struct disk_attr attr)
{
    const int how = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    FD_CLEANUP int fd = openat(p->fd, p->temp, how, 0600);
    if (fd < 0 && errno == EEXIST && unlinkat(p->fd, p->temp, 0) == 0) /* of a life that was killed */
        fd = openat(p->fd, p->temp, how, 0600);
    if (fd < 0 && errno == EACCES) /* the sandbox holds to the folders that were there */
        return ctx_fail(ctx, E_NOT_GRANTED,
                        "%s may not be written; was its folder made or mounted after the agent started? Then restart the agent",
                        path);
    if (fd < 0)
        return ctx_fail_errno(ctx, "making %s beside %s", p->temp, path);
    /* Owner before mode: fchown clears the set-id bits and may take away the right to change the mode. */
    if ((attr.uid != (uid_t)-1 || attr.gid != (gid_t)-1) && fchown(fd, attr.uid, attr.gid) != 0)
        return ctx_fail_errno(ctx, "giving %s its owner %d:%d", path, (int)attr.uid, (int)attr.gid);
    TRY(keep_xattrs(ctx, p, path, fd));
    if (fchmod(fd, attr.mode & 07777) != 0)
        return ctx_fail_errno(ctx, "giving %s its mode", path);
    TRY(write_fd(ctx, fd, path, data));
    if (fsync(fd) != 0)
        return ctx_fail_errno(ctx, "writing %s", path);
    return RC_OK;
}

RC disk_prepare(struct ctx *ctx, const char *path, struct bytes data, struct disk_attr attr)
{
    PLACE_CLEANUP struct place p;
    TRY(place_open(ctx, path, &p));
    struct rc rc = write_temp(ctx, &p, path, data, attr);
    if (rc_failed(rc))
        unlinkat(p.fd, p.temp, 0);
    return rc;
}

RC disk_swap(struct ctx *ctx, const char *path)
{
    PLACE_CLEANUP struct place p;
    TRY(place_open(ctx, path, &p));
    return renameat(p.fd, p.temp, p.fd, p.name) == 0 ? RC_OK : ctx_fail_errno(ctx, "replacing %s", path);
}

/* place_open for removing: where the folder is gone, so is the file (`gone`). */
static RC place_find(struct ctx *ctx, const char *path, struct place *p, bool *gone)
{
    struct trail_entry *trail = ctx->trail;
    struct rc rc = place_open(ctx, path, p);
    *gone = rc.e == E_NOT_FOUND;
    if (!*gone)
        return rc;
    ctx->trail = trail;
    return RC_OK;
}

RC disk_discard(struct ctx *ctx, const char *path)
{
    PLACE_CLEANUP struct place p;
    bool gone;
    TRY(place_find(ctx, path, &p, &gone));
    if (gone)
        return RC_OK;
    return unlinkat(p.fd, p.temp, 0) == 0 || errno == ENOENT ? RC_OK : ctx_fail_errno(ctx, "removing what was to be %s", path);
}

RC disk_replace(struct ctx *ctx, const char *path, struct bytes data, struct disk_attr attr)
{
    TRY(disk_prepare(ctx, path, data, attr));
    TRY(disk_swap(ctx, path));
    return disk_fsync_parent(ctx, path);
}

RC disk_remove(struct ctx *ctx, const char *path)
{
    PLACE_CLEANUP struct place p;
    bool gone;
    TRY(place_find(ctx, path, &p, &gone));
    if (gone)
        return RC_OK;
    if (unlinkat(p.fd, p.name, 0) != 0)
        return errno == ENOENT ? RC_OK : ctx_fail_errno(ctx, "removing %s", path);
    return disk_fsync_parent(ctx, path);
}

RC disk_mkdir(struct ctx *ctx, const char *path, unsigned mode)
{
    PLACE_CLEANUP struct place p;
    TRY(place_open(ctx, path, &p));
    if (mkdirat(p.fd, p.name, mode) != 0)
        return errno == EEXIST ? RC_OK : ctx_fail_errno(ctx, "making the folder %s", path);
    FD_CLEANUP int made = openat(p.fd, p.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (made < 0 || fchmod(made, mode) != 0) /* the role's umask is strict */
        return ctx_fail_errno(ctx, "giving the folder %s its mode", path);
    return disk_fsync_parent(ctx, path);
}

/* Cuts what follows the last newline: the start of a record whose fsync never returned, so nobody was told of it. */
static RC cut_torn(struct ctx *ctx, int fd, const char *path)
{
    off_t end = lseek(fd, 0, SEEK_END), at = end;
    char c = '\n';
    while (at > 0) {
        if (pread(fd, &c, 1, at - 1) != 1)
            return ctx_fail_errno(ctx, "reading %s", path);
        if (c == '\n')
            break;
        at--;
    }
    if (at != end && ftruncate(fd, at) != 0)
        return ctx_fail_errno(ctx, "mending %s", path);
    return RC_OK;
}

static RC blank(struct ctx *ctx, int fd, const char *path, off_t end)
{
    char newlines[4096];
    memset(newlines, '\n', sizeof newlines);
    for (off_t at = 0; at < end;) {
        size_t n = end - at < (off_t)sizeof newlines ? (size_t)(end - at) : sizeof newlines;
        ssize_t done = pwrite(fd, newlines, n, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return ctx_fail_errno(ctx, "overwriting %s", path);
        at += done;
    }
    return RC_OK;
}

RC disk_append(struct ctx *ctx, const char *path, struct bytes line, enum disk_append how)
{
    FD_CLEANUP int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* not O_APPEND: pwrite() would append as well */
    off_t end;
    if (fd < 0)
        return ctx_fail_errno(ctx, "%s", path);
    TRY(cut_torn(ctx, fd, path));
    if ((end = lseek(fd, 0, SEEK_END)) < 0)
        return ctx_fail_errno(ctx, "%s", path);
    struct rc rc = write_fd(ctx, fd, path, line);
    if (rc_ok(rc) && how != DISK_APPEND_LAZY && fsync(fd) != 0)
        rc = ctx_fail_errno(ctx, "writing %s", path);
    if (rc_failed(rc)) {
        int ignored = ftruncate(fd, end); /* a full disk: the next append cuts it as well */
        (void)ignored;
        return rc;
    }
    if (end == 0)
        return disk_fsync_parent(ctx, path);
    return how == DISK_APPEND_LAST ? blank(ctx, fd, path, end) : RC_OK;
}

RC disk_lock(struct ctx *ctx, const char *locks, const char *name, int *fd)
{
    int64_t until = clock_mono_ms() + ctx_left_ms(ctx, 30000);
    unsigned sum = 0;
    for (const char *p = name; *p != '\0'; p++)
        sum = sum * 31 + (unsigned char)*p;
    const char *path = arena_printf(&ctx->arena, "%s/%02u", locks, sum % LOCKS);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0 && errno == ENOENT) {
        TRY(disk_mkdir(ctx, locks, 0700));
        *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    }
    if (*fd < 0)
        return ctx_fail_errno(ctx, "%s", path);
    while (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return ctx_fail_errno(ctx, "locking %s", path);
        if (clock_mono_ms() >= until)
            return ctx_fail(ctx, E_BUSY, "%s is held by another step for too long (%s)", name, path);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return RC_OK;
}

RC disk_resolve(struct ctx *ctx, const char *path, const char **out)
{
    char real[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (realpath(path, real) != NULL) {
        *out = arena_strdup(&ctx->arena, real);
        return RC_OK;
    }
    if (errno != ENOENT || slash == NULL)
        return ctx_fail_errno(ctx, "%s", path);
    struct stat st;
    if (lstat(path, &st) == 0)
        return ctx_fail(ctx, E_INVALID, "%s is a symbolic link that leads nowhere", path);
    const char *folder = slash == path ? "/" : arena_str(&ctx->arena, bytes_of(path, (size_t)(slash - path)));
    if (realpath(folder, real) == NULL)
        return ctx_fail_errno(ctx, "the folder %s", folder);
    *out = arena_printf(&ctx->arena, "%s/%s", strcmp(real, "/") == 0 ? "" : real, slash + 1);
    return RC_OK;
}
