/* certwright agent …, certwright job … */
#include "cli/cli.h"

#define AGENTS "/api/v1/agents"

RC verb_agent_list(struct cli *cli)
{
    static const struct cli_column shown[] = {{"NAME", "name", CLI_PLAIN},       {"STATE", "state", CLI_PLAIN},
                                              {"LAST SEEN", "last_seen", CLI_AGO}, {"ADDRESS", "address", CLI_PLAIN},
                                              {"VERSION", "version", CLI_PLAIN}, {"PLATFORM", "platform", CLI_PLAIN},
                                              {"CLOCK", "clock_skew_s", CLI_PLAIN}, {"TROUBLE", "trouble", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, AGENTS, INT64_MAX, &all));
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "name");
}

RC verb_agent_show(struct cli *cli)
{
    return cli_show_at(cli, AGENTS "/");
}

static struct rc change_each(struct cli *cli, const char *what)
{
    for (size_t i = 0; i < cli->args.n; i++) {
        json_auto_t *agent = NULL;
        TRY(cli_call(cli, "POST", cli_path(cli, AGENTS "/", cli->args.v[i], what), (struct bytes){0}, &agent));
        cli_say(cli, "%s is %s", cli->args.v[i], cli_text(agent, "state"));
    }
    return RC_OK;
}

RC verb_agent_approve(struct cli *cli)
{
    return change_each(cli, "/approve");
}

RC verb_agent_drain(struct cli *cli)
{
    return change_each(cli, "/drain");
}

RC verb_agent_remove(struct cli *cli)
{
    for (size_t i = 0; i < cli->args.n; i++) {
        const char *path = cli_path(cli, AGENTS "/", cli->args.v[i], cli_has(cli, "force") ? "?force=true" : "");
        TRY(cli_call(cli, "DELETE", path, (struct bytes){0}, NULL));
        cli_say(cli, "%s is removed", cli->args.v[i]);
    }
    return RC_OK;
}

/* --- join tokens */

#define JOIN_TOKENS "/api/v1/join-tokens"

RC verb_join_token_list(struct cli *cli)
{
    static const struct cli_column shown[] = {{"NAME", "name", CLI_PLAIN},          {"USED", "used", CLI_PLAIN},
                                              {"OF", "uses", CLI_PLAIN},            {"EXPIRES", "expires_at", CLI_AGO},
                                              {"NETWORKS", "networks", CLI_JOIN},   {"NAMES", "name_pattern", CLI_PLAIN},
                                              {"GRANTED", "granted", CLI_JOIN},     {"APPROVAL", "approval", CLI_YES},
                                              {"REVOKED", "revoked_at", CLI_DATE}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, JOIN_TOKENS, INT64_MAX, &all));
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "name");
}

RC verb_join_token_show(struct cli *cli)
{
    return cli_show_at(cli, JOIN_TOKENS "/");
}

RC verb_join_token_add(struct cli *cli)
{
    struct cli_body b;
    const struct str_list networks = cli_list_opt(cli, "network"), granted = cli_list_opt(cli, "grant");
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", cli->args.v[0]);
    if (cli_has(cli, "uses"))
        json_put_int(&b.j, "uses", cli_number(cli, "uses", 1));
    if (cli_has(cli, "lifetime"))
        json_put_int(&b.j, "lifetime_s", cli_number(cli, "lifetime", 0));
    if (networks.n)
        cli_body_list(&b, "networks", &networks);
    if (granted.n)
        cli_body_list(&b, "granted", &granted);
    cli_body_text(&b, "name_pattern", cli_opt(cli, "name-pattern"));
    if (cli_has(cli, "approval"))
        json_put_bool(&b.j, "approval", true);
    json_auto_t *made = NULL;
    TRY(cli_call(cli, "POST", JOIN_TOKENS, cli_body_end(&b), &made));
    if (cli->output == CLI_JSON)
        return cli_print_object(cli, made, "name");
    const char *line = arena_printf(&cli->ctx->arena, "%s\n", cli_text(made, "token"));
    TRY(cli_write_out(cli, bytes_z(line), 0600));
    if (cli->tty || cli_has(cli, "out"))
        fprintf(
            stderr,
            "It is shown this once, and good until %s.  On the host, as root: certwright join https://HUB:8444 --token-file FILE\n",
            cli_text(made, "expires_at"));
    return RC_OK;
}

RC verb_join_token_revoke(struct cli *cli)
{
    return cli_remove_each(cli, JOIN_TOKENS "/");
}

RC verb_job_list(struct cli *cli)
{
    static const struct cli_column shown[] = {{"ID", "id", CLI_PLAIN},           {"KIND", "kind", CLI_PLAIN},
                                              {"STATE", "state", CLI_PLAIN},     {"AGENT", "agent", CLI_PLAIN},
                                              {"TRIES", "tries", CLI_PLAIN},     {"DUE", "run_at", CLI_DATE},
                                              {"ERROR", "error.text", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, "/api/v1/jobs", cli_number(cli, "limit", 100), &all));
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "id");
}

RC verb_job_show(struct cli *cli)
{
    return cli_show_at(cli, "/api/v1/jobs/");
}
