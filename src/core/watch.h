/* What the hub watches of itself: the clock, and whether database and signer are of one piece. */
#ifndef CORE_WATCH_H
#define CORE_WATCH_H

#include "core/core.h"

#define WATCH_MS 60000

/* watch_start compares, before anything is made at a start: a signer that has lost the CAs of this installation, or has others, is
 * refused (E_CONFLICT), for every client that trusts the old ones would break with the next renewals. */
RC watch_start(struct ctx *ctx, struct core *core);
/* watch_fleet keeps which fleet CA this installation has: once, at its first start. */
RC watch_fleet(struct ctx *ctx, struct core *core, const uint8_t sha256[32]);
/* watch_tick looks, every minute: keeps the time and how much the signer has issued, or notes in core->watch what is wrong. */
RC watch_tick(struct ctx *ctx, struct core *core);
/* watch_troubles calls `add` for what is wrong now. */
void watch_troubles(struct ctx *ctx, struct core *core, void *arg,
                    void (*add)(void *arg, const char *object, const char *text, const char *remedy));

#endif
