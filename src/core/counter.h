/* Numbers of people's interest, kept while things change instead of counted when asked for: a transaction appends what it
 * changes, one row a number (counter_delta), which is folded into table counter within seconds.  Every number is of one team. */
#ifndef CORE_COUNTER_H
#define CORE_COUNTER_H

#include "core/core.h"

/* Dimensions of the inventory, and their keys. */
#define COUNTER_TOTAL "total"         /* "": certificates; its days are how many came, less those that went */
#define COUNTER_ISSUER "issuer"       /* number of the issuer_name */
#define COUNTER_KEY "key"             /* inventory_key_word() */
#define COUNTER_SIGNATURE "signature" /* cert_signature_word() */
#define COUNTER_FINDING "finding"     /* id of the check */
#define COUNTER_MANAGED "managed"     /* "": current versions of managed certificates */
#define COUNTER_SUPERSEDED "superseded" /* "": those another version took the place of */
#define COUNTER_EXPIRES "expires"     /* month in which they end, "2026-11"; "never" */
#define COUNTER_SOURCE "source"       /* inventory_source_word() */
#define COUNTER_LIFETIME "lifetime"   /* of those that are no CA's: the least of the limits below that it keeps; "longer" */
/* And of the work: what ended, ever and by day. */
#define COUNTER_ATTEMPT "attempt"       /* "issued"; else the name of the error (base/errors.def) */
#define COUNTER_DEPLOYMENT "deployment" /* the state in which it ended */

/* Changes of one transaction, in its arena; all-zero is none.  Dimension and key live as long. */
struct counter_change {
    const char *dimension, *key;
    int64_t team, n;
};
struct counter_sum {
    struct counter_change *v;
    uint32_t *slots; /* index into v, plus one */
    size_t n, cap, slots_n;
};
void counter_add(struct ctx *ctx, struct counter_sum *sum, int64_t team, const char *dimension, const char *key, int64_t n);
/* counter_merge adds all of `from`; dimensions and keys that are new are copied. */
void counter_merge(struct ctx *ctx, struct counter_sum *into, const struct counter_sum *from);
/* counter_write appends what has changed; changes that cancel out are none. */
RC counter_write(struct ctx *ctx, struct txn *txn, const struct counter_sum *sum);

/* counter_attempt and counter_deployment count one that has just ended as `key`, for the team of its managed certificate. */
RC counter_attempt(struct ctx *ctx, struct txn *txn, const char *attempt, const char *key);
RC counter_deployment(struct ctx *ctx, struct txn *txn, const char *deployment, const char *key);

/* counter_lifetime: 47, 100, 200 or 398, the steps by which the CA/Browser Forum shortens lifetimes (in days); 0: longer. */
int64_t counter_lifetime(int64_t not_before, int64_t not_after);
/* counter_month: "2026-11" of a time; "never" for CERT_NO_EXPIRY.  In the arena. */
const char *counter_month(struct ctx *ctx, int64_t at);

/* counter_fold folds the oldest changes; `more` where there are others. */
RC counter_fold(struct ctx *ctx, struct txn *txn, bool *more);
#define COUNTER_DAYS_KEPT 800
/* counter_expire adds the days before to day 1, so that all days of a number are that number together (certwright check proves it).
 * A migration that sets a number sets day 1 as well. */
RC counter_expire(struct ctx *ctx, struct txn *txn);

#endif
