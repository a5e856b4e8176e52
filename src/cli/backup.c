/* certwright backup: has the hub make one, and fetches it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "os/file.h"

#define BACKUPS "/api/v1/backups"
#define LOOK_US 100000

static struct rc list(struct cli *cli)
{
    static const struct cli_column shown[] = {{"BEGAN", "began_at", CLI_DATE}, {"STATE", "state", CLI_PLAIN},
                                              {"BYTES", "bytes", CLI_PLAIN},   {"BY", "asked_by", CLI_PLAIN},
                                              {"FILE", "file", CLI_PLAIN},     {"ERROR", "error", CLI_PLAIN}};
    json_auto_t *page = NULL;
    TRY(cli_call(cli, "GET", BACKUPS "?limit=100", (struct bytes){0}, &page));
    return cli_print_list(cli, json_object_get(page, "items"), shown, sizeof shown / sizeof *shown, "id");
}

/* Waits until it is made, or could not be. */
static struct rc made(struct cli *cli, const char *id)
{
    for (;;) {
        json_auto_t *b = NULL;
        TRY(cli_call(cli, "GET", cli_path(cli, BACKUPS "/", id, ""), (struct bytes){0}, &b));
        if (str_equal(cli_text(b, "state"), "done"))
            return RC_OK;
        if (str_equal(cli_text(b, "state"), "failed"))
            return ctx_fail(cli->ctx, E_CONFLICT, "the backup failed: %s", cli_text(b, "error"));
        usleep(LOOK_US);
    }
}

static struct rc fetch(struct cli *cli, const char *id, int fd, const char *what, int64_t *bytes)
{
    for (*bytes = 0;;) {
        struct bytes piece;
        const char *after = arena_printf(&cli->ctx->arena, "/content?offset=%lld", (long long)*bytes);
        TRY(cli_call_raw(cli, "GET", cli_path(cli, BACKUPS "/", id, after), &piece));
        if (!piece.n)
            return RC_OK;
        TRY(file_write_all(cli->ctx, fd, what, piece));
        *bytes += (int64_t)piece.n;
    }
}

static struct rc make(struct cli *cli, const char **id)
{
    json_auto_t *b = NULL;
    TRY(cli_call(cli, "POST", BACKUPS, (struct bytes){0}, &b));
    *id = arena_strdup(&cli->ctx->arena, cli_text(b, "id"));
    return made(cli, *id);
}

/* Beside, and renamed when it is whole; nobody else may read it.  Nothing is made before there is a place for it: what the hub has
 * noted as made is believed to be there. */
static struct rc make_file(struct cli *cli, const char *path)
{
    struct ctx *ctx = cli->ctx;
    const char *temporary = arena_printf(&ctx->arena, "%s.%ld", path, (long)getpid()), *id = NULL;
    int64_t bytes = 0;
    int fd FD_CLEANUP = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return ctx_fail_errno(ctx, "%s cannot be made", temporary);
    struct rc rc = make(cli, &id);
    if (rc_ok(rc))
        rc = fetch(cli, id, fd, temporary, &bytes);
    if (rc_ok(rc) && (fsync(fd) || rename(temporary, path)))
        rc = ctx_fail_errno(ctx, "%s cannot be written", path);
    if (rc_failed(rc)) {
        unlink(temporary);
        return rc;
    }
    cli_say(cli, "%s: %lld bytes; only the recovery key opens it.  To prove it: certwright verify-backup %s", path,
            (long long)bytes, path);
    return RC_OK;
}

RC verb_backup(struct cli *cli)
{
    const char *out = cli_opt(cli, "out");
    const char *id = NULL;
    int64_t bytes = 0;
    if (cli_has(cli, "list"))
        return list(cli);
    if (!out)
        return ctx_fail(cli->ctx, E_USAGE, "where to?  certwright backup --out FILE, or --out - for standard output");
    const bool standard = str_equal(out, "-");
    if (standard && isatty(STDOUT_FILENO))
        return ctx_fail(cli->ctx, E_USAGE, "a backup is nothing to be read on a terminal");
    if (!standard)
        return make_file(cli, out);
    TRY(make(cli, &id));
    return fetch(cli, id, STDOUT_FILENO, "standard output", &bytes);
}

RC verb_restore(struct cli *cli)
{
    return cli->hooks->restore ? cli->hooks->restore(cli) : ctx_fail(cli->ctx, E_UNSUPPORTED, "this program only talks to a hub");
}

RC verb_verify_backup(struct cli *cli)
{
    return cli->hooks->verify_backup ? cli->hooks->verify_backup(cli)
                                     : ctx_fail(cli->ctx, E_UNSUPPORTED, "this program only talks to a hub");
}

RC verb_recovery_split(struct cli *cli)
{
    return cli->hooks->recovery_split ? cli->hooks->recovery_split(cli)
                                      : ctx_fail(cli->ctx, E_UNSUPPORTED, "this program only talks to a hub");
}
