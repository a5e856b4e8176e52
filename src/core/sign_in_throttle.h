/* How often somebody may fail to sign in: counted before the try is looked at, so that a thousand at once are no way around it.
 *
 * A stranger's tries count against the account (by name, there or not) and against their address (an IPv6 /64 counts as one): after
 * some that are free each failure doubles the wait, up to a quarter of an hour.  Who comes from a device or an address from which
 * this person has signed in before has a budget of their own: nobody else's failures keep the owner out. */
#ifndef CORE_SIGN_IN_THROTTLE_H
#define CORE_SIGN_IN_THROTTLE_H

#include "core/core.h"

#define THROTTLE_FREE         10 /* failures of an account, or from a known place, before one has to wait */
#define THROTTLE_FREE_PERSON  12 /* of somebody, by whatever names */
#define THROTTLE_FREE_SECOND  5  /* of a second factor, for which the password was right */
#define THROTTLE_FREE_ADDRESS 40 /* of an address, whoever they tried to be */
#define THROTTLE_WAIT_MAX_S   900
#define THROTTLE_FORGET_S     86400 /* a day without a failure forgives all */
#define THROTTLE_KNOWN_KEPT   20    /* places that are known of somebody */
#define THROTTLE_KNOWN_S      (90 * 86400)

/* From where a request comes. */
struct sign_in_from {
    const char *address; /* of the connection */
    const char *client;  /* User-Agent, cut */
    const char *device;  /* what the device's cookie holds; NULL where there is none */
};

struct throttle {
    const char *own;     /* the account's key, or that of the known place */
    const char *address; /* NULL: not counted */
    bool known;
    bool first_wait; /* this try, should it fail, is the first that has to be waited for */
};

/* throttle_begin counts a try as failed: `account` is the name that was given, `user` its id (NULL: there is none), `second` says
 * that it is for a second factor.  E_RATE_LIMITED with ctx->retry_after_s where one has to wait. */
RC throttle_begin(struct ctx *ctx, struct txn *txn, const struct sign_in_from *from, const char *account, const char *user,
                  bool second, struct throttle *out);
/* throttle_person counts a try that a directory has looked at as failed, by who was found (`who`): one person is found by more
 * names than are counted as one, for a directory takes them in any case, with spaces and accents of its own liking.  More are free,
 * so that who types the usual name waits no longer than that name makes them.  E_RATE_LIMITED as above.  throttle_person_passed
 * takes it back. */
RC throttle_person(struct ctx *ctx, struct txn *txn, const struct throttle *t, const char *who);
RC throttle_person_passed(struct ctx *ctx, struct txn *txn, const struct throttle *t, const char *who);
/* throttle_passed takes it back: the try was good. */
RC throttle_passed(struct ctx *ctx, struct txn *txn, const struct throttle *t);
/* throttle_place is an address as it is counted: an IPv6 /64 is one. */
const char *throttle_place(struct ctx *ctx, const char *address);
/* throttle_know remembers the device and the address as somebody's. */
RC throttle_know(struct ctx *ctx, struct txn *txn, const struct sign_in_from *from, const char *user);

#endif
