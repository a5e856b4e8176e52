/* certwright report …, certwright cert ledger */
#include "base/uri.h"
#include "cli/cli.h"

#define REPORTS "/api/v1/reports"

RC verb_report_list(struct cli *cli)
{
    static const struct cli_column columns[] = {{"NAME", "name", CLI_PLAIN}, {"WHAT IT SAYS", "text", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, REPORTS, INT64_MAX, &all));
    return cli_print_list(cli, all, columns, sizeof columns / sizeof *columns, "name");
}

RC verb_report_show(struct cli *cli)
{
    const char *format = cli_opt(cli, "format");
    const char *of = cli->output == CLI_JSON ? "json" : cli->output == CLI_CSV ? "csv" : format ? format : "text";
    struct buf query;
    struct bytes text;
    buf_init_arena(&query, &cli->ctx->arena, 4096);
    buf_put_z(&query, "?format=");
    put_percent(&query, bytes_z(of));
    if (cli_opt(cli, "team")) {
        buf_put_z(&query, "&team=");
        put_percent(&query, bytes_z(cli_opt(cli, "team")));
    }
    TRY(buf_status(&query));
    TRY(cli_call_raw(cli, "GET", cli_path(cli, REPORTS "/", cli->args.v[0], buf_z(&query)), &text));
    return cli_write_out(cli, text, 0644);
}

#define SCHEDULES "/api/v1/report-schedules"

RC verb_report_schedule(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *made = NULL;
    if (!cli_opt(cli, "report"))
        return ctx_fail(cli->ctx, E_USAGE, "which report? --report expiry; certwright report list names them");
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", cli->args.v[0]);
    cli_body_text(&b, "report", cli_opt(cli, "report"));
    cli_body_text(&b, "team", cli_opt(cli, "team"));
    cli_body_text(&b, "channel", cli_opt(cli, "channel"));
    cli_body_text(&b, "to", cli_opt(cli, "to"));
    json_put_int(&b.j, "every_s", cli_number(cli, "every", 7 * 86400));
    TRY(cli_call(cli, "POST", SCHEDULES, cli_body_end(&b), &made));
    return cli_print_object(cli, made, "name");
}

RC verb_report_schedules(struct cli *cli)
{
    static const struct cli_column columns[] = {{"NAME", "name", CLI_PLAIN},   {"REPORT", "report", CLI_PLAIN},
                                                {"TEAM", "team", CLI_PLAIN},   {"EVERY", "every_s", CLI_SPAN_S},
                                                {"NEXT", "next_at", CLI_DATE}, {"TO", "to", CLI_PLAIN},
                                                {"HALTED", "halted", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, SCHEDULES, INT64_MAX, &all));
    return cli_print_list(cli, all, columns, sizeof columns / sizeof *columns, "name");
}

RC verb_report_unschedule(struct cli *cli)
{
    return cli_remove_each(cli, SCHEDULES "/");
}

RC verb_cert_ledger(struct cli *cli)
{
    static const struct cli_column columns[] = {{"WHEN", "at", CLI_DATE},          {"STEP", "step", CLI_PLAIN},
                                                {"VERSION", "version", CLI_PLAIN}, {"WHO", "principal", CLI_PLAIN},
                                                {"WHAT", "text", CLI_PLAIN},       {"ON", "object_kind", CLI_PLAIN},
                                                {"PLACE", "place", CLI_PLAIN}};
    const char *path = cli_path(cli, "/api/v1/managed-certificates/", cli->args.v[0], "/ledger");
    json_auto_t *all = NULL;
    TRY(cli_all(cli, path, cli_number(cli, "limit", 1000), &all));
    return cli_print_list(cli, all, columns, sizeof columns / sizeof *columns, "seq");
}
