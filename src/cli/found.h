/* Certificates of the inventory, managed or not. */
#ifndef CLI_FOUND_H
#define CLI_FOUND_H

#include "cli/cli.h"

/* cli_found_asked says whether `cert list` is asked for them; cli_found_list does it. */
bool cli_found_asked(const struct cli *cli);
RC cli_found_list(struct cli *cli);
/* cli_found_show shows the one whose fingerprint begins with the argument; `shown` is false where that is no fingerprint. */
RC cli_found_show(struct cli *cli, bool *shown);

/* cli_pointed_out shows where in a filter (or NULL) the "column 12:" is that a hub's answer has. */
RC cli_pointed_out(struct cli *cli, const char *where, struct rc rc);

/* cli_pages fetches a list page by page, in memory of the page, and gives each to `fn`, until `most` items were given.  `more` (may
 * be NULL) says whether there would be more. */
typedef struct rc cli_page_fn(struct cli *cli, void *arg, const json_t *items);
RC cli_pages(struct cli *cli, const char *path, int64_t most, cli_page_fn *fn, void *arg, bool *more);
/* cli_list_some lists as the output and --limit ask for: a table of 100, everything in the other outputs. */
RC cli_list_some(struct cli *cli, const char *path, const struct cli_column *columns, size_t n, const char *name_path);

#endif
