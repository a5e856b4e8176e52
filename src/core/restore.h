/* What follows a restore, at the hub's first start after it: the database is compared with the signer's journal, which is younger.
 *
 * Certificates that the signer issued and the database does not know go into the inventory, or are revoked, as was asked for at the
 * restore; those that an attempt of the database still waits for are left to it: the signer gives it the same bytes again.  What
 * the signer has revoked is revoked here too.  Nothing is done twice: each step may be repeated. */
#ifndef CORE_RESTORE_H
#define CORE_RESTORE_H

#include "core/core.h"

/* restore_reconcile does nothing where no restore waits for it. */
RC restore_reconcile(struct ctx *ctx, struct core *core);

/* restore_mark changes a database that came out of a backup, before its first start: a new epoch, and nothing that was lent to
 * somebody (leases, sessions, join tokens) is valid any more. */
struct restore_facts {
    const char *backup_id;
    int64_t made_at, epoch; /* of the backup */
    const char *unknown;    /* "keep", "revoke" */
    bool signer_kept;
};
RC restore_mark(struct ctx *ctx, struct store *store, const struct restore_facts *facts);
/* restore_audit_head gives the newest head of the audit log that the database has: size 0 where there is none. */
RC restore_audit_head(struct ctx *ctx, struct store *store, uint64_t *size, uint8_t root[32]);

#endif
