/* certwright collection … */
#include "cli/cli.h"
#include "cli/found.h"

#define COLLECTIONS "/api/v1/collections"

RC verb_collection_list(struct cli *cli)
{
    static const struct cli_column columns[] = {{"NAME", "name", CLI_PLAIN},
                                                {"FILTER", "filter", CLI_PLAIN},
                                                {"TEAM", "team", CLI_PLAIN},
                                                {"DESCRIPTION", "description", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, COLLECTIONS, INT64_MAX, &all));
    return cli_print_list(cli, all, columns, sizeof columns / sizeof *columns, "name");
}

RC verb_collection_show(struct cli *cli)
{
    return cli_show_at(cli, COLLECTIONS "/");
}

RC verb_collection_add(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *made = NULL;
    if (cli->args.n != 2)
        return ctx_fail(cli->ctx, E_USAGE, "a name and a filter: certwright collection add soon \"expires < 30d and not managed\"");
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", cli->args.v[0]);
    json_put_str(&b.j, "filter", cli->args.v[1]);
    cli_body_text(&b, "team", cli_opt(cli, "team"));
    cli_body_text(&b, "description", cli_opt(cli, "description"));
    TRY(cli_pointed_out(cli, cli->args.v[1], cli_call(cli, "POST", COLLECTIONS, cli_body_end(&b), &made)));
    return cli->output == CLI_TABLE ? RC_OK : cli_print_object(cli, made, "name");
}

RC verb_collection_edit(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *now = NULL;
    if (!cli_has(cli, "where") && !cli_has(cli, "name") && !cli_has(cli, "description"))
        return ctx_fail(cli->ctx, E_USAGE, "say what: --where, --name or --description");
    cli_body_begin(cli, &b);
    cli_body_text(&b, "filter", cli_opt(cli, "where"));
    cli_body_text(&b, "name", cli_opt(cli, "name"));
    cli_body_text(&b, "description", cli_opt(cli, "description"));
    TRY(cli_pointed_out(cli, cli_opt(cli, "where"),
                        cli_call(cli, "PATCH", cli_path(cli, COLLECTIONS "/", cli->args.v[0], ""), cli_body_end(&b), &now)));
    return cli->output == CLI_TABLE ? RC_OK : cli_print_object(cli, now, "name");
}

RC verb_collection_remove(struct cli *cli)
{
    return cli_remove_each(cli, COLLECTIONS "/");
}
