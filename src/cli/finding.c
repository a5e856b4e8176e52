/* certwright finding … */
#include "cli/found.h"

#define FINDINGS "/api/v1/findings"

/* What is looked at; as a table without what holds nowhere. */
static struct rc checks(struct cli *cli)
{
    static const struct cli_column columns[] = {{"CHECK", "check", CLI_PLAIN},
                                                {"SEVERITY", "severity", CLI_PLAIN},
                                                {"CERTIFICATES", "certificates", CLI_PLAIN},
                                                {"MEANS", "words", CLI_PLAIN},
                                                {"REMEDY", "remedy", CLI_PLAIN}};
    json_auto_t *got = NULL, *holding = json_array();
    TRY(cli_call(cli, "GET", "/api/v1/checks", (struct bytes){0}, &got));
    const json_t *all = json_object_get(got, "items");
    for (size_t i = 0; i < json_array_size(all); i++)
        if (json_integer_value(json_object_get(json_array_get(all, i), "certificates")) > 0)
            json_array_append(holding, json_array_get(all, i));
    if (cli->output == CLI_TABLE && !json_array_size(holding)) {
        puts("Nothing is wrong with any certificate that is known.");
        return RC_OK;
    }
    return cli_print_list(cli, cli->output == CLI_TABLE ? holding : all, columns, sizeof columns / sizeof *columns, "check");
}

RC verb_finding_list(struct cli *cli)
{
    static const struct cli_column columns[] = {
        {"CHECK", "check", CLI_PLAIN},       {"SEVERITY", "severity", CLI_PLAIN}, {"CERTIFICATE", "fingerprint", CLI_SHORT_HEX},
        {"ENDPOINT", "endpoint", CLI_PLAIN}, {"EXPIRES", "not_after", CLI_AGO},   {"TEAM", "team", CLI_PLAIN},
        {"SINCE", "since", CLI_AGO},         {"DETAIL", "detail", CLI_PLAIN},     {"ACCEPTED BY", "accepted_by", CLI_PLAIN}};
    const char *check = NULL;
    TRY(cli_one_arg(cli, &check));
    if (!check && !cli_has(cli, "accepted") && !cli_has(cli, "limit"))
        return checks(cli);
    const char *path = check ? cli_path(cli, FINDINGS "?check=", check, "") : FINDINGS;
    if (cli_has(cli, "accepted"))
        path = arena_printf(&cli->ctx->arena, "%s%saccepted=true", path, check ? "&" : "?");
    return cli_list_some(cli, path, columns, sizeof columns / sizeof *columns, "fingerprint");
}

RC verb_finding_accept(struct cli *cli)
{
    if (cli->args.n < 2)
        return ctx_fail(cli->ctx, E_USAGE, "name the check and a certificate: certwright finding accept self_signed FINGERPRINT");
    for (size_t i = 1; i < cli->args.n; i++) {
        struct cli_body b;
        json_auto_t *got = NULL;
        cli_body_begin(cli, &b);
        json_put_str(&b.j, "check", cli->args.v[0]);
        json_put_str(&b.j, "fingerprint", cli->args.v[i]);
        json_put_bool(&b.j, "accept", !cli_has(cli, "undo"));
        if (cli_opt(cli, "reason"))
            json_put_str(&b.j, "reason", cli_opt(cli, "reason"));
        if (cli_has(cli, "for"))
            json_put_int(&b.j, "for_s", cli_number(cli, "for", 0));
        TRY(cli_call(cli, "POST", FINDINGS "/accept", cli_body_end(&b), &got));
    }
    return RC_OK;
}
