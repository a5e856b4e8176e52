/* What is in the way of an order, asked of the hub and shown. */
#ifndef CLI_PREFLIGHT_H
#define CLI_PREFLIGHT_H

#include "cli/cli.h"

/* cli_preflight has agents look (`path` takes the request `body`), waits for them, and gives what they found. */
RC cli_preflight(struct cli *cli, const char *path, struct bytes body, json_t **findings);
/* cli_preflight_print shows a line a finding (of a name; of `issuer` where it has none), or the list in other outputs. */
RC cli_preflight_print(struct cli *cli, const json_t *findings, const char *issuer);
/* cli_preflight_fails fails with E_PREFLIGHT where one of them does. */
RC cli_preflight_fails(struct cli *cli, const json_t *findings);

#endif
