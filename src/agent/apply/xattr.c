#include "agent/apply/xattr.h"

#include <errno.h>
#include <sys/xattr.h>

#define NAMES_MAX 65536 /* the kernel's own ceilings: XATTR_LIST_MAX, XATTR_SIZE_MAX */
#define VALUE_MAX 65536
#define ACL "system.posix_acl_access"

enum keep { KEEP_NOT, KEEP_MUST, KEEP_MAY };

/* Not kept: what follows from the content (security.ima, security.evm), and rights (security.capability). */
static enum keep wanted(const char *name)
{
    if (strcmp(name, ACL) == 0 || strncmp(name, "user.", 5) == 0)
        return KEEP_MUST;
    return strcmp(name, "security.selinux") == 0 || strcmp(name, "security.SMACK64") == 0 ? KEEP_MAY : KEEP_NOT;
}

static bool not_there(int e)
{
    return e == ENODATA || e == ENOTSUP || e == ENOSYS;
}

static RC copy_one(struct ctx *ctx, int from, int to, const char *name, const char *path, char *room)
{
    ssize_t n = fgetxattr(from, name, room, VALUE_MAX);
    if (n < 0 && not_there(errno))
        return RC_OK;
    if (n < 0)
        return ctx_fail_errno(ctx, "reading %s of %s", name, path);
    if (fsetxattr(to, name, room, (size_t)n, 0) == 0 || wanted(name) == KEEP_MAY)
        return RC_OK;
    return ctx_fail_errno(ctx, "giving the new %s its %s", path, name);
}

RC xattr_keep(struct ctx *ctx, int from, int to, const char *path)
{
    char *names = arena_alloc(&ctx->arena, NAMES_MAX), *room = arena_alloc(&ctx->arena, VALUE_MAX);
    bool acl = false;
    ssize_t n = flistxattr(from, names, NAMES_MAX);
    if (n < 0 && !not_there(errno))
        return ctx_fail_errno(ctx, "reading the attributes of %s", path);
    for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
        acl |= strcmp(p, ACL) == 0;
        if (wanted(p) != KEEP_NOT)
            TRY(copy_one(ctx, from, to, p, path, room));
    }
    if (!acl && fremovexattr(to, ACL) != 0 && !not_there(errno))
        return ctx_fail_errno(ctx, "taking the folder's access list from the new %s", path);
    return RC_OK;
}
