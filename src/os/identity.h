/* Inside os/ only: who a process is. */
#ifndef OS_IDENTITY_H
#define OS_IDENTITY_H

#include <sys/types.h>

#include "base/ctx.h"

/* identity_take drops all supplementary groups, takes uid and gid, and drops for good every capability that is not in `keep` (bits
 * of CAP_*).  Only as root, before the first thread. */
RC identity_take(struct ctx *ctx, uid_t uid, gid_t gid, uint64_t keep);

#endif
