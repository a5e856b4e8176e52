/* certwright issuer account … */
#include <unistd.h>

#include "cli/cli.h"

#define ISSUERS "/api/v1/issuers/"
#define WAIT_S  120

/* What cannot be taken back is typed twice. */
static struct rc sure(struct cli *cli, const char *name)
{
    char line[300];
    const char *typed = cli_opt(cli, "confirm");
    if (!typed && isatty(STDIN_FILENO)) {
        fprintf(stderr, "The account of %s ends for good: no certificate can be had or revoked with it any more.\n", name);
        fputs("Its name again: ", stderr);
        if (fgets(line, sizeof line, stdin)) {
            line[strcspn(line, "\r\n")] = '\0';
            typed = line;
        }
    }
    if (!typed)
        return ctx_fail(cli->ctx, E_USAGE, "the account ends for good; say that you mean it with: --confirm %s", name);
    return str_equal(typed, name) ? RC_OK : ctx_fail(cli->ctx, E_USAGE, "that is not the name %s: nothing was done", name);
}

static struct rc answer(struct cli *cli, const char *path, json_t **out)
{
    const int64_t until = clock_mono_ms() + WAIT_S * 1000;
    for (;;) {
        json_auto_t *got = NULL;
        TRY(cli_call(cli, "GET", path, (struct bytes){0}, &got));
        if (!str_equal(cli_text(got, "state"), "asked")) {
            *out = json_incref(got);
            return RC_OK;
        }
        if (clock_mono_ms() > until)
            return ctx_fail(cli->ctx, E_TIMEOUT, "the CA has not answered yet; see later: certwright job list");
        usleep(100 * 1000);
    }
}

RC verb_issuer_account(struct cli *cli)
{
    const char *name = cli->args.v[0], *verb = cli->args.n > 1 ? cli->args.v[1] : "show";
    const char *path = cli_path(cli, ISSUERS, name, "/account");
    struct cli_body b;
    json_auto_t *got = NULL;
    if (cli->args.n > 2)
        return ctx_fail(cli->ctx, E_USAGE, "one word says what becomes of the account: renew, rollover, update or deactivate");
    if (str_equal(verb, "deactivate"))
        TRY(sure(cli, name));
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "verb", verb);
    TRY(cli_call(cli, "POST", path, cli_body_end(&b), NULL));
    TRY(answer(cli, path, &got));
    if (str_equal(cli_text(got, "state"), "failed")) {
        const enum err e = err_by_name(cli_text(got, "last_error.code"));
        return ctx_fail(cli->ctx, e == E_OK ? E_ISSUER_FAILED : e, "%s", cli_text(got, "last_error.text"));
    }
    return cli_print_object(cli, got, "account_url");
}
