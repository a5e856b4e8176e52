/* Which way a name is proved (RFC 8555 section 8), and who does it.
 *
 * The issuer says how (challenge.method).  "auto" is http-01 wherever it can be; dns-01 for a wildcard, which nothing else proves
 * (RFC 8555 section 7.1.3), and where http-01 is left to targets and there is none.  An IP address is never proved by DNS (RFC 8738
 * section 7).
 *
 * Who answers in DNS is found by the name: of the zones above it the longest wins; of two providers for one zone that which failed
 * less lately.  A provider answers for its own team, and for whom it is granted to (core/dns_provider.h): the teams within its own
 * are not, before somebody says so. */
#ifndef CORE_SOLVER_H
#define CORE_SOLVER_H

#include "core/issuer.h"
#include "core/wish.h"
#include "store/queries.h"

/* solver_is_dns: answered by a TXT record. */
bool solver_is_dns(const char *method);

/* solver_pick decides for one name.  `asked` is the issuer's word (NULL: auto); NULL is returned, and `why` says so, where the name
 * cannot be proved as the issuer wants it. */
struct solver_name {
    bool wildcard, ip;
    bool unserved; /* http-01 is left to targets, and there is none */
    bool provided; /* a DNS provider answers for it */
};
const char *solver_pick(const char *asked, const struct solver_name *name, const char **why);

/* Whose names they are. */
struct solver_owner {
    const char *team;
    struct str_list agents; /* ids: grants to these count too, but not to the hub's own, which makes keys for every team */
    bool targets;           /* it is served somewhere */
};
RC solver_owner_of(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, struct solver_owner *out);

/* solver_provider finds who answers in DNS for `name` (without "*.").  Where nobody may, `out` is a provider of a team above that
 * could be granted, or has no id. */
RC solver_provider(struct ctx *ctx, struct txn *txn, const struct solver_owner *owner, const char *name,
                   struct q_dns_answering_row *out, bool *found);

/* solver_ungranted says in words what is missing where solver_provider has found nobody for `name`, with the command. */
RC solver_ungranted(struct ctx *ctx, struct txn *txn, const struct solver_owner *owner, const char *name,
                    const struct q_dns_answering_row *above, const char **out);

/* solver_methods says how each of `names` is proved, in their order; E_CONFLICT with the remedy where one cannot be.  Empty where
 * all are proved by http-01, or the issuer asks for no proof. */
RC solver_methods(struct ctx *ctx, struct txn *txn, const struct solver_owner *owner, const char *issuer,
                  const struct issuer_settings *s, const struct str_list *names, struct str_list *out);

/* solver_was_asked refuses (E_BAD_ANSWER) a challenge of another type than the job `order` with this payload asked for: the agent
 * that relays says which it took, and with dns-persist-01 it would say as well whose account is to be let in, for a year. */
RC solver_was_asked(struct ctx *ctx, const char *payload, const char *identifier, const char *type);

/* solver_check refuses a wish whose names cannot be proved to one of its issuers, before anything is done for it.  The lists are
 * the ids of its issuers and targets; `team` owns it. */
RC solver_check(struct ctx *ctx, struct txn *txn, const char *team, const struct wish *w, const struct str_list *issuers,
                const struct str_list *targets);
/* solver_unproved lists the managed certificates with names below `zones` that cannot be proved as things are.
 * solver_still_proves refuses (E_IN_USE, naming the first) where there is one that is not among those of `before`: called after a
 * provider was taken away, before that commits. */
RC solver_unproved(struct ctx *ctx, struct core *core, struct txn *txn, const struct str_list *zones, struct str_list *ids);
RC solver_still_proves(struct ctx *ctx, struct core *core, struct txn *txn, const struct str_list *zones,
                       const struct str_list *before);
/* solver_owner_wished is the owner of a wish that has no attempt yet. */
RC solver_owner_wished(struct ctx *ctx, struct txn *txn, const char *team, const struct wish *w, const struct str_list *targets,
                       struct solver_owner *out);

/* solver_choose finds who answers a challenge of the type that the relay took for `identifier` ("dns:…", a wildcard's without
 * "*.").
 */
struct solver_choice {
    const char *agent, *via; /* via: JSON, connector and parameters */
    const char *provider;    /* id of the DNS provider; NULL: none */
};
RC solver_choose(struct ctx *ctx, struct txn *txn, const struct solver_owner *owner, const struct issuer_settings *s,
                 const struct q_attempt_by_id_row *a, const char *method, const char *identifier, struct solver_choice *out);

/* solver_lane is where the jobs of a challenge queue: two that touch the same configuration file, or the same name in DNS, are
 * never done at once.  `ref`: the attempt. */
const char *solver_lane(struct ctx *ctx, const char *provider, const char *identifier, const char *ref);

/* solver_via_now gives what an answer is taken away with: as it was put there, but with the parameters that the provider has now,
 * where it is still the same one. */
RC solver_via_now(struct ctx *ctx, struct txn *txn, const char *provider, const char *agent, const char *via, const char **out);

/* solver_via_dns makes `via` of a DNS provider.  Where it is granted, or its agent is another team's, it says below which names
 * alone records may be changed: whose names they are can make them aliases of others (CNAME), which were not granted. */
RC solver_via_dns(struct ctx *ctx, struct txn *txn, const struct solver_owner *owner, const struct q_dns_answering_row *by,
                  const char **via);

#endif
