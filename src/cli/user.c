/* certwright user … */
#include "cli/cli.h"

#define USERS "/api/v1/users"

/* "viewer in shop, operator in sales" */
static const char *grants_text(struct cli *cli, const json_t *user)
{
    const json_t *grants = json_object_get(user, "grants");
    const char *text = "";
    for (size_t i = 0; i < json_array_size(grants); i++) {
        const json_t *g = json_array_get(grants, i);
        text = arena_printf(&cli->ctx->arena, "%s%s%s in %s", text, i ? ", " : "", cli_text(g, "role"), cli_text(g, "team"));
    }
    return text;
}

static void tell_grants(struct cli *cli, json_t *user)
{
    if (cli->output != CLI_JSON && cli->output != CLI_JSONL)
        json_object_set_new(user, "grants", json_string(grants_text(cli, user)));
}

RC verb_user_list(struct cli *cli)
{
    static const struct cli_column columns[] = {{"NAME", "name", CLI_PLAIN},     {"KIND", "kind", CLI_PLAIN},
                                                {"STATE", "state", CLI_PLAIN},   {"TEAM", "team", CLI_PLAIN},
                                                {"GRANTS", "grants", CLI_PLAIN}, {"E-MAIL", "email", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, USERS, INT64_MAX, &all));
    for (size_t i = 0; i < json_array_size(all); i++)
        tell_grants(cli, json_array_get(all, i));
    return cli_print_list(cli, all, columns, sizeof columns / sizeof *columns, "name");
}

RC verb_user_show(struct cli *cli)
{
    const char *name = NULL;
    json_auto_t *user = NULL;
    TRY(cli_one_arg(cli, &name));
    TRY(cli_call(cli, "GET", cli_path(cli, USERS "/", name, ""), (struct bytes){0}, &user));
    tell_grants(cli, user);
    return cli_print_object(cli, user, "name");
}

static struct rc grant_one(struct cli *cli, const char *user, const char *role, const char *team)
{
    struct cli_body b;
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "role", role);
    cli_body_text(&b, "team", team);
    return cli_call(cli, "POST", cli_path(cli, USERS "/", user, "/grants"), cli_body_end(&b), NULL);
}

/* The link by which somebody sets their password and second factor: `how` is invitation or reset. */
static struct rc link_make(struct cli *cli, const char *user, const char *how, json_t **made)
{
    const char *path = arena_printf(&cli->ctx->arena, "/%s", how);
    return cli_call(cli, "POST", cli_path(cli, USERS "/", user, path), (struct bytes){0}, made);
}

static struct rc link_tell(struct cli *cli, const json_t *made)
{
    const char *link = json_object_get(made, "link") ? cli_text(made, "link") : cli_text(made, "code");
    TRY(cli_write_out(cli, bytes_z(arena_printf(&cli->ctx->arena, "%s\n", link)), 0600));
    if (cli->tty || cli_has(cli, "out"))
        fprintf(stderr, "Give it to %s alone: it is shown this once, and good once until %s.\n", cli_text(made, "name"),
                cli_text(made, "expires_at"));
    return RC_OK;
}

static struct rc link_verb(struct cli *cli, const char *how)
{
    const char *name = NULL;
    json_auto_t *made = NULL;
    TRY(cli_one_arg(cli, &name));
    TRY(link_make(cli, name, how, &made));
    return cli->output == CLI_TABLE ? link_tell(cli, made) : cli_print_object(cli, made, "name");
}

RC verb_user_invite(struct cli *cli)
{
    return link_verb(cli, "invitation");
}

RC verb_user_reset(struct cli *cli)
{
    return link_verb(cli, "reset");
}

RC verb_user_add(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *made = NULL;
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", cli->args.v[0]);
    cli_body_text(&b, "kind", cli_has(cli, "service") ? "service" : NULL);
    cli_body_text(&b, "display_name", cli_opt(cli, "display-name"));
    cli_body_text(&b, "email", cli_opt(cli, "email"));
    cli_body_text(&b, "team", cli_opt(cli, "team"));
    TRY(cli_call(cli, "POST", USERS, cli_body_end(&b), &made));
    if (cli_has(cli, "role"))
        TRY(grant_one(cli, cli_text(made, "id"), cli_opt(cli, "role"), cli_opt(cli, "team")));
    json_auto_t *link = NULL;
    if (!cli_has(cli, "service"))
        TRY(link_make(cli, cli_text(made, "id"), "invitation", &link));
    if (cli->output == CLI_TABLE)
        return link ? link_tell(cli, link) : RC_OK;
    if (link)
        json_object_set(made, "link", json_object_get(link, "link"));
    return cli_print_object(cli, made, "name");
}

static struct rc set_state(struct cli *cli, const char *state)
{
    for (size_t i = 0; i < cli->args.n; i++) {
        struct cli_body b;
        cli_body_begin(cli, &b);
        json_put_str(&b.j, "state", state);
        TRY(cli_call(cli, "PATCH", cli_path(cli, USERS "/", cli->args.v[i], ""), cli_body_end(&b), NULL));
    }
    return RC_OK;
}

RC verb_user_disable(struct cli *cli)
{
    return set_state(cli, "disabled");
}

RC verb_user_enable(struct cli *cli)
{
    return set_state(cli, "active");
}

RC verb_user_remove(struct cli *cli)
{
    return cli_remove_each(cli, USERS "/");
}

static struct rc need_role(struct cli *cli, const char **name)
{
    TRY(cli_one_arg(cli, name));
    return cli_has(cli, "role") ? RC_OK
                                : ctx_fail(cli->ctx, E_USAGE, "say which role: --role ROLE; certwright role list shows them");
}

RC verb_user_grant(struct cli *cli)
{
    const char *name = NULL;
    TRY(need_role(cli, &name));
    return grant_one(cli, name, cli_opt(cli, "role"), cli_opt(cli, "team"));
}

RC verb_user_revoke(struct cli *cli)
{
    const char *name = NULL, *role = cli_opt(cli, "role"), *team = cli_opt(cli, "team"), *id = NULL;
    json_auto_t *user = NULL;
    size_t fit = 0;
    TRY(need_role(cli, &name));
    TRY(cli_call(cli, "GET", cli_path(cli, USERS "/", name, ""), (struct bytes){0}, &user));
    const json_t *grants = json_object_get(user, "grants");
    for (size_t i = 0; i < json_array_size(grants); i++) {
        const json_t *g = json_array_get(grants, i);
        if (!str_equal(cli_text(g, "role"), role) || (team && !str_equal(cli_text(g, "team"), team)))
            continue;
        id = cli_text(g, "id");
        fit++;
    }
    if (fit != 1)
        return ctx_fail(cli->ctx, fit ? E_USAGE : E_NOT_FOUND, "%s is %s: %s%s", name, role,
                        fit ? "in several teams, " : "not, but: ", *grants_text(cli, user) ? grants_text(cli, user) : "nothing");
    const char *path = arena_printf(&cli->ctx->arena, "%s/", cli_path(cli, USERS "/", name, "/grants"));
    return cli_call(cli, "DELETE", cli_path(cli, path, id, ""), (struct bytes){0}, NULL);
}
