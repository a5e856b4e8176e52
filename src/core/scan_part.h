/* What one agent was asked of a scan, and so may tell: only between the files core/scan*.c. */
#ifndef CORE_SCAN_PART_H
#define CORE_SCAN_PART_H

#include "base/address.h"
#include "core/core.h"

#define SCAN_NAME_PLACES 8 /* addresses of one name that are looked at */

struct scan_part_target;

struct scan_part {
    const char *id; /* as the job has it */
    bool both_keys, details, verify;
    struct scan_part_target *targets, *exclude; /* sorted, none within another of its name */
    size_t targets_n, exclude_n;
    struct cidr *granted; /* what the agent lets be scanned: addresses of names are within it */
    size_t granted_n;
    uint8_t ports[65536 / 8];
    uint64_t positions, places; /* how far it goes; how many endpoints there can be; neither is less than 1 */
};

/* scan_part_read reads the payload of a scan's job, and column agent.scan; `out` is in the arena. */
RC scan_part_read(struct ctx *ctx, const char *payload, const char *granted, struct scan_part **out);
/* scan_part_has says whether the endpoint was to be asked for that name ("": for none), as scan_part_name() gives it. */
bool scan_part_has(const struct scan_part *p, const struct address *a, int64_t port, const char *name);
/* scan_part_resolves: whether addresses of that name were to be looked up. */
bool scan_part_resolves(const struct scan_part *p, const char *name);
/* scan_part_name: in small letters, without the final dot; NULL is "". */
const char *scan_part_name(struct ctx *ctx, const char *name);

#endif
