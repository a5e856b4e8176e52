/* Taking out of the inventory what was found where it should not have been looked. */
#ifndef CORE_FORGET_H
#define CORE_FORGET_H

#include "core/core.h"

#define FORGET_MOST 200 /* endpoints of one transaction */

struct forgotten {
    int64_t endpoints, certificates;
    bool more; /* there are others: ask again */
};
/* forget_places takes the endpoints at `at` ("10.0.0.0/8", "host:443", a name and those below it; as ask_place) out of the
 * inventory, up to FORGET_MOST of them that the caller may, and the caller's certificates that a scan or an agent brought and that
 * are seen nowhere any more.  Managed ones stay.  `dry`: only count; `after` is then where to go on (0: from the beginning), and is
 * moved. */
RC forget_places(struct ctx *ctx, struct core *core, const char *at, bool dry, int64_t *after, struct forgotten *out);

#endif
