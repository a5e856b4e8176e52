/* The SSH File Transfer Protocol, version 3 (draft-ietf-secsh-filexfer-02), as OpenSSH, dropbear and Windows speak it: the few
 * requests that replacing a file safely needs, with OpenSSH's extensions where the server names them (fsync, posix-rename,
 * hardlink, statvfs).
 *
 * One request at a time; the server's packets are bounded and checked, its words are made printable before they are repeated. */
#ifndef AGENT_RELAY_SFTP_H
#define AGENT_RELAY_SFTP_H

#include "base/buf.h"
#include "base/ctx.h"

#define SFTP_PACKET_MAX ((size_t)40 << 10) /* from the server */
#define SFTP_PATH_MAX   1024

/* The way to the server: both move all bytes or fail. */
struct sftp_io {
    RC (*put)(struct ctx *ctx, void *arg, struct bytes data);
    RC (*get)(struct ctx *ctx, void *arg, uint8_t *out, size_t n);
    void *arg;
};

struct sftp {
    struct sftp_io io;
    uint32_t id;
    bool fsync, posix_rename, hardlink, statvfs; /* what the server can */
    struct buf in, out;                          /* wiped: keys pass through */
};

/* sftp_open greets the server; `io` must last as long.  sftp_free wipes the buffers; safe on all-zero. */
RC sftp_open(struct ctx *ctx, struct sftp *f, struct sftp_io io);
void sftp_free(struct sftp *f);

/* sftp_check_path refuses (E_INVALID) a path that is not absolute, holds "." or ".." or an empty element, ends with '/', holds
 * control characters, or is longer than SFTP_PATH_MAX. */
RC sftp_check_path(struct ctx *ctx, struct bytes path);

/* sftp_read appends the file; *found is false (and nothing fails) where there is none.  E_TOO_LARGE over `max` bytes. */
RC sftp_read(struct ctx *ctx, struct sftp *f, const char *path, size_t max, struct buf *out, bool *found);
/* sftp_write replaces the file as a whole: a temporary file beside it (".certwright-new" appended), made with mode 0600, owner of
 * the file it replaces, then `mode`, synced, renamed over it.  `mode` -1: that of the file it replaces, else 0600.  After a failure
 * nothing of it is left, and the file is as it was.  Fails with E_DISK_FULL where the server can tell, E_FORBIDDEN, E_NOT_FOUND
 * (the folder), E_IO. */
RC sftp_write(struct ctx *ctx, struct sftp *f, const char *path, struct bytes data, int mode);

/* sftp_keep keeps a file as it is now, for sftp_restore(): as PATH.previous, a hard link where the server can, else a copy.  `tag`
 * (a word) names the state that is kept; where PATH.previous-of says that this state is kept already, nothing is done, so that it
 * can be repeated after the file was replaced.  A file that is not there is kept as such.  One state of a file is kept: that of the
 * newest tag.
 * sftp_restore puts back what was kept under this tag, and does nothing where nothing is; safe to repeat. */
RC sftp_keep(struct ctx *ctx, struct sftp *f, const char *path, const char *tag);
RC sftp_restore(struct ctx *ctx, struct sftp *f, const char *path, const char *tag);

#endif
