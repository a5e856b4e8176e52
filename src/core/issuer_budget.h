/* What an issuer lets us ask for: its published limits (core/issuer_policy.h) against what was asked, so that no order is sent that
 * it would refuse. */
#ifndef CORE_ISSUER_BUDGET_H
#define CORE_ISSUER_BUDGET_H

#include "base/str.h"
#include "core/core.h"
#include "core/issuer_policy.h"
#include "store/queries.h"

/* What an order would be for. */
struct budget_ask {
    const char *issuer;
    const struct str_list *names; /* as in a wish */
    bool renewal;                 /* of exactly these names, issued by the same issuer before */
    bool replaces;                /* it will say what it replaces (RFC 9773) */
};
/* budget_look says when the order would fit all limits (0: now) and which one is in the way, in words. */
RC budget_look(struct ctx *ctx, struct txn *txn, const struct issuer_policy *p, const struct budget_ask *ask, int64_t *until,
               const char **why);
/* budget_take notes that the order of an attempt is on its way; budget_give_back, that the attempt got nothing: the CA counts
 * certificates by domain and set of names, but orders (`ordered`: it has one) by account. */
RC budget_take(struct ctx *ctx, struct txn *txn, const struct issuer_policy *p, const struct budget_ask *ask, const char *attempt);
RC budget_give_back(struct ctx *ctx, struct txn *txn, const char *attempt, bool ordered);
/* budget_note_failure counts a failed validation of one name. */
RC budget_note_failure(struct ctx *ctx, struct txn *txn, const char *issuer, const char *attempt, const char *name);

/* How much of a limit is used: of the whole account, or of what is nearest to it. */
struct budget_view {
    const struct issuer_limit *limit;
    const char *what;       /* the domain, the name; "" for the account */
    int64_t used, frees_at; /* when the oldest use is no longer counted; 0: nothing is used */
};
#define BUDGET_SHOWN 5 /* of each limit */
RC budget_show(struct ctx *ctx, struct txn *txn, const struct issuer_policy *p, const char *issuer, struct budget_view **out,
               size_t *n);

#endif
