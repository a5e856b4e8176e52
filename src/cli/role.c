/* certwright role … */
#include "cli/cli.h"

#define ROLES "/api/v1/roles"

RC verb_role_list(struct cli *cli)
{
    static const struct cli_column columns[] = {
        {"NAME", "name", CLI_PLAIN}, {"BUILT IN", "built_in", CLI_YES}, {"DESCRIPTION", "description", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, ROLES, INT64_MAX, &all));
    return cli_print_list(cli, all, columns, sizeof columns / sizeof *columns, "name");
}

RC verb_role_show(struct cli *cli)
{
    return cli_show_at(cli, ROLES "/");
}

RC verb_role_permissions(struct cli *cli)
{
    json_auto_t *all = NULL;
    TRY(cli_call(cli, "GET", "/api/v1/permissions", (struct bytes){0}, &all));
    if (cli->output == CLI_JSON)
        return cli_print_object(cli, all, "items");
    const json_t *items = json_object_get(all, "items");
    for (size_t i = 0; i < json_array_size(items); i++)
        printf("%s\n", json_string_value(json_array_get(items, i)));
    return RC_OK;
}

static struct rc put(struct cli *cli, const char *method, const char *path, const char *name)
{
    struct cli_body b;
    json_auto_t *role = NULL;
    const struct str_list permissions = cli_list_opt(cli, "permission");
    cli_body_begin(cli, &b);
    cli_body_text(&b, "name", name);
    cli_body_text(&b, "description", cli_opt(cli, "description"));
    if (permissions.n)
        cli_body_list(&b, "permissions", &permissions);
    TRY(cli_call(cli, method, path, cli_body_end(&b), &role));
    return cli->output == CLI_TABLE ? RC_OK : cli_print_object(cli, role, "name");
}

RC verb_role_add(struct cli *cli)
{
    if (!cli_has(cli, "permission"))
        return ctx_fail(cli->ctx, E_USAGE,
                        "say what it may do: --permission certificate.read,…; certwright role permissions shows all");
    return put(cli, "POST", ROLES, cli->args.v[0]);
}

RC verb_role_edit(struct cli *cli)
{
    if (!cli_has(cli, "permission") && !cli_has(cli, "description"))
        return ctx_fail(cli->ctx, E_USAGE, "say what: --permission (all that it has from now on) or --description");
    return put(cli, "PATCH", cli_path(cli, ROLES "/", cli->args.v[0], ""), NULL);
}

RC verb_role_remove(struct cli *cli)
{
    return cli_remove_each(cli, ROLES "/");
}
