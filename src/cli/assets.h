/* What vulnerability managers take in as assets: hosts, by name and address, of certificates and endpoints that were found.  Which
 * documents the forms follow is in docs/INVENTORY.md; none was tried against the product. */
#ifndef CLI_ASSETS_H
#define CLI_ASSETS_H

#include "cli/cli.h"

/* Zero-filled at first; `told` is the caller's, an empty object: what was written already. */
struct cli_assets {
    json_t *told;
    size_t n, left_out; /* left_out: hosts that the product takes no such thing of */
};
bool cli_assets_asked(const struct cli *cli);
/* cli_assets_put writes the hosts of a page of certificates or endpoints; cli_assets_end what comes behind the last. */
RC cli_assets_put(struct cli *cli, struct cli_assets *a, const json_t *items);
void cli_assets_end(struct cli *cli, const struct cli_assets *a);

#endif
