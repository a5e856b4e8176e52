/* Keys that several hosts share: made once, sealed to each host that serves them.
 *
 * The agent that made the key of an attempt (attempt.agent_id) seals it to the sealing keys of the others, and the hub carries what
 * it cannot open.  A deployment to an agent that the key was not sealed to yet waits without a job; the job `seal` asks for all
 * that the managed certificate needs at once, and its result lets them go on. */
#ifndef CORE_SHARING_H
#define CORE_SHARING_H

#include "core/core.h"
#include "store/queries.h"

#define SEALED_KEY_MAX 16384  /* an RSA-4096 key takes 2.4 KiB */
#define SHARING_AGENTS_MAX 200 /* receivers a job: what comes of it fits one result */

/* What the agent of a target needs to have the key of an attempt: nothing where it made it. */
struct shared_key {
    bool missing;            /* not sealed to it yet */
    bool elsewhere;      /* no agent has it, for it is with whoever made the request; or this target is not given it */
    struct bytes sealed;     /* empty: made there */
    struct bytes spki_sha256;
    const char *managed, *installation;
};
RC sharing_look(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt, const struct q_target_by_id_row *target,
                struct shared_key *out);

/* sharing_taken says what is known of whether a target is given the key at all: its agent tells what its connectors write. */
struct taken_key {
    const char *parameter; /* that names where the key goes; NULL: none does, as far as is known */
    bool never;            /* it is sure that none does */
};
RC sharing_taken(struct ctx *ctx, struct txn *txn, const struct q_target_by_id_row *target, struct taken_key *out);

/* sharing_ask has the key of an attempt sealed to every agent of its managed certificate that lacks it.  Where that cannot be, what
 * waits for it is ended with the reason by the timer "seal" (sharing_due). */
RC sharing_ask(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt);
RC sharing_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt);

/* The end of a `seal` job. */
struct sealed_for {
    const char *agent;
    struct bytes sealed;
};
RC sharing_sealed(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt, const struct sealed_for *v, size_t n);
RC sharing_failed(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt, enum err e, const char *why,
                  int64_t retry_after_s);

/* sharing_key_told notes the sealing key an agent tells: the first one counts, another one is offered to an administrator.
 * sharing_key_accept makes the one offered, where there is one, the one that counts; what was sealed to the other is forgotten. */
RC sharing_key_told(struct ctx *ctx, struct txn *txn, const char *agent, struct bytes key);
RC sharing_key_accept(struct ctx *ctx, struct txn *txn, const char *agent, bool *accepted);

#endif
