/* What a file has besides owner and mode: its POSIX access list, the labels of SELinux and SMACK, and attributes of its users. */
#ifndef AGENT_APPLY_XATTR_H
#define AGENT_APPLY_XATTR_H

#include "base/ctx.h"

/* xattr_keep gives the file open as `to` (owned by this process, still without content) the attributes of the one open as `from`:
 * system.posix_acl_access, security.selinux, security.SMACK64 and user.*.  An access list that the new file has only from its
 * folder is taken away.  Labels that this process may not set are left as the system makes them; everything else must succeed.
 * Set the mode afterwards: it is the mask of an access list.  `path` is for messages. */
RC xattr_keep(struct ctx *ctx, int from, int to, const char *path);

#endif
