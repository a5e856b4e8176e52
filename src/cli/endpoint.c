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

/* One part after the other: no answer has to wait for all of it. */
static struct rc forget(struct cli *cli, const char *at, bool dry, int64_t *endpoints, int64_t *certificates)
{
    int64_t next = 0;
    do {
        struct cli_body b;
        json_auto_t *done = NULL;
        cli_body_begin(cli, &b);
        json_put_str(&b.j, "at", at);
        json_put_bool(&b.j, "dry_run", dry);
        json_put_int(&b.j, "after", next);
        TRY(cli_call(cli, "POST", ENDPOINTS "/forget", cli_body_end(&b), &done));
        *endpoints += json_integer_value(json_object_get(done, "endpoints"));
        *certificates += json_integer_value(json_object_get(done, "certificates"));
        next = json_integer_value(json_object_get(done, "next"));
        if (cli->tty && !dry && next)
            fprintf(stderr, "\r%lld endpoints", (long long)*endpoints);
    } while (next);
    return RC_OK;
}

RC verb_endpoint_forget(struct cli *cli)
{
    int64_t there = 0, endpoints = 0, certificates = 0;
    bool yes = false;
    for (size_t i = 0; i < cli->args.n; i++)
        TRY(forget(cli, cli->args.v[i], true, &there, &certificates));
    if (cli_has(cli, "dry-run")) {
        cli_say(cli, "%lld endpoints would go", (long long)there);
        return RC_OK;
    }
    if (there)
        TRY(cli_sure(cli, &yes, "Forget %lld endpoints, and what was seen nowhere else?", (long long)there));
    for (size_t i = 0; i < cli->args.n && yes; i++)
        TRY(forget(cli, cli->args.v[i], false, &endpoints, &certificates));
    cli_say(cli, "%lld endpoints and %lld certificates are gone from the inventory", (long long)endpoints, (long long)certificates);
    return RC_OK;
}
