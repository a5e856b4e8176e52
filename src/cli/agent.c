/* certwright agent …, certwright job …, certwright audit … */
#include "cli/cli.h"

RC verb_agent_list(struct cli *cli)
{
    static const struct cli_column shown[] = {{"NAME", "name", CLI_PLAIN},
                                              {"STATE", "state", CLI_PLAIN},
                                              {"LAST SEEN", "last_seen", CLI_AGO},
                                              {"VERSION", "version", CLI_PLAIN},
                                              {"CAPABILITIES", "capabilities", CLI_JOIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, "/api/v1/agents", INT64_MAX, &all));
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "name");
}

RC verb_agent_show(struct cli *cli)
{
    return cli_show_at(cli, "/api/v1/agents/");
}

RC verb_job_list(struct cli *cli)
{
    static const struct cli_column shown[] = {{"ID", "id", CLI_PLAIN},           {"KIND", "kind", CLI_PLAIN},
                                              {"STATE", "state", CLI_PLAIN},     {"AGENT", "agent", CLI_PLAIN},
                                              {"TRIES", "tries", CLI_PLAIN},     {"DUE", "run_at", CLI_DATE},
                                              {"ERROR", "error.text", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, "/api/v1/jobs", cli_number(cli, "limit", 100), &all));
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "id");
}

RC verb_job_show(struct cli *cli)
{
    return cli_show_at(cli, "/api/v1/jobs/");
}

RC verb_audit_list(struct cli *cli)
{
    static const struct cli_column shown[] = {{"WHEN", "at", CLI_DATE},
                                              {"WHO", "principal", CLI_PLAIN},
                                              {"WHAT", "action", CLI_PLAIN},
                                              {"OBJECT", "object_id", CLI_PLAIN},
                                              {"REQUEST", "request_id", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, "/api/v1/audit-entries", cli_number(cli, "limit", 100), &all));
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "seq");
}
