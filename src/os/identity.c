/* Who a process is: see identity.h. */
#include "os/identity.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct rc drop_capabilities(struct ctx *ctx, uint64_t keep)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &head, data))
        return ctx_fail_errno(ctx, "cannot read the capabilities");
    for (int i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(keep >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &head, data))
        return ctx_fail_errno(ctx, "cannot drop capabilities");
    return RC_OK;
}

struct rc identity_take(struct ctx *ctx, uid_t uid, gid_t gid, uint64_t keep)
{
    for (unsigned long cap = 0; cap < 64; cap++)
        if (!(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) && errno != EINVAL)
            return ctx_fail_errno(ctx, "cannot drop capability %lu", cap);
    if (setgroups(0, NULL) || setresgid(gid, gid, gid))
        return ctx_fail_errno(ctx, "cannot become group %d", (int)gid);
    if (keep && uid != 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
        return ctx_fail_errno(ctx, "cannot keep capabilities");
    if (setresuid(uid, uid, uid))
        return ctx_fail_errno(ctx, "cannot become user %d", (int)uid);
    TRY(drop_capabilities(ctx, keep));
    uid_t r, e, s;
    if (getresuid(&r, &e, &s) || r != uid || e != uid || s != uid || (uid != 0 && !keep && setuid(0) == 0))
        return ctx_fail(ctx, E_SANDBOX, "still not user %d alone", (int)uid);
    return RC_OK;
}
