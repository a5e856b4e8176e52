/* Audit entries: written in the transaction they speak of. */
#ifndef CORE_AUDIT_H
#define CORE_AUDIT_H

#include "core/core.h"

/* audit_write adds an entry for ctx->principal.  `detail` is JSON made by the builder (before and after, never a secret), empty for
 * {}. */
RC audit_write(struct ctx *ctx, struct txn *txn, const char *action, const char *object_kind, const char *object_id,
               const char *team, struct bytes detail);

/* step_write adds one step to the story of a managed certificate; attempt and deployment may be NULL. */
RC step_write(struct ctx *ctx, struct txn *txn, const char *managed, const char *attempt, const char *deployment, const char *name,
              const char *fmt, ...) __attribute__((format(printf, 7, 8)));
RC step_write_at(struct ctx *ctx, struct txn *txn, const char *managed, const char *attempt, const char *deployment, int64_t at_ms,
                 const char *name, const char *text);

#endif
