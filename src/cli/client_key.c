/* certwright client-key … */
#include "cli/cli.h"

#define USERS "/api/v1/users/"

static const char *keys_of(struct cli *cli, const char *user)
{
    return cli_path(cli, USERS, user, "/client-keys");
}

RC verb_client_key_list(struct cli *cli)
{
    static const struct cli_column columns[] = {{"NAME", "name", CLI_PLAIN},        {"ROLE", "role", CLI_PLAIN},
                                                {"TEAM", "team", CLI_PLAIN},        {"KEY", "spki_sha256", CLI_SHORT_HEX},
                                                {"EXPIRES", "expires_at", CLI_AGO}, {"LAST USED", "used_at", CLI_AGO}};
    const char *user = NULL;
    json_auto_t *all = NULL;
    TRY(cli_one_arg(cli, &user));
    TRY(cli_call(cli, "GET", keys_of(cli, user), (struct bytes){0}, &all));
    return cli_print_list(cli, json_object_get(all, "items"), columns, sizeof columns / sizeof *columns, "name");
}

RC verb_client_key_add(struct cli *cli)
{
    struct cli_body b;
    const char *certificate = NULL, *key = NULL;
    json_auto_t *made = NULL;
    if (cli_has(cli, "certificate") == cli_has(cli, "public-key"))
        return ctx_fail(cli->ctx, E_USAGE, "say which key: --certificate FILE or --public-key FILE");
    TRY(cli_opt_file(cli, "certificate", &certificate));
    TRY(cli_opt_file(cli, "public-key", &key));
    const struct str_list scopes = cli_list_opt(cli, "scope");
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", cli->args.v[1]);
    cli_body_text(&b, "certificate", certificate);
    cli_body_text(&b, "public_key", key);
    cli_body_text(&b, "role", cli_opt(cli, "role"));
    cli_body_text(&b, "team", cli_opt(cli, "team"));
    if (scopes.n)
        cli_body_list(&b, "scopes", &scopes);
    if (cli_has(cli, "lifetime"))
        json_put_int(&b.j, "lifetime_s", cli_number(cli, "lifetime", 0));
    TRY(cli_call(cli, "POST", keys_of(cli, cli->args.v[0]), cli_body_end(&b), &made));
    return cli->output == CLI_TABLE ? RC_OK : cli_print_object(cli, made, "name");
}

RC verb_client_key_remove(struct cli *cli)
{
    json_auto_t *all = NULL;
    const char *id = NULL;
    TRY(cli_call(cli, "GET", keys_of(cli, cli->args.v[0]), (struct bytes){0}, &all));
    const json_t *items = json_object_get(all, "items");
    for (size_t i = 0; i < json_array_size(items); i++)
        if (str_equal(cli_text(json_array_get(items, i), "name"), cli->args.v[1]))
            id = cli_text(json_array_get(items, i), "id");
    if (!id)
        return ctx_fail(cli->ctx, E_NOT_FOUND, "%s has no key %s", cli->args.v[0], cli->args.v[1]);
    const char *path = arena_printf(&cli->ctx->arena, "%s/", keys_of(cli, cli->args.v[0]));
    return cli_call(cli, "DELETE", cli_path(cli, path, id, ""), (struct bytes){0}, NULL);
}
