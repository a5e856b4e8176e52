/* Idempotency-Key: the same request with the same key gets the answer that the first got, for a day.
 *
 * The answer is kept once the change has committed.  Should the hub be killed between the two, the same request again meets what
 * the first one made and is answered as such (E_EXISTS names it). */
#ifndef HUB_IDEMPOTENCY_H
#define HUB_IDEMPOTENCY_H

#include "hub/api.h"

struct idempotency {
    const char *key;   /* NULL: the request has none */
    struct bytes hash; /* of method, target and body */
    bool answered;     /* the response holds the answer of the first */
};

/* idempotency_begin looks for an answer kept.  E_CONFLICT where the key was used for another request. */
RC idempotency_begin(struct api_call *call, struct idempotency *seen);
/* idempotency_end keeps the answer that the response holds. */
RC idempotency_end(struct api_call *call, const struct idempotency *seen);

#endif
