/* What waits for approval instead of being done. */
#ifndef CLI_REQUEST_H
#define CLI_REQUEST_H

#include "cli/cli.h"

/* cli_is_request says whether the hub's answer is a request that was made instead of what was asked for. */
bool cli_is_request(const json_t *answer);
/* cli_request_wait fails with E_PENDING and says how to go on, or with --wait follows the request to its end: RC_OK when it is
 * done, with the id of what it led to. */
RC cli_request_wait(struct cli *cli, const json_t *request, const char **result);

#endif
