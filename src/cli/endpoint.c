/* certwright endpoint … */
#include "cli/found.h"

#define ENDPOINTS "/api/v1/endpoints"

RC verb_endpoint_list(struct cli *cli)
{
    static const struct cli_column columns[] = {
        {"NUMBER", "id", CLI_PLAIN},        {"KIND", "kind", CLI_PLAIN},     {"PLACE", "place", CLI_PLAIN},
        {"NAME", "name", CLI_PLAIN},        {"RESULT", "result", CLI_PLAIN}, {"LAST SEEN", "last_seen", CLI_AGO},
        {"CHANGED", "changed_at", CLI_AGO}, {"AGENT", "agent", CLI_PLAIN},   {"CERTIFICATE", "fingerprint", CLI_SHORT_HEX}};
    const char *at = cli_opt(cli, "at");
    return cli_list_some(cli, at ? cli_path(cli, ENDPOINTS "?at=", at, "") : ENDPOINTS, columns, sizeof columns / sizeof *columns,
                         "id");
}

RC verb_endpoint_show(struct cli *cli)
{
    return cli_show_at(cli, ENDPOINTS "/");
}
