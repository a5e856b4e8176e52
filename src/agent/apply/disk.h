/* The few things that apply does to a disk, each durable when it returns, each safe to do again after kill -9.
 *
 * A file is never written in place (invariant 7): disk_prepare() writes a temporary file of a fixed name beside it (what a killed
 * process leaves is overwritten by the next try), disk_swap() renames it over the destination.  What the destination has besides
 * owner and mode, such as an access list, goes over to the new file (xattr.h): when a renewal replaces it, and when it is undone.
 *
 * Paths that are written or removed are absolute and free of symbolic links (disk_resolve): where a folder of one has become a link
 * meanwhile, the call is refused (E_INVALID). */
#ifndef AGENT_APPLY_DISK_H
#define AGENT_APPLY_DISK_H

#include <sys/stat.h>

#include "base/ctx.h"
#include "base/secret.h"

#define DISK_FILE_MAX ((size_t)1 << 20) /* of a destination */

/* Owner and mode a file is to have; (uid_t)-1 and (gid_t)-1 leave what the process makes. */
struct disk_attr {
    uid_t uid;
    gid_t gid;
    unsigned mode;
};

/* disk_read reads a regular file; E_NOT_FOUND where there is none (no trail entry is left then).  `st` may be NULL. */
RC disk_read(struct ctx *ctx, const char *path, size_t max, struct bytes *out, struct stat *st);
/* disk_read_secret does the same without leaving a copy elsewhere in memory. */
RC disk_read_secret(struct ctx *ctx, const char *path, size_t max, struct secret *out);
RC disk_prepare(struct ctx *ctx, const char *path, struct bytes data, struct disk_attr attr);
RC disk_swap(struct ctx *ctx, const char *path); /* durable after disk_fsync_parent() */
RC disk_discard(struct ctx *ctx, const char *path); /* removes what disk_prepare() made, where it is still there */
/* disk_replace is disk_prepare(), disk_swap() and disk_fsync_parent(). */
RC disk_replace(struct ctx *ctx, const char *path, struct bytes data, struct disk_attr attr);
RC disk_remove(struct ctx *ctx, const char *path); /* a file; absent is fine */
RC disk_mkdir(struct ctx *ctx, const char *path, unsigned mode); /* one level, whatever the umask; there already is fine */
/* disk_append adds one line to a file (made 0600 where absent) and syncs; a torn end left by a kill is cut off first. */
enum disk_append {
    DISK_APPEND,
    DISK_APPEND_LAZY, /* without the sync */
    DISK_APPEND_LAST, /* after the sync all that stands before the line is overwritten with newlines */
};
RC disk_append(struct ctx *ctx, const char *path, struct bytes line, enum disk_append how);
/* disk_lock takes the lock of `name` in the folder `locks` (made where absent), waiting until the ctx's deadline, 30 s at most.  A
 * few files serve all names: what is locked takes milliseconds, or, an RSA key, seconds.  Closing *fd releases. */
RC disk_lock(struct ctx *ctx, const char *locks, const char *name, int *fd);
void disk_close(int *fd); /* for cleanup; -1 is fine */
/* disk_resolve follows symbolic links: the path of the file that would be read, or made, through `path`.  The folder must exist. */
RC disk_resolve(struct ctx *ctx, const char *path, const char **out);
/* disk_fsync_parent makes a change of names in the folder of `path` durable. */
RC disk_fsync_parent(struct ctx *ctx, const char *path);

#endif
