/* Files: read with a ceiling, replaced as a whole or not at all, opened without leaving a folder.
 *
 * Names called `name` have no slash.  A dirfd of AT_FDCWD means the current folder.  Errors carry the path and the system's words:
 * E_NOT_FOUND, E_EXISTS, E_DISK_FULL, E_FORBIDDEN, E_TOO_LARGE, E_IO. */
#ifndef OS_FILE_H
#define OS_FILE_H

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/ctx.h"
#include "base/secret.h"
#include "base/str.h"

/* fd_close closes and sets -1; nothing where it is negative.  int fd FD_CLEANUP = -1; */
void fd_close(int *fd);
#define FD_CLEANUP __attribute__((cleanup(fd_close)))

#define FILE_KEEP_UID ((uid_t)-1) /* leave owner or group as the process makes it */
#define FILE_KEEP_GID ((gid_t)-1)

/* file_read reads the whole of a regular file of at most `max` bytes into ctx->arena; longer is E_TOO_LARGE.  A NUL that is not
 * counted follows. */
RC file_read(struct ctx *ctx, const char *path, size_t max, struct bytes *out);
RC file_read_at(struct ctx *ctx, int dirfd, const char *name, size_t max, struct bytes *out); /* does not follow a symbolic link */
/* file_read_fd reads from the start to the end of what `fd` is open on (any position, left alone where it can be); `what` is for
 * messages. */
RC file_read_fd(struct ctx *ctx, int fd, const char *what, size_t max, struct bytes *out);
/* file_read_secret does it without a copy that stays. */
RC file_read_secret(struct ctx *ctx, int fd, const char *what, size_t max, struct secret *out);

/* file_write_atomic replaces `name` in the folder `dirfd`: a temporary name beside it (O_EXCL), owner and mode, then content,
 * fsync, rename, fsync of the folder.  On failure the old file is untouched and the temporary name is gone. */
RC file_write_atomic(struct ctx *ctx, int dirfd, const char *name, struct bytes content, uid_t uid, gid_t gid, mode_t mode);
/* file_write_atomic_path does it for a path; its folder must be there. */
RC file_write_atomic_path(struct ctx *ctx, const char *path, struct bytes content, uid_t uid, gid_t gid, mode_t mode);
/* file_is_temporary says whether `name` is a temporary name left by a killed process: to be swept away. */
bool file_is_temporary(const char *name);

RC file_open_dir(struct ctx *ctx, const char *path, int *fd);
/* file_open_beneath opens `path`, relative, below `dirfd`: no symbolic link anywhere on the way, no "..", nothing absolute (openat2
 * RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, or component by component where the kernel lacks it).  O_CLOEXEC is added. */
RC file_open_beneath(struct ctx *ctx, int dirfd, const char *path, int flags, mode_t mode, int *fd);

/* file_mkdir makes the folder where it is not there; one that is there must be a folder and keeps its mode.  file_mkdirs makes
 * those above it too (0755), the last with `mode`. */
RC file_mkdir(struct ctx *ctx, int dirfd, const char *name, uid_t uid, gid_t gid, mode_t mode);
RC file_mkdirs(struct ctx *ctx, const char *path, mode_t mode);
/* file_list lists the names in a folder, sorted, without "." and "..". */
RC file_list(struct ctx *ctx, int dirfd, struct str_list *out);
RC file_remove(struct ctx *ctx, int dirfd, const char *name);                 /* absent is fine; folder fsynced */
RC file_rename(struct ctx *ctx, int dirfd, const char *from, const char *to); /* folder fsynced */

/* file_write_all writes everything; file_append_sync writes to a descriptor opened with O_APPEND and fdatasyncs.  Where it fails
 * the file is cut back to its former length, so that no torn record stays. */
RC file_write_all(struct ctx *ctx, int fd, const char *what, struct bytes data);
RC file_append_sync(struct ctx *ctx, int fd, const char *what, struct bytes data);

#endif
