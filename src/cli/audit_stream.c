/* certwright audit stream …: the log over a channel, to a collector. */
#include "cli/cli.h"

#define STREAMS "/api/v1/audit-streams"

static struct rc add(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *made = NULL;
    if (cli->args.n != 2)
        return ctx_fail(cli->ctx, E_USAGE, "name the stream: certwright audit stream add NAME --channel CHANNEL");
    if (!cli_opt(cli, "channel"))
        return ctx_fail(cli->ctx, E_USAGE, "over which channel? --channel CHANNEL, one of kind syslog: certwright channel list");
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", cli->args.v[1]);
    cli_body_text(&b, "channel", cli_opt(cli, "channel"));
    cli_body_text(&b, "format", cli_opt(cli, "format"));
    if (cli_has(cli, "from"))
        json_put_int(&b.j, "from", cli_number(cli, "from", 0));
    TRY(cli_call(cli, "POST", STREAMS, cli_body_end(&b), &made));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, made, "name");
    cli_say(cli, "the audit log goes over channel %s from entry %lld on; how far it is: certwright audit stream list",
            cli_text(made, "channel"), (long long)json_integer_value(json_object_get(made, "place")));
    return RC_OK;
}

static struct rc list(struct cli *cli)
{
    static const struct cli_column columns[] = {{"NAME", "name", CLI_PLAIN},   {"CHANNEL", "channel", CLI_PLAIN},
                                                {"STATE", "state", CLI_PLAIN}, {"PLACE", "place", CLI_PLAIN},
                                                {"LAG", "lag", CLI_PLAIN},     {"LOST", "lost", CLI_PLAIN},
                                                {"SENT", "sent_at", CLI_AGO},  {"ERROR", "last_error.text", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_call(cli, "GET", STREAMS, (struct bytes){0}, &all));
    return cli_print_list(cli, json_object_get(all, "items"), columns, sizeof columns / sizeof *columns, "name");
}

static struct rc take_away(struct cli *cli)
{
    if (cli->args.n < 2)
        return ctx_fail(cli->ctx, E_USAGE, "which? certwright audit stream remove NAME...");
    for (size_t i = 1; i < cli->args.n; i++) {
        TRY(cli_call(cli, "DELETE", cli_path(cli, STREAMS "/", cli->args.v[i], ""), (struct bytes){0}, NULL));
        cli_say(cli, "stream %s is removed", cli->args.v[i]);
    }
    return RC_OK;
}

RC verb_audit_stream(struct cli *cli)
{
    const char *what = cli->args.n ? cli->args.v[0] : "";
    return str_equal(what, "add")      ? add(cli)
           : str_equal(what, "list")   ? list(cli)
           : str_equal(what, "remove") ? take_away(cli)
                                       : ctx_fail(cli->ctx, E_USAGE, "certwright audit stream add, list or remove");
}
