/* The one-time link of `certwright init`: whoever opens it first, within a day of the first start, gets an administrator's token.
 */
#ifndef HUB_SIGN_IN_H
#define HUB_SIGN_IN_H

#include "hub/hub.h"

/* sign_in_take reads the hash that init left in `folder`, keeps it, and removes the file.  Nothing where there is none. */
RC sign_in_take(struct ctx *ctx, struct core *core, const char *folder);
/* sign_in_handle answers /sign-in: GET shows a button (so that a preview of the link uses nothing up), POST redeems the code. */
RC sign_in_handle(struct ctx *ctx, struct hub *hub, const struct http_request *req, struct http_response *resp);

#endif
