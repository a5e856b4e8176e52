/* Managed challenges: what other ACME clients (certbot, lego, …) are to show in DNS, put there for them.
 *
 * Who asks gives a name and the text of the record (RFC 8555 section 8.4); it is shown where the caller's team has a DNS provider
 * for that name, or was granted one; with a token for an agent's host (core/access.h), where that agent was granted one.  The
 * credential never leaves the provider's agent.  What is not taken back within a day is taken away.  States: presenting →
 * presented | failed; then cleaning → cleaned | leftover. */
#ifndef CORE_DNS_CHALLENGE_H
#define CORE_DNS_CHALLENGE_H

#include "base/str.h"
#include "core/core.h"
#include "store/queries.h"

#define DNS_CHALLENGE_S 86400
/* As many a team may have that are not taken away, and the clients of an agent's host beside it. */
#define DNS_CHALLENGES_MAX 1000

/* dns_challenge_create has it shown; the same once more is the one there is.  E_FORBIDDEN where nobody may answer for the name.
 * `team` NULL: the principal's. */
RC dns_challenge_create(struct ctx *ctx, struct core *core, const char *name, const char *value, const char *team,
                        const char **id);
RC dns_challenge_show(struct ctx *ctx, struct core *core, const char *id, struct q_managed_challenge_get_row *out);
RC dns_challenge_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit,
                      struct q_managed_challenge_get_row **out, size_t *n);
/* dns_challenge_remove has it taken away; what is taken away already is no failure. */
RC dns_challenge_remove(struct ctx *ctx, struct core *core, const char *id);

/* --- in the transactions of jobs and timers.  error_code NULL: it worked. */
/* dns_challenge_told adds lines to the story of one; the newest are kept.  Of a record that stays (core/persist.h), to those of the
 * certificates that need it. */
RC dns_challenge_told(struct ctx *ctx, struct txn *txn, const char *id, const struct str_list *lines);
RC dns_challenge_presented(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const char *error_code,
                           const char *error);
RC dns_challenge_cleaned(struct ctx *ctx, struct txn *txn, const char *id, const char *error_code, const char *error);
RC dns_challenge_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id);
/* dns_challenge_sweep takes away what a provider left behind, and does now what waits. */
RC dns_challenge_sweep(struct ctx *ctx, struct core *core, struct txn *txn, const char *provider, size_t *n);

#endif
