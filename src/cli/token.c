/* certwright token … */
#include "cli/cli.h"

#define TOKENS "/api/v1/tokens"

RC verb_token_list(struct cli *cli)
{
    static const struct cli_column shown[] = {{"NAME", "name", CLI_PLAIN},        {"ROLE", "role", CLI_PLAIN},
                                              {"USER", "user", CLI_PLAIN},        {"AGENT", "agent", CLI_PLAIN},
                                              {"EXPIRES", "expires_at", CLI_AGO}, {"LAST USED", "used_at", CLI_AGO},
                                              {"REVOKED", "revoked_at", CLI_DATE}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, TOKENS, INT64_MAX, &all));
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "name");
}

RC verb_token_add(struct cli *cli)
{
    struct cli_body b;
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", cli->args.v[0]);
    cli_body_text(&b, "team", cli_opt(cli, "team"));
    cli_body_text(&b, "role", cli_opt(cli, "role"));
    cli_body_text(&b, "agent", cli_opt(cli, "agent"));
    cli_body_text(&b, "user", cli_opt(cli, "user"));
    const struct str_list scopes = cli_list_opt(cli, "scope");
    if (scopes.n)
        cli_body_list(&b, "scopes", &scopes);
    if (cli_has(cli, "lifetime"))
        json_put_int(&b.j, "lifetime_s", cli_number(cli, "lifetime", 0));
    json_auto_t *made = NULL;
    TRY(cli_call(cli, "POST", TOKENS, cli_body_end(&b), &made));
    if (cli->output == CLI_JSON)
        return cli_print_object(cli, made, "name");
    const char *line = arena_printf(&cli->ctx->arena, "%s\n", cli_text(made, "token"));
    TRY(cli_write_out(cli, bytes_z(line), 0600));
    if (cli->tty || cli_has(cli, "out"))
        fprintf(stderr, "It is shown this once, and good until %s; use it with --token-file, or as a bearer token.\n",
                cli_text(made, "expires_at"));
    return RC_OK;
}

RC verb_token_revoke(struct cli *cli)
{
    return cli_remove_each(cli, TOKENS "/");
}
