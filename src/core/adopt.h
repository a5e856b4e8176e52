/* Lineages of other ACME clients on hosts: looked at, taken over, given back.
 *
 *     looking → seen → adopting → adopted → releasing → released
 *        └────────┬───────┘→ failed    ↑________|  (it could not be given back: it stays ours)
 *
 * What taking one over would change is said by its agent, which looks; what is shown is what is done, or it is refused.  The
 * managed certificate is made at once, paused, so that what stands in its way is told before anything is changed; it goes on once
 * the other client leaves the lineage alone.  Until it would have been renewed anyway the certificate that is there is used, and
 * its key stays where it is; what comes then is written to the same files: those that a service names by that service's own target,
 * so that it is reloaded, proved and undone as any other, the rest by a target of connector `files`.
 *
 * Its agent keeps what was there (agent/apply/adopt.h), and gives it back. */
#ifndef CORE_ADOPT_H
#define CORE_ADOPT_H

#include "api/types.h"
#include "core/core.h"
#include "core/result.h"
#include "store/queries.h"

/* adoption_look has agents look; the ids of what it makes, or finds there, in `out`. */
RC adoption_look(struct ctx *ctx, struct core *core, const struct api_adoption_new *in, struct str_list *out);
RC adoption_adopt(struct ctx *ctx, struct core *core, const char *id, const struct api_adoption_wish *in);
/* adoption_release gives the managed certificate `ref` back; `id` is its adoption. */
RC adoption_release(struct ctx *ctx, struct core *core, const char *ref, bool keep_files, const char **id);

struct adoption_view {
    struct q_adoption_get_row row;
    bool seen; /* the next four are known */
    struct api_job_adopted plan;
    struct str_list names;
    const char *fingerprint;
    int64_t not_after;
    struct str_list issuers; /* who would be asked */
};
RC adoption_show(struct ctx *ctx, struct core *core, const char *id, struct adoption_view *out);
/* adoption_list: the newest first, those before the id `before` ("": all). */
RC adoption_list(struct ctx *ctx, struct core *core, const char *before, int64_t limit, struct adoption_view **out, size_t *n);

/* adoption_holds clears *needs where a managed certificate without a version has the one that was there before it, which will do
 * still; its timer is armed then. */
RC adoption_holds(struct ctx *ctx, struct txn *txn, const struct q_managed_by_id_row *m, bool *needs);
/* adoption_words says so in a sentence; "" where it is not so. */
RC adoption_words(struct ctx *ctx, struct txn *txn, const char *managed, struct bytes wish_hash, const char **out);
/* adoption_keeps refuses (E_CONFLICT) to remove a managed certificate that is to be given back. */
RC adoption_keeps(struct ctx *ctx, struct txn *txn, const char *managed, const char *name);

/* adoption_settled refuses (E_CONFLICT) to go on with a managed certificate that is being taken over, or given back, just now. */
RC adoption_settled(struct ctx *ctx, struct txn *txn, const char *managed, const char *name);

/* How the jobs ended. */
RC adopt_job_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r);
RC release_job_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r);

#endif
