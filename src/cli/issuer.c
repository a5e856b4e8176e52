/* certwright issuer …, certwright profile … */
#include "cli/cli.h"

#define ISSUERS  "/api/v1/issuers"
#define PROFILES "/api/v1/profiles"

RC verb_issuer_list(struct cli *cli)
{
    static const struct cli_column shown[] = {{"NAME", "name", CLI_PLAIN},
                                              {"KIND", "kind", CLI_PLAIN},
                                              {"STATE", "state", CLI_PLAIN},
                                              {"DIRECTORY", "directory_url", CLI_PLAIN},
                                              {"ERROR", "last_error", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, ISSUERS, INT64_MAX, &all));
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "name");
}

RC verb_issuer_show(struct cli *cli)
{
    return cli_show_at(cli, ISSUERS "/");
}

/* A bare mail address is meant as a mailto: URL. */
static struct str_list contacts(struct cli *cli)
{
    struct str_list out = {0}, given = cli_list_opt(cli, "contact");
    for (size_t i = 0; i < given.n; i++)
        str_list_add(&cli->ctx->arena, &out,
                     strchr(given.v[i], ':') ? given.v[i] : arena_printf(&cli->ctx->arena, "mailto:%s", given.v[i]));
    return out;
}

static struct rc issuer_body(struct cli *cli, struct cli_body *b)
{
    const char *roots = NULL;
    TRY(cli_opt_file(cli, "roots", &roots));
    const struct str_list mails = contacts(cli), networks = cli_list_opt(cli, "grant");
    cli_body_text(b, "directory_url", cli_opt(cli, "acme"));
    cli_body_text(b, "ca_roots_pem", roots);
    cli_body_text(b, "acme_profile", cli_opt(cli, "acme-profile"));
    cli_body_text(b, "agent", cli_opt(cli, "agent"));
    if (mails.n)
        cli_body_list(b, "contacts", &mails);
    if (networks.n)
        cli_body_list(b, "granted_networks", &networks);
    if (cli_has(cli, "agree"))
        json_put_bool(&b->j, "terms_agreed", true);
    const char *webroot = cli_opt(cli, "webroot"), *via = cli_opt(cli, "via"), *agent = cli_opt(cli, "challenge-agent");
    if (agent && !webroot && !via)
        return ctx_fail(cli->ctx, E_USAGE, "--challenge-agent goes with --via listener or --webroot DIR");
    if (webroot || via) {
        json_open_obj(&b->j, "challenge");
        json_put_str(&b->j, "via", via ? via : "webroot");
        if (webroot)
            json_put_str(&b->j, "webroot", webroot);
        if (agent)
            json_put_str(&b->j, "agent", agent);
        json_close(&b->j);
    }
    return RC_OK;
}

RC verb_issuer_add(struct cli *cli)
{
    const bool acme = cli_has(cli, "acme");
    if (acme == cli_has(cli, "ca"))
        return ctx_fail(cli->ctx, E_USAGE, "say which kind: --acme URL of the CA's directory, or --ca NAME of our own CA");
    struct cli_body b;
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", cli->args.v[0]);
    json_put_str(&b.j, "kind", acme ? "acme" : "ca");
    cli_body_text(&b, "ca", cli_opt(cli, "ca"));
    cli_body_text(&b, "team", cli_opt(cli, "team"));
    TRY(issuer_body(cli, &b));
    json_auto_t *made = NULL;
    TRY(cli_call(cli, "POST", ISSUERS, cli_body_end(&b), &made));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, made, "name");
    cli_say(cli, "Issuer %s is made; use it with: certwright cert add NAME --issuer %s", cli->args.v[0], cli->args.v[0]);
    return RC_OK;
}

RC verb_issuer_edit(struct cli *cli)
{
    struct cli_body b;
    cli_body_begin(cli, &b);
    TRY(issuer_body(cli, &b));
    json_auto_t *made = NULL;
    TRY(cli_call(cli, "PATCH", cli_path(cli, ISSUERS "/", cli->args.v[0], ""), cli_body_end(&b), &made));
    return cli_print_object(cli, made, "name");
}

RC verb_issuer_remove(struct cli *cli)
{
    return cli_remove_each(cli, ISSUERS "/");
}

/* --- profiles */

RC verb_profile_list(struct cli *cli)
{
    static const struct cli_column shown[] = {{"NAME", "name", CLI_PLAIN},
                                              {"USAGE", "usage", CLI_PLAIN},
                                              {"VALIDITY", "validity_s", CLI_SPAN_S},
                                              {"KEYS", "key_kinds", CLI_JOIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, PROFILES, INT64_MAX, &all));
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "name");
}

RC verb_profile_show(struct cli *cli)
{
    return cli_show_at(cli, PROFILES "/");
}

static void profile_body(struct cli *cli, struct cli_body *b)
{
    const struct str_list kinds = cli_list_opt(cli, "key-kind");
    if (kinds.n)
        cli_body_list(b, "key_kinds", &kinds);
    if (cli_has(cli, "validity"))
        json_put_int(&b->j, "validity_s", cli_number(cli, "validity", 0));
    if (cli_has(cli, "common-name"))
        json_put_bool(&b->j, "common_name", true);
}

RC verb_profile_add(struct cli *cli)
{
    struct cli_body b;
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", cli->args.v[0]);
    json_put_str(&b.j, "usage", cli_opt(cli, "usage") ? cli_opt(cli, "usage") : "tls-server");
    profile_body(cli, &b);
    json_auto_t *made = NULL;
    TRY(cli_call(cli, "POST", PROFILES, cli_body_end(&b), &made));
    return cli_print_object(cli, made, "name");
}

RC verb_profile_edit(struct cli *cli)
{
    struct cli_body b;
    cli_body_begin(cli, &b);
    profile_body(cli, &b);
    json_auto_t *made = NULL;
    TRY(cli_call(cli, "PATCH", cli_path(cli, PROFILES "/", cli->args.v[0], ""), cli_body_end(&b), &made));
    return cli_print_object(cli, made, "name");
}

RC verb_profile_remove(struct cli *cli)
{
    return cli_remove_each(cli, PROFILES "/");
}
