/* Rehearsals: every day a real order, with real proofs, at the staging environment of an issuer that is somebody's second choice.
 * Each day it is for the names of another certificate that would go there, proved as they would be then: an issuer NAME-staging
 * (the same agent, the same way to prove names) and a managed certificate NAME-rehearsal, deployed nowhere, with as many as ten
 * names.
 *
 * A CA that binds accounts has other keys for its staging environment, so there it begins once NAME-staging is there.
 *
 * `certwright issuer rehearse` makes the same for names that a person says: those are rehearsed then, and no others. */
#ifndef CORE_REHEARSAL_H
#define CORE_REHEARSAL_H

#include "base/str.h"
#include "core/core.h"
#include "store/queries.h"

/* rehearsal_due (the timer "rehearsal" of an issuer) begins one where the last was a day ago; where none is wanted any more (the
 * issuer stands by for nobody, or was told not to) what was made for it is removed. */
RC rehearsal_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer);

/* rehearsal_of begins to issue once what a managed certificate would get by the wish `w`, as a certificate of the name given that
 * is deployed nowhere: at the staging environment of its first issuer, or at our own CA.  E_CONFLICT where neither can be. */
struct wish;
RC rehearsal_of(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, const char *name, struct wish *w,
                const char **id);

struct rehearsal_view {
    const char *certificate; /* NULL: there is none */
    struct str_list names;
    const char *state; /* working, passed, failed; blocked: it cannot begin */
    int64_t at;        /* when it passed or failed last; 0: never */
    const char *error; /* NULL: it passed */
};
struct issuer_settings;
RC rehearsal_show(struct ctx *ctx, struct txn *txn, const char *issuer, const struct issuer_settings *s,
                  struct rehearsal_view *out);

#endif
