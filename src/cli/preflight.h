/* What is in the way of an order, asked of the hub and shown. */
#ifndef CLI_PREFLIGHT_H
#define CLI_PREFLIGHT_H

#include "cli/cli.h"

/* cli_preflight has agents look (`path` takes the request `body`), waits for them, and gives what they found; and of which issuers,
 * where `issuers` is not NULL (NULL in it: not said). */
RC cli_preflight(struct cli *cli, const char *path, struct bytes body, json_t **findings, json_t **issuers);
/* cli_preflight_print shows a line a finding (of a name; of its issuer where it has none; what two issuers share once), or the list
 * in other outputs. */
RC cli_preflight_print(struct cli *cli, const json_t *findings);
/* cli_preflight_issuers says which of several would be asked, and why. */
void cli_preflight_issuers(struct cli *cli, const json_t *issuers);
/* cli_preflight_fails fails with E_PREFLIGHT where one of the findings does; of several issuers, where none would be asked. */
RC cli_preflight_fails(struct cli *cli, const json_t *findings, const json_t *issuers);

#endif
