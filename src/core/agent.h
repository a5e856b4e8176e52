/* Agents: how they join, what they are let do, and how a copied identity is noticed.
 *
 * An agent is its key: it is enrolled once with a join token, and what it may do was said by the token.  Its state:
 *     pending     joined, and somebody has to approve it
 *     active      works
 *     draining    finishes what it holds, and is given nothing new
 *     suspended   two hosts had its key; it works again when somebody says so
 *     removed     its key is never taken again */
#ifndef CORE_AGENT_H
#define CORE_AGENT_H

#include "api/types.h"
#include "core/core.h"
#include "store/queries.h"

/* agent_identity names who proves to have the key of this SubjectPublicKeyInfo: "key:" and its SHA-256. */
RC agent_identity(struct ctx *ctx, struct bytes spki, const char **out);

struct agent_joined {
    const char *id, *name, *state;
    struct bytes certificate; /* DER */
    struct bytes chain[8];    /* those between it and the root */
    size_t chain_n;
    int64_t not_after;
};
/* agent_join enrols the key of in->csr.  `address` is where it calls from.  E_UNAUTHENTICATED where the token is not known,
 * E_FORBIDDEN with what is wrong where it is not good for this agent, E_EXISTS where the name is taken. */
RC agent_join(struct ctx *ctx, struct core *core, const struct api_agent_join *in, const char *address, struct agent_joined *out);
/* agent_certificate_renew makes another certificate for the key that the agent has shown; within the hour it is the same one. */
RC agent_certificate_renew(struct ctx *ctx, struct core *core, const char *identity, const char *address, struct bytes spki,
                           struct agent_joined *out);

/* agent_greet takes what an agent says of itself, and refuses one that may not work: E_PENDING, E_FORBIDDEN.  Writes only where
 * something is new, or was last written some minutes ago. */
RC agent_greet(struct ctx *ctx, struct core *core, const char *identity, const char *address, const struct api_agent_self *self);

/* agent_may_call refuses one that may not work, as agent_greet does; within a transaction, so that it costs none of its own. */
RC agent_may_call(struct ctx *ctx, struct txn *txn, const char *identity, const char *address);
/* agent_is_current says whether no other start of the agent has called since: a long poll of one that is gone must take no job. */
RC agent_is_current(struct ctx *ctx, struct core *core, const char *identity, const char *boot_id, bool *out);

/* agent_named finds an agent that a person has named, by name or id. */
RC agent_named(struct ctx *ctx, struct txn *txn, const char *ref, const char **id);
/* agent_meant is agent_named, and for NULL the agent that does what names no other.  Either is one of the caller's teams: what an
 * agent has credentials and folders for is for those whom it belongs to.  E_FORBIDDEN where the usual one is somebody else's. */
RC agent_meant(struct ctx *ctx, struct txn *txn, const char *ref, const char **id, const char **name);

/* What people do with agents; each returns the agent as it is then. */
RC agent_approve(struct ctx *ctx, struct core *core, const char *ref, struct q_agent_get_row *out);
RC agent_drain(struct ctx *ctx, struct core *core, const char *ref, struct q_agent_get_row *out);
RC agent_remove(struct ctx *ctx, struct core *core, const char *ref, bool force);

/* agent_names says whether an agent names a kind of job among its `capabilities` (JSON): one of an earlier release would refuse a
 * kind that is new. */
bool agent_names(struct ctx *ctx, const char *capabilities, const char *kind);
/* agent_may_do says whether a job of this kind may be given to an agent: never where it was not `granted` or the agent's release
 * does not know it (`known`; one that names no kinds is asked itself), not now where `later`. */
struct agent_allows {
    bool granted, known, later;
};
RC agent_may_do(struct ctx *ctx, const struct q_agent_of_row *agent, const char *kind, struct agent_allows *out);

/* The text of a join token: "cwj_", then base64url of the SHA-256 of the fleet CA's root and of 24 random bytes. */
#define JOIN_TOKEN_PREFIX "cwj_"
RC join_token_add(struct ctx *ctx, struct core *core, const struct api_join_token_new *in, struct api_join_token_made *out);

/* fleet_root returns the root of the fleet CA (DER). */
RC fleet_root(struct ctx *ctx, struct core *core, struct bytes *out);

#endif
