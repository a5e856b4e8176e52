#include "agent/relay/credential.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "os/file.h"

/* Why a file is not used; NULL where nothing speaks against it.  Its group may read it where that is the relay's own. */
static const char *unfit(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return "it is not a regular file";
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return "it belongs neither to root nor to the relay's user: chown root";
    if ((st.st_mode & 07) != 0)
        return "others may read it: chmod 0600";
    if ((st.st_mode & 020) != 0 || ((st.st_mode & 040) != 0 && geteuid() != 0 && st.st_gid != getegid()))
        return "its group may read it: chmod 0600";
    return NULL;
}

static int open_file(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

RC credential_confine(struct ctx *ctx, struct role_env *env, struct sandbox *sb, const struct agent_config *cfg)
{
    for (size_t i = 0; i < cfg->n_credentials; i++) {
        const struct agent_credential *row = &cfg->credentials[i];
        const char *slash = strrchr(row->file, '/');
        FD_CLEANUP int fd = open_file(row->file);
        const char *why = fd < 0 ? strerrordesc_np(errno) : unfit(fd);
        int kept = fd;
        if (why != NULL) {
            log_event(LOG_WARN_, "credential_unfit", "name", row->name, "file", row->file, "why", why, NULL);
        } else {
            fd = -1; /* the role's now */
            TRY(role_keep_credential(ctx, env, row->name, kept));
        }
        /* The folder, not the file: one that is replaced is another file. */
        const char *folder = slash == row->file ? "/" : arena_str(&ctx->arena, bytes_of(row->file, (size_t)(slash - row->file)));
        sandbox_allow(sb, folder, SANDBOX_READ | SANDBOX_OPTIONAL);
        if (row->roots != NULL)
            sandbox_allow(sb, row->roots, SANDBOX_READ | SANDBOX_OPTIONAL);
    }
    return RC_OK;
}

void credential_enter(struct role_env *env, const struct agent_config *cfg, struct credential_files *out)
{
    *out = (struct credential_files){.n = cfg->n_credentials};
    for (size_t i = 0; i < cfg->n_credentials; i++)
        out->fds[i] = role_credential(env, cfg->credentials[i].name);
}

static struct bytes without_newline(struct bytes b)
{
    if (b.n > 0 && b.p[b.n - 1] == '\n')
        b.n--;
    if (b.n > 0 && b.p[b.n - 1] == '\r')
        b.n--;
    return b;
}

RC credential_read(struct ctx *ctx, const struct agent_config *cfg, const struct credential_files *files,
                   const struct agent_credential *row, struct secret *out)
{
    SECRET_CLEANUP struct secret whole = {0};
    size_t i = (size_t)(row - cfg->credentials);
    FD_CLEANUP int fresh = open_file(row->file);
    int fd = fresh >= 0 ? fresh : i < files->n ? files->fds[i] : -1;
    const char *why = fd < 0 ? "it is not there, or was not at the agent's start" : unfit(fd);
    if (why != NULL)
        return ctx_fail(ctx, E_NOT_GRANTED, "credential %s cannot be used: %s: %s; then restart the agent", row->name, row->file,
                        why);
    TRY(file_read_secret(ctx, fd, row->file, CREDENTIAL_MAX, &whole));
    struct bytes text = without_newline(secret_use(&whole));
    if (text.n == 0)
        return ctx_fail(ctx, E_NOT_GRANTED, "credential %s cannot be used: %s is empty", row->name, row->file);
    return secret_from(ctx, out, text);
}
