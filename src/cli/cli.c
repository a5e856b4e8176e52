#include "cli/cli.h"

#include <unistd.h>

#include "base/log.h"
#include "net/http_client.h"

/* What happened, to what, what to do: one line, and one more where the hub said when to come back. */
static void print_failure(struct cli *cli, struct rc rc)
{
    const char *why = ctx_why(cli->ctx);
    if (cli->output == CLI_JSON) {
        struct buf b;
        struct json_out j;
        buf_init_arena(&b, &cli->ctx->arena, 65536);
        json_begin(&j, &b);
        json_open_obj(&j, NULL);
        json_put_str(&j, "code", err_info(rc.e)->name);
        json_put_str(&j, "detail", *why ? why : err_info(rc.e)->text);
        if (cli->ctx->field)
            json_put_str(&j, "field", cli->ctx->field);
        json_close(&j);
        fprintf(stderr, "%s\n", buf_z(&b));
        return;
    }
    fprintf(stderr, "certwright: %s\n", *why ? why : err_info(rc.e)->text);
    if (cli->ctx->retry_after_s)
        fprintf(stderr, "certwright: try again in %lld s\n", (long long)cli->ctx->retry_after_s);
}

int cli_main(int argc, char **argv, const struct cli_hooks *hooks)
{
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct cli cli = {.ctx = &ctx, .hooks = hooks, .tty = isatty(STDOUT_FILENO)};
    log_init("cli", LOG_WARN_, false);
    struct rc rc = cli_parse(&cli, argc, argv);
    if (rc_ok(rc))
        rc = cli.verb->run(&cli);
    if (rc_failed(rc))
        print_failure(&cli, rc);
    http_client_free(cli.client);
    if (fflush(stdout) && rc_ok(rc))
        return 1;
    return err_info(rc.e)->exit;
}
