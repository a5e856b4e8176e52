/* Whether a second choice could issue for the certificates that would go to it: every day an agent asks for the CAA records of some
 * of their names (RFC 8659, RFC 8657), those first that were looked at longest ago.  A certificate whose names cannot be proved to
 * it at all is told as well.  Part of the daily look of core/standby.h. */
#ifndef CORE_STANDBY_LOOK_H
#define CORE_STANDBY_LOOK_H

#include "api/types.h"
#include "base/str.h"
#include "core/core.h"
#include "store/queries.h"

/* standby_look_begin (the timer "caa" of an issuer) has an agent look; nobody waits for it. */
RC standby_look_begin(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer);
/* standby_look_ended takes what was found by the look that began at `begun_at`. */
RC standby_look_ended(struct ctx *ctx, struct txn *txn, const char *issuer, int64_t begun_at, const struct api_finding *findings,
                      size_t n);

/* standby_look_troubles: what people are told.  standby_look_words: the same of one issuer, "NAME: why" each. */
RC standby_look_troubles(struct ctx *ctx, struct txn *txn, int64_t most, void *arg,
                         void (*add)(void *arg, const char *object, const char *text, const char *remedy));
RC standby_look_words(struct ctx *ctx, struct txn *txn, const char *issuer, struct str_list *out);

#endif
