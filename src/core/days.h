/* How the numbers of the inventory changed by day: of all certificates, of one issuer, key, finding … (core/counter.h), in a team
 * and those within it. */
#ifndef CORE_DAYS_H
#define CORE_DAYS_H

#include "core/core.h"
#include "store/queries.h"

#define DAYS_MOST 800 /* numbers by day are kept so long: COUNTER_DAYS_KEPT */

struct days_ask {
    const char *of;   /* a dimension: "total", "issuer", "finding", … */
    const char *key;  /* as facets give it; NULL for total and managed, which have none */
    const char *team; /* NULL: all that the caller may see */
    int64_t days;
};
struct days {
    int64_t now;                 /* the number as it is, but for the last seconds */
    struct q_counter_days_row *v; /* days with a change, oldest first; `day` counts from 1970 */
    size_t n;
};
/* days_of fails with E_INVALID at the field where there is no such dimension, key or team. */
RC days_of(struct ctx *ctx, struct core *core, const struct days_ask *ask, struct days *out);

#endif
