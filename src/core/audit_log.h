/* The audit log as a Merkle tree (RFC 9162): what proves that nothing in it was changed, taken out or put in.
 *
 * audit_write() (core/audit.h) notes an entry, and the hash of its leaf, in the transaction that it speaks of.  The sequencer, one
 * process at a time, gives entries their places in the order of their numbers, folds their hashes into the tree (core/audit_tree.h)
 * and has the signer sign its head.  The signer remembers its last one and signs nothing that does not extend it. */
#ifndef CORE_AUDIT_LOG_H
#define CORE_AUDIT_LOG_H

#include "api/audit_entry.h"
#include "core/audit_tree.h"
#include "store/queries.h"

/* What the sequencer found wrong; in core->audit.alarm. */
enum audit_alarm { AUDIT_FINE, AUDIT_OLDER, AUDIT_FORKED, AUDIT_KEY_LOST, AUDIT_STUCK };

/* audit_tick folds what is new and has the head signed; `more` where there is more to fold at once.  What is wrong with the log
 * keeps nothing else from being done: it is told. */
void audit_tick(struct ctx *ctx, struct core *core, bool *more);
/* audit_troubles calls `add` for what is wrong with the log. */
void audit_troubles(struct ctx *ctx, struct core *core, void *arg,
                    void (*add)(void *arg, const char *object, const char *text, const char *remedy));

/* A head, as it was signed. */
struct audit_signed {
    struct merkle_head head;
    struct bytes signature, key;
};
/* audit_entry_of is the entry of a row; audit_entry_hash the hash of its leaf. */
struct audit_entry audit_entry_of(const struct q_audit_list_row *row);
RC audit_entry_hash(struct ctx *ctx, const struct audit_entry *e, uint8_t out[MERKLE_LEN]);

/* audit_head finds the newest signed head, or that of `size` leaves (0: the newest): E_NOT_FOUND.  `tree`: the leaves there are,
 * `kept_from`: the place of the first entry that is still kept. */
struct audit_state {
    struct audit_signed last;
    bool some; /* a head was signed */
    int64_t tree, kept_from;
};
RC audit_head(struct ctx *ctx, struct core *core, int64_t size, struct audit_state *out);
/* audit_consistency makes the proof that the tree of `size` leaves extends that of `old`. */
RC audit_consistency(struct ctx *ctx, struct core *core, int64_t old, int64_t size, struct merkle_path *out);

/* audit_root is the root of the first `size` entries, signed or not. */
RC audit_root(struct ctx *ctx, struct core *core, int64_t size, struct bytes *out);

/* What is asked for: "" and 0 ask for anything.  since ≤ at < until. */
struct audit_filter {
    const char *principal, *action, *object;
    const char *certificate; /* of an export: id of a managed certificate, whose ledger it is (core/ledger.h); NULL: of anything */
    int64_t since, until;
};
/* audit_list gives a page, newest first, of entries with a seq below `before`. */
RC audit_list(struct ctx *ctx, struct txn *txn, const struct audit_filter *f, int64_t before, int64_t limit,
              struct q_audit_list_row **rows, size_t *n);

/* audit_sees_all says whether ctx->principal sees the entries of all teams, also of those that are gone. */
bool audit_sees_all(const struct ctx *ctx, const struct core *core);

/* A page of an export: entries in the order of the log, from place `from` on, each with its path (merkle_walk: a page begins at the
 * root) to the head of `size` leaves. */
struct audit_line {
    int64_t n;
    const char *entry;      /* its text */
    struct bytes path;      /* hashes one after the other */
};
RC audit_export(struct ctx *ctx, struct core *core, const struct audit_filter *f, int64_t size, int64_t from, int64_t limit,
                struct audit_line **lines, size_t *n, bool *more);

/* Retention: entries older than core->audit.keep_s go, their hashes stay; 0 keeps all. */
RC audit_expire(struct ctx *ctx, struct core *core, struct txn *txn);

#endif
