/* Records of dns-persist-01 (draft-ietf-acme-dns-persist): written once for a name, an issuer and its account, good for every order
 * until they end; written anew before that, and told where that fails. */
#ifndef CORE_PERSIST_H
#define CORE_PERSIST_H

#include "core/attempt.h"

/* persist_prove makes what proves `identifier` ("dns:…", without "*.") to the attempt's issuer: the record that is there, where it
 * lasts, or another one.  The CA's challenge names `issuer_domain`.  Outside the transaction. */
RC persist_prove(struct ctx *ctx, struct core *core, const struct q_attempt_by_id_row *a, const struct wish *w,
                 const char *identifier, const char *account_url, const char *issuer_domain, struct order_challenge *out);
/* persist_keep notes the record of a challenge that was presented; another one that was there before goes. */
RC persist_keep(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer, const struct q_challenge_list_row *c);

/* persist_due is the timer "persist" of a record: where somebody needs it still, and may have it answered (core/solver.h), it is
 * written anew in time; else it is taken away, for it would let the account have certificates until it ends.  persist_written is
 * how the one job ended, persist_cleaned the other; `why` is NULL where it went well. */
RC persist_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id);
RC persist_written(struct ctx *ctx, struct txn *txn, const char *id, const char *payload, const char *why);
RC persist_cleaned(struct ctx *ctx, struct txn *txn, const char *id, const char *why);
/* persist_review does so now for the records at and below `names`, whose providers, grants or certificates have changed; returns
 * how many are being taken away. */
RC persist_review(struct ctx *ctx, struct core *core, struct txn *txn, const struct str_list *names, size_t *n);

/* persist_issuer_gone has all records of an issuer that is removed taken away: they would let its account have certificates. */
RC persist_issuer_gone(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer, size_t *n);
/* persist_told adds what was done about a record to the stories of the certificates that need it. */
RC persist_told(struct ctx *ctx, struct txn *txn, const char *id, const struct str_list *lines);

/* persist_troubles tells of records that end soon, and of those that are being taken away. */
RC persist_troubles(struct ctx *ctx, struct txn *txn, int64_t most, void *arg,
                    void (*add)(void *arg, const char *object, const char *text, const char *remedy));

#endif
