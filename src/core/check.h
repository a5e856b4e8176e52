/* certwright check: proves that what is derived follows from what it is derived of.  In one consistent snapshot of the
 * database: each certificate's fingerprint, columns, findings, due time and terms against its DER, counters against the rows,
 * references between tables. */
#ifndef CORE_CHECK_H
#define CORE_CHECK_H

#include "core/core.h"

#define CHECK_SHOWN_MAX 50

struct check_result {
    int64_t certificates; /* looked at */
    int64_t terms;        /* of them, those whose terms were looked up */
    int64_t wrong;        /* what does not fit */
    const char *shown[CHECK_SHOWN_MAX]; /* the first of it, in words */
    size_t shown_n;
};

/* check_run needs a core with a store and an inventory, no more.  `all` looks up the terms of every certificate, else of one in a
 * hundred.  `progress` (may be NULL) is told how many were looked at.  What does not fit is no failure. */
RC check_run(struct ctx *ctx, struct core *core, bool all, void (*progress)(void *arg, int64_t done), void *arg,
             struct check_result *out);

#endif
