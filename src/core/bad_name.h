/* One bad name of many: what follows when the CA could not validate some names of a certificate.
 *
 *     fail    nothing is issued; all are tried again with backoff (the default)
 *     drop    the next attempt leaves them out, and the next renewal asks for them again.  A name that is served now is left out
 * only when it failed a second time in a row split   as drop, and for good: they become a managed certificate of their own,
 * deployed nowhere, that is tried by itself
 *
 * Names that fail again and again for a week pause their certificate: they no longer lead to us. */
#ifndef CORE_BAD_NAME_H
#define CORE_BAD_NAME_H

#include "api/types.h"
#include "core/core.h"
#include "core/wish.h"
#include "store/queries.h"

/* The relay tells each name that the CA refused by a step of this name; its text is "dns:www.example.org: why". */
#define BAD_NAME_STEP "refused"

/* bad_names_leave_out takes the names that were dropped out of the wish of an attempt that begins; a renewal asks for all again. */
RC bad_names_leave_out(struct ctx *ctx, struct txn *txn, const struct q_managed_by_id_row *m, const char *reason, struct wish *w,
                       bool *changed);
/* bad_names_note keeps what the CA said of single names (steps of the order's job) and does as the wish says; `*others` where the
 * next attempt asks for other names and need not wait.  Before attempt_failed. */
RC bad_names_note(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a,
                  const struct api_job_result *raw, bool *others);
/* bad_names_issued forgets what was wrong with names that were issued. */
RC bad_names_issued(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a);
/* bad_names_words: "without b.example.org (…) and 3 more until the next renewal"; "" where none is left out. */
RC bad_names_words(struct ctx *ctx, struct txn *txn, const char *managed, const char **out);

#endif
