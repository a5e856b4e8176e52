/* What a backup holds of the configuration: sealed to the recovery key by the parent, which may read it; the hub only carries it.
 * agent.yaml may hold credentials that no hub is to see. */
#include <unistd.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/log.h"
#include "core/backup.h"
#include "core/backup_file.h"
#include "os/file.h"
#include "pki/hpke.h"
#include "server/server.h"

#define FILES_MAX ((size_t)180 << 10) /* of all, so that their base64 is no longer than HPKE_PLAIN_MAX */

static const char *folder_of(struct ctx *ctx, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash > path ? arena_printf(&ctx->arena, "%.*s", (int)(slash - path), path) : slash ? "/" : ".";
}

static struct rc put_file(struct ctx *ctx, struct json_out *j, const char *name, const char *path, size_t *total)
{
    struct bytes text;
    if (access(path, F_OK))
        return RC_OK;
    TRY(file_read(ctx, path, 1 << 20, &text));
    if (*total + text.n > FILES_MAX) {
        log_event(LOG_WARN_, "not_in_backup", "file", path, "why", "the configuration is too long", NULL);
        return RC_OK;
    }
    *total += text.n;
    json_put_base64(j, name, text);
    wipe((uint8_t *)(uintptr_t)text.p, text.n); /* agent.yaml may hold credentials: it was read for this alone */
    return RC_OK;
}

static struct rc put_files(struct ctx *ctx, const struct hub_config *c, const char *dir, struct buf *b)
{
    struct json_out j;
    size_t total = 0;
    json_begin(&j, b);
    json_open_obj(&j, NULL);
    TRY(put_file(ctx, &j, "hub.yaml", c->file, &total));
    TRY(put_file(ctx, &j, "kek.recovery", arena_printf(&ctx->arena, "%s/kek.recovery", dir), &total));
    TRY(put_file(ctx, &j, RECOVERY_PUBLIC, arena_printf(&ctx->arena, "%s/" RECOVERY_PUBLIC, dir), &total));
    if (c->agent)
        TRY(put_file(ctx, &j, "agent.yaml", c->agent, &total));
    json_close(&j);
    return buf_status(b);
}

RC server_backup_json(struct ctx *ctx, const struct hub_config *c, struct json_out *j)
{
    SECRET_CLEANUP struct secret files = {0};
    struct buf b BUF_CLEANUP = {0};
    struct bytes text, public, sealed;
    const char *dir = folder_of(ctx, c->file), *path = arena_printf(&ctx->arena, "%s/" RECOVERY_PUBLIC, dir);
    json_open_obj(j, "backup");
    json_put_bool(j, "elsewhere", c->backup_elsewhere);
    if (c->backup_to) {
        json_put_str(j, "dir", c->backup_to);
        json_put_int(j, "every_s", c->backup_every_s);
        json_put_int(j, "keep", c->backup_keep);
    }
    if (!access(path, F_OK)) {
        TRY(file_read(ctx, path, 4096, &text));
        while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == ' '))
            text.n--;
        if (!get_hex(&ctx->arena, text, &public) || rc_failed(hpke_public_check(ctx, HPKE_X25519, public)))
            return ctx_fail(ctx, E_INVALID, "%s is no public half of a recovery key: certwright init --backup-key writes it anew",
                            path);
        buf_init_secret(&b, HPKE_PLAIN_MAX);
        TRY(put_files(ctx, c, dir, &b));
        TRY(secret_from(ctx, &files, buf_bytes(&b)));
        TRY(hpke_seal(ctx, public, BACKUP_INFO, BACKUP_CONFIGURATION, &files, &sealed));
        json_put_base64(j, "recovery", public);
        json_put_base64(j, "configuration", sealed);
    }
    json_close(j);
    return RC_OK;
}
