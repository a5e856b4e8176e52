/* Names of a scan, resolved by the system's resolver beside it: a few threads go ahead of the scan in the order of the names. */
#ifndef AGENT_PROBE_SCAN_NAMES_H
#define AGENT_PROBE_SCAN_NAMES_H

#include "base/address.h"

#define SCAN_NAME_ADDRESSES 8 /* of one name; more are not asked */

struct scan_names;
/* scan_names_start begins; `names` must outlive it.  `wake` is an eventfd that is written when a name is there. */
RC scan_names_start(struct ctx *ctx, const char *const *names, size_t n, int wake, struct scan_names **out);
void scan_names_stop(struct scan_names *s);

enum scan_name_state { SCAN_NAME_WAITS, SCAN_NAME_THERE, SCAN_NAME_UNKNOWN };
/* scan_names_look says how it stands with name `at`, and lets the threads go on to those behind it. */
enum scan_name_state scan_names_look(struct scan_names *s, size_t at, struct address out[SCAN_NAME_ADDRESSES], size_t *n);

#endif
