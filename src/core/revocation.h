/* Revocation (RFC 5280 section 5.3.1): of one version, and of every certificate that has a key.
 *
 * What is served is either replaced first (it is revoked once the next version is served everywhere, and not at all where that does
 * not come about in time: people are told) or at once (it is revoked, and then replaced).  A key that is with somebody else is not
 * used for another certificate, whoever asks. */
#ifndef CORE_REVOCATION_H
#define CORE_REVOCATION_H

#include "core/core.h"
#include "store/queries.h"

/* USUAL: first where the certificate may well be used meanwhile (superseded, cessationOfOperation, affiliationChanged), else now.
 */
enum revocation_when { REVOCATION_USUAL, REVOCATION_FIRST, REVOCATION_NOW };

/* What was not replaced in this time is not revoked; longer than that no renewal fails without somebody being told. */
#define REVOCATION_WAITS_S ((int64_t)14 * 86400)

/* revocation_reason reads "keyCompromise" and so on; those that only a CA states are none.  E_INVALID at /reason. */
RC revocation_reason(struct ctx *ctx, const char *word, int64_t *code);
/* revocation_check refuses codes that are none. */
RC revocation_check(struct ctx *ctx, int64_t code);
bool revocation_waits(int64_t code, enum revocation_when when);
/* revocation_renews: of a current version, having it replaced is what is wanted, as with a renewal. */
bool revocation_renews(int64_t code, enum revocation_when when);

/* revocation_do: the row says so at once; the CA is told by a job that is tried until it has.  `done` is false where it was revoked
 * before.  E_NOT_FOUND where there is no such version. */
RC revocation_do(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, const char *name, int64_t number,
                 int64_t code, bool *done);
/* revocation_wait has the current version replaced, and revoked then.  E_PAUSED. */
RC revocation_wait(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_get_row *m, int64_t code);
/* revocation_due (the timer "revoke" of a managed certificate) revokes what was replaced, or gives up; revocation_served makes it
 * due: the current version is served. */
RC revocation_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed);
RC revocation_served(struct ctx *ctx, struct txn *txn, const char *managed);

/* revocation_key_is_known: the key was said to be with somebody else.  An empty hash is of no key. */
RC revocation_key_is_known(struct ctx *ctx, struct txn *txn, struct bytes spki_sha256, bool *known);

/* What is asked for. */
struct revocation_input {
    const char *ref; /* name or id of a managed certificate, or the first digits of a fingerprint */
    int64_t version; /* of a managed one; 0: the current one */
    int64_t code;
    enum revocation_when when;
    bool key;     /* every certificate that has the same key */
    bool dry_run; /* say what would be done */
};
struct revocation_item {
    const char *fingerprint, *name, *issuer;
    const char *managed; /* id; NULL: not managed here */
    const char *act;     /* replace-first, replace-now, revoke, none */
    const char *why;     /* of none, or why it failed; "" */
    int64_t version, not_after;
    bool done;
};
#define REVOCATION_ITEMS_MAX 1000

/* revocation_ask finds what it is about, within the caller's teams, and does it, each certificate for itself: what failed says why,
 * and the others are done. */
RC revocation_ask(struct ctx *ctx, struct core *core, const struct revocation_input *in, struct revocation_item **items, size_t *n);

#endif
