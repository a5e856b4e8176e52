/* certwright identity-provider …, certwright user bind, unbind, identities */
#include "cli/cli.h"

#define PROVIDERS "/api/v1/identity-providers"
#define USERS     "/api/v1/users"

RC verb_identity_provider_list(struct cli *cli)
{
    static const struct cli_column columns[] = {{"NAME", "name", CLI_PLAIN},        {"STATE", "state", CLI_PLAIN},
                                                {"KIND", "kind", CLI_PLAIN},        {"ISSUER", "issuer", CLI_PLAIN},
                                                {"CLIENT", "client_id", CLI_PLAIN}, {"LOOKED AT", "looked_at", CLI_AGO},
                                                {"ERROR", "error", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, PROVIDERS, INT64_MAX, &all));
    return cli_print_list(cli, all, columns, sizeof columns / sizeof *columns, "name");
}

RC verb_identity_provider_show(struct cli *cli)
{
    return cli_show_at(cli, PROVIDERS "/");
}

/* GROUP=ROLE or GROUP=ROLE@TEAM; a group may hold '=' itself. */
static struct rc put_group(struct cli *cli, struct cli_body *b, const char *text)
{
    const char *equal = strrchr(text, '='), *at = equal ? strchr(equal, '@') : NULL;
    if (!equal || equal == text || !equal[1])
        return ctx_fail(cli->ctx, E_USAGE, "%s is not GROUP=ROLE or GROUP=ROLE@TEAM", text);
    const int role = at ? (int)(at - equal - 1) : (int)strlen(equal + 1);
    json_open_obj(&b->j, NULL);
    json_put_str(&b->j, "name", arena_printf(&cli->ctx->arena, "%.*s", (int)(equal - text), text));
    json_put_str(&b->j, "role", arena_printf(&cli->ctx->arena, "%.*s", role, equal + 1));
    if (at)
        json_put_str(&b->j, "team", at + 1);
    json_close(&b->j);
    return RC_OK;
}

static void put_list(struct cli *cli, struct cli_body *b, const char *option, const char *key)
{
    struct str_list l = cli_list_opt(cli, option);
    if (l.n == 1 && !*l.v[0]) /* --acr "": none any more */
        l.n = 0;
    if (cli_has(cli, option))
        cli_body_list(b, key, &l);
}

/* A directory's groups have commas in their names: each option is one. */
static struct str_list groups_said(struct cli *cli, bool ldap)
{
    struct str_list out = {0};
    if (!ldap)
        return cli_list_opt(cli, "group");
    for (size_t i = 0; i < cli->values_n; i++)
        if (str_equal(cli->values[i].option->name, "group"))
            str_list_add(&cli->ctx->arena, &out, cli->values[i].text);
    return out;
}

static struct rc put(struct cli *cli, struct cli_body *b, bool ldap)
{
    const struct str_list groups = groups_said(cli, ldap);
    cli_body_text(b, "client_id", cli_opt(cli, "client"));
    cli_body_text(b, "credential", cli_opt(cli, "credential"));
    cli_body_text(b, "group_claim", cli_opt(cli, "group-claim"));
    cli_body_text(b, "team", cli_opt(cli, "team"));
    put_list(cli, b, "scope", "scopes");
    put_list(cli, b, "acr", "acr");
    put_list(cli, b, "amr", "amr");
    if (cli_has(cli, "group")) {
        json_open_list(&b->j, "groups");
        for (size_t i = 0; i < groups.n; i++)
            if (*groups.v[i])
                TRY(put_group(cli, b, groups.v[i]));
        json_close(&b->j);
    }
    if (cli_has(cli, "create-accounts") && cli_has(cli, "no-create-accounts"))
        return ctx_fail(cli->ctx, E_USAGE, "--create-accounts or --no-create-accounts, not both");
    if (cli_has(cli, "create-accounts") || cli_has(cli, "no-create-accounts"))
        json_put_bool(&b->j, "create_accounts", cli_has(cli, "create-accounts"));
    return RC_OK;
}

/* --- directories */

static const struct directory_option {
    const char *option, *key;
} directory_options[] = {{"bind", "bind_name"},
                         {"base", "base"},
                         {"user-filter", "user_filter"},
                         {"subject-attribute", "subject_attribute"},
                         {"login-attribute", "login_attribute"},
                         {"name-attribute", "name_attribute"},
                         {"mail-attribute", "mail_attribute"},
                         {"group-attribute", "group_attribute"},
                         {"group-base", "group_base"},
                         {"group-filter", "group_filter"},
                         {"second-factor", "second_factor"}};
#define DIRECTORY_OPTIONS (sizeof directory_options / sizeof *directory_options)

static bool says_directory(struct cli *cli)
{
    bool says = cli_has(cli, "server") || cli_has(cli, "ca-file");
    for (size_t i = 0; i < DIRECTORY_OPTIONS && !says; i++)
        says = cli_has(cli, directory_options[i].option);
    return says;
}

static void put_member(struct cli_body *b, const json_t *was, const char *said, const char *key)
{
    const char *text = said ? said : json_string_value(json_object_get(was, key));
    if (text && *text)
        json_put_str(&b->j, key, text);
}

/* All of it: what is said, and what is not said as it was. */
static struct rc put_directory(struct cli *cli, struct cli_body *b, const json_t *was)
{
    const struct str_list urls = cli_list_opt(cli, "server");
    const char *ca = NULL;
    if (cli_has(cli, "ca-file") && *cli_opt(cli, "ca-file"))
        TRY(cli_opt_file(cli, "ca-file", &ca));
    json_open_obj(&b->j, "directory");
    json_open_list(&b->j, "urls");
    for (size_t i = 0; i < urls.n; i++)
        json_put_str(&b->j, NULL, urls.v[i]);
    const json_t *old = cli_has(cli, "server") ? NULL : json_object_get(was, "urls");
    for (size_t i = 0; i < json_array_size(old); i++)
        json_put_str(&b->j, NULL, json_string_value(json_array_get(old, i)));
    json_close(&b->j);
    put_member(b, was, cli_has(cli, "ca-file") ? ca ? ca : "" : NULL, "ca_pem");
    for (size_t i = 0; i < DIRECTORY_OPTIONS; i++)
        put_member(b, was, cli_opt(cli, directory_options[i].option), directory_options[i].key);
    json_close(&b->j);
    return RC_OK;
}

static struct rc add_directory(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *made = NULL;
    if (!cli_has(cli, "server") || !cli_has(cli, "base") || !cli_has(cli, "credential"))
        return ctx_fail(cli->ctx, E_USAGE,
                        "say where: --server ldaps://… and --base dc=example,dc=org; and --credential NAME, a row of "
                        "credentials in agent.yaml");
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", cli->args.v[0]);
    json_put_str(&b.j, "kind", "ldap");
    TRY(put(cli, &b, true));
    TRY(put_directory(cli, &b, NULL));
    TRY(cli_call(cli, "POST", PROVIDERS, cli_body_end(&b), &made));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, made, "name");
    if (cli->tty)
        fprintf(stderr, "Try it: certwright identity-provider test %s --user NAME\n", cli->args.v[0]);
    return RC_OK;
}

static void print_texts(const char *title, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        printf("%-10s %s\n", i ? "" : title, json_string_value(json_array_get(list, i)));
}

RC verb_identity_provider_test(struct cli *cli)
{
    struct cli_body b;
    const char *name = NULL;
    json_auto_t *said = NULL;
    TRY(cli_one_arg(cli, &name));
    cli_body_begin(cli, &b);
    cli_body_text(&b, "user", cli_opt(cli, "user"));
    TRY(cli_call(cli, "POST", cli_path(cli, PROVIDERS "/", name, "/test"), cli_body_end(&b), &said));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, said, "state");
    printf("%-10s %s\n", "answers", cli_text(said, "server"));
    if (!cli_has(cli, "user"))
        return RC_OK;
    if (!str_equal(cli_text(said, "state"), "found"))
        return ctx_fail(cli->ctx, E_NOT_FOUND, "%s",
                        str_equal(cli_text(said, "state"), "several")
                            ? "more than one entry fits: make --user-filter narrower, nobody "
                              "signs in so"
                            : "nobody fits: look at --base and --user-filter");
    static const char *const shown[][2] = {
        {"entry", "dn"}, {"subject", "subject"}, {"account", "login"}, {"name", "name"}, {"mail", "mail"}};
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        printf("%-10s %s\n", shown[i][0], cli_text(said, shown[i][1]));
    print_texts("groups", json_object_get(said, "groups"));
    const json_t *grants = json_object_get(said, "grants");
    for (size_t i = 0; i < json_array_size(grants); i++) {
        const json_t *g = json_array_get(grants, i);
        printf("%-10s %s in %s, by %s\n", i ? "" : "gives", cli_text(g, "role"), cli_text(g, "team"), cli_text(g, "name"));
    }
    if (json_array_size(grants) == 0)
        printf("%-10s nothing\n", "gives");
    return RC_OK;
}

RC verb_identity_provider_add(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *made = NULL;
    if (str_equal(cli_opt(cli, "kind"), "ldap"))
        return add_directory(cli);
    if (says_directory(cli))
        return ctx_fail(cli->ctx, E_USAGE, "what is said of a directory goes with --kind ldap");
    if (!cli_has(cli, "issuer") || !cli_has(cli, "client"))
        return ctx_fail(cli->ctx, E_USAGE, "say which: --issuer https://… and --client ID, as the provider knows this hub");
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", cli->args.v[0]);
    json_put_str(&b.j, "issuer", cli_opt(cli, "issuer"));
    TRY(put(cli, &b, false));
    TRY(cli_call(cli, "POST", PROVIDERS, cli_body_end(&b), &made));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, made, "name");
    printf("%s\n", cli_text(made, "callback"));
    if (cli->tty)
        fprintf(stderr, "Enter this address at the provider, for it to send people back to.\n");
    return RC_OK;
}

RC verb_identity_provider_edit(struct cli *cli)
{
    struct cli_body b;
    const char *name = NULL;
    json_auto_t *made = NULL, *was = NULL;
    TRY(cli_one_arg(cli, &name));
    if (cli_has(cli, "enable") && cli_has(cli, "disable"))
        return ctx_fail(cli->ctx, E_USAGE, "--enable or --disable, not both");
    if (says_directory(cli) || cli_has(cli, "group"))
        TRY(cli_call(cli, "GET", cli_path(cli, PROVIDERS "/", name, ""), (struct bytes){0}, &was));
    cli_body_begin(cli, &b);
    TRY(put(cli, &b, was && str_equal(cli_text(was, "kind"), "ldap")));
    if (says_directory(cli))
        TRY(put_directory(cli, &b, json_object_get(was, "directory")));
    cli_body_text(&b, "state", cli_has(cli, "enable") ? "active" : cli_has(cli, "disable") ? "disabled" : NULL);
    TRY(cli_call(cli, "PATCH", cli_path(cli, PROVIDERS "/", name, ""), cli_body_end(&b), &made));
    return cli->output == CLI_TABLE ? RC_OK : cli_print_object(cli, made, "name");
}

RC verb_identity_provider_look(struct cli *cli)
{
    const char *name = NULL;
    TRY(cli_one_arg(cli, &name));
    return cli_call(cli, "POST", cli_path(cli, PROVIDERS "/", name, "/look"), (struct bytes){0}, NULL);
}

RC verb_identity_provider_remove(struct cli *cli)
{
    return cli_remove_each(cli, PROVIDERS "/");
}

/* --- accounts */

RC verb_user_identities(struct cli *cli)
{
    static const struct cli_column columns[] = {{"PROVIDER", "provider", CLI_PLAIN},
                                                {"SUBJECT", "subject", CLI_PLAIN},
                                                {"BOUND BY", "created_by", CLI_PLAIN},
                                                {"LAST USED", "used_at", CLI_AGO}};
    const char *name = NULL;
    json_auto_t *all = NULL;
    TRY(cli_one_arg(cli, &name));
    TRY(cli_call(cli, "GET", cli_path(cli, USERS "/", name, "/identities"), (struct bytes){0}, &all));
    return cli_print_list(cli, json_object_get(all, "items"), columns, sizeof columns / sizeof *columns, "subject");
}

static struct rc need_both(struct cli *cli, const char **name)
{
    TRY(cli_one_arg(cli, name));
    return cli_has(cli, "provider") && cli_has(cli, "subject")
               ? RC_OK
               : ctx_fail(cli->ctx, E_USAGE, "say whom: --provider NAME --subject TEXT, which is the claim sub of its tokens");
}

RC verb_user_bind(struct cli *cli)
{
    struct cli_body b;
    const char *name = NULL;
    TRY(need_both(cli, &name));
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "provider", cli_opt(cli, "provider"));
    json_put_str(&b.j, "subject", cli_opt(cli, "subject"));
    return cli_call(cli, "POST", cli_path(cli, USERS "/", name, "/identities"), cli_body_end(&b), NULL);
}

RC verb_user_unbind(struct cli *cli)
{
    const char *name = NULL, *id = NULL;
    json_auto_t *all = NULL;
    TRY(need_both(cli, &name));
    TRY(cli_call(cli, "GET", cli_path(cli, USERS "/", name, "/identities"), (struct bytes){0}, &all));
    const json_t *items = json_object_get(all, "items");
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *one = json_array_get(items, i);
        if (str_equal(cli_text(one, "provider"), cli_opt(cli, "provider")) &&
            str_equal(cli_text(one, "subject"), cli_opt(cli, "subject")))
            id = cli_text(one, "id");
    }
    if (!id)
        return ctx_fail(cli->ctx, E_NOT_FOUND, "%s is not bound so; certwright user identities %s shows what it is bound to", name,
                        name);
    const char *path = arena_printf(&cli->ctx->arena, "%s/", cli_path(cli, USERS "/", name, "/identities"));
    return cli_call(cli, "DELETE", cli_path(cli, path, id, ""), (struct bytes){0}, NULL);
}
