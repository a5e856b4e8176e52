/* The recovery key, as people type it: whole, or in parts that several of them keep. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "os/file.h"
#include "pki/seal.h"
#include "server/server.h"

#define TYPED_MAX 256
#define MISTAKES  8 /* that are told on a terminal and may be mended */

/* One line of standard input; what is typed is not shown. */
static struct rc line_read(struct ctx *ctx, const char *prompt, struct secret *out)
{
    struct termios was, quiet;
    const bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &was) == 0;
    TRY(secret_new(ctx, out, TYPED_MAX));
    if (terminal) {
        quiet = was;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSADRAIN, &quiet);
        fprintf(stderr, "%s: ", prompt);
    }
    size_t n = 0;
    ssize_t got = 0;
    uint8_t *to = secret_fill(out);
    while (n < TYPED_MAX && ((got = read(STDIN_FILENO, to + n, 1)) == 1 || (got < 0 && errno == EINTR)))
        if (got == 1 && to[n] == '\n')
            break;
        else if (got == 1)
            n++;
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &was);
        fputc('\n', stderr);
    }
    if (n == TYPED_MAX)
        return ctx_fail(ctx, E_INVALID, "that is too long for a recovery key; it is nine groups of four letters and digits");
    if (n == 0 && got != 1)
        return ctx_fail(ctx, E_NOT_FOUND, "nothing more was typed");
    memset(to + n, ' ', TYPED_MAX - n); /* spaces are not looked at */
    return RC_OK;
}

static struct rc file_part(struct ctx *ctx, const char *file, struct secret *out)
{
    int fd FD_CLEANUP = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ctx_fail_errno(ctx, "the recovery key's file %s", file);
    return file_read_secret(ctx, fd, file, TYPED_MAX, out);
}

static struct rc from_files(struct ctx *ctx, const struct str_list *files, struct recovery_join *j, bool *whole, struct secret *out)
{
    for (size_t i = 0; i < files->n; i++) {
        SECRET_CLEANUP struct secret part = {0};
        if (*whole)
            return ctx_fail(ctx, E_USAGE, "the recovery key is whole before %s: that file is one too many", files->v[i]);
        TRY(file_part(ctx, files->v[i], &part));
        TRY(ctx_wrap(ctx, recovery_join(ctx, j, &part, whole, out), "%s", files->v[i]));
    }
    return *whole ? RC_OK
                  : ctx_fail(ctx, E_INVALID, "%s of the recovery key is missing: name a file for each (--recovery-key-file)",
                             recovery_missing(ctx, j));
}

static struct rc from_input(struct ctx *ctx, struct recovery_join *j, bool *whole, struct secret *out)
{
    for (int mistakes = 0; !*whole;) {
        SECRET_CLEANUP struct secret line = {0};
        const char *prompt = !j->count ? "Recovery key, or a part of it"
                                       : arena_printf(&ctx->arena, "%s is missing; another part", recovery_missing(ctx, j));
        struct rc rc = line_read(ctx, prompt, &line);
        if (rc.e == E_NOT_FOUND && j->count)
            return ctx_fail(ctx, E_INVALID, "%s of the recovery key is missing", recovery_missing(ctx, j));
        TRY(rc);
        rc = recovery_join(ctx, j, &line, whole, out);
        if (rc_ok(rc))
            continue;
        if (!isatty(STDIN_FILENO) || ++mistakes > MISTAKES)
            return rc;
        fprintf(stderr, "%s\n", ctx_why(ctx));
        ctx_forget(ctx);
    }
    return RC_OK;
}

RC server_recovery_key(struct ctx *ctx, const struct str_list *files, struct secret *out)
{
    struct recovery_join j = {0};
    bool whole = false;
    *out = (struct secret){0};
    struct rc rc = files && files->n ? from_files(ctx, files, &j, &whole, out) : from_input(ctx, &j, &whole, out);
    recovery_join_end(&j);
    return rc;
}

/* On a terminal one part at a time: each is for somebody else's eyes. */
static struct rc part_show(const struct secret *part, size_t i, size_t n)
{
    const struct bytes text = secret_use(part);
    const bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    printf("Part %zu of %zu of the recovery key (shown this once; its keeper writes it down):\n\n    %.*s\n\n", i + 1, n,
           (int)text.n, (const char *)text.p);
    if (!terminal)
        return RC_OK;
    printf("Enter takes it off the screen%s. ", i + 1 < n ? " and shows the next" : "");
    fflush(stdout);
    for (int c = getchar(); c != '\n' && c != EOF;)
        c = getchar();
    printf("\033[H\033[2J\033[3J");
    fflush(stdout);
    return RC_OK;
}

RC server_recovery_show(struct ctx *ctx, const struct secret *recovery, size_t n)
{
    struct secret parts[RECOVERY_PARTS_MAX] = {0};
    struct rc rc = recovery_split(ctx, recovery, n, parts);
    for (size_t i = 0; i < n && rc_ok(rc); i++)
        rc = part_show(&parts[i], i, n);
    if (rc_ok(rc) && fflush(stdout))
        rc = ctx_fail(ctx, E_IO, "the parts could not be shown");
    for (size_t i = 0; i < RECOVERY_PARTS_MAX; i++)
        secret_free(&parts[i]);
    return rc;
}

RC server_recovery_parts(struct cli *cli, const char *option, size_t *n)
{
    const int64_t parts = cli_number(cli, option, 0);
    if (cli_has(cli, option) && (parts < 2 || parts > RECOVERY_PARTS_MAX))
        return ctx_fail(cli->ctx, E_USAGE, "--%s is 2 to %d", option, RECOVERY_PARTS_MAX);
    *n = (size_t)parts;
    return RC_OK;
}

/* certwright recovery split */
RC server_recovery_split(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    SECRET_CLEANUP struct secret text = {0}, kek = {0};
    const struct str_list files = cli_list_opt(cli, "recovery-key-file");
    const char *dir = cli_opt(cli, "config-dir");
    struct bytes wrapped;
    size_t n = 0;
    TRY(server_recovery_parts(cli, "parts", &n));
    if (!n)
        return ctx_fail(ctx, E_USAGE, "in how many parts?  certwright recovery split --parts 2");
    TRY(file_read(ctx, arena_printf(&ctx->arena, "%s/kek.recovery", dir ? dir : "/etc/certwright"), 4096, &wrapped));
    TRY(server_recovery_key(ctx, &files, &text));
    TRY(recovery_unwrap(ctx, wrapped, &text, &kek)); /* it is the one of this installation */
    TRY(server_recovery_show(ctx, &text, n));
    cli_say(
        cli,
        "All %zu are needed from now on by whoever has nothing else.  Destroy the paper with the whole key, and the parts of an "
        "older split: they open what they opened.",
        n);
    return RC_OK;
}
