/* Audit entries: written in the transaction they speak of. */
#ifndef CORE_AUDIT_H
#define CORE_AUDIT_H

#include "core/core.h"

/* audit_write adds an entry for ctx->principal, who asked from ctx->peer, with the hash of its leaf (core/audit_log.h).  `detail`
 * is a JSON object, never with a secret: of audit_change() where something changed, else of audit_facts(); empty for {}. */
RC audit_write(struct ctx *ctx, struct txn *txn, const char *action, const char *object_kind, const char *object_id,
               const char *team, struct bytes detail);

/* audit_change makes the detail of a change: {"before": {…}, "after": {…}} with the fields that differ.  `before` and `after` are
 * JSON objects; empty where there was nothing, or is nothing any more.  Fields that hold a secret are left out. */
struct bytes audit_change(struct ctx *ctx, struct bytes before, struct bytes after);
/* audit_facts is an object of pairs of key and text, ended by NULL; a NULL text leaves its key out.  A key that ends with ':' has
 * JSON instead of text. */
struct bytes audit_facts(struct ctx *ctx, ...) __attribute__((sentinel));
/* audit_number is the text of a number, for audit_facts(). */
const char *audit_number(struct ctx *ctx, int64_t n);
/* audit_field is audit_change() for one field that is text (NULL: none). */
struct bytes audit_field(struct ctx *ctx, const char *field, const char *before, const char *after);

/* step_write adds one step to the story of a managed certificate; attempt and deployment may be NULL. */
RC step_write(struct ctx *ctx, struct txn *txn, const char *managed, const char *attempt, const char *deployment, const char *name,
              const char *fmt, ...) __attribute__((format(printf, 7, 8)));
RC step_write_at(struct ctx *ctx, struct txn *txn, const char *managed, const char *attempt, const char *deployment, int64_t at_ms,
                 const char *name, const char *text);

#endif
