/* certwright alert …: what there is to look after. */
#include "base/uri.h"
#include "cli/cli.h"
#include "cli/found.h"

#define ALERTS "/api/v1/alerts"

RC verb_alert_list(struct cli *cli)
{
    static const struct cli_column columns[] = {{"ID", "id", CLI_PLAIN},         {"SEVERITY", "severity", CLI_PLAIN},
                                                {"WHAT", "object_kind", CLI_PLAIN}, {"OBJECT", "object", CLI_PLAIN},
                                                {"HOW", "words", CLI_PLAIN},     {"SINCE", "opened_at", CLI_AGO},
                                                {"TIMES", "count", CLI_PLAIN},   {"STATE", "state", CLI_PLAIN},
                                                {"RULE", "rule", CLI_PLAIN},     {"WHY", "why", CLI_PLAIN}};
    struct buf b;
    buf_init_arena(&b, &cli->ctx->arena, 2048);
    buf_printf(&b, ALERTS "?state=%s", cli_has(cli, "all") ? "all" : "not_closed");
    if (cli_opt(cli, "object")) {
        buf_put_z(&b, "&object=");
        put_percent(&b, bytes_z(cli_opt(cli, "object")));
    }
    TRY(buf_status(&b));
    return cli_list_some(cli, buf_z(&b), columns, sizeof columns / sizeof *columns, "id");
}

RC verb_alert_show(struct cli *cli)
{
    return cli_show_at(cli, ALERTS "/");
}

static struct rc act_each(struct cli *cli, const char *verb, int64_t for_s, const char *said)
{
    if (!cli->args.n)
        return ctx_fail(cli->ctx, E_USAGE, "say which: certwright alert list shows them");
    for (size_t i = 0; i < cli->args.n; i++) {
        struct cli_body b;
        json_auto_t *now = NULL;
        cli_body_begin(cli, &b);
        if (for_s)
            json_put_int(&b.j, "for_s", for_s);
        cli_body_text(&b, "reason", cli_opt(cli, "reason"));
        TRY(cli_call(cli, "POST", cli_path(cli, ALERTS "/", cli->args.v[i], arena_printf(&cli->ctx->arena, "/%s", verb)),
                     cli_body_end(&b), &now));
        if (cli->output != CLI_TABLE)
            TRY(cli_print_object(cli, now, "id"));
        cli_say(cli, "%s %s: %s", cli_text(now, "object"), cli_text(now, "words"), said);
    }
    return RC_OK;
}

RC verb_alert_ack(struct cli *cli)
{
    return act_each(cli, "acknowledge", 0, "you look after it; nobody else is told");
}

RC verb_alert_snooze(struct cli *cli)
{
    return act_each(cli, "snooze", cli_number(cli, "for", 86400),
                    "nobody is told until the time is over; sooner: certwright alert reopen");
}

RC verb_alert_close(struct cli *cli)
{
    return act_each(cli, "close", 0, "it is over");
}

RC verb_alert_reopen(struct cli *cli)
{
    return act_each(cli, "reopen", 0, "it is open again");
}
