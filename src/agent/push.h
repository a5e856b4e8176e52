/* The agent's part in a target without an agent on its host: what `apply` and `run` do for a host's own service, the relay does
 * over HTTPS or SSH.  The agent carries what the two seal for each other and sees none of it.
 *
 *     see → kept in apply's journal → install → see shows the new one                        (and: undo → see shows the old one) */
#ifndef AGENT_PUSH_H
#define AGENT_PUSH_H

#include "agent/hands.h"

struct push_target {
    struct hands *h;
    struct story *story;
    const char *target, *deployment, *connector, *parameters;
    int64_t fence;
    struct bytes fingerprint, serial; /* of the certificate that is to be there */
    struct bytes keep_for;            /* apply's key */
    bool begun;                       /* what was there was kept by this process: it may be looked at anew */
};

/* What a look found. */
struct push_look {
    bool is_new, is_other;
    struct bytes fingerprint; /* empty: none, or not known */
    const char *what;         /* in words */
};

/* push_at_look looks and keeps nothing. */
RC push_at_look(struct ctx *ctx, const struct push_target *p, struct push_look *out);
/* push_at_begin looks and has apply keep what is there; `previous` is its fingerprint. */
RC push_at_begin(struct ctx *ctx, struct push_target *p, struct bytes *previous);
/* push_at_install has the relay do the steps.  Where somebody changed the target since push_at_begin(), and nothing was sent yet,
 * both are done again, a few times; then it is E_DEPLOY_FAILED. */
RC push_at_install(struct ctx *ctx, struct push_target *p, struct bytes *previous);
/* push_at_prove looks until the new certificate is there or `wait_ms` are over: E_NOT_SERVED. */
RC push_at_prove(struct ctx *ctx, struct push_target *p, int64_t wait_ms);
/* push_at_undo takes back what was installed.  Where somebody else's certificate is there now it stays: `*left` says so, and
 * `previous` is its fingerprint. */
RC push_at_undo(struct ctx *ctx, struct push_target *p, struct bytes *previous, bool *left);

#endif
