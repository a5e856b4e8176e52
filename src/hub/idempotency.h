/* Idempotency-Key: the same request with the same key gets the answer that the first got, for a day.
 *
 * That it was carried out is written with what it changed (core/audit.c), its answer after that.  Where the hub was killed between
 * the two, the answer is the object as it is now. */
#ifndef HUB_IDEMPOTENCY_H
#define HUB_IDEMPOTENCY_H

#include "hub/api.h"

struct idempotency {
    struct once once;           /* key NULL: the request has none */
    bool answered;              /* the response holds the answer of the first */
    const char *object;         /* the request was carried out and its answer lost: the object it changed; else NULL */
};

/* idempotency_begin looks for an answer kept, and else has the change noted under the key.  E_CONFLICT where the key was used for
 * another request. */
RC idempotency_begin(struct api_call *call, struct idempotency *seen);
/* idempotency_end keeps the answer that the response holds. */
RC idempotency_end(struct api_call *call, const struct idempotency *seen);

#endif
