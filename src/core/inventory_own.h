/* Between the files of the inventory (core/inventory*.c): nobody else includes this. */
#ifndef CORE_INVENTORY_OWN_H
#define CORE_INVENTORY_OWN_H

#include <pthread.h>

#include "core/counter.h"
#include "core/inventory.h"
#include "store/queries.h"

struct dictionary;
struct inventory {
    struct dictionary *_Atomic newest; /* packs; those behind it unpack what they once packed */
    pthread_mutex_t lock;              /* of whoever adds one */
    int64_t looked_at;                 /* how many certificates there were when a better dictionary was last looked for */
    int64_t walked, named;             /* the endpoint, and the name of an issuer, up to which retention has come; 0: at the end */
    int64_t walk_at, names_at;         /* when it begins again */
};

/* What is counted of a certificate. */
struct counted {
    int64_t team, issuer, not_before, not_after, key_kind, key_bits, signature_kind, flags, findings, source;
};
void inventory_count(struct ctx *ctx, struct counter_sum *sum, const struct counted *c, int64_t n);

/* When the clock has something to do with a certificate: its findings change, or it is old enough to go. */
int64_t inventory_due(int64_t findings_due, int64_t not_after, int64_t last_seen, int64_t flags);

/* inventory_read_one gives columns, terms and findings of one DER: what inventory_prepare() does, but for packing. */
RC inventory_read_one(struct ctx *ctx, struct bytes der, int64_t flags, struct inventory_ready *out);
RC inventory_issuer_of(struct ctx *ctx, struct txn *txn, const struct inventory_issuer *issuer, int64_t *id);
RC inventory_findings_add(struct ctx *ctx, struct txn *txn, int64_t id, int64_t mask, int64_t since);
RC inventory_team_number(struct ctx *ctx, struct core *core, struct txn *txn, const char *team_id, int64_t *number);

/* inventory_due_move moves its row in certificate_due (0: none); the column follows by q_certificate_findings_set().
 * inventory_drop takes it away, with all that was known of it. */
RC inventory_due_move(struct ctx *ctx, struct txn *txn, int64_t id, int64_t from, int64_t to);
RC inventory_drop(struct ctx *ctx, struct txn *txn, struct counter_sum *sum, const struct q_certificate_row_row *row,
                  struct bytes der);

/* inventory_endpoint_drop takes an endpoint away with the findings that hold there; what it showed stays. */
RC inventory_endpoint_drop(struct ctx *ctx, struct core *core, struct txn *txn, int64_t id);

/* inventory_dictionary_look trains a dictionary where there is none yet, or one that is old, and a new one is better by 5 %. */
RC inventory_dictionary_look(struct ctx *ctx, struct core *core, int64_t certificates);

#endif
