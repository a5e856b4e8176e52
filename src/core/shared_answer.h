/* Answers to challenges that several need: a CA may give two orders of one account the same challenge, and clients of two teams may
 * show the same value with the same DNS provider.  What is in place for several is taken away with the last of them. */
#ifndef CORE_SHARED_ANSWER_H
#define CORE_SHARED_ANSWER_H

#include "core/core.h"
#include "store/queries.h"

/* An answer that one of its owners needs no more. */
struct shared_answer {
    const char *owner;      /* the attempt, or the challenge of another client (core/dns_challenge.h) */
    const char *identifier; /* "dns:…" */
    const char *method, *agent, *via;
    const char *provider;                  /* of a method in DNS; else NULL */
    const char *token, *key_authorization; /* NULL: only the value is known */
    const char *value;                     /* of the TXT record; NULL: made of the key authorization */
};
/* shared_answer_needed says whether another one has it in place, or is about to: it stays then. */
RC shared_answer_needed(struct ctx *ctx, struct txn *txn, const struct shared_answer *a, bool *needed);

#endif
