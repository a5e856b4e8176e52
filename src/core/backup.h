/* Backups: the database, what the signer has in its folder, and the configuration, in one file that the recovery key opens
 * (core/backup_file.h, docs/BACKUP.md).
 *
 * The order is what makes it consistent.  The database comes first, as it was at one moment; the signer after it.  So the signer's
 * part may know of certificates and revocations that the database does not: a restore compares the two (core/restore.h).  The other
 * way round, the database would know of what the CA has forgotten.  Of the signer, first the length of the journal is fixed and
 * the list of keys taken, in one message: a key is on the disk before the journal speaks of it. */
#ifndef CORE_BACKUP_H
#define CORE_BACKUP_H

#include "core/core.h"

#define BACKUP_DAY_S 86400
/* This long nobody is told that there are no backups. */
#define BACKUP_GRACE_S ((int64_t)7 * BACKUP_DAY_S)

/* One a hub, constant. */
struct backup_settings {
    const char *dir; /* where those on schedule go; NULL: none are made */
    bool elsewhere;  /* others see to backups: that there is none is not told */
    int64_t every_s, keep;
    const char *scratch;        /* a folder of the hub's own */
    struct bytes recovery;      /* public half of the recovery key's pair; empty: not known */
    struct bytes configuration; /* sealed to it by the parent: the hub cannot read it (BACKUP_CONFIGURATION) */
    const char *version;        /* of the program */
};
#define BACKUP_CONFIGURATION BYTES_LIT("configuration") /* associated data of what is sealed */
#define BACKUP_SUFFIX        ".cwbackup"

struct q_backup_get_row;

/* backup_ask notes that somebody wants one: `id` names it.  E_CONFLICT where the recovery key is not known. */
RC backup_ask(struct ctx *ctx, struct core *core, const char **id);
RC backup_show(struct ctx *ctx, struct core *core, const char *id, struct q_backup_get_row *out);
RC backup_list(struct ctx *ctx, struct core *core, int64_t limit, struct q_backup_get_row **rows, size_t *n);
/* backup_piece reads of the file of one that somebody asked for: E_NOT_FOUND where it has gone (after an hour). */
RC backup_piece(struct ctx *ctx, struct core *core, const char *id, int64_t offset, size_t most, struct bytes *out);

/* backup_work makes one where one is due or asked for; `did`: there may be another.  For the one thread that makes them.
 * backup_start readies it: what an earlier hub left half done goes. */
RC backup_start(struct ctx *ctx, struct core *core);
RC backup_work(struct ctx *ctx, struct core *core, bool *did);

/* backup_due is the timer that says, once a day, that backups are old. */
RC backup_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref);
/* backup_last gives when the last good one began; 0: never. */
RC backup_last(struct ctx *ctx, struct core *core, int64_t *at);
/* backup_troubles calls `add` for what is wrong with them. */
RC backup_troubles(struct ctx *ctx, struct core *core, void *arg,
                   void (*add)(void *arg, const char *object, const char *text, const char *remedy));

#endif
