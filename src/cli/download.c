/* certwright cert export-key, forget-key: keys that were made for download. */
#include "base/encode.h"
#include "cli/cli.h"
#include "cli/request.h"
#include "os/file.h"

#define CERTS "/api/v1/managed-certificates/"

static struct bytes version_body(struct cli *cli, const char *format)
{
    struct cli_body b;
    cli_body_begin(cli, &b);
    json_put_int(&b.j, "version", cli_number(cli, "version", 0));
    cli_body_text(&b, "format", format);
    return cli_body_end(&b);
}

/* The passphrase goes first: no key store is left that nobody can open. */
static struct rc keep(struct cli *cli, const json_t *got, const char *out)
{
    struct ctx *ctx = cli->ctx;
    const char *file = cli_opt(cli, "passphrase-file"), *passphrase = cli_text(got, "passphrase");
    struct bytes content;
    TRY(json_get_base64(ctx, got, "content", true, &content));
    if (*passphrase && file)
        TRY(file_write_atomic_path(ctx, file, bytes_z(arena_printf(&ctx->arena, "%s\n", passphrase)), FILE_KEEP_UID, FILE_KEEP_GID,
                                   0600));
    TRY(file_write_atomic_path(ctx, out, content, FILE_KEEP_UID, FILE_KEEP_GID, 0600));
    if (*passphrase && !file)
        printf("Passphrase of %s, shown this once: %s\n", out, passphrase);
    cli_say(cli, "%s holds the private key of version %lld with its certificate", out,
            (long long)json_integer_value(json_object_get(got, "version")));
    return RC_OK;
}

/* Where policy wants it approved the answer is a request; with --wait it is asked again once that is through. */
static struct rc ask(struct cli *cli, const char *name, const char *format, json_t **got)
{
    const char *path = cli_path(cli, CERTS, name, "/export"), *result = NULL;
    TRY(cli_call(cli, "POST", path, version_body(cli, format), got));
    if (!cli_is_request(*got))
        return RC_OK;
    TRY(cli_request_wait(cli, *got, &result));
    json_decref(*got);
    *got = NULL;
    return cli_call(cli, "POST", path, version_body(cli, format), got);
}

RC verb_cert_export_key(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    const char *name = cli->args.v[0], *out = cli_opt(cli, "out"), *format = cli_opt(cli, "format");
    json_auto_t *got = NULL;
    ctx->arena.wipe = true;
    format = format ? format : "pkcs12";
    if (!out)
        return ctx_fail(ctx, E_USAGE, "--out FILE: a private key is written to a file, which you alone may read");
    if (!str_equal(format, "pem") && !cli_has(cli, "passphrase-file") && !cli->tty)
        return ctx_fail(ctx, E_USAGE,
                        "--passphrase-file FILE: the passphrase of a key store is shown on a terminal, or written there");
    TRY(ask(cli, name, format, &got));
    TRY(keep(cli, got, out));
    if (!cli_has(cli, "forget-key"))
        return RC_OK;
    struct cli_body b;
    cli_body_begin(cli, &b);
    json_put_int(&b.j, "version", json_integer_value(json_object_get(got, "version")));
    TRY(cli_call(cli, "POST", cli_path(cli, CERTS, name, "/forget-key"), cli_body_end(&b), NULL));
    cli_say(cli, "the hub's copy of it is destroyed: keep %s", out);
    return RC_OK;
}

RC verb_cert_forget_key(struct cli *cli)
{
    TRY(cli_call(cli, "POST", cli_path(cli, CERTS, cli->args.v[0], "/forget-key"), version_body(cli, NULL), NULL));
    cli_say(cli, "the key of %s is destroyed; another is made with: certwright cert renew %s", cli->args.v[0], cli->args.v[0]);
    return RC_OK;
}
