/* certwright team … */
#include "cli/cli.h"

#define TEAMS "/api/v1/teams"

RC verb_team_list(struct cli *cli)
{
    static const struct cli_column columns[] = {
        {"NAME", "name", CLI_PLAIN}, {"WITHIN", "parent", CLI_PLAIN}, {"SINCE", "created_at", CLI_DATE}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, TEAMS, INT64_MAX, &all));
    return cli_print_list(cli, all, columns, sizeof columns / sizeof *columns, "name");
}

RC verb_team_show(struct cli *cli)
{
    return cli_show_at(cli, TEAMS "/");
}

RC verb_team_add(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *made = NULL;
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", cli->args.v[0]);
    cli_body_text(&b, "team", cli_opt(cli, "parent"));
    TRY(cli_call(cli, "POST", TEAMS, cli_body_end(&b), &made));
    return cli->output == CLI_TABLE ? RC_OK : cli_print_object(cli, made, "name");
}

static struct rc change(struct cli *cli, const char *key)
{
    struct cli_body b;
    json_auto_t *now = NULL;
    if (cli->args.n != 2)
        return ctx_fail(cli->ctx, E_USAGE, "a team and %s: certwright team %s",
                        str_equal(key, "name") ? "its new name" : "the one it goes below",
                        str_equal(key, "name") ? "rename shop store" : "move shop sales");
    cli_body_begin(cli, &b);
    json_put_str(&b.j, key, cli->args.v[1]);
    TRY(cli_call(cli, "PATCH", cli_path(cli, TEAMS "/", cli->args.v[0], ""), cli_body_end(&b), &now));
    return cli->output == CLI_TABLE ? RC_OK : cli_print_object(cli, now, "name");
}

RC verb_team_rename(struct cli *cli)
{
    return change(cli, "name");
}

RC verb_team_move(struct cli *cli)
{
    return change(cli, "parent");
}

RC verb_team_remove(struct cli *cli)
{
    return cli_remove_each(cli, TEAMS "/");
}
