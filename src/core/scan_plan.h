/* Who of the agents asks what of a scan: only between the files core/scan*.c. */
#ifndef CORE_SCAN_PLAN_H
#define CORE_SCAN_PLAN_H

#include "api/types.h"
#include "base/address.h"
#include "base/str.h"
#include "core/core.h"

/* An agent, what its agent.yaml lets be scanned, and what it is to ask. */
struct scanner {
    const char *id, *name;
    struct cidr *networks;
    size_t networks_n;
    struct str_list ports; /* empty: any */
    struct str_list targets;
    unsigned bits; /* of its network that holds the target looked at */
    bool may;      /* one target at least */
    bool away;     /* has not called for HEARD_AWAY_S */
};

struct scan_plan {
    struct scanner *v; /* those without targets have nothing to do */
    size_t n;
    struct str_list ports;
};

/* scan_plan_make divides the targets among agents of `scope` or those that are named: networks are cut, so that all who may ask one
 * share it.  Those that call come before those that are away.  Fails with E_INVALID and the field for what cannot be read, with
 * E_NOT_GRANTED for what nobody may ask. */
RC scan_plan_make(struct ctx *ctx, struct core *core, struct txn *txn, const struct api_scan_spec *spec, const char *scope,
                  struct scan_plan *out);
/* scan_plan_other finds who may go on with a part that `agent` has; not who is away.  `id` NULL: nobody.  `there`: `agent` may
 * still scan something. */
RC scan_plan_other(struct ctx *ctx, struct core *core, struct txn *txn, const struct api_scan_spec *spec, const char *scope,
                   const struct api_strings *targets, const char *agent, const char **id, const char **name, bool *there);

#endif
