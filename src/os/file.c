/* Files: see file.h. */
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/random.h"

#define TEMPORARY_PREFIX ".certwright-"
#define TEMPORARY_SUFFIX ".tmp"

void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

struct rc file_read_fd(struct ctx *ctx, int fd, const char *what, size_t max, struct bytes *out)
{
    struct stat st;
    if (fstat(fd, &st))
        return ctx_fail_errno(ctx, "cannot look at %s", what);
    if (S_ISDIR(st.st_mode))
        return ctx_fail(ctx, E_INVALID, "%s is a folder", what);
    bool seekable = S_ISREG(st.st_mode);
    if (seekable && st.st_size > 0 && (uint64_t)st.st_size > max)
        return ctx_fail(ctx, E_TOO_LARGE, "%s is larger than %zu bytes", what, max);
    /* The size is a hint: files below /proc have none, and files grow. */
    size_t cap = seekable && st.st_size > 0 ? (size_t)st.st_size + 1 : max < 65536 ? max + 1 : 65536, n = 0;
    uint8_t *p = arena_alloc(&ctx->arena, cap + 1);
    for (;;) {
        ssize_t got = seekable ? pread(fd, p + n, cap - n, (off_t)n) : read(fd, p + n, cap - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ctx_fail_errno(ctx, "cannot read %s", what);
        if (got == 0)
            break;
        n += (size_t)got;
        if (n > max)
            return ctx_fail(ctx, E_TOO_LARGE, "%s is larger than %zu bytes", what, max);
        if (n == cap) {
            cap = cap > max / 2 ? max + 1 : cap * 2;
            uint8_t *more = arena_alloc(&ctx->arena, cap + 1);
            memcpy(more, p, n);
            p = more;
        }
    }
    p[n] = 0;
    *out = bytes_of(p, n);
    return RC_OK;
}

struct rc file_read_at(struct ctx *ctx, int dirfd, const char *name, size_t max, struct bytes *out)
{
    int fd FD_CLEANUP = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return ctx_fail_errno(ctx, "cannot open %s", name);
    return file_read_fd(ctx, fd, name, max, out);
}

struct rc file_read(struct ctx *ctx, const char *path, size_t max, struct bytes *out)
{
    int fd FD_CLEANUP = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return ctx_fail_errno(ctx, "cannot open %s", path);
    return file_read_fd(ctx, fd, path, max, out);
}

struct rc file_read_secret(struct ctx *ctx, int fd, const char *what, size_t max, struct secret *out)
{
    struct stat st;
    if (fstat(fd, &st))
        return ctx_fail_errno(ctx, "cannot look at %s", what);
    if (!S_ISREG(st.st_mode))
        return ctx_fail(ctx, E_INVALID, "%s is not a regular file", what);
    if ((uint64_t)st.st_size > max)
        return ctx_fail(ctx, E_TOO_LARGE, "%s is larger than %zu bytes", what, max);
    if (st.st_size == 0)
        return ctx_fail(ctx, E_INVALID, "%s is empty", what);
    TRY(secret_new(ctx, out, (size_t)st.st_size));
    for (size_t n = 0; n < out->n;) {
        ssize_t got = pread(fd, secret_fill(out) + n, out->n - n, (off_t)n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            struct rc rc = got ? ctx_fail_errno(ctx, "cannot read %s", what) : ctx_fail(ctx, E_IO, "%s became shorter", what);
            secret_free(out);
            return rc;
        }
        n += (size_t)got;
    }
    return RC_OK;
}

struct rc file_write_all(struct ctx *ctx, int fd, const char *what, struct bytes data)
{
    while (data.n) {
        ssize_t n = write(fd, data.p, data.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ctx_fail_errno(ctx, "cannot write %s", what);
        bytes_skip(&data, (size_t)n);
    }
    return RC_OK;
}

struct rc file_append_sync(struct ctx *ctx, int fd, const char *what, struct bytes data)
{
    struct stat st;
    if (fstat(fd, &st))
        return ctx_fail_errno(ctx, "cannot look at %s", what);
    struct rc rc = file_write_all(ctx, fd, what, data);
    if (rc_ok(rc) && fdatasync(fd))
        rc = ctx_fail_errno(ctx, "cannot make %s durable", what);
    if (rc_failed(rc) && ftruncate(fd, st.st_size))
        rc = ctx_wrap(ctx, rc, "%s may end in a torn record (%s)", what, strerror(errno));
    return rc;
}

static struct rc sync_dir(struct ctx *ctx, int dirfd, const char *name)
{
    int fd FD_CLEANUP = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd))
        return ctx_fail_errno(ctx, "cannot make the folder of %s durable", name);
    return RC_OK;
}

static struct rc fill_temporary(struct ctx *ctx, int fd, const char *name, struct bytes content, uid_t uid, gid_t gid, mode_t mode)
{
    if ((uid != FILE_KEEP_UID || gid != FILE_KEEP_GID) && fchown(fd, uid, gid))
        return ctx_fail_errno(ctx, "cannot give the new %s to user %d and group %d", name, (int)uid, (int)gid);
    if (fchmod(fd, mode))
        return ctx_fail_errno(ctx, "cannot set the mode of the new %s", name);
    TRY(file_write_all(ctx, fd, name, content));
    if (fsync(fd))
        return ctx_fail_errno(ctx, "cannot make the new %s durable", name);
    return RC_OK;
}

struct rc file_write_atomic(struct ctx *ctx, int dirfd, const char *name, struct bytes content, uid_t uid, gid_t gid, mode_t mode)
{
    if (!*name || strchr(name, '/'))
        return ctx_fail(ctx, E_BUG, "'%s' is not a file's name", name);
    uint8_t noise[8];
    random_fill(noise, sizeof noise);
    const char *tmp =
        arena_printf(&ctx->arena, TEMPORARY_PREFIX "%s" TEMPORARY_SUFFIX, hex_str(&ctx->arena, bytes_of(noise, sizeof noise)));
    int fd FD_CLEANUP = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return ctx_fail_errno(ctx, "cannot make a new file beside %s", name);
    struct rc rc = fill_temporary(ctx, fd, name, content, uid, gid, mode);
    if (rc_ok(rc) && renameat(dirfd, tmp, dirfd, name))
        rc = ctx_fail_errno(ctx, "cannot replace %s", name);
    if (rc_failed(rc)) {
        unlinkat(dirfd, tmp, 0);
        return rc;
    }
    return sync_dir(ctx, dirfd, name);
}

struct rc file_write_atomic_path(struct ctx *ctx, const char *path, struct bytes content, uid_t uid, gid_t gid, mode_t mode)
{
    const char *slash = strrchr(path, '/');
    const char *dir = !slash ? "." : slash == path ? "/" : arena_str(&ctx->arena, bytes_of(path, (size_t)(slash - path)));
    int fd FD_CLEANUP = -1;
    TRY(file_open_dir(ctx, dir, &fd));
    struct rc rc = file_write_atomic(ctx, fd, slash ? slash + 1 : path, content, uid, gid, mode);
    return rc_failed(rc) ? ctx_wrap(ctx, rc, "%s was not written", path) : rc;
}

bool file_is_temporary(const char *name)
{
    struct bytes b = bytes_z(name);
    return b.n == sizeof TEMPORARY_PREFIX - 1 + 16 + sizeof TEMPORARY_SUFFIX - 1 &&
           bytes_starts_with(b, BYTES_LIT(TEMPORARY_PREFIX)) && bytes_ends_with(b, BYTES_LIT(TEMPORARY_SUFFIX));
}

struct rc file_open_dir(struct ctx *ctx, const char *path, int *fd)
{
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0)
        return ctx_fail_errno(ctx, "cannot open the folder %s", path);
    return RC_OK;
}

/* One component at a time, each without following a symbolic link. */
static struct rc open_stepwise(struct ctx *ctx, int dirfd, const char *path, int flags, mode_t mode, int *out)
{
    struct bytes rest = bytes_z(path), part;
    int at FD_CLEANUP = openat(dirfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return ctx_fail_errno(ctx, "cannot open the folder above %s", path);
    if (path[0] == '/' || !path[0])
        return ctx_fail(ctx, E_INVALID, "%s leads out of its folder", path);
    while (bytes_take_until(&rest, '/', &part)) {
        if (part.n == 0 || bytes_equal_z(part, "."))
            continue;
        if (bytes_equal_z(part, ".."))
            return ctx_fail(ctx, E_INVALID, "%s leads out of its folder", path);
        const char *name = arena_str(&ctx->arena, part);
        int next = rest.n ? openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                          : openat(at, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
        if (next < 0)
            return errno == ELOOP ? ctx_fail(ctx, E_INVALID, "%s leads over a symbolic link", path)
                                  : ctx_fail_errno(ctx, "cannot open %s", path);
        fd_close(&at);
        at = next;
    }
    *out = at;
    at = -1;
    return RC_OK;
}

struct rc file_open_beneath(struct ctx *ctx, int dirfd, const char *path, int flags, mode_t mode, int *fd)
{
    struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                           .mode = flags & (O_CREAT | O_TMPFILE) ? mode : 0,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    long n;
    do
        n = syscall(SYS_openat2, dirfd, path, &how, sizeof how);
    while (n < 0 && (errno == EINTR || errno == EAGAIN));
    if (n < 0 && (errno == ENOSYS || errno == EPERM)) /* an older kernel, or a filter that does not know the call */
        return open_stepwise(ctx, dirfd, path, flags, mode, fd);
    if (n < 0 && errno == EXDEV)
        return ctx_fail(ctx, E_INVALID, "%s leads out of its folder", path);
    if (n < 0 && errno == ELOOP)
        return ctx_fail(ctx, E_INVALID, "%s leads over a symbolic link", path);
    if (n < 0)
        return ctx_fail_errno(ctx, "cannot open %s", path);
    *fd = (int)n;
    return RC_OK;
}

struct rc file_mkdir(struct ctx *ctx, int dirfd, const char *name, uid_t uid, gid_t gid, mode_t mode)
{
    if (mkdirat(dirfd, name, 0700)) {
        struct stat st;
        if (errno != EEXIST)
            return ctx_fail_errno(ctx, "cannot make the folder %s", name);
        if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISDIR(st.st_mode))
            return ctx_fail(ctx, E_EXISTS, "%s is there and is not a folder", name);
        return RC_OK;
    }
    int fd FD_CLEANUP = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return ctx_fail_errno(ctx, "cannot open the new folder %s", name);
    if ((uid != FILE_KEEP_UID || gid != FILE_KEEP_GID) && fchown(fd, uid, gid))
        return ctx_fail_errno(ctx, "cannot give the folder %s to user %d and group %d", name, (int)uid, (int)gid);
    if (fchmod(fd, mode))
        return ctx_fail_errno(ctx, "cannot set the mode of the folder %s", name);
    return RC_OK;
}

struct rc file_mkdirs(struct ctx *ctx, const char *path, mode_t mode)
{
    char *part = arena_strdup(&ctx->arena, path);
    for (char *slash = part[0] ? strchr(part + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(part, 0755) && errno != EEXIST)
            return ctx_fail_errno(ctx, "cannot make the folder %s", part);
        *slash = '/';
    }
    struct stat st;
    if (mkdir(path, mode) == 0)
        return chmod(path, mode) ? ctx_fail_errno(ctx, "cannot set the mode of the folder %s", path) : RC_OK;
    if (errno != EEXIST)
        return ctx_fail_errno(ctx, "cannot make the folder %s", path);
    if (stat(path, &st) || !S_ISDIR(st.st_mode))
        return ctx_fail(ctx, E_EXISTS, "%s is there and is not a folder", path);
    return RC_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct rc file_list(struct ctx *ctx, int dirfd, struct str_list *out)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        struct rc rc = ctx_fail_errno(ctx, "cannot list the folder");
        fd_close(&fd);
        return rc;
    }
    errno = 0;
    for (struct dirent *e; (e = readdir(d)); errno = 0)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            str_list_add(&ctx->arena, out, arena_strdup(&ctx->arena, e->d_name));
    struct rc rc = errno ? ctx_fail_errno(ctx, "cannot list the folder") : RC_OK;
    closedir(d);
    if (rc_ok(rc) && out->n)
        qsort(out->v, out->n, sizeof *out->v, compare_names);
    return rc;
}

struct rc file_remove(struct ctx *ctx, int dirfd, const char *name)
{
    if (unlinkat(dirfd, name, 0)) {
        if (errno == ENOENT)
            return RC_OK;
        return ctx_fail_errno(ctx, "cannot remove %s", name);
    }
    return sync_dir(ctx, dirfd, name);
}

struct rc file_rename(struct ctx *ctx, int dirfd, const char *from, const char *to)
{
    if (renameat(dirfd, from, dirfd, to))
        return ctx_fail_errno(ctx, "cannot rename %s to %s", from, to);
    return sync_dir(ctx, dirfd, to);
}
