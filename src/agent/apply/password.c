#include "agent/apply/password.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent/apply/disk.h"

static RC check(struct ctx *ctx, const char *path, const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return ctx_fail(ctx, E_INVALID, "%s is not a regular file: it cannot hold the password of a key store", path);
    if ((st->st_mode & 0077) != 0)
        return ctx_fail(ctx, E_INVALID, "%s holds a password and may be used by others than its owner (mode %04o): chmod 0600 it",
                        path, (unsigned)st->st_mode & 07777);
    if (st->st_size > PASSWORD_FILE_MAX)
        return ctx_fail(ctx, E_INVALID, "%s has more than %d bytes: it should hold a password, in its first line", path,
                        PASSWORD_FILE_MAX);
    return RC_OK;
}

static RC first_line(struct ctx *ctx, const char *path, struct bytes text, struct secret *out)
{
    struct bytes line;
    if (!bytes_take_line(&text, &line))
        line = text;
    if (line.n == 0)
        return ctx_fail(ctx, E_INVALID, "%s is empty: its first line must be the password of the key store", path);
    return secret_from(ctx, out, line);
}

/* `path` is what messages call it, `real` what it leads to. */
static RC read_at(struct ctx *ctx, const char *path, const char *real, struct secret *out)
{
    __attribute__((cleanup(disk_close))) int fd = -1;
    char room[PASSWORD_FILE_MAX];
    struct stat st;
    fd = open(real, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT)
        return ctx_fail(ctx, E_NOT_FOUND,
                        "%s is not there: make it, with the password of the key store in its first line, readable by its "
                        "owner alone",
                        path);
    if (fd < 0 || fstat(fd, &st) != 0)
        return ctx_fail_errno(ctx, "%s", path);
    TRY(check(ctx, path, &st));
    ssize_t n = read(fd, room, sizeof room);
    struct rc rc = n < 0 ? ctx_fail_errno(ctx, "reading %s", path) : first_line(ctx, path, bytes_of(room, (size_t)n), out);
    wipe(room, sizeof room);
    return rc;
}

RC password_read(struct ctx *ctx, const struct agent_config *cfg, const char *path, struct secret *out)
{
    const char *real;
    TRY(disk_resolve(ctx, path, &real));
    TRY(agent_config_check_path(ctx, cfg, real)); /* again: a link may have led elsewhere */
    return read_at(ctx, path, real, out);
}

RC password_read_given(struct ctx *ctx, const char *path, struct secret *out)
{
    const char *real;
    TRY(disk_resolve(ctx, path, &real));
    return read_at(ctx, path, real, out);
}
